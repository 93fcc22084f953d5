//! When two items are the same: `=` and `~` (FHIRPath §Equality).
//!
//! Primitives and quantities are compared by value, anything else member by member. An answer may be open,
//! for dates of different precision or units without relation: that is `None`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use fhir_models::document::{Kind, Value, name};

use super::calendar::CalendarUnit;
use super::decimal::Decimal;
use super::evaluate::{Machine, Outcome};
use super::item::{Item, NodeRef, Text};
use super::model::TypeId;
use super::quantity::{Quantity, QuantityUnit, equivalent_decimals};
use super::syntax::Ref;
use super::system::SystemType;
use super::temporal::{Temporal, TemporalKind};

/// The other answer; an open one stays open.
pub(super) fn negated(answer: Option<bool>) -> Option<bool> {
    answer.map(|it| !it)
}

/// True where a place holds what FHIRPath calls a string.
pub(super) fn is_textual(place: NodeRef) -> bool {
    place.ty() == TypeId::UNKNOWN || place.ty().converts_to() == Some(SystemType::String)
}

impl<'a> Machine<'_, 'a> {
    /// The item as a value of one of FHIRPath's types; `None` where it has no value, or has parts.
    pub fn system(&self, item: &Item<'a>) -> Option<Item<'a>> {
        match item {
            Item::Node(place) => self.system_of(place),
            other => Some(other.clone()),
        }
    }

    fn system_of(&self, place: &NodeRef) -> Option<Item<'a>> {
        let value = self.nav.value(place)?;
        let text = || {
            value.as_str().map(|text| match text {
                Cow::Borrowed(text) => Text::Borrowed(text),
                Cow::Owned(text) => Text::Shared(text.into()),
            })
        };
        if place.ty() == TypeId::UNKNOWN {
            return match value.kind() {
                Kind::Boolean => value.as_bool().map(Item::Boolean),
                Kind::String => text().map(Item::Text),
                Kind::Number => match value.raw().parse() {
                    Ok(whole) => Some(Item::Integer(whole)),
                    Err(_) => Decimal::parse(value.raw()).map(Item::Decimal),
                },
                _ => None,
            };
        }
        let temporal =
            |read: fn(&str) -> Option<Temporal>| text().and_then(|it| read(it.as_str())).map(Item::Temporal);
        match place.ty().converts_to()? {
            SystemType::Boolean => value.as_bool().map(Item::Boolean),
            SystemType::String => text().map(Item::Text),
            SystemType::Integer => value.as_number()?.parse().ok().map(Item::Integer),
            SystemType::Long => match value.as_number() {
                Some(digits) => digits.parse().ok(),
                None => text()?.as_str().parse().ok(),
            }
            .map(Item::Long),
            SystemType::Decimal => value.as_number().and_then(Decimal::parse).map(Item::Decimal),
            SystemType::Date => temporal(Temporal::parse_date),
            SystemType::DateTime => temporal(Temporal::parse_date_time),
            SystemType::Time => temporal(Temporal::parse_time),
            SystemType::Quantity => quantity_of(value).map(|it| Item::Quantity(Arc::new(it))),
            SystemType::TypeInfo => None,
        }
    }

    /// `left = right` for two items.
    pub fn equal(&self, left: &Item<'a>, right: &Item<'a>) -> Option<bool> {
        if let (Item::Node(left), Item::Node(right)) = (left, right)
            && (left.document(), left.id()) == (right.document(), right.id())
        {
            return Some(true);
        }
        match (self.system(left), self.system(right)) {
            (Some(left), Some(right)) => equal_values(&left, &right),
            (None, None) => Some(self.alike(left, right, false)),
            _ => Some(false),
        }
    }

    /// `left ~ right` for two items.
    pub fn equivalent(&self, left: &Item<'a>, right: &Item<'a>) -> bool {
        match (self.system(left), self.system(right)) {
            (Some(left), Some(right)) => equivalent_values(&left, &right),
            (None, None) => self.alike(left, right, true),
            _ => false,
        }
    }

    /// Compares what has parts.
    fn alike(&self, left: &Item<'a>, right: &Item<'a>, loosely: bool) -> bool {
        let (Item::Node(left), Item::Node(right)) = (left, right) else {
            return matches!((left, right), (Item::TypeInfo(left), Item::TypeInfo(right)) if left == right);
        };
        let whole = |place: &NodeRef| self.nav.document(place.document()).value(place.id());
        match (whole(left), whole(right)) {
            (Some(left), Some(right)) => alike(left, right, loosely),
            _ => false,
        }
    }

    /// `left = right` for two collections: the same items in the same order.
    pub fn equal_collections(
        &mut self,
        node: Ref,
        left: &[Item<'a>],
        right: &[Item<'a>],
    ) -> Outcome<Option<bool>> {
        if left.is_empty() || right.is_empty() {
            return Ok(None);
        }
        if left.len() != right.len() {
            return Ok(Some(false));
        }
        self.charge(node, left.len() as u64)?;
        let mut answer = Some(true);
        for (left, right) in left.iter().zip(right) {
            match self.equal(left, right) {
                Some(true) => {}
                Some(false) => return Ok(Some(false)),
                None => answer = None,
            }
        }
        Ok(answer)
    }

    /// `left ~ right` for two collections: the same items in any order.
    pub fn equivalent_collections(
        &mut self,
        node: Ref,
        left: &[Item<'a>],
        right: &[Item<'a>],
    ) -> Outcome<bool> {
        if left.len() != right.len() {
            return Ok(false);
        }
        let mut open: Vec<&Item<'a>> = right.iter().collect();
        for item in left {
            self.charge(node, open.len() as u64)?;
            let Some(at) = open.iter().position(|other| self.equivalent(item, other)) else {
                return Ok(false);
            };
            open.swap_remove(at);
        }
        Ok(true)
    }

    /// True where one of `items` equals `item`.
    pub fn holds(&mut self, node: Ref, items: &[Item<'a>], item: &Item<'a>) -> Outcome<bool> {
        self.charge(node, items.len() as u64)?;
        Ok(items.iter().any(|other| self.equal(other, item) == Some(true)))
    }

    /// Removes from the stack, above `base`, each item that equals one before it.
    pub fn make_distinct(&mut self, node: Ref, base: usize) -> Outcome<()> {
        if self.stack.len() - base < 2 {
            return Ok(());
        }
        let items = self.stack.split_off(base);
        let mut known = Known::default();
        for item in items {
            if self.is_new(node, &mut known, &item)? {
                self.stack.push(item);
            }
        }
        Ok(())
    }

    /// Notes an item; false where an equal one is noted already.
    pub fn is_new(&mut self, node: Ref, known: &mut Known<'a>, item: &Item<'a>) -> Outcome<bool> {
        if let Some(Item::Text(text)) = self.system(item) {
            return Ok(match text {
                Text::Borrowed(text) => known.texts.insert(Cow::Borrowed(text)),
                Text::Shared(text) => known.texts.insert(Cow::Owned(text.to_string())),
            });
        }
        if self.holds(node, &known.others, item)? {
            return Ok(false);
        }
        known.others.push(item.clone());
        Ok(true)
    }
}

/// Items met so far: texts by their hash, the rest in a list.
#[derive(Default)]
pub(super) struct Known<'a> {
    texts: HashSet<Cow<'a, str>>,
    others: Vec<Item<'a>>,
}

/// A FHIR Quantity as a FHIRPath one (FHIR R4 §2.1.20.6). One with a comparator is no exact amount.
fn quantity_of(value: Value<'_>) -> Option<Quantity> {
    if value.get_key("comparator").is_some() {
        return None;
    }
    let amount = Decimal::parse(value.get(name::VALUE)?.as_number()?)?;
    let code = value.str_of(name::CODE);
    let ucum = value.get(name::SYSTEM).is_some_and(|it| it.is_str("http://unitsofmeasure.org"));
    let unit = match code.or_else(|| value.get_key("unit").and_then(Value::as_str)) {
        None => QuantityUnit::one(),
        Some(code) => match CalendarUnit::of_ucum(&code).filter(|_| ucum) {
            Some(unit) => QuantityUnit::Either(unit),
            None => QuantityUnit::Ucum(code.as_ref().into()),
        },
    };
    Some(Quantity { value: amount, unit })
}

fn same_clock(left: &Temporal, right: &Temporal) -> bool {
    (left.kind() == TemporalKind::Time) == (right.kind() == TemporalKind::Time)
}

pub(super) fn equal_values(left: &Item<'_>, right: &Item<'_>) -> Option<bool> {
    match (left, right) {
        (Item::Boolean(left), Item::Boolean(right)) => Some(left == right),
        (Item::Integer(left), Item::Integer(right)) => Some(left == right),
        (Item::Text(left), Item::Text(right)) => Some(left.as_str() == right.as_str()),
        (Item::Temporal(left), Item::Temporal(right)) if same_clock(left, right) => {
            left.compare(right).map(Ordering::is_eq)
        }
        (Item::TypeInfo(left), Item::TypeInfo(right)) => Some(left == right),
        (Item::Quantity(_), _) | (_, Item::Quantity(_)) => match (left.quantity(), right.quantity()) {
            (Some(left), Some(right)) => left.compare(&right).map(Ordering::is_eq),
            _ => Some(false),
        },
        _ => Some(left.number().is_some_and(|left| Some(left) == right.number())),
    }
}

fn equivalent_values(left: &Item<'_>, right: &Item<'_>) -> bool {
    match (left, right) {
        (Item::Text(left), Item::Text(right)) => equivalent_texts(left.as_str(), right.as_str()),
        (Item::Quantity(_), _) | (_, Item::Quantity(_)) => match (left.quantity(), right.quantity()) {
            (Some(left), Some(right)) => left.equivalent(&right) == Some(true),
            _ => false,
        },
        _ => match (left.number(), right.number()) {
            (Some(left), Some(right)) => equivalent_decimals(left, right),
            _ => equal_values(left, right) == Some(true),
        },
    }
}

/// The same text but for case and the kind of white space.
fn equivalent_texts(left: &str, right: &str) -> bool {
    let plain = |text: &str| -> Vec<char> {
        let spaced = text.chars().map(|it| if it.is_whitespace() { ' ' } else { it });
        spaced.flat_map(char::to_lowercase).collect()
    };
    left == right || plain(left) == plain(right)
}

/// Compares two JSON values: members in any order, items in theirs (in any order where `loosely`).
fn alike(left: Value<'_>, right: Value<'_>, loosely: bool) -> bool {
    if left.kind() != right.kind() {
        return false;
    }
    match left.kind() {
        Kind::Null | Kind::Boolean => left.raw() == right.raw(),
        Kind::Number => match (Decimal::parse(left.raw()), Decimal::parse(right.raw())) {
            (Some(left), Some(right)) if loosely => equivalent_decimals(left, right),
            (Some(left), Some(right)) => left == right,
            _ => left.raw() == right.raw(),
        },
        Kind::String => match (left.as_str(), right.as_str()) {
            (Some(left), Some(right)) if loosely => equivalent_texts(&left, &right),
            (left, right) => left == right,
        },
        Kind::Array => {
            let right: Vec<Value<'_>> = right.children().collect();
            let mut open = right;
            let mut count = 0;
            for item in left.children() {
                let at = if loosely {
                    open.iter().position(|other| alike(item, *other, true))
                } else {
                    open.get(count).filter(|other| alike(item, **other, false)).map(|_| count)
                };
                let Some(at) = at else { return false };
                if loosely {
                    open.swap_remove(at);
                }
                count += 1;
            }
            if loosely { open.is_empty() } else { open.len() == count }
        }
        Kind::Object => {
            left.children().count() == right.children().count()
                && left.children().all(|member| {
                    let own = member.key().unwrap_or_default();
                    right.get_key(&own).is_some_and(|other| alike(member, other, loosely))
                })
        }
    }
}
