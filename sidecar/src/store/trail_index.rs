//! The index of the audit trail: the search terms of each record, beside it.
//!
//! It follows the trail instead of being written with it: a request waits for its record alone, and the writer
//! indexes when it has nothing else to do, or when a search asks. Invariant: every record up to the mark is indexed,
//! none after it; mark and terms change in one transaction. A trail from before the index is indexed the same way.

use fhir_models::document::{Limits, OwnedDocument};
use rusqlite::{Connection, Transaction, params};
use varco_core::audit::{SearchTerm, TERMS_VERSION, search_terms};

use super::packed::Unpacked;

/// Records indexed in one transaction.
const STEP: i64 = 500;
/// The same, between two commits: so few that a request which comes meanwhile hardly notices. Each costs more then.
const FEW: i64 = 32;
/// Terms that are written before a look at whether somebody came.
const LOOK: usize = 64;

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

/// Indexes the next records, at most [`STEP`]; gives whether none is left.
pub(super) fn step(connection: &mut Connection) -> Result<bool, rusqlite::Error> {
    index(connection, STEP, || false)
}

/// How many records are not indexed; 0 where that can't be told, since the search that asks is told why.
pub(super) fn behind(connection: &Connection) -> u64 {
    let behind = last(connection).and_then(|last| Ok(last - indexed(connection)?));
    behind.ok().and_then(|behind| u64::try_from(behind).ok()).unwrap_or_default()
}

/// Indexes a few of so many records that are not; gives how many are left.
pub(super) fn few(connection: &mut Connection, behind: u64) -> u64 {
    left(behind, FEW, index(connection, FEW, || false))
}

/// A step for as long as nobody came: whoever does finds the writer free, and the step is begun anew later.
pub(super) fn unless_called(connection: &mut Connection, behind: u64, called: impl Fn() -> bool) -> u64 {
    let stepped = index(connection, STEP, &called);
    if called() { behind.max(1) } else { left(behind, STEP, stepped) }
}

/// What fails is told to the search that asks.
fn left(behind: u64, tried: i64, indexed: Result<bool, rusqlite::Error>) -> u64 {
    match indexed {
        Ok(false) => behind.saturating_sub(tried.unsigned_abs()).max(1),
        Ok(true) | Err(_) => 0,
    }
}

/// Indexes the next records, at most so many; gives whether none is left. Nothing is done where somebody calls.
fn index(connection: &mut Connection, most: i64, called: impl Fn() -> bool) -> Result<bool, rusqlite::Error> {
    let transaction = connection.transaction()?;
    let mut reached = indexed(&transaction)?;
    let mut records = 0;
    let mut found: Vec<(SearchTerm, i64)> = Vec::new();
    {
        let mut query =
            transaction.prepare_cached("SELECT seq, body FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
        let mut rows = query.query(params![reached, most])?;
        while let Some(row) = rows.next()? {
            let (seq, Unpacked(body)) = (row.get(0)?, row.get(1)?);
            found.extend(terms_of(body).into_iter().map(|term| (term, seq)));
            (records, reached) = (records + 1, seq);
            if called() {
                return Ok(false);
            }
        }
    }
    if records > 0 {
        // In the order of the table: what stands side by side there is written one after the other.
        found.sort_unstable_by(|(one, first), (other, second)| {
            let of_one = (one.parameter, &one.value, first, &one.system);
            of_one.cmp(&(other.parameter, &other.value, second, &other.system))
        });
        let sql = "INSERT OR IGNORE INTO audit_term (parameter, value, system, seq) VALUES (?1, ?2, ?3, ?4)";
        for some in found.chunks(LOOK) {
            each(&transaction, sql, some.iter().map(|(term, seq)| (term, *seq)))?;
            if called() {
                return Ok(false);
            }
        }
        transaction.execute("UPDATE audit_indexed SET seq = ?1", [reached])?;
        transaction.commit()?;
    }
    Ok(records < most)
}

/// Takes out every term of a record.
pub(super) fn forget(transaction: &Transaction<'_>, seq: i64, body: Vec<u8>) -> Result<(), rusqlite::Error> {
    let sql = "DELETE FROM audit_term WHERE parameter = ?1 AND value = ?2 AND system = ?3 AND seq = ?4";
    each(transaction, sql, terms_of(body).iter().map(|term| (term, seq)))
}

/// A record's terms. One that can't be read has none: `verify` names it.
fn terms_of(body: Vec<u8>) -> Vec<SearchTerm> {
    OwnedDocument::parse_json(body, &Limits::default())
        .map(|document| search_terms(document.root()))
        .unwrap_or_default()
}

fn each<'t>(
    transaction: &Transaction<'_>,
    sql: &str,
    terms: impl Iterator<Item = (&'t SearchTerm, i64)>,
) -> Result<(), rusqlite::Error> {
    let mut statement = transaction.prepare_cached(sql)?;
    for (term, seq) in terms {
        statement.execute(params![term.parameter, term.value, term.system, seq])?;
    }
    Ok(())
}
