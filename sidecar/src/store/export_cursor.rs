//! How far the trail was exported, by the place that it is exported to.
//!
//! Invariant: every record up to the cursor was taken by that place; the cursor never goes back.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::packed::Unpacked;
use super::{Store, StoreError};

/// Made beside the tables of the first version, whenever a database is opened.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS audit_export (place TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

/// A record as it stands in the trail.
#[derive(Debug, Clone)]
pub struct TrailRecord {
    /// Its number.
    pub seq: i64,
    /// The id of its AuditEvent.
    pub id: String,
    /// When it was recorded, as an RFC 3339 instant in UTC.
    pub recorded: String,
    /// The hash that it carries.
    pub hash: [u8; 32],
    /// The AuditEvent as FHIR JSON.
    pub body: Vec<u8>,
}

pub(super) fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(TABLES)
}

/// The last record that the place took; none where it never took any.
pub(super) fn read(connection: &Connection, place: &str) -> Result<Option<i64>, rusqlite::Error> {
    let mut query = connection.prepare_cached("SELECT seq FROM audit_export WHERE place = ?1")?;
    query.query_row([place], |row| row.get(0)).optional()
}

pub(super) fn write(transaction: &Transaction<'_>, place: &str, seq: i64) -> Result<(), rusqlite::Error> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO audit_export (place, seq) VALUES (?1, ?2)
         ON CONFLICT (place) DO UPDATE SET seq = max(seq, excluded.seq)",
    )?;
    statement.execute(params![place, seq])?;
    Ok(())
}

impl Store {
    /// The last record that `place` took; 0 where it never took any.
    pub fn exported_to(&self, place: &str) -> Result<i64, StoreError> {
        Ok(read(&self.trail(), place)?.unwrap_or(0))
    }

    /// Remembers that `place` took every record up to `seq`. Returns when that is on disk.
    pub async fn exported(&self, place: &str, seq: i64) -> Result<(), StoreError> {
        self.writer().exported(place.to_owned(), seq).await
    }

    /// The number of the last record; 0 where there is none.
    pub fn last_record(&self) -> Result<i64, StoreError> {
        Ok(super::trail_index::last(&self.trail())?)
    }

    /// The records after number `after`, in their order: at most `most`.
    pub fn records_after(&self, after: i64, most: usize) -> Result<Vec<TrailRecord>, StoreError> {
        let connection = self.trail();
        let mut query = connection.prepare_cached(
            "SELECT seq, id, recorded, hash, body FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )?;
        let rows = query.query_map(params![after, i64::try_from(most).unwrap_or(i64::MAX)], |row| {
            Ok(TrailRecord {
                seq: row.get(0)?,
                id: row.get(1)?,
                recorded: row.get(2)?,
                hash: row.get(3)?,
                body: row.get::<_, Unpacked>(4)?.0,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
