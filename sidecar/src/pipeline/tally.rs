//! What each request counts, by handles that are looked up once: a look-up by labels hashes and allocates.
//!
//! The table is filled as it is needed and bounded by its lists: interactions × statuses × outcomes. What stands in no list
//! is counted as `unknown` or `other`. Metrics: `varco_requests_total`, `varco_request_seconds`, `varco_refusals_total`,
//! `varco_resources_total`, `varco_policy_requests_total`, `varco_upstream_seconds`, `varco_route_requests_total`, `varco_route_seconds`.

use std::sync::OnceLock;
use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Histogram, counter, histogram};

use crate::config::DEFAULT_ROUTE;
use crate::telemetry::under_way::INTERACTIONS;

/// What an interaction is called that is none of [`INTERACTIONS`].
const UNKNOWN: &str = "unknown";

/// Statuses that answers have; every other is `other`.
const STATUSES: [(u16, &str); 26] = [
    (200, "200"),
    (201, "201"),
    (204, "204"),
    (304, "304"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (406, "406"),
    (408, "408"),
    (409, "409"),
    (410, "410"),
    (412, "412"),
    (413, "413"),
    (415, "415"),
    (422, "422"),
    (428, "428"),
    (429, "429"),
    (500, "500"),
    (501, "501"),
    (502, "502"),
    (503, "503"),
    (504, "504"),
    (507, "507"),
    (0, "other"),
];

/// What a policy's decision is called.
const POLICY_EFFECTS: [&str; 3] = ["permit", "forbid", "failed"];

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was answered.
    Answered,
    /// It was refused: the caller's doing.
    Refused,
    /// It failed: this installation's doing.
    Failed,
}

impl Outcome {
    const ALL: [Outcome; 3] = [Outcome::Answered, Outcome::Refused, Outcome::Failed];

    /// As metrics and logs have it.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
        }
    }
}

/// The handles of one interaction.
struct Row {
    seconds: Histogram,
    by_status: [[OnceLock<Counter>; Outcome::ALL.len()]; STATUSES.len()],
}

/// The handles of one route.
struct RouteRow {
    seconds: Histogram,
    by_outcome: [Counter; Outcome::ALL.len()],
}

impl RouteRow {
    fn new(route: &str) -> RouteRow {
        let name = || route.to_owned();
        RouteRow {
            seconds: histogram!("varco_route_seconds", "route" => name()),
            by_outcome: Outcome::ALL.map(|outcome| {
                counter!("varco_route_requests_total", "route" => name(), "outcome" => outcome.name())
            }),
        }
    }
}

/// The handles of what each request counts.
pub(super) struct Tally {
    /// One for each interaction, and the last for every other.
    rows: [OnceLock<Box<Row>>; INTERACTIONS.len() + 1],
    upstream: [OnceLock<Histogram>; STATUSES.len()],
    upstream_silent: OnceLock<Histogram>,
    routes: Vec<RouteRow>,
    released: Counter,
    withheld: Counter,
    /// What policies decided: permit, forbid, failed.
    policies: [Counter; POLICY_EFFECTS.len()],
}

impl Tally {
    /// Handles of the recorder that is installed now, and of these routes beside the one for what no route takes; none
    /// where there are no routes.
    pub fn new<'r>(routes: impl Iterator<Item = &'r str>) -> Tally {
        let mut routes: Vec<RouteRow> = routes.map(RouteRow::new).collect();
        if !routes.is_empty() {
            routes.push(RouteRow::new(DEFAULT_ROUTE));
        }
        Tally {
            rows: Default::default(),
            upstream: std::array::from_fn(|_| OnceLock::new()),
            upstream_silent: OnceLock::new(),
            routes,
            released: counter!("varco_resources_total", "verdict" => "released"),
            withheld: counter!("varco_resources_total", "verdict" => "withheld"),
            policies: POLICY_EFFECTS
                .map(|effect| counter!("varco_policy_requests_total", "effect" => effect)),
        }
    }

    /// Counts a request that ended.
    pub fn request(&self, interaction: &'static str, status: StatusCode, outcome: Outcome, took: Duration) {
        let at = INTERACTIONS.iter().position(|own| *own == interaction).unwrap_or(INTERACTIONS.len());
        let Some(row) = self.rows.get(at) else { return };
        let name = INTERACTIONS.get(at).copied().unwrap_or(UNKNOWN);
        let row = row.get_or_init(|| {
            Box::new(Row {
                seconds: histogram!("varco_request_seconds", "interaction" => name),
                by_status: std::array::from_fn(|_| Default::default()),
            })
        });
        row.seconds.record(took.as_secs_f64());
        let (number, told) = status_at(status);
        if let Some(counter) = row.by_status.get(number).and_then(|all| all.get(outcome as usize)) {
            let made = || counter!("varco_requests_total", "interaction" => name, "status" => told, "outcome" => outcome.name());
            counter.get_or_init(made).increment(1);
        }
    }

    /// Counts a request under the route that it took, by its number; `None`: no route took it.
    pub fn route(&self, route: Option<usize>, outcome: Outcome, took: Duration) {
        let last = self.routes.len().saturating_sub(1);
        let Some(row) = self.routes.get(route.map_or(last, |route| route.min(last))) else { return };
        row.seconds.record(took.as_secs_f64());
        if let Some(counter) = row.by_outcome.get(outcome as usize) {
            counter.increment(1);
        }
    }

    /// Counts why a request was refused or failed.
    pub fn refusal(&self, cause: &'static str) {
        counter!("varco_refusals_total", "cause" => cause).increment(1);
    }

    /// Counts a policy that decided about a request, by its effect; `failed`: it can't be evaluated.
    pub fn policy(&self, effect: &'static str) {
        let at = POLICY_EFFECTS.iter().position(|own| *own == effect);
        at.and_then(|at| self.policies.get(at)).iter().for_each(|counter| counter.increment(1));
    }

    /// Counts resources that were judged.
    pub fn resources(&self, released: usize, withheld: usize) {
        if released > 0 {
            self.released.increment(released as u64);
        }
        if withheld > 0 {
            self.withheld.increment(withheld as u64);
        }
    }

    /// Counts a question to the hospital's server, by the status of its answer if there was one.
    pub fn upstream(&self, status: Option<StatusCode>, took: Duration) {
        let (handle, told) = match status {
            Some(status) => {
                let (number, told) = status_at(status);
                (self.upstream.get(number), told)
            }
            None => (Some(&self.upstream_silent), "none"),
        };
        if let Some(handle) = handle {
            let made = || histogram!("varco_upstream_seconds", "status" => told);
            handle.get_or_init(made).record(took.as_secs_f64());
        }
    }
}

/// A status as a label: one of the usual, or `other`.
pub(crate) fn status_word(status: StatusCode) -> &'static str {
    status_at(status).1
}

fn status_at(status: StatusCode) -> (usize, &'static str) {
    let found = STATUSES.iter().enumerate().find(|(_, (own, _))| *own == status.as_u16());
    found.map_or((STATUSES.len() - 1, "other"), |(number, (_, told))| (number, told))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn each_request_is_counted_once_and_what_is_in_no_list_has_a_place() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let tally = Tally::new(["lab"].into_iter());
            tally.route(Some(0), Outcome::Answered, Duration::from_micros(80));
            tally.route(None, Outcome::Refused, Duration::from_micros(80));
            let took = Duration::from_micros(80);
            for _ in 0..3 {
                tally.request("read", StatusCode::OK, Outcome::Answered, took);
            }
            tally.request("read", StatusCode::NOT_FOUND, Outcome::Refused, took);
            tally.request("never-heard-of", StatusCode::IM_A_TEAPOT, Outcome::Failed, took);
            tally.refusal("scope");
            tally.resources(2, 0);
            tally.policy("forbid");
            tally.upstream(None, took);
            tally.upstream(Some(StatusCode::OK), took);
        });
        let text = handle.render();
        for line in [
            "varco_requests_total{interaction=\"read\",status=\"200\",outcome=\"answered\"} 3",
            "varco_requests_total{interaction=\"read\",status=\"404\",outcome=\"refused\"} 1",
            "varco_requests_total{interaction=\"unknown\",status=\"other\",outcome=\"failed\"} 1",
            "varco_refusals_total{cause=\"scope\"} 1",
            "varco_route_requests_total{route=\"lab\",outcome=\"answered\"} 1",
            "varco_route_requests_total{route=\"exchange\",outcome=\"refused\"} 1",
            "varco_resources_total{verdict=\"released\"} 2",
            "varco_policy_requests_total{effect=\"forbid\"} 1",
            "varco_resources_total{verdict=\"withheld\"} 0",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        for part in ["varco_upstream_seconds", "status=\"none\"", "status=\"200\""] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
