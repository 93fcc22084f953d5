//! `varco fhirpath`: evaluates an expression on a resource.
//!
//! Exit codes are a contract: 0 with a result (an empty one is a result), 1 where the expression can't be
//! compiled or evaluated, 2 where the input can't be read.

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use clap::{Args, ValueEnum};
use fhir_models::definition::Definitions;
use fhir_models::document::xml::DefinitionSchema;
use fhir_models::document::{JsonWriter, Limits, OwnedDocument};
use varco_core::fhirpath::{
    Collection, Context, Expression, Model, Options, ResultItem, Scalar, Temporal, Trace,
};

use super::say;

/// Evaluates a FHIRPath expression; exits non-zero if it can't be compiled or evaluated.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco fhirpath 'name.given' patient.json
  varco fhirpath --output json \"telecom.where(system = 'phone')\" patient.xml
  varco fhirpath \"@2026-01-31 + 1 month\"
  curl -s https://fhir.example.org/Patient/1 | varco fhirpath 'birthDate <= today()' -")]
pub struct FhirPath {
    /// FHIR version of the resource: 4.0.1 (also written 4.0 or R4).
    #[arg(long, value_name = "V", default_value = "4.0.1")]
    fhir_version: String,
    /// How to print the result.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Output,
    /// Let paths that can't exist give nothing instead of an error.
    #[arg(long)]
    lenient: bool,
    /// The expression.
    #[arg(value_name = "EXPRESSION", allow_hyphen_values = true)]
    expression: String,
    /// A resource in JSON or XML, or `-` for standard input. Without it, the expression stands alone.
    #[arg(value_name = "INPUT")]
    input: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people: one item a line, with its place.
    Text,
    /// For programs: a list of objects with type and value.
    Json,
}

impl FhirPath {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        let fault = |message: String| {
            say::note(format!("varco fhirpath: {message}"));
            ExitCode::from(2)
        };
        if !matches!(self.fhir_version.to_ascii_uppercase().as_str(), "4.0.1" | "4.0" | "R4") {
            return fault(format!("FHIR version {} is not supported: use R4 (4.0.1)", self.fhir_version));
        }
        let document = match self.read() {
            Ok(document) => document,
            Err(message) => return fault(message),
        };
        let resource_type = document.root().resource_type();
        let options = Options { strict: !self.lenient, on: resource_type.as_deref(), ..Options::default() };
        let expression = match Expression::compile(&self.expression, &Model::r4(), &options) {
            Ok(expression) => expression,
            Err(error) => return self.show(&error.fault.to_string(), error.offset),
        };
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
        let context =
            Context { now: Temporal::parse_date_time(&now), trace: Some(&Log), ..Context::default() };
        match expression.evaluate(document.document(), &context) {
            Ok(found) => {
                self.print(&found);
                ExitCode::SUCCESS
            }
            Err(error) => self.show(&error.fault().to_string(), error.offset()),
        }
    }

    fn read(&self) -> Result<OwnedDocument, String> {
        let limits = Limits::default();
        let Some(input) = &self.input else {
            return OwnedDocument::parse_json("{}", &limits).map_err(|error| error.to_string());
        };
        let mut text = Vec::new();
        let read = if input == "-" {
            std::io::stdin().take(limits.bytes as u64 + 1).read_to_end(&mut text).map(|_| ())
        } else {
            std::fs::read(input).map(|bytes| text = bytes)
        };
        read.map_err(|error| format!("{input} can't be read: {error}"))?;
        let schema = DefinitionSchema::new(Definitions::r4());
        OwnedDocument::parse(text, &schema, &limits).map_err(|error| format!("{input}: {error}"))
    }

    /// Shows what is wrong, with a mark under its place in the expression.
    fn show(&self, cause: &str, offset: usize) -> ExitCode {
        let renderer = if std::io::stderr().is_terminal() { Renderer::styled() } else { Renderer::plain() };
        let text = self.expression.as_str();
        let start = offset.min(text.len());
        let word = text.get(start..).unwrap_or_default();
        let length = word.find(|c: char| !c.is_alphanumeric()).unwrap_or(word.len());
        let first = word.chars().next().map_or(0, char::len_utf8);
        let span = start..start + length.max(first);
        let snippet = Snippet::source(text).annotation(AnnotationKind::Primary.span(span));
        say::note(renderer.render(&[Level::ERROR.primary_title(cause).element(snippet)]));
        ExitCode::FAILURE
    }

    fn print(&self, found: &Collection<'_>) {
        match self.output {
            Output::Json => {
                let mut json = JsonWriter::new();
                json.begin_array();
                for item in found.iter() {
                    write_item(&mut json, item);
                }
                json.end_array();
                say::line(String::from_utf8_lossy(&json.into_bytes()));
            }
            Output::Text => {
                for item in found.iter() {
                    let value = match (item.text(), item.value()) {
                        (Some(text), _) => text.into_owned(),
                        (None, Some(value)) => value.raw().to_owned(),
                        (None, None) => "(no value)".to_owned(),
                    };
                    match item.path() {
                        Some(path) => say::line(format!("{path}: {value}")),
                        None => say::line(value),
                    }
                }
            }
        }
    }
}

fn write_item(json: &mut JsonWriter, item: ResultItem<'_, '_>) {
    json.begin_object().member("type", item.type_name()).key("value");
    match (item.scalar(), item.value()) {
        (Some(Scalar::Boolean(value)), _) => json.boolean(value),
        (Some(Scalar::Integer(value)), _) => json.integer(i64::from(value)),
        (Some(Scalar::Decimal(value)), _) => json.raw(value.to_string().as_bytes()),
        // A Long may have more digits than readers of JSON numbers keep.
        (Some(_), _) => json.string(&item.text().unwrap_or_default()),
        (None, Some(value)) => json.raw(value.raw().as_bytes()),
        (None, None) => json.raw(b"null"),
    };
    json.end_object();
}

/// Shows `trace()` on standard error.
struct Log;

impl Trace for Log {
    fn trace(&self, name: &str, items: &[String]) {
        say::note(format!("{name}: {}", items.join(", ")));
    }
}
