//! Intents: what is about to be written at the hospital's server is on record before it is asked for.
//!
//! An intent is an AuditEvent of the trail as any other, without an outcome. Its id is that of the record which is to
//! follow it, and [`SUFFIX`]; so whether one followed is a question to the trail alone, and no table can differ from it.
//!
//! Invariant: a search tells each request once. It finds an intent only as long as nothing followed; by its id it is
//! found always.

use rusqlite::{Connection, params};

use super::{Store, StoreError};

/// What the id of an intent has after the id of the record that is to follow.
const SUFFIX: &str = "-intent";
/// How many of the newest records are looked through at the start: a process that ended left its open intents there.
const NEWEST: i64 = 20_000;

/// True for a row of `audit` that is no intent.
const NO_INTENT: &str = "instr(audit.id, '-intent') = 0";
/// True for an intent that no record follows; of an event about several patients the first record will do.
const OPEN: &str = "NOT EXISTS (SELECT 1 FROM audit AS done WHERE done.id IN (
    substr(audit.id, 1, instr(audit.id, '-intent') - 1), substr(audit.id, 1, instr(audit.id, '-intent') - 1) || '-1'))";

/// An intent that no record follows: whether the hospital's server did what was asked is not on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIntent {
    /// The id of its AuditEvent.
    pub id: String,
    /// When.
    pub recorded: String,
}

/// The id of the intent before a record.
pub fn intent_before(record: &str) -> String {
    format!("{record}{SUFFIX}")
}

impl Store {
    /// The intents among the newest records that nothing follows. Those of requests under way are among them.
    pub fn open_intents(&self) -> Result<Vec<OpenIntent>, StoreError> {
        Ok(open(&self.reader(), NEWEST)?)
    }
}

/// The condition that leaves out what another record tells.
pub(super) fn told_once() -> String {
    format!("({NO_INTENT} OR {OPEN})")
}

/// The open intents among the newest records, oldest first, each once.
pub(super) fn open(connection: &Connection, newest: i64) -> Result<Vec<OpenIntent>, rusqlite::Error> {
    let sql = format!(
        "SELECT id, recorded, min(seq) FROM audit
         WHERE seq > (SELECT coalesce(max(seq), 0) FROM audit) - ?1 AND NOT {NO_INTENT} AND {OPEN}
         GROUP BY substr(id, 1, instr(id, '{SUFFIX}') - 1) ORDER BY min(seq)"
    );
    let mut query = connection.prepare(&sql)?;
    let rows =
        query.query_map(params![newest], |row| Ok(OpenIntent { id: row.get(0)?, recorded: row.get(1)? }))?;
    rows.collect()
}
