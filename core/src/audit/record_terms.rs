//! What a record is found by, told from its data: a store need not read the AuditEvent that it has just written.

use super::balp::{Coded, pattern};
use super::codes::{
    CONSENT, DOMAIN_RESOURCE, OBJECT, OTHER, PATIENT, PERSON, QUERY, REQUEST, TOKEN, event_codes,
};
use super::event::jti;
use super::{AuditPatient, AuditRecord, AuditedEvent, NetworkAddress, folded, split_reference};
use crate::requester::BusinessIdentifier;

impl AuditRecord {
    /// Tells each of the terms that [`search_terms`](super::search_terms) finds in the record's AuditEvent, in no order: its
    /// parameter, value and system. Some are told more than once.
    pub fn each_term(&self, mut tell: impl FnMut(&'static str, &str, &str)) {
        let mut terms = Telling(&mut tell);
        let pattern = pattern(self.event);
        let (kind, subtypes) = event_codes(self, &pattern);
        terms.tell("action", pattern.action, "");
        terms.tell("outcome", self.outcome.code().unwrap_or_default(), "");
        terms.coded("type", kind);
        subtypes.into_iter().flatten().for_each(|subtype| terms.coded("subtype", subtype));
        self.tell_agents(&mut terms);
        terms.tell("site", self.recorder.site.as_deref().unwrap_or_default(), "");
        terms.identifier("source:identifier", &self.recorder.observer);
        self.tell_entities(&mut terms);
    }

    fn tell_agents(&self, terms: &mut Telling<'_>) {
        terms.tell("agent:identifier", &self.requester.client_id, "");
        terms.address(&self.client_address);
        if self.event == AuditedEvent::ConsentDecision {
            terms.identifier("agent:identifier", &self.recorder.observer);
        } else {
            terms.identifier("agent:identifier", &self.recorder.server.identifier);
            terms.address(&self.recorder.server.address);
        }
        if let Some(subject) = &self.requester.subject {
            terms.identifier("agent:identifier", subject);
            terms.text("agent-name", self.requester.subject_name.as_deref().unwrap_or_default());
            self.requester.roles.iter().for_each(|role| terms.tell("agent-role", &role.code, &role.system));
            if let Some(token) = &self.token_id {
                terms.tell("policy", &jti(token), "");
            }
        }
        for organization in &self.requester.organizations {
            terms.identifier("agent:identifier", organization);
        }
    }

    fn tell_entities(&self, terms: &mut Telling<'_>) {
        self.patients.iter().for_each(|patient| terms.patient(patient));
        for consent in &self.consents {
            terms.reference(&consent.consent);
            terms.coded("entity-type", CONSENT);
        }
        if self.event == AuditedEvent::ConsentDecision {
            if let Some(token) = &self.token_id {
                terms.tell("entity:identifier", &jti(token), "");
                terms.coded("entity-type", TOKEN);
            }
            return;
        }
        if let Some(id) = &self.request_id {
            terms.tell("entity:identifier", id, "");
            terms.coded("entity-type", REQUEST);
        }
        for resource in &self.resources {
            terms.reference(&resource.reference);
            terms.coded("entity-type", OBJECT);
            terms.coded("entity-role", DOMAIN_RESOURCE);
        }
        if self.query.is_some() {
            terms.coded("entity-type", OBJECT);
            terms.coded("entity-role", QUERY);
        }
        if self.processing != Default::default() {
            terms.coded("entity-type", OTHER);
        }
    }
}

/// Whom the terms are told. What has no value is no term.
struct Telling<'t>(&'t mut dyn FnMut(&'static str, &str, &str));

impl Telling<'_> {
    fn tell(&mut self, parameter: &'static str, value: &str, system: &str) {
        if !value.is_empty() {
            (self.0)(parameter, value, system);
        }
    }

    fn coded(&mut self, parameter: &'static str, (system, code, _): Coded) {
        self.tell(parameter, code, system);
    }

    fn identifier(&mut self, parameter: &'static str, identifier: &BusinessIdentifier) {
        self.tell(parameter, &identifier.value, &identifier.system);
    }

    fn text(&mut self, parameter: &'static str, text: &str) {
        self.tell(parameter, &folded(text), text);
    }

    fn address(&mut self, address: &NetworkAddress) {
        let (NetworkAddress::MachineName(address)
        | NetworkAddress::Ip(address)
        | NetworkAddress::Uri(address)) = address;
        self.text("address", address);
    }

    /// The reference of an entity, which may be a Patient.
    fn reference(&mut self, reference: &str) {
        let (kind, id) = split_reference(reference);
        self.tell("entity", id, kind);
        if kind == "Patient" {
            self.tell("patient", id, kind);
        }
    }

    fn patient(&mut self, patient: &AuditPatient) {
        match (&patient.reference, &patient.identifier) {
            (Some(reference), _) => self.reference(reference),
            (None, Some(identifier)) => {
                self.identifier("entity:identifier", identifier);
                self.identifier("patient:identifier", identifier);
            }
            (None, None) => {}
        }
        self.coded("entity-type", PERSON);
        self.coded("entity-role", PATIENT);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fhir_models::document::{Limits, OwnedDocument};
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::super::audit_tests::{ALL, record};
    use super::super::{
        AuditConsent, AuditEmergency, AuditOutcome, AuditRecorder, AuditResource, SearchTerm, search_terms,
    };
    use super::*;
    use crate::requester::{Code, Requester};

    /// Empty, plain, with accents and capitals, and with what JSON must escape.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![Just(String::new()), "[a-zA-Z0-9:/ .-]{1,12}", "[àÈß\"\\\\\t\n€Dž]{1,6}", any::<String>()]
    }

    fn identifier() -> impl Strategy<Value = BusinessIdentifier> {
        (text(), text()).prop_map(|(system, value)| BusinessIdentifier::new(&system, &value))
    }

    fn reference() -> impl Strategy<Value = String> {
        prop_oneof![
            "(Patient|Observation|urn:oid)/[a-z0-9]{0,4}(/_history/[0-9])?",
            Just("https://h.example/fhir/Patient/1".to_owned()),
            text(),
        ]
    }

    fn codes() -> impl Strategy<Value = Vec<Code>> {
        vec((text(), text()).prop_map(|(system, code)| Code::new(&system, &code)), 0..3)
    }

    fn requester() -> impl Strategy<Value = Requester> {
        let known = (text(), option::of(identifier()), option::of(text()), codes());
        (known, vec(identifier(), 0..3), vec(text(), 0..3)).prop_map(
            |((client_id, subject, subject_name, roles), organizations, organization_names)| Requester {
                client_id,
                subject,
                subject_name,
                roles,
                organizations,
                organization_names,
                ..Requester::default()
            },
        )
    }

    fn patient() -> impl Strategy<Value = AuditPatient> {
        (option::of(reference()), option::of(identifier()))
            .prop_map(|(reference, identifier)| AuditPatient { reference, identifier })
    }

    fn records() -> impl Strategy<Value = AuditRecord> {
        let outcome = prop_oneof![Just(AuditOutcome::Success), Just(AuditOutcome::Open)];
        let address = prop_oneof![
            text().prop_map(NetworkAddress::Ip),
            text().prop_map(NetworkAddress::MachineName),
            text().prop_map(NetworkAddress::Uri)
        ];
        let asked = (prop::sample::select(ALL), outcome, requester(), option::of(text()), address);
        let recorder = (identifier(), text(), identifier(), option::of(text()));
        let about = (vec(patient(), 0..3), vec(reference(), 0..3), option::of(text()), option::of(text()));
        let decided = (vec(reference(), 0..3), option::of(text()), any::<bool>());
        (asked, recorder, about, decided).prop_map(|(asked, recorder, about, decided)| {
            let mut made = record(asked.0);
            (made.outcome, made.requester, made.token_id) = (asked.1, Arc::new(asked.2), asked.3);
            made.client_address = asked.4;
            let mut own = AuditRecorder::of(recorder.0, &recorder.1);
            (own.observer, own.site) = (recorder.2, recorder.3);
            made.recorder = Arc::new(own);
            let resource = |reference| AuditResource { reference, labels: Vec::new() };
            (made.patients, made.query, made.request_id) = (about.0, about.2, about.3);
            made.resources = about.1.into_iter().map(resource).collect();
            let part =
                |consent| AuditConsent { consent, provision: String::new(), effect: "permit".to_owned() };
            made.consents = decided.0.into_iter().map(part).collect();
            made.processing = Default::default();
            made.processing.trace = decided.1;
            made.processing.emergency = decided.2.then(AuditEmergency::default);
            made
        })
    }

    proptest! {
        #[test]
        fn a_record_tells_the_terms_of_its_event(record in records()) {
            let mut told = Vec::new();
            record.each_term(|parameter, value, system| {
                told.push(SearchTerm { parameter, value: value.to_owned(), system: system.to_owned() });
            });
            told.sort();
            told.dedup();
            let event = OwnedDocument::parse_json(record.to_fhir_json(), &Limits::default());
            let found = event.map(|event| search_terms(event.root()));
            prop_assert_eq!(found, Ok(told));
        }
    }
}
