//! Work that waits for the writer: that of alarms goes before all other.
//!
//! Invariants: at most [`QUEUE`] jobs wait, and [`RESERVE`] more of alarms; whoever finds it full is refused rather than
//! kept waiting. An alarm waits for the commit that is being made and for no more than [`BESIDE`] jobs of others.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::StoreError;
use super::work::Work;

/// Most jobs that wait.
const QUEUE: usize = 4_096;
/// How many more may wait where they are urgent.
const RESERVE: usize = 256;
/// Most jobs in one transaction.
const BATCH: usize = 256;
/// Jobs of a transaction with an urgent one after which no other is taken: few, so that it is soon on disk, and some, so that
/// many alarms keep nobody waiting for good.
const BESIDE: usize = 16;

/// Tells whoever waits what came of the work.
pub(super) type Reply = oneshot::Sender<Result<(), StoreError>>;

pub(super) struct Job {
    pub work: Work,
    pub reply: Reply,
    /// Where whoever waits for the reply runs.
    pub home: Handle,
    pub urgent: bool,
}

/// Where work is handed in.
pub(super) struct Entrance {
    jobs: Mutex<Option<Sender<Job>>>,
    waiting: Arc<AtomicUsize>,
}

/// The same queue, for the thread that does the work.
pub(super) struct Waiting {
    jobs: Receiver<Job>,
    urgent: VecDeque<Job>,
    ordinary: VecDeque<Job>,
    count: Arc<AtomicUsize>,
}

/// An empty queue.
pub(super) fn queue() -> (Entrance, Waiting) {
    let (sender, jobs) = channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let (urgent, ordinary, count) = (VecDeque::new(), VecDeque::new(), waiting.clone());
    (Entrance { jobs: Mutex::new(Some(sender)), waiting }, Waiting { jobs, urgent, ordinary, count })
}

impl Entrance {
    /// Puts work into the queue; what is given tells what came of it.
    pub fn put(
        &self,
        work: Work,
        urgent: bool,
    ) -> Result<oneshot::Receiver<Result<(), StoreError>>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = jobs.as_ref().ok_or(StoreError::Stopped)?;
        let most = if urgent { QUEUE + RESERVE } else { QUEUE };
        let refused = if self.waiting.fetch_add(1, Ordering::Relaxed) >= most {
            StoreError::Busy
        } else if jobs.send(Job { work, reply, home: Handle::current(), urgent }).is_err() {
            StoreError::Stopped
        } else {
            return Ok(answer);
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Err(refused)
    }

    /// How many jobs wait or are being done.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Takes nothing more: the writer ends when all that was put in is done.
    pub fn close(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Waiting {
    /// Waits until there is a job: for so long, or as long as it takes.
    pub fn wait(&mut self, within: Option<Duration>) -> Result<(), RecvTimeoutError> {
        if self.urgent.is_empty() && self.ordinary.is_empty() {
            let job = match within {
                Some(within) => self.jobs.recv_timeout(within)?,
                None => self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)?,
            };
            self.line_up(job);
        }
        Ok(())
    }

    /// The next job of a transaction that has so many, with an urgent one among them or not.
    pub fn next(&mut self, taken: usize, urgent: bool) -> Option<Job> {
        while let Ok(job) = self.jobs.try_recv() {
            self.line_up(job);
        }
        if taken >= BATCH {
            return None;
        }
        let most = if urgent { BESIDE } else { BATCH };
        self.urgent.pop_front().or_else(|| self.ordinary.pop_front_if(|_| taken < most))
    }

    /// True where the last transaction left some behind: the next one need not wait for company.
    pub fn is_crowded(&self) -> bool {
        self.urgent.len() + self.ordinary.len() > 1
    }

    /// So many are done.
    pub fn done(&self, jobs: usize) {
        self.count.fetch_sub(jobs, Ordering::Relaxed);
    }

    /// True while jobs wait or are being done.
    pub fn is_any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    fn line_up(&mut self, job: Job) {
        if job.urgent { self.urgent.push_back(job) } else { self.ordinary.push_back(job) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(waiting: &mut Waiting) -> Vec<String> {
        let (mut names, mut urgent) = (Vec::new(), false);
        while let Some(job) = waiting.next(names.len(), urgent) {
            urgent |= job.urgent;
            match job.work {
                Work::Exported(name, _) => names.push(name),
                _ => names.push(String::new()),
            }
        }
        waiting.done(names.len());
        names
    }

    fn named(name: impl ToString) -> Work {
        Work::Exported(name.to_string(), 0)
    }

    #[tokio::test]
    async fn alarms_go_first_and_take_few_others_along() {
        let (entrance, mut waiting) = queue();
        for number in 0..300 {
            entrance.put(named(number), false).unwrap();
        }
        entrance.put(named("a"), true).unwrap();
        entrance.put(named("b"), true).unwrap();
        let first = names(&mut waiting);
        assert_eq!(first.len(), BESIDE);
        assert_eq!(first[..3], ["a", "b", "0"]);
        let second = names(&mut waiting);
        assert_eq!((second.len(), &*second[0]), (BATCH, "14"));
        assert_eq!((names(&mut waiting).len(), entrance.waiting()), (300 - 14 - BATCH, 0));
    }

    #[tokio::test]
    async fn an_alarm_that_comes_while_a_transaction_is_gathered_ends_the_gathering() {
        let (entrance, mut waiting) = queue();
        for number in 0..100 {
            entrance.put(named(number), false).unwrap();
        }
        for taken in 0..40 {
            assert!(!waiting.next(taken, false).unwrap().urgent);
        }
        entrance.put(named("a"), true).unwrap();
        assert!(waiting.next(40, false).unwrap().urgent);
        assert!(waiting.next(41, true).is_none());
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_has_some_room_for_alarms() {
        let (entrance, mut waiting) = queue();
        for number in 0..QUEUE {
            entrance.put(named(number), false).unwrap();
        }
        assert!(matches!(entrance.put(named("x"), false), Err(StoreError::Busy)));
        for number in 0..RESERVE {
            entrance.put(named(number), true).unwrap();
        }
        assert!(matches!(entrance.put(named("x"), true), Err(StoreError::Busy)));
        assert_eq!(names(&mut waiting).len(), BATCH);
        assert_eq!(entrance.waiting(), QUEUE);
        entrance.close();
        assert!(matches!(entrance.put(named("x"), true), Err(StoreError::Stopped)));
        while waiting.wait(None).is_ok() {
            names(&mut waiting);
        }
        assert!(!waiting.is_any(), "what was taken in is done");
    }
}
