//! A GraphDefinition: its links lead along elements that their types have (FHIR R4 §5.10).

use fhir_models::document::{Value, name};

use super::super::walk::Walk;
use super::search_parameter::leads_somewhere;
use super::{list, text};

/// Deepest nesting of links.
const DEPTH: usize = 32;

/// Checks a GraphDefinition.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, graph: Value<'d>) {
    let start = text(graph, "start");
    links(walk, graph, start.as_deref(), 0);
}

fn links<'d>(walk: &mut Walk<'_, 'd>, holder: Value<'d>, on: Option<&str>, depth: usize) {
    if depth > DEPTH || walk.full {
        return;
    }
    for link in list(holder, "link") {
        let known = on.filter(|on| walk.types.definitions().is_resource(on));
        if let Some(place) = link.get(name::PATH)
            && let Some(path) = place.as_str()
            && known.is_some()
        {
            leads_somewhere(walk, place, &path, known);
        }
        for target in list(link, "target") {
            let type_name = text(target, "type");
            links(walk, target, type_name.as_deref(), depth + 1);
        }
    }
}
