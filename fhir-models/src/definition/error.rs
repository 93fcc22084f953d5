//! What can be wrong with a definition or the store that holds it.

use crate::document::SyntaxError;

/// A definition that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// There is no such definition.
    #[error("there is no such definition")]
    NotFound,
    /// The definition is not JSON.
    #[error("the definition is not valid JSON: {0}")]
    Syntax(SyntaxError),
    /// The pack that holds it is damaged.
    #[error("{0}")]
    Pack(String),
    /// Another resource type.
    #[error("the resource is not a {0}")]
    NotA(&'static str),
    /// A required element is absent.
    #[error("the definition lacks `{0}`, which FHIR R4 requires")]
    Missing(&'static str),
    /// A code, number or cardinality outside what R4 allows.
    #[error("`{0}` in the definition holds a value that FHIR R4 does not allow")]
    BadCode(&'static str),
}
