//! The short ways around an invariant's evaluation give the same report as its evaluation.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::{Arc, LazyLock};

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::Validator;

static SHORT: LazyLock<Validator> = LazyLock::new(|| Validator::new(Definitions::r4()));
static LONG: LazyLock<Validator> = LazyLock::new(|| {
    let mut validator = Validator::new(Definitions::r4());
    Arc::get_mut(&mut validator.types).unwrap().evaluates_all = true;
    validator
});

fn agree(text: &str) {
    let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
    let (short, long) = (SHORT.validate(document.document()), LONG.validate(document.document()));
    assert_eq!(short, long, "{text}");
}

/// Resources in which invariants have something to decide.
fn samples() -> Vec<Value> {
    let summary: Value = serde_json::from_str(include_str!("../../benches/ips.json")).unwrap();
    let entries = summary["entry"].as_array().unwrap();
    let mut samples: Vec<Value> =
        [0, 1, 4, 10, 13, 14, 25].iter().map(|at: &usize| entries[*at]["resource"].clone()).collect();
    samples.push(serde_json::from_str(include_str!("../../benches/patient.json")).unwrap());
    samples.push(json!({
        "resourceType": "Observation", "id": "a", "status": "final",
        "contained": [
            {"resourceType": "Patient", "id": "p", "gender": "male"},
            {"resourceType": "Organization", "id": "o", "name": "Laboratorio", "partOf": {"reference": "#q"}},
            {"resourceType": "Organization", "id": "q", "name": "Ospedale"},
            {"resourceType": "Device", "deviceName": [{"name": "x", "type": "model-name"}]}
        ],
        "extension": [{"url": "http://example.org/x", "valueUri": "#q"}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": "#p"}, "performer": [{"reference": "#o"}],
        "effectivePeriod": {"start": "2024-01-15T10:00:00+01:00", "end": "2024-01-15T11:00:00+01:00"},
        "component": [{"code": {"text": "b"}, "valueQuantity": {"value": 3, "unit": "g",
            "system": "http://unitsofmeasure.org", "code": "g"}}],
        "referenceRange": [{"low": {"value": 1}, "text": "da 1"}]
    }));
    samples.push(json!({
        "resourceType": "Questionnaire", "status": "draft", "name": "Modulo",
        "contained": [{"resourceType": "ValueSet", "id": "v", "status": "draft"}],
        "item": [
            {"linkId": "1", "type": "choice", "answerValueSet": "#v", "repeats": true},
            {"linkId": "2", "type": "group", "item": [{"linkId": "3", "type": "string", "maxLength": 4}],
             "enableWhen": [{"question": "1", "operator": "exists", "answerBoolean": true}]}
        ]
    }));
    samples.push(json!({
        "resourceType": "Bundle", "type": "transaction-response", "total": 1, "timestamp": "2024-01-15",
        "entry": [
            {"fullUrl": "urn:uuid:9d0e8e5c-2c59-4a5a-9d7c-1c25d8f3b6a1", "response": {"status": "201"},
             "resource": {"resourceType": "Patient", "id": "x", "meta": {"versionId": "1"}}},
            {"fullUrl": "http://example.org/Patient/x", "request": {"method": "GET", "url": "Patient/x"},
             "search": {"mode": "match"}, "resource": {"resourceType": "Patient", "id": "x"}}
        ]
    }));
    samples.push(json!({
        "resourceType": "MedicationRequest", "status": "active", "intent": "order",
        "medicationCodeableConcept": {"text": "ramipril"}, "subject": {"reference": "Patient/1"},
        "dosageInstruction": [{"timing": {"repeat": {"duration": 2, "durationUnit": "h", "durationMax": 3,
            "period": 1, "periodUnit": "d", "periodMax": 2, "count": 1, "countMax": 4, "offset": 3,
            "when": ["C"], "timeOfDay": ["08:00:00"], "boundsPeriod": {"start": "2024", "end": "2023-05"}}},
            "doseAndRate": [{"doseRange": {"low": {"value": 2}, "high": {"value": 1}},
                "rateRatio": {"numerator": {"value": 1}, "denominator": {"value": 2}}}]}],
        "dispenseRequest": {"validityPeriod": {"start": "2024-02-01", "end": "2024-01-01"},
            "expectedSupplyDuration": {"value": 3, "code": "d"}}
    }));
    samples
}

/// Texts that decide something somewhere.
const TEXTS: &[&str] = &[
    "#p",
    "#v",
    "#",
    "a",
    "document",
    "history",
    "searchset",
    "batch",
    "2024-01-15",
    "2023",
    "display",
    "group",
    "2024-01-15T10:30:00Z",
    "entered-in-error",
    "http://unitsofmeasure.org",
    "http://example.org/Patient/x",
];

/// A change at one of the places of a resource.
#[derive(Debug, Clone)]
enum Change {
    Remove,
    Text(usize),
    Clear,
    Twin,
    Double,
}

/// Applies a change to the `at`-th place; counts down.
fn change(value: &mut Value, at: &mut usize, what: &Change) -> bool {
    match value {
        Value::Object(members) => {
            let keys: Vec<String> = members.keys().cloned().collect();
            for key in keys {
                if *at == 0 {
                    apply(members, &key, what);
                    return true;
                }
                *at -= 1;
                if members.get_mut(&key).is_some_and(|member| change(member, at, what)) {
                    return true;
                }
            }
            false
        }
        Value::Array(items) => {
            if *at == 0 && matches!(what, Change::Double) {
                items.extend(items.first().cloned());
                return true;
            }
            items.iter_mut().any(|item| change(item, at, what))
        }
        _ => false,
    }
}

fn apply(members: &mut Map<String, Value>, key: &str, what: &Change) {
    match what {
        Change::Remove => drop(members.remove(key)),
        Change::Text(number) => drop(members.insert(key.to_owned(), json!(TEXTS[number % TEXTS.len()]))),
        Change::Clear => drop(members.insert(key.to_owned(), json!({}))),
        Change::Twin => {
            members.remove(key);
            members.insert(format!("_{key}"), json!({"id": "t"}));
        }
        Change::Double => {
            let own = members.get(key).cloned().unwrap();
            members.insert(key.to_owned(), json!([own.clone(), own]));
        }
    }
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, Change)>> {
    let one = prop_oneof![
        4 => Just(Change::Remove),
        4 => (0usize..TEXTS.len()).prop_map(Change::Text),
        1 => Just(Change::Clear),
        1 => Just(Change::Twin),
        1 => Just(Change::Double),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), one), 0..4)
}

#[test]
fn sound_resources_are_judged_alike() {
    for sample in samples() {
        agree(&sample.to_string());
    }
    agree(include_str!("../../benches/ips.json"));
}

#[test]
fn published_resources_are_judged_alike() {
    let Some(folder) = std::env::var_os("FHIR_WORKLOAD").map(std::path::PathBuf::from) else {
        println!("skipped: set FHIR_WORKLOAD to a folder with NDJSON files");
        return;
    };
    for file in ["examples.ndjson", "synthea.ndjson"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        // Every so-manyth will do: all of them take a debug build a minute.
        text.lines().step_by(5).for_each(agree);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn changed_resources_are_judged_alike(pick: prop::sample::Index, changes in changes()) {
        let samples = samples();
        let mut resource = samples[pick.index(samples.len())].clone();
        for (at, what) in changes {
            change(&mut resource, &mut at.index(60), &what);
        }
        agree(&resource.to_string());
    }
}
