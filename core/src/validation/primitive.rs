//! The grammar of primitives, as findings. The grammar itself is `fhir_models::primitive`.

use fhir_models::primitive::PrimitiveError;

use crate::outcome::IssueType;

use super::finding::{Fault, Rule};

pub(super) fn explain(error: PrimitiveError) -> Fault {
    match error {
        PrimitiveError::WrongKind { .. } => Rule::JsonForm.error(IssueType::Structure, error.to_string()),
        PrimitiveError::Empty => Rule::Content.error(IssueType::Value, error.to_string()),
        PrimitiveError::TooLong => Rule::Primitive.error(IssueType::TooLong, error.to_string()),
        _ => Rule::Primitive.error(IssueType::Value, error.to_string()),
    }
}
