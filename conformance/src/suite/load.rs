//! From a file to a suite: YAML, the published schema, then what a schema can't say.
//!
//! All faults of a file are told at once, each with its line and JSON pointer.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::LazyLock;

use jsonschema::Validator;

use super::located::{Located, Place};
use super::model::Suite;
use super::scope::{check_requirements, check_tests};

/// The published JSON Schema of suite files.
pub const SUITE_SCHEMA: &str = include_str!("../../schema/suite.schema.json");

/// Longest suite file, in bytes.
const LONGEST: usize = 4 << 20;

/// Most faults told of one file.
const MOST_FAULTS: usize = 50;

static SCHEMA: LazyLock<Option<Validator>> =
    LazyLock::new(|| jsonschema::validator_for(&serde_json::from_str(SUITE_SCHEMA).ok()?).ok());

/// What is wrong with a suite file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteFault {
    /// Line in the file, from 1, where it is known.
    pub line: Option<u64>,
    /// Column, from 1.
    pub column: Option<u64>,
    /// The value at fault, as a JSON pointer (RFC 6901); empty for the whole file.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A suite that can't be used: its file, and every fault found.
#[derive(Debug, Clone, thiserror::Error)]
pub struct SuiteError {
    /// The file, or the name of a built-in suite.
    pub file: String,
    /// At least one fault.
    pub faults: Vec<SuiteFault>,
}

impl fmt::Display for SuiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.faults.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.file)?;
            if let (Some(line), Some(column)) = (fault.line, fault.column) {
                write!(f, ":{line}:{column}")?;
            }
            write!(f, ": {}", fault.message)?;
            if !fault.pointer.is_empty() {
                write!(f, " ({})", fault.pointer)?;
            }
        }
        Ok(())
    }
}

impl Suite {
    /// Reads a suite from a file; the files that it names lie beside it.
    pub fn load(file: &Path) -> Result<Suite, SuiteError> {
        let name = file.display().to_string();
        let text = read(file).map_err(|error| SuiteError {
            file: name.clone(),
            faults: vec![whole_file(format!("the file can't be read: {error}"))],
        })?;
        let folder = file.parent().unwrap_or(Path::new("")).to_path_buf();
        Suite::parse(&name, &text, &|beside| read(&folder.join(beside)))
    }

    /// Reads a suite from its text. `beside` gives the text of a file that the suite names.
    pub fn parse(
        file: &str,
        text: &str,
        beside: &dyn Fn(&str) -> io::Result<String>,
    ) -> Result<Suite, SuiteError> {
        let error = |faults| SuiteError { file: file.to_owned(), faults };
        let located = Located::parse(text).map_err(|(message, place)| {
            let fault = whole_file(format!("this is not YAML: {message}"));
            error(vec![SuiteFault {
                line: place.map(|at| at.line),
                column: place.map(|at| at.column),
                ..fault
            }])
        })?;
        let mut faults = Faults { located: &located, found: Vec::new() };
        let Some(schema) = SCHEMA.as_ref() else {
            return Err(error(vec![whole_file(
                "the built-in schema of suites can't be compiled".to_owned(),
            )]));
        };
        for fault in schema.iter_errors(&located.value).take(MOST_FAULTS) {
            faults.add(&fault.instance_path().to_string(), plain(&fault));
        }
        if !faults.found.is_empty() {
            return Err(error(faults.found));
        }
        let mut suite: Suite = serde_json::from_value(located.value.clone())
            .map_err(|fault| error(vec![whole_file(format!("this is not a suite: {fault}"))]))?;
        check_requirements(&mut suite, &mut faults, beside);
        check_tests(&mut suite, &mut faults, beside);
        if faults.found.is_empty() { Ok(suite) } else { Err(error(faults.found)) }
    }
}

fn whole_file(message: String) -> SuiteFault {
    SuiteFault { line: None, column: None, pointer: String::new(), message }
}

fn read(file: &Path) -> io::Result<String> {
    let size = std::fs::metadata(file)?.len();
    if usize::try_from(size).is_ok_and(|size| size > LONGEST) {
        return Err(io::Error::other(format!("it is longer than {LONGEST} bytes")));
    }
    std::fs::read_to_string(file)
}

/// A schema's message without the value itself, which may be long.
fn plain(fault: &jsonschema::ValidationError<'_>) -> String {
    let shown = fault.masked_with("the value").to_string();
    match fault.instance() {
        value if value.is_string() || value.is_number() || value.is_boolean() => {
            let text = value.to_string();
            if text.len() <= 60 { shown.replacen("the value", &text, 1) } else { shown }
        }
        _ => shown,
    }
}

/// The faults found so far.
pub(super) struct Faults<'a> {
    located: &'a Located,
    found: Vec<SuiteFault>,
}

impl Faults<'_> {
    /// Adds a fault of the value at this pointer.
    pub(super) fn add(&mut self, pointer: &str, message: impl Into<String>) {
        if self.found.len() >= MOST_FAULTS {
            return;
        }
        let place: Option<Place> = self.located.place(pointer);
        self.found.push(SuiteFault {
            line: place.map(|at| at.line),
            column: place.map(|at| at.column),
            pointer: pointer.to_owned(),
            message: message.into(),
        });
    }
}
