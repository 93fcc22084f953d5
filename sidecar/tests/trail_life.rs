//! What becomes of the audit trail after its records were written, while a sidecar runs, is killed and comes back.
#![allow(clippy::unwrap_used)]

mod harness;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::serving::Serving;
use harness::{Setup, now};
use http::StatusCode;
use rusqlite::Connection;
use serde_json::{Value, json};
use varco::store::{AuditRow, Store};
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
        let body = format!(
            r#"{{"resourceType":"AuditEvent","id":"{id}","recorded":"{recorded}","outcome":"0","entity":[{{"what":{{"reference":"Patient/1"}}}}]}}"#
        );
        let patients = vec!["Patient/1".to_owned()];
        AuditRow { id, request: String::new(), recorded, patients, body: body.into_bytes() }
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
    let serving = Serving::start(&setup, setup.port).await;
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

    let serving = Serving::start(&setup, setup.port).await;
    until("the end of removal", || count(&setup, old) == 0).await;
    serving.kill();
    let told = verified(&setup);
    assert_eq!((&told["intact"], &told["removed"]["records"]), (&json!(true), &json!(10_000)), "{told}");
    assert_eq!(told["records"], 20, "one record for each step: {told}");
    assert_eq!(count(&setup, "SELECT count(*) FROM audit_patient"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_without_a_known_caller_is_counted_in_the_trail_over_a_kill() {
    let setup = Setup::new("http://127.0.0.1:9/fhir", "[log]\nlevel = \"error\"\n");
    let serving = Serving::start(&setup, setup.port).await;
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
    let serving = Serving::start(&setup, setup.port).await;
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
    for (cause, count) in [("absent", 20), ("expired", 40)] {
        let own: i64 = told.iter().filter(|(own, _)| own == cause).map(|(_, count)| count).sum();
        assert_eq!(own, count, "{cause}: {told:?}");
    }
    assert_eq!(verified(&setup)["intact"], true);
    serving.kill();
}
