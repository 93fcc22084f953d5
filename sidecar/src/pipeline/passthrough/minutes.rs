//! Who used a pass-through in which minute, where its requests are not recorded one by one.
//!
//! Invariant: before the first request of a client's minute is handed on, a record says that this client uses this pass-through in
//! this minute, and is on disk. Those that follow are counted in memory; a record at the minute's end, or at the program's, says how
//! many there were. A process that is killed leaves the first record without the second: the access is on record, its count is not.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jiff::Timestamp;
use tokio::sync::Mutex;

/// No minute.
const NONE: i64 = i64::MIN;

/// One client's minutes at one pass-through.
#[derive(Debug)]
pub(super) struct Minutes {
    /// The minute since 1970 that has its record; each request reads it, and no more.
    recorded: AtomicI64,
    requests: AtomicU64,
    /// Whoever writes a record.
    writing: Mutex<()>,
}

/// What a minute came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed {
    /// Minutes since 1970.
    pub minute: i64,
    /// Requests that were handed on.
    pub requests: u64,
}

impl Default for Minutes {
    fn default() -> Self {
        Minutes { recorded: AtomicI64::new(NONE), requests: AtomicU64::new(0), writing: Mutex::new(()) }
    }
}

/// The minute of an instant.
pub(super) fn minute_of(instant: Timestamp) -> i64 {
    instant.as_second().div_euclid(60)
}

impl Minutes {
    /// Counts a request of this `minute`, if the minute has its record.
    pub fn counted(&self, minute: i64) -> bool {
        let open = self.recorded.load(Ordering::Acquire) == minute;
        if open {
            self.requests.fetch_add(1, Ordering::AcqRel);
        }
        open
    }

    /// Counts a request of this `minute`; where it is the minute's first, `record` is waited for, with what the minute before
    /// came to if nobody closed it. Not to be given up half-way.
    pub async fn count<E>(
        &self,
        minute: i64,
        record: impl AsyncFnOnce(Option<Closed>) -> Result<(), E>,
    ) -> Result<(), E> {
        let _writes = self.writing.lock().await;
        // A clock that goes back, or a request that waited, counts in the minute that is open.
        if self.recorded.load(Ordering::Acquire) < minute {
            let before = self.take();
            if let Err(error) = record(before).await {
                before.into_iter().for_each(|before| self.reopen(before));
                return Err(error);
            }
            self.recorded.store(minute, Ordering::Release);
        }
        self.requests.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Ends the minute that is open, if it is older than `now`; `record` says what it came to. Where that fails it stays open.
    pub async fn close<E>(
        &self,
        now: i64,
        record: impl AsyncFnOnce(Closed) -> Result<(), E>,
    ) -> Result<(), E> {
        let minute = self.recorded.load(Ordering::Acquire);
        if minute == NONE || minute >= now {
            return Ok(());
        }
        let _writes = self.writing.lock().await;
        let Some(closed) = self.take() else { return Ok(()) };
        let told = record(closed).await;
        if told.is_err() {
            self.reopen(closed);
        }
        told
    }

    fn reopen(&self, closed: Closed) {
        self.requests.fetch_add(closed.requests, Ordering::AcqRel);
        self.recorded.store(closed.minute, Ordering::Release);
    }

    /// Takes the open minute's count; requests that come meanwhile open another.
    fn take(&self) -> Option<Closed> {
        let minute = self.recorded.swap(NONE, Ordering::AcqRel);
        (minute != NONE).then(|| Closed { minute, requests: self.requests.swap(0, Ordering::AcqRel) })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn each_minute_has_one_record_before_its_first_request_and_one_that_counts_all() {
        let (own, told) = (Minutes::default(), RefCell::new(Vec::new()));
        let count = async |minute| {
            let record = async |before| {
                told.borrow_mut().push((minute, before));
                Ok::<_, ()>(())
            };
            own.count(minute, record).await.unwrap();
        };
        for minute in [7, 7, 7, 8, 8] {
            count(minute).await;
        }
        assert_eq!(*told.borrow(), [(7, None), (8, Some(Closed { minute: 7, requests: 3 }))]);
        let closed = RefCell::new(Vec::new());
        let close = async |now| {
            let record = async |own| {
                closed.borrow_mut().push(own);
                Ok::<_, ()>(())
            };
            own.close(now, record).await.unwrap();
        };
        close(8).await;
        assert_eq!(*closed.borrow(), [], "it lasts");
        close(9).await;
        close(9).await;
        assert_eq!(*closed.borrow(), [Closed { minute: 8, requests: 2 }]);
        count(9).await;
        assert_eq!(told.borrow().len(), 3, "closed, and opened anew");
    }

    #[tokio::test]
    async fn without_its_record_no_request_is_counted_and_nothing_is_forgotten() {
        let own = Minutes::default();
        own.count(1, async |_| Ok::<_, ()>(())).await.unwrap();
        assert_eq!(own.count(2, async |_| Err("full")).await, Err("full"));
        assert_eq!(own.close(3, async |_| Err("full")).await, Err("full"));
        let closed = RefCell::new(None);
        let record = async |own| {
            *closed.borrow_mut() = Some(own);
            Ok::<_, ()>(())
        };
        own.close(3, record).await.unwrap();
        assert_eq!(*closed.borrow(), Some(Closed { minute: 1, requests: 1 }));
    }
}
