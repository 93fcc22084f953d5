//! `[[passthrough]]`: paths beside the FHIR base whose requests are handed on as they are, because no rule needs their bodies.
//!
//! Nothing passes by default, and nothing without the operator's own words: `consent = "not-checked"` and a `reason`.

use std::path::PathBuf;

use serde::Deserialize;

use super::Upstream;

/// `[[passthrough]]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Passthrough {
    pub name: String,
    /// Where its requests arrive, on the federation's port.
    pub path: String,
    /// `GET` and so on: what passes.
    pub methods: Vec<String>,
    /// Client ids of tokens: who may use it.
    pub clients: Vec<String>,
    /// Always `not-checked`: it must be written, so that whoever reads the file knows.
    pub consent: PassedConsent,
    /// Why no rule needs what passes.
    pub reason: String,
    #[serde(default)]
    pub audit: PassedAudit,
    /// Headers that pass both ways, beside the usual ones.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Largest request body.
    #[serde(default = "default::body_bytes")]
    pub body_bytes: u64,
    /// Largest answer body.
    #[serde(default = "default::answer_bytes")]
    pub answer_bytes: u64,
    /// The server that the path stands for.
    pub server: Upstream,
}

/// `passthrough.consent`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PassedConsent {
    /// Neither consents nor labels, policies, maps, validation and plugins look at what passes.
    NotChecked,
}

/// `passthrough.audit`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PassedAudit {
    /// A record for each request, on disk before it is handed on.
    #[default]
    Each,
    /// A record for each client and minute, on disk before the minute's first request is handed on, and one at its end that
    /// counts them.
    Minute,
}

impl Passthrough {
    /// The path below the route's, with its slash: `/tx` leads `/tx/CodeSystem` and not `/txt`.
    pub fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(self.path.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// The files that it names.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.server.ca, &self.server.certificate, &self.server.key].into_iter().flatten()
    }

    /// The same, to be changed.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let own = &mut self.server;
        [&mut own.ca, &mut own.certificate, &mut own.key].into_iter().flatten()
    }
}

mod default {
    pub(super) fn body_bytes() -> u64 {
        64 << 20
    }
    pub(super) fn answer_bytes() -> u64 {
        1 << 30
    }
}
