//! Places for calls: how many instances are alive at one time, of one plugin and in all, and who waits for one.
//!
//! A guest between two turns keeps its memory, so that calls pile up where a plugin is slow. What one plugin holds is bounded
//! first: a slow one leaves places for the others.
//!
//! Invariant: a call holds its places as long as its instance lives, and gives them back however it ends. Who waits is
//! bounded in number and time.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::counters::Tally;

/// The most calls of one plugin that wait for a place.
const WAITING: u32 = 64;
/// The longest wait for a place.
const LONGEST: Duration = Duration::from_secs(1);

/// The places of one plugin.
#[derive(Debug)]
pub struct Places {
    free: Semaphore,
    waiting: AtomicU32,
}

/// A place of a plugin and one of the engine. Dropped, they are free again.
#[derive(Debug)]
pub struct Place<'p> {
    _own: SemaphorePermit<'p>,
    _of_all: SemaphorePermit<'p>,
}

impl Places {
    /// So many.
    pub fn new(count: usize) -> Self {
        Self { free: Semaphore::new(count), waiting: AtomicU32::new(0) }
    }

    /// A place of these and one of all plugins'. None where that would take too long.
    pub async fn take<'p>(&'p self, of_all: &'p Semaphore, tally: &Tally) -> Option<Place<'p>> {
        if let Ok(own) = self.free.try_acquire()
            && let Ok(of_all) = of_all.try_acquire()
        {
            return Some(Place { _own: own, _of_all: of_all });
        }
        let _waiting = Waiting::begin(&self.waiting, tally)?;
        let both = async {
            let own = self.free.acquire().await.ok()?;
            Some(Place { _own: own, _of_all: of_all.acquire().await.ok()? })
        };
        timeout(LONGEST, both).await.ok()?
    }
}

/// One who waits.
struct Waiting<'p>(&'p AtomicU32, &'p Tally);

impl<'p> Waiting<'p> {
    fn begin(count: &'p AtomicU32, tally: &'p Tally) -> Option<Self> {
        let more = |count: u32| (count < WAITING).then(|| count.saturating_add(1));
        count.try_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        tally.waiting(1.0);
        Some(Self(count, tally))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        self.1.waiting(-1.0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{
        pin::Pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    type Taking<'p> = Pin<Box<dyn Future<Output = Option<Place<'p>>> + 'p>>;

    fn look<'p>(taking: &mut Taking<'p>) -> Poll<Option<Place<'p>>> {
        taking.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    fn free(places: &Places, of_all: &Semaphore) -> (usize, usize) {
        (places.free.available_permits(), of_all.available_permits())
    }

    #[tokio::test]
    async fn a_place_is_taken_of_both_and_given_back_to_both() {
        let (places, of_all, tally) = (Places::new(1), Semaphore::new(2), Tally::new("p", &[]));
        let take = || -> Taking<'_> { Box::pin(places.take(&of_all, &tally)) };
        let first = take().await.unwrap();
        assert_eq!(free(&places, &of_all), (0, 1));
        let mut second = take();
        assert!(look(&mut second).is_pending());
        drop(first);
        let second = second.await.unwrap();
        assert_eq!(free(&places, &of_all), (0, 1));
        drop(second);

        let all = of_all.acquire_many(2).await.unwrap();
        let mut third = take();
        assert!(look(&mut third).is_pending());
        drop(third);
        assert_eq!(free(&places, &of_all), (1, 0), "a plugin's place was kept without one of all");
        drop(all);
        assert!(take().await.is_some());
    }

    #[tokio::test]
    async fn those_who_wait_come_in_their_order_and_are_bounded() {
        let (places, of_all, tally) = (Places::new(1), Semaphore::new(9), Tally::new("p", &[]));
        let take = || -> Taking<'_> { Box::pin(places.take(&of_all, &tally)) };
        let first = take().await.unwrap();
        let mut line: Vec<_> = (0..WAITING).map(|_| take()).collect();
        assert!(line.iter_mut().all(|own| look(own).is_pending()));
        assert!(matches!(look(&mut take()), Poll::Ready(None)));
        drop(first);
        // The second in line doesn't come before the first, who goes away.
        assert!(look(&mut line[1]).is_pending());
        drop(line.remove(0));
        assert!(matches!(look(&mut line[0]), Poll::Ready(Some(_))));
        drop(line);
        assert_eq!((free(&places, &of_all), places.waiting.load(Ordering::Relaxed)), ((1, 9), 0));
    }
}
