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

mod character;
mod definitions;
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
pub use schema::{Child, Content, Schema, Shape};
pub(super) use source_map::SourceMap;
pub(super) use translate::translate;
pub use write::{XmlWriteError, XmlWriteErrorKind, write_xml};

type Fault = (SyntaxErrorKind, usize);

#[cfg(test)]
#[path = "xml_tests.rs"]
mod tests;
