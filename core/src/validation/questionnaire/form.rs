//! A Questionnaire by itself: conditions ask questions that it has, and values are of the type that is asked
//! for (FHIR R4 §2.40.5, `Questionnaire.item`).

use std::collections::HashMap;

use fhir_models::document::{Name, Value};

use crate::outcome::{IssueSeverity, IssueType};

use super::super::finding::{Fault, Rule};
use super::super::profile::plain;
use super::super::walk::Walk;
use super::answer::properties;
use super::{broken, list, text, value_of};

/// Most items of one questionnaire that are looked at.
const MOST: usize = 20_000;

/// An item and where it stands.
struct Item<'d> {
    value: Value<'d>,
    kind: String,
}

/// Checks a Questionnaire.
pub(in super::super) fn check<'d>(walk: &mut Walk<'_, 'd>, questionnaire: Value<'d>) {
    let mut items = Vec::new();
    let mut open: Vec<Value<'d>> = list(questionnaire, "item").collect();
    open.reverse();
    while let Some(value) = open.pop() {
        if items.len() >= MOST {
            break;
        }
        let kind = text(value, "type").unwrap_or_default().into_owned();
        items.push(Item { value, kind });
        let mut below: Vec<Value<'d>> = list(value, "item").collect();
        below.reverse();
        open.extend(below);
    }
    let by_id: HashMap<String, usize> = items
        .iter()
        .enumerate()
        .rev()
        .filter_map(|(at, item)| Some((text(item.value, "linkId")?.into_owned(), at)))
        .collect();
    for (at, item) in items.iter().enumerate() {
        for condition in list(item.value, "enableWhen") {
            enabled_by(walk, &items, &by_id, at, condition);
        }
        for initial in list(item.value, "initial") {
            initial_value(walk, item, initial);
        }
        defined(walk, item.value);
    }
}

/// A condition asks another question of this form, and not one that depends on it.
fn enabled_by<'d>(
    walk: &mut Walk<'_, 'd>,
    items: &[Item<'d>],
    by_id: &HashMap<String, usize>,
    at: usize,
    condition: Value<'d>,
) {
    let (Some(own), Some(asked)) = (items.get(at), text(condition, "question")) else { return };
    let place = condition.get_key("question").unwrap_or(condition);
    let mut fault = |message: String| {
        walk.report(own.value, place, Rule::Questionnaire.error(IssueType::BusinessRule, message));
    };
    let shown = plain(&asked);
    let Some((number, target)) = by_id.get(asked.as_ref()).and_then(|it| Some((*it, items.get(*it)?))) else {
        return fault(format!("enableWhen asks for {shown}, and no item has this linkId"));
    };
    let (outer, inner) = (own.value.span(), target.value.span());
    if number == at {
        return fault(format!("enableWhen asks the item itself, {shown}"));
    }
    if outer.start < inner.start && inner.end <= outer.end {
        return fault(format!("enableWhen asks {shown}, which stands inside the item that it enables"));
    }
    if number > at {
        let message = format!("enableWhen asks {shown}, which comes later in the form");
        let severity = IssueSeverity::Warning;
        let code = IssueType::BusinessRule;
        walk.report(own.value, place, Fault { rule: Rule::Questionnaire, severity, code, message });
    }
    let exists = text(condition, "operator").as_deref() == Some("exists");
    let wanted =
        condition.children().find(|it| !it.is_underscored() && it.name().text().starts_with("answer"));
    let (Some(wanted), false) = (wanted, exists) else { return };
    let allowed = properties(&target.kind);
    let fits =
        |property: &&str| property.strip_prefix("value") == wanted.name().text().strip_prefix("answer");
    if matches!(target.kind.as_str(), "group" | "display") {
        broken(
            walk,
            wanted,
            IssueType::BusinessRule,
            format!("{shown} is a {}: it has no answer", target.kind),
        );
    } else if wanted.name() != Name::UNKNOWN && !allowed.is_empty() && !allowed.iter().any(fits) {
        let message = format!("{shown} is of type {}: its answers are never of this type", target.kind);
        broken(walk, wanted, IssueType::BusinessRule, message);
    }
}

/// An initial value is one that the question could be answered with.
fn initial_value<'d>(walk: &mut Walk<'_, 'd>, item: &Item<'d>, initial: Value<'d>) {
    let Some(value) = value_of(initial).filter(|it| it.name() != Name::UNKNOWN) else { return };
    let allowed = properties(&item.kind);
    if !allowed.is_empty() && !allowed.contains(&value.name().text()) {
        let message = format!("the item is of type {}; this initial value is of another type", item.kind);
        broken(walk, value, IssueType::BusinessRule, message);
    }
}

/// `definition` names an element that the structure has, where that is at hand.
fn defined<'d>(walk: &mut Walk<'_, 'd>, item: Value<'d>) {
    let Some(place) = item.get_key("definition") else { return };
    let Some(uri) = place.as_str() else { return };
    let Some((structure, element)) = uri.split_once('#') else { return };
    let Some(found) = walk.types.definitions().structure(structure) else { return };
    let has = |it: &fhir_models::definition::ElementDefinition| it.id == element || it.path == element;
    // What lies inside a datatype is defined elsewhere.
    let outside = element.split('.').count() <= 2;
    if outside && !found.elements.is_empty() && !found.elements.iter().any(has) {
        let message = format!("{} has no element {}", found.url, plain(element));
        let severity = IssueSeverity::Warning;
        let code = IssueType::NotFound;
        walk.report(place, place, Fault { rule: Rule::Questionnaire, severity, code, message });
    }
}
