#![allow(clippy::unwrap_used, clippy::expect_used)]
//! The shipped Grafana dashboard against the table of metrics.
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::telemetry::names::{Kind, METRICS, Metric};

const DASHBOARD: &str = include_str!("../../dashboards/varco.json");

fn dashboard() -> Value {
    serde_json::from_str(DASHBOARD).unwrap()
}

/// A query's words that begin like a metric of ours, and all others that can be labels.
fn words(query: &str) -> impl Iterator<Item = &str> {
    query.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_')).filter(|word| !word.is_empty())
}

/// The metric that a name in a query means, with the ends that a histogram's lines have.
fn metric(word: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| {
        let rest = word.strip_prefix(metric.name);
        match metric.kind {
            Kind::Histogram => rest.is_some_and(|rest| ["_bucket", "_sum", "_count"].contains(&rest)),
            _ => rest == Some(""),
        }
    })
}

#[test]
fn each_query_of_the_dashboard_asks_for_a_metric_and_labels_of_the_table() {
    let dashboard = dashboard();
    let mut asked = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            let metrics: Vec<&str> = words(query).filter(|word| word.starts_with("varco_")).collect();
            assert!(!metrics.is_empty(), "{title}: {query}");
            for name in metrics {
                let metric =
                    metric(name).unwrap_or_else(|| panic!("{title}: {name} is no metric of the table"));
                asked.insert(metric.name);
                let by = query.split_once(" by (").and_then(|(_, rest)| rest.split_once(')'));
                let grouped = by.map_or("", |(labels, _)| labels).split(',').map(str::trim);
                for label in grouped.filter(|label| !label.is_empty() && *label != "le") {
                    assert!(metric.labels.contains(&label), "{title}: {name} has no label {label}");
                }
            }
            let legend = target["legendFormat"].as_str().unwrap();
            for label in legend.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")) {
                assert!(
                    query.contains(label.0),
                    "{title}: the legend tells {} and the query loses it",
                    label.0
                );
            }
        }
    }
    for wanted in [
        "varco_refusals_total",
        "varco_upstream_breaker_state",
        "varco_plugin_quarantine",
        "varco_store_queue",
    ] {
        assert!(asked.contains(wanted), "{wanted} is on no panel");
    }
}

#[test]
fn grafana_can_read_the_dashboard_with_any_data_source() {
    let dashboard = dashboard();
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 36);
    assert!(dashboard["id"].is_null(), "Grafana gives the id");
    assert_eq!(dashboard["uid"], "varco-gateway");
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert!(variables.iter().any(|own| own["name"] == "datasource" && own["type"] == "datasource"));
    let mut ids = BTreeSet::new();
    let mut places: BTreeMap<(u64, u64), String> = BTreeMap::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap().to_owned();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is another's");
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{title} is too broad");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                let other = places.insert((x, y), title.clone());
                assert_eq!(other, None, "{title} lies on another");
            }
        }
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
}
