//! The form of a literal reference (FHIR R4 §2.3.0.1): absolute, `#id`, or relative as
//! `Type/id` with an optional `/_history/version`. In a transaction a search (`Patient?identifier=…`) may
//! stand instead (FHIR R4 §3.1.0.11.2). Whether the target exists is not asked here.

use fhir_models::document::{Name, Value, name};
use fhir_models::primitive::Primitive;

use crate::outcome::IssueType;

use super::extension::is_absolute;
use super::finding::Rule;
use super::types::Types;
use super::walk::Walk;

/// Checks `Reference.reference`.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, value: Value<'d>) {
    let Some(reference) = value.get(name::REFERENCE) else { return };
    let Some(text) = reference.as_str() else { return };
    if text.is_empty() || is_well_formed(walk.types, &text) {
        return;
    }
    let message = if text.starts_with('#') {
        "a reference to a contained resource is # and the resource's id"
    } else {
        "a relative reference is written Type/id, with a resource type of FHIR R4 and a valid id; \
         for a contained resource write # and its id"
    };
    walk.report(value, reference, Rule::Reference.error(IssueType::Value, message));
}

fn is_well_formed(types: &Types, text: &str) -> bool {
    if let Some(fragment) = text.strip_prefix('#') {
        return !fragment.contains(char::is_whitespace);
    }
    if let Some(relative) = text.split_once('/')
        && is_relative(types, relative)
    {
        return true;
    }
    if let Some((type_name, _)) = text.split_once('?')
        && types.is_resource(Name::of(type_name))
    {
        return true;
    }
    is_absolute(text)
}

/// `Type/id` or `Type/id/_history/version`.
fn is_relative(types: &Types, (type_name, rest): (&str, &str)) -> bool {
    let (id, version) = match rest.split_once('/') {
        None => (rest, None),
        Some((id, tail)) => match tail.strip_prefix("_history/") {
            Some(version) => (id, Some(version)),
            None => return false,
        },
    };
    types.is_resource(Name::of(type_name))
        && Primitive::Id.is_valid(id)
        && version.is_none_or(|version| Primitive::Id.is_valid(version))
}
