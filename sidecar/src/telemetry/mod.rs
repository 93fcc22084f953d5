//! What the operator sees: JSON log lines and Prometheus metrics. Neither ever holds a patient's data.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use crate::config::Level;

/// Upper bounds of the latency buckets, in seconds.
const BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The level of the open log.
static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    }
}

/// Lets lines of this level and above through from now on.
pub fn set_level(level: Level) {
    if let Some(Err(error)) = LEVEL.get().map(|own| own.reload(filter(level))) {
        tracing::warn!(%error, "the level of the log can't be changed");
    }
}

/// Sends log lines as JSON, one a line, to standard output. A second call in one process has no effect.
pub fn start_log(level: Level) {
    let (level, handle) = reload::Layer::new(filter(level));
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false);
    if tracing_subscriber::registry().with(level).with(lines).try_init().is_err() {
        return tracing::debug!("a log is already open");
    }
    let _ = LEVEL.set(handle);
}

/// Starts to count, and gives the handle that renders the metrics.
pub fn start_metrics() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS)?
        .install_recorder()?;
    describe();
    Ok(handle)
}

fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!("varco_requests_total", "Requests answered, by interaction, status and outcome");
    describe_histogram!("varco_request_seconds", Unit::Seconds, "Time from a request's header to its answer");
    describe_histogram!(
        "varco_upstream_seconds",
        Unit::Seconds,
        "Time the hospital's server took, by status"
    );
    describe_counter!("varco_tokens_refused_total", "Tokens refused, by cause");
    describe_gauge!("varco_tokens_once_remembered", "Identifiers kept of tokens that count once");
    describe_counter!("varco_token_keys_reads_total", "Readings of an issuer's keys, by issuer and result");
    describe_gauge!(
        "varco_token_keys_age_seconds",
        Unit::Seconds,
        "Time since an issuer's keys were last read well"
    );
    describe_counter!("varco_resources_total", "Resources judged, by verdict");
    describe_counter!("varco_audit_records_total", "Audit records made durable");
    describe_counter!(
        "varco_audit_refused_total",
        "Requests refused before their caller was known, by cause"
    );
    describe_counter!("varco_audit_exported_total", "Audit records that the external FHIR store took");
    describe_gauge!("varco_audit_export_lag_records", "Audit records that wait to be exported");
    describe_gauge!(
        "varco_audit_export_lag_seconds",
        Unit::Seconds,
        "Age of the oldest audit record that waits to be exported"
    );
    describe_counter!("varco_otlp_audit_sent_total", "Audit records that the collector took as logs");
    describe_counter!("varco_otlp_audit_dropped_total", "Audit records that were not sent as logs");
    describe_counter!("varco_audit_removed_total", "Audit records removed by the rule `audit.keep`");
    describe_counter!("varco_validation_total", "Resources validated, by route, direction, mode and result");
    describe_counter!(
        "varco_validation_unknown_codes_total",
        "Codes that nobody could judge, by route and direction"
    );
    describe_histogram!(
        "varco_validation_seconds",
        Unit::Seconds,
        "Time of a route's validation, by direction"
    );
    describe_gauge!("varco_validation_waiting", "Large documents that wait to be validated");
    describe_counter!("varco_map_runs_total", "Resources mapped, by map and result");
    describe_counter!(
        "varco_map_lost_total",
        "Source elements that no rule read, by map and by the rule that came nearest"
    );
    describe_counter!("varco_map_unmapped_codes_total", "Codes that a map kept untranslated, by map");
    describe_counter!("varco_config_reloads_total", "Times that a changed configuration was read, by result");
    describe_counter!("varco_map_reloads_total", "Times that changed maps were read anew, by result");
    describe_counter!("varco_policy_requests_total", "Requests that a policy decided about, by effect");
    describe_counter!("varco_policy_reloads_total", "Times that changed policies were read anew, by result");
    describe_gauge!("varco_map_waiting", "Large documents that wait to be mapped");
    describe_counter!("varco_terminology_questions_total", "Questions about codes, by result");
    describe_counter!(
        "varco_terminology_requests_total",
        "Requests to the terminology server, by kind and result"
    );
    describe_histogram!(
        "varco_terminology_seconds",
        Unit::Seconds,
        "Time the terminology server took, by kind"
    );
    describe_gauge!(
        "varco_terminology_resting",
        "1 while the terminology server is left alone after failures"
    );
    describe_gauge!("varco_store_queue", "Writes that wait for the store");
    describe_counter!("varco_mllp_messages_total", "HL7 v2 messages answered, by sender, outcome and cause");
    describe_histogram!("varco_mllp_message_seconds", Unit::Seconds, "Time of a message, by outcome");
    describe_gauge!("varco_mllp_connections", "MLLP connections that are open");
    describe_gauge!("varco_mllp_waiting", "HL7 v2 messages that were read and not yet answered");
    describe_counter!(
        "varco_mllp_broken_total",
        "MLLP connections closed for a fault of the sender, by cause"
    );
    describe_counter!("varco_mllp_refused_connections_total", "MLLP connections that were of no sender");
    describe_counter!(
        "varco_mllp_reused_control_ids_total",
        "Messages with the control id of another message, by sender"
    );
    describe_counter!("varco_plugin_calls_total", "Plugin calls, by plugin, hook and result");
}
