//! The document: a flat tape of nodes over the source text.
//!
//! A parse never builds a tree and never copies the source. Each JSON value becomes one [`Node`] of 24
//! bytes that says what it is, under which name it stands, where it stands in the text and where its next
//! sibling is. Property order and the digits of decimals are therefore those of the source, and an edit
//! ([`Edits`]) cuts and splices bytes: what is not changed is not reprinted.
//!
//! The parser is strict (RFC 8259 and FHIR R4 §2.6.2): duplicate property names, invalid UTF-8, bad
//! escapes, malformed numbers and anything beyond the [`Limits`] are errors with line and column. A validator
//! reads with [`Tape::parse_tolerant`], which notes faults of form and goes on.

mod edit;
mod form;
mod format;
mod json;
mod members;
mod mend;
pub mod name;
pub mod nodes;
mod scan;
mod spare;
pub mod stream;
mod syntax;
mod tape;
mod text;
mod value;
mod write;
pub mod xml;

pub use edit::Edits;
pub use form::{FormFault, MOST_FAULTS};
pub use format::Format;
pub use name::Name;
pub use syntax::{Limits, Position, SyntaxError, SyntaxErrorKind};
pub use tape::{Document, Kind, Node, NodeId, OwnedDocument, Tape};
pub use value::{Children, Items, Value};
pub use write::JsonWriter;

#[cfg(test)]
mod tolerant_tests;
