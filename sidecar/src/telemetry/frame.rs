//! What `varco top` shows: two looks at a sidecar, made into lines of 80 columns at most. Pure: no terminal, no clock.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::exposition::{Buckets, Exposition, Labels, Value};

/// Most columns of a line.
pub const COLUMNS: usize = 80;
/// Most rows of each list.
const INTERACTIONS: usize = 6;
const ROUTES: usize = 5;
const CAUSES: usize = 4;
const PLUGINS: usize = 4;
const REQUESTS: usize = 4;
const TASKS: usize = 4;

/// One look at a sidecar.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// `/metrics`.
    pub metrics: Exposition,
    /// `/tasks`.
    pub tasks: Json,
}

/// How much comes in a second.
struct Rates<'l> {
    before: &'l Exposition,
    now: &'l Exposition,
    seconds: f64,
}

impl Rates<'_> {
    /// Of a counter, over those series that `wanted` takes. A counter that fell began anew.
    fn of(&self, name: &str, wanted: impl Fn(&Labels) -> bool) -> f64 {
        let (before, now) = (self.before.sum(name, &wanted), self.now.sum(name, &wanted));
        (if now < before { now } else { now - before }) / self.seconds
    }

    fn buckets(&self, name: &str, wanted: impl Fn(&Labels) -> bool) -> Buckets {
        self.now.buckets(name, &wanted).since(&self.before.buckets(name, &wanted))
    }

    /// Values of a label, the busiest first, each with its rate and its number.
    fn by(&self, name: &str, label: &str) -> Vec<(String, f64, f64)> {
        let mut values: BTreeMap<String, f64> = BTreeMap::new();
        for (labels, value) in self.now.series(name) {
            let more = match value {
                Value::Number(number) => *number,
                Value::Histogram(buckets) => buckets.count,
            };
            *values.entry(labels.get(label).cloned().unwrap_or_default()).or_default() += more;
        }
        let mut told: Vec<(String, f64, f64)> = values
            .into_iter()
            .map(|(value, total)| {
                let rate = self.of(name, |labels| labels.get(label) == Some(&value));
                (value, rate, total)
            })
            .collect();
        told.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.2.total_cmp(&a.2)).then(a.0.cmp(&b.0)));
        told
    }

    fn gauge(&self, name: &str) -> f64 {
        self.now.sum(name, |_| true)
    }
}

/// The lines: what is between two looks that lie `seconds` apart.
pub fn draw(before: &Look, now: &Look, seconds: f64) -> Vec<String> {
    let rates = Rates { before: &before.metrics, now: &now.metrics, seconds: seconds.max(0.001) };
    let mut lines = Vec::new();
    totals(&rates, now, &mut lines);
    let interactions = ("varco_requests_total", "varco_request_seconds", "interaction");
    by(&rates, interactions, ("INTERACTION", INTERACTIONS), &mut lines);
    let routes = ("varco_route_requests_total", "varco_route_seconds", "route");
    by(&rates, routes, ("ROUTE", ROUTES), &mut lines);
    causes(&rates, &mut lines);
    plugins(&rates, &mut lines);
    requests(now, &mut lines);
    tasks(now, &mut lines);
    for line in &mut lines {
        if let Some((end, _)) = line.char_indices().nth(COLUMNS) {
            line.truncate(end);
        }
        line.truncate(line.trim_end().len());
    }
    lines
}

fn totals(rates: &Rates<'_>, now: &Look, lines: &mut Vec<String>) {
    let outcome = |word: &'static str| {
        rates.of("varco_requests_total", move |labels| labels.get("outcome").is_some_and(|own| own == word))
    };
    let open = now.tasks["requests"].as_array().map_or(0, Vec::len);
    let untold = now.tasks["requests_not_shown"].as_u64().unwrap_or_default();
    lines.push(format!(
        "requests/s {:<8.1} answered {:<8.1} refused {:<7.1} failed {:<6.1} open {}",
        rates.of("varco_requests_total", |_| true),
        outcome("answered"),
        outcome("refused"),
        outcome("failed"),
        u64::try_from(open).unwrap_or(u64::MAX).saturating_add(untold),
    ));
    let (own, upstream) =
        (rates.buckets("varco_request_seconds", |_| true), rates.buckets("varco_upstream_seconds", |_| true));
    lines.push(format!(
        "latency    p50 {:>8} p99 {:>8}     upstream p50 {:>8} p99 {:>8}",
        time(own.quantile(0.5)),
        time(own.quantile(0.99)),
        time(upstream.quantile(0.5)),
        time(upstream.quantile(0.99)),
    ));
    let breaker = match rates.gauge("varco_upstream_breaker_state") {
        state if state >= 2.0 => "left alone",
        state if state >= 1.0 => "tried again",
        _ => "asked",
    };
    lines.push(format!(
        "upstream   {breaker:<11} calls/s {:.1}  in flight {}  waiting {}  retries/s {:.1}",
        upstream.count / rates.seconds,
        rates.gauge("varco_upstream_in_flight"),
        rates.gauge("varco_upstream_waiting"),
        rates.of("varco_upstream_retries_total", |_| true),
    ));
    lines.push(format!(
        "audit      records/s {:.1}   waiting for the store {}   to be exported {}",
        rates.of("varco_audit_records_total", |_| true),
        rates.gauge("varco_store_queue"),
        rates.gauge("varco_audit_export_lag_records"),
    ));
    let hits = rates.of("varco_cache_hits_total", |_| true);
    let asked = hits + rates.of("varco_cache_misses_total", |_| true);
    lines.push(format!(
        "caches     questions/s {asked:.1}   answered {:.0} %   entries {}   shed/s {:.1}",
        if asked > 0.0 { 100.0 * hits / asked } else { 0.0 },
        rates.gauge("varco_cache_entries"),
        rates.of("varco_shed_total", |_| true),
    ));
}

/// Rates and latency by the values of a label.
fn by(
    rates: &Rates<'_>,
    (counted, timed, label): (&str, &str, &str),
    (title, most): (&str, usize),
    lines: &mut Vec<String>,
) {
    let told = rates.by(counted, label);
    if told.is_empty() {
        return;
    }
    lines.push(String::new());
    lines.push(format!(
        "{title:<18}{:>9}{:>10}{:>9}{:>8}{:>12}{:>12}",
        "/s", "answered", "refused", "failed", "p50", "p99"
    ));
    for (name, rate, _) in told.into_iter().take(most) {
        let own = |labels: &Labels| labels.get(label) == Some(&name);
        let of = |outcome: &str| {
            rates.of(counted, |labels| own(labels) && labels.get("outcome").is_some_and(|it| it == outcome))
        };
        let (answered, refused, failed) = (of("answered"), of("refused"), of("failed"));
        let buckets = rates.buckets(timed, own);
        let (p50, p99) = (time(buckets.quantile(0.5)), time(buckets.quantile(0.99)));
        let name: String = name.chars().take(17).collect();
        lines.push(format!(
            "{name:<18}{rate:>9.1}{answered:>10.1}{refused:>9.1}{failed:>8.1}{p50:>12}{p99:>12}"
        ));
    }
}

fn causes(rates: &Rates<'_>, lines: &mut Vec<String>) {
    let told = rates.by("varco_refusals_total", "cause");
    if told.is_empty() {
        return;
    }
    lines.push(String::new());
    lines.push(format!("{:<28}{:>10}{:>14}", "NOT ANSWERED BECAUSE OF", "/s", "in all"));
    for (cause, rate, total) in told.into_iter().take(CAUSES) {
        lines.push(format!("{cause:<28}{rate:>10.1}{total:>14.0}"));
    }
}

fn plugins(rates: &Rates<'_>, lines: &mut Vec<String>) {
    let told = rates.by("varco_plugin_calls_total", "plugin");
    if told.is_empty() {
        return;
    }
    lines.push(String::new());
    lines.push(format!("{:<28}{:>10}{:>14}{:>14}", "PLUGIN", "calls/s", "failed in all", "quarantine"));
    for (plugin, rate, _) in told.into_iter().take(PLUGINS) {
        let own = |labels: &Labels| labels.get("plugin") == Some(&plugin);
        let failed = rates.now.sum("varco_plugin_calls_total", |labels| {
            own(labels)
                && labels
                    .get("result")
                    .is_some_and(|result| matches!(result.as_str(), "trapped" | "too-slow"))
        });
        let quarantine = rates.now.sum("varco_plugin_quarantine", own) > 0.0;
        let quarantine = if quarantine { "yes" } else { "no" };
        lines.push(format!("{plugin:<28}{rate:>10.1}{failed:>14.0}{quarantine:>14}"));
    }
}

fn requests(now: &Look, lines: &mut Vec<String>) {
    let Some(open) = now.tasks["requests"].as_array().filter(|open| !open.is_empty()) else { return };
    lines.push(String::new());
    lines.push(format!("{:>9}  {:<10}{:<18}{:<41}", "OPEN FOR", "STAGE", "INTERACTION", "CLIENT"));
    for request in open.iter().take(REQUESTS) {
        let text = |key: &str| request[key].as_str().unwrap_or("-");
        lines.push(format!(
            "{:>9}  {:<10}{:<18}{:<41}",
            time(request["seconds"].as_f64()),
            text("stage"),
            text("interaction"),
            text("client"),
        ));
    }
}

/// The tasks whose last run went wrong.
fn tasks(now: &Look, lines: &mut Vec<String>) {
    let failing: Vec<&Json> = now.tasks["background"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|task| !task["last_error"].is_null() && task["last_error"]["at"] == task["last_run"])
        .collect();
    if failing.is_empty() {
        return;
    }
    lines.push(String::new());
    lines.push("FAILING BESIDE REQUESTS".to_owned());
    for task in failing.into_iter().take(TASKS) {
        let name = task["name"].as_str().unwrap_or_default();
        let cause: String = task["last_error"]["cause"]
            .as_str()
            .unwrap_or_default()
            .chars()
            .filter(|char| !char.is_control())
            .collect();
        lines.push(format!("{name}: {cause}"));
    }
}

/// A time that people read at a glance.
fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(own) if own < 0.001 => format!("{:.0} us", own * 1e6),
        Some(own) if own < 1.0 => format!("{:.1} ms", own * 1e3),
        Some(own) => format!("{own:.2} s"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn look(reads: u64, refused: u64) -> Look {
        let text = format!(
            "# TYPE varco_requests_total counter\n\
             varco_requests_total{{interaction=\"read\",status=\"200\",outcome=\"answered\"}} {reads}\n\
             varco_requests_total{{interaction=\"unknown\",status=\"401\",outcome=\"refused\"}} {refused}\n\
             # TYPE varco_refusals_total counter\nvarco_refusals_total{{cause=\"token\"}} {refused}\n\
             # TYPE varco_request_seconds histogram\n\
             varco_request_seconds_bucket{{interaction=\"read\",le=\"0.0001\"}} 0\n\
             varco_request_seconds_bucket{{interaction=\"read\",le=\"0.0002\"}} {reads}\n\
             varco_request_seconds_bucket{{interaction=\"read\",le=\"+Inf\"}} {reads}\n\
             varco_request_seconds_sum{{interaction=\"read\"}} 1\nvarco_request_seconds_count{{interaction=\"read\"}} {reads}\n\
             # TYPE varco_upstream_breaker_state gauge\nvarco_upstream_breaker_state 2\n\
             # TYPE varco_plugin_calls_total counter\nvarco_plugin_calls_total{{plugin=\"minimiser\",result=\"trapped\"}} 3\n\
             # TYPE varco_plugin_quarantine gauge\nvarco_plugin_quarantine{{plugin=\"minimiser\"}} 1\n"
        );
        Look {
            metrics: Exposition::parse(&text),
            tasks: json!({
                "requests": [{ "id": "r", "seconds": 12.5, "stage": "upstream", "interaction": "read", "client": "x".repeat(90) }],
                "requests_not_shown": 0,
                "background": [
                    { "name": "audit export", "last_run": "t", "last_error": { "at": "t", "cause": "it can't be reached" } },
                    { "name": "maps", "last_run": "t2", "last_error": { "at": "t", "cause": "an old story" } },
                ],
            }),
        }
    }

    #[test]
    fn a_frame_tells_rates_between_two_looks_in_80_columns() {
        let lines = draw(&look(1000, 10), &look(1200, 30), 2.0);
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS), "{lines:#?}");
        let row = |begin: &str| {
            let line = lines
                .iter()
                .find(|line| line.starts_with(begin))
                .unwrap_or_else(|| panic!("{begin}: {lines:#?}"));
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(row("requests/s")[1], "110.0");
        assert_eq!(row("read")[1..], ["100.0", "100.0", "0.0", "0.0", "150", "us", "199", "us"]);
        assert_eq!(row("token"), ["token", "10.0", "30"]);
        assert_eq!(row("minimiser"), ["minimiser", "0.0", "3", "yes"]);
        assert_eq!(row("upstream")[1..3], ["left", "alone"]);
        assert_eq!(row("  12.50 s")[2..4], ["upstream", "read"]);
        assert!(lines.contains(&"audit export: it can't be reached".to_owned()));
        assert!(!lines.iter().any(|line| line.contains("old story")), "what works again fails no more");
    }

    #[test]
    fn an_idle_sidecar_and_a_restarted_one_are_told_without_nonsense() {
        let idle = draw(&Look::default(), &Look::default(), 1.0);
        assert_eq!(idle.len(), 5, "{idle:#?}");
        assert!(idle[1].contains("p50        - p99        -"), "{idle:#?}");
        let restarted = draw(&look(1000, 10), &look(5, 0), 1.0);
        assert!(restarted[0].starts_with("requests/s 5.0 "), "{restarted:#?}");
    }
}
