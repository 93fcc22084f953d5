//! A circuit breaker: a server that fails is left alone for a while, and then tried by a few requests.
//!
//! ```text
//!         so many failures in a row, or so large a share of the latest requests
//! closed ────────────────────────────────────────────────────────────────────▶ open
//!    ▲                                                                       ▲   │ the rest is over
//!    │                                                             a failure │   ▼
//!    └──────────────────────── so many successes ─────────────────────────── probing
//! ```
//!
//! Invariants: while open no request passes; while probing no more than `probes` are under way; how requests end that began
//! in an earlier state changes nothing. Probes whose end is never told count as lost after another rest. Each rest is longer
//! than the one before ([`GrowingRest`]). The time comes in as an argument. While closed, a request takes no lock.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::growing::GrowingRest;
use super::window::Window;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BreakerSettings {
    /// Failures in a row that open it.
    pub failures: u32,
    /// Share of failures that opens it.
    pub share: Option<FailureShare>,
    /// The first rest.
    pub rest: Duration,
    /// The longest one.
    pub longest: Duration,
    /// Requests that try the server at a time afterwards; as many successes close it.
    pub probes: u32,
}

/// A share of failures that is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FailureShare {
    /// Failures in a hundred requests.
    pub percent: u32,
    /// Requests that the window must hold; fewer tell nothing.
    pub requests: u32,
    /// How far the window reaches back.
    pub window: Duration,
}

/// How a request ended, as far as it says something about the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is well.
    Well,
    /// It is not.
    Failed,
    /// Nothing was learned.
    Nothing,
}

/// A request that was let through. Its end must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) struct Pass {
    state: u64,
    probe: bool,
}

/// What a request's end changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing.
    None,
    /// It opened, for this long.
    Opened(Duration),
    /// It closed.
    Closed,
}

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Requests pass.
    Closed,
    /// None does until then.
    Open(Instant),
    /// A few try the server.
    Probing,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { since: Instant },
    Open { until: Instant },
    Probing { under_way: u32, well: u32, lost: Instant },
}

#[derive(Debug)]
struct Inner {
    state: State,
    rest: GrowingRest,
}

/// One server's breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    /// Another number after every change of state; odd while closed.
    latch: AtomicU64,
    in_a_row: AtomicU32,
    window: Option<(Window, FailureShare)>,
    inner: Mutex<Inner>,
}

impl Breaker {
    /// A closed one.
    pub fn new(settings: BreakerSettings, now: Instant) -> Breaker {
        let inner = Inner {
            state: State::Closed { since: now },
            rest: GrowingRest::new(settings.rest, settings.longest),
        };
        Breaker {
            settings,
            latch: AtomicU64::new(1),
            in_a_row: AtomicU32::new(0),
            window: settings.share.map(|share| (Window::new(share.window, now), share)),
            inner: Mutex::new(inner),
        }
    }

    /// One with other settings for the same server: while `old` is open, so is this one.
    pub fn following(old: &Breaker, settings: BreakerSettings, now: Instant) -> Breaker {
        let breaker = Breaker::new(settings, now);
        if let Standing::Open(until) = old.standing() {
            breaker.lock().state = State::Open { until };
            breaker.latch.store(2, Ordering::Release);
        }
        breaker
    }

    /// Where it stands.
    pub fn standing(&self) -> Standing {
        if self.latch.load(Ordering::Acquire) & 1 == 1 {
            return Standing::Closed;
        }
        match self.lock().state {
            State::Closed { .. } => Standing::Closed,
            State::Open { until } => Standing::Open(until),
            State::Probing { .. } => Standing::Probing,
        }
    }

    /// A pass, while it is closed.
    pub fn admit_while_closed(&self) -> Option<Pass> {
        let state = self.latch.load(Ordering::Acquire);
        (state & 1 == 1).then_some(Pass { state, probe: false })
    }

    /// A pass for a request that may be made now; else when the next may.
    pub fn admit(&self, now: Instant) -> Result<Pass, Instant> {
        if let Some(pass) = self.admit_while_closed() {
            return Ok(pass);
        }
        let mut inner = self.lock();
        let state = self.latch.load(Ordering::Relaxed);
        match inner.state {
            State::Closed { .. } => Ok(Pass { state, probe: false }),
            State::Open { until } if now < until => Err(until),
            State::Probing { under_way, well, lost } if under_way < self.settings.probes.max(1) => {
                inner.state = State::Probing { under_way: under_way + 1, well, lost };
                Ok(Pass { state, probe: true })
            }
            State::Probing { lost, .. } if now < lost => Err(lost),
            State::Open { .. } | State::Probing { .. } => {
                let lost = now + inner.rest.last();
                inner.state = State::Probing { under_way: 1, well: 0, lost };
                self.latch.store(state + 2, Ordering::Release);
                Ok(Pass { state: state + 2, probe: true })
            }
        }
    }

    /// Takes note of how a request ended.
    pub fn settle(&self, pass: Pass, verdict: Verdict, now: Instant) -> Change {
        if pass.state != self.latch.load(Ordering::Acquire) {
            return Change::None;
        }
        match (pass.probe, verdict) {
            (true, verdict) => self.probed(pass, verdict, now),
            (false, Verdict::Nothing) => Change::None,
            (false, Verdict::Well) => {
                if self.in_a_row.load(Ordering::Relaxed) != 0 {
                    self.in_a_row.store(0, Ordering::Relaxed);
                }
                self.count(false, now);
                Change::None
            }
            (false, Verdict::Failed) => {
                self.count(true, now);
                let in_a_row = self.in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                if in_a_row < self.settings.failures.max(1) && !self.too_many(now) {
                    return Change::None;
                }
                let mut inner = self.lock();
                match inner.state {
                    State::Closed { since } if pass.state == self.latch.load(Ordering::Relaxed) => {
                        let change = self.open(&mut inner, now.saturating_duration_since(since), now);
                        self.latch.store(pass.state + 1, Ordering::Release);
                        change
                    }
                    _ => Change::None,
                }
            }
        }
    }

    fn probed(&self, pass: Pass, verdict: Verdict, now: Instant) -> Change {
        let mut inner = self.lock();
        let State::Probing { under_way, well, lost } = inner.state else { return Change::None };
        if pass.state != self.latch.load(Ordering::Relaxed) {
            return Change::None;
        }
        match verdict {
            Verdict::Failed => {
                self.latch.store(pass.state + 2, Ordering::Release);
                self.open(&mut inner, Duration::ZERO, now)
            }
            Verdict::Well if well + 1 >= self.settings.probes.max(1) => {
                inner.state = State::Closed { since: now };
                self.in_a_row.store(0, Ordering::Relaxed);
                self.window.iter().for_each(|(window, _)| window.clear());
                self.latch.store(pass.state + 1, Ordering::Release);
                Change::Closed
            }
            Verdict::Well => {
                inner.state = State::Probing { under_way: under_way.saturating_sub(1), well: well + 1, lost };
                Change::None
            }
            Verdict::Nothing => {
                inner.state = State::Probing { under_way: under_way.saturating_sub(1), well, lost };
                Change::None
            }
        }
    }

    fn open(&self, inner: &mut Inner, well_for: Duration, now: Instant) -> Change {
        let rest = inner.rest.next(well_for);
        inner.state = State::Open { until: now + rest };
        Change::Opened(rest)
    }

    fn count(&self, failed: bool, now: Instant) {
        if let Some((window, _)) = &self.window {
            window.add(failed, now);
        }
    }

    fn too_many(&self, now: Instant) -> bool {
        self.window.as_ref().is_some_and(|(window, share)| {
            let tally = window.tally(now);
            tally.requests >= u64::from(share.requests)
                && tally.failures * 100 >= u64::from(share.percent) * tally.requests
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
