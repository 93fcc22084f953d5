//! Policies that can't be used: where, why, and what to do.

use std::fmt;
use std::ops::Range;

use cedar_policy::ffi::DetailedError;
use fhir_models::document::Position;

use super::PolicySource;

/// Most faults that one error lists.
const MOST_FAULTS: usize = 20;

/// One thing that is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFault {
    /// The number of the source, as given to [`SitePolicies::compile`](super::SitePolicies::compile).
    pub source: usize,
    /// The source's name.
    pub file: String,
    /// The part that is at fault, in bytes.
    pub span: Range<usize>,
    /// Where that begins.
    pub position: Position,
    /// What is wrong.
    pub cause: String,
    /// What to do.
    pub cure: String,
}

impl fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.position;
        write!(f, "{}:{line}:{column}: {} {}", self.file, self.cause, self.cure)
    }
}

/// Policies that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct PolicyErrors {
    /// What is wrong: at least one fault, in the order of the files.
    pub faults: Vec<PolicyFault>,
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.faults.iter().take(MOST_FAULTS).enumerate() {
            let between = if at == 0 { "" } else { "; " };
            write!(f, "{between}{fault}")?;
        }
        Ok(())
    }
}

/// Gathers the faults of one source.
pub(super) struct Faults<'s> {
    pub number: usize,
    pub source: &'s PolicySource,
    pub found: Vec<PolicyFault>,
}

impl Faults<'_> {
    /// A fault at a place.
    pub fn add(&mut self, span: Range<usize>, cause: impl Into<String>, cure: impl Into<String>) {
        let text = self.source.text.as_bytes();
        let start = span.start.min(text.len());
        self.found.push(PolicyFault {
            source: self.number,
            file: self.source.name.clone(),
            position: Position::of(text, start),
            span: start..span.end.clamp(start, text.len()),
            cause: cause.into(),
            cure: cure.into(),
        });
    }

    /// What the policy language's own reader or checker found.
    pub fn add_found(&mut self, found: &DetailedError, cure: &str) {
        let span = found.source_locations.first().map_or(0..0, |place| place.loc.start..place.loc.end);
        let said = found.source_locations.first().and_then(|place| place.label.as_deref());
        let mut cause = about(&found.message).to_owned();
        if let Some(said) = said.filter(|said| !cause.contains(said)) {
            cause = format!("{cause} ({said})");
        }
        let cure = match &found.help {
            Some(help) => sentence(about(help)),
            None => cure.to_owned(),
        };
        self.add(span, sentence(&cause), cure);
    }
}

/// `for policy `x`, attribute …` → `attribute …`: the place says which policy.
fn about(text: &str) -> &str {
    let rest = text.strip_prefix("for policy `").and_then(|rest| rest.split_once("`, "));
    rest.map_or(text, |(_, rest)| rest)
}

/// `unknown type` → `Unknown type.`
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let upper: String = chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect();
    if upper.ends_with(['.', '?', '!']) { upper } else { upper + "." }
}
