//! `[telemetry]`: what is sent to the operator's own collector, and the access log.

use std::path::PathBuf;

use serde::Deserialize;

use super::Destination;

/// `[telemetry]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Telemetry {
    pub otlp: Option<Otlp>,
    pub access_log: Option<AccessLog>,
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
    /// Requests are sent as traces.
    #[serde(default)]
    pub traces: Option<Traces>,
    /// What `/metrics` shows is sent too.
    #[serde(default)]
    pub metrics: Option<PushedMetrics>,
}

/// `telemetry.otlp.traces`
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Traces {
    /// The share of requests that is traced, from 0 to 1.
    pub ratio: f64,
    /// What the caller's `traceparent` says about recording counts instead of the share.
    pub from_caller: bool,
}

impl Default for Traces {
    fn default() -> Self {
        Traces { ratio: 1.0, from_caller: true }
    }
}

/// `telemetry.otlp.metrics`
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct PushedMetrics {
    /// How often, in seconds.
    pub seconds: u64,
}

impl Default for PushedMetrics {
    fn default() -> Self {
        PushedMetrics { seconds: 15 }
    }
}

/// `telemetry.access_log`
#[derive(Debug, Clone, Deserialize)]
pub struct AccessLog {
    /// Its file.
    pub path: PathBuf,
    /// How its lines are written.
    #[serde(default)]
    pub format: AccessLogFormat,
}

/// `telemetry.access_log.format`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessLogFormat {
    /// An object a line.
    #[default]
    Json,
    /// As web servers write them.
    Combined,
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
