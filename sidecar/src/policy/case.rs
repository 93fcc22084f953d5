//! Tests of policies: a request, a resource, and what the policies are to say of it.
//!
//! The form is that of `schema/policy-tests.schema.json`, in YAML or TOML. A resource is a FHIR resource in a file, read as
//! traffic is, or the facts themselves. Consent is left aside.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument};
use jiff::Timestamp;
use jsonschema::Validator;
use serde::Deserialize;
use serde_json::Value;
use varco_core::access::{Labels, PatientReference, PatientsOf};
use varco_core::consent::{
    ACT_CODE, ACT_REASON, CONFIDENTIALITY, Confidentiality, Interval, LiteralReference, Party, Reading,
    ResourceFacts,
};
use varco_core::interaction::Id;
use varco_core::policy::{PolicyAction, PolicyRequest, PolicyResource, SitePolicies, patient_count};
use varco_core::requester::{BusinessIdentifier, Code, Requester};

use crate::config;

/// The form of a file of tests, as JSON Schema.
pub const TESTS_SCHEMA: &str = include_str!("../../schema/policy-tests.schema.json");
/// Most bytes of a file of tests, and of a resource that it names.
const LONGEST: u64 = 16 << 20;
/// When a request arrives that no test gives a time to.
const NOON: &str = "2026-01-05T12:00:00Z";

static VALIDATOR: LazyLock<Option<Validator>> =
    LazyLock::new(|| jsonschema::validator_for(&serde_json::from_str(TESTS_SCHEMA).ok()?).ok());

/// What tests are carried out with.
pub struct TestBench {
    /// The policies.
    pub policies: Arc<SitePolicies>,
    /// The site that holds the resources.
    pub site: String,
    /// How dates and references are read.
    pub reading: Reading,
    compartment: PatientsOf,
}

/// One file of tests, ready to be carried out.
#[derive(Debug)]
pub struct TestFile {
    path: PathBuf,
    tests: Vec<Test>,
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// Its name.
    pub name: String,
    /// The policies that decided, by name.
    pub by: Vec<String>,
    /// How it differs from what was expected: `permit by all, expected deny by night`.
    pub differs: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Form {
    #[serde(default)]
    callers: std::collections::BTreeMap<String, Caller>,
    tests: Vec<Test>,
}

#[derive(Debug, Deserialize)]
struct Test {
    name: String,
    caller: CallerOrName,
    action: String,
    purposes: Option<Vec<String>>,
    at: Option<String>,
    resource: Resource,
    expect: Expect,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum CallerOrName {
    Name(String),
    Caller(Caller),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Caller {
    client: String,
    person: Option<String>,
    roles: Vec<String>,
    organizations: Vec<String>,
    purposes: Vec<String>,
    scopes: Vec<String>,
    patient: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Resource {
    file: Option<PathBuf>,
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    labels: Vec<String>,
    codes: Vec<String>,
    classes: Vec<String>,
    profiles: Vec<String>,
    authors: Option<Vec<String>>,
    start: Option<String>,
    end: Option<String>,
    patients: Option<Vec<String>>,
    patient_count: Option<usize>,
}

#[derive(Debug, Deserialize)]
struct Expect {
    decision: String,
    by: Option<Vec<String>>,
}

/// What a test's resource comes to.
struct Found {
    facts: ResourceFacts,
    /// The patients of this site.
    patients: Vec<String>,
    patient_count: usize,
    /// The resource, where it is in a file.
    document: Option<OwnedDocument>,
}

impl TestFile {
    /// Reads a file of tests; one that ends in `.toml` is TOML, any other YAML.
    ///
    /// # Errors
    /// What is wrong with it, each with its place in the file.
    pub fn read(path: &Path) -> Result<TestFile, Vec<String>> {
        let text = read(path).map_err(|cause| vec![cause])?;
        let value: Value = if path.extension().is_some_and(|end| end == "toml") {
            config::read_toml(&text)
                .map_err(|fault| vec![format!("line {}: {} {}", fault.line, fault.cause, fault.cure)])?
        } else {
            // `N` is a label, and no word for false (YAML 1.2).
            let options = serde_saphyr::options! { strict_booleans: true };
            serde_saphyr::from_str_with_options(&text, options)
                .map_err(|error| vec![format!("it is not YAML: {error}")])?
        };
        let Some(validator) = VALIDATOR.as_ref() else {
            return Err(vec!["the built-in schema of tests can't be read".to_owned()]);
        };
        let faults: Vec<String> = validator
            .iter_errors(&value)
            .map(|fault| format!("{}: {}", fault.instance_path(), fault.masked_with("the value")))
            .collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut form: Form = serde_json::from_value(value).map_err(|error| vec![error.to_string()])?;
        let mut unknown = Vec::new();
        for test in &mut form.tests {
            if let CallerOrName::Name(name) = &test.caller {
                match form.callers.get(name) {
                    Some(caller) => test.caller = CallerOrName::Caller(caller.clone()),
                    None => unknown.push(format!("{}: there is no caller {name} among `callers`", test.name)),
                }
            }
        }
        if unknown.is_empty() {
            Ok(TestFile { path: path.to_owned(), tests: form.tests })
        } else {
            Err(unknown)
        }
    }

    /// Carries the tests out.
    ///
    /// # Errors
    /// A test that can't be carried out, such as one whose resource is not to be found.
    pub fn run(&self, bench: &TestBench) -> Result<Vec<TestResult>, String> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let run = |test: &Test| test.run(folder, bench).map_err(|cause| format!("{}: {cause}", test.name));
        self.tests.iter().map(run).collect()
    }
}

impl TestBench {
    /// A bench for these policies.
    pub fn new(policies: Arc<SitePolicies>, site: &str, reading: Reading) -> TestBench {
        let compartment = PatientsOf::from_definitions(Definitions::r4());
        TestBench { policies, site: site.to_owned(), reading, compartment }
    }
}

impl Test {
    fn run(&self, folder: &Path, bench: &TestBench) -> Result<TestResult, String> {
        let CallerOrName::Caller(caller) = &self.caller else { return Err("it has no caller".to_owned()) };
        let requester = caller.requester(self.purposes.as_ref())?;
        let at = moment(self.at.as_deref().unwrap_or(NOON))?;
        let action = PolicyAction::of_name(&self.action).ok_or("there is no such action")?;
        let Found { facts, patients, patient_count, document } = self.resource.found(folder, bench)?;
        let resource =
            PolicyResource { facts: &facts, patients: &patients, patient_count, site: &bench.site };
        let mut request = PolicyRequest::new(bench.policies.clone(), &requester, at, &bench.reading.zone);
        let mut decision = request.decide(action, &resource);
        if let (true, Some(document)) = (decision.permitted, &document) {
            let inside = request.forbidden_inside(action, document.root(), &resource, &bench.reading);
            decision = inside.unwrap_or(decision);
        }
        let by: Vec<String> =
            decision.by.iter().chain(&decision.failed).map(|policy| policy.name.clone()).collect();
        let found = if decision.permitted { "permit" } else { "deny" };
        let mut expected_by = self.expect.by.clone();
        expected_by.iter_mut().for_each(|names| names.sort());
        let agrees = found == self.expect.decision && expected_by.as_ref().is_none_or(|names| *names == by);
        let differs = (!agrees).then(|| {
            let expected = expected_by.as_deref().map_or(String::new(), deciders);
            let expected = format!("{}{expected}", self.expect.decision);
            format!("{found}{}, expected {expected}", deciders(&by))
        });
        Ok(TestResult { name: self.name.clone(), by, differs })
    }
}

impl Caller {
    fn requester(&self, purposes: Option<&Vec<String>>) -> Result<Requester, String> {
        let patient = self.patient.as_ref();
        Ok(Requester {
            client_id: self.client.clone(),
            subject: self.person.as_deref().map(identifier),
            roles: self.roles.iter().map(|role| code(role, "")).collect(),
            organizations: self.organizations.iter().map(|own| identifier(own)).collect(),
            purposes: purposes.unwrap_or(&self.purposes).iter().map(|own| code(own, ACT_REASON)).collect(),
            patient: patient
                .map(|id| Id::parse(id).ok_or_else(|| format!("{id} is no logical id")))
                .transpose()?,
            scopes: self.scopes.clone(),
            ..Requester::default()
        })
    }
}

impl Resource {
    fn found(&self, folder: &Path, bench: &TestBench) -> Result<Found, String> {
        let mut read_from = None;
        let (mut facts, local, patients) = match &self.file {
            None => (
                ResourceFacts { resource_type: self.kind.clone(), ..ResourceFacts::default() },
                Vec::new(),
                None,
            ),
            Some(file) => {
                let text = read(&folder.join(file))?;
                let document = OwnedDocument::parse_json(text, &Limits::default())
                    .map_err(|error| format!("{} is not FHIR JSON: {error}", file.display()))?;
                let root = document.root();
                let mut facts = ResourceFacts::of_resource(root, &bench.reading);
                facts.add_labels(&Labels::of(root));
                let patients = bench.compartment.of(root, &bench.reading.bases);
                let mut local: Vec<String> = Vec::new();
                for link in &patients.links {
                    if let PatientReference::Literal(own) = &link.patient
                        && own.as_str().starts_with("Patient/")
                        && !local.iter().any(|known| known == own.as_str())
                    {
                        local.push(own.as_str().to_owned());
                    }
                }
                read_from = Some(document);
                (facts, local, Some(patients))
            }
        };
        if let Some(id) = &self.id {
            facts.reference = LiteralReference::parse(&format!("{}/{id}", facts.resource_type));
        }
        facts.labels.extend(self.labels.iter().map(|label| {
            let system = if Confidentiality::of_code(label).is_some() { CONFIDENTIALITY } else { ACT_CODE };
            code(label, system)
        }));
        facts.codes.extend(self.codes.iter().map(|own| code(own, "")));
        facts.classes.extend(self.classes.iter().map(|own| code(own, "")));
        facts.profiles.extend(self.profiles.iter().cloned());
        if let Some(authors) = &self.authors {
            let party = |own: &String| match own.contains('|') {
                true => Party { reference: None, identifiers: vec![identifier(own)] },
                false => Party { reference: LiteralReference::parse(own), identifiers: Vec::new() },
            };
            facts.authors = Some(authors.iter().map(party).collect());
        }
        let (start, end) = (self.start.as_deref(), self.end.as_deref());
        if let Some(from) = start.or(end) {
            let (start, end) = (moment(from)?, moment(end.unwrap_or(from))?);
            facts.period = Some(Interval { start, end });
        }
        let local = self.patients.clone().unwrap_or(local);
        let counted = match (&self.patients, patients) {
            (None, Some(patients)) => patient_count(&local, &patients),
            _ => local.len(),
        };
        let patient_count = self.patient_count.unwrap_or(counted);
        Ok(Found { facts, patients: local, patient_count, document: read_from })
    }
}

fn deciders(names: &[String]) -> String {
    if names.is_empty() { " by default".to_owned() } else { format!(" by {}", names.join(", ")) }
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::from_str(text).map_err(|_| format!("{text} is no time such as {NOON}"))
}

/// `system|code`, or a code of the system that is meant where none is named.
fn code(text: &str, system: &str) -> Code {
    match text.rsplit_once('|') {
        Some((system, code)) => Code::new(system, code),
        None => Code::new(system, text),
    }
}

fn identifier(text: &str) -> BusinessIdentifier {
    let (system, value) = text.rsplit_once('|').unwrap_or(("", text));
    BusinessIdentifier::new(system, value)
}

fn read(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{} can't be read: {error}", path.display());
    if std::fs::metadata(path).map_err(failed)?.len() > LONGEST {
        return Err(format!("{} is longer than {LONGEST} bytes", path.display()));
    }
    std::fs::read_to_string(path).map_err(failed)
}
