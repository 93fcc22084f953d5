//! References inside a transaction: to other entries, and by search (FHIR R4 §3.1.0.12.2).

use std::collections::HashMap;

use fhir_models::document::{Document, Edits, JsonWriter};

/// Replaces links to entries of the same transaction by the references they got. `None` where there are none.
///
/// Links stand in references, in elements of type uri and url, and in the narrative; identifiers that happen
/// to have the same text are left alone.
pub(super) fn relink(document: Document<'_>, links: &HashMap<String, String>) -> Option<Vec<u8>> {
    let mut edits = Edits::new(document);
    for value in document.root().descendants() {
        let (Some(key), Some(text)) = (value.key(), value.as_str()) else { continue };
        match &*key {
            "reference" | "url" | "uri" | "valueUri" | "valueUrl" | "valueUuid" | "valueOid" | "source" => {
                let (stem, version) = text.split_once("/_history/").unwrap_or((&text, ""));
                if let Some(target) = links.get(stem) {
                    let kept =
                        if version.is_empty() { String::new() } else { format!("/_history/{version}") };
                    edits.replace(value, quoted(&format!("{target}{kept}")));
                }
            }
            "div" if links.keys().any(|link| text.contains(link.as_str())) => {
                let mut narrative = text.into_owned();
                for (link, target) in links {
                    for attribute in ["href", "src"] {
                        let (from, to) =
                            (format!("{attribute}=\"{link}\""), format!("{attribute}=\"{target}\""));
                        narrative = narrative.replace(&from, &to);
                    }
                }
                edits.replace(value, quoted(&narrative));
            }
            _ => {}
        }
    }
    (!edits.is_empty()).then(|| edits.apply())
}

/// The references that name their target by search, such as `Patient?identifier=x`.
pub(super) fn searches(document: Document<'_>) -> Vec<String> {
    let references =
        document.root().descendants().filter(|value| value.key().as_deref() == Some("reference"));
    references
        .filter_map(|value| value.as_str())
        .filter(|text| {
            let named = text.split_once('?').map(|(before, _)| before);
            named.is_some_and(|named| {
                !named.is_empty() && named.bytes().all(|byte| byte.is_ascii_alphabetic())
            })
        })
        .map(|text| text.into_owned())
        .collect()
}

fn quoted(text: &str) -> Vec<u8> {
    let mut json = JsonWriter::new();
    json.string(text);
    json.into_bytes()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use fhir_models::document::{Limits, OwnedDocument};

    #[test]
    fn links_change_and_identifiers_stay() {
        let text = r#"{"subject":{"reference":"urn:uuid:1"},"identifier":[{"value":"urn:uuid:1"}],
            "text":{"div":"<div><a href=\"urn:uuid:1\">urn:uuid:1</a></div>"},"focus":{"reference":"urn:uuid:1/_history/4"},"x":1.50}"#;
        let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
        let links = HashMap::from([("urn:uuid:1".to_owned(), "Patient/7".to_owned())]);
        let out = String::from_utf8(relink(document.document(), &links).unwrap()).unwrap();
        assert_eq!(
            out,
            r#"{"subject":{"reference":"Patient/7"},"identifier":[{"value":"urn:uuid:1"}],
            "text":{"div":"<div><a href=\"Patient/7\">urn:uuid:1</a></div>"},"focus":{"reference":"Patient/7/_history/4"},"x":1.50}"#
        );
        assert_eq!(relink(document.document(), &HashMap::new()), None);
    }

    #[test]
    fn references_by_search_are_found() {
        let text = r#"{"subject":{"reference":"Patient?identifier=s|v"},"a":{"reference":"Patient/1"},"url":"http://x/?y"}"#;
        let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
        assert_eq!(searches(document.document()), ["Patient?identifier=s|v"]);
    }
}
