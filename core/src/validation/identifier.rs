//! Identifiers that say of themselves what form they have, and texts that smuggle markup.
//!
//! `urn:ietf:rfc:3986` as a system promises that the value is a URI (FHIR R4 §2.24.0.12). A `string` holds
//! plain text: what looks like a tag would be run by a careless reader (FHIR R4 §6.1.6).

use fhir_models::document::{Value, name};

use crate::outcome::{IssueSeverity, IssueType};

use super::extension::is_absolute;
use super::finding::{Fault, Rule};
use super::walk::Walk;

const URIS: &str = "urn:ietf:rfc:3986";

/// Checks an Identifier.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, identifier: Value<'d>) {
    let Some(place) = identifier.get(name::SYSTEM) else { return };
    let Some(system) = place.as_str() else { return };
    if !system.is_empty() && !is_absolute(&system) {
        let message = "the system of an identifier is an absolute URI, such as a URL, urn:oid or urn:uuid";
        return walk.report(identifier, place, Rule::Identifier.error(IssueType::Value, message));
    }
    if system != URIS {
        return;
    }
    let value = identifier.get(name::VALUE);
    if let Some(value) = value
        && value.as_str().is_some_and(|text| !is_absolute(&text))
    {
        let message =
            "with the system urn:ietf:rfc:3986 the value is a whole URI, such as urn:oid:1.2.3".to_owned();
        // Tools find definitions by these identifiers: there a bare OID does harm.
        let resource = identifier.document().value(walk.scope.resource);
        let severity = match resource.is_some_and(|it| it.get(name::URL).is_some()) {
            true => IssueSeverity::Error,
            false => IssueSeverity::Warning,
        };
        let fault = Fault { rule: Rule::Identifier, severity, code: IssueType::Value, message };
        walk.report(identifier, value, fault);
    }
}

/// Elements that a browser acts on.
const TAGS: &[&str] = &[
    "a", "abbr", "b", "body", "br", "button", "div", "em", "embed", "form", "frame", "h1", "h2", "h3",
    "head", "html", "i", "iframe", "img", "input", "link", "li", "meta", "object", "ol", "p", "script",
    "span", "strong", "style", "svg", "table", "td", "tr", "u", "ul",
];

/// Checks that a string is plain text.
pub(super) fn plain_text<'d>(walk: &mut Walk<'_, 'd>, value: Value<'d>) {
    let raw = value.raw();
    if raw.as_bytes().contains(&b'<') && value.as_str().is_some_and(|text| has_tag(&text)) {
        let message = "a string is plain text: this looks like HTML, which a reader might run";
        walk.report(value, value, Rule::Markup.error(IssueType::Security, message));
    }
}

fn has_tag(text: &str) -> bool {
    text.split('<').skip(1).any(|rest| {
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (tag, after) = rest.split_at(end);
        let closed =
            after.starts_with(['>', '/']) || (after.starts_with(char::is_whitespace) && after.contains('>'));
        closed && TAGS.iter().any(|known| known.eq_ignore_ascii_case(tag))
    })
}

#[cfg(test)]
mod tests {
    use super::has_tag;

    #[test]
    fn tags_are_told_from_comparisons() {
        assert!(has_tag("Rossi <script>x</script>"));
        assert!(has_tag("<a href='x'>y</a>"));
        assert!(has_tag("uno<br/>due"));
        assert!(!has_tag("pressione < 120 e > 80"));
        assert!(!has_tag("mario.rossi <mario@example.org>"));
        assert!(!has_tag("a<b and c"));
    }
}
