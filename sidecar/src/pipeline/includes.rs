//! `_include` and `_revinclude` (FHIR R4 §3.1.1.5.4): what comes along with a page of matches.
//!
//! Invariant: each resource that comes along was found by a search of its type by this caller and judged like any
//! match. A hidden one is not there, and nothing is found by way of it. Types that the scopes don't cover don't come
//! along; an include that names such a type was refused.

use std::collections::{BTreeMap, BTreeSet};

use varco_core::access::{ScopeDecision, Scopes};
use varco_core::interaction::{Id, Include, ResourceType, Search};

use super::Refusal;
use super::exchange::Exchange;
use super::joins::{by_ids, read, references, to};
use super::search::{Match, gather};

/// How often `:iterate` goes on from what was included.
pub(super) const MOST_ROUNDS: usize = 4;
/// The most resources that come along with one page.
pub(super) const MOST_INCLUDED: usize = 1_000;
/// How many ids or references one search to the server holds.
pub(super) const AT_A_TIME: usize = 100;

/// True for resources that the gateway keeps itself: what the hospital's server has of them counts for nothing.
pub(super) fn is_own(resource_type: &ResourceType) -> bool {
    matches!(resource_type.as_str(), "Consent" | "AuditEvent")
}

/// Refuses an include along a reference that can't be followed.
pub(super) fn check(exchange: &Exchange<'_>, search: &Search) -> Result<(), Refusal> {
    let schema = &exchange.gateway.schema;
    for include in search.includes.iter().filter(|include| !include.reverse) {
        if let varco_core::interaction::IncludePath::Parameter { source, .. } = &include.path
            && include.parameters(schema, source).iter().any(|parameter| parameter.paths.is_none())
        {
            return Err(Refusal::NotServed(
                "The reference of this `_include` is more than a path of elements; it is not followed.",
            ));
        }
    }
    Ok(())
}

/// What comes along with a page of matches.
pub(super) async fn gather_included(
    exchange: &mut Exchange<'_>,
    includes: &[Include],
    page: &[Match],
) -> Result<Vec<Match>, Refusal> {
    let mut along: Vec<Match> = Vec::new();
    if includes.is_empty() {
        return Ok(along);
    }
    let mut seen: BTreeSet<String> = page.iter().map(|found| found.reference.clone()).collect();
    let mut fresh = 0;
    for round in 0..=MOST_ROUNDS {
        let from = if round == 0 { page } else { along.get(fresh..).unwrap_or_default() };
        if from.is_empty() {
            break;
        }
        let searches = searches(exchange, includes, from, &seen, round > 0)?;
        fresh = along.len();
        for search in searches {
            for found in gather(exchange, &search).await? {
                if seen.insert(found.reference.clone()) {
                    along.push(found);
                }
            }
            if along.len() > MOST_INCLUDED {
                return Err(Refusal::TooBroad(MOST_INCLUDED));
            }
        }
    }
    Ok(along)
}

/// The searches that find what comes along with these resources.
fn searches(
    exchange: &Exchange<'_>,
    includes: &[Include],
    from: &[Match],
    seen: &BTreeSet<String>,
    again: bool,
) -> Result<Vec<Search>, Refusal> {
    let schema = &exchange.gateway.schema;
    let scopes = Scopes::of(exchange.requester.scopes.iter().map(String::as_str));
    let context = exchange.confined_to.as_ref();
    let mut may: BTreeMap<ResourceType, bool> = BTreeMap::new();
    let mut may_read = |own: &ResourceType| {
        let allowed = || scopes.allows_search_of(own, context) != ScopeDecision::Denied && !is_own(own);
        *may.entry(own.clone()).or_insert_with(allowed)
    };
    let mut wanted: BTreeMap<ResourceType, BTreeSet<Id>> = BTreeMap::new();
    let mut searches = Vec::new();
    for include in includes.iter().filter(|include| include.iterate || !again) {
        if include.reverse {
            let Some(source) = include.named_type().filter(|source| may_read(source)) else { continue };
            for parameter in include.parameters(schema, source) {
                let leads = |found: &&Match| {
                    let own = found.reference.split('/').next().unwrap_or_default();
                    parameter.targets.iter().any(|target| **target == *own)
                };
                let referred: Vec<&str> =
                    from.iter().filter(leads).map(|found| found.reference.as_str()).collect();
                for some in referred.chunks(AT_A_TIME) {
                    let criterion = to(exchange, source, &parameter.name, some)?;
                    searches.push(Search { criteria: vec![criterion], ..Search::all(source.clone()) });
                }
            }
            continue;
        }
        for found in from {
            let own = found.reference.split('/').next().and_then(|own| schema.resource_type(own));
            let Some(own) = own else { continue };
            let parameters = include.parameters(schema, &own);
            if parameters.is_empty() {
                continue;
            }
            let document = read(&found.json)?;
            for parameter in parameters {
                let Some(paths) = &parameter.paths else { continue };
                for (target, id) in references(exchange, document.root(), paths) {
                    let fits = parameter.targets.iter().any(|own| **own == *target.as_str())
                        && include.named_type().is_none_or(|named| *named == target)
                        && !seen.contains(&format!("{target}/{}", id.as_str()));
                    if fits && may_read(&target) {
                        wanted.entry(target).or_default().insert(id);
                    }
                }
            }
        }
    }
    for (target, ids) in wanted {
        let ids: Vec<Id> = ids.into_iter().collect();
        searches.extend(ids.chunks(AT_A_TIME).map(|some| by_ids(&target, some)));
    }
    Ok(searches)
}
