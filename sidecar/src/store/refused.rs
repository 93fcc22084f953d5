//! How many requests were refused before their caller was known, by minute, address and cause; a minute that is over
//! becomes records of the trail.
//!
//! Invariants: a request is counted on disk before it is answered, and counted once: what a record says leaves the table
//! in the commit that writes the record. A minute has at most [`MOST`] addresses and causes, and then one more for each
//! cause: whoever has no token can't fill the trail.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};
use uuid::Uuid;
use varco_core::audit::{AuditRecorder, NetworkAddress, RefusedRequests};

use super::appending::{self, Appending};
use super::trail_time::instant;
use super::{AuditRow, Store, StoreError};

/// Most addresses and causes that are told apart in one minute.
pub const MOST: i64 = 100;
/// Most records that one step writes.
const STEP: i64 = 100;

/// Made beside the tables of the first version, whenever a database is opened.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS audit_refused (
        minute INTEGER NOT NULL, address TEXT NOT NULL, cause TEXT NOT NULL, count INTEGER NOT NULL,
        PRIMARY KEY (minute, address, cause)) STRICT, WITHOUT ROWID;
";

/// Requests that were refused alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// The minute that they came in, counted from 1970.
    pub minute: i64,
    /// The IP address that they came from.
    pub address: String,
    /// Why, in a word.
    pub cause: &'static str,
    /// How many.
    pub count: i64,
}

/// Minutes that are over become records.
#[derive(Debug, Clone)]
pub struct ClosedMinutes {
    /// Minutes before this one, counted from 1970.
    pub before: i64,
    /// When it is recorded.
    pub at: Timestamp,
    /// Who was asked, and records.
    pub recorder: Arc<AuditRecorder>,
}

pub(super) fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(TABLES)
}

pub(super) fn add(transaction: &Transaction<'_>, row: &RefusedRow) -> Result<(), rusqlite::Error> {
    let RefusedRow { minute, address, cause, count } = row;
    let mut more = transaction.prepare_cached(
        "UPDATE audit_refused SET count = count + ?4 WHERE minute = ?1 AND address = ?2 AND cause = ?3",
    )?;
    if more.execute(params![minute, address, cause, count])? > 0 {
        return Ok(());
    }
    let mut known = transaction.prepare_cached("SELECT count(*) FROM audit_refused WHERE minute = ?1")?;
    let several = known.query_row([minute], |row| row.get::<_, i64>(0))? >= MOST;
    let address = if several { "" } else { address };
    let mut first = transaction.prepare_cached(
        "INSERT INTO audit_refused (minute, address, cause, count) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET count = count + excluded.count",
    )?;
    first.execute(params![minute, address, cause, count])?;
    Ok(())
}

impl Store {
    /// Counts requests that were refused. Returns when that is on disk.
    pub async fn count_refused(&self, rows: Vec<RefusedRow>) -> Result<(), StoreError> {
        self.writer().count_refused(rows).await
    }

    /// Whether there are counts of minutes before this one.
    pub fn has_refused(&self, before: i64) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM audit_refused WHERE minute < ?1)";
        Ok(self.trail().query_row(sql, [before], |row| row.get(0))?)
    }

    /// Makes records of the counts of minutes that are over: at most 100 of them, in one commit.
    pub async fn close_refused(&self, closed: ClosedMinutes) -> Result<(), StoreError> {
        self.writer().close_refused(closed).await
    }
}

/// One step; gives how many records it appended.
pub(super) fn step(connection: &mut Connection, closed: &ClosedMinutes) -> Result<u64, rusqlite::Error> {
    let transaction = appending::begin(connection)?;
    let rows: Vec<(i64, String, String, i64)> = {
        let mut query = transaction.prepare_cached(
            "SELECT minute, address, cause, count FROM audit_refused WHERE minute < ?1 ORDER BY minute LIMIT ?2",
        )?;
        let rows = query.query_map([closed.before, STEP], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        rows.collect::<Result<_, _>>()?
    };
    let appended = rows.len() as u64;
    let mut trail = Appending::within(&transaction)?;
    for (minute, address, cause, count) in rows {
        let start = |minute: i64| Timestamp::from_second(minute.saturating_mul(60)).unwrap_or(closed.at);
        let id = Uuid::now_v7().to_string();
        let record = RefusedRequests {
            id: id.clone(),
            recorded: closed.at,
            from: start(minute),
            until: start(minute.saturating_add(1)),
            client_address: (!address.is_empty()).then(|| NetworkAddress::Ip(address.clone())),
            cause: cause.clone(),
            count: u64::try_from(count).unwrap_or_default(),
            recorder: closed.recorder.clone(),
        };
        let row = AuditRow {
            id,
            request: String::new(),
            recorded: instant(closed.at),
            body: record.to_fhir_json(),
        };
        trail.append(&row)?;
        transaction.execute(
            "DELETE FROM audit_refused WHERE minute = ?1 AND address = ?2 AND cause = ?3",
            params![minute, address, cause],
        )?;
    }
    drop(trail);
    transaction.commit().map(|()| appended)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use varco_core::consent::Reading;
    use varco_core::requester::BusinessIdentifier;

    use super::*;
    use crate::store::TrailSearch;

    fn closed(before: i64) -> ClosedMinutes {
        ClosedMinutes {
            before,
            at: "2026-05-01T12:00:00Z".parse().unwrap(),
            recorder: Arc::new(AuditRecorder::of(
                BusinessIdentifier::new("", "gateway"),
                "https://h.example/fhir",
            )),
        }
    }

    /// Addresses and counts of the records.
    async fn recorded(store: &Store) -> Vec<(String, i64)> {
        let wanted = TrailSearch { most: 10_000, oldest_first: true, ..TrailSearch::default() };
        let told = |body: &Vec<u8>| {
            let event: serde_json::Value = serde_json::from_slice(body).unwrap();
            let address = event["agent"][0]["network"]["address"].as_str().unwrap_or("several").to_owned();
            (address, event["entity"][0]["detail"][1]["valueString"].as_str().unwrap().parse().unwrap())
        };
        store.search_trail(&wanted).await.unwrap().records.iter().map(told).collect()
    }

    #[tokio::test]
    async fn every_refused_request_is_in_one_record_and_no_flood_makes_more_than_its_share() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sqlite");
        let open =
            || Store::open(&path, Reading { zone: jiff::tz::TimeZone::UTC, bases: Vec::new() }).unwrap();
        let store = open();
        let row = |minute, number: u32, count| RefusedRow {
            minute,
            address: format!("192.0.2.{number}"),
            cause: "expired",
            count,
        };
        store.count_refused(vec![row(7, 1, 2), row(7, 1, 3), row(7, 2, 1)]).await.unwrap();
        drop(store);
        // A restart forgets nothing.
        let store = open();
        store.count_refused(vec![row(7, 1, 1), row(8, 1, 4)]).await.unwrap();
        assert!(!store.has_refused(7).unwrap() && store.has_refused(8).unwrap());
        store.close_refused(closed(8)).await.unwrap();
        assert_eq!(recorded(&store).await, [("192.0.2.1".to_owned(), 6), ("192.0.2.2".to_owned(), 1)]);
        // A flood of addresses: the first hundred are told apart.
        store.count_refused((0..250).map(|number| row(9, number, 2)).collect()).await.unwrap();
        store.count_refused(vec![row(9, 3, 1)]).await.unwrap();
        while store.has_refused(10).unwrap() {
            store.close_refused(closed(10)).await.unwrap();
        }
        let all = recorded(&store).await;
        assert_eq!(all.len(), 2 + 1 + 101);
        assert_eq!(all.iter().map(|(_, count)| count).sum::<i64>(), 7 + 4 + 501);
        assert!(all.contains(&("several".to_owned(), 300)) && all.contains(&("192.0.2.3".to_owned(), 3)));
        assert_eq!(store.verify_audit().unwrap(), Ok(104));
    }
}
