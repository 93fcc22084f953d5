#![allow(clippy::unwrap_used)]

use fhir_models::document::{Limits, OwnedDocument};
use proptest::prelude::*;

use super::*;
use crate::access::{PatientLink, PatientReference};
use crate::consent::LiteralReference;

fn patients_of() -> PatientsOf {
    PatientsOf::from_definitions(Definitions::r4())
}

fn patients(text: &str) -> Patients {
    let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
    patients_of().of(document.root(), &["https://h1.example/fhir".to_owned()])
}

/// Each link as role, patient and identifier values.
fn shown(text: &str) -> Vec<String> {
    let link = |link: &PatientLink| {
        let role = match &link.role {
            PatientRole::Subject => "subject",
            PatientRole::Participant(parameter) => parameter,
            PatientRole::Mentioned => "mentioned",
        };
        let patient = match &link.patient {
            PatientReference::Literal(literal) => literal.as_str().to_owned(),
            PatientReference::Group(literal) => format!("members of {}", literal.as_str()),
            other => format!("{other:?}"),
        };
        let identifiers: String = link.identifiers.iter().map(|own| format!(" {}", own.value)).collect();
        format!("{role}: {patient}{identifiers}")
    };
    patients(text).links.iter().map(link).collect()
}

fn unattributed(text: &str) -> usize {
    patients(text).unattributed.len()
}

#[test]
fn the_subject_is_told_from_other_roles() {
    let text = r#"{"resourceType":"AllergyIntolerance","patient":{"reference":"Patient/a"},
        "recorder":{"reference":"Patient/a"},"asserter":{"reference":"Patient/b"},
        "extension":[{"url":"x","valueReference":{"reference":"Patient/c"}}]}"#;
    assert_eq!(
        shown(text),
        ["subject: Patient/a", "asserter: Patient/b", "recorder: Patient/a", "mentioned: Patient/c"]
    );
}

#[test]
fn a_patient_is_its_own_and_linked_ones_are_named() {
    let text = r#"{"resourceType":"Patient","id":"a","identifier":[{"system":"s","value":"RSS"}],
        "link":[{"other":{"reference":"Patient/b"},"type":"seealso"}],
        "generalPractitioner":[{"reference":"Practitioner/p"}]}"#;
    assert_eq!(shown(text), ["subject: Patient/a RSS", "link: Patient/b"]);
    assert_eq!(shown(r#"{"resourceType":"Patient"}"#), ["subject: Itself"]);
}

#[test]
fn resources_outside_the_compartment_are_nobodys() {
    for text in [
        r#"{"resourceType":"Organization","partOf":{"reference":"Organization/1"}}"#,
        r#"{"resourceType":"Practitioner","id":"1"}"#,
        r#"{"resourceType":"OperationOutcome"}"#,
        r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Location"}}]}"#,
    ] {
        assert!(patients(text).is_nobodys(), "{text}");
    }
}

#[test]
fn types_that_r4_forgot_have_their_patient_too() {
    assert_eq!(shown(r#"{"resourceType":"Task","for":{"reference":"Patient/a"}}"#), ["subject: Patient/a"]);
    assert_eq!(
        shown(r#"{"resourceType":"Device","patient":{"reference":"Patient/a"}}"#),
        ["subject: Patient/a"]
    );
    assert!(patients(r#"{"resourceType":"Device"}"#).is_nobodys());
}

#[test]
fn who_is_not_said_is_not_nobody() {
    for text in [
        r#"{"resourceType":"Observation"}"#,
        r#"{"resourceType":"Binary","contentType":"application/pdf"}"#,
        r#"{"resourceType":"Binary","securityContext":{"reference":"DocumentReference/5"}}"#,
        r#"{"resourceType":"Invented","subject":{"reference":"Device/1"}}"#,
        r#"{"resourceType":"Appointment","participant":[{"actor":{"display":"Dott.ssa Bianchi"}}]}"#,
        r#"{"resourceType":"Parameters","parameter":[{"resource":{"resourceType":"Condition"}}]}"#,
        r#"{"resourceType":"Provenance","target":[{"reference":"Observation/1"}]}"#,
        r#"{"resourceType":"AuditEvent","entity":[{"what":{"reference":"Observation/1"}}]}"#,
        r#"{"resourceType":"Task","focus":{"reference":"ServiceRequest/1"}}"#,
    ] {
        assert_eq!(unattributed(text), 1, "{text}");
    }
    let device = r#"{"resourceType":"Observation","subject":{"reference":"Device/1"}}"#;
    assert!(patients(device).is_nobodys());
}

#[test]
fn every_way_to_name_a_patient_is_read() {
    let subject =
        |reference: &str| shown(&format!(r#"{{"resourceType":"Condition","subject":{reference}}}"#));
    for (reference, expected) in [
        (r#"{"reference":"Patient/a/_history/3"}"#, "subject: Patient/a"),
        (r#"{"reference":"https://h1.example/fhir/Patient/a"}"#, "subject: Patient/a"),
        (
            r#"{"reference":"https://h1.example.evil.org/fhir/Patient/a"}"#,
            "subject: https://h1.example.evil.org/fhir/Patient/a",
        ),
        (r#"{"reference":"urn:uuid:0b8f"}"#, "subject: urn:uuid:0b8f"),
        (r#"{"identifier":{"system":"s","value":"RSS"}}"#, "subject: Identified RSS"),
        (r#"{"reference":"Patient/a","identifier":{"value":"RSS"}}"#, "subject: Patient/a RSS"),
        (r#"{"reference":"Group/g"}"#, "subject: members of Group/g"),
        (r#"{"reference":"Patient?identifier=x"}"#, "subject: Unresolved"),
        (r#"{"reference":"../Patient/a"}"#, "subject: Unresolved"),
        (r#"{"display":"Mario Rossi"}"#, "subject: Unresolved"),
        (r##"{"reference":"#nobody"}"##, "subject: Unresolved"),
        (r#"{"reference":5}"#, "subject: Unresolved"),
        (r#""Patient/a""#, "subject: Unresolved"),
    ] {
        assert_eq!(subject(reference), [expected], "{reference}");
    }
    assert_eq!(subject(r#"{"type":"Device","identifier":{"value":"1"}}"#), [""; 0]);
}

#[test]
fn a_contained_patient_is_known_by_its_identifiers() {
    let text = r##"{"resourceType":"Observation","contained":[
          {"resourceType":"Patient","id":"p","identifier":[{"system":"s","value":"RSS"}]},
          {"resourceType":"Specimen","id":"s","subject":{"reference":"#p"}}],
        "subject":{"reference":"#p"}}"##;
    assert_eq!(shown(text), ["subject: Contained RSS"]);
    assert_eq!(unattributed(text), 0);
    let unused = r#"{"resourceType":"Observation","subject":{"reference":"Patient/a"},
        "contained":[{"resourceType":"Patient","id":"p","identifier":[{"value":"VRD"}]}]}"#;
    assert_eq!(shown(unused), ["subject: Patient/a", "mentioned: Contained VRD"]);
}

#[test]
fn data_inside_data_is_looked_at_by_its_own_type() {
    let text = r##"{"resourceType":"Bundle","type":"document","entry":[
        {"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient","identifier":[{"value":"RSS"}]}},
        {"fullUrl":"urn:uuid:2","resource":{"resourceType":"Practitioner"}},
        {"resource":{"resourceType":"Observation","subject":{"reference":"urn:uuid:1"},"performer":[{"reference":"urn:uuid:2"}]}},
        {"resource":{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Parameters","parameter":[
            {"name":"x","part":[{"name":"y","resource":{"resourceType":"Flag","subject":{"reference":"Patient/b"}}}]}]}}]}}]}"##;
    assert_eq!(shown(text), ["subject: Itself RSS", "subject: Patient/b"]);
    assert_eq!(unattributed(text), 0);
}

#[test]
fn a_full_url_cannot_turn_a_patient_into_something_else() {
    let text = r#"{"resourceType":"Bundle","entry":[
        {"fullUrl":"https://h1.example/fhir/Patient/a","resource":{"resourceType":"Device"}},
        {"fullUrl":"urn:uuid:1","resource":{"resourceType":"Device"}},
        {"fullUrl":"urn:uuid:1","resource":{"resourceType":"Organization"}},
        {"resource":{"resourceType":"Flag","subject":{"reference":"https://h1.example/fhir/Patient/a"}}},
        {"resource":{"resourceType":"Flag","subject":{"reference":"urn:uuid:1"}}}]}"#;
    assert_eq!(shown(text), ["subject: Patient/a", "subject: urn:uuid:1"]);
}

#[test]
fn an_unclear_actor_is_no_patient_and_a_clear_one_is() {
    let text = r#"{"resourceType":"Appointment","participant":[
        {"actor":{"display":"Dott.ssa Bianchi"}},{"actor":{"reference":"Practitioner/1"}},
        {"actor":{"reference":"Patient/a"}},{"actor":{"type":"Patient","identifier":{"value":"RSS"}}}]}"#;
    assert_eq!(shown(text), ["subject: Patient/a", "subject: Identified RSS"]);
    let audit = r#"{"resourceType":"AuditEvent","agent":[{"who":{"identifier":{"value":"x"}}},{"who":{"reference":"Patient/b"}}],
        "entity":[{"what":{"reference":"Patient/a"}},{"what":{"reference":"Observation/1"}}]}"#;
    assert_eq!(shown(audit), ["subject: Patient/a", "patient: Patient/b"]);
}

#[test]
fn every_expression_of_the_compartment_is_read() {
    let definitions = Definitions::r4();
    let compartment = definitions.compartment("Patient").unwrap();
    let mut elements = 0;
    for kind in compartment.types() {
        for code in compartment.parameters(kind) {
            let parameters = definitions.search_parameters(kind);
            let parameter = parameters.iter().find(|own| own.code == *code).unwrap();
            let found = element_paths(kind, parameter.expression.as_deref().unwrap());
            assert_eq!((found.unread, found.paths.is_empty()), (0, false), "{kind}.{code}");
            elements += found.paths.len();
        }
    }
    assert!(elements > 100, "{elements}");
}

/// A JSON value made of the members that decide here, well-formed as a resource or not.
fn odd_resource() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[a-d]".prop_map(|id| format!(r#"{{"reference":"Patient/{id}"}}"#)),
        "[a-d]".prop_map(|id| format!(r##"{{"reference":"#{id}","type":"Patient"}}"##)),
        Just(r#"{"reference":"Practitioner/p","identifier":{"value":"x"}}"#.to_owned()),
        Just(r#""text""#.to_owned()),
        Just("5".to_owned()),
        Just("null".to_owned()),
    ];
    leaf.prop_recursive(5, 30, 4, |inner| {
        let kinds =
            prop::sample::select(vec!["Observation", "Bundle", "Patient", "Parameters", "Binary", "X"]);
        let keys = prop::sample::subsequence(
            vec![
                "subject",
                "contained",
                "entry",
                "resource",
                "performer",
                "link",
                "other",
                "parameter",
                "id",
                "odd",
            ],
            0..4,
        );
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            (prop::option::of(kinds), keys, prop::collection::vec(inner, 4)).prop_map(
                |(kind, keys, values)| {
                    let mut members: Vec<String> =
                        keys.iter().zip(&values).map(|(key, value)| format!(r#""{key}":{value}"#)).collect();
                    members.extend(kind.map(|kind| format!(r#""resourceType":"{kind}""#)));
                    format!("{{{}}}", members.join(","))
                }
            ),
        ]
    })
}

proptest! {
    #[test]
    fn no_patient_that_is_referred_to_is_left_out(text in odd_resource()) {
        let found = patients(&text);
        for id in ["a", "b", "c", "d"] {
            if text.contains(&format!(r#"{{"reference":"Patient/{id}"}}"#)) {
                let own = LiteralReference::parse(&format!("Patient/{id}")).unwrap();
                prop_assert!(found.links.iter().any(|link| link.patient == PatientReference::Literal(own.clone())));
            }
        }
    }
}
