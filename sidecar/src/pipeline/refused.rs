//! Requests that were refused before their caller was known: counted on disk before the answer leaves.
//!
//! Invariant: however many arrive at once, one write at a time waits for the store on their behalf: what comes meanwhile
//! is counted together by the next. So a flood without tokens takes no place in the store's queue from those who have one.
//! What is shed is counted once a second, and not waited for: a process that is killed forgets those of its last second.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::counter;
use tokio::sync::oneshot;

use super::account::Account;
use super::{Gateway, Refusal};
use crate::store::{RefusedRow, StoreError};

/// For how long requests that are shed are gathered before they are counted on disk.
const GATHER: Duration = Duration::from_secs(1);

/// What waits to be counted.
#[derive(Default)]
pub(super) struct RefusedTally(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    counts: HashMap<(i64, IpAddr, &'static str), i64>,
    /// The same, of requests that were shed, until they are counted among the others.
    shed: HashMap<(i64, IpAddr, &'static str), i64>,
    /// True while a task gathers those.
    gathering: bool,
    answers: Vec<oneshot::Sender<Result<(), StoreError>>>,
    /// True while a task writes.
    writing: bool,
}

impl RefusedTally {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gateway {
    /// Counts a request that was refused before its caller was known.
    pub(super) async fn count_refused(
        self: &Arc<Self>,
        account: &Account,
        refusal: &Refusal,
    ) -> Result<(), Refusal> {
        let minute = account.received.as_second().div_euclid(60);
        let key = (minute, account.client.ip().to_canonical(), cause(refusal));
        let (answer, counted) = oneshot::channel();
        let begin = {
            let mut waiting = self.refused.lock();
            *waiting.counts.entry(key).or_default() += 1;
            waiting.answers.push(answer);
            !std::mem::replace(&mut waiting.writing, true)
        };
        if begin {
            tokio::spawn(self.clone().write_refused());
        }
        counted.await.unwrap_or(Err(StoreError::Stopped)).map_err(Refusal::Store)?;
        counter!("varco_audit_refused_total", "cause" => key.2).increment(1);
        Ok(())
    }

    /// The same for a request that is shed: nobody waits for the store, and it is written once a [`GATHER`]. That is work too,
    /// and there is too much of it.
    pub(super) fn count_shed(self: &Arc<Self>, account: &Account, refusal: &Refusal) {
        let minute = account.received.as_second().div_euclid(60);
        let key = (minute, account.client.ip().to_canonical(), cause(refusal));
        let begin = {
            let mut waiting = self.refused.lock();
            *waiting.shed.entry(key).or_default() += 1;
            !std::mem::replace(&mut waiting.gathering, true)
        };
        if begin {
            tokio::spawn(self.clone().gather_shed());
        }
        counter!("varco_audit_refused_total", "cause" => key.2).increment(1);
    }

    async fn gather_shed(self: Arc<Self>) {
        tokio::time::sleep(GATHER).await;
        let begin = {
            let mut waiting = self.refused.lock();
            waiting.gathering = false;
            for (key, count) in std::mem::take(&mut waiting.shed) {
                *waiting.counts.entry(key).or_default() += count;
            }
            !std::mem::replace(&mut waiting.writing, true)
        };
        if begin {
            self.write_refused().await;
        }
    }

    async fn write_refused(self: Arc<Self>) {
        loop {
            let (counts, answers) = {
                let mut waiting = self.refused.lock();
                if waiting.counts.is_empty() {
                    waiting.writing = false;
                    return;
                }
                (std::mem::take(&mut waiting.counts), std::mem::take(&mut waiting.answers))
            };
            let row = |((minute, address, cause), count): ((i64, IpAddr, &'static str), i64)| RefusedRow {
                minute,
                address: address.to_string(),
                cause,
                count,
            };
            let counted = self.store.count_refused(counts.into_iter().map(row).collect()).await;
            for answer in answers {
                // A caller that went away no longer needs its answer.
                let _ = answer.send(counted.clone());
            }
        }
    }
}

/// Why, in a word that nothing of the request stands in.
fn cause(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Unauthorized(error) => error.name(),
        Refusal::Rate(_) => "rate",
        Refusal::Quota(_) => "quota",
        Refusal::Shed(_) => "shed",
        Refusal::Framing(_) => "framing",
        Refusal::Interaction(_) => "not-served",
        _ => "other",
    }
}
