//! The form of a literal reference (FHIR R4 §2.3.0.1): absolute, `#id`, or relative as
//! `Type/id` with an optional `/_history/version`. In a transaction a search (`Patient?identifier=…`) may
//! stand instead (FHIR R4 §3.1.0.11.2). Whether the target exists is not asked here.

use fhir_models::definition::STRUCTURE_BASE;
use fhir_models::document::{Name, Value, name};
use fhir_models::primitive::Primitive;

use crate::outcome::{IssueSeverity, IssueType};

use super::extension::is_absolute;
use super::finding::{Fault, Rule};
use super::resources::implied_type;
use super::types::Types;
use super::walk::{Place, Walk};

/// Checks `Reference.reference`.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, value: Value<'d>) {
    let (mut literal, mut stated) = (None, None);
    for member in value.children() {
        match member.name() {
            name::REFERENCE => literal = Some(member),
            name::TYPE => stated = Some(member),
            _ => {}
        }
    }
    if let Some(stated) = stated {
        is_type(walk, value, stated);
    }
    let Some(reference) = literal else { return };
    let Some(text) = reference.as_str() else { return };
    if let Some(stated) = stated {
        agree(walk, value, &text, stated);
    }
    if text.starts_with('#') {
        walk.fragments.push(reference);
    }
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

/// `Reference.type` is the name of a type, or the absolute URL of a logical model (FHIR R4 §2.3.0.1).
#[cold]
fn is_type<'d>(walk: &mut Walk<'_, 'd>, value: Value<'d>, stated: Value<'d>) {
    let Some(own) = stated.as_str().filter(|it| !it.is_empty()) else { return };
    let own = own.strip_prefix(STRUCTURE_BASE).unwrap_or(&own);
    if !own.contains(':') && walk.types.definitions().type_kind(own).is_none() {
        let message = "type is the name of a resource type of FHIR R4, such as Practitioner";
        walk.report(value, stated, Rule::Target.error(IssueType::Structure, message));
    }
}

/// `Reference.type` is the type that the reference itself names or leads to (FHIR R4 §2.3.0.1,
/// `Reference.type`: the types must agree).
#[cold]
fn agree<'d>(walk: &mut Walk<'_, 'd>, value: Value<'d>, text: &str, stated: Value<'d>) {
    let Some(own) = stated.as_str() else { return };
    let own = own.strip_prefix(STRUCTURE_BASE).unwrap_or(&own);
    let resolved = walk.resources().resolve(value, text).and_then(Value::resource_type);
    let found = match resolved {
        Some(type_name) => Name::of(&type_name),
        None => match implied_type(walk.types, text) {
            Some(type_name) => type_name,
            None => return,
        },
    };
    if found != Name::of(own) && walk.types.is_resource(Name::of(own)) {
        let message = format!("the reference leads to a {found}; its type says {own}: make them agree");
        walk.report(value, stated, Rule::Target.error(IssueType::Structure, message));
    }
}

/// The type of the target is one that the element allows, as far as the reference or the document tells it
/// (FHIR R4 §2.3.0, `ElementDefinition.type.targetProfile`).
pub(super) fn target<'d>(walk: &mut Walk<'_, 'd>, value: Value<'d>, place: Place<'_>) {
    let Some(element) = place.shape.element(place.entry).filter(|it| !it.targets.is_empty()) else { return };
    let Some(reference) = value.get(name::REFERENCE) else { return };
    let Some(text) = reference.as_str() else { return };
    let inside = text.starts_with('#') || text.starts_with("urn:");
    let found = if inside {
        let target = walk.resources().resolve(value, &text);
        target.and_then(Value::resource_type).map(|it| Name::of(&it))
    } else if text.contains(':') {
        // What stands on another server may be named by other rules.
        None
    } else {
        implied_type(walk.types, &text)
    };
    if let Some(found) = found
        && !element.targets.contains(&found)
    {
        let names: Vec<&str> = element.targets.iter().map(|it| it.text()).collect();
        let message = format!(
            "`{}.{}` refers to {} only, not to {found}",
            place.shape.path,
            element.name,
            names.join(", ")
        );
        // What can't be looked up may be something else than its reference says.
        let severity = if inside { IssueSeverity::Error } else { IssueSeverity::Warning };
        walk.report(
            value,
            reference,
            Fault { rule: Rule::Target, severity, code: IssueType::Structure, message },
        );
    }
}

/// True where the reference itself is bound to name the type of its target: a relative reference begins with
/// it (FHIR R4 §2.3.0.1). An absolute URL may follow other rules.
pub(super) fn names_its_type(reference: Value<'_>) -> bool {
    let literal = reference.get(name::REFERENCE).and_then(Value::as_str);
    literal.is_some_and(|text| !text.contains([':', '?', '#']))
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
