//! What plugins may ask of the gateway: answers, and bounds that hold whatever they ask.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{sync::Arc, time::Duration};

use fhir_models::document::{Limits, OwnedDocument};
use serde_json::{Value, json};
use support::{CallsAt, READ, component, engine, hostile, load, manifest};
use varco_core::terminology::concept_map::ConceptMap;
use varco_plugin_host::{
    Deployment, Hook, LoadError, Manifest, Plugin, PluginEngine, PluginError, PseudonymKey, Verdict,
};

const NOW: Duration = Duration::ZERO;
const LOCAL: &str = "http://example.org/fhir/CodeSystem/laboratory";
const MAP: &str = "http://example.org/fhir/ConceptMap/laboratory";

/// The sample with all the time there is, deployed like this.
fn deployed(engine: &PluginEngine, sample: &str, deployment: Deployment) -> Result<Plugin, LoadError> {
    let mut manifest = manifest(sample);
    manifest["limits"]["deadline_ms"] = 1000.into();
    let manifest = Manifest::parse(&manifest.to_string()).unwrap();
    Plugin::load_with(engine, manifest, &component(sample), deployment)
}

fn json_of(verdict: Result<Verdict, PluginError>) -> Value {
    let Ok(Verdict::Replace(body)) = verdict else { panic!("{verdict:?}") };
    serde_json::from_slice(body.bytes()).unwrap()
}

/// The hostile sample's report of what a question about this body gave.
fn answer(question: &str, body: &str) -> String {
    let plugin = load(&engine(), "hostile", |manifest| {
        manifest["settings"] = json!({ "behaviour": "ask", "question": question });
        manifest["limits"]["deadline_ms"] = 1000.into();
    })
    .unwrap();
    json_of(plugin.on_request(&READ, body.as_bytes(), NOW))["answer"].as_str().unwrap().to_owned()
}

const OBSERVATION: &str = r#"{"resourceType":"Observation","status":"final","valueQuantity":{"value":13.50,"unit":"g/dL"},
    "effectiveDateTime":"2026-01-31","code":{"coding":[{"code":"718-7","userSelected":true}]},"_issued":{"extension":[{"url":"urn:x"}]}}"#;

#[test]
fn fhirpath_answers_with_types_and_the_digits_of_the_source() {
    for (question, expected) in [
        ("value.value", "decimal 13.50"),
        ("status", "code final"),
        ("effective", "dateTime 2026-01-31"),
        ("code.coding.code | code.coding.userSelected", "code 718-7; boolean true"),
        ("code.coding.count() + 1", "integer 2"),
        ("value", "Quantity {'value':13.50,'unit':'g/dL'}"),
        ("issued", "instant nothing"),
        ("note", ""),
        ("value..value", "no expression"),
        ("(1 | 2).single()", "Error::Failed"),
        ("now()", "Error::Failed"),
    ] {
        assert_eq!(answer(question, OBSERVATION), expected, "{question}");
    }
    assert_eq!(answer("status", "{\"a\":1}"), "Error::NotFhir");
    assert_eq!(answer("status", "<Patient/>"), "Error::NotFhir");
}

#[test]
fn questions_are_bounded_in_length_depth_cost_and_number() {
    let plugin = hostile(&engine(), "long-question");
    let many = (0..500).map(|number| json!({ "linkId": format!("{number}"), "text": "a" }));
    let body =
        json!({ "resourceType": "Questionnaire", "status": "active", "item": many.collect::<Vec<_>>() });
    assert_eq!(plugin.on_request(&READ, body.to_string().as_bytes(), NOW), Ok(Verdict::Pass));
}

#[test]
fn slow_questions_without_end_are_stopped_at_the_deadline() {
    let plugin =
        load(&engine(), "hostile", |manifest| manifest["settings"]["behaviour"] = "costly-questions".into());
    let error = plugin.unwrap().on_request(&READ, OBSERVATION.as_bytes(), NOW).unwrap_err();
    assert!(matches!(error, PluginError::Deadline { .. }), "{error}");
}

#[test]
fn a_flood_of_calls_to_the_host_is_stopped_at_the_deadline() {
    let plugin =
        load(&engine(), "hostile", |manifest| manifest["settings"]["behaviour"] = "host-flood".into())
            .unwrap();
    let error = plugin.on_request(&READ, OBSERVATION.as_bytes(), NOW).unwrap_err();
    assert!(matches!(error, PluginError::Deadline { .. }), "{error}");
    assert_eq!(plugin.counters().log_lines, 8);
}

#[test]
fn counters_beside_those_of_the_manifest_are_dropped_and_counted() {
    let plugin = hostile(&engine(), "counter-flood");
    assert_eq!(plugin.on_request(&READ, OBSERVATION.as_bytes(), NOW), Ok(Verdict::Pass));
    let own: Vec<_> = plugin.own_counters().collect();
    assert_eq!(own, [("flood", 500 * u64::from(u32::MAX))]);
    assert_eq!(plugin.counters().counts_dropped, 501);
}

#[test]
fn an_enrichment_adds_the_standard_code_beside_the_local_one() {
    let map = json!({ "resourceType": "ConceptMap", "url": MAP, "status": "active", "group": [{
        "source": LOCAL, "target": "http://loinc.org",
        "element": [{ "code": "HB", "target": [{ "code": "718-7", "equivalence": "equivalent" }] }] }] });
    let document = OwnedDocument::parse_json(map.to_string(), &Limits::default()).unwrap();
    let map = ConceptMap::read(document.root(), &|_| None).unwrap();
    let settings = json!({ "maps": { LOCAL: MAP } }).as_object().unwrap().clone();
    let deployment = Deployment { settings, concept_maps: vec![Arc::new(map)], ..Deployment::default() };
    let plugin = deployed(&engine(), "local-codes", deployment).unwrap();
    let resource = format!(
        r#"{{"resourceType":"Observation","id":"a","code":{{"coding":[{{"system":"{LOCAL}","code":"HB"}}]}},"valueQuantity":{{"value":1.50}}}}"#
    );
    let Ok(Verdict::Replace(made)) = plugin.judge_at(Hook::Enrich, &READ, resource.as_bytes(), NOW) else {
        panic!("nothing was added")
    };
    let made = String::from_utf8(made.bytes().to_vec()).unwrap();
    let expected = resource.replace(r#""HB"}"#, r#""HB"},{"system":"http://loinc.org","code":"718-7"}"#);
    assert_eq!(
        serde_json::from_str::<Value>(&made).unwrap(),
        serde_json::from_str::<Value>(&expected).unwrap()
    );
    assert!(made.contains("1.50"), "what was there is as it was: {made}");
    // Without the operator's map the plugin says so.
    let settings = json!({ "maps": { LOCAL: "urn:other" } }).as_object().unwrap().clone();
    let plugin =
        deployed(&engine(), "local-codes", Deployment { settings, ..Deployment::default() }).unwrap();
    let refused = plugin.judge_at(Hook::Enrich, &READ, resource.as_bytes(), NOW);
    assert!(matches!(refused, Ok(Verdict::Refuse(_))), "{refused:?}");
}

#[test]
fn pseudonyms_are_made_under_the_operator_s_key_alone() {
    let engine = engine();
    let missing = deployed(&engine, "pseudonymiser", Deployment::default()).unwrap_err();
    assert!(matches!(missing, LoadError::NoKey { .. }), "{missing}");
    let patient = br#"{"resourceType":"Patient","id":"a","identifier":[{"system":"urn:x","value":"RSSMRA71E01F205E"}],"name":[{"family":"Rossi"}]}"#;
    let made = |key: [u8; 32]| {
        let key = PseudonymKey::new(&key).unwrap();
        let expected = key.pseudonym("urn:x", "RSSMRA71E01F205E");
        let deployment = Deployment { pseudonym_key: Some(key), ..Deployment::default() };
        let plugin = deployed(&engine, "pseudonymiser", deployment).unwrap();
        let told = json_of(plugin.judge_at(Hook::Transform, &READ, patient, NOW));
        assert_eq!(told["identifier"][0]["value"], expected.as_str());
        assert!(!told.to_string().contains("Rossi"));
        expected
    };
    assert_eq!(made([1; 32]), made([1; 32]));
    assert_ne!(made([1; 32]), made([2; 32]));
}

#[test]
fn a_tax_code_in_free_text_is_found() {
    let plugin = deployed(&engine(), "tax-code-finder", Deployment::default()).unwrap();
    let note = |text: &str| {
        json!({ "resourceType": "Observation", "id": "a", "note": [{ "text": text }] }).to_string()
    };
    let told =
        json_of(plugin.judge_at(Hook::Transform, &READ, note("di RSSMRA71E01F205E, ieri").as_bytes(), NOW));
    assert!(!told.to_string().contains("RSSMRA71E01F205E"), "{told}");
    let clean = note("di RSSMRA71Z01F205E, ieri");
    assert_eq!(plugin.judge_at(Hook::Transform, &READ, clean.as_bytes(), NOW), Ok(Verdict::Pass));
}
