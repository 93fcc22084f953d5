//! Whom and what a request is about, as far as the request itself says: patients and devices that limits count.
//!
//! Invariant: only what was asked for counts, never what was found. The same request is counted alike whether the patient
//! exists, is hidden or is not there, so that no refusal for a limit tells of that; and it is counted under its client, so
//! that none tells of what others ask, and nobody can use up a patient's requests for others. The price: a read of
//! `Observation/1` counts for no patient, and a patient asked for by id and by identifier counts as two.

use std::collections::BTreeSet;

use fhir_models::document::{Limits, OwnedDocument, Value};
use varco_core::interaction::{Criterion, Interaction, Search, SearchReference, SearchValue};
use varco_core::requester::Requester;

/// Most patients or devices of one request that are counted.
const MOST: usize = 32;

/// What a request says that it is about.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Subjects {
    /// Patients, by id, `system|value` or URL.
    pub patients: BTreeSet<String>,
    /// Devices, likewise.
    pub devices: BTreeSet<String>,
}

impl Subjects {
    /// Of a request; `body` is read where it carries a resource.
    pub fn of(interaction: &Interaction, requester: &Requester, body: &[u8]) -> Subjects {
        let mut found = Subjects::default();
        if let Some(instance) = interaction.instance() {
            found.add(instance.resource_type.as_str(), instance.id.as_str());
        }
        let lists = match interaction {
            Interaction::LastN(own) => Some(&own.search),
            other => other.search().or(other.condition()),
        };
        lists.iter().for_each(|search| found.take_search(search));
        if let Interaction::DocRef(own) = interaction {
            found.patients.insert(own.patient.as_str().to_owned());
        }
        if interaction.takes_resource()
            && let Ok(document) = OwnedDocument::parse_json(body.to_vec(), &Limits::default())
        {
            found.take_resource(document.root());
        }
        // Where a token is for one patient, that one is meant by what names none.
        if found.patients.is_empty() {
            let person = requester.person.as_ref().map(|own| format!("{}|{}", own.system, own.value));
            let patient = requester.patient.as_ref().map(|own| own.as_str().to_owned());
            found.patients.extend(patient.or(person));
        }
        while found.patients.len() > MOST {
            found.patients.pop_last();
        }
        while found.devices.len() > MOST {
            found.devices.pop_last();
        }
        found
    }

    fn add(&mut self, resource_type: &str, id: &str) {
        match resource_type {
            "Patient" => self.patients.insert(id.to_owned()),
            "Device" => self.devices.insert(id.to_owned()),
            _ => false,
        };
    }

    fn take_search(&mut self, search: &Search) {
        let of_type = search.resource_type.as_str();
        search.ids.iter().for_each(|id| self.add(of_type, id.as_str()));
        search.criteria.iter().for_each(|own| self.take_criterion(of_type, own));
    }

    fn take_criterion(&mut self, of_type: &str, criterion: &Criterion) {
        let about = match (of_type, criterion.name()) {
            ("Patient", "identifier") | (_, "patient") => "Patient",
            ("Device", "identifier") | (_, "device") => "Device",
            (_, "subject") => "",
            _ => return,
        };
        for value in criterion.values() {
            match value {
                SearchValue::Reference(SearchReference::Id(id)) if about.is_empty() => {
                    self.add("Patient", id.as_str());
                }
                SearchValue::Reference(SearchReference::Id(id)) => self.add(about, id.as_str()),
                SearchValue::Reference(SearchReference::Instance(own, id)) => {
                    self.add(own.as_str(), id.as_str())
                }
                SearchValue::Reference(SearchReference::Url(url)) => {
                    self.add(if about.is_empty() { "Patient" } else { about }, url);
                }
                SearchValue::Token(token) => {
                    let [system, code] =
                        [&token.system, &token.code].map(|own| own.as_deref().unwrap_or_default());
                    self.add(if about.is_empty() { "Patient" } else { about }, &format!("{system}|{code}"));
                }
                _ => {}
            }
        }
    }

    fn take_resource(&mut self, resource: Value<'_>) {
        for element in ["subject", "patient", "device"] {
            let Some(named) = resource.get_key(element) else { continue };
            if let Some(reference) = named.get_key("reference").and_then(Value::as_str) {
                let mut ends = reference.rsplit('/');
                if let (Some(id), Some(own)) = (ends.next(), ends.next()) {
                    self.add(own, id);
                }
            }
            if let Some(identifier) = named.get_key("identifier") {
                let part =
                    |key| identifier.get_key(key).and_then(Value::as_str).unwrap_or_default().into_owned();
                let about = if element == "device" { "Device" } else { "Patient" };
                self.add(about, &format!("{}|{}", part("system"), part("value")));
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fhir_models::definition::Definitions;
    use varco_core::interaction::{Id, SearchSchema};

    use super::*;

    fn of(method: &str, path: &str, query: Option<&str>, body: &str) -> (Vec<String>, Vec<String>) {
        let schema = SearchSchema::from_definitions(Definitions::r4());
        let interaction = Interaction::parse(method, path, query, None, &schema).unwrap();
        let found = Subjects::of(&interaction, &Requester::default(), body.as_bytes());
        (found.patients.into_iter().collect(), found.devices.into_iter().collect())
    }

    #[test]
    fn a_request_is_about_whom_it_names() {
        let none: Vec<String> = Vec::new();
        let anna = vec!["anna".to_owned()];
        assert_eq!(of("GET", "Patient/anna", None, ""), (anna.clone(), none.clone()));
        assert_eq!(of("GET", "Patient/anna/_history", None, ""), (anna.clone(), none.clone()));
        assert_eq!(of("GET", "Patient/anna/$everything", None, ""), (anna.clone(), none.clone()));
        assert_eq!(of("GET", "Observation", Some("patient=anna&code=a"), ""), (anna.clone(), none.clone()));
        assert_eq!(of("GET", "Observation", Some("subject=Patient/anna"), ""), (anna.clone(), none.clone()));
        assert_eq!(of("GET", "Observation/o1", None, ""), (none.clone(), none.clone()));
        let two = of("GET", "Observation", Some("patient=anna,bruno&device=Device/d1"), "");
        assert_eq!(two, (vec!["anna".to_owned(), "bruno".to_owned()], vec!["d1".to_owned()]));
        assert_eq!(of("GET", "Patient", Some("identifier=urn:cf|X"), "").0, ["urn:cf|X"]);
        let body = r#"{"resourceType":"Observation","subject":{"reference":"https://h/fhir/Patient/anna"},
            "device":{"identifier":{"system":"urn:udi","value":"7"}}}"#;
        assert_eq!(of("POST", "Observation", None, body), (anna.clone(), vec!["urn:udi|7".to_owned()]));
        let body = r#"{"resourceType":"Observation","subject":{"reference":"Device/d1"}}"#;
        assert_eq!(of("POST", "Observation", None, body), (none.clone(), vec!["d1".to_owned()]));
        assert_eq!(of("POST", "Observation", None, "{"), (none.clone(), none));
    }

    #[test]
    fn a_token_for_one_patient_means_that_one() {
        let schema = SearchSchema::from_definitions(Definitions::r4());
        let requester = Requester { patient: Id::parse("anna"), ..Requester::default() };
        let interaction = Interaction::parse("GET", "Observation/o1", None, None, &schema).unwrap();
        assert!(Subjects::of(&interaction, &requester, b"").patients.contains("anna"));
    }
}
