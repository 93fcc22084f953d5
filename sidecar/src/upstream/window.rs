//! How many of the latest requests failed: counts of a sliding window, in ten slices.
//!
//! Every request writes here and none waits: a slice is one atomic number, its tick, failures and requests side by side.
//! Bound: ten slices; counts end at a million a slice.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const SLICES: usize = 10;
const COUNT_BITS: u32 = 20;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
const TICK: u64 = (1 << (64 - 2 * COUNT_BITS)) - 1;

/// What a window holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub requests: u64,
    pub failures: u64,
}

/// A sliding window. The time comes in as an argument.
#[derive(Debug)]
pub(super) struct Window {
    slices: [AtomicU64; SLICES],
    began: Instant,
    /// How long one slice is, in milliseconds.
    width: u128,
}

impl Window {
    /// An empty one of this length, which begins at `began`.
    pub fn new(length: Duration, began: Instant) -> Window {
        let width = (length.as_millis() / SLICES as u128).max(1);
        Window { slices: Default::default(), began, width }
    }

    fn tick(&self, now: Instant) -> u64 {
        // From 1: a slice that was never written is of no tick.
        let ticks = now.saturating_duration_since(self.began).as_millis() / self.width;
        u64::try_from(ticks).unwrap_or(u64::MAX).wrapping_add(1) & TICK
    }

    /// Counts a request.
    pub fn add(&self, failed: bool, now: Instant) {
        let tick = self.tick(now);
        let place = usize::try_from(tick % SLICES as u64).unwrap_or_default();
        let Some(slice) = self.slices.get(place) else { return };
        let counted = |old: u64| {
            let (requests, failures) = match old >> (2 * COUNT_BITS) == tick {
                true => (old & COUNT, (old >> COUNT_BITS) & COUNT),
                false => (0, 0),
            };
            let requests = requests.saturating_add(1).min(COUNT);
            let failures = failures.saturating_add(u64::from(failed)).min(COUNT);
            Some((tick << (2 * COUNT_BITS)) | (failures << COUNT_BITS) | requests)
        };
        let _ = slice.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
    }

    /// What was counted within the window.
    pub fn tally(&self, now: Instant) -> Tally {
        let latest = self.tick(now);
        let counts = self.slices.iter().map(|slice| slice.load(Ordering::Relaxed));
        let within = counts
            .filter(|own| *own != 0 && (latest.wrapping_sub(own >> (2 * COUNT_BITS)) & TICK) < SLICES as u64);
        within.fold(Tally::default(), |sum, own| Tally {
            requests: sum.requests + (own & COUNT),
            failures: sum.failures + ((own >> COUNT_BITS) & COUNT),
        })
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.slices.iter().for_each(|slice| slice.store(0, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is counted is never more than what a window of exact times holds, nor less than one a slice shorter.
        #[test]
        fn it_counts_what_lies_within(steps in proptest::collection::vec((0_u64..4_000, any::<bool>()), 1..200)) {
            let began = Instant::now();
            let window = Window::new(Duration::from_secs(10), began);
            let (mut now, mut seen) = (began, Vec::new());
            for (pause, failed) in steps {
                now += Duration::from_millis(pause);
                window.add(failed, now);
                seen.push((now, failed));
                let within = |age: u64| {
                    let young = seen.iter().filter(|(then, _)| now - *then < Duration::from_millis(age));
                    let failures = young.clone().filter(|(_, failed)| *failed).count() as u64;
                    Tally { requests: young.count() as u64, failures }
                };
                let (least, most, found) = (within(9_000), within(10_000), window.tally(now));
                prop_assert!(least.requests <= found.requests && found.requests <= most.requests);
                prop_assert!(least.failures <= found.failures && found.failures <= most.failures);
            }
        }
    }

    #[test]
    fn it_forgets() {
        let began = Instant::now();
        let window = Window::new(Duration::from_secs(1), began);
        window.add(true, began);
        assert_eq!(window.tally(began), Tally { requests: 1, failures: 1 });
        assert_eq!(window.tally(began + Duration::from_secs(1)), Tally::default());
        window.add(true, began + Duration::from_secs(5));
        window.clear();
        assert_eq!(window.tally(began + Duration::from_secs(5)), Tally::default());
    }
}
