//! Explicit conversions: `toX()` and `convertsToX()` (FHIRPath §Conversion).

use std::sync::Arc;

use super::date_format;
use super::decimal::Decimal;
use super::evaluate::{Machine, Outcome};
use super::function::Function;
use super::item::{Item, Text};
use super::quantity::{Quantity, QuantityUnit};
use super::syntax::Ref;
use super::temporal::Temporal;

impl<'a> Machine<'_, 'a> {
    pub(super) fn conversion(
        &mut self,
        node: Ref,
        function: Function,
        item: &Item<'a>,
        arguments: &[Option<Item<'a>>],
        given: usize,
    ) -> Outcome<()> {
        use Function as F;
        let argument = match arguments.first() {
            Some(Some(Item::Text(text))) => Some(text.as_str()),
            Some(Some(other)) => {
                return self.wrong_type(node, function.name(), "a string as argument", other);
            }
            _ if given > 0 => return Ok(()),
            _ => None,
        };
        let value = self.system(item);
        let value = value.as_ref();
        let converted = match function {
            F::ToBoolean | F::ConvertsToBoolean => value.and_then(to_boolean).map(Item::Boolean),
            F::ToInteger | F::ConvertsToInteger => value
                .and_then(to_long)
                .and_then(|it| i32::try_from(it).ok())
                .filter(|_| is_short(value))
                .map(Item::Integer),
            F::ToLong | F::ConvertsToLong => value.and_then(to_long).map(Item::Long),
            F::ToDecimal | F::ConvertsToDecimal => value.and_then(to_decimal).map(Item::Decimal),
            F::ToDate | F::ConvertsToDate => value.and_then(|it| to_date(it, argument)).map(Item::Temporal),
            F::ToDateTime | F::ConvertsToDateTime => {
                value.and_then(|it| to_date_time(it, argument)).map(Item::Temporal)
            }
            F::ToTime | F::ConvertsToTime => value.and_then(to_time).map(Item::Temporal),
            F::ToQuantity | F::ConvertsToQuantity => {
                value.and_then(|it| to_quantity(it, argument)).map(|it| Item::Quantity(Arc::new(it)))
            }
            _ => value.and_then(|it| self.text_of(it)).map(Item::Text),
        };
        let asks = matches!(
            function,
            F::ConvertsToBoolean
                | F::ConvertsToInteger
                | F::ConvertsToLong
                | F::ConvertsToDecimal
                | F::ConvertsToDate
                | F::ConvertsToDateTime
                | F::ConvertsToTime
                | F::ConvertsToQuantity
                | F::ConvertsToText
        );
        if asks {
            self.stack.push(Item::Boolean(converted.is_some()));
        } else {
            self.stack.extend(converted);
        }
        Ok(())
    }

    /// A value as `toString()` writes it; `None` for what has no such form.
    pub fn text_of(&self, value: &Item<'a>) -> Option<Text<'a>> {
        Some(match value {
            Item::Text(text) => text.clone(),
            Item::Boolean(true) => Text::Borrowed("true"),
            Item::Boolean(false) => Text::Borrowed("false"),
            Item::Integer(value) => Text::Shared(value.to_string().into()),
            Item::Long(value) => Text::Shared(value.to_string().into()),
            Item::Decimal(value) => Text::Shared(value.to_string().into()),
            Item::Temporal(value) => Text::Shared(value.to_string().into()),
            Item::Quantity(value) => Text::Shared(value.to_string().into()),
            Item::Node(_) | Item::TypeInfo(_) => return None,
        })
    }
}

/// An Integer's own conversion does not take a Long that happens to fit.
fn is_short(value: Option<&Item<'_>>) -> bool {
    value.is_some()
}

fn to_boolean(value: &Item<'_>) -> Option<bool> {
    match value {
        Item::Boolean(value) => Some(*value),
        Item::Text(text) => match text.as_str().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" | "1.0" => Some(true),
            "false" | "f" | "no" | "n" | "0" | "0.0" => Some(false),
            _ => None,
        },
        other => {
            let number = other.number()?;
            if number == Decimal::from(1i64) { Some(true) } else { number.is_zero().then_some(false) }
        }
    }
}

fn to_long(value: &Item<'_>) -> Option<i64> {
    match value {
        Item::Boolean(value) => Some(i64::from(*value)),
        Item::Text(text) => {
            let text = text.as_str();
            let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
            let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            whole.then(|| text.parse().ok()).flatten()
        }
        other => other.whole(),
    }
}

fn to_decimal(value: &Item<'_>) -> Option<Decimal> {
    match value {
        Item::Boolean(value) => Decimal::new(if *value { 10 } else { 0 }, 1),
        Item::Text(text) => Decimal::parse(text.as_str()).filter(|_| !text.as_str().contains(['e', 'E'])),
        other => other.number(),
    }
}

fn to_date(value: &Item<'_>, format: Option<&str>) -> Option<Temporal> {
    match (value, format) {
        (Item::Temporal(value), _) => value.date(),
        (Item::Text(text), Some(format)) => date_format::read(text.as_str(), format)?.date(),
        (Item::Text(text), None) => Temporal::parse_date_time(text.as_str())?.date(),
        _ => None,
    }
}

fn to_date_time(value: &Item<'_>, format: Option<&str>) -> Option<Temporal> {
    match (value, format) {
        (Item::Temporal(value), _) => value.date_time(),
        (Item::Text(text), Some(format)) => date_format::read(text.as_str(), format),
        (Item::Text(text), None) => Temporal::parse_date_time(text.as_str()),
        _ => None,
    }
}

fn to_time(value: &Item<'_>) -> Option<Temporal> {
    match value {
        Item::Temporal(value) if value.date().is_none() => Some(*value),
        Item::Text(text) => {
            let text = text.as_str();
            Temporal::parse_time(text.strip_prefix('T').unwrap_or(text))
        }
        _ => None,
    }
}

fn to_quantity(value: &Item<'_>, unit: Option<&str>) -> Option<Quantity> {
    let quantity = match value {
        Item::Boolean(value) => Quantity::number(Decimal::new(if *value { 10 } else { 0 }, 1)?),
        Item::Text(text) => Quantity::parse(text.as_str())?,
        Item::Quantity(value) => Quantity::clone(value),
        other => Quantity::number(other.number()?),
    };
    match unit {
        None => Some(quantity),
        Some(unit) => quantity.converted(&QuantityUnit::quoted(unit.trim_matches('\''))),
    }
}
