//! Where the target of a reference may stand (FHIR R4 §2.29, `ElementDefinition.type.aggregation`): in the
//! same resource, in the same Bundle, or anywhere.
//!
//! A resource on its own may become part of a Bundle later: `bundled` is checked inside Bundles only.

use fhir_models::definition::Aggregation;
use fhir_models::document::{Value, name};

use crate::outcome::IssueType;

use super::super::finding::Rule;
use super::super::walk::Walk;
use super::Occurrence;

/// Checks where a reference leads.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, item: Occurrence<'d>, allowed: &[Aggregation], id: &str) {
    let Some(value) = item.value.filter(|value| value.is_object()) else { return };
    let Some(text) = value.get(name::REFERENCE).and_then(Value::as_str) else { return };
    let resources = walk.resources();
    let Some(around) = resources.around(value) else { return };
    let in_bundle = resources.list.get(resources.container(around)).is_some_and(|it| it.entry.is_some());
    let (fits, shown): (&[Aggregation], _) = if text.starts_with('#') {
        (&[Aggregation::Contained], "a contained resource")
    } else if resources.resolve(value, &text).is_some() {
        (&[Aggregation::Bundled, Aggregation::Referenced], "a resource of the Bundle")
    } else if in_bundle {
        (&[Aggregation::Referenced], "a resource outside of the Bundle")
    } else {
        (&[Aggregation::Referenced, Aggregation::Bundled], "a resource elsewhere")
    };
    if allowed.iter().any(|it| fits.contains(it)) {
        return;
    }
    let name = |it: &Aggregation| match it {
        Aggregation::Contained => "contained",
        Aggregation::Referenced => "referenced",
        Aggregation::Bundled => "bundled",
    };
    let names: Vec<_> = allowed.iter().map(name).collect();
    let message =
        format!("{id} refers to {shown}; the profile allows targets that are {} only", names.join(", "));
    walk.report(value, value, Rule::Target.error(IssueType::Structure, message));
}
