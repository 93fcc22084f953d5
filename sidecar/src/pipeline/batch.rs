//! Batch (FHIR R4 §3.1.0.11): each entry is a request of its own, within the rate, by scopes, judged and audited.
//!
//! Invariants: an entry gets what it would get alone; one that fails changes nothing for the others; the audit
//! records of all entries are on disk before the answer leaves. Deletes are done first, then creates, then
//! updates and patches, then reads, as R4 orders a transaction: so an answer does not depend on how a caller
//! lists its entries. An entry may name another by its `fullUrl`; batches do not resolve that, so it is refused.

use bytes::Bytes;
use fhir_models::document::{JsonWriter, Limits, OwnedDocument, Value, name};
use http::{StatusCode, header};
use varco_core::access::{ScopeDecision, Scopes};
use varco_core::interaction::InteractionError;
use varco_core::interaction::batch::{Asked, Batch, BatchKind};
use varco_core::interaction::headers::Handling;
use varco_core::interaction::transaction::turn;

use super::answer::Answer;
use super::exchange::Exchange;
use super::{Refusal, transaction};
use crate::telemetry::stage::Stage;

/// What an entry asks and its body, or why it is refused.
type Work = Result<(Asked, Bytes), Refusal>;

/// Answers a batch.
pub(super) async fn batch(
    exchange: &mut Exchange<'_>,
    body: Bytes,
    handling: Handling,
) -> Result<Answer, Refusal> {
    let gateway = exchange.gateway;
    let limits = Limits { bytes: gateway.config.limits.body_bytes, ..Limits::default() };
    let document = OwnedDocument::parse_json(body, &limits)
        .map_err(|error| Refusal::Body { text: format!("{error}."), too_large: error.is_limit() })?;
    let bases = [gateway.config.site.base().to_owned()];
    let batch =
        Batch::parse(document.root(), &bases, &gateway.schema, handling).map_err(Refusal::Interaction)?;
    if batch.kind == BatchKind::Transaction {
        return transaction::transaction(exchange, batch).await;
    }
    let depends = batch.depends();
    let mut work: Vec<(usize, Work)> = Vec::with_capacity(batch.entries.len());
    for (at, entry) in batch.entries.into_iter().enumerate() {
        let tied = depends.get(at).is_some_and(|others| !others.is_empty());
        let refused = InteractionError::Bundle("entries of a batch can't refer to each other");
        let asked = entry.asked.and_then(|asked| if tied { Err(refused) } else { Ok(asked) });
        let work_of = asked.map_err(Refusal::Interaction).and_then(|asked| {
            let body = entry.resource.map_or(Ok(Bytes::new()), |resource| body_of(&asked, resource))?;
            Ok((asked, body))
        });
        work.push((at, work_of));
    }
    work.sort_by_key(|(at, asked)| (asked.as_ref().map_or(0, |(asked, _)| turn(&asked.interaction)), *at));
    let mut answers: Vec<(usize, Answer)> = Vec::with_capacity(work.len());
    let mut room = gateway.config.limits.answer_bytes;
    for (at, asked) in work {
        let writes = asked.as_ref().is_ok_and(|(asked, _)| asked.interaction.is_write());
        let mut answer = entry(exchange, asked).await?;
        match room.checked_sub(answer.body.len()) {
            Some(left) => room = left,
            // What was written was written; what was read can be asked for again.
            None if writes => answer.body = Bytes::new(),
            None => answer = Answer::refused(&Refusal::TooMuchAnswer),
        }
        answers.push((at, answer));
    }
    answers.sort_by_key(|(at, _)| *at);
    Ok(Answer::fhir(StatusCode::OK, response("batch-response", answers.iter().map(|(_, answer)| answer))))
}

/// Answers one entry, and makes its audit record durable.
async fn entry(exchange: &mut Exchange<'_>, asked: Work) -> Result<Answer, Refusal> {
    let gateway = exchange.gateway;
    let within = exchange.account.enter(Stage::Entry);
    let mut account = exchange.account.of_entry();
    account.spans = exchange.account.spans.take();
    let requester = exchange.requester.clone();
    let outcome = match asked {
        Err(refusal) => Err(refusal),
        Ok((Asked { interaction, headers }, body)) => {
            account.interaction = Some(interaction.clone());
            let admitted = gateway.admit_entry(&requester, &interaction, &body);
            let scopes = Scopes::of(requester.scopes.iter().map(String::as_str));
            let covered = scopes.allows(&interaction, None) == ScopeDecision::Allowed;
            let mut own = Exchange { gateway, requester, headers, account: &mut account, confined_to: None };
            match admitted {
                Err(refusal) => Err(refusal),
                Ok(()) if !covered => Err(Refusal::Scope),
                Ok(()) => own.serve(interaction, body, 0).await,
            }
        }
    };
    gateway.remember(&mut account, outcome.is_ok());
    let (status, refusal) = match &outcome {
        Ok(answer) => (answer.status, None),
        Err(refusal) => {
            account.released.clear();
            (refusal.row().status, Some(refusal))
        }
    };
    let audit = account.enter(Stage::Audit);
    let recorded = gateway.record(&account, status, refusal).await;
    account.leave(&audit);
    let whole = &mut *exchange.account;
    whole.spans = account.spans.take();
    whole.leave(&within);
    recorded?;
    whole.released.append(&mut account.released);
    whole.withheld += account.withheld;
    account.policies.iter().for_each(|decision| whole.note_policy(decision));
    whole.mapped += account.mapped;
    whole.warnings.append(&mut account.warnings);
    Ok(outcome.unwrap_or_else(|refusal| Answer::refused(&refusal)))
}

/// What would be the body of the request: the resource, or the JSON Patch that a Binary holds.
pub(super) fn body_of(asked: &Asked, resource: Value<'_>) -> Result<Bytes, Refusal> {
    let is_binary = resource.resource_type().as_deref() == Some("Binary");
    if !asked.interaction.takes_patch() || !is_binary {
        return Ok(Bytes::from(resource.raw().to_owned()));
    }
    let bad = |text: &str| Refusal::Body { text: text.to_owned(), too_large: false };
    let json_patch = resource
        .get_key("contentType")
        .is_some_and(|own| own.is_str(varco_core::interaction::headers::JSON_PATCH));
    if !json_patch {
        return Err(bad("A patch in a Binary must have the content type application/json-patch+json."));
    }
    let data = resource.get_key("data").and_then(Value::as_str).unwrap_or_default();
    let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, data.as_bytes());
    decoded.map(Bytes::from).map_err(|_| bad("The data of the Binary is not base64."))
}

/// The Bundle of this type that answers, an entry for each in the caller's order.
pub(super) fn response<'a>(kind: &str, answers: impl ExactSizeIterator<Item = &'a Answer>) -> Vec<u8> {
    let mut json = JsonWriter::new();
    json.begin_object().member("resourceType", "Bundle").member("type", kind);
    let writes = kind == "transaction-response";
    let any = answers.len() > 0;
    if any {
        json.key("entry").begin_array();
    }
    for answer in answers {
        json.begin_object();
        let failed = answer.status.is_client_error() || answer.status.is_server_error();
        // What an operation answers is its resource; what a write says of itself stands beside it.
        let is_outcome =
            failed || writes && answer.body.starts_with(br#"{"resourceType":"OperationOutcome""#);
        if !answer.body.is_empty() && !is_outcome {
            json.key("resource").raw(&answer.body);
        }
        json.key("response").begin_object().member("status", answer.status.as_str());
        for (member, header) in [("location", header::LOCATION), ("etag", header::ETAG)] {
            let value = answer.headers.iter().find(|(name, _)| *name == header);
            json.optional(member, value.and_then(|(_, value)| value.to_str().ok()));
        }
        let modified = (!is_outcome).then(|| last_updated(&answer.body)).flatten();
        json.optional("lastModified", modified.as_deref());
        if !answer.body.is_empty() && is_outcome {
            json.key("outcome").raw(&answer.body);
        }
        json.end_object().end_object();
    }
    if any {
        json.end_array();
    }
    json.end_object();
    json.into_bytes()
}

/// The instant that a resource says it was changed at.
fn last_updated(body: &[u8]) -> Option<String> {
    let limits = Limits { bytes: usize::MAX, ..Limits::default() };
    let document = OwnedDocument::parse_json(body, &limits).ok()?;
    Some(document.root().get(name::META)?.str_of(name::LAST_UPDATED)?.into_owned())
}
