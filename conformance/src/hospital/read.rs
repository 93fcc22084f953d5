//! Read, version read and history (FHIR R4 §3.1.0.2, §3.1.0.3, §3.1.0.13).

use fhir_models::document::JsonWriter;
use http::StatusCode;
use jiff::Timestamp;

use super::call::{Call, Reply, new_id};
use super::outcome::Refusal;
use super::search::{Scene, begin_bundle};
use super::store::{Deed, Record, Store, Version, instant};
use crate::form;

pub(super) fn read(
    store: &Store,
    resource_type: &'static str,
    id: &str,
    call: &Call<'_>,
) -> Result<Reply, Refusal> {
    let latest = store.record(resource_type, id).and_then(Record::latest);
    content(latest.ok_or_else(|| Refusal::not_found("there is no such resource"))?, call)
}

pub(super) fn vread(
    store: &Store,
    resource_type: &'static str,
    id: &str,
    version: &str,
    call: &Call<'_>,
) -> Result<Reply, Refusal> {
    let found = version.parse().ok().and_then(|number| store.record(resource_type, id)?.version(number));
    content(found.ok_or_else(|| Refusal::not_found("there is no such version"))?, call)
}

fn content(version: &Version, call: &Call<'_>) -> Result<Reply, Refusal> {
    let Some(document) = &version.content else {
        return Err(Refusal::new(StatusCode::GONE, "deleted", "the resource was deleted"));
    };
    let mut reply = Reply::about(StatusCode::OK, version);
    let known = call.conditions.if_none_match.as_deref();
    if known
        .is_some_and(|known| known.trim() == "*" || tags(known).any(|tag| tag == version.number.to_string()))
    {
        reply.status = StatusCode::NOT_MODIFIED;
    } else {
        reply.body = Some(document.text().as_bytes().to_vec());
    }
    Ok(reply)
}

/// The opaque parts of a list of entity tags, weak or strong.
pub(super) fn tags(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(|tag| {
        let tag = tag.trim();
        tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"')
    })
}

/// A history Bundle: of a resource, of a type or of the server, newest first.
pub(super) fn history(
    store: &Store,
    resource_type: Option<&'static str>,
    id: Option<&str>,
    call: &Call<'_>,
    scene: Scene<'_>,
) -> Result<Reply, Refusal> {
    if let (Some(resource_type), Some(id)) = (resource_type, id) {
        let record = store.record(resource_type, id);
        if record.is_none_or(|record| record.versions().is_empty()) {
            return Err(Refusal::not_found("there is no such resource"));
        }
    }
    let (mut count, mut offset, mut since) = (scene.page, 0_usize, None);
    for (name, value) in &call.query {
        let refused = |what: &str| Refusal::bad_request("value", format!("{name} is {what}"));
        match name.as_str() {
            "_count" => {
                let number: usize = value.parse().map_err(|_| refused("a whole number"))?;
                count = number.min(scene.longest_page);
            }
            "_offset" => offset = value.parse().map_err(|_| refused("a whole number"))?,
            "_since" => {
                let text = value.replace(' ', "+");
                since = Some(text.parse::<Timestamp>().map_err(|_| refused("an instant with a time zone"))?);
            }
            _ => {}
        }
    }
    let all = store.history(resource_type).filter(|(_, own, version)| {
        id.is_none_or(|id| id == *own) && since.is_none_or(|since| version.updated >= since)
    });
    let mut versions: Vec<_> = all.collect();
    versions.sort_by_key(|(_, _, version)| std::cmp::Reverse(version.sequence));

    let mut json = JsonWriter::new();
    begin_bundle(&mut json, &new_id(), "history", scene.now);
    json.key("total").integer(i64::try_from(versions.len()).unwrap_or(i64::MAX));
    let mut path = scene.base.to_owned();
    for part in [resource_type, id].into_iter().flatten() {
        path = format!("{path}/{part}");
    }
    let link = |json: &mut JsonWriter, relation: &str, offset: usize| {
        let (count, offset, since) = (count.to_string(), offset.to_string(), since.map(|at| at.to_string()));
        let since = since.as_deref().map(|at| ("_since", at));
        let pairs = since.into_iter().chain([("_count", count.as_str()), ("_offset", offset.as_str())]);
        let url = format!("{path}/_history?{}", form::query(pairs));
        json.begin_object().member("relation", relation).member("url", &url).end_object();
    };
    let next = offset.saturating_add(count);
    json.key("link").begin_array();
    link(&mut json, "self", offset);
    if count > 0 && next < versions.len() {
        link(&mut json, "next", next);
    }
    json.end_array();
    Ok(Reply::ok(finish(json, versions.into_iter().skip(offset).take(count), scene)))
}

fn finish<'a>(
    mut json: JsonWriter,
    versions: impl Iterator<Item = (&'static str, &'a str, &'a Version)>,
    scene: Scene<'_>,
) -> Vec<u8> {
    let mut begun = false;
    for (resource_type, id, version) in versions {
        if !begun {
            json.key("entry").begin_array();
            begun = true;
        }
        entry(&mut json, resource_type, id, version, scene.base);
    }
    if begun {
        json.end_array();
    }
    json.end_object();
    json.into_bytes()
}

fn entry(json: &mut JsonWriter, resource_type: &str, id: &str, version: &Version, base: &str) {
    let (method, status) = match version.deed {
        Deed::Created if version.number == 1 => ("POST", "201 Created"),
        Deed::Created => ("PUT", "201 Created"),
        Deed::Updated => ("PUT", "200 OK"),
        Deed::Deleted => ("DELETE", "204 No Content"),
    };
    let url = if method == "POST" { resource_type.to_owned() } else { format!("{resource_type}/{id}") };
    json.begin_object().member("fullUrl", &format!("{base}/{resource_type}/{id}"));
    if let Some(content) = &version.content {
        json.key("resource").raw(content.text().as_bytes());
    }
    json.key("request").begin_object().member("method", method).member("url", &url).end_object();
    json.key("response").begin_object().member("status", status).member("etag", &version.etag());
    json.member("lastModified", &instant(version.updated)).end_object();
    json.end_object();
}
