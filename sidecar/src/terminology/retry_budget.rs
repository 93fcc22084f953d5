//! How many requests may be made a second time: one for every ten that were made a first time.
//!
//! A server in trouble is not helped by twice the load. Each request puts a tenth of a retry into the budget,
//! which holds ten at most and begins with three.

use std::sync::atomic::{AtomicU32, Ordering};

/// What one retry costs, in tenths.
const COST: u32 = 10;
const MOST: u32 = 100;
const FIRST: u32 = 30;

/// The budget, in tenths of a retry.
#[derive(Debug)]
pub(super) struct RetryBudget(AtomicU32);

impl RetryBudget {
    pub fn new() -> RetryBudget {
        RetryBudget(AtomicU32::new(FIRST))
    }

    /// Notes a first request.
    pub fn earn(&self) {
        let more = |tenths: u32| (tenths < MOST).then(|| tenths + 1);
        // Full already: nothing to add.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Takes one retry, if there is one.
    pub fn spend(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tenths| tenths.checked_sub(COST)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_retry_for_ten_requests_after_the_first_three() {
        let budget = RetryBudget::new();
        assert_eq!((0..10).filter(|_| budget.spend()).count(), 3);
        (0..25).for_each(|_| budget.earn());
        assert_eq!((0..10).filter(|_| budget.spend()).count(), 2);
        (0..10_000).for_each(|_| budget.earn());
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10, "never more than it holds");
    }
}
