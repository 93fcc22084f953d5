//! From a record to an R4 AuditEvent (FHIR R4 §6.5), in the element order of the specification.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fhir_models::document::JsonWriter;

use super::balp::{Coded, Pattern, pattern};
use super::codes::{
    APPLICATION_SERVER, AUTHORIZATION_SERVER, CONSENT, DOMAIN_RESOURCE, OBJECT, OTHER, PATIENT, PERSON,
    PROVIDER, QUERY, REQUEST, SECURITY_SERVER, SOURCE_TYPE, TOKEN, event_codes,
};
use super::{
    AuditConsent, AuditPatient, AuditRecord, AuditRecorder, AuditSystem, AuditedEvent, NetworkAddress,
};
use crate::requester::{BusinessIdentifier, Code, Requester};

/// Most records are smaller.
const USUAL_BYTES: usize = 4_096;
const NOT_IDENTIFIED: &str = "not identified";
const JTI: &str = "urn:ietf:params:oauth:jti:";

impl AuditRecord {
    /// The AuditEvent as JSON.
    pub fn to_fhir_json(&self) -> Vec<u8> {
        let pattern = pattern(self.event);
        let mut json = JsonWriter::with_capacity(USUAL_BYTES);
        json.begin_object().member("resourceType", "AuditEvent").member("id", &self.id);
        if let Some(profile) = self.profile() {
            json.key("meta").begin_object().key("profile").begin_array().string(&profile);
            json.end_array().end_object();
        }
        let (kind, subtypes) = event_codes(self, &pattern);
        json.key("type");
        coding(kind, &mut json);
        json.key("subtype").begin_array();
        subtypes.into_iter().flatten().for_each(|subtype| coding(subtype, &mut json));
        json.end_array();
        json.member("action", pattern.action).member("recorded", &instant(self.recorded));
        json.optional("outcome", self.outcome.code());
        json.optional("outcomeDesc", self.outcome_description.as_deref());
        if self.requester.subject.is_none() {
            concepts("purposeOfEvent", &self.requester.purposes, &mut json);
        }
        self.write_agents(&pattern, &mut json);
        let decides = self.event == AuditedEvent::ConsentDecision;
        let kind = if decides { SECURITY_SERVER } else { APPLICATION_SERVER };
        self.recorder.write_source(kind, &mut json);
        self.write_entities(&mut json);
        json.end_object();
        json.into_bytes()
    }

    fn write_agents(&self, pattern: &Pattern, json: &mut JsonWriter) {
        json.key("agent").begin_array();
        json.begin_object();
        agent_type(pattern.client, json);
        who(&BusinessIdentifier::new("", self.requester.client_id.as_str()), None, json);
        json.key("requestor").boolean(self.requester.subject.is_none());
        network(&self.client_address, json);
        json.end_object();

        json.begin_object();
        if self.event == AuditedEvent::ConsentDecision {
            // The service that decides is the one that records: BALP wants the two written alike.
            agent_type(AUTHORIZATION_SERVER, json);
            who(&self.recorder.observer, None, json);
            json.key("requestor").boolean(false);
        } else {
            agent_type(pattern.server, json);
            asked(&self.recorder.server, json);
        }
        json.end_object();

        if let Some(subject) = &self.requester.subject {
            json.begin_object();
            agent_type(pattern.user, json);
            concepts("role", &self.requester.roles, json);
            who(subject, None, json);
            json.optional("name", self.requester.subject_name.as_deref()).key("requestor").boolean(true);
            if let Some(token) = &self.token_id {
                json.key("policy").begin_array().string(&jti(token)).end_array();
            }
            concepts("purposeOfUse", &self.requester.purposes, json);
            json.end_object();
        }
        let Requester { organizations, organization_names: names, .. } = &*self.requester;
        // Names go with identifiers where there are as many; else they stand for themselves.
        let paired = names.len() == organizations.len();
        for (at, organization) in organizations.iter().enumerate() {
            provider(organization, names.get(at).filter(|_| paired), json);
        }
        for name in names.iter().filter(|_| !paired) {
            provider(&BusinessIdentifier::new("", ""), Some(name), json);
        }
        json.end_array();
    }

    fn write_entities(&self, json: &mut JsonWriter) {
        let decision = self.event == AuditedEvent::ConsentDecision;
        let nothing = self.patients.is_empty()
            && self.consents.is_empty()
            && match decision {
                true => self.token_id.is_none(),
                false => {
                    self.resources.is_empty()
                        && self.query.is_none()
                        && self.request_id.is_none()
                        && self.processing == Default::default()
                }
            };
        if nothing {
            return;
        }
        json.key("entity").begin_array();
        if !decision {
            self.write_request(json);
        }
        for patient in &self.patients {
            json.begin_object().key("what");
            write_patient(patient, json);
            json.key("type");
            coding(PERSON, json);
            json.key("role");
            coding(PATIENT, json);
            json.end_object();
        }
        self.write_consents(json);
        match (&self.token_id, decision) {
            (Some(token), true) => {
                json.begin_object().key("what").begin_object().key("identifier").begin_object();
                json.member("value", &jti(token)).end_object().end_object().key("type");
                coding(TOKEN, json);
                json.end_object();
            }
            (_, true) => {}
            (_, false) => self.write_processing(json),
        }
        json.end_array();
    }

    /// The request's id, and what was asked for.
    fn write_request(&self, json: &mut JsonWriter) {
        if let Some(id) = &self.request_id {
            json.begin_object().key("what").begin_object().key("identifier").begin_object();
            json.member("value", id).end_object().end_object().key("type");
            coding(REQUEST, json);
            json.end_object();
        }
        for resource in &self.resources {
            json.begin_object()
                .key("what")
                .begin_object()
                .member("reference", &resource.reference)
                .end_object();
            json.key("type");
            coding(OBJECT, json);
            json.key("role");
            coding(DOMAIN_RESOURCE, json);
            if !resource.labels.is_empty() {
                json.key("securityLabel").begin_array();
                resource.labels.iter().for_each(|label| code(label, json));
                json.end_array();
            }
            json.end_object();
        }
        if let Some(query) = &self.query {
            json.begin_object().key("type");
            coding(OBJECT, json);
            json.key("role");
            coding(QUERY, json);
            json.member("query", &STANDARD.encode(query)).end_object();
        }
    }

    /// One entity a consent; its provisions and their effects are details.
    fn write_consents(&self, json: &mut JsonWriter) {
        let mut written: Vec<&str> = Vec::new();
        for AuditConsent { consent, .. } in &self.consents {
            if written.contains(&consent.as_str()) {
                continue;
            }
            written.push(consent);
            json.begin_object().key("what").begin_object().member("reference", consent).end_object();
            json.key("type");
            coding(CONSENT, json);
            json.key("detail").begin_array();
            for part in self.consents.iter().filter(|part| part.consent == *consent) {
                let provision = if part.provision.is_empty() { "consent" } else { &part.provision };
                detail(provision, &part.effect, json);
            }
            // AuthZconsent allows no entity for the request: its id joins the records here.
            if let (AuditedEvent::ConsentDecision, Some(id)) = (self.event, &self.request_id) {
                detail("X-Request-Id", id, json);
            }
            json.end_array().end_object();
        }
    }

    fn write_processing(&self, json: &mut JsonWriter) {
        let processing = &self.processing;
        if *processing == Default::default() {
            return;
        }
        json.begin_object().key("type");
        coding(OTHER, json);
        json.member("description", "What the gateway did to the answer").key("detail").begin_array();
        if let Some(trace) = &processing.trace {
            detail("trace", trace, json);
        }
        if let Some(intent) = &processing.intent {
            detail("intent", intent, json);
        }
        if let Some(emergency) = &processing.emergency {
            if let Some(reason) = &emergency.reason {
                detail("break-glass-reason", reason, json);
            }
            emergency.overridden.iter().for_each(|own| detail("break-glass-overrides", own, json));
        }
        if let Some(review) = &processing.review {
            detail("review", &review.id, json);
            detail("finding", &review.finding, json);
        }
        if let Some(home) = &self.requester.home_community {
            detail("home-community", home, json);
        }
        processing.mapped.iter().for_each(|map| detail("mapped", map, json));
        processing.policies.iter().for_each(|policy| detail("policy", policy, json));
        for (name, count) in
            [("entries-returned", processing.returned), ("entries-withheld", processing.withheld)]
        {
            if let Some(count) = count {
                detail(name, &count.to_string(), json);
            }
        }
        json.end_array().end_object();
    }
}

impl AuditRecorder {
    /// The event's source, of this kind.
    pub(super) fn write_source(&self, (kind, display): (&'static str, &'static str), json: &mut JsonWriter) {
        json.key("source").begin_object().optional("site", self.site.as_deref()).key("observer");
        identified(&self.observer, None, None, json);
        json.key("type").begin_array();
        coding((SOURCE_TYPE, kind, display), json);
        json.end_array().end_object();
    }
}

/// The part of an agent that says which server was asked.
pub(super) fn asked(server: &AuditSystem, json: &mut JsonWriter) {
    who(&server.identifier, server.display.as_deref(), json);
    json.key("requestor").boolean(false);
    network(&server.address, json);
}

/// An `instant` to the millisecond: what FHIR servers keep.
pub(super) fn instant(at: jiff::Timestamp) -> String {
    format!("{at:.3}")
}

/// BALP: the id is prefixed with the URN of its namespace (RFC 3553).
pub(super) fn jti(token: &str) -> String {
    format!("{JTI}{}", token.strip_prefix(JTI).unwrap_or(token))
}

/// The texts of a [`Coded`] are the specifications', where none has a character to escape.
pub(super) fn coding((system, code, display): Coded, json: &mut JsonWriter) {
    json.raw_pieces(&[r#"{"system":""#, system, r#"","code":""#, code, r#"","display":""#, display, r#""}"#]);
}

fn code(code: &Code, json: &mut JsonWriter) {
    json.begin_object();
    if !code.system.is_empty() {
        json.member("system", &code.system);
    }
    json.member("code", &code.code).end_object();
}

fn concepts(element: &'static str, codes: &[Code], json: &mut JsonWriter) {
    if codes.is_empty() {
        return;
    }
    json.key(element).begin_array();
    for one in codes {
        json.begin_object().key("coding").begin_array();
        code(one, json);
        json.end_array().end_object();
    }
    json.end_array();
}

pub(super) fn agent_type(kind: Coded, json: &mut JsonWriter) {
    json.key("type").begin_object().key("coding").begin_array();
    coding(kind, json);
    json.end_array().end_object();
}

pub(super) fn who(identifier: &BusinessIdentifier, display: Option<&str>, json: &mut JsonWriter) {
    json.key("who");
    identified(identifier, None, display, json);
}

/// A logical reference. FHIR has no empty strings: who has no identifier is called so.
pub(super) fn identified(
    identifier: &BusinessIdentifier,
    kind: Option<&str>,
    display: Option<&str>,
    json: &mut JsonWriter,
) {
    json.begin_object().optional("type", kind);
    if identifier.value.is_empty() {
        json.member("display", display.unwrap_or(NOT_IDENTIFIED)).end_object();
        return;
    }
    json.key("identifier").begin_object();
    if !identifier.system.is_empty() {
        json.member("system", &identifier.system);
    }
    json.member("value", &identifier.value).end_object().optional("display", display).end_object();
}

/// The organisation on whose behalf (BALP: `agent:userorg`).
fn provider(organization: &BusinessIdentifier, name: Option<&String>, json: &mut JsonWriter) {
    json.begin_object();
    agent_type(PROVIDER, json);
    who(organization, name.map(String::as_str).filter(|name| !name.is_empty()), json);
    json.key("requestor").boolean(false).end_object();
}

pub(super) fn network(address: &NetworkAddress, json: &mut JsonWriter) {
    let (address, kind) = match address {
        NetworkAddress::MachineName(address) => (address, "1"),
        NetworkAddress::Ip(address) => (address, "2"),
        NetworkAddress::Uri(address) => (address, "5"),
    };
    json.key("network").begin_object().member("address", address).member("type", kind).end_object();
}

fn write_patient(patient: &AuditPatient, json: &mut JsonWriter) {
    match (&patient.reference, &patient.identifier) {
        (Some(reference), _) => {
            json.begin_object().member("reference", reference).end_object();
        }
        (None, Some(identifier)) => identified(identifier, Some("Patient"), None, json),
        (None, None) => {
            json.begin_object().member("type", "Patient").member("display", NOT_IDENTIFIED).end_object();
        }
    }
}

pub(super) fn detail(kind: &str, value: &str, json: &mut JsonWriter) {
    json.begin_object().member("type", kind).member("valueString", value).end_object();
}
