//! Any JSON: what is hidden is not in what leaves, what leaves is JSON, and taking out twice takes out no more.
//!
//! Hidden is every resource whose id begins with `h`, and every one that carries the label `SEGRETO`.

#![no_main]

use std::sync::LazyLock;

use fhir_models::definition::Definitions;
use fhir_models::document::{Document, Limits, Tape, Value, name};
use libfuzzer_sys::fuzz_target;
use varco_core::access::{
    BundleRules, Candidate, LabelScene, Labels, Necessary, Rest, Total, Verdict, cut_elements, cut_resources,
    inherited, labelled_elements, redact_bundle, redact_resource, resources,
};
use varco_core::consent::{Reading, ResourceFacts};

static NECESSARY: LazyLock<Necessary> = LazyLock::new(|| Necessary::from_definitions(Definitions::r4()));

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { bytes: 1 << 16, depth: 64, nodes: 10_000 };
    let mut tape = Tape::new();
    let Ok(document) = tape.parse_json(bytes, &limits) else { return };
    let root = document.root();
    if let Some(left) = redact_resource(document, verdict) {
        nothing_hidden(&left, &limits);
        let mut again = Tape::new();
        if let Ok(left) = again.parse_json(&left, &limits) {
            assert!(redact_resource(left, verdict).is_none(), "taking out twice took out more");
        }
    } else {
        assert_eq!(hidden_inside(root), 0);
    }
    for total in [Total::Remove, Total::Shown, Total::Exactly(7)] {
        let links =
            (total == Total::Shown).then(|| vec![("self".to_owned(), "https://h.example/\"".to_owned())]);
        if let Ok(redacted) = redact_bundle(document, &BundleRules { total, links }, verdict) {
            nothing_hidden(&redacted.json, &limits);
        }
    }
    if let Rest::Part(left) = cut(document) {
        nothing_hidden(&left, &limits);
        let mut again = Tape::new();
        if let Ok(left) = again.parse_json(&left, &limits) {
            assert_eq!(cut(left), Rest::Whole, "cutting twice cut more");
        }
    }
    if let Rest::Part(left) = cut_labelled(document) {
        let mut again = Tape::new();
        match again.parse_json(&left, &Limits { bytes: 1 << 20, ..limits }) {
            Ok(left) => {
                assert!(secret(left).is_empty(), "a hidden element is left");
                assert_eq!(cut_labelled(left), Rest::Whole, "cutting elements twice cut more");
            }
            Err(error) => panic!("what leaves is no JSON: {error}"),
        }
    }
    // What is said of a resource is never less strict than what it says itself.
    let mut scene = LabelScene::new(&[]);
    scene.add(root);
    for own in resources(root) {
        let found = inherited(own.value, &Labels::own(root), &[], &scene);
        let itself = Labels::of(own.value);
        assert!(itself.codes().iter().all(|code| found.labels.codes().contains(code)));
        assert!(found.labels.confidentiality() >= itself.confidentiality());
    }
    ResourceFacts::of_resource(root, &Reading::default());
});

fn is_hidden(resource: Value<'_>) -> bool {
    let id = resource.get(name::ID).and_then(Value::as_str);
    id.is_some_and(|id| id.starts_with('h')) || Labels::of(resource).has("urn:s", "SEGRETO")
}

fn cut(document: Document<'_>) -> Rest {
    let all = resources(document.root());
    let hidden: Vec<bool> = all.iter().map(|own| is_hidden(own.value)).collect();
    cut_resources(document, &all, &hidden, &NECESSARY)
}

fn secret(document: Document<'_>) -> Vec<Value<'_>> {
    let all = labelled_elements(document).into_iter();
    all.filter(|own| own.labels.has("urn:s", "SEGRETO")).map(|own| own.value).collect()
}

fn cut_labelled(document: Document<'_>) -> Rest {
    cut_elements(document, &secret(document), &NECESSARY)
}

fn verdict(candidate: &Candidate<'_>) -> Verdict {
    if candidate.resource.is_some_and(is_hidden) { Verdict::Hide } else { Verdict::Show }
}

fn hidden_inside(root: Value<'_>) -> usize {
    resources(root).iter().skip(1).filter(|own| is_hidden(own.value)).count()
}

fn nothing_hidden(json: &[u8], limits: &Limits) {
    let mut tape = Tape::new();
    let document = match tape.parse_json(json, &Limits { bytes: 1 << 20, ..*limits }) {
        Ok(document) => document,
        Err(error) => panic!("what leaves is no JSON: {error}"),
    };
    assert_eq!(hidden_inside(document.root()), 0);
}
