//! What a schema refuses, at its place in the message.
//!
//! Values of the message are not repeated: whoever reads the report may not be one who may read the message.

use std::fmt;

use fhir_models::document::{Document, OwnedDocument, Position, SyntaxError, Value};
use jsonschema::Validator;
use jsonschema::error::{ValidationError, ValidationErrorKind as Kind};

/// Most faults told of one message.
const MOST_FAULTS: usize = 100;

/// Something in a message that its schema refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFault {
    /// The value, as a FHIRPath expression from the message on: `$this.readings[2].unit`.
    pub path: String,
    /// Line and column.
    pub position: Position,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for InputFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: {}", self.path, self.position, self.message)
    }
}

impl InputFault {
    pub(super) fn syntax(error: &SyntaxError) -> InputFault {
        InputFault {
            path: "$this".to_owned(),
            position: error.position,
            message: format!("the message is no JSON: {}", error.kind),
        }
    }
}

pub(super) fn check(validator: &Validator, message: &OwnedDocument) -> Vec<InputFault> {
    let whole = |text: String| {
        let position = message.root().position();
        vec![InputFault { path: "$this".to_owned(), position, message: text }]
    };
    // Large numbers and deep nesting are the only things that the one reads and the other doesn't.
    let instance: serde_json::Value = match serde_json::from_str(message.text()) {
        Ok(instance) => instance,
        Err(error) => {
            let position = Position { line: error.line(), column: error.column() };
            let text = format!("the value can't be checked: {error}");
            return vec![InputFault { path: "$this".to_owned(), position, message: text }];
        }
    };
    if validator.is_valid(&instance) {
        return Vec::new();
    }
    let mut faults: Vec<InputFault> = validator
        .iter_errors(&instance)
        .take(MOST_FAULTS)
        .map(|error| {
            let value = at(message.document(), error.instance_path().as_str());
            InputFault { path: value.expression(), position: value.position(), message: explain(&error) }
        })
        .collect();
    faults.sort_by_key(|it| it.position);
    if faults.is_empty() { whole("the schema refuses the message".to_owned()) } else { faults }
}

/// What a JSON Pointer leads to; the nearest value above where it leads nowhere.
fn at<'a>(document: Document<'a>, pointer: &str) -> Value<'a> {
    let mut here = document.root();
    for step in pointer.split('/').skip(1) {
        let name = step.replace("~1", "/").replace("~0", "~");
        let next = if here.is_array() {
            name.parse().ok().and_then(|at| here.items().nth(at))
        } else {
            here.children().find(|it| it.key().is_some_and(|key| key == name))
        };
        let Some(next) = next else { break };
        here = next;
    }
    here
}

fn explain(error: &ValidationError<'_>) -> String {
    let list = |options: &serde_json::Value| {
        let options = options.as_array().into_iter().flatten().take(20);
        options.map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    match error.kind() {
        Kind::Required { property } => format!("{} is missing", property.as_str().unwrap_or_default()),
        Kind::AdditionalProperties { unexpected } => {
            format!(
                "the schema knows no {}",
                unexpected.iter().take(20).cloned().collect::<Vec<_>>().join(", ")
            )
        }
        Kind::Enum { options } => format!("the value is none of {}", list(options)),
        _ => format!("the {}", error.masked()),
    }
}
