//! Every kind of record against the constraints of its BALP profile and the R4 definition of AuditEvent.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use fhir_models::document::{Limits, OwnedDocument};
use serde_json::{Value, json};

use super::*;
use crate::outcome::IssueType;
use crate::requester::{BusinessIdentifier, Code, Requester};

pub(super) const ALL: &[AuditedEvent] = &[
    AuditedEvent::Read,
    AuditedEvent::Vread,
    AuditedEvent::Create,
    AuditedEvent::Update,
    AuditedEvent::Patch,
    AuditedEvent::Delete,
    AuditedEvent::SearchType,
    AuditedEvent::SearchSystem,
    AuditedEvent::HistoryInstance,
    AuditedEvent::HistoryType,
    AuditedEvent::HistorySystem,
    AuditedEvent::Capabilities,
    AuditedEvent::Operation,
    AuditedEvent::Batch,
    AuditedEvent::Transaction,
    AuditedEvent::ConsentDecision,
    AuditedEvent::Review,
];

/// A record with all that one of this kind has.
pub(super) fn record(event: AuditedEvent) -> AuditRecord {
    let search = matches!(event, AuditedEvent::SearchType | AuditedEvent::SearchSystem);
    let resource = AuditResource {
        reference: "DocumentReference/5".to_owned(),
        labels: vec![Code::new("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "N")],
    };
    AuditRecord {
        id: "0199f0a2-3b1c-7d00-8000-000000000001".to_owned(),
        recorded: "2026-05-01T12:00:00.1234Z".parse().unwrap(),
        event,
        outcome: AuditOutcome::Success,
        outcome_description: None,
        requester: Arc::new(Requester {
            client_id: "portale-medici".to_owned(),
            subject: Some(BusinessIdentifier::new("http://hl7.it/sid/codiceFiscale", "RSSMRA71E01F205E")),
            subject_name: Some("Mario Rossi".to_owned()),
            roles: vec![Code::new("https://example.org/ruoli", "APR")],
            organizations: vec![BusinessIdentifier::new("http://hl7.it/sid/hsp", "030913")],
            purposes: vec![Code::new("http://terminology.hl7.org/CodeSystem/v3-ActReason", "TREAT")],
            ..Requester::default()
        }),
        token_id: Some("a1b2".to_owned()),
        client_address: NetworkAddress::Ip("192.0.2.7".to_owned()),
        recorder: Arc::new(AuditRecorder {
            server: AuditSystem {
                identifier: BusinessIdentifier::new("http://hl7.it/sid/hsp", "030943"),
                display: None,
                address: NetworkAddress::Uri("https://h1.example/fhir".to_owned()),
            },
            observer: BusinessIdentifier::new(
                "urn:ietf:rfc:3986",
                "urn:uuid:9d0b3c1e-0000-4000-8000-000000000001",
            ),
            site: Some("030943".to_owned()),
        }),
        patients: vec![AuditPatient { reference: Some("Patient/p1".to_owned()), identifier: None }],
        resources: if search { Vec::new() } else { vec![resource] },
        query: search.then(|| "GET /fhir/DocumentReference?patient=Patient/p1".to_owned()),
        request_id: Some("cc6d168e-5871-11ec-bf63-0242ac130002".to_owned()),
        consents: vec![AuditConsent {
            consent: "Consent/7".to_owned(),
            provision: "provision.provision[0]".to_owned(),
            effect: "permit".to_owned(),
        }],
        processing: AuditProcessing {
            trace: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
            mapped: vec!["codice-fiscale".to_owned()],
            policies: vec!["permit: wards".to_owned()],
            returned: Some(3),
            withheld: Some(1),
            ..AuditProcessing::default()
        },
    }
}

fn written(record: &AuditRecord) -> Value {
    serde_json::from_slice(&record.to_fhir_json()).unwrap()
}

fn list<'a>(event: &'a Value, element: &str) -> &'a [Value] {
    event[element].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The agents or entities of a slice, which BALP tells apart by the code of their type.
fn slice<'a>(event: &'a Value, element: &str, code: &str) -> Vec<&'a Value> {
    let of = |item: &&Value| item["type"]["code"] == code || item["type"]["coding"][0]["code"] == code;
    list(event, element).iter().filter(of).collect()
}

#[test]
fn restful_events_follow_their_balp_profile() {
    for (event, profile, action, subtype, client, server, user) in [
        (AuditedEvent::Read, "PatientRead", "R", "read", "110152", "110153", "IRCP"),
        (AuditedEvent::Vread, "PatientRead", "R", "vread", "110152", "110153", "IRCP"),
        (AuditedEvent::Create, "PatientCreate", "C", "create", "110153", "110152", "AUT"),
        (AuditedEvent::Update, "PatientUpdate", "U", "update", "110153", "110152", "AUT"),
        (AuditedEvent::Patch, "PatientUpdate", "U", "patch", "110153", "110152", "AUT"),
        (AuditedEvent::Delete, "PatientDelete", "D", "delete", "110150", "custodian", "AUT"),
        (AuditedEvent::SearchType, "PatientQuery", "E", "search-type", "110153", "110152", "IRCP"),
    ] {
        let event = written(&record(event));
        let canonical =
            format!("https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.{profile}");
        assert_eq!(event["meta"]["profile"], json!([canonical]));
        assert_eq!((&event["action"], &event["subtype"][0]["code"]), (&json!(action), &json!(subtype)));
        assert_eq!(event["type"]["code"], "rest");
        assert_eq!(event["outcome"], "0");
        for system in [client, server] {
            let found = slice(&event, "agent", system);
            assert_eq!(found.len(), 1, "{profile}: agent {system} stands once");
            assert!(found[0]["who"]["identifier"]["value"].is_string());
            assert!(found[0]["network"]["address"].is_string());
            assert!(found[0].get("media").is_none());
        }
        let user = slice(&event, "agent", user);
        assert_eq!(user.len(), 1);
        assert_eq!(user[0]["requestor"], true);
        assert_eq!(user[0]["who"]["identifier"]["value"], "RSSMRA71E01F205E");
        assert_eq!(user[0]["policy"], json!(["urn:ietf:params:oauth:jti:a1b2"]));
        assert!(user[0].get("network").is_none(), "people are no network devices");
        assert_eq!(list(&event, "agent").iter().filter(|agent| agent["requestor"] == true).count(), 1);
        let patient = slice(&event, "entity", "1");
        assert_eq!(patient.len(), 1);
        assert_eq!(patient[0]["what"], json!({"reference": "Patient/p1"}));
        assert_eq!(patient[0]["role"]["code"], "1");
        let transaction = slice(&event, "entity", "XrequestId");
        assert_eq!(transaction[0]["what"]["identifier"]["value"], "cc6d168e-5871-11ec-bf63-0242ac130002");
        let object = slice(&event, "entity", "2");
        assert_eq!(object.len(), 1, "{profile}: one data or query entity");
        if profile == "PatientQuery" {
            assert_eq!(object[0]["role"]["code"], "24");
            assert_eq!(
                object[0]["query"],
                "R0VUIC9maGlyL0RvY3VtZW50UmVmZXJlbmNlP3BhdGllbnQ9UGF0aWVudC9wMQ=="
            );
            assert!(object[0].get("what").is_none() && object[0].get("detail").is_none());
        } else {
            assert_eq!(object[0]["role"]["code"], "4");
            assert_eq!(object[0]["what"]["reference"], "DocumentReference/5");
        }
    }
}

#[test]
fn without_a_patient_the_basic_profile_is_claimed_and_without_what_it_asks_none() {
    let profile = |change: fn(&mut AuditRecord)| {
        let mut record = record(AuditedEvent::Read);
        change(&mut record);
        record.profile().map(|url| url.rsplit('.').next().unwrap().to_owned())
    };
    assert_eq!(profile(|_| {}).as_deref(), Some("PatientRead"));
    assert_eq!(profile(|record| record.patients.clear()).as_deref(), Some("Read"));
    assert_eq!(profile(|record| record.resources.clear()), None);
    assert_eq!(profile(|record| record.outcome = AuditOutcome::SeriousFailure), None);
    assert_eq!(profile(|record| record.event = AuditedEvent::Operation), None);
}

#[test]
fn a_consent_decision_is_an_authz_consent_event() {
    let mut denied = record(AuditedEvent::ConsentDecision);
    denied.outcome = AuditOutcome::SeriousFailure;
    denied.outcome_description = Some("consent denies access".to_owned());
    let event = written(&denied);
    assert!(event["meta"]["profile"][0].as_str().unwrap().ends_with("IHE.BasicAudit.AuthZconsent"));
    assert_eq!(
        (&event["type"]["code"], &event["subtype"][0]["code"]),
        (&json!("110113"), &json!("AuthZ-Consent"))
    );
    assert_eq!((&event["outcome"], &event["outcomeDesc"]), (&json!("8"), &json!("consent denies access")));
    for kind in ["110150", "IRCP", "PROV", "authserver"] {
        assert_eq!(slice(&event, "agent", kind).len(), 1, "{kind}");
    }
    assert_eq!(slice(&event, "agent", "authserver")[0]["who"], event["source"]["observer"]);
    assert!(slice(&event, "agent", "authserver")[0].get("network").is_none());
    let kinds: Vec<_> =
        list(&event, "entity").iter().map(|entity| entity["type"]["code"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["1", "Consent", "UserOauthAgent"], "the profile's slicing of entities is closed");
    let consent = slice(&event, "entity", "Consent")[0];
    assert_eq!(consent["what"]["reference"], "Consent/7");
    assert_eq!(consent["detail"][0], json!({"type": "provision.provision[0]", "valueString": "permit"}));
    assert_eq!(consent["detail"][1]["type"], "X-Request-Id");
    Arc::make_mut(&mut denied.requester).subject = None;
    assert_eq!(denied.profile(), None, "the profile wants a person");
}

#[test]
fn one_record_for_each_patient() {
    let mut search = record(AuditedEvent::SearchType);
    search.patients.push(AuditPatient {
        reference: None,
        identifier: Some(BusinessIdentifier::new("http://hl7.it/sid/codiceFiscale", "GTWGWY82B42G920M")),
    });
    let records = search.clone().per_patient();
    let ids: Vec<_> = records.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(ids, [format!("{}-1", search.id), format!("{}-2", search.id)]);
    assert!(
        records
            .iter()
            .all(|record| record.profile().unwrap().ends_with("PatientQuery") && record.id.len() <= 64)
    );
    assert_eq!(
        slice(&written(&records[1]), "entity", "1")[0]["what"],
        json!({"type": "Patient", "identifier": {"system": "http://hl7.it/sid/codiceFiscale", "value": "GTWGWY82B42G920M"}})
    );
    assert!(search.profile().unwrap().ends_with(".Query"), "not one patient: the pattern without");
    assert_eq!(record(AuditedEvent::Read).per_patient().len(), 1);
}

#[test]
fn what_the_gateway_did_is_told_without_content() {
    let event = written(&record(AuditedEvent::SearchType));
    let done = slice(&event, "entity", "4");
    assert_eq!(
        done[0]["detail"],
        json!([
            {"type": "trace", "valueString": "4bf92f3577b34da6a3ce929d0e0e4736"},
            {"type": "mapped", "valueString": "codice-fiscale"},
            {"type": "policy", "valueString": "permit: wards"},
            {"type": "entries-returned", "valueString": "3"},
            {"type": "entries-withheld", "valueString": "1"},
        ])
    );
    assert_eq!(event["recorded"], "2026-05-01T12:00:00.123Z");
}

#[test]
fn a_caller_that_is_not_known_is_called_so() {
    let mut refused = record(AuditedEvent::Read);
    refused.requester = Arc::default();
    refused.outcome = AuditOutcome::MinorFailure;
    refused.token_id = None;
    (refused.patients, refused.resources, refused.consents) = (Vec::new(), Vec::new(), Vec::new());
    (refused.request_id, refused.processing) = (None, AuditProcessing::default());
    let event = written(&refused);
    assert_eq!(event["agent"][0]["who"], json!({"display": "not identified"}));
    assert_eq!(event["agent"][0]["requestor"], true);
    assert_eq!(list(&event, "agent").len(), 2);
    assert!(event.get("entity").is_none() && event.get("meta").is_none());
}

/// Every kind of record, complete, refused, and stripped to what must be there.
#[test]
fn every_record_is_a_valid_r4_audit_event() {
    let validator = crate::validation::Validator::new(fhir_models::definition::Definitions::r4());
    for &event in ALL {
        let complete = record(event);
        let mut refused = complete.clone();
        refused.outcome = AuditOutcome::SeriousFailure;
        refused.outcome_description = Some("consent denies access".to_owned());
        let mut bare = complete.clone();
        bare.requester = Arc::default();
        (bare.patients, bare.resources, bare.consents) = (Vec::new(), Vec::new(), Vec::new());
        (bare.request_id, bare.token_id, bare.query) = (None, None, None);
        Arc::make_mut(&mut bare.recorder).site = None;
        bare.processing = AuditProcessing::default();
        for record in [complete, refused, bare] {
            let document = OwnedDocument::parse_json(record.to_fhir_json(), &Limits::default()).unwrap();
            // The BALP profiles themselves are not at hand: their constraints are checked one by one above.
            let mut report = validator.validate(document.document());
            report.issues.retain(|issue| issue.code != IssueType::NotFound);
            assert!(report.issues.is_empty(), "{event:?}: {:#?}\n{}", report.issues, document.text());
            let broken = document.text().replace("\"requestor\"", "\"richiedente\"");
            let broken = OwnedDocument::parse_json(broken, &Limits::default()).unwrap();
            assert!(!validator.validate(broken.document()).is_valid(), "the validator knows AuditEvent");
        }
    }
}

#[test]
fn an_access_is_read_back_from_its_event() {
    let read = |record: &AuditRecord| {
        let document = OwnedDocument::parse_json(record.to_fhir_json(), &Limits::default()).unwrap();
        Access::of(document.root())
    };
    let mut original = record(AuditedEvent::Read);
    original.processing.withheld = Some(0);
    let access = read(&original);
    assert_eq!(access.person, original.requester.subject);
    assert_eq!(access.name.as_deref(), Some("Mario Rossi"));
    assert_eq!((&access.roles, &access.purposes), (&original.requester.roles, &original.requester.purposes));
    assert_eq!(access.organizations, original.requester.organizations);
    assert_eq!(access.countries(), ["IT"]);
    assert_eq!(access.application.as_deref(), Some("portale-medici"));
    assert_eq!(access.address.as_deref(), Some("192.0.2.7"));
    assert_eq!((access.interaction.as_str(), access.decision), ("read", AccessDecision::Given));
    assert_eq!(access.categories, ["DocumentReference"]);
    assert_eq!(
        (access.patients, access.resources),
        (vec!["Patient/p1".to_owned()], vec!["DocumentReference/5".to_owned()])
    );
    let mut search = record(AuditedEvent::SearchType);
    assert_eq!(read(&search).decision, AccessDecision::GivenInPart);
    assert_eq!(read(&search).categories, ["DocumentReference"]);
    search.outcome = AuditOutcome::SeriousFailure;
    search.outcome_description = Some("hidden from the caller by consent".to_owned());
    Arc::make_mut(&mut search.requester).subject = None;
    let denied = read(&search);
    assert_eq!(denied.decision, AccessDecision::NotGiven);
    assert_eq!(denied.reason.as_deref(), Some("hidden from the caller by consent"));
    assert_eq!((denied.person, denied.application.as_deref()), (None, Some("portale-medici")));
    assert_eq!(denied.purposes, original.requester.purposes);
}

#[test]
fn a_record_is_found_under_its_patients_and_the_one_that_was_asked_for() {
    let found = |record: &AuditRecord| {
        let mut found = Vec::new();
        record.each_term(|parameter, value, system| {
            if parameter == "patient" {
                found.push(format!("{system}/{value}"));
            }
        });
        found
    };
    let mut read = record(AuditedEvent::Read);
    assert_eq!(found(&read), ["Patient/p1"]);
    read.resources[0].reference = "Patient/p2/_history/3".to_owned();
    assert_eq!(found(&read), ["Patient/p1", "Patient/p2"]);
    read.patients.clear();
    assert_eq!(found(&read), ["Patient/p2"], "nothing was answered");
    read.resources[0].reference = "Observation/o1".to_owned();
    assert_eq!(found(&read), Vec::<String>::new());
}
