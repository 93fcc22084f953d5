//! Functions on whole collections: subsets, combinations, order and totals.

use std::cmp::Ordering;
use std::sync::Arc;

use super::decimal::Decimal;
use super::equality::Known;
use super::error::EvaluationFault;
use super::evaluate::{Machine, Outcome, Scope};
use super::function::Function;
use super::item::Item;
use super::program::Op;
use super::quantity::Quantity;
use super::syntax::Ref;
use super::unit;

/// An item and its sort keys.
type Row<'a> = (Vec<Option<Item<'a>>>, Item<'a>);

/// Sorts stably by an order that may fail, or not be one: dates of different precision have none. The
/// standard library's sort panics there.
fn merge_sorted<T>(
    mut items: Vec<T>,
    order: &mut impl FnMut(&T, &T) -> Outcome<Ordering>,
) -> Outcome<Vec<T>> {
    if items.len() < 2 {
        return Ok(items);
    }
    let right = items.split_off(items.len() / 2);
    let mut left = merge_sorted(items, order)?.into_iter().peekable();
    let mut right = merge_sorted(right, order)?.into_iter().peekable();
    let mut merged = Vec::with_capacity(left.len() + right.len());
    while let (Some(first), Some(second)) = (left.peek(), right.peek()) {
        let next = if order(first, second)?.is_gt() { right.next() } else { left.next() };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}

impl<'a> Machine<'_, 'a> {
    pub(super) fn subset(
        &mut self,
        node: Ref,
        function: Function,
        input: Option<Ref>,
        argument: Option<Ref>,
        scope: &Scope<'_, 'a>,
    ) -> Outcome<()> {
        let base = self.eval_input(input, scope)?;
        let count = self.stack.len() - base;
        match function {
            Function::Single if count > 1 => {
                return self.stop(node, EvaluationFault::NotSingle("single", count));
            }
            Function::Last if count > 1 => {
                self.stack.drain(base..base + count - 1);
            }
            Function::Tail => {
                self.stack.drain(base..base + count.min(1));
            }
            Function::Skip | Function::Take => {
                let number = match argument {
                    Some(argument) => self.single_of(argument, scope, function.name())?,
                    None => None,
                };
                let Some(number) = number else {
                    self.stack.truncate(base);
                    return Ok(());
                };
                let Some(number) = self.system(&number).and_then(|it| it.whole()) else {
                    return self.wrong_type(node, function.name(), "a whole number as argument", &number);
                };
                let number = usize::try_from(number.max(0)).unwrap_or(usize::MAX).min(count);
                if function == Function::Skip {
                    self.stack.drain(base..base + number);
                } else {
                    self.stack.truncate(base + number);
                }
            }
            Function::Distinct => self.make_distinct(node, base)?,
            Function::IsDistinct => {
                self.make_distinct(node, base)?;
                let distinct = self.stack.len() - base == count;
                self.stack.truncate(base);
                self.stack.push(Item::Boolean(distinct));
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn combination(
        &mut self,
        node: Ref,
        function: Function,
        input: Option<Ref>,
        other: Option<Ref>,
        scope: &Scope<'_, 'a>,
    ) -> Outcome<()> {
        let Some(other) = other else { return Ok(()) };
        let base = self.eval_input(input, scope)?;
        let other = self.collect(other, scope)?;
        match function {
            Function::Union => {
                self.stack.extend(other);
                return self.make_distinct(node, base);
            }
            Function::Combine => {
                self.stack.extend(other);
                return Ok(());
            }
            _ => {}
        }
        let own = self.stack.split_off(base);
        match function {
            Function::SubsetOf | Function::SupersetOf => {
                let (parts, whole) =
                    if function == Function::SubsetOf { (&own, &other) } else { (&other, &own) };
                let mut all = true;
                for item in parts {
                    all = all && self.holds(node, whole, item)?;
                }
                self.stack.push(Item::Boolean(all));
            }
            Function::Intersect => {
                let mut known = Known::default();
                for item in own {
                    if self.holds(node, &other, &item)? && self.is_new(node, &mut known, &item)? {
                        self.stack.push(item);
                    }
                }
            }
            _ => {
                for item in own {
                    if !self.holds(node, &other, &item)? {
                        self.stack.push(item);
                    }
                }
            }
        }
        Ok(())
    }

    /// `allTrue()` and its kin: every item must be a boolean.
    pub(super) fn quantified(
        &mut self,
        node: Ref,
        function: Function,
        input: Option<Ref>,
        scope: &Scope<'_, 'a>,
    ) -> Outcome<()> {
        let base = self.eval_input(input, scope)?;
        let items = self.stack.split_off(base);
        let mut answers = Vec::with_capacity(items.len());
        for item in &items {
            match self.system(item) {
                Some(Item::Boolean(value)) => answers.push(value),
                _ => return self.wrong_type(node, function.name(), "booleans", item),
            }
        }
        let answer = match function {
            Function::AllTrue => answers.iter().all(|it| *it),
            Function::AnyTrue => answers.iter().any(|it| *it),
            Function::AllFalse => answers.iter().all(|it| !*it),
            _ => answers.iter().any(|it| !*it),
        };
        self.stack.push(Item::Boolean(answer));
        Ok(())
    }

    pub(super) fn sort(
        &mut self,
        node: Ref,
        input: Option<Ref>,
        arguments: &[Ref],
        scope: &Scope<'_, 'a>,
    ) -> Outcome<()> {
        let base = self.eval_input(input, scope)?;
        let items = self.stack.split_off(base);
        // A minus sign turns the order around, also where the key is no number. A negated nothing is still
        // nothing and comes first; with `desc`, nothing comes last.
        let keys: Vec<(Ref, bool, bool)> = arguments
            .iter()
            .map(|key| match self.program.op(*key) {
                Op::Descending(inner) => (inner, true, true),
                Op::Negate(inner) => (inner, true, false),
                _ => (*key, false, false),
            })
            .collect();
        let mut rows = Vec::with_capacity(items.len());
        for item in items {
            self.charge(node, 1)?;
            let mut row = Vec::with_capacity(keys.len().max(1));
            if keys.is_empty() {
                row.push(Some(item.clone()));
            }
            for (key, ..) in &keys {
                let inner = scope.with(std::slice::from_ref(&item), 0);
                row.push(self.single_of(*key, &inner, "a sort key")?);
            }
            rows.push((row, item));
        }
        let rows = merge_sorted(rows, &mut |(left, _): &Row<'a>, (right, _): &Row<'a>| {
            self.charge(node, 1)?;
            for (at, (left, right)) in left.iter().zip(right).enumerate() {
                let (down, empty_last) =
                    keys.get(at).map_or((false, false), |(_, down, last)| (*down, *last));
                let (order, turned) = match (left, right) {
                    (None, None) => (Ordering::Equal, false),
                    (None, Some(_)) => (Ordering::Less, empty_last),
                    (Some(_), None) => (Ordering::Greater, empty_last),
                    (Some(left), Some(right)) => {
                        let order = self.compare_items(node, "sort", left, right)?;
                        (order.unwrap_or(Ordering::Equal), down)
                    }
                };
                if order != Ordering::Equal {
                    return Ok(if turned { order.reverse() } else { order });
                }
            }
            Ok(Ordering::Equal)
        })?;
        self.stack.extend(rows.into_iter().map(|(_, item)| item));
        Ok(())
    }

    /// `sum()`, `avg()`, `min()` and `max()`.
    pub(super) fn total(
        &mut self,
        node: Ref,
        function: Function,
        input: Option<Ref>,
        scope: &Scope<'_, 'a>,
    ) -> Outcome<()> {
        let base = self.eval_input(input, scope)?;
        let items = self.stack.split_off(base);
        let mut values = Vec::with_capacity(items.len());
        for item in &items {
            self.charge(node, 1)?;
            match self.system(item) {
                Some(value) => values.push(value),
                None => {
                    return self.wrong_type(
                        node,
                        function.name(),
                        "values that can be compared or added",
                        item,
                    );
                }
            }
        }
        let Some((first, rest)) = values.split_first() else { return Ok(()) };
        if matches!(function, Function::Min | Function::Max) {
            let wanted = if function == Function::Min { Ordering::Less } else { Ordering::Greater };
            let mut best = first;
            for value in rest {
                if self.compare_items(node, function.name(), value, best)? == Some(wanted) {
                    best = value;
                }
            }
            self.stack.push(best.clone());
            return Ok(());
        }
        let mut sum = first.clone();
        for value in rest {
            let added = match (&sum, value) {
                (Item::Integer(left), Item::Integer(right)) => left.checked_add(*right).map(Item::Integer),
                (Item::Quantity(left), Item::Quantity(right)) => {
                    let converted = unit::convert(right.value, right.unit.ucum(), left.unit.ucum());
                    let total = converted.and_then(|it| left.value.plus(it));
                    total.map(|value| Item::Quantity(Arc::new(Quantity { value, unit: left.unit.clone() })))
                }
                (left, right) => match (left.whole().zip(right.whole()), left.number().zip(right.number())) {
                    (Some((left, right)), _) => left.checked_add(right).map(Item::Long),
                    (None, Some((left, right))) => left.plus(right).map(Item::Decimal),
                    _ => return self.mismatch(node, function.name(), left, right),
                },
            };
            let Some(added) = added else { return Ok(()) };
            sum = added;
        }
        if function == Function::Avg {
            let count = Decimal::from(i64::try_from(values.len()).unwrap_or(i64::MAX));
            let average = match &sum {
                Item::Quantity(total) => total
                    .value
                    .divided_by(count)
                    .map(|value| Item::Quantity(Arc::new(Quantity { value, unit: total.unit.clone() }))),
                other => match other.number() {
                    Some(total) => total.divided_by(count).map(Item::Decimal),
                    None => return self.wrong_type(node, "avg", "numbers and quantities", other),
                },
            };
            self.stack.extend(average);
            return Ok(());
        }
        if sum.number().is_none() && !matches!(sum, Item::Quantity(_)) {
            return self.wrong_type(node, "sum", "numbers and quantities", &sum);
        }
        self.stack.push(sum);
        Ok(())
    }

    pub(super) fn join(
        &mut self,
        node: Ref,
        input: Option<Ref>,
        separator: Option<Ref>,
        scope: &Scope<'_, 'a>,
    ) -> Outcome<()> {
        let base = self.eval_input(input, scope)?;
        let items = self.stack.split_off(base);
        let separator = match separator {
            Some(separator) => self.text_argument(node, separator, scope, "join")?,
            None => None,
        };
        if items.is_empty() {
            return Ok(());
        }
        let mut joined = String::new();
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                joined.push_str(separator.as_ref().map_or("", |it| it.as_str()));
            }
            match self.system(item) {
                Some(Item::Text(text)) => joined.push_str(text.as_str()),
                _ => return self.wrong_type(node, "join", "strings", item),
            }
            if joined.len() > self.limits.items {
                return self.stop(node, EvaluationFault::TooLarge);
            }
        }
        self.push_text(node, joined)
    }
}
