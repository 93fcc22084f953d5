//! A circuit breaker: a server that fails again and again is left alone for a while.
//!
//! ```text
//! closed ──(so many failures in a row)──▶ open ──(rest is over)──▶ probing ──(success)──▶ closed
//!                                          ▲                          │
//!                                          └────────(failure)─────────┘
//! ```
//!
//! Invariant: while open, no request passes; while probing, one does. A probe whose end is never told counts as
//! lost after another rest. The time comes in as an argument.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Probing { until: Instant },
}

/// One server's breaker.
#[derive(Debug)]
pub(super) struct Breaker {
    state: Mutex<State>,
    most: u32,
    rest: Duration,
}

impl Breaker {
    /// Opens after `most` failures in a row, for `rest`.
    pub fn new(most: u32, rest: Duration) -> Breaker {
        Breaker { state: Mutex::new(State::Closed { failures: 0 }), most: most.max(1), rest }
    }

    /// True where a request may be made now. It must be told how it went.
    pub fn admit(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Closed { .. } => true,
            State::Open { until } | State::Probing { until } if now < until => false,
            State::Open { .. } | State::Probing { .. } => {
                *state = State::Probing { until: now + self.rest };
                true
            }
        }
    }

    /// A request was answered. True where this closed the breaker.
    pub fn succeeded(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let was_closed = matches!(*state, State::Closed { .. });
        *state = State::Closed { failures: 0 };
        !was_closed
    }

    /// A request failed. True where this opened the breaker.
    pub fn failed(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let open = State::Open { until: now + self.rest };
        let (next, opened) = match *state {
            State::Closed { failures } if failures + 1 < self.most => {
                (State::Closed { failures: failures + 1 }, false)
            }
            State::Closed { .. } => (open, true),
            // What was sent before the breaker opened prolongs nothing.
            State::Open { until } => (State::Open { until }, false),
            State::Probing { .. } => (open, true),
        };
        *state = next;
        opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(30);

    #[test]
    fn failures_in_a_row_open_it_and_a_probe_closes_it() {
        let (breaker, start) = (Breaker::new(3, REST), Instant::now());
        assert!(!breaker.failed(start) && !breaker.failed(start));
        assert!(!breaker.succeeded(), "it was closed all the while");
        assert!(!breaker.failed(start) && !breaker.failed(start) && breaker.admit(start));
        assert!(breaker.failed(start), "the third in a row");
        assert!(!breaker.admit(start + REST / 2));
        assert!(breaker.admit(start + REST), "one probe");
        assert!(!breaker.admit(start + REST), "and no other beside it");
        assert!(breaker.succeeded());
        assert!(breaker.admit(start + REST) && breaker.admit(start + REST));
    }

    #[test]
    fn a_failed_probe_opens_it_again_and_a_lost_one_is_replaced() {
        let (breaker, start) = (Breaker::new(1, REST), Instant::now());
        assert!(breaker.failed(start));
        assert!(breaker.admit(start + REST));
        assert!(breaker.failed(start + REST));
        assert!(!breaker.admit(start + REST + REST / 2));
        assert!(breaker.admit(start + REST * 2), "this probe is lost");
        assert!(!breaker.admit(start + REST * 2));
        assert!(breaker.admit(start + REST * 3));
    }

    #[test]
    fn late_failures_do_not_prolong_the_rest() {
        let (breaker, start) = (Breaker::new(1, REST), Instant::now());
        breaker.failed(start);
        assert!(!breaker.failed(start + REST / 2));
        assert!(breaker.admit(start + REST));
    }
}
