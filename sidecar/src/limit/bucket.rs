//! Token buckets by key (GCRA, by `governor`), bounded in number.
//!
//! Keys are keyed hashes, so that no client or patient stands in memory by name. Bound: buckets that are full again are
//! forgotten once there are [`MOST`]; while there are still more, whatever would have a bucket of its own shares that of its
//! caller, so that nobody escapes its limit and none suffers for another client's inventions.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

/// How many buckets are kept before those that are full again are forgotten.
pub(super) const MOST: usize = 100_000;
/// Every so many requests the number of buckets is looked at.
const LOOK: u32 = 256;

/// What a bucket said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// Passed; so many may still come at once.
    Passed(u32),
    /// Refused; the next one passes after so many seconds.
    Refused(u64),
}

/// Buckets of one rule.
pub(super) struct Buckets<C: Clock = DefaultClock> {
    by_key: RateLimiter<u64, DashMapStateStore<u64>, C, StateInformationMiddleware>,
    clock: C,
    asked: AtomicU32,
    full: AtomicBool,
    most: usize,
}

impl Buckets {
    /// `requests` in `seconds` steadily, `burst` at once.
    pub fn new(requests: u32, seconds: u32, burst: u32) -> Buckets {
        Buckets::with_clock(requests, seconds, burst, MOST, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Buckets<C> {
    fn with_clock(requests: u32, seconds: u32, burst: u32, most: usize, clock: C) -> Buckets<C> {
        let apart =
            (Duration::from_secs(u64::from(seconds.max(1))) / requests.max(1)).max(Duration::from_nanos(1));
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(apart).unwrap_or(Quota::per_second(burst)).allow_burst(burst);
        let by_key = RateLimiter::new(quota, DashMapStateStore::default(), clock.clone());
        Buckets { by_key, clock, asked: AtomicU32::new(0), full: AtomicBool::new(false), most }
    }

    /// Takes one token of the bucket with this key, or of the caller's while there are too many.
    pub fn take(&self, key: u64, caller: u64) -> Said {
        match self.ask(key, caller) {
            Ok(left) => Said::Passed(left),
            Err(wait) => Said::Refused(wait.as_secs().saturating_add(1)),
        }
    }

    /// The same: how many may still come at once, or after how long the next one passes.
    pub fn ask(&self, key: u64, caller: u64) -> Result<u32, Duration> {
        if self.asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOK) {
            self.tidy();
        }
        let key = if self.full.load(Ordering::Relaxed) { caller } else { key };
        // A thread that was put aside between its look at the clock and the bucket comes with a time that is past: by the time
        // of those that were served meanwhile it would be refused, though its client keeps to its rate. It looks again.
        let said = self.by_key.check_key(&key).or_else(|_| self.by_key.check_key(&key));
        said.map(|state| state.remaining_burst_capacity())
            .map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }

    /// Forgets full buckets where there are many.
    pub fn tidy(&self) {
        let many = self.by_key.len() >= self.most;
        if many {
            self.by_key.retain_recent();
            self.by_key.shrink_to_fit();
        }
        self.full.store(many && self.by_key.len() >= self.most, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::{Arc, Mutex};

    use governor::clock::FakeRelativeClock;
    use governor::nanos::Nanos;
    use proptest::prelude::*;

    use super::*;

    fn buckets(
        requests: u32,
        seconds: u32,
        burst: u32,
        most: usize,
    ) -> (Buckets<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Buckets::with_clock(requests, seconds, burst, most, clock.clone()), clock)
    }

    #[test]
    fn a_burst_passes_at_once_and_then_the_rate() {
        let (own, clock) = buckets(2, 1, 3, MOST);
        let said: Vec<Said> = (0..4).map(|_| own.take(1, 0)).collect();
        assert_eq!(said, [Said::Passed(2), Said::Passed(1), Said::Passed(0), Said::Refused(1)]);
        assert_eq!(own.take(2, 0), Said::Passed(2), "another key has its own");
        clock.advance(Duration::from_millis(500));
        assert_eq!((own.take(1, 0), own.take(1, 0)), (Said::Passed(0), Said::Refused(1)));
    }

    /// Says these times, in milliseconds, the last one for ever.
    #[derive(Clone)]
    struct Scripted(Arc<Mutex<Vec<u64>>>);

    impl Clock for Scripted {
        type Instant = Nanos;

        fn now(&self) -> Nanos {
            let mut left = self.0.lock().unwrap();
            let now = if left.len() > 1 { left.remove(0) } else { left[0] };
            Nanos::from(Duration::from_millis(now))
        }
    }

    #[test]
    fn who_looked_at_the_clock_long_ago_is_not_refused_for_it() {
        // Made at 0; one request at 100 ms; one that saw 20 ms before it was put aside, and then 101 ms.
        let clock = Scripted(Arc::new(Mutex::new(vec![0, 100, 20, 101])));
        let own = Buckets::with_clock(1_000, 1, 10, MOST, clock.clone());
        assert_eq!(own.ask(1, 0), Ok(9));
        assert_eq!(own.ask(1, 0), Ok(9));
        assert_eq!(*clock.0.lock().unwrap(), [101]);
        let more = (0..20).filter(|_| own.ask(1, 0).is_ok()).count();
        assert_eq!(more, 9, "a second look is no second token");
    }

    #[test]
    fn who_invents_keys_shares_one_bucket_in_the_end_and_memory_stays_bounded() {
        let (own, clock) = buckets(1, 3600, 5, 1_000);
        let passed = (0..100_000).filter(|key| matches!(own.take(*key + 10, 1), Said::Passed(_))).count();
        assert!(own.len() <= 1_000 + LOOK as usize + 1, "{}", own.len());
        assert!(passed <= 1_000 + LOOK as usize + 5, "{passed}");
        assert_eq!(own.take(3, 2), Said::Passed(4), "another caller's requests pass");
        clock.advance(Duration::from_secs(6 * 3600));
        own.tidy();
        assert_eq!(own.len(), 0);
    }

    proptest! {
        /// In no stretch of time pass more than the burst and what the rate gives.
        #[test]
        fn never_more_than_burst_and_rate(
            requests in 1u32..50, seconds in 1u32..5, burst in 1u32..20,
            waits in prop::collection::vec(0u64..400, 1..200),
        ) {
            let (own, clock) = buckets(requests, seconds, burst, MOST);
            let (mut passed, mut elapsed) = (0u64, 0u64);
            for wait in waits {
                clock.advance(Duration::from_millis(wait));
                elapsed += wait;
                passed += u64::from(matches!(own.take(7, 0), Said::Passed(_)));
                let most = u64::from(burst) + elapsed * u64::from(requests) / (1_000 * u64::from(seconds)) + 1;
                prop_assert!(passed <= most, "{passed} of {most}");
            }
        }
    }
}
