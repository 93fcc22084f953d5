//! Telemetry as the operator's own systems get it: a collector on a real socket, the access log, the operator's port.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "harness/mod.rs"]
mod harness;

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use metrics_exporter_prometheus::PrometheusBuilder;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use varco::store::TrailSearch;
use varco::{config, run};
use varco_conformance::hospital::{Effect, Fault, Hospital, HospitalOptions};

use harness::mllp::{Line, TWO_SENDERS, acknowledged, result};
use harness::national::{National, tokens};
use harness::serving::Serving;
use harness::{Asking, Region, Setup};

/// A path and the body that was sent to it.
type Sent = (String, Vec<u8>);

/// A collector: what it got, by path.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Sent>>>);

impl Collector {
    async fn start() -> (String, Collector) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let collector = Collector::default();
        let own = collector.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = own.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let own = own.clone();
                    async move {
                        assert_eq!(request.headers()["content-type"], "application/x-protobuf");
                        let path = request.uri().path().to_owned();
                        let body = request.into_body().collect().await.unwrap().to_bytes().to_vec();
                        own.0.lock().unwrap().push((path, body));
                        Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        (url, collector)
    }

    fn bodies(&self, path: &str) -> Vec<Vec<u8>> {
        let got = self.0.lock().unwrap();
        got.iter().filter(|(own, _)| own == path).map(|(_, body)| body.clone()).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let messages = self.bodies("/v1/traces").into_iter();
        let messages = messages.map(|body| ExportTraceServiceRequest::decode(body.as_slice()).unwrap());
        let scopes = messages.flat_map(|message| message.resource_spans).flat_map(|own| own.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// The spans of a request by its id, its own first.
    async fn trace_of(&self, request_id: &str) -> Vec<Span> {
        for _ in 0..400 {
            let spans = self.spans();
            let own = spans.iter().find(|span| text(span, "varco.request_id").as_deref() == Some(request_id));
            if let Some(own) = own {
                let mut found = vec![own.clone()];
                let mut at = 0;
                while at < found.len() {
                    let parent = found[at].span_id.clone();
                    found.extend(
                        spans
                            .iter()
                            .filter(|span| span.parent_span_id == parent && span.kind() != SpanKind::Server)
                            .cloned(),
                    );
                    at += 1;
                }
                return found;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("no trace of {request_id}");
    }

    /// No message to the collector holds one of these texts.
    fn tells_nothing_of(&self, texts: &[&str]) {
        for (path, body) in self.0.lock().unwrap().iter() {
            for text in texts {
                let found = body.windows(text.len()).any(|part| part == text.as_bytes());
                assert!(!found, "{text} was sent to {path}");
            }
        }
    }
}

fn text(span: &Span, key: &str) -> Option<String> {
    match span.attributes.iter().find(|own| own.key == key)?.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => Some(text.clone()),
        Any::IntValue(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    }
}

fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Names, ids and identifiers of the patients in these tests, and of those who ask.
const PERSONAL: &[&str] = &[
    "anna",
    "bruno",
    "carla",
    "Forlì",
    "D'Amico",
    "Nascosti",
    "CF-anna",
    "Rossi",
    "dr-rossi",
    "RSSMRA80A01H501U",
];

async fn traced(asking: &Asking, path: &str, traceparent: &str) -> harness::Reply {
    let headers = [("traceparent", traceparent), ("tracestate", "vendor=anna")];
    asking.send(Method::GET, path, &headers, Bytes::new()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_from_the_caller_through_each_stage_to_the_hospital_and_tells_of_nobody() {
    let (url, collector) = Collector::start().await;
    let region = Region::start(&format!("[telemetry.otlp]\nendpoint = \"{url}\"\ntraces = {{}}\n")).await;
    region.hospital.forget_requests();
    let asking = region.asking();
    let read = traced(&asking, "Patient/anna", CALLER).await;
    let spans = collector.trace_of(read.request_id()).await;
    let server = &spans[0];
    assert_eq!((server.name.as_str(), server.kind()), ("GET /fhir/Patient/{id}", SpanKind::Server));
    assert_eq!(hex(&server.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(hex(&server.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(text(server, "http.response.status_code").as_deref(), Some("200"));
    assert_eq!(text(server, "varco.interaction").as_deref(), Some("read"));
    let told = names(&spans);
    for stage in ["identify", "decide", "audit", "GET /Patient/{id}"] {
        assert!(told.contains(&stage), "{stage}: {told:?}");
    }
    assert!(spans.iter().all(|span| span.start_time_unix_nano <= span.end_time_unix_nano));
    assert!(spans.iter().all(|span| span.start_time_unix_nano >= server.start_time_unix_nano));
    // The hospital's server hangs its own spans on the call that reached it, and gets the caller's state.
    let call = spans.iter().find(|span| span.kind() == SpanKind::Client).unwrap();
    let seen = region.hospital.requests().into_iter().find(|seen| seen.target.contains("anna")).unwrap();
    let expected = format!("00-{}-{}-01", hex(&call.trace_id), hex(&call.span_id));
    assert_eq!(seen.headers["traceparent"], expected.as_str());
    assert_eq!(seen.headers["tracestate"], "vendor=anna");

    let search = traced(&asking, "Patient?family=Forl%C3%AC&identifier=CF-anna", "").await;
    assert_eq!(names(&collector.trace_of(search.request_id()).await)[0], "GET /fhir/Patient");
    let hidden = asking.get("Patient/carla").await;
    let spans = collector.trace_of(hidden.request_id()).await;
    assert_eq!(text(&spans[0], "varco.cause").as_deref(), Some("absent"));
    assert!(spans[0].status.is_none());
    let odd = asking.get("RSSMRA80A01H501U/anna?name=Rossi").await;
    let spans = collector.trace_of(odd.request_id()).await;
    assert_eq!(spans[0].name, "GET", "what was not understood has no place");
    let unknown = asking.with_token(None).get("Patient/anna").await;
    let spans = collector.trace_of(unknown.request_id()).await;
    assert_eq!(text(&spans[0], "varco.cause").as_deref(), Some("token"));
    let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": [
        { "request": { "method": "GET", "url": "Patient/anna" } },
        { "request": { "method": "GET", "url": "Patient/bruno" } },
    ] });
    let batch = asking.post("", &batch).await;
    let spans = collector.trace_of(batch.request_id()).await;
    let entries: Vec<_> = spans.iter().filter(|span| span.name == "entry").collect();
    assert_eq!(entries.len(), 2);
    for entry in entries {
        assert!(spans.iter().any(|span| span.name == "audit" && span.parent_span_id == entry.span_id));
    }
    collector.tells_nothing_of(PERSONAL);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_share_one_trace_and_what_is_not_sampled_is_not_sent() {
    let (url, collector) = Collector::start().await;
    let settings = format!("[telemetry.otlp]\nendpoint = \"{url}\"\ntraces = {{ ratio = 0.0 }}\n");
    let behind = Region::start_bare(&settings).await;
    // The second gateway stands where the hospital's server would: it asks for a token, which nobody sends it.
    let setup = Setup::new(&behind.setup.base(), &settings);
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let before = run::start(config::load(&setup.config_file()).unwrap(), metrics).await.unwrap();
    let asking = setup.client();
    let unsampled = asking.get("Patient/anna").await;
    let sampled = traced(&asking, "Patient/anna", CALLER).await;
    let first = collector.trace_of(sampled.request_id()).await;
    let call = first.iter().find(|span| span.kind() == SpanKind::Client).unwrap();
    for _ in 0..400 {
        let spans = collector.spans();
        if let Some(second) = spans.iter().find(|span| span.parent_span_id == call.span_id) {
            assert_eq!((second.kind(), &second.trace_id), (SpanKind::Server, &call.trace_id));
            assert_eq!(text(second, "varco.cause").as_deref(), Some("token"));
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    before.stop().await;
    behind.stop().await;
    let spans = collector.spans();
    let servers: Vec<_> = spans.iter().filter(|span| span.kind() == SpanKind::Server).collect();
    assert_eq!(servers.len(), 2, "{:?}", names(&spans));
    assert!(
        servers.iter().all(|span| text(span, "varco.request_id").as_deref() != Some(unsampled.request_id()))
    );
    collector.tells_nothing_of(PERSONAL);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_has_a_line_in_the_access_log_without_its_path_and_query() {
    for format in ["json", "combined"] {
        let region = Region::edited(
            "",
            &format!("[telemetry.access_log]\npath = \"access.log\"\nformat = \"{format}\"\n"),
            |_| {},
        )
        .await;
        let asking = region.asking();
        let read = asking.get("Patient/anna").await;
        let search = asking.get("Patient?family=Rossi").await;
        let unknown = asking.with_token(None).get("Patient/RSSMRA80A01H501U").await;
        let path = region.setup.folder.path().join("access.log");
        let mut text = String::new();
        for _ in 0..400 {
            text = std::fs::read_to_string(&path).unwrap();
            if text.lines().count() == 3 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        for (line, reply) in lines.iter().zip([&read, &search, &unknown]) {
            assert!(line.contains(reply.request_id()), "{line}");
        }
        for personal in PERSONAL {
            assert!(!text.contains(personal), "{personal}: {text}");
        }
        match format {
            "json" => {
                let first: Value = serde_json::from_str(lines[0]).unwrap();
                assert_eq!(first["path"], "/fhir/Patient/{id}");
                assert_eq!((&first["client"], &first["status"]), (&json!("ward-app"), &json!(404)));
                assert_eq!(first["bytes"], read.body.len());
            }
            _ => {
                assert!(lines[0].starts_with("127.0.0.1 - ward-app ["), "{text}");
                assert!(lines[1].contains("\"GET /fhir/Patient HTTP/1.1\" 200 "), "{text}");
                assert!(lines[2].contains("\"GET - HTTP/1.1\" 401 "), "{text}");
            }
        }
        region.stop().await;
    }
}

/// What the operator's port answers.
async fn operator(setup: &Setup, method: Method, path: &str, body: &str) -> (u16, String) {
    let url = format!("http://127.0.0.1:{}{path}", setup.admin);
    let asking = setup.client().with_token(None);
    let reply = asking.send(method, &url, &[], Bytes::from(body.to_owned())).await;
    (reply.status.as_u16(), String::from_utf8(reply.body.to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_stands_in_tasks_and_is_gone_when_it_ends() {
    let region = Region::start("").await;
    region.hospital.inject(Fault::new(Effect::Delay(Duration::from_secs(3))));
    let asking = region.asking();
    let open = tokio::spawn(async move { asking.get("Patient/anna").await });
    let seen = loop {
        let (status, text) = operator(&region.setup, Method::GET, "/tasks", "").await;
        assert_eq!(status, 200);
        let tasks: Value = serde_json::from_str(&text).unwrap();
        for personal in PERSONAL {
            assert!(!text.contains(personal), "{personal}: {text}");
        }
        assert!(
            tasks["background"].as_array().unwrap().iter().any(|task| task["name"] == "keys of an issuer"),
            "{text}"
        );
        if tasks["requests"][0]["stage"] == "upstream" {
            break tasks["requests"][0].clone();
        }
        assert!(!open.is_finished(), "it was never seen: {text}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!((&seen["client"], &seen["interaction"]), (&json!("ward-app"), &json!("read")));
    let reply = open.await.unwrap();
    assert_eq!(seen["id"], reply.request_id());
    let (_, text) = operator(&region.setup, Method::GET, "/tasks", "").await;
    let tasks: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&tasks["requests"], &tasks["requests_not_shown"]), (&json!([]), &json!(0)));
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_pushes_its_metrics_turns_its_log_and_shows_itself_in_top() {
    let (url, collector) = Collector::start().await;
    let hospital =
        Hospital::start((Ipv4Addr::LOCALHOST, 0).into(), HospitalOptions::default()).await.unwrap();
    let more = format!(
        "[telemetry.otlp]\nendpoint = \"{url}\"\nmetrics = {{ seconds = 1 }}\n[telemetry.access_log]\npath = \"access.log\"\n"
    );
    let setup = Setup::new(hospital.base_url(), &more);
    let serving = Serving::start(&setup).await;
    let asking = setup.client();
    asking.get("Patient/anna").await;
    asking.with_token(None).get("Patient/anna").await;

    // Counters, gauges and histograms arrive as what they are.
    let metrics = async |name: &str| {
        for _ in 0..400 {
            for body in collector.bodies("/v1/metrics").iter().rev() {
                let message = ExportMetricsServiceRequest::decode(body.as_slice()).unwrap();
                let scopes = message.resource_metrics.into_iter().flat_map(|own| own.scope_metrics);
                let found = scopes.flat_map(|scope| scope.metrics).find(|metric| metric.name == name);
                if let Some(data) = found.and_then(|metric| metric.data) {
                    return data;
                }
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{name} was never pushed");
    };
    assert!(
        matches!(metrics("varco_requests_total").await, Data::Sum(sum) if sum.is_monotonic && sum.data_points.len() == 2)
    );
    assert!(
        matches!(metrics("varco_request_seconds").await, Data::Histogram(own) if own.data_points[0].explicit_bounds.len() == 18)
    );
    assert!(matches!(metrics("varco_store_queue").await, Data::Gauge(_)));
    collector.tells_nothing_of(PERSONAL);

    // The level of the log.
    let level = async |method, body: &str| operator(&setup, method, "/log-level", body).await;
    assert_eq!(level(Method::GET, "").await, (200, "info\n".to_owned()));
    assert_eq!(level(Method::PUT, "debug\n").await, (200, "debug\n".to_owned()));
    assert_eq!(level(Method::PUT, "loud").await.0, 400);
    assert_eq!(level(Method::POST, "info").await.0, 405);
    assert_eq!(level(Method::GET, "").await.1, "debug\n");

    // A log that was moved away is let go of.
    let (log, moved) = (setup.folder.path().join("access.log"), setup.folder.path().join("access.log.1"));
    std::fs::rename(&log, &moved).unwrap();
    let hung_up = Command::new("kill").args(["-HUP", &serving.0.id().to_string()]).status().unwrap();
    assert!(hung_up.success());
    for _ in 0..400 {
        asking.get("metadata").await;
        if std::fs::read_to_string(&log).is_ok_and(|text| text.contains("/fhir/metadata")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(std::fs::read_to_string(&log).unwrap().contains("/fhir/metadata"));
    assert!(std::fs::read_to_string(&moved).unwrap().contains("/fhir/Patient/{id}"));

    // One frame as plain text.
    let admin = format!("http://127.0.0.1:{}", setup.admin);
    let top = |admin: &str| {
        Command::new(env!("CARGO_BIN_EXE_varco")).args(["top", "--once", "--admin", admin]).output().unwrap()
    };
    let frame = top(&admin);
    let text = String::from_utf8(frame.stdout).unwrap();
    assert!(frame.status.success() && !text.contains('\x1b'), "{text}");
    for row in ["requests/s", "latency", "upstream", "audit", "INTERACTION", "read ", "token "] {
        assert!(text.lines().any(|line| line.starts_with(row)), "{row}: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    drop(serving);
    let gone = top(&admin);
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8(gone.stderr).unwrap().contains("nothing answers at"));
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_to_the_national_gateway_are_told_of_by_their_kind_alone() {
    let (url, collector) = Collector::start().await;
    let national = National::start().await;
    let region = Region::start_bare(&format!(
        "[publication]\n[[publication.route]]\nname = \"fse\"\npath = \"/fse/v1\"\nregion = \"030\"\n\
         gateway = \"http://127.0.0.1:{}/gateway/v1\"\ncallers = \"network\"\nnetworks = [\"127.0.0.1\"]\n\
         [telemetry.otlp]\nendpoint = \"{url}\"\ntraces = {{}}\n[telemetry.access_log]\npath = \"access.log\"\n",
        national.port
    ))
    .await;
    let (caller, signature) = tokens("t1", 600, &json!({ "action_id": "DELETE" }));
    let document =
        format!("http://127.0.0.1:{}/fse/v1/documents/RSSMRA80A01H501U%5Edoc?name=Rossi", region.setup.port);
    let headers = [("fse-jwt-signature", signature.as_str()), ("traceparent", CALLER)];
    let asking = region.asking().with_token(Some(caller));
    let reply = asking.send(Method::DELETE, &document, &headers, Bytes::new()).await;
    let spans = collector.trace_of(reply.request_id()).await;
    assert_eq!(spans[0].name, "DELETE /fse/v1/{delete}");
    assert_eq!(hex(&spans[0].trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
    let parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", hex(&spans[0].span_id));
    assert_eq!(national.arrived()[0].headers["traceparent"], parent.as_str());
    let path = region.setup.folder.path().join("access.log");
    let mut text = String::new();
    for _ in 0..400 {
        text = std::fs::read_to_string(&path).unwrap();
        if text.contains(reply.request_id()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&line["path"], &line["status"]), (&json!("/fse/v1/{delete}"), &json!(reply.status.as_u16())));
    let citizens = ["RSSMRA71E01F205E", "GTWGWY82B42G920M", "RSSMRA80A01H501U", "Rossi"];
    collector.tells_nothing_of(&citizens);
    assert!(citizens.iter().all(|own| !text.contains(own)), "{text}");
    region.stop().await;
}

/// A terminology server that knows every code and takes no batches.
async fn terminology() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|request: Request<Incoming>| async move {
                assert!(!request.headers().contains_key("traceparent"), "what belongs together is not told");
                let batch = request.uri().path() == "/";
                let body = request.into_body().collect().await.unwrap();
                drop(body);
                let said =
                    r#"{"resourceType":"Parameters","parameter":[{"name":"result","valueBoolean":true}]}"#;
                let mut response = Response::new(Full::new(Bytes::from_static(said.as_bytes())));
                if batch {
                    *response.status_mut() = http::StatusCode::NOT_FOUND;
                }
                Ok::<_, Infallible>(response)
            });
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_department_is_one_trace_down_to_the_terminology_server() {
    let (url, collector) = Collector::start().await;
    let more = format!(
        "{TWO_SENDERS}[terminology]\nurl = \"{}\"\n[telemetry.otlp]\nendpoint = \"{url}\"\ntraces = {{}}\n",
        terminology().await
    );
    let region = Region::start_bare(&more).await;
    let mut line = Line::open(region.running.mllp.unwrap()).await;
    // A number that no port in an address can hold by chance.
    let answer = line.exchange(result("T1").replace("4711", "MRN4711").as_bytes()).await;
    assert_eq!(acknowledged(&answer), ("AA", "T1"));
    assert_eq!(
        acknowledged(&line.exchange(result("T2").replace("LAB|030924", "PACS|030924").as_bytes()).await).0,
        "AR"
    );
    let newest = TrailSearch { most: 9, ..TrailSearch::default() };
    let page = region.running.gateway().store().search_trail(&newest).await.unwrap();
    let record: Value = serde_json::from_slice(&page.records[0]).unwrap();
    let spans = collector.trace_of(record["id"].as_str().unwrap()).await;
    assert_eq!(
        (
            spans[0].name.as_str(),
            text(&spans[0], "varco.sender").as_deref(),
            text(&spans[0], "varco.outcome").as_deref()
        ),
        ("ORU^R01", Some("lis"), Some("accepted"))
    );
    for stage in ["held", "map", "validate", "POST /", "audit"] {
        assert!(names(&spans).contains(&stage), "{stage}: {:?}", names(&spans));
    }
    let validate = spans.iter().find(|span| span.name == "validate").unwrap();
    let asked: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id == validate.span_id).collect();
    assert!(asked.len() >= 2 && asked.iter().all(|span| span.kind() == SpanKind::Client), "{asked:?}");
    assert!(names(&spans).iter().any(|name| name.ends_with("$validate-code")), "{:?}", names(&spans));
    let upstream =
        spans.iter().find(|span| span.name == "POST /" && span.parent_span_id == spans[0].span_id).unwrap();
    let sent = region
        .hospital
        .requests()
        .iter()
        .find(|request| request.method == Method::POST)
        .unwrap()
        .headers["traceparent"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(sent, format!("00-{}-{}-01", hex(&upstream.trace_id), hex(&upstream.span_id)));
    let refused = async {
        loop {
            let spans = collector.spans();
            if let Some(own) =
                spans.into_iter().find(|span| text(span, "varco.cause").as_deref() == Some("unlisted-sender"))
            {
                return own;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(20), refused).await.unwrap();
    assert_eq!(
        (refused.name.as_str(), text(&refused, "varco.sender").as_deref()),
        ("HL7 v2 message", Some("unknown"))
    );
    collector.tells_nothing_of(&["Rossi", "MRN4711", "14957-5", "PACS", "030924"]);
    region.stop().await;
}
