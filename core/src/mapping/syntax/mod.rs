//! The FHIR Mapping Language as written: text, and `StructureMap` resources in JSON and XML, into one model,
//! and the model back into text (FHIR R4 §5.7 and R5 §5.8, <http://hl7.org/fhir/R5/mapping-language.html>; the
//! incubator's `let` and batch identity, <https://build.fhir.org/ig/HL7/mapping-language-ig/>).
//!
//! Nothing is resolved here: names are names. Invariants: no text makes a parser recurse deeper than
//! [`DEEPEST`]; every part knows its offset; `print(parse(t))` parses to what prints the same again.

mod condition;
mod expression;
mod lexer;
mod model;
mod parser;
mod print;
mod resource;
mod rules;

#[cfg(test)]
mod syntax_tests;

pub(super) use condition::{Asked, Condition};
pub(super) use expression::expression_names;
pub(super) use lexer::quoted;
pub use model::{
    CodePair, CodeSide, Constant, Dependent, EmbeddedConceptMap, Expression, Group, GroupParameter, Import,
    InputMode, Literal, ModelMode, Parameter, ParameterValue, Rule, RuleSource, RuleTarget, SourceListMode,
    StructureMap, StructureUse, TargetListMode, Transform, TransformKind, TypeMode,
};
pub use print::print;

use fhir_models::document::{Format, Limits, OwnedDocument, xml::Schema};

use super::error::{MapError, MapFault};

/// Longest map, in bytes.
pub const LONGEST: usize = 4 << 20;
/// Deepest nesting of rules.
pub const DEEPEST: usize = 64;
/// Most rules of one map.
pub const MOST_RULES: usize = 50_000;

/// A fault and its offset in the text.
pub(super) type Located = (MapFault, usize);

/// Reads a map: text, or a `StructureMap` in JSON or XML, whichever it begins like. `file` names it in errors.
///
/// # Errors
/// [`MapError`] with line and column.
pub fn parse(file: &str, bytes: &[u8], schema: &dyn Schema) -> Result<StructureMap, MapError> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if bytes.len() > LONGEST {
        return Err(MapError::at(file, bytes, (MapFault::TooLong(LONGEST), 0)));
    }
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if matches!(first, Some(b'{' | b'<')) {
        let limits = Limits { bytes: LONGEST, ..Limits::default() };
        let document = match Format::of(bytes) {
            Format::Json => OwnedDocument::parse_json(bytes, &limits),
            Format::Xml => OwnedDocument::parse_xml(bytes, schema, &limits),
        };
        let document = document.map_err(|error| {
            MapError::at(file, bytes, (MapFault::NotAResource(error.kind.to_string()), error.offset))
        })?;
        return resource::read(document.root()).map_err(|located| MapError::at(file, bytes, located));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| MapError::at(file, bytes, (MapFault::NotUtf8, error.valid_up_to())))?;
    parse_text(file, text)
}

/// Reads a map's text. `file` names it in errors.
///
/// # Errors
/// [`MapError`] with line and column.
pub fn parse_text(file: &str, text: &str) -> Result<StructureMap, MapError> {
    if text.len() > LONGEST {
        return Err(MapError::at(file, text.as_bytes(), (MapFault::TooLong(LONGEST), 0)));
    }
    parser::parse(text).map_err(|located| MapError::at(file, text.as_bytes(), located))
}
