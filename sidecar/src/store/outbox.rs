//! Messages to the national gateway: on disk before they are forwarded, until they have ended, with what came of them.
//!
//! Invariants: a message that waits has its whole text here; one that has ended has none any more, only its answer and what it
//! is known again by. A message that ended never waits again. What changes and the audit records that tell of it are one
//! commit. Two processes that share the store for a moment don't send one message both: who sends says so first
//! ([`OutboxChange::Claim`]), and looks whether it was the one.

use std::collections::HashSet;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params, params_from_iter};

use super::{Store, StoreError};

/// Made beside the tables of the first version, whenever a database is opened.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS outbox (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, route TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
        arrived INTEGER NOT NULL, identity BLOB NOT NULL, sending BLOB NOT NULL, tokens_until INTEGER,
        request TEXT NOT NULL, trace TEXT NOT NULL, caller TEXT NOT NULL, patient TEXT,
        method TEXT NOT NULL, target TEXT NOT NULL, headers BLOB NOT NULL, body BLOB, bytes INTEGER NOT NULL,
        attempts INTEGER NOT NULL, unsure INTEGER NOT NULL, holder TEXT, until INTEGER, cause TEXT,
        told INTEGER NOT NULL, ended INTEGER, status INTEGER, answer_headers BLOB, answer BLOB) STRICT;
    CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (seq) WHERE ended IS NULL;
    CREATE INDEX IF NOT EXISTS outbox_ended ON outbox (ended) WHERE ended IS NOT NULL;
    CREATE TABLE IF NOT EXISTS outbox_chain (
        chain BLOB NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (chain, seq)) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS outbox_chain_seq ON outbox_chain (seq);
";
/// Most ended messages that are looked through for one that comes again.
const LOOKED_THROUGH: usize = 64;

/// What is known of a message without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxHead {
    /// Its number: the order.
    pub seq: i64,
    /// Its id.
    pub id: String,
    /// The route's name.
    pub route: String,
    /// What it is, by name.
    pub kind: String,
    /// `sending`, `queued`, `needs-token`; ended: `done`, `refused`, `expired`, `dropped`.
    pub state: String,
    /// The application that brought it, by its id there; empty where none is kept.
    pub client: String,
    /// When it came, in seconds since 1970.
    pub arrived: i64,
    /// What makes it the message that it is.
    pub identity: [u8; 32],
    /// What tells this sending of it from the next.
    pub sending: [u8; 32],
    /// Until when its tokens can be used, in seconds since 1970.
    pub tokens_until: Option<i64>,
    /// The id of the request that brought it.
    pub request: String,
    /// The trace that it belongs to.
    pub trace: String,
    /// The bytes of its body.
    pub bytes: i64,
    /// How often it was sent.
    pub attempts: i64,
    /// True where an attempt began of which it is not known how it ended.
    pub unsure: bool,
    /// Until when an attempt that is under way has ended, in seconds since 1970.
    pub until: Option<i64>,
    /// Why it stands where it does, without personal data.
    pub cause: Option<String>,
    /// True where a caller was given the answer.
    pub told: bool,
    /// When it ended, in seconds since 1970.
    pub ended: Option<i64>,
    /// The status of the answer.
    pub status: Option<u16>,
}

/// A message with all that is needed to send it and to tell of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxMessage {
    /// What is known without its text.
    pub head: OutboxHead,
    /// The chains that it belongs to; empty when it is read.
    pub chains: Vec<[u8; 16]>,
    /// Who brought it, as its plane writes it.
    pub caller: String,
    /// The patient that it is about, as its tokens say.
    pub patient: Option<String>,
    /// The method.
    pub method: String,
    /// Path and query below the route's.
    pub target: String,
    /// Header lines.
    pub headers: Vec<u8>,
    /// The body.
    pub body: Bytes,
}

/// A message that waits, and the chains that it belongs to.
pub type OutboxWaiting = (OutboxHead, Vec<[u8; 16]>);

/// An answer as it came: status, header lines, body.
pub type OutboxAnswer = (u16, Vec<u8>, Bytes);

/// A change of the outbox.
#[derive(Debug, Clone)]
pub enum OutboxChange {
    /// A message that is new.
    Put(Box<OutboxMessage>),
    /// It is about to be sent by `holder`, and the attempt has ended by `until`. Without effect where it is not free.
    Claim {
        /// Its number.
        seq: i64,
        /// Who sends it.
        holder: String,
        /// In seconds since 1970.
        until: i64,
        /// The present instant, in seconds since 1970.
        now: i64,
    },
    /// The same message came again with other tokens: it is sent as it came now.
    Renew {
        /// Its number.
        seq: i64,
        /// What tells this sending from others.
        sending: [u8; 32],
        /// Until when its tokens can be used.
        tokens_until: Option<i64>,
        /// Header lines.
        headers: Vec<u8>,
        /// The body.
        body: Bytes,
    },
    /// It waits, in this state and for this cause.
    Wait {
        /// Its number.
        seq: i64,
        /// `queued` or `needs-token`.
        state: &'static str,
        /// Why.
        cause: String,
        /// True where an attempt may have been taken by the gateway.
        unsure: bool,
    },
    /// It has ended.
    End {
        /// Its number.
        seq: i64,
        /// `done`, `refused`, `expired` or `dropped`.
        state: &'static str,
        /// Why.
        cause: Option<String>,
        /// True where a caller is given the answer now.
        told: bool,
        /// When, in seconds since 1970.
        at: i64,
        /// What was answered.
        answer: Option<OutboxAnswer>,
    },
    /// A caller was given the answer.
    Told(i64),
    /// What ended before this instant is forgotten, in seconds since 1970.
    Forget(i64),
}

impl OutboxChange {
    /// True where a message's text goes.
    pub(super) fn deletes(&self) -> bool {
        matches!(self, OutboxChange::Renew { .. } | OutboxChange::End { .. } | OutboxChange::Forget(_))
    }
}

const HEAD: &str = "seq, id, route, kind, state, arrived, identity, sending, tokens_until, request, trace, bytes, attempts, \
    unsure, until, cause, told, ended, status, coalesce(json_extract(caller, '$.client'), '')";

fn head(row: &Row<'_>) -> rusqlite::Result<OutboxHead> {
    Ok(OutboxHead {
        seq: row.get(0)?,
        id: row.get(1)?,
        route: row.get(2)?,
        kind: row.get(3)?,
        state: row.get(4)?,
        arrived: row.get(5)?,
        identity: row.get(6)?,
        sending: row.get(7)?,
        tokens_until: row.get(8)?,
        request: row.get(9)?,
        trace: row.get(10)?,
        bytes: row.get(11)?,
        attempts: row.get(12)?,
        unsure: row.get(13)?,
        until: row.get(14)?,
        cause: row.get(15)?,
        told: row.get(16)?,
        ended: row.get(17)?,
        status: row.get(18)?,
        client: row.get(19)?,
    })
}

impl Store {
    /// The numbers of everything that waits.
    pub fn outbox_numbers(&self) -> Result<HashSet<i64>, StoreError> {
        let connection = self.trail();
        let mut query = connection.prepare_cached("SELECT seq FROM outbox WHERE ended IS NULL")?;
        Ok(query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    /// What waits, in order: at most `most`.
    pub fn outbox_heads(&self, most: usize) -> Result<Vec<OutboxHead>, StoreError> {
        let connection = self.trail();
        let sql = format!("SELECT {HEAD} FROM outbox WHERE ended IS NULL ORDER BY seq LIMIT ?1");
        let mut query = connection.prepare_cached(&sql)?;
        let rows = query.query_map([i64::try_from(most).unwrap_or(i64::MAX)], head)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Everything that waits, in order, each with its chains; those that are known are left out.
    pub fn outbox_waiting(&self, known: impl Fn(i64) -> bool) -> Result<Vec<OutboxWaiting>, StoreError> {
        let heads = self.outbox_heads(usize::MAX)?;
        let connection = self.trail();
        let mut query =
            connection.prepare_cached("SELECT chain FROM outbox_chain WHERE seq = ?1 ORDER BY chain")?;
        let mut waiting = Vec::new();
        for head in heads.into_iter().filter(|head| !known(head.seq)) {
            let chains = query.query_map([head.seq], |row| row.get(0))?.collect::<Result<_, _>>()?;
            waiting.push((head, chains));
        }
        Ok(waiting)
    }

    /// What ended, newest first: at most `most`; those without trouble only where `all`.
    pub fn outbox_ended(&self, all: bool, most: usize) -> Result<Vec<OutboxHead>, StoreError> {
        let only = if all { "" } else { "AND state <> 'done'" };
        let connection = self.trail();
        let sql = format!(
            "SELECT {HEAD} FROM outbox WHERE ended IS NOT NULL {only} ORDER BY ended DESC, seq DESC LIMIT ?1"
        );
        let mut query = connection.prepare_cached(&sql)?;
        let rows = query.query_map([i64::try_from(most).unwrap_or(i64::MAX)], head)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What ended in these chains, oldest first: the newest few.
    pub fn outbox_known(&self, chains: &[[u8; 16]]) -> Result<Vec<OutboxHead>, StoreError> {
        let places = vec!["?"; chains.len()].join(", ");
        let connection = self.reader();
        let sql = format!(
            "SELECT {HEAD} FROM outbox WHERE ended IS NOT NULL
             AND seq IN (SELECT seq FROM outbox_chain WHERE chain IN ({places})) ORDER BY seq DESC LIMIT {LOOKED_THROUGH}"
        );
        let mut query = connection.prepare_cached(&sql)?;
        let rows = query.query_map(params_from_iter(chains.iter().map(|chain| &chain[..])), head)?;
        let mut found: Vec<OutboxHead> = rows.collect::<Result<_, _>>()?;
        found.reverse();
        Ok(found)
    }

    /// A message whole; `None` where there is none of this number. One that has ended has no text.
    pub fn outbox_message(&self, seq: i64) -> Result<Option<OutboxMessage>, StoreError> {
        let connection = self.reader();
        let sql = format!(
            "SELECT {HEAD}, caller, patient, method, target, headers, body FROM outbox WHERE seq = ?1"
        );
        let mut query = connection.prepare_cached(&sql)?;
        let message = query.query_row([seq], |row| {
            Ok(OutboxMessage {
                head: head(row)?,
                chains: Vec::new(),
                caller: row.get(20)?,
                patient: row.get(21)?,
                method: row.get(22)?,
                target: row.get(23)?,
                headers: row.get(24)?,
                body: row.get::<_, Option<Vec<u8>>>(25)?.unwrap_or_default().into(),
            })
        });
        Ok(message.optional()?)
    }

    /// Who sends a message now, by its last claim; `None` where nobody does.
    pub fn outbox_holder(&self, seq: i64) -> Result<Option<String>, StoreError> {
        let connection = self.reader();
        let mut query = connection.prepare_cached(
            "SELECT holder FROM outbox WHERE seq = ?1 AND state = 'sending' AND ended IS NULL",
        )?;
        Ok(query.query_row([seq], |row| row.get(0)).optional()?.flatten())
    }

    /// True where an attempt to send a message began of which it is not known how it ended.
    pub fn outbox_unsure(&self, seq: i64) -> Result<bool, StoreError> {
        let connection = self.reader();
        let mut query = connection.prepare_cached("SELECT unsure FROM outbox WHERE seq = ?1")?;
        Ok(query.query_row([seq], |row| row.get(0)).optional()?.unwrap_or(false))
    }

    /// The answer that a message ended with.
    pub fn outbox_answer(&self, seq: i64) -> Result<Option<OutboxAnswer>, StoreError> {
        let connection = self.reader();
        let mut query = connection.prepare_cached(
            "SELECT status, answer_headers, answer FROM outbox WHERE seq = ?1 AND status IS NOT NULL",
        )?;
        Ok(query
            .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?.into())))
            .optional()?)
    }
}

/// Makes the tables where there are none.
pub(super) fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(TABLES)
}

/// Carries out a change.
pub(super) fn change(transaction: &Transaction<'_>, change: &OutboxChange) -> Result<(), rusqlite::Error> {
    match change {
        OutboxChange::Put(message) => return put(transaction, message),
        OutboxChange::Claim { seq, holder, until, now } => transaction
            .prepare_cached(
                "UPDATE outbox SET unsure = max(unsure, state = 'sending'), state = 'sending', holder = ?2, until = ?3,
                 attempts = attempts + 1
                 WHERE seq = ?1 AND ended IS NULL AND (state = 'queued' OR (state = 'sending' AND until <= ?4))",
            )?
            .execute(params![seq, holder, until, now])?,
        OutboxChange::Renew { seq, sending, tokens_until, headers, body } => transaction
            .prepare_cached(
                "UPDATE outbox SET sending = ?2, tokens_until = ?3, headers = ?4, body = ?5, bytes = ?6, state = 'queued'
                 WHERE seq = ?1 AND ended IS NULL AND state <> 'sending'",
            )?
            .execute(params![seq, sending, tokens_until, headers, &body[..], body.len() as i64])?,
        OutboxChange::Wait { seq, state, cause, unsure } => transaction
            .prepare_cached(
                "UPDATE outbox SET state = ?2, cause = ?3, unsure = max(unsure, ?4), holder = NULL, until = NULL
                 WHERE seq = ?1 AND ended IS NULL",
            )?
            .execute(params![seq, state, cause, unsure])?,
        OutboxChange::End { seq, state, cause, told, at, answer } => {
            let (status, headers, body) = match answer {
                Some((status, headers, body)) => (Some(status), Some(headers), Some(&body[..])),
                None => (None, None, None),
            };
            transaction
                .prepare_cached(
                    "UPDATE outbox SET state = ?2, cause = ?3, told = max(told, ?4), ended = ?5, status = ?6,
                     answer_headers = ?7, answer = ?8, target = '', headers = x'', body = NULL, patient = NULL,
                     holder = NULL, until = NULL
                     WHERE seq = ?1 AND ended IS NULL",
                )?
                .execute(params![seq, state, cause, told, at, status, headers, body])?
        }
        OutboxChange::Told(seq) => {
            transaction.prepare_cached("UPDATE outbox SET told = 1 WHERE seq = ?1")?.execute([seq])?
        }
        OutboxChange::Forget(before) => {
            let old = "SELECT seq FROM outbox WHERE ended < ?1";
            transaction
                .prepare_cached(&format!("DELETE FROM outbox_chain WHERE seq IN ({old})"))?
                .execute([before])?;
            transaction.prepare_cached("DELETE FROM outbox WHERE ended < ?1")?.execute([before])?
        }
    };
    Ok(())
}

fn put(transaction: &Transaction<'_>, message: &OutboxMessage) -> Result<(), rusqlite::Error> {
    let OutboxMessage { head, chains, caller, patient, method, target, headers, body } = message;
    transaction
        .prepare_cached(
            "INSERT INTO outbox (seq, id, route, kind, state, arrived, identity, sending, tokens_until, request, trace, bytes,
             attempts, unsure, until, told, caller, patient, method, target, headers, body, holder)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 0, ?14, 0, ?15, ?16, ?17, ?18, ?19, ?20, ?21)",
        )?
        .execute(params![
            head.seq, head.id, head.route, head.kind, head.state, head.arrived, head.identity, head.sending,
            head.tokens_until, head.request, head.trace, head.bytes, head.attempts, head.until, caller, patient, method,
            target, headers, &body[..], None::<String>
        ])?;
    let mut index =
        transaction.prepare_cached("INSERT OR IGNORE INTO outbox_chain (chain, seq) VALUES (?1, ?2)")?;
    chains.iter().try_for_each(|chain| index.execute(params![chain, head.seq]).map(|_| ()))
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
