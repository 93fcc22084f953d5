//! `[audit]`: for how long records are kept, and where they are sent.

use jiff::Span;
use serde::Deserialize;

use super::Destination;

/// `[audit]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Audit {
    /// `5 years`; all records are kept where it is absent.
    pub keep: Option<String>,
    pub export: Option<AuditExport>,
}

/// `[audit.export]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct AuditExport {
    #[serde(flatten)]
    pub store: Destination,
    /// Records that are sent before it is remembered how far the store took them.
    #[serde(default = "batch")]
    pub batch: usize,
}

impl AuditExport {
    /// The name that the cursor has: another URL is another store, and gets the whole trail.
    pub fn place(&self) -> &str {
        self.store.url.trim_end_matches('/')
    }
}

fn batch() -> usize {
    100
}

impl Audit {
    /// For how long records are kept; none: for ever, or the text is no span of time.
    pub fn kept_for(&self) -> Option<Span> {
        let (number, unit) = self.keep.as_ref()?.split_once(' ')?;
        let number: i64 = number.parse().ok().filter(|number| *number > 0)?;
        let span = Span::new();
        match unit.trim_end_matches('s') {
            "day" => span.try_days(number),
            "week" => span.try_weeks(number),
            "month" => span.try_months(number),
            "year" => span.try_years(number),
            _ => return None,
        }
        .ok()
    }
}
