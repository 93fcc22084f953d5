//! The review queue of break-glass: every use waits here until somebody has looked at it.
//!
//! Invariants: a use is written in the transaction of its audit records, so there is never one without the other; closing a
//! review appends a record to the audit trail in the same transaction. What was closed is kept, and a use after that opens a
//! review of its own.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::appending::{self, Appending};
use super::{AuditRow, Store, StoreError, schema};

/// Most resources that one review lists; more are counted.
const MOST_SEEN: i64 = 2_000;

/// Made beside the tables of the first version, whenever a database is opened.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS review (
        id TEXT PRIMARY KEY, key BLOB NOT NULL, opened TEXT NOT NULL, last TEXT NOT NULL, patient TEXT NOT NULL,
        who TEXT NOT NULL, reason TEXT, requests INTEGER NOT NULL, withheld INTEGER NOT NULL, overridden TEXT NOT NULL,
        unlisted INTEGER NOT NULL, closed TEXT, closed_by TEXT, finding TEXT) STRICT;
    CREATE UNIQUE INDEX IF NOT EXISTS review_open ON review (key) WHERE closed IS NULL;
    CREATE TABLE IF NOT EXISTS review_seen (
        review TEXT NOT NULL, reference TEXT NOT NULL, PRIMARY KEY (review, reference)) STRICT, WITHOUT ROWID;
";

/// One use of break-glass, about one patient.
#[derive(Debug, Clone)]
pub struct ReviewUse {
    /// The review's id, should this use open one.
    pub id: String,
    /// Uses with the same key belong together while their review is open: same caller, patient and reason.
    pub key: [u8; 32],
    /// When, as an RFC 3339 instant in UTC with milliseconds.
    pub at: String,
    /// The patient's key, as in `Patient/1`.
    pub patient: String,
    /// Who asked: a JSON object.
    pub who: String,
    /// Why, in the caller's words.
    pub reason: Option<String>,
    /// How many resources were held back.
    pub withheld: i64,
    /// What was overridden, in the words of the configuration.
    pub overridden: Vec<String>,
    /// References of what was seen.
    pub seen: Vec<String>,
}

/// An open review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Its id.
    pub id: String,
    /// When it was opened, as an RFC 3339 instant in UTC.
    pub opened: String,
    /// When the glass was last broken.
    pub last: String,
    /// The patient's key, as in `Patient/1`.
    pub patient: String,
    /// Who asked: a JSON object.
    pub who: String,
    /// Why, in the caller's words.
    pub reason: Option<String>,
    /// How many requests.
    pub requests: i64,
    /// How many resources were held back from them.
    pub withheld: i64,
    /// What was overridden.
    pub overridden: Vec<String>,
    /// References of what was seen, by type and id.
    pub seen: Vec<String>,
    /// How many more were seen.
    pub unlisted: i64,
}

/// How many reviews wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReviewsWaiting {
    /// All of them.
    pub open: u64,
    /// Those that were opened before the instant asked about.
    pub overdue: u64,
}

/// Why a review can't be closed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CloseError {
    /// No such review.
    #[error("there is no review {0}; `varco audit review` without --close lists the open ones")]
    Unknown(String),
    /// Closed before.
    #[error("the review {id} was closed by {by} on {at}")]
    Closed {
        /// Its id.
        id: String,
        /// By whom.
        by: String,
        /// When.
        at: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for CloseError {
    fn from(error: rusqlite::Error) -> Self {
        CloseError::Store(error.into())
    }
}

/// Makes the tables where there are none.
pub(super) fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(TABLES)
}

/// Adds a use to its open review, or opens one.
pub(super) fn put(transaction: &Transaction<'_>, own: &ReviewUse) -> Result<(), rusqlite::Error> {
    transaction
        .prepare_cached(
            "INSERT INTO review (id, key, opened, last, patient, who, reason, requests, withheld, overridden, unlisted)
             VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, 0, 0, '', 0) ON CONFLICT (key) WHERE closed IS NULL DO NOTHING",
        )?
        .execute(params![own.id, own.key, own.at, own.patient, own.who, own.reason])?;
    let (id, overridden): (String, String) = transaction
        .prepare_cached("SELECT id, overridden FROM review WHERE key = ?1 AND closed IS NULL")?
        .query_row([own.key], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut all: Vec<&str> =
        overridden.split_whitespace().chain(own.overridden.iter().map(String::as_str)).collect();
    all.sort_unstable();
    all.dedup();
    let mut unlisted = 0_i64;
    let mut listed: i64 = transaction
        .prepare_cached("SELECT count(*) FROM review_seen WHERE review = ?1")?
        .query_row([&id], |row| row.get(0))?;
    let mut insert = transaction
        .prepare_cached("INSERT OR IGNORE INTO review_seen (review, reference) VALUES (?1, ?2)")?;
    for reference in &own.seen {
        if listed >= MOST_SEEN {
            unlisted += 1;
        } else if insert.execute(params![id, reference])? > 0 {
            listed += 1;
        }
    }
    transaction
        .prepare_cached(
            "UPDATE review SET last = ?2, requests = requests + 1, withheld = withheld + ?3, overridden = ?4,
             unlisted = unlisted + ?5 WHERE id = ?1",
        )?
        .execute(params![id, own.at, own.withheld, all.join(" "), unlisted])?;
    Ok(())
}

impl Store {
    /// How many reviews wait, and how many of them were opened before an instant (RFC 3339, UTC, milliseconds).
    pub fn reviews_waiting(&self, before: &str) -> Result<ReviewsWaiting, StoreError> {
        let connection = self.reader();
        let mut query = connection.prepare_cached(
            "SELECT count(*), coalesce(sum(opened < ?1), 0) FROM review WHERE closed IS NULL",
        )?;
        Ok(query.query_row([before], |row| {
            let (open, overdue): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok(ReviewsWaiting { open: open.max(0) as u64, overdue: overdue.max(0) as u64 })
        })?)
    }
}

/// The queue from outside of the sidecar, which may be at work.
pub struct ReviewDesk(Connection);

impl ReviewDesk {
    /// Opens the store; it has to be there.
    pub fn open(path: &Path) -> Result<ReviewDesk, StoreError> {
        if !path.is_file() {
            let cause = "there is no such file".to_owned();
            return Err(StoreError::Open { path: path.to_owned(), cause });
        }
        Ok(ReviewDesk(schema::open(path)?))
    }

    /// The open reviews, oldest first.
    pub fn list(&self) -> Result<Vec<Review>, StoreError> {
        let mut query = self.0.prepare(
            "SELECT id, opened, last, patient, who, reason, requests, withheld, overridden, unlisted
             FROM review WHERE closed IS NULL ORDER BY opened, id",
        )?;
        let found = query.query_map([], review)?.collect::<Result<Vec<_>, _>>()?;
        found.into_iter().map(|own| self.with_seen(own)).collect()
    }

    /// One open review.
    pub fn find(&self, id: &str) -> Result<Review, CloseError> {
        let mut query = self.0.prepare(
            "SELECT id, opened, last, patient, who, reason, requests, withheld, overridden, unlisted, closed, closed_by
             FROM review WHERE id = ?1",
        )?;
        let found = query
            .query_row([id], |row| {
                let closed: (Option<String>, Option<String>) = (row.get(10)?, row.get(11)?);
                Ok((review(row)?, closed))
            })
            .optional()?;
        match found {
            None => Err(CloseError::Unknown(id.to_owned())),
            Some((_, (Some(at), by))) => {
                Err(CloseError::Closed { id: id.to_owned(), by: by.unwrap_or_default(), at })
            }
            Some((own, (None, _))) => Ok(self.with_seen(own)?),
        }
    }

    /// Closes a review, and appends the record of it to the trail.
    pub fn close(
        &mut self,
        id: &str,
        at: &str,
        by: &str,
        finding: &str,
        record: &AuditRow,
    ) -> Result<(), CloseError> {
        let transaction = appending::begin(&mut self.0)?;
        let closed = transaction.execute(
            "UPDATE review SET closed = ?2, closed_by = ?3, finding = ?4 WHERE id = ?1 AND closed IS NULL",
            params![id, at, by, finding],
        )?;
        if closed == 0 {
            drop(transaction);
            return self.find(id).map(|_| ());
        }
        Appending::within(&transaction)?.append(record)?;
        transaction.commit()?;
        Ok(())
    }

    fn with_seen(&self, mut own: Review) -> Result<Review, StoreError> {
        let mut query = self
            .0
            .prepare_cached("SELECT reference FROM review_seen WHERE review = ?1 ORDER BY reference")?;
        own.seen = query.query_map([&own.id], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(own)
    }
}

fn review(row: &Row<'_>) -> rusqlite::Result<Review> {
    let overridden: String = row.get(8)?;
    Ok(Review {
        id: row.get(0)?,
        opened: row.get(1)?,
        last: row.get(2)?,
        patient: row.get(3)?,
        who: row.get(4)?,
        reason: row.get(5)?,
        requests: row.get(6)?,
        withheld: row.get(7)?,
        overridden: overridden.split_whitespace().map(str::to_owned).collect(),
        seen: Vec::new(),
        unlisted: row.get(9)?,
    })
}

#[cfg(test)]
#[path = "review_tests.rs"]
mod tests;
