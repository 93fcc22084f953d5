//! Routes against the definitions: types that exist, profiles that are at hand and fit, routes that can be taken.

use std::sync::Arc;

use fhir_models::definition::Definitions;
use varco_core::validation::Validator;

use super::route::{DEFAULT_ROUTE, Direction, Route, ValidationMode};
use super::source::Source;
use super::{Config, Fault};
use crate::definitions;

/// Every fault of the routes and of the definitions that they need.
pub(super) fn faults(config: &Config, source: &Source<'_>, faults: &mut Vec<Fault>) {
    let gathered = definitions::gather(&config.validation.packages, &config.validation.definitions);
    let definitions = match gathered {
        Ok(definitions) => definitions,
        Err(error) => {
            let cure = "Name packages (.tgz, folder or id#version of the package cache) and files that hold definitions.";
            return faults.push(source.fault("/validation", format!("{error}."), cure));
        }
    };
    let validator = Validator::new(Arc::clone(&definitions));
    for (at, route) in config.route.iter().enumerate() {
        let pointer = format!("/route/{at}");
        let earlier = config.route.get(..at).unwrap_or_default();
        name_and_reach(route, earlier, &pointer, source, faults);
        for (number, name) in
            route.types.iter().enumerate().filter(|(_, name)| !definitions.is_resource(name))
        {
            let cause = format!("There is no resource type {name} in FHIR R4.");
            faults.push(source.fault(&format!("{pointer}/types/{number}"), cause, "Correct the name."));
        }
        profiles(route, &validator, &definitions, &pointer, source, faults);
    }
}

fn name_and_reach(
    route: &Route,
    earlier: &[Route],
    pointer: &str,
    source: &Source<'_>,
    faults: &mut Vec<Fault>,
) {
    if route.name == DEFAULT_ROUTE || earlier.iter().any(|other| other.name == route.name) {
        let cause = format!("The name {} is taken.", route.name);
        let cure =
            format!("Give each route a name of its own; {DEFAULT_ROUTE} is what takes no other route.");
        faults.push(source.fault(&format!("{pointer}/name"), cause, cure));
    }
    if let Some(other) = earlier.iter().find(|other| other.types.is_empty() && other.clients.is_empty()) {
        let cause = format!("No request comes here: the route {} before it takes them all.", other.name);
        faults.push(source.fault(pointer, cause, "Put the narrower route first."));
    }
}

fn profiles(
    route: &Route,
    validator: &Validator,
    definitions: &Definitions,
    pointer: &str,
    source: &Source<'_>,
    faults: &mut Vec<Fault>,
) {
    for (number, profile) in route.validation.profile.iter().enumerate() {
        let pointer = format!("{pointer}/validation/profile/{number}");
        let mut fault = |setting: &str, cause: String, cure: &str| {
            faults.push(source.fault(&format!("{pointer}/{setting}"), cause, cure));
        };
        if !definitions.is_resource(&profile.resource_type) {
            let cause = format!("There is no resource type {} in FHIR R4.", profile.resource_type);
            fault("type", cause, "Correct the name.");
        } else if !route.types.is_empty() && !route.types.contains(&profile.resource_type) {
            let cause = format!("The route does not take {}.", profile.resource_type);
            fault("type", cause, "Add it to the route's `types`, or remove the profile.");
        }
        if let Some(cause) = validator.profile_fault(&profile.canonical) {
            let cause = format!("The profile {} can't be checked: {cause}.", profile.canonical);
            fault("canonical", cause, "Correct the URL, or add its package to validation.packages.");
        } else if let Some(of) = definitions.structure(&profile.canonical).map(|it| it.type_name.clone())
            && !definitions.is_subtype(&profile.resource_type, &of)
        {
            let cause = format!(
                "The profile {} is one of {of}, not of {}.",
                profile.canonical, profile.resource_type
            );
            fault("canonical", cause, "Correct the type or the profile.");
        }
        let directions = match profile.direction {
            Some(own) => vec![own],
            None => vec![Direction::Requests, Direction::Responses],
        };
        if directions.iter().all(|own| route.validation.mode(*own) == ValidationMode::Off) {
            let named: Vec<&str> = directions.iter().map(|own| own.name()).collect();
            let cause = format!("The profile has no effect: validation of {} is off.", named.join(" and "));
            fault(
                "canonical",
                cause,
                "Set validation to \"log\", \"warn\" or \"enforce\" in that direction.",
            );
        }
    }
}
