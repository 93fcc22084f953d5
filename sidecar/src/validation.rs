//! Validation in the sidecar: one compiled validator for all requests, and the terminology server where one is
//! configured.
//!
//! Documents are validated with what is at hand; the questions that are left are asked together, and only the
//! documents that had questions are validated again. Bounds: what is larger than [`INLINE`] is validated off the
//! request's thread, as many at a time as there are processors; terminology by its own limits.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fhir_models::document::xml::DefinitionSchema;
use fhir_models::document::{Document, Limits, OwnedDocument, SyntaxError, Tape};
use jiff::Timestamp;
use metrics::gauge;
use tokio::sync::Semaphore;
use varco_core::fhirpath::Temporal;
use varco_core::outcome::{Issue, IssueSeverity, IssueType};
use varco_core::terminology::{Answers, Question};
use varco_core::validation::{ValidationReport, Validator};

use crate::config::Config;
use crate::definitions::{self, GatherError};
use crate::telemetry::calls::Calls;
use crate::terminology::{Replies, Terminology, TerminologySetupError};

/// Text that is validated at once on the request's own thread, in bytes: about a millisecond of work.
const INLINE: usize = 64 << 10;
/// How often the terminology server is asked for one request: answers may lead to other questions.
const ROUNDS: usize = 3;

/// A validator that can't be made.
#[derive(Debug, thiserror::Error)]
pub enum ValidationSetupError {
    /// Packages or files.
    #[error(transparent)]
    Definitions(#[from] GatherError),
    /// The terminology server.
    #[error(transparent)]
    Terminology(#[from] TerminologySetupError),
}

/// A document to be validated.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The resource.
    pub source: Source,
    /// Profiles that it must obey, beside those that it claims.
    pub profiles: Vec<String>,
}

/// Where a resource comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Read already.
    Document(OwnedDocument),
    /// JSON with faults of form: all of them are told, and the rest is judged.
    Faulty(Bytes),
}

impl Source {
    fn len(&self) -> usize {
        match self {
            Source::Document(document) => document.text().len(),
            Source::Faulty(text) => text.len(),
        }
    }
}

/// Validates documents. Immutable but for what the terminology server said.
pub struct Validation {
    validator: Validator,
    schema: Arc<DefinitionSchema>,
    limits: Limits,
    terminology: Option<Terminology>,
    places: Arc<Semaphore>,
    patience: Duration,
}

/// The work ended badly: a fault of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a validation ended badly")]
pub struct ValidationFailed;

impl Validation {
    /// Sets the gauges, before metrics are rendered.
    pub fn observe(&self) {
        self.terminology.iter().for_each(Terminology::observe);
    }

    /// A validator with the configured definitions and terminology server.
    pub fn new(config: &Config) -> Result<Validation, ValidationSetupError> {
        let gathered = definitions::gather(&config.validation.packages, &config.validation.definitions)?;
        for warning in &gathered.warnings {
            tracing::warn!(warning, "definitions are missing");
        }
        let definitions = gathered.definitions;
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let server = config.terminology.as_ref();
        Ok(Validation {
            schema: Arc::new(DefinitionSchema::new(Arc::clone(&definitions))),
            limits: Limits { bytes: config.limits.body_bytes, ..Limits::default() },
            validator: Validator::new(definitions),
            terminology: server.map(Terminology::new).transpose()?,
            places: Arc::new(Semaphore::new(processors)),
            patience: Duration::from_secs(server.map_or(0, |server| server.total_seconds)),
        })
    }

    /// Reads what is faulty JSON as far as it can be read. An error says that nothing is left to judge.
    pub fn read<'a>(&self, tape: &'a mut Tape, text: &'a [u8]) -> Result<Document<'a>, SyntaxError> {
        tape.parse_tolerant(text, &*self.schema, &self.limits)
    }

    /// The report of each document, in their order. `calls` gathers what the terminology server is asked, for a traced request.
    pub async fn reports(
        &self,
        subjects: Vec<Subject>,
        calls: Option<Arc<Calls>>,
    ) -> Result<Vec<ValidationReport>, ValidationFailed> {
        let subjects: Arc<[Subject]> = subjects.into();
        // One time for all passes: what a request is told must not hang on how long the terminology server takes.
        let now = now();
        let all: Vec<usize> = (0..subjects.len()).collect();
        let Some(terminology) = &self.terminology else {
            let reports = self.pass(&subjects, all, None, now).await?;
            return Ok(reports.into_iter().map(|(_, report)| report).collect());
        };
        let terminology = terminology.telling(calls);
        let started = Instant::now();
        let mut replies = Arc::new(Replies::default());
        let mut reports: Vec<ValidationReport> = Vec::new();
        for (_, report) in self.pass(&subjects, all, Some(replies.clone()), now).await? {
            reports.push(report);
        }
        for _ in 0..ROUNDS {
            let open = reports.iter().enumerate().filter(|(_, report)| !report.questions.is_empty());
            let open: Vec<usize> = open.map(|(at, _)| at).collect();
            if open.is_empty() || started.elapsed() >= self.patience {
                break;
            }
            let questions = open.iter().filter_map(|at| reports.get(*at)).flat_map(|it| &it.questions);
            let said = terminology.ask(questions.collect::<Vec<&Question>>()).await;
            Arc::make_mut(&mut replies).extend(said);
            for (at, report) in self.pass(&subjects, open, Some(replies.clone()), now).await? {
                if let Some(slot) = reports.get_mut(at) {
                    *slot = report;
                }
            }
        }
        Ok(reports)
    }

    /// Validates some of the documents, with these answers.
    async fn pass(
        &self,
        subjects: &Arc<[Subject]>,
        which: Vec<usize>,
        answers: Option<Arc<Replies>>,
        now: Option<Temporal>,
    ) -> Result<Vec<(usize, ValidationReport)>, ValidationFailed> {
        let (subjects, schema, limits) = (subjects.clone(), self.schema.clone(), self.limits);
        let mut validator = self.validator.clone();
        if let Some(now) = now {
            validator = validator.with_now(now);
        }
        let bytes: usize = which.iter().filter_map(|at| subjects.get(*at)).map(|it| it.source.len()).sum();
        let work = move || {
            let answers = answers.as_deref().map(|answers| answers as &dyn Answers);
            let run = Run { validator, schema: &schema, limits, answers };
            let of = |at: usize| subjects.get(at).map(|it| (at, run.one(it)));
            which.into_iter().filter_map(of).collect::<Vec<_>>()
        };
        if bytes <= INLINE {
            return Ok(work());
        }
        gauge!("varco_validation_waiting").increment(1.0);
        let place = self.places.clone().acquire_owned().await;
        gauge!("varco_validation_waiting").decrement(1.0);
        let place = place.map_err(|_| ValidationFailed)?;
        let working = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        working.await.map_err(|_| ValidationFailed)
    }
}

/// The time, for invariants and bounds that depend on it.
fn now() -> Option<Temporal> {
    Temporal::parse_date_time(&Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

/// One pass over documents.
struct Run<'r> {
    validator: Validator,
    schema: &'r DefinitionSchema,
    limits: Limits,
    answers: Option<&'r dyn Answers>,
}

impl Run<'_> {
    fn one(&self, subject: &Subject) -> ValidationReport {
        match &subject.source {
            Source::Document(document) => self.document(document.document(), subject),
            Source::Faulty(text) => match Tape::new().parse_tolerant(text, self.schema, &self.limits) {
                Ok(document) => self.document(document, subject),
                Err(error) => {
                    ValidationReport { issues: vec![not_json(&error)], ..ValidationReport::default() }
                }
            },
        }
    }

    fn document(&self, document: Document<'_>, subject: &Subject) -> ValidationReport {
        let own =
            subject.profiles.iter().fold(self.validator.clone(), |it, profile| it.with_profile(profile));
        match self.answers {
            None => own.validate(document),
            Some(answers) => own.validate_with(document, answers),
        }
    }
}

/// The one finding about a text that is no JSON.
pub fn not_json(error: &SyntaxError) -> Issue {
    let message = format!("this is not a JSON document: {}", error.kind);
    let mut fatal = Issue::new(IssueSeverity::Fatal, IssueType::Structure, message);
    fatal.rule = Some("syntax");
    fatal.on(error.position)
}
