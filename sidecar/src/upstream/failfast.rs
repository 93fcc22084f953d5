//! Places at a server: so many requests are under way at a time, so many wait for a place, none for longer than a bound. What
//! does not fit is refused at once: a queue that grows helps nobody, and who is refused early can ask elsewhere.
//!
//! ```text
//! a place is free ─────────────────────────────────▶ Place
//! none is free ─┬─ the queue has room ─▶ waits ─┬──▶ Place
//!               │                               └──▶ Full::Late
//!               └──────────────────────────────────▶ Full::Queue
//! ```

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, TryAcquireError};

/// How many may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FailfastSettings {
    /// Requests under way.
    pub places: usize,
    /// Requests that wait.
    pub queue: usize,
    /// How long one waits.
    pub wait: Duration,
}

/// There is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The queue is full.
    Queue,
    /// No place became free in time.
    Late,
}

/// The places at one server.
#[derive(Debug)]
pub(crate) struct Failfast {
    settings: FailfastSettings,
    places: Semaphore,
    waiting: AtomicUsize,
}

/// One of those that wait, as long as it does.
struct Waits<'q>(&'q AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Failfast {
    pub fn new(settings: FailfastSettings) -> Failfast {
        let places = settings.places.clamp(1, Semaphore::MAX_PERMITS);
        Failfast { settings, places: Semaphore::new(places), waiting: AtomicUsize::new(0) }
    }

    /// Takes a place, which must be given back by [`Failfast::leave`]. First come, first served.
    pub async fn enter(&self) -> Result<(), Full> {
        match self.places.try_acquire() {
            Ok(place) => {
                place.forget();
                Ok(())
            }
            Err(TryAcquireError::Closed) => Err(Full::Queue),
            Err(TryAcquireError::NoPermits) => Box::pin(self.wait()).await,
        }
    }

    /// Waits for a place, where the queue has room.
    async fn wait(&self) -> Result<(), Full> {
        let most = self.settings.queue;
        let room = |waiting: usize| (waiting < most).then(|| waiting + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).map_err(|_| Full::Queue)?;
        let _waits = Waits(&self.waiting);
        match tokio::time::timeout(self.settings.wait, self.places.acquire()).await {
            Ok(Ok(place)) => {
                place.forget();
                Ok(())
            }
            Ok(Err(_)) => Err(Full::Queue),
            Err(_) => Err(Full::Late),
        }
    }

    /// Gives a place back.
    pub fn leave(&self) {
        self.places.add_permits(1);
    }

    /// How many requests are under way.
    pub fn under_way(&self) -> usize {
        self.settings.places.saturating_sub(self.places.available_permits())
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn queue(places: usize, queue: usize, wait: Duration) -> Arc<Failfast> {
        Arc::new(Failfast::new(FailfastSettings { places, queue, wait }))
    }

    #[tokio::test]
    async fn what_fits_passes_what_waits_is_served_in_order_and_the_rest_is_refused() {
        let queue = queue(2, 2, HOUR);
        assert_eq!((queue.enter().await, queue.enter().await), (Ok(()), Ok(())));
        let mut waiting = Vec::new();
        for _ in 0..2 {
            let own = queue.clone();
            waiting.push(tokio::spawn(async move { own.enter().await }));
            tokio::task::yield_now().await;
        }
        assert_eq!((queue.under_way(), queue.waiting()), (2, 2));
        assert_eq!(queue.enter().await, Err(Full::Queue));
        queue.leave();
        assert_eq!(waiting.remove(0).await.unwrap(), Ok(()), "the first that came");
        assert_eq!((queue.under_way(), queue.waiting()), (2, 1));
        queue.leave();
        assert_eq!(waiting.remove(0).await.unwrap(), Ok(()));
        queue.leave();
        queue.leave();
        assert_eq!((queue.under_way(), queue.waiting()), (0, 0));
    }

    #[tokio::test]
    async fn nobody_waits_for_longer_than_the_bound() {
        let queue = queue(1, 1, Duration::from_millis(1));
        queue.enter().await.unwrap();
        assert_eq!(queue.enter().await, Err(Full::Late));
        assert_eq!((queue.under_way(), queue.waiting()), (1, 0));
    }

    #[tokio::test]
    async fn who_gives_up_waiting_takes_neither_place_nor_room() {
        let queue = queue(1, 1, HOUR);
        queue.enter().await.unwrap();
        let own = queue.clone();
        let gone = tokio::spawn(async move { own.enter().await });
        tokio::task::yield_now().await;
        assert_eq!(queue.waiting(), 1);
        gone.abort();
        let _ = gone.await;
        assert_eq!(queue.waiting(), 0);
        queue.leave();
        assert_eq!(queue.enter().await, Ok(()));
    }
}
