//! `Patient/[id]/$summary` (HL7 IPS 2.0.0, operation `summary`), composed here from what the caller may see.
//!
//! What is summarised is searched for type by type, as the caller might; the medications and devices that it refers to come
//! along. Invariants: the patient is answered for as by a read, each resource is judged as the match of a search, and the
//! document is written from those alone. The server is never asked for a summary: one that it makes can't be cut.

use std::collections::{BTreeMap, BTreeSet};

use fhir_models::document::OwnedDocument;
use http::StatusCode;
use uuid::Uuid;
use varco_core::interaction::{Criterion, Id, Instance, Interaction, ResourceType, Search};
use varco_core::summary::{Author, OBSERVATION_CATEGORIES, Part, PatientSummary, TYPES, Uuids, is_part};

use super::Refusal;
use super::answer::Answer;
use super::everything::{Found, may_read, of_nobody_else, references};
use super::exchange::Exchange;
use super::includes::AT_A_TIME;
use super::joins::{read, to};
use super::search::{Match, gather};
use crate::upstream::UpstreamError;

/// What comes along where it is referred to.
const ALONG: &[&str] = &["Medication", "Device"];

/// The summary of one patient, or [`Refusal::Absent`] where a read is answered so.
pub(super) async fn summary(exchange: &mut Exchange<'_>, patient: Instance) -> Result<Answer, Refusal> {
    let own = format!("Patient/{}", patient.id.as_str());
    let document =
        exchange.fetch(&Interaction::Read(patient.clone()), &patient).await?.ok_or(Refusal::Absent)?;
    let document = exchange.release_or_refuse(document, &patient).await?;
    let shown = read(&exchange.shown_or_refused(document.root()).await?)?;

    let mut found = Found::up_to(exchange.gateway.config.limits.answer_bytes);
    let unsearched = of_patient(exchange, &own, &mut found).await?;
    let mut wanted = BTreeSet::new();
    let mut parts = Vec::with_capacity(found.matches.len());
    for one in std::mem::take(&mut found.matches) {
        let document = read(&one.json)?;
        if is_part(document.root()) {
            wanted.extend(references(exchange, document.root()));
            parts.push((one, document));
        }
    }
    let along = referred_to(exchange, &own, wanted, &mut found).await?;

    let texts = std::iter::once(shown.text().as_bytes());
    let all = || parts.iter().chain(&along);
    exchange.inspect_response(texts.chain(all().map(|(one, _)| &*one.json))).await?;
    for (one, _) in all() {
        exchange.release(one.reference.clone(), one.judgement.clone());
    }
    let notes = notes(exchange.account.left_out, &unsearched);
    let bundle = written(exchange, Part { reference: &own, resource: shown.root() }, &parts, &along, &notes);
    Ok(Answer::fhir(StatusCode::OK, bundle))
}

/// Searches what is summarised; gives the types that the server can't search so.
async fn of_patient(
    exchange: &mut Exchange<'_>,
    own: &str,
    found: &mut Found,
) -> Result<Vec<&'static str>, Refusal> {
    let schema = &exchange.gateway.schema;
    let mut unsearched = Vec::new();
    for &kind in TYPES {
        let Some(resource_type) = schema.resource_type(kind) else { continue };
        if !may_read(exchange, &resource_type) {
            continue;
        }
        let mut criteria = vec![to(exchange, &resource_type, "patient", &[own])?];
        if kind == "Observation" {
            let category = Criterion::parse(schema, &resource_type, "category", OBSERVATION_CATEGORIES);
            criteria.push(category.map_err(Refusal::Interaction)?);
        }
        match gather(exchange, &Search { criteria, ..Search::all(resource_type) }).await {
            Ok(matches) => {
                for one in matches {
                    found.add(exchange, one)?;
                }
            }
            // A server that does not keep the type has none of it.
            Err(Refusal::Absent) => {}
            Err(Refusal::UpstreamRefused { .. } | Refusal::Upstream(UpstreamError::Status(405 | 501))) => {
                unsearched.push(kind);
            }
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(unsearched)
}

/// The medications and devices that are referred to; none of another patient.
async fn referred_to(
    exchange: &mut Exchange<'_>,
    own: &str,
    wanted: BTreeSet<(ResourceType, Id)>,
    found: &mut Found,
) -> Result<Vec<(Match, OwnedDocument)>, Refusal> {
    let mut by_type: BTreeMap<ResourceType, Vec<Id>> = BTreeMap::new();
    for (resource_type, id) in wanted {
        if ALONG.contains(&resource_type.as_str()) && may_read(exchange, &resource_type) {
            by_type.entry(resource_type).or_default().push(id);
        }
    }
    for (resource_type, ids) in by_type {
        for some in ids.chunks(AT_A_TIME) {
            for one in of_nobody_else(exchange, own, &resource_type, some).await? {
                found.add(exchange, one)?;
            }
        }
    }
    let along = std::mem::take(&mut found.matches).into_iter();
    along.map(|one| read(&one.json).map(|document| (one, document))).collect()
}

fn written(
    exchange: &Exchange<'_>,
    patient: Part<'_>,
    parts: &[(Match, OwnedDocument)],
    along: &[(Match, OwnedDocument)],
    notes: &[String],
) -> Vec<u8> {
    fn shown(found: &[(Match, OwnedDocument)]) -> Vec<Part<'_>> {
        found
            .iter()
            .map(|(one, document)| Part { reference: &one.reference, resource: document.root() })
            .collect()
    }
    let site = &exchange.gateway.config.site;
    let [document, composition, author] = [(); 3].map(|()| Uuid::new_v4().to_string());
    let summary = PatientSummary {
        base: site.base(),
        time: exchange.account.received,
        author: Author {
            name: site.name.as_deref().unwrap_or(&site.id),
            system: &site.id_system,
            value: &site.id,
        },
        uuids: Uuids { document: &document, composition: &composition, author: &author },
        patient,
        parts: &shown(parts),
        along: &shown(along),
        notes,
    };
    summary.to_json()
}

/// What is incomplete for reasons that have nothing to do with this patient's consent.
fn notes(left_out: usize, unsearched: &[&str]) -> Vec<String> {
    let mut notes = Vec::new();
    if left_out > 0 {
        notes.push(format!(
            "{left_out} resources can't be written in the form that is read here and are left out."
        ));
    }
    if !unsearched.is_empty() {
        notes.push(format!(
            "The hospital's server can't search all of these by patient: {}.",
            unsearched.join(", ")
        ));
    }
    notes
}
