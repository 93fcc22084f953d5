//! What a profile says about a value itself: fixed, pattern, bounds, length, binding (FHIR R4 §2.29).

use std::cmp::Ordering;

use fhir_models::definition::{BindingStrength, Membership};
use fhir_models::document::{OwnedDocument, Value};
use fhir_models::primitive::decimal_parts;

use crate::fhirpath::Quantity;
use crate::outcome::{IssueSeverity, IssueType};

use super::super::binding::BindingRule;
use super::super::finding::{Fault, Rule};
use super::super::walk::Walk;
use super::{Node, Occurrence, Profile, differing, equal, matches, relative_bound};

/// Longest expected value that a message repeats, in characters.
const SHOWN: usize = 120;

pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, item: Occurrence<'d>, profile: &Profile, node: &Node) {
    let Some(value) = item.value else { return };
    if let Some(fixed) = &node.fixed
        && !equal(value, fixed.root())
    {
        let message = format!("{} has the fixed value {} ({})", node.id, shown(fixed), profile.url);
        for at in differing(value, fixed.root()) {
            walk.report(at, at, Rule::Fixed.error(IssueType::Value, message.as_str()));
        }
    }
    if let Some(pattern) = &node.pattern
        && !matches(value, pattern.root())
    {
        let message = format!("{} must contain {} ({})", node.id, shown(pattern), profile.url);
        for at in differing(value, pattern.root()) {
            walk.report(at, at, Rule::Fixed.error(IssueType::Value, message.as_str()));
        }
    }
    if let Some(length) = node.max_length
        && let Some(text) = value.as_str()
        && text.chars().count() > length as usize
    {
        let message = format!("{} has at most {length} characters ({})", node.id, profile.url);
        walk.report(value, value, Rule::Bounds.error(IssueType::TooLong, message));
    }
    if let Some(length) = node.min_length
        && let Some(text) = value.as_str()
        && text.chars().count() < length as usize
    {
        let message = format!("{} has at least {length} characters ({})", node.id, profile.url);
        walk.report(value, value, Rule::Bounds.error(IssueType::Value, message));
    }
    for (bound, wrong, word) in
        [(&node.min_value, Ordering::Less, "at least"), (&node.max_value, Ordering::Greater, "at most")]
    {
        if let Some(bound) = bound
            && order(walk, value, bound.root(), wrong) == Some(wrong)
        {
            let message = format!("{} is {word} {} ({})", node.id, shown(bound), profile.url);
            walk.report(value, value, Rule::Bounds.error(IssueType::Value, message));
        }
    }
    bound(walk, item, value, profile, node);
}

fn bound<'d>(
    walk: &mut Walk<'_, 'd>,
    item: Occurrence<'d>,
    value: Value<'d>,
    profile: &Profile,
    node: &Node,
) {
    let Some(rule) = &node.binding else { return };
    let main = std::iter::once(&**rule).filter(|rule| rule.is_binding());
    for rule in main.chain(rule.additional()) {
        against(walk, item, value, profile, node, rule);
    }
}

fn against<'d>(
    walk: &mut Walk<'_, 'd>,
    item: Occurrence<'d>,
    value: Value<'d>,
    profile: &Profile,
    node: &Node,
    rule: &BindingRule,
) {
    let answer = rule.answer(&walk.codes, item.type_name.text(), value);
    let limit = rule.limit_answer(&walk.codes, item.type_name.text(), value);
    if limit == Some(Membership::NotMember) {
        let message =
            format!("{} has a code outside the largest value set allowed ({})", node.id, profile.url);
        walk.report(value, value, Rule::Binding.error(IssueType::CodeInvalid, message));
        return;
    }
    let required = rule.strength() == BindingStrength::Required;
    match answer {
        None if required && super::super::binding::wants_code(value) => {
            let message =
                format!("{} needs a code from the value set {} ({})", node.id, rule.canonical(), profile.url);
            walk.report(value, value, Rule::Binding.error(IssueType::CodeInvalid, message));
        }
        None | Some(Membership::Member) => {}
        Some(Membership::Unknown) => walk.unknown_code(value, rule.canonical()),
        Some(Membership::NotMember) => {
            let severity = if required { IssueSeverity::Error } else { IssueSeverity::Warning };
            let message = format!(
                "{}: the code is not in the value set {} ({})",
                node.id,
                rule.canonical(),
                profile.url
            );
            walk.report(
                value,
                value,
                Fault { rule: Rule::Binding, severity, code: IssueType::CodeInvalid, message },
            );
        }
    }
}

fn shown(document: &OwnedDocument) -> String {
    let text = document.text();
    if text.chars().count() <= SHOWN {
        text.to_owned()
    } else {
        text.chars().take(SHOWN).collect::<String>() + "…"
    }
}

/// The order of a value and its bound; a duration bounds dates and times relative to now.
fn order(walk: &Walk<'_, '_>, value: Value<'_>, bound: Value<'_>, wrong: Ordering) -> Option<Ordering> {
    match value.as_str() {
        Some(text) if bound.is_object() => {
            relative_bound::compare(walk.now?, &text, bound, wrong == Ordering::Less)
        }
        _ => compare(value, bound),
    }
}

/// The order of two values of one type; `None` where they can't be compared.
fn compare(value: Value<'_>, bound: Value<'_>) -> Option<Ordering> {
    if let (Some(a), Some(b)) = (value.as_number(), bound.as_number()) {
        return numbers(a, b);
    }
    if let (Some(a), Some(b)) = (value.as_str(), bound.as_str()) {
        // Dates and times of one precision order as their text; of different ones, by what they share.
        let shared = a.len().min(b.len());
        let (a, b) = (a.get(..shared)?, b.get(..shared)?);
        return Some(a.cmp(b)).filter(|order| order.is_ne());
    }
    let number = |it: Value<'_>| it.get_key("value").and_then(Value::as_number).map(str::to_owned);
    let unit =
        |it: Value<'_>| it.get_key("code").and_then(|code| code.as_str().map(|code| code.into_owned()));
    if value.is_object() && unit(value) == unit(bound) {
        return numbers(&number(value)?, &number(bound)?);
    }
    compare_ucum(value, &unit(value)?, bound, &unit(bound)?)
}

/// The order of two quantities in UCUM units; `None` where the units measure different things.
pub(in super::super) fn compare_ucum(
    value: Value<'_>,
    own: &str,
    bound: Value<'_>,
    other: &str,
) -> Option<Ordering> {
    let quantity = |it: Value<'_>, unit: &str| {
        let digits = it.get_key("value").and_then(Value::as_number)?;
        Quantity::parse(&format!("{digits} '{unit}'"))
    };
    quantity(value, own)?.compare(&quantity(bound, other)?)
}

fn numbers(a: &str, b: &str) -> Option<Ordering> {
    // Whole parts and fractions of everyday size: beyond them nothing is said.
    decimal_parts(a)?;
    decimal_parts(b)?;
    let (a, b) = (a.parse::<f64>().ok()?, b.parse::<f64>().ok()?);
    a.partial_cmp(&b)
}
