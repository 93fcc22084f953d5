//! How often one client may ask: a token bucket for each (GCRA, by `governor`).
//!
//! Bounds: buckets that are full again are forgotten once there are more than [`MOST_BUCKETS`].

use std::num::NonZeroU32;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::Refusal;

/// How many clients are counted before idle ones are forgotten.
const MOST_BUCKETS: usize = 10_000;

/// The rate limits of one listener.
pub(super) struct ClientLimit {
    buckets: DefaultKeyedRateLimiter<String>,
    clock: DefaultClock,
}

impl ClientLimit {
    /// `per_second` steadily, `burst` at once.
    pub fn new(per_second: u32, burst: u32) -> ClientLimit {
        let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(per_second)).allow_burst(at_least_one(burst));
        ClientLimit { buckets: RateLimiter::keyed(quota), clock: DefaultClock::default() }
    }

    /// Takes one token of the client's bucket.
    pub fn admit(&self, client: &str) -> Result<(), Refusal> {
        if self.buckets.len() > MOST_BUCKETS {
            self.buckets.retain_recent();
        }
        self.buckets.check_key(&client.to_owned()).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            Refusal::Rate { retry_after: wait.as_secs() + 1 }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_own_burst() {
        let limit = ClientLimit::new(1, 3);
        let admitted = |client| (0..10).filter(|_| limit.admit(client).is_ok()).count();
        assert_eq!(admitted("ospedale"), 3);
        assert_eq!(admitted("ambulatorio"), 3);
        assert!(matches!(limit.admit("ospedale"), Err(Refusal::Rate { retry_after: 1.. })));
    }
}
