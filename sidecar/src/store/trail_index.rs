//! The index of the audit trail: which records have a search term, beside them.
//!
//! It follows the trail instead of being written with it: a request waits for its record alone, and the writer
//! indexes when it has nothing else to do, or when a search asks. Invariant: every record up to the mark is indexed,
//! none after it; mark and terms change in one transaction. A trail from before the index is indexed the same way.
//!
//! Most terms are those of nearly every record: a row says for one term which records of a [`BLOCK`] have it, by their
//! places there, as in `0,1,5`.

use std::collections::HashMap;

use fhir_models::document::{Limits, OwnedDocument};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use varco_core::audit::{SearchTerm, TERMS_VERSION, search_terms};

use super::packed::Unpacked;

/// Records indexed in one transaction.
const STEP: i64 = 500;
/// The same, between two commits: so few that a request which comes meanwhile hardly notices. Each costs more then.
const FEW: i64 = 32;
/// Rows that are written before a look at whether somebody came.
const LOOK: usize = 64;
/// Records whose places one row tells: those with the same number divided by this.
const BLOCK: i64 = 128;
/// The version of the terms, and of the tables that they are in.
pub(super) const VERSION: i64 = TERMS_VERSION * 100 + 2;

/// Made beside the tables of the first version, whenever a database is opened.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS audit_posting (
        parameter TEXT NOT NULL, value TEXT NOT NULL, block INTEGER NOT NULL, system TEXT NOT NULL,
        places TEXT NOT NULL, PRIMARY KEY (parameter, value, block, system)) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS audit_indexed (terms INTEGER NOT NULL, seq INTEGER NOT NULL) STRICT;
";

/// Makes the tables where there are none; an index of another version is begun anew. The first had a row for each record.
pub(super) fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(TABLES)?;
    let found: Vec<i64> = connection
        .prepare("SELECT terms FROM audit_indexed")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if found != [VERSION] {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; DROP TABLE IF EXISTS audit_term; DROP TABLE IF EXISTS audit_posting;
             DROP TABLE IF EXISTS audit_indexed; {TABLES}
             INSERT INTO audit_indexed (terms, seq) VALUES ({VERSION}, 0); COMMIT;"
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

/// The query for the numbers (`seq`) of records that have a term, by the columns `parameter`, `audit_posting.value`, `block`
/// ([`block_of`]) and `system`.
pub(super) fn having() -> String {
    format!(
        "SELECT block * {BLOCK} + place.value AS seq FROM audit_posting, json_each('[' || places || ']') AS place"
    )
}

/// The block that a record is in.
pub(super) fn block_of(seq: i64) -> i64 {
    seq.div_euclid(BLOCK)
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
    let mut found = Found::default();
    {
        let mut query =
            transaction.prepare_cached("SELECT seq, body FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
        let mut rows = query.query(params![reached, most])?;
        while let Some(row) = rows.next()? {
            let (seq, Unpacked(body)) = (row.get(0)?, row.get(1)?);
            found.add(seq, body);
            (records, reached) = (records + 1, seq);
            if called() {
                return Ok(false);
            }
        }
    }
    if records > 0 {
        let rows = found.rows();
        let mut statement = transaction.prepare_cached(
            "INSERT INTO audit_posting (parameter, value, block, system, places) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (parameter, value, block, system) DO UPDATE SET places = places || ',' || excluded.places",
        )?;
        for some in rows.chunks(LOOK) {
            for Posting { term, block, places } in some {
                statement.execute(params![term.parameter, term.value, block, term.system, joined(places)])?;
            }
            if called() {
                return Ok(false);
            }
        }
        drop(statement);
        transaction.execute("UPDATE audit_indexed SET seq = ?1", [reached])?;
        transaction.commit()?;
    }
    Ok(records < most)
}

/// Takes out every term of these records.
pub(super) fn forget(
    transaction: &Transaction<'_>,
    records: impl Iterator<Item = (i64, Vec<u8>)>,
) -> Result<(), rusqlite::Error> {
    let mut found = Found::default();
    records.for_each(|(seq, body)| found.add(seq, body));
    let row = "parameter = ?1 AND value = ?2 AND block = ?3 AND system = ?4";
    let mut read = transaction.prepare_cached(&format!("SELECT places FROM audit_posting WHERE {row}"))?;
    let mut delete = transaction.prepare_cached(&format!("DELETE FROM audit_posting WHERE {row}"))?;
    let mut write =
        transaction.prepare_cached(&format!("UPDATE audit_posting SET places = ?5 WHERE {row}"))?;
    for Posting { term, block, places: gone } in found.rows() {
        let key = (term.parameter, &term.value, block, &term.system);
        let Some(all) = read.query_row(key, |row| row.get::<_, String>(0)).optional()? else { continue };
        let is_left = |place: &i64| !gone.contains(place);
        let left: Vec<i64> = all.split(',').filter_map(|place| place.parse().ok()).filter(is_left).collect();
        match left.is_empty() {
            true => delete.execute(key)?,
            false => write.execute((key.0, key.1, key.2, key.3, joined(&left)))?,
        };
    }
    Ok(())
}

/// The terms of some records, each with the records that have it, by rising number.
#[derive(Default)]
struct Found(HashMap<SearchTerm, Vec<i64>>);

/// A row of the index.
struct Posting<'f> {
    term: &'f SearchTerm,
    block: i64,
    places: Vec<i64>,
}

impl Found {
    /// One that can't be read has no terms: `verify` names it.
    fn add(&mut self, seq: i64, body: Vec<u8>) {
        let Ok(document) = OwnedDocument::parse_json(body, &Limits::default()) else { return };
        for term in search_terms(document.root()) {
            let records = self.0.entry(term).or_default();
            if records.last() != Some(&seq) {
                records.push(seq);
            }
        }
    }

    /// In the order of the table: what stands side by side there is written one after the other.
    fn rows(&self) -> Vec<Posting<'_>> {
        let mut rows = Vec::with_capacity(self.0.len());
        for (term, records) in &self.0 {
            for some in records.chunk_by(|one, other| block_of(*one) == block_of(*other)) {
                let places = some.iter().map(|seq| seq.rem_euclid(BLOCK)).collect();
                rows.push(Posting { term, block: some.first().map_or(0, |seq| block_of(*seq)), places });
            }
        }
        rows.sort_unstable_by(|one: &Posting<'_>, other| {
            let of_one = (one.term.parameter, &one.term.value, one.block, &one.term.system);
            of_one.cmp(&(other.term.parameter, &other.term.value, other.block, &other.term.system))
        });
        rows
    }
}

fn joined(places: &[i64]) -> String {
    let places: Vec<String> = places.iter().map(i64::to_string).collect();
    places.join(",")
}
