//! Every metric that the sidecar counts: name, kind, labels, meaning. Names and labels are a promise to dashboards and alerts.
//!
//! [`METRICS`] is the only place where a metric is described; `METRICS.md` is written from it. A test holds the table, the
//! document and the code together: a metric that is counted and not listed here fails it, and so does one that is listed and
//! never counted. Add a metric by a line here, then `VARCO_WRITE_DOCUMENTS=1 cargo test -p varco --lib metrics_document`.
//!
//! Conventions (Prometheus, "Metric and label naming"): `varco_` first, the unit last (`_seconds`, `_bytes`), `_total` for
//! counters. Every label has a bound, stated in [`LABELS`]; no label ever holds what a request brought along.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets, [`super::BUCKETS`].
    Histogram,
}

impl Kind {
    /// As Prometheus calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub about: &'static str,
}

impl Metric {
    fn unit(&self) -> Option<Unit> {
        if self.name.ends_with("_seconds") {
            Some(Unit::Seconds)
        } else {
            self.name.ends_with("_bytes").then_some(Unit::Bytes)
        }
    }
}

const fn counter(name: &'static str, labels: &'static [&'static str], about: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, about }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], about: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, about }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], about: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, labels, about }
}

/// Every metric, by name.
#[rustfmt::skip]
pub const METRICS: &[Metric] = &[
    counter("varco_access_log_dropped_total", &[], "Lines of the access log that were not written"),
    counter("varco_access_log_lines_total", &[], "Lines of the access log that were written"),
    gauge("varco_audit_export_lag_records", &[], "Audit records that wait to be exported"),
    gauge("varco_audit_export_lag_seconds", &[], "Age of the oldest audit record that waits to be exported"),
    counter("varco_audit_exported_total", &[], "Audit records that the external FHIR store took"),
    gauge("varco_audit_open_intents", &[], "Writes that were begun and whose end is not on record, as found at the start"),
    counter("varco_audit_records_total", &[], "Audit records made durable"),
    counter("varco_audit_refused_total", &["cause"], "Requests refused before their caller was known"),
    counter("varco_audit_removed_total", &[], "Audit records removed by the rule audit.keep"),
    gauge("varco_break_glass_reviews_open", &[], "Uses of break-glass that wait for their review"),
    gauge("varco_break_glass_reviews_overdue", &[], "Uses of break-glass whose review is overdue"),
    counter("varco_break_glass_total", &["result"], "Requests that asked for break-glass"),
    gauge("varco_cache_answers_bytes", &[], "Bytes of the answers of the hospital's server that are kept"),
    gauge("varco_cache_entries", &["cache"], "Entries that are kept"),
    counter("varco_cache_evictions_total", &["cache"], "Entries that went because their time was over or others needed the room"),
    counter("varco_cache_hits_total", &["cache"], "Questions that a cache answered"),
    counter("varco_cache_misses_total", &["cache"], "Questions that a cache could not answer"),
    counter("varco_config_reloads_total", &["result"], "Times that a changed configuration was read"),
    counter("varco_connections_ended_total", &["cause"], "Connections that were ended for what their caller did, or did not do"),
    counter("varco_connections_moved_total", &["to"], "Connections that went to another worker thread, because their last request was an alarm or no longer was one"),
    counter("varco_connections_refused_total", &["cause"], "Connections that were not taken"),
    histogram("varco_fse_gateway_seconds", &["status"], "Time a national gateway of FSE took"),
    histogram("varco_fse_message_seconds", &["kind"], "Time of a message to a national gateway"),
    counter("varco_fse_messages_total", &["route", "kind", "status", "by"], "Messages to national gateways, by whom they were answered"),
    counter("varco_fse_repeated_total", &["found"], "Publications that had come before"),
    counter("varco_handoffs_total", &["result"], "Times that another process asked to take over"),
    gauge("varco_in_flight", &["lane"], "Requests that are worked on"),
    gauge("varco_limit_buckets", &["limit"], "Token buckets that are kept"),
    counter("varco_limit_refused_total", &["limit"], "Requests refused because they were above a limit or quota"),
    counter("varco_log_lines_dropped_total", &[], "Log lines left out because standard output was read too slowly"),
    counter("varco_map_lost_total", &["map", "rule"], "Source elements that no rule read, by the rule that came nearest"),
    counter("varco_map_reloads_total", &["result"], "Times that changed maps were read anew"),
    counter("varco_map_runs_total", &["map", "result"], "Resources mapped"),
    counter("varco_map_unmapped_codes_total", &["map"], "Codes that a map kept untranslated"),
    gauge("varco_map_waiting", &[], "Large documents that wait to be mapped"),
    counter("varco_mllp_broken_total", &["cause"], "MLLP connections closed for a fault of the sender"),
    gauge("varco_mllp_connections", &[], "MLLP connections that are open"),
    counter("varco_mllp_held_total", &["sender"], "HL7 v2 messages that were taken up later: their sender sent too fast, or there was no place"),
    histogram("varco_mllp_message_seconds", &["outcome"], "Time of an HL7 v2 message, to its acknowledgement"),
    counter("varco_mllp_messages_total", &["sender", "outcome", "cause"], "HL7 v2 messages answered"),
    counter("varco_mllp_refused_connections_total", &[], "MLLP connections that were of no sender"),
    counter("varco_mllp_reused_control_ids_total", &["sender"], "HL7 v2 messages with the control id of another message"),
    gauge("varco_mllp_waiting", &[], "HL7 v2 messages that were read and not yet answered"),
    counter("varco_otlp_audit_dropped_total", &[], "Audit records that were not sent as logs"),
    counter("varco_otlp_audit_sent_total", &[], "Audit records that the collector took as logs"),
    counter("varco_otlp_metrics_sent_total", &["result"], "Times that metrics were sent to the collector"),
    counter("varco_otlp_spans_dropped_total", &["cause"], "Spans that were not sent"),
    counter("varco_otlp_spans_sent_total", &[], "Spans that the collector took"),
    gauge("varco_otlp_traces_waiting", &[], "Requests whose spans wait to be sent"),
    gauge("varco_outbox_bytes", &[], "Bytes of publications that wait for a national gateway"),
    counter("varco_outbox_ended_total", &["state"], "Publications that ended; refused, expired and dropped ones are not published"),
    counter("varco_outbox_full_total", &[], "Publications forwarded without a place in the outbox"),
    gauge("varco_outbox_messages", &["state"], "Publications that wait for a national gateway"),
    gauge("varco_outbox_needs_token_seconds", &[], "Age of the oldest message whose tokens have ended: its application must send it again"),
    gauge("varco_outbox_oldest_seconds", &[], "Age of the oldest publication that waits"),
    counter("varco_outbox_replays_total", &["result"], "Publications sent again"),
    counter("varco_passthrough_bytes_total", &["direction", "route"], "Bytes of bodies that passed through"),
    counter("varco_passthrough_requests_total", &["outcome", "route"], "Requests to a pass-through, by how they ended"),
    histogram("varco_passthrough_seconds", &["route"], "Time of a request to a pass-through, until its answer's last byte was handed on"),
    gauge("varco_passthrough_under_way", &["route"], "Answers that are being handed on"),
    gauge("varco_places", &["lane"], "Requests of a lane that can be worked on at a time now"),
    counter("varco_plugin_calls_total", &["plugin", "result"], "Plugin calls"),
    counter("varco_plugin_counter_total", &["plugin", "counter"], "What plugins count"),
    counter("varco_plugin_dropped_total", &["plugin", "what"], "Log lines and counts of plugins above their bounds"),
    counter("varco_plugin_log_lines_total", &["plugin"], "Lines that plugins wrote to the log"),
    counter("varco_plugin_pauses_total", &["plugin"], "Times that a plugin's call gave its thread back before it was done"),
    gauge("varco_plugin_pausing", &["plugin"], "Calls of a plugin that gave their thread back and are not done: it is slow"),
    gauge("varco_plugin_peak_memory_bytes", &["plugin"], "The most memory that one call of a plugin held"),
    gauge("varco_plugin_quarantine", &["plugin"], "1 while a plugin is left alone after failures"),
    counter("varco_plugin_quarantines_total", &["plugin"], "Times that a plugin was left alone after failures"),
    histogram("varco_plugin_seconds", &["plugin", "hook"], "Time of a plugin's call, with its pauses"),
    counter("varco_plugin_skipped_total", &["plugin"], "Failures of plugins that exchanges went on without"),
    gauge("varco_plugin_waiting", &["plugin"], "Calls of a plugin that wait because as many as may be are under way"),
    counter("varco_policy_reloads_total", &["result"], "Times that changed policies were read anew"),
    counter("varco_policy_requests_total", &["effect"], "Requests that a policy of the site decided about"),
    gauge("varco_quota_clients", &[], "Clients whose requests of the day are counted"),
    counter("varco_refusals_total", &["cause"], "Requests refused or failed"),
    histogram("varco_request_seconds", &["interaction"], "Time from a request's header to its answer"),
    counter("varco_requests_total", &["interaction", "status", "outcome"], "Requests answered, refused or failed"),
    counter("varco_resources_total", &["verdict"], "Resources judged"),
    counter("varco_route_requests_total", &["route", "outcome"], "Requests of known callers, where there are routes"),
    histogram("varco_route_seconds", &["route"], "Time of these requests"),
    counter("varco_shed_total", &["lane"], "Requests shed because there was no place for them"),
    counter("varco_store_commits_total", &[], "Commits of the store"),
    gauge("varco_store_queue", &[], "Writes that wait for the store"),
    counter("varco_terminology_questions_total", &["result"], "Questions about codes"),
    counter("varco_terminology_requests_total", &["kind", "result"], "Requests to the terminology server"),
    gauge("varco_terminology_resting", &[], "1 while the terminology server is left alone after failures"),
    histogram("varco_terminology_seconds", &["kind"], "Time the terminology server took"),
    gauge("varco_token_keys_age_seconds", &["issuer"], "Time since an issuer's keys were last read well"),
    counter("varco_token_keys_reads_total", &["issuer", "result"], "Readings of an issuer's keys"),
    gauge("varco_tokens_once_remembered", &[], "Identifiers kept of tokens that count once"),
    counter("varco_tokens_refused_total", &["cause"], "Tokens refused"),
    gauge("varco_upstream_addresses_out", &["route"], "Addresses of the hospital's server that are left out"),
    counter("varco_upstream_breaker_opened_total", &["route"], "Times that the hospital's server was left alone"),
    gauge("varco_upstream_breaker_state", &["route"], "The hospital's server: 0 asked, 1 tried again by a few requests, 2 left alone"),
    counter("varco_upstream_ejected_total", &["route"], "Times that an address of the hospital's server was left out"),
    gauge("varco_upstream_in_flight", &["route"], "Requests under way to the hospital's server"),
    counter("varco_upstream_refused_total", &["cause", "route"], "Requests not sent to the hospital's server: queue full, waited too late, server resting"),
    counter("varco_upstream_retries_refused_total", &["route"], "Retries that the budget did not allow"),
    counter("varco_upstream_retries_total", &["route"], "Requests made again after a failure"),
    histogram("varco_upstream_seconds", &["status"], "Time the hospital's server took"),
    gauge("varco_upstream_waiting", &["route"], "Requests that wait for a place at the hospital's server"),
    histogram("varco_validation_seconds", &["direction"], "Time of a route's validation"),
    counter("varco_validation_total", &["route", "direction", "mode", "result"], "Resources validated"),
    counter("varco_validation_unknown_codes_total", &["route", "direction"], "Codes that nobody could judge"),
    gauge("varco_validation_waiting", &[], "Large documents that wait to be validated"),
];

/// Every label and what bounds its values.
#[rustfmt::skip]
pub const LABELS: &[(&str, &str)] = &[
    ("by", "gateway or middleware: who answered a message to a national gateway"),
    ("cache", "tokens, consents, terminology, concept-maps or answers"),
    ("cause", "a word of a closed list in the code, such as scope, consent, rate or upstream-timeout"),
    ("counter", "the counters in the manifests of the plugins"),
    ("direction", "requests or responses"),
    ("effect", "permit, forbid or failed"),
    ("found", "waiting or done: where a publication that came again was found"),
    ("hook", "request, response, transform or enrich"),
    ("interaction", "the FHIR interaction: read, vread, search-type, create …; operation; unknown where the request was not understood"),
    ("issuer", "the issuers of the configuration"),
    ("kind", "what a terminology server is asked, what a message to a national gateway is: closed lists in the code"),
    ("lane", "priority, normal or bulk"),
    ("limit", "client, concurrent, day, and the names of the rules of the configuration"),
    ("map", "the canonicals of the maps in use"),
    ("mode", "log, warn or enforce"),
    ("outcome", "of a request: answered, refused (the caller's doing) or failed (this installation's), and where it passes through cut (its answer broke off) or left (its caller went away); of a message: its acknowledgement"),
    ("plugin", "the plugins of the configuration"),
    ("result", "a word of a closed list in the code"),
    ("route", "the routes and pass-throughs of the configuration; exchange for what none of them takes; of `varco_upstream_…`, the pass-through whose server it is, none for the FHIR server"),
    ("rule", "the rules of the maps in use"),
    ("sender", "the MLLP senders of the configuration"),
    ("state", "queued, sending or needs-token; of what ended: done, refused, expired or dropped"),
    ("status", "an HTTP status; none where there was no answer; other where the status is not one of the usual"),
    ("to", "alarms or ordinary: whose requests the thread works on"),
    ("verdict", "released or withheld"),
    ("what", "log-lines or counts"),
];

/// Tells the recorder what each metric means.
pub(super) fn describe() {
    for metric in METRICS {
        match (metric.kind, metric.unit()) {
            (Kind::Counter, _) => describe_counter!(metric.name, metric.about),
            (Kind::Gauge, Some(unit)) => describe_gauge!(metric.name, unit, metric.about),
            (Kind::Gauge, None) => describe_gauge!(metric.name, metric.about),
            (Kind::Histogram, Some(unit)) => describe_histogram!(metric.name, unit, metric.about),
            (Kind::Histogram, None) => describe_histogram!(metric.name, metric.about),
        }
    }
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
