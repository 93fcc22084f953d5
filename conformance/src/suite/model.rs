//! A suite as its file says it: tests, steps, requests, expectations.
//!
//! The published schema (`schema/suite.schema.json`) describes the same shape and is checked first, so that faults
//! are told in the file's own words.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::requirement::Requirement;

/// A conformance suite.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Suite {
    /// Its id, such as `base-r4`.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// Its version (semantic versioning).
    pub version: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// The FHIR version it is about.
    #[serde(default = "r4")]
    pub fhir_version: String,
    /// The CSV file that holds the requirements' texts, beside the suite.
    pub requirements_file: String,
    /// The ids of the requirements that the suite verifies.
    pub requirements: Vec<String>,
    /// Who makes requests: a name and what it stands for. Tokens are given by these names.
    #[serde(default)]
    pub actors: BTreeMap<String, String>,
    /// What may differ between two worlds that are otherwise the same.
    #[serde(default)]
    pub twin: TwinRules,
    /// Texts set once for the whole run.
    #[serde(default)]
    pub variables: Map<String, Value>,
    /// Steps before all tests.
    #[serde(default)]
    pub setup: Vec<Step>,
    /// The tests, in order. Each stands alone.
    pub tests: Vec<Test>,
    /// Steps after all tests.
    #[serde(default)]
    pub teardown: Vec<Step>,
    /// The requirements with their texts, in the order of the list.
    #[serde(skip)]
    pub texts: Vec<Requirement>,
    /// The files that bodies are taken from, by name.
    #[serde(skip)]
    pub files: BTreeMap<String, String>,
}

fn r4() -> String {
    "4.0.1".to_owned()
}

/// A test: passed when every step of its own and of its setup came out as expected.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Test {
    /// Its id, unique in the suite.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// The requirements that it verifies.
    pub verifies: Vec<String>,
    /// What the server must declare for the test to apply.
    #[serde(default)]
    pub applies_when: Option<AppliesWhen>,
    /// Where given, each answer of `steps` must be the same in both worlds.
    #[serde(default)]
    pub twin: Option<TwinTest>,
    /// Texts set before the test.
    #[serde(default)]
    pub variables: Map<String, Value>,
    /// Steps that prepare the test; the test fails where one of them does.
    #[serde(default)]
    pub setup: Vec<Step>,
    /// The steps that decide.
    pub steps: Vec<Step>,
    /// Steps that clean up, run in any case; a fault in them is noted and decides nothing.
    #[serde(default)]
    pub teardown: Vec<Step>,
}

/// What differs between any two worlds, and so tells nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TwinRules {
    /// Headers whose values may differ; whether they are there may not. `date` is always one of them.
    #[serde(default)]
    pub except_headers: Vec<String>,
    /// Members of JSON objects, by name, whose texts may differ.
    #[serde(default)]
    pub except_members: Vec<String>,
    /// Inside any text, what follows one of these up to the next `&` may differ.
    #[serde(default)]
    pub cut_after: Vec<String>,
}

/// How a test compares two worlds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TwinTest {
    /// At most so many `next` links are followed, each in its world, and every page is compared.
    #[serde(default)]
    pub pages: u32,
}

/// One of the two worlds of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// That of the target.
    First,
    /// That of the twin target.
    Twin,
}

/// What a CapabilityStatement must declare; all of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AppliesWhen {
    /// A resource type.
    #[serde(default, rename = "type")]
    pub resource_type: Option<String>,
    /// Interactions on that type (<http://hl7.org/fhir/ValueSet/type-restful-interaction>).
    #[serde(default)]
    pub interactions: Vec<String>,
    /// Search parameters of that type.
    #[serde(default)]
    pub search_parameters: Vec<String>,
    /// Levels of versioning, one of which must be declared for that type.
    #[serde(default)]
    pub versioning: Vec<String>,
    /// Interactions on the whole system.
    #[serde(default)]
    pub system_interactions: Vec<String>,
}

/// One request and what is expected of its answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Step {
    /// What it does, for people.
    #[serde(default)]
    pub title: Option<String>,
    /// The requirements that this step decides; where absent, those of its test.
    #[serde(default)]
    pub verifies: Vec<String>,
    /// The only world in which it is carried out; where absent, both where there are two.
    #[serde(default)]
    pub only_in: Option<World>,
    /// The request.
    pub request: RequestPlan,
    /// What is expected.
    #[serde(default)]
    pub expect: Expect,
    /// Variables taken from the answer.
    #[serde(default)]
    pub save: BTreeMap<String, Save>,
    /// The name under which the whole answer is kept for `same-as`.
    #[serde(default)]
    pub save_response: Option<String>,
}

/// A request, with variables still in it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RequestPlan {
    /// The HTTP method.
    pub method: String,
    /// The path below the target's base URL, or an absolute URL below it.
    #[serde(default)]
    pub path: String,
    /// Query parameters; a list repeats the parameter.
    #[serde(default)]
    pub query: BTreeMap<String, OneOrMany<String>>,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The actor whose token is sent; `nobody` sends none.
    #[serde(default, rename = "as")]
    pub actor: Option<String>,
    /// The body as text, sent as it is once variables are put in.
    #[serde(default)]
    pub body: Option<String>,
    /// The body as a structure, sent as JSON.
    #[serde(default)]
    pub json: Option<Value>,
    /// The body from a file beside the suite.
    #[serde(default)]
    pub body_file: Option<String>,
    /// The body from the synthetic patients.
    #[serde(default)]
    pub generate: Option<Generate>,
}

/// A made-up resource for a body.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Generate {
    /// The person whose Patient resource it is.
    pub patient: GeneratedPatient,
}

/// A synthetic person by seed and number.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GeneratedPatient {
    /// The seed of the population.
    pub seed: u64,
    /// The number of the person.
    pub number: u64,
    /// How the system of the codice fiscale is written.
    #[serde(default)]
    pub codice_fiscale: FiscalCodeChoice,
}

/// How the system of the codice fiscale is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FiscalCodeChoice {
    /// `http://hl7.it/sid/codiceFiscale`
    #[default]
    Hl7Italy,
    /// As an OID.
    Oid,
}

/// What is expected of an answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expect {
    /// The allowed statuses; where absent, any from 200 to 299.
    #[serde(default)]
    pub status: Option<OneOrMany<u16>>,
    /// Checks of headers, by name.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderCheck>,
    /// Checks of the body, which must then be JSON.
    #[serde(default)]
    pub body: Vec<BodyCheck>,
    /// Another answer that this one must be the same as.
    #[serde(default)]
    pub same_as: Option<SameAs>,
}

/// A check of one header.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HeaderCheck {
    /// Whether the header is there.
    #[serde(default)]
    pub exists: Option<bool>,
    /// Its whole value.
    #[serde(default)]
    pub equals: Option<String>,
    /// A regular expression (ECMA-262) found in its value.
    #[serde(default)]
    pub matches: Option<String>,
}

/// A check of the values at one place of a JSON body.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BodyCheck {
    /// The body is a resource of this type.
    #[serde(default)]
    pub resource: Option<String>,
    /// A dotted path that steps into arrays: `name.given`, `entry[0].resource`, `link[relation=next].url`.
    #[serde(default)]
    pub path: Option<String>,
    /// A JSON pointer (RFC 6901).
    #[serde(default)]
    pub pointer: Option<String>,
    /// Exactly one value is there, and it is this one.
    #[serde(default)]
    pub equals: Option<Value>,
    /// One of the values is this one.
    #[serde(default)]
    pub contains: Option<Value>,
    /// At least one value is there, and each is this one.
    #[serde(default)]
    pub all: Option<Value>,
    /// Whether any value is there.
    #[serde(default)]
    pub exists: Option<bool>,
    /// How many values are there.
    #[serde(default)]
    pub count: Option<u64>,
    /// At least one value is there, and each holds a match of this regular expression (ECMA-262).
    #[serde(default)]
    pub matches: Option<String>,
    /// Exactly one number is there, written with exactly these digits.
    #[serde(default)]
    pub digits: Option<String>,
}

/// A comparison with a saved answer: status, headers and body.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SameAs {
    /// The name under which the other answer was saved.
    pub response: String,
    /// Headers that may differ. `date` always may.
    #[serde(default)]
    pub except_headers: Vec<String>,
    /// Paths in the body that may differ.
    #[serde(default)]
    pub except_paths: Vec<String>,
    /// Texts that count as the same wherever they stand, such as the two ids that were asked for.
    #[serde(default)]
    pub alike: Vec<String>,
}

/// Where a variable's value is taken from.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Save {
    /// `id`: the logical id in `Location`, or in the body. `etag`: the `ETag` header.
    Known(String),
    /// A place in the answer.
    Place(SavePlace),
}

/// A place in an answer: one of the three.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SavePlace {
    /// A header.
    #[serde(default)]
    pub header: Option<String>,
    /// A JSON pointer.
    #[serde(default)]
    pub pointer: Option<String>,
    /// A dotted path; the first value counts.
    #[serde(default)]
    pub path: Option<String>,
}

/// One value, or a list of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// A list.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// The values.
    pub fn as_slice(&self) -> &[T] {
        match self {
            OneOrMany::One(value) => std::slice::from_ref(value),
            OneOrMany::Many(values) => values,
        }
    }
}

impl Suite {
    /// The requirement with this id.
    pub fn requirement(&self, id: &str) -> Option<&Requirement> {
        self.texts.iter().find(|requirement| requirement.id == id)
    }

    /// The names of the actors that requests are made as, each once; without `nobody`.
    pub fn used_actors(&self) -> Vec<&str> {
        let tests = self.tests.iter().flat_map(Test::all_steps);
        let steps = self.setup.iter().chain(tests).chain(&self.teardown);
        let mut used: Vec<&str> = steps.filter_map(|step| step.request.actor.as_deref()).collect();
        used.sort_unstable();
        used.dedup();
        used.retain(|name| *name != NOBODY);
        used
    }
}

impl Test {
    /// Setup, steps and teardown, in order.
    pub fn all_steps(&self) -> impl Iterator<Item = &Step> {
        self.setup.iter().chain(&self.steps).chain(&self.teardown)
    }
}

/// The actor that sends no token.
pub const NOBODY: &str = "nobody";
