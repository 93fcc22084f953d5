//! The history of a type or of the whole server (FHIR R4 §3.1.0.12).
//!
//! Invariant: the answer is the histories of single resources ([`super::history`]) laid side by side, newest first:
//! the versions of one resource leave all or none, and total, pages and links are those of a world without the
//! hidden ones. A resource of which the server's list may not show every version, as after `_since`, is asked for by
//! itself: a version that isn't listed may hold the strictest label.

use std::collections::HashMap;

use fhir_models::document::{Value, name};
use http::StatusCode;
use varco_core::interaction::{History, HistoryOf, Id, Instance};

use super::answer::Answer;
use super::exchange::Exchange;
use super::history::{self, Version, Versions};
use super::{Refusal, includes, paging, search};
use crate::upstream::UpstreamError;

/// The history of many resources; `offset` visible versions stood on the pages before.
pub(super) async fn timeline(
    exchange: &mut Exchange<'_>,
    asked: History,
    offset: usize,
) -> Result<Answer, Refusal> {
    let most = exchange.gateway.config.limits.search_matches;
    let listing = History { since: asked.since.clone(), ..History::all(asked.of.clone()) };
    let pages = history::pages(exchange, listing, most.saturating_mul(search::HIDDEN_FACTOR)).await?;
    let entries = pages.iter().flat_map(|page| search::entries(page.root()));
    let mut visible: Vec<(usize, usize, Version)> = Vec::new();
    let mut judgements = Vec::new();
    for Listed { instance, entries, places } in by_resource(exchange, &asked.of, entries)? {
        // Deleted: the history of this resource alone is not answered either.
        if entries.first().is_some_and(|newest| newest.get(name::RESOURCE).is_none()) {
            continue;
        }
        let versions = if begins_with_creation(&entries, asked.since.is_some()) {
            history::of_entries(exchange, &instance, None, &entries).await
        } else {
            history::versions(exchange, &instance).await
        };
        let mut versions: Versions = match versions {
            Ok(versions) => versions,
            Err(Refusal::Absent) => continue,
            Err(refusal) => return Err(refusal),
        };
        let at = judgements.len();
        let judgement = std::mem::take(&mut versions.judgement);
        judgements.push((format!("{}/{}", instance.resource_type, instance.id.as_str()), Some(judgement)));
        let wanted = versions.wanted(&asked, &exchange.gateway.reading.zone);
        let place = |newer: usize| places.get(newer).copied().unwrap_or(usize::MAX);
        visible.extend(wanted.map(|(newer, version)| (place(newer), at, version)));
        if visible.len() > most {
            return Err(Refusal::TooBroad(most));
        }
    }
    visible.sort_by_key(|(place, ..)| *place);
    let path = match &asked.of {
        HistoryOf::Type(resource_type) => format!("{resource_type}/_history"),
        _ => "_history".to_owned(),
    };
    let total = visible.len();
    let cut = paging::cut(exchange, &path, asked.self_query(), total, asked.count, offset)?;
    let (of, page): (Vec<usize>, Vec<Version>) =
        visible.into_iter().skip(cut.range.start).take(cut.range.len()).map(|(_, at, it)| (at, it)).unzip();
    exchange.inspect_response(page.iter().filter_map(|version| version.json.as_deref())).await?;
    for at in of {
        if let Some((reference, judgement)) = judgements.get_mut(at)
            && let Some(judgement) = judgement.take()
        {
            exchange.release(std::mem::take(reference), judgement);
        }
    }
    let base = exchange.gateway.config.site.base();
    Ok(Answer::fhir(StatusCode::OK, history::bundle(&cut.links, total, &page, base)))
}

/// What the server lists of one resource.
struct Listed<'d> {
    instance: Instance,
    /// Its entries, newest first.
    entries: Vec<Value<'d>>,
    /// Where each of them stands in the list.
    places: Vec<usize>,
}

/// The entries of each resource. What the gateway keeps itself and types that FHIR R4 does not have are left aside.
fn by_resource<'d>(
    exchange: &Exchange<'_>,
    of: &HistoryOf,
    entries: impl Iterator<Item = Value<'d>>,
) -> Result<Vec<Listed<'d>>, Refusal> {
    let mut groups: Vec<Listed<'d>> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let not_fhir = |what: &str| Refusal::Upstream(UpstreamError::NotFhir(what.to_owned()));
    for (place, entry) in entries.enumerate() {
        let named = named(entry).ok_or_else(|| not_fhir("a history entry that names no resource"))?;
        if let Some(own) = known.get(&named).and_then(|at| groups.get_mut(*at)) {
            own.entries.push(entry);
            own.places.push(place);
            continue;
        }
        let (kind, id) = named.split_once('/').unwrap_or_default();
        let Some(resource_type) = exchange.gateway.schema.resource_type(kind) else { continue };
        match of {
            HistoryOf::Type(own) if *own != resource_type => {
                return Err(not_fhir("a history of another type"));
            }
            _ if includes::is_own(&resource_type) => continue,
            _ => {}
        }
        let id = Id::parse(id).ok_or_else(|| not_fhir("a history entry whose id is none"))?;
        known.insert(named.clone(), groups.len());
        let instance = Instance { resource_type, id };
        groups.push(Listed { instance, entries: vec![entry], places: vec![place] });
    }
    Ok(groups)
}

/// `[type]/[id]` of an entry: of its resource, else of what was deleted.
fn named(entry: Value<'_>) -> Option<String> {
    if let Some(resource) = entry.get(name::RESOURCE) {
        return Some(format!("{}/{}", resource.resource_type()?, resource.str_of(name::ID)?));
    }
    let request = entry.get_key("request").and_then(|request| request.get_key("url")?.as_str());
    let url = request.or_else(|| entry.str_of(name::FULL_URL))?;
    let mut parts = url.rsplit('/');
    let (id, kind) = (parts.next()?, parts.next()?);
    Some(format!("{kind}/{id}"))
}

/// Whether the oldest entry made the resource, so that none is missing before it. After `_since` only a create counts:
/// an update that creates may bring back what was deleted before.
fn begins_with_creation(entries: &[Value<'_>], since: bool) -> bool {
    let Some(oldest) = entries.last() else { return false };
    let text = |part: &str, member: &str| oldest.get_key(part).and_then(|own| own.get_key(member)?.as_str());
    let created = text("request", "method").is_some_and(|method| method == "POST");
    created || (!since && text("response", "status").is_some_and(|status| status.starts_with("201")))
}
