//! Conformance suites as data: what they say, how they are checked, how they are run.
//!
//! A suite is a YAML file that anyone who knows HTTP and FHIR can write: requirements with ids, and tests that say which
//! ids they verify. The file is checked against a published schema ([`SUITE_SCHEMA`]); a fault names its line. The
//! [`Runner`] sends the requests, checks the answers and keeps both as evidence. A test that a server's
//! CapabilityStatement makes pointless is skipped with the reason, and never counted as missing or failed.

mod builtin;
mod capability;
mod carry;
mod check;
mod client;
mod compare;
mod evidence;
mod load;
mod located;
mod model;
mod path;
mod pattern;
mod prepare;
mod requirement;
mod run;
mod save;
mod scope;
mod twin;
mod variables;

#[cfg(test)]
mod load_tests;
#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod twin_tests;

pub use client::Token;
pub use evidence::{
    CheckResult, Gap, Phase, RequestEvidence, ResponseEvidence, RunReport, StepEvidence, TestResult, Verdict,
};
pub use load::{SUITE_SCHEMA, SuiteError, SuiteFault};
pub use model::{
    AppliesWhen, BodyCheck, Expect, FiscalCodeChoice, Generate, GeneratedPatient, HeaderCheck, NOBODY,
    OneOrMany, RequestPlan, SameAs, Save, SavePlace, Step, Suite, Test, TwinRules, TwinTest, World,
};
pub use requirement::{Extent, Level, Requirement};
pub use run::{DEFAULT_ACTOR, RunError, RunOptions, Runner, TwinTarget};
