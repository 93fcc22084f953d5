//! Links of a narrative into its own document (FHIR R4 §2.4.0): `<a href="#x">` and `<img src="#x">`.
//!
//! What they lead to is an `id` or `name` in a narrative, the id of an element or that of a resource. A
//! document is one page to its reader, so anchors in any narrative of it count. A lost image is a warning: what
//! it shows may come with the page.

use std::collections::HashSet;

use fhir_models::document::{Document, Kind, Value, name};

use crate::fhirpath::check_narrative_attributes;
use crate::outcome::{IssueSeverity, IssueType};

use super::finding::{Fault, Rule};
use super::walk::Walk;

/// Longest part of a link that a message repeats, in characters.
const SHOWN: usize = 80;

/// The anchor that an attribute leads to in the same document.
pub(super) fn link<'t>(element: &str, name: &str, value: &'t str) -> Option<&'t str> {
    let leads = matches!((element, name), ("a" | "area", "href") | ("img", "src"));
    value.strip_prefix('#').filter(|anchor| leads && !anchor.is_empty())
}

/// Checks the narratives in which links were met.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, document: Document<'d>) {
    if walk.linking.is_empty() || walk.full {
        return;
    }
    let anchors = anchors(document);
    for div in std::mem::take(&mut walk.linking) {
        let Some(text) = div.as_str() else { continue };
        let mut lost: Vec<String> = Vec::new();
        let mut severity = IssueSeverity::Warning;
        // A fault of form has been told where it was met.
        let _ = check_narrative_attributes(&text, &mut |element, name, value| {
            let missing = link(element, name, value).filter(|anchor| !anchors.contains(*anchor));
            if missing.is_some() && element != "img" {
                severity = IssueSeverity::Error;
            }
            lost.extend(missing.map(str::to_owned));
        });
        let Some(first) = lost.first() else { continue };
        let shown: String = first.chars().filter(|it| !it.is_control()).take(SHOWN).collect();
        let more = match lost.len() {
            1 => String::new(),
            many => format!(" (and so do {} more links)", many - 1),
        };
        let message = format!(
            "the link #{shown} in the narrative leads nowhere{more}: no narrative, element or contained resource \
             has this id"
        );
        let fault = Fault { rule: Rule::Narrative, severity, code: IssueType::Invalid, message };
        walk.report(div, div, fault);
    }
}

/// Everything in the document that a link may lead to.
fn anchors(document: Document<'_>) -> HashSet<String> {
    let mut anchors = HashSet::new();
    let texts = document.root().descendants().filter(|it| it.kind() == Kind::String && !it.is_underscored());
    for value in texts.filter(|it| matches!(it.name(), name::ID | name::DIV)) {
        let Some(text) = Value::as_str(value) else { continue };
        if value.name() == name::ID {
            anchors.insert(text.into_owned());
            continue;
        }
        let _ = check_narrative_attributes(&text, &mut |_, name, value| {
            if matches!(name, "id" | "name") {
                anchors.insert(value.to_owned());
            }
        });
    }
    anchors
}

#[cfg(test)]
mod tests {
    use super::link;

    #[test]
    fn links_into_the_document_begin_with_a_hash() {
        assert_eq!(link("a", "href", "#p1"), Some("p1"));
        assert_eq!(link("img", "src", "#p1"), Some("p1"));
        assert_eq!(link("a", "href", "http://hl7.it#p1"), None);
        assert_eq!(link("a", "href", "#"), None);
        assert_eq!(link("p", "title", "#p1"), None);
    }
}
