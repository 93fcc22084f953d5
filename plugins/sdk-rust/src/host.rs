//! What a plugin may ask of the gateway. Natively, [`crate::testing`] answers.

use crate::{Coding, FhirPathError, Finding, Item, Level, Target, TranslateError};

#[cfg(target_arch = "wasm32")]
use crate::bindings::varco::plugin as gateway;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing as gateway;

/// The plugin's settings as JSON text; `{}` where there are none. Needs the grant `settings`.
pub fn settings() -> String {
    gateway::settings::json()
}

/// Writes a line to the gateway's log. Needs the grant `log`. A line must not hold personal data.
///
/// The gateway keeps 8 lines a call, 512 bytes each.
pub fn log(level: Level, text: &str) {
    gateway::log::line(level, text);
}

/// Adds to a counter in the gateway's metrics. Needs the grant `counters`, and the name in the manifest's `counters`.
pub fn count(name: &str, by: u32) {
    gateway::counters::add(name, by);
}

/// Evaluates a FHIRPath expression on the body of this call. Needs the grant `fhirpath`.
///
/// # Errors
///
/// [`FhirPathError`]: no expression, no FHIR, or beyond the call's bounds.
pub fn fhirpath(expression: &str) -> Result<Vec<Item>, FhirPathError> {
    gateway::fhirpath::evaluate(expression)
}

/// What a concept map says of a code. Needs the grant `concept-map`. `map` is its canonical URL, without version.
///
/// # Errors
///
/// [`TranslateError`]: the operator gave no such map, or the call has asked too often.
pub fn translate(map: &str, coding: &Coding) -> Result<Vec<Target>, TranslateError> {
    gateway::concept_map::translate(map, coding)
}

/// Whether a text is an Italian tax code. Needs the grant `codice-fiscale`. Give it in capital letters, without spaces.
pub fn codice_fiscale(text: &str) -> Finding {
    gateway::codice_fiscale::check(text)
}

/// The pseudonym of a value under the operator's key: 64 hexadecimal digits. Needs the grant `pseudonym`.
pub fn pseudonym(system: &str, value: &str) -> String {
    gateway::pseudonym::pseudonym(system, value)
}
