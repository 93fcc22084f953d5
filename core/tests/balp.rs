//! Audit records against the Basic Audit Log Patterns (IHE ITI BALP 1.1.3, §3:5.7.3): each pattern as a profile in our own
//! words, under its canonical URL, so that a record that claims one is held to it by our own validator.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument};
use serde_json::{Value, json};
use varco_core::audit::{
    AuditConsent, AuditOutcome, AuditPatient, AuditProcessing, AuditRecord, AuditRecorder, AuditResource,
    AuditedEvent, NetworkAddress,
};
use varco_core::requester::{BusinessIdentifier, Code, Requester};
use varco_core::validation::Validator;

const CANONICAL: &str = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.";
const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
const PROVENANCE: &str = "http://terminology.hl7.org/CodeSystem/provenance-participant-type";
const ENTITY_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const OBJECT_ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const BASIC_ENTITY: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType";

/// What a pattern asks for: name, action, codes of the subtype, types of client, server and person, and whether the entity
/// is a query.
struct Pattern {
    name: &'static str,
    action: &'static str,
    subtypes: &'static [&'static str],
    client: (&'static str, &'static str),
    server: (&'static str, &'static str),
    user: &'static str,
    query: bool,
}

const PATTERNS: &[Pattern] = &[
    Pattern {
        name: "Read",
        action: "R",
        subtypes: &["read", "vread"],
        client: (DCM, "110152"),
        server: (DCM, "110153"),
        user: "IRCP",
        query: false,
    },
    Pattern {
        name: "Query",
        action: "E",
        subtypes: &["search", "search-type", "search-system"],
        client: (DCM, "110153"),
        server: (DCM, "110152"),
        user: "IRCP",
        query: true,
    },
    Pattern {
        name: "Create",
        action: "C",
        subtypes: &["create"],
        client: (DCM, "110153"),
        server: (DCM, "110152"),
        user: "AUT",
        query: false,
    },
    Pattern {
        name: "Update",
        action: "U",
        subtypes: &["update", "patch"],
        client: (DCM, "110153"),
        server: (DCM, "110152"),
        user: "AUT",
        query: false,
    },
    Pattern {
        name: "Delete",
        action: "D",
        subtypes: &["delete"],
        client: (DCM, "110150"),
        server: (PROVENANCE, "custodian"),
        user: "AUT",
        query: false,
    },
];

/// Elements of one slice, told by the coding of its type.
fn slice(of: &str, name: &str, bounds: (u32, &str), kind: Value, more: &[(&str, Value)]) -> Vec<Value> {
    let id = format!("AuditEvent.{of}:{name}");
    let path = format!("AuditEvent.{of}");
    let mut elements = vec![
        json!({ "id": id, "path": path, "sliceName": name, "min": bounds.0, "max": bounds.1 }),
        json!({ "id": format!("{id}.type"), "path": format!("{path}.type"), "min": 1,
            (if of == "agent" { "patternCodeableConcept" } else { "patternCoding" }): kind }),
    ];
    for (element, rule) in more {
        let mut whole = json!({ "id": format!("{id}.{element}"), "path": format!("{path}.{element}") });
        whole.as_object_mut().unwrap().extend(rule.as_object().unwrap().clone());
        elements.push(whole);
    }
    elements
}

fn profile(pattern: &Pattern, patient: bool) -> String {
    let name = format!("{}{}", if patient { "Patient" } else { "" }, pattern.name);
    let by_type = json!({ "discriminator": [{ "type": "pattern", "path": "type" }], "rules": "open" });
    let agent = |(system, code): (&str, &str)| json!({ "coding": [{ "system": system, "code": code }] });
    let coded = |system: &str, code: &str| json!({ "system": system, "code": code });
    let machine =
        [("who", json!({ "min": 1 })), ("media", json!({ "max": "0" })), ("network", json!({ "min": 1 }))];
    let mut elements = vec![
        json!({ "id": "AuditEvent.type", "path": "AuditEvent.type",
            "patternCoding": coded("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest") }),
        json!({ "id": "AuditEvent.subtype", "path": "AuditEvent.subtype", "min": 1,
            "constraint": [{ "key": "subtype-of-pattern", "severity": "error", "human": "the subtype is of the pattern",
                "expression": pattern.subtypes.iter().map(|code| format!("code = '{code}'")).collect::<Vec<_>>().join(" or ") }] }),
        json!({ "id": "AuditEvent.action", "path": "AuditEvent.action", "min": 1, "fixedCode": pattern.action }),
        json!({ "id": "AuditEvent.outcome", "path": "AuditEvent.outcome", "min": 1, "fixedCode": "0" }),
        json!({ "id": "AuditEvent.agent", "path": "AuditEvent.agent", "min": 2, "slicing": by_type }),
    ];
    elements.extend(slice("agent", "client", (1, "1"), agent(pattern.client), &machine));
    elements.extend(slice("agent", "server", (1, "1"), agent(pattern.server), &machine));
    elements.extend(slice(
        "agent",
        "user",
        (0, "1"),
        agent((PARTICIPATION, pattern.user)),
        &[
            ("who", json!({ "min": 1 })),
            ("requestor", json!({ "fixedBoolean": true })),
            ("media", json!({ "max": "0" })),
            ("network", json!({ "max": "0" })),
        ],
    ));
    elements.push(
        json!({ "id": "AuditEvent.entity", "path": "AuditEvent.entity", "min": 1, "slicing": by_type }),
    );
    elements.extend(slice(
        "entity",
        "transaction",
        (0, "1"),
        coded(BASIC_ENTITY, "XrequestId"),
        &[
            ("what", json!({ "min": 1 })),
            ("what.identifier", json!({ "min": 1 })),
            ("what.identifier.value", json!({ "min": 1 })),
        ],
    ));
    let (role, has, hasnt) = if pattern.query { ("24", "query", "what") } else { ("4", "what", "query") };
    elements.extend(slice(
        "entity",
        "object",
        (1, "1"),
        coded(ENTITY_TYPE, "2"),
        &[
            // In the order of the specification: what, role, query.
            (
                if has == "what" { has } else { hasnt },
                json!(if has == "what" { json!({ "min": 1 }) } else { json!({ "max": "0" }) }),
            ),
            ("role", json!({ "min": 1, "patternCoding": coded(OBJECT_ROLE, role) })),
            ("query", json!(if has == "query" { json!({ "min": 1 }) } else { json!({ "max": "0" }) })),
        ],
    ));
    if patient {
        elements.extend(slice(
            "entity",
            "patient",
            (1, "1"),
            coded(ENTITY_TYPE, "1"),
            &[
                ("what", json!({ "min": 1 })),
                ("role", json!({ "min": 1, "patternCoding": coded(OBJECT_ROLE, "1") })),
            ],
        ));
    }
    json!({
        "resourceType": "StructureDefinition", "url": format!("{CANONICAL}{name}"), "name": name, "status": "draft",
        "kind": "resource", "abstract": false, "type": "AuditEvent", "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/AuditEvent",
        "differential": { "element": elements },
    })
    .to_string()
}

fn validator() -> Validator {
    let mut builder = Definitions::builder();
    for pattern in PATTERNS {
        for patient in [false, true] {
            let file = format!("{}-{patient}.json", pattern.name);
            assert!(builder.definition(&file, profile(pattern, patient).as_bytes()).unwrap());
        }
    }
    Validator::new(Arc::new(builder.build().unwrap()))
}

fn record(event: AuditedEvent) -> AuditRecord {
    let query = event == AuditedEvent::SearchType;
    AuditRecord {
        id: "0199f0a2-3b1c-7d00-8000-000000000001".to_owned(),
        recorded: "2026-05-01T12:00:00.123Z".parse().unwrap(),
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
            site: Some("030943".to_owned()),
            ..AuditRecorder::of(
                BusinessIdentifier::new("http://hl7.it/sid/hsp", "030943"),
                "https://h1.example/fhir",
            )
        }),
        patients: vec![AuditPatient { reference: Some("Patient/p1".to_owned()), identifier: None }],
        resources: match query {
            true => Vec::new(),
            false => vec![AuditResource { reference: "DocumentReference/5".to_owned(), labels: Vec::new() }],
        },
        query: query.then(|| "GET https://h1.example/fhir/DocumentReference?patient=Patient/p1".to_owned()),
        request_id: Some("cc6d168e-5871-11ec-bf63-0242ac130002".to_owned()),
        consents: vec![AuditConsent {
            consent: "Consent/7".to_owned(),
            provision: "provision.provision[0]".to_owned(),
            effect: "permit".to_owned(),
        }],
        processing: AuditProcessing { returned: Some(3), withheld: Some(1), ..AuditProcessing::default() },
    }
}

/// Every issue, in a line each.
fn issues(validator: &Validator, event: &str) -> Vec<String> {
    let document = OwnedDocument::parse_json(event, &Limits::default()).unwrap();
    let issue = |issue: varco_core::outcome::Issue| format!("{:?} {:?}", issue.expression, issue.message);
    validator.validate(document.document()).issues.into_iter().map(issue).collect()
}

fn text(record: &AuditRecord) -> String {
    String::from_utf8(record.to_fhir_json()).unwrap()
}

const CLAIMING: &[AuditedEvent] = &[
    AuditedEvent::Read,
    AuditedEvent::Vread,
    AuditedEvent::SearchType,
    AuditedEvent::Create,
    AuditedEvent::Update,
    AuditedEvent::Patch,
    AuditedEvent::Delete,
];

#[test]
fn a_record_follows_the_pattern_that_it_claims() {
    let validator = validator();
    for &event in CLAIMING {
        let whole = record(event);
        let mut without_patient = whole.clone();
        without_patient.patients.clear();
        let mut of_a_system = whole.clone();
        Arc::make_mut(&mut of_a_system.requester).subject = None;
        let mut broken_glass = whole.clone();
        Arc::make_mut(&mut broken_glass.requester).purposes =
            vec![Code::new("http://terminology.hl7.org/CodeSystem/v3-ActReason", "BTG")];
        for record in [whole, without_patient, of_a_system, broken_glass] {
            assert!(record.profile().is_some_and(|url| url.starts_with(CANONICAL)), "{event:?}");
            assert_eq!(
                issues(&validator, &text(&record)),
                Vec::<String>::new(),
                "{event:?}: {}",
                text(&record)
            );
        }
    }
}

#[test]
fn a_denied_request_claims_no_pattern_and_is_a_valid_event() {
    let validator = validator();
    for &event in CLAIMING {
        let mut denied = record(event);
        denied.outcome = AuditOutcome::SeriousFailure;
        denied.outcome_description = Some("hidden from the caller by consent".to_owned());
        assert_eq!(denied.profile(), None);
        assert_eq!(issues(&validator, &text(&denied)), Vec::<String>::new(), "{event:?}");
    }
}

/// The profiles above find what they are for: a record that lacks a part does not follow the pattern that it claims.
#[test]
fn a_record_that_lacks_a_part_is_found_out() {
    let validator = validator();
    for &event in CLAIMING {
        let good = text(&record(event));
        let server = if event == AuditedEvent::Delete { "custodian" } else { "\"110153\"" };
        let object = if event == AuditedEvent::SearchType { "\"24\"" } else { "\"4\"" };
        for (part, by) in [
            ("\"outcome\":\"0\"", "\"outcome\":\"8\""),
            (server, if event == AuditedEvent::Delete { "enterer" } else { "\"110155\"" }),
            ("\"network\":{\"address\":\"192.0.2.7\",\"type\":\"2\"}", "\"altId\":\"x\""),
            ("\"code\":\"1\",\"display\":\"Person\"", "\"code\":\"3\",\"display\":\"Organization\""),
            ("\"requestor\":true", "\"requestor\":false"),
            (object, "\"2\""),
        ] {
            let bad = good.replacen(part, by, 1);
            assert_ne!(bad, good, "{event:?}: {part} in {good}");
            assert!(!issues(&validator, &bad).is_empty(), "{event:?}: {part} is missed: {bad}");
        }
    }
}
