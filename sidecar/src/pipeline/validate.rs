//! `$validate` (FHIR R4, operation `Resource-validate`): answered here, never forwarded.
//!
//! The answer is 200 with an OperationOutcome, whatever is wrong with the resource, text that is no JSON
//! included; other statuses mean that nothing was validated. Plugins and identifier aliases don't touch the
//! resource. With a mode, the profiles of the caller's route hold as they would for the write itself.

use bytes::Bytes;
use fhir_models::document::{Format, Limits, OwnedDocument, Tape, Value};
use http::StatusCode;
use varco_core::interaction::Validate;
use varco_core::outcome::{Issue, IssueSeverity, IssueType, Outcome};
use varco_core::validation::ValidationReport;

use super::Refusal;
use super::answer::Answer;
use super::exchange::Exchange;
use crate::config::Direction;
use crate::validation::{Source, Subject, not_json};

/// Most bytes of messages and expressions in one outcome.
const MOST_TEXT: usize = 256 << 10;

/// Validates the resource in a body.
pub(super) async fn validate(
    exchange: &mut Exchange<'_>,
    mut asked: Validate,
    body: Bytes,
) -> Result<Answer, Refusal> {
    let limits = Limits { bytes: exchange.gateway.config.limits.body_bytes, ..Limits::default() };
    let (mut issues, source) = match OwnedDocument::parse_json(&*body, &limits) {
        Ok(document) => {
            let resource = asked.take_body(document.root()).map_err(Refusal::Interaction)?;
            let issues = asked.faults(resource);
            let alone = (resource.id() != document.root().id()).then(|| in_its_place(resource));
            let document = match alone {
                None => document,
                Some(text) => OwnedDocument::parse_json(text, &limits).map_err(|_| Refusal::Internal)?,
            };
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
    let mut profiles: Vec<String> = asked.profile.into_iter().collect();
    if let (Some(_), Some(route)) = (asked.mode, exchange.route()) {
        let of_route = route.validation.profiles(Direction::Requests, asked.resource_type.as_str());
        profiles.extend(of_route.map(str::to_owned));
    }
    let subject = Subject { source, profiles };
    let reports = exchange.gateway.validation.reports(vec![subject]).await;
    let report = reports.map_err(|_| Refusal::Internal)?.pop().ok_or(Refusal::Internal)?;
    issues.extend(told(report));
    Ok(answer(Outcome { issues }))
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
fn in_its_place(resource: Value<'_>) -> String {
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
