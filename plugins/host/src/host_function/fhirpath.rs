//! `fhirpath`: expressions on the body of the call (FHIRPath 2.0, FHIR R4 section 2.9).
//!
//! The body is parsed when the first question comes, and once. Expressions are compiled once for a plugin and kept. An
//! evaluation has no clock: `now()` and its like fail.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use fhir_models::document::{Limits as DocumentLimits, OwnedDocument};
use varco_core::fhirpath::{
    Context, EvaluationFault, Expression, Limits, Model, Options, ResultItem, Scalar,
};
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lower, WasmStr},
};

use super::take;
use crate::{call::CallState, contract::printable};

/// Questions that one call may ask.
pub const QUESTIONS: u32 = 100;
/// The longest expression, in bytes.
const EXPRESSION_BYTES: usize = 4096;
/// Compiled expressions that are kept for a plugin.
const KEPT: usize = 64;
/// Most items of an answer.
const ITEMS: usize = 1000;
/// The largest answer, in bytes of its values.
const ANSWER_BYTES: usize = 256 << 10;
/// Bounds of one evaluation.
const LIMITS: Limits = Limits { steps: 100_000, depth: 100, items: 50_000 };
/// The longest cause of a fault in an expression, in bytes.
const CAUSE_BYTES: usize = 512;

#[derive(Debug, Clone, PartialEq, ComponentType, Lower)]
#[component(variant)]
pub enum Value {
    #[component(name = "boolean")]
    Boolean(bool),
    #[component(name = "integer")]
    Integer(i64),
    #[component(name = "decimal")]
    Decimal(String),
    #[component(name = "text")]
    Text(String),
    #[component(name = "element")]
    Element(Vec<u8>),
    /// A primitive that has no value, only extensions.
    #[component(name = "without-value")]
    Extensions,
}

#[derive(Debug, Clone, PartialEq, ComponentType, Lower)]
#[component(record)]
pub struct Item {
    #[component(name = "type-name")]
    type_name: &'static str,
    value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lower)]
#[component(variant)]
pub enum Error {
    #[component(name = "expression")]
    Expression(String),
    #[component(name = "not-fhir")]
    NotFhir,
    #[component(name = "failed")]
    Failed,
    #[component(name = "too-costly")]
    TooCostly,
}

/// The body that is asked about.
#[derive(Debug, Default)]
pub enum Questioned {
    /// The plugin may not ask.
    #[default]
    Never,
    /// Nothing was asked yet.
    Unread(Vec<u8>),
    /// It is not FHIR JSON.
    NotFhir,
    /// The parsed body.
    Read(Arc<OwnedDocument>),
}

impl Questioned {
    fn document(&mut self) -> Result<Arc<OwnedDocument>, Error> {
        if let Self::Unread(body) = self {
            let limits = DocumentLimits::default();
            *self = OwnedDocument::parse_json(std::mem::take(body), &limits)
                .map_or(Self::NotFhir, |document| Self::Read(Arc::new(document)));
        }
        match self {
            Self::Read(document) if document.root().resource_type().is_some() => Ok(document.clone()),
            _ => Err(Error::NotFhir),
        }
    }
}

/// A plugin's compiled expressions.
#[derive(Debug, Default)]
pub struct Expressions(Mutex<HashMap<Box<str>, Arc<Expression>>>);

impl Expressions {
    fn compiled(&self, text: &str) -> Result<Arc<Expression>, Error> {
        if text.len() > EXPRESSION_BYTES {
            return Err(Error::Expression(format!("it is longer than {EXPRESSION_BYTES} bytes")));
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(expression) = kept.get(text) {
            return Ok(expression.clone());
        }
        let expression = Expression::compile(text, &Model::r4(), &Options::default())
            .map_err(|error| Error::Expression(printable(&error.to_string(), CAUSE_BYTES)))?;
        let expression = Arc::new(expression);
        // A plugin has a few expressions. One that makes new ones pays for compiling them again and again.
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(text.into(), expression.clone());
        Ok(expression)
    }
}

type Answer = (Result<Vec<Item>, Error>,);

pub fn evaluate(
    mut store: StoreContextMut<'_, CallState>,
    (expression,): (WasmStr,),
) -> wasmtime::Result<Answer> {
    if !take(&mut store.data_mut().allowance.questions) {
        return Ok((Err(Error::TooCostly),));
    }
    let plugin = store.data().plugin.clone();
    let compiled = plugin.expressions.compiled(&expression.to_str(&store)?);
    let document = store.data_mut().questioned.document();
    Ok((compiled.and_then(|expression| answer(&expression, &*document?)),))
}

fn answer(expression: &Expression, document: &OwnedDocument) -> Result<Vec<Item>, Error> {
    let context = Context { limits: Some(LIMITS), ..Context::default() };
    let found = expression.evaluate(document.root(), &context).map_err(|error| match error.fault() {
        EvaluationFault::TooManySteps | EvaluationFault::TooDeep | EvaluationFault::TooLarge => {
            Error::TooCostly
        }
        _ => Error::Failed,
    })?;
    if found.len() > ITEMS {
        return Err(Error::TooCostly);
    }
    let mut left = ANSWER_BYTES;
    found
        .iter()
        .map(|item| {
            let value = value(item);
            let size = match &value {
                Value::Decimal(text) | Value::Text(text) => text.len(),
                Value::Element(json) => json.len(),
                Value::Boolean(_) | Value::Integer(_) | Value::Extensions => 0,
            };
            left = left.checked_sub(size).ok_or(Error::TooCostly)?;
            Ok(Item { type_name: item.type_name(), value })
        })
        .collect()
}

fn value(item: ResultItem<'_, '_>) -> Value {
    match item.scalar() {
        Some(Scalar::Boolean(value)) => Value::Boolean(value),
        Some(Scalar::Integer(value)) => Value::Integer(value.into()),
        Some(Scalar::Long(value)) => Value::Integer(value),
        Some(Scalar::Decimal(value)) => Value::Decimal(value.to_string()),
        Some(Scalar::String(text)) => Value::Text(text.into_owned()),
        Some(Scalar::Temporal(value)) => Value::Text(value.to_string()),
        Some(Scalar::Quantity(value)) => Value::Text(value.to_string()),
        None => {
            item.value().map_or(Value::Extensions, |value| Value::Element(value.raw().as_bytes().to_vec()))
        }
    }
}
