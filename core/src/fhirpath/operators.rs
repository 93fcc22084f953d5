//! Operators between two operands: equality, order, membership, text and arithmetic (FHIRPath §Operations).

use std::cmp::Ordering;
use std::sync::Arc;

use super::calendar::MoveFault;
use super::decimal::Decimal;
use super::equality::negated;
use super::error::EvaluationFault;
use super::evaluate::{Machine, Outcome, Scope};
use super::item::Item;
use super::program::Op;
use super::quantity::{Quantity, QuantityUnit};
use super::syntax::{Operator, Ref};
use super::temporal::{Temporal, TemporalKind};
use super::unit;

impl<'a> Machine<'_, 'a> {
    pub(super) fn binary(
        &mut self,
        node: Ref,
        operator: Operator,
        left: Ref,
        right: Ref,
        scope: &Scope<'_, 'a>,
    ) -> Outcome<()> {
        use Operator as O;
        let answer = match operator {
            O::Xor | O::Implies => self.test_op(node, scope)?,
            O::Equal | O::NotEqual if self.is_test(node) => self.test_op(node, scope)?,
            O::Equal | O::NotEqual => {
                let (left, right) = (self.collect(left, scope)?, self.collect(right, scope)?);
                let answer = self.equal_collections(node, &left, &right)?;
                if operator == O::Equal { answer } else { negated(answer) }
            }
            O::Equivalent | O::NotEquivalent => {
                let (left, right) = (self.collect(left, scope)?, self.collect(right, scope)?);
                let same = self.equivalent_collections(node, &left, &right)?;
                Some(same == (operator == O::Equivalent))
            }
            O::In => self.membership(node, left, right, scope, "in")?,
            O::Contains => self.membership(node, right, left, scope, "contains")?,
            O::Less | O::LessOrEqual | O::Greater | O::GreaterOrEqual => {
                let order = self.order(node, operator, left, right, scope)?;
                order.map(|order| match operator {
                    O::Less => order.is_lt(),
                    O::LessOrEqual => order.is_le(),
                    O::Greater => order.is_gt(),
                    _ => order.is_ge(),
                })
            }
            O::Concatenate => return self.concatenate(node, left, right, scope),
            _ => return self.arithmetic(node, operator, left, right, scope),
        };
        self.stack.extend(answer.map(Item::Boolean));
        Ok(())
    }

    /// True where [`Machine::test_op`] has a way of its own for this operation.
    fn is_test(&self, node: Ref) -> bool {
        match self.program.op(node) {
            Op::Binary(_, left, right) => self.is_boolean(left) && self.is_boolean(right),
            _ => false,
        }
    }

    fn membership(
        &mut self,
        node: Ref,
        item: Ref,
        collection: Ref,
        scope: &Scope<'_, 'a>,
        what: &'static str,
    ) -> Outcome<Option<bool>> {
        let item = self.single_of(item, scope, what)?;
        let items = self.collect(collection, scope)?;
        match item {
            None => Ok(None),
            Some(item) => self.holds(node, &items, &item).map(Some),
        }
    }

    /// Both operands as single values; `None` where one has none.
    fn operands(
        &mut self,
        operator: Operator,
        left: Ref,
        right: Ref,
        scope: &Scope<'_, 'a>,
    ) -> Outcome<Option<(Item<'a>, Item<'a>)>> {
        let left = self.single_of(left, scope, operator.sign())?;
        let right = self.single_of(right, scope, operator.sign())?;
        Ok(left.zip(right))
    }

    fn order(
        &mut self,
        node: Ref,
        operator: Operator,
        left: Ref,
        right: Ref,
        scope: &Scope<'_, 'a>,
    ) -> Outcome<Option<Ordering>> {
        let Some((left, right)) = self.operands(operator, left, right, scope)? else { return Ok(None) };
        self.compare_items(node, operator.sign(), &left, &right)
    }

    /// The order of two items; an error where their types have none.
    pub fn compare_items(
        &self,
        node: Ref,
        operation: &'static str,
        left: &Item<'a>,
        right: &Item<'a>,
    ) -> Outcome<Option<Ordering>> {
        let (Some(a), Some(b)) =
            (self.ordered(node, operation, left)?, self.ordered(node, operation, right)?)
        else {
            return Ok(None);
        };
        match (&a, &b) {
            (Item::Text(a), Item::Text(b)) => return Ok(Some(a.as_str().cmp(b.as_str()))),
            (Item::Temporal(a), Item::Temporal(b)) => {
                if (a.kind() == TemporalKind::Time) == (b.kind() == TemporalKind::Time) {
                    return Ok(a.compare(b));
                }
            }
            (Item::Quantity(_), _) | (_, Item::Quantity(_)) => {
                if let (Some(a), Some(b)) = (a.quantity(), b.quantity()) {
                    return Ok(a.compare(&b));
                }
            }
            _ => {
                if let (Some(a), Some(b)) = (a.number(), b.number()) {
                    return Ok(Some(a.cmp(&b)));
                }
            }
        }
        self.mismatch(node, operation, left, right)
    }

    /// The value to be ordered; none for a primitive without value.
    fn ordered(&self, node: Ref, operation: &'static str, item: &Item<'a>) -> Outcome<Option<Item<'a>>> {
        match self.system(item) {
            Some(value) => Ok(Some(value)),
            None => match item {
                Item::Node(place) if self.nav.model.is_primitive(place.ty()) => Ok(None),
                other => {
                    self.wrong_type(node, operation, "strings, numbers, quantities, dates and times", other)
                }
            },
        }
    }

    #[cold]
    pub fn mismatch<T>(
        &self,
        node: Ref,
        operation: &'static str,
        left: &Item<'a>,
        right: &Item<'a>,
    ) -> Outcome<T> {
        let (left, right) = (self.type_text(left), self.type_text(right));
        self.stop(node, EvaluationFault::Mismatch { operation, left, right })
    }

    fn concatenate(&mut self, node: Ref, left: Ref, right: Ref, scope: &Scope<'_, 'a>) -> Outcome<()> {
        let mut text = String::new();
        for operand in [left, right] {
            let Some(item) = self.single_of(operand, scope, "&")? else { continue };
            match self.system(&item).and_then(|value| self.text_of(&value)) {
                Some(part) => text.push_str(part.as_str()),
                None if matches!(&item, Item::Node(place) if self.nav.model.is_primitive(place.ty())) => {}
                None => return self.wrong_type(node, "&", "strings", &item),
            }
        }
        self.push_text(node, text)
    }

    /// Pushes computed text, if it is not too long.
    pub fn push_text(&mut self, node: Ref, text: String) -> Outcome<()> {
        if text.len() > self.limits.items {
            return self.stop(node, EvaluationFault::TooLarge);
        }
        self.charge(node, text.len() as u64 / 64)?;
        self.stack.push(Item::text(text));
        Ok(())
    }

    fn arithmetic(
        &mut self,
        node: Ref,
        operator: Operator,
        left: Ref,
        right: Ref,
        scope: &Scope<'_, 'a>,
    ) -> Outcome<()> {
        let Some((left, right)) = self.operands(operator, left, right, scope)? else { return Ok(()) };
        let valueless = |item: &Item<'a>| matches!(item, Item::Node(place) if self.nav.model.is_primitive(place.ty()) && !self.nav.has_value(place));
        if valueless(&left) || valueless(&right) {
            return Ok(());
        }
        let (Some(a), Some(b)) = (self.system(&left), self.system(&right)) else {
            return self.mismatch(node, operator.sign(), &left, &right);
        };
        if let (Operator::Plus, Item::Text(a), Item::Text(b)) = (operator, &a, &b) {
            return self.push_text(node, [a.as_str(), b.as_str()].concat());
        }
        let result = match (&a, &b) {
            (Item::Temporal(value), Item::Quantity(by))
                if matches!(operator, Operator::Plus | Operator::Minus) =>
            {
                self.moved(node, value, by, operator == Operator::Minus)?
            }
            (Item::Quantity(_), _) | (_, Item::Quantity(_)) => match (a.quantity(), b.quantity()) {
                (Some(a), Some(b)) if !matches!(operator, Operator::Div | Operator::Mod) => {
                    quantities(operator, &a, &b).map(|it| Item::Quantity(Arc::new(it)))
                }
                _ => return self.mismatch(node, operator.sign(), &left, &right),
            },
            _ => match numbers(operator, &a, &b) {
                Some(result) => result,
                None => return self.mismatch(node, operator.sign(), &left, &right),
            },
        };
        self.stack.extend(result);
        Ok(())
    }

    fn moved(&self, node: Ref, value: &Temporal, by: &Quantity, back: bool) -> Outcome<Option<Item<'a>>> {
        let kind = match value.kind() {
            TemporalKind::Date => "date",
            TemporalKind::DateTime => "date and time",
            TemporalKind::Time => "time of day",
        };
        let bad_unit = EvaluationFault::BadDurationUnit(kind.to_owned());
        let Some(unit) = by.unit.calendar() else { return self.stop(node, bad_unit) };
        let amount = if back { by.value.negated() } else { by.value };
        match value.moved(amount, unit) {
            Ok(moved) => Ok(Some(Item::Temporal(moved))),
            Err(MoveFault::Unit) => self.stop(node, bad_unit),
            Err(MoveFault::Range) => self.stop(node, EvaluationFault::DateRange),
        }
    }

    /// `+x` and `-x`
    pub fn signed(&self, node: Ref, item: Item<'a>, negate: bool) -> Outcome<Option<Item<'a>>> {
        let value = match self.system(&item) {
            Some(value @ (Item::Integer(_) | Item::Long(_) | Item::Decimal(_) | Item::Quantity(_))) => value,
            _ => return self.wrong_type(node, "a sign", "numbers and quantities", &item),
        };
        if !negate {
            return Ok(Some(value));
        }
        Ok(match value {
            Item::Integer(value) => value.checked_neg().map(Item::Integer),
            Item::Long(value) => value.checked_neg().map(Item::Long),
            Item::Decimal(value) => Some(Item::Decimal(value.negated())),
            Item::Quantity(value) => {
                let negated = Quantity { value: value.value.negated(), unit: value.unit.clone() };
                Some(Item::Quantity(Arc::new(negated)))
            }
            _ => None,
        })
    }
}

/// Numbers by their common type. The outer `None`: not numbers; the inner: no result.
fn numbers<'a>(operator: Operator, left: &Item<'a>, right: &Item<'a>) -> Option<Option<Item<'a>>> {
    use Operator as O;
    if operator != O::Divide {
        if let (Item::Integer(left), Item::Integer(right)) = (left, right) {
            let result = match operator {
                O::Plus => left.checked_add(*right),
                O::Minus => left.checked_sub(*right),
                O::Times => left.checked_mul(*right),
                O::Div => left.checked_div(*right),
                _ => left.checked_rem(*right),
            };
            return Some(result.map(Item::Integer));
        }
        if let (Some(left), Some(right)) = (left.whole(), right.whole()) {
            let result = match operator {
                O::Plus => left.checked_add(right),
                O::Minus => left.checked_sub(right),
                O::Times => left.checked_mul(right),
                O::Div => left.checked_div(right),
                _ => left.checked_rem(right),
            };
            return Some(result.map(Item::Long));
        }
    }
    let (left, right) = (left.number()?, right.number()?);
    Some(decimals(operator, left, right).map(Item::Decimal))
}

fn decimals(operator: Operator, left: Decimal, right: Decimal) -> Option<Decimal> {
    match operator {
        Operator::Plus => left.plus(right),
        Operator::Minus => left.minus(right),
        Operator::Times => left.times(right),
        Operator::Divide => left.divided_by(right),
        Operator::Div => left.div_whole(right),
        _ => left.modulo(right),
    }
}

fn quantities(operator: Operator, left: &Quantity, right: &Quantity) -> Option<Quantity> {
    match operator {
        Operator::Plus | Operator::Minus => {
            let (value, unit) = if left.unit.is_one() && !right.unit.is_one() {
                (right.value, &right.unit)
            } else if right.unit.is_one() || left.unit == right.unit {
                (right.value, &left.unit)
            } else {
                // Calendar years and months convert only when asked to.
                left.compare(right)?;
                let long =
                    |it: &Quantity| it.unit.calendar().is_some_and(|unit| unit.milliseconds().is_none());
                let same = left.unit.ucum() == right.unit.ucum();
                if !same && (long(left) || long(right)) {
                    return None;
                }
                (unit::convert(right.value, right.unit.ucum(), left.unit.ucum())?, &left.unit)
            };
            Some(Quantity { value: decimals(operator, left.value, value)?, unit: unit.clone() })
        }
        _ => {
            let value = decimals(operator, left.value, right.value)?;
            let unit = match (&left.unit, &right.unit) {
                (unit, other) if other.is_one() => unit.clone(),
                (one, unit) if one.is_one() && operator == Operator::Times => unit.clone(),
                (QuantityUnit::Calendar(..), _) | (_, QuantityUnit::Calendar(..)) => return None,
                (left, right) => {
                    let sign = if operator == Operator::Times { 1 } else { -1 };
                    QuantityUnit::Ucum(unit::combined(left.ucum(), right.ucum(), sign).into())
                }
            };
            Some(Quantity { value, unit })
        }
    }
}
