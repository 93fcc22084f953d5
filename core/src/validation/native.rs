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
    /// `bdl-3`: entries have a `request` in the Bundles that call for one, and in no others.
    Requests,
    /// `bdl-4`: the same for `response`.
    Responses,
    /// `bdl-7`: no fullUrl stands twice with the same version.
    DistinctUrls,
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
    (
        "entry.all(request.exists()=(%resource.type='batch'or%resource.type='transaction'\
         or%resource.type='history'))",
        Native::Requests,
    ),
    (
        "entry.all(response.exists()=(%resource.type='batch-response'or%resource.type='transaction-response'\
         or%resource.type='history'))",
        Native::Responses,
    ),
    (
        "(type='history')orentry.where(fullUrl.exists()).select(fullUrl&resource.meta.versionId).isDistinct()",
        Native::DistinctUrls,
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
            Native::Requests => {
                entries_have(walk, value, name::REQUEST, &["batch", "transaction", "history"])
            }
            Native::Responses => {
                let kinds = ["batch-response", "transaction-response", "history"];
                entries_have(walk, value, name::RESPONSE, &kinds)
            }
            Native::DistinctUrls => distinct_urls(value).unwrap_or(false),
        }
    }
}

/// Where a broken constraint is broken, as far as plain code can tell more than its own place.
pub(super) fn culprits<'d>(native: Option<Native>, walk: &Walk<'_, 'd>, value: Value<'d>) -> Vec<Value<'d>> {
    if native != Some(Native::ContainedIsReferred) || walk.scope.resource != value.id() {
        return Vec::new();
    }
    let refers_back = |inner: Value<'d>| {
        inner.descendants().any(|it| it.name() == name::REFERENCE && it.as_plain_str() == Some("#"))
    };
    let contained = value.get(name::CONTAINED).into_iter().flat_map(Value::items);
    contained.filter(|inner| is_unreferred(walk, value, *inner) && !refers_back(*inner)).collect()
}

/// True for a contained resource with an id to which nothing in the resource leads.
fn is_unreferred(walk: &Walk<'_, '_>, resource: Value<'_>, inner: Value<'_>) -> bool {
    let start = resource.span().start;
    let mut own = walk.fragments.iter().rev().take_while(|it| it.span().start > start);
    let id = inner.get(name::ID).and_then(Value::as_plain_str);
    id.is_some_and(|id| !own.any(|it| it.as_plain_str().and_then(|text| text.strip_prefix('#')) == Some(id)))
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

/// Every entry has the member where the Bundle is of one of these types, and none where it is not.
fn entries_have(walk: &Walk<'_, '_>, bundle: Value<'_>, member: Name, kinds: &[&str]) -> bool {
    let Some(kind) = bundle.get(name::TYPE).and_then(Value::as_plain_str) else { return false };
    let Some(entries) = bundle.get(name::ENTRY).filter(|it| it.is_array()) else { return false };
    let wanted = kinds.contains(&kind);
    walk.scope.resource == bundle.id()
        && entries.children().all(|entry| match entry.get(member) {
            Some(found) => wanted && found.is_object() && found.children().next().is_some(),
            None => !wanted && entry.is_object(),
        })
}

/// Texts of which none begins with another stay different whatever is written behind them.
fn distinct_urls(bundle: Value<'_>) -> Option<bool> {
    let mut urls = Vec::new();
    for entry in bundle.get(name::ENTRY)?.items() {
        if let Some(url) = entry.get(name::FULL_URL) {
            urls.push(url.as_plain_str()?);
        }
        if entry.get_underscored(name::FULL_URL).is_some() || !has_one_version(entry) {
            return None;
        }
    }
    urls.sort_unstable();
    // What begins with a text stands right behind it.
    Some(urls.windows(2).all(|pair| matches!(pair, [one, next] if !next.starts_with(one))))
}

/// An entry whose resource says its version at most once; of two, the expression has no answer.
fn has_one_version(entry: Value<'_>) -> bool {
    let mut at = entry;
    for member in [name::RESOURCE, name::META, name::VERSION_ID] {
        match at.get(member) {
            Some(value) if value.is_array() => return false,
            Some(value) => at = value,
            None => return true,
        }
    }
    true
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
