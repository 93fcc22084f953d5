//! What was deleted stays readable nowhere: neither in the database, whose deleted pages are overwritten (`secure_delete`), nor in
//! the log beside it, which holds each text once more until it is written over.
//!
//! While the writer has nothing else to do, the log is emptied: a minute after a deletion at the latest, on a store
//! that rests; one that never rests writes over its log itself, every few megabytes. Nobody waits for it: where a reader needs
//! the log it is tried again. What the disk itself keeps of a file's freed blocks is the disk's to encrypt.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::schema;

/// At most this often.
const EVERY: Duration = Duration::from_secs(60);

/// Whether the log may hold what was deleted.
#[derive(Default)]
pub(super) struct Residue {
    left: bool,
    /// When the log was emptied last.
    emptied: Option<Instant>,
}

impl Residue {
    /// Something was deleted, where `deleted`.
    pub fn note(&mut self, deleted: bool) {
        self.left |= deleted;
    }

    /// True while there is something to do.
    pub fn is_left(&self) -> bool {
        self.left
    }

    /// Empties the log, where it is time for that and no reader needs it.
    pub fn clear(&mut self, connection: &Connection) {
        let is_time = self.emptied.is_none_or(|last| last.elapsed() >= EVERY);
        if self.left && is_time && matches!(empty(connection), Ok(true)) {
            (self.left, self.emptied) = (false, Some(Instant::now()));
        }
    }
}

/// True where the log is empty now.
fn empty(connection: &Connection) -> Result<bool, rusqlite::Error> {
    connection.busy_timeout(Duration::ZERO)?;
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
    connection.busy_timeout(schema::OTHERS)?;
    busy.map(|busy| !busy)
}
