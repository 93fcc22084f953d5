//! The shape of a configuration: the published JSON Schema, and its faults in plain words.

use std::sync::LazyLock;

use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use super::Fault;
use super::source::Source;

/// The JSON Schema of a configuration file, as it is published.
pub const SCHEMA: &str = include_str!("../../schema/varco-config.schema.json");

static VALIDATOR: LazyLock<Option<Validator>> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(SCHEMA).ok()?;
    jsonschema::validator_for(&schema).ok()
});

/// Every fault of shape, by line.
pub(super) fn faults(source: &Source<'_>) -> Vec<Fault> {
    let Some(validator) = VALIDATOR.as_ref() else {
        return vec![source.fault(
            "",
            "The built-in schema can't be read.",
            "Report this: the program is broken.",
        )];
    };
    let mut faults: Vec<Fault> =
        validator.iter_errors(&source.value).flat_map(|error| explain(&error, source)).collect();
    faults.sort_by_key(|fault| fault.line);
    faults
}

fn explain(error: &ValidationError<'_>, source: &Source<'_>) -> Vec<Fault> {
    let at = error.instance_path().as_str();
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|name| {
                let known = known_settings(at);
                let cure = match nearest(name, &known) {
                    Some(near) => format!("Did you mean `{near}`?"),
                    None => format!("Known here: {}.", known.join(", ")),
                };
                source.fault(&format!("{at}/{name}"), "There is no such setting.", cure)
            })
            .collect(),
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let cure = describe(&format!("{at}/{name}"))
                .map_or_else(|| format!("Add `{name}`."), |what| format!("Add `{name}`: {what}"));
            vec![source.fault(at, format!("`{name}` is missing."), cure)]
        }
        Kind::Type { .. } => vec![source.fault(at, "The value is of the wrong type.", expected(at))],
        Kind::Enum { options } => {
            let options: Vec<String> =
                options.as_array().into_iter().flatten().map(Value::to_string).collect();
            vec![source.fault(
                at,
                "The value is not one of the choices.",
                format!("Choose {}.", options.join(" or ")),
            )]
        }
        Kind::Minimum { limit } => {
            vec![source.fault(at, "The number is too small.", format!("The least is {limit}."))]
        }
        Kind::Maximum { limit } => {
            vec![source.fault(at, "The number is too large.", format!("The most is {limit}."))]
        }
        Kind::Pattern { .. } => vec![source.fault(at, "The text has not the right form.", expected(at))],
        _ => vec![source.fault(at, format!("The value is not allowed: {}.", error.masked()), expected(at))],
    }
}

fn expected(pointer: &str) -> String {
    let kind = schema_at(pointer).and_then(|schema| schema.get("type")?.as_str()).unwrap_or("value");
    let article = if kind.starts_with(['i', 'a', 'o']) { "an" } else { "a" };
    match describe(pointer) {
        Some(what) => format!("Expected {article} {kind}: {what}"),
        None => format!("Expected {article} {kind}."),
    }
}

fn describe(pointer: &str) -> Option<&'static str> {
    schema_at(pointer)?.get("description")?.as_str()
}

static SCHEMA_VALUE: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(SCHEMA).unwrap_or_default());

/// The part of the schema that speaks of the setting at this pointer.
fn schema_at(pointer: &str) -> Option<&'static Value> {
    pointer.split('/').skip(1).try_fold(&*SCHEMA_VALUE, |schema, step| {
        let below = schema.get("properties").and_then(|properties| properties.get(step));
        below.or_else(|| schema.get("items")).map(shared)
    })
}

/// What a part of the schema refers to, where it is said once for several settings.
fn shared(schema: &'static Value) -> &'static Value {
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
    target.and_then(|target| SCHEMA_VALUE.pointer(target)).unwrap_or(schema)
}

fn known_settings(pointer: &str) -> Vec<&'static str> {
    let properties = schema_at(pointer).and_then(|schema| schema.get("properties")?.as_object());
    properties.into_iter().flat_map(|map| map.keys().map(String::as_str)).collect()
}

/// The known name that a slip of the hand would have turned into `name`.
fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    let best = known.iter().map(|candidate| (distance(name, candidate), *candidate)).min()?;
    (best.0 <= 1 + name.len() / 4).then_some(best.1)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = corner + usize::from(left != *right);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
