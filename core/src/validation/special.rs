//! Types of resources with rules of their own, which neither their definition nor an invariant states.

use fhir_models::document::Value;

use super::bundle;
use super::canonical;
use super::code_system;
use super::concept_map;
use super::conformance;
use super::questionnaire;
use super::value_set;
use super::walk::Walk;

/// True for a type that [`check`] has rules for.
pub(super) fn has_rules(type_name: &str) -> bool {
    matches!(
        type_name,
        "Bundle" | "CodeSystem" | "ConceptMap" | "Questionnaire" | "QuestionnaireResponse" | "ValueSet"
    ) || conformance::has_rules(type_name)
}

/// The rules of one resource.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, resource: Value<'d>) {
    if walk.full {
        return;
    }
    match resource.resource_type().as_deref() {
        Some("Bundle") => bundle::check(walk, resource),
        Some("CodeSystem") => {
            canonical::code_system(walk, resource);
            code_system::check(walk, resource);
        }
        Some("ConceptMap") => concept_map::check(walk, resource),
        Some("ValueSet") => {
            canonical::value_set(walk, resource);
            value_set::check(walk, resource);
        }
        Some("QuestionnaireResponse") => questionnaire::check(walk, resource),
        Some("Questionnaire") => questionnaire::check_form(walk, resource),
        Some(other) => conformance::check(walk, resource, other),
        None => {}
    }
}
