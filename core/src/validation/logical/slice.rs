//! The slices of instances of logical models: each repetition by the rules of its slice (FHIR R4 §5.1.0.13).
//!
//! As in profiles, an item belongs to the first slice whose discriminators it meets. Names are compared by their
//! text, for FHIR doesn't know those of a model.

use fhir_models::definition::{Definitions, Max, SlicingRules};
use fhir_models::document::{Kind, Name, Value, name};

use crate::outcome::IssueType;

use super::super::cardinality::Cardinality;
use super::super::finding::Rule;
use super::super::profile::{self, Occurrence, Step};
use super::super::walk::Walk;
use super::model::Model;
use super::said::{Demand, Said, Test, suffix};
use super::walk::rules;

/// Checks the sliced elements of an object.
#[cold]
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, model: &Model, object: Value<'d>, sliced: &[Said]) {
    for said in sliced {
        let items = standing(walk.types.definitions(), object, &said.name, said);
        slices(walk, model, object, &items, said);
    }
}

/// The repetitions of an element in an object.
fn standing<'d>(
    definitions: &Definitions,
    object: Value<'d>,
    wanted: &str,
    said: &Said,
) -> Vec<Occurrence<'d>> {
    let only = match &*said.types {
        [only] => *only,
        _ => Name::UNKNOWN,
    };
    let mut found = Vec::new();
    for child in object.children() {
        let key = child.key().unwrap_or_default();
        let own = match key.strip_prefix('_') {
            // A twin without its value stands for it.
            Some(stem) if key != wanted => {
                if object.get_key(stem).is_some() {
                    continue;
                }
                stem
            }
            _ => &*key,
        };
        let type_name = if own == wanted {
            only
        } else if let Some(type_name) = suffix(definitions, wanted, own).filter(|_| said.choice) {
            type_name
        } else {
            continue;
        };
        let twin = *own != *key;
        for item in child.items().filter(|it| it.kind() != Kind::Null) {
            let (value, twin) = if twin { (None, Some(item)) } else { (Some(item), None) };
            let resource = item.get(name::RESOURCE_TYPE).and_then(Value::as_str).map(|it| Name::of(&it));
            found.push(Occurrence { value, twin, at: item, type_name: resource.unwrap_or(type_name) });
        }
    }
    found
}

/// Gives each repetition to its slice and checks the slices.
fn slices<'d>(
    walk: &mut Walk<'_, 'd>,
    model: &Model,
    parent: Value<'d>,
    items: &[Occurrence<'d>],
    said: &Said,
) {
    let Some(slicing) = said.slicing.as_ref().filter(|it| !it.discriminators.is_empty()) else { return };
    let mut members = Vec::with_capacity(items.len());
    let (mut latest, mut outside) = (0, false);
    for item in items {
        let found = said.slices.iter().position(|(_, slice)| belongs(walk, model, *item, slice));
        let fault = match found {
            Some(at) if slicing.ordered && at < latest => Some("this stands out of the order of the slices"),
            Some(_) if outside && slicing.rules == SlicingRules::OpenAtEnd => {
                Some("what is in no slice must stand after the slices")
            }
            None if slicing.rules == SlicingRules::Closed => {
                Some("this is in no slice, and the slicing is closed")
            }
            _ => None,
        };
        if let Some(fault) = fault {
            let message = format!("{fault}: {} ({})", said.id, model.url);
            walk.report(item.at, item.at, Rule::Slicing.error(IssueType::Structure, message));
        }
        outside |= found.is_none();
        latest = found.map_or(latest, |at| latest.max(at));
        members.push(found);
    }
    for (at, (_, slice)) in said.slices.iter().enumerate() {
        if walk.full {
            return;
        }
        let own = items.iter().zip(&members).filter(|(_, member)| **member == Some(at));
        let own: Vec<Occurrence<'d>> = own.map(|(item, _)| *item).collect();
        counted(walk, model, parent, own.len(), slice);
        for item in &own {
            whole(walk, model, *item, slice);
        }
        slices(walk, model, parent, &own, slice);
    }
}

/// All that is said of one item.
fn whole<'d>(walk: &mut Walk<'_, 'd>, model: &Model, item: Occurrence<'d>, said: &Said) {
    if let (Some(node), Some(value)) = (said.node, item.value) {
        rules(walk, model, node, value, item.type_name);
    }
    let Some(object) = item.object() else { return };
    for inner in &said.inside {
        let items = standing(walk.types.definitions(), object, &inner.name, inner);
        counted(walk, model, object, items.len(), inner);
        for it in &items {
            whole(walk, model, *it, inner);
        }
        slices(walk, model, object, &items, inner);
    }
}

fn counted<'d>(walk: &mut Walk<'_, 'd>, model: &Model, parent: Value<'d>, found: usize, said: &Said) {
    let bounds = Cardinality { min: said.min.unwrap_or(0), max: said.max.unwrap_or(Max::Unbounded) };
    if bounds.allows(found) {
        return;
    }
    let code = if found < bounds.min as usize { IssueType::Required } else { IssueType::Structure };
    let message = format!("{} stands {found} times; {} allowed ({})", said.id, bounds.shown(), model.url);
    walk.report(parent, parent, Rule::Slicing.error(code, message));
}

fn belongs<'d>(walk: &mut Walk<'_, 'd>, model: &Model, item: Occurrence<'d>, slice: &Said) -> bool {
    slice.tests.iter().all(|test| passes(walk, model, item, slice, test))
}

fn passes<'d>(
    walk: &mut Walk<'_, 'd>,
    model: &Model,
    item: Occurrence<'d>,
    slice: &Said,
    test: &Test,
) -> bool {
    let mut found = vec![(item, Some(slice))];
    for step in &test.path {
        found = found.into_iter().flat_map(|(it, said)| next(walk, it, said, step)).collect();
    }
    let node = |number: &u32| model.profile.node(*number);
    match &test.demand {
        Demand::Exists(wanted) => found.is_empty() != *wanted,
        Demand::Value(number) => found.iter().filter_map(|it| it.0.value).any(|value| {
            let Some(node) = node(number) else { return false };
            let fixed = node.fixed.as_ref().is_none_or(|it| profile::equal(value, it.root()));
            fixed && node.pattern.as_ref().is_none_or(|it| profile::matches(value, it.root()))
        }),
        Demand::Bound(number) => {
            let Some(rule) = node(number).and_then(|it| it.binding.as_ref()) else { return false };
            found.iter().filter_map(|it| it.0.value).any(|value| rule.admits(&walk.codes, value))
        }
        Demand::Text(wanted) => found.iter().any(|it| it.0.value.is_some_and(|value| value.is_str(wanted))),
        Demand::Type(types) => found
            .iter()
            .any(|(it, _)| types.iter().any(|wanted| walk.types.is_subtype(it.type_name, *wanted))),
        Demand::Profile(canonicals) => found.iter().any(|(it, _)| {
            let mut obeys = |canonical: &str| it.value.is_some_and(|at| walk.obeys_canonical(at, canonical));
            canonicals.iter().any(|canonical| obeys(canonical))
        }),
        Demand::Conforms => found.iter().any(|(it, said)| {
            said.is_some_and(|said| walk.finds_nothing(|walk| whole(walk, model, *it, said)))
        }),
    }
}

/// What stands behind one step, with what the slice says of it.
fn next<'d, 's>(
    walk: &mut Walk<'_, 'd>,
    item: Occurrence<'d>,
    said: Option<&'s Said>,
    step: &Step,
) -> Vec<(Occurrence<'d>, Option<&'s Said>)> {
    match step {
        Step::Name(wanted) => {
            let inner = said.and_then(|it| it.inside.iter().find(|it| *it.name == **wanted));
            let any = Said { choice: true, ..Said::default() };
            let found = item
                .object()
                .map(|object| standing(walk.types.definitions(), object, wanted, inner.unwrap_or(&any)));
            found.into_iter().flatten().map(|it| (it, inner)).collect()
        }
        Step::OfType(wanted) => {
            let fits = walk.types.is_subtype(item.type_name, *wanted);
            fits.then_some((item, said)).into_iter().collect()
        }
        Step::Resolve => {
            let found = item.value.and_then(|value| walk.resolved(value));
            found.map(|it| (it, said)).into_iter().collect()
        }
        Step::Extension(_) => Vec::new(),
    }
}
