//! A finding as an issue: element, line and column instead of nodes.

use fhir_models::document::{Document, Position};

use super::finding::{Fault, Finding};
use crate::outcome::Issue;

/// Where in the source the value stands that a finding points at, its property name included.
pub(super) fn offset(document: Document<'_>, finding: &Finding) -> usize {
    let offset = document.value(finding.place).map_or(0, |place| place.member_span().start);
    document.source_offset(offset)
}

/// The issue that a fault is at this element and position.
pub(super) fn of(fault: Fault, expression: Option<String>, position: Position) -> Issue {
    Issue {
        severity: fault.severity,
        code: fault.code,
        message: fault.message,
        expression,
        location: None,
        source: None,
        position: Some(position),
        rule: Some(fault.rule.name()),
    }
}
