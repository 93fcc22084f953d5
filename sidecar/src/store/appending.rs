//! Appending to the audit trail, within one transaction.
//!
//! Invariant: each record follows from the one before it. What the trail ends with is asked in the transaction, not
//! remembered: whoever closes a review appends from another process.

use rusqlite::{CachedStatement, Connection, Transaction, TransactionBehavior, params};
use varco_core::audit::chain::RecordHash;

use super::AuditRow;
use super::packed::pack;

/// A transaction that nobody else appends beside.
pub(super) fn begin(connection: &mut Connection) -> Result<Transaction<'_>, rusqlite::Error> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// The end of the trail.
pub(super) struct Appending<'t> {
    connection: &'t Connection,
    record: CachedStatement<'t>,
    last: RecordHash,
}

impl<'t> Appending<'t> {
    /// As `transaction`, begun with [`begin`], finds it.
    pub fn within(transaction: &'t Transaction<'_>) -> Result<Appending<'t>, rusqlite::Error> {
        Ok(Appending {
            connection: transaction,
            record: transaction.prepare_cached(
                "INSERT INTO audit (id, request, recorded, hash, body) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?,
            last: last_hash(transaction)?,
        })
    }

    /// Appends a record; gives its number.
    pub fn append(&mut self, row: &AuditRow) -> Result<i64, rusqlite::Error> {
        self.append_packed(row, &pack(&row.body))
    }

    /// The same, with its packed form at hand.
    pub fn append_packed(&mut self, row: &AuditRow, packed: &[u8]) -> Result<i64, rusqlite::Error> {
        let hash = self.last.of_next(&row.body);
        self.record.execute(params![row.id, row.request, row.recorded, hash.0, packed])?;
        self.last = hash;
        Ok(self.connection.last_insert_rowid())
    }
}

/// The hash of the last audit record, or the chain's beginning.
fn last_hash(connection: &Connection) -> Result<RecordHash, rusqlite::Error> {
    let mut query = connection.prepare_cached("SELECT hash FROM audit ORDER BY seq DESC LIMIT 1")?;
    let mut rows = query.query([])?;
    match rows.next()? {
        Some(row) => Ok(RecordHash(row.get(0)?)),
        None => Ok(RecordHash::GENESIS),
    }
}
