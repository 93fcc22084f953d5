//! What a transformation gives: the resource as text, what was noted on the way, and what was left.

use fhir_models::document::Position;

use super::change::Change;
use super::report::{Loss, TraceStep};

/// How the result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// JSON: resources, and logical models that have no form in XML.
    Json,
    /// XML: logical models that say how XML writes them, such as CDA.
    Xml,
}

/// The result of a transformation.
#[derive(Debug, Clone)]
pub struct Output {
    /// One text for each target of the first group, in the order of its parameters.
    pub results: Vec<OutputResult>,
    /// What the author of the map, or whoever answers for the data, should know.
    pub notes: Vec<Note>,
    /// Source elements that nothing read; empty where no report was asked for.
    pub loss: Vec<Loss>,
    /// How many source elements nothing read, by the rule that came nearest; its name is empty where none did. Empty
    /// where neither a report nor the count was asked for. Names no value: fit for metrics.
    pub lost: Vec<(String, u64)>,
    /// What stands otherwise in the result; empty where no report was asked for.
    pub changes: Vec<Change>,
    /// What each rule worked on; empty where no report was asked for.
    pub trace: Vec<TraceStep>,
}

impl Output {
    /// The first result's text; empty for a map that makes nothing.
    pub fn text(&self) -> &str {
        self.results.first().map_or("", |it| &it.text)
    }
}

/// One result.
#[derive(Debug, Clone)]
pub struct OutputResult {
    /// The type that was made.
    pub type_name: String,
    /// How it is written.
    pub format: OutputFormat,
    /// The text.
    pub text: String,
}

/// Something worth knowing that is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is.
    pub kind: NoteKind,
    /// Group and rule.
    pub rule: String,
    /// The source item that the rule was at, with line and column.
    pub source: Option<(String, Position)>,
}

/// What a note says. Codes and logged values may be a person's data: they belong in no shared log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoteKind {
    /// A code that the concept map doesn't translate: it was kept as it is.
    Unmapped {
        /// The concept map.
        map: String,
        /// The code, with its system where it has one.
        code: String,
    },
    /// A target element that held another value before: only the later one is left.
    Replaced(String),
    /// What a `log` says.
    Log(String),
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.kind {
            NoteKind::Unmapped { map, code } => {
                write!(f, "{code} is not in the concept map {map} and was kept as it is")?
            }
            NoteKind::Replaced(element) => write!(f, "{element} held another value, which was replaced")?,
            NoteKind::Log(text) => write!(f, "log: {text}")?,
        }
        write!(f, " (rule {}", self.rule)?;
        if let Some((path, position)) = &self.source {
            write!(f, ", at {path}, {position} of the source")?;
        }
        f.write_str(")")
    }
}
