//! What becomes of audit records after they were written: they are sent to an external FHIR store ([`export`]) and to a
//! collector ([`otlp`]), and old ones are removed ([`keep`]). Minutes of requests without a known caller become records
//! ([`refused`]).
//!
//! Nothing here is waited for by a request.

mod backoff;
pub mod destination;
pub mod export;
pub mod keep;
pub mod otlp;
pub mod refused;

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::Config;
use crate::pipeline::Gateway;
use destination::{Destination, DestinationError};
use otlp::AuditLogs;

/// Records that can't be sent as the configuration asks for.
#[derive(Debug, thiserror::Error)]
pub enum AuditSetupError {
    /// The external FHIR store.
    #[error("audit records can't be exported: {0}")]
    Export(DestinationError),
    /// The collector.
    #[error("audit records can't be sent to the collector: {0}")]
    Collector(DestinationError),
}

/// What is to be done with records, made before anything starts.
pub struct AuditCare {
    export: Option<Destination>,
    logs: Option<AuditLogs>,
}

impl AuditCare {
    /// What the configuration asks for.
    pub fn new(config: &Config) -> Result<AuditCare, AuditSetupError> {
        let export = config.audit.export.as_ref().map(|export| Destination::new(&export.store)).transpose();
        let logs = match &config.telemetry.otlp {
            Some(otlp) if otlp.audit => {
                Some(AuditLogs::new(otlp, &config.site).map_err(AuditSetupError::Collector)?)
            }
            _ => None,
        };
        Ok(AuditCare { export: export.map_err(AuditSetupError::Export)?, logs })
    }

    /// Starts it; it ends when `stopping` becomes true.
    pub fn start(self, gateway: &Arc<Gateway>, stopping: &watch::Receiver<bool>) {
        let audit = &gateway.config().audit;
        let background = &gateway.reporting().tasks.background;
        background.spawn("audit of unknown callers", refused::watch(gateway.clone(), stopping.clone()));
        if audit.keep.is_some() {
            background.spawn("audit retention", keep::watch(gateway.clone(), stopping.clone()));
        }
        if let (Some(config), Some(destination)) = (&audit.export, self.export) {
            background.spawn(
                "audit export",
                export::watch(gateway.clone(), config.clone(), destination, stopping.clone()),
            );
        }
        if let Some(logs) = self.logs {
            background.spawn("audit logs to the collector", logs.watch(gateway.clone(), stopping.clone()));
        }
    }
}
