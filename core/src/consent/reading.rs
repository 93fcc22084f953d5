//! Codings, concepts and identifiers as they stand in a document.

use fhir_models::document::{Value, name};

use crate::requester::{BusinessIdentifier, Code};

/// The code of a `Coding`; `None` where it has none or its parts are not strings.
pub(super) fn coding(value: Value<'_>) -> Option<Code> {
    let code = value.str_of(name::CODE)?;
    let system = match value.get(name::SYSTEM) {
        Some(system) => system.as_str()?,
        None => "".into(),
    };
    Some(Code::new(system, code))
}

/// The codes of a `CodeableConcept`.
pub(super) fn codings(concept: Value<'_>) -> Vec<Code> {
    concept.path(&[name::CODING]).into_iter().filter_map(coding).collect()
}

/// An `Identifier`'s namespace and value; `None` without a value.
pub(super) fn identifier(value: Value<'_>) -> Option<BusinessIdentifier> {
    let system = value.str_of(name::SYSTEM).unwrap_or_default();
    Some(BusinessIdentifier::new(system, value.str_of(name::VALUE)?))
}

/// True where an element carries a modifier extension, or a member that is none of `elements`: whoever does not
/// understand these does not understand the element (FHIR R4 §2.5.1, §2.1.0.1).
pub(super) fn is_modified(value: Value<'_>, elements: &[&str]) -> bool {
    let known = |key: &str| elements.contains(&key.strip_prefix('_').unwrap_or(key));
    !value.children().all(|member| member.key().is_some_and(|key| known(&key)))
}
