//! Metrics to the operator's collector: at an interval, what `/metrics` shows (OTLP metrics, cumulative).
//!
//! Nothing is counted twice: the recorder's text is read and written as OTLP. A message that is not taken is not sent again: the
//! next one says it all. Metric: `varco_otlp_metrics_sent_total`, by result.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::counter;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric::Data, number_data_point,
};
use tokio::sync::watch;

use super::background;
use super::collector::{Collector, Refused, scope, text};
use super::exposition::{Buckets, Exposition, Family, Labels, Value};

/// When counting began, in nanoseconds since 1970.
static BEGAN: OnceLock<u64> = OnceLock::new();

/// Says that counting begins now; the first call holds.
pub(super) fn begin() {
    BEGAN.get_or_init(now);
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or_default()
}

/// Sends what `render` gives every so often, until `stopping` turns true.
pub(super) async fn run(
    collector: Collector,
    every: Duration,
    render: impl Fn() -> String + Send + Sync + 'static,
    mut stopping: watch::Receiver<bool>,
) {
    let began = *BEGAN.get_or_init(now);
    let mut told = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        let message = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(collector.resource()),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(scope("varco")),
                    metrics: metrics_of(&Exposition::parse(&render()), began, now()),
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            }],
        };
        match collector.send("/v1/metrics", &message).await {
            Ok(()) => {
                background::done(Some(every));
                counter!("varco_otlp_metrics_sent_total", "result" => "taken").increment(1);
                told = false;
            }
            Err(Refused { cause, .. }) => {
                background::failed(&cause, Some(every));
                counter!("varco_otlp_metrics_sent_total", "result" => "refused").increment(1);
                // Once for each outage.
                if !told {
                    tracing::warn!(cause, "the collector does not take metrics; it is tried again");
                    told = true;
                }
            }
        }
    }
}

/// Metrics as OTLP has them.
fn metrics_of(exposition: &Exposition, began: u64, now: u64) -> Vec<Metric> {
    let metrics = exposition.families.iter().filter(|(_, family)| !family.series.is_empty());
    metrics.map(|(name, family)| metric(name, family, began, now)).collect()
}

fn metric(name: &str, family: &Family, began: u64, now: u64) -> Metric {
    let cumulative = AggregationTemporality::Cumulative.into();
    let numbers = || {
        let points = family.series.iter().filter_map(|(labels, value)| match value {
            Value::Number(number) => Some(NumberDataPoint {
                attributes: attributes(labels),
                start_time_unix_nano: if family.kind == "counter" { began } else { 0 },
                time_unix_nano: now,
                value: Some(number_data_point::Value::AsDouble(*number)),
                ..NumberDataPoint::default()
            }),
            Value::Histogram(_) => None,
        });
        points.collect()
    };
    let data = match family.kind.as_str() {
        "counter" => {
            Data::Sum(Sum { data_points: numbers(), aggregation_temporality: cumulative, is_monotonic: true })
        }
        "histogram" => {
            let points = family.series.iter().filter_map(|(labels, value)| match value {
                Value::Histogram(buckets) => Some(point(labels, buckets, began, now)),
                Value::Number(_) => None,
            });
            Data::Histogram(Histogram { data_points: points.collect(), aggregation_temporality: cumulative })
        }
        _ => Data::Gauge(Gauge { data_points: numbers() }),
    };
    // UCUM, as OpenTelemetry wants units.
    let unit = match name {
        name if name.ends_with("_seconds") => "s",
        name if name.ends_with("_bytes") => "By",
        _ => "1",
    };
    Metric {
        name: name.to_owned(),
        description: family.help.clone(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

/// OTLP counts each bucket by itself; Prometheus all that lies below its bound.
fn point(labels: &Labels, buckets: &Buckets, began: u64, now: u64) -> HistogramDataPoint {
    let mut below = 0.0;
    let mut counts = Vec::with_capacity(buckets.below.len());
    for (_, count) in &buckets.below {
        counts.push((count - below).max(0.0) as u64);
        below = *count;
    }
    HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: began,
        time_unix_nano: now,
        count: counts.iter().sum(),
        sum: Some(buckets.sum),
        bucket_counts: counts,
        explicit_bounds: buckets
            .below
            .iter()
            .map(|(bound, _)| *bound)
            .filter(|bound| bound.is_finite())
            .collect(),
        ..HistogramDataPoint::default()
    }
}

fn attributes(labels: &Labels) -> Vec<KeyValue> {
    labels.iter().map(|(name, value)| text(name, value)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn counters_gauges_and_histograms_keep_their_meaning() {
        let read = Exposition::parse(
            "# HELP a_total All\n# TYPE a_total counter\na_total{status=\"200\"} 7\n# TYPE q gauge\nq 2\n\
             # TYPE t_seconds histogram\nt_seconds_bucket{le=\"0.1\"} 2\nt_seconds_bucket{le=\"1\"} 5\n\
             t_seconds_bucket{le=\"+Inf\"} 6\nt_seconds_sum 9.5\nt_seconds_count 6\n# TYPE empty counter\n",
        );
        let metrics = metrics_of(&read, 10, 20);
        let [counter, gauge, histogram] = metrics.as_slice() else { panic!("{metrics:?}") };
        assert_eq!((counter.name.as_str(), counter.description.as_str()), ("a_total", "All"));
        match counter.data.as_ref().unwrap() {
            Data::Sum(sum) => {
                assert!(sum.is_monotonic);
                let point = &sum.data_points[0];
                assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (10, 20));
                assert_eq!(point.value, Some(number_data_point::Value::AsDouble(7.0)));
                assert_eq!(point.attributes, [text("status", "200")]);
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(gauge.data.as_ref().unwrap(), Data::Gauge(own) if own.data_points.len() == 1));
        match histogram.data.as_ref().unwrap() {
            Data::Histogram(own) => {
                let point = &own.data_points[0];
                assert_eq!(point.bucket_counts, [2, 3, 1]);
                assert_eq!(point.explicit_bounds, [0.1, 1.0]);
                assert_eq!((point.count, point.sum), (6, Some(9.5)));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(histogram.unit, "s");
    }
}
