//! Read and search of AuditEvent (FHIR R4 §6.5.6), answered from the gateway's own trail.
//!
//! `system/AuditEvent.rs` is for those who review accesses; a patient's own token sees the records about that patient
//! alone. Pages are linked by sealed links, as those of other searches are; a page may be short and still have a next
//! one, since a search looks through the trail for a bounded time.

use fhir_models::document::{Limits, OwnedDocument, name};
use http::StatusCode;
use varco_core::interaction::{Id, Interaction, Search, TotalWanted};

use super::Refusal;
use super::answer::Answer;
use super::exchange::Exchange;
use super::own::kept;
use super::page::Page;
use super::search::Entry;
use super::trail_search::trail_search;
use crate::store::{TrailCondition, TrailPage, TrailSearch};

pub(super) use super::trail_search::PARAMETERS;

/// Most audit records on a page.
const LARGEST_PAGE: usize = 1_000;

/// Answers about AuditEvents. `after` is where the page before ended, or 0; `only` is the patient to whose records
/// the caller is held.
pub(super) async fn audit(
    exchange: &mut Exchange<'_>,
    interaction: Interaction,
    after: usize,
    only: Option<&Id>,
) -> Result<Answer, Refusal> {
    let own = only.map(|patient| format!("Patient/{}", patient.as_str()));
    match interaction {
        Interaction::Read(instance) => {
            let id = TrailCondition::Ids(vec![instance.id.as_str().to_owned()]);
            let wanted = TrailSearch { conditions: vec![id], most: 1, ..TrailSearch::default() };
            let found = find(exchange, held_to(wanted, own)).await?;
            let body = found.records.into_iter().next().ok_or(Refusal::Absent)?;
            Ok(Answer::fhir(StatusCode::OK, body))
        }
        Interaction::SearchType(search) => {
            let zone = &exchange.gateway.reading.zone;
            let mut wanted = trail_search(&search, exchange.account.received, zone)?;
            exchange.account.patients.extend(patients_of(&wanted).or(own.clone()));
            let default = exchange.gateway.config.limits.page_size;
            wanted.most = search.count.map_or(default, |count| count as usize).min(LARGEST_PAGE);
            wanted.after = i64::try_from(after).ok().filter(|after| *after > 0);
            let first = wanted.after.is_none();
            let found = find(exchange, held_to(wanted, own)).await?;
            searchset(exchange, &search, found, first)
        }
        _ => Err(Refusal::NotServed("Audit records are read and searched; nobody writes them from outside.")),
    }
}

/// The one patient that is searched for.
fn patients_of(wanted: &TrailSearch) -> Option<String> {
    let keys = wanted.conditions.iter().find_map(|condition| match condition {
        TrailCondition::Patients(keys) => Some(keys),
        _ => None,
    })?;
    keys.first().filter(|_| keys.len() == 1).cloned()
}

fn held_to(mut wanted: TrailSearch, own: Option<String>) -> TrailSearch {
    wanted.conditions.extend(own.map(|patient| TrailCondition::Patients(vec![patient])));
    wanted
}

async fn find(exchange: &Exchange<'_>, wanted: TrailSearch) -> Result<TrailPage, Refusal> {
    exchange.gateway.store.search_trail(&wanted).await.map_err(Refusal::Store)
}

/// The page as a searchset. A total is told where the first page is the only one.
fn searchset(
    exchange: &mut Exchange<'_>,
    search: &Search,
    found: TrailPage,
    first: bool,
) -> Result<Answer, Refusal> {
    let base = exchange.gateway.config.site.base();
    let query = search.self_query();
    let mark = if query.is_empty() { "" } else { "?" };
    let mut links = vec![("self", format!("{base}/AuditEvent{mark}{query}"))];
    if let Some(next) = found.next.and_then(|next| usize::try_from(next).ok()) {
        let now = u64::try_from(exchange.account.received.as_second()).unwrap_or_default();
        let page = Page { query, offset: next };
        let sealed = exchange.gateway.seal.seal(&page, "AuditEvent", &exchange.requester, now);
        links.push(("next", format!("{base}/AuditEvent?_page={}", sealed.ok_or(Refusal::PageLink)?)));
    }
    let told = first && found.next.is_none() && search.total != Some(TotalWanted::None);
    let total = told.then_some(found.records.len());
    let entries: Vec<Entry> = found
        .records
        .into_iter()
        .filter_map(|body| {
            let document = OwnedDocument::parse_json(body, &Limits::default()).ok()?;
            let id = document.root().str_of(name::ID)?.into_owned();
            Some(kept(format!("AuditEvent/{id}"), document.text().as_bytes().to_vec()))
        })
        .collect();
    exchange.account.released.extend(entries.iter().map(|entry| entry.reference.clone()));
    Ok(Answer::fhir(StatusCode::OK, super::search::bundle(&links, total, &entries, base)))
}
