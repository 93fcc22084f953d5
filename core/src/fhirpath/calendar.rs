//! Calendar arithmetic: days of the Gregorian calendar, and dates moved by durations (FHIRPath §Date/Time
//! Arithmetic).
//!
//! Years and months move by the calendar, weeks and days by days, the rest by the clock. A duration finer
//! than the value is first turned into the value's own precision, with 12 months or 365 days to a year and
//! 30 days to a month, and what does not fill it is dropped.

use super::decimal::Decimal;
use super::temporal::{Precision, Temporal, TemporalKind};

/// A calendar duration's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CalendarUnit {
    /// `year`
    Year,
    /// `month`
    Month,
    /// `week`
    Week,
    /// `day`
    Day,
    /// `hour`
    Hour,
    /// `minute`
    Minute,
    /// `second`
    Second,
    /// `millisecond`
    Millisecond,
}

impl CalendarUnit {
    /// All units, the longest first.
    pub const ALL: [CalendarUnit; 8] = [
        CalendarUnit::Year,
        CalendarUnit::Month,
        CalendarUnit::Week,
        CalendarUnit::Day,
        CalendarUnit::Hour,
        CalendarUnit::Minute,
        CalendarUnit::Second,
        CalendarUnit::Millisecond,
    ];

    /// The unit with this name, singular or plural, and whether it is plural.
    pub fn of(text: &str) -> Option<(CalendarUnit, bool)> {
        CalendarUnit::ALL.into_iter().find_map(|unit| match text.strip_prefix(unit.name())? {
            "" => Some((unit, false)),
            "s" => Some((unit, true)),
            _ => None,
        })
    }

    /// Its name in the singular.
    pub fn name(self) -> &'static str {
        match self {
            CalendarUnit::Year => "year",
            CalendarUnit::Month => "month",
            CalendarUnit::Week => "week",
            CalendarUnit::Day => "day",
            CalendarUnit::Hour => "hour",
            CalendarUnit::Minute => "minute",
            CalendarUnit::Second => "second",
            CalendarUnit::Millisecond => "millisecond",
        }
    }

    /// The UCUM code of the definite duration that goes by the same name.
    pub fn ucum(self) -> &'static str {
        match self {
            CalendarUnit::Year => "a",
            CalendarUnit::Month => "mo",
            CalendarUnit::Week => "wk",
            CalendarUnit::Day => "d",
            CalendarUnit::Hour => "h",
            CalendarUnit::Minute => "min",
            CalendarUnit::Second => "s",
            CalendarUnit::Millisecond => "ms",
        }
    }

    /// The unit whose definite duration has this UCUM code.
    pub fn of_ucum(code: &str) -> Option<CalendarUnit> {
        CalendarUnit::ALL.into_iter().find(|unit| unit.ucum() == code)
    }

    /// The coarsest precision that holds it.
    fn precision(self) -> Precision {
        match self {
            CalendarUnit::Year => Precision::Year,
            CalendarUnit::Month => Precision::Month,
            CalendarUnit::Week | CalendarUnit::Day => Precision::Day,
            CalendarUnit::Hour => Precision::Hour,
            CalendarUnit::Minute => Precision::Minute,
            CalendarUnit::Second | CalendarUnit::Millisecond => Precision::Second,
        }
    }

    /// Its length in milliseconds, for those shorter than a month.
    pub(super) fn milliseconds(self) -> Option<i64> {
        Some(match self {
            CalendarUnit::Year | CalendarUnit::Month => return None,
            CalendarUnit::Week => 604_800_000,
            CalendarUnit::Day => MS_PER_DAY,
            CalendarUnit::Hour => 3_600_000,
            CalendarUnit::Minute => 60_000,
            CalendarUnit::Second => 1_000,
            CalendarUnit::Millisecond => 1,
        })
    }
}

const MS_PER_DAY: i64 = 86_400_000;
const NANOS_PER_DAY: i128 = MS_PER_DAY as i128 * 1_000_000;

/// Why a date can't be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveFault {
    /// The value's type has no such unit: hours on a date, days on a time of day.
    Unit,
    /// The year would not be 1 to 9999.
    Range,
}

/// Days since 1 January 1970.
pub(super) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a number of days since 1 January 1970.
pub(super) fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u8, day as u8)
}

/// Days of a month.
pub(super) fn days_in_month(year: i64, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

impl Temporal {
    /// The value moved by `amount` of `unit`; a negative amount moves it back.
    ///
    /// # Errors
    /// [`MoveFault`] where the type has no such unit or the year leaves 1 to 9999.
    pub fn moved(&self, amount: Decimal, unit: CalendarUnit) -> Result<Temporal, MoveFault> {
        let fits = match self.kind {
            TemporalKind::Date => unit <= CalendarUnit::Day,
            TemporalKind::DateTime => true,
            TemporalKind::Time => unit >= CalendarUnit::Hour,
        };
        if !fits {
            return Err(MoveFault::Unit);
        }
        if unit.precision() == Precision::Second && self.precision == Precision::Second {
            return self.moved_by_seconds(amount, unit);
        }
        let whole = i64::try_from(amount.truncated()).map_err(|_| MoveFault::Range)?;
        if unit.precision() > self.precision {
            return self.moved_partial(whole, unit);
        }
        self.moved_whole(whole, unit)
    }

    fn moved_whole(&self, amount: i64, unit: CalendarUnit) -> Result<Temporal, MoveFault> {
        match unit {
            CalendarUnit::Year => self.moved_by_months(amount.checked_mul(12).ok_or(MoveFault::Range)?),
            CalendarUnit::Month => self.moved_by_months(amount),
            _ => {
                let unit = i128::from(unit.milliseconds().unwrap_or(0)) * 1_000_000;
                self.moved_by_nanos(i128::from(amount) * unit)
            }
        }
    }

    /// Turns a finer duration into the value's precision before it is added.
    fn moved_partial(&self, amount: i64, unit: CalendarUnit) -> Result<Temporal, MoveFault> {
        let milliseconds = unit.milliseconds().map(|unit| i128::from(amount) * i128::from(unit));
        let (target, converted) = match (self.precision, milliseconds) {
            (Precision::Year, None) => (CalendarUnit::Year, i128::from(amount) / 12),
            (Precision::Year, Some(ms)) => (CalendarUnit::Year, ms / i128::from(MS_PER_DAY) / 365),
            (Precision::Month, Some(ms)) => (CalendarUnit::Month, ms / i128::from(MS_PER_DAY) / 30),
            (Precision::Day, Some(ms)) => (CalendarUnit::Day, ms / i128::from(MS_PER_DAY)),
            (Precision::Hour, Some(ms)) => (CalendarUnit::Hour, ms / 3_600_000),
            (Precision::Minute, Some(ms)) => (CalendarUnit::Minute, ms / 60_000),
            _ => (unit, i128::from(amount)),
        };
        self.moved_whole(i64::try_from(converted).map_err(|_| MoveFault::Range)?, target)
    }

    fn moved_by_months(&self, months: i64) -> Result<Temporal, MoveFault> {
        let start = i64::from(self.year) * 12 + i64::from(self.month) - 1;
        let total = start.checked_add(months).ok_or(MoveFault::Range)?;
        let (year, month) = (total.div_euclid(12), (total.rem_euclid(12) + 1) as u8);
        let day = self.day.min(days_in_month(year, month));
        self.on(year, month, day)
    }

    fn on(&self, year: i64, month: u8, day: u8) -> Result<Temporal, MoveFault> {
        if !(1..=9999).contains(&year) {
            return Err(MoveFault::Range);
        }
        Ok(Temporal { year: year as u16, month, day, ..*self })
    }

    fn moved_by_seconds(&self, amount: Decimal, unit: CalendarUnit) -> Result<Temporal, MoveFault> {
        let shift = if unit == CalendarUnit::Millisecond { 3 } else { 0 };
        let digits = amount.normalized().scale().saturating_add(shift).min(9);
        let scaled = amount.with_places(9 - shift).ok_or(MoveFault::Range)?;
        let mut moved = self.moved_by_nanos(scaled.mantissa())?;
        moved.fraction_digits = self.fraction_digits.max(if scaled.is_zero() { 0 } else { digits });
        Ok(moved)
    }

    fn moved_by_nanos(&self, nanos: i128) -> Result<Temporal, MoveFault> {
        let total = i128::from(self.nanos_of_day()).checked_add(nanos).ok_or(MoveFault::Range)?;
        let of_day = total.rem_euclid(NANOS_PER_DAY);
        let mut moved = *self;
        if self.kind != TemporalKind::Time {
            let days = i64::try_from(total.div_euclid(NANOS_PER_DAY)).map_err(|_| MoveFault::Range)?;
            let today = days_from_civil(i64::from(self.year), i64::from(self.month), i64::from(self.day));
            let target = today.checked_add(days).filter(|days| days.abs() < 5_000_000);
            let (year, month, day) = civil_from_days(target.ok_or(MoveFault::Range)?);
            moved = self.on(year, month, day)?;
        }
        let seconds = (of_day / 1_000_000_000) as u32;
        moved.nanosecond = (of_day % 1_000_000_000) as u32;
        moved.hour = (seconds / 3600) as u8;
        moved.minute = (seconds / 60 % 60) as u8;
        moved.second = (seconds % 60) as u8;
        Ok(moved)
    }

    /// Whole periods of `unit` from this value to `other`; negative where `other` is earlier. `None` where
    /// one is not known to that precision or the kinds differ.
    pub fn periods_until(&self, other: &Temporal, unit: CalendarUnit) -> Option<i64> {
        let (from, to) = self.comparable_to(other, unit)?;
        let nanos = |value: &Temporal| {
            i128::from(value.local_minutes()) * 60_000_000_000
                + i128::from(value.second) * 1_000_000_000
                + i128::from(value.nanosecond)
        };
        if let Some(length) = unit.milliseconds() {
            let periods = (nanos(&to) - nanos(&from)) / (i128::from(length) * 1_000_000);
            return i64::try_from(periods).ok();
        }
        let months = |value: &Temporal| i64::from(value.year) * 12 + i64::from(value.month);
        let mut between = months(&to) - months(&from);
        let rest = |value: &Temporal| (value.day, value.nanos_of_day());
        if between > 0 && rest(&to) < rest(&from) {
            between -= 1;
        } else if between < 0 && rest(&to) > rest(&from) {
            between += 1;
        }
        Some(if unit == CalendarUnit::Year { between / 12 } else { between })
    }

    /// How many boundaries of `unit` lie between this value and `other`.
    pub fn boundaries_until(&self, other: &Temporal, unit: CalendarUnit) -> Option<i64> {
        let (from, to) = self.comparable_to(other, unit)?;
        let days = |value: &Temporal| value.local_minutes().div_euclid(1440);
        let count = |value: &Temporal| match unit {
            CalendarUnit::Year => i64::from(value.year),
            CalendarUnit::Month => i64::from(value.year) * 12 + i64::from(value.month),
            // Weeks begin on Sunday; 1 January 1970 was a Thursday.
            CalendarUnit::Week => (days(value) + 4).div_euclid(7),
            CalendarUnit::Day => days(value),
            CalendarUnit::Hour => value.local_minutes().div_euclid(60),
            CalendarUnit::Minute => value.local_minutes(),
            CalendarUnit::Second => value.local_minutes() * 60 + i64::from(value.second),
            CalendarUnit::Millisecond => {
                (value.local_minutes() * 60 + i64::from(value.second)) * 1000
                    + i64::from(value.nanosecond / 1_000_000)
            }
        };
        Some(count(&to) - count(&from))
    }

    /// Both values in one zone, where both are known to the unit's precision and have it.
    fn comparable_to(&self, other: &Temporal, unit: CalendarUnit) -> Option<(Temporal, Temporal)> {
        let times = [self, other].map(|value| value.kind == TemporalKind::Time);
        let fits = match times {
            [true, true] => unit >= CalendarUnit::Hour,
            [false, false] => true,
            _ => false,
        };
        let known = self.precision.min(other.precision) >= unit.precision();
        if !fits || !known {
            return None;
        }
        let mut right = *other;
        if let (Some(left), Some(own), true) = (self.offset(), other.offset(), unit >= CalendarUnit::Hour) {
            let shift = i128::from(left - own) * 60_000_000_000;
            right = right.moved_by_nanos(shift).ok()?;
        }
        Some((*self, right))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moved(text: &str, amount: &str, unit: &str) -> String {
        let value = match text.strip_prefix('T') {
            Some(time) => Temporal::parse_time(time),
            None => Temporal::parse_date(text).or_else(|| Temporal::parse_date_time(text)),
        };
        let (unit, _) = CalendarUnit::of(unit).unwrap();
        match value.unwrap().moved(Decimal::parse(amount).unwrap(), unit) {
            Ok(moved) => moved.to_string(),
            Err(fault) => format!("{fault:?}"),
        }
    }

    #[test]
    fn months_end_where_the_month_ends() {
        assert_eq!(moved("2026-01-31", "1", "month"), "2026-02-28");
        assert_eq!(moved("2024-02-29", "1", "year"), "2025-02-28");
        assert_eq!(moved("2019-03-01", "-24", "months"), "2017-03-01");
        assert_eq!(moved("9999-12-31", "1", "day"), "Range");
    }

    #[test]
    fn days_and_clocks_roll_over() {
        assert_eq!(moved("1973-12-25", "7.9", "days"), "1974-01-01");
        assert_eq!(
            moved("1973-12-25T00:00:00.000+10:00", "42.53", "seconds"),
            "1973-12-25T00:00:42.530+10:00"
        );
        assert_eq!(moved("1973-12-25T23:59:59Z", "1", "second"), "1973-12-26T00:00:00Z");
        assert_eq!(moved("T23:30:00", "1", "hour"), "00:30:00");
        assert_eq!(moved("T01:00:00", "-2", "hours"), "23:00:00");
        assert_eq!(moved("T01:00:00", "2", "days"), "Unit");
        assert_eq!(moved("2026-01-01", "1", "hour"), "Unit");
    }

    #[test]
    fn partial_values_take_whole_periods_only() {
        assert_eq!(moved("2014", "24", "months"), "2016");
        assert_eq!(moved("2014", "23", "months"), "2015");
        assert_eq!(moved("2016", "365", "days"), "2017");
        assert_eq!(moved("2026-02", "5", "weeks"), "2026-03");
        assert_eq!(moved("2026-02", "4", "weeks"), "2026-02");
        assert_eq!(moved("2014", "-1", "month"), "2014");
    }

    #[test]
    fn periods_and_boundaries_are_counted() {
        let at = |text| Temporal::parse_date_time(text).unwrap();
        let (birth, now) = (at("1980-03-15"), at("2026-03-14"));
        assert_eq!(birth.periods_until(&now, CalendarUnit::Year), Some(45));
        assert_eq!(birth.boundaries_until(&now, CalendarUnit::Year), Some(46));
        assert_eq!(now.periods_until(&birth, CalendarUnit::Year), Some(-45));
        assert_eq!(at("2026").periods_until(&now, CalendarUnit::Day), None);
        let (left, right) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T02:30:00+01:00"));
        assert_eq!(left.periods_until(&right, CalendarUnit::Hour), Some(1));
    }

    proptest! {
        #[test]
        fn days_and_dates_are_inverse(days in -800_000i64..3_000_000) {
            let (year, month, day) = civil_from_days(days);
            prop_assert_eq!(days_from_civil(year, i64::from(month), i64::from(day)), days);
            prop_assert!(day >= 1 && day <= days_in_month(year, month));
        }

        #[test]
        fn moving_never_panics(year in 1u16..=9999, amount in any::<i64>(), scale in 0u8..12, unit in 0usize..8) {
            let value = Temporal::parse_date_time(&format!("{year:04}-01-31T10:00:00")).unwrap();
            let amount = Decimal::new(i128::from(amount), scale).unwrap();
            if let Ok(moved) = value.moved(amount, CalendarUnit::ALL[unit]) {
                prop_assert!(Temporal::parse_date_time(&moved.to_string()).is_some());
            }
        }
    }
}
