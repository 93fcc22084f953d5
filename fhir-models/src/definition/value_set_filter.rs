//! The filters of a value set that a complete code system decides (FHIR R4 `filter-operator`).

use std::collections::BTreeSet;

use super::CodeSystem;
use super::element::text_of;
use crate::document::{Value, name};

/// The concepts that pass every filter, as sorted numbers; `None` where one filter can't be computed here
/// (`regex`, a concept or property that the code system does not declare).
pub(super) fn filtered(system: &CodeSystem, filters: Value<'_>) -> Option<Vec<usize>> {
    let mut left: BTreeSet<usize> = (0..system.concepts.len()).collect();
    for filter in filters.items() {
        let property = text_of(filter.get(name::PROPERTY))?;
        let op = text_of(filter.get(name::OP))?;
        let value = text_of(filter.get(name::VALUE))?;
        let passing = if matches!(property.as_str(), "concept" | "code") {
            by_concept(system, &op, &value)?
        } else {
            by_property(system, &property, &op, &value)?
        };
        left.retain(|number| passing.contains(number));
    }
    Some(left.into_iter().collect())
}

fn by_concept(system: &CodeSystem, op: &str, value: &str) -> Option<BTreeSet<usize>> {
    let all = || 0..system.concepts.len();
    let below = |code: &str, with_itself: bool| -> Option<BTreeSet<usize>> {
        let ancestor = system.number(code)?;
        let mut found: BTreeSet<usize> = system.descendants(ancestor).into_iter().collect();
        if with_itself {
            found.insert(ancestor);
        }
        Some(found)
    };
    let listed = || value.split(',').map(|code| system.number(code.trim())).collect::<Option<BTreeSet<_>>>();
    match op {
        "is-a" => below(value, true),
        "descendent-of" => below(value, false),
        "is-not-a" => {
            below(value, true).map(|found| all().filter(|number| !found.contains(number)).collect())
        }
        "=" => system.number(value).map(|number| BTreeSet::from([number])),
        "in" => listed(),
        "not-in" => listed().map(|found| all().filter(|number| !found.contains(number)).collect()),
        _ => None,
    }
}

fn by_property(system: &CodeSystem, property: &str, op: &str, value: &str) -> Option<BTreeSet<usize>> {
    let values_of = |number: usize| {
        let properties = system.concepts.get(number).map(|it| it.properties.as_slice()).unwrap_or_default();
        properties.iter().filter(|it| it.code == property).map(|it| it.value.as_str())
    };
    // A property no concept carries says nothing about its concepts here.
    if !(0..system.concepts.len()).any(|number| values_of(number).next().is_some()) {
        return None;
    }
    let wanted: Vec<&str> = value.split(',').map(str::trim).collect();
    let passes = |number: usize| -> Option<bool> {
        Some(match op {
            "=" => values_of(number).any(|own| own == value),
            "in" => values_of(number).any(|own| wanted.contains(&own)),
            "not-in" => !values_of(number).any(|own| wanted.contains(&own)),
            "exists" => values_of(number).next().is_some() == (value == "true"),
            _ => return None,
        })
    };
    let mut found = BTreeSet::new();
    for number in 0..system.concepts.len() {
        if passes(number)? {
            found.insert(number);
        }
    }
    Some(found)
}
