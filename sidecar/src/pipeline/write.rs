//! Create, update and delete (FHIR R4 §3.1.0.4, §3.1.0.7, §3.1.0.8).
//!
//! A body is parsed, mapped to this hospital's identifier systems and judged before anything is forwarded. An
//! update or delete is judged by what stands there now as well: what the caller may not see it can't change, and
//! it is told what it would be told if nothing stood there. For the same reason an update never creates.
//!
//! Invariant: what is about to be written is on record before it is forwarded ([`Exchange::intend`]).

use bytes::Bytes;
use fhir_models::document::{Edits, Limits, OwnedDocument, Value, name};
use http::{StatusCode, header};
use varco_core::interaction::batch::{conditional_reference, references};
use varco_core::interaction::headers::ReturnPreference;
use varco_core::interaction::{Id, Instance, Interaction, ResourceType};
use varco_core::outcome::{Issue, IssueSeverity, IssueType, Outcome};
use varco_plugin_host::Hook;

use super::answer::Answer;
use super::exchange::Exchange;
use super::map::Shown;
use super::{Refusal, conditional, patch, plugin};
use crate::upstream::{UpstreamAnswer, UpstreamError};

/// A write that was judged fit: what is to be asked of the hospital's server.
#[derive(Debug)]
pub(super) struct Ready {
    /// A plain create, update or delete.
    pub interaction: Interaction,
    /// The resource; nothing for a delete.
    pub body: Bytes,
}

/// What a write comes to before anything is forwarded.
#[derive(Debug)]
pub(super) enum Prepared {
    /// It is to be forwarded.
    Write(Box<Ready>),
    /// There is nothing to write: what is to be created exists.
    Answered(Answer),
}

/// Answers a write. Those on a condition wait for each other, by type.
pub(super) async fn write(
    exchange: &mut Exchange<'_>,
    interaction: Interaction,
    body: Bytes,
) -> Result<Answer, Refusal> {
    let gateway = exchange.gateway;
    let _turn = match interaction.condition() {
        Some(condition) => gateway.turns.wait(condition.resource_type.as_str()).await,
        None => None,
    };
    let met = conditional::met(exchange, &interaction).await?;
    match prepare(exchange, interaction, met, body).await? {
        Prepared::Answered(answer) => Ok(answer),
        Prepared::Write(ready) => {
            exchange.intend().await?;
            let request = ready.interaction.to_request();
            let answer = exchange.ask(&ready.interaction, &request, ready.body.clone()).await?;
            ended(exchange, &ready.interaction, &answer).await
        }
    }
}

/// Judges a write and makes it ready; `met` is the one visible resource that meets its criteria.
pub(super) async fn prepare(
    exchange: &mut Exchange<'_>,
    interaction: Interaction,
    met: Option<Instance>,
    body: Bytes,
) -> Result<Prepared, Refusal> {
    let ready = match interaction {
        Interaction::Create(resource_type) => create(exchange, resource_type, body).await?,
        Interaction::Update(instance) => update(exchange, instance, body).await?,
        Interaction::Patch(instance) => patch::patch(exchange, instance, body).await?,
        Interaction::Delete(instance) => delete(exchange, instance).await?,
        interaction => return conditional::prepare(exchange, interaction, met, body).await,
    };
    Ok(Prepared::Write(Box::new(ready)))
}

/// The answer to a write, from what the hospital's server answered.
pub(super) async fn ended(
    exchange: &mut Exchange<'_>,
    interaction: &Interaction,
    answer: &UpstreamAnswer,
) -> Result<Answer, Refusal> {
    match (interaction, answer.status) {
        (Interaction::Create(resource_type), StatusCode::CREATED | StatusCode::OK) => {
            written(exchange, answer, resource_type, StatusCode::CREATED, None).await
        }
        (Interaction::Update(instance), StatusCode::CREATED | StatusCode::OK) => {
            written(exchange, answer, &instance.resource_type, StatusCode::OK, Some(&instance.id)).await
        }
        (Interaction::Delete(instance), StatusCode::OK | StatusCode::NO_CONTENT | StatusCode::ACCEPTED) => {
            exchange.account.written = Some(format!("{}/{}", instance.resource_type, instance.id.as_str()));
            Ok(Answer::fhir(StatusCode::NO_CONTENT, Bytes::new()))
        }
        _ => Err(refused(answer)),
    }
}

/// A resource that is to be created.
pub(super) async fn create(
    exchange: &mut Exchange<'_>,
    resource_type: ResourceType,
    body: Bytes,
) -> Result<Ready, Refusal> {
    let sent = body.clone();
    let document = without_id(&incoming(exchange, &resource_type, body).await?);
    let document = parse(exchange, &resource_type, &document)?;
    exchange.permit_write(document.root()).await?;
    exchange.inspect_request(&document, &sent).await?;
    Ok(Ready {
        interaction: Interaction::Create(resource_type),
        body: Bytes::from(document.text().to_owned()),
    })
}

/// A change of a resource that stands there and is visible to the caller.
async fn update(exchange: &mut Exchange<'_>, instance: Instance, body: Bytes) -> Result<Ready, Refusal> {
    let document = incoming(exchange, &instance.resource_type, body.clone()).await?;
    if !document.root().get(name::ID).is_some_and(|id| id.is_str(instance.id.as_str())) {
        let text = "The resource's `id` must be the id in the URL.".to_owned();
        return Err(Refusal::Body { text, too_large: false });
    }
    guard_change(exchange, &instance).await?;
    put(exchange, instance, document, &body).await
}

/// A change of the resource that a condition found; the body may leave its `id` out.
pub(super) async fn update_found(
    exchange: &mut Exchange<'_>,
    instance: Instance,
    body: Bytes,
) -> Result<Ready, Refusal> {
    let document = parse(exchange, &instance.resource_type, &body)?;
    let body = match document.root().get(name::ID) {
        Some(_) => body,
        None => {
            let mut edits = Edits::new(document.document());
            edits.append(document.root(), format!("\"id\":\"{}\"", instance.id.as_str()).as_bytes());
            edits.apply().into()
        }
    };
    update(exchange, instance, body).await
}

/// What became of a visible resource, whose guard the caller has passed.
pub(super) async fn store(
    exchange: &mut Exchange<'_>,
    instance: Instance,
    body: Bytes,
) -> Result<Ready, Refusal> {
    let document = incoming(exchange, &instance.resource_type, body).await?;
    put(exchange, instance, document, b"").await
}

/// True where a body that is to be a resource states its id.
pub(super) fn states_id(exchange: &Exchange<'_>, body: &[u8]) -> Result<bool, Refusal> {
    let limits = Limits { bytes: exchange.gateway.config.limits.body_bytes, ..Limits::default() };
    let document = OwnedDocument::parse_json(body, &limits)
        .map_err(|error| Refusal::Body { text: format!("{error}."), too_large: error.is_limit() })?;
    Ok(document.root().get(name::ID).is_some())
}

async fn put(
    exchange: &mut Exchange<'_>,
    instance: Instance,
    document: OwnedDocument,
    sent: &[u8],
) -> Result<Ready, Refusal> {
    exchange.permit_write(document.root()).await?;
    exchange.inspect_request(&document, sent).await?;
    Ok(Ready { interaction: Interaction::Update(instance), body: Bytes::from(document.text().to_owned()) })
}

/// The deletion of a resource that stands there and is visible to the caller.
pub(super) async fn delete(exchange: &mut Exchange<'_>, instance: Instance) -> Result<Ready, Refusal> {
    guard(exchange, &instance).await?;
    Ok(Ready { interaction: Interaction::Delete(instance), body: Bytes::new() })
}

/// What stands there now must be visible, and shown as it is: what a caller got without some references can't be
/// written back without losing them.
pub(super) async fn guard_change(
    exchange: &mut Exchange<'_>,
    instance: &Instance,
) -> Result<OwnedDocument, Refusal> {
    let current = guard(exchange, instance).await?;
    if exchange.with_seen_references(current.root()).await?.is_some() {
        return Err(Refusal::NotServed(
            "Not all that this resource refers to is shown here, so it can't be changed: what is not shown would be lost.",
        ));
    }
    Ok(current)
}

/// What stands there now must be visible, and of the version that the caller expects.
pub(super) async fn guard(
    exchange: &mut Exchange<'_>,
    instance: &Instance,
) -> Result<OwnedDocument, Refusal> {
    let read = Interaction::Read(instance.clone());
    let expected = exchange.headers.if_match.take();
    let fetched = exchange.fetch(&read, instance).await;
    let Some(current) = fetched? else { return Err(Refusal::Absent) };
    let judgement = exchange.judge(current.root()).await?;
    if !judgement.permitted {
        if exchange.without_elements(current.root(), &[]).await?.is_some() {
            return Err(Refusal::NotServed(
                "Not all of this resource is shown here, so it can't be changed: what is not shown would be lost.",
            ));
        }
        exchange.withhold(judgement);
        return Err(Refusal::Absent);
    }
    // What is changed or deleted is on record as those patients' whose it was.
    let unchangeable = judgement.unchangeable;
    exchange.account.note(judgement);
    if let Some(expected) = expected {
        let version = current.root().get(name::META).and_then(|meta| meta.str_of(name::VERSION_ID));
        if version.is_some_and(|version| version != expected.as_str()) {
            return Err(Refusal::Version);
        }
        exchange.headers.if_match = Some(expected);
    }
    if let Some(why) = unchangeable {
        return Err(Refusal::Policy(why));
    }
    Ok(current)
}

/// The answer to a write with the body that the caller prefers (FHIR R4 §3.1.0.1.7).
pub(super) fn as_preferred(exchange: &Exchange<'_>, mut answer: Answer) -> Answer {
    match exchange.headers.prefer {
        Some(ReturnPreference::Minimal) => answer.body = Bytes::new(),
        Some(ReturnPreference::Outcome) => {
            let done = Issue::new(IssueSeverity::Information, IssueType::Informational, "done");
            answer.body = Outcome::of(done).to_json().into();
        }
        Some(ReturnPreference::Representation) | None => {}
    }
    answer
}

/// A new resource has no id yet: one that the caller gave would only lend it another resource's rights.
pub(super) fn without_id(document: &OwnedDocument) -> Vec<u8> {
    let mut edits = Edits::new(document.document());
    if let Some(id) = document.root().get(name::ID) {
        edits.remove(id);
    }
    edits.apply()
}

/// The caller's body: strict JSON of the right type, after the plugins and the route's map, in this hospital's identifier
/// systems.
pub(super) async fn incoming(
    exchange: &mut Exchange<'_>,
    resource_type: &ResourceType,
    body: Bytes,
) -> Result<OwnedDocument, Refusal> {
    // Plugins are given what was parsed alone.
    let mut document = parse(exchange, resource_type, &body)?;
    if let Some(changed) = plugin::run(exchange, Hook::Request, &body).await? {
        document = of_type(resource_type, changed)?;
    }
    no_conditional_reference(exchange, document.root())?;
    let document = exchange.map_request(document, resource_type).await?;
    match exchange.gateway.to_local.map_document(document.document()) {
        None => Ok(document),
        Some(mapped) => {
            exchange.account.mapped += mapped.changes.len();
            parse(exchange, resource_type, &mapped.json)
        }
    }
}

/// A reference such as `Patient?identifier=…` would be resolved by the server behind over all it holds.
fn no_conditional_reference(exchange: &Exchange<'_>, resource: Value<'_>) -> Result<(), Refusal> {
    let schema = &exchange.gateway.schema;
    let mut texts = references(resource).filter_map(Value::as_str);
    if texts.any(|text| conditional_reference(&text, schema).is_some()) {
        let text =
            "Conditional references are not resolved here: refer to resources by type and id.".to_owned();
        return Err(Refusal::Body { text, too_large: false });
    }
    Ok(())
}

pub(super) fn parse(
    exchange: &Exchange<'_>,
    resource_type: &ResourceType,
    body: &[u8],
) -> Result<OwnedDocument, Refusal> {
    let limits = Limits { bytes: exchange.gateway.config.limits.body_bytes, ..Limits::default() };
    let document = OwnedDocument::parse_json(body, &limits)
        .map_err(|error| Refusal::Body { text: format!("{error}."), too_large: error.is_limit() })?;
    of_type(resource_type, document)
}

fn of_type(resource_type: &ResourceType, document: OwnedDocument) -> Result<OwnedDocument, Refusal> {
    if document.root().resource_type().as_deref() == Some(resource_type.as_str()) {
        Ok(document)
    } else {
        let text = format!("The body must be a {resource_type}: its `resourceType` must say so.");
        Err(Refusal::Body { text, too_large: false })
    }
}

/// The answer to a write that the server took. Where a map can't write what is stored as the caller reads it, the answer has
/// no body: the write is done all the same.
async fn written(
    exchange: &mut Exchange<'_>,
    answer: &UpstreamAnswer,
    resource_type: &ResourceType,
    status: StatusCode,
    id: Option<&Id>,
) -> Result<Answer, Refusal> {
    let returned = if answer.body.is_empty() {
        None
    } else {
        exchange.resource_of(answer.body.clone(), resource_type.as_str()).await.ok()
    };
    let id = match (id, returned.as_ref().and_then(|document| document.root().str_of(name::ID))) {
        (Some(id), _) => id.as_str().to_owned(),
        (None, Some(id)) => id.into_owned(),
        (None, None) => located(answer, resource_type).ok_or_else(|| {
            Refusal::Upstream(UpstreamError::NotFhir("a create that names no new resource".to_owned()))
        })?,
    };
    let reference = format!("{resource_type}/{id}");
    exchange.account.written = Some(reference.clone());
    let wanted = matches!(exchange.headers.prefer, None | Some(ReturnPreference::Representation));
    let reply = match returned.as_ref().map(OwnedDocument::root) {
        Some(resource) if wanted => {
            let body = match exchange.shown(resource).await {
                Ok(Shown::Json(body)) => body.into_owned(),
                Ok(Shown::Hidden(_) | Shown::LeftOut(_)) => Vec::new(),
                Err(refusal) => {
                    let request_id = exchange.account.request_id.as_str();
                    tracing::error!(request_id, cause = %refusal, "a write is answered without its body");
                    Vec::new()
                }
            };
            Answer::resource(status, resource, body)
        }
        Some(resource) => Answer::resource(status, resource, Bytes::new()),
        None => Answer::fhir(status, Bytes::new()),
    };
    let mut reply = as_preferred(exchange, reply);
    if status == StatusCode::CREATED {
        let version = returned.as_ref().and_then(|document| version_of(document.root()));
        let history = version.map_or(String::new(), |version| format!("/_history/{version}"));
        reply.set(header::LOCATION, format!("{}/{reference}{history}", exchange.gateway.config.site.base()));
    }
    Ok(reply)
}

fn version_of(resource: Value<'_>) -> Option<String> {
    Some(resource.get(name::META)?.str_of(name::VERSION_ID)?.into_owned())
}

/// The new resource's id from the server's `Location`: the segment after the type.
fn located(answer: &UpstreamAnswer, resource_type: &ResourceType) -> Option<String> {
    let location = answer.headers.get(header::LOCATION)?.to_str().ok()?;
    let mut segments = location.split('/').skip_while(|segment| *segment != resource_type.as_str()).skip(1);
    segments.next().and_then(Id::parse).map(|id| id.as_str().to_owned())
}

/// A write that the server didn't take: its status where that is about the resource, else its fault.
fn refused(answer: &UpstreamAnswer) -> Refusal {
    match answer.status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Refusal::Absent,
        StatusCode::BAD_REQUEST
        | StatusCode::CONFLICT
        | StatusCode::PRECONDITION_FAILED
        | StatusCode::UNPROCESSABLE_ENTITY => Refusal::UpstreamRefused { status: answer.status },
        other => Refusal::Upstream(UpstreamError::Status(other.as_u16())),
    }
}
