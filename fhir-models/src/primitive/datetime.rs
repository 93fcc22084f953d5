//! `date`, `dateTime`, `instant` and `time` (FHIR R4 §2.24.0.1), parsed without loss of precision.
//!
//! Invariant: a [`PartialDateTime`] is a day that the calendar has, as far as it is known; a time stands only
//! on a full date. Second 60 is allowed in any minute, since leap seconds are announced, not computed.

use std::fmt;

use super::{Primitive, PrimitiveError};

/// How much of a date and time is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DateTimePrecision {
    /// `2026`
    Year,
    /// `2026-03`
    Month,
    /// `2026-03-29`
    Day,
    /// `2026-03-29T02:30:00`
    Second,
    /// `2026-03-29T02:30:00.5`
    Fraction,
}

/// A time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay {
    /// 0 to 23
    pub hour: u8,
    /// 0 to 59
    pub minute: u8,
    /// 0 to 60
    pub second: u8,
    /// Nanoseconds of the fraction; digits beyond the ninth are dropped.
    pub nanosecond: u32,
    /// How many digits the fraction was written with, at most 255; 0 where there is none.
    pub fraction_digits: u8,
}

/// A date of FHIR, as far as it is known, with an optional time and zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PartialDateTime {
    /// 1 to 9999
    pub year: u16,
    /// 1 to 12
    pub month: Option<u8>,
    /// 1 to 31
    pub day: Option<u8>,
    /// The time of day, on a full date only.
    pub time: Option<TimeOfDay>,
    /// Minutes east of UTC, -840 to 840.
    pub offset: Option<i16>,
    /// True where the zone was written `Z`.
    pub zulu: bool,
}

impl PartialDateTime {
    /// Parses a `date` or `dateTime`.
    pub fn parse(text: &str) -> Result<PartialDateTime, PrimitiveError> {
        parse(Primitive::DateTime, text)
    }

    /// How much of it is known.
    pub fn precision(&self) -> DateTimePrecision {
        match (self.month, self.day, self.time) {
            (_, _, Some(time)) if time.fraction_digits > 0 => DateTimePrecision::Fraction,
            (_, _, Some(_)) => DateTimePrecision::Second,
            (_, Some(_), None) => DateTimePrecision::Day,
            (Some(_), None, None) => DateTimePrecision::Month,
            (None, None, None) => DateTimePrecision::Year,
        }
    }
}

impl TimeOfDay {
    /// Parses a `time`.
    pub fn parse(text: &str) -> Result<TimeOfDay, PrimitiveError> {
        if text.is_empty() {
            return Err(PrimitiveError::Empty);
        }
        match clock(text.as_bytes()) {
            Some((time, [])) => Ok(time),
            _ => Err(PrimitiveError::Grammar(Primitive::Time)),
        }
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}:{:02}", self.hour, self.minute, self.second)?;
        if self.fraction_digits > 0 {
            let nine = format!("{:09}", self.nanosecond);
            let digits = usize::from(self.fraction_digits);
            write!(f, ".{:0<digits$}", nine.get(..digits).unwrap_or(&nine))?;
        }
        Ok(())
    }
}

impl fmt::Display for PartialDateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.year)?;
        for part in [self.month, self.day].into_iter().flatten() {
            write!(f, "-{part:02}")?;
        }
        if let Some(time) = self.time {
            write!(f, "T{time}")?;
        }
        match self.offset {
            Some(0) if self.zulu => f.write_str("Z"),
            Some(offset) => {
                let sign = if offset < 0 { '-' } else { '+' };
                let minutes = offset.unsigned_abs();
                write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
            None => Ok(()),
        }
    }
}

pub(super) fn date(text: &str) -> Result<(), PrimitiveError> {
    parse(Primitive::Date, text).map(|_| ())
}

pub(super) fn date_time(text: &str) -> Result<(), PrimitiveError> {
    parse(Primitive::DateTime, text).map(|_| ())
}

pub(super) fn instant(text: &str) -> Result<(), PrimitiveError> {
    parse(Primitive::Instant, text).map(|_| ())
}

pub(super) fn time(text: &str) -> Result<(), PrimitiveError> {
    TimeOfDay::parse(text).map(|_| ())
}

fn parse(primitive: Primitive, text: &str) -> Result<PartialDateTime, PrimitiveError> {
    let grammar = PrimitiveError::Grammar(primitive);
    let bytes = text.as_bytes();
    if bytes.is_empty() {
        return Err(PrimitiveError::Empty);
    }
    let instant = primitive == Primitive::Instant;
    let (century, rest) = two(bytes).ok_or(grammar)?;
    let (year, rest) = two(rest).ok_or(grammar)?;
    let year = u16::from(century) * 100 + u16::from(year);
    if year == 0 {
        return Err(PrimitiveError::NoSuchDay);
    }
    let mut found = PartialDateTime { year, month: None, day: None, time: None, offset: None, zulu: false };
    if rest.is_empty() {
        return if instant { Err(grammar) } else { Ok(found) };
    }
    let (month, rest) = after(rest, b'-').and_then(two).ok_or(grammar)?;
    if !(1..=12).contains(&month) {
        return Err(PrimitiveError::NoSuchDay);
    }
    found.month = Some(month);
    if rest.is_empty() {
        return if instant { Err(grammar) } else { Ok(found) };
    }
    let (day, rest) = after(rest, b'-').and_then(two).ok_or(grammar)?;
    if !(1..=days_in(year, month)).contains(&day) {
        return Err(PrimitiveError::NoSuchDay);
    }
    found.day = Some(day);
    if rest.is_empty() {
        return if instant { Err(grammar) } else { Ok(found) };
    }
    if primitive == Primitive::Date {
        return Err(grammar);
    }
    let (time, rest) = after(rest, b'T').and_then(clock).ok_or(grammar)?;
    found.time = Some(time);
    if rest.is_empty() {
        return Err(PrimitiveError::NoTimeZone);
    }
    let offset = zone(rest).ok_or(grammar)?;
    found.zulu = rest == b"Z";
    found.offset = Some(offset);
    Ok(found)
}

/// The days of a month in the Gregorian calendar.
fn days_in(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// `hh:mm:ss(.f+)?` and what follows it.
fn clock(bytes: &[u8]) -> Option<(TimeOfDay, &[u8])> {
    let (hour, rest) = two(bytes)?;
    let (minute, rest) = two(after(rest, b':')?)?;
    let (second, mut rest) = two(after(rest, b':')?)?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (mut nanosecond, mut digits) = (0u32, 0u8);
    if let Some(fraction) = after(rest, b'.') {
        rest = fraction;
        let mut unit = 100_000_000;
        while let Some((digit @ b'0'..=b'9', after)) = rest.split_first() {
            nanosecond += u32::from(digit - b'0') * unit;
            unit /= 10;
            digits = digits.saturating_add(1);
            rest = after;
        }
        if digits == 0 {
            return None;
        }
    }
    Some((TimeOfDay { hour, minute, second, nanosecond, fraction_digits: digits }, rest))
}

/// `Z` or an offset up to 14:00, in minutes.
fn zone(bytes: &[u8]) -> Option<i16> {
    if bytes == b"Z" {
        return Some(0);
    }
    let (sign, rest) = bytes.split_first()?;
    let (hours, rest) = two(rest)?;
    let (minutes, rest) = two(after(rest, b':')?)?;
    if !rest.is_empty() || minutes > 59 || hours > 14 || (hours == 14 && minutes > 0) {
        return None;
    }
    let offset = i16::from(hours) * 60 + i16::from(minutes);
    match sign {
        b'+' => Some(offset),
        b'-' => Some(-offset),
        _ => None,
    }
}

fn after(bytes: &[u8], expected: u8) -> Option<&[u8]> {
    bytes.split_first().and_then(|(&first, rest)| (first == expected).then_some(rest))
}

/// Two digits as a number, and what follows them.
fn two(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (&[tens, units], rest) = bytes.split_first_chunk::<2>()?;
    (tens.is_ascii_digit() && units.is_ascii_digit()).then(|| ((tens - b'0') * 10 + (units - b'0'), rest))
}
