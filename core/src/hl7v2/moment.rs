//! HL7 v2 dates and times (types DT, TM, DTM and TS, HL7 v2.5.1 §2.A.21–22) in the spelling of FHIR.
//!
//! `YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]` becomes a FHIR date, dateTime or instant of the same precision. FHIR wants
//! minutes where it wants hours, seconds where it wants an instant, and an offset beside every time: seconds that
//! were not sent are written as zero (FHIR R4 §2.24.0.1 allows that), an offset that was not sent is asked for.

use jiff::civil::{Date, DateTime, Time};

/// Why a text is not a date or time of HL7 v2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MomentFault {
    /// Not the digits that the type wants.
    #[error("a date or time is written YYYY[MM[DD[HHMM[SS[.SSSS]]]]][+/-ZZZZ]")]
    Form,
    /// A month, day, hour, minute or second that does not exist.
    #[error("the date or time does not exist in the calendar or on the clock")]
    Calendar,
    /// A time without its offset from UTC.
    #[error("the time has no offset from UTC, and the map was given none to assume")]
    Offset,
    /// Less precise than the element needs.
    #[error("the element needs a more precise date or time than was sent")]
    Precision,
}

/// A date, or a date and time, as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    year: i16,
    month: Option<i8>,
    day: Option<i8>,
    time: Option<Clock>,
    /// Minutes east of UTC.
    offset: Option<i16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clock {
    hour: i8,
    minute: i8,
    second: Option<i8>,
    /// Digits after the point, at most four, and how many.
    fraction: Option<(u16, u8)>,
}

impl Moment {
    /// Reads a date or time.
    ///
    /// # Errors
    /// [`MomentFault::Form`], [`MomentFault::Calendar`].
    pub fn parse(text: &str) -> Result<Moment, MomentFault> {
        let text = text.trim().as_bytes();
        let sign = text.iter().position(|byte| matches!(byte, b'+' | b'-'));
        let (digits, offset) = match sign {
            Some(at) => (&text[..at], Some(offset(&text[at..])?)),
            None => (text, None),
        };
        let (date, rest) = digits.split_at(digits.len().min(8));
        let year = number(date.get(..4).ok_or(MomentFault::Form)?)?;
        let part = |from: usize| match date.get(from..from + 2) {
            Some(two) => number(two).map(Some),
            None if date.len() <= from => Ok(None),
            None => Err(MomentFault::Form),
        };
        let (month, day) = (part(4)?, part(6)?);
        let time = if rest.is_empty() { None } else { Some(Clock::parse(rest)?) };
        Date::new(year, small(month.unwrap_or(1))?, small(day.unwrap_or(1))?)
            .map_err(|_| MomentFault::Calendar)?;
        let month = month.map(small).transpose()?;
        Ok(Moment { year, month, day: day.map(small).transpose()?, time, offset })
    }

    /// What a calendar and a clock on the wall showed; `None` where no time of day was sent.
    pub fn local(&self) -> Option<DateTime> {
        let time = self.time?;
        let date = Date::new(self.year, self.month.unwrap_or(1), self.day.unwrap_or(1)).ok()?;
        Some(date.to_datetime(Time::new(time.hour, time.minute, time.second.unwrap_or(0), 0).ok()?))
    }

    /// As a FHIR `date`: the day, and no time.
    pub fn date(&self) -> String {
        let mut out = format!("{:04}", self.year);
        for part in [self.month, self.day].into_iter().flatten() {
            out.push_str(&format!("-{part:02}"));
        }
        out
    }

    /// As a FHIR `dateTime`, with the time where one was sent. `assumed` is the offset in minutes east of UTC to write
    /// where none was sent.
    ///
    /// # Errors
    /// [`MomentFault::Offset`] where there is a time without offset and none is assumed.
    pub fn date_time(&self, assumed: Option<i16>) -> Result<String, MomentFault> {
        let Some(time) = self.time else { return Ok(self.date()) };
        let offset = self.offset.or(assumed).ok_or(MomentFault::Offset)?;
        Ok(format!("{}T{}{}", self.date(), time.text(), offset_text(offset)))
    }

    /// As a FHIR `instant`.
    ///
    /// # Errors
    /// [`MomentFault::Precision`] without a time, [`MomentFault::Offset`].
    pub fn instant(&self, assumed: Option<i16>) -> Result<String, MomentFault> {
        if self.time.is_none() {
            return Err(MomentFault::Precision);
        }
        self.date_time(assumed)
    }
}

/// A time of day (type TM) as a FHIR `time`.
///
/// # Errors
/// [`MomentFault::Form`], [`MomentFault::Calendar`]; an offset is dropped, since FHIR times have none.
pub fn time_of_day(text: &str) -> Result<String, MomentFault> {
    let text = text.trim().as_bytes();
    let end = text.iter().position(|byte| matches!(byte, b'+' | b'-')).unwrap_or(text.len());
    if let Some(rest) = text.get(end..).filter(|rest| !rest.is_empty()) {
        offset(rest)?;
    }
    Clock::parse(&text[..end]).map(|clock| clock.text())
}

impl Clock {
    fn parse(text: &[u8]) -> Result<Clock, MomentFault> {
        let point = text.iter().position(|byte| *byte == b'.');
        let (digits, fraction) = match point {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let two = |from: usize| digits.get(from..from + 2).map(|two| number(two).and_then(small)).transpose();
        let (hour, minute, second) = match (digits.len(), two(0)?, two(2)?, two(4)?) {
            // The hour alone is legal in HL7 v2; FHIR wants the minutes too.
            (2, Some(hour), None, None) => (hour, 0, None),
            (4, Some(hour), Some(minute), None) => (hour, minute, None),
            (6, Some(hour), Some(minute), second) => (hour, minute, second),
            _ => return Err(MomentFault::Form),
        };
        let fraction = match (fraction, second) {
            (None, _) => None,
            (Some(digits), Some(_)) if (1..=4).contains(&digits.len()) => {
                let count = u8::try_from(digits.len()).map_err(|_| MomentFault::Form)?;
                Some((u16::try_from(number(digits)?).map_err(|_| MomentFault::Form)?, count))
            }
            _ => return Err(MomentFault::Form),
        };
        Time::new(hour, minute, second.unwrap_or(0), 0).map_err(|_| MomentFault::Calendar)?;
        Ok(Clock { hour, minute, second, fraction })
    }

    fn text(self) -> String {
        let mut out = format!("{:02}:{:02}:{:02}", self.hour, self.minute, self.second.unwrap_or(0));
        if let Some((digits, count)) = self.fraction {
            out.push_str(&format!(".{digits:0width$}", width = usize::from(count)));
        }
        out
    }
}

fn number(digits: &[u8]) -> Result<i16, MomentFault> {
    if digits.is_empty() || digits.len() > 4 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(MomentFault::Form);
    }
    Ok(digits.iter().fold(0, |sum, digit| sum * 10 + i16::from(digit - b'0')))
}

fn small(number: i16) -> Result<i8, MomentFault> {
    i8::try_from(number).map_err(|_| MomentFault::Calendar)
}

/// `+HHMM` or `-HHMM` in minutes.
fn offset(text: &[u8]) -> Result<i16, MomentFault> {
    let [sign, digits @ ..] = text else { return Err(MomentFault::Form) };
    if digits.len() != 4 {
        return Err(MomentFault::Form);
    }
    let (hours, minutes) = (number(&digits[..2])?, number(&digits[2..])?);
    if hours > 14 || minutes > 59 {
        return Err(MomentFault::Calendar);
    }
    let total = hours * 60 + minutes;
    Ok(if *sign == b'-' { -total } else { total })
}

fn offset_text(minutes: i16) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.unsigned_abs();
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn date_time(text: &str) -> Result<String, MomentFault> {
        Moment::parse(text)?.date_time(Some(60))
    }

    #[test]
    fn every_precision_is_kept() {
        for (sent, expected) in [
            ("2026", "2026"),
            ("202603", "2026-03"),
            ("20260301", "2026-03-01"),
            ("202603011015", "2026-03-01T10:15:00+01:00"),
            ("20260301101530", "2026-03-01T10:15:30+01:00"),
            ("20260301101530.0500", "2026-03-01T10:15:30.0500+01:00"),
            ("20260701101530+0200", "2026-07-01T10:15:30+02:00"),
            ("20260701101530-0330", "2026-07-01T10:15:30-03:30"),
            ("2026070110", "2026-07-01T10:00:00+01:00"),
        ] {
            assert_eq!(date_time(sent).as_deref(), Ok(expected), "{sent}");
        }
        assert_eq!(Moment::parse("20260301101530").unwrap().date(), "2026-03-01");
        assert_eq!(time_of_day("1015").as_deref(), Ok("10:15:00"));
        assert_eq!(time_of_day("101530.25+0100").as_deref(), Ok("10:15:30.25"));
    }

    #[test]
    fn what_does_not_exist_is_refused() {
        use MomentFault::*;
        for (sent, fault) in [
            ("", Form),
            ("26", Form),
            ("20260", Form),
            ("2026-03-01", Form),
            ("20260301101", Form),
            ("20260301101530.", Form),
            ("20260301101530.12345", Form),
            ("202603011015.5", Form),
            ("20261301", Calendar),
            ("20260230", Calendar),
            ("202603012560", Calendar),
            ("20260301101530+1", Form),
            ("20260301101530+2500", Calendar),
        ] {
            assert_eq!(Moment::parse(sent), Err(fault), "{sent}");
        }
        assert_eq!(Moment::parse("202603011015").unwrap().date_time(None), Err(Offset));
        assert_eq!(Moment::parse("20260301").unwrap().instant(Some(0)), Err(Precision));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[0-9.+-]{0,26}|\\PC{0,12}") {
            let _ = date_time(&text);
            let _ = time_of_day(&text);
        }
    }
}
