//! The index of the audit trail: which records have a search term, and of what time they are, beside them.
//!
//! It follows the trail instead of being written with it: a request waits for its record alone, and the writer
//! indexes when it has nothing else to do, or when a search asks. Invariant: every record up to the mark is indexed,
//! none after it; mark and terms change in one transaction. A trail from before the index is indexed the same way.
//!
//! Most terms are those of nearly every record: a row says for one term which records of a [`BLOCK`] have it, by their
//! places there, as in `0,1,5`. Of its times a row says the first and the last. The writer keeps the terms of what it
//! appends ([`Ahead`]); other records are read for them.

use std::borrow::Cow;

use fhir_models::document::{Limits, OwnedDocument};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Transaction, params, params_from_iter};
use varco_core::audit::{TERMS_VERSION, search_terms};

use super::packed::Unpacked;
pub(super) use super::postings::{Ahead, block_of};
use super::postings::{BLOCK, Postings};
use super::trail_time::instant;

/// Blocks indexed in one transaction.
const STEP: usize = 4;
/// The version of the terms, and of the tables that they are in.
pub(super) const VERSION: i64 = TERMS_VERSION * 100 + 3;

/// Made beside the tables of the first version, whenever a database is opened.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS audit_posting (
        parameter TEXT NOT NULL, value TEXT NOT NULL, block INTEGER NOT NULL, system TEXT NOT NULL,
        places TEXT NOT NULL, PRIMARY KEY (parameter, value, block, system)) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS audit_times (
        block INTEGER PRIMARY KEY, first TEXT NOT NULL, last TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS audit_indexed (terms INTEGER NOT NULL, seq INTEGER NOT NULL) STRICT;
";

/// Makes the tables where there are none; an index of another version is begun anew. The first had a row for each record,
/// the second an entry for each time.
pub(super) fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(TABLES)?;
    let found: Vec<i64> = connection
        .prepare("SELECT terms FROM audit_indexed")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if found != [VERSION] {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; DROP TABLE IF EXISTS audit_term; DROP INDEX IF EXISTS audit_recorded;
             DROP TABLE IF EXISTS audit_posting; DROP TABLE IF EXISTS audit_times; DROP TABLE IF EXISTS audit_indexed;
             {TABLES}
             INSERT INTO audit_indexed (terms, seq) VALUES ({VERSION}, 0); COMMIT;"
        ))?;
    }
    Ok(())
}

/// The last record that is indexed, in a store that may be from before; 0 where it has no index of this version.
pub(super) fn reached(connection: &Connection) -> Result<i64, rusqlite::Error> {
    let table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'audit_indexed'";
    if connection.query_row(table, [], |_| Ok(())).optional()?.is_none() {
        return Ok(0);
    }
    let mark = "SELECT seq FROM audit_indexed WHERE terms = ?1";
    Ok(connection.query_row(mark, [VERSION], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// The first and the last number that a record may have whose block meets a condition on its times (`first` and `last`), by
/// what is indexed; a higher number where none does.
pub(super) fn blocks_of_time(
    connection: &Connection,
    condition: &str,
    values: Vec<Sql>,
) -> Result<(i64, i64), rusqlite::Error> {
    let indexed = reached(connection)?;
    if indexed == 0 {
        return Ok((0, i64::MAX));
    }
    let sql = format!("SELECT min(block), max(block) FROM audit_times WHERE {condition}");
    let (first, last): (Option<i64>, Option<i64>) = connection
        .prepare_cached(&sql)?
        .query_row(params_from_iter(values), |row| Ok((row.get(0)?, row.get(1)?)))?;
    // What is not indexed may be of any time.
    let rest = self::last(connection)? > indexed;
    let low = first.map_or(indexed.saturating_add(1), |block| block.saturating_mul(BLOCK));
    let high =
        last.filter(|_| !rest).map_or(i64::MAX, |block| block.saturating_add(1).saturating_mul(BLOCK) - 1);
    Ok((low, high))
}

/// The last record that is indexed. An error where the process that takes over began an index of another version: this one
/// leaves that alone.
pub(super) fn indexed(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection
        .prepare_cached("SELECT seq FROM audit_indexed WHERE terms = ?1")?
        .query_row([VERSION], |row| row.get(0))
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

/// How many records are not indexed; 0 where that can't be told, since the search that asks is told why.
pub(super) fn behind(connection: &Connection) -> u64 {
    left(indexed(connection).and_then(|reached| Ok(last(connection)? - reached)))
}

/// Indexes the next records, between two commits; gives how many are left.
pub(super) fn next(connection: &mut Connection, ahead: &mut Ahead) -> u64 {
    left(step(connection, ahead, || false))
}

/// The same for as long as nobody came: whoever does finds the writer free, and the step is begun anew later.
pub(super) fn unless_called(
    connection: &mut Connection,
    ahead: &mut Ahead,
    called: impl Fn() -> bool,
) -> u64 {
    left(step(connection, ahead, called))
}

/// What fails is told to the search that asks.
fn left(left: Result<i64, rusqlite::Error>) -> u64 {
    left.ok().and_then(|left| u64::try_from(left).ok()).unwrap_or_default()
}

/// Indexes the next records, those of [`STEP`] blocks at most; gives how many are left. Nothing is done where somebody calls.
pub(super) fn step(
    connection: &mut Connection,
    ahead: &mut Ahead,
    called: impl Fn() -> bool,
) -> Result<i64, rusqlite::Error> {
    let transaction = connection.transaction()?;
    let (before, last) = (indexed(&transaction)?, last(&transaction)?);
    ahead.drop_through(before);
    let (mut reached, mut known) = (before, 0);
    let mut found: Vec<(Cow<'_, Postings>, i64)> = Vec::with_capacity(STEP);
    while reached < last && found.len() < STEP {
        let from = reached + 1;
        match ahead.after(known) {
            Some(next) if next.first() <= from => {
                (reached, known) = (next.last(), known + 1);
                found.push((Cow::Borrowed(next), from));
            }
            next => {
                let until = next.map_or(last, |next| next.first() - 1);
                let Some(read) = read(&transaction, reached, until, &called)? else {
                    return Ok(last - before);
                };
                // Where there is none, it was removed.
                reached = if read.is_empty() { until } else { read.last() };
                found.push((Cow::Owned(read), from));
            }
        }
    }
    write(&transaction, &found)?;
    if called() {
        return Ok(last - before);
    }
    if reached > before {
        transaction.execute("UPDATE audit_indexed SET seq = ?1", [reached])?;
        transaction.commit()?;
    }
    drop(found);
    ahead.drop_through(reached);
    Ok(last - reached)
}

/// The terms of the records after this one and up to that one, as far as they are of one block; `None` where somebody calls.
fn read(
    transaction: &Transaction<'_>,
    after: i64,
    until: i64,
    called: impl Fn() -> bool,
) -> Result<Option<Postings>, rusqlite::Error> {
    let mut query = transaction.prepare_cached(
        "SELECT seq, body, recorded FROM audit WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
    )?;
    let mut rows = query.query(params![after, until, BLOCK])?;
    let mut postings: Option<Postings> = None;
    while let Some(row) = rows.next()? {
        let (seq, Unpacked(body), recorded) = (row.get(0)?, row.get(1)?, row.get::<_, String>(2)?);
        let postings = postings.get_or_insert_with(|| Postings::beginning_with(seq));
        if block_of(seq) != postings.block() {
            break;
        }
        // One that is no time was put there by others: `verify` names it.
        postings.begin(seq, recorded.parse().ok());
        add(postings, seq, body);
        if called() {
            return Ok(None);
        }
    }
    Ok(Some(postings.unwrap_or_else(|| Postings::beginning_with(after + 1))))
}

/// Takes the terms of a record. One that can't be read has none: `verify` names it.
fn add(postings: &mut Postings, seq: i64, body: Vec<u8>) {
    let Ok(document) = OwnedDocument::parse_json(body, &Limits::default()) else { return };
    for term in search_terms(document.root()) {
        postings.add(seq, term.parameter, &term.value, &term.system);
    }
}

/// Writes the rows of records that are still there, each block's from one of them on. In the order of the table: what stands
/// side by side there is written one after the other.
fn write<'f>(
    transaction: &Transaction<'_>,
    found: &'f [(Cow<'_, Postings>, i64)],
) -> Result<(), rusqlite::Error> {
    let first: Option<i64> =
        transaction.prepare_cached("SELECT min(seq) FROM audit")?.query_row([], |row| row.get(0))?;
    let mut times = transaction.prepare_cached(
        "INSERT INTO audit_times (block, first, last) VALUES (?1, ?2, ?3)
         ON CONFLICT (block) DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)",
    )?;
    for (own, _) in found.iter().filter(|(own, _)| first.is_some_and(|first| first <= own.last())) {
        if let Some((first, last)) = own.times() {
            times.execute(params![own.block(), instant(first), instant(last)])?;
        }
    }
    let of = |(own, from): &'f (Cow<'_, Postings>, i64)| {
        own.terms(first.unwrap_or(i64::MAX).max(*from)).map(|(term, places)| (term, own.block(), places))
    };
    let mut rows: Vec<_> = found.iter().flat_map(of).collect();
    rows.sort_unstable_by(|(one, in_one, _), (other, in_other, _)| {
        (one.parameter, &one.value, in_one, &one.system).cmp(&(
            other.parameter,
            &other.value,
            in_other,
            &other.system,
        ))
    });
    let mut statement = transaction.prepare_cached(
        "INSERT INTO audit_posting (parameter, value, block, system, places) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (parameter, value, block, system) DO UPDATE SET places = places || ',' || excluded.places",
    )?;
    let mut text = String::new();
    for (term, block, places) in rows {
        joined(places, &mut text);
        statement.execute(params![term.parameter, term.value, block, term.system, text])?;
    }
    Ok(())
}

/// Takes out every term of these records, which are the first of the trail, and the times of blocks that none is left of.
pub(super) fn forget(
    transaction: &Transaction<'_>,
    records: impl Iterator<Item = (i64, Vec<u8>)>,
) -> Result<(), rusqlite::Error> {
    let mut found: Vec<Postings> = Vec::new();
    for (seq, body) in records {
        if found.last().is_none_or(|last| last.block() != block_of(seq)) {
            found.push(Postings::beginning_with(seq));
        }
        if let Some(postings) = found.last_mut() {
            postings.begin(seq, None);
            add(postings, seq, body);
        }
    }
    if let Some(last) = found.last() {
        transaction.execute("DELETE FROM audit_times WHERE block < ?1", [block_of(last.last() + 1)])?;
    }
    let row = "parameter = ?1 AND value = ?2 AND block = ?3 AND system = ?4";
    let mut read = transaction.prepare_cached(&format!("SELECT places FROM audit_posting WHERE {row}"))?;
    let mut delete = transaction.prepare_cached(&format!("DELETE FROM audit_posting WHERE {row}"))?;
    let mut write =
        transaction.prepare_cached(&format!("UPDATE audit_posting SET places = ?5 WHERE {row}"))?;
    let rows = found.iter().flat_map(|own| own.terms(own.first()).map(|row| (own.block(), row)));
    let mut text = String::new();
    for (block, (term, gone)) in rows {
        let key = (term.parameter, &term.value, block, &term.system);
        let Some(all) = read.query_row(key, |row| row.get::<_, String>(0)).optional()? else { continue };
        let all = all.split(',').filter_map(|place| place.parse::<u32>().ok());
        let left = all.filter_map(|place| 1u128.checked_shl(place)).fold(0, |all, place| all | place) & !gone;
        joined(left, &mut text);
        match left {
            0 => delete.execute(key)?,
            _ => write.execute((key.0, key.1, key.2, key.3, &text))?,
        };
    }
    Ok(())
}

/// The numbers of the bits that are set, with commas between them, in the place of what `text` was.
fn joined(mut places: u128, text: &mut String) {
    text.clear();
    while places != 0 {
        let place = places.trailing_zeros() as u8;
        let (hundreds, tens) = (place / 100, place / 10);
        let digits = [(hundreds, place >= 100), (tens % 10, place >= 10), (place % 10, true)];
        if !text.is_empty() {
            text.push(',');
        }
        text.extend(digits.iter().filter(|(_, shown)| *shown).map(|(digit, _)| char::from(b'0' + digit)));
        places &= places - 1;
    }
}
