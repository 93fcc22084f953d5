//! Conformance resources: definitions that other systems will rely on must make sense themselves (FHIR R4
//! §5.1, §5.4, §3.1.1).
//!
//! What their own definitions and invariants state is checked like that of any resource. Here stands what
//! needs a second look: at the base that a profile narrows, at the definition that a statement cites, at the
//! measure that a report reports on. What is not at hand is not judged.
//!
//! One kind of resource, or one kind of rule about it, is one file.

mod capability;
mod code_match;
mod compartment;
mod differential;
mod discriminator;
mod element;
mod expression;
mod extension;
mod graph;
mod ground;
mod guide;
mod identity;
mod measure;
mod measure_report;
mod obligation;
mod operation;
mod score;
mod search_parameter;
mod search_type;
mod structure;
mod type_reference;

use std::borrow::Cow;

pub(super) use expression::is_grammar;

use fhir_models::document::Value;

use crate::outcome::{IssueSeverity, IssueType};

use super::finding::{Fault, Rule};
use super::walk::Walk;

/// True for a type that [`check`] has rules for.
pub(super) fn has_rules(type_name: &str) -> bool {
    matches!(
        type_name,
        "StructureDefinition"
            | "SearchParameter"
            | "OperationDefinition"
            | "CapabilityStatement"
            | "CompartmentDefinition"
            | "GraphDefinition"
            | "ImplementationGuide"
            | "Measure"
            | "MeasureReport"
    )
}

/// The rules of one resource of this type.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, resource: Value<'d>, type_name: &str) {
    match type_name {
        "StructureDefinition" => structure::check(walk, resource),
        "SearchParameter" => search_parameter::check(walk, resource),
        "OperationDefinition" => operation::check(walk, resource),
        "CapabilityStatement" => capability::check(walk, resource),
        "CompartmentDefinition" => compartment::check(walk, resource),
        "GraphDefinition" => graph::check(walk, resource),
        "ImplementationGuide" => guide::check(walk, resource),
        "Measure" => measure::check(walk, resource),
        "MeasureReport" => measure_report::check(walk, resource),
        _ => {}
    }
}

fn text<'d>(holder: Value<'d>, key: &str) -> Option<Cow<'d, str>> {
    holder.get_key(key).and_then(Value::as_str)
}

fn list<'d>(holder: Value<'d>, key: &str) -> impl Iterator<Item = Value<'d>> {
    holder.get_key(key).into_iter().flat_map(Value::items)
}

fn broken<'d>(walk: &mut Walk<'_, 'd>, at: Value<'d>, code: IssueType, message: impl Into<String>) {
    walk.report(at, at, Rule::Resource.error(code, message));
}

fn doubtful<'d>(walk: &mut Walk<'_, 'd>, at: Value<'d>, code: IssueType, message: impl Into<String>) {
    let severity = IssueSeverity::Warning;
    walk.report(at, at, Fault { rule: Rule::Resource, severity, code, message: message.into() });
}
