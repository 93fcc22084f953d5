//! Traces to the operator's collector: one span for each request, one for each of its stages (OpenTelemetry Trace SDK,
//! semantic conventions for HTTP spans 1.2x).
//!
//! A request that is not sampled has no spans at all. One that is hands them over when it ends, without waiting: where the
//! queue of [`QUEUE`] requests is full, they are dropped and counted. The collector gets [`BATCH`] spans at most at a time; what it
//! does not take for now is tried [`TRIES`] times. When the gateway stops, what waits is sent once.
//!
//! Invariant: no attribute holds a path, a query, an id of a resource or of a person. A place is a template (`http.route`,
//! `url.template`); `url.path` and `url.full`, which the conventions ask for, are left out for that, and so is `tracestate`.
//!
//! Metrics: `varco_otlp_spans_sent_total`, `varco_otlp_spans_dropped_total`, `varco_otlp_traces_waiting`.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, counter, gauge};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::background;
use super::collector::{Collector, Refused, number, scope, text};
use super::spans::{Call, Ended, Spans, TraceIds};
use super::stage::Stage;
use crate::config::Traces;

/// Most requests whose spans wait to be sent.
const QUEUE: usize = 2048;
/// Most spans of one message.
const BATCH: usize = 512;
/// How long spans wait for others to be sent with.
const GATHER: Duration = Duration::from_secs(1);
/// How often a message is sent that is not taken for now, and the first wait between.
const TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait for what is left when the gateway stops.
const AT_STOP: Duration = Duration::from_secs(2);

/// `flags` of a span whose parent is remote or not (OTLP, `SpanFlags`): the context's flags, and that it is known.
const SAMPLED: u32 = 0x01;
const REMOTE_KNOWN: u32 = 0x100;
const REMOTE: u32 = 0x200;

/// What is said of a request beside its stages.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The version of HTTP: `1.1` or `2`.
    pub protocol: &'static str,
    /// The path as a template, where the request was understood.
    pub route: Option<String>,
    /// The answer's status.
    pub status: u16,
    /// Why it was not answered as asked.
    pub cause: Option<&'static str>,
    /// The interaction.
    pub interaction: &'static str,
    /// The type that was asked for, or nothing.
    pub resource_type: String,
    /// The request's id.
    pub request_id: String,
    /// Bytes of the answer.
    pub bytes: usize,
    /// Resources that were released.
    pub released: usize,
    /// Plugins that changed a body.
    pub plugins: usize,
}

/// What is said of an HL7 v2 message beside its stages.
#[derive(Debug)]
pub struct Hl7v2Message {
    /// `ORU^R01`, where it is one that is known here.
    pub kind: Option<String>,
    /// The sender's name in the configuration; `unknown` where it is none of these.
    pub sender: String,
    /// `accepted`, `duplicate` or `refused`.
    pub outcome: &'static str,
    /// Why it was not taken.
    pub cause: Option<&'static str>,
    /// True where that was this installation's doing.
    pub failed: bool,
    /// The message's id here.
    pub request_id: String,
}

/// What ended.
#[derive(Debug)]
pub enum Told {
    /// A request by HTTP.
    Request(Request),
    /// A message over MLLP.
    Message(Hl7v2Message),
}

enum Handed {
    Trace(Box<(Ended, Told)>),
    Flush(oneshot::Sender<()>),
}

/// Where servers are, for `server.address`.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    host: String,
    port: Option<u16>,
}

impl Place {
    /// Of a URL.
    pub fn of(url: &str) -> Place {
        let uri: Option<http::Uri> = url.parse().ok();
        let Some(uri) = uri else { return Place::default() };
        let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        Place { host: uri.host().unwrap_or_default().to_owned(), port: Some(uri.port_u16().unwrap_or(usual)) }
    }

    fn attributes(&self) -> impl Iterator<Item = KeyValue> {
        let host = (!self.host.is_empty()).then(|| text("server.address", &self.host));
        host.into_iter().chain(self.port.map(|port| number("server.port", port)))
    }
}

/// Decides which requests are traced, and takes their spans.
pub struct Tracer {
    ratio: f64,
    from_caller: bool,
    queue: mpsc::Sender<Handed>,
    ending: Arc<Notify>,
    dropped: Counter,
}

/// The servers that spans are about.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    /// This gateway.
    pub own: Place,
    /// The hospital's server.
    pub upstream: Place,
    /// The terminology server.
    pub terminology: Place,
}

/// The other end: sends them.
pub(super) struct TraceExport {
    collector: Collector,
    queue: mpsc::Receiver<Handed>,
    ending: Arc<Notify>,
    places: Places,
}

impl Tracer {
    /// Both ends.
    pub(super) fn new(config: &Traces, collector: Collector, places: Places) -> (Tracer, TraceExport) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let dropped = counter!("varco_otlp_spans_dropped_total", "cause" => "queue-full");
        let ending = Arc::new(Notify::new());
        let tracer = Tracer {
            ratio: config.ratio,
            from_caller: config.from_caller,
            queue: sender,
            ending: ending.clone(),
            dropped,
        };
        (tracer, TraceExport { collector, queue, ending, places })
    }

    /// True where a request of this trace is to be traced. `from_caller` is what the caller's `traceparent` says.
    pub fn samples(&self, ids: &TraceIds, from_caller: bool) -> bool {
        match ids.parent {
            Some(_) if self.from_caller => from_caller,
            _ => within(self.ratio, &ids.trace),
        }
    }

    /// Takes the spans of a request that has ended; never waits.
    pub fn finish(&self, spans: Spans, request: Request) {
        self.hand_over(spans, Told::Request(request));
    }

    /// The same for an HL7 v2 message.
    pub fn finish_message(&self, spans: Spans, message: Hl7v2Message) {
        self.hand_over(spans, Told::Message(message));
    }

    fn hand_over(&self, spans: Spans, told: Told) {
        let ended = spans.end();
        let count = ended.stages.len() as u64 + 1;
        match self.queue.try_send(Handed::Trace(Box::new((ended, told)))) {
            Ok(()) => {}
            Err(_) => self.dropped.increment(count),
        }
    }

    /// How many requests' spans wait.
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity().saturating_sub(self.queue.capacity())
    }

    /// Returns when all that waited was sent or given up, or after [`AT_STOP`].
    pub async fn flush(&self) {
        let (done, sent) = oneshot::channel();
        self.ending.notify_one();
        let flushed = async {
            if self.queue.send(Handed::Flush(done)).await.is_ok() {
                let _ = sent.await;
            }
        };
        if tokio::time::timeout(AT_STOP, flushed).await.is_err() {
            tracing::warn!("the collector did not take the last traces in time");
        }
    }
}

/// True for this share of all trace ids; the same ids at every gateway with the same share (OpenTelemetry, TraceIdRatioBased).
fn within(ratio: f64, trace: &[u8; 16]) -> bool {
    let [_, _, _, _, _, _, _, _, tail @ ..] = trace;
    let place = u64::from_be_bytes(*tail) >> 1;
    ratio >= 1.0 || (place as f64) < ratio * 2f64.powi(63)
}

impl TraceExport {
    /// Sends until the gateway is gone and nothing is left.
    pub(super) async fn run(mut self) {
        let mut spans: Vec<Span> = Vec::new();
        let mut flushes: Vec<oneshot::Sender<()>> = Vec::new();
        loop {
            let Some(first) = self.queue.recv().await else { return };
            let until = Instant::now() + GATHER;
            self.take(first, &mut spans, &mut flushes);
            while spans.len() < BATCH && flushes.is_empty() {
                match tokio::time::timeout_at(until, self.queue.recv()).await {
                    Ok(Some(next)) => self.take(next, &mut spans, &mut flushes),
                    Ok(None) | Err(_) => break,
                }
            }
            while !spans.is_empty() {
                let rest = spans.split_off(spans.len().min(BATCH));
                let batch = std::mem::replace(&mut spans, rest);
                self.send(batch, !flushes.is_empty()).await;
            }
            flushes.drain(..).for_each(|done| {
                let _ = done.send(());
            });
        }
    }

    fn take(&self, handed: Handed, spans: &mut Vec<Span>, flushes: &mut Vec<oneshot::Sender<()>>) {
        match handed {
            Handed::Trace(trace) => {
                let (ended, told) = *trace;
                tell(ended, &told, &self.places, spans);
            }
            Handed::Flush(done) => flushes.push(done),
        }
    }

    /// Sends a batch, again where it may be; once only where somebody waits for the end.
    async fn send(&mut self, batch: Vec<Span>, mut last: bool) {
        let count = batch.len() as u64;
        let message = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(self.collector.resource()),
                scope_spans: vec![ScopeSpans {
                    scope: Some(scope("varco")),
                    spans: batch,
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        };
        let mut wait = FIRST_WAIT;
        for again in (0..TRIES).rev() {
            match self.collector.send("/v1/traces", &message).await {
                Ok(()) => {
                    background::done(None);
                    return counter!("varco_otlp_spans_sent_total").increment(count);
                }
                Err(refused) if refused.is_for_now() => {
                    let cause = refused.cause;
                    background::failed(&cause, (again > 0).then_some(wait));
                    if again == 0 || last || self.queue.is_closed() {
                        tracing::warn!(cause, count, "the collector took no spans; they are dropped");
                        break;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        // Nobody waits for long at the end: once more, and that is it.
                        () = self.ending.notified() => last = true,
                    }
                    wait = wait.saturating_mul(2);
                }
                Err(Refused { cause, .. }) => {
                    background::failed(&cause, None);
                    tracing::warn!(cause, count, "the collector does not take spans; they are passed over");
                    return counter!("varco_otlp_spans_dropped_total", "cause" => "refused").increment(count);
                }
            }
        }
        counter!("varco_otlp_spans_dropped_total", "cause" => "not-taken").increment(count);
    }
}

/// Writes a request and its stages as OTLP has them.
fn tell(ended: Ended, what: &Told, places: &Places, spans: &mut Vec<Span>) {
    let Ended { ids, began, ended: end, stages, dropped } = ended;
    let remote = if ids.parent.is_some() { REMOTE } else { 0 };
    let span = |id: [u8; 8], parent: Option<[u8; 8]>, begins: u64, ends: u64| Span {
        trace_id: ids.trace.to_vec(),
        span_id: id.to_vec(),
        parent_span_id: parent.map(|parent| parent.to_vec()).unwrap_or_default(),
        flags: SAMPLED | REMOTE_KNOWN,
        start_time_unix_nano: begins,
        end_time_unix_nano: ends,
        ..Span::default()
    };
    let mut server = span(ids.own, ids.parent, began, end);
    server.flags |= remote;
    server.kind = SpanKind::Server.into();
    match what {
        Told::Request(request) => request.describe(&mut server, &places.own),
        Told::Message(message) => message.describe(&mut server),
    }
    if dropped > 0 {
        server.attributes.push(number("varco.stages_dropped", dropped));
    }
    spans.push(server);
    let stage_ids: Vec<[u8; 8]> = stages.iter().map(|stage| stage.id).collect();
    for stage in stages {
        let parent = stage.inside.and_then(|at| stage_ids.get(at)).unwrap_or(&ids.own);
        let (begins, ends) = (began.saturating_add(stage.begins), began.saturating_add(stage.ends));
        let mut told = span(stage.id, Some(*parent), begins, ends);
        told.kind = SpanKind::Internal.into();
        told.name = stage.stage.name().to_owned();
        if stage.times > 1 {
            told.attributes.push(number("varco.times", stage.times));
        }
        if let Some(call) = stage.call {
            let asks_terminology = stage.stage == Stage::Terminology;
            let place = if asks_terminology { &places.terminology } else { &places.upstream };
            tell_call(call, place, &mut told);
        }
        spans.push(told);
    }
}

impl Request {
    fn describe(&self, server: &mut Span, own: &Place) {
        server.name = match &self.route {
            Some(route) => format!("{} {route}", self.method),
            None => self.method.to_owned(),
        };
        server.attributes = vec![
            text("http.request.method", self.method),
            text("url.scheme", self.scheme),
            text("network.protocol.version", self.protocol),
            number("http.response.status_code", self.status),
            number("http.response.body.size", self.bytes),
            text("varco.interaction", self.interaction),
            text("varco.request_id", &self.request_id),
            number("varco.released", self.released),
        ];
        server.attributes.extend(own.attributes());
        server.attributes.extend(self.route.as_deref().map(|route| text("http.route", route)));
        server.attributes.extend(self.cause.map(|cause| text("varco.cause", cause)));
        if !self.resource_type.is_empty() {
            server.attributes.push(text("varco.resource_type", &self.resource_type));
        }
        if self.plugins > 0 {
            server.attributes.push(number("varco.plugins_changed", self.plugins));
        }
        // Of a server span a status below 500 is no error (semantic conventions for HTTP, "Status").
        if self.status >= 500 {
            server.attributes.push(text("error.type", &self.status.to_string()));
            server.status = Some(failed());
        }
    }
}

impl Hl7v2Message {
    fn describe(&self, server: &mut Span) {
        server.name = self.kind.clone().unwrap_or_else(|| "HL7 v2 message".to_owned());
        server.attributes = vec![
            text("network.protocol.name", "mllp"),
            text("varco.interaction", "hl7v2"),
            text("varco.sender", &self.sender),
            text("varco.outcome", self.outcome),
            text("varco.request_id", &self.request_id),
        ];
        server.attributes.extend(self.cause.map(|cause| text("varco.cause", cause)));
        if self.failed {
            server.attributes.extend(self.cause.map(|cause| text("error.type", cause)));
            server.status = Some(failed());
        }
    }
}

fn tell_call(call: Call, upstream: &Place, told: &mut Span) {
    told.kind = SpanKind::Client.into();
    told.name = format!("{} {}", call.method, call.template);
    told.attributes.push(text("http.request.method", call.method));
    told.attributes.push(text("url.template", &call.template));
    told.attributes.extend(upstream.attributes());
    match call.status {
        Some(status) => told.attributes.push(number("http.response.status_code", status)),
        None => told.attributes.push(text("error.type", "no_answer")),
    }
    // Of a client span every status from 400 on is an error.
    if call.status.is_none_or(|status| status >= 400) {
        if let Some(status) = call.status {
            told.attributes.push(text("error.type", &status.to_string()));
        }
        told.status = Some(failed());
    }
}

fn failed() -> Status {
    Status { message: String::new(), code: StatusCode::Error.into() }
}

/// Sets the gauge, before metrics are rendered.
pub(super) fn observe(tracer: Option<&Tracer>) {
    if let Some(tracer) = tracer {
        gauge!("varco_otlp_traces_waiting").set(tracer.waiting() as f64);
    }
}

#[cfg(test)]
#[path = "traces_tests.rs"]
mod tests;
