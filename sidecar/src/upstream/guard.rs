//! What stands between the gateway and the hospital's server, so that neither drags the other down:
//!
//! ```text
//! breaker open? ─▶ a place, or a short wait for one (failfast) ─▶ breaker's pass ─▶ address (ejection) ─▶ one attempt
//!                        ▲                                                                                  │
//!                        └────────── pause ◀── budget ◀── safe to repeat? ◀── failed ◀──────────────────────┘
//! ```
//!
//! It outlives a reload. What is refused here was not sent. Metrics beside the bounds: `varco_upstream_in_flight`,
//! `varco_upstream_waiting`, `varco_upstream_refused_total`, `varco_upstream_breaker_state`,
//! `varco_upstream_breaker_opened_total`, `varco_upstream_retries_total`, `varco_upstream_retries_refused_total`,
//! `varco_upstream_addresses_out`, `varco_upstream_ejected_total`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use metrics::{Counter, Gauge, Label, counter, gauge};

use super::breaker::{Breaker, BreakerSettings, Change, FailureShare, Pass, Standing, Verdict};
use super::ejection::{EjectionSettings, Ejections};
use super::failfast::{Failfast, FailfastSettings, Full};
use super::retry_budget::{BudgetSettings, RetryBudget};
use super::{UpstreamError, retry};
use crate::config;

/// Most retries that the budget holds.
const MOST_RETRIES: u32 = 100;
/// Retries that it begins with.
const FIRST_RETRIES: u32 = 10;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    failfast: FailfastSettings,
    breaker: BreakerSettings,
    budget: BudgetSettings,
    ejection: EjectionSettings,
    addresses: Vec<SocketAddr>,
}

impl Settings {
    fn of(config: &config::Upstream) -> Settings {
        let config::UpstreamBreaker { failures, percent, requests, window_seconds, open_seconds, .. } =
            config.breaker;
        let seconds = Duration::from_secs;
        Settings {
            failfast: FailfastSettings {
                places: config.concurrency,
                queue: config.queue,
                wait: Duration::from_millis(config.queue_milliseconds),
            },
            breaker: BreakerSettings {
                failures,
                share: Some(FailureShare { percent, requests, window: seconds(window_seconds) }),
                rest: seconds(open_seconds),
                longest: seconds(config.breaker.most_open_seconds),
                probes: config.breaker.probes,
            },
            budget: BudgetSettings {
                percent: config.retry_percent,
                each_second: u32::from(config.retry_percent > 0),
                most: if config.retry_percent > 0 { MOST_RETRIES } else { 0 },
                first: FIRST_RETRIES,
            },
            ejection: EjectionSettings {
                failures: config.ejection.failures,
                rest: seconds(config.ejection.seconds),
                longest: seconds(config.ejection.most_seconds),
            },
            addresses: config.addresses.clone(),
        }
    }
}

struct Meters {
    in_flight: Gauge,
    waiting: Gauge,
    breaker_state: Gauge,
    addresses_out: Gauge,
    refused_full: Counter,
    refused_late: Counter,
    refused_resting: Counter,
    opened: Counter,
    retries: Counter,
    retries_refused: Counter,
    ejected: Counter,
}

impl Meters {
    /// Those of the hospital's server, or under the name of the pass-through that another server is asked by.
    fn new(route: Option<&str>) -> Meters {
        let labels = || -> Vec<Label> {
            route.map(|route| Label::new("route", route.to_owned())).into_iter().collect()
        };
        let refused = |cause: &'static str| {
            let mut labels = labels();
            labels.push(Label::new("cause", cause));
            counter!("varco_upstream_refused_total", labels)
        };
        Meters {
            in_flight: gauge!("varco_upstream_in_flight", labels()),
            waiting: gauge!("varco_upstream_waiting", labels()),
            breaker_state: gauge!("varco_upstream_breaker_state", labels()),
            addresses_out: gauge!("varco_upstream_addresses_out", labels()),
            refused_full: refused("full"),
            refused_late: refused("late"),
            refused_resting: refused("resting"),
            opened: counter!("varco_upstream_breaker_opened_total", labels()),
            retries: counter!("varco_upstream_retries_total", labels()),
            retries_refused: counter!("varco_upstream_retries_refused_total", labels()),
            ejected: counter!("varco_upstream_ejected_total", labels()),
        }
    }
}

/// The bounds of one server, and how it does.
pub struct Guard {
    settings: Settings,
    /// The pass-through that it is asked by; none for the hospital's server.
    route: Option<Box<str>>,
    failfast: Failfast,
    breaker: Breaker,
    budget: RetryBudget,
    /// Where there is more than one address.
    ejections: Option<Mutex<Ejections>>,
    meters: Meters,
}

impl Guard {
    /// For the hospital's server, of which nothing is known.
    pub fn new(config: &config::Upstream) -> Arc<Guard> {
        Guard::of(config, None)
    }

    /// For the server of the pass-through of this name.
    pub fn of_passthrough(config: &config::Upstream, route: &str) -> Arc<Guard> {
        Guard::of(config, Some(route.into()))
    }

    fn of(config: &config::Upstream, route: Option<Box<str>>) -> Arc<Guard> {
        let settings = Settings::of(config);
        let breaker = Breaker::new(settings.breaker, Instant::now());
        Arc::new(Guard::with(settings, breaker, route))
    }

    /// For the same server under another configuration. What the configuration leaves as it was goes on; a breaker that is
    /// open stays so. Requests that began before end with the old one, and count there.
    pub fn following(old: &Arc<Guard>, config: &config::Upstream) -> Arc<Guard> {
        let settings = Settings::of(config);
        if settings == old.settings {
            return old.clone();
        }
        let breaker = Breaker::following(&old.breaker, settings.breaker, Instant::now());
        let mut guard = Guard::with(settings, breaker, old.route.clone());
        if guard.settings.addresses == old.settings.addresses
            && guard.settings.ejection == old.settings.ejection
            && let Some(known) = &old.ejections
        {
            let known = known.lock().unwrap_or_else(PoisonError::into_inner).idle();
            guard.ejections = Some(Mutex::new(known));
        }
        Arc::new(guard)
    }

    fn with(settings: Settings, breaker: Breaker, route: Option<Box<str>>) -> Guard {
        let count = settings.addresses.len();
        Guard {
            meters: Meters::new(route.as_deref()),
            route,
            failfast: Failfast::new(settings.failfast),
            breaker,
            budget: RetryBudget::new(settings.budget, Instant::now()),
            ejections: (count > 1).then(|| Mutex::new(Ejections::new(settings.ejection, count))),
            settings,
        }
    }

    /// Notes a request, whatever becomes of it.
    pub(super) fn begin(&self) {
        if !self.budget.is_full() {
            self.budget.earn(Instant::now());
        }
    }

    /// Leave for one attempt: at once, or after a short wait for a place. `avoid` is an address that has just failed.
    pub(super) async fn enter(self: &Arc<Self>, avoid: Option<usize>) -> Result<Passage, UpstreamError> {
        if let Standing::Open(until) = self.breaker.standing() {
            let now = Instant::now();
            if now < until {
                return Err(self.resting(until, now));
            }
        }
        self.failfast.enter().await.map_err(|full| {
            match full {
                Full::Queue => self.meters.refused_full.increment(1),
                Full::Late => self.meters.refused_late.increment(1),
            }
            UpstreamError::Busy { seconds: 1 }
        })?;
        // From here on the place is given back when this is dropped.
        let mut passage = Passage { guard: self.clone(), pass: None, address: None };
        let pass = self.breaker.admit_while_closed().map_or_else(
            || {
                let now = Instant::now();
                self.breaker.admit(now).map_err(|until| self.resting(until, now))
            },
            Ok,
        )?;
        passage.pass = Some(pass);
        passage.address = self.ejections().map(|mut own| own.choose(avoid, Instant::now()));
        Ok(passage)
    }

    /// Takes a retry from the budget.
    pub(super) fn may_repeat(&self) -> bool {
        let may = self.budget.spend(Instant::now());
        if may {
            self.meters.retries.increment(1)
        } else {
            self.meters.retries_refused.increment(1)
        }
        may
    }

    fn resting(&self, until: Instant, now: Instant) -> UpstreamError {
        self.meters.refused_resting.increment(1);
        UpstreamError::Resting { seconds: until.saturating_duration_since(now).as_secs() + 1 }
    }

    fn ejections(&self) -> Option<MutexGuard<'_, Ejections>> {
        self.ejections.as_ref().map(|own| own.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets the gauges, before metrics are rendered.
    pub fn observe(&self) {
        self.meters.in_flight.set(self.failfast.under_way() as f64);
        self.meters.waiting.set(self.failfast.waiting() as f64);
        self.meters.breaker_state.set(match self.breaker.standing() {
            Standing::Closed => 0.0,
            Standing::Probing => 1.0,
            Standing::Open(_) => 2.0,
        });
        let out = self.ejections().map_or(0, |own| own.out(Instant::now()));
        self.meters.addresses_out.set(out as f64);
    }

    /// How many requests are under way, and how many wait.
    pub fn load(&self) -> (usize, usize) {
        (self.failfast.under_way(), self.failfast.waiting())
    }

    /// What keeps requests from the server, in words; none where nothing does.
    pub fn trouble(&self) -> Option<String> {
        let now = Instant::now();
        let breaker = match self.breaker.standing() {
            Standing::Closed => None,
            Standing::Probing => Some("failed, and is being tried again by a few requests".to_owned()),
            Standing::Open(until) => {
                let seconds = until.saturating_duration_since(now).as_secs() + 1;
                Some(format!("failed, and is left alone for {seconds} seconds more"))
            }
        };
        let (out, all) = (self.ejections().map_or(0, |own| own.out(now)), self.settings.addresses.len());
        let addresses = (out > 0).then(|| format!("{out} of its {all} addresses are left out"));
        let parts: Vec<String> = breaker.into_iter().chain(addresses).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// Leave for one attempt. Dropped without its end told, it says nothing about the server.
pub(super) struct Passage {
    guard: Arc<Guard>,
    pass: Option<Pass>,
    /// The number of the chosen address, where there are several.
    address: Option<usize>,
}

impl Passage {
    /// The number of the address to ask.
    pub fn address(&self) -> usize {
        self.address.unwrap_or_default()
    }

    /// Tells how the attempt ended.
    pub fn ended(mut self, answer: Result<StatusCode, &UpstreamError>) {
        let verdict = verdict(answer);
        let Some(pass) = self.pass.take() else { return };
        let (guard, now) = (&self.guard, Instant::now());
        let change = guard.breaker.settle(pass, verdict, now);
        let mut rest = None;
        if let (Some(mut own), Some(at)) = (guard.ejections(), self.address.take()) {
            match verdict {
                Verdict::Well => own.answered(at, now),
                Verdict::Failed => rest = own.failed(at, now).map(|rest| (at, rest)),
                Verdict::Nothing => own.left(at),
            }
        }
        if change != Change::None || rest.is_some() {
            guard.tell(change, rest, answer);
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            let _ = self.guard.breaker.settle(pass, Verdict::Nothing, Instant::now());
        }
        if let (Some(mut own), Some(at)) = (self.guard.ejections(), self.address.take()) {
            own.left(at);
        }
        self.guard.failfast.leave();
    }
}

/// What an answer, or that there is none, says about the server.
fn verdict(answer: Result<StatusCode, &UpstreamError>) -> Verdict {
    match answer {
        Ok(status) if retry::is_out_of_order(status) => Verdict::Failed,
        // A server that says more than is taken is alive.
        Ok(_) | Err(UpstreamError::TooLarge(_)) => Verdict::Well,
        Err(
            UpstreamError::Unreachable(_)
            | UpstreamError::Timeout(_)
            | UpstreamError::NoHead(_)
            | UpstreamError::Stalled(_),
        ) => Verdict::Failed,
        Err(_) => Verdict::Nothing,
    }
}

impl Guard {
    /// The line in the log: once for each change, not for each request.
    #[cold]
    fn tell(
        &self,
        change: Change,
        left_out: Option<(usize, Duration)>,
        answer: Result<StatusCode, &UpstreamError>,
    ) {
        let cause = match answer {
            Ok(status) => format!("it answers with status {}", status.as_u16()),
            Err(error) => error.to_string(),
        };
        match change {
            Change::None => {}
            Change::Opened(rest) => {
                self.meters.opened.increment(1);
                let route = self.route.as_deref().unwrap_or("exchange");
                tracing::error!(
                    route,
                    cause,
                    seconds = rest.as_secs(),
                    "the server behind this route fails and is left alone: requests are answered 503 until it is tried again; \
                     look at the server, at the network between, and at its URL in the configuration"
                );
            }
            Change::Closed => {
                let route = self.route.as_deref().unwrap_or("exchange");
                tracing::warn!(route, "the server behind this route answers again: requests pass");
            }
        }
        if let Some((at, rest)) = left_out {
            self.meters.ejected.increment(1);
            let address = self.settings.addresses.get(at).map(ToString::to_string).unwrap_or_default();
            tracing::warn!(
                address,
                cause,
                seconds = rest.as_secs(),
                "an address of the hospital's server fails and is left out; the others take its requests"
            );
        }
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
