#![allow(clippy::unwrap_used)]

use fhir_models::document::{Limits, OwnedDocument};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

fn document(json: &Json) -> OwnedDocument {
    OwnedDocument::parse_json(json.to_string().into_bytes(), &Limits::default()).unwrap()
}

fn about_anna(kind: &str, id: &str, more: Json) -> Json {
    let anna = json!({ "reference": "Patient/anna" });
    let mut made = json!({ "resourceType": kind, "id": id, "subject": anna, "code": { "text": id } });
    made.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    made
}

fn summarised(parts: &[Json], along: &[Json], notes: &[String]) -> Json {
    let patient =
        document(&json!({ "resourceType": "Patient", "id": "anna", "name": [{ "family": "Forlì" }] }));
    let read = |all: &[Json]| -> Vec<(String, OwnedDocument)> {
        let reference =
            |it: &Json| format!("{}/{}", it["resourceType"].as_str().unwrap(), it["id"].as_str().unwrap());
        all.iter().map(|it| (reference(it), document(it))).collect()
    };
    let (parts, along) = (read(parts), read(along));
    fn shown(all: &[(String, OwnedDocument)]) -> Vec<Part<'_>> {
        all.iter().map(|(reference, own)| Part { reference, resource: own.root() }).collect()
    }
    let summary = PatientSummary {
        base: "https://a.example/fhir",
        time: "2026-03-01T10:00:00Z".parse().unwrap(),
        author: Author { name: "Ospedale <A>", system: "urn:x", value: "a" },
        uuids: Uuids { document: "d", composition: "c", author: "o" },
        patient: Part { reference: "Patient/anna", resource: patient.root() },
        parts: &shown(&parts),
        along: &shown(&along),
        notes,
    };
    serde_json::from_slice(&summary.to_json()).unwrap()
}

fn section<'j>(bundle: &'j Json, code: &str) -> Option<&'j Json> {
    let sections = bundle["entry"][0]["resource"]["section"].as_array().unwrap();
    sections.iter().find(|own| own["code"]["coding"][0]["code"] == code)
}

#[test]
fn a_summary_of_nothing_says_in_each_required_section_that_nothing_is_known() {
    let bundle = summarised(&[], &[], &[]);
    assert_eq!(
        (&bundle["type"], &bundle["timestamp"]),
        (&json!("document"), &json!("2026-03-01T10:00:00.000Z"))
    );
    let composition = &bundle["entry"][0]["resource"];
    assert_eq!(composition["type"]["coding"][0]["code"], "60591-5");
    assert_eq!(composition["subject"]["reference"], "https://a.example/fhir/Patient/anna");
    assert_eq!(composition["author"][0]["reference"], bundle["entry"][2]["fullUrl"]);
    assert_eq!(composition["section"].as_array().unwrap().len(), 3);
    assert_eq!(composition.get("text"), None);
    for code in ["11450-4", "48765-2", "10160-0"] {
        let own = section(&bundle, code).unwrap();
        assert_eq!(own["emptyReason"]["coding"][0]["code"], "unavailable");
        assert!(own["text"]["div"].as_str().unwrap().contains("No information is available"), "{own}");
        assert_eq!(own.get("entry"), None);
    }
}

#[test]
fn each_resource_stands_in_its_section_and_once_in_the_bundle() {
    let category = |code: &str| {
        let system = "http://terminology.hl7.org/CodeSystem/observation-category";
        json!({ "category": [{ "coding": [{ "system": system, "code": code }] }], "status": "final",
            "valueQuantity": { "value": 7.20, "unit": "mmol/L" } })
    };
    let coded = |code: &str| json!({ "coding": [{ "code": code }] });
    let parts = [
        about_anna(
            "Condition",
            "asthma",
            json!({ "clinicalStatus": coded("active"), "onsetDateTime": "2019" }),
        ),
        about_anna("Condition", "fracture", json!({ "clinicalStatus": coded("resolved") })),
        about_anna("Condition", "mistake", json!({ "verificationStatus": coded("entered-in-error") })),
        about_anna("AllergyIntolerance", "nuts", json!({ "criticality": "high" })),
        about_anna("AllergyIntolerance", "refuted", json!({ "verificationStatus": coded("refuted") })),
        json!({ "resourceType": "MedicationStatement", "id": "m", "status": "active",
            "medicationReference": { "reference": "Medication/pill" }, "dosage": [{ "text": "1 in the evening" }] }),
        about_anna("Observation", "glucose", category("laboratory")),
        about_anna("Observation", "pulse", category("vital-signs")),
        about_anna("Observation", "smoker", category("social-history")),
        about_anna("Procedure", "surgery", json!({ "status": "completed" })),
        about_anna("Procedure", "never", json!({ "status": "not-done" })),
        json!({ "resourceType": "CarePlan", "id": "p", "status": "active", "title": "Diet" }),
    ];
    let along = [json!({ "resourceType": "Medication", "id": "pill", "code": { "text": "Pillola" } })];
    let bundle = summarised(&parts, &along, &["One thing is left out.".to_owned()]);
    for (code, entries, words) in [
        ("11450-4", vec!["Condition/asthma"], "<td>asthma</td><td></td><td>2019</td><td>active</td>"),
        ("11348-0", vec!["Condition/fracture"], "resolved"),
        ("48765-2", vec!["AllergyIntolerance/nuts"], "criticality high"),
        ("10160-0", vec!["MedicationStatement/m"], "<td>Pillola</td><td>1 in the evening</td>"),
        ("30954-2", vec!["Observation/glucose"], "<td>7.2 mmol/L</td>"),
        ("8716-3", vec!["Observation/pulse"], "pulse"),
        ("47519-4", vec!["Procedure/surgery"], "completed"),
        ("18776-5", vec!["CarePlan/p"], "Diet"),
    ] {
        let own = section(&bundle, code).unwrap();
        let found: Vec<&str> = own["entry"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| {
                entry["reference"].as_str().unwrap().strip_prefix("https://a.example/fhir/").unwrap()
            })
            .collect();
        assert_eq!(found, entries, "{code}");
        assert!(own["text"]["div"].as_str().unwrap().contains(words), "{own}");
        assert_eq!(own.get("emptyReason"), None);
    }
    assert_eq!(section(&bundle, "11369-6"), None);
    // Composition, patient, eight parts, a medication, the author.
    assert_eq!(bundle["entry"].as_array().unwrap().len(), 12);
    for left_out in ["mistake", "refuted", "smoker", "never"] {
        assert!(!bundle.to_string().contains(left_out), "{left_out}");
    }
    assert!(
        bundle["entry"][0]["resource"]["text"]["div"].as_str().unwrap().contains("One thing is left out.")
    );
}

proptest! {
    #[test]
    fn any_words_make_a_narrative_that_is_xml(words in "\\PC{0,20}[<>&\"\u{0}-\u{20}\u{fffe}]{0,4}\\PC{0,400}") {
        let part = about_anna("Condition", "c", json!({ "code": { "text": words } }));
        let bundle = summarised(&[part], &[], &[]);
        let div = section(&bundle, "11450-4").unwrap()["text"]["div"].as_str().unwrap().to_owned();
        let rows = div.matches("<tr>").count();
        let tags = div.matches('<').count();
        // Two rows of four cells, and what holds them: no more elements than were written.
        prop_assert_eq!((rows, tags), (2, 28));
        prop_assert!(div.chars().all(|own| own >= ' ' || matches!(own, '\t' | '\n' | '\r')));
        prop_assert!(div.len() < 3_000);
    }
}
