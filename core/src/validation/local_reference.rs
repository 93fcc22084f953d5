//! References into the same resource: `#id` names a contained resource, and each of them has an id of its own
//! (FHIR R4 §2.3.0.1, §2.3.0.2; invariant `ref-1`).

use std::borrow::Cow;

use fhir_models::document::{Value, name};

use crate::outcome::IssueType;

use super::finding::Rule;
use super::walk::Walk;

/// Checks what was met in a resource that is not contained: the local references from `start` on.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, resource: Value<'d>, start: usize) {
    let contained = resource.get(name::CONTAINED);
    if contained.is_none() && walk.fragments.len() <= start {
        return;
    }
    let mut ids: Vec<Cow<'d, str>> = Vec::new();
    for inner in contained.into_iter().flat_map(Value::items) {
        let Some(id) = inner.str_of(name::ID) else { continue };
        if ids.contains(&id) {
            let message = "another contained resource has the same id: references can't tell them apart";
            walk.report(
                inner,
                inner.get(name::ID).unwrap_or(inner),
                Rule::Contained.error(IssueType::Value, message),
            );
        }
        ids.push(id);
    }
    let fragments = walk.fragments.split_off(start.min(walk.fragments.len()));
    for literal in fragments.into_iter().filter(|it| it.name() == name::REFERENCE) {
        let Some(text) = literal.as_str() else { continue };
        let Some(id) =
            text.strip_prefix('#').filter(|it| !it.is_empty() && !it.contains(char::is_whitespace))
        else {
            continue;
        };
        if !ids.iter().any(|own| own == id) {
            lost(walk, resource, literal);
        }
    }
}

#[cold]
fn lost<'d>(walk: &mut Walk<'_, 'd>, resource: Value<'d>, literal: Value<'d>) {
    let own = |it: &Value<'d>| it.get(name::REFERENCE).is_some_and(|it| it.id() == literal.id());
    let holder = resource.descendants().filter(|it| it.is_object()).find(own).unwrap_or(literal);
    let message = "no contained resource has this id: a local reference leads to one of `contained` (ref-1)";
    walk.report(holder, literal, Rule::Reference.error(IssueType::NotFound, message));
}
