//! The target of a reference: one of the types and profiles that the element allows (FHIR R4 §2.3.0,
//! `ElementDefinition.type.targetProfile`).
//!
//! A target that stands in the document itself, or is at hand otherwise, is held against the profiles. Of
//! others no more than the type is known, from the reference's text or its `type`.

use fhir_models::document::{Name, Value, name};

use crate::outcome::{IssueSeverity, IssueType};

use super::super::finding::{Fault, Rule};
use super::super::walk::Walk;
use super::Occurrence;

/// Checks a Reference against the profiles of its targets.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, item: Occurrence<'d>, targets: &[&str], id: &str) {
    let Some(value) = item.value.filter(|value| value.is_object()) else { return };
    let Some(found) = walk.resolved(value) else { return };
    let elsewhere = if found.value.is_none() { walk.elsewhere(value) } else { None };
    let profiles: Vec<_> =
        targets.iter().filter_map(|target| walk.profiles.get(walk.types, target).ok()).collect();
    if profiles.len() < targets.len() || found.type_name == Name::UNKNOWN {
        return;
    }
    let place = value.get(name::REFERENCE).unwrap_or(value);
    let types = walk.types;
    let typed: Vec<_> =
        profiles.iter().filter(|profile| types.is_subtype(found.type_name, profile.type_name)).collect();
    if typed.is_empty() {
        let mut names: Vec<&str> = profiles.iter().map(|it| it.type_name.text()).collect();
        names.dedup();
        let message = format!("{id} refers to another type of resource than {}", names.join(", "));
        // An absolute URL belongs to another server, which may name things by other rules.
        let certain = found.value.is_some() || super::super::reference::names_its_type(value);
        let severity = if certain { IssueSeverity::Error } else { IssueSeverity::Warning };
        let fault = Fault { rule: Rule::Target, severity, code: IssueType::Structure, message };
        return walk.report(value, place, fault);
    }
    if let Some(document) = elsewhere {
        let obeyed = typed.iter().any(|it| it.is_plain_type() || walk.obeys_elsewhere(document, &it.url));
        if !obeyed {
            let message = format!("{id} refers to a resource that obeys none of {}", targets.join(", "));
            walk.report(value, place, Rule::Target.error(IssueType::Structure, message));
        }
        return;
    }
    let here = found.value.is_some_and(|it| it.get(name::RESOURCE_TYPE).is_some());
    if here && !typed.iter().any(|profile| walk.obeys(found, &profile.url)) {
        let message = format!("{id} refers to a resource that obeys none of {}", targets.join(", "));
        walk.report(value, place, Rule::Target.error(IssueType::Structure, message));
    }
}

impl<'d> Walk<'_, 'd> {
    /// The resource that a Reference or its text leads to: a resource of the document, or one of which only
    /// the type is known.
    pub(in super::super) fn resolved(&mut self, reference: Value<'d>) -> Option<Occurrence<'d>> {
        let literal = if reference.is_object() { reference.get(name::REFERENCE) } else { Some(reference) };
        if let Some(text) = literal.and_then(Value::as_str)
            && let Some(found) = self.resources().resolve(reference, &text)
        {
            return Some(Occurrence::of(found));
        }
        let text = literal.and_then(Value::as_str).unwrap_or_default();
        let by_text = super::super::resources::implied_type(self.types, &text);
        let by_type = reference.str_of(name::TYPE).map(|text| Name::of(&text));
        let type_name = by_text.or(by_type).filter(|it| *it != Name::UNKNOWN)?;
        Some(Occurrence { value: None, twin: None, at: reference, type_name })
    }
}
