//! What makes the entries of a transaction one: references between them, and the Bundle for the server behind
//! (FHIR R4 §3.1.0.11.2 and §3.1.0.11.3).
//!
//! Invariant: the Bundle is written from plain creates, updates and deletes alone. No URL, condition or `fullUrl` of the
//! caller stands in it; what is created is known to the other entries by a random UUID.

use std::collections::HashMap;

use fhir_models::document::{Document, Edits, JsonWriter, Name, Value};

use super::{Id, Interaction};

/// The members whose values may be the `fullUrl` of another entry (FHIR R4 §3.1.0.11.2: references and elements of the types
/// `uri` and `url`).
const LINKS: [&str; 4] = ["reference", "url", "valueUri", "valueUrl"];

/// When an entry's turn comes: deletes, creates, updates and patches, reads (FHIR R4 §3.1.0.11.2).
pub fn turn(interaction: &Interaction) -> u8 {
    match interaction {
        Interaction::Delete(_) | Interaction::ConditionalDelete(_) => 0,
        Interaction::Create(_) | Interaction::ConditionalCreate(_) => 1,
        Interaction::Update(_)
        | Interaction::ConditionalUpdate(_)
        | Interaction::Patch(_)
        | Interaction::ConditionalPatch(_) => 2,
        _ => 3,
    }
}

/// What the entries of a transaction know each other by.
#[derive(Debug, Clone, Default)]
pub struct Links(HashMap<String, String>);

impl Links {
    /// Notes that the entry of this `fullUrl` is this resource: `[type]/[id]`.
    pub fn add(&mut self, full_url: &str, reference: String) {
        self.0.insert(full_url.to_owned(), reference);
    }

    /// The resource that a text means in an entry of the `fullUrl` `within`: the text is another entry's `fullUrl`, or
    /// relative to the same base (FHIR R4 §2.36.4).
    pub fn resolve(&self, text: &str, within: Option<&str>) -> Option<&str> {
        if let Some(found) = self.0.get(text) {
            return Some(found);
        }
        let relative =
            text.split_once('/').is_some_and(|(kind, id)| is_name(kind) && Id::parse(id).is_some());
        let root = within.filter(|_| relative).and_then(root)?;
        self.0.get(&format!("{root}/{text}")).map(String::as_str)
    }
}

/// `https://h/fhir` of `https://h/fhir/Patient/1`.
fn root(full_url: &str) -> Option<&str> {
    let (rest, id) = full_url.rsplit_once('/')?;
    let (root, kind) = rest.rsplit_once('/')?;
    let http = root.starts_with("https://") || root.starts_with("http://");
    (http && is_name(kind) && Id::parse(id).is_some()).then_some(root)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// The document with other values of its references and links: those that `replaced` gives. `None` where all stay.
pub fn relinked(document: Document<'_>, mut replaced: impl FnMut(&str) -> Option<String>) -> Option<Vec<u8>> {
    let names = LINKS.map(Name::of);
    let mut edits = Edits::new(document);
    for value in document.root().descendants().filter(|value| names.contains(&value.name())) {
        if let Some(new) = value.as_str().and_then(|text| replaced(&text)) {
            let mut json = JsonWriter::new();
            json.string(&new);
            edits.replace(value, json.into_bytes());
        }
    }
    (!edits.is_empty()).then(|| edits.apply())
}

/// One write for the server behind.
#[derive(Debug, Clone, Copy)]
pub struct PlainWrite<'a> {
    /// A create, update or delete.
    pub interaction: &'a Interaction,
    /// The resource as JSON; nothing for a delete.
    pub resource: &'a [u8],
    /// What is created is known by `urn:uuid:` and this to the other writes.
    pub uuid: Option<&'a str>,
    /// The version that it may replace.
    pub if_match: Option<&'a Id>,
}

/// The Bundle of type `transaction` for the server behind, its entries in the order of `writes`.
pub fn bundle<'a>(writes: impl IntoIterator<Item = PlainWrite<'a>>) -> Vec<u8> {
    let mut json = JsonWriter::new();
    json.begin_object().member("resourceType", "Bundle").member("type", "transaction");
    json.key("entry").begin_array();
    for PlainWrite { interaction, resource, uuid, if_match } in writes {
        let request = interaction.to_request();
        json.begin_object();
        json.optional("fullUrl", uuid.map(|uuid| format!("urn:uuid:{uuid}")).as_deref());
        if !resource.is_empty() {
            json.key("resource").raw(resource);
        }
        json.key("request").begin_object().member("method", request.method.as_str());
        json.member("url", request.path_and_query.trim_start_matches('/'));
        json.optional("ifMatch", if_match.map(|version| format!("W/\"{}\"", version.as_str())).as_deref());
        json.end_object().end_object();
    }
    json.end_array().end_object();
    json.into_bytes()
}

/// The references of a document that stand for a search, each once ([`super::batch::conditional_reference`]).
pub fn searches(document: Document<'_>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let texts = super::batch::references(document.root()).filter_map(Value::as_str);
    let is_search = |text: &str| text.split_once('?').is_some_and(|(path, _)| !path.contains([':', '/']));
    for text in texts.filter(|text| is_search(text)) {
        if !found.iter().any(|known| *known == text) {
            found.push(text.into_owned());
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fhir_models::document::{Limits, OwnedDocument};

    use super::*;
    use crate::interaction::SearchSchema;

    #[test]
    fn entries_are_found_by_their_full_url_and_relative_to_their_own() {
        let mut links = Links::default();
        links.add("urn:uuid:p", "Patient/new".to_owned());
        links.add("https://h.example/fhir/Patient/1", "Patient/7".to_owned());
        for (text, within, found) in [
            ("urn:uuid:p", None, Some("Patient/new")),
            ("urn:uuid:q", None, None),
            ("https://h.example/fhir/Patient/1", None, Some("Patient/7")),
            ("Patient/1", Some("https://h.example/fhir/Observation/2"), Some("Patient/7")),
            ("Patient/1", Some("https://other.example/fhir/Observation/2"), None),
            ("Patient/1", Some("urn:uuid:p"), None),
            ("Patient/1", None, None),
            ("Patient/1/_history/2", Some("https://h.example/fhir/Observation/2"), None),
        ] {
            assert_eq!(links.resolve(text, within), found, "{text} in {within:?}");
        }
    }

    #[test]
    fn links_are_replaced_where_fhir_has_references_and_uris_and_nowhere_else() {
        let text = r#"{"resourceType":"DocumentReference","identifier":[{"value":"urn:uuid:b"}],"subject":{"reference":"urn:uuid:b","display":"urn:uuid:b"},
            "content":[{"attachment":{"url":"urn:uuid:b"}}],"extension":[{"url":"http://x","valueUri":"urn:uuid:b"},{"url":"http://y","valueString":"urn:uuid:b"}]}"#;
        let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
        let made =
            relinked(document.document(), |text| (text == "urn:uuid:b").then(|| "Binary/\"1".to_owned()));
        let made = String::from_utf8(made.unwrap()).unwrap();
        assert_eq!(made.matches("urn:uuid:b").count(), 3, "{made}");
        assert_eq!(made.matches(r#""Binary/\"1""#).count(), 3, "{made}");
        assert!(relinked(document.document(), |_| None).is_none());
    }

    #[test]
    fn the_bundle_holds_plain_writes_alone() {
        let schema = SearchSchema::new(["Patient"], |_| Vec::new());
        let parse = |method, path| Interaction::parse(method, path, None, None, &schema).unwrap();
        let (create, update, delete) =
            (parse("POST", "Patient"), parse("PUT", "Patient/1"), parse("DELETE", "Patient/2"));
        let write = |interaction, resource: &'static str| PlainWrite {
            interaction,
            resource: resource.as_bytes(),
            uuid: None,
            if_match: None,
        };
        let version = Id::parse("3").unwrap();
        let made = bundle([
            write(&delete, ""),
            PlainWrite { uuid: Some("u"), ..write(&create, r#"{"resourceType":"Patient"}"#) },
            PlainWrite {
                if_match: Some(&version),
                ..write(&update, r#"{"resourceType":"Patient","id":"1"}"#)
            },
        ]);
        assert_eq!(
            String::from_utf8(made).unwrap(),
            r#"{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/2"}},{"fullUrl":"urn:uuid:u","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}},{"resource":{"resourceType":"Patient","id":"1"},"request":{"method":"PUT","url":"Patient/1","ifMatch":"W/\"3\""}}]}"#
        );
    }

    #[test]
    fn references_by_search_are_found_each_once() {
        let text = r#"{"a":{"reference":"Patient?identifier=http://x|1"},"b":[{"reference":"Patient?identifier=http://x|1"},{"reference":"Patient/1"},{"reference":"https://h/Patient?x=1"}]}"#;
        let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
        assert_eq!(searches(document.document()), ["Patient?identifier=http://x|1"]);
    }
}
