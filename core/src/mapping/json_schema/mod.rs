//! JSON that is not FHIR, as a map's source: a vendor's JSON Schema checks it and says what it looks like.
//!
//! A vendor gives two files: the schema of the messages, and a map. The schema becomes a logical model whose canonical
//! is the schema's `$id`; the map names it with `uses`. A message is read by the same strict parser as FHIR (`NaN`, duplicate
//! members and broken text are refused with line and column), checked by the schema, and then mapped. Invariants: what
//! the schema refuses never reaches a map; nothing is fetched, patterns run in linear time, and every list is bounded.
//!
//! ```
//! use std::sync::Arc;
//! use fhir_models::definition::Definitions;
//! use fhir_models::document::Limits;
//! use varco_core::mapping::{Mapper, Settings};
//! use varco_core::mapping::json_schema::InputSchema;
//!
//! let schema = br#"{"$id": "https://vendor.example/weight", "type": "object", "required": ["kg"],
//!   "properties": {"kg": {"type": "number", "exclusiveMinimum": 0}, "taken": {"type": "string", "format": "date-time"}}}"#;
//! let map = r#"map "https://vendor.example/map" = m
//!   uses "https://vendor.example/weight" alias Weight as source
//!   uses "http://hl7.org/fhir/StructureDefinition/Observation" alias Observation as target
//!   group weight(source src : Weight, target obs : Observation) {
//!     src.taken as t -> obs.effective = cast(t, 'dateTime');
//!     src.kg as kg -> obs.value = create('Quantity') as q, q.value = kg, q.code = 'kg';
//!   }"#;
//! let schema = InputSchema::read("weight", schema)?;
//! let mut definitions = Definitions::builder();
//! definitions.definition("weight", schema.definition().as_bytes())?;
//! let mut mapper = Mapper::new(Arc::new(definitions.build()?));
//! mapper.add("weight.fml", map.as_bytes())?;
//! let map = mapper.compile(0).map_err(|errors| errors[0].to_string())?;
//!
//! let message = schema.parse(br#"{"kg": 72.50}"#, &Limits::default()).map_err(|faults| faults[0].to_string())?;
//! let output = map.run(&[message.document()], &Settings::default())?;
//! assert_eq!(output.text(), r#"{"resourceType":"Observation","valueQuantity":{"value":72.50,"code":"kg"}}"#);
//! let refused = schema.parse(br#"{"kg": -1}"#, &Limits::default()).unwrap_err();
//! assert_eq!(refused[0].to_string(), "$this.kg, line 1, column 2: the value is less than or equal to the minimum of 0");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod model;

#[cfg(test)]
mod json_schema_tests;

use fhir_models::document::{Limits, OwnedDocument};
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

pub use check::InputFault;

/// Longest schema, in bytes.
pub const MOST_SCHEMA_BYTES: usize = 4 << 20;

/// Why a schema can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaFault {
    /// No JSON.
    #[error("it is no JSON: {0}")]
    Syntax(String),
    /// JSON that is no schema of a known draft, or that needs files or servers.
    #[error(
        "it is no JSON Schema that can be used: {0}; schemas of other files are not fetched, write them into $defs"
    )]
    Schema(String),
    /// A reference that leads nowhere.
    #[error("{0} leads nowhere; write it as #/$defs/name")]
    Reference(String),
    /// The messages are not objects.
    #[error("it describes no object with properties, so there is nothing for a map to name")]
    NoObject,
    /// Large schemas.
    #[error("it has more than {0} {1}")]
    Limit(usize, &'static str),
}

/// A JSON Schema, compiled, and the logical model that it says. Immutable; shared by threads by reference.
#[derive(Debug)]
pub struct InputSchema {
    url: String,
    definition: String,
    left_out: Vec<String>,
    validator: Validator,
}

impl InputSchema {
    /// Reads a JSON Schema (draft 4 to 2020-12). Formats are checked too. Without `$id`, the model's canonical is
    /// `urn:varco:schema:` and `name`.
    ///
    /// # Errors
    /// [`SchemaFault`]
    pub fn read(name: &str, schema: &[u8]) -> Result<InputSchema, SchemaFault> {
        if schema.len() > MOST_SCHEMA_BYTES {
            return Err(SchemaFault::Limit(MOST_SCHEMA_BYTES, "bytes"));
        }
        // Our parser tells duplicate members and the place of a fault.
        let document = OwnedDocument::parse_json(schema, &Limits::default())
            .map_err(|error| SchemaFault::Syntax(error.to_string()))?;
        let schema: Value =
            serde_json::from_str(document.text()).map_err(|error| SchemaFault::Syntax(error.to_string()))?;
        let validator = jsonschema::options()
            .offline()
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::regex().size_limit(1 << 20))
            .build(&schema)
            .map_err(|error| SchemaFault::Schema(error.to_string()))?;
        let stated = schema.get("$id").or_else(|| schema.get("id")).and_then(Value::as_str);
        let url = stated.map(|it| it.trim_end_matches('#')).filter(|it| !it.is_empty());
        let url = url.map_or_else(|| format!("urn:varco:schema:{name}"), str::to_owned);
        let model = model::derive(&schema)?;
        Ok(InputSchema { definition: model.definition(&url), left_out: model.left_out, url, validator })
    }

    /// The canonical of the logical model: what a map names with `uses`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The logical model: a `StructureDefinition` in JSON.
    pub fn definition(&self) -> &str {
        &self.definition
    }

    /// Properties that the schema knows and a map can't name: values of any kind, lists within lists, names with dots or
    /// a leading underscore. They are checked all the same.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Reads a message and checks it.
    ///
    /// # Errors
    /// [`InputFault`], each with its place; the first hundred.
    pub fn parse(&self, message: &[u8], limits: &Limits) -> Result<OwnedDocument, Vec<InputFault>> {
        let document =
            OwnedDocument::parse_json(message, limits).map_err(|it| vec![InputFault::syntax(&it)])?;
        let faults = self.check(&document);
        if faults.is_empty() { Ok(document) } else { Err(faults) }
    }

    /// What the schema refuses in a message, in its order; the first hundred.
    pub fn check(&self, message: &OwnedDocument) -> Vec<InputFault> {
        check::check(&self.validator, message)
    }
}
