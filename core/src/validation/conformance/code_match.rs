//! Whether two concepts name the same thing: a coding of both agrees, or, where neither has codings, their
//! text.

use fhir_models::document::{Value, name};

use super::{list, text};

/// True where the `code` of two elements agrees.
pub(super) fn same_code(a: Value<'_>, b: Value<'_>) -> bool {
    match (a.get(name::CODE), b.get(name::CODE)) {
        (Some(a), Some(b)) => same(a, b),
        _ => false,
    }
}

/// True where two CodeableConcepts agree.
pub(super) fn same(a: Value<'_>, b: Value<'_>) -> bool {
    let codings = |it| list(it, "coding").collect::<Vec<_>>();
    let (left, right) = (codings(a), codings(b));
    if left.is_empty() && right.is_empty() {
        return text(a, "text").is_some() && text(a, "text") == text(b, "text");
    }
    let agree = |a: &Value<'_>, b: &Value<'_>| {
        text(*a, "code").is_some()
            && text(*a, "code") == text(*b, "code")
            && text(*a, "system") == text(*b, "system")
    };
    left.iter().any(|a| right.iter().any(|b| agree(a, b)))
}

/// The concept as people read it.
pub(super) fn shown(holder: Value<'_>) -> String {
    let code = holder.get(name::CODE);
    let words = code.and_then(|code| {
        let coding = list(code, "coding").next();
        text(code, "text").or_else(|| coding.and_then(|it| text(it, "display").or_else(|| text(it, "code"))))
    });
    match (words, text(holder, "id")) {
        (Some(words), _) => super::super::profile::plain(&words),
        (None, Some(id)) => format!("with the id {}", super::super::profile::plain(&id)),
        (None, None) => "without code".to_owned(),
    }
}

/// The code of a concept in this system.
pub(super) fn code_of(concept: Option<Value<'_>>, system: &str) -> Option<String> {
    let codings: Vec<Value<'_>> = concept.into_iter().flat_map(|it| list(it, "coding")).collect();
    let own = codings.into_iter().find(|it| it.get(name::SYSTEM).is_some_and(|it| it.is_str(system)))?;
    text(own, "code").map(|it| it.into_owned())
}
