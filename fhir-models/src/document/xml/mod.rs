//! FHIR XML (FHIR R4 §2.6.1): read onto the tape, written from it.
//!
//! XML alone doesn't say what repeats, what is a number and what is a primitive: the definitions do, through
//! a [`Schema`]. A text is translated to JSON, which fills the tape as any other, together with a
//! [`SourceMap`] from its offsets to lines and columns of the XML. Whoever reads the document sees FHIR
//! JSON; a finding is reported where it stands in the XML.
//!
//! What stays: every element in its order, digits of decimals, `id` and extensions of primitives, the
//! narrative's `div` to the byte, elements that no definition knows. What goes: comments, processing
//! instructions and white space between elements. Attributes and text that FHIR has no place for are
//! refused, for JSON could not hold them; so are elements in a namespace that is not FHIR's.
//!
//! ```
//! use fhir_models::definition::Definitions;
//! use fhir_models::document::xml::{DefinitionSchema, write_xml};
//! use fhir_models::document::{Limits, Tape};
//!
//! let schema = DefinitionSchema::new(Definitions::r4());
//! let xml = r#"<Patient xmlns="http://hl7.org/fhir"><active value="true"/></Patient>"#;
//! let mut tape = Tape::new();
//! let patient = tape.parse_xml(xml.as_bytes(), &schema, &Limits::default())?;
//! assert_eq!(patient.text(), r#"{"resourceType":"Patient","active":true}"#);
//! assert!(write_xml(patient.root(), &schema).is_ok_and(|text| text.ends_with(xml)));
//! # Ok::<(), fhir_models::document::SyntaxError>(())
//! ```

mod character;
mod definitions;
mod logical;
mod namespace;
mod reader;
mod reference;
mod schema;
mod source_map;
mod translate;
mod tree;
mod write;

use super::SyntaxErrorKind;

pub use definitions::DefinitionSchema;
pub(super) use logical::translate_logical;
pub use logical::{LogicalChild, LogicalRoot, LogicalSchema, TYPE_MEMBER, parse_logical_xml, root_of_xml};
pub use schema::{Child, Content, Schema, Shape};
pub(super) use source_map::SourceMap;
pub(super) use translate::translate;
pub use write::{XmlWriteError, XmlWriteErrorKind, write_xml};

type Fault = (SyntaxErrorKind, usize);

#[cfg(test)]
#[path = "xml_tests.rs"]
mod tests;
