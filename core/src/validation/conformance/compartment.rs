//! A CompartmentDefinition: its parameters are search parameters of the types that they stand at (FHIR R4
//! §5.9).

use std::collections::HashSet;

use fhir_models::document::Value;

use crate::outcome::IssueType;

use super::super::profile::plain;
use super::super::walk::Walk;
use super::{doubtful, list, text};

/// Checks a CompartmentDefinition.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, compartment: Value<'d>) {
    for resource in list(compartment, "resource") {
        let Some(type_name) = text(resource, "code") else { continue };
        let definitions = walk.types.definitions();
        if !definitions.is_resource(&type_name) {
            continue;
        }
        let known = definitions.search_parameters(&type_name);
        let codes: HashSet<&str> = known.iter().map(|it| it.code.as_str()).collect();
        for parameter in list(resource, "param") {
            let Some(own) = parameter.as_str().filter(|own| own != "{def}" && !codes.contains(own.as_ref()))
            else {
                continue;
            };
            let message = format!("{} has no search parameter {}", plain(&type_name), plain(&own));
            doubtful(walk, parameter, IssueType::NotFound, message);
        }
    }
}
