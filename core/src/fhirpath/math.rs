//! Functions on numbers (FHIRPath §Math). Roots, powers and logarithms without an exact answer are those of
//! binary fractions, to fifteen digits.

use std::sync::Arc;

use super::decimal::Decimal;
use super::error::EvaluationFault;
use super::evaluate::{Machine, Outcome};
use super::function::{Function, Takes};
use super::item::Item;
use super::quantity::Quantity;
use super::syntax::Ref;

impl<'a> Machine<'_, 'a> {
    /// Answers a function on numbers; false where it is none.
    pub(super) fn math_function(
        &mut self,
        node: Ref,
        function: Function,
        item: &Item<'a>,
        arguments: &[Option<Item<'a>>],
        given: usize,
    ) -> Outcome<bool> {
        if function.takes() != Takes::Number {
            return Ok(false);
        }
        let Some(value) = self.system(item) else {
            let bare = matches!(item, Item::Node(place) if self.nav.model.is_primitive(place.ty()));
            return if bare { Ok(true) } else { self.wrong_type(node, function.name(), "numbers", item) };
        };
        let argument = match arguments.first() {
            Some(Some(argument)) => match argument.number() {
                Some(number) => Some((number, argument.whole())),
                None => return self.wrong_type(node, function.name(), "a number as argument", argument),
            },
            // An argument without value leaves the question open, but round() has a default.
            _ if given > 0 && function != Function::Round => return Ok(true),
            _ => None,
        };
        let result = match function {
            Function::Abs | Function::Ceiling | Function::Floor | Function::Truncate | Function::Round => {
                let places = match argument {
                    None => 0,
                    Some((_, Some(places))) if places >= 0 => u8::try_from(places).unwrap_or(u8::MAX),
                    Some(_) => {
                        let fault = EvaluationFault::BadArgument(
                            "round",
                            "the precision is a whole number from 0 up",
                        );
                        return self.stop(node, fault);
                    }
                };
                match &value {
                    Item::Quantity(quantity) => simple(function, quantity.value, places).map(|value| {
                        Item::Quantity(Arc::new(Quantity { value, unit: quantity.unit.clone() }))
                    }),
                    Item::Integer(value) if function == Function::Abs => {
                        value.checked_abs().map(Item::Integer)
                    }
                    Item::Long(value) if function == Function::Abs => value.checked_abs().map(Item::Long),
                    other => match other.number() {
                        Some(number) => simple(function, number, places).map(|it| typed(function, it)),
                        None => {
                            return self.wrong_type(node, function.name(), "numbers and quantities", item);
                        }
                    },
                }
            }
            _ => {
                let Some(number) = value.number() else {
                    return self.wrong_type(node, function.name(), "numbers", item);
                };
                if function == Function::Power {
                    argument.and_then(|(exponent, whole)| power(&value, number, exponent, whole))
                } else {
                    let base = argument.map(|(number, _)| number);
                    if function == Function::Log && !(positive(number) && base.is_none_or(positive)) {
                        let fault =
                            EvaluationFault::BadArgument("log", "logarithms exist only of numbers above 0");
                        return self.stop(node, fault);
                    }
                    scientific(function, number, base).map(Item::Decimal)
                }
            }
        };
        self.stack.extend(result);
        Ok(true)
    }
}

fn positive(number: Decimal) -> bool {
    !number.is_zero() && !number.is_negative()
}

fn simple(function: Function, value: Decimal, places: u8) -> Option<Decimal> {
    match function {
        Function::Abs => Some(value.abs()),
        Function::Floor => Decimal::new(value.floor(), 0),
        Function::Ceiling => Decimal::new(-value.negated().floor(), 0),
        Function::Truncate => Decimal::new(value.truncated(), 0),
        _ => value.rounded(places),
    }
}

/// Whole results become Integers where they fit, else Longs.
fn typed<'a>(function: Function, value: Decimal) -> Item<'a> {
    if matches!(function, Function::Abs | Function::Round) {
        return Item::Decimal(value);
    }
    let whole = value.truncated();
    match (i32::try_from(whole), i64::try_from(whole)) {
        (Ok(small), _) => Item::Integer(small),
        (_, Ok(large)) => Item::Long(large),
        _ => Item::Decimal(value),
    }
}

fn power<'a>(value: &Item<'a>, base: Decimal, exponent: Decimal, whole: Option<i64>) -> Option<Item<'a>> {
    if let Some(exponent) = whole.and_then(|it| u32::try_from(it).ok()) {
        if let Item::Integer(base) = value {
            return base.checked_pow(exponent).map(Item::Integer);
        }
        if exponent <= 1024 {
            return base.power(exponent).map(Item::Decimal);
        }
    }
    Decimal::from_f64(base.to_f64().powf(exponent.to_f64())).map(Item::Decimal)
}

fn scientific(function: Function, number: Decimal, base: Option<Decimal>) -> Option<Decimal> {
    let value = number.to_f64();
    let result = match function {
        Function::Exp => value.exp(),
        Function::Ln => value.ln(),
        Function::Sqrt => value.sqrt(),
        _ => {
            let base = base?.to_f64();
            if base == 2.0 {
                value.log2()
            } else if base == 10.0 {
                value.log10()
            } else {
                value.ln() / base.ln()
            }
        }
    };
    Decimal::from_f64(result)
}
