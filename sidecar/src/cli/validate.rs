//! `varco validate`: finds what is wrong with resources, and where.
//!
//! Exit codes are a contract: 0 no error, 1 errors, 2 could not run. An option whose rules are not built yet
//! is refused, never ignored: a result must mean what it seems to mean.

pub(super) mod definitions;
mod input;
mod show;
mod tally;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use fhir_models::definition::Definitions;
use fhir_models::document::xml::DefinitionSchema;
use fhir_models::document::{Document, Format, Limits, Position, SyntaxError, SyntaxErrorKind, Tape};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use varco_core::outcome::{Issue, IssueSeverity, IssueType, Outcome};
use varco_core::validation::Validator;

use self::input::{Input, Record};
use self::show::Renderer;
use self::tally::Tally;
use super::say;

/// Most issues that one run prints or keeps; the rest is counted.
const MOST_ISSUES: usize = 10_000;

/// Validates FHIR R4 resources; exits 0 without error, 1 with errors, 2 if it could not run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco validate patient.json
  varco validate --output json patient.json          one OperationOutcome on standard output
  varco validate export/ results.ndjson              folders, and NDJSON with one resource a line
  varco validate --package hl7.fhir.uv.ips-2.0.0.tgz \\
    --profile http://hl7.org/fhir/uv/ips/StructureDefinition/Bundle-uv-ips summary.json
  curl -s https://fhir.example.org/Patient/1 | varco validate -")]
pub struct Validate {
    /// FHIR version of the resources: 4.0.1 (also written 4.0 or R4).
    #[arg(long, value_name = "V", default_value = "4.0.1")]
    fhir_version: String,
    /// A FHIR package with more definitions: a .tgz, its folder, or id#version of the package cache.
    #[arg(long, value_name = "TGZ|DIR|ID#VER")]
    package: Vec<String>,
    /// A definition (profile, value set …) from a file.
    #[arg(long, value_name = "FILE")]
    definition: Vec<PathBuf>,
    /// A profile that every input must obey, beside those that it claims in `meta.profile`.
    #[arg(long, value_name = "CANONICAL")]
    profile: Vec<String>,
    /// Where to ask about codes that no local value set can judge. Only `none` is built yet.
    #[arg(long, value_name = "none|URL", default_value = "none")]
    terminology: String,
    /// How to print the findings.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Output,
    /// Files, folders (searched for .json and .ndjson), or `-` for standard input.
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people: the line, a caret, and what to do.
    Text,
    /// For programs: one FHIR R4 OperationOutcome.
    Json,
    /// A report to look at. Not built yet: refused.
    Html,
}

impl Validate {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        let json = self.output == Output::Json;
        let refused = |code, message: String| {
            if json {
                print(&Outcome::of(Issue::new(IssueSeverity::Fatal, code, message.as_str())));
            }
            say::note(format!("varco validate: {message}"));
            ExitCode::from(2)
        };
        if let Err(message) = self.refusal() {
            return refused(IssueType::NotSupported, message);
        }
        let inputs = match input::gather(&self.inputs) {
            Ok(inputs) => inputs,
            Err(error) => return refused(IssueType::NotFound, format!("{error:#}")),
        };
        match definitions::gather(&self.package, &self.definition) {
            Ok(definitions) => Run::new(json, &inputs, definitions, &self.profile).all(&inputs),
            Err(error) => refused(IssueType::NotFound, format!("{error:#}")),
        }
    }

    /// What is asked for and not built yet.
    fn refusal(&self) -> Result<(), String> {
        if !matches!(self.fhir_version.to_ascii_uppercase().as_str(), "4.0.1" | "4.0" | "R4") {
            return Err(format!(
                "FHIR version {} is not supported: this version of Varco validates R4 (4.0.1) only",
                self.fhir_version
            ));
        }
        let absent = [
            (self.terminology != "none", "--terminology with a server"),
            (self.output == Output::Html, "--output html"),
        ];
        match absent.iter().find(|(asked, _)| *asked) {
            None => Ok(()),
            Some((_, option)) => Err(format!(
                "{option} is not built yet, and leaving it out would give a result that means less than it \
                 seems; run without it"
            )),
        }
    }
}

/// One run over all inputs.
struct Run {
    json: bool,
    validator: Validator,
    schema: DefinitionSchema,
    tape: Tape,
    renderer: Renderer,
    bar: ProgressBar,
    tally: Tally,
    outcome: Outcome,
    /// Several inputs: each issue names its own.
    several: bool,
    unreadable: bool,
}

impl Run {
    fn new(json: bool, inputs: &[Input], definitions: Arc<Definitions>, profiles: &[String]) -> Run {
        let schema = DefinitionSchema::new(Arc::clone(&definitions));
        let validator =
            profiles.iter().fold(Validator::new(definitions), |it, profile| it.with_profile(profile));
        Run {
            json,
            validator,
            schema,
            tape: Tape::new(),
            renderer: Renderer::new(say::colours()),
            bar: progress(inputs),
            tally: Tally::start(),
            outcome: Outcome::default(),
            several: inputs.len() > 1,
            unreadable: false,
        }
    }

    fn all(mut self, inputs: &[Input]) -> ExitCode {
        let limits = Limits::default();
        for input in inputs {
            let read = input.read(&limits, &mut |record| self.record(input, record, &limits));
            if let Err(error) = read {
                self.unreadable = true;
                let message = format!("{}: {error:#}", input.name());
                self.bar.suspend(|| say::note(format!("varco validate: {message}")));
                let fatal = Issue::new(IssueSeverity::Fatal, IssueType::Processing, message);
                self.keep(fatal);
            }
        }
        self.bar.finish_and_clear();
        self.finish()
    }

    fn finish(mut self) -> ExitCode {
        let left = self.tally.issues.saturating_sub(MOST_ISSUES);
        if left > 0 {
            let message = format!("{left} more issues were found and only counted");
            if !self.json {
                say::line(&message);
            }
            let note = Issue::new(IssueSeverity::Information, IssueType::TooCostly, message);
            self.outcome.issues.push(note);
        }
        let summary = self.tally.summary();
        if self.json {
            let information =
                Issue::new(IssueSeverity::Information, IssueType::Informational, self.tally.line());
            self.outcome.issues.push(information);
            print(&self.outcome);
            if self.tally.resources > 1 {
                say::note(summary);
            }
        } else {
            say::line(summary);
        }
        match (self.unreadable, self.tally.errors) {
            (true, _) => ExitCode::from(2),
            (false, 0) => ExitCode::SUCCESS,
            (false, _) => ExitCode::FAILURE,
        }
    }

    /// One resource: the whole input, or one line of NDJSON.
    fn record(&mut self, input: &Input, record: Record<'_>, limits: &Limits) {
        self.bar.inc(record.read as u64);
        let mut issues = Vec::new();
        if record.byte_order_mark {
            let message = "the input begins with a byte-order mark, which JSON does not allow (RFC 8259 §8.1); \
                           it was skipped: save the file as UTF-8 without one";
            let warning = Issue::new(IssueSeverity::Warning, IssueType::Structure, message);
            issues.push(warning.on(Position { line: 1, column: 1 }));
        }
        let mut resource_type = None;
        let mut tape = std::mem::take(&mut self.tape);
        match tape.parse(record.text, &self.schema, limits) {
            Ok(document) => resource_type = self.validated(document, &mut issues),
            Err(error) => {
                issues.push(syntax(&error, record.text));
                // One wrong byte must not hide everything else that is wrong.
                if error.kind == SyntaxErrorKind::NotUtf8 {
                    let readable = String::from_utf8_lossy(record.text);
                    if let Ok(document) = tape.parse(readable.as_bytes(), &self.schema, limits) {
                        resource_type = self.validated(document, &mut issues);
                    }
                }
            }
        }
        self.tape = tape;
        self.tally.resource(resource_type.as_deref(), &issues, record.text.len());
        let several = self.several || record.line > 0 || record.of_many;
        for mut issue in issues {
            let shown = (!self.json).then(|| self.renderer.issue(&issue, input.name(), &record));
            if let Some(position) = &mut issue.position {
                position.line += record.line;
            }
            if several {
                issue.source = Some(input.name().to_owned());
            }
            if self.tally.issues < MOST_ISSUES
                && let Some(text) = shown
            {
                self.bar.suspend(|| say::line(text));
            }
            self.keep(issue);
        }
    }

    /// Adds the findings of a validation; gives the type of the resource.
    fn validated(&mut self, document: Document<'_>, issues: &mut Vec<Issue>) -> Option<String> {
        let report = self.validator.validate(document);
        self.tally.unknown_codes += report.unknown_codes;
        if report.truncated {
            let message = "there may be more to find: only the first issues of a resource are listed";
            issues.push(Issue::new(IssueSeverity::Information, IssueType::TooCostly, message));
        }
        issues.extend(report.issues);
        document.root().resource_type().map(|text| text.into_owned())
    }

    fn keep(&mut self, issue: Issue) {
        if self.json && self.tally.issues < MOST_ISSUES {
            self.outcome.issues.push(issue);
        }
        self.tally.issues += 1;
    }
}

fn syntax(error: &SyntaxError, text: &[u8]) -> Issue {
    let code = if error.is_limit() { IssueType::TooLong } else { IssueType::Structure };
    let format = match Format::of(text) {
        Format::Json => "a JSON",
        Format::Xml => "a FHIR XML",
    };
    let message = format!("this is not {format} document: {}", error.kind);
    let mut issue = Issue::new(IssueSeverity::Fatal, code, message);
    issue.rule = Some("syntax");
    issue.on(error.position)
}

/// A bar over the bytes of all files, on a terminal and where there is enough to wait for.
fn progress(inputs: &[Input]) -> ProgressBar {
    const WORTH_WAITING: u64 = 4 << 20;
    let bytes: u64 = inputs.iter().map(Input::length).sum();
    if bytes < WORTH_WAITING || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    let form = "{bar:32} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    match ProgressStyle::with_template(form) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn print(outcome: &Outcome) {
    let mut json = outcome.to_json();
    json.push(b'\n');
    let mut out = std::io::stdout().lock();
    // A reader that closed the pipe wants no more: that is not a fault.
    let _ = out.write_all(&json).and_then(|()| out.flush());
}
