//! An ImplementationGuide: what it depends on can be found, and its resources belong to groups that it has
//! (FHIR R4 §5.6).

use std::collections::HashSet;

use fhir_models::document::Value;

use crate::outcome::IssueType;

use super::super::profile::plain;
use super::super::walk::Walk;
use super::{broken, doubtful, list, text};

/// Checks an ImplementationGuide.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, guide: Value<'d>) {
    for dependency in list(guide, "dependsOn") {
        if let Some(uri) = text(dependency, "uri").filter(|uri| !uri.contains("/ImplementationGuide/")) {
            let message = format!("{} is not the canonical of an ImplementationGuide", plain(&uri));
            broken(walk, dependency, IssueType::BusinessRule, message);
        }
        if let Some(id) = text(dependency, "packageId").filter(|id| !is_package_id(id)) {
            let message = format!(
                "{} is no package id: lower-case names, joined by dots, such as hl7.fhir.uv.ips",
                plain(&id)
            );
            broken(walk, dependency, IssueType::BusinessRule, message);
        }
        if dependency.get_key("version").is_none() {
            doubtful(walk, dependency, IssueType::BusinessRule, "say which version this guide depends on");
        }
    }
    let Some(definition) = guide.get_key("definition") else { return };
    let groups: HashSet<String> =
        list(definition, "grouping").filter_map(|it| text(it, "id").map(|it| it.into_owned())).collect();
    for resource in list(definition, "resource") {
        let Some(place) = resource.get_key("groupingId") else { continue };
        if let Some(own) = place.as_str().filter(|own| !groups.contains(own.as_ref())) {
            let message = format!("the guide has no grouping with the id {}", plain(&own));
            broken(walk, place, IssueType::NotFound, message);
        }
    }
}

/// At least two lower-case names joined by dots (FHIR NPM package specification).
fn is_package_id(id: &str) -> bool {
    let name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'))
    };
    // Names with capitals exist: the registry tells packages apart without regard to case.
    id.contains('.') && id.to_ascii_lowercase().split('.').all(name)
}
