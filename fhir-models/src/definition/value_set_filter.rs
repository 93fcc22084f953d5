//! The filters of a value set (FHIR R4 `filter-operator`; `child-of` and `descendent-leaf` are R5's).
//!
//! A complete code system decides them for all its concepts at once; elsewhere a filter on the code itself is
//! decided code by code. What can't be computed is `None` or unknown, never a guess.

use std::collections::BTreeSet;
use std::fmt;

use regex::{Regex, RegexBuilder};

use super::element::text_of;
use super::value_set::CodeRules;
use super::{CodeSystem, Membership};
use crate::document::{Value, name};

/// Most bytes of a compiled pattern: patterns come from outside.
const LARGEST_PATTERN: usize = 1 << 20;
/// Longest pattern, in bytes.
const LONGEST_PATTERN: usize = 4_096;
/// Most concepts whose children are looked for one by one.
const MOST_CHILDREN: usize = 5_000;
/// Most filters of one clause.
const MOST_FILTERS: usize = 100;

/// One filter.
#[derive(Clone)]
pub(super) struct Filter {
    property: String,
    op: String,
    value: String,
    pattern: Option<Regex>,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({} {} {:?})", self.property, self.op, self.value)
    }
}

/// The filters of a clause; `None` where one lacks a part, or there are too many.
pub(super) fn filters(clause: Value<'_>) -> Option<Vec<Filter>> {
    let Some(list) = clause.get(name::FILTER) else { return Some(Vec::new()) };
    let read: Option<Vec<Filter>> = list.items().take(MOST_FILTERS + 1).map(Filter::read).collect();
    read.filter(|filters| filters.len() <= MOST_FILTERS)
}

impl Filter {
    fn read(value: Value<'_>) -> Option<Filter> {
        let (op, value_text) = (text_of(value.get(name::OP))?, text_of(value.get(name::VALUE))?);
        let pattern = if op == "regex" { Some(whole_match(&value_text)?) } else { None };
        Some(Filter { property: text_of(value.get(name::PROPERTY))?, op, value: value_text, pattern })
    }

    /// A filter that nothing is known of.
    pub(super) fn unreadable() -> Filter {
        Filter { property: String::new(), op: String::new(), value: String::new(), pattern: None }
    }

    /// Whether one code passes, without its code system.
    pub(super) fn passes(&self, system: &str, code: &str, rules: &dyn CodeRules) -> Membership {
        if !self.is_on_code() {
            return rules.passes(system, code, &self.property, &self.op, &self.value);
        }
        let known = |is: bool| if is { Membership::Member } else { Membership::NotMember };
        match self.op.as_str() {
            "=" => known(self.value == code),
            "in" => known(self.listed().any(|it| it == code)),
            "not-in" => known(self.listed().all(|it| it != code)),
            "regex" => self.pattern.as_ref().map_or(Membership::Unknown, |it| known(it.is_match(code))),
            _ => rules.passes(system, code, &self.property, &self.op, &self.value),
        }
    }

    fn is_on_code(&self) -> bool {
        matches!(self.property.as_str(), "concept" | "code")
    }

    fn listed(&self) -> impl Iterator<Item = &str> {
        self.value.split(',').map(str::trim)
    }
}

/// A pattern that must match the whole text.
fn whole_match(pattern: &str) -> Option<Regex> {
    if pattern.len() > LONGEST_PATTERN {
        return None;
    }
    RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(LARGEST_PATTERN).build().ok()
}

/// The concepts that pass every filter, as sorted numbers; `None` where one filter can't be computed here (a
/// concept or property that the code system does not have).
pub(super) fn filtered(system: &CodeSystem, filters: &[Filter]) -> Option<Vec<usize>> {
    let mut left: BTreeSet<usize> = (0..system.concepts.len()).collect();
    for filter in filters {
        let passing =
            if filter.is_on_code() { by_concept(system, filter)? } else { by_property(system, filter)? };
        left.retain(|number| passing.contains(number));
    }
    Some(left.into_iter().collect())
}

fn by_concept(system: &CodeSystem, filter: &Filter) -> Option<BTreeSet<usize>> {
    let all = || 0..system.concepts.len();
    let value = filter.value.as_str();
    let below = |with_itself: bool| -> Option<BTreeSet<usize>> {
        let ancestor = system.number(value)?;
        let mut found: BTreeSet<usize> = system.descendants(ancestor).into_iter().collect();
        if with_itself {
            found.insert(ancestor);
        }
        Some(found)
    };
    let parents =
        |number: usize| system.concepts.get(number).map(|it| it.parents.as_slice()).unwrap_or_default();
    let but = |found: BTreeSet<usize>| all().filter(|number| !found.contains(number)).collect();
    let listed = || filter.listed().map(|code| system.number(code)).collect::<Option<BTreeSet<_>>>();
    match filter.op.as_str() {
        "is-a" => below(true),
        "descendent-of" => below(false),
        "is-not-a" => below(true).map(but),
        "generalizes" => {
            let own = system.number(value)?;
            Some(system.ancestors(own).into_iter().chain([own]).collect())
        }
        "child-of" => {
            let own = system.number(value)?;
            Some(all().filter(|number| parents(*number).contains(&own)).collect())
        }
        "descendent-leaf" => {
            let inner: BTreeSet<usize> = all().flat_map(|number| parents(number).iter().copied()).collect();
            below(false).map(|found| found.into_iter().filter(|it| !inner.contains(it)).collect())
        }
        "=" => system.number(value).map(|number| BTreeSet::from([number])),
        "in" => listed(),
        "not-in" => listed().map(but),
        "regex" => {
            let pattern = filter.pattern.as_ref()?;
            let code = |number: usize| system.concepts.get(number).map_or("", |it| it.code.as_str());
            Some(all().filter(|number| pattern.is_match(code(*number))).collect())
        }
        "exists" => Some(if value == "true" { all().collect() } else { BTreeSet::new() }),
        _ => None,
    }
}

fn by_property(system: &CodeSystem, filter: &Filter) -> Option<BTreeSet<usize>> {
    let property = filter.property.as_str();
    let carried = || system.concepts.iter().any(|it| it.properties.iter().any(|own| own.code == property));
    let declared = system.properties.iter().any(|it| it.code == property);
    let built_in = matches!(property, "parent" | "child" | "display");
    // A property that the system neither declares nor carries says nothing about its concepts here: it may be
    // one that only its publisher's server knows.
    if !built_in && !declared && !carried() {
        return None;
    }
    let mut found = BTreeSet::new();
    for number in 0..system.concepts.len() {
        if passes(system, number, filter)? {
            found.insert(number);
        }
    }
    Some(found)
}

/// Whether the values that a concept has of the filter's property pass it.
fn passes(system: &CodeSystem, number: usize, filter: &Filter) -> Option<bool> {
    let concept = system.concepts.get(number)?;
    let property = filter.property.as_str();
    let code = |it: usize| system.concepts.get(it).map_or("", |it| it.code.as_str());
    let mut values: Vec<(Option<&str>, &str)> = concept
        .properties
        .iter()
        .filter(|it| it.code == property)
        .map(|it| (it.system.as_deref(), it.value.as_str()))
        .collect();
    match property {
        "parent" => values.extend(concept.parents.iter().map(|parent| (None, code(*parent)))),
        "child" if system.concepts.len() > MOST_CHILDREN => return None,
        "child" => {
            let children = system.concepts.iter().filter(|it| it.parents.contains(&number));
            values.extend(children.map(|it| (None, it.code.as_str())));
        }
        "display" => {
            values.extend(concept.display.iter().map(|it| (None, it.as_str())));
            values.extend(concept.designations.iter().map(|it| (None, it.value.as_str())));
        }
        // What is not said to be so is not so.
        "inactive" | "notSelectable" if values.is_empty() && filter.op != "exists" => {
            values.push((None, "false"));
        }
        _ => {}
    }
    let is = |wanted: &str| values.iter().any(|own| same(*own, wanted));
    Some(match filter.op.as_str() {
        "=" => is(&filter.value),
        "in" => filter.listed().any(is),
        "not-in" => !filter.listed().any(is),
        "exists" => values.is_empty() != (filter.value == "true"),
        "regex" => {
            let pattern = filter.pattern.as_ref()?;
            values.iter().any(|(_, own)| pattern.is_match(own))
        }
        _ => return None,
    })
}

/// A property's value and one of a filter, which writes a Coding as `system|version#code`.
fn same((system, own): (Option<&str>, &str), wanted: &str) -> bool {
    if own == wanted {
        return true;
    }
    let (Some(system), Some((named, code))) = (system, wanted.rsplit_once('#')) else { return false };
    code == own && named.split('|').next() == Some(system)
}
