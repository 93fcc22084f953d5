//! An OperationDefinition: its parameters can be given, and its profiles are of Parameters (FHIR R4 §5.7).

use std::collections::HashSet;

use fhir_models::document::{Value, name};

use crate::outcome::IssueType;

use super::super::profile::plain;
use super::super::walk::Walk;
use super::{broken, list, text};

/// Deepest nesting of parts.
const DEPTH: usize = 32;

/// Checks an OperationDefinition.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, operation: Value<'d>) {
    for key in ["inputProfile", "outputProfile"] {
        let Some(place) = operation.get_key(key) else { continue };
        let profile = place.as_str().and_then(|url| walk.types.definitions().structure(&url));
        if let Some(profile) = profile.filter(|it| it.type_name != "Parameters") {
            let message = format!(
                "the parameters of an operation are a Parameters resource; {} is a profile of {}",
                profile.url, profile.type_name
            );
            broken(walk, place, IssueType::Invalid, message);
        }
    }
    let kind_base = text(operation, "base");
    if let Some(base) = kind_base
        && walk.types.definitions().resource_of_type("OperationDefinition", &base).is_none()
        && let Some(other) = walk.types.definitions().resource(&base)
        && let Some(place) = operation.get(name::BASE)
    {
        let kind = other.root().resource_type().unwrap_or_default().into_owned();
        let message = format!("{} is a {kind}: the base is another OperationDefinition", plain(&base));
        broken(walk, place, IssueType::Invalid, message);
    }
    parameters(walk, operation, "parameter", 0);
}

fn parameters<'d>(walk: &mut Walk<'_, 'd>, holder: Value<'d>, key: &str, depth: usize) {
    if depth > DEPTH || walk.full {
        return;
    }
    let mut names = HashSet::new();
    for parameter in list(holder, key) {
        let own = (text(parameter, "name").unwrap_or_default(), text(parameter, "use").unwrap_or_default());
        let name = plain(&own.0);
        if !own.0.is_empty() && !names.insert(own) {
            let message = format!("another parameter of this direction is named {name}");
            broken(walk, parameter, IssueType::BusinessRule, message);
        }
        cardinality(walk, parameter);
        for target in list(parameter, "targetProfile") {
            let found = target.as_str().and_then(|url| walk.types.definitions().structure(&url));
            let resource = fhir_models::definition::StructureKind::Resource;
            if let Some(found) = found.filter(|it| it.kind != resource) {
                let message = format!("{} describes {}, which is no resource", found.url, found.type_name);
                broken(walk, target, IssueType::Invalid, message);
            }
        }
        parameters(walk, parameter, "part", depth + 1);
    }
}

fn cardinality<'d>(walk: &mut Walk<'_, 'd>, parameter: Value<'d>) {
    let min = parameter.get(name::MIN).and_then(Value::as_number).and_then(|it| it.parse::<u32>().ok());
    let Some(place) = parameter.get(name::MAX) else { return };
    let Some(max) = place.as_str() else { return };
    if max == "*" {
        return;
    }
    match (max.parse::<u32>(), min) {
        (Ok(max), Some(min)) if min > max => {
            let message = format!("a parameter can't stand at least {min} and at most {max} times");
            broken(walk, parameter, IssueType::Invalid, message);
        }
        (Ok(_), _) => {}
        (Err(_), _) => {
            broken(walk, place, IssueType::Value, "max is a number, or * for any number of times");
        }
    }
}
