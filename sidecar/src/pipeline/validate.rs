//! `$validate` (FHIR R4, operation `Resource-validate`): answered here, never forwarded.
//!
//! The answer is 200 with an OperationOutcome, whatever is wrong with the resource, text that is no JSON
//! included; other statuses mean that nothing was validated.
//!
//! Without a mode, the resource is judged as it is. `create` and `update` try the write: scopes, the plugins and
//! identifier aliases of the route, what stands at the id, consent, and the profiles of the route; what the write would
//! be refused for is an issue of the outcome. `delete` tries the deletion, `profile` holds the stored resource, as the
//! caller may read it, against profiles. Whether the hospital's server has objections of its own is not asked: nothing
//! is written. What is hidden is absent here as everywhere.

use bytes::Bytes;
use fhir_models::document::{Format, Limits, OwnedDocument, Tape, Value, name};
use http::StatusCode;
use varco_core::access::{ScopeDecision, Scopes};
use varco_core::interaction::{Id, Instance, Interaction, Validate, ValidateMode};
use varco_core::outcome::{Issue, IssueSeverity, IssueType, Outcome};
use varco_core::validation::ValidationReport;

use super::answer::Answer;
use super::exchange::Exchange;
use super::{Refusal, refusal, write};
use crate::config::Direction;
use crate::validation::{Source, Subject, not_json};

/// What the gateway keeps itself.
const OWN_TYPES: &[&str] = &["Consent", "AuditEvent"];
/// Most bytes of messages and expressions in one outcome.
const MOST_TEXT: usize = 256 << 10;

/// Validates the resource in a body, or the one that is stored.
pub(super) async fn validate(
    exchange: &mut Exchange<'_>,
    mut asked: Validate,
    body: Bytes,
) -> Result<Answer, Refusal> {
    if asked.mode.is_some_and(ValidateMode::is_of_stored) && body.trim_ascii().is_empty() {
        asked.take_no_body().map_err(Refusal::Interaction)?;
        return stored(exchange, asked).await;
    }
    let limits = Limits { bytes: exchange.gateway.config.limits.body_bytes, ..Limits::default() };
    let mut changed = false;
    let (mut issues, source) = match OwnedDocument::parse_json(&*body, &limits) {
        Ok(document) => {
            let Some(resource) = asked.take_body(document.root()).map_err(Refusal::Interaction)? else {
                return stored(exchange, asked).await;
            };
            let mut issues = asked.faults(resource);
            let alone = (resource.id() != document.root().id()).then(|| in_its_place(resource));
            let mut document = match alone {
                None => document,
                Some(text) => OwnedDocument::parse_json(text, &limits).map_err(|_| Refusal::Internal)?,
            };
            if asked.mode.is_some() && issues.is_empty() {
                let sent = document.text().to_owned();
                document = tried(exchange, &asked, document, &mut issues).await?;
                changed = document.text() != sent;
            }
            (issues, Source::Document(document))
        }
        Err(error) if error.is_limit() => {
            return Err(Refusal::Body { text: format!("{error}."), too_large: true });
        }
        Err(error) => match faulty(exchange, &asked, &body) {
            Some(issues) => (issues, Source::Faulty(body)),
            None => return Ok(answer(Outcome::of(not_json(&error)))),
        },
    };
    let direction = asked.mode.map(|_| Direction::Requests);
    let mut found = judged(exchange, asked, source, direction).await?;
    if changed {
        unplaced(&mut found);
    }
    issues.extend(found);
    Ok(answer(Outcome { issues }))
}

/// What there is to say about the resource itself, by the profiles asked for and those of the route.
async fn judged(
    exchange: &mut Exchange<'_>,
    asked: Validate,
    source: Source,
    direction: Option<Direction>,
) -> Result<Vec<Issue>, Refusal> {
    let mut profiles = asked.profiles;
    if let (Some(direction), Some(route)) = (direction, exchange.route()) {
        profiles
            .extend(route.validation.profiles(direction, asked.resource_type.as_str()).map(str::to_owned));
    }
    let mut reports = exchange.reports(vec![Subject { source, profiles }]).await?;
    Ok(told(reports.pop().ok_or(Refusal::Internal)?))
}

/// Tries a create or update up to the point where it would be forwarded; gives the resource as it would be then.
async fn tried(
    exchange: &mut Exchange<'_>,
    asked: &Validate,
    document: OwnedDocument,
    issues: &mut Vec<Issue>,
) -> Result<OwnedDocument, Refusal> {
    let instance = match (asked.mode, &asked.instance) {
        (Some(ValidateMode::Update), Some(instance)) => Some(instance.clone()),
        (Some(ValidateMode::Update), None) => named(&document, asked),
        _ => None,
    };
    let write = match &instance {
        Some(instance) => Interaction::Update(instance.clone()),
        None => Interaction::Create(asked.resource_type.clone()),
    };
    if !covers(exchange, &write) {
        issues.push(objection(Refusal::Scope)?);
        return Ok(document);
    }
    let sent = Bytes::from(document.text().to_owned());
    let changed = match write::incoming(exchange, &asked.resource_type, sent).await {
        Ok(changed) => changed,
        Err(refusal) => {
            issues.push(objection(refusal)?);
            return Ok(document);
        }
    };
    let written_at_own = OWN_TYPES.contains(&asked.resource_type.as_str());
    let permitted = match instance {
        // Consents are kept here, and judged by rules of their own.
        _ if written_at_own => Ok(()),
        Some(instance) => match write::guard_change(exchange, &instance).await {
            Ok(_) => exchange.permit_write(changed.root()).await,
            Err(refusal) => Err(refusal),
        },
        None => {
            let new = write::parse(exchange, &asked.resource_type, &write::without_id(&changed))?;
            exchange.permit_write(new.root()).await
        }
    };
    if let Err(refusal) = permitted {
        issues.push(objection(refusal)?);
    }
    Ok(changed)
}

/// The resource that an update without an id in its URL means.
fn named(document: &OwnedDocument, asked: &Validate) -> Option<Instance> {
    let id = document.root().str_of(name::ID).and_then(|id| Id::parse(&id))?;
    Some(Instance { resource_type: asked.resource_type.clone(), id })
}

/// The modes that are about the stored resource.
async fn stored(exchange: &mut Exchange<'_>, asked: Validate) -> Result<Answer, Refusal> {
    let Some(instance) = asked.instance.clone() else { return Err(Refusal::Internal) };
    if OWN_TYPES.contains(&asked.resource_type.as_str()) {
        return Err(Refusal::NotServed(
            "The modes delete and profile are not served for what the gateway itself keeps: Consent and AuditEvent.",
        ));
    }
    if asked.mode == Some(ValidateMode::Delete) {
        let mut issues = Vec::new();
        if !covers(exchange, &Interaction::Delete(instance.clone())) {
            issues.push(objection(Refusal::Scope)?);
        } else if let Err(refusal) = write::guard(exchange, &instance).await {
            match refusal {
                Refusal::Absent => return Err(Refusal::Absent),
                other => issues.push(objection(other)?),
            }
        }
        return Ok(answer(Outcome { issues }));
    }
    let read = Interaction::Read(instance.clone());
    if !covers(exchange, &read) {
        return Err(Refusal::Scope);
    }
    let Some(document) = exchange.fetch(&read, &instance).await? else { return Err(Refusal::Absent) };
    let document = exchange.release_or_refuse(document, &instance).await?;
    let shown = exchange.shown_or_refused(document.root()).await?;
    let limits = Limits { bytes: usize::MAX, ..Limits::default() };
    let shown = OwnedDocument::parse_json(shown, &limits).map_err(|_| Refusal::Internal)?;
    let mut issues = judged(exchange, asked, Source::Document(shown), None).await?;
    unplaced(&mut issues);
    Ok(answer(Outcome { issues }))
}

/// Lines and columns of a text that the caller does not hold would mislead.
fn unplaced(issues: &mut [Issue]) {
    issues.iter_mut().for_each(|issue| issue.position = None);
}

fn covers(exchange: &Exchange<'_>, interaction: &Interaction) -> bool {
    let scopes = Scopes::of(exchange.requester.scopes.iter().map(String::as_str));
    scopes.allows(interaction, None) == ScopeDecision::Allowed
}

/// What the interaction that is tried would be refused for, as an issue; faults of this installation stay refusals.
fn objection(refusal: Refusal) -> Result<Issue, Refusal> {
    if refusal.is_operational() {
        return Err(refusal);
    }
    if let Refusal::Unmapped { error, .. } = &refusal {
        return Ok(refusal::failed(error));
    }
    let row = refusal.row();
    Ok(Issue::error(row.code, row.text))
}

/// What is wrong with the resource for what it is meant for, where faulty JSON is a resource for all that.
fn faulty(exchange: &Exchange<'_>, asked: &Validate, body: &[u8]) -> Option<Vec<Issue>> {
    let mut tape = Tape::new();
    let document = match Format::of(body) {
        Format::Json => exchange.gateway.validation.read(&mut tape, body).ok()?,
        Format::Xml => return None,
    };
    let root = document.root();
    let resource_type = root.resource_type()?;
    (resource_type != "Parameters").then(|| asked.faults(root))
}

fn answer(outcome: Outcome) -> Answer {
    Answer::fhir(StatusCode::OK, outcome.to_json())
}

/// The resource where it stands in the body, so that lines and columns are the body's.
pub(super) fn in_its_place(resource: Value<'_>) -> String {
    let text = resource.document().text();
    let before = text.get(..resource.span().start).unwrap_or_default();
    let blank = before.chars().map(|c| if matches!(c, '\n' | '\r') { c } else { ' ' });
    blank.chain(resource.raw().chars()).collect()
}

/// A report's issues within the bound, and what else the caller should know.
pub(super) fn told(report: ValidationReport) -> Vec<Issue> {
    let note = |code, text: String| Issue::new(IssueSeverity::Information, code, text);
    let total = report.issues.len();
    let mut room = MOST_TEXT;
    let fits = |issue: &Issue| {
        let length = issue.message.len() + issue.expression.as_ref().map_or(0, String::len);
        room.checked_sub(length).map(|left| room = left).is_some()
    };
    let mut issues: Vec<Issue> = report.issues.into_iter().take_while(fits).collect();
    if report.truncated || issues.len() < total {
        let text = "there may be more to find: only the first issues of a resource are listed";
        issues.push(note(IssueType::TooCostly, text.to_owned()));
    }
    if report.unknown_codes > 0 {
        let text =
            format!("codes that could not be judged by the value sets at hand: {}", report.unknown_codes);
        issues.push(note(IssueType::Informational, text));
    }
    issues
}
