//! Audit records sent to an external FHIR store, in the order of the trail, each at least once (FHIR R4 §3.1.0.4: an
//! update by id, so that sending a record again changes nothing).
//!
//! Invariants: no request waits for this; the cursor in the store moves only over records that the external store took, so
//! that neither a restart nor an outage loses one; a record that is refused is tried again, and nothing is sent past it.
//! `audit.keep` removes only what lies behind the cursor. Bounds: `batch` records at a time, time and size of an answer,
//! the wait after a failure. Metrics: `varco_audit_export_lag_records`, `varco_audit_export_lag_seconds`,
//! `varco_audit_exported_total`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method};
use jiff::Timestamp;
use metrics::{counter, gauge};
use tokio::sync::watch;

use super::backoff::Backoff;
use super::destination::Destination;
use crate::config::AuditExport;
use crate::pipeline::Gateway;
use crate::store::{Store, StoreError};
use crate::telemetry::background;

/// How often it is looked for new records.
const EVERY: Duration = Duration::from_millis(500);

const FHIR_JSON: HeaderValue = HeaderValue::from_static("application/fhir+json");

/// Sends records until `stopping` becomes true.
pub async fn watch(
    gateway: Arc<Gateway>,
    config: AuditExport,
    destination: Destination,
    mut stopping: watch::Receiver<bool>,
) {
    let mut backoff = Backoff::default();
    loop {
        let sent = tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            sent = send(gateway.store(), &config, &destination) => sent,
        };
        let pause = match sent {
            Ok(sent) => {
                backoff.succeeded("audit export");
                let pause = if sent < config.batch { EVERY } else { Duration::ZERO };
                background::done(Some(pause));
                pause
            }
            Err(cause) => {
                let pause = backoff.failed("audit export", &cause);
                background::failed(&cause, Some(pause));
                pause
            }
        };
        if let Err(error) = tell_lag(gateway.store(), config.place()) {
            tracing::warn!(%error, "how far the audit export lags behind can't be told");
        }
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Sends the next records; gives how many, or why it ended before their end.
async fn send(store: &Store, config: &AuditExport, destination: &Destination) -> Result<usize, String> {
    let unreadable = |error: StoreError| error.to_string();
    let cursor = store.exported_to(config.place()).map_err(unreadable)?;
    let records = store.records_after(cursor, config.batch).map_err(unreadable)?;
    let (mut reached, mut sent, mut fault) = (cursor, 0, None);
    for record in records {
        let path = format!("/{}", record.id);
        match destination.send(Method::PUT, &path, FHIR_JSON, Bytes::from(record.body)).await {
            Ok(answer) if answer.status.is_success() => (reached, sent) = (record.seq, sent + 1),
            Ok(answer) => {
                fault =
                    Some(format!("record {} was answered with status {}", record.id, answer.status.as_u16()));
            }
            Err(cause) => fault = Some(cause),
        }
        if fault.is_some() {
            break;
        }
    }
    if reached > cursor {
        store.exported(config.place(), reached).await.map_err(unreadable)?;
        counter!("varco_audit_exported_total").increment(sent as u64);
    }
    match fault {
        Some(cause) => Err(cause),
        None => Ok(sent),
    }
}

fn tell_lag(store: &Store, place: &str) -> Result<(), StoreError> {
    let cursor = store.exported_to(place)?;
    let lag = store.last_record()?.saturating_sub(cursor);
    gauge!("varco_audit_export_lag_records").set(lag as f64);
    let oldest = store.records_after(cursor, 1)?.pop().and_then(|record| record.recorded.parse().ok());
    let waits = oldest.map_or(0.0, |at: Timestamp| Timestamp::now().duration_since(at).as_secs_f64());
    gauge!("varco_audit_export_lag_seconds").set(waits.max(0.0));
    Ok(())
}
