//! The validation stage of a route: what is written before it is forwarded, what is read before it is answered.
//!
//! A resource is validated as its reader gets it: after plugins and identifier mapping, and, on the way out, only
//! once the caller may see it; what is hidden changes neither status nor header. `log` counts and logs, `warn`
//! also tells the caller in [`HEADER`], `enforce` refuses: 422 with the findings for a write, 502 without them
//! for an answer, since they would speak of a patient's data.
//!
//! The header is a Dictionary (RFC 9651 §3.2) with a key for each direction; its value lists the rules that
//! spoke: `requests=("binding" "cardinality");errors=2;warnings=1;resources=1`.
//!
//! Invariant: logs and metrics hold counts and names of rules, never content.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use fhir_models::document::{Limits, OwnedDocument};
use http::HeaderName;
use metrics::{counter, histogram};
use varco_core::outcome::{Issue, IssueSeverity};
use varco_core::validation::ValidationReport;

use super::answer::Answer;
use super::exchange::Exchange;
use super::{Refusal, validate};
use crate::config::{DEFAULT_ROUTE, Direction, Route, ValidationMode};
use crate::telemetry::stage::Stage;
use crate::validation::{Source, Subject};

/// Tells the caller of faults on routes that warn.
const HEADER: HeaderName = HeaderName::from_static("varco-validation");

/// What the reports of one direction come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Summary {
    resources: usize,
    invalid: usize,
    errors: usize,
    warnings: usize,
    unknown_codes: usize,
    rules: BTreeSet<&'static str>,
}

impl Summary {
    fn of(reports: &[ValidationReport]) -> Summary {
        let mut own = Summary { resources: reports.len(), ..Summary::default() };
        for report in reports {
            own.invalid += usize::from(is_invalid(report));
            own.unknown_codes += report.unknown_codes;
            for issue in &report.issues {
                own.errors += usize::from(issue.severity.is_error());
                own.warnings += usize::from(issue.severity == IssueSeverity::Warning);
                if issue.severity != IssueSeverity::Information {
                    own.rules.extend(issue.rule);
                }
            }
        }
        own
    }

    fn rules(&self) -> String {
        self.rules.iter().copied().collect::<Vec<_>>().join(" ")
    }

    /// A member of the header's dictionary.
    fn member(&self, direction: Direction) -> String {
        let rules: Vec<String> = self.rules.iter().map(|rule| format!("\"{rule}\"")).collect();
        let (name, rules) = (direction.name(), rules.join(" "));
        format!(
            "{name}=({rules});errors={};warnings={};resources={}",
            self.errors, self.warnings, self.resources
        )
    }
}

/// A report that was cut short before an error was found is no proof of anything.
fn is_invalid(report: &ValidationReport) -> bool {
    !report.is_valid() || report.truncated
}

/// Adds what is to be told of the request's validations to its answer.
pub(super) fn tell(warnings: &[(Direction, Summary)], answer: &mut Answer) {
    if !warnings.is_empty() {
        let members: Vec<String> = warnings.iter().map(|(direction, own)| own.member(*direction)).collect();
        answer.set(HEADER, members.join(", "));
    }
}

impl<'g> Exchange<'g> {
    /// The configured route that the request takes, or none.
    pub fn route(&self) -> Option<&'g Route> {
        self.gateway.config.route.get(self.route_number()?)
    }

    /// Its number among the configured ones.
    pub fn route_number(&self) -> Option<usize> {
        let takes = |it: &Route| it.takes(self.account.resource_type(), &self.requester.client_id);
        self.gateway.config.route.iter().position(takes)
    }

    /// Validates a body that is to be forwarded or kept; `sent` is how the caller wrote it.
    pub async fn inspect_request(&mut self, document: &OwnedDocument, sent: &[u8]) -> Result<(), Refusal> {
        let Some((route, mode)) = self.inspected(Direction::Requests) else { return Ok(()) };
        let mut reports = self.inspect(route, mode, Direction::Requests, vec![document.clone()]).await?;
        let report = reports.pop().unwrap_or_default();
        if mode != ValidationMode::Enforce || !is_invalid(&report) {
            return Ok(());
        }
        let mut issues = validate::told(report);
        if document.text().as_bytes() != sent {
            // Lines and columns of a text that the caller never saw would mislead.
            issues.iter_mut().for_each(|issue: &mut Issue| issue.position = None);
        }
        Err(Refusal::InvalidRequest(issues))
    }

    /// Validates resources that are to be answered, as the caller gets them.
    pub async fn inspect_response(
        &mut self,
        resources: impl IntoIterator<Item = &[u8]>,
    ) -> Result<(), Refusal> {
        let Some((route, mode)) = self.inspected(Direction::Responses) else { return Ok(()) };
        let limits = Limits { bytes: usize::MAX, ..Limits::default() };
        let parse = |json: &[u8]| OwnedDocument::parse_json(json, &limits);
        let documents: Result<Vec<_>, _> = resources.into_iter().map(parse).collect();
        let documents = documents.map_err(|_| Refusal::Internal)?;
        if documents.is_empty() {
            return Ok(());
        }
        let reports = Box::pin(self.inspect(route, mode, Direction::Responses, documents)).await?;
        if mode == ValidationMode::Enforce && reports.iter().any(is_invalid) {
            return Err(Refusal::InvalidResponse { rules: Summary::of(&reports).rules() });
        }
        Ok(())
    }

    /// Validates what an operation made, and tells the caller of faults in the header; nothing is refused for them.
    pub async fn note_faults(&mut self, document: OwnedDocument) -> Result<(), Refusal> {
        let subject = Subject { source: Source::Document(document), profiles: Vec::new() };
        let summary = Summary::of(&self.reports(vec![subject]).await?);
        if summary.errors + summary.warnings > 0 {
            self.account.warnings.push((Direction::Responses, summary));
        }
        Ok(())
    }

    /// The report of each document: a stage, with what the terminology server is asked in it.
    pub async fn reports(&mut self, subjects: Vec<Subject>) -> Result<Vec<ValidationReport>, Refusal> {
        let within = self.account.enter(Stage::Validate);
        let calls = self.account.spans.as_ref().map(|spans| Arc::new(spans.beside()));
        let reports = self.gateway.validation.reports(subjects, calls.clone()).await;
        if let (Some(spans), Some(calls)) = (&mut self.account.spans, calls) {
            spans.take_up(&calls);
        }
        self.account.leave(&within);
        reports.map_err(|_| Refusal::Internal)
    }

    fn inspected(&self, direction: Direction) -> Option<(&'g Route, ValidationMode)> {
        let route = self.route()?;
        let mode = route.validation.mode(direction);
        (mode != ValidationMode::Off).then_some((route, mode))
    }

    async fn inspect(
        &mut self,
        route: &'g Route,
        mode: ValidationMode,
        direction: Direction,
        documents: Vec<OwnedDocument>,
    ) -> Result<Vec<ValidationReport>, Refusal> {
        let started = Instant::now();
        // What comes along with a search's matches is of other types.
        let subjects = documents.into_iter().map(|document| {
            let resource_type = document.root().resource_type().unwrap_or_default().into_owned();
            let profiles = route.validation.profiles(direction, &resource_type).map(str::to_owned).collect();
            Subject { source: Source::Document(document), profiles }
        });
        let reports = self.reports(subjects.collect()).await?;
        histogram!("varco_validation_seconds", "direction" => direction.name())
            .record(started.elapsed().as_secs_f64());
        let summary = Summary::of(&reports);
        self.count(route, mode, direction, &reports, &summary);
        if mode == ValidationMode::Warn && summary.errors + summary.warnings > 0 {
            self.account.warnings.push((direction, summary));
        }
        Ok(reports)
    }

    fn count(
        &self,
        route: &Route,
        mode: ValidationMode,
        direction: Direction,
        reports: &[ValidationReport],
        summary: &Summary,
    ) {
        for report in reports {
            let result = match report {
                report if is_invalid(report) => "invalid",
                report if report.issues.iter().any(|it| it.severity == IssueSeverity::Warning) => "warnings",
                _ => "valid",
            };
            counter!("varco_validation_total", "route" => route.name.clone(), "direction" => direction.name(),
                "mode" => mode.name(), "result" => result)
            .increment(1);
        }
        counter!("varco_validation_unknown_codes_total", "route" => route.name.clone(), "direction" => direction.name())
            .increment(summary.unknown_codes as u64);
        if summary.errors + summary.warnings == 0 {
            return;
        }
        let Summary { resources, invalid, errors, warnings, unknown_codes, .. } = summary;
        tracing::info!(
            request_id = self.account.request_id,
            route = route.name,
            direction = direction.name(),
            mode = mode.name(),
            resource_type = self.account.resource_type(),
            resources,
            invalid,
            errors,
            warnings,
            unknown_codes,
            rules = summary.rules(),
            "validation found faults"
        );
    }

    /// The name of the route that the request takes.
    pub fn route_name(&self) -> &'g str {
        self.route().map_or(DEFAULT_ROUTE, |route| route.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use varco_core::outcome::IssueType;

    use super::*;

    fn report(issues: &[(IssueSeverity, &'static str)]) -> ValidationReport {
        let issue = |(severity, rule): &(IssueSeverity, &'static str)| {
            let mut issue = Issue::new(*severity, IssueType::Invalid, "Maria Rossi");
            issue.rule = Some(*rule);
            issue
        };
        ValidationReport { issues: issues.iter().map(issue).collect(), ..ValidationReport::default() }
    }

    #[test]
    fn a_summary_counts_and_names_rules_only() {
        use IssueSeverity::{Error, Information, Warning};
        let reports = [
            report(&[(Error, "binding"), (Error, "binding"), (Warning, "code")]),
            report(&[(Information, "profile")]),
        ];
        let summary = Summary::of(&reports);
        assert_eq!((summary.resources, summary.invalid, summary.errors, summary.warnings), (2, 1, 2, 1));
        assert_eq!(
            summary.member(Direction::Responses),
            "responses=(\"binding\" \"code\");errors=2;warnings=1;resources=2"
        );
    }

    #[test]
    fn a_report_that_was_cut_short_proves_nothing() {
        let cut = ValidationReport { truncated: true, ..report(&[(IssueSeverity::Warning, "code")]) };
        assert!(is_invalid(&cut) && !is_invalid(&report(&[(IssueSeverity::Warning, "code")])));
    }
}
