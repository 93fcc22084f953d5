//! How long something that fails is left alone: twice as long each time, up to a bound; from the beginning again once it
//! was well for as long as it was last left alone.

use std::time::Duration;

/// Rests of one thing that fails now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GrowingRest {
    first: Duration,
    most: Duration,
    /// How often it was left alone without being well in between.
    times: u32,
    last: Duration,
}

impl GrowingRest {
    /// Rests from `first` up to `most`; where `most` is less, all are as long as `first`.
    pub fn new(first: Duration, most: Duration) -> GrowingRest {
        GrowingRest { first, most: most.max(first), times: 0, last: Duration::ZERO }
    }

    /// The next rest; `well_for` says how long it was well since the last one.
    pub fn next(&mut self, well_for: Duration) -> Duration {
        if well_for >= self.last {
            self.times = 0;
        }
        let doubled = 1_u32.checked_shl(self.times).and_then(|factor| self.first.checked_mul(factor));
        self.last = doubled.map_or(self.most, |rest| rest.min(self.most));
        self.times = self.times.saturating_add(1);
        self.last
    }

    /// The rest before; `first` where there was none.
    pub fn last(&self) -> Duration {
        self.last.max(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_double_up_to_their_bound_until_it_was_well_for_one() {
        let seconds = Duration::from_secs;
        let mut rest = GrowingRest::new(seconds(2), seconds(30));
        let rests: Vec<u64> = (0..40).map(|_| rest.next(seconds(1)).as_secs()).collect();
        assert_eq!(rests[..6], [2, 4, 8, 16, 30, 30]);
        assert_eq!(rests[39], 30);
        assert_eq!(rest.next(seconds(29)), seconds(30));
        assert_eq!(rest.next(seconds(30)), seconds(2));
        let mut even = GrowingRest::new(seconds(5), Duration::ZERO);
        assert_eq!([even.next(Duration::ZERO), even.next(Duration::ZERO)], [seconds(5); 2]);
    }
}
