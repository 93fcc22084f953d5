//! `varco map`: transforms a resource with the FHIR Mapping Language, and HL7 v2 messages with the built-in maps.
//!
//! Exit codes are a contract: 0 with a result, 1 where the map or the transformation failed (with `--strict` also
//! where the result is invalid), 2 where something could not be read. The result alone goes to standard output;
//! what should be known about it goes to standard error and to the report.

mod hl7v2;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use fhir_models::definition::Definitions;
use fhir_models::document::{JsonWriter, Limits, OwnedDocument, Position};
use varco::definitions;
use varco_core::fhirpath::Temporal;
use varco_core::mapping::json_schema::InputSchema;
use varco_core::mapping::{
    CompiledMap, Difference, Mapper, Output, OutputFormat, Randomness, Settings, differences, regional_map,
    regional_maps,
};
use varco_core::outcome::Issue;
use varco_core::validation::Validator;

use super::say;

/// Transforms a resource with a map of the FHIR Mapping Language, or HL7 v2 messages with the built-in maps; prints
/// the result.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco map --map patient-to-person.map patient.json
  varco map --map main.map --map library.map --report loss.json bundle.json > result.json
  varco map --map to-cda.map --definition clinicaldocument.xml --definition st.xml patient.json
  varco map --map there.map --back back.map --report loss.json patient.json    what a round trip loses
  varco map --map urn:varco:map:fse-lab-to-eu-lab transaction.json    a map that comes with varco
  varco map --map urn:varco:map:synthetic-cup-to-fhir --back urn:varco:map:fhir-to-synthetic-cup booking.xml
  varco map --input-schema message.schema.json --map message.fml reading.json    JSON that is not FHIR
  curl -s https://fhir.example.org/Patient/1 | varco map --map patient-to-person.map -
  varco map --report loss.json admission.hl7 > bundle.json                    HL7 v2: no map is needed
  varco map --lenient --zone Europe/Rome batch.hl7 > bundles.ndjson           a batch: one Bundle a line

Maps that come with varco (urn:varco:map:…, what they share is imported by itself):
  fse-lab-to-eu-lab, eu-lab-to-fse-lab    laboratory report of the Italian gateway (FSE 2.0) and EU Laboratory report
  fse-pss-to-ips, ips-to-fse-pss          Italian patient summary (PSS) and International/European Patient Summary
  fse-ldo-to-hdr, hdr-to-fse-ldo          Italian hospital discharge letter (LDO) and European Hospital Discharge Report
  fse-consent-to-fhir, fhir-to-fse-consent    consent claim of the Italian gateway's token (patient_consent) and Consent
  aic-to-atc                              AIC to ATC: give a map with this canonical for a whole table

The first --map is run; the others are there to be imported. Without --map, an input that begins with MSH, FHS or BHS
is HL7 v2 (ADT^A01, A04, A08 and A40, ORU^R01, ORM^O01, MDM^T02, SIU^S12 to S26, VXU^V04): each message becomes a
transaction Bundle; one that fails is named, and the others are printed all the same. With --input-schema, the input is
checked by a JSON Schema before it is mapped; the map names it by the schema's $id. Exit codes: 0 with a result, 1 where the map or the
transformation failed, 2 where something could not be read.")]
pub struct Map {
    /// FHIR version of the resources: 4.0.1 (also written 4.0 or R4).
    #[arg(long, value_name = "V", default_value = "4.0.1")]
    fhir_version: String,
    /// A map: text, a StructureMap in JSON or XML, or a built-in one by its canonical. The first is run,
    /// further ones can be imported. Not needed for HL7 v2.
    #[arg(long, value_name = "FILE")]
    map: Vec<PathBuf>,
    /// A JSON Schema of the input, for JSON that is not FHIR. It checks the input and says what it looks like; a
    /// map names it by its $id, as in: uses "https://vendor.example/message" as source.
    #[arg(long, value_name = "FILE", requires = "map")]
    input_schema: Option<PathBuf>,
    /// A definition (logical model, profile, concept map …) from a file.
    #[arg(long, value_name = "FILE")]
    definition: Vec<PathBuf>,
    /// A FHIR package with more definitions: a .tgz, its folder, or id#version of the package cache.
    #[arg(long, value_name = "TGZ|DIR|ID#VER")]
    package: Vec<String>,
    /// Writes a report in JSON: source elements that nothing read (loss), what stands otherwise in the result (changed:
    /// values, additions, order, joined lists), notes, what is invalid in the result.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Shows on standard error what each rule worked on.
    #[arg(long, requires = "map")]
    trace: bool,
    /// A map back: the report then tells what the way there and back lost.
    #[arg(long, value_name = "FILE", requires = "map")]
    back: Option<PathBuf>,
    /// Fail where the result is invalid, instead of telling it.
    #[arg(long)]
    strict: bool,
    /// Don't validate the result.
    #[arg(long, conflicts_with = "strict")]
    no_validation: bool,
    /// HL7 v2: the zone of times without an offset, a name such as Europe/Rome or an offset such as +01:00.
    #[arg(long, value_name = "ZONE", default_value = "Europe/Rome", conflicts_with = "map")]
    zone: String,
    /// HL7 v2: tolerate other line ends, unknown escapes, undeclared character sets and stray lines.
    #[arg(long, conflicts_with = "map")]
    lenient: bool,
    /// A resource in JSON or XML, or HL7 v2 messages; `-` for standard input.
    #[arg(value_name = "INPUT")]
    input: String,
}

/// Why there is no result, and the exit code that says so.
struct Refusal(u8, String);

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Refusal {
        Refusal(2, format!("{error:#}"))
    }
}

impl Map {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        match self.map_it() {
            Ok(code) => code,
            Err(Refusal(code, message)) => {
                say::note(format!("varco map: {message}"));
                ExitCode::from(code)
            }
        }
    }

    fn map_it(&self) -> Result<ExitCode, Refusal> {
        if !matches!(self.fhir_version.to_ascii_uppercase().as_str(), "4.0.1" | "4.0" | "R4") {
            let version = &self.fhir_version;
            return Err(anyhow!("FHIR version {version} is not supported: use R4 (4.0.1)").into());
        }
        let schema = self.schema()?;
        let own = schema.as_ref().map(|it| (it.url(), it.definition()));
        let definitions::Gathered { definitions, instances, warnings } =
            definitions::gather_beside(&self.package, &self.definition, own).map_err(anyhow::Error::from)?;
        if !instances.is_empty() {
            let count = instances.len();
            say::note(format!(
                "varco map: {count} files of --definition define nothing: they have no effect"
            ));
        }
        for warning in warnings {
            say::note(format!("varco map: {warning}"));
        }
        let text = self.text()?;
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
        let settings = Settings {
            now: Temporal::parse_date_time(&now),
            randomness: Some(&Drawn),
            report: self.report.is_some() || self.trace,
            ..Settings::default()
        };
        if self.map.is_empty() {
            if !hl7v2::is_hl7v2(&text) {
                let input = &self.input;
                return Err(anyhow!(
                    "{input} is no HL7 v2 (it begins with neither MSH nor FHS nor BHS): name a map with --map"
                )
                .into());
            }
            return self.map_hl7v2(&text, &definitions, &settings);
        }
        let mut mapper = Mapper::new(Arc::clone(&definitions));
        for file in self.map.iter().chain(&self.back) {
            let text = map_text(file)?;
            mapper.add(&file.display().to_string(), &text).map_err(|error| Refusal(1, error.to_string()))?;
        }
        let map = compiled(&mapper, 0)?;
        let source = match &schema {
            Some(schema) => self.checked(schema, &text)?,
            None => map
                .read_source(0, &text, &Limits::default())
                .with_context(|| format!("{} is no document", self.input))?,
        };
        let output =
            map.run(&[source.document()], &settings).map_err(|error| Refusal(1, error.to_string()))?;
        let issues = self.issues(&definitions, &output)?;
        let round_trip = match &self.back {
            Some(_) => Some(back(&map, &compiled(&mapper, self.map.len())?, &source, &output, &settings)?),
            None => None,
        };
        for step in output.trace.iter().filter(|_| self.trace) {
            let (file, at) = &step.map;
            let (path, place) = &step.source;
            say::note(format!("{file}:{}:{}: rule {} at {path} ({place})", at.line, at.column, step.rule));
        }
        for note in &output.notes {
            say::note(format!("varco map: note: {note}"));
        }
        if let Some(file) = &self.report {
            write_report(file, &report(&output, &issues, round_trip.as_deref()))?;
        }
        tell_invalid("", &issues);
        if self.strict && !issues.is_empty() {
            return Err(Refusal(1, "the result is invalid and was not printed (--strict)".to_owned()));
        }
        for result in &output.results {
            say::line(result.text.trim_end());
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The schema of the input, where one is given.
    fn schema(&self) -> Result<Option<InputSchema>, Refusal> {
        let Some(file) = &self.input_schema else { return Ok(None) };
        let shown = file.display();
        let text = std::fs::read(file).with_context(|| format!("{shown} can't be read"))?;
        let name = file.file_stem().map_or_else(String::new, |it| it.to_string_lossy().into_owned());
        let schema = InputSchema::read(&name, &text)
            .map_err(|error| Refusal(2, format!("the schema {shown} can't be used: {error}")))?;
        Ok(Some(schema))
    }

    /// The input, where its schema has nothing against it.
    fn checked(&self, schema: &InputSchema, text: &[u8]) -> Result<OwnedDocument, Refusal> {
        schema.parse(text, &Limits::default()).map_err(|faults| {
            let lines: Vec<String> = faults.iter().map(|it| format!("  {it}")).collect();
            Refusal(1, format!("{} is refused by its schema:\n{}", self.input, lines.join("\n")))
        })
    }

    /// The input.
    fn text(&self) -> Result<Vec<u8>> {
        let limit = Limits::default().bytes;
        let mut text = Vec::new();
        let read = if self.input == "-" {
            std::io::stdin().take(limit as u64 + 1).read_to_end(&mut text).map(|_| ())
        } else {
            std::fs::read(&self.input).map(|bytes| text = bytes)
        };
        read.with_context(|| format!("{} can't be read", self.input))?;
        anyhow::ensure!(text.len() <= limit, "{} is larger than {limit} bytes: split it", self.input);
        Ok(text)
    }

    /// What is invalid in the results; warnings don't count.
    fn issues(&self, definitions: &Arc<Definitions>, output: &Output) -> Result<Vec<Issue>> {
        let mut found = Vec::new();
        if self.no_validation {
            return Ok(found);
        }
        let resources = output
            .results
            .iter()
            .filter(|it| it.format == OutputFormat::Json && definitions.is_resource(&it.type_name));
        let validator = Validator::new(Arc::clone(definitions));
        for result in resources {
            found.extend(invalid(&validator, &result.text)?);
        }
        Ok(found)
    }
}

/// What is invalid in a result; warnings don't count.
fn invalid(validator: &Validator, result: &str) -> Result<Vec<Issue>> {
    let document =
        OwnedDocument::parse_json(result, &Limits::default()).context("the result is no document")?;
    let issues = validator.validate(document.document()).issues;
    Ok(issues.into_iter().filter(|issue| issue.severity.is_error()).collect())
}

/// Tells what is invalid; `which` names the result where there are several.
fn tell_invalid(which: &str, issues: &[Issue]) {
    for issue in issues {
        let place = issue.position.map_or_else(String::new, |at| format!(", {at} of the result"));
        let path = issue.expression.as_deref().unwrap_or("the result");
        say::note(format!("varco map: {which}the result is invalid: {} ({path}{place})", issue.message));
    }
}

fn write_report(file: &Path, report: &[u8]) -> Result<()> {
    std::fs::write(file, report).with_context(|| format!("{} can't be written", file.display()))
}

/// What is invalid, as the member `invalid` of a report.
fn write_invalid(json: &mut JsonWriter, issues: &[Issue]) {
    json.key("invalid").begin_array();
    for issue in issues {
        json.begin_object().member("message", &issue.message);
        json.optional("path", issue.expression.as_deref()).end_object();
    }
    json.end_array();
}

/// A map's text: that of a built-in map by its canonical, else that of the file.
fn map_text(name: &Path) -> Result<Vec<u8>> {
    match name.to_str().filter(|it| it.starts_with("urn:varco:map:")) {
        None => std::fs::read(name).with_context(|| format!("{} can't be read", name.display())),
        Some(url) => match regional_map(url) {
            Some(map) => Ok(map.text.as_bytes().to_vec()),
            None => {
                let known: Vec<&str> = regional_maps().iter().map(|it| it.url).collect();
                Err(anyhow!("there is no built-in map {url}; known are {}", known.join(", ")))
            }
        },
    }
}

fn compiled(mapper: &Mapper, number: usize) -> Result<CompiledMap, Refusal> {
    mapper.compile(number).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Refusal(1, format!("the map can't be used:\n{}", lines.join("\n")))
    })
}

/// Maps the result back and compares. What either map makes is read as the other one reads its source.
fn back(
    there: &CompiledMap,
    back: &CompiledMap,
    source: &OwnedDocument,
    output: &Output,
    settings: &Settings<'_>,
) -> Result<Vec<Difference>, Refusal> {
    let made = back
        .read_source(0, output.text().as_bytes(), &Limits::default())
        .map_err(|error| Refusal(1, format!("the result can't be mapped back: {error}")))?;
    let again = back.run(&[made.document()], settings).map_err(|error| Refusal(1, error.to_string()))?;
    let again = there
        .read_source(0, again.text().as_bytes(), &Limits::default())
        .map_err(|error| Refusal(1, format!("what came back can't be compared: {error}")))?;
    Ok(differences(source.document(), again.document()))
}

fn report(output: &Output, issues: &[Issue], round_trip: Option<&[Difference]>) -> Vec<u8> {
    fn place(json: &mut JsonWriter, at: Position) {
        json.key("line").integer(at.line as i64).key("column").integer(at.column as i64);
    }
    let mut json = JsonWriter::new();
    json.begin_object().key("loss").begin_array();
    for loss in &output.loss {
        json.begin_object().member("path", &loss.path);
        place(&mut json, loss.position);
        if let Some((rule, cause)) = &loss.rule {
            json.member("rule", rule).member("cause", cause.text());
        }
        json.end_object();
    }
    json.end_array().key("changed").begin_array();
    for change in &output.changes {
        json.begin_object().member("path", &change.path);
        place(&mut json, change.position);
        json.member("kind", change.kind.text());
        json.member("before", &change.kind.before()).member("after", &change.kind.after());
        json.member("rule", &change.rule).end_object();
    }
    json.end_array().key("notes").begin_array();
    for note in &output.notes {
        json.string(&note.to_string());
    }
    json.end_array();
    write_invalid(&mut json, issues);
    if let Some(differences) = round_trip {
        json.key("roundTrip").begin_array();
        for difference in differences {
            json.begin_object()
                .member("path", &difference.path)
                .member("what", difference.kind.text())
                .end_object();
        }
        json.end_array();
    }
    json.end_object();
    let mut bytes = json.into_bytes();
    bytes.push(b'\n');
    bytes
}

/// Random numbers of the operating system.
struct Drawn;

impl Randomness for Drawn {
    fn next(&self) -> u128 {
        uuid::Uuid::new_v4().as_u128()
    }
}
