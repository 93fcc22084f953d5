//! `varco certify`: conformance suites against a server or gateway.
//!
//! Exit codes are a contract: 0 every test that applies passed, 1 some failed, 2 nothing could be shown.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use varco_conformance::report::{self, Paint};
use varco_conformance::suite::{
    RunOptions, RunReport, Runner, Suite, TestResult, Token, TwinTarget, Verdict,
};

use super::say;

/// Nothing could be run, or no test applied.
const COULD_NOT_RUN: u8 = 2;

/// Tests whether a server or gateway does what a suite demands.
#[derive(Debug, Args)]
pub struct Certify {
    #[command(subcommand)]
    command: CertifyCommand,
}

#[derive(Debug, Subcommand)]
enum CertifyCommand {
    Run(Run),
}

/// Runs a conformance suite; exits 0 if all tests that apply passed, 1 if some failed, 2 if it could not run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco certify run --suite base-r4 --target http://127.0.0.1:8080/fhir
  varco certify run --suite base-r4 --target https://fhir.hospital.example/fhir --token default=eyJhbGciOi...
  varco certify run --suite my-suite.yaml --target https://gw.example/fhir --token-file tokens.txt --ca network-ca.pem
  varco certify run --suite base-r4 --target http://127.0.0.1:8080/fhir --output testreport --report evidence.json
  varco certify run --suite gateway-security --target https://a.example/fhir --token-file a.txt \\
    --twin-target https://b.example/fhir --twin-token-file b.txt

Tests that the server's CapabilityStatement makes pointless are skipped with the reason; they are neither passed nor failed.
Built-in suites: base-r4, gateway-security. A suite of your own is a YAML file with its requirements in a CSV file beside it.")]
pub struct Run {
    /// A built-in suite's name, or a suite file (YAML).
    #[arg(long, value_name = "FILE|NAME")]
    suite: String,
    /// The FHIR base URL to test.
    #[arg(long, value_name = "URL")]
    target: String,
    /// A bearer token for an actor of the suite; `default` is for requests that name no actor. May be repeated.
    #[arg(long, value_name = "ACTOR=TOKEN")]
    token: Vec<String>,
    /// A file with one ACTOR=TOKEN a line; keeps tokens out of the list of processes. `#` begins a comment.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The FHIR base URL of a second world like the first, for suites that compare two: what a caller may not see is
    /// put into the first alone, and the answers must be the same.
    #[arg(long, value_name = "URL")]
    twin_target: Option<String>,
    /// A bearer token for an actor in the second world, where it is another than in the first. May be repeated.
    #[arg(long, value_name = "ACTOR=TOKEN", requires = "twin_target")]
    twin_token: Vec<String>,
    /// A file with such tokens, one a line.
    #[arg(long, value_name = "FILE", requires = "twin_target")]
    twin_token_file: Option<PathBuf>,
    /// The certificates (PEM) of the authorities that sign for the target; without it, the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How long one answer may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    /// The form of the report: lines of text, the whole evidence as JSON, or an R4 TestReport.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Output,
    /// Writes the report to a file; the lines of text then go to standard output.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
    Testreport,
}

impl Certify {
    pub fn run(self) -> ExitCode {
        let CertifyCommand::Run(run) = self.command;
        run.run().unwrap_or_else(|fault| {
            let _ = say::failed(fault);
            ExitCode::from(COULD_NOT_RUN)
        })
    }
}

impl Run {
    fn run(&self) -> Result<ExitCode, String> {
        let suite = find_suite(&self.suite)?;
        let options = RunOptions {
            tokens: tokens(self.token_file.as_deref(), "--token", &self.token)?,
            twin: self.twin()?,
            timeout: Duration::from_secs(self.timeout),
            authorities: self.ca.as_deref().map(|file| read(file, "the CA file")).transpose()?,
            ..RunOptions::default()
        };
        let runner = Runner::new(&suite, &self.target, options).map_err(|error| error.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("the runtime can't be started: {error}"))?;
        let lines = self.output == Output::Text || self.report.is_some();
        if lines {
            say::line(report::header(&suite, self.target.trim_end_matches('/')));
        }
        let paint = if say::colours() { Paint::Colours } else { Paint::Plain };
        let bar = progress(suite.tests.len());
        let mut seen = |result: &TestResult| {
            if lines {
                bar.suspend(|| say::line(report::verdict(&suite, result, paint)));
            }
            bar.set_message(result.id.clone());
            bar.inc(1);
        };
        let result = runtime.block_on(runner.run(&mut seen));
        bar.finish_and_clear();
        let result = result.map_err(|error| error.to_string())?;
        self.write_report(&suite, &result)?;
        if lines {
            result.gaps.iter().for_each(|gap| say::line(report::gap(&suite, gap)));
            say::line(result.summary());
        } else {
            say::note(result.summary());
        }
        Ok(exit_code(&result))
    }

    fn twin(&self) -> Result<Option<TwinTarget>, String> {
        let Some(target) = self.twin_target.clone() else { return Ok(None) };
        let tokens = tokens(self.twin_token_file.as_deref(), "--twin-token", &self.twin_token)?;
        Ok(Some(TwinTarget { target, tokens }))
    }

    fn write_report(&self, suite: &Suite, result: &RunReport) -> Result<(), String> {
        let text = match self.output {
            Output::Text => result.text(suite),
            Output::Json => report::json(result) + "\n",
            Output::Testreport => report::test_report(result) + "\n",
        };
        match &self.report {
            Some(file) => std::fs::write(file, text)
                .map_err(|error| format!("{} can't be written: {error}", file.display())),
            None if self.output == Output::Text => Ok(()),
            None => {
                say::line(text.trim_end());
                Ok(())
            }
        }
    }
}

/// Tokens by actor, from a file and from arguments; the arguments win.
fn tokens(file: Option<&Path>, option: &str, given: &[String]) -> Result<BTreeMap<String, Token>, String> {
    let mut tokens = BTreeMap::new();
    if let Some(file) = file {
        let bytes = read(file, "the token file")?;
        let text = String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", file.display()))?;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = || format!("{}:{}: a line is ACTOR=TOKEN", file.display(), number + 1);
            let (actor, token) = named_token(line).ok_or_else(place)?;
            tokens.insert(actor, token);
        }
    }
    for given in given {
        // The token itself is not repeated: it may end in a log.
        let (actor, token) = named_token(given).ok_or_else(|| format!("{option} is written ACTOR=TOKEN"))?;
        tokens.insert(actor, token);
    }
    Ok(tokens)
}

fn find_suite(named: &str) -> Result<Suite, String> {
    let file = Path::new(named);
    let looks_like_file = named.contains(['/', '\\']) || file.extension().is_some();
    if !looks_like_file && let Some(suite) = Suite::builtin(named) {
        return suite.map_err(|error| error.to_string());
    }
    if !looks_like_file && !file.exists() {
        let names: Vec<&str> = Suite::builtin_names().collect();
        return Err(format!(
            "there is no suite {named}; built in are: {}; or give a YAML file",
            names.join(", ")
        ));
    }
    Suite::load(file).map_err(|error| error.to_string())
}

fn named_token(text: &str) -> Option<(String, Token)> {
    let (actor, token) = text.split_once('=')?;
    let (actor, token) = (actor.trim(), token.trim());
    (!actor.is_empty() && !token.is_empty()).then(|| (actor.to_owned(), Token::new(token)))
}

fn read(file: &Path, what: &str) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("{what} {} can't be read: {error}", file.display()))
}

fn exit_code(result: &RunReport) -> ExitCode {
    match (result.count(Verdict::Passed), result.count(Verdict::Failed)) {
        (0, 0) => {
            say::note("varco: no test of the suite applies to this server, so nothing was shown");
            ExitCode::from(COULD_NOT_RUN)
        }
        (_, 0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn progress(tests: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(u64::try_from(tests).ok(), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_an_actor() {
        assert_eq!(named_token("reader=a=b").unwrap().0, "reader");
        for wrong in ["", "reader", "=x", "reader="] {
            assert!(named_token(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn suites_are_found_by_name_or_file() {
        assert_eq!(find_suite("base-r4").unwrap().id, "base-r4");
        assert!(find_suite("no-such").unwrap_err().contains("built in are: base-r4"));
        assert!(find_suite("./none.yaml").unwrap_err().contains("none.yaml: the file can't be read"));
    }
}
