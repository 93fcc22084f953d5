//! Constraints that a structure states: their FHIRPath can be read, and a key means one thing (FHIR R4
//! §2.29, `ElementDefinition.constraint`).

use std::collections::HashMap;

use fhir_models::document::{Value, name};

use crate::fhirpath::{CompileFault, Expression, Options};
use crate::outcome::IssueType;

use super::super::profile::plain;
use super::super::walk::Walk;
use super::element::{Holder, Subject};
use super::{broken, list, text};

/// Keys that FHIR itself has reworded between its own definitions.
const REWORDED: &[&str] = &["ele-1", "ext-1"];

/// Checks the constraints of an element. `keys`: the expressions met so far, by key.
pub(super) fn constraints<'d>(
    walk: &mut Walk<'_, 'd>,
    holder: &Holder<'_, 'd>,
    subject: &Subject<'_, 'd>,
    keys: &mut HashMap<String, String>,
) {
    let own = text(holder.structure, "url").unwrap_or_default();
    for constraint in list(subject.value, "constraint") {
        let Some(expression) = text(constraint, "expression") else { continue };
        let source = text(constraint, "source");
        if source.is_none_or(|source| source == own) {
            readable(walk, constraint, &expression);
        }
        let Some(key) = constraint.str_of(name::KEY).filter(|key| !REWORDED.contains(&key.as_ref())) else {
            continue;
        };
        let known = keys.entry(key.clone().into_owned()).or_insert_with(|| expression.clone().into_owned());
        if *known != expression {
            let message = format!("the key {} names another constraint of this structure too", plain(&key));
            broken(walk, constraint, IssueType::Invalid, message);
        }
    }
}

/// An expression that breaks FHIRPath's grammar.
pub(super) fn readable<'d>(walk: &mut Walk<'_, 'd>, at: Value<'d>, expression: &str) {
    let Err(error) = Expression::compile(expression, walk.types.model(), &Options::default()) else { return };
    if is_grammar(&error.fault) {
        broken(walk, at, IssueType::Invalid, format!("the expression can't be read: {error}"));
    }
}

/// True for a fault of the grammar, not of a name.
pub(in super::super) fn is_grammar(fault: &CompileFault) -> bool {
    matches!(
        fault,
        CompileFault::UnexpectedCharacter(_)
            | CompileFault::Unexpected { .. }
            | CompileFault::Unclosed(..)
            | CompileFault::LoneSurrogate
            | CompileFault::BadTemporal
    )
}
