//! What a run leaves behind: every request, every answer, every check.

use serde::Serialize;

use super::model::World;
use super::requirement::Extent;

/// The result of a run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunReport {
    /// The suite's id.
    pub suite: String,
    /// The suite's title.
    pub title: String,
    /// The suite's version.
    pub version: String,
    /// The base URL that was tested.
    pub target: String,
    /// The base URL of the twin world, where one was given.
    pub twin: Option<String>,
    /// What the server calls itself in its CapabilityStatement, where it does.
    pub software: Option<String>,
    /// When the run began (RFC 3339, UTC).
    pub started: String,
    /// When it ended.
    pub finished: String,
    /// The steps before all tests.
    pub setup: Vec<StepEvidence>,
    /// The tests, in the suite's order.
    pub tests: Vec<TestResult>,
    /// The steps after all tests.
    pub teardown: Vec<StepEvidence>,
    /// The requirements that this run can't show, or not whole. They are not passed.
    pub gaps: Vec<Gap>,
}

/// A requirement, or the part of one, that a run of the suite can't show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Gap {
    /// The requirement's id.
    pub requirement: String,
    /// How far it is shown.
    pub extent: Extent,
    /// What is not shown, and why; empty where all is shown, though elsewhere.
    pub note: String,
    /// The tests outside the suite that show what it can't: `file::function`.
    pub elsewhere: Vec<String>,
}

/// How a test came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything was as expected.
    Passed,
    /// Something was not.
    Failed,
    /// It does not apply to this server.
    Skipped,
}

/// One test's result.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TestResult {
    /// The test's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The requirements that it verifies.
    pub verifies: Vec<String>,
    /// How it came out.
    pub verdict: Verdict,
    /// Why it failed or does not apply.
    pub cause: Option<String>,
    /// The requirements that are not met, where it failed.
    pub unmet: Vec<String>,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
    /// What was done, in order.
    pub steps: Vec<StepEvidence>,
}

/// Where in a test a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Preparation.
    Setup,
    /// The test itself.
    Test,
    /// Cleaning up.
    Teardown,
}

/// One step's evidence.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepEvidence {
    /// Where it stands.
    pub phase: Phase,
    /// In which world it was carried out, where there are two.
    pub world: Option<World>,
    /// Its title, or method and path.
    pub title: String,
    /// The requirements that it decides.
    pub verifies: Vec<String>,
    /// The request, where one could be made.
    pub request: Option<RequestEvidence>,
    /// The answer, where one came.
    pub response: Option<ResponseEvidence>,
    /// Why there is no request or no answer, or what could not be saved from it.
    pub fault: Option<String>,
    /// The checks, in order.
    pub checks: Vec<CheckResult>,
    /// How long the answer took, in milliseconds.
    pub milliseconds: u64,
}

/// A request as it was sent. A token is named, not shown.
#[derive(Debug, Clone, Serialize)]
pub struct RequestEvidence {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The headers that the runner set.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<String>,
}

/// An answer as it came.
#[derive(Debug, Clone, Serialize)]
pub struct ResponseEvidence {
    /// The status.
    pub status: u16,
    /// The protocol, such as `HTTP/1.1`.
    pub protocol: String,
    /// The headers, in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body; bytes that are not UTF-8 are replaced.
    pub body: String,
}

/// One check's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckResult {
    /// What must hold.
    pub expected: String,
    /// Whether it does.
    pub passed: bool,
    /// What was found instead.
    pub found: Option<String>,
}

impl StepEvidence {
    /// A step that is about to be carried out.
    pub(super) fn begun(phase: Phase, title: String) -> StepEvidence {
        StepEvidence {
            phase,
            world: None,
            title,
            verifies: Vec::new(),
            request: None,
            response: None,
            fault: None,
            checks: Vec::new(),
            milliseconds: 0,
        }
    }

    /// True where the answer came and every check held.
    pub fn passed(&self) -> bool {
        self.fault.is_none() && self.checks.iter().all(|check| check.passed)
    }

    /// What went wrong, in one line; `None` where nothing did.
    pub fn cause(&self) -> Option<String> {
        let mut told: Vec<String> = self.fault.iter().cloned().collect();
        for check in self.checks.iter().filter(|check| !check.passed) {
            let found = check.found.as_deref().map(|found| format!(", but {found}")).unwrap_or_default();
            told.push(format!("{}{found}", check.expected));
        }
        let place = if self.world == Some(World::Twin) { " (in the twin world)" } else { "" };
        (!told.is_empty()).then(|| format!("{}{place}: {}", self.title, told.join("; ")))
    }
}

impl ResponseEvidence {
    /// A header's value; several are joined by commas (RFC 9110 §5.3).
    pub fn header(&self, name: &str) -> Option<String> {
        let own = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let values: Vec<&str> = own.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

impl RunReport {
    /// How many tests came out so.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.tests.iter().filter(|test| test.verdict == verdict).count()
    }

    /// `N passed, N failed, N skipped`, and the requirements that can't be tested where there are some.
    pub fn summary(&self) -> String {
        let untested = self.gaps.iter().filter(|gap| gap.extent == Extent::NotTestable).count();
        let partly = self.gaps.iter().filter(|gap| gap.extent == Extent::Partly).count();
        let gaps = match (untested, partly) {
            (0, 0) => String::new(),
            _ => format!("; requirements: {untested} not testable, {partly} tested in part"),
        };
        let counts = format!(
            "{} passed, {} failed, {} skipped",
            self.count(Verdict::Passed),
            self.count(Verdict::Failed),
            self.count(Verdict::Skipped)
        );
        counts + &gaps
    }
}
