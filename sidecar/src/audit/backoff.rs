//! How long to wait before a server that failed is tried again: twice as long each time, up to a minute.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// The wait, and whether the failure is news.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    /// After a failure: how long to wait. The first of several in a row is logged as a warning.
    pub fn failed(&mut self, what: &'static str, cause: &str) -> Duration {
        let wait = match self.last {
            None => {
                tracing::warn!(what, cause, "sending fails; nothing is lost, and it is tried again");
                FIRST
            }
            Some(last) => {
                tracing::debug!(what, cause, "sending fails still");
                last.saturating_mul(2).min(LONGEST)
            }
        };
        self.last = Some(wait);
        wait
    }

    /// After a success.
    pub fn succeeded(&mut self, what: &'static str) {
        if self.last.take().is_some() {
            tracing::info!(what, "sending works again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..8).map(|_| backoff.failed("x", "y").as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        backoff.succeeded("x");
        assert_eq!(backoff.failed("x", "y").as_secs(), 1);
    }
}
