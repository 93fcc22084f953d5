//! The runner: carries out a suite against a server and keeps the evidence.
//!
//! Tests run one after another, each with its own variables and saved answers on top of those of the suite's setup. A
//! test stops at its first step that fails; its teardown runs in any case.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use fhir_models::document::{Limits, OwnedDocument, Value};
use jiff::Timestamp;

use super::capability::does_not_apply;
use super::check::{check, short};
use super::client::{HttpClient, Outgoing, Token};
use super::evidence::{Phase, ResponseEvidence, RunReport, StepEvidence, TestResult, Verdict};
use super::model::{NOBODY, Step, Suite, Test};
use super::prepare::{Prepare, set_all};
use super::save::saved;
use super::variables::Variables;

/// The actor whose token is sent where a step names none.
pub const DEFAULT_ACTOR: &str = "default";

const FHIR_JSON: &str = "application/fhir+json";

/// Settings of a run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Bearer tokens by actor.
    pub tokens: BTreeMap<String, Token>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Longest answer, in bytes.
    pub longest_body: usize,
    /// The certificates of the authorities that sign for the target, as PEM; without it, the system's.
    pub authorities: Option<Vec<u8>>,
}

impl Default for RunOptions {
    fn default() -> RunOptions {
        RunOptions {
            tokens: BTreeMap::new(),
            timeout: Duration::from_secs(10),
            longest_body: 16 << 20,
            authorities: None,
        }
    }
}

/// Why a run could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The target is not a base URL.
    #[error(
        "the target {0} is not a FHIR base URL; give http:// or https://, a host and a path, without a query"
    )]
    Target(String),
    /// Nothing answers at the target.
    #[error("nothing answers at {target}: {cause}")]
    Unreachable {
        /// The base URL.
        target: String,
        /// What happened.
        cause: String,
    },
    /// An actor of the suite has no token.
    #[error("the suite makes requests as {0}, and there is no token for it; give one with --token {0}=TOKEN")]
    NoToken(String),
    /// A token is given for an actor that the suite does not have.
    #[error("the suite has no actor {0}; its actors are: {1}")]
    UnknownActor(String, String),
    /// The client can't be set up.
    #[error("{0}")]
    Client(String),
}

/// Carries out one suite against one server.
pub struct Runner<'a> {
    suite: &'a Suite,
    prepare: Prepare<'a>,
    options: RunOptions,
    client: HttpClient,
}

/// What steps leave for later steps.
#[derive(Clone, Default)]
struct Memory {
    variables: Variables,
    responses: HashMap<String, ResponseEvidence>,
}

impl<'a> Runner<'a> {
    /// Prepares a run. `target` is the FHIR base URL.
    pub fn new(suite: &'a Suite, target: &str, options: RunOptions) -> Result<Runner<'a>, RunError> {
        let base = target.trim_end_matches('/').to_owned();
        let uri: http::Uri = base.parse().map_err(|_| RunError::Target(target.to_owned()))?;
        let web = matches!(uri.scheme_str(), Some("http" | "https"));
        let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if !web || !plain || uri.query().is_some() || base.contains('#') {
            return Err(RunError::Target(target.to_owned()));
        }
        let named = |name: &str| name == DEFAULT_ACTOR || suite.actors.contains_key(name);
        if let Some(stranger) = options.tokens.keys().find(|name| !named(name)) {
            let known: Vec<&str> = suite.actors.keys().map(String::as_str).chain([DEFAULT_ACTOR]).collect();
            return Err(RunError::UnknownActor(stranger.clone(), known.join(", ")));
        }
        if let Some(missing) =
            suite.used_actors().into_iter().find(|name| !options.tokens.contains_key(*name))
        {
            return Err(RunError::NoToken(missing.to_owned()));
        }
        let client = HttpClient::new(options.authorities.as_deref(), options.timeout, options.longest_body)
            .map_err(RunError::Client)?;
        let prepare = Prepare { base, files: &suite.files };
        Ok(Runner { suite, prepare, options, client })
    }

    /// Runs every test. `seen` is told of each test's result as soon as it is known.
    pub async fn run(&self, seen: &mut dyn FnMut(&TestResult)) -> Result<RunReport, RunError> {
        let started = Timestamp::now();
        let statement = self.capability_statement().await?;
        let root = statement.as_ref().map(OwnedDocument::root);
        let mut memory = Memory::default();
        memory.variables.set("base", self.prepare.base.clone());
        let mut setup = Vec::new();
        let mut broken =
            set_all(&mut memory.variables, &self.suite.variables).err().map(|fault| fault.to_string());
        if broken.is_none() {
            broken = self.steps(&self.suite.setup, Phase::Setup, &[], &mut memory, &mut setup).await;
        }
        let mut tests = Vec::new();
        for test in &self.suite.tests {
            let result = match (test.applies_when.as_ref().zip(root), &broken) {
                (_, Some(cause)) => {
                    unrun(test, Verdict::Failed, format!("the suite's setup failed: {cause}"))
                }
                (Some((needs, root)), None) => match does_not_apply(needs, root) {
                    Some(reason) => unrun(test, Verdict::Skipped, reason),
                    None => self.test(test, memory.clone()).await,
                },
                (None, None) => self.test(test, memory.clone()).await,
            };
            seen(&result);
            tests.push(result);
        }
        let mut teardown = Vec::new();
        for step in &self.suite.teardown {
            self.steps(std::slice::from_ref(step), Phase::Teardown, &[], &mut memory, &mut teardown).await;
        }
        Ok(RunReport {
            suite: self.suite.id.clone(),
            title: self.suite.title.clone(),
            version: self.suite.version.clone(),
            target: self.prepare.base.clone(),
            software: root.and_then(software),
            started: started.to_string(),
            finished: Timestamp::now().to_string(),
            setup,
            tests,
            teardown,
        })
    }

    /// The CapabilityStatement, or nothing where the server has none: then every test applies.
    async fn capability_statement(&self) -> Result<Option<OwnedDocument>, RunError> {
        let outgoing = Outgoing {
            method: "GET".to_owned(),
            url: format!("{}/metadata", self.prepare.base),
            headers: vec![("accept".to_owned(), FHIR_JSON.to_owned())],
            body: None,
            token: self.token(None),
        };
        let (_, answer) = self.client.send(outgoing).await;
        let answer =
            answer.map_err(|cause| RunError::Unreachable { target: self.prepare.base.clone(), cause })?;
        let parsed = OwnedDocument::parse_json(answer.body, &Limits::default()).ok();
        let stated = |document: &OwnedDocument| {
            document.root().resource_type().as_deref() == Some("CapabilityStatement")
        };
        Ok(parsed.filter(|document| answer.status == 200 && stated(document)))
    }

    fn token(&self, actor: Option<&str>) -> Option<(String, Token)> {
        let name = actor.unwrap_or(DEFAULT_ACTOR);
        if name == NOBODY {
            return None;
        }
        self.options.tokens.get(name).map(|token| (name.to_owned(), token.clone()))
    }

    async fn test(&self, test: &Test, mut memory: Memory) -> TestResult {
        let begun = Instant::now();
        let mut steps = Vec::new();
        let mut cause = set_all(&mut memory.variables, &test.variables).err().map(|fault| fault.to_string());
        if cause.is_none() {
            let setup = self.steps(&test.setup, Phase::Setup, &test.verifies, &mut memory, &mut steps).await;
            cause = setup.map(|cause| format!("its setup failed: {cause}"));
        }
        if cause.is_none() {
            cause = self.steps(&test.steps, Phase::Test, &test.verifies, &mut memory, &mut steps).await;
        }
        let unmet = match (&cause, steps.last()) {
            (None, _) => Vec::new(),
            (Some(_), Some(step)) => step.verifies.clone(),
            (Some(_), None) => test.verifies.clone(),
        };
        for step in &test.teardown {
            // A teardown that needs what was never created has nothing to clean up.
            self.steps(std::slice::from_ref(step), Phase::Teardown, &[], &mut memory, &mut steps).await;
        }
        TestResult {
            id: test.id.clone(),
            title: test.title.clone(),
            verifies: test.verifies.clone(),
            verdict: if cause.is_none() { Verdict::Passed } else { Verdict::Failed },
            cause,
            unmet,
            milliseconds: milliseconds(begun),
            steps,
        }
    }

    /// Carries out steps up to the first that fails, and gives its cause.
    async fn steps(
        &self,
        steps: &[Step],
        phase: Phase,
        verifies: &[String],
        memory: &mut Memory,
        evidence: &mut Vec<StepEvidence>,
    ) -> Option<String> {
        for step in steps {
            let mut done = self.step(step, phase, memory).await;
            if done.verifies.is_empty() {
                done.verifies = verifies.to_vec();
            }
            let cause = done.cause();
            evidence.push(done);
            if cause.is_some() {
                return cause;
            }
        }
        None
    }

    async fn step(&self, step: &Step, phase: Phase, memory: &mut Memory) -> StepEvidence {
        let plain = format!("{} {}", step.request.method, step.request.path);
        let mut evidence = StepEvidence {
            phase,
            title: step.title.clone().unwrap_or(plain),
            verifies: step.verifies.clone(),
            request: None,
            response: None,
            fault: None,
            checks: Vec::new(),
            milliseconds: 0,
        };
        let token = self.token(step.request.actor.as_deref());
        let outgoing = match self.prepare.outgoing(&step.request, &memory.variables, token) {
            Ok(outgoing) => outgoing,
            Err(fault) => {
                evidence.fault = Some(fault);
                return evidence;
            }
        };
        let begun = Instant::now();
        let (request, answer) = self.client.send(outgoing).await;
        evidence.milliseconds = milliseconds(begun);
        evidence.request = Some(request);
        let response = match answer {
            Ok(response) => response,
            Err(fault) => {
                evidence.fault = Some(fault);
                return evidence;
            }
        };
        match check(&step.expect, &response, &memory.variables, &memory.responses) {
            Ok(checks) => evidence.checks = checks,
            Err(fault) => evidence.fault = Some(fault.to_string()),
        }
        if evidence.passed() {
            for (name, save) in &step.save {
                match saved(save, &response) {
                    Some(value) => memory.variables.set(name, value),
                    None => {
                        evidence.fault =
                            Some(format!("{name} can't be taken from the answer: nothing is there"))
                    }
                }
            }
        }
        if let Some(name) = &step.save_response {
            memory.responses.insert(name.clone(), response.clone());
        }
        evidence.response = Some(response);
        evidence
    }
}

fn milliseconds(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn unrun(test: &Test, verdict: Verdict, cause: String) -> TestResult {
    let unmet = if verdict == Verdict::Failed { test.verifies.clone() } else { Vec::new() };
    TestResult {
        id: test.id.clone(),
        title: test.title.clone(),
        verifies: test.verifies.clone(),
        verdict,
        cause: Some(cause),
        unmet,
        milliseconds: 0,
        steps: Vec::new(),
    }
}

fn software(statement: Value<'_>) -> Option<String> {
    let software = statement.get_key("software")?;
    let text = |key: &str| software.get_key(key).and_then(Value::as_str).map(|text| text.into_owned());
    let version = text("version").map(|version| format!(" {version}")).unwrap_or_default();
    Some(short(&format!("{}{version}", text("name")?)))
}
