#![allow(clippy::unwrap_used)]

use fhir_models::document::{Limits, OwnedDocument};

use super::*;
use crate::interaction::{ParameterKind, SearchParameter};

fn schema() -> SearchSchema {
    SearchSchema::new(["Patient", "Observation", "Bundle", "Binary", "Parameters"], |_| {
        vec![SearchParameter::new("identifier", ParameterKind::Token)]
    })
}

fn entry(request: &str, resource: &str) -> Result<Asked, InteractionError> {
    let resource = if resource.is_empty() { String::new() } else { format!(",\"resource\":{resource}") };
    let text = format!(
        r#"{{"resourceType":"Bundle","type":"batch","entry":[{{"request":{{{request}}}{resource}}}]}}"#
    );
    let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
    let bases = ["https://here.example/fhir".to_owned()];
    let batch = Batch::parse(document.root(), &bases, &schema(), Handling::Strict).unwrap();
    batch.entries.into_iter().next().unwrap().asked
}

fn get(url: &str) -> Result<String, u16> {
    let asked = entry(&format!(r#""method":"GET","url":"{url}""#), "");
    asked.map(|asked| asked.interaction.to_request().path_and_query).map_err(|error| error.status())
}

#[test]
fn an_entry_is_read_like_a_request() {
    assert_eq!(get("Patient/p%31").as_deref(), Ok("/Patient/p1"));
    assert_eq!(get("Patient?identifier=x").as_deref(), Ok("/Patient?identifier=x"));
    assert_eq!(get("https://here.example/fhir/Patient/p1").as_deref(), Ok("/Patient/p1"));
    let patient = r#"{"resourceType":"Patient"}"#;
    let create = entry(r#""method":"POST","url":"Patient","ifNoneExist":"identifier=a|b""#, patient).unwrap();
    assert!(matches!(create.interaction, Interaction::ConditionalCreate(_)));
    let update = entry(r#""method":"PUT","url":"Patient/p1","ifMatch":"W/\"2\"""#, patient).unwrap();
    assert_eq!(update.headers.if_match.unwrap().as_str(), "2");
    let binary = r#"{"resourceType":"Binary","contentType":"application/json-patch+json"}"#;
    let patch = entry(r#""method":"PATCH","url":"Patient/p1""#, binary).unwrap();
    assert_eq!(patch.headers.patch, Some(super::super::headers::PatchKind::Json));
}

#[test]
fn what_leads_elsewhere_is_refused() {
    for url in [
        "https://here.example/fhir-admin/Patient/p1",
        "https://here.example.evil.example/fhir/Patient/p1",
        "https://other.example/fhir/Patient/p1",
        "//other.example/Patient/p1",
        "/Patient/p1",
        "./Patient/p1",
        "../Patient/p1",
        "Patient/../Observation",
        "Patient%2Fp1",
        "Patient/%2e%2e/Observation",
        "https://here.example/fhir//Patient",
        "https://here.example/fhir",
        "",
        "?identifier=x",
        "metadata",
    ] {
        assert!(get(url).is_err(), "{url}");
    }
    let patient = r#"{"resourceType":"Patient"}"#;
    for request in [
        r#""method":"POST","url":"""#,
        r#""method":"POST","url":"Patient/_search""#,
        r#""method":"POST","url":"Patient","ifMatch":"W/\"1\"""#,
        r#""method":"PUT","url":"Patient/p1","ifNoneExist":"identifier=x""#,
        r#""method":"GET","url":"Patient/p1""#,
        r#""method":"get","url":"Patient/p1""#,
        r#""url":"Patient/p1""#,
    ] {
        assert!(entry(request, patient).is_err(), "{request}");
    }
    assert!(entry(r#""method":"PUT","url":"Patient/p1""#, "").is_err());
}

#[test]
fn a_bundle_that_is_no_batch_is_refused_whole() {
    for text in [
        r#"{"resourceType":"Patient"}"#,
        r#"{"resourceType":"Bundle","type":"collection"}"#,
        r#"{"resourceType":"Bundle","type":"batch","entry":{}}"#,
        r#"{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Patient"}}]}"#,
        r#"{"resourceType":"Bundle","type":"batch","entry":[
            {"fullUrl":"urn:uuid:1","request":{"method":"GET","url":"Patient/1"}},
            {"fullUrl":"urn:uuid:1","request":{"method":"GET","url":"Patient/1"}}]}"#,
    ] {
        let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
        assert!(Batch::parse(document.root(), &[], &schema(), Handling::Strict).is_err(), "{text}");
    }
}

#[test]
fn entries_know_which_must_come_first() {
    let text = r#"{"resourceType":"Bundle","type":"transaction","entry":[
        {"fullUrl":"urn:uuid:o","request":{"method":"POST","url":"Observation"},"resource":{"resourceType":"Observation",
         "subject":{"reference":"urn:uuid:p"},"performer":[{"reference":"urn:uuid:nobody"},{"reference":"Patient/1"}]}},
        {"fullUrl":"urn:uuid:p","request":{"method":"POST","url":"Patient"},"resource":{"resourceType":"Patient",
         "link":[{"other":{"reference":"Patient?identifier=a%7Cb"}}]}}]}"#;
    let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
    let batch = Batch::parse(document.root(), &[], &schema(), Handling::Strict).unwrap();
    assert_eq!(batch.kind, BatchKind::Transaction);
    assert_eq!(batch.depends(), [vec![1], vec![]]);
    let found: Vec<_> = references(batch.entries[1].resource.unwrap()).filter_map(Value::as_str).collect();
    let search = conditional_reference(&found[0], &schema()).unwrap().unwrap();
    assert_eq!(search.to_request().path_and_query, "/Patient?identifier=a%7Cb");
    assert!(conditional_reference("Patient/1", &schema()).is_none());
    assert!(conditional_reference("https://x.example/Patient?identifier=a", &schema()).is_none());
    assert!(conditional_reference("Patient?_count=1", &schema()).unwrap().is_err());
}
