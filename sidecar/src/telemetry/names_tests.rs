#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The document of the metrics, as the table says it.
fn document() -> String {
    let mut text = "# Metrics\n\n\
        `GET /metrics` on the operator's port (`admin.address`) gives these in Prometheus's text format; `[telemetry.otlp]` sends\n\
        the same to a collector. Names and labels are stable. Histograms have buckets from 50 µs to 30 s. No label holds anything\n\
        of a patient or of a request's content.\n\n\
        | metric | kind | labels | what it tells |\n|---|---|---|---|\n"
        .to_owned();
    for Metric { name, kind, labels, about } in METRICS {
        let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("| `{name}` | {} | {labels} | {about} |\n", kind.name()));
    }
    text.push_str("\n| label | values |\n|---|---|\n");
    for (label, values) in LABELS {
        text.push_str(&format!("| `{label}` | {values} |\n"));
    }
    text
}

fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|own| own == "rs") && !path.ends_with("telemetry/names.rs") {
            found.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The names of metrics in the program's text, tests left out.
fn counted() -> BTreeSet<String> {
    let mut found = Vec::new();
    for folder in ["src", "../plugins/host/src"] {
        sources(&root().join(folder), &mut found);
    }
    let mut names = BTreeSet::new();
    for (path, text) in found {
        if path.to_string_lossy().contains("tests") {
            continue;
        }
        let text = text.split("#[cfg(test)]").next().unwrap();
        assert!(
            !["describe_counter!", "describe_gauge!", "describe_histogram!"]
                .iter()
                .any(|own| text.contains(own)),
            "{} describes a metric: the table in telemetry/names.rs is the place for it",
            path.display()
        );
        let mut rest = text;
        while let Some((_, after)) = rest.split_once("\"varco_") {
            let (name, after) = after.split_once('"').unwrap();
            if name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
                names.insert(format!("varco_{name}"));
            }
            rest = after;
        }
    }
    names
}

#[test]
fn every_metric_that_is_counted_stands_in_the_table_and_the_other_way_round() {
    let listed: BTreeSet<String> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
    let counted = counted();
    let unlisted: Vec<_> = counted.difference(&listed).collect();
    assert!(unlisted.is_empty(), "add these to METRICS in telemetry/names.rs: {unlisted:?}");
    let uncounted: Vec<_> = listed.difference(&counted).collect();
    assert!(uncounted.is_empty(), "these are listed and nobody counts them: {uncounted:?}");
}

#[test]
fn names_follow_the_conventions_and_stand_in_order() {
    for metric in METRICS {
        let total = metric.name.ends_with("_total");
        assert_eq!(total, metric.kind == Kind::Counter, "{}: _total is for counters", metric.name);
        let has_unit = metric.unit().is_some();
        assert!(metric.kind != Kind::Histogram || has_unit, "{}: a histogram has a unit", metric.name);
        for label in metric.labels {
            assert!(
                LABELS.iter().any(|(name, _)| name == label),
                "{label}: what bounds it is missing in LABELS"
            );
        }
    }
    assert!(METRICS.is_sorted_by_key(|metric| metric.name), "METRICS is in the order of names");
    assert!(LABELS.is_sorted_by_key(|(name, _)| *name));
    for (label, _) in LABELS {
        assert!(METRICS.iter().any(|metric| metric.labels.contains(label)), "{label} is of no metric");
    }
}

#[test]
fn the_metrics_document_says_what_the_table_says() {
    let path = root().join("METRICS.md");
    if std::env::var_os("VARCO_WRITE_DOCUMENTS").is_some() {
        fs::write(&path, document()).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&path).unwrap_or_default(),
        document(),
        "write METRICS.md anew: VARCO_WRITE_DOCUMENTS=1 cargo test -p varco --lib metrics_document"
    );
}
