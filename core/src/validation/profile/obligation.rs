//! A primitive that must have a value, or one of some extensions in its place (FHIR R5 §2.1.28,
//! `ElementDefinition.mustHaveValue`, `ElementDefinition.valueAlternatives`; in R4 as extensions).

use fhir_models::document::{Value, name};

use crate::outcome::IssueType;

use super::super::finding::Rule;
use super::super::walk::Walk;
use super::{Node, Occurrence, Profile};

/// Checks a primitive that may lack its value.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, item: Occurrence<'d>, profile: &Profile, node: &Node) {
    if item.value.is_some() {
        return;
    }
    if node.must_have_value {
        let message =
            format!("{} needs a value; extensions in its place are not enough ({})", node.id, profile.url);
        walk.report(item.at, item.at, Rule::Content.error(IssueType::Required, message));
    }
    if node.value_alternatives.is_empty() {
        return;
    }
    let extensions =
        || item.twin.and_then(|twin| twin.get(name::EXTENSION)).into_iter().flat_map(Value::items);
    let stands = |canonical: &str| {
        let url = canonical.split('|').next().unwrap_or_default();
        extensions().any(|it| it.get(name::URL).is_some_and(|own| own.is_str(url)))
    };
    if !node.value_alternatives.iter().any(|it| stands(it)) {
        let message = format!(
            "{} has no value, and in its place stands none of the extensions {} ({})",
            node.id,
            node.value_alternatives.join(", "),
            profile.url
        );
        walk.report(item.at, item.at, Rule::Content.error(IssueType::Required, message));
    }
}
