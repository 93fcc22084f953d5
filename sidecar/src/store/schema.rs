//! The tables, and how a database is opened.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use varco_core::audit::chain::RecordHash;

use super::packed::Unpacked;
use super::{StoreError, export_cursor, outbox, quota, received, refused, retention, review, trail_index};

/// How long a connection waits for another that writes.
pub(super) const OTHERS: Duration = Duration::from_secs(5);

/// The version of the tables below, kept in `PRAGMA user_version`.
const VERSION: i64 = 1;

const TABLES: &str = "
    CREATE TABLE consent (
        id TEXT PRIMARY KEY, version INTEGER NOT NULL, patient TEXT NOT NULL,
        updated TEXT NOT NULL, body BLOB NOT NULL) STRICT;
    CREATE INDEX consent_patient ON consent (patient);
    CREATE TABLE audit (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, request TEXT NOT NULL, recorded TEXT NOT NULL,
        hash BLOB NOT NULL, body BLOB NOT NULL) STRICT;
";

/// Made beside the tables of the first version, whenever a database is opened. Most requests have the id of their record:
/// those are found by that. A store from before has an index of all.
const REQUESTS: &str = "
    DROP INDEX IF EXISTS audit_request;
    CREATE INDEX IF NOT EXISTS audit_request_of_its_own ON audit (request) WHERE request <> id;
";

/// Opens the file, with settings under which a committed transaction survives a crash and a power cut.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let refuse = |cause: String| StoreError::Open { path: path.to_owned(), cause };
    let (connection, version) = prepare(path).map_err(|error| refuse(error.to_string()))?;
    if version == VERSION {
        Ok(connection)
    } else {
        Err(refuse(format!("its tables are of version {version}; this program knows version {VERSION}")))
    }
}

/// The connection, and the version of its tables: made now if the file is new.
fn prepare(path: &Path) -> Result<(Connection, i64), rusqlite::Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(OTHERS)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What is deleted is overwritten: old records and documents that were sent are nowhere in the file (`residue`).
    connection.pragma_update(None, "secure_delete", "ON")?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 {
        connection
            .execute_batch(&format!("BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;"))?;
    }
    if matches!(version, 0 | VERSION) {
        connection.execute_batch(REQUESTS)?;
        received::prepare(&connection)?;
        outbox::prepare(&connection)?;
        review::prepare(&connection)?;
        trail_index::prepare(&connection)?;
        retention::prepare(&connection)?;
        export_cursor::prepare(&connection)?;
        refused::prepare(&connection)?;
        quota::prepare(&connection)?;
        return Ok((connection, VERSION));
    }
    Ok((connection, version))
}

/// The condition that a record is of one of so many requests.
pub(super) fn of_requests(count: usize) -> String {
    let any = vec!["?"; count].join(", ");
    format!(
        "seq IN (SELECT seq FROM audit WHERE id IN ({any}) AND request = id
         UNION ALL SELECT seq FROM audit WHERE request IN ({any}) AND request <> id)"
    )
}

/// Checks every link that is left: the number of records, or the sequence number of the first record that is broken.
pub(super) fn verify_chain(connection: &Connection) -> Result<Result<u64, i64>, StoreError> {
    let mut query = connection.prepare("SELECT seq, hash, body FROM audit ORDER BY seq")?;
    let mut rows = query.query([])?;
    let anchor = retention::anchor(connection)?;
    let mut previous = anchor.map_or(RecordHash::GENESIS, |anchor| anchor.removed.hash);
    let mut count = 0;
    while let Some(row) = rows.next()? {
        let (seq, hash, Unpacked(body)): (i64, [u8; 32], Unpacked) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let expected = previous.of_next(&body);
        if hash != expected.0 {
            return Ok(Err(seq));
        }
        previous = expected;
        count += 1;
    }
    Ok(Ok(count))
}
