//! Bounds relative to now: for a date or time, a duration as least value is taken from the clock, one as
//! largest value is added to it (FHIR R4 §2.29, `ElementDefinition.minValue[x]`, `.maxValue[x]`).

use std::cmp::Ordering;

use fhir_models::document::Value;

use crate::fhirpath::{CalendarUnit, Decimal, Precision, Temporal};

/// The order of a date or time and the moment that lies `duration` away from `now`; `None` where one of
/// them is no such thing, or the precision leaves it open.
pub(super) fn compare(
    now: Temporal,
    value: &str,
    duration: Value<'_>,
    in_the_past: bool,
) -> Option<Ordering> {
    let value = Temporal::parse_date(value).or_else(|| Temporal::parse_date_time(value))?;
    let code = duration.get_key("code").and_then(Value::as_str)?;
    let unit = CalendarUnit::of_ucum(&code)?;
    let amount = Decimal::parse(duration.get_key("value").and_then(Value::as_number)?)?;
    let limit = now.moved(if in_the_past { amount.negated() } else { amount }, unit).ok()?;
    if value.precision() < Precision::Hour {
        return value.date()?.compare(&limit.date()?);
    }
    value.compare(&limit)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use fhir_models::document::{Limits, OwnedDocument};

    fn order(value: &str, duration: &str, in_the_past: bool) -> Option<Ordering> {
        let now = Temporal::parse_date_time("2024-06-15T12:00:00Z").unwrap();
        let duration = OwnedDocument::parse_json(duration, &Limits::default()).unwrap();
        compare(now, value, duration.root(), in_the_past)
    }

    #[test]
    fn a_duration_counts_from_the_clock() {
        let years = r#"{"value":100,"system":"http://unitsofmeasure.org","code":"a"}"#;
        assert_eq!(order("1923-12-31", years, true), Some(Ordering::Less));
        assert_eq!(order("1925-01-01", years, true), Some(Ordering::Greater));
        assert_eq!(order("1924", years, true), None);
        assert_eq!(order("2124-06-16", years, false), Some(Ordering::Greater));
        let hours = r#"{"value":2,"code":"h"}"#;
        assert_eq!(order("2024-06-15T15:00:00+01:00", hours, false), Some(Ordering::Equal));
        assert_eq!(order("2024-06-15T14:00:01Z", hours, false), Some(Ordering::Greater));
        assert_eq!(order("2024-06-15T14:00:01Z", r#"{"value":2,"code":"mm[Hg]"}"#, false), None);
    }
}
