//! The versions of one resource: vread and history (FHIR R4 §3.1.0.3, §3.1.0.12).
//!
//! Invariant: versions leave all or none. Each is judged by today's consents, by its own labels and by those of
//! all versions together: a label that came later guards the past, and one that was taken away still guards what
//! it stood on. What can't be judged so, because the resource is deleted or the server keeps no history, is not
//! answered. [`super::timeline`] answers for many resources at once.

use std::sync::Arc;

use bytes::Bytes;
use fhir_models::document::{JsonWriter, OwnedDocument, Value, name};
use http::StatusCode;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use varco_core::access::Labels;
use varco_core::interaction::{History, HistoryOf, Id, Instance, Interaction};
use varco_core::requester::Code;

use super::answer::{Answer, shown_of, text};
use super::exchange::Exchange;
use super::judge::Judgement;
use super::{Refusal, paging, search};
use crate::upstream::UpstreamError;

/// How many versions are asked of the server at a time.
const UPSTREAM_PAGE: u32 = 200;
/// The most versions of a resource that are judged; one with more has no history here.
const MOST_VERSIONS: usize = 1_000;

/// One version as the server lists it.
pub(super) struct Version {
    /// The resource in the network's terms; none for a deletion.
    pub json: Option<Vec<u8>>,
    /// When it was made.
    pub made: Option<Timestamp>,
    id: Option<String>,
    method: &'static str,
    /// `[type]/[id]`
    reference: Arc<str>,
}

/// What is known of all versions of a visible resource.
pub(super) struct Versions {
    /// Newest first.
    pub listed: Vec<Version>,
    pub judgement: Judgement,
    labels: Vec<Code>,
}

impl Versions {
    /// Those that are asked for, each with how many are newer.
    pub fn wanted(self, asked: &History, zone: &TimeZone) -> impl Iterator<Item = (usize, Version)> {
        let mut overtaken = None;
        self.listed.into_iter().enumerate().filter(move |(_, version)| {
            let until = std::mem::replace(&mut overtaken, version.made);
            asked.asks_for(version.made, until, zone)
        })
    }
}

/// The history of one resource.
pub(super) async fn history(
    exchange: &mut Exchange<'_>,
    asked: History,
    instance: Instance,
    offset: usize,
) -> Result<Answer, Refusal> {
    let mut versions = versions(exchange, &instance).await?;
    let judgement = std::mem::take(&mut versions.judgement);
    let wanted = versions.wanted(&asked, &exchange.gateway.reading.zone);
    let wanted: Vec<Version> = wanted.map(|(_, version)| version).collect();
    let reference = format!("{}/{}", instance.resource_type, instance.id.as_str());
    let path = format!("{reference}/_history");
    let cut = paging::cut(exchange, &path, asked.self_query(), wanted.len(), asked.count, offset)?;
    let page = wanted.get(cut.range).unwrap_or_default();
    exchange.inspect_response(page.iter().filter_map(|version| version.json.as_deref())).await?;
    exchange.release(reference, judgement);
    let base = exchange.gateway.config.site.base();
    Ok(Answer::fhir(StatusCode::OK, bundle(&cut.links, wanted.len(), page, base)))
}

/// One version of a resource.
pub(super) async fn vread(
    exchange: &mut Exchange<'_>,
    instance: Instance,
    version: Id,
) -> Result<Answer, Refusal> {
    let Versions { labels, .. } = versions(exchange, &instance).await?;
    let then = Interaction::Vread(instance.clone(), version);
    let Some(document) = exchange.fetch(&then, &instance).await? else { return Err(Refusal::Absent) };
    let judgement = exchange.judge_under(document.root(), &labels).await?;
    if !judgement.permitted {
        exchange.withhold(judgement);
        return Err(Refusal::Absent);
    }
    exchange.release(format!("{}/{}", instance.resource_type, instance.id.as_str()), judgement);
    let body = exchange.shown_or_refused(document.root()).await?;
    exchange.inspect_response([&*body]).await?;
    let answer = Answer::resource(StatusCode::OK, document.root(), shown_of(&text(&document), body));
    Ok(answer.unless_known(&exchange.headers, document.root()))
}

/// Every version of a resource, newest first as the server lists them, once all of them may be seen.
pub(super) async fn versions(exchange: &mut Exchange<'_>, instance: &Instance) -> Result<Versions, Refusal> {
    let now = Interaction::Read(instance.clone());
    let Some(current) = exchange.fetch(&now, instance).await? else { return Err(Refusal::Absent) };
    let today = exchange.judge(current.root()).await?;
    if !today.permitted {
        exchange.withhold(today);
        return Err(Refusal::Absent);
    }
    let asked = History::all(HistoryOf::Instance(instance.clone()));
    let pages = pages(exchange, asked, MOST_VERSIONS).await?;
    let entries: Vec<Value<'_>> = pages.iter().flat_map(|page| search::entries(page.root())).collect();
    of_entries(exchange, instance, Some(current.root()), &entries).await
}

/// The versions of a resource that these entries are, once all of them may be seen; `current` is judged with them
/// where it may be another than the newest entry.
pub(super) async fn of_entries(
    exchange: &mut Exchange<'_>,
    instance: &Instance,
    current: Option<Value<'_>>,
    entries: &[Value<'_>],
) -> Result<Versions, Refusal> {
    let resources = || entries.iter().filter_map(|entry| entry.get(name::RESOURCE));
    let mut labels = Vec::new();
    for resource in resources().chain(current) {
        for label in Labels::of(resource).codes() {
            if !labels.contains(label) {
                labels.push(label.clone());
            }
        }
    }
    let mut judgement = Judgement { permitted: true, ..Judgement::default() };
    if let Some(current) = current {
        judgement = exchange.judge_under(current, &labels).await?;
    }
    for resource in resources() {
        let own = resource.resource_type().as_deref() == Some(instance.resource_type.as_str())
            && resource.get(name::ID).is_some_and(|id| id.is_str(instance.id.as_str()));
        if !own {
            return Err(Refusal::Upstream(UpstreamError::NotFhir(
                "a history of another resource".to_owned(),
            )));
        }
        let itself = exchange.judge(resource).await?;
        judgement = judgement.and(itself).and(exchange.judge_under(resource, &labels).await?);
    }
    if !judgement.permitted {
        exchange.withhold(judgement);
        return Err(Refusal::Absent);
    }
    let reference: Arc<str> = format!("{}/{}", instance.resource_type, instance.id.as_str()).into();
    let mut listed = Vec::new();
    for entry in entries {
        listed.push(version(exchange, *entry, &reference).await?);
    }
    Ok(Versions { listed, labels, judgement })
}

/// The server's pages of a history of at most this many versions.
pub(super) async fn pages(
    exchange: &mut Exchange<'_>,
    asked: History,
    most: usize,
) -> Result<Vec<OwnedDocument>, Refusal> {
    let of_one = matches!(asked.of, HistoryOf::Instance(_));
    let asked = Interaction::History(asked);
    let request = asked.to_request_with_count(UPSTREAM_PAGE);
    let mut answer = exchange.ask(&asked, &request, Bytes::new()).await?;
    let mut room = exchange.gateway.config.limits.answer_bytes;
    let (mut pages, mut count) = (Vec::new(), 0_usize);
    loop {
        let size = answer.body.len();
        let page = match answer.status {
            StatusCode::OK => exchange.resource_of(answer.body, "Bundle").await?,
            StatusCode::NOT_FOUND | StatusCode::GONE if of_one => return Err(Refusal::Absent),
            StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
                if of_one =>
            {
                return Err(Refusal::NotServed(
                    "The hospital's server keeps no history by which older versions could be judged.",
                ));
            }
            StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED => {
                return Err(Refusal::NotServed(
                    "The hospital's server gives no history beyond that of one resource; ask for that.",
                ));
            }
            other => return Err(Refusal::Upstream(UpstreamError::Status(other.as_u16()))),
        };
        count = count.saturating_add(search::entries(page.root()).count());
        room = room.checked_sub(size).ok_or(Refusal::TooBroad(most))?;
        if count > most || pages.len() > most {
            return Err(Refusal::TooBroad(most));
        }
        let next = search::next_link(page.root());
        pages.push(page);
        match next {
            Some(link) => answer = exchange.follow(&link).await?,
            None => return Ok(pages),
        }
    }
}

async fn version(
    exchange: &mut Exchange<'_>,
    entry: Value<'_>,
    reference: &Arc<str>,
) -> Result<Version, Refusal> {
    let resource = entry.get(name::RESOURCE);
    let meta = resource.and_then(|resource| resource.get(name::META));
    let response = entry.get_key("response");
    let made = meta
        .and_then(|meta| meta.str_of(name::LAST_UPDATED))
        .or_else(|| response?.get_key("lastModified")?.as_str())
        .and_then(|text| text.parse().ok());
    let id = meta.and_then(|meta| meta.str_of(name::VERSION_ID)).map(|id| id.into_owned());
    let method = entry.get_key("request").and_then(|request| request.get_key("method")?.as_str());
    let method = match (method.as_deref(), resource) {
        (_, None) => "DELETE",
        (Some("POST"), _) => "POST",
        _ => "PUT",
    };
    let json = match resource {
        Some(resource) => Some(exchange.shown_or_refused(resource).await?.into_owned()),
        None => None,
    };
    Ok(Version { json, made, id, method, reference: Arc::clone(reference) })
}

/// A history Bundle; every member is written anew.
pub(super) fn bundle(links: &[(&str, String)], total: usize, page: &[Version], base: &str) -> Vec<u8> {
    let mut json = JsonWriter::new();
    json.begin_object().member("resourceType", "Bundle").member("type", "history");
    json.key("total").integer(i64::try_from(total).unwrap_or(i64::MAX));
    json.key("link").begin_array();
    for (relation, url) in links {
        json.begin_object().member("relation", relation).member("url", url).end_object();
    }
    json.end_array();
    if !page.is_empty() {
        json.key("entry").begin_array();
    }
    for version in page {
        let reference = &*version.reference;
        json.begin_object().member("fullUrl", &format!("{base}/{reference}"));
        if let Some(resource) = &version.json {
            json.key("resource").raw(resource);
        }
        let (resource_type, _) = reference.split_once('/').unwrap_or_default();
        let url = if version.method == "POST" { resource_type } else { reference };
        json.key("request").begin_object().member("method", version.method).member("url", url).end_object();
        let status = match version.method {
            "POST" => "201",
            "DELETE" => "204",
            _ => "200",
        };
        json.key("response").begin_object().member("status", status);
        if let Some(id) = &version.id {
            json.member("etag", &format!("W/\"{id}\""));
        }
        if let Some(made) = version.made {
            json.member("lastModified", &made.to_string());
        }
        json.end_object().end_object();
    }
    if !page.is_empty() {
        json.end_array();
    }
    json.end_object();
    json.into_bytes()
}
