//! A run's result for people, for programs and for other FHIR systems.

mod test_report;
mod text;

pub use test_report::test_report;
pub use text::{Paint, gap, header, verdict};

use crate::suite::RunReport;

/// The whole evidence as JSON.
pub fn json(report: &RunReport) -> String {
    serde_json::to_string_pretty(report).unwrap_or_default()
}
