//! Quantities: a decimal with a UCUM unit or a calendar duration.

use std::cmp::Ordering;
use std::fmt;

use super::calendar::CalendarUnit;
use super::decimal::Decimal;
use super::unit;

/// What a quantity is measured in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuantityUnit {
    /// A UCUM code; `1` where there is no unit.
    Ucum(Box<str>),
    /// A calendar duration, and whether it was written in the plural.
    Calendar(CalendarUnit, bool),
    /// A UCUM duration in a FHIR Quantity: definite beside definite durations, a calendar duration beside
    /// dates and calendar durations (FHIR R4 §2.1.20.6).
    Either(CalendarUnit),
}

impl QuantityUnit {
    /// The unit of a bare number.
    pub fn one() -> QuantityUnit {
        QuantityUnit::Ucum("1".into())
    }

    /// A unit as FHIRPath quotes it. Calendar words are calendar durations also in quotes.
    pub fn quoted(text: &str) -> QuantityUnit {
        match CalendarUnit::of(text) {
            Some((unit, plural)) => QuantityUnit::Calendar(unit, plural),
            None => QuantityUnit::Ucum(text.into()),
        }
    }

    /// True for `1`.
    pub fn is_one(&self) -> bool {
        matches!(self, QuantityUnit::Ucum(code) if &**code == "1")
    }

    /// The UCUM code; for a calendar duration, that of the definite duration of the same name.
    pub fn ucum(&self) -> &str {
        match self {
            QuantityUnit::Ucum(code) => code,
            QuantityUnit::Calendar(unit, _) | QuantityUnit::Either(unit) => unit.ucum(),
        }
    }

    /// The unit as it stands beside another.
    fn beside(&self, other: &QuantityUnit) -> QuantityUnit {
        match (self, other) {
            (QuantityUnit::Either(unit), QuantityUnit::Calendar(..)) => QuantityUnit::Calendar(*unit, false),
            (QuantityUnit::Either(unit), _) => QuantityUnit::Ucum(unit.ucum().into()),
            (own, _) => own.clone(),
        }
    }

    /// The calendar unit it stands for in date arithmetic: its own, or that of a definite duration of at
    /// most a week. Definite years and months stand for none.
    pub fn calendar(&self) -> Option<CalendarUnit> {
        match self {
            QuantityUnit::Calendar(unit, _) | QuantityUnit::Either(unit) => Some(*unit),
            QuantityUnit::Ucum(code) => {
                CalendarUnit::of_ucum(code).filter(|unit| *unit > CalendarUnit::Month)
            }
        }
    }

    /// Calendar years and months, which have no fixed length.
    fn is_long(&self) -> bool {
        matches!(self, QuantityUnit::Calendar(CalendarUnit::Year | CalendarUnit::Month, _))
    }
}

/// An amount of something.
#[derive(Debug, Clone)]
pub struct Quantity {
    /// How much.
    pub value: Decimal,
    /// Of what.
    pub unit: QuantityUnit,
}

impl Quantity {
    /// A bare number.
    pub fn number(value: Decimal) -> Quantity {
        Quantity { value, unit: QuantityUnit::one() }
    }

    /// Reads `number`, `number 'unit'` or `number calendar-word`.
    pub fn parse(text: &str) -> Option<Quantity> {
        let text = text.trim();
        let end =
            text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let value = Decimal::parse(number)?;
        let unit = unit.trim_start();
        if unit.is_empty() {
            return Some(Quantity::number(value));
        }
        let unit = match unit.strip_prefix('\'') {
            Some(quoted) => {
                let inner = quoted.strip_suffix('\'').filter(|it| !it.is_empty() && !it.contains('\''))?;
                QuantityUnit::quoted(inner)
            }
            None => {
                let (unit, plural) = CalendarUnit::of(unit)?;
                QuantityUnit::Calendar(unit, plural)
            }
        };
        Some(Quantity { value, unit })
    }

    /// Compares by amount; `None` where the units have no relation, or one is a calendar year or month and
    /// the other a definite duration.
    pub fn compare(&self, other: &Quantity) -> Option<Ordering> {
        if matches!(self.unit, QuantityUnit::Either(_)) || matches!(other.unit, QuantityUnit::Either(_)) {
            let left = Quantity { value: self.value, unit: self.unit.beside(&other.unit) };
            let right = Quantity { value: other.value, unit: other.unit.beside(&left.unit) };
            return left.compare(&right);
        }
        let twelve = Decimal::from(12i64);
        match (&self.unit, &other.unit) {
            (QuantityUnit::Calendar(left, _), QuantityUnit::Calendar(right, _)) if left == right => {
                Some(self.value.cmp(&other.value))
            }
            (left, right) if left.is_long() && right.is_long() => {
                let months = |it: &Quantity| match it.unit {
                    QuantityUnit::Calendar(CalendarUnit::Year, _) => it.value.times(twelve),
                    _ => Some(it.value),
                };
                Some(months(self)?.cmp(&months(other)?))
            }
            (left, right) if left.is_long() || right.is_long() => None,
            (left, right) => unit::compare(self.value, left.ucum(), other.value, right.ucum()),
        }
    }

    /// True where the amounts are the same at the precision of the less precise of them, in the coarser of
    /// the two units. Calendar and definite durations of one name are the same here.
    pub fn equivalent(&self, other: &Quantity) -> Option<bool> {
        let (left, right) = (self.unit.ucum(), other.unit.ucum());
        let (ours, theirs) = if left == right {
            (self.value, other.value)
        } else if unit::is_coarser(left, right) {
            (self.value, unit::convert(other.value, right, left)?)
        } else {
            (unit::convert(self.value, left, right)?, other.value)
        };
        Some(equivalent_decimals(ours, theirs))
    }

    /// The same amount in another unit; `None` where there is no conversion.
    pub fn converted(&self, target: &QuantityUnit) -> Option<Quantity> {
        let made = |value: Decimal| Quantity { value, unit: target.clone() };
        if self.unit.is_one() {
            return Some(made(self.value));
        }
        if let QuantityUnit::Calendar(source, _) = self.unit {
            // Calendar durations convert among themselves first; the result then takes the target's name.
            let goal = match target {
                QuantityUnit::Calendar(unit, _) | QuantityUnit::Either(unit) => *unit,
                QuantityUnit::Ucum(code) => CalendarUnit::of_ucum(code)?,
            };
            return calendar_converted(self.value, source, goal).map(made);
        }
        if let (QuantityUnit::Ucum(source), QuantityUnit::Calendar(unit, _)) = (&self.unit, target) {
            return unit::convert(self.value, source, unit.ucum()).map(made);
        }
        unit::convert(self.value, self.unit.ucum(), target.ucum()).map(made)
    }
}

/// Calendar durations by FHIRPath's factors: 12 months or 365 days to a year, 30 days to a month.
fn calendar_converted(value: Decimal, from: CalendarUnit, to: CalendarUnit) -> Option<Decimal> {
    if from == to {
        return Some(value);
    }
    match (from, to) {
        (CalendarUnit::Year, CalendarUnit::Month) => return value.times(Decimal::from(12i64)),
        (CalendarUnit::Month, CalendarUnit::Year) => return value.divided_by(Decimal::from(12i64)),
        _ => {}
    }
    let length = |unit: CalendarUnit| {
        Decimal::from(match unit {
            CalendarUnit::Year => 365 * 86_400_000,
            CalendarUnit::Month => 30 * 86_400_000,
            shorter => shorter.milliseconds().unwrap_or(1),
        })
    };
    value.times(length(from))?.divided_by(length(to))
}

/// True where two decimals are the same once rounded to the places of the one with fewer.
pub fn equivalent_decimals(left: Decimal, right: Decimal) -> bool {
    let places = left.normalized().scale().min(right.normalized().scale());
    match (left.rounded(places), right.rounded(places)) {
        (Some(left), Some(right)) => left == right,
        _ => left == right,
    }
}

impl fmt::Display for Quantity {
    /// As FHIRPath writes it: `5.5 'mg'`, `4 days`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unit {
            QuantityUnit::Ucum(code) => write!(f, "{} '{code}'", self.value),
            QuantityUnit::Either(unit) => write!(f, "{} '{}'", self.value, unit.ucum()),
            QuantityUnit::Calendar(unit, plural) => {
                write!(f, "{} {}{}", self.value, unit.name(), if *plural { "s" } else { "" })
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn q(text: &str) -> Quantity {
        Quantity::parse(text).unwrap()
    }

    #[test]
    fn text_forms() {
        for text in ["5.5 'mg'", "1 week", "4 days", "10 'mm[Hg]'"] {
            assert_eq!(q(text).to_string(), text);
        }
        assert_eq!(q("3").to_string(), "3 '1'");
        for text in ["", "mg", "1 wk", "1 'mg", "1 ''", "1.a", "1.", "+ 1"] {
            assert!(Quantity::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn years_and_months_have_no_definite_length() {
        assert_eq!(q("1 year").compare(&q("1 'a'")), None);
        assert_eq!(q("1 year").compare(&q("12 months")), Some(Ordering::Equal));
        assert_eq!(q("1 month").compare(&q("30 days")), None);
        assert_eq!(q("7 days").compare(&q("1 'wk'")), Some(Ordering::Equal));
        assert_eq!(q("1 hour").compare(&q("3600 's'")), Some(Ordering::Equal));
        let age = Quantity { value: Decimal::from(30i64), unit: QuantityUnit::Either(CalendarUnit::Year) };
        assert_eq!(age.compare(&q("18 'a'")), Some(Ordering::Greater));
        assert_eq!(q("31 years").compare(&age), Some(Ordering::Greater));
        assert_eq!(age.compare(&age), Some(Ordering::Equal));
        assert_eq!(q("1 year").equivalent(&q("1 'a'")), Some(true));
    }

    #[test]
    fn equivalence_rounds_in_the_coarser_unit() {
        assert_eq!(q("4 'g'").equivalent(&q("4040 'mg'")), Some(true));
        assert_eq!(q("4.0 'g'").equivalent(&q("4600 'mg'")), Some(false));
        assert_eq!(q("21 'mm'").equivalent(&q("2 'cm'")), Some(true));
        assert_eq!(q("1 'm'").equivalent(&q("1 's'")), None);
    }

    #[test]
    fn conversion_follows_the_source_system() {
        let to = |text: &str, unit: &str| {
            q(text).converted(&QuantityUnit::quoted(unit)).map_or_else(|| "none".into(), |it| it.to_string())
        };
        assert_eq!(to("52 'cm'", "m"), "0.52 'm'");
        assert_eq!(to("45", "m"), "45 'm'");
        assert_eq!(to("7 days", "wk"), "1 'wk'");
        assert_eq!(to("182.5 days", "a"), "0.5 'a'");
        assert_eq!(to("1 year", "month"), "12 month");
        assert_eq!(to("24 'm'", "kg"), "none");
        assert_eq!(to("1 day", "mg"), "none");
    }
}
