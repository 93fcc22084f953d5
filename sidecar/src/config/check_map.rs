//! Maps against the files and definitions at hand: maps that compile, routes that name them, directions that fit.

use super::mapping::OnMapFailure;
use super::source::Source;
use super::{Config, Direction, Fault};
use crate::mapping::{MapSet, Setting};

/// Every fault of the maps and of the routes that name them.
pub(super) fn faults(config: &Config, source: &Source<'_>, faults: &mut Vec<Fault>) {
    for (at, route) in config.route.iter().enumerate() {
        for (number, map) in route.map.iter().enumerate() {
            let pointer = format!("/route/{at}/map/{number}");
            let mut fault = |setting: &str, cause: String, cure: &str| {
                faults.push(source.fault(&format!("{pointer}/{setting}"), cause, cure));
            };
            let earlier = route.map.get(..number).unwrap_or_default();
            let same = |it: &&super::RouteMap| {
                it.resource_type == map.resource_type && it.direction == map.direction
            };
            if earlier.iter().find(same).is_some() {
                let cause = format!("{} of {} have a map already.", map.resource_type, map.direction.name());
                fault("type", cause, "Keep one of them; a map may call the groups of others.");
            }
            if !route.types.is_empty() && !route.types.contains(&map.resource_type) {
                let cause = format!("The route does not take {}.", map.resource_type);
                fault("type", cause, "Add it to the route's `types`, or remove the map.");
            }
            if ["Consent", "AuditEvent"].contains(&map.resource_type.as_str()) {
                let cause = format!("{} is kept by the sidecar itself and never mapped.", map.resource_type);
                fault("type", cause, "Remove the map.");
            }
            if map.direction == Direction::Requests && map.on_failure == OnMapFailure::LeaveOut {
                let cause = "A request has one resource, which can't be left out.".to_owned();
                fault("on_failure", cause, "Remove it: a request that can't be mapped is refused.");
            }
        }
    }
    // Without maps of its own a configuration has only the built-in ones, which need no check.
    if config.mapping.maps.is_empty() && config.route.iter().all(|route| route.map.is_empty()) {
        return;
    }
    let Err(error) = MapSet::load(config) else { return };
    for fault in error.faults {
        let pointer = match fault.setting {
            // Told with the routes and their profiles.
            Setting::Definitions => continue,
            Setting::Maps(at) => format!("/mapping/maps/{at}"),
            Setting::Canonical(route, map) => format!("/route/{route}/map/{map}/canonical"),
            Setting::Type(route, map) => format!("/route/{route}/map/{map}/type"),
        };
        faults.push(source.fault(&pointer, fault.cause, fault.cure));
    }
}
