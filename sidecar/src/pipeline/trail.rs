//! Read and search of AuditEvent (FHIR R4 §6.5.6), answered from the gateway's own trail.
//!
//! `system/AuditEvent.rs` is for those who review accesses; a patient's own token (`patient/AuditEvent.rs`) sees the records
//! about that patient alone, without what they say of others. Pages are linked by sealed links, as those of other searches are; a page may be short and still have a next
//! one, since a search looks through the trail for a bounded time.

use fhir_models::document::{Edits, JsonWriter, Limits, OwnedDocument, Value, name};
use http::StatusCode;
use varco_core::audit::Access;
use varco_core::interaction::{Interaction, Search, TotalWanted};

use super::Refusal;
use super::answer::Answer;
use super::exchange::Exchange;
use super::own::kept;
use super::page::Page;
use super::search::Entry;
use super::trail_search::trail_search;
use crate::store::{StoreError, TrailCondition, TrailPage, TrailSearch};

pub(super) use super::trail_search::PARAMETERS;

/// Most audit records on a page.
const LARGEST_PAGE: usize = 1_000;

/// Answers about AuditEvents. `after` is where the page before ended, or 0.
pub(super) async fn audit(
    exchange: &mut Exchange<'_>,
    interaction: Interaction,
    after: usize,
) -> Result<Answer, Refusal> {
    let own = exchange.confined_to.as_ref().map(|patient| format!("Patient/{}", patient.as_str()));
    match interaction {
        // Whom a record is about is told by its key alone: a token that is about one patient has to search by it.
        Interaction::Read(_) if exchange.requester.person.is_some() => Err(Refusal::Absent),
        Interaction::Read(instance) => {
            let id = TrailCondition::Ids(vec![instance.id.as_str().to_owned()]);
            let wanted = TrailSearch { conditions: vec![id], most: 1, ..TrailSearch::default() };
            let found = find(exchange, held_to(wanted, own)).await?;
            let body = found.records.into_iter().next().ok_or(Refusal::Absent)?;
            let body = if exchange.confined_to.is_some() { for_patient(body)? } else { body };
            Ok(Answer::fhir(StatusCode::OK, body))
        }
        Interaction::SearchType(search) => {
            let zone = &exchange.gateway.reading.zone;
            let mut wanted = trail_search(&search, exchange.account.received, zone)?;
            if own.is_some() && wanted.conditions.iter().any(is_about_entities) {
                return Err(Refusal::NotServed(
                    "With a patient's own token, records are not searched by `entity`.",
                ));
            }
            if exchange.requester.person.is_some() {
                let asked = patient_of(&wanted);
                let theirs = match &asked {
                    Some(patient) => exchange.may_ask_about(patient).await?,
                    None => false,
                };
                if !theirs {
                    wanted.conditions.push(TrailCondition::Ids(Vec::new()));
                }
            }
            exchange.account.patients.extend(own.clone().or_else(|| patient_of(&wanted)));
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

/// A search by what a patient's own view of a record leaves out would tell of it.
fn is_about_entities(condition: &TrailCondition) -> bool {
    matches!(condition, TrailCondition::Term { parameter, .. } if parameter.starts_with("entity"))
}

/// The one patient that is searched for.
fn patient_of(wanted: &TrailSearch) -> Option<String> {
    wanted.conditions.iter().find_map(TrailCondition::patient)
}

fn held_to(mut wanted: TrailSearch, own: Option<String>) -> TrailSearch {
    wanted.conditions.extend(own.map(|patient| TrailCondition::patients([patient.as_str()])));
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
    let mut entries: Vec<Entry> = Vec::with_capacity(found.records.len());
    for body in found.records {
        let body = if exchange.confined_to.is_some() { for_patient(body)? } else { body };
        let document = parsed(body)?;
        let id = document.root().str_of(name::ID).unwrap_or_default().into_owned();
        entries.push(kept(format!("AuditEvent/{id}"), document.text().as_bytes().to_vec()));
    }
    exchange.account.released.extend(entries.iter().map(|entry| entry.reference.clone()));
    Ok(Answer::fhir(StatusCode::OK, super::search::bundle(&links, total, &entries, base)))
}

fn parsed(body: Vec<u8>) -> Result<OwnedDocument, Refusal> {
    let unreadable = |_| Refusal::Store(StoreError::Database("an audit record can't be read".to_owned()));
    OwnedDocument::parse_json(body, &Limits::default()).map_err(unreadable)
}

/// A record as the patient it is about gets it. One request may have concerned several patients: what was asked, the
/// consents that decided and what was counted are of all of them, and are left out.
fn for_patient(body: Vec<u8>) -> Result<Vec<u8>, Refusal> {
    let document = parsed(body)?;
    let root = document.root();
    let mut edits = Edits::new(root.document());
    for entity in root.get_key("entity").into_iter().flat_map(Value::items) {
        let code = |key: &str| Some(entity.get_key(key)?.get_key("code")?.as_str()?.into_owned());
        match (code("role").as_deref(), code("type").as_deref()) {
            (Some("1" | "4"), _) | (_, Some("XrequestId")) => {}
            (Some("24"), _) => {
                // What kind of data was searched is the patient's to know; how it was searched is not.
                let mut json = JsonWriter::new();
                json.string(&Access::of(root).categories.join(", "));
                entity.get_key("query").into_iter().for_each(|query| edits.remove(query));
                edits.append(entity, &[b"\"name\":".as_slice(), &json.into_bytes()].concat());
            }
            _ => edits.remove(entity),
        }
    }
    if edits.is_empty() {
        return Ok(document.text().as_bytes().to_vec());
    }
    // Without these parts it may not follow its BALP profile any more.
    if let Some(meta) = root.get(name::META) {
        edits.remove(meta);
    }
    Ok(edits.apply())
}
