//! Create, update and delete (FHIR R4 §3.1.0.8, §3.1.0.4, §3.1.0.7).

use fhir_models::document::{Limits, Tape};
use http::StatusCode;

use super::call::{Call, Reply, Wanted, new_id};
use super::outcome::{Refusal, outcome};
use super::read::tags;
use super::search::{Scene, only_match, only_match_of};
use super::store::{Deed, Record, Store, Submitted, Version};

pub(super) fn create(
    store: &mut Store,
    resource_type: &'static str,
    call: &Call<'_>,
    scene: Scene<'_>,
) -> Result<Reply, Refusal> {
    let mut tape = Tape::new();
    let submitted = submitted(&mut tape, resource_type, call.body)?;
    if let Some(criteria) = &call.conditions.if_none_exist {
        let query = criteria.split_once('?').map_or(criteria.as_str(), |(_, query)| query);
        if let Some(hit) = only_match(resource_type, query, store, scene)? {
            let (id, version) = (hit.id.to_owned(), hit.version.clone());
            return Ok(written(StatusCode::OK, resource_type, &id, &version, call, scene));
        }
    }
    let id = call.reserved.clone().unwrap_or_else(new_id);
    let version = store.put(&submitted, &id, scene.now)?;
    Ok(written(StatusCode::CREATED, resource_type, &id, &version, call, scene))
}

pub(super) fn update(
    store: &mut Store,
    resource_type: &'static str,
    id: &str,
    call: &Call<'_>,
    scene: Scene<'_>,
) -> Result<Reply, Refusal> {
    let mut tape = Tape::new();
    let submitted = submitted(&mut tape, resource_type, call.body)?;
    if submitted.id.as_deref() != Some(id) {
        let text = "the resource must carry the id that stands in the URL";
        return Err(Refusal::bad_request("value", text).at(format!("{resource_type}.id")));
    }
    expect_version(store, resource_type, id, call)?;
    let version = store.put(&submitted, id, scene.now)?;
    let status = if version.deed == Deed::Created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(written(status, resource_type, id, &version, call, scene))
}

/// Updates the one resource that the criteria mean, or creates it (FHIR R4 §3.1.0.4.3).
pub(super) fn conditional_update(
    store: &mut Store,
    resource_type: &'static str,
    call: &Call<'_>,
    scene: Scene<'_>,
) -> Result<Reply, Refusal> {
    let mut tape = Tape::new();
    let submitted = submitted(&mut tape, resource_type, call.body)?;
    let found = match &call.reserved {
        Some(id) => Some(id.clone()),
        None => only_match_of(resource_type, &call.query, store, scene)?.map(|hit| hit.id.to_owned()),
    };
    let id = match (found, submitted.id.clone()) {
        (Some(found), Some(own)) if found != own => {
            let text = "the criteria mean another resource than the one whose id the body carries";
            return Err(Refusal::bad_request("value", text).at(format!("{resource_type}.id")));
        }
        (Some(found), _) => found,
        (None, own) => own.unwrap_or_else(new_id),
    };
    expect_version(store, resource_type, &id, call)?;
    let version = store.put(&submitted, &id, scene.now)?;
    let status = if version.deed == Deed::Created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(written(status, resource_type, &id, &version, call, scene))
}

pub(super) fn delete(
    store: &mut Store,
    resource_type: &'static str,
    id: &str,
    call: &Call<'_>,
    scene: Scene<'_>,
) -> Result<Reply, Refusal> {
    expect_version(store, resource_type, id, call)?;
    let version = store.delete(resource_type, id, scene.now)?;
    let etag = version.map(|version| version.etag());
    Ok(Reply { status: StatusCode::NO_CONTENT, etag, ..Reply::default() })
}

/// Refuses where `If-Match` names another version than the current one (FHIR R4 §3.1.0.5).
fn expect_version(store: &Store, resource_type: &str, id: &str, call: &Call<'_>) -> Result<(), Refusal> {
    let Some(wanted) = &call.conditions.if_match else { return Ok(()) };
    let current = store.record(resource_type, id).and_then(Record::latest);
    let fits = current.is_some_and(|version| {
        (wanted.trim() == "*" && version.content.is_some())
            || tags(wanted).any(|tag| tag == version.number.to_string())
    });
    if fits {
        return Ok(());
    }
    let text = "the resource has another version than If-Match names; read it again and repeat the change";
    Err(Refusal::new(StatusCode::PRECONDITION_FAILED, "conflict", text))
}

fn submitted<'t>(
    tape: &'t mut Tape,
    resource_type: &'static str,
    body: &'t [u8],
) -> Result<Submitted<'t>, Refusal> {
    let document = tape.parse_json(body, &Limits::default()).map_err(|error| {
        let status = if error.is_limit() { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST };
        Refusal::new(status, "structure", format!("the body is not JSON: {error}"))
    })?;
    let submitted = Submitted::check(document)?;
    if submitted.resource_type != resource_type {
        let text = format!("the body is a {}, but the URL names {resource_type}", submitted.resource_type);
        return Err(Refusal::bad_request("invalid", text));
    }
    Ok(submitted)
}

fn written(
    status: StatusCode,
    resource_type: &str,
    id: &str,
    version: &Version,
    call: &Call<'_>,
    scene: Scene<'_>,
) -> Reply {
    let location = format!("{}/{resource_type}/{id}/_history/{}", scene.base, version.number);
    let body = match call.conditions.wanted {
        Wanted::Minimal => None,
        Wanted::Outcome => Some(outcome("information", "informational", "the resource was stored", None)),
        Wanted::Representation => version.content.as_ref().map(|content| content.text().as_bytes().to_vec()),
    };
    Reply { location: Some(location), body, ..Reply::about(status, version) }
}
