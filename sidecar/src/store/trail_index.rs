//! The index of the audit trail: the search terms of each record, beside it.
//!
//! It follows the trail instead of being written with it: a request waits for its record alone, and the writer
//! indexes when it has nothing else to do, or when a search asks. Invariant: every record up to the mark is indexed,
//! none after it; mark and terms change in one transaction. A trail from before the index is indexed the same way.

use fhir_models::document::{Limits, OwnedDocument};
use rusqlite::{Connection, Transaction, params};
use varco_core::audit::{TERMS_VERSION, search_terms};

use super::packed::Unpacked;

/// Records indexed in one transaction.
pub(super) const STEP: i64 = 500;

/// Made beside the tables of the first version, whenever a database is opened.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS audit_term (
        parameter TEXT NOT NULL, value TEXT NOT NULL, seq INTEGER NOT NULL, system TEXT NOT NULL,
        PRIMARY KEY (parameter, value, seq, system)) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS audit_indexed (terms INTEGER NOT NULL, seq INTEGER NOT NULL) STRICT;
";

/// Makes the tables where there are none; an index of other terms is begun anew.
pub(super) fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(TABLES)?;
    let found: Vec<i64> = connection
        .prepare("SELECT terms FROM audit_indexed")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if found != [TERMS_VERSION] {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; DROP TABLE IF EXISTS audit_term; DROP TABLE IF EXISTS audit_indexed; {TABLES}
             INSERT INTO audit_indexed (terms, seq) VALUES ({TERMS_VERSION}, 0); COMMIT;"
        ))?;
    }
    Ok(())
}

/// The last record that is indexed.
pub(super) fn indexed(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.prepare_cached("SELECT seq FROM audit_indexed")?.query_row([], |row| row.get(0))
}

/// The last record there is; 0 where there is none.
pub(super) fn last(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.prepare_cached("SELECT coalesce(max(seq), 0) FROM audit")?.query_row([], |row| row.get(0))
}

/// Indexes the next records, at most [`STEP`]; true where none is left.
pub(super) fn step(connection: &mut Connection) -> Result<bool, rusqlite::Error> {
    let transaction = connection.transaction()?;
    let mark = indexed(&transaction)?;
    let mut records = 0;
    let mut reached = mark;
    {
        let mut query =
            transaction.prepare_cached("SELECT seq, body FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
        let mut rows = query.query(params![mark, STEP])?;
        while let Some(row) = rows.next()? {
            let (seq, Unpacked(body)) = (row.get(0)?, row.get(1)?);
            each_term(&transaction, seq, body, true)?;
            (records, reached) = (records + 1, seq);
        }
    }
    if records > 0 {
        transaction.execute("UPDATE audit_indexed SET seq = ?1", [reached])?;
        transaction.commit()?;
    }
    Ok(records < STEP)
}

/// Writes, or takes out, every term of a record. A record that can't be read has none: `verify` names it.
pub(super) fn each_term(
    transaction: &Transaction<'_>,
    seq: i64,
    body: Vec<u8>,
    write: bool,
) -> Result<(), rusqlite::Error> {
    let Ok(document) = OwnedDocument::parse_json(body, &Limits::default()) else { return Ok(()) };
    let sql = if write {
        "INSERT OR IGNORE INTO audit_term (parameter, value, system, seq) VALUES (?1, ?2, ?3, ?4)"
    } else {
        "DELETE FROM audit_term WHERE parameter = ?1 AND value = ?2 AND system = ?3 AND seq = ?4"
    };
    let mut statement = transaction.prepare_cached(sql)?;
    for term in search_terms(document.root()) {
        statement.execute(params![term.parameter, term.value, term.system, seq])?;
    }
    Ok(())
}
