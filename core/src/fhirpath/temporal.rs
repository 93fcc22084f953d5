//! Dates, dates with time, and times of day, each as far as it is known (FHIRPath §Literals).
//!
//! Invariant: components beyond the precision are zero (month and day: one), and those within it exist in
//! the calendar. Second and fraction are one precision, as FHIRPath compares them.

use std::cmp::Ordering;
use std::fmt;

use super::calendar::{days_from_civil, days_in_month};

/// Which of the three types a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TemporalKind {
    /// `@2015-02-04`
    Date,
    /// `@2015-02-04T14:34:28+09:00`
    DateTime,
    /// `@T14:34:28`
    Time,
}

/// How much of a value is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// The year.
    Year,
    /// Year and month.
    Month,
    /// The full date.
    Day,
    /// The hour.
    Hour,
    /// Hour and minute.
    Minute,
    /// Hour, minute and second, perhaps with a fraction.
    Second,
}

/// A date, a date with time, or a time of day. Sixteen bytes.
#[derive(Debug, Clone, Copy)]
pub struct Temporal {
    pub(super) year: u16,
    pub(super) month: u8,
    pub(super) day: u8,
    pub(super) hour: u8,
    pub(super) minute: u8,
    pub(super) second: u8,
    /// Digits of the fraction as written, at most nine.
    pub(super) fraction_digits: u8,
    pub(super) nanosecond: u32,
    /// Minutes east of UTC, or [`NO_OFFSET`].
    pub(super) offset: i16,
    pub(super) kind: TemporalKind,
    pub(super) precision: Precision,
}

/// No time zone is known.
pub(super) const NO_OFFSET: i16 = i16::MIN;
/// The widest offsets in use, in minutes: a value without zone may stand for any of them.
const WESTERNMOST: i64 = -12 * 60;
const EASTERNMOST: i64 = 14 * 60;

const NANOS: i64 = 1_000_000_000;

impl Temporal {
    pub(super) const fn blank(kind: TemporalKind) -> Temporal {
        Temporal {
            year: 1,
            month: 1,
            day: 1,
            hour: 0,
            minute: 0,
            second: 0,
            fraction_digits: 0,
            nanosecond: 0,
            offset: NO_OFFSET,
            kind,
            precision: Precision::Year,
        }
    }

    /// Which type it is.
    pub fn kind(&self) -> TemporalKind {
        self.kind
    }

    /// How much of it is known.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Minutes east of UTC where a time zone is known.
    pub fn offset(&self) -> Option<i16> {
        (self.offset != NO_OFFSET).then_some(self.offset)
    }

    /// Reads `YYYY(-MM(-DD)?)?`.
    pub fn parse_date(text: &str) -> Option<Temporal> {
        let (date, rest) = date_part(text.as_bytes(), TemporalKind::Date)?;
        rest.is_empty().then_some(date)
    }

    /// Reads a date, or a date with `T` and as much of a time and zone as is known.
    pub fn parse_date_time(text: &str) -> Option<Temporal> {
        let (mut value, rest) = date_part(text.as_bytes(), TemporalKind::DateTime)?;
        let Some(rest) = after(rest, b'T') else { return rest.is_empty().then_some(value) };
        if rest.is_empty() {
            return Some(value);
        }
        if value.precision != Precision::Day {
            return None;
        }
        let rest = value.time_part(rest)?;
        if rest.is_empty() {
            return Some(value);
        }
        value.offset = zone(rest)?;
        Some(value)
    }

    /// Reads `hh(:mm(:ss(.f+)?)?)?`.
    pub fn parse_time(text: &str) -> Option<Temporal> {
        let mut value = Temporal::blank(TemporalKind::Time);
        let rest = value.time_part(text.as_bytes())?;
        rest.is_empty().then_some(value)
    }

    fn time_part<'t>(&mut self, bytes: &'t [u8]) -> Option<&'t [u8]> {
        let (hour, mut rest) = two(bytes)?;
        (self.hour, self.precision) = (hour, Precision::Hour);
        if let Some((minute, next)) = after(rest, b':').and_then(two) {
            (self.minute, self.precision, rest) = (minute, Precision::Minute, next);
            if let Some((second, next)) = after(rest, b':').and_then(two) {
                (self.second, self.precision, rest) = (second, Precision::Second, next);
                if let Some(next) = after(rest, b'.') {
                    rest = self.fraction(next)?;
                }
            }
        }
        (self.hour < 24 && self.minute < 60 && self.second <= 60).then_some(rest)
    }

    fn fraction<'t>(&mut self, bytes: &'t [u8]) -> Option<&'t [u8]> {
        let mut unit = 100_000_000;
        let mut rest = bytes;
        while let Some((digit @ b'0'..=b'9', next)) = rest.split_first() {
            self.nanosecond += u32::from(digit - b'0') * unit;
            if unit > 0 {
                self.fraction_digits += 1;
            }
            unit /= 10;
            rest = next;
        }
        (self.fraction_digits > 0).then_some(rest)
    }

    /// The date within it: up to the day, without time and zone.
    pub fn date(&self) -> Option<Temporal> {
        if self.kind == TemporalKind::Time {
            return None;
        }
        let blank = Temporal::blank(TemporalKind::Date);
        let precision = self.precision.min(Precision::Day);
        Some(Temporal { year: self.year, month: self.month, day: self.day, precision, ..blank })
    }

    /// The time of day within it, where it has one.
    pub fn time(&self) -> Option<Temporal> {
        let known = self.precision >= Precision::Hour;
        let time =
            Temporal { kind: TemporalKind::Time, year: 1, month: 1, day: 1, offset: NO_OFFSET, ..*self };
        known.then_some(time)
    }

    /// The same value as a DateTime; `None` for a time of day.
    pub fn date_time(&self) -> Option<Temporal> {
        (self.kind != TemporalKind::Time).then_some(Temporal { kind: TemporalKind::DateTime, ..*self })
    }

    /// Minutes since 1 January 1970, by the local clock.
    pub(super) fn local_minutes(&self) -> i64 {
        let days = days_from_civil(i64::from(self.year), i64::from(self.month), i64::from(self.day));
        days * 1440 + i64::from(self.hour) * 60 + i64::from(self.minute)
    }

    fn seconds(&self) -> (u8, u32) {
        (self.second, self.nanosecond)
    }

    /// Compares by value; `None` where the precisions or missing time zones leave it open, or the kinds
    /// have nothing in common.
    pub fn compare(&self, other: &Temporal) -> Option<Ordering> {
        let (left_time, right_time) = (self.kind == TemporalKind::Time, other.kind == TemporalKind::Time);
        if left_time != right_time {
            return None;
        }
        if self.precision >= Precision::Hour && other.precision >= Precision::Hour && !left_time {
            match (self.offset(), other.offset()) {
                (Some(left), Some(right)) if left != right => {
                    return self.compare_instants(other, left, right);
                }
                (Some(left), None) => return certain(self, left, other),
                (None, Some(right)) => return certain(other, right, self).map(Ordering::reverse),
                _ => {}
            }
        }
        let first = if left_time { Precision::Hour } else { Precision::Year };
        self.compare_from(other, first)
    }

    fn compare_from(&self, other: &Temporal, first: Precision) -> Option<Ordering> {
        use Precision::{Day, Hour, Minute, Month, Second, Year};
        for precision in [Year, Month, Day, Hour, Minute, Second].into_iter().filter(|it| *it >= first) {
            match (self.precision >= precision, other.precision >= precision) {
                (false, false) => return Some(Ordering::Equal),
                (true, true) => {}
                _ => return None,
            }
            let order = match precision {
                Year => self.year.cmp(&other.year),
                Month => self.month.cmp(&other.month),
                Day => self.day.cmp(&other.day),
                Hour => self.hour.cmp(&other.hour),
                Minute => self.minute.cmp(&other.minute),
                Second => self.seconds().cmp(&other.seconds()),
            };
            if order != Ordering::Equal {
                return Some(order);
            }
        }
        Some(Ordering::Equal)
    }

    fn compare_instants(&self, other: &Temporal, left: i16, right: i16) -> Option<Ordering> {
        let left = self.local_minutes() - i64::from(left);
        let right = other.local_minutes() - i64::from(right);
        match left.cmp(&right) {
            Ordering::Equal => {}
            order => return Some(order),
        }
        match (self.precision, other.precision) {
            (Precision::Second, Precision::Second) => Some(self.seconds().cmp(&other.seconds())),
            (left, right) if left == right => Some(Ordering::Equal),
            _ => None,
        }
    }

    /// Nanoseconds since the start of the day.
    pub(super) fn nanos_of_day(&self) -> i64 {
        let seconds = i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        seconds * NANOS + i64::from(self.nanosecond)
    }
}

/// Compares a value with a zone to one without: certain only where no zone could change the answer.
fn certain(zoned: &Temporal, offset: i16, bare: &Temporal) -> Option<Ordering> {
    let zoned = zoned.local_minutes() - i64::from(offset);
    let earliest = bare.local_minutes() - EASTERNMOST;
    let latest = bare.local_minutes() - WESTERNMOST;
    if zoned < earliest {
        Some(Ordering::Less)
    } else if zoned > latest {
        Some(Ordering::Greater)
    } else {
        None
    }
}

fn date_part(bytes: &[u8], kind: TemporalKind) -> Option<(Temporal, &[u8])> {
    let (century, rest) = two(bytes)?;
    let (year, mut rest) = two(rest)?;
    let mut value = Temporal::blank(kind);
    value.year = u16::from(century) * 100 + u16::from(year);
    if let Some((month, next)) = after(rest, b'-').and_then(two) {
        (value.month, value.precision, rest) = (month, Precision::Month, next);
        if let Some((day, next)) = after(rest, b'-').and_then(two) {
            (value.day, value.precision, rest) = (day, Precision::Day, next);
        }
    }
    let valid = value.year > 0
        && (1..=12).contains(&value.month)
        && (1..=days_in_month(i64::from(value.year), value.month)).contains(&value.day);
    valid.then_some((value, rest))
}

/// `Z` or `+hh:mm` or `-hh:mm`, in minutes.
fn zone(bytes: &[u8]) -> Option<i16> {
    if bytes == b"Z" {
        return Some(0);
    }
    let (sign, rest) = bytes.split_first()?;
    let (hours, rest) = two(rest)?;
    let (minutes, rest) = two(after(rest, b':')?)?;
    let offset = i16::from(hours) * 60 + i16::from(minutes);
    if !rest.is_empty() || minutes > 59 || offset > 14 * 60 {
        return None;
    }
    match sign {
        b'+' => Some(offset),
        b'-' => Some(-offset),
        _ => None,
    }
}

fn after(bytes: &[u8], expected: u8) -> Option<&[u8]> {
    bytes.split_first().and_then(|(&first, rest)| (first == expected).then_some(rest))
}

fn two(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (&[tens, units], rest) = bytes.split_first_chunk::<2>()?;
    let digits = tens.is_ascii_digit() && units.is_ascii_digit();
    digits.then(|| ((tens - b'0') * 10 + (units - b'0'), rest))
}

impl fmt::Display for Temporal {
    /// As FHIR writes it: no `@`, and for a time no `T`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind != TemporalKind::Time {
            write!(f, "{:04}", self.year)?;
            if self.precision >= Precision::Month {
                write!(f, "-{:02}", self.month)?;
            }
            if self.precision >= Precision::Day {
                write!(f, "-{:02}", self.day)?;
            }
            if self.precision >= Precision::Hour {
                f.write_str("T")?;
            }
        }
        if self.precision >= Precision::Hour {
            write!(f, "{:02}", self.hour)?;
        }
        if self.precision >= Precision::Minute {
            write!(f, ":{:02}", self.minute)?;
        }
        if self.precision >= Precision::Second {
            write!(f, ":{:02}", self.second)?;
        }
        if self.fraction_digits > 0 {
            let digits = format!("{:09}", self.nanosecond);
            write!(f, ".{}", digits.get(..usize::from(self.fraction_digits)).unwrap_or(&digits))?;
        }
        match self.offset() {
            None => Ok(()),
            Some(0) => f.write_str("Z"),
            Some(offset) => {
                let sign = if offset < 0 { '-' } else { '+' };
                let minutes = offset.unsigned_abs();
                write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Temporal {
        match text.strip_prefix('T') {
            Some(time) => Temporal::parse_time(time).unwrap(),
            None => Temporal::parse_date_time(text).unwrap(),
        }
    }

    fn order(left: &str, right: &str) -> Option<Ordering> {
        at(left).compare(&at(right))
    }

    #[test]
    fn what_was_written_comes_back() {
        for text in ["2014", "2014-01", "2014-01-25", "2014-01-25T14", "2014-01-25T14:30"] {
            assert_eq!(at(text).to_string(), text);
        }
        for text in ["2014-01-25T14:30:14.559Z", "2014-01-25T14:30:14-05:30", "2024-02-29T00:00:00.000+14:00"]
        {
            assert_eq!(at(text).to_string(), text);
        }
        assert_eq!(at("T14:34:28.1").to_string(), "14:34:28.1");
        assert_eq!(at("2014T").precision(), Precision::Year);
    }

    #[test]
    fn what_the_calendar_lacks_is_refused() {
        for text in
            ["2014-13", "2014-02-29", "2014-00-01", "0000", "2014-01-25T24", "2014-01T10", "2014-01-25T1"]
        {
            assert!(Temporal::parse_date_time(text).is_none(), "{text}");
        }
        for text in ["", "24:00", "12:60", "12:30:61", "12:30Z", "12:", "1:00"] {
            assert!(Temporal::parse_time(text).is_none(), "{text}");
        }
    }

    #[test]
    fn comparison_is_open_where_precision_differs() {
        assert_eq!(order("2018-03", "2018-03-01"), None);
        assert_eq!(order("2018-03", "2019-03-01"), Some(Ordering::Less));
        assert_eq!(order("2018-03-01T10:30", "2018-03-01T10:30:00"), None);
        assert_eq!(order("2018-03-01T10:30:00", "2018-03-01T10:30:00.0"), Some(Ordering::Equal));
        assert_eq!(order("T10:30:00.5", "T10:30:00"), Some(Ordering::Greater));
    }

    #[test]
    fn zones_are_respected() {
        assert_eq!(order("2017-11-05T01:30:00-04:00", "2017-11-05T00:30:00-05:00"), Some(Ordering::Equal));
        assert_eq!(order("2017-11-05T01:30:00-04:00", "2017-11-05T01:15:00-05:00"), Some(Ordering::Less));
        assert_eq!(order("2012-04-15T15:00:00Z", "2012-04-15T10:00:00"), None);
        assert_eq!(order("2012-04-15T15:00:00Z", "2012-04-17T10:00:00"), Some(Ordering::Less));
        assert_eq!(order("2012-04-17T10:00:00", "2012-04-15T15:00:00Z"), Some(Ordering::Greater));
        assert_eq!(order("1974-12-25", "2012-04-15T15:00:00Z"), Some(Ordering::Less));
    }

    proptest! {
        #[test]
        fn no_text_upsets_the_readers(text in "\\PC{0,30}|[0-9TZ:+.-]{0,30}") {
            let _ = Temporal::parse_date(&text);
            let _ = Temporal::parse_time(&text);
            if let Some(value) = Temporal::parse_date_time(&text) {
                prop_assert_eq!(value.compare(&value), Some(Ordering::Equal));
                let shown = value.to_string();
                prop_assert_eq!(Temporal::parse_date_time(&shown).map(|it| it.to_string()), Some(shown));
            }
        }
    }
}
