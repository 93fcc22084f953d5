//! Faults of form as issues: what a tolerant reading of the text put up with (FHIR R4 §2.6.1, §2.6.2).
//!
//! In JSON the place is an element: the innermost around the fault. In XML it is one of the text, which need
//! not be FHIR's: its XPath stands in `location`.

use fhir_models::document::{Document, FormFault, NodeId, Position};

use crate::outcome::{Issue, IssueType};

use super::finding::Rule;
use super::locate::{Lines, Locator};
use super::types::Types;

/// The issues of a document with those of its form, by their places.
pub(super) fn among(types: &Types, document: Document<'_>, issues: Vec<Issue>) -> Vec<Issue> {
    let faults = document.form_faults();
    if faults.is_empty() {
        return issues;
    }
    let mut lines = Lines::new(document.source());
    let mut own: Vec<Issue> = faults.iter().map(|fault| issue(fault, lines.position(fault.offset))).collect();
    let mut places: Vec<(NodeId, &mut Issue)> = faults
        .iter()
        .zip(&mut own)
        .filter(|(fault, _)| fault.path.is_none())
        .map(|(fault, issue)| (around(document, fault.near), issue))
        .collect();
    places.sort_by_key(|(element, _)| *element);
    let mut locator = Locator::new(types, document);
    for (element, issue) in places {
        issue.expression = locator.expression(element);
    }
    own.extend(issues);
    own.sort_by_key(|issue| issue.position);
    own
}

fn issue(fault: &FormFault, position: Position) -> Issue {
    let mut issue = Issue::error(IssueType::Structure, fault.kind.to_string()).on(position);
    issue.location.clone_from(&fault.path);
    issue.rule = Some(Rule::Syntax.name());
    issue
}

/// The innermost value around an offset of the text.
fn around(document: Document<'_>, offset: usize) -> NodeId {
    let mut found = document.root();
    while let Some(inner) =
        found.children().find(|child| child.member_span().start <= offset && offset < child.span().end)
    {
        found = inner;
    }
    found.id()
}
