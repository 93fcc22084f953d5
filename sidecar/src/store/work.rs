//! What the writer does, and how: most of it in one commit with whatever else waits.

use std::panic::{AssertUnwindSafe, catch_unwind};

use metrics::Counter;
use rusqlite::{Connection, Transaction, params};
use varco_core::audit::AuditRecord;

use super::appending::{self, Appending};
use super::outbox::{self, OutboxChange};
use super::packed::pack;
use super::quota;
use super::received::{self, ReceivedRow};
use super::refused::{self, ClosedMinutes, RefusedRow};
use super::retention::{self, Removal};
use super::review::{self, ReviewUse};
use super::trail_index::{self, Ahead};
use super::trail_time::instant;
use super::{StoreError, StoredConsent, export_cursor};
use crate::limit::DayCount;

/// One audit record to be appended.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// The AuditEvent's id.
    pub id: String,
    /// The request's id.
    pub request: String,
    /// When, as an RFC 3339 instant in UTC with milliseconds.
    pub recorded: String,
    /// The AuditEvent as FHIR JSON.
    pub body: Vec<u8>,
}

impl AuditRow {
    /// The row of a record; one that no request led to is found under its own id.
    pub fn of(record: &AuditRecord) -> AuditRow {
        AuditRow {
            id: record.id.clone(),
            request: record.request_id.as_ref().unwrap_or(&record.id).clone(),
            recorded: instant(record.recorded),
            body: record.to_fhir_json(),
        }
    }
}

/// A record, and its packed form.
pub(super) type PackedRow = (AuditRow, Vec<u8>);

/// What the writer is asked to do.
pub(super) enum Work {
    /// Records, and what is kept with them. Rows of `records` are made by the thread that writes.
    Audit {
        records: Vec<AuditRecord>,
        rows: Vec<PackedRow>,
        received: Option<ReceivedRow>,
        uses: Vec<ReviewUse>,
    },
    Consent {
        consent: StoredConsent,
        patient: String,
        updated: String,
    },
    /// Index the next records of the audit trail.
    Index,
    /// Remove the oldest records.
    Remove(Removal),
    /// Count requests whose caller was never known.
    Refused(Vec<RefusedRow>),
    /// Make records of those counts.
    CloseRefused(ClosedMinutes),
    /// Count requests of clients that have a quota.
    Quota(Vec<DayCount>),
    /// A place took the records up to this one.
    Exported(String, i64),
    /// Messages to the national gateway, and the records that tell of them.
    Outbox(Vec<OutboxChange>, Vec<PackedRow>),
}

/// What a job appended to the audit trail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Appended {
    /// How many records.
    pub records: u64,
    /// The number of the first, where the common commit gave it.
    first: Option<i64>,
}

impl Appended {
    fn elsewhere(records: u64) -> Appended {
        Appended { records, first: None }
    }
}

/// Does a batch's work, most of it in one commit. Gives what came of each job, and remembers the terms of what was appended.
pub(super) fn carry_out(
    connection: &mut Connection,
    ahead: &mut Ahead,
    batch: &[&Work],
    commits: &Counter,
) -> Vec<Result<Appended, StoreError>> {
    let commit = |connection: &mut Connection, jobs: &[&Work]| {
        commit(connection, jobs).inspect(|_| commits.increment(1))
    };
    let together = match commit(connection, batch) {
        Err(error) if batch.len() > 1 && is_of_one(&error) => None,
        outcome => Some(outcome.map_err(StoreError::from)),
    };
    let mut appended = together.iter().flatten().flatten().copied();
    let mut one = |work: &&Work| {
        let in_common = appended.next();
        let own = match (work, &together) {
            (Work::Index, _) => {
                trail_index::step(connection, ahead, || false).map(|_| Appended::default())?
            }
            (Work::Remove(removal), _) => Appended::elsewhere(retention::step(connection, removal)?),
            (Work::CloseRefused(closed), _) => Appended::elsewhere(refused::step(connection, closed)?),
            (_, Some(outcome)) => {
                outcome.as_ref().map(|_| in_common.unwrap_or_default()).map_err(Clone::clone)?
            }
            // Nobody is refused because another's statement failed.
            (_, None) => commit(connection, std::slice::from_ref(work))?.pop().unwrap_or_default(),
        };
        work.note_terms(own, ahead);
        Ok(own)
    };
    batch.iter().map(&mut one).collect()
}

/// True where a statement is at fault and not the disk or the file, which would fail the others too.
fn is_of_one(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{ConstraintViolation, ParameterOutOfRange, TooBig, TypeMismatch};
    let code = error.sqlite_error_code();
    code.is_none_or(|code| matches!(code, ConstraintViolation | ParameterOutOfRange | TooBig | TypeMismatch))
}

impl Work {
    /// Writes records out: one after the other, by code that is in the processor's cache after the first of a batch, and for
    /// the hash that follows. For whoever submits them, in the midst of a request, it was the dearest part of a record.
    pub fn make_rows(&mut self) {
        if let Work::Audit { records, rows, .. } = self {
            rows.extend(records.iter().map(|record| packed(AuditRow::of(record))));
        }
    }

    /// Frees what [`Work::make_rows`] took, in the same thread.
    pub fn drop_rows(&mut self) {
        match self {
            Work::Audit { records, rows, .. } if !records.is_empty() => drop(std::mem::take(rows)),
            _ => {}
        }
    }

    /// Keeps the terms of the records that it appended for the index. After a fault in the program none are: they are read for it.
    fn note_terms(&self, appended: Appended, ahead: &mut Ahead) {
        if let (Work::Audit { records, rows, .. }, Some(first)) = (self, appended.first)
            && records.len() == rows.len()
            && catch_unwind(AssertUnwindSafe(|| ahead.note(first, records))).is_err()
        {
            *ahead = Ahead::default();
        }
    }

    /// True where it deletes or overwrites what must not stay readable.
    pub fn deletes(&self) -> bool {
        match self {
            Work::Remove(_) => true,
            Work::Outbox(changes, _) => changes.iter().any(OutboxChange::deletes),
            _ => false,
        }
    }
}

/// One transaction; gives what each job appended.
fn commit(connection: &mut Connection, batch: &[&Work]) -> Result<Vec<Appended>, rusqlite::Error> {
    let transaction = appending::begin(connection)?;
    let mut trail = Appending::within(&transaction)?;
    let mut appended = Vec::with_capacity(batch.len());
    for work in batch {
        let mut own = Appended::default();
        match work {
            Work::Audit { rows, received, uses, .. } => {
                own = append(&mut trail, rows)?;
                if let Some(row) = received {
                    received::put(&transaction, row)?;
                }
                for own in uses {
                    review::put(&transaction, own)?;
                }
            }
            Work::Consent { consent, patient, updated } => put(&transaction, consent, patient, updated)?,
            Work::Outbox(changes, rows) => {
                for change in changes {
                    outbox::change(&transaction, change)?;
                }
                own = append(&mut trail, rows)?;
            }
            Work::Exported(place, seq) => export_cursor::write(&transaction, place, *seq)?,
            Work::Quota(counts) => quota::add(&transaction, counts)?,
            Work::Refused(rows) => rows.iter().try_for_each(|row| refused::add(&transaction, row))?,
            Work::Index | Work::Remove(_) | Work::CloseRefused(_) => {}
        }
        appended.push(own);
    }
    drop(trail);
    transaction.commit().map(|()| appended)
}

fn append(trail: &mut Appending<'_>, rows: &[PackedRow]) -> Result<Appended, rusqlite::Error> {
    let mut appended = Appended::default();
    for (row, packed) in rows {
        let seq = trail.append_packed(row, packed)?;
        appended = Appended { records: appended.records + 1, first: appended.first.or(Some(seq)) };
    }
    Ok(appended)
}

pub(super) fn packed(row: AuditRow) -> PackedRow {
    let packed = pack(&row.body);
    (row, packed)
}

fn put(
    transaction: &Transaction<'_>,
    consent: &StoredConsent,
    patient: &str,
    updated: &str,
) -> Result<(), rusqlite::Error> {
    transaction
        .prepare_cached(
            "INSERT INTO consent (id, version, patient, updated, body) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, patient = excluded.patient,
               updated = excluded.updated, body = excluded.body",
        )?
        .execute(params![consent.id, consent.version, patient, updated, consent.body])?;
    Ok(())
}
