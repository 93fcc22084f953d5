//! The least and greatest value that a value of limited precision may stand for, its precision, and its
//! components (FHIRPath §Utility functions).

use std::sync::Arc;

use super::calendar::{CalendarUnit, days_in_month};
use super::decimal::Decimal;
use super::error::EvaluationFault;
use super::evaluate::{Machine, Outcome};
use super::function::Function;
use super::item::Item;
use super::quantity::Quantity;
use super::syntax::Ref;
use super::temporal::{Precision, Temporal, TemporalKind};

/// Most decimal places of a boundary.
const MOST_PLACES: i64 = 31;
/// Decimal places where none are asked for.
const PLACES: i64 = 8;

impl<'a> Machine<'_, 'a> {
    /// Answers a function on dates, times and precisions; false where it is none.
    pub(super) fn temporal_function(
        &mut self,
        node: Ref,
        function: Function,
        item: &Item<'a>,
        arguments: &[Option<Item<'a>>],
    ) -> Outcome<bool> {
        use Function as F;
        let value = self.system(item);
        let first = arguments.first().and_then(Option::as_ref);
        let result = match function {
            F::LowBoundary | F::HighBoundary => {
                let digits = match first {
                    None => None,
                    Some(argument) => match argument.whole() {
                        Some(digits) => Some(digits),
                        None => {
                            return self.wrong_type(
                                node,
                                function.name(),
                                "a whole number as argument",
                                argument,
                            );
                        }
                    },
                };
                let high = function == F::HighBoundary;
                match &value {
                    Some(Item::Temporal(value)) => temporal_boundary(value, digits, high).map(Item::Temporal),
                    Some(Item::Quantity(quantity)) => {
                        decimal_boundary(quantity.value, digits, high).map(|value| {
                            Item::Quantity(Arc::new(Quantity { value, unit: quantity.unit.clone() }))
                        })
                    }
                    Some(other) => match other.number() {
                        Some(number) => decimal_boundary(number, digits, high).map(Item::Decimal),
                        None => {
                            return self.wrong_type(node, function.name(), "numbers, dates and times", item);
                        }
                    },
                    None => None,
                }
            }
            F::Precision => match &value {
                Some(Item::Temporal(value)) => Some(Item::Integer(digits(value))),
                Some(Item::Quantity(quantity)) => Some(Item::Integer(i32::from(quantity.value.scale()))),
                Some(other) => match other.number() {
                    Some(number) => Some(Item::Integer(i32::from(number.scale()))),
                    None => return self.wrong_type(node, "precision", "numbers, dates and times", item),
                },
                None => None,
            },
            F::Comparable => {
                let both = value.as_ref().and_then(Item::quantity).zip(first.and_then(Item::quantity));
                both.map(|(left, right)| Item::Boolean(left.compare(&right).is_some()))
            }
            F::Duration | F::Difference => {
                return self.interval(node, function, item, arguments).map(|()| true);
            }
            _ => match component(function, value.as_ref()) {
                Some(result) => result,
                None => return Ok(false),
            },
        };
        self.stack.extend(result);
        Ok(true)
    }

    fn interval(
        &mut self,
        node: Ref,
        function: Function,
        item: &Item<'a>,
        arguments: &[Option<Item<'a>>],
    ) -> Outcome<()> {
        let [Some(other), Some(unit), ..] = arguments else { return Ok(()) };
        let (Some(Item::Temporal(from)), Item::Temporal(to)) = (self.system(item), other) else {
            return self.wrong_type(node, function.name(), "dates and times", item);
        };
        let unit = match unit {
            Item::Text(text) => CalendarUnit::of(text.as_str()).map(|(unit, _)| unit),
            _ => None,
        };
        let Some(unit) = unit else {
            let fault = EvaluationFault::BadArgument(
                function.name(),
                "the precision is a calendar word such as 'day'",
            );
            return self.stop(node, fault);
        };
        let count = match function {
            Function::Duration => from.periods_until(to, unit),
            _ => from.boundaries_until(to, unit),
        };
        let item = count.map(|it| i32::try_from(it).map_or(Item::Long(it), Item::Integer));
        self.stack.extend(item);
        Ok(())
    }
}

/// A component of a date or time. The outer `None`: the function asks for no component.
fn component<'a>(function: Function, value: Option<&Item<'a>>) -> Option<Option<Item<'a>>> {
    use Function as F;
    let temporal = match value {
        Some(Item::Temporal(value)) => Some(value),
        _ => None,
    };
    let dated = temporal.filter(|it| it.kind() != TemporalKind::Time);
    let from = |value: Option<&Temporal>, precision: Precision, number: fn(&Temporal) -> u32| {
        let known = value.filter(|it| it.precision() >= precision);
        known.map(|it| Item::Integer(i32::try_from(number(it)).unwrap_or(0)))
    };
    let timed = temporal.filter(|it| it.kind() != TemporalKind::Date);
    Some(match function {
        F::YearOf => from(dated, Precision::Year, |it| it.year.into()),
        F::MonthOf => from(dated, Precision::Month, |it| it.month.into()),
        F::DayOf => from(dated, Precision::Day, |it| it.day.into()),
        F::HourOf => from(timed, Precision::Hour, |it| it.hour.into()),
        F::MinuteOf => from(timed, Precision::Minute, |it| it.minute.into()),
        F::SecondOf => from(timed, Precision::Second, |it| it.second.into()),
        F::MillisecondOf => {
            let known = timed.filter(|it| it.fraction_digits > 0);
            from(known, Precision::Second, |it| it.nanosecond / 1_000_000)
        }
        F::TimezoneOffsetOf => timed.and_then(Temporal::offset).and_then(|minutes| {
            let hours = Decimal::from(i32::from(minutes)).divided_by(Decimal::from(60i32))?;
            let places = hours.scale().max(1);
            hours.with_places(places).map(Item::Decimal)
        }),
        F::DateOf => dated.and_then(Temporal::date).map(Item::Temporal),
        F::TimeOf => dated.and_then(Temporal::time).map(Item::Temporal),
        _ => return None,
    })
}

/// Digits of a date or time: 4 for a year, 17 for a DateTime with milliseconds.
fn digits(value: &Temporal) -> i32 {
    let own = match value.precision {
        Precision::Year => 4,
        Precision::Month => 6,
        Precision::Day => 8,
        Precision::Hour => 10,
        Precision::Minute => 12,
        Precision::Second => 14 + i32::from(value.fraction_digits),
    };
    if value.kind == TemporalKind::Time { own - 8 } else { own }
}

/// Half a unit of the last place below or above the value. At fewer places than that takes, the boundary
/// away from zero is rounded and the one towards zero is cut off.
fn decimal_boundary(value: Decimal, places: Option<i64>, high: bool) -> Option<Decimal> {
    let places = places.unwrap_or(PLACES);
    if !(0..=MOST_PLACES).contains(&places) {
        return None;
    }
    let places = u8::try_from(places).ok()?;
    let half = Decimal::new(5, value.scale().checked_add(1)?)?;
    let boundary = if high { value.plus(half)? } else { value.minus(half)? };
    if places >= boundary.scale() {
        return boundary.with_places(places);
    }
    let outward = boundary.is_negative() != high;
    if outward { boundary.rounded(places)?.with_places(places) } else { boundary.with_places(places) }
}

fn temporal_boundary(value: &Temporal, digits: Option<i64>, high: bool) -> Option<Temporal> {
    let finest = match value.kind {
        TemporalKind::Date => 8,
        TemporalKind::DateTime => 17,
        TemporalKind::Time => 9,
    };
    let asked = digits.unwrap_or(finest);
    if asked > finest {
        return None;
    }
    let shift = if value.kind == TemporalKind::Time { 8 } else { 0 };
    let (precision, fraction) = match asked + shift {
        4 => (Precision::Year, false),
        6 => (Precision::Month, false),
        8 if shift == 0 => (Precision::Day, false),
        10 => (Precision::Hour, false),
        12 => (Precision::Minute, false),
        14 => (Precision::Second, false),
        17 => (Precision::Second, true),
        _ => return None,
    };
    let mut found = *value;
    if high {
        fill_up(&mut found);
    }
    found.precision = precision;
    found.fraction_digits = if fraction { 3 } else { 0 };
    found.nanosecond = if fraction { found.nanosecond / 1_000_000 * 1_000_000 } else { 0 };
    if found.kind == TemporalKind::DateTime && precision >= Precision::Hour && value.offset().is_none() {
        found.offset = if high { -12 * 60 } else { 14 * 60 };
    }
    Some(found)
}

/// Puts the greatest value into every component that is not known.
fn fill_up(value: &mut Temporal) {
    if value.precision < Precision::Month {
        value.month = 12;
    }
    if value.precision < Precision::Day {
        value.day = days_in_month(i64::from(value.year), value.month);
    }
    if value.precision < Precision::Hour {
        value.hour = 23;
    }
    if value.precision < Precision::Minute {
        value.minute = 59;
    }
    if value.precision < Precision::Second {
        value.second = 59;
    }
    let known = 10u32.pow(9 - u32::from(value.fraction_digits.min(9)));
    value.nanosecond += known - 1;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn decimals_follow_the_specification() {
        let at = |text: &str, places: Option<i64>, high: bool| {
            decimal_boundary(Decimal::parse(text).unwrap(), places, high)
                .map(|it| it.to_string())
                .unwrap_or_default()
        };
        let low = |text: &str, places: i64| at(text, Some(places), false);
        let high = |text: &str, places: i64| at(text, Some(places), true);
        assert_eq!(at("1.587", None, false), "1.58650000");
        assert_eq!(
            (low("1.587", 6), low("1.587", 2), low("1.587", 0)),
            ("1.586500".into(), "1.58".into(), "1".into())
        );
        assert_eq!((low("-1.587", 2), low("-1.587", 0)), ("-1.59".into(), "-2".into()));
        assert_eq!((high("1.587", 2), high("1.587", 0)), ("1.59".into(), "2".into()));
        assert_eq!((high("-1.587", 6), high("-1.587", 2)), ("-1.586500".into(), "-1.58".into()));
        assert_eq!((high("1", -1), low("1", 40)), (String::new(), String::new()));
    }

    #[test]
    fn dates_and_times_are_filled() {
        let at = |text: &str, digits: Option<i64>, high: bool| {
            let value = match text.strip_prefix('T') {
                Some(time) => Temporal::parse_time(time),
                None => Temporal::parse_date(text).or_else(|| Temporal::parse_date_time(text)),
            };
            temporal_boundary(&value.unwrap(), digits, high).map(|it| it.to_string()).unwrap_or_default()
        };
        assert_eq!(at("2014", Some(6), false), "2014-01");
        assert_eq!(at("2016-02", None, true), "2016-02-29");
        assert_eq!(at("2014-01-01T08", None, true), "2014-01-01T08:59:59.999-12:00");
        assert_eq!(at("2014-01-01T08:05+08:00", Some(17), false), "2014-01-01T08:05:00.000+08:00");
        assert_eq!(at("2014-01-01T08:05:10.5Z", None, true), "2014-01-01T08:05:10.599Z");
        assert_eq!(at("T10:30", None, true), "10:30:59.999");
        assert_eq!(at("T10:30", Some(2), true), "10");
        assert_eq!(at("2014", Some(5), true), "");
        assert_eq!(at("2014", Some(17), true), "");
    }
}
