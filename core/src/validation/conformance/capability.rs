//! A CapabilityStatement against the definitions that it cites (FHIR R4 §5.2): search parameters are of the
//! stated type, profiles are of the stated resource.

use fhir_models::definition::SearchKind;
use fhir_models::document::{Value, name};

use crate::outcome::IssueType;

use super::super::profile::plain;
use super::super::walk::Walk;
use super::{broken, doubtful, list, text};

/// Checks a CapabilityStatement.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, statement: Value<'d>) {
    for rest in list(statement, "rest") {
        for parameter in list(rest, "searchParam") {
            search(walk, parameter, None);
        }
        for resource in list(rest, "resource") {
            let type_name = text(resource, "type");
            for parameter in list(resource, "searchParam") {
                search(walk, parameter, type_name.as_deref());
            }
            let Some(type_name) = type_name else { continue };
            let all = resource.get(name::PROFILE).into_iter().chain(list(resource, "supportedProfile"));
            for place in all {
                profile(walk, place, &type_name);
            }
        }
    }
}

fn search<'d>(walk: &mut Walk<'_, 'd>, parameter: Value<'d>, type_name: Option<&str>) {
    let Some(url) = text(parameter, "definition") else { return };
    let definitions = walk.types.definitions();
    let Some(known) = definitions.search_parameter(&url) else { return };
    if let Some(own) = text(parameter, "type").filter(|own| own != code_of(known.kind)) {
        let theirs = code_of(known.kind);
        let message = format!("{} is a parameter of type {theirs}, not {}", plain(&url), plain(&own));
        broken(walk, parameter, IssueType::Invalid, message);
    }
    if let Some(type_name) = type_name.filter(|_| !known.base.is_empty())
        && !known.base.iter().any(|base| definitions.is_subtype(type_name, base))
    {
        let message =
            format!("{} is defined for {}, not for {}", plain(&url), known.base.join(", "), plain(type_name));
        doubtful(walk, parameter, IssueType::Invalid, message);
    }
    if let Some(own) = text(parameter, "name").filter(|own| *own != known.code.as_str()) {
        let message =
            format!("{} is named {} by its definition, {} here", plain(&url), known.code, plain(&own));
        doubtful(walk, parameter, IssueType::Invalid, message);
    }
}

fn code_of(kind: SearchKind) -> &'static str {
    match kind {
        SearchKind::Number => "number",
        SearchKind::Date => "date",
        SearchKind::String => "string",
        SearchKind::Token => "token",
        SearchKind::Reference => "reference",
        SearchKind::Composite => "composite",
        SearchKind::Quantity => "quantity",
        SearchKind::Uri => "uri",
        SearchKind::Special => "special",
    }
}

fn profile<'d>(walk: &mut Walk<'_, 'd>, place: Value<'d>, type_name: &str) {
    let definitions = walk.types.definitions();
    let Some(found) = place.as_str().and_then(|url| definitions.structure(&url)) else { return };
    if !definitions.is_subtype(type_name, &found.type_name) {
        let message =
            format!("{} is a profile of {}, not of {}", found.url, found.type_name, plain(type_name));
        broken(walk, place, IssueType::Invalid, message);
    }
}
