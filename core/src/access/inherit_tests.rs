#![allow(clippy::unwrap_used)]

use fhir_models::document::{Limits, OwnedDocument};

use super::*;
use crate::consent::{CONFIDENTIALITY, Confidentiality};

fn document(text: &str) -> OwnedDocument {
    OwnedDocument::parse_json(text, &Limits::default()).unwrap()
}

fn level(code: &str) -> String {
    format!(r#""meta":{{"security":[{{"system":"{CONFIDENTIALITY}","code":"{code}"}}]}}"#)
}

fn scene(texts: &[String]) -> LabelScene {
    let mut scene = LabelScene::new(&["https://h1.example/fhir".to_owned()]);
    texts.iter().for_each(|text| scene.add(document(text).root()));
    scene
}

fn labels(text: &str, scene: &impl Holders) -> InheritedLabels {
    inherited(document(text).root(), &Labels::default(), &["https://h1.example/fhir".to_owned()], scene)
}

fn confidentiality(text: &str, scene: &LabelScene) -> Option<Confidentiality> {
    labels(text, scene).labels.confidentiality()
}

const BINARY: &str = r#"{"resourceType":"Binary","id":"9","contentType":"application/pdf"}"#;
const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"o"}"#;

use Confidentiality::{Normal, Restricted, VeryRestricted};

#[test]
fn a_binary_has_the_labels_of_the_document_that_it_is_the_content_of() {
    let reference = |code: &str, url: &str| {
        format!(
            r#"{{"resourceType":"DocumentReference","id":"5","securityLabel":[{{"coding":[{{"system":"{CONFIDENTIALITY}","code":"{code}"}}]}}],"content":[{{"attachment":{{"url":"{url}"}}}}]}}"#
        )
    };
    for url in ["Binary/9", "https://h1.example/fhir/Binary/9", "https://h1.example/fhir/Binary/9/_history/2"]
    {
        let found = labels(BINARY, &scene(&[reference("V", url)]));
        assert_eq!(found.labels.confidentiality(), Some(VeryRestricted), "{url}");
        assert_eq!(found.from[0].as_str(), "DocumentReference/5");
    }
    // The document's label speaks of its content: it vouches for it as well.
    assert_eq!(confidentiality(BINARY, &scene(&[reference("N", "Binary/9")])), Some(Normal));
    assert_eq!(confidentiality(BINARY, &scene(&[reference("V", "https://h2.example/fhir/Binary/9")])), None);
    assert_eq!(confidentiality(BINARY, &scene(&[reference("V", "Binary/8")])), None);
    let both = scene(&[reference("N", "Binary/9"), reference("R", "Binary/9").replace("\"5\"", "\"6\"")]);
    assert_eq!(confidentiality(BINARY, &both), Some(Restricted));
}

#[test]
fn a_binary_has_the_labels_of_its_security_context() {
    let binary = |context: &str| {
        format!(r#"{{"resourceType":"Binary","id":"9","securityContext":{{"reference":"{context}"}}}}"#)
    };
    let scene = scene(&[format!(r#"{{"resourceType":"DocumentReference","id":"5",{}}}"#, level("V"))]);
    assert_eq!(confidentiality(&binary("DocumentReference/5"), &scene), Some(VeryRestricted));
    assert_eq!(labels(&binary("DocumentReference/6"), &scene).unknown, [Bond::Attachment]);
    assert_eq!(labels(&binary("Patient/1"), &scene).unknown, []);
}

#[test]
fn what_stands_in_a_section_has_the_labels_of_the_composition() {
    let composition = r#"{"resourceType":"Composition","id":"c","confidentiality":"V","section":[{"section":[{"entry":[{"reference":"Observation/o"}]}]}]}"#;
    assert_eq!(confidentiality(OBSERVATION, &scene(&[composition.to_owned()])), Some(VeryRestricted));
    let normal = composition.replace("\"V\"", "\"N\"");
    assert_eq!(confidentiality(OBSERVATION, &scene(&[normal])), None, "a low level vouches for nothing");
}

#[test]
fn results_have_the_labels_of_their_report_and_items_those_of_their_list() {
    let report = format!(
        r#"{{"resourceType":"DiagnosticReport","id":"r",{},"result":[{{"reference":"Observation/o"}}]}}"#,
        level("R")
    );
    let list = format!(
        r#"{{"resourceType":"List","id":"l",{},"entry":[{{"item":{{"reference":"DiagnosticReport/r"}}}}]}}"#,
        level("V")
    );
    assert_eq!(confidentiality(OBSERVATION, &scene(std::slice::from_ref(&report))), Some(Restricted));
    // Holders are held themselves.
    let found = labels(OBSERVATION, &scene(&[report, list]));
    assert_eq!(found.labels.confidentiality(), Some(VeryRestricted));
    let from: Vec<&str> = found.from.iter().map(LiteralReference::as_str).collect();
    assert_eq!(from, ["DiagnosticReport/r", "List/l"]);
}

#[test]
fn entries_of_a_bundle_are_known_by_their_full_url_and_have_the_bundles_labels() {
    let bundle = format!(
        r#"{{"resourceType":"Bundle","type":"document",{},"entry":[
            {{"fullUrl":"urn:uuid:1","resource":{{"resourceType":"Composition","id":"c","section":[{{"entry":[{{"reference":"urn:uuid:2"}}]}}]}}}},
            {{"fullUrl":"urn:uuid:2","resource":{OBSERVATION}}}]}}"#,
        level("R")
    );
    let scene = scene(&[bundle]);
    assert_eq!(scene.len(), 2);
    assert_eq!(confidentiality(OBSERVATION, &scene), Some(Restricted));
}

#[test]
fn lists_that_hold_each_other_come_to_an_end() {
    let list = |id: &str, item: &str, code: &str| {
        format!(
            r#"{{"resourceType":"List","id":"{id}",{},"entry":[{{"item":{{"reference":"{item}"}}}}]}}"#,
            level(code)
        )
    };
    let scene = scene(&[list("a", "List/b", "N"), list("b", "List/a", "R"), list("c", "List/b", "V")]);
    let own = r#"{"resourceType":"List","id":"a"}"#;
    assert_eq!(confidentiality(own, &scene), Some(VeryRestricted));
}

#[test]
fn a_chain_that_is_too_long_is_unknown() {
    let list = |number: usize| {
        format!(
            r#"{{"resourceType":"List","id":"l{}","entry":[{{"item":{{"reference":"List/l{number}"}}}}]}}"#,
            number + 1
        )
    };
    let all: Vec<String> = (0..12).map(list).collect();
    assert_eq!(labels(r#"{"resourceType":"List","id":"l0"}"#, &scene(&all)).unknown, [Bond::Listed]);
    assert_eq!(labels(r#"{"resourceType":"List","id":"l9"}"#, &scene(&all)).unknown, []);
}

/// A server that can't be asked.
struct Nobody;

impl Holders for Nobody {
    fn holders(&self, _: &LiteralReference, _: Bond) -> Option<Vec<Holder>> {
        None
    }

    fn resource(&self, _: &LiteralReference) -> Option<Holder> {
        None
    }
}

#[test]
fn what_could_not_be_looked_up_is_said() {
    assert_eq!(labels(BINARY, &Nobody).unknown, [Bond::Attachment]);
    assert_eq!(labels(OBSERVATION, &Nobody).unknown, [Bond::Section, Bond::Result, Bond::Listed]);
    assert_eq!(labels(r#"{"resourceType":"Observation"}"#, &Nobody).unknown, []);
}
