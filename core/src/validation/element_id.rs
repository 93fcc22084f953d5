//! Ids of elements: no spaces, and once in a resource (FHIR R4 §2.27, `Element.id`).

use fhir_models::document::Value;

use crate::outcome::IssueType;

use super::finding::Rule;
use super::shape::ShapeKind;
use super::walk::Walk;

/// Checks the `id` of the element `object`. Its form as a string has been checked.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, object: Value<'d>, id: Value<'d>, kind: ShapeKind) {
    let Some(text) = id.as_str() else { return };
    if text.contains(char::is_whitespace) {
        let fault = Rule::ElementId.error(IssueType::Value, "the id of an element must not contain spaces");
        walk.report(id, id, fault);
    }
    if kind == ShapeKind::ElementDefinition {
        return;
    }
    if !walk.scope.ids.insert(text) {
        let fault =
            Rule::ElementId.error(IssueType::Duplicate, "another element of this resource has the same id");
        walk.report(object, id, fault);
    }
}
