//! A CodeSystem's own statements: its count, the properties that it declares, and what its concepts say of them
//! (FHIR R4 §4.8; <http://hl7.org/fhir/concept-properties>).

use std::collections::{BTreeMap, HashSet};

use fhir_models::document::{Value, name};

use crate::outcome::IssueType;

use super::value_set::{broken, doubtful};
use super::value_set_filter::CONCEPT_PROPERTIES;
use super::walk::Walk;

const BASE: &str = "http://hl7.org/fhir/concept-properties#";

/// Checks a CodeSystem.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, resource: Value<'d>) {
    let declared = properties(walk, resource);
    let mut concepts = Vec::new();
    gather(resource, &mut concepts);
    let codes: HashSet<_> = concepts.iter().filter_map(|it| it.str_of(name::CODE)).collect();
    let complete = resource.get(name::CONTENT).is_some_and(|it| it.is_str("complete"));
    if let Some(place) = resource.get_key("count").filter(|_| complete)
        && let Some(count) = place.as_number().and_then(|it| it.parse::<usize>().ok())
        && count != concepts.len()
    {
        let message = format!(
            "the code system says that it is complete and has {count} concepts; it has {}",
            concepts.len()
        );
        broken(walk, place, IssueType::Value, message);
    }
    for concept in concepts {
        for property in concept.get(name::PROPERTY).into_iter().flat_map(Value::items) {
            if walk.full {
                return;
            }
            valued(walk, property, &declared, |code| !complete || codes.contains(code));
        }
    }
}

/// All concepts at any depth, without recursion.
fn gather<'d>(resource: Value<'d>, found: &mut Vec<Value<'d>>) {
    let children = |holder: Value<'d>| holder.get(name::CONCEPT).into_iter().flat_map(Value::items);
    let mut waiting: Vec<Value<'d>> = children(resource).collect();
    while let Some(concept) = waiting.pop() {
        found.push(concept);
        waiting.extend(children(concept));
    }
    found.sort_by_key(|it| it.id());
}

/// Checks the declarations; gives the type of each property and whether it links concepts.
fn properties<'d>(walk: &mut Walk<'_, 'd>, resource: Value<'d>) -> BTreeMap<String, (String, bool)> {
    let mut declared = BTreeMap::new();
    let mut uris = HashSet::new();
    for property in resource.get(name::PROPERTY).into_iter().flat_map(Value::items) {
        let Some(code) = property.str_of(name::CODE) else { continue };
        let kind = property.str_of(name::TYPE).unwrap_or_default();
        let uri = property.str_of(name::URI);
        if let Some(uri) = &uri
            && !uris.insert(uri.clone())
        {
            broken(walk, property, IssueType::Value, "another property of this code system has the same uri");
        }
        let meant = uri.as_deref().and_then(|uri| uri.strip_prefix(BASE));
        if let Some((meant, expected)) = CONCEPT_PROPERTIES.iter().find(|(own, _)| Some(*own) == meant) {
            if *expected != &*kind && !kind.is_empty() {
                let message =
                    format!("the uri means {meant}, a property of type {expected}; here it is a {kind}");
                broken(walk, property, IssueType::Value, message);
            }
            if &*code != *meant && CONCEPT_PROPERTIES.iter().any(|(own, _)| *own == &*code) {
                let message = format!(
                    "the uri means {meant}, and the code is that of another well-known property, {code}"
                );
                broken(walk, property, IssueType::Value, message);
            }
        } else if meant.is_none()
            && let Some((_, expected)) = CONCEPT_PROPERTIES.iter().find(|(own, _)| *own == &*code)
            && *expected != &*kind
        {
            let message = format!(
                "FHIR's own property {code} has the type {expected}: choose another code or that type"
            );
            doubtful(walk, property, message);
        }
        let links = matches!(meant, Some("parent" | "child"))
            || uri.is_none() && matches!(&*code, "parent" | "child");
        declared.entry(code.into_owned()).or_insert_with(|| (kind.into_owned(), links));
    }
    declared
}

/// A concept's value of a property.
fn valued<'d>(
    walk: &mut Walk<'_, 'd>,
    property: Value<'d>,
    declared: &BTreeMap<String, (String, bool)>,
    has_code: impl Fn(&str) -> bool,
) {
    let Some(code) = property.str_of(name::CODE) else { return };
    let Some(value) =
        property.children().find(|it| !it.is_underscored() && it.name().text().starts_with("value"))
    else {
        return;
    };
    let own = value.name().text().trim_start_matches("value");
    let Some((kind, links)) = declared.get(&*code) else {
        if !CONCEPT_PROPERTIES.iter().any(|(known, _)| *known == &*code) {
            doubtful(walk, property, format!("the code system declares no property {code:?}"));
        }
        return;
    };
    if !kind.is_empty() && !own.eq_ignore_ascii_case(kind) {
        let message = format!("the property {code} is declared as {kind}; this value is of another type");
        return broken(walk, property, IssueType::Value, message);
    }
    if *links && value.as_str().is_some_and(|other| !has_code(&other)) {
        broken(
            walk,
            property,
            IssueType::CodeInvalid,
            "the code system has no concept of this code to link to",
        );
    }
}
