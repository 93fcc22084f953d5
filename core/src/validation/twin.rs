//! `_name`: the `id` and extensions of a primitive stand in a twin of its property (FHIR R4 §2.6.2.3).
//!
//! Where the primitive repeats, both are arrays in step, and `null` fills the places where one of them has
//! nothing. A shorter array counts as filled up with `null`. At each place one of the two has content.

use fhir_models::document::{Kind, Name, Value};

use crate::outcome::IssueType;

use super::content;
use super::finding::Rule;
use super::walk::{Place, Walk};

/// Checks the twin of a primitive, and that it is in step with the primitive.
pub(super) fn check<'v, 'd>(walk: &mut Walk<'v, 'd>, object: Value<'d>, twin: Value<'d>, place: Place<'v>) {
    if !place.entry.is_array() {
        let value = beside(object, twin);
        return element(walk, twin, value.is_some_and(|value| value.kind() != Kind::Null));
    }
    if !twin.is_array() {
        return walk.report(
            twin,
            twin,
            Rule::JsonForm.error(
                IssueType::Structure,
                "the element may repeat: its `_` property is an array in step with the values",
            ),
        );
    }
    let mut values =
        beside(object, twin).filter(|value| value.is_array()).into_iter().flat_map(Value::children);
    let mut count = 0;
    for item in twin.children() {
        count += 1;
        let filled = values.next().is_some_and(|value| value.kind() != Kind::Null);
        if item.kind() != Kind::Null {
            element(walk, item, filled);
        } else if !filled {
            walk.report(item, item, content::null());
        }
        if walk.full {
            return;
        }
    }
    if count == 0 {
        walk.report(twin, twin, content::empty_array());
    }
    for value in values.filter(|value| value.kind() == Kind::Null) {
        walk.report(value, value, content::null());
    }
}

/// The value that a twin belongs to. Names that FHIR doesn't know are told by their text.
fn beside<'d>(object: Value<'d>, twin: Value<'d>) -> Option<Value<'d>> {
    match twin.name() {
        Name::UNKNOWN => twin.key().and_then(|key| object.get_key(key.strip_prefix('_')?)),
        name => object.get(name),
    }
}

/// Checks an array of primitives that holds `null`. With a twin beside it, the twin's check does so.
#[cold]
pub(super) fn nulls<'d>(walk: &mut Walk<'_, 'd>, object: Value<'d>, array: Value<'d>) {
    let twin = match array.name() {
        Name::UNKNOWN => array.key().and_then(|key| object.get_key(&format!("_{key}"))),
        name => object.get_underscored(name),
    };
    if twin.is_some_and(Value::is_array) {
        return;
    }
    for item in array.children().filter(|item| item.kind() == Kind::Null) {
        walk.report(item, item, content::null());
    }
}

/// The twin's own content: that of `Element`. `filled`: it stands beside a value.
fn element<'v, 'd>(walk: &mut Walk<'v, 'd>, twin: Value<'d>, filled: bool) {
    if !twin.is_object() {
        return walk.report(
            twin,
            twin,
            Rule::JsonForm.error(
                IssueType::Structure,
                "a `_` property is an object that holds the id and extensions of the value",
            ),
        );
    }
    let Some(structure) = walk.structure(twin, Name::of("Element")) else { return };
    let Some(shape) = structure.root() else { return };
    let _ = walk.members(twin, structure, shape, filled);
}
