//! What a person chose: the display of an answer is what they saw, the code is what a program stored. Where the
//! two say different things, the answer is not to be trusted (FHIR R4 §2.41, §2.24.0.5).
//!
//! Names in languages that nobody here has are no contradiction: where the answers are in English, by statement or
//! as they show it, a display must have a word in common with one of the code's names; else, as in an Italian form that
//! states no language, it must not be another code's name.

use fhir_models::definition::{Definitions, ValueSet};
use fhir_models::document::Value;

use crate::terminology::rules;

use super::super::coding::{alike, is_anothers, share_a_word};
use super::super::tongue;

/// True where the display of an answer is not that of its code but says something else.
pub(super) fn is_another(
    definitions: &Definitions,
    set: Option<&ValueSet>,
    question: Value<'_>,
    answer: Value<'_>,
    (system, code, shown): (&str, &str, &str),
) -> bool {
    let held = definitions.code_system(system);
    let mut names: Vec<&str> = set.map(|set| set.names(system, code)).unwrap_or_default();
    names.extend(rules::name(system, code));
    let concept = held.as_ref().and_then(|held| held.concept(code));
    if let Some(concept) = concept {
        names.extend(
            concept.display.iter().chain(concept.designations.iter().map(|it| &it.value)).map(String::as_str),
        );
    }
    if names.is_empty() || names.iter().any(|name| alike(name, shown) || share_a_word(name, shown)) {
        return false;
    }
    let supplements = definitions.supplements(system);
    let added = supplements.iter().filter_map(|it| it.concept(code));
    if added.flat_map(|it| &it.designations).any(|it| alike(&it.value, shown)) {
        return false;
    }
    let stated = [answer, question].map(|it| language(it.document().root()));
    let mut stated = stated.iter().flatten().peekable();
    let shared = match stated.peek() {
        Some(_) => stated.all(|it| it.to_ascii_lowercase().starts_with("en")),
        None => held.as_ref().is_some_and(|it| tongue::is_shared(answer.document().root(), it)),
    };
    shared && !alike(code, shown) || is_anothers(held.as_deref(), system, shown)
}

fn language(resource: Value<'_>) -> Option<String> {
    resource.get_key("language").and_then(Value::as_str).map(|it| it.into_owned())
}
