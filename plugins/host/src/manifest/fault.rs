//! What is wrong with a manifest, and how to cure it.
//!
//! Invariant: every fault has the JSON pointer of the property that must change. The cures are the descriptions in the
//! published schema, so that documentation and error text can't drift apart. Values of `settings` are never shown:
//! they may be secret.

use std::{fmt, sync::LazyLock};

use jsonschema::{ValidationError, Validator, error::ValidationErrorKind};
use serde_json::{Map, Value};
use thiserror::Error;

use super::MANIFEST_SCHEMA;

/// One thing that must change in a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFault {
    /// The JSON pointer (RFC 6901) of the property; empty for the whole document.
    pub pointer: String,
    /// What is wrong.
    pub cause: String,
    /// What to do.
    pub cure: String,
}

impl fmt::Display for ManifestFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "(whole manifest)" } else { &self.pointer };
        write!(formatter, "{place}: {}. {}", self.cause, self.cure)
    }
}

/// Why a manifest is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// The text is not JSON, or names a property twice.
    #[error(
        "the manifest can't be read at line {line}, column {column}: {cause}. Correct the JSON text there."
    )]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        cause: String,
    },
    /// The manifest breaks the schema or a rule.
    #[error("the manifest has {} fault(s):{}", .0.len(), list(.0))]
    Faults(Vec<ManifestFault>),
    /// The published schema itself can't be used: the gateway is broken, not the manifest.
    #[error("the gateway's own manifest schema can't be used: {0}. Reinstall the gateway.")]
    Schema(String),
}

fn list(faults: &[ManifestFault]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}

impl ManifestError {
    pub(super) fn json(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let cause = text.split(" at line ").next().unwrap_or_default().to_owned();
        Self::Json { line, column, cause }
    }
}

/// The published schema, parsed and compiled once.
static COMPILED: LazyLock<Result<(Value, Validator), String>> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(MANIFEST_SCHEMA).map_err(|error| error.to_string())?;
    let validator = jsonschema::validator_for(&schema).map_err(|error| error.to_string())?;
    Ok((schema, validator))
});

/// Checks a manifest against the published schema.
pub(super) fn check(manifest: &Value) -> Result<(), ManifestError> {
    let (schema, validator) = COMPILED.as_ref().map_err(|cause| ManifestError::Schema(cause.clone()))?;
    let faults: Vec<ManifestFault> =
        validator.iter_errors(manifest).flat_map(|error| faults_of(&error, schema)).collect();
    if faults.is_empty() { Ok(()) } else { Err(ManifestError::Faults(faults)) }
}

/// Checks a plugin's settings against the schema in its manifest.
pub(super) fn check_settings(
    schema: &Map<String, Value>,
    settings: &Map<String, Value>,
) -> Result<(), ManifestError> {
    let schema = Value::Object(schema.clone());
    let validator = jsonschema::validator_for(&schema).map_err(|error| {
        ManifestError::Faults(vec![ManifestFault {
            pointer: "/settings_schema".to_owned(),
            cause: format!("it is not a usable JSON Schema: {}", error.masked()),
            cure: "Give a JSON Schema that refers to nothing outside of itself.".to_owned(),
        }])
    })?;
    let settings = Value::Object(settings.clone());
    let faults: Vec<ManifestFault> = validator
        .iter_errors(&settings)
        .flat_map(|error| faults_of(&error, &schema))
        .map(|fault| ManifestFault { pointer: format!("/settings{}", fault.pointer), ..fault })
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(ManifestError::Faults(faults)) }
}

fn faults_of(error: &ValidationError<'_>, schema: &Value) -> Vec<ManifestFault> {
    let at = error.instance_path().as_str();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|name| ManifestFault {
                pointer: join(at, name),
                cause: "this property is unknown".to_owned(),
                cure: known_properties(schema, at),
            })
            .collect(),
        ValidationErrorKind::Required { property } => {
            let pointer = join(at, property.as_str().unwrap_or_default());
            let cure = cure(schema, &pointer);
            vec![ManifestFault { pointer, cause: "this property is missing".to_owned(), cure }]
        }
        _ => vec![ManifestFault {
            pointer: at.to_owned(),
            cause: error.masked_with("the value").to_string(),
            cure: cure(schema, at),
        }],
    }
}

/// `pointer` with one more segment, escaped as RFC 6901 section 3 says.
fn join(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The part of the schema that describes the value at `pointer`, as far as plain `properties` and `items` lead there.
fn described<'a>(schema: &'a Value, pointer: &str) -> Option<&'a Value> {
    pointer.split('/').skip(1).try_fold(schema, |part, segment| {
        let name = segment.replace("~1", "/").replace("~0", "~");
        part.get("properties").and_then(|properties| properties.get(&name)).or_else(|| part.get("items"))
    })
}

fn cure(schema: &Value, pointer: &str) -> String {
    described(schema, pointer)
        .and_then(|part| part.get("description"))
        .and_then(Value::as_str)
        .unwrap_or("Give a value that the schema allows.")
        .to_owned()
}

fn known_properties(schema: &Value, pointer: &str) -> String {
    let names = described(schema, pointer)
        .and_then(|part| part.get("properties"))
        .and_then(Value::as_object)
        .map(|properties| properties.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
        .unwrap_or_default();
    if names.is_empty() { "Remove it.".to_owned() } else { format!("Remove it or use one of: {names}.") }
}
