//! Leaves a plugin alone after repeated failures, for a time that doubles each time it fails again.
//!
//! ```text
//!            3 failures in a row                 time is over
//!   closed ─────────────────────▶ open for 1 s ───────────────▶ one call is tried
//!     ▲                             ▲   (2 s, 4 s … 5 min)        │        │
//!     └─────────────────────────────┼──────────── it succeeds ────┘        │
//!                                   └──────────── it fails ────────────────┘
//! ```
//!
//! Invariant: while open, at most one call is tried in each period. Calls that were running when it opened change nothing.

use std::time::Duration;

/// Failures in a row that open the quarantine.
const FAILURES: u32 = 3;
/// The first period.
const FIRST: Duration = Duration::from_secs(1);
/// The longest period.
const LONGEST: Duration = Duration::from_secs(300);
/// How long a tried call blocks the next try, should its end never be reported. Longer than any call takes.
const TRY: Duration = Duration::from_secs(10);

/// The state of one plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Duration, period: Duration },
}

/// Leave to make one call. Its end must be reported with the same value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The plugin is in good standing.
    Regular,
    /// The quarantine's time is over and this call tells whether it ends.
    Trial,
}

impl Default for Quarantine {
    fn default() -> Self {
        Self { state: State::Closed { failures: 0 } }
    }
}

impl Quarantine {
    /// Leave for a call at `now`, or the time after which to ask again.
    pub fn admit(&mut self, now: Duration) -> Result<Admission, Duration> {
        match &mut self.state {
            State::Closed { .. } => Ok(Admission::Regular),
            State::Open { until, .. } if now < *until => Err(until.saturating_sub(now)),
            State::Open { until, .. } => {
                *until = now.saturating_add(TRY);
                Ok(Admission::Trial)
            }
        }
    }

    /// The call did what a plugin may do. True where that ends a quarantine.
    pub fn succeeded(&mut self, admission: Admission) -> bool {
        match (&self.state, admission) {
            (State::Closed { .. }, _) | (State::Open { .. }, Admission::Trial) => {
                let ended = self.is_open();
                *self = Self::default();
                ended
            }
            (State::Open { .. }, Admission::Regular) => false,
        }
    }

    /// The call failed at `now`. The period where that opens the quarantine or renews it.
    pub fn failed(&mut self, admission: Admission, now: Duration) -> Option<Duration> {
        let period = match (&mut self.state, admission) {
            (State::Closed { failures }, _) => {
                *failures = failures.saturating_add(1);
                if *failures < FAILURES {
                    return None;
                }
                FIRST
            }
            (State::Open { period, .. }, Admission::Trial) => period.saturating_mul(2).min(LONGEST),
            (State::Open { .. }, Admission::Regular) => return None,
        };
        self.state = State::Open { until: now.saturating_add(period), period };
        Some(period)
    }

    /// The call never reached the plugin: it says nothing about it.
    pub fn abandoned(&mut self, admission: Admission, now: Duration) {
        if let (State::Open { until, .. }, Admission::Trial) = (&mut self.state, admission) {
            *until = now;
        }
    }

    /// Whether calls are refused or tried one at a time.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn opened(now: Duration) -> Quarantine {
        let mut quarantine = Quarantine::default();
        for _ in 0..FAILURES {
            assert_eq!(quarantine.admit(now), Ok(Admission::Regular));
            quarantine.failed(Admission::Regular, now);
        }
        assert!(quarantine.is_open());
        quarantine
    }

    #[test]
    fn failures_must_be_in_a_row() {
        let mut quarantine = Quarantine::default();
        for _ in 0..10 {
            assert_eq!(quarantine.failed(Admission::Regular, seconds(0)), None);
            assert_eq!(quarantine.failed(Admission::Regular, seconds(0)), None);
            assert!(!quarantine.succeeded(Admission::Regular));
        }
        assert!(!quarantine.is_open());
    }

    #[test]
    fn the_period_doubles_up_to_five_minutes() {
        let mut quarantine = opened(seconds(0));
        let mut now = seconds(0);
        let mut expected = seconds(1);
        for _ in 0..12 {
            assert_eq!(quarantine.admit(now), Err(expected));
            now += expected;
            assert_eq!(quarantine.admit(now), Ok(Admission::Trial));
            expected = (expected * 2).min(seconds(300));
            assert_eq!(quarantine.failed(Admission::Trial, now), Some(expected));
        }
        assert_eq!(expected, seconds(300));
    }

    #[test]
    fn one_call_is_tried_and_its_success_ends_the_quarantine() {
        let mut quarantine = opened(seconds(0));
        assert_eq!(quarantine.admit(seconds(1)), Ok(Admission::Trial));
        assert!(quarantine.admit(seconds(1)).is_err());
        assert!(quarantine.succeeded(Admission::Trial));
        assert_eq!(quarantine, Quarantine::default());
    }

    #[test]
    fn calls_that_were_running_when_it_opened_change_nothing() {
        let mut quarantine = opened(seconds(0));
        let before = quarantine.clone();
        assert!(!quarantine.succeeded(Admission::Regular));
        assert_eq!(quarantine.failed(Admission::Regular, seconds(0)), None);
        assert_eq!(quarantine, before);
    }

    #[test]
    fn a_trial_that_never_ran_is_given_to_the_next_call() {
        let mut quarantine = opened(seconds(0));
        assert_eq!(quarantine.admit(seconds(1)), Ok(Admission::Trial));
        quarantine.abandoned(Admission::Trial, seconds(1));
        assert_eq!(quarantine.admit(seconds(1)), Ok(Admission::Trial));
    }
}
