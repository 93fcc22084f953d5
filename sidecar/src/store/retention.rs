//! Old records are removed from the beginning of the trail, a bounded step at a time, when the writer has nothing else
//! to do.
//!
//! Invariants: one step is one commit that takes out the records with all that they are found by, appends the event that
//! says so, and sets the anchor that the rest is proven from; after a crash between two steps the trail is whole. Only
//! what is older than the rule says goes, in the order it was written, and never what still waits to be exported.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use varco_core::audit::chain::RecordHash;
use varco_core::audit::{AuditRecorder, RemovalEvent, Removed};

use super::appending::{self, Appending};
use super::packed::Unpacked;
use super::trail_time::instant;
use super::{AuditRow, Store, StoreError, trail_index};

/// Most records that one step removes.
const STEP: i64 = 500;

/// Made beside the tables of the first version, whenever a database is opened.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS audit_anchor (
        through INTEGER PRIMARY KEY, hash BLOB NOT NULL, first INTEGER NOT NULL, removed INTEGER NOT NULL,
        total INTEGER NOT NULL, at TEXT NOT NULL, rule TEXT NOT NULL, event INTEGER NOT NULL) STRICT;
";

/// One step of removal: what may go, and who says so.
#[derive(Debug, Clone)]
pub struct Removal {
    /// Records of before this instant: RFC 3339 in UTC without the `Z`.
    pub before: String,
    /// The rule, as the configuration has it.
    pub rule: String,
    /// Where records must have been exported to before they go.
    pub exported_to: Option<String>,
    /// The id of the event that records the removal.
    pub id: String,
    /// When it is recorded.
    pub at: Timestamp,
    /// Who records it.
    pub recorder: Arc<AuditRecorder>,
}

/// Where the trail begins since records were removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// What was removed last.
    pub removed: Removed,
    /// When, as an RFC 3339 instant in UTC.
    pub at: String,
    /// The number of the event that says so.
    pub event: i64,
}

pub(super) fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(TABLES)
}

/// The last anchor; none where nothing was ever removed, or the store is from before there were any.
pub(super) fn anchor(connection: &Connection) -> Result<Option<Anchor>, rusqlite::Error> {
    let table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'audit_anchor'";
    if connection.query_row(table, [], |_| Ok(())).optional()?.is_none() {
        return Ok(None);
    }
    let last = "SELECT first, through, hash, removed, total, rule, at, event FROM audit_anchor
                ORDER BY through DESC LIMIT 1";
    connection
        .query_row(last, [], |row| {
            let removed = Removed {
                first: row.get(0)?,
                through: row.get(1)?,
                // A hash of another length is none of ours: the record after it then fails its proof.
                hash: RecordHash(row.get::<_, Vec<u8>>(2)?.try_into().unwrap_or_default()),
                count: row.get::<_, i64>(3)?.try_into().unwrap_or_default(),
                total: row.get::<_, i64>(4)?.try_into().unwrap_or_default(),
                rule: row.get(5)?,
            };
            Ok(Anchor { removed, at: row.get(6)?, event: row.get(7)? })
        })
        .optional()
}

impl Store {
    /// Whether any record may be removed: older than `before`, and exported where that is asked for.
    pub fn removable(&self, before: &str, exported_to: Option<&str>) -> Result<bool, StoreError> {
        let connection = self.trail();
        let first = "SELECT seq, recorded FROM audit ORDER BY seq LIMIT 1";
        let first: Option<(i64, String)> =
            connection.query_row(first, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let bound = may_reach(&connection, exported_to)?;
        Ok(first.is_some_and(|(seq, recorded)| seq <= bound && recorded.as_str() < before))
    }

    /// Removes the oldest records that may go, at most 500 of them, in one commit.
    pub async fn remove(&self, removal: Removal) -> Result<(), StoreError> {
        self.writer().remove(removal).await
    }

    /// Where the trail begins since records were removed.
    pub fn anchor(&self) -> Result<Option<Anchor>, StoreError> {
        Ok(anchor(&self.trail())?)
    }
}

/// The last record that may go as far as exporting is concerned.
fn may_reach(connection: &Connection, exported_to: Option<&str>) -> Result<i64, rusqlite::Error> {
    match exported_to {
        None => Ok(i64::MAX),
        Some(place) => super::export_cursor::read(connection, place).map(|seq| seq.unwrap_or(0)),
    }
}

/// One step; gives how many records it appended.
pub(super) fn step(connection: &mut Connection, removal: &Removal) -> Result<u64, rusqlite::Error> {
    let transaction = appending::begin(connection)?;
    let bound = may_reach(&transaction, removal.exported_to.as_deref())?;
    let old: Vec<(i64, [u8; 32], Unpacked)> = {
        let mut query = transaction
            .prepare_cached("SELECT seq, hash, body, recorded FROM audit ORDER BY seq LIMIT ?1")?;
        let rows = query
            .query_map([STEP], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, String>(3)?)))?;
        let rows = rows.collect::<Result<Vec<_>, _>>()?.into_iter();
        rows.take_while(|(seq, _, _, recorded)| *seq <= bound && *recorded < removal.before)
            .map(|(seq, hash, body, _)| (seq, hash, body))
            .collect()
    };
    let (Some((first, ..)), Some((through, hash, _))) = (old.first(), old.last()) else { return Ok(0) };
    let before = anchor(&transaction)?.map_or(0, |anchor| anchor.removed.total);
    let count = old.len() as u64;
    let removed = Removed {
        first: *first,
        through: *through,
        hash: RecordHash(*hash),
        count,
        total: before.saturating_add(count),
        rule: removal.rule.clone(),
    };
    let (first, through) = (*first, *through);
    let (id, at) = (removal.id.clone(), instant(removal.at));
    let event = RemovalEvent {
        id: id.clone(),
        recorded: removal.at,
        recorder: removal.recorder.clone(),
        removed: removed.clone(),
    };
    let body = event.to_fhir_json();
    let row = AuditRow { id, request: String::new(), recorded: at.clone(), body };
    let event = Appending::within(&transaction)?.append(&row)?;
    // A store from before had the patients of its records in a table.
    transaction.execute_batch("DROP TABLE IF EXISTS audit_patient")?;
    trail_index::forget(&transaction, old.into_iter().map(|(seq, _, Unpacked(body))| (seq, body)))?;
    transaction.execute("DELETE FROM audit WHERE seq BETWEEN ?1 AND ?2", [first, through])?;
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    transaction.execute(
        "INSERT INTO audit_anchor (through, hash, first, removed, total, at, rule, event)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            through,
            removed.hash.0,
            first,
            number(removed.count),
            number(removed.total),
            at,
            removed.rule,
            event
        ],
    )?;
    transaction.commit().map(|()| 1)
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
