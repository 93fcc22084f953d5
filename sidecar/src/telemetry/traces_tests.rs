#![allow(clippy::unwrap_used, clippy::expect_used)]
use opentelemetry_proto::tonic::common::v1::any_value::Value;

use super::*;

fn ids(parent: Option<[u8; 8]>) -> TraceIds {
    TraceIds { trace: [0x4b; 16], own: [7; 8], parent }
}

fn request(status: u16) -> Request {
    Request {
        method: "GET",
        scheme: "https",
        protocol: "1.1",
        route: Some("/fhir/Patient/{id}".to_owned()),
        status,
        cause: None,
        interaction: "read",
        resource_type: "Patient".to_owned(),
        request_id: "r-1".to_owned(),
        bytes: 10,
        released: 1,
        plugins: 0,
    }
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|own| own.key == key)?;
    Some(match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    })
}

fn places() -> Places {
    Places {
        own: Place::of("https://fhir.hospital.example/fhir"),
        upstream: Place::of("http://127.0.0.1:8080/fhir"),
        terminology: Place::of("https://tx.example"),
    }
}

fn told(spans: Spans, status: u16) -> Vec<Span> {
    let mut found = Vec::new();
    tell(spans.end(), &Told::Request(request(status)), &places(), &mut found);
    found
}

#[test]
fn a_request_becomes_a_server_span_with_its_stages_below() {
    let mut spans = Spans::begin(ids(Some([9; 8])));
    for _ in 0..2 {
        let decide = spans.enter(Stage::Decide);
        spans.leave(&decide);
    }
    let upstream = spans.enter(Stage::Upstream);
    spans.calls(&upstream, "GET", "/Patient/{id}".to_owned());
    spans.answered(&upstream, Some(404));
    spans.leave(&upstream);
    let told = told(spans, 404);
    let [server, decide, upstream] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((server.name.as_str(), server.kind()), ("GET /fhir/Patient/{id}", SpanKind::Server));
    assert_eq!(server.parent_span_id, [9; 8]);
    assert_eq!(server.flags & REMOTE, REMOTE);
    assert!(server.status.is_none(), "what the caller did wrong is no error of the server");
    assert_eq!(attribute(server, "http.route").unwrap(), "/fhir/Patient/{id}");
    assert_eq!(attribute(server, "server.port").unwrap(), "443");
    assert_eq!(
        (decide.kind(), attribute(decide, "varco.times").unwrap()),
        (SpanKind::Internal, "2".to_owned())
    );
    assert_eq!((upstream.kind(), upstream.parent_span_id.as_slice()), (SpanKind::Client, [7; 8].as_slice()));
    assert_eq!(attribute(upstream, "url.template").unwrap(), "/Patient/{id}");
    assert_eq!(attribute(upstream, "error.type").unwrap(), "404");
    assert_eq!(attribute(upstream, "server.port").unwrap(), "8080");
    assert!(told.iter().all(|span| span.trace_id == [0x4b; 16] && span.start_time_unix_nano > 0));
}

#[test]
fn a_failure_of_this_installation_is_an_error() {
    let server = told(Spans::begin(ids(None)), 502).remove(0);
    assert_eq!(server.status.unwrap().code(), StatusCode::Error);
    assert!(server.parent_span_id.is_empty());
}

#[test]
fn a_message_of_a_department_is_told_of_by_kind_sender_and_outcome() {
    let mut spans = Spans::begin(ids(None));
    let validate = spans.enter(Stage::Validate);
    let calls = spans.beside();
    calls.ended(std::time::Instant::now(), "POST", "/ValueSet/$validate-code", None);
    spans.take_up(&calls);
    spans.leave(&validate);
    let message = Hl7v2Message {
        kind: Some("ORU^R01".to_owned()),
        sender: "lis".to_owned(),
        outcome: "refused",
        cause: Some("upstream"),
        failed: true,
        request_id: "r-2".to_owned(),
    };
    let mut told = Vec::new();
    tell(spans.end(), &Told::Message(message), &places(), &mut told);
    let [server, validate, asked] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(
        (server.name.as_str(), server.status.as_ref().unwrap().code()),
        ("ORU^R01", StatusCode::Error)
    );
    assert_eq!(attribute(server, "error.type").unwrap(), "upstream");
    assert_eq!(attribute(server, "http.request.method"), None);
    assert_eq!((asked.kind(), &asked.parent_span_id), (SpanKind::Client, &validate.span_id));
    assert_eq!(attribute(asked, "server.address").unwrap(), "tx.example");
}

#[test]
fn the_share_follows_the_trace_id_and_the_caller_where_it_may() {
    let id = |tail: u64| {
        let mut trace = [0; 16];
        trace[8..].copy_from_slice(&tail.to_be_bytes());
        trace
    };
    assert!(within(1.0, &id(u64::MAX)) && !within(0.0, &id(0)));
    assert!(within(0.5, &id(u64::MAX / 2 - (1 << 20))) && !within(0.5, &id(u64::MAX / 2 + (1 << 20))));
    let share = (0..10_000_u64).filter(|n| within(0.1, &id(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))).count();
    assert!((900..1100).contains(&share), "{share}");
}

fn tracer(traces: &Traces) -> (Tracer, TraceExport) {
    let otlp: crate::config::Otlp =
        serde_json::from_value(serde_json::json!({ "endpoint": "http://127.0.0.1:9" })).unwrap();
    let site: crate::config::Site =
        serde_json::from_value(serde_json::json!({ "id": "1", "base_url": "http://x" })).unwrap();
    let collector = Collector::new(&otlp, &site).unwrap();
    Tracer::new(traces, collector, Places::default())
}

#[test]
fn callers_decide_only_where_the_configuration_lets_them() {
    let (follows, _) = tracer(&Traces { ratio: 0.0, from_caller: true });
    assert!(follows.samples(&ids(Some([1; 8])), true) && !follows.samples(&ids(None), true));
    let (own, _) = tracer(&Traces { ratio: 0.0, from_caller: false });
    assert!(!own.samples(&ids(Some([1; 8])), true));
    let (all, _) = tracer(&Traces { ratio: 1.0, from_caller: true });
    assert!(!all.samples(&ids(Some([1; 8])), false), "a caller that records nothing is followed in this too");
}

#[test]
fn a_full_queue_drops_and_counts_and_never_waits() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        let (tracer, _export) = tracer(&Traces::default());
        for _ in 0..QUEUE + 3 {
            tracer.finish(Spans::begin(ids(None)), request(200));
        }
        assert_eq!(tracer.waiting(), QUEUE);
    });
    let text = recorder.handle().render();
    assert!(text.contains("varco_otlp_spans_dropped_total{cause=\"queue-full\"} 3"), "{text}");
}
