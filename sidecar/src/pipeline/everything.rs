//! `Patient/[id]/$everything` (FHIR R4, operation `Patient-everything`), gathered from plain searches, so that it needs
//! no such operation of the server.
//!
//! What belongs to the patient is found by the compartment's search parameters, type by type; then come the resources
//! that these refer to, directly or by way of others, unless they are another patient's. Invariants: each resource is
//! judged as the match of a search, and nothing is found by way of a hidden one; types that the scopes don't cover stay
//! out. Dates, `_since` and `_type` choose among what was found.

use std::collections::{BTreeMap, BTreeSet};

use fhir_models::document::{Value, name};
use http::StatusCode;
use jiff::Timestamp;
use varco_core::access::{ScopeDecision, Scopes};
use varco_core::interaction::{Criterion, Everything, Id, Interaction, ResourceType, Search};

use super::Refusal;
use super::answer::{Answer, shown_of, text};
use super::exchange::Exchange;
use super::includes::{AT_A_TIME, MOST_INCLUDED, MOST_ROUNDS, is_own};
use super::joins::{by_ids, local, read, to};
use super::map::with_advice;
use super::search::{self, HIDDEN_FACTOR, Match, gather};
use super::view::View;
use crate::upstream::UpstreamError;

/// All that the caller may see of one patient; `offset` resources stood on the pages before.
pub(super) async fn everything(
    exchange: &mut Exchange<'_>,
    asked: Everything,
    offset: usize,
) -> Result<Answer, Refusal> {
    for named in &asked.types {
        if is_own(named) {
            return Err(Refusal::NotServed(
                "Consents and audit records are the gateway's own: they are not part of $everything.",
            ));
        }
        if !may_read(exchange, named) {
            return Err(Refusal::Scope);
        }
    }
    let own = format!("Patient/{}", asked.patient.id.as_str());
    let mut found = Found::up_to(exchange.gateway.config.limits.answer_bytes);
    let patient = itself(exchange, &asked).await?;
    found.add(exchange, patient)?;
    // Where only types of the compartment are asked for, the others need not be searched; where others are too,
    // anything may lead to them.
    let compartment_alone = !asked.types.is_empty()
        && asked.types.iter().all(|own| !exchange.gateway.compartment.found_by(own.as_str()).is_empty());
    let unsearched = of_compartment(exchange, &asked, &own, compartment_alone, &mut found).await?;

    let zone = exchange.gateway.reading.zone.clone();
    let mut matches = Vec::with_capacity(found.matches.len());
    let mut referred = BTreeSet::new();
    for (at, one) in found.matches.into_iter().enumerate() {
        let document = read(&one.json)?;
        if at == 0 || asked.range.holds(document.root(), &zone) {
            referred.extend(references(exchange, document.root()));
            matches.push(one);
        }
    }
    let along = if compartment_alone {
        Vec::new()
    } else {
        referred_to(exchange, &own, referred, found.known, &mut found.bytes).await?
    };

    let since: Option<Timestamp> = asked.since.as_deref().and_then(|since| since.parse().ok());
    let mut entries = Vec::with_capacity(matches.len() + along.len());
    for (one, included) in
        matches.into_iter().map(|it| (it, false)).chain(along.into_iter().map(|it| (it, true)))
    {
        let kind = one.reference.split('/').next().unwrap_or_default();
        let of_type = asked.types.is_empty() || asked.types.iter().any(|own| own.as_str() == kind);
        // At a minimum, the patient itself is answered.
        let kept = one.reference == own || since.is_none_or(|since| changed(&one.json, since));
        if of_type && kept {
            entries.push((one, included));
        }
    }
    let path = format!("{own}/$everything");
    let bundle = search::page_of(exchange, &path, asked.self_query(), asked.count, offset, entries).await?;
    if unsearched.is_empty() {
        return Ok(Answer::fhir(StatusCode::OK, bundle));
    }
    let names: Vec<&str> = unsearched.iter().map(ResourceType::as_str).collect();
    let text = format!("The hospital's server can't search all of these by patient: {}.", names.join(", "));
    Ok(Answer::fhir(StatusCode::OK, with_advice(bundle, text)))
}

/// What was found, each resource once.
#[derive(Default)]
pub(super) struct Found {
    pub matches: Vec<Match>,
    known: BTreeSet<String>,
    /// How many bytes there is room for.
    bytes: usize,
}

impl Found {
    /// Nothing yet, with room for this many bytes.
    pub fn up_to(bytes: usize) -> Found {
        Found { bytes, ..Found::default() }
    }

    /// Adds a resource that is not there yet.
    pub fn add(&mut self, exchange: &Exchange<'_>, one: Match) -> Result<(), Refusal> {
        let most = exchange.gateway.config.limits.search_matches.saturating_mul(HIDDEN_FACTOR);
        if self.known.insert(one.reference.clone()) {
            self.bytes = self.bytes.checked_sub(one.json.len()).ok_or(Refusal::TooBroad(most))?;
            self.matches.push(one);
        }
        if self.matches.len() > most { Err(Refusal::TooBroad(most)) } else { Ok(()) }
    }
}

/// Whether the scopes cover reads and searches of a type.
pub(super) fn may_read(exchange: &Exchange<'_>, resource_type: &ResourceType) -> bool {
    let scopes = Scopes::of(exchange.requester.scopes.iter().map(String::as_str));
    scopes.allows_search_of(resource_type, exchange.confined_to.as_ref()) != ScopeDecision::Denied
}

/// The patient's own record, which the caller must be allowed to see.
async fn itself(exchange: &mut Exchange<'_>, asked: &Everything) -> Result<Match, Refusal> {
    let interaction = Interaction::Read(asked.patient.clone());
    let document = exchange.fetch(&interaction, &asked.patient).await?.ok_or(Refusal::Absent)?;
    let (judgement, shown) = match exchange.view(document.root(), &[]).await? {
        View::Whole(judgement) => (judgement, document),
        View::Part(judgement, part) | View::Trimmed(judgement, part) => (judgement, part),
        View::Hidden(judgement) => {
            exchange.withhold(judgement);
            return Err(Refusal::Absent);
        }
    };
    let json = exchange.shown_or_refused(shown.root()).await?;
    let reference = format!("{}/{}", asked.patient.resource_type, asked.patient.id.as_str());
    Ok(Match { reference, json: shown_of(&text(&shown), json), judgement })
}

/// Searches the types of the compartment; gives those that the server can't search so.
async fn of_compartment(
    exchange: &mut Exchange<'_>,
    asked: &Everything,
    own: &str,
    these_alone: bool,
    found: &mut Found,
) -> Result<Vec<ResourceType>, Refusal> {
    let gateway = exchange.gateway;
    let mut unsearched = Vec::new();
    for kind in gateway.schema.type_names() {
        let Some(resource_type) = gateway.schema.resource_type(kind) else { continue };
        if is_own(&resource_type)
            || (these_alone && !asked.types.contains(&resource_type))
            || !may_read(exchange, &resource_type)
        {
            continue;
        }
        for parameter in gateway.compartment.found_by(kind) {
            // Parameters that each server decides in its own way are in no schema.
            let Ok(criterion) = to(exchange, &resource_type, parameter, &[own]) else { continue };
            let mut search = Search { criteria: vec![criterion], ..Search::all(resource_type.clone()) };
            if let Some(since) = asked.since.as_ref().filter(|_| these_alone) {
                let since = format!("ge{since}");
                let since = Criterion::parse(&gateway.schema, &resource_type, "_lastUpdated", &since);
                search.criteria.push(since.map_err(Refusal::Interaction)?);
            }
            match gather(exchange, &search).await {
                Ok(matches) => {
                    for one in matches {
                        found.add(exchange, one)?;
                    }
                }
                // A server that does not keep the type has none of it.
                Err(Refusal::Absent) => break,
                Err(
                    Refusal::UpstreamRefused { .. } | Refusal::Upstream(UpstreamError::Status(405 | 501)),
                ) => {
                    if !unsearched.contains(&resource_type) {
                        unsearched.push(resource_type.clone());
                    }
                }
                Err(refusal) => return Err(refusal),
            }
        }
    }
    Ok(unsearched)
}

/// The resources that are referred to, and those that they refer to; none of another patient.
async fn referred_to(
    exchange: &mut Exchange<'_>,
    own: &str,
    mut wanted: BTreeSet<(ResourceType, Id)>,
    mut known: BTreeSet<String>,
    room: &mut usize,
) -> Result<Vec<Match>, Refusal> {
    let mut along = Vec::new();
    for _ in 0..MOST_ROUNDS {
        let mut by_type: BTreeMap<ResourceType, Vec<Id>> = BTreeMap::new();
        for (resource_type, id) in std::mem::take(&mut wanted) {
            let fresh = known.insert(format!("{resource_type}/{}", id.as_str()));
            if fresh && !is_own(&resource_type) && may_read(exchange, &resource_type) {
                by_type.entry(resource_type).or_default().push(id);
            }
        }
        for (resource_type, ids) in by_type {
            for some in ids.chunks(AT_A_TIME) {
                for one in of_nobody_else(exchange, own, &resource_type, some).await? {
                    *room = room.checked_sub(one.json.len()).ok_or(Refusal::TooBroad(MOST_INCLUDED))?;
                    wanted.extend(references(exchange, read(&one.json)?.root()));
                    along.push(one);
                }
                if along.len() > MOST_INCLUDED {
                    return Err(Refusal::TooBroad(MOST_INCLUDED));
                }
            }
        }
        if wanted.is_empty() {
            break;
        }
    }
    Ok(along)
}

/// Those of these resources that the caller may see and that are not another patient's; none where the server does not
/// keep the type.
pub(super) async fn of_nobody_else(
    exchange: &mut Exchange<'_>,
    own: &str,
    resource_type: &ResourceType,
    ids: &[Id],
) -> Result<Vec<Match>, Refusal> {
    let mut met = match gather(exchange, &by_ids(resource_type, ids)).await {
        Err(Refusal::Absent | Refusal::UpstreamRefused { .. }) => return Ok(Vec::new()),
        met => met?,
    };
    met.retain(|one| {
        let patients = &one.judgement.patients;
        patients.is_empty() || patients.iter().any(|patient| patient == own)
    });
    Ok(met)
}

/// The resources of this server that a resource refers to, the content of its attachments among them.
pub(super) fn references(exchange: &Exchange<'_>, resource: Value<'_>) -> BTreeSet<(ResourceType, Id)> {
    let mut found = BTreeSet::new();
    let mut open = vec![resource];
    while let Some(value) = open.pop() {
        for child in value.children() {
            let key = child.key();
            let text = if child.is_object() || child.is_array() { None } else { child.as_str() };
            match (key.as_deref(), text) {
                (Some("reference"), Some(text)) => found.extend(local(exchange.gateway, &text)),
                (Some("url"), Some(text)) => {
                    found.extend(local(exchange.gateway, &text).filter(|(own, _)| own.as_str() == "Binary"));
                }
                (_, Some(_)) => {}
                (_, None) => open.push(child),
            }
        }
    }
    found
}

/// Whether a resource was changed at or after an instant; one that does not say may have been.
fn changed(json: &[u8], since: Timestamp) -> bool {
    let Ok(document) = read(json) else { return true };
    let updated =
        document.root().get(name::META).and_then(|meta| meta.str_of(name::LAST_UPDATED)?.parse().ok());
    updated.is_none_or(|updated: Timestamp| updated >= since)
}
