//! Search in one type (FHIR R4 §3.1.1): every page of the server's matches is gathered and judged, and the
//! caller's pages are cut from what is left.
//!
//! Invariant: total, page fill, links and what comes along are those of a world in which the hidden resources
//! don't exist. That is why `_count` isn't passed on, why the server's links aren't either, and why joins and
//! includes are carried out here ([`super::joins`], [`super::includes`]) and never by the server.

use bytes::Bytes;
use fhir_models::document::{JsonWriter, OwnedDocument, Value, name};
use http::StatusCode;
use varco_core::access::Labels;
use varco_core::interaction::{Interaction, Search, Summary, TotalWanted};

use super::answer::{Answer, shown_of, text};
use super::exchange::Exchange;
use super::judge::Judgement;
use super::map::{Shown, with_left_out};
use super::view::View;
use super::{Refusal, includes, joins, paging, subset};
use crate::upstream::{UpstreamAnswer, UpstreamError};

/// How many matches are asked of the server at a time.
const UPSTREAM_PAGE: u32 = 200;
/// How many matches are read before they are judged.
const READ_TOGETHER: usize = 32;
/// How many times the permitted matches may be hidden ones before the search is given up.
pub(super) const HIDDEN_FACTOR: usize = 10;

/// Bytes of a searchset around its entries, and of an entry around its resource; seldom more.
const AROUND: usize = 1_024;
const AROUND_ENTRY: usize = 64;

/// A match that the caller may see, and the judgement that says so.
pub(super) struct Match {
    /// `[type]/[id]`
    pub reference: String,
    /// The resource as the caller gets it.
    pub json: Bytes,
    /// Why it may be shown.
    pub judgement: Judgement,
}

/// An entry of a searchset.
pub(super) struct Entry {
    pub reference: String,
    pub json: Bytes,
    /// True for what comes along with the matches.
    pub included: bool,
}

/// Answers a search; `offset` visible matches stood on the pages before.
pub(super) async fn search(
    exchange: &mut Exchange<'_>,
    search: Search,
    offset: usize,
) -> Result<Answer, Refusal> {
    let (asked, resource_type, count) = (search.self_query(), search.resource_type.clone(), search.count);
    joins::permit(exchange, &search)?;
    includes::check(exchange, &search)?;
    let shape = subset::Shape::of(&search);
    let (includes, total_wanted) = (search.includes.clone(), search.total);
    let bare = search.summary == Some(Summary::Count);
    let matches = visible(exchange, search).await?;

    let total = matches.len();
    let mut cut = paging::cut(exchange, resource_type.as_str(), asked, total, count, offset)?;
    if bare {
        cut.links.truncate(1);
        cut.range = 0..0;
    }
    let page: Vec<Match> = matches.into_iter().skip(cut.range.start).take(cut.range.len()).collect();
    let along = includes::gather_included(exchange, &includes, &page).await?;
    exchange.inspect_response(page.iter().chain(&along).map(|found| &*found.json)).await?;
    let mut entries = Vec::with_capacity(page.len() + along.len());
    for (found, included) in
        page.into_iter().map(|it| (it, false)).chain(along.into_iter().map(|it| (it, true)))
    {
        exchange.release(found.reference.clone(), found.judgement);
        let json = shape.apply(exchange.gateway, found.json, included)?;
        entries.push(Entry { reference: found.reference, json, included });
    }
    let total = (total_wanted != Some(TotalWanted::None) || bare).then_some(total);
    let base = exchange.gateway.config.site.base();
    let bundle = bundle(&cut.links, total, &entries, base);
    Ok(Answer::fhir(StatusCode::OK, with_left_out(bundle, exchange.account.left_out)))
}

/// The page of what an operation found: a searchset of whole resources, those that come along marked so.
pub(super) async fn page_of(
    exchange: &mut Exchange<'_>,
    path: &str,
    query: String,
    count: Option<u32>,
    offset: usize,
    found: Vec<(Match, bool)>,
) -> Result<Vec<u8>, Refusal> {
    let cut = paging::cut(exchange, path, query, found.len(), count, offset)?;
    let total = found.iter().filter(|(_, included)| !included).count();
    let page: Vec<_> = found.into_iter().skip(cut.range.start).take(cut.range.len()).collect();
    exchange.inspect_response(page.iter().map(|(one, _)| &*one.json)).await?;
    let mut entries = Vec::with_capacity(page.len());
    for (Match { reference, json, judgement }, included) in page {
        exchange.release(reference.clone(), judgement);
        entries.push(Entry { reference, json, included });
    }
    let base = exchange.gateway.config.site.base();
    let bundle = bundle(&cut.links, Some(total), &entries, base);
    Ok(with_left_out(bundle, exchange.account.left_out))
}

/// Every match of a search that the caller may see, in the server's order; criteria on other resources are
/// met by what the caller may see of those.
pub(super) async fn visible(exchange: &mut Exchange<'_>, search: Search) -> Result<Vec<Match>, Refusal> {
    let mut interaction = Interaction::SearchType(search);
    exchange.account.mapped += exchange.gateway.to_local.map_search(&mut interaction);
    let Interaction::SearchType(search) = interaction else { return Err(Refusal::Internal) };
    match joins::resolve(exchange, search).await? {
        Some(search) => gather(exchange, &search).await,
        None => Ok(Vec::new()),
    }
}

/// Every match that the caller may see, in the server's order. The search must have nothing but ids, criteria
/// and an order.
pub(super) async fn gather(exchange: &mut Exchange<'_>, search: &Search) -> Result<Vec<Match>, Refusal> {
    let interaction = Interaction::SearchType(search.matches());
    let most = exchange.gateway.config.limits.search_matches;
    let most_judged = most.saturating_mul(HIDDEN_FACTOR);
    let mut room = exchange.gateway.config.limits.answer_bytes;
    let mut matches = Vec::new();
    let mut judged = 0_usize;
    let mut answer =
        exchange.ask(&interaction, &interaction.to_request_with_count(UPSTREAM_PAGE), Bytes::new()).await?;
    loop {
        let size = answer.body.len();
        let bundle = bundle_of(exchange, answer).await?;
        room = room.checked_sub(size).ok_or(Refusal::TooBroad(most))?;
        let text = text(&bundle);
        // What a server says of all that it sends holds for each entry (FHIR R4 §6.1.3).
        let labels = Labels::own(bundle.root()).restricting();
        let (mut seen, mut judgements) = (Vec::new(), Vec::new());
        let mut found_there = entries(bundle.root()).filter_map(|entry| {
            entry.get(name::RESOURCE).filter(|resource| is_match(entry, &interaction, *resource))
        });
        loop {
            let some: Vec<Value<'_>> = found_there.by_ref().take(READ_TOGETHER).collect();
            if some.is_empty() {
                break;
            }
            let told = exchange.told_by_each(&some, labels.codes());
            for (resource, told) in some.into_iter().zip(told) {
                judged += 1;
                let (judgement, part) = match exchange.view_told(resource, labels.codes(), told).await? {
                    View::Whole(judgement) => (judgement, None),
                    View::Part(judgement, part) => (judgement, Some(part)),
                    View::Trimmed(judgement, left)
                        if exchange.matches_without(search, resource, left.root()) =>
                    {
                        (judgement, Some(left))
                    }
                    View::Trimmed(..) => continue,
                    View::Hidden(judgement) => {
                        exchange.withhold(judgement);
                        continue;
                    }
                };
                seen.push((resource, part));
                judgements.push(judgement);
                if matches.len().saturating_add(seen.len()) > most || judged > most_judged {
                    return Err(Refusal::TooBroad(most));
                }
            }
        }
        let shown: Vec<Value<'_>> =
            seen.iter().map(|(own, part)| part.as_ref().map_or(*own, OwnedDocument::root)).collect();
        exchange.learn_targets(&shown).await?;
        for ((shown, (whole, _)), judgement) in shown.into_iter().zip(&seen).zip(judgements) {
            let bare = exchange.with_seen_references(shown).await?;
            if bare.as_ref().is_some_and(|bare| !exchange.still_meets(search, *whole, bare.root())) {
                continue;
            }
            let shown = bare.as_ref().map_or(shown, OwnedDocument::root);
            matches.extend(found(exchange, &text, shown, judgement).await?);
        }
        match next_link(bundle.root()) {
            Some(link) => answer = exchange.follow(&link).await?,
            None => return Ok(matches),
        }
    }
}

async fn bundle_of(exchange: &mut Exchange<'_>, answer: UpstreamAnswer) -> Result<OwnedDocument, Refusal> {
    match answer.status {
        StatusCode::OK => exchange.resource_of(answer.body, "Bundle").await,
        StatusCode::NOT_FOUND => Err(Refusal::Absent),
        StatusCode::BAD_REQUEST => Err(Refusal::UpstreamRefused { status: StatusCode::BAD_REQUEST }),
        other => Err(Refusal::Upstream(UpstreamError::Status(other.as_u16()))),
    }
}

/// The entries of a Bundle.
pub(super) fn entries(bundle: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    bundle.get(name::ENTRY).into_iter().flat_map(Value::items)
}

/// Only matches of the asked type: what a server includes unasked is not passed on.
fn is_match(entry: Value<'_>, interaction: &Interaction, resource: Value<'_>) -> bool {
    let mode = entry.get(name::SEARCH).and_then(|search| search.str_of(name::MODE));
    let asked = interaction.resource_type().map(|name| name.as_str());
    mode.is_none_or(|mode| mode == "match") && resource.resource_type().as_deref() == asked
}

/// The server's link to its next page.
pub(super) fn next_link(bundle: Value<'_>) -> Option<String> {
    let mut links = bundle.get(name::LINK).into_iter().flat_map(Value::items);
    let next = links.find(|link| link.get(name::RELATION).is_some_and(|relation| relation.is_str("next")))?;
    Some(next.str_of(name::URL)?.into_owned())
}

/// A match as the caller gets it, of a page with this text; nothing where a map hides it or leaves it out. Its references
/// are as the settings have them.
async fn found(
    exchange: &mut Exchange<'_>,
    page: &Bytes,
    resource: Value<'_>,
    judgement: Judgement,
) -> Result<Option<Match>, Refusal> {
    let (Some(resource_type), Some(id)) = (resource.resource_type(), resource.str_of(name::ID)) else {
        return Err(Refusal::Upstream(UpstreamError::NotFhir("a match without an id".to_owned())));
    };
    let reference = format!("{resource_type}/{id}");
    match exchange.shown_so(resource).await? {
        Shown::Json(json) => {
            return Ok(Some(Match { reference, json: shown_of(page, json), judgement }));
        }
        Shown::Hidden(judgement) => exchange.withhold(judgement),
        Shown::LeftOut(_) => exchange.account.left_out += 1,
    }
    Ok(None)
}

/// A searchset. No `total` where it isn't known.
pub(super) fn bundle(links: &[(&str, String)], total: Option<usize>, page: &[Entry], base: &str) -> Vec<u8> {
    let sizes = page.iter().map(|entry| entry.json.len() + entry.reference.len() + base.len());
    let room = sizes.fold(AROUND, |room, size| room.saturating_add(size).saturating_add(AROUND_ENTRY));
    let mut json = JsonWriter::with_capacity(room);
    json.begin_object().member("resourceType", "Bundle").member("type", "searchset");
    if let Some(total) = total {
        json.key("total").integer(i64::try_from(total).unwrap_or(i64::MAX));
    }
    if !links.is_empty() {
        json.key("link").begin_array();
        for (relation, url) in links {
            json.begin_object().member("relation", relation).member("url", url).end_object();
        }
        json.end_array();
    }
    if !page.is_empty() {
        json.key("entry").begin_array();
        for entry in page {
            json.begin_object().member("fullUrl", &format!("{base}/{}", entry.reference));
            json.key("resource").raw(&entry.json);
            let mode = if entry.included { "include" } else { "match" };
            json.key("search").begin_object().member("mode", mode).end_object().end_object();
        }
        json.end_array();
    }
    json.end_object();
    json.into_bytes()
}
