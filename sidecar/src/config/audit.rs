//! `[audit]`: for how long records are kept, and where they are sent.

use jiff::Span;
use serde::Deserialize;

/// `[audit]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Audit {
    /// `5 years`; all records are kept where it is absent.
    pub keep: Option<String>,
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
