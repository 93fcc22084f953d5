//! Mapping between structures with the FHIR Mapping Language.

pub mod error;
pub mod hl7v2;
pub mod syntax;
