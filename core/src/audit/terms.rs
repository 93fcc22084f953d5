//! What an AuditEvent is found by: the values of its search parameters (FHIR R4 §6.5.6), `date` apart.
//!
//! Invariant: a search for a value finds the event exactly where [`search_terms`] gives that value. A store keeps
//! the terms beside the event; should they change, [`TERMS_VERSION`] changes, and they are made anew.

use fhir_models::document::Value;

use crate::identity::plain;

/// The version of what [`search_terms`] gives.
pub const TERMS_VERSION: i64 = 1;

/// One value of one search parameter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SearchTerm {
    /// The parameter, as in `agent` or `agent:identifier`.
    pub parameter: &'static str,
    /// A code, an identifier's value, a URI, the id of a referenced resource or its absolute URL, or a text as
    /// [`folded`] gives it.
    pub value: String,
    /// The system of a code or identifier, the type of a referenced resource, or a text as it is written.
    pub system: String,
}

/// The parameters whose values are kept, and whether an event always has exactly one value of it.
pub const SEARCHED: &[(&str, bool)] = &[
    ("action", true),
    ("address", false),
    ("agent", false),
    ("agent-name", false),
    ("agent-role", false),
    ("altid", false),
    ("entity", false),
    ("entity-name", false),
    ("entity-role", false),
    ("entity-type", false),
    ("outcome", true),
    ("patient", false),
    ("policy", false),
    ("site", false),
    ("source", false),
    ("subtype", false),
    ("type", true),
];

/// A text without capitals and accents: what two texts are compared by (FHIR R4 §3.1.1.4.8).
pub fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match plain(letter) {
            Some(plain) => out.push_str(&plain.to_ascii_lowercase()),
            None => out.extend(letter.to_lowercase()),
        }
    }
    out
}

/// All terms of an AuditEvent, each once.
pub fn search_terms(event: Value<'_>) -> Vec<SearchTerm> {
    let mut terms = Terms(Vec::new());
    for name in ["action", "outcome"] {
        terms.code(name, event.get_key(name));
    }
    terms.coding("type", event.get_key("type"));
    all(event, "subtype").for_each(|subtype| terms.coding("subtype", Some(subtype)));
    for agent in all(event, "agent") {
        terms.reference("agent", "agent:identifier", agent.get_key("who"));
        terms.patient(agent.get_key("who"));
        terms.text("agent-name", agent.get_key("name"));
        terms.code("altid", agent.get_key("altId"));
        all(agent, "role").flat_map(|role| all(role, "coding")).for_each(|coding| {
            terms.coding("agent-role", Some(coding));
        });
        all(agent, "policy").for_each(|policy| terms.code("policy", Some(policy)));
        terms.text("address", agent.get_key("network").and_then(|network| network.get_key("address")));
    }
    if let Some(source) = event.get_key("source") {
        terms.code("site", source.get_key("site"));
        terms.reference("source", "source:identifier", source.get_key("observer"));
    }
    for entity in all(event, "entity") {
        terms.reference("entity", "entity:identifier", entity.get_key("what"));
        terms.patient(entity.get_key("what"));
        terms.text("entity-name", entity.get_key("name"));
        terms.coding("entity-role", entity.get_key("role"));
        terms.coding("entity-type", entity.get_key("type"));
    }
    terms.0.sort();
    terms.0.dedup();
    terms.0
}

/// The items of a member that may repeat.
fn all<'a>(value: Value<'a>, key: &str) -> impl Iterator<Item = Value<'a>> {
    value.get_key(key).into_iter().flat_map(Value::items)
}

fn text_of(value: Option<Value<'_>>, key: &str) -> Option<String> {
    Some(value?.get_key(key)?.as_str()?.into_owned())
}

/// A literal reference as type and id without version; an absolute URL has no type.
pub fn split_reference(reference: &str) -> (&str, &str) {
    // Most have one slash, and a version is not looked for in them.
    let whole = match reference.split_once('/') {
        Some((_, rest)) if rest.contains('/') => {
            reference.split_once("/_history/").map_or(reference, |(before, _)| before)
        }
        _ => reference,
    };
    match whole.split_once('/') {
        Some((kind, id)) if !kind.contains(':') && !id.contains('/') => (kind, id),
        _ => ("", whole),
    }
}

struct Terms(Vec<SearchTerm>);

impl Terms {
    fn add(&mut self, parameter: &'static str, value: String, system: String) {
        if !value.is_empty() {
            self.0.push(SearchTerm { parameter, value, system });
        }
    }

    fn code(&mut self, parameter: &'static str, value: Option<Value<'_>>) {
        if let Some(code) = value.and_then(Value::as_str) {
            self.add(parameter, code.into_owned(), String::new());
        }
    }

    fn coding(&mut self, parameter: &'static str, coding: Option<Value<'_>>) {
        if let Some(code) = text_of(coding, "code") {
            self.add(parameter, code, text_of(coding, "system").unwrap_or_default());
        }
    }

    fn text(&mut self, parameter: &'static str, value: Option<Value<'_>>) {
        if let Some(text) = value.and_then(Value::as_str) {
            self.add(parameter, folded(&text), text.into_owned());
        }
    }

    fn reference(
        &mut self,
        parameter: &'static str,
        by_identifier: &'static str,
        reference: Option<Value<'_>>,
    ) {
        if let Some(literal) = text_of(reference, "reference") {
            let (kind, id) = split_reference(&literal);
            self.add(parameter, id.to_owned(), kind.to_owned());
        }
        let identifier = reference.and_then(|reference| reference.get_key("identifier"));
        if let Some(value) = text_of(identifier, "value") {
            self.add(by_identifier, value, text_of(identifier, "system").unwrap_or_default());
        }
    }

    /// `patient` is an agent or an entity that is a Patient.
    fn patient(&mut self, reference: Option<Value<'_>>) {
        let typed = text_of(reference, "type").is_some_and(|kind| kind == "Patient");
        let literal = text_of(reference, "reference").unwrap_or_default();
        if typed || split_reference(&literal).0 == "Patient" {
            self.reference("patient", "patient:identifier", reference);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fhir_models::document::{Limits, OwnedDocument};

    use super::*;

    #[test]
    fn an_event_is_found_by_each_of_its_parameters() {
        let event = r#"{"resourceType":"AuditEvent","action":"R","outcome":"0",
            "type":{"system":"urn:t","code":"rest"},"subtype":[{"system":"urn:s","code":"read"},{"code":"x"}],
            "agent":[{"who":{"identifier":{"system":"urn:cf","value":"RSSMRA71E01F205E"}},"altId":"mrossi",
                "name":"Niccolò D'Àgata","role":[{"coding":[{"system":"urn:r","code":"APR"}]}],
                "policy":["urn:p"],"network":{"address":"192.0.2.7","type":"2"}},
                {"who":{"reference":"Patient/p9"}}],
            "source":{"site":"030913","observer":{"reference":"Device/d/_history/2"}},
            "entity":[{"what":{"reference":"Patient/p1"},"role":{"code":"1"},"type":{"code":"2"},"name":"Referto"},
                {"what":{"type":"Patient","identifier":{"value":"X"}}},
                {"what":{"reference":"https://h.example/fhir/Observation/1"}}]}"#;
        let document = OwnedDocument::parse_json(event, &Limits::default()).unwrap();
        let found: Vec<String> = search_terms(document.root())
            .iter()
            .map(|term| format!("{}={}|{}", term.parameter, term.system, term.value))
            .collect();
        assert_eq!(
            found,
            [
                "action=|R",
                "address=192.0.2.7|192.0.2.7",
                "agent=Patient|p9",
                "agent-name=Niccolò D'Àgata|niccolo d'agata",
                "agent-role=urn:r|APR",
                "agent:identifier=urn:cf|RSSMRA71E01F205E",
                "altid=|mrossi",
                "entity=|https://h.example/fhir/Observation/1",
                "entity=Patient|p1",
                "entity-name=Referto|referto",
                "entity-role=|1",
                "entity-type=|2",
                "entity:identifier=|X",
                "outcome=|0",
                "patient=Patient|p1",
                "patient=Patient|p9",
                "patient:identifier=|X",
                "policy=|urn:p",
                "site=|030913",
                "source=Device|d",
                "subtype=urn:s|read",
                "subtype=|x",
                "type=urn:t|rest",
            ]
        );
    }

    #[test]
    fn what_is_no_event_has_no_terms() {
        for json in ["{}", r#"{"agent":"x","entity":[1,[{}]],"type":3,"action":{}}"#] {
            let document = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
            assert_eq!(search_terms(document.root()), []);
        }
    }
}
