//! `[limits]` against itself: rules that can be told apart and can take effect.

use std::collections::HashSet;

use fhir_models::definition::Definitions;

use super::limits::{LaneRule, Per};
use super::source::Source;
use super::{Config, Fault};
use crate::limit::{CLIENT_RULE, CONCURRENT_RULE, DAY_RULE};

/// Every fault of the section.
pub(super) fn faults(config: &Config, source: &Source<'_>, faults: &mut Vec<Fault>) {
    let limits = &config.limits;
    let mut fault = |setting: &str, cause: String, cure: &str| {
        faults.push(source.fault(&format!("/limits/{setting}"), cause, cure));
    };
    let mut names: HashSet<&str> = HashSet::from([CLIENT_RULE, CONCURRENT_RULE, DAY_RULE]);
    for (at, rule) in limits.rule.iter().enumerate() {
        if !names.insert(&rule.name) {
            let cause = format!("The name {} is taken.", rule.name);
            fault(&format!("rule/{at}/name"), cause, "Give each rule a name of its own: refusals tell it.");
        }
        if rule.per == Per::Operation && rule.interactions.len() == 1 {
            let cause = "One bucket for each of one interaction is one for each client.".to_owned();
            fault(&format!("rule/{at}/per"), cause, "Write per = \"client\", or name more interactions.");
        }
        types(&rule.types, &format!("rule/{at}"), &mut fault);
    }
    let mut counted: HashSet<&str> = HashSet::new();
    for (at, quota) in limits.quota.iter().enumerate() {
        for (number, client) in quota.clients.iter().enumerate().filter(|(_, own)| !counted.insert(own)) {
            let cause = format!("The client {client} has a quota already.");
            fault(&format!("quota/{at}/clients/{number}"), cause, "Let each client stand in one quota.");
        }
    }
    if limits.bulk_places() > limits.concurrent {
        let cause =
            format!("The bulk lane may not have more places than the {} there are.", limits.concurrent);
        fault("concurrent_bulk", cause, "Let it be at most `concurrent`.");
    }
    if !limits.priority.is_empty() && limits.concurrent_priority == 0 {
        let cause = "There are rules for a priority lane that has no place of its own.".to_owned();
        fault("concurrent_priority", cause, "Keep at least one place for it, or remove the rules.");
    }
    let places = limits.concurrent as usize + limits.concurrent_priority as usize;
    if !limits.priority.is_empty() && places > config.upstream.concurrency {
        let cause = format!(
            "{places} requests may be worked on at a time and {} asked of the hospital's server: the priority lane would \
             wait behind others for the hospital's server.",
            config.upstream.concurrency
        );
        let cure = "Let `concurrent` and `concurrent_priority` together be at most upstream.concurrency.";
        fault("concurrent", cause, cure);
    }
    lanes("priority", &limits.priority, &mut fault);
    lanes("bulk", &limits.bulk, &mut fault);
    for (at, route) in config.route.iter().enumerate().filter(|(_, route)| route.cache_seconds > 0) {
        if let Some(never) = route.types.iter().find(|own| NEVER_KEPT.contains(&own.as_str())) {
            let cause = format!("Answers about {never} are never kept.");
            let cure = "Give them a route of their own, without cache_seconds.";
            faults.push(source.fault(&format!("/route/{at}/cache_seconds"), cause, cure));
        }
    }
}

/// Types that no route keeps: genomics, and what this gateway answers itself.
const NEVER_KEPT: &[&str] = &["MolecularSequence", "Consent", "AuditEvent"];

fn lanes(lane: &str, rules: &[LaneRule], fault: &mut impl FnMut(&str, String, &str)) {
    for (at, rule) in rules.iter().enumerate() {
        let LaneRule { clients, scopes, interactions, types: named } = rule;
        if clients.is_empty() && scopes.is_empty() && interactions.is_empty() && named.is_empty() {
            let cause = "The rule says nothing, so every request would be of this lane.".to_owned();
            let cure = "Name clients, scopes, interactions or types.";
            fault(&format!("{lane}/{at}"), cause, cure);
        }
        if lane == "priority" && clients.is_empty() && scopes.is_empty() {
            let cause = "Every caller could take the priority lane by what it asks for.".to_owned();
            let cure = "Name the clients or scopes of those who may: tokens vouch for these.";
            fault(&format!("{lane}/{at}"), cause, cure);
        }
        types(named, &format!("{lane}/{at}"), fault);
    }
}

fn types(named: &[String], place: &str, fault: &mut impl FnMut(&str, String, &str)) {
    let definitions = Definitions::r4();
    for (number, name) in named.iter().enumerate().filter(|(_, name)| !definitions.is_resource(name)) {
        let cause = format!("There is no resource type {name} in FHIR R4.");
        fault(&format!("{place}/types/{number}"), cause, "Correct the name.");
    }
}
