//! Dates as spans of time, and their comparison by prefix (FHIR R4 §3.1.1.4.7).
//!
//! A date of lower precision is the whole span it may mean: `2026-03` is March. Dates without a time zone are
//! read as UTC, the simulated hospital's own.

use fhir_models::document::{Value, name};
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span as Length, Timestamp};

/// A span of time in microseconds since 1970: from `start`, up to and without `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// How an element is compared with a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    StartsAfter,
    EndsBefore,
    Approximately,
}

impl Prefix {
    /// Splits a parameter's value into its prefix and the rest.
    pub(super) fn split(text: &str) -> (Prefix, &str) {
        let known = [
            ("eq", Prefix::Equal),
            ("ne", Prefix::NotEqual),
            ("gt", Prefix::Greater),
            ("lt", Prefix::Less),
            ("ge", Prefix::GreaterOrEqual),
            ("le", Prefix::LessOrEqual),
            ("sa", Prefix::StartsAfter),
            ("eb", Prefix::EndsBefore),
            ("ap", Prefix::Approximately),
        ];
        known
            .into_iter()
            .find_map(|(written, prefix)| Some((prefix, text.strip_prefix(written)?)))
            .unwrap_or((Prefix::Equal, text))
    }

    /// True where the element stands in this relation to the parameter.
    pub(super) fn holds(self, element: Period, parameter: Period, now: Timestamp) -> bool {
        let inside = element.start >= parameter.start && element.end <= parameter.end;
        match self {
            Prefix::Equal => inside,
            Prefix::NotEqual => !inside,
            Prefix::Greater => element.end > parameter.end,
            Prefix::Less => element.start < parameter.start,
            Prefix::GreaterOrEqual => element.end > parameter.end || inside,
            Prefix::LessOrEqual => element.start < parameter.start || inside,
            Prefix::StartsAfter => element.start >= parameter.end,
            Prefix::EndsBefore => element.end <= parameter.start,
            Prefix::Approximately => {
                let tenth = now.as_microsecond().saturating_sub(parameter.start).saturating_abs() / 10;
                element.start < parameter.end.saturating_add(tenth)
                    && element.end > parameter.start.saturating_sub(tenth)
            }
        }
    }
}

/// The span that a date, dateTime or instant means; `None` where it is none of them.
pub(super) fn period_of(text: &str) -> Option<Period> {
    let digits = |from: usize, to: usize| -> Option<i16> {
        let part = text.get(from..to)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let separator = |at: usize, byte: u8| text.as_bytes().get(at) == Some(&byte);
    let small = |from: usize, to: usize| digits(from, to).and_then(|number| i8::try_from(number).ok());
    let year = digits(0, 4)?;
    if text.len() == 4 {
        return between(Date::new(year, 1, 1).ok()?, Length::new().years(1));
    }
    let month = separator(4, b'-').then(|| small(5, 7))??;
    if text.len() == 7 {
        return between(Date::new(year, month, 1).ok()?, Length::new().months(1));
    }
    let day = separator(7, b'-').then(|| small(8, 10))??;
    let date = Date::new(year, month, day).ok()?;
    if text.len() == 10 {
        return between(date, Length::new().days(1));
    }
    let hour = (separator(10, b'T') || separator(10, b't')).then(|| small(11, 13))??;
    let minute = separator(13, b':').then(|| small(14, 16))??;
    let (second, mut rest, mut length) = match separator(16, b':') {
        true => (small(17, 19)?.min(59), text.get(19..)?, 1_000_000),
        false => (0, text.get(16..)?, 60_000_000),
    };
    let mut micros = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let (figures, after) = fraction.split_at_checked(count)?;
        (micros, length) = fraction_of(figures)?;
        rest = after;
    }
    let at = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    let start = offset_of(rest)?.to_timestamp(at).ok()?.as_microsecond().checked_add(micros)?;
    Some(Period { start, end: start.checked_add(length)? })
}

/// Microseconds of a fraction of a second, and how long the span of its last figure is.
fn fraction_of(figures: &str) -> Option<(i64, i64)> {
    if figures.is_empty() {
        return None;
    }
    let (mut micros, mut unit) = (0, 1_000_000);
    for figure in figures.bytes().take(6) {
        unit /= 10;
        micros += i64::from(figure - b'0') * unit;
    }
    Some((micros, unit.max(1)))
}

fn offset_of(text: &str) -> Option<Offset> {
    let sign = match text.as_bytes().first() {
        None => return Some(Offset::UTC),
        Some(b'Z' | b'z') if text.len() == 1 => return Some(Offset::UTC),
        Some(b'+') => 1,
        // A blank is what a form decoder makes of an unescaped plus sign.
        Some(b' ') => 1,
        Some(b'-') => -1,
        Some(_) => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let two = |part: &str| (part.len() == 2).then(|| part.parse::<i32>().ok()).flatten();
    Offset::from_seconds(sign * (two(hours)? * 3600 + two(minutes)? * 60)).ok()
}

fn between(start: Date, length: Length) -> Option<Period> {
    let micros = |date: Date| Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_microsecond());
    Some(Period { start: micros(start)?, end: micros(start.checked_add(length).ok()?)? })
}

/// The span of an element: a date primitive, or a Period whose open ends reach for ever.
pub(super) fn element_period(value: Value<'_>) -> Option<Period> {
    if let Some(text) = value.as_str() {
        return period_of(&text);
    }
    let side = |name| value.str_of(name).map(|text| period_of(&text));
    let (start, end) = (side(name::START), side(name::END));
    if start.is_none() && end.is_none() {
        return None;
    }
    Some(Period {
        start: start.map_or(Some(i64::MIN), |period| period.map(|period| period.start))?,
        end: end.map_or(Some(i64::MAX), |period| period.map(|period| period.end))?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(element: &str, parameter: &str) -> bool {
        let (prefix, rest) = Prefix::split(parameter);
        let now = "2026-06-01T00:00:00Z".parse().unwrap();
        prefix.holds(period_of(element).unwrap(), period_of(rest).unwrap(), now)
    }

    #[test]
    fn precision_is_a_span() {
        assert!(holds("2026-03-09", "2026-03"));
        assert!(!holds("2026-03", "2026-03-09"));
        assert!(holds("2026-03-09T10:15:30+01:00", "2026-03-09T09:15"));
        assert!(holds("2026-03-09T23:30:00-02:00", "2026-03-10"));
        assert!(holds("2024-02-29", "2024-02"));
        assert!(holds("2026-01-01T00:00:00.123Z", "2026-01-01T00:00:00"));
    }

    #[test]
    fn prefixes_compare_spans() {
        assert!(holds("2026-03-09", "ge2026-03-09") && holds("2026-03-09", "le2026-03-09"));
        assert!(!holds("2026-03-09", "gt2026-03-09") && !holds("2026-03-09", "lt2026-03-09"));
        assert!(holds("2026-03-10", "sa2026-03-09") && !holds("2026-03-09", "sa2026-03-09"));
        assert!(holds("2026-03-08", "eb2026-03-09") && holds("2026-03-10", "ne2026-03-09"));
        assert!(holds("2026-03-01", "ap2026-02-27") && !holds("2020-03-01", "ap2026-02-27"));
    }

    #[test]
    fn what_is_no_date_has_no_span() {
        for text in [
            "",
            "26",
            "2026-13",
            "2026-02-30",
            "2026-01-01T25:00Z",
            "2026-1-01",
            "2026-01-01T10",
            "x",
            "é026",
        ] {
            assert_eq!(period_of(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,30}") {
            let _ = period_of(&text);
        }

        #[test]
        fn spans_have_a_length(text in "[0-9]{4}(-[01][0-9](-[0-3][0-9](T[0-2][0-9]:[0-5][0-9](:[0-6][0-9](\\.[0-9]{1,9})?)?Z)?)?)?") {
            if let Some(period) = period_of(&text) {
                prop_assert!(period.start < period.end);
            }
        }
    }
}
