//! Value sets, as far as they can be decided offline (FHIR R4 §4.9).
//!
//! A value set is kept as what it says, a union of clauses less the excluded ones, and asked code by code.
//! The answer has three values: where a clause needs a code system that isn't here, or a filter that can't
//! be computed, codes of that system are *unknown*, and all others are still decided.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::code_system::same_but_case;
use super::element::text_of;
use super::structure::items;
use super::value_set_filter::{Filter, filtered, filters};
use super::{CaseRule, CodeSystem, Concept, Content, DefinitionError};
use crate::document::{Value, name};

/// Most codes that [`ValueSet::codes`] gives out.
pub const MAX_CODES: usize = 200_000;

/// Deepest chain of value sets that import each other. What lies below is taken as absent.
const MAX_DEPTH: usize = 16;

/// Whether a code is in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Membership {
    /// It is.
    Member,
    /// It is not.
    NotMember,
    /// That can't be decided from the definitions at hand.
    Unknown,
}

impl Membership {
    fn and(self, other: Membership) -> Membership {
        match (self, other) {
            (Membership::NotMember, _) | (_, Membership::NotMember) => Membership::NotMember,
            (Membership::Member, Membership::Member) => Membership::Member,
            _ => Membership::Unknown,
        }
    }

    fn or(self, other: Membership) -> Membership {
        self.not().and(other.not()).not()
    }

    fn not(self) -> Membership {
        match self {
            Membership::Member => Membership::NotMember,
            Membership::NotMember => Membership::Member,
            Membership::Unknown => Membership::Unknown,
        }
    }
}

/// Decides codes of systems that are no lists at hand: grammars, tables, identifiers with check digits.
pub trait CodeRules {
    /// Whether a system has a code; `Unknown` for a system that it knows nothing of.
    fn membership(&self, system: &str, code: &str) -> Membership;
    /// Whether a code passes a filter of a value set on a property other than the code itself.
    fn passes(&self, system: &str, code: &str, property: &str, op: &str, value: &str) -> Membership;
}

/// Knows no system.
impl CodeRules for () {
    fn membership(&self, _: &str, _: &str) -> Membership {
        Membership::Unknown
    }

    fn passes(&self, _: &str, _: &str, _: &str, _: &str, _: &str) -> Membership {
        Membership::Unknown
    }
}

/// A code of a value set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code<'v> {
    /// Its code system.
    pub system: &'v str,
    /// The code.
    pub code: &'v str,
    /// Its name, where one is at hand.
    pub display: Option<&'v str>,
}

/// A value set.
#[derive(Debug, Clone)]
pub struct ValueSet {
    /// Canonical URL, without version.
    pub url: String,
    /// Business version.
    pub version: Option<String>,
    /// Title or name for people.
    pub title: String,
    include: Vec<Clause>,
    exclude: Vec<Clause>,
    /// Systems its codes may come from.
    systems: Vec<String>,
    /// Codes of other systems may be in it too: an imported value set isn't here.
    unbounded: bool,
    /// Codes out of use are not in it (`compose.inactive`).
    active_only: bool,
    /// How many value sets stand in its longest chain of imports, itself included.
    depth: usize,
}

/// What a value set needs while it is read.
pub(super) trait Sources {
    fn code_system(&mut self, url: &str, version: Option<&str>) -> Option<Arc<CodeSystem>>;
    /// The code system with what its supplements add.
    fn supplemented(&mut self, system: Arc<CodeSystem>) -> Arc<CodeSystem>;
    fn case_rule(&mut self, url: &str) -> CaseRule;
    fn value_set(&mut self, canonical: &str) -> Option<Arc<ValueSet>>;
}

/// One `include` or `exclude`: the codes that are in its part and in every value set it imports.
#[derive(Debug, Clone)]
struct Clause {
    part: Option<Part>,
    imports: Vec<Option<Arc<ValueSet>>>,
}

/// A code by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Listed {
    code: String,
    display: Option<String>,
    /// Its names in other languages or for other uses.
    designations: Vec<String>,
}

#[derive(Debug, Clone)]
enum Part {
    /// Codes by name, sorted.
    Listed { system: String, case: CaseRule, codes: Vec<Listed> },
    /// A whole code system.
    System(Arc<CodeSystem>),
    /// Some concepts of a code system, by number, sorted.
    Filtered(Arc<CodeSystem>, Vec<usize>),
    /// Codes of a system that isn't here whole, those that pass the filters.
    Open { system: String, filters: Vec<Filter> },
}

impl ValueSet {
    /// Reads a `ValueSet` resource with the help of the definitions it refers to.
    pub(super) fn read(resource: Value<'_>, sources: &mut dyn Sources) -> Result<ValueSet, DefinitionError> {
        if resource.resource_type().as_deref() != Some("ValueSet") {
            return Err(DefinitionError::NotA("ValueSet"));
        }
        let compose = resource.get(name::COMPOSE);
        let mut clauses = |name| -> Vec<Clause> {
            items(compose.and_then(|it| it.get(name))).map(|it| Clause::read(it, sources)).collect()
        };
        let mut include = clauses(name::INCLUDE);
        let mut exclude = clauses(name::EXCLUDE);
        let open = include.is_empty() || include.iter().chain(&exclude).any(Clause::is_open);
        if let (true, Some(expansion)) = (open, resource.get(name::EXPANSION)) {
            // A stored expansion states the codes that the compose can't give here.
            if let Some(listed) = expanded(expansion, sources) {
                include = listed;
                exclude = Vec::new();
            }
        }
        let title = text_of(resource.get_key("title")).or_else(|| text_of(resource.get(name::NAME)));
        let systems: BTreeSet<&str> = include.iter().flat_map(Clause::systems).collect();
        Ok(ValueSet {
            url: text_of(resource.get(name::URL)).unwrap_or_default(),
            version: text_of(resource.get(name::VERSION)),
            title: title.unwrap_or_default(),
            systems: systems.into_iter().map(str::to_owned).collect(),
            unbounded: include.is_empty() || include.iter().any(Clause::is_unbounded),
            active_only: compose.and_then(|it| it.get_key("inactive")).and_then(Value::as_bool)
                == Some(false),
            depth: 1 + include.iter().chain(&exclude).map(Clause::depth).max().unwrap_or(0),
            include,
            exclude,
        })
    }

    /// Whether a code is in the set. Without a system, as for an element of type `code`, whether it is in
    /// it with any system.
    pub fn membership(&self, system: Option<&str>, code: &str) -> Membership {
        self.membership_by(system, code, &())
    }

    /// The same with rules for systems that are no lists at hand.
    pub fn membership_by(&self, system: Option<&str>, code: &str, rules: &dyn CodeRules) -> Membership {
        if let Some(system) = system {
            return self.of_system(system, code, rules);
        }
        let other = if self.unbounded { Membership::Unknown } else { Membership::NotMember };
        let mut answer = other;
        for system in &self.systems {
            answer = answer.or(self.of_system(system, code, rules));
            if answer == Membership::Member {
                break;
            }
        }
        answer
    }

    /// True where every code can be decided and listed.
    pub fn is_enumerable(&self) -> bool {
        !self.unbounded && !self.include.iter().chain(&self.exclude).any(Clause::is_open)
    }

    /// Systems its codes may come from, sorted. Codes of others are in it only if [`ValueSet::is_unbounded`].
    pub fn systems(&self) -> impl Iterator<Item = &str> {
        self.systems.iter().map(String::as_str)
    }

    /// True where an imported value set isn't here, so that codes of any system may be in it.
    pub fn is_unbounded(&self) -> bool {
        self.unbounded
    }

    /// All its codes, include by include; `None` where the set can't be enumerated here or
    /// has more than [`MAX_CODES`].
    pub fn codes(&self) -> Option<Vec<Code<'_>>> {
        if !self.is_enumerable() {
            return None;
        }
        let mut seen = BTreeSet::new();
        let mut codes = Vec::new();
        for clause in &self.include {
            for code in clause.candidates()? {
                let member = self.of_system(code.system, code.code, &()) == Membership::Member;
                if member && seen.insert((code.system, code.code)) {
                    codes.push(code);
                }
            }
            if codes.len() > MAX_CODES {
                return None;
            }
        }
        Some(codes)
    }

    /// The names that the set and its code systems give a code, the set's own first; empty where none is
    /// at hand.
    pub fn names<'s>(&'s self, system: &str, code: &str) -> Vec<&'s str> {
        let mut names: Vec<&'s str> = Vec::new();
        for clause in &self.include {
            match &clause.part {
                Some(Part::Listed { system: own, codes, .. }) if own == system => {
                    let listed = codes.binary_search_by(|it| it.code.as_str().cmp(code)).ok();
                    let listed = listed.and_then(|at| codes.get(at)).into_iter();
                    let all = listed.flat_map(|it| it.display.iter().chain(&it.designations));
                    names.extend(all.map(String::as_str));
                }
                Some(Part::System(held) | Part::Filtered(held, _)) if held.url == system => {
                    let concept = held.concept(code).into_iter();
                    let designations = |it: &'s Concept| it.designations.iter().map(|it| &it.value);
                    let all = concept.flat_map(|it| it.display.iter().chain(designations(it)));
                    names.extend(all.map(String::as_str));
                }
                _ => {}
            }
            for import in clause.imports.iter().flatten() {
                names.extend(import.names(system, code));
            }
        }
        names
    }

    fn of_system(&self, system: &str, code: &str, rules: &dyn CodeRules) -> Membership {
        let mut answer = if self.include.is_empty() { Membership::Unknown } else { Membership::NotMember };
        for clause in &self.include {
            answer = answer.or(clause.membership(system, code, rules, self.active_only));
            if answer == Membership::Member {
                break;
            }
        }
        for clause in &self.exclude {
            answer = answer.and(clause.membership(system, code, rules, false).not());
        }
        answer
    }
}

impl Clause {
    fn read(value: Value<'_>, sources: &mut dyn Sources) -> Clause {
        let imports = items(value.get(name::VALUE_SET))
            .map(|it| it.as_str().and_then(|canonical| sources.value_set(&canonical)))
            .map(|import| import.filter(|it| it.depth < MAX_DEPTH))
            .collect();
        let part = text_of(value.get(name::SYSTEM)).map(|system| Part::read(value, system, sources));
        Clause { part, imports }
    }

    fn membership(&self, system: &str, code: &str, rules: &dyn CodeRules, active_only: bool) -> Membership {
        let mut answer = match &self.part {
            Some(part) => part.membership(system, code, rules, active_only),
            None if self.imports.is_empty() => Membership::Unknown,
            None => Membership::Member,
        };
        for import in &self.imports {
            if answer == Membership::NotMember {
                break;
            }
            let imported =
                import.as_ref().map_or(Membership::Unknown, |it| it.of_system(system, code, rules));
            answer = answer.and(imported);
        }
        answer
    }

    fn is_open(&self) -> bool {
        let part = match &self.part {
            Some(Part::Open { .. }) => true,
            Some(Part::System(system) | Part::Filtered(system, _)) => system.content != Content::Complete,
            Some(Part::Listed { .. }) => false,
            None => self.imports.is_empty(),
        };
        part || self.imports.iter().any(|it| it.as_ref().is_none_or(|it| !it.is_enumerable()))
    }

    fn is_unbounded(&self) -> bool {
        self.part.is_none() && self.imports.iter().all(|it| it.as_ref().is_none_or(|it| it.unbounded))
    }

    /// Systems that its codes may come from: those of its part, or of its narrowest import.
    fn systems(&self) -> Vec<&str> {
        match &self.part {
            Some(part) => vec![part.system()],
            None => self
                .imports
                .iter()
                .flatten()
                .filter(|it| !it.unbounded)
                .map(|it| it.systems().collect::<Vec<_>>())
                .min_by_key(Vec::len)
                .unwrap_or_default(),
        }
    }

    fn depth(&self) -> usize {
        self.imports.iter().flatten().map(|it| it.depth).max().unwrap_or(0)
    }

    fn candidates(&self) -> Option<Vec<Code<'_>>> {
        match &self.part {
            Some(part) => Some(part.codes()),
            None => self.imports.first().and_then(Option::as_ref).and_then(|it| it.codes()),
        }
    }
}

impl Listed {
    fn read(value: Value<'_>) -> Option<Listed> {
        Some(Listed {
            code: text_of(value.get(name::CODE))?,
            display: text_of(value.get(name::DISPLAY)),
            designations: items(value.get_key("designation"))
                .filter_map(|it| text_of(it.get(name::VALUE)))
                .collect(),
        })
    }
}

impl Part {
    fn read(value: Value<'_>, system: String, sources: &mut dyn Sources) -> Part {
        if let Some(concepts) = value.get(name::CONCEPT) {
            return Part::listed(system, concepts.items().filter_map(Listed::read).collect(), sources);
        }
        let version = text_of(value.get(name::VERSION));
        let Some(held) = sources.code_system(&system, version.as_deref()) else {
            return Part::open(system, value);
        };
        match (value.get(name::FILTER), held.content) {
            _ if held.is_supplement() => Part::open(system, value),
            (None, Content::Complete | Content::Fragment) => Part::System(held),
            (Some(_), Content::Complete) => {
                let filters = filters(value);
                let held = sources.supplemented(held);
                match filters.as_deref().and_then(|filters| filtered(&held, filters)) {
                    Some(members) => Part::Filtered(held, members),
                    None => Part::open(system, value),
                }
            }
            // What is here of the system says nothing about the rest, but its rules may.
            (None, _) if !held.concepts.is_empty() => Part::System(held),
            _ => Part::open(system, value),
        }
    }

    fn open(system: String, clause: Value<'_>) -> Part {
        // A filter that can't be read passes nothing for certain.
        let filters = filters(clause).unwrap_or_else(|| vec![Filter::unreadable()]);
        Part::Open { system, filters }
    }

    fn listed(system: String, mut codes: Vec<Listed>, sources: &mut dyn Sources) -> Part {
        let case = sources.case_rule(&system);
        codes.sort_by(|a, b| a.code.cmp(&b.code));
        codes.dedup_by(|a, b| a.code == b.code);
        Part::Listed { system, case, codes }
    }

    fn system(&self) -> &str {
        match self {
            Part::Listed { system, .. } | Part::Open { system, .. } => system,
            Part::System(held) | Part::Filtered(held, _) => &held.url,
        }
    }

    fn membership(&self, system: &str, code: &str, rules: &dyn CodeRules, active_only: bool) -> Membership {
        if system != self.system() {
            return Membership::NotMember;
        }
        if let (true, Part::System(held) | Part::Filtered(held, _)) = (active_only, self)
            && held.number(code).is_some_and(|number| held.is_inactive(number))
        {
            return Membership::NotMember;
        }
        match self {
            Part::Listed { case, codes, .. } => {
                if codes.binary_search_by(|own| own.code.as_str().cmp(code)).is_ok() {
                    Membership::Member
                } else if *case != CaseRule::Sensitive
                    && codes.iter().any(|own| same_but_case(&own.code, code))
                {
                    case.near_match()
                } else {
                    Membership::NotMember
                }
            }
            Part::System(held) => match held.membership(code) {
                Membership::Unknown => rules.membership(system, code),
                known => known,
            },
            Part::Filtered(held, members) => {
                let has = |number: usize| members.binary_search(&number).is_ok();
                match held.number(code) {
                    Some(number) if has(number) => Membership::Member,
                    Some(_) => Membership::NotMember,
                    None if held.case == CaseRule::Sensitive => Membership::NotMember,
                    None => {
                        let near = members.iter().filter_map(|&number| held.concepts.get(number));
                        let near = near.into_iter().any(|concept| same_but_case(&concept.code, code));
                        if near { held.case.near_match() } else { Membership::NotMember }
                    }
                }
            }
            Part::Open { filters, .. } => {
                let all = filters.iter().map(|filter| filter.passes(system, code, rules));
                all.fold(rules.membership(system, code), Membership::and)
            }
        }
    }

    fn codes(&self) -> Vec<Code<'_>> {
        match self {
            Part::Listed { system, codes, .. } => codes
                .iter()
                .map(|it| Code { system, code: &it.code, display: it.display.as_deref() })
                .collect(),
            Part::System(held) => held
                .concepts
                .iter()
                .map(|it| Code { system: &held.url, code: &it.code, display: it.display.as_deref() })
                .collect(),
            Part::Filtered(held, members) => members
                .iter()
                .filter_map(|&number| held.concepts.get(number))
                .map(|it| Code { system: &held.url, code: &it.code, display: it.display.as_deref() })
                .collect(),
            Part::Open { .. } => Vec::new(),
        }
    }
}

/// The codes of a stored expansion, by system; `None` where it is a page or an excerpt.
fn expanded(expansion: Value<'_>, sources: &mut dyn Sources) -> Option<Vec<Clause>> {
    let total = expansion.get(name::TOTAL).and_then(Value::as_number).and_then(|it| it.parse::<usize>().ok());
    let mut found: Vec<(String, Listed)> = Vec::new();
    for value in expansion.descendants().filter(|it| it.name() == name::CONTAINS) {
        for item in value.items().filter(|it| it.get_key("abstract").and_then(Value::as_bool) != Some(true)) {
            if let (Some(system), Some(code)) = (text_of(item.get(name::SYSTEM)), Listed::read(item)) {
                found.push((system, code));
            }
        }
    }
    let offset = expansion.get_key("offset").and_then(Value::as_number).is_some_and(|it| it != "0");
    let unclosed = items(expansion.get(name::EXTENSION)).any(|it| {
        it.str_of(name::URL)
            .is_some_and(|url| url.ends_with("/valueset-unclosed") || url.ends_with("/valueset-toocostly"))
    });
    if found.is_empty() || offset || unclosed || total.is_some_and(|total| total > found.len()) {
        return None;
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let mut clauses = Vec::new();
    for group in found.chunk_by(|a, b| a.0.cmp(&b.0) == Ordering::Equal) {
        let system = group.first().map(|it| it.0.clone()).unwrap_or_default();
        let codes = group.iter().map(|(_, code)| code.clone()).collect();
        clauses.push(Clause { part: Some(Part::listed(system, codes, sources)), imports: Vec::new() });
    }
    Some(clauses)
}

#[cfg(test)]
#[path = "value_set_tests.rs"]
mod tests;
