//! HL7 v2 messages to FHIR R4: `ADT^A01/A04/A08/A40`, `ORU^R01`, `ORM^O01`, `MDM^T02`, `SIU^S12` to `S26`, `VXU^V04`.
//!
//! The tables of [`tables`] and the groups of `messages.fml` are one map of the FHIR Mapping Language; a site adds its own
//! groups and `Z` segments in the same language. A message becomes a transaction Bundle: what has an identifier
//! is updated or created by it (FHIR R4 §3.1.0.8.2), so that a message sent twice does nothing twice.
//!
//! Invariants: what no rule read is in [`Converted::lost`], by its place in the message; nothing is guessed: a code without
//! translation is kept and noted, a value that is none fails with its place.

mod address;
pub mod tables;

#[cfg(test)]
mod hl7v2_tests;

use std::collections::HashSet;
use std::sync::Arc;

pub use address::repeatable;

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument, Value};

use super::moment::zone_of;
use super::{CompiledMap, MapError, Mapper, Note, RunError, Settings};
use crate::hl7v2::{Grouped, Hl7v2Error, Message, Structure, message_document, place_of};

const DATATYPES: &str = include_str!("tables/datatypes.table");
const SEGMENTS: &str = include_str!("tables/segments.table");
const MESSAGES: &str = include_str!("tables/messages.fml");

/// Why a message is not converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConversionError {
    /// A type of message that there is no map for.
    #[error(
        "messages of type {0} are not converted; known are ADT^A01, A04, A08 and A40, ORU^R01, ORM^O01, MDM^T02, SIU^S12 to S26 and VXU^V04"
    )]
    UnknownMessage(String),
    /// The message does not have the structure of its type.
    #[error(transparent)]
    Structure(#[from] Hl7v2Error),
    /// A rule failed.
    #[error("{place}: {} (rule {})", error.fault, error.rule)]
    Rule {
        /// Where in the message: `OBX[2]-5.1`, or `the message`.
        place: String,
        /// What failed.
        error: Box<RunError>,
    },
    /// The message is too large or too deep to be mapped.
    #[error("the message can't be mapped: {0}")]
    Document(String),
}

/// A message in FHIR.
#[derive(Debug)]
pub struct Converted {
    /// The transaction Bundle, as JSON.
    pub bundle: String,
    /// Codes that were kept untranslated, and the like.
    pub notes: Vec<Note>,
    /// Places of the message that no rule read, such as `PV1-20.1`: separators, set ids and misplaced segments included.
    pub lost: Vec<String>,
}

/// Converts messages. Made once, used by many threads.
#[derive(Debug)]
pub struct Hl7v2Converter {
    map: CompiledMap,
}

/// The text of the map, in the FHIR Mapping Language. Times without an offset are those of `zone`, such as
/// `Europe/Rome` or `+01:00`.
///
/// # Errors
/// [`tables::TableError`] where a table can't be read.
pub fn map_text(zone: &str) -> Result<String, tables::TableError> {
    let text = [MESSAGES, "\n", &tables::groups(DATATYPES)?, "\n", &tables::groups(SEGMENTS)?].concat();
    let zone: String =
        zone.chars().filter(|one| one.is_ascii_alphanumeric() || "/_+-:".contains(*one)).collect();
    Ok(text.replace("$zone", &format!("'{zone}'")))
}

/// True for a zone that times can be read in: a name of the IANA database, or an offset such as `+01:00`.
pub fn is_zone(zone: &str) -> bool {
    zone_of(zone).is_some()
}

/// Why there is no converter: a fault of the tables or of the zone.
#[derive(Debug, thiserror::Error)]
#[error("the maps of HL7 v2 can't be used: {0}")]
pub struct ConverterError(String);

impl Hl7v2Converter {
    /// Compiles the maps of all messages.
    ///
    /// # Errors
    /// [`ConverterError`] where they do not fit the definitions, or the zone is unknown.
    pub fn new(definitions: Arc<Definitions>, zone: &str) -> Result<Hl7v2Converter, ConverterError> {
        if zone_of(zone).is_none() {
            let known = "name one such as Europe/Rome, or an offset such as +01:00";
            return Err(ConverterError(format!("the time zone {zone} is unknown: {known}")));
        }
        let text = map_text(zone).map_err(|error| ConverterError(error.to_string()))?;
        let mut mapper = Mapper::new(definitions);
        let number =
            mapper.add("hl7v2", text.as_bytes()).map_err(|error| ConverterError(error.to_string()))?;
        let all = |errors: Vec<MapError>| {
            ConverterError(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        };
        Ok(Hl7v2Converter { map: mapper.compile(number).map_err(all)? })
    }

    /// Converts a message.
    ///
    /// ```
    /// use fhir_models::definition::Definitions;
    /// use varco_core::hl7v2::{Message, Reading};
    /// use varco_core::mapping::Settings;
    /// use varco_core::mapping::hl7v2::Hl7v2Converter;
    ///
    /// let converter = Hl7v2Converter::new(Definitions::r4(), "Europe/Rome")?;
    /// let text = "MSH|^~\\&|ADT|030924|||20260301101500||ADT^A04^ADT_A01|1|P|2.5.1\rEVN|A04|20260301\r\
    ///             PID|1||4711^^^030924^MR||Rossi^Mario||19710501|M\rPV1|1|O\r";
    /// let message = Message::parse(text.as_bytes(), &Reading::STRICT)?;
    /// let converted = converter.convert(&message, &Settings::default())?;
    /// assert!(converted.bundle.contains(r#""birthDate":"1971-05-01""#));
    /// assert!(converted.lost.contains(&"EVN-2.1".to_owned()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ConversionError`]; the message stays as it is.
    pub fn convert(
        &self,
        message: &Message<'_>,
        settings: &Settings<'_>,
    ) -> Result<Converted, ConversionError> {
        let kind = message.message_type();
        let unknown = || ConversionError::UnknownMessage(format!("{}^{}", kind.code, kind.event));
        let structure = Structure::of(message).ok_or_else(unknown)?;
        let grouped = Grouped::fit(message, structure)?;
        let text = message_document(message, &grouped, structure);
        let document = OwnedDocument::parse_json(text, &Limits::default())
            .map_err(|error| ConversionError::Document(error.to_string()))?;
        let settings = Settings { report: true, ..*settings };
        let output = self.map.run(&[document.document()], &settings).map_err(|error| {
            let place = error.source.as_ref().and_then(|(path, _)| place_at(&document, path));
            ConversionError::Rule { place: place.unwrap_or_else(|| "the message".to_owned()), error }
        })?;
        let bundle = address::addressed(output.text()).map_err(ConversionError::Document)?;
        let lost = lost_places(&document, output.loss.iter().map(|loss| loss.path.as_str()).collect());
        Ok(Converted { bundle, notes: output.notes, lost })
    }
}

/// The places in the message of these paths in its document, found in one walk: a message may have very many.
fn lost_places(document: &OwnedDocument, paths: HashSet<&str>) -> Vec<String> {
    let mut places = Places { paths, path: "$this".to_owned(), found: Vec::new() };
    places.walk(document.root(), "");
    places.found
}

struct Places<'p> {
    paths: HashSet<&'p str>,
    /// Of the value that the walk is at.
    path: String,
    found: Vec<String>,
}

impl Places<'_> {
    fn walk(&mut self, here: Value<'_>, place: &str) {
        if !place.is_empty() && self.paths.contains(self.path.as_str()) {
            self.found.push(place.to_owned());
        }
        if !here.is_object() {
            return;
        }
        for child in here.children() {
            let Some(key) = child.key() else { continue };
            if is_added(&key) && !child.is_array() {
                continue;
            }
            let length = self.path.len();
            self.path.push('.');
            self.path.push_str(&key);
            let end = self.path.len();
            for (index, item) in child.items().enumerate() {
                if child.is_array() {
                    self.path.push_str(&format!("[{index}]"));
                }
                self.walk(item, &place_within(place, &key, index, item));
                self.path.truncate(end);
            }
            self.path.truncate(length);
        }
    }
}

/// The place of an item of a member, given that of what holds it; empty outside of segments.
fn place_within(place: &str, key: &str, index: usize, item: Value<'_>) -> String {
    if let Some(own) = item.get_key("place").and_then(Value::as_str) {
        return own.into_owned();
    }
    match (place.is_empty(), key.split_at_checked(1)) {
        (false, Some(("f", number))) if index > 0 => format!("{place}-{number}[{}]", index + 1),
        (false, Some(("f", number))) => format!("{place}-{number}"),
        (false, Some(("c", number))) => format!("{place}.{}", number.replace('_', ".")),
        _ => place.to_owned(),
    }
}

/// True for what the document adds to the message.
fn is_added(key: &str) -> bool {
    matches!(key, "place" | "url" | "name" | "structure")
}

/// The place in the message of a path in its document; `None` for what the document adds.
fn place_at(document: &OwnedDocument, path: &str) -> Option<String> {
    let mut here = document.root();
    for step in path.split('.').skip(1) {
        let (name, index) = match step.split_once('[') {
            Some((name, rest)) => (name, rest.trim_end_matches(']').parse().ok()?),
            None => (step, 0),
        };
        here = here.get_key(name)?;
        if here.is_array() {
            here = here.items().nth(index)?;
        }
        if is_added(name) && !here.is_object() {
            return None;
        }
    }
    place_of(here)
}
