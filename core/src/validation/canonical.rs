//! Code systems and value sets as resources: their URLs, and what contradicts itself (FHIR R4 §2.24.0.1
//! `canonical`, §4.8, §4.9).

use std::collections::HashSet;

use fhir_models::document::{Value, name};
use fhir_models::primitive::Primitive;

use crate::outcome::IssueType;
use crate::terminology::Membership;

use super::extension::is_absolute;
use super::finding::Rule;
use super::value_set::has_code;
use super::walk::Walk;

fn broken<'d>(walk: &mut Walk<'_, 'd>, at: Value<'d>, message: impl Into<String>) {
    walk.report(at, at, Rule::Resource.error(IssueType::Value, message));
}

/// The `url` of a canonical resource is absolute; a UUID in it is a UUID.
fn url<'d>(walk: &mut Walk<'_, 'd>, resource: Value<'d>) {
    let Some(place) = resource.get(name::URL) else { return };
    let Some(text) = place.as_str() else { return };
    if !is_absolute(&text) {
        broken(walk, place, "the canonical URL of a resource is absolute");
    } else if text.starts_with("urn:uuid:")
        && !Primitive::Uuid.is_valid(&text)
        && Primitive::Uuid.is_valid(&text.to_ascii_lowercase())
    {
        broken(walk, place, "a canonical URL is compared as it is written: a urn:uuid has lower-case digits");
    }
}

/// Checks a ValueSet.
pub(super) fn value_set<'d>(walk: &mut Walk<'_, 'd>, resource: Value<'d>) {
    url(walk, resource);
    for part in [name::INCLUDE, name::EXCLUDE] {
        for clause in resource.path(&[name::COMPOSE, part]) {
            let Some(system) = clause.str_of(name::SYSTEM) else { continue };
            if !is_absolute(&system) {
                broken(walk, clause, "the system of a value set is the absolute URL of a code system");
            }
        }
    }
}

/// Checks a CodeSystem.
pub(super) fn code_system<'d>(walk: &mut Walk<'_, 'd>, resource: Value<'d>) {
    url(walk, resource);
    let concepts = resource.get(name::CONCEPT);
    let content = resource.str_of(name::CONTENT);
    if content.as_deref() == Some("not-present")
        && let Some(first) = concepts.into_iter().flat_map(Value::items).next()
    {
        broken(walk, first, "content says that no concepts are here, and here is one");
    }
    let mut codes = HashSet::new();
    for property in resource.get(name::PROPERTY).into_iter().flat_map(Value::items) {
        if let Some(code) = property.str_of(name::CODE)
            && !codes.insert(code)
        {
            broken(walk, property, "another property of this code system has the same code");
        }
    }
    supplement(walk, resource, content.as_deref());
}

/// A supplement says so, and adds to codes that its base has.
fn supplement<'d>(walk: &mut Walk<'_, 'd>, resource: Value<'d>, content: Option<&str>) {
    let Some(place) = resource.get_key("supplements") else { return };
    if content != Some("supplement") {
        let at = resource.get(name::CONTENT).unwrap_or(place);
        broken(walk, at, "a code system that supplements another one has the content supplement");
    }
    let Some(url) = place.as_str() else { return };
    let (system, version) = match url.split_once('|') {
        Some((system, version)) => (system, Some(version)),
        None => (&*url, None),
    };
    for concept in resource.get(name::CONCEPT).into_iter().flat_map(Value::items) {
        let Some(code) = concept.str_of(name::CODE) else { continue };
        if has_code(&walk.codes, system, version, &code) == Membership::NotMember {
            broken(walk, concept, "the code system that this one supplements has no such code");
        }
    }
}
