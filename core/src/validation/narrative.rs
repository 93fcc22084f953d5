//! The narrative: one XHTML `div` with formatting only, and something to read (FHIR R4 §2.4.0; invariants
//! `txt-1` and `txt-2`).

use fhir_models::document::{Format, Kind, Value};
use fhir_models::primitive::Primitive;

use crate::fhirpath::{NarrativeFault, check_narrative_attributes, is_sound_narrative};
use crate::outcome::IssueType;

use super::anchor;
use super::finding::Rule;
use super::primitive;
use super::walk::Walk;

const NAMESPACE: &str = "http://www.w3.org/1999/xhtml";

/// Checks `Narrative.div`.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, value: Value<'d>) {
    let raw = value.raw();
    let inside = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
    if inside.is_some_and(is_sound_narrative) {
        return;
    }
    // Only an escape can hide a control character: text without `\u`, `\b` and `\f` needs no second look.
    let plain = value.kind() == Kind::String && !["\\u", "\\b", "\\f"].iter().any(|it| raw.contains(it));
    if (!plain || raw.len() <= 2)
        && let Err(error) = Primitive::Xhtml.check_value(value)
    {
        return walk.report(value, value, primitive::explain(error));
    }
    if !is_div(raw) {
        let message = "the narrative is one XHTML div: \
                       <div xmlns=\"http://www.w3.org/1999/xhtml\"> … </div>";
        return walk.report(value, value, Rule::Narrative.error(IssueType::Structure, message));
    }
    let Some(text) = value.as_str() else { return };
    let mut links = false;
    let checked = check_narrative_attributes(&text, &mut |element, name, value| {
        links |= anchor::link(element, name, value).is_some();
    });
    if links {
        walk.linking.push(value);
    }
    // Of an XML text, the reader has told it already.
    let told =
        |fault: &NarrativeFault| *fault == NarrativeFault::Entity && value.document().format() == Format::Xml;
    if let Err(fault) = checked
        && !told(&fault)
    {
        let key = if fault == NarrativeFault::Empty { "txt-2" } else { "txt-1" };
        let message = format!("{fault} ({key})");
        walk.report(value, value, Rule::Narrative.error(IssueType::Invariant, message));
    }
}

/// Looks at the two ends of the JSON text: no need to undo the escapes between them.
fn is_div(raw: &str) -> bool {
    let text = raw.trim_matches('"');
    let start = skip_space(text);
    let Some(after) = start.strip_prefix("<div") else { return false };
    let Some((attributes, _)) = after.split_once('>') else { return false };
    let named = attributes.starts_with([' ', '/', '\\', '\t']) && attributes.contains(NAMESPACE);
    let end = trim_space(text);
    named && (attributes.ends_with('/') || end.ends_with("</div>"))
}

fn skip_space(mut text: &str) -> &str {
    loop {
        let next = text.trim_start();
        let next = ["\\n", "\\r", "\\t"].iter().find_map(|escape| next.strip_prefix(escape)).unwrap_or(next);
        if next.len() == text.len() {
            return text;
        }
        text = next;
    }
}

fn trim_space(mut text: &str) -> &str {
    loop {
        let next = text.trim_end();
        let next = ["\\n", "\\r", "\\t"].iter().find_map(|escape| next.strip_suffix(escape)).unwrap_or(next);
        if next.len() == text.len() {
            return text;
        }
        text = next;
    }
}

#[cfg(test)]
mod tests {
    use super::is_div;

    #[test]
    fn the_root_is_a_div_in_the_xhtml_namespace() {
        assert!(is_div(r#""<div xmlns=\"http://www.w3.org/1999/xhtml\">Glicemia</div>""#));
        assert!(is_div("\"\\n <div xmlns='http://www.w3.org/1999/xhtml'/>\\r\\n\""));
        assert!(is_div(r#""<div\n lang=\"it\" xmlns=\"http://www.w3.org/1999/xhtml\"><p>a</p></div>\n""#));
        assert!(!is_div(r#""<p xmlns=\"http://www.w3.org/1999/xhtml\">Glicemia</p>""#));
        assert!(!is_div(r#""<div>Glicemia</div>""#));
        assert!(!is_div(r#""<div xmlns=\"http://www.w3.org/1999/xhtml\">Glicemia""#));
        assert!(!is_div(r#""<divx xmlns=\"http://www.w3.org/1999/xhtml\">Glicemia</divx>""#));
        assert!(!is_div(r#""Glicemia""#));
    }
}
