//! The runner: carries out a suite against a server and keeps the evidence.
//!
//! Tests run one after another, each with its own variables and saved answers on top of those of the suite's setup. A
//! test stops at its first step that fails; its teardown runs in any case. Where a twin target is given, each step is
//! carried out in both worlds, and its checks must hold in both.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fhir_models::document::{Limits, OwnedDocument, Value};
use jiff::Timestamp;

use super::capability::does_not_apply;
use super::carry::{Part, Site, Worlds};
use super::check::short;
use super::client::{HttpClient, Outgoing, Token};
use super::evidence::{Gap, Phase, RunReport, TestResult, Verdict};
use super::model::{Suite, Test, World};
use super::prepare::Prepare;
use super::requirement::{Extent, Requirement};

/// The actor whose token is sent where a step names none.
pub const DEFAULT_ACTOR: &str = "default";

const FHIR_JSON: &str = "application/fhir+json";

/// Why a test that compares worlds is skipped where there is one only.
const NO_TWIN: &str = "it compares two worlds, and there is one only; give the other with --twin-target";

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
    /// A second world to compare the target with.
    pub twin: Option<TwinTarget>,
}

/// A second world: a server like the target in all but what a suite puts into the target alone.
#[derive(Debug, Clone)]
pub struct TwinTarget {
    /// Its FHIR base URL.
    pub target: String,
    /// Bearer tokens by actor, where they are others than the target's.
    pub tokens: BTreeMap<String, Token>,
}

impl Default for RunOptions {
    fn default() -> RunOptions {
        RunOptions {
            tokens: BTreeMap::new(),
            timeout: Duration::from_secs(10),
            longest_body: 16 << 20,
            authorities: None,
            twin: None,
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

/// Carries out one suite against one server, or against two worlds.
pub struct Runner<'a> {
    suite: &'a Suite,
    sites: Vec<Site<'a>>,
    client: HttpClient,
}

impl<'a> Runner<'a> {
    /// Prepares a run. `target` is the FHIR base URL.
    pub fn new(suite: &'a Suite, target: &str, options: RunOptions) -> Result<Runner<'a>, RunError> {
        let mut sites = vec![site(suite, World::First, target, options.tokens.clone())?];
        if let Some(twin) = options.twin {
            let mut tokens = options.tokens;
            tokens.extend(twin.tokens);
            sites.push(site(suite, World::Twin, &twin.target, tokens)?);
        }
        let client = HttpClient::new(options.authorities.as_deref(), options.timeout, options.longest_body)
            .map_err(RunError::Client)?;
        Ok(Runner { suite, sites, client })
    }

    /// Runs every test. `seen` is told of each test's result as soon as it is known.
    pub async fn run(&self, seen: &mut dyn FnMut(&TestResult)) -> Result<RunReport, RunError> {
        let started = Timestamp::now();
        let mut statement = None;
        for site in &self.sites {
            let own = self.capability_statement(site).await?;
            if site.world == World::First {
                statement = own;
            }
        }
        let root = statement.as_ref().map(OwnedDocument::root);
        let mut worlds = Worlds::new(&self.sites, &self.client, &self.suite.twin);
        let mut setup = Vec::new();
        let mut broken = worlds.set_all(&self.suite.variables).err().map(|fault| fault.to_string());
        if broken.is_none() {
            broken = worlds.steps(&self.suite.setup, part(Phase::Setup), &mut setup).await;
        }
        let mut tests = Vec::new();
        for test in &self.suite.tests {
            let skipped = || match (&test.applies_when, root) {
                _ if test.twin.is_some() && !worlds.has_twin() => Some(NO_TWIN.to_owned()),
                (Some(needs), Some(root)) => does_not_apply(needs, root),
                _ => None,
            };
            let result = match &broken {
                Some(cause) => unrun(test, Verdict::Failed, format!("the suite's setup failed: {cause}")),
                None => match skipped() {
                    Some(reason) => unrun(test, Verdict::Skipped, reason),
                    None => self.test(test, worlds.clone()).await,
                },
            };
            seen(&result);
            tests.push(result);
        }
        let mut teardown = Vec::new();
        for step in &self.suite.teardown {
            worlds.steps(std::slice::from_ref(step), part(Phase::Teardown), &mut teardown).await;
        }
        let base = |site: &Site<'_>| site.prepare.base.clone();
        Ok(RunReport {
            suite: self.suite.id.clone(),
            title: self.suite.title.clone(),
            version: self.suite.version.clone(),
            target: self.sites.first().map(base).unwrap_or_default(),
            twin: self.sites.get(1).map(base),
            software: root.and_then(software),
            started: started.to_string(),
            finished: Timestamp::now().to_string(),
            setup,
            tests,
            teardown,
            gaps: self.suite.texts.iter().filter_map(gap).collect(),
        })
    }

    /// The CapabilityStatement, or nothing where the server has none: then every test applies.
    async fn capability_statement(&self, site: &Site<'_>) -> Result<Option<OwnedDocument>, RunError> {
        let base = &site.prepare.base;
        let outgoing = Outgoing {
            method: "GET".to_owned(),
            url: format!("{base}/metadata"),
            headers: vec![("accept".to_owned(), FHIR_JSON.to_owned())],
            body: None,
            token: site.token(None),
        };
        let (_, answer) = self.client.send(outgoing).await;
        let answer = answer.map_err(|cause| RunError::Unreachable { target: base.clone(), cause })?;
        let parsed = OwnedDocument::parse_json(answer.body, &Limits::default()).ok();
        let stated = |document: &OwnedDocument| {
            document.root().resource_type().as_deref() == Some("CapabilityStatement")
        };
        Ok(parsed.filter(|document| answer.status == 200 && stated(document)))
    }

    async fn test(&self, test: &Test, mut worlds: Worlds<'_>) -> TestResult {
        let begun = Instant::now();
        let mut steps = Vec::new();
        let mut cause = worlds.set_all(&test.variables).err().map(|fault| fault.to_string());
        if cause.is_none() {
            let part = Part { verifies: &test.verifies, ..part(Phase::Setup) };
            let setup = worlds.steps(&test.setup, part, &mut steps).await;
            cause = setup.map(|cause| format!("its setup failed: {cause}"));
        }
        if cause.is_none() {
            let part = Part { phase: Phase::Test, verifies: &test.verifies, twin: test.twin.as_ref() };
            cause = worlds.steps(&test.steps, part, &mut steps).await;
        }
        let unmet = match (&cause, steps.last()) {
            (None, _) => Vec::new(),
            (Some(_), Some(step)) => step.verifies.clone(),
            (Some(_), None) => test.verifies.clone(),
        };
        for step in &test.teardown {
            // A teardown that needs what was never created has nothing to clean up.
            worlds.steps(std::slice::from_ref(step), part(Phase::Teardown), &mut steps).await;
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
}

/// Checks a target and the tokens for it.
fn site<'a>(
    suite: &'a Suite,
    world: World,
    target: &str,
    tokens: BTreeMap<String, Token>,
) -> Result<Site<'a>, RunError> {
    let base = target.trim_end_matches('/').to_owned();
    let uri: http::Uri = base.parse().map_err(|_| RunError::Target(target.to_owned()))?;
    let web = matches!(uri.scheme_str(), Some("http" | "https"));
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if !web || !plain || uri.query().is_some() || base.contains('#') {
        return Err(RunError::Target(target.to_owned()));
    }
    let named = |name: &str| name == DEFAULT_ACTOR || suite.actors.contains_key(name);
    if let Some(stranger) = tokens.keys().find(|name| !named(name)) {
        let known: Vec<&str> = suite.actors.keys().map(String::as_str).chain([DEFAULT_ACTOR]).collect();
        return Err(RunError::UnknownActor(stranger.clone(), known.join(", ")));
    }
    if let Some(missing) = suite.used_actors().into_iter().find(|name| !tokens.contains_key(*name)) {
        return Err(RunError::NoToken(missing.to_owned()));
    }
    Ok(Site { world, prepare: Prepare { base, files: &suite.files }, tokens })
}

/// A part that compares nothing and decides nothing by itself.
fn part(phase: Phase) -> Part<'static> {
    Part { phase, verifies: &[], twin: None }
}

/// What of a requirement the run can't show; nothing where its tests are all of the suite.
fn gap(requirement: &Requirement) -> Option<Gap> {
    let elsewhere: Vec<String> = requirement.elsewhere().map(str::to_owned).collect();
    let whole = requirement.extent == Extent::Tested && elsewhere.is_empty();
    (!whole).then(|| Gap {
        requirement: requirement.id.clone(),
        extent: requirement.extent,
        note: requirement.note.clone(),
        elsewhere,
    })
}

pub(super) fn milliseconds(begun: Instant) -> u64 {
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
