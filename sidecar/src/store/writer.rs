//! The one writer: a thread that gathers what waits and commits it together.
//!
//! Under load many audit records share one transaction, and so one flush to disk; alone, a record is
//! committed at once. What waits is bounded ([`super::queue`]; gauge `varco_store_queue`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use metrics::counter;
use rusqlite::Connection;
use tokio::runtime::Handle;
use varco_core::audit::AuditRecord;

use super::outbox::OutboxChange;
use super::queue::{Entrance, Job, Reply, Waiting, queue};
use super::received::ReceivedRow;
use super::refused::{ClosedMinutes, RefusedRow};
use super::residue::Residue;
use super::retention::Removal;
use super::review::ReviewUse;
use super::trail_index::{self, Ahead};
use super::work::{AuditRow, Work, carry_out, packed};
use super::{StoreError, StoredConsent};
use crate::limit::DayCount;

/// Jobs of a transaction from which on the next one waits for more ([`gathering`]).
const CROWD: usize = 4;
/// Jobs of a transaction after which the next one waits as long as it took; twice as long after twice as many.
const SHARE: u32 = 16;
/// Longest time that a transaction waits so.
const GATHER: Duration = Duration::from_millis(2);
/// How long nothing must have happened before the trail is indexed unasked.
const IDLE: Duration = Duration::from_millis(250);
/// Records from which on the trail is indexed between two commits too, where nobody waits: fewer than a search may wait for,
/// and than those whose terms are kept.
const MOST_BEHIND: u64 = 4_096;

impl Job {
    /// The job with its rows made. A fault in the program there refuses this one, and leaves the thread that all need alive.
    fn written_out(mut self, make_rows: impl FnOnce(&mut Work)) -> Option<Job> {
        // What a panic leaves half done is dropped right after it, and seen by nobody.
        if catch_unwind(AssertUnwindSafe(|| make_rows(&mut self.work))).is_ok() {
            return Some(self);
        }
        // A caller that went away no longer needs its answer.
        let _ = self.reply.send(Err(StoreError::Unwritable));
        None
    }
}

/// Those who wait, each with its answer, and with its work: memory is freed by the thread that took it.
type Replies = Vec<(Reply, Result<(), StoreError>, Work)>;

/// Hands work to the writing thread and waits until it is durable.
pub struct Writer {
    entrance: Entrance,
    /// To end its gathering.
    gatherer: Thread,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Writer, StoreError> {
        let (entrance, waiting) = queue();
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(connection, waiting))
            .map_err(|error| StoreError::Database(error.to_string()))?;
        let (gatherer, thread) = (thread.thread().clone(), Mutex::new(Some(thread)));
        Ok(Writer { entrance, gatherer, thread })
    }

    /// Appends audit records: all of them or none. Returns when they are on disk.
    pub async fn append(&self, rows: Vec<AuditRow>) -> Result<(), StoreError> {
        let rows = rows.into_iter().map(packed).collect();
        self.submit(Work::Audit { records: Vec::new(), rows, received: None, uses: Vec::new() }).await
    }

    /// Appends audit records and puts the uses of break-glass that they are about into the review queue: both or neither.
    pub async fn append_reviewed(
        &self,
        records: Vec<AuditRecord>,
        uses: Vec<ReviewUse>,
    ) -> Result<(), StoreError> {
        self.submit(Work::Audit { records, rows: Vec::new(), received: None, uses }).await
    }

    /// The same, with the next commit: before all other work, and nobody is waited for. For alarms.
    pub async fn append_at_once(
        &self,
        records: Vec<AuditRecord>,
        uses: Vec<ReviewUse>,
    ) -> Result<(), StoreError> {
        let work = Work::Audit { records, rows: Vec::new(), received: None, uses };
        let reply = self.entrance.put(work, true)?;
        self.gatherer.unpark();
        reply.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// Appends audit records and remembers the message that they are about: both or neither.
    pub async fn append_received(
        &self,
        records: Vec<AuditRecord>,
        received: Option<ReceivedRow>,
    ) -> Result<(), StoreError> {
        self.submit(Work::Audit { records, rows: Vec::new(), received, uses: Vec::new() }).await
    }

    /// Changes the outbox and appends the audit records that tell of it: all of it or nothing.
    pub async fn outbox(&self, changes: Vec<OutboxChange>, rows: Vec<AuditRow>) -> Result<(), StoreError> {
        self.submit(Work::Outbox(changes, rows.into_iter().map(packed).collect())).await
    }

    pub(super) async fn put_consent(
        &self,
        consent: StoredConsent,
        patient: String,
        updated: String,
    ) -> Result<(), StoreError> {
        self.submit(Work::Consent { consent, patient, updated }).await
    }

    /// Indexes the next records of the audit trail.
    pub(super) async fn index(&self) -> Result<(), StoreError> {
        self.submit(Work::Index).await
    }

    /// Removes the oldest records that may go.
    pub(super) async fn remove(&self, removal: Removal) -> Result<(), StoreError> {
        self.submit(Work::Remove(removal)).await
    }

    /// Remembers how far a place took the trail.
    pub(super) async fn exported(&self, place: String, seq: i64) -> Result<(), StoreError> {
        self.submit(Work::Exported(place, seq)).await
    }

    /// Counts requests whose caller was never known.
    pub(super) async fn count_refused(&self, rows: Vec<RefusedRow>) -> Result<(), StoreError> {
        self.submit(Work::Refused(rows)).await
    }

    /// Adds to what clients have used of their quotas.
    pub(super) async fn add_to_quota(&self, counts: Vec<DayCount>) -> Result<(), StoreError> {
        self.submit(Work::Quota(counts)).await
    }

    /// Makes records of those counts.
    pub(super) async fn close_refused(&self, closed: ClosedMinutes) -> Result<(), StoreError> {
        self.submit(Work::CloseRefused(closed)).await
    }

    /// How many jobs wait or are being done.
    pub fn waiting(&self) -> usize {
        self.entrance.waiting()
    }

    /// True while the thread takes work.
    pub fn is_alive(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    async fn submit(&self, work: Work) -> Result<(), StoreError> {
        self.entrance.put(work, false)?.await.unwrap_or(Err(StoreError::Stopped))
    }
}

impl Drop for Writer {
    /// Waits for what was submitted: nothing that was taken is lost.
    fn drop(&mut self) {
        self.entrance.close();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

fn run(mut connection: Connection, mut waiting: Waiting) {
    let (mut behind, mut residue) = (trail_index::behind(&connection), Residue::default());
    let (mut crowd, mut took) = (0, Duration::ZERO);
    let mut ahead = Ahead::default();
    let mut pause = IDLE;
    let (commits, records) = (counter!("varco_store_commits_total"), counter!("varco_audit_records_total"));
    loop {
        // While records wait to be indexed, or what was deleted to be overwritten, a pause is the time for it.
        let within = (behind > 0 || residue.is_left()).then_some(pause);
        match waiting.wait(within) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => {
                residue.clear(&connection);
                if behind > 0 {
                    let begun = Instant::now();
                    let called = || waiting.is_any();
                    behind = trail_index::unless_called(&mut connection, &mut ahead, called);
                    // Half of the time is left to whoever comes.
                    pause = if behind > 0 { begun.elapsed().min(IDLE) } else { IDLE };
                }
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if crowd >= CROWD && !waiting.is_crowded() {
            // Ended early by work that must not wait; what came while a commit was made ends the next one's.
            std::thread::park_timeout(gathering(crowd, took));
        }
        // Written out one by one: an alarm that comes meanwhile has the next turn, and few follow it.
        let (mut batch, mut urgent) = (Vec::new(), false);
        crowd = 0;
        while let Some(job) = waiting.next(crowd, urgent) {
            crowd += 1;
            urgent |= job.urgent;
            batch.extend(job.written_out(Work::make_rows));
        }
        let begun = Instant::now();
        let works: Vec<&Work> = batch.iter().map(|job| &job.work).collect();
        let outcomes = carry_out(&mut connection, &mut ahead, &works, &commits);
        took = begun.elapsed();
        waiting.done(crowd);
        let appended = outcomes.iter().flatten().map(|appended| appended.records).sum();
        records.increment(appended);
        (behind, pause) = (behind.saturating_add(appended), IDLE);
        residue.note(batch.iter().any(|job| job.work.deletes()));
        let mut replies: Vec<(Handle, Replies)> = Vec::new();
        for (mut job, outcome) in batch.into_iter().zip(outcomes) {
            job.work.drop_rows();
            let answer = outcome.map(|_| ());
            match replies.iter_mut().find(|(home, _)| home.id() == job.home.id()) {
                Some((_, own)) => own.push((job.reply, answer, job.work)),
                None => replies.push((job.home, vec![(job.reply, answer, job.work)])),
            }
        }
        replies.into_iter().for_each(|(home, own)| tell(&home, own));
        if behind > MOST_BEHIND && !waiting.is_any() {
            behind = trail_index::next(&mut connection, &mut ahead);
        }
    }
}

/// How long a transaction waits for company, by the jobs of the one before and the time it took. What a transaction costs
/// by itself, the flush to disk and the pages of the indexes, is then shared by as many as the load brings.
fn gathering(crowd: usize, took: Duration) -> Duration {
    let crowd = u32::try_from(crowd).unwrap_or(u32::MAX);
    (took.saturating_mul(crowd) / SHARE).min(GATHER)
}

/// Tells all who wait on one runtime, and wakes it once.
fn tell(home: &Handle, replies: Replies) {
    let alone = replies.len() == 1;
    let tell = move || {
        for (reply, answer, _) in replies {
            // A caller that went away no longer needs its answer.
            let _ = reply.send(answer);
        }
    };
    if alone { tell() } else { drop(home.spawn(async move { tell() })) }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
pub(super) mod tests;
