//! What becomes of the audit trail after its records were written, while a sidecar runs, is killed and comes back.
#![allow(clippy::unwrap_used)]

mod harness;

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use harness::serving::Serving;
use harness::{Region, Setup, free_ports, now};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use varco::store::{AuditRow, Store};
use varco_conformance::hospital::{Effect, Fault, Hospital, HospitalOptions};
use varco_core::consent::Reading;

/// What `varco audit verify` says.
fn verified(setup: &Setup) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_varco"))
        .args(["audit", "verify", "--output", "json", "--config"])
        .arg(setup.config_file())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Records of long ago.
async fn old_records(path: &Path, count: usize) {
    let store = Store::open(path, Reading { zone: jiff::tz::TimeZone::UTC, bases: Vec::new() }).unwrap();
    let row = |number: usize| {
        let (id, recorded) = (format!("old-{number}"), "2020-01-01T10:00:00.000Z".to_owned());
        let body = json!({
            "resourceType": "AuditEvent", "id": id, "recorded": recorded, "outcome": "0", "type": { "code": "rest" },
            "agent": [{ "requestor": true }], "source": { "observer": { "display": "gateway" } },
            "entity": [{ "what": { "reference": "Patient/1" } }],
        })
        .to_string();
        AuditRow { id, request: String::new(), recorded, body: body.into_bytes() }
    };
    let rows: Vec<AuditRow> = (0..count).map(row).collect();
    for part in rows.chunks(1_000) {
        store.writer().append(part.to_vec()).await.unwrap();
    }
}

/// A number that the store holds.
fn count(setup: &Setup, sql: &str) -> i64 {
    let store = Connection::open(setup.folder.path().join("varco.sqlite")).unwrap();
    store.busy_timeout(Duration::from_secs(5)).unwrap();
    store.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Waits until the store holds what is looked for.
async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    for _ in 0..1_200 {
        if reached() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_old_records_are_removed_it_leaves_a_trail_that_is_proven() {
    let setup =
        Setup::new("http://127.0.0.1:9/fhir", "[audit]\nkeep = \"5 years\"\n[log]\nlevel = \"error\"\n");
    old_records(&setup.folder.path().join("varco.sqlite"), 10_000).await;
    let old = "SELECT count(*) FROM audit WHERE recorded < '2021'";
    let serving = Serving::start(&setup).await;
    until("a step of removal", || count(&setup, old) < 10_000).await;
    serving.kill();
    let left = count(&setup, old);
    let told = verified(&setup);
    assert_eq!(
        (&told["intact"], &told["removed"]["rule"]),
        (&json!(true), &json!("keep = \"5 years\"")),
        "{told}"
    );
    assert_eq!(told["removed"]["records"], 10_000 - left, "{told}");

    let serving = Serving::start(&setup).await;
    until("the end of removal", || count(&setup, old) == 0).await;
    serving.kill();
    let told = verified(&setup);
    assert_eq!((&told["intact"], &told["removed"]["records"]), (&json!(true), &json!(10_000)), "{told}");
    assert_eq!(told["records"], 20, "one record for each step: {told}");
    assert_eq!(count(&setup, "SELECT count(*) FROM audit_posting WHERE parameter = 'patient'"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_without_a_known_caller_is_counted_in_the_trail_over_a_kill() {
    let setup = Setup::new("http://127.0.0.1:9/fhir", "[log]\nlevel = \"error\"\n");
    let serving = Serving::start(&setup).await;
    let asking = setup.client();
    let expired = setup.token(json!({ "exp": now() - 3_600, "nbf": now() - 7_200 }));
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..60 {
        let token = (number % 3 > 0).then(|| expired.clone());
        let asking = asking.with_token(token);
        asked.spawn(async move { asking.get("Patient/anna").await.status });
    }
    assert!(asked.join_all().await.iter().all(|status| *status == StatusCode::UNAUTHORIZED));
    serving.kill();
    assert_eq!(count(&setup, "SELECT sum(count) FROM audit_refused"), 60);
    assert_eq!(count(&setup, "SELECT count(*) FROM audit"), 0);

    // The minute is over: as if the sidecar came back later.
    Connection::open(setup.folder.path().join("varco.sqlite"))
        .unwrap()
        .execute("UPDATE audit_refused SET minute = minute - 5", [])
        .unwrap();
    let serving = Serving::start(&setup).await;
    until("the minute's records", || count(&setup, "SELECT count(*) FROM audit_refused") == 0).await;
    let found = setup.client().get("AuditEvent?type=110114&_count=100").await.json();
    let told: Vec<(String, i64)> = found["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let event = &entry["resource"];
            assert_eq!(event["agent"][0]["network"]["address"], "127.0.0.1", "{event}");
            let detail = |at: usize| event["entity"][0]["detail"][at]["valueString"].as_str().unwrap();
            (detail(0).to_owned(), detail(1).parse().unwrap())
        })
        .collect();
    for (cause, count) in [("absent", 20), ("invalid", 40)] {
        let own: i64 = told.iter().filter(|(own, _)| own == cause).map(|(_, count)| count).sum();
        assert_eq!(own, count, "{cause}: {told:?}");
    }
    assert_eq!(verified(&setup)["intact"], true);
    serving.kill();
}

/// The ids of the records that the store holds, in their order.
fn trail(setup: &Setup) -> Vec<String> {
    let store = Connection::open(setup.folder.path().join("varco.sqlite")).unwrap();
    store.busy_timeout(Duration::from_secs(5)).unwrap();
    let mut query = store.prepare("SELECT id FROM audit ORDER BY seq").unwrap();
    query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_store_gets_every_record_in_order_over_outage_and_kill_and_none_is_removed_before() {
    let external =
        Hospital::start((Ipv4Addr::LOCALHOST, 0).into(), HospitalOptions::default()).await.unwrap();
    let more = format!(
        "[audit]\nkeep = \"5 years\"\n[audit.export]\nurl = \"{}/AuditEvent\"\nbatch = 7\n[log]\nlevel = \"error\"\n",
        external.base_url()
    );
    let setup = Setup::new("http://127.0.0.1:9/fhir", &more);
    old_records(&setup.folder.path().join("varco.sqlite"), 40).await;
    external.inject(Fault::new(Effect::Status(503)));
    let serving = Serving::start(&setup).await;
    let asking = setup.client();
    for _ in 0..20 {
        let status = asking.get("Patient/anna").await.status;
        // The breaker opens on the way.
        assert!(
            matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE),
            "no request waits"
        );
    }
    until("a try", || external.request_count() > 1).await;
    assert_eq!(trail(&setup).len(), 60, "what was not exported stays");
    let expected = trail(&setup);
    external.forget_requests();
    external.clear_faults();
    until("the first batch", || count(&setup, "SELECT coalesce(max(seq), 0) FROM audit_export") >= 7).await;
    serving.kill();
    let serving = Serving::start(&setup).await;
    let exported = |id: &String| external.resource("AuditEvent", id).is_some();
    until("every record", || expected.iter().all(exported)).await;
    until("the removal of old records", || {
        count(&setup, "SELECT count(*) FROM audit WHERE recorded < '2021'") == 0
    })
    .await;
    until("the record of the removal", || trail(&setup).iter().all(exported)).await;
    serving.kill();
    let mut sent: Vec<String> = external
        .requests()
        .iter()
        .filter_map(|seen| Some(seen.target.rsplit_once('/')?.1.to_owned()))
        .collect();
    // Records that were sent again after the kill stand twice; the first time they stand in order.
    let mut seen = std::collections::HashSet::new();
    sent.retain(|id| seen.insert(id.clone()));
    assert_eq!(sent[..expected.len()], expected);
    let told = verified(&setup);
    assert_eq!((&told["intact"], &told["removed"]["records"]), (&json!(true), &json!(40)), "{told}");
    external.stop().await;
}

/// A collector of logs: what it got, and the status that it answers with.
async fn collector() -> (String, Arc<Mutex<Vec<(String, Vec<u8>)>>>, Arc<AtomicU16>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (got, status) = (Arc::<Mutex<Vec<_>>>::default(), Arc::new(AtomicU16::new(200)));
    let (seen, answers) = (got.clone(), status.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (seen, answers) = (seen.clone(), answers.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let (seen, status) = (seen.clone(), answers.load(Ordering::SeqCst));
                async move {
                    let kind = request.headers()["content-type"].to_str().unwrap().to_owned();
                    let place = format!("{} {} {kind}", request.method(), request.uri().path());
                    let body = request.into_body().collect().await.unwrap().to_bytes().to_vec();
                    if status == 200 {
                        seen.lock().unwrap().push((place, body));
                    }
                    Ok::<_, Infallible>(
                        Response::builder().status(status).body(Full::new(Bytes::new())).unwrap(),
                    )
                }
            });
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    (url, got, status)
}

fn holds(bodies: &[(String, Vec<u8>)], text: &str) -> usize {
    let times = |body: &Vec<u8>| body.windows(text.len()).filter(|part| *part == text.as_bytes()).count();
    bodies.iter().map(|(_, body)| times(body)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_audit_records_as_logs_without_identities_unless_they_are_asked_for() {
    for (includes, told) in [("[]", false), ("[\"agents\", \"patients\"]", true)] {
        let (url, got, status) = collector().await;
        status.store(503, Ordering::SeqCst);
        let region = Region::start(&format!(
            "[telemetry.otlp]\nendpoint = \"{url}\"\naudit = true\naudit_includes = {includes}\n"
        ))
        .await;
        let read = region.asking().get("Patient/anna").await;
        let hidden = region.asking().get("Patient/carla").await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        // The collector was away; now it is there.
        status.store(200, Ordering::SeqCst);
        until("both records", || {
            let got = got.lock().unwrap();
            [&read, &hidden].iter().all(|reply| holds(&got, reply.request_id()) > 0)
        })
        .await;
        let got = got.lock().unwrap().clone();
        assert!(got.iter().all(|(place, _)| place == "POST /v1/logs application/x-protobuf"), "{got:?}");
        let store = Connection::open(region.setup.folder.path().join("varco.sqlite")).unwrap();
        let hash: Vec<u8> = store
            .query_row("SELECT hash FROM audit WHERE id = ?1", [read.request_id()], |row| row.get(0))
            .unwrap();
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        for text in [
            hash.as_str(),
            "varco.audit.sequence",
            "http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT",
            "urn:test:role|AAS",
            "030913",
        ] {
            assert!(holds(&got, text) > 0, "{text}");
        }
        assert_eq!(holds(&got, read.request_id()), 1, "each record once");
        for text in ["anna", "carla", "Rossi", "dr-rossi", "ward-app", "127.0.0.1", "030943"] {
            let told = told && text != "Rossi";
            assert_eq!(holds(&got, text) > 0, told, "{text}");
        }
        region.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_one_store_is_refused_and_the_next_one_is_not() {
    let hospital =
        Hospital::start((Ipv4Addr::LOCALHOST, 0).into(), HospitalOptions::default()).await.unwrap();
    let setup = Setup::new(hospital.base_url(), "");
    let serving = Serving::start(&setup).await;
    let [port, admin] = free_ports();
    let text = std::fs::read_to_string(setup.config_file()).unwrap();
    let text = text.replace(&setup.port.to_string(), &port.to_string());
    let second = setup.folder.path().join("second.toml");
    std::fs::write(&second, text.replace(&setup.admin.to_string(), &admin.to_string())).unwrap();
    let serve = || {
        Command::new(env!("CARGO_BIN_EXE_varco")).args(["serve", "--config"]).arg(&second).output().unwrap()
    };
    let refused = serve();
    assert!(!refused.status.success(), "{refused:?}");
    let said = [refused.stdout, refused.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("another process's") && said.contains("listen.handoff"), "{said}");
    assert_eq!(verified(&setup)["intact"], true, "those who only read are let in");
    serving.kill();
    Serving::start(&setup).await.kill();
    hospital.stop().await;
}
