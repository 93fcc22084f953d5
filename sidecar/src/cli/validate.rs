//! `varco validate`: finds what is wrong with resources, and where.
//!
//! Exit codes are a contract: 0 no error, 1 errors, 2 could not run. An option whose rules are not built yet
//! is refused, never ignored: a result must mean what it seems to mean.

mod checker;
mod excerpt;
mod findings;
mod input;
mod lanes;
mod report;
mod run;
mod server;
mod tally;
mod text;
mod window;

use std::ffi::OsString;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, ValueEnum};
use fhir_models::definition::Definitions;
use varco::definitions;
use varco_core::fhirpath::Temporal;
use varco_core::outcome::{Issue, IssueSeverity, IssueType, Outcome};
use varco_core::validation::{Settings, UnknownExtensions, Validator};

use self::checker::Checker;
use self::findings::Findings;
use self::run::Run;
use self::server::Server;
use self::tally::Tally;
use super::say;

/// Most issues of an OperationOutcome, unless the user says otherwise; the rest is counted.
const MOST_ISSUES: usize = 10_000;
/// Most kinds of fault that are printed for people.
const MOST_PRINTED: usize = 50;
/// Most faults of an HTML report.
const MOST_REPORTED: usize = 2_000;

/// Validates FHIR R4 resources; exits 0 without error, 1 with errors, 2 if it could not run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco validate patient.json
  varco validate --output json patient.json          one OperationOutcome on standard output
  varco validate --output html export/ > report.html a report to look at and to send on
  varco validate --report report.html export/        the same beside the text
  varco validate export/ results.ndjson              folders, and NDJSON with one resource a line
  varco validate --package hl7.fhir.uv.ips-2.0.0.tgz \\
    --profile http://hl7.org/fhir/uv/ips/StructureDefinition/Bundle-uv-ips summary.json
  varco validate --package hl7.fhir.uv.ips#2.0.0 --definition my-profiles/ summary.json
  curl -s https://fhir.example.org/Patient/1 | varco validate -
  varco validate --terminology https://tx.example.org/r4 export/

The same fault is printed once, with a count and its first places. Codes that no value set at hand can
judge are counted, never an error.")]
pub struct Validate {
    /// FHIR version of the resources: 4.0.1 (also written 4.0 or R4).
    #[arg(long, value_name = "V", default_value = "4.0.1")]
    fhir_version: String,
    /// A FHIR package with more definitions: a .tgz, its folder, or id#version of the package cache.
    #[arg(long, value_name = "TGZ|DIR|ID#VER")]
    package: Vec<String>,
    /// A definition (profile, value set …) from a file, or those in a folder. A file may also hold a resource
    /// that references lead to.
    #[arg(long, value_name = "FILE|DIR")]
    definition: Vec<PathBuf>,
    /// A profile that every input must obey, beside those that it claims in `meta.profile`.
    #[arg(long, value_name = "CANONICAL")]
    profile: Vec<String>,
    /// Where to ask about codes that nothing at hand can judge: a FHIR R4 terminology server. Codes and the
    /// names of value sets are sent to it, nothing else.
    #[arg(long, value_name = "none|URL", default_value = "none")]
    terminology: String,
    /// PEM file: the authorities that may vouch for the terminology server [default: those of the system].
    #[arg(long, value_name = "FILE")]
    terminology_ca: Option<PathBuf>,
    /// File: a bearer token for the terminology server [default: the variable VARCO_TERMINOLOGY_TOKEN].
    #[arg(long, value_name = "FILE")]
    terminology_token_file: Option<PathBuf>,
    /// What becomes of extensions that no definition at hand describes; unknown modifier extensions are
    /// errors always.
    #[arg(long, value_name = "accept|error", default_value = "accept")]
    unknown_extensions: UnknownExtension,
    /// Mention elements that a profile marks as must support and that a resource lacks.
    #[arg(long)]
    must_support: bool,
    /// With `--unknown-extensions error`: accept those whose url begins so.
    #[arg(long, value_name = "URL")]
    extension_authority: Vec<String>,
    /// How to print the findings.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Output,
    /// Write an HTML report to this file too.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Most faults to print [default: text 50, html 2000, json 10000 issues].
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Threads that check, for NDJSON and many files; the output is the same [default: one for each core].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Files, folders (searched for .json, .ndjson, .jsonl and .xml), or `-` for standard input.
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people: the line, a caret, and what to do.
    Text,
    /// For programs: one FHIR R4 OperationOutcome.
    Json,
    /// A report to look at: one file that needs no other.
    Html,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum UnknownExtension {
    /// They are mentioned.
    Accept,
    /// They are errors.
    Error,
}

impl Validate {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        let json = self.output == Output::Json;
        let refused = |code, message: String| {
            if json {
                print(&Outcome::of(Issue::new(IssueSeverity::Fatal, code, message.as_str())).to_json());
            }
            say::note(format!("varco validate: {message}"));
            ExitCode::from(2)
        };
        if let Err(message) = self.refusal() {
            return refused(IssueType::NotSupported, message);
        }
        let gathered = match input::gather(&self.inputs) {
            Ok(gathered) => gathered,
            Err(error) => return refused(IssueType::NotFound, format!("{error:#}")),
        };
        let definitions = match definitions::gather(&self.package, &self.definition) {
            Ok(gathered) => gathered,
            Err(error) => return refused(IssueType::NotFound, format!("{error:#}")),
        };
        for warning in &definitions.warnings {
            say::note(format!("varco validate: {warning}"));
        }
        let server = match self.server() {
            Ok(server) => server,
            Err(error) => return refused(IssueType::NotSupported, format!("{error:#}")),
        };
        let report = self.output == Output::Html || self.report.is_some();
        let validator = self.validator(definitions.definitions);
        let validator = definitions.instances.into_iter().fold(validator, Validator::with_instance);
        let checker = Checker::new(validator);
        let mut run = Run::new(checker);
        run.server = server;
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        run.threads = self.threads.unwrap_or_else(cores);
        run.outcome = json.then(Outcome::default);
        run.most_issues = self.limit.unwrap_or(MOST_ISSUES);
        run.faults = (self.output == Output::Text).then(|| Findings::new(false));
        run.by_input = report.then(|| Findings::new(true));
        run.all(&gathered);
        let written = run.by_input.take().map_or(Ok(()), |found| self.report(&run.tally, found));
        match self.output {
            Output::Text => self.text(&run.tally, run.faults.take().unwrap_or_default()),
            Output::Json => outcome(&mut run),
            Output::Html => say::note(run.tally.line()),
        }
        if let Some(told) = run.server.as_ref().and_then(Server::told) {
            say::note(format!("varco validate: {told}"));
        }
        if let Err(error) = &written {
            say::note(format!("varco validate: {error:#}"));
        }
        match (run.unreadable || written.is_err(), run.tally.errors) {
            (true, _) => ExitCode::from(2),
            (false, 0) => ExitCode::SUCCESS,
            (false, _) => ExitCode::FAILURE,
        }
    }

    fn text(&self, tally: &Tally, found: Findings) {
        let beyond = found.beyond;
        let mut out = text::render(&found.sorted(), self.limit.unwrap_or(MOST_PRINTED), say::colours());
        if beyond > 0 {
            out += &format!("… and {} of other kinds, only counted\n\n", tally::counted(beyond, "finding"));
        }
        out += &tally.summary();
        say::line(out);
    }

    /// Writes the HTML report: to its file, or to standard output.
    fn report(&self, tally: &Tally, found: Findings) -> anyhow::Result<()> {
        let about = report::About {
            inputs: self.inputs.iter().map(|it| Path::new(it).display().to_string()).collect(),
            packages: self.package.clone(),
            profiles: self.profile.clone(),
            made: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
            limit: self.limit.unwrap_or(MOST_REPORTED),
            beyond: found.beyond,
        };
        let page = report::page(&about, tally, &found.sorted());
        match &self.report {
            None => print(page.as_bytes()),
            Some(file) => std::fs::write(file, page).with_context(|| {
                format!("the report {} can't be written; name another with --report", file.display())
            })?,
        }
        Ok(())
    }

    fn validator(&self, definitions: Arc<Definitions>) -> Validator {
        let unknown_extensions = match self.unknown_extensions {
            UnknownExtension::Accept => UnknownExtensions::Accept,
            UnknownExtension::Error => UnknownExtensions::Error,
        };
        let settings = Settings {
            unknown_extensions,
            unknown_systems: true,
            must_support: self.must_support,
            ..Settings::default()
        };
        let mut validator = Validator::with_settings(definitions, settings);
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
        if let Some(now) = Temporal::parse_date_time(&now) {
            validator = validator.with_now(now);
        }
        validator = self.extension_authority.iter().fold(validator, Validator::with_extension_authority);
        self.profile.iter().fold(validator, Validator::with_profile)
    }

    /// What is asked for and not built yet.
    fn refusal(&self) -> Result<(), String> {
        if !matches!(self.fhir_version.to_ascii_uppercase().as_str(), "4.0.1" | "4.0" | "R4") {
            return Err(format!(
                "FHIR version {} is not supported: this version of Varco validates R4 (4.0.1) only",
                self.fhir_version
            ));
        }
        Ok(())
    }

    /// The terminology server, where one is named.
    fn server(&self) -> anyhow::Result<Option<Server>> {
        if self.terminology == "none" {
            return Ok(None);
        }
        let (ca, token) = (self.terminology_ca.as_deref(), self.terminology_token_file.as_deref());
        Server::new(&self.terminology, ca, token).map(Some)
    }
}

/// Prints the OperationOutcome, and for several resources the summary beside it.
fn outcome(run: &mut Run) {
    let mut outcome = run.outcome.take().unwrap_or_default();
    if run.left_out > 0 {
        let message = format!("{} more issues were found and only counted", run.left_out);
        let note = Issue::new(IssueSeverity::Information, IssueType::TooCostly, message);
        outcome.issues.push(note);
    }
    let line = run.tally.line();
    outcome.issues.push(Issue::new(IssueSeverity::Information, IssueType::Informational, line));
    print(&outcome.to_json());
    if run.tally.total.all > 1 {
        say::note(run.tally.summary());
    }
}

/// Writes a whole text to standard output.
fn print(text: &[u8]) {
    let mut out = std::io::stdout().lock();
    // A reader that closed the pipe wants no more: that is not a fault.
    let _ = out.write_all(text).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
}
