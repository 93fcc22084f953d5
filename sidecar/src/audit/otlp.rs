//! Audit records as logs to an OpenTelemetry collector (OTLP/HTTP, protobuf; OTLP 1.x §OTLP/HTTP).
//!
//! The trail is the durable one: what is sent follows it from where it ended when the sidecar started, or took up another
//! configuration, and where more than [`QUEUE`] records wait, the oldest are passed over and counted. No request waits for this. By default no attribute tells
//! of a patient or a person; `audit_includes` adds what a site wants its collector to know.
//!
//! The library encodes; what it would read from the environment (headers, URLs) is not used: requests go to the configured
//! collector with the configured token alone. Metrics: `varco_otlp_audit_sent_total`, `varco_otlp_audit_dropped_total`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fhir_models::document::{Limits, OwnedDocument, Value};
use http::{HeaderValue, Method, Request, Response};
use jiff::Timestamp;
use metrics::counter;
use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, Protocol, RetryPolicy, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{LogBatch, LogExporter as _, SdkLogRecord, SdkLogger, SdkLoggerProvider};
use tokio::sync::watch;
use varco_core::audit::Access;
use varco_core::audit::chain::RecordHash;
use varco_core::requester::{BusinessIdentifier, Code};

use super::backoff::Backoff;
use super::destination::Destination;
use crate::config::{AuditIncludes, Otlp, Site};
use crate::pipeline::Gateway;
use crate::store::{Store, TrailRecord};
use crate::telemetry::background;

/// Most records that wait to be sent.
const QUEUE: i64 = 10_000;
/// Most records of one request.
const BATCH: usize = 200;
/// How often it is looked for new records.
const EVERY: Duration = Duration::from_millis(500);

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const SCOPE: &str = "varco.audit";

/// Sends records to a collector.
pub struct AuditLogs {
    exporter: LogExporter,
    logger: SdkLogger,
    scope: InstrumentationScope,
    includes: Vec<AuditIncludes>,
    status: Arc<AtomicU16>,
}

/// The library's requests, sent by our own client.
struct Collector {
    destination: Destination,
    /// The status of the last answer; 0 where there was none.
    status: Arc<AtomicU16>,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

impl HttpClient for Collector {
    fn send_bytes<'life0, 'async_trait>(
        &'life0 self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            self.status.store(0, Ordering::Relaxed);
            let body = request.into_body();
            let answer = self.destination.send(Method::POST, "/v1/logs", PROTOBUF, body).await?;
            self.status.store(answer.status.as_u16(), Ordering::Relaxed);
            let mut response = Response::new(answer.body);
            *response.status_mut() = answer.status;
            Ok(response)
        })
    }
}

impl AuditLogs {
    /// What the configuration asks for.
    pub fn new(
        config: &Otlp,
        site: &Site,
        destination: Destination,
    ) -> Result<AuditLogs, ExporterBuildError> {
        let status = Arc::new(AtomicU16::new(0));
        let mut exporter = LogExporter::builder()
            .with_http()
            .with_http_client(Collector { destination, status: status.clone() })
            .with_retry_policy(RetryPolicy::disabled())
            .with_endpoint(config.collector.url.clone())
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(Duration::from_secs(config.collector.answer_seconds))
            .build()?;
        let about = [
            KeyValue::new("service.name", "varco"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", site.id.clone()),
        ];
        exporter.set_resource(&Resource::builder_empty().with_attributes(about).build());
        Ok(AuditLogs {
            exporter,
            // It only makes records: no processor hangs on it.
            logger: SdkLoggerProvider::builder().build().logger(SCOPE),
            scope: InstrumentationScope::builder(SCOPE).with_version(env!("CARGO_PKG_VERSION")).build(),
            includes: config.audit_includes.clone(),
            status,
        })
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
        let logs: Vec<SdkLogRecord> = records.iter().map(|record| self.log(record)).collect();
        let batch: Vec<_> = logs.iter().map(|log| (log, &self.scope)).collect();
        let count = logs.len();
        match self.exporter.export(LogBatch::new(&batch)).await {
            Ok(()) => counter!("varco_otlp_audit_sent_total").increment(count as u64),
            // OTLP/HTTP: only these may be sent again; the rest of the statuses say that it never will be taken.
            Err(error) => match self.status.load(Ordering::Relaxed) {
                400 | 413 | 415 | 422 => {
                    tracing::warn!(%error, count, "the collector does not take audit logs; they are passed over");
                    counter!("varco_otlp_audit_dropped_total").increment(count as u64);
                }
                _ => return Err(error.to_string()),
            },
        }
        *sent = reached;
        Ok(count)
    }

    fn log(&self, record: &TrailRecord) -> SdkLogRecord {
        let mut log = self.logger.create_log_record();
        log.set_event_name("varco.audit");
        log.set_observed_timestamp(SystemTime::now());
        if let Ok(at) = record.recorded.parse::<Timestamp>() {
            log.set_timestamp(SystemTime::from(at));
        }
        log.add_attribute("varco.audit.sequence", record.seq);
        log.add_attribute("varco.audit.hash", RecordHash(record.hash).to_string());
        let Ok(document) = OwnedDocument::parse_json(record.body.clone(), &Limits::default()) else {
            log.set_severity_number(Severity::Error);
            return log;
        };
        self.tell(&mut log, document.root());
        if self.includes.contains(&AuditIncludes::Record) {
            log.set_body(AnyValue::from(document.text().to_owned()));
        }
        log
    }

    fn tell(&self, log: &mut SdkLogRecord, event: Value<'_>) {
        let access = Access::of(event);
        let outcome = text(event, "outcome").unwrap_or_default();
        log.set_severity_number(match outcome.as_str() {
            // A write that is begun has no outcome yet.
            "0" | "" => Severity::Info,
            "12" => Severity::Error,
            _ => Severity::Warn,
        });
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
                log.add_attribute(name, value);
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
                    log.add_attribute(name, value);
                }
            }
            several(log, "varco.audit.organization", access.organizations.iter().map(identified));
        }
        if self.includes.contains(&AuditIncludes::Patients) {
            several(log, "varco.audit.patient", access.patients.iter().cloned());
        }
    }
}

fn several(log: &mut SdkLogRecord, name: &'static str, values: impl Iterator<Item = String>) {
    let values: Vec<AnyValue> = values.map(AnyValue::from).collect();
    if !values.is_empty() {
        log.add_attribute(name, AnyValue::ListAny(Box::new(values)));
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
