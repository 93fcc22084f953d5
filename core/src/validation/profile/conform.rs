//! An instance against a profile: each node's rules on the elements that it speaks of.
//!
//! Invariant: a pair of value and profile is checked once; profiles that refer to each other in a circle end.

use std::sync::Arc;

use fhir_models::definition::Max;
use fhir_models::document::{Name, NodeId, Value, name};

use crate::outcome::{IssueSeverity, IssueType};

use super::super::cardinality::Cardinality;
use super::super::finding::{Fault, Finding, Rule};
use super::super::invariant;
use super::super::pairs::PairSet;
use super::super::walk::Walk;
use super::store::ProfileError;
use super::{Node, NodeNumber, Occurrence, Profile, aggregation, obligation, slice, target, value_rule};

/// Deepest nesting of profiles reached through types and references.
const DEPTH: usize = 24;

/// What came of checking a value against a profile on trial.
#[derive(Debug)]
pub(in super::super) struct Judgement {
    /// No error was found.
    obeys: bool,
    /// What the trial found, for the check in earnest: that comes once at most.
    found: Option<Found>,
}

/// What a check adds to the walk.
#[derive(Debug)]
struct Found {
    findings: Vec<Finding>,
    unknown_codes: usize,
    unchecked_invariants: usize,
    /// The values and profiles that were checked on the way.
    seen: PairSet,
}

impl<'v, 'd> Walk<'v, 'd> {
    /// Checks a value against a profile, and explains. Says so where the profile can't be used.
    pub fn conform(&mut self, value: Value<'d>, canonical: &str, asked: bool) {
        match self.profiles.get(self.types, canonical) {
            Ok(profile) => {
                if let Some(first) = profile.faults.first() {
                    let place =
                        value.get(name::META).and_then(|meta| meta.get(name::PROFILE)).unwrap_or(value);
                    let message = format!(
                        "the profile {} is at fault itself, and not all of it was checked: {first}",
                        plain(canonical)
                    );
                    let severity = IssueSeverity::Warning;
                    self.report(
                        value,
                        place,
                        Fault { rule: Rule::Profile, severity, code: IssueType::NotSupported, message },
                    );
                }
                self.whole(Occurrence::of(value), &profile);
            }
            Err(error) => {
                let unknown = matches!(error, ProfileError::Unknown);
                let severity = if asked || !unknown { IssueSeverity::Error } else { IssueSeverity::Warning };
                let place = value.get(name::META).and_then(|meta| meta.get(name::PROFILE)).unwrap_or(value);
                let message = format!("the profile {} was not checked: {error}", plain(canonical));
                let fault = Fault { rule: Rule::Profile, severity, code: IssueType::NotFound, message };
                self.report(value, place, fault);
            }
        }
    }

    /// All rules of a profile.
    pub(in super::super) fn whole(&mut self, item: Occurrence<'d>, profile: &Arc<Profile>) {
        let key = (item.at.id(), Arc::as_ptr(profile) as usize);
        if self.open_profiles.len() >= DEPTH || !self.seen_profiles.insert(key) {
            return;
        }
        if self.repeats_a_trial(key) {
            return;
        }
        let actual = item.type_name;
        if item.value.is_some_and(|value| value.get(name::RESOURCE_TYPE).is_some())
            && !self.types.is_subtype(actual, profile.type_name)
        {
            let message = format!(
                "the profile {} is one of {}; this is another type of resource",
                profile.url, profile.type_name
            );
            return self.report(item.at, item.at, Rule::Profile.error(IssueType::Structure, message));
        }
        self.open_profiles.push(key);
        let outer = self.scope.resource;
        let root = self.scope.root;
        if self.resources_met != 1
            && let Some(at) = self.resources().around(item.at)
        {
            let index = self.resources();
            let of = |at: usize| index.list.get(at).map_or(outer, |it| it.value.id());
            (self.scope.resource, self.scope.root) = (of(at), of(index.container(at)));
        }
        self.rules(item, profile, 0);
        (self.scope.resource, self.scope.root) = (outer, root);
        self.open_profiles.pop();
    }

    /// True where the value obeys the profile; unknown profiles are obeyed by nothing.
    pub(super) fn obeys(&mut self, item: Occurrence<'d>, canonical: &str) -> bool {
        let Ok(profile) = self.profiles.get(self.types, canonical) else { return false };
        self.obeys_profile(item, &profile)
    }

    /// True where the value obeys the profile.
    pub(in super::super) fn obeys_profile(&mut self, item: Occurrence<'d>, profile: &Arc<Profile>) -> bool {
        let key = (item.at.id(), Arc::as_ptr(profile) as usize);
        if let Some(known) = self.judged.get(&key) {
            return known.obeys;
        }
        if self.open_profiles.contains(&key) || self.open_profiles.len() >= DEPTH {
            return true;
        }
        let judgement = self.trial(|walk| walk.whole(item, profile));
        let obeys = judgement.obeys;
        self.judged.insert(key, judgement);
        obeys
    }

    /// Takes over what a trial found for this pair. Where the trial looked at something that has been looked at
    /// since, what it found counts in part only, and the answer is false.
    fn repeats_a_trial(&mut self, key: (NodeId, usize)) -> bool {
        let Some(judgement) = self.judged.get_mut(&key) else { return false };
        let Some(found) = judgement.found.take() else { return false };
        // A trial does not tell unknown codes by their systems.
        if found.unknown_codes > 0 && self.settings.unknown_systems {
            return false;
        }
        if found.seen.iter().any(|it| *it != key && self.seen_profiles.contains(it)) {
            return false;
        }
        self.seen_profiles.extend(found.seen);
        self.unknown_codes += found.unknown_codes;
        self.unchecked_invariants += found.unchecked_invariants;
        for finding in found.findings {
            self.note(finding);
        }
        true
    }

    /// True where the rules of one node hold.
    pub(super) fn satisfies(
        &mut self,
        item: Occurrence<'d>,
        profile: &Arc<Profile>,
        node: NodeNumber,
    ) -> bool {
        self.trial(|walk| walk.rules(item, profile, node)).obeys
    }

    /// True where `check` finds no error. What it finds is not noted.
    pub(in super::super) fn finds_nothing(&mut self, check: impl FnOnce(&mut Self)) -> bool {
        self.trial(check).obeys
    }

    /// Whether `check` finds an error. What it finds is not noted.
    fn trial(&mut self, check: impl FnOnce(&mut Self)) -> Judgement {
        let findings = std::mem::take(&mut self.findings);
        let seen = std::mem::take(&mut self.seen_profiles);
        let full = std::mem::replace(&mut self.full, false);
        let unknown_codes = std::mem::replace(&mut self.unknown_codes, 0);
        let unchecked = std::mem::replace(&mut self.unchecked_invariants, 0);
        self.trials += 1;
        check(self);
        self.trials -= 1;
        let ended = std::mem::replace(&mut self.full, full);
        let found = Found {
            findings: std::mem::replace(&mut self.findings, findings),
            unknown_codes: std::mem::replace(&mut self.unknown_codes, unknown_codes),
            unchecked_invariants: self.unchecked_invariants,
            seen: std::mem::replace(&mut self.seen_profiles, seen),
        };
        self.unchecked_invariants += unchecked;
        // What the definitions lack is no fault of the value.
        let is_fault = |it: &Finding| it.fault.severity.is_error() && it.fault.rule != Rule::Definition;
        Judgement { obeys: !found.findings.iter().any(is_fault), found: (!ended).then_some(found) }
    }

    /// The rules of one node on one element.
    pub(in super::super) fn rules(
        &mut self,
        item: Occurrence<'d>,
        profile: &Arc<Profile>,
        number: NodeNumber,
    ) {
        self.rules_in(None, item, profile, number);
    }

    /// The same for what stands in the extension `around`.
    fn rules_in(
        &mut self,
        around: Option<Occurrence<'d>>,
        item: Occurrence<'d>,
        profile: &Arc<Profile>,
        number: NodeNumber,
    ) {
        let Some(node) = profile.node(number) else { return };
        if self.full {
            return;
        }
        // The value is what the definition of an extension is about: of another type, the whole is at fault.
        self.typed(item, around.unwrap_or(item), profile, node);
        value_rule::check(self, item, profile, node);
        if node.must_have_value || !node.value_alternatives.is_empty() {
            obligation::check(self, item, profile, node);
        }
        let own = if number == 0 { profile.type_name } else { item.type_name };
        for rule in &node.invariants {
            invariant::check(self, rule, item.value, item.twin, own.text(), Some(&profile.url));
        }
        let extension = Some(item).filter(|_| own.text() == "Extension");
        for child in &node.children {
            let items = item.children(child);
            self.counted(item, items.len(), profile, child.node);
            if items.is_empty() && self.settings.must_support {
                self.unsupported(item, profile, child.node);
            }
            for it in &items {
                self.rules_in(extension, *it, profile, child.node);
            }
            slice::check(self, item, &items, profile, child.node, &child.name);
            if self.full {
                return;
            }
        }
    }

    /// Mentions an element that the profile marks as `mustSupport` and that does not stand.
    #[cold]
    fn unsupported(&mut self, parent: Occurrence<'d>, profile: &Profile, number: NodeNumber) {
        let Some(node) = profile.node(number).filter(|node| node.must_support) else { return };
        let message =
            format!("{} is absent, and the profile {} marks it as must support", node.id, profile.url);
        let severity = IssueSeverity::Information;
        let fault = Fault { rule: Rule::Profile, severity, code: IssueType::Informational, message };
        self.report(parent.at, parent.at, fault);
    }

    fn counted(&mut self, parent: Occurrence<'d>, found: usize, profile: &Profile, number: NodeNumber) {
        let Some(node) = profile.node(number) else { return };
        let bounds = Cardinality { min: node.min.unwrap_or(0), max: node.max.unwrap_or(Max::Unbounded) };
        if bounds.allows(found) {
            return;
        }
        let code = if found < bounds.min as usize { IssueType::Required } else { IssueType::Structure };
        let message = if bounds.max == Max::Count(0) {
            format!("the profile {} does not allow {}", profile.url, node.id)
        } else {
            format!("{} stands {found} times; the profile {} allows {}", node.id, profile.url, bounds.shown())
        };
        self.report(parent.at, parent.at, Rule::Cardinality.error(code, message));
    }

    /// Its type is one that the profile allows, and obeys that type's profile.
    fn typed(&mut self, item: Occurrence<'d>, culprit: Occurrence<'d>, profile: &Profile, node: &Node) {
        if node.types.is_empty() {
            return;
        }
        let actual = item.type_name;
        let types = self.types;
        let fits = || {
            node.types.iter().filter(|it| {
                actual == Name::UNKNOWN || it.name == Name::UNKNOWN || types.is_subtype(actual, it.name)
            })
        };
        if fits().next().is_none() {
            let names: Vec<&str> = node.types.iter().map(|it| it.name.text()).collect();
            let message =
                format!("the profile {} allows {} here as {} only", profile.url, node.id, names.join(", "));
            return self.report(culprit.at, item.at, Rule::Type.error(IssueType::Structure, message));
        }
        let named: Vec<&str> = fits().flat_map(|it| it.profiles.iter()).map(|it| &**it).collect();
        if !named.is_empty() && fits().all(|it| !it.profiles.is_empty()) {
            self.one_of(item, &named, &node.id);
        }
        if fits().all(|it| !it.aggregation.is_empty()) {
            let allowed: Vec<_> = fits().flat_map(|it| it.aggregation.iter()).copied().collect();
            aggregation::check(self, item, &allowed, &node.id);
        }
        let targets: Vec<&str> = fits().flat_map(|it| it.targets.iter()).map(|it| &**it).collect();
        if !targets.is_empty() {
            target::check(self, item, &targets, &node.id);
        }
    }

    /// The value obeys one of the profiles at least. Profiles that aren't at hand can't be held against it.
    fn one_of(&mut self, item: Occurrence<'d>, named: &[&str], id: &str) {
        let known: Vec<_> =
            named.iter().filter_map(|canonical| self.profiles.get(self.types, canonical).ok()).collect();
        if known.len() < named.len() {
            // What an extension must be is said where extensions are checked.
            if let [missing] = named
                && item.type_name.text() != "Extension"
            {
                let message = format!(
                    "{id} must obey the profile {}, which is not at hand: bring its package or definition",
                    plain(missing)
                );
                self.report(item.at, item.at, Rule::Definition.error(IssueType::NotFound, message));
            }
            return;
        }
        if let [only] = known.as_slice() {
            return self.whole(item, only);
        }
        if !known.iter().any(|profile| self.obeys_profile(item, profile)) {
            let message = format!("this obeys none of the profiles that {id} allows: {}", named.join(", "));
            self.report(item.at, item.at, Rule::Profile.error(IssueType::Structure, message));
            // And why not.
            for profile in &known {
                self.whole(item, profile);
            }
        }
    }

    /// True where the value obeys the profile with this canonical.
    pub fn obeys_canonical(&mut self, value: Value<'d>, canonical: &str) -> bool {
        self.obeys(Occurrence::of(value), canonical)
    }
}

/// A canonical from an instance as a message may repeat it.
pub(in super::super) fn plain(canonical: &str) -> String {
    canonical.chars().filter(|c| !c.is_control()).take(200).collect()
}
