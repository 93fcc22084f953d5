//! Messages that were done: known again by sender, control id and content, for a bounded time and number, with the
//! answer they got. A row is written in the transaction of its audit records, so there is never one without the other.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{Store, StoreError};

/// Most messages that are remembered.
const MOST: i64 = 1_000_000;

/// Made beside the tables of the first version, whenever a database is opened.
pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS received (
        seq INTEGER PRIMARY KEY, sender TEXT NOT NULL, control TEXT NOT NULL, digest BLOB NOT NULL,
        at INTEGER NOT NULL, answer BLOB NOT NULL, UNIQUE (sender, control, digest)) STRICT;
    CREATE INDEX IF NOT EXISTS received_at ON received (at);
";

/// A message that was done.
#[derive(Debug, Clone)]
pub struct ReceivedRow {
    /// Who sent it.
    pub sender: String,
    /// MSH-10.
    pub control: String,
    /// SHA-256 of its bytes.
    pub digest: [u8; 32],
    /// When, in seconds since 1970.
    pub at: i64,
    /// What was answered, byte by byte.
    pub answer: Vec<u8>,
    /// What came before this instant is forgotten.
    pub forget_before: i64,
}

/// What is known of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It is new.
    Never,
    /// Its control id was that of another message.
    Other,
    /// It was done, and answered so.
    Done(Vec<u8>),
}

impl Store {
    /// What is known of a message that arrived at or after `since`, in seconds since 1970.
    pub fn seen(
        &self,
        sender: &str,
        control: &str,
        digest: &[u8; 32],
        since: i64,
    ) -> Result<Seen, StoreError> {
        let connection = self.reader();
        let mut query = connection.prepare_cached(
            "SELECT digest = ?3, answer FROM received WHERE sender = ?1 AND control = ?2 AND at >= ?4
             ORDER BY digest = ?3 DESC LIMIT 1",
        )?;
        let found: Option<(bool, Vec<u8>)> = query
            .query_row(params![sender, control, digest, since], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(match found {
            None => Seen::Never,
            Some((false, _)) => Seen::Other,
            Some((true, answer)) => Seen::Done(answer),
        })
    }
}

/// Makes the table where there is none.
pub(super) fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(TABLES)
}

/// Remembers a message, and forgets old ones.
pub(super) fn put(transaction: &Transaction<'_>, row: &ReceivedRow) -> Result<(), rusqlite::Error> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO received (sender, control, digest, at, answer) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![row.sender, row.control, row.digest, row.at, row.answer])?;
    let newest = transaction.last_insert_rowid();
    transaction
        .prepare_cached("DELETE FROM received WHERE at < ?1 OR seq <= ?2")?
        .execute(params![row.forget_before, newest.saturating_sub(MOST)])?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use varco_core::consent::Reading;

    use super::*;

    fn row(control: &str, content: u8, at: i64) -> ReceivedRow {
        ReceivedRow {
            sender: "lis".to_owned(),
            control: control.to_owned(),
            digest: [content; 32],
            at,
            answer: vec![content],
            forget_before: at - 100,
        }
    }

    #[tokio::test]
    async fn a_message_is_known_by_sender_control_id_and_content_for_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let reading = Reading { zone: jiff::tz::TimeZone::UTC, bases: Vec::new() };
        let store = Store::open(&folder.path().join("s.sqlite"), reading).unwrap();
        let seen = |control: &str, content: u8| store.seen("lis", control, &[content; 32], 0).unwrap();
        assert_eq!(seen("1", 1), Seen::Never);
        store.writer().append_received(Vec::new(), Some(row("1", 1, 1_000))).await.unwrap();
        assert_eq!(seen("1", 1), Seen::Done(vec![1]));
        assert_eq!(seen("1", 2), Seen::Other);
        assert_eq!(store.seen("adt", "1", &[1; 32], 0).unwrap(), Seen::Never);
        assert_eq!(store.seen("lis", "1", &[1; 32], 1_001).unwrap(), Seen::Never, "too long ago");
        store.writer().append_received(Vec::new(), Some(row("1", 2, 1_050))).await.unwrap();
        assert_eq!((seen("1", 1), seen("1", 2)), (Seen::Done(vec![1]), Seen::Done(vec![2])));
        store.writer().append_received(Vec::new(), Some(row("2", 3, 1_120))).await.unwrap();
        assert_eq!((seen("1", 1), seen("1", 2)), (Seen::Other, Seen::Done(vec![2])));
    }
}
