//! Audit records as logs to an OpenTelemetry collector (OTLP/HTTP, protobuf; OTLP 1.x §OTLP/HTTP).
//!
//! The trail is the durable one: what is sent follows it from where it ended when the sidecar started, or took up another
//! configuration, and where more than [`QUEUE`] records wait, the oldest are passed over and counted. No request waits for this. By default no attribute tells
//! of a patient or a person; `audit_includes` adds what a site wants its collector to know.
//!
//! Metrics: `varco_otlp_audit_sent_total`, `varco_otlp_audit_dropped_total`.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fhir_models::document::{Limits, OwnedDocument, Value};
use jiff::Timestamp;
use metrics::counter;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use tokio::sync::watch;
use varco_core::audit::Access;
use varco_core::audit::chain::RecordHash;
use varco_core::requester::{BusinessIdentifier, Code};

use super::backoff::Backoff;
use super::destination::DestinationError;
use crate::config::{AuditIncludes, Otlp, Site};
use crate::pipeline::Gateway;
use crate::store::{Store, TrailRecord};
use crate::telemetry::background;
use crate::telemetry::collector::{Collector, Refused, number, scope, text as attribute};

/// Most records that wait to be sent.
const QUEUE: i64 = 10_000;
/// Most records of one request.
const BATCH: usize = 200;
/// How often it is looked for new records.
const EVERY: Duration = Duration::from_millis(500);

/// Sends records to a collector.
pub struct AuditLogs {
    collector: Collector,
    includes: Vec<AuditIncludes>,
}

impl AuditLogs {
    /// What the configuration asks for.
    pub fn new(config: &Otlp, site: &Site) -> Result<AuditLogs, DestinationError> {
        Ok(AuditLogs { collector: Collector::new(config, site)?, includes: config.audit_includes.clone() })
    }

    /// Sends records until `stopping` becomes true.
    pub async fn watch(self, gateway: Arc<Gateway>, mut stopping: watch::Receiver<bool>) {
        let mut backoff = Backoff::default();
        let mut sent = gateway.store().last_record().unwrap_or_default();
        loop {
            let outcome = tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                outcome = self.send(gateway.store(), &mut sent) => outcome,
            };
            let pause = match outcome {
                Ok(count) => {
                    backoff.succeeded("audit logs");
                    let pause = if count < BATCH { EVERY } else { Duration::ZERO };
                    background::done(Some(pause));
                    pause
                }
                Err(cause) => {
                    let pause = backoff.failed("audit logs", &cause);
                    background::failed(&cause, Some(pause));
                    pause
                }
            };
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Sends the next records after `sent`; gives how many there were, or why they stay.
    async fn send(&self, store: &Store, sent: &mut i64) -> Result<usize, String> {
        let last = store.last_record().map_err(|error| error.to_string())?;
        let oldest = last.saturating_sub(QUEUE);
        if *sent < oldest {
            counter!("varco_otlp_audit_dropped_total").increment(oldest.abs_diff(*sent));
            *sent = oldest;
        }
        let records = store.records_after(*sent, BATCH).map_err(|error| error.to_string())?;
        let Some(reached) = records.last().map(|record| record.seq) else { return Ok(0) };
        let logs: Vec<LogRecord> = records.iter().map(|record| self.log(record)).collect();
        let count = logs.len();
        let message = ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                resource: Some(self.collector.resource()),
                scope_logs: vec![ScopeLogs {
                    scope: Some(scope("varco.audit")),
                    log_records: logs,
                    ..ScopeLogs::default()
                }],
                ..ResourceLogs::default()
            }],
        };
        match self.collector.send("/v1/logs", &message).await {
            Ok(()) => counter!("varco_otlp_audit_sent_total").increment(count as u64),
            // These statuses say that it never will be taken; audit records are held on to through every other.
            Err(Refused { status: Some(400 | 413 | 415 | 422), cause }) => {
                tracing::warn!(cause, count, "the collector does not take audit logs; they are passed over");
                counter!("varco_otlp_audit_dropped_total").increment(count as u64);
            }
            Err(refused) => return Err(refused.cause),
        }
        *sent = reached;
        Ok(count)
    }

    fn log(&self, record: &TrailRecord) -> LogRecord {
        let mut log = LogRecord {
            event_name: "varco.audit".to_owned(),
            observed_time_unix_nano: nanos(SystemTime::now()),
            attributes: vec![
                number("varco.audit.sequence", record.seq),
                attribute("varco.audit.hash", &RecordHash(record.hash).to_string()),
            ],
            ..LogRecord::default()
        };
        if let Ok(at) = record.recorded.parse::<Timestamp>() {
            log.time_unix_nano = nanos(SystemTime::from(at));
        }
        let Ok(document) = OwnedDocument::parse_json(record.body.clone(), &Limits::default()) else {
            log.severity_number = SeverityNumber::Error.into();
            return log;
        };
        self.tell(&mut log, document.root());
        if self.includes.contains(&AuditIncludes::Record) {
            log.body = Some(AnyValue { value: Some(Any::StringValue(document.text().to_owned())) });
        }
        log
    }

    fn tell(&self, log: &mut LogRecord, event: Value<'_>) {
        let access = Access::of(event);
        let outcome = text(event, "outcome").unwrap_or_default();
        let severity = match outcome.as_str() {
            // A write that is begun has no outcome yet.
            "0" | "" => SeverityNumber::Info,
            "12" => SeverityNumber::Error,
            _ => SeverityNumber::Warn,
        };
        log.severity_number = severity.into();
        let kind = event.get_key("type").and_then(|kind| text(kind, "code")).unwrap_or_default();
        for (name, value) in [
            ("varco.audit.type", kind),
            ("varco.audit.subtype", access.interaction),
            ("varco.audit.action", text(event, "action").unwrap_or_default()),
            ("varco.audit.outcome", outcome),
            ("varco.audit.site", access.site.unwrap_or_default()),
            ("varco.request_id", request_id(event).unwrap_or_default()),
        ] {
            if !value.is_empty() {
                log.attributes.push(attribute(name, &value));
            }
        }
        several(log, "varco.audit.role", access.roles.iter().map(coded));
        several(log, "varco.audit.purpose", access.purposes.iter().map(coded));
        several(log, "varco.audit.category", access.categories.iter().cloned());
        if self.includes.contains(&AuditIncludes::Agents) {
            for (name, value) in [
                ("varco.audit.application", access.application),
                ("client.address", access.address),
                ("varco.audit.person", access.person.as_ref().map(identified)),
            ] {
                if let Some(value) = value {
                    log.attributes.push(attribute(name, &value));
                }
            }
            several(log, "varco.audit.organization", access.organizations.iter().map(identified));
        }
        if self.includes.contains(&AuditIncludes::Patients) {
            several(log, "varco.audit.patient", access.patients.iter().cloned());
        }
    }
}

fn nanos(at: SystemTime) -> u64 {
    u64::try_from(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or_default()
}

fn several(log: &mut LogRecord, name: &'static str, values: impl Iterator<Item = String>) {
    let values: Vec<AnyValue> =
        values.map(|value| AnyValue { value: Some(Any::StringValue(value)) }).collect();
    if !values.is_empty() {
        let value = Some(AnyValue { value: Some(Any::ArrayValue(ArrayValue { values })) });
        log.attributes.push(KeyValue { key: name.to_owned(), value, ..KeyValue::default() });
    }
}

fn coded(code: &Code) -> String {
    format!("{}|{}", code.system, code.code)
}

fn identified(identifier: &BusinessIdentifier) -> String {
    format!("{}|{}", identifier.system, identifier.value)
}

fn text(value: Value<'_>, key: &str) -> Option<String> {
    Some(value.get_key(key)?.as_str()?.into_owned())
}

/// The id of the request (BALP's entity `XrequestId`).
fn request_id(event: Value<'_>) -> Option<String> {
    let own = |entity: &Value<'_>| {
        entity.get_key("type").and_then(|kind| text(kind, "code")).as_deref() == Some("XrequestId")
    };
    let entity = event.get_key("entity")?.items().find(own)?;
    text(entity.get_key("what")?.get_key("identifier")?, "value")
}
