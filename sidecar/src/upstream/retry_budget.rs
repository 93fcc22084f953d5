//! How many requests may be made a second time: a share of those that were made a first time, and a few beside.
//!
//! A server in trouble is not helped by twice the load. Each request puts a share of a retry into the budget, and so does
//! each second; the budget holds a bounded number and begins with some. The time comes in as an argument. While the
//! budget is full, as it is while all is well, nothing is written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What one retry costs, in hundredths.
const COST: u32 = 100;

/// How a budget grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BudgetSettings {
    /// Retries for a hundred requests.
    pub percent: u32,
    /// Retries for a second in which there are few requests.
    pub each_second: u32,
    /// Most that it holds.
    pub most: u32,
    /// What it begins with.
    pub first: u32,
}

/// The budget: whole seconds until which it was filled, and hundredths of a retry, side by side.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    held: AtomicU64,
    began: Instant,
    settings: BudgetSettings,
}

fn packed(second: u32, hundredths: u32) -> u64 {
    (u64::from(second) << 32) | u64::from(hundredths)
}

#[allow(clippy::cast_possible_truncation)]
fn unpacked(held: u64) -> (u32, u32) {
    ((held >> 32) as u32, held as u32)
}

impl RetryBudget {
    pub fn new(settings: BudgetSettings, began: Instant) -> RetryBudget {
        let first = settings.first.min(settings.most).saturating_mul(COST);
        RetryBudget { held: AtomicU64::new(packed(0, first)), began, settings }
    }

    /// True while nothing can be added.
    pub fn is_full(&self) -> bool {
        unpacked(self.held.load(Ordering::Relaxed)).1 >= self.settings.most.saturating_mul(COST)
    }

    /// Notes a first request.
    pub fn earn(&self, now: Instant) {
        let BudgetSettings { percent, each_second, most, .. } = self.settings;
        let most = most.saturating_mul(COST);
        let second = now.saturating_duration_since(self.began).as_secs();
        let second = u32::try_from(second).unwrap_or(u32::MAX);
        let filled = |held: u64| {
            let (filled, hundredths) = unpacked(held);
            if hundredths >= most {
                return None;
            }
            let passed = second.saturating_sub(filled).saturating_mul(each_second).saturating_mul(COST);
            let more = hundredths.saturating_add(percent).saturating_add(passed).min(most);
            Some(packed(second.max(filled), more))
        };
        // Full already: nothing to add.
        let _ = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, filled);
    }

    /// Takes one retry, if there is one.
    pub fn spend(&self, now: Instant) -> bool {
        let second = now.saturating_duration_since(self.began).as_secs();
        let second = u32::try_from(second).unwrap_or(u32::MAX);
        let most = self.settings.most.saturating_mul(COST);
        let taken = |held: u64| {
            let (filled, hundredths) = unpacked(held);
            // What passed while it was full adds nothing.
            let filled = if hundredths >= most { second.max(filled) } else { filled };
            Some(packed(filled, hundredths.checked_sub(COST)?))
        };
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const TENTH: BudgetSettings = BudgetSettings { percent: 10, each_second: 0, most: 10, first: 3 };

    #[test]
    fn one_retry_for_ten_requests_after_the_first_three() {
        let now = Instant::now();
        let budget = RetryBudget::new(TENTH, now);
        assert_eq!((0..10).filter(|_| budget.spend(now)).count(), 3);
        (0..25).for_each(|_| budget.earn(now));
        assert_eq!((0..10).filter(|_| budget.spend(now)).count(), 2);
        (0..10_000).for_each(|_| budget.earn(now));
        assert_eq!((0..100).filter(|_| budget.spend(now)).count(), 10, "never more than it holds");
    }

    proptest! {
        #[test]
        fn never_more_than_its_share_and_its_seconds(
            percent in 0_u32..=100,
            each_second in 0_u32..5,
            most in 1_u32..50,
            steps in proptest::collection::vec((0_u64..3_000, 0_usize..5), 1..200),
        ) {
            let began = Instant::now();
            let settings = BudgetSettings { percent, each_second, most, first: 2 };
            let budget = RetryBudget::new(settings, began);
            let (mut now, mut requests, mut retries) = (began, 0_u64, 0_u64);
            for (pause, wanted) in steps {
                now += Duration::from_millis(pause);
                budget.earn(now);
                requests += 1;
                let got = (0..wanted).filter(|_| budget.spend(now)).count() as u64;
                prop_assert!(got <= u64::from(most));
                retries += got;
                let seconds = (now - began).as_secs() * u64::from(each_second);
                prop_assert!(retries <= 2 + seconds + requests * u64::from(percent) / 100);
            }
        }
    }
}
