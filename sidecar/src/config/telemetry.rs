//! `[telemetry]`: what is sent to the operator's own collector.

use serde::Deserialize;

use super::Destination;

/// `[telemetry]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Telemetry {
    pub otlp: Option<Otlp>,
}

/// `[telemetry.otlp]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Otlp {
    #[serde(flatten)]
    pub collector: Destination,
    /// Audit records are sent as logs.
    #[serde(default)]
    pub audit: bool,
    /// What they tell beside what tells nobody's identity.
    #[serde(default)]
    pub audit_includes: Vec<AuditIncludes>,
}

/// `telemetry.otlp.audit_includes`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditIncludes {
    /// Who asked: application, address, person, organisations.
    Agents,
    /// Whose data it was.
    Patients,
    /// The whole AuditEvent.
    Record,
}
