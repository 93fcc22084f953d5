//! Prometheus's text format (0.0.4), read: what `/metrics` shows becomes what is pushed, and what `varco top` draws.
//!
//! What is no line of the format is passed over. A histogram's lines are put together again: bounds, counts, sum.

use std::collections::BTreeMap;

/// Most lines that are read.
const LINES: usize = 200_000;

/// Labels of one series, by name.
pub type Labels = BTreeMap<String, String>;

/// Everything that is counted at one moment, by metric.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exposition {
    /// Metrics by name.
    pub families: BTreeMap<String, Family>,
}

/// One metric.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Family {
    /// `counter`, `gauge`, `histogram`; empty where the text does not say.
    pub kind: String,
    /// What it means.
    pub help: String,
    /// Its values, by labels.
    pub series: BTreeMap<Labels, Value>,
}

/// The value of one series.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a counter or gauge.
    Number(f64),
    /// Of a histogram.
    Histogram(Buckets),
}

/// A histogram.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Buckets {
    /// Upper bounds and how many values lie at or below each, the last bound infinite.
    pub below: Vec<(f64, f64)>,
    /// Sum of the values.
    pub sum: f64,
    /// Their number.
    pub count: f64,
}

impl Exposition {
    /// Reads a text.
    pub fn parse(text: &str) -> Exposition {
        let mut own = Exposition::default();
        for line in text.lines().take(LINES) {
            if let Some(comment) = line.strip_prefix('#') {
                own.describe(comment.trim_start());
            } else if let Some((name, labels, value)) = sample(line) {
                own.add(name, labels, value);
            }
        }
        own
    }

    fn describe(&mut self, comment: &str) {
        let mut parts = comment.splitn(3, ' ');
        let (Some(what), Some(name), Some(text)) = (parts.next(), parts.next(), parts.next()) else { return };
        match what {
            "HELP" => self.families.entry(name.to_owned()).or_default().help = text.to_owned(),
            "TYPE" => self.families.entry(name.to_owned()).or_default().kind = text.trim().to_owned(),
            _ => {}
        }
    }

    fn add(&mut self, name: &str, mut labels: Labels, value: f64) {
        for end in ["_bucket", "_sum", "_count"] {
            let Some(family) = name.strip_suffix(end) else { continue };
            let Some(family) = self.families.get_mut(family).filter(|own| own.kind == "histogram") else {
                continue;
            };
            let bound = labels.remove("le").and_then(|bound| bound.parse::<f64>().ok());
            let own = family.series.entry(labels).or_insert_with(|| Value::Histogram(Buckets::default()));
            if let Value::Histogram(buckets) = own {
                match (end, bound) {
                    ("_bucket", Some(bound)) => buckets.below.push((bound, value)),
                    ("_sum", _) => buckets.sum = value,
                    ("_count", _) => buckets.count = value,
                    _ => {}
                }
            }
            return;
        }
        self.families.entry(name.to_owned()).or_default().series.insert(labels, Value::Number(value));
    }

    /// The series of a metric; none where there is none.
    pub fn series(&self, name: &str) -> impl Iterator<Item = (&Labels, &Value)> {
        self.families.get(name).into_iter().flat_map(|family| &family.series)
    }

    /// The sum of a metric's numbers, over those series that `wanted` takes.
    pub fn sum(&self, name: &str, wanted: impl Fn(&Labels) -> bool) -> f64 {
        let numbers = self.series(name).filter(|(labels, _)| wanted(labels));
        numbers.filter_map(|(_, value)| if let Value::Number(own) = value { Some(own) } else { None }).sum()
    }

    /// A metric's histograms put together, over those series that `wanted` takes.
    pub fn buckets(&self, name: &str, wanted: impl Fn(&Labels) -> bool) -> Buckets {
        let mut all = Buckets::default();
        for (_, value) in self.series(name).filter(|(labels, _)| wanted(labels)) {
            if let Value::Histogram(own) = value {
                all.add(own);
            }
        }
        all
    }
}

impl Buckets {
    /// Puts another of the same bounds to it.
    fn add(&mut self, other: &Buckets) {
        if self.below.is_empty() {
            self.below.clone_from(&other.below);
        } else {
            for ((_, own), (_, more)) in self.below.iter_mut().zip(&other.below) {
                *own += more;
            }
        }
        self.sum += other.sum;
        self.count += other.count;
    }

    /// What has come since `before`; itself where the counting began anew.
    pub fn since(&self, before: &Buckets) -> Buckets {
        if self.count < before.count || before.below.len() > self.below.len() {
            return self.clone();
        }
        let earlier = before.below.iter().map(|(_, count)| *count).chain(std::iter::repeat(0.0));
        Buckets {
            below: self.below.iter().zip(earlier).map(|((bound, own), was)| (*bound, own - was)).collect(),
            sum: self.sum - before.sum,
            count: self.count - before.count,
        }
    }

    /// The value that this share of all lies below, as Prometheus's `histogram_quantile` reckons it; `None` without values.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = share * self.count;
        if self.count <= 0.0 {
            return None;
        }
        let (mut lower, mut before) = (0.0, 0.0);
        for (bound, below) in &self.below {
            if *below >= rank {
                let within = below - before;
                // Beyond the last bound nothing is known but the bound.
                let known = bound.is_finite() && within > 0.0;
                return Some(if known { lower + (bound - lower) * (rank - before) / within } else { lower });
            }
            (lower, before) = (*bound, *below);
        }
        Some(lower)
    }
}

/// `name{label="value"} number`.
fn sample(line: &str) -> Option<(&str, Labels, f64)> {
    let line = line.trim();
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let mut labels = Labels::new();
    let rest = match rest.strip_prefix('{') {
        None => rest,
        Some(mut rest) => loop {
            rest = rest.trim_start_matches([',', ' ']);
            if let Some(after) = rest.strip_prefix('}') {
                break after;
            }
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.insert(label.trim().to_owned(), value);
            rest = after;
        },
    };
    let number = rest.split_whitespace().next()?;
    Some((name, labels, number.parse().ok()?)).filter(|(name, ..)| !name.is_empty())
}

/// The text up to the closing quote, its escapes undone, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
    use proptest::prelude::*;

    use super::*;

    const ALL: fn(&Labels) -> bool = |_| true;

    #[test]
    fn what_the_recorder_writes_is_read_again() {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &[0.1, 0.2, 0.4])
            .unwrap()
            .build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::describe_counter!("requests_total", "All \\ of them");
            metrics::counter!("requests_total", "who" => "a \"b\" \\ c").increment(3);
            metrics::counter!("requests_total", "who" => "d").increment(4);
            metrics::gauge!("queue").set(-1.5);
            for value in [0.05, 0.15, 0.15, 0.3, 9.0] {
                metrics::histogram!("took_seconds", "to" => "x").record(value);
            }
        });
        let read = Exposition::parse(&recorder.handle().render());
        assert_eq!(read.families["requests_total"].kind, "counter");
        assert_eq!(read.sum("requests_total", ALL), 7.0);
        assert_eq!(read.sum("requests_total", |labels| labels["who"] == "a \"b\" \\ c"), 3.0);
        assert_eq!(read.sum("queue", ALL), -1.5);
        let buckets = read.buckets("took_seconds", ALL);
        assert_eq!(buckets.below, [(0.1, 1.0), (0.2, 3.0), (0.4, 4.0), (f64::INFINITY, 5.0)]);
        assert_eq!(buckets.count, 5.0);
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let buckets = Buckets {
            below: vec![(0.1, 50.0), (0.2, 100.0), (f64::INFINITY, 100.0)],
            sum: 10.0,
            count: 100.0,
        };
        assert_eq!(buckets.quantile(0.5), Some(0.1));
        assert!((buckets.quantile(0.75).unwrap() - 0.15).abs() < 1e-9);
        assert_eq!(Buckets::default().quantile(0.5), None);
        let beyond = Buckets { below: vec![(0.1, 0.0), (f64::INFINITY, 3.0)], sum: 9.0, count: 3.0 };
        assert_eq!(beyond.quantile(0.99), Some(0.1), "the last bound is all that is known");
        let later = Buckets {
            below: vec![(0.1, 50.0), (0.2, 130.0), (f64::INFINITY, 130.0)],
            sum: 14.0,
            count: 130.0,
        };
        assert_eq!(later.since(&buckets).below, [(0.1, 0.0), (0.2, 30.0), (f64::INFINITY, 30.0)]);
        assert_eq!(buckets.since(&later), buckets, "a restarted sidecar counts from zero");
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "(#|[a-z_]{1,5}|\\{|\\}|=|\"|,| |\\\\|[0-9.]{1,3}|\n){0,80}") {
            let read = Exposition::parse(&text);
            read.buckets("a", ALL).quantile(0.5);
        }
    }
}
