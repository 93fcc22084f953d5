//! Spans of time behind FHIR's partial dates.
//!
//! A date of FHIR names a span, not an instant: `2026-03` is the whole month. An [`Interval`] is that span,
//! half open on the time line. Invariant: `start < end`.
//!
//! A date without a time means a civil day in one time zone, which the deployment states; a time carries its
//! own offset (FHIR R4 §2.24.0.1, and §2.24.0.14 for `Period`, whose end is inclusive in its own precision).

use fhir_models::document::{Value, name};
use fhir_models::primitive::PartialDateTime;
use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// A span of time: `start` belongs to it, `end` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interval {
    /// The first instant.
    pub start: Timestamp,
    /// The first instant after it.
    pub end: Timestamp,
}

impl Interval {
    /// All time.
    pub const ALWAYS: Interval = Interval { start: Timestamp::MIN, end: Timestamp::MAX };

    /// The span of a `date`, `dateTime` or `instant`; `None` where the text is none of them.
    pub fn of_date_time(text: &str, zone: &TimeZone) -> Option<Interval> {
        let date = PartialDateTime::parse(text).ok()?;
        let year = i16::try_from(date.year).ok()?;
        let month = date.month.map(i8::try_from).transpose().ok()?;
        let day = date.day.map(i8::try_from).transpose().ok()?;
        let first = Date::new(year, month.unwrap_or(1), day.unwrap_or(1)).ok()?;
        let Some(time) = date.time else {
            let last = match (month, day) {
                (_, Some(_)) => first,
                (Some(_), None) => first.last_of_month(),
                (None, None) => first.last_of_year(),
            };
            let start = midnight(first, zone).unwrap_or(Timestamp::MIN);
            let end = last.tomorrow().ok().and_then(|day| midnight(day, zone)).unwrap_or(Timestamp::MAX);
            return Interval { start, end }.ordered();
        };
        let leap = time.second == 60;
        let second = i8::try_from(time.second.min(59)).ok()?;
        let clock = Time::new(
            i8::try_from(time.hour).ok()?,
            i8::try_from(time.minute).ok()?,
            second,
            i32::try_from(time.nanosecond).ok()?,
        )
        .ok()?;
        let offset = Offset::from_seconds(i32::from(date.offset?) * 60).ok()?;
        let start = offset.to_timestamp(first.to_datetime(clock)).ok()?;
        let start = if leap { start.checked_add(SignedDuration::from_secs(1)).ok()? } else { start };
        let unit = 1_000_000_000i64 / 10i64.pow(u32::from(time.fraction_digits.min(9)));
        let end = start.checked_add(SignedDuration::from_nanos(unit)).unwrap_or(Timestamp::MAX);
        Interval { start, end }.ordered()
    }

    /// The span of a `Period`; `None` where it is not an object, an end is not a date, or it ends before it
    /// starts. An end that is absent is open; one that is absent with a reason (an extension) is unreadable.
    pub fn of_period(period: Value<'_>, zone: &TimeZone) -> Option<Interval> {
        if !period.is_object() {
            return None;
        }
        let bound = |name| match (period.get(name), period.get_underscored(name)) {
            (Some(value), _) => Some(Some(Interval::of_date_time(&value.as_str()?, zone)?)),
            (None, Some(_)) => None,
            (None, None) => Some(None),
        };
        let start = bound(name::START)?.map_or(Timestamp::MIN, |span| span.start);
        let end = bound(name::END)?.map_or(Timestamp::MAX, |span| span.end);
        Interval { start, end }.ordered()
    }

    /// True where the instant lies in the span.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// True where the two have an instant in common.
    pub fn overlaps(&self, other: &Interval) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// True where all of `other` lies in this span.
    pub fn covers(&self, other: &Interval) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// The shortest span that covers both.
    pub fn hull(&self, other: &Interval) -> Interval {
        Interval { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    fn ordered(self) -> Option<Interval> {
        (self.start < self.end).then_some(self)
    }
}

fn midnight(day: Date, zone: &TimeZone) -> Option<Timestamp> {
    Some(day.to_zoned(zone.clone()).ok()?.timestamp())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use fhir_models::document::{Limits, OwnedDocument};

    fn span(text: &str, zone: &TimeZone) -> Option<(String, String)> {
        Interval::of_date_time(text, zone).map(|span| (span.start.to_string(), span.end.to_string()))
    }

    fn rome() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    #[track_caller]
    fn spans(text: &str, zone: &TimeZone, start: &str, end: &str) {
        assert_eq!(span(text, zone), Some((start.to_owned(), end.to_owned())), "{text}");
    }

    #[test]
    fn partial_dates_are_whole_days_months_and_years() {
        let utc = TimeZone::UTC;
        spans("2026", &utc, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
        spans("2024-02", &utc, "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z");
        spans("2026-12-31", &utc, "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z");
    }

    #[test]
    fn a_civil_day_follows_the_clock_of_its_zone() {
        spans("2026-01-10", &rome(), "2026-01-09T23:00:00Z", "2026-01-10T23:00:00Z");
        spans("2026-03-29", &rome(), "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
        spans("2026-10-25", &rome(), "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
    }

    #[test]
    fn times_last_as_long_as_their_precision() {
        let utc = TimeZone::UTC;
        spans("2026-05-01T10:00:00+02:00", &rome(), "2026-05-01T08:00:00Z", "2026-05-01T08:00:01Z");
        spans("2026-05-01T10:00:00.25Z", &utc, "2026-05-01T10:00:00.25Z", "2026-05-01T10:00:00.26Z");
        spans("2016-12-31T23:59:60Z", &utc, "2017-01-01T00:00:00Z", "2017-01-01T00:00:01Z");
        let endless = span("2026-05-01T10:00:00.1234567890123456789Z", &utc).unwrap();
        assert_eq!(endless.1, "2026-05-01T10:00:00.12345679Z");
    }

    #[test]
    fn what_is_no_date_has_no_span() {
        for text in
            ["", "2026-02-30", "2026-5-1", "domani", "2026-05-01T10:00:00", "2026-05-01T10:00Z", "0000"]
        {
            assert_eq!(span(text, &TimeZone::UTC), None, "{text}");
        }
        assert!(Interval::of_date_time("9999", &TimeZone::UTC).is_some());
        assert!(Interval::of_date_time("9999-12-31T23:59:59-14:00", &TimeZone::UTC).is_none());
        assert!(Interval::of_date_time("0001-01-01", &rome()).is_some());
    }

    #[test]
    fn periods_are_inclusive_and_may_be_open() {
        let of = |json: &str| {
            let document = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
            Interval::of_period(document.root(), &TimeZone::UTC)
        };
        let may = of(r#"{"start":"2026-05-01","end":"2026-05-31"}"#).unwrap();
        assert!(may.contains("2026-05-31T23:59:59.999Z".parse().unwrap()));
        assert!(!may.contains("2026-06-01T00:00:00Z".parse().unwrap()));
        assert_eq!(of("{}"), Some(Interval::ALWAYS));
        assert!(of(r#"{"end":"2026"}"#).unwrap().contains(Timestamp::UNIX_EPOCH));
        assert!(of(r#"{"start":"2026-05-01","end":"2026-05-01"}"#).is_some());
        for broken in [
            r#"{"start":"2026-05-02","end":"2026-05-01"}"#,
            r#"{"start":"ieri"}"#,
            r#"{"start":20260501}"#,
            r#"{"_end":{"extension":[{"url":"http://example.org/x"}]}}"#,
            r#""2026""#,
        ] {
            assert_eq!(of(broken), None, "{broken}");
        }
    }
}
