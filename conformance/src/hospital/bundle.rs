//! Batch and transaction (FHIR R4 §3.1.0.12).
//!
//! Invariant: a transaction works on a copy of the store. The copy replaces the store only when every entry
//! has succeeded.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use fhir_models::document::{Document, JsonWriter, Limits, OwnedDocument, Tape, Value, name};
use http::{Method, StatusCode};

use super::call::{Call, Conditions, Reply, Wanted, answer, new_id};
use super::links;
use super::outcome::Refusal;
use super::resource_types;
use super::search::{Scene, only_match, only_match_of};
use super::store::{Record, Store, instant};
use crate::form;

/// Most entries of one Bundle.
const MOST_ENTRIES: usize = 5_000;

/// An entry as a request of its own.
#[derive(Debug)]
struct Entry {
    full_url: Option<String>,
    method: Method,
    path: Vec<String>,
    query: Vec<(String, String)>,
    conditions: Conditions,
    resource: Option<OwnedDocument>,
    reserved: Option<String>,
}

pub(super) fn process(store: &mut Store, call: &Call<'_>, scene: Scene<'_>) -> Result<Reply, Refusal> {
    let mut tape = Tape::new();
    let document = tape.parse_json(call.body, &Limits::default()).map_err(|error| {
        let status = if error.is_limit() { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST };
        Refusal::new(status, "structure", format!("the body is not JSON: {error}"))
    })?;
    let kind = bundle_type(document)?;
    let entries: Vec<Value<'_>> = document.root().path(&[name::ENTRY]);
    if entries.len() > MOST_ENTRIES {
        let text = format!("a Bundle may have {MOST_ENTRIES} entries");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too-long", text));
    }
    let wanted = call.conditions.wanted;
    let parsed = entries.iter().map(|entry| Entry::parse(*entry, wanted, scene.base));
    let replies = if kind == "batch" {
        parsed.map(|entry| entry.and_then(|entry| entry.run(store, scene))).collect()
    } else {
        let numbered = parsed.enumerate().map(|(at, entry)| entry.map_err(|refusal| locate(refusal, at)));
        transaction(store, numbered.collect::<Result<_, _>>()?, scene)?
    };
    Ok(Reply::ok(response(kind, &replies)))
}

fn bundle_type(document: Document<'_>) -> Result<&'static str, Refusal> {
    let root = document.root();
    if root.resource_type().as_deref() != Some("Bundle") {
        return Err(Refusal::bad_request("structure", "only a Bundle can be posted to the base URL"));
    }
    match root.str_of(name::TYPE).as_deref() {
        Some("batch") => Ok("batch"),
        Some("transaction") => Ok("transaction"),
        _ => {
            let text = "a Bundle posted to the base URL is a batch or a transaction";
            Err(Refusal::bad_request("value", text).at("Bundle.type"))
        }
    }
}

fn locate(refusal: Refusal, at: usize) -> Refusal {
    let inner = refusal.expression.as_deref().map(|inner| format!(" ({inner})")).unwrap_or_default();
    let diagnostics = format!("entry {at}: {}{inner}", refusal.diagnostics);
    Refusal { diagnostics, expression: Some(format!("Bundle.entry[{at}]")), ..refusal }
}

impl Entry {
    fn parse(entry: Value<'_>, wanted: Wanted, base: &str) -> Result<Entry, Refusal> {
        let missing = |what: &str| Refusal::bad_request("required", format!("the entry has no {what}"));
        let request = entry.get(name::REQUEST).ok_or_else(|| missing("request"))?;
        let method = request.str_of(name::METHOD).ok_or_else(|| missing("request.method"))?;
        let method = match &*method {
            "GET" | "HEAD" => Method::GET,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "DELETE" => Method::DELETE,
            _ => return Err(Refusal::bad_request("not-supported", "the entry's method is not supported")),
        };
        let url = request.str_of(name::URL).ok_or_else(|| missing("request.url"))?;
        let below = url.strip_prefix(base).and_then(|rest| rest.strip_prefix('/')).unwrap_or(&url);
        let (path, query) = below.split_once('?').unwrap_or((below, ""));
        if path.is_empty() || path.starts_with('/') || path.contains("://") {
            return Err(Refusal::bad_request("value", "the entry's URL is not below this server's base"));
        }
        let broken = || Refusal::bad_request("value", "the entry's URL is badly encoded");
        let path = path.split('/').map(form::decode).collect::<Option<Vec<_>>>().ok_or_else(broken)?;
        let text = |key: &str| request.get_key(key).and_then(Value::as_str).map(|text| text.into_owned());
        let resource = match entry.get(name::RESOURCE) {
            Some(resource) => Some(
                OwnedDocument::parse_json(resource.raw(), &Limits::default())
                    .map_err(|error| Refusal::bad_request("structure", error.to_string()))?,
            ),
            None if method == Method::POST && path.last().map(String::as_str) != Some("_search") => {
                return Err(missing("resource"));
            }
            None if method == Method::PUT => return Err(missing("resource")),
            None => None,
        };
        Ok(Entry {
            full_url: entry.str_of(name::FULL_URL).map(|url| url.into_owned()),
            method,
            path,
            query: form::pairs(query).ok_or_else(broken)?,
            conditions: Conditions {
                if_match: text("ifMatch"),
                if_none_match: text("ifNoneMatch"),
                if_none_exist: text("ifNoneExist"),
                wanted,
            },
            resource,
            reserved: None,
        })
    }

    fn run(&self, store: &mut Store, scene: Scene<'_>) -> Result<Reply, Refusal> {
        let call = Call {
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            conditions: self.conditions.clone(),
            body: self.resource.as_ref().map_or(&[], |resource| resource.text().as_bytes()),
            reserved: self.reserved.clone(),
        };
        answer(store, &call, scene)
    }

    fn creates(&self) -> Option<&'static str> {
        match self.path.as_slice() {
            [named] if self.method == Method::POST => resource_types::stored(named),
            _ => None,
        }
    }

    fn updates_by_search(&self) -> Option<&'static str> {
        match self.path.as_slice() {
            [named] if self.method == Method::PUT && !self.query.is_empty() => resource_types::stored(named),
            _ => None,
        }
    }

    /// Where the entry's resource will stand: `Type/id`.
    fn identity(&self) -> Option<String> {
        let placed = self.creates().or_else(|| self.updates_by_search());
        if let (Some(resource_type), Some(id)) = (placed, &self.reserved) {
            return Some(format!("{resource_type}/{id}"));
        }
        match (self.path.as_slice(), self.method.as_str()) {
            ([resource_type, id], "PUT" | "DELETE") => Some(format!("{resource_type}/{id}")),
            _ => None,
        }
    }

    /// Its place in the order of processing: deletions, creates, updates, reads.
    fn rank(&self) -> u8 {
        match self.method.as_str() {
            "DELETE" => 0,
            "POST" => 1,
            "PUT" => 2,
            _ => 3,
        }
    }
}

fn transaction(
    store: &mut Store,
    mut entries: Vec<Entry>,
    scene: Scene<'_>,
) -> Result<Vec<Result<Reply, Refusal>>, Refusal> {
    let mut copy = store.clone();
    let mut links = HashMap::new();
    let mut identities = HashSet::new();
    for (at, entry) in entries.iter_mut().enumerate() {
        if let Some(resource_type) = entry.creates() {
            let query = entry.conditions.if_none_exist.as_deref();
            let existing = match query {
                Some(query) => only_match(resource_type, query, &copy, scene).map_err(|r| locate(r, at))?,
                None => None,
            };
            entry.reserved = Some(existing.map_or_else(new_id, |hit| hit.id.to_owned()));
        } else if let Some(resource_type) = entry.updates_by_search() {
            let existing = only_match_of(resource_type, &entry.query, &copy, scene);
            let existing = existing.map_err(|refusal| locate(refusal, at))?.map(|hit| hit.id.to_owned());
            let own = || entry.resource.as_ref()?.document().root().str_of(name::ID).map(Cow::into_owned);
            entry.reserved = Some(existing.or_else(own).unwrap_or_else(new_id));
        }
        let Some(identity) = entry.identity() else { continue };
        if !identities.insert(identity.clone()) {
            let text = "the same resource stands in the transaction twice";
            return Err(locate(Refusal::bad_request("duplicate", text), at));
        }
        if let Some(full_url) = &entry.full_url {
            links.insert(full_url.clone(), identity);
        }
    }
    for (at, entry) in entries.iter_mut().enumerate() {
        let relinked = entry.resource.as_ref().and_then(|own| links::relink(own.document(), &links));
        if let Some(text) = relinked {
            let parsed = OwnedDocument::parse_json(text, &Limits::default());
            let refused = |error: fhir_models::document::SyntaxError| {
                locate(Refusal::bad_request("structure", error.to_string()), at)
            };
            entry.resource = Some(parsed.map_err(refused)?);
        }
    }
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|&at| entries.get(at).map(Entry::rank));
    let mut replies: Vec<Option<Reply>> = vec![None; entries.len()];
    let (changes, reads): (Vec<usize>, Vec<usize>) =
        order.into_iter().partition(|&at| entries.get(at).is_some_and(|entry| entry.rank() < 3));
    for at in changes {
        run_into(&mut replies, &entries, at, &mut copy, scene)?;
    }
    for (at, entry) in entries.iter().enumerate() {
        let amended = resolve_searches(entry, &mut copy, scene).map_err(|refusal| locate(refusal, at))?;
        if let (Some(text), Some(Some(reply))) = (amended, replies.get_mut(at)) {
            reply.body = reply.body.as_ref().map(|_| text.into_bytes());
        }
    }
    for at in reads {
        run_into(&mut replies, &entries, at, &mut copy, scene)?;
    }
    *store = copy;
    Ok(replies.into_iter().flatten().map(Ok).collect())
}

fn run_into(
    replies: &mut [Option<Reply>],
    entries: &[Entry],
    at: usize,
    store: &mut Store,
    scene: Scene<'_>,
) -> Result<(), Refusal> {
    if let (Some(entry), Some(slot)) = (entries.get(at), replies.get_mut(at)) {
        *slot = Some(entry.run(store, scene).map_err(|refusal| locate(refusal, at))?);
    }
    Ok(())
}

/// Replaces references by search with the one resource each means. Gives the new text where there were any.
fn resolve_searches(entry: &Entry, store: &mut Store, scene: Scene<'_>) -> Result<Option<String>, Refusal> {
    let Some(identity) = entry.identity().filter(|_| entry.resource.is_some()) else { return Ok(None) };
    let Some((resource_type, id)) = identity.split_once('/') else { return Ok(None) };
    let current = store.record(resource_type, id).and_then(Record::latest).and_then(|v| v.content.clone());
    let Some(content) = current else { return Ok(None) };
    let mut found = HashMap::new();
    for reference in links::searches(content.document()) {
        let (named, query) = reference.split_once('?').unwrap_or((&reference, ""));
        let unknown = || Refusal::bad_request("value", "a reference by search names no known type");
        let target = resource_types::stored(named).ok_or_else(unknown)?;
        let Some(hit) = only_match(target, query, store, scene)? else {
            let text = "a reference by search finds no resource";
            return Err(Refusal::new(StatusCode::PRECONDITION_FAILED, "not-found", text));
        };
        found.insert(reference.clone(), format!("{target}/{}", hit.id));
    }
    let Some(text) = links::relink(content.document(), &found) else { return Ok(None) };
    let content = OwnedDocument::parse_json(text, &Limits::default())
        .map_err(|error| Refusal::bad_request("structure", error.to_string()))?;
    store.amend(resource_type, id, content.clone());
    Ok(Some(content.text().to_owned()))
}

fn response(kind: &str, replies: &[Result<Reply, Refusal>]) -> Vec<u8> {
    let mut json = JsonWriter::new();
    json.begin_object().member("resourceType", "Bundle").member("id", &new_id());
    json.member("type", &format!("{kind}-response"));
    if !replies.is_empty() {
        json.key("entry").begin_array();
        for reply in replies {
            json.begin_object();
            match reply {
                Ok(reply) => answered(&mut json, reply),
                Err(refusal) => {
                    json.key("response").begin_object().member("status", &line(refusal.status));
                    json.key("outcome").raw(&refusal.body()).end_object();
                }
            }
            json.end_object();
        }
        json.end_array();
    }
    json.end_object();
    json.into_bytes()
}

fn answered(json: &mut JsonWriter, reply: &Reply) {
    if let Some(body) = &reply.body {
        json.key("resource").raw(body);
    }
    json.key("response").begin_object().member("status", &line(reply.status));
    json.optional("location", reply.location.as_deref()).optional("etag", reply.etag.as_deref());
    if let Some(modified) = reply.modified {
        json.member("lastModified", &instant(modified));
    }
    json.end_object();
}

fn line(status: StatusCode) -> String {
    format!("{} {}", status.as_str(), status.canonical_reason().unwrap_or_default()).trim_end().to_owned()
}
