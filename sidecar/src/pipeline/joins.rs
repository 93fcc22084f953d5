//! Chains and `_has`, carried out hop by hop from their far end (FHIR R4 §3.1.1.4.15, §3.1.1.4.16).
//!
//! Invariant: each hop is a search of its type by this caller, so a hidden resource meets no criterion and leads
//! nowhere, as if it did not exist. The server behind never sees a join: it would evaluate it over everything.

use std::collections::BTreeSet;

use fhir_models::document::{Limits, OwnedDocument, Value, name};
use varco_core::access::{ElementPath, ScopeDecision, Scopes};
use varco_core::interaction::{Beyond, Criterion, Hop, Id, Join, MOST_VALUES, ResourceType, Search};

use super::exchange::Exchange;
use super::search::{Match, gather};
use super::{Gateway, Refusal, includes};

/// Refuses joins over types that the caller's scopes don't cover or that the hospital's server does not keep.
pub(super) fn permit(exchange: &Exchange<'_>, search: &Search) -> Result<(), Refusal> {
    let scopes = Scopes::of(exchange.requester.scopes.iter().map(String::as_str));
    for (resource_type, _) in search.joined_reads() {
        if includes::is_own(resource_type) {
            return Err(Refusal::NotServed(
                "Consents and audit records are the gateway's own: no search joins them to other resources.",
            ));
        }
        if scopes.allows_search_of(resource_type, exchange.confined_to.as_ref()) == ScopeDecision::Denied {
            return Err(Refusal::Scope);
        }
    }
    Ok(())
}

/// The search with criteria of its own in the place of its joins; `None` where nothing can match. The caller
/// has seen to [`permit`].
pub(super) async fn resolve(
    exchange: &mut Exchange<'_>,
    mut search: Search,
) -> Result<Option<Search>, Refusal> {
    for join in std::mem::take(&mut search.joins) {
        let hops = hops(&join);
        let mut found: Option<Vec<Match>> = None;
        for (at, (hop, beyond)) in hops.iter().enumerate().rev() {
            let there = hop.resource_type();
            let mut far = Search::all(there.clone());
            match beyond {
                Beyond::Ids(ids) => far.ids = ids.clone(),
                Beyond::Criterion(criterion) => far.criteria.push(criterion.clone()),
                Beyond::Join(next) => {
                    let met = found.take().unwrap_or_default();
                    if !lead(exchange, &mut far, &next.hop, &met)? {
                        return Ok(None);
                    }
                }
            }
            let met = gather(exchange, &far).await?;
            if at == 0 {
                if !lead(exchange, &mut search, hop, &met)? {
                    return Ok(None);
                }
            } else {
                found = Some(met);
            }
        }
    }
    Ok(Some(search))
}

/// The hops of a join, nearest first, with what stands beyond each.
fn hops(join: &Join) -> Vec<(&Hop, &Beyond)> {
    let mut all = vec![(&join.hop, &join.beyond)];
    let mut at = join;
    while let Beyond::Join(further) = &at.beyond {
        all.push((&further.hop, &further.beyond));
        at = further;
    }
    all
}

/// Narrows a search to what a hop connects with the resources found on its other side; false where nothing is.
fn lead(exchange: &Exchange<'_>, search: &mut Search, hop: &Hop, met: &[Match]) -> Result<bool, Refusal> {
    match hop {
        Hop::Along { parameter, .. } => {
            if met.is_empty() {
                return Ok(false);
            }
            let references: Vec<&str> = met.iter().map(|found| found.reference.as_str()).collect();
            search.criteria.push(to(exchange, &search.resource_type, parameter, &references)?);
        }
        Hop::Against { source, parameter } => {
            let paths =
                exchange.gateway.schema.parameter(source, parameter).and_then(|own| own.paths.as_ref());
            let paths = paths.ok_or(Refusal::NotServed(
                "The reference of this `_has` is more than a path of elements; it is not followed.",
            ))?;
            let mut ids = BTreeSet::new();
            for found in met {
                let document = read(&found.json)?;
                for (resource_type, id) in references(exchange, document.root(), paths) {
                    if resource_type == search.resource_type {
                        ids.insert(id);
                    }
                }
            }
            let met: Vec<Id> = match search.ids.is_empty() {
                true => ids.into_iter().collect(),
                false => search.ids.iter().filter(|id| ids.contains(id)).cloned().collect(),
            };
            if met.is_empty() {
                return Ok(false);
            }
            if met.len() > MOST_VALUES {
                return Err(Refusal::TooBroad(MOST_VALUES));
            }
            search.ids = met;
        }
    }
    Ok(true)
}

/// The criterion that a reference leads to one of these resources.
pub(super) fn to(
    exchange: &Exchange<'_>,
    from: &ResourceType,
    parameter: &str,
    references: &[&str],
) -> Result<Criterion, Refusal> {
    if references.len() > MOST_VALUES {
        return Err(Refusal::TooBroad(MOST_VALUES));
    }
    Criterion::parse(&exchange.gateway.schema, from, parameter, &references.join(","))
        .map_err(Refusal::Interaction)
}

/// A resource that was found, read again.
pub(super) fn read(json: &[u8]) -> Result<OwnedDocument, Refusal> {
    let limits = Limits { bytes: usize::MAX, ..Limits::default() };
    OwnedDocument::parse_json(json, &limits).map_err(|_| Refusal::Internal)
}

/// The resources of this server that stand at these paths, each as often as it is referred to. A version in a
/// reference is left aside.
pub(super) fn references(
    exchange: &Exchange<'_>,
    resource: Value<'_>,
    paths: &[ElementPath],
) -> Vec<(ResourceType, Id)> {
    let values = paths.iter().flat_map(|path| path.values(resource));
    values.filter_map(|value| local(exchange.gateway, &value.str_of(name::REFERENCE)?)).collect()
}

/// The resource of this server that a reference leads to.
pub(super) fn local(gateway: &Gateway, text: &str) -> Option<(ResourceType, Id)> {
    let absolute = text.contains("://").then(|| {
        let below = |base: &String| text.strip_prefix(base.as_str())?.strip_prefix('/');
        gateway.reading.bases.iter().find_map(below)
    });
    let relative = absolute.unwrap_or(Some(text))?;
    let mut parts = relative.split('/');
    let resource_type = gateway.schema.resource_type(parts.next()?)?;
    let id = Id::parse(parts.next()?)?;
    matches!(parts.next(), None | Some("_history")).then_some((resource_type, id))
}

/// The interaction that reads these resources.
pub(super) fn by_ids(resource_type: &ResourceType, ids: &[Id]) -> Search {
    Search { ids: ids.to_vec(), ..Search::all(resource_type.clone()) }
}
