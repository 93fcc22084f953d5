#![allow(clippy::panic, clippy::unwrap_used)]

use varco_core::consent::Reading;

use super::*;
use crate::store::{Store, schema};

fn row(id: &str) -> PackedRow {
    let body = format!("{{\"resourceType\":\"AuditEvent\",\"id\":\"{id}\"}}").into_bytes();
    let (id, request, recorded) = (id.to_owned(), "r".to_owned(), "2026-05-01T10:00:00.000Z".to_owned());
    let packed = pack(&body);
    (AuditRow { id, request, recorded, patients: Vec::new(), body }, packed)
}

fn job(ids: &[&str]) -> Job {
    let work = Work::Audit(ids.iter().map(|id| row(id)).collect(), None, Vec::new());
    Job { work, reply: oneshot::channel().0, home: Handle::current() }
}

#[tokio::test]
async fn nobody_is_refused_because_anothers_statement_failed() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = schema::open(&folder.path().join("s.sqlite")).unwrap();
    let batch = [job(&["a"]), job(&["b", "a"]), job(&["c", "d"]), job(&[])];
    let outcomes = carry_out(&mut connection, &batch, &Counter::noop());
    assert!(matches!(&outcomes[1], Err(StoreError::Database(cause)) if cause.contains("UNIQUE")));
    let appended: Vec<Option<u64>> = outcomes.into_iter().map(Result::ok).collect();
    assert_eq!(appended, [Some(1), None, Some(2), Some(0)]);
    let ids = "SELECT group_concat(id, ' ' ORDER BY seq) FROM audit";
    let ids: String = connection.query_row(ids, [], |row| row.get(0)).unwrap();
    assert_eq!(ids, "a c d", "all of a submission or none of it");
    assert_eq!(schema::verify_chain(&connection).unwrap(), Ok(3));
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
