//! Invariants that native code can prove to hold.
//!
//! A few constraints of FHIR are costly to evaluate and stand on every resource or on common datatypes. For
//! these a proof by plain code is tried first. Invariant: what is proven here, the evaluation finds true as
//! well; where the proof fails, the expression is evaluated and has the last word. Constraints are recognised
//! by their expression, so that another one with the same key is another one.

use fhir_models::document::{Name, Value, name};

use super::walk::Walk;

/// A way to prove a constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Native {
    /// `dom-3`: every contained resource is referred to from the resource.
    ContainedIsReferred,
    /// `per-1`: a period does not end before it begins.
    Period,
}

/// The expressions, without white space.
const KNOWN: &[(&str, Native)] = &[
    (
        "contained.where((('#'+idin(%resource.descendants().reference|%resource.descendants().as(canonical)\
         |%resource.descendants().as(uri)|%resource.descendants().as(url)))\
         ordescendants().where(reference='#').exists()ordescendants().where(as(canonical)='#').exists()\
         ordescendants().where(as(canonical)='#').exists()).not()).trace('unmatched',id).empty()",
        Native::ContainedIsReferred,
    ),
    (
        "contained.where((('#'+idin(%resource.descendants().reference|%resource.descendants().as(canonical)\
         |%resource.descendants().as(uri)|%resource.descendants().as(url)))\
         ordescendants().where(reference='#').exists()ordescendants().where(as(canonical)='#').exists()\
         ordescendants().where(as(uri)='#').exists()).not()).trace('unmatched',id).empty()",
        Native::ContainedIsReferred,
    ),
    ("start.hasValue().not()orend.hasValue().not()or(start<=end)", Native::Period),
];

impl Native {
    /// The proof for an expression, where there is one.
    pub fn of(expression: &str) -> Option<Native> {
        let bare: String = expression.chars().filter(|it| !it.is_whitespace()).collect();
        KNOWN.iter().find(|(known, _)| *known == bare).map(|(_, native)| *native)
    }

    /// True where the constraint is proven for a value whose members have been walked.
    pub fn holds(self, walk: &Walk<'_, '_>, value: Value<'_>) -> bool {
        match self {
            Native::ContainedIsReferred => contained_is_referred(walk, value),
            Native::Period => in_order(value, name::START, name::END).unwrap_or(false),
        }
    }
}

/// Where a broken constraint is broken, as far as plain code can tell more than its own place.
pub(super) fn culprits<'d>(native: Option<Native>, walk: &Walk<'_, 'd>, value: Value<'d>) -> Vec<Value<'d>> {
    if native != Some(Native::ContainedIsReferred) || walk.scope.resource != value.id() {
        return Vec::new();
    }
    let refers_back = |inner: Value<'d>| {
        inner.descendants().any(|it| it.name() == name::REFERENCE && plain_text(it) == Some("#"))
    };
    let contained = value.get(name::CONTAINED).into_iter().flat_map(Value::items);
    contained.filter(|inner| is_unreferred(walk, value, *inner) && !refers_back(*inner)).collect()
}

/// True for a contained resource with an id to which nothing in the resource leads.
fn is_unreferred(walk: &Walk<'_, '_>, resource: Value<'_>, inner: Value<'_>) -> bool {
    let start = resource.span().start;
    let mut own = walk.fragments.iter().rev().take_while(|it| it.span().start > start);
    let id = inner.get(name::ID).and_then(plain_text);
    id.is_some_and(|id| !own.any(|it| plain_text(*it).and_then(|text| text.strip_prefix('#')) == Some(id)))
}

/// What has no id can't be referred to and is not asked about.
fn contained_is_referred(walk: &Walk<'_, '_>, resource: Value<'_>) -> bool {
    if walk.scope.resource != resource.id() {
        return false;
    }
    let span = resource.span();
    let own = || walk.fragments.iter().rev().take_while(|it| it.span().start > span.start);
    let Some(contained) = resource.get(name::CONTAINED).filter(|it| it.is_array()) else { return false };
    contained.children().all(|inner| {
        let Some(id) = inner.get(name::ID) else { return inner.is_object() };
        let Some(id) = id.as_plain_str() else { return false };
        own().any(|it| it.as_plain_str().and_then(|text| text.strip_prefix('#')) == Some(id))
    })
}

/// Whether two dates or times of the same form are in order; `None` where their texts alone don't tell.
fn in_order(value: Value<'_>, earlier: Name, later: Name) -> Option<bool> {
    let (start, end) = (value.get(earlier)?.as_plain_str()?, value.get(later)?.as_plain_str()?);
    let same_form = start.len() == end.len() && zone(start) == zone(end);
    (same_form && !start.contains(":60")).then(|| start <= end)
}

/// The time zone as it is written; empty where there is none.
fn zone(text: &str) -> &str {
    if text.len() <= 10 {
        return "";
    }
    let length = if text.ends_with('Z') { 1 } else { 6 };
    text.get(text.len() - length..).unwrap_or_default()
}
