//! What FHIR is: documents, primitives and definitions.
//!
//! This crate knows how FHIR R4 is written down and how its definitions describe it. It holds no rule
//! about what may be done with a resource: that is `varco-core`.
//!
//! ```
//! use fhir_models::document::{Limits, Tape, name};
//!
//! let mut tape = Tape::new();
//! let patient = tape.parse_json(br#"{"resourceType":"Patient","id":"p1"}"#, &Limits::default())?;
//! assert_eq!(patient.root().get(name::ID).and_then(|id| id.as_str()).as_deref(), Some("p1"));
//! # Ok::<(), fhir_models::document::SyntaxError>(())
//! ```

pub mod definition;
pub mod document;
pub mod primitive;
