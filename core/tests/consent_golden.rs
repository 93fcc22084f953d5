//! The consent cases of `testdata/consent`, each decided and held against what must come out.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use fhir_models::document::{Limits, OwnedDocument};
use serde_json::{Value, json};
use varco_core::consent::{
    Combining, CompiledConsent, ConsentRequest, Outcome, Reading, ResourceFacts, decide, outcome,
};
use varco_core::validation::Validator;

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/consent");
    let mut folders: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    folders
}

fn document(path: &Path) -> OwnedDocument {
    OwnedDocument::parse_json(fs::read(path).unwrap(), &Limits::default()).unwrap()
}

fn value(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn consents(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("consent"));
    files.sort();
    files
}

/// What was decided, reasons without their wording.
fn decided(folder: &Path) -> Value {
    let case = value(&folder.join("case.json"));
    let bases = case["bases"].as_array().into_iter().flatten().map(|base| base.as_str().unwrap().to_owned());
    let reading = Reading { bases: bases.collect(), ..Reading::default() };
    let compile = |path: &PathBuf| CompiledConsent::compile(document(path).root(), &reading).unwrap();
    let consents: Vec<CompiledConsent> = consents(folder).iter().map(compile).collect();
    let consents: Vec<&CompiledConsent> = consents.iter().collect();
    let request = ConsentRequest::read(document(&folder.join("request.json")).root(), &reading).unwrap();
    let combining =
        case["combining"].as_str().map_or(Combining::default(), |code| Combining::of_code(code).unwrap());
    let resource = folder.join("resource.json");
    let facts = resource.exists().then(|| ResourceFacts::of_resource(document(&resource).root(), &reading));
    let mut question = request.question(case["at"].as_str().unwrap().parse().unwrap());
    question.resource = facts.as_ref();
    let decision = decide(&consents, &question, combining);
    assert_eq!(outcome(&consents, &question, combining), decision.outcome, "the cheap answer is the same");
    let mut json: Value = serde_json::from_slice(&decision.to_json()).unwrap();
    for reason in json["because"].as_array_mut().unwrap() {
        let text = reason.as_object_mut().unwrap().remove("text").unwrap();
        assert!(text.as_str().is_some_and(|text| text.len() > 10), "a reason has words");
    }
    json
}

#[test]
fn every_case_is_decided_as_expected() {
    let folders = folders();
    assert!(folders.len() >= 30, "{} cases", folders.len());
    let mut wrong = Vec::new();
    for folder in &folders {
        let (found, expected) = (decided(folder), value(&folder.join("expected.json")));
        if found != expected {
            wrong.push(format!(
                "{}\n  expected {expected}\n  found    {found}",
                folder.file_name().unwrap().to_string_lossy()
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), folders.len(), wrong.join("\n"));
}

#[test]
fn the_cases_are_valid_r4() {
    let validator = Validator::new(fhir_models::definition::Definitions::r4());
    for folder in folders() {
        let mut files = consents(&folder);
        files.push(folder.join("resource.json"));
        for file in files.iter().filter(|file| file.exists()) {
            let report = validator.validate(document(file).document());
            // One case holds a code that its system lacks, on purpose: that is a warning, not an error.
            assert!(report.is_valid(), "{}: {:#?}", file.display(), report.issues);
        }
    }
}

/// A case that is changed must be noticed: the comparison itself can fail.
#[test]
fn a_changed_case_is_noticed() {
    let folder = &folders()[0];
    assert_ne!(decided(folder), json!({"decision": Outcome::Deny.code(), "residual": [], "because": []}));
}
