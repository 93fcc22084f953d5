#![allow(clippy::panic, clippy::unwrap_used)]

use varco_core::audit::{AuditOutcome, AuditProcessing, AuditRecorder, AuditedEvent, NetworkAddress};
use varco_core::consent::Reading;
use varco_core::requester::{BusinessIdentifier, Requester};

use std::sync::Arc;

use metrics::Counter;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::*;
use crate::store::packed::{Unpacked, pack};
use crate::store::work::PackedRow;
use crate::store::{Store, schema};

/// A read that was answered.
pub(in crate::store) fn record(id: &str) -> AuditRecord {
    AuditRecord {
        id: id.to_owned(),
        recorded: "2026-05-01T12:00:00Z".parse().unwrap(),
        event: AuditedEvent::Read,
        outcome: AuditOutcome::Success,
        outcome_description: None,
        requester: Arc::new(Requester::default()),
        token_id: None,
        client_address: NetworkAddress::Ip("192.0.2.7".to_owned()),
        recorder: Arc::new(AuditRecorder::of(
            BusinessIdentifier::new("urn:test", "h"),
            "https://h.test/fhir",
        )),
        patients: Vec::new(),
        resources: Vec::new(),
        query: None,
        request_id: Some(format!("request-{id}")),
        consents: Vec::new(),
        processing: AuditProcessing::default(),
    }
}

fn row(id: &str) -> PackedRow {
    let body = format!("{{\"resourceType\":\"AuditEvent\",\"id\":\"{id}\"}}").into_bytes();
    let (id, request, recorded) = (id.to_owned(), "r".to_owned(), "2026-05-01T10:00:00.000Z".to_owned());
    let packed = pack(&body);
    (AuditRow { id, request, recorded, body }, packed)
}

fn job(ids: &[&str]) -> Job {
    let rows = ids.iter().map(|id| row(id)).collect();
    let work = Work::Audit { records: Vec::new(), rows, received: None, uses: Vec::new() };
    Job { work, reply: oneshot::channel().0, home: Handle::current(), urgent: false }
}

#[tokio::test]
async fn nobody_is_refused_because_anothers_statement_failed() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = schema::open(&folder.path().join("s.sqlite")).unwrap();
    let batch = [job(&["a"]), job(&["b", "a"]), job(&["c", "d"]), job(&[])];
    let batch: Vec<&Work> = batch.iter().map(|job| &job.work).collect();
    let outcomes = carry_out(&mut connection, &mut Ahead::default(), &batch, &Counter::noop());
    assert!(matches!(&outcomes[1], Err(StoreError::Database(cause)) if cause.contains("UNIQUE")));
    let appended: Vec<Option<u64>> =
        outcomes.into_iter().map(|own| own.ok().map(|own| own.records)).collect();
    assert_eq!(appended, [Some(1), None, Some(2), Some(0)]);
    let ids = "SELECT group_concat(id, ' ' ORDER BY seq) FROM audit";
    let ids: String = connection.query_row(ids, [], |row| row.get(0)).unwrap();
    assert_eq!(ids, "a c d", "all of a submission or none of it");
    assert_eq!(schema::verify_chain(&connection).unwrap(), Ok(3));
}

#[tokio::test]
async fn records_are_written_out_where_they_are_committed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let store = Store::open(&path, Reading::default()).unwrap();
    let (a, b) = (record("a"), record("b"));
    store.writer().append_reviewed(vec![a.clone(), b.clone()], Vec::new()).await.unwrap();
    store.writer().append_at_once(vec![record("c")], Vec::new()).await.unwrap();
    let again = store.writer().append_reviewed(vec![record("d"), record("a")], Vec::new()).await;
    assert!(matches!(again, Err(StoreError::Database(_))), "none of them, since one is there already");
    assert_eq!(store.verify_audit().unwrap(), Ok(3));
    let connection = schema::open(&path).unwrap();
    let kept: Vec<(String, String, Vec<u8>)> = connection
        .prepare("SELECT id, request, body FROM audit ORDER BY seq")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, Unpacked>(2)?.0)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(kept.iter().map(|own| own.0.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!((&*kept[1].1, &kept[1].2), ("request-b", &b.to_fhir_json()));
}

#[tokio::test]
async fn a_fault_in_writing_out_refuses_the_one_job() {
    let (reply, answer) = oneshot::channel();
    let faulty = Job { reply, ..job(&["a"]) }.written_out(|_| panic!("a fault"));
    assert!(faulty.is_none());
    assert!(matches!(answer.await, Ok(Err(StoreError::Unwritable))));
    assert!(job(&["b"]).written_out(Work::make_rows).is_some());
}

#[tokio::test]
async fn a_gateway_that_is_never_at_rest_indexes_its_trail_too() {
    let folder = tempfile::tempdir().unwrap();
    let reading = Reading { zone: jiff::tz::TimeZone::UTC, bases: Vec::new() };
    let store = Store::open(&folder.path().join("s.sqlite"), reading).unwrap();
    let reader = schema::open(&folder.path().join("s.sqlite")).unwrap();
    let append = async |from: u64, count: u64| {
        let rows = (from..from + count).map(|number| row(&number.to_string()).0).collect();
        store.writer().append(rows).await.unwrap();
    };
    append(0, MOST_BEHIND).await;
    append(MOST_BEHIND, 1_000).await;
    for number in 0..10_000 {
        if trail_index::behind(&reader) <= MOST_BEHIND {
            return;
        }
        append(MOST_BEHIND + 1_000 + number, 1).await;
    }
    panic!("{} records are not indexed", trail_index::behind(&reader));
}
