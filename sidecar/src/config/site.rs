//! `[site]`: the hospital.

use std::sync::Arc;

use serde::Deserialize;
use varco_core::audit::AuditRecorder;
use varco_core::requester::BusinessIdentifier;

use super::default;

/// `[site]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Site {
    pub id: String,
    #[serde(default = "default::id_system")]
    pub id_system: String,
    #[serde(default)]
    pub name: Option<String>,
    pub base_url: String,
}

impl Site {
    /// The path of the FHIR base, without a slash at its end: empty for the root.
    pub fn base_path(&self) -> &str {
        let after_scheme = self.base_url.split_once("://").map_or("", |(_, rest)| rest);
        after_scheme.find('/').map_or("", |at| after_scheme[at..].trim_end_matches('/'))
    }

    /// The FHIR base URL without a slash at its end.
    pub fn base(&self) -> &str {
        self.base_url.trim_end_matches('/')
    }

    /// The gateway as it stands in audit records.
    pub fn recorder(&self) -> Arc<AuditRecorder> {
        let identifier = BusinessIdentifier::new(self.id_system.clone(), self.id.clone());
        let mut recorder =
            AuditRecorder { site: Some(self.id.clone()), ..AuditRecorder::of(identifier, self.base()) };
        recorder.server.display = self.name.clone();
        Arc::new(recorder)
    }
}
