//! The consent cases of `testdata/consent`, each decided and held against what must come out.
//!
//! `VARCO_WRITE_GOLDEN=1` writes what comes out instead; look at the difference before you keep it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use fhir_models::document::{Limits, OwnedDocument};
use serde_json::{Value, json};
use varco_core::access::{LabelScene, Labels, inherited};
use varco_core::consent::fse::{self, Chain, Chains, FseDocument, FseRequest, FseSystems};
use varco_core::consent::{
    Combining, ComingOfAge, CompiledConsent, ConsentRequest, Outcome, Reading, ResourceFacts, decide, outcome,
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

fn files(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with(prefix));
    files.sort();
    files
}

/// What was decided, reasons without their wording.
fn decided(folder: &Path) -> Value {
    let case = value(&folder.join("case.json"));
    let bases = case["bases"].as_array().into_iter().flatten().map(|base| base.as_str().unwrap().to_owned());
    let reading = Reading { bases: bases.collect(), ..Reading::default() };
    let compile = |path: &PathBuf| CompiledConsent::compile(document(path).root(), &reading).unwrap();
    let consents: Vec<CompiledConsent> = files(folder, "consent").iter().map(compile).collect();
    let consents: Vec<&CompiledConsent> = consents.iter().collect();
    let request = ConsentRequest::read(document(&folder.join("request.json")).root(), &reading).unwrap();
    let combining =
        case["combining"].as_str().map_or(Combining::default(), |code| Combining::of_code(code).unwrap());
    let resource = folder.join("resource.json");
    let resource = resource.exists().then(|| document(&resource));
    let beside: Vec<OwnedDocument> = files(folder, "beside").iter().map(|path| document(path)).collect();
    let facts = |own: &OwnedDocument| {
        let mut scene = LabelScene::new(&reading.bases);
        beside.iter().for_each(|other| scene.add(other.root()));
        let mut facts = ResourceFacts::of_resource(own.root(), &reading);
        facts.add_labels(&inherited(own.root(), &Labels::default(), &reading.bases, &scene).labels);
        facts
    };
    let asked = resource.as_ref().map(facts);
    let born = case["born"].as_str().map(|born| ComingOfAge::of_birth_date(born, 18, &reading.zone));
    let mut question = request.question(case["at"].as_str().unwrap().parse().unwrap()).of_age(born);
    question.resource = asked.as_ref();
    let mut decision = decide(&consents, &question, combining);
    assert_eq!(outcome(&consents, &question, combining), decision.outcome, "the cheap answer is the same");
    if case["fse"] == true {
        let (systems, mut chains) = (FseSystems::default(), Chains::new());
        for other in &beside {
            let own = FseDocument::of(&facts(other), Chain::Alone, &systems);
            chains.add(other.root(), own.is_masked_itself(), &systems);
        }
        let own = resource.as_ref().zip(asked.as_ref()).map(|(own, facts)| {
            FseDocument::of(facts, chains.chain_of(own.root(), true, &systems), &systems)
        });
        decision = fse::beside(decision, &FseRequest::of(&request.requester, &systems), own.as_ref());
    }
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
    assert!(folders.len() >= 80, "{} cases", folders.len());
    let mut wrong = Vec::new();
    for folder in &folders {
        let (found, golden) = (decided(folder), folder.join("expected.json"));
        if std::env::var_os("VARCO_WRITE_GOLDEN").is_some() {
            fs::write(&golden, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
            continue;
        }
        let expected = value(&golden);
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
        let all = ["consent", "resource", "beside"].into_iter().flat_map(|prefix| files(&folder, prefix));
        for file in all {
            let report = validator.validate(document(&file).document());
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
