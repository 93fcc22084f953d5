//! Choice elements: at most one variant of `value[x]` (FHIR R4 §2.6.2, §2.29 "choice of data types").
//!
//! Variants that the definition does not list have no entry in the shape and are unknown elements; what
//! is left to find is a second variant beside the first.

use fhir_models::document::Value;

use crate::outcome::IssueType;

use super::finding::{Fault, Rule};
use super::walk::{Place, Walk};

/// Checks that `child` is the only variant of its choice in `object`. `seen`: the choice stood before.
pub(super) fn check<'d>(
    walk: &mut Walk<'_, 'd>,
    object: Value<'d>,
    child: Value<'d>,
    place: Place<'_>,
    seen: bool,
) {
    if seen && another_variant(object, child, place) {
        let fault = second(place);
        walk.report(object, child, fault);
    }
}

/// True where a variant of other type stands before `child`: a value and its own twin are one variant.
#[cold]
fn another_variant(object: Value<'_>, child: Value<'_>, place: Place<'_>) -> bool {
    object.children().take_while(|earlier| earlier.id() != child.id()).any(|earlier| {
        place
            .shape
            .find(earlier.name())
            .is_some_and(|entry| entry.element == place.entry.element && entry.name != place.entry.name)
    })
}

fn second(place: Place<'_>) -> Fault {
    let element = place.shape.element(place.entry).map_or("value", |element| &*element.name);
    Rule::Choice.error(
        IssueType::Structure,
        format!("`{}.{element}[x]` may have one type only: remove all variants but one", place.shape.path),
    )
}
