//! Old records go; what is left is proven, and what was removed is told.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use varco_core::consent::Reading;
use varco_core::requester::BusinessIdentifier;

use super::*;
use crate::store::{TrailCondition, TrailReader, TrailSearch, TrailValue};

fn open(path: &Path) -> Store {
    Store::open(path, Reading { zone: jiff::tz::TimeZone::UTC, bases: Vec::new() }).unwrap()
}

/// Records of the days from the first of May on, about the patients 0 and 1.
async fn write(store: &Store, days: std::ops::Range<usize>, each: usize) {
    for day in days {
        let row = |number: usize| {
            let (id, patient) = (format!("d{day}-{number}"), format!("Patient/{}", number % 2));
            let recorded = format!("2026-05-{:02}T10:00:00.000Z", day + 1);
            let body = format!(
                r#"{{"resourceType":"AuditEvent","id":"{id}","recorded":"{recorded}","outcome":"0","entity":[{{"what":{{"reference":"{patient}"}}}}]}}"#
            );
            AuditRow { id, request: String::new(), recorded, body: body.into_bytes() }
        };
        store.writer().append((0..each).map(row).collect()).await.unwrap();
    }
}

fn removal(before: &str, number: usize) -> Removal {
    Removal {
        before: before.to_owned(),
        rule: "keep = \"5 years\"".to_owned(),
        exported_to: None,
        id: format!("removal-{number}"),
        at: "2031-05-03T00:00:00Z".parse().unwrap(),
        recorder: Arc::new(AuditRecorder::of(
            BusinessIdentifier::new("", "gateway"),
            "https://h.example/fhir",
        )),
    }
}

async fn found(store: &Store, conditions: Vec<TrailCondition>) -> usize {
    let wanted = TrailSearch { conditions, most: 10_000, ..TrailSearch::default() };
    store.search_trail(&wanted).await.unwrap().records.len()
}

fn succeeded() -> TrailCondition {
    let value = TrailValue::is("0", None);
    TrailCondition::Term { parameter: "outcome", values: vec![value], not: false }
}

#[tokio::test]
async fn after_every_step_the_rest_is_proven_and_the_removed_records_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let store = open(&path);
    write(&store, 0..3, 400).await;
    assert_eq!(found(&store, vec![succeeded()]).await, 1_200);
    let before = "2026-05-03T00:00:00";
    // Each step is what a crash between two of them would leave.
    let mut steps = 0;
    for total in [500, 800] {
        assert!(store.removable(before, None).unwrap());
        steps += 1;
        store.remove(removal(before, steps)).await.unwrap();
        let proof = TrailReader::open(&path).unwrap().prove(None, |_| {}).unwrap();
        assert_eq!(proof.broken, None);
        let anchor = proof.began_after.unwrap();
        assert_eq!((anchor.removed.total, anchor.removed.through), (total, total as i64));
        assert_eq!(
            (anchor.removed.rule.as_str(), anchor.at.as_str()),
            ("keep = \"5 years\"", "2031-05-03T00:00:00.000Z")
        );
        assert_eq!(proof.records, 1_200 - total + steps as u64);
        assert_eq!(store.verify_audit().unwrap(), Ok(proof.records));
    }
    assert!(!store.removable(before, None).unwrap());
    assert_eq!(
        found(&store, vec![succeeded()]).await,
        402,
        "those of the third day, and two that say what was removed"
    );
    assert_eq!(found(&store, vec![TrailCondition::patients(["Patient/1"])]).await, 200);
    let left = |sql: &str| store.trail().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let indexed = format!("SELECT count(*) FROM ({}) WHERE seq <= 800", trail_index::having());
    assert_eq!(left(&indexed), 0);
    assert_eq!(left("SELECT min(block) FROM audit_times"), trail_index::block_of(801));
    // The trail goes on from there, over a restart too, and removals grow old themselves.
    drop(store);
    let store = open(&path);
    write(&store, 3..5, 10).await;
    store.remove(removal("2040-01-01T00:00:00", 3)).await.unwrap();
    let anchor = store.anchor().unwrap().unwrap();
    assert_eq!((anchor.removed.total, anchor.removed.count), (1_222, 422));
    let proof = TrailReader::open(&path).unwrap().prove(Some(anchor.removed.hash), |_| {}).unwrap();
    assert_eq!((proof.broken, proof.records, proof.kept_found), (None, 1, Some(true)));
}

#[tokio::test]
async fn a_forged_removal_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let store = open(&path);
    write(&store, 0..2, 20).await;
    store.remove(removal("2026-05-02T00:00:00", 1)).await.unwrap();
    drop(store);
    for (number, (sql, what)) in [
        // Another record goes, and the anchor is moved to hide it.
        (
            "UPDATE audit_anchor SET through = 21, hash = (SELECT hash FROM audit WHERE seq = 21);
             DELETE FROM audit WHERE seq = 21",
            "what the store says of that is not what this record says",
        ),
        ("UPDATE audit_anchor SET total = 3", "is not what this record says"),
        ("UPDATE audit_anchor SET rule = 'keep = \"1 day\"'", "is not what this record says"),
        ("DELETE FROM audit_anchor", "20 record(s) before it were removed"),
        (
            "DELETE FROM audit WHERE seq = (SELECT event FROM audit_anchor)",
            "the record that should say so is missing",
        ),
        ("DELETE FROM audit WHERE seq = 21", "1 record(s) before it were removed"),
    ]
    .into_iter()
    .enumerate()
    {
        let forged = folder.path().join(format!("forged-{number}.sqlite"));
        std::fs::copy(&path, &forged).unwrap();
        Connection::open(&forged).unwrap().execute_batch(sql).unwrap();
        let proof = TrailReader::open(&forged).unwrap().prove(None, |_| {}).unwrap();
        let told = proof.broken.map(|broken| broken.what.to_string()).unwrap_or_default();
        assert!(told.contains(what), "{sql}: {told}");
    }
}

#[tokio::test]
async fn what_still_waits_to_be_exported_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("s.sqlite"));
    write(&store, 0..1, 10).await;
    let (before, place) = ("2026-05-02T00:00:00", "https://arr.example/AuditEvent");
    let waits = || Removal { exported_to: Some(place.to_owned()), ..removal(before, 1) };
    assert!(!store.removable(before, Some(place)).unwrap());
    store.remove(waits()).await.unwrap();
    assert_eq!(store.anchor().unwrap(), None);
    store.exported(place, 4).await.unwrap();
    store.exported(place, 3).await.unwrap();
    assert_eq!(store.exported_to(place).unwrap(), 4, "it never goes back");
    assert!(store.removable(before, Some(place)).unwrap());
    store.remove(waits()).await.unwrap();
    assert_eq!(store.anchor().unwrap().unwrap().removed.through, 4);
    assert!(!store.removable(before, Some(place)).unwrap());
}
