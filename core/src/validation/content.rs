//! Something must be there: no empty object, array or text, and no `null` but to keep two arrays of a
//! primitive in step (FHIR R4 §2.6.2.1, §2.6.2.3; invariant `ele-1`).

use fhir_models::document::{Kind, Value};

use crate::outcome::IssueType;

use super::finding::{Fault, Rule};

pub(super) fn empty_object() -> Fault {
    Rule::Content.error(IssueType::Invariant, "an object must not be empty: leave the element out (ele-1)")
}

pub(super) fn only_an_id() -> Fault {
    Rule::Content
        .error(IssueType::Invariant, "an element must have a value or children beside its id (ele-1)")
}

pub(super) fn empty_array() -> Fault {
    Rule::Content.error(IssueType::Structure, "an array must not be empty: leave the element out")
}

pub(super) fn null() -> Fault {
    Rule::Content.error(
        IssueType::Structure,
        "null stands only in an array of primitives, where the `_` array beside it has an extension",
    )
}

/// Something else where an object belongs.
pub(super) fn not_an_object(value: Value<'_>, type_name: &str) -> Fault {
    if value.kind() == Kind::Null {
        return null();
    }
    Rule::JsonForm.error(
        IssueType::Structure,
        format!("the type here is {type_name}, which is written as a JSON object, {{ }}"),
    )
}

pub(super) fn too_deep(depth: usize) -> Fault {
    Rule::Limit.error(
        IssueType::TooCostly,
        format!("elements are nested more than {depth} levels deep; what lies below was not checked"),
    )
}
