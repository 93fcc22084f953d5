//! Mapping between structures with the FHIR Mapping Language.

pub mod error;
pub mod syntax;
