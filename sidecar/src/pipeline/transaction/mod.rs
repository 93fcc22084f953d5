//! Transaction (FHIR R4 §3.1.0.11.2): all entries or none, by one request to the hospital's server.
//!
//! ```text
//! each entry: rate, scopes → conditions → references → judge and make ready ⟶ all intents on record
//!    answer ← all records ← reads ← each answer judged ← one Bundle of plain writes at the server
//! ```
//!
//! Invariants:
//! 1. An entry is judged as a request of its own would be; the first that is refused, in the order in which R4 processes
//!    them, refuses the whole, and is all that the caller learns. Until then nothing is asked of the server but reads.
//! 2. The server gets creates, updates and deletes by id. What entries say of each other, and what conditions and
//!    references by search mean, is decided here by what the caller may see.
//! 3. A server that does no transactions does none by being asked entry by entry either: the whole is refused.
//!
//! Reads are answered by what stands there after the writes. They are tried before, so that one that is refused stops the
//! writes; one that fails only afterwards says so in its own entry.

mod entry;
mod reply;

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use fhir_models::document::{Limits, OwnedDocument, Value};
use http::StatusCode;
use varco_core::access::{ScopeDecision, Scopes};
use varco_core::audit::AuditOutcome;
use varco_core::interaction::batch::{Batch, conditional_reference, references};
use varco_core::interaction::transaction::{Links, PlainWrite, bundle, relinked, searches};
use varco_core::interaction::{Instance, Interaction, InteractionError};

use super::answer::Answer;
use super::exchange::Exchange;
use super::surroundings::Surroundings;
use super::write::Prepared;
use super::{Refusal, batch, conditional, includes, joins, write};
use entry::{Entry, Place};

/// Most references by search that one transaction may have, each counted once.
const MOST_SEARCHES: usize = 100;
/// What an entry may grow by when references are written, in bytes.
const GROWTH: usize = 1024;

/// Answers a transaction.
pub(super) async fn transaction(exchange: &mut Exchange<'_>, batch: Batch<'_>) -> Result<Answer, Refusal> {
    let gateway = exchange.gateway;
    exchange.account.interaction = Some(Interaction::Transaction);
    // All entries work with one set of maps.
    exchange.map_set();
    let entries = batch.entries.into_iter().enumerate();
    let mut entries: Vec<Entry> = entries.map(|(at, entry)| Entry::new(exchange, at, entry)).collect();
    let done = carry_out(exchange, &mut entries).await;
    take_nameless(&mut entries);

    let (mut records, mut uses) = (Vec::new(), Vec::new());
    for entry in &mut entries {
        match (&done, &entry.outcome) {
            (Ok(()), Some(Ok(answer))) => {
                records.extend(gateway.records_of(&entry.account, answer.status, None))
            }
            (Ok(()), Some(Err(refusal))) => {
                entry.account.released.clear();
                records.extend(gateway.records_of(&entry.account, refusal.row().status, Some(refusal)));
            }
            (Err(refusal), _) => {
                entry.account.released.clear();
                let own = refusal.of_entry(entry.at);
                records.extend(match own {
                    Some(own) => gateway.records_of(&entry.account, own.row().status, Some(own)),
                    None => {
                        let told = "not done: another entry of the transaction was refused".to_owned();
                        gateway.records(&entry.account, AuditOutcome::MinorFailure, Some(told))
                    }
                });
            }
            (Ok(()), None) => return Err(Refusal::Internal),
        }
        uses.extend(gateway.uses(&entry.account));
        let whole = &mut *exchange.account;
        whole.released.append(&mut entry.account.released);
        whole.withheld += entry.account.withheld;
        entry.account.policies.iter().for_each(|decision| whole.note_policy(decision));
        whole.mapped += entry.account.mapped;
        whole.warnings.append(&mut entry.account.warnings);
    }
    gateway.append_reviewed(records, uses, exchange.account.is_urgent()).await?;
    done?;
    let mut room = gateway.config.limits.answer_bytes;
    let answers: Vec<Answer> = entries.into_iter().map(|entry| entry.answer(&mut room)).collect();
    Ok(Answer::fhir(StatusCode::OK, batch::response("transaction-response", answers.iter())))
}

async fn carry_out(exchange: &mut Exchange<'_>, entries: &mut [Entry]) -> Result<(), Refusal> {
    let gateway = exchange.gateway;
    entries.sort_by_key(Entry::turn);
    admit(exchange, entries)?;
    let types = entries.iter().filter_map(Entry::condition).map(|search| search.resource_type.as_str());
    let _turns = gateway.turns.wait_for_all(types).await;
    decide_conditions(exchange, entries).await?;
    entries.sort_by_key(Entry::turn);
    let gone = no_clash(entries)?;
    link(exchange, entries, &gone).await?;
    prepare(exchange, entries, &gone).await?;
    let wrote = forward(exchange, entries).await?;
    read(exchange, entries, wrote).await;
    entries.sort_by_key(|entry| entry.at);
    Ok(())
}

/// What each entry would need as a request of its own: its rate, its scopes, and an interaction that is served here.
fn admit(exchange: &Exchange<'_>, entries: &mut [Entry]) -> Result<(), Refusal> {
    let requester = &exchange.requester;
    let scopes = Scopes::of(requester.scopes.iter().map(String::as_str));
    for entry in entries {
        let body = entry.body.clone();
        let admitted = entry.asked().and_then(|interaction| {
            exchange.gateway.admit_entry(requester, interaction, &body)?;
            if scopes.allows(interaction, None) != ScopeDecision::Allowed {
                return Err(Refusal::Scope);
            }
            let own = interaction.resource_type().is_some_and(includes::is_own);
            if own && interaction.is_write() {
                return Err(Refusal::NotServed(
                    "Consents and audit records are the gateway's own and stand in no transaction: send them alone.",
                ));
            }
            if interaction.operation().is_some() && interaction.takes_resource() {
                return Err(Refusal::NotServed(
                    "An operation with a body stands in no transaction: send it alone.",
                ));
            }
            Ok(())
        });
        admitted.map_err(|refusal| refusal.in_entry(entry.at))?;
        let (at, interaction) = (entry.at, entry.asked()?.clone());
        let permitted = entry.alone(exchange).admit_by_policy(&interaction);
        permitted.map_err(|refusal| refusal.in_entry(at))?;
    }
    Ok(())
}

/// Finds what conditional writes are about, among what the caller may see, and so where each entry stands.
async fn decide_conditions(exchange: &Exchange<'_>, entries: &mut [Entry]) -> Result<(), Refusal> {
    // Deletions come first: what they take away meets no condition of a create.
    let mut gone: HashSet<Instance> = HashSet::new();
    for entry in entries {
        let at = entry.at;
        let interaction = entry.asked().map_err(|refusal| refusal.in_entry(at))?.clone();
        let met = match interaction.condition() {
            Some(_) => conditional::met(&mut entry.alone(exchange), &interaction).await,
            None => Ok(None),
        };
        let met = met.map_err(|refusal| refusal.in_entry(at))?;
        let creates = matches!(interaction, Interaction::ConditionalCreate(_));
        entry.find_place(met.filter(|met| !creates || !gone.contains(met)));
        if let (true, Some(Place::Known(instance))) = (entry.deletes(), &entry.place) {
            gone.insert(instance.clone());
        }
    }
    Ok(())
}

/// Refuses two entries that write one resource, or that would create by the same criteria. Gives what will be gone.
fn no_clash(entries: &[Entry]) -> Result<HashSet<Instance>, Refusal> {
    let (mut written, mut sought, mut gone) = (HashSet::new(), HashSet::new(), HashSet::new());
    for entry in entries.iter().filter(|entry| entry.writes()) {
        let clash = |text| Refusal::Interaction(InteractionError::Bundle(text)).in_entry(entry.at);
        match &entry.place {
            Some(Place::Known(instance)) => {
                if !written.insert(instance.clone()) {
                    return Err(clash("two entries write the same resource"));
                }
                if entry.deletes() {
                    gone.insert(instance.clone());
                }
            }
            Some(Place::New { .. }) => {
                let criteria = entry.condition().map(|own| (own.resource_type.clone(), own.self_query()));
                if criteria.is_some_and(|criteria| !sought.insert(criteria)) {
                    return Err(clash("two entries would create by the same criteria"));
                }
            }
            None => {}
        }
    }
    Ok(gone)
}

/// Writes references to other entries, and those that stand for a search, as references to resources.
async fn link(
    exchange: &mut Exchange<'_>,
    entries: &mut [Entry],
    gone: &HashSet<Instance>,
) -> Result<(), Refusal> {
    let mut links = Links::default();
    for entry in entries.iter().filter(|entry| !entry.deletes()) {
        if let (Some(full_url), Some(place)) = (&entry.full_url, &entry.place) {
            links.add(full_url, place.reference());
        }
    }
    let bases = &exchange.gateway.reading.bases;
    let mut known: HashMap<String, String> = HashMap::new();
    for entry in entries.iter_mut().filter(|entry| !entry.body.is_empty()) {
        // A JSON Patch that can't be read is refused when it is applied.
        let Ok(document) = OwnedDocument::parse_json(entry.body.clone(), &limits(exchange)) else {
            continue;
        };
        for text in searches(document.document()) {
            if !known.contains_key(&text) {
                if known.len() >= MOST_SEARCHES {
                    let many =
                        InteractionError::TooMuch { what: "references by search", limit: MOST_SEARCHES };
                    return Err(Refusal::Interaction(many).in_entry(entry.at));
                }
                let at = entry.at;
                let found = find(exchange, entry, &text, gone).await;
                known.extend(
                    found.map_err(|refusal| refusal.in_entry(at))?.map(|found| (text.clone(), found)),
                );
            }
        }
        let full_url = entry.full_url.as_deref();
        let replaced = |text: &str| {
            let found = known.get(text).map(String::as_str).or_else(|| links.resolve(text, full_url));
            found.map(str::to_owned)
        };
        if let Some(body) = relinked(document.document(), replaced) {
            entry.body = Bytes::from(body);
        }
        // In another form, the server might take for a search what was not decided here.
        let here = |text: &str| !text.contains("://") || bases.iter().any(|base| text.starts_with(base));
        let texts = references(document.root()).filter_map(Value::as_str);
        if texts.filter(|text| !known.contains_key(&**text)).any(|text| text.contains('?') && here(&text)) {
            let text = "A reference by search is written as [type]?[criteria].".to_owned();
            return Err(Refusal::Body { text, too_large: false }.in_entry(entry.at));
        }
    }
    Ok(())
}

/// The one resource that a reference by search means: none and several are refused alike. `None` for a text that is no
/// search.
async fn find(
    exchange: &Exchange<'_>,
    entry: &mut Entry,
    text: &str,
    gone: &HashSet<Instance>,
) -> Result<Option<String>, Refusal> {
    let gateway = exchange.gateway;
    let Some(asked) = conditional_reference(text, &gateway.schema) else { return Ok(None) };
    let asked = asked.map_err(Refusal::Interaction)?;
    let Interaction::SearchType(search) = &asked else { return Err(Refusal::Internal) };
    if includes::is_own(&search.resource_type) {
        return Err(Refusal::NotServed(
            "Consents and audit records are the gateway's own: no reference leads to them by search.",
        ));
    }
    gateway.admit_entry(&exchange.requester, &asked, b"")?;
    let scopes = Scopes::of(exchange.requester.scopes.iter().map(String::as_str));
    if scopes.allows(&asked, None) != ScopeDecision::Allowed {
        return Err(Refusal::Scope);
    }
    let mut own = entry.alone(exchange);
    joins::permit(&own, search)?;
    match conditional::only(&mut own, search.clone()).await {
        Ok(Some(found)) if !gone.contains(&found) => {
            Ok(Some(format!("{}/{}", found.resource_type, found.id.as_str())))
        }
        Ok(_) | Err(Refusal::Several) => Err(Refusal::Unmatched),
        Err(refusal) => Err(refusal),
    }
}

/// Judges every entry and makes the writes ready.
async fn prepare(
    exchange: &Exchange<'_>,
    entries: &mut [Entry],
    gone: &HashSet<Instance>,
) -> Result<(), Refusal> {
    // What was gathered about patients serves all entries: nothing is written meanwhile.
    let mut surroundings = Surroundings::default();
    for entry in entries.iter_mut() {
        let at = entry.at;
        entry.account.surroundings = std::mem::take(&mut surroundings);
        let judged = judge(exchange, entry, gone).await;
        surroundings = std::mem::take(&mut entry.account.surroundings);
        judged.map_err(|refusal| refusal.in_entry(at))?;
        if let (Some(Place::New { uuid, .. }), Some(ready)) = (&entry.place, &entry.ready)
            && entry.is_of("Patient")
            && let Ok(patient) = OwnedDocument::parse_json(ready.body.clone(), &limits(exchange))
        {
            // Consents may be kept under the identifiers of one who is not there yet.
            surroundings.know(format!("Patient/{uuid}"), exchange.person_of(patient.root()));
        }
    }
    Ok(())
}

async fn judge(exchange: &Exchange<'_>, entry: &mut Entry, gone: &HashSet<Instance>) -> Result<(), Refusal> {
    let interaction = entry.asked()?.clone();
    if !interaction.is_write() {
        if interaction.instance().is_some_and(|instance| gone.contains(instance)) {
            return Err(Refusal::Absent);
        }
        let tried = entry.alone(exchange).serve(interaction, Bytes::new(), 0).await?;
        entry.outcome = Some(Ok(tried));
        return Ok(());
    }
    let (met, body) = (entry.met(), entry.body.clone());
    let mut own = entry.alone(exchange);
    let prepared = write::prepare(&mut own, interaction, met, body).await?;
    let headers = own.headers;
    entry.headers = headers;
    match prepared {
        Prepared::Write(ready) => entry.ready = Some(ready),
        Prepared::Answered(answer) => entry.outcome = Some(Ok(answer)),
    }
    Ok(())
}

/// Sends all writes to the hospital's server as one transaction; false where there is none to send.
async fn forward(exchange: &mut Exchange<'_>, entries: &mut [Entry]) -> Result<bool, Refusal> {
    let gateway = exchange.gateway;
    let new = entries.iter().filter_map(|entry| entry.place.as_ref()).filter(|place| place.is_new());
    let urns: HashMap<String, String> =
        new.map(|place| (place.reference(), format!("urn:uuid:{}", place.id()))).collect();
    let urn = |text: &str| urns.get(text).cloned();
    let mut bodies: Vec<(usize, Bytes)> = Vec::new();
    let mut size = 0_usize;
    for (at, entry) in entries.iter().enumerate() {
        let Some(ready) = &entry.ready else { continue };
        let document =
            OwnedDocument::parse_json(ready.body.clone(), &Limits { bytes: usize::MAX, ..Limits::default() });
        let linked = document.ok().and_then(|document| relinked(document.document(), urn));
        let body = linked.map_or_else(|| ready.body.clone(), Bytes::from);
        size = size.saturating_add(body.len());
        bodies.push((at, body));
    }
    if bodies.is_empty() {
        return Ok(false);
    }
    let most = gateway.config.limits.body_bytes.saturating_add(GROWTH.saturating_mul(bodies.len()));
    if size > most {
        let text = "What the entries come to here is larger than a body may be; send fewer.".to_owned();
        return Err(Refusal::Body { text, too_large: true });
    }
    let plain = bodies.iter().filter_map(|(at, body)| {
        let entry = entries.get(*at)?;
        let uuid = entry.place.as_ref().filter(|place| place.is_new()).map(Place::id);
        let interaction = &entry.ready.as_ref()?.interaction;
        Some(PlainWrite { interaction, resource: body, uuid, if_match: entry.headers.if_match.as_ref() })
    });
    let sent = Bytes::from(bundle(plain));

    let about = take_nameless(entries);
    let mut accounts: Vec<_> =
        entries.iter_mut().filter(|entry| entry.ready.is_some()).map(|entry| &mut entry.account).collect();
    gateway.record_intents(&mut accounts).await?;
    let answer = exchange.transact(sent).await?;

    let asked: Vec<&Interaction> =
        entries.iter().filter_map(|entry| entry.ready.as_ref()).map(|ready| &ready.interaction).collect();
    let replies = reply::read(&answer, &asked)?;
    let mut named: HashMap<String, String> = HashMap::new();
    for (entry, reply) in entries.iter_mut().filter(|entry| entry.ready.is_some()).zip(&replies) {
        let interaction =
            entry.ready.as_ref().map(|ready| ready.interaction.clone()).ok_or(Refusal::Internal)?;
        let ended = write::ended(&mut entry.alone(exchange), &interaction, reply).await?;
        if let (Some(place @ Place::New { .. }), Some(written)) = (&entry.place, &entry.account.written) {
            named.insert(place.reference(), written.clone());
        }
        entry.outcome = Some(Ok(ended));
    }
    for (at, placeholder) in about {
        if let (Some(entry), Some(real)) = (entries.get_mut(at), named.get(&placeholder)) {
            entry.account.patients.insert(real.clone());
        }
    }
    Ok(true)
}

/// Answers the reads, after the writes.
async fn read(exchange: &Exchange<'_>, entries: &mut [Entry], wrote: bool) {
    if !wrote {
        return;
    }
    for entry in entries.iter_mut().filter(|entry| !entry.writes()) {
        let Ok(interaction) = entry.asked().cloned() else { continue };
        if interaction.is_write() {
            continue;
        }
        entry.account = exchange.account.of_entry();
        entry.account.interaction = Some(interaction.clone());
        let answered = entry.alone(exchange).serve(interaction, Bytes::new(), 0).await;
        entry.outcome = Some(answered);
    }
}

/// Takes out of the records whom they are about where that patient has no id yet; gives which entry named whom.
fn take_nameless(entries: &mut [Entry]) -> Vec<(usize, String)> {
    let places = entries.iter().filter_map(|entry| entry.place.as_ref());
    let new: Vec<String> = places.filter(|place| place.is_new()).map(Place::reference).collect();
    let mut taken = Vec::new();
    for (at, entry) in entries.iter_mut().enumerate() {
        let found = new.iter().filter(|new| entry.account.patients.remove(*new));
        taken.extend(found.map(|new| (at, new.clone())));
    }
    taken
}

fn limits(exchange: &Exchange<'_>) -> Limits {
    Limits { bytes: exchange.gateway.config.limits.body_bytes, ..Limits::default() }
}
