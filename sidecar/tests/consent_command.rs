//! `varco consent explain` as a program: its contract in JSON, its text, and how it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/consent")
}

fn varco(arguments: &[&str], folder: &Path) -> Output {
    let command = Command::new(env!("CARGO_BIN_EXE_varco"))
        .args(["consent", "explain"])
        .args(arguments)
        .current_dir(folder)
        .output();
    command.unwrap()
}

/// A case's decision, without the wording of reasons.
fn decided(folder: &Path) -> Value {
    let case: Value = serde_json::from_slice(&std::fs::read(folder.join("case.json")).unwrap()).unwrap();
    let names = |prefix: &str| {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with(prefix))
            .collect();
        names.sort();
        names
    };
    let mut arguments =
        vec!["--output".to_owned(), "json".to_owned(), "--request".to_owned(), "request.json".to_owned()];
    arguments.extend(["--at".to_owned(), case["at"].as_str().unwrap().to_owned()]);
    for (prefix, option) in [("consent", "--consent"), ("resource", "--resource"), ("beside", "--beside")] {
        names(prefix).into_iter().for_each(|name| arguments.extend([option.to_owned(), name]));
    }
    for (key, option) in [("combining", "--combining"), ("born", "--born")] {
        let value = case[key].as_str();
        value.into_iter().for_each(|value| arguments.extend([option.to_owned(), value.to_owned()]));
    }
    for base in case["bases"].as_array().into_iter().flatten() {
        arguments.extend(["--base".to_owned(), base.as_str().unwrap().to_owned()]);
    }
    arguments.extend((case["fse"] == true).then(|| "--fse".to_owned()));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = varco(&arguments, folder);
    assert!(output.status.success(), "{}: {}", folder.display(), String::from_utf8_lossy(&output.stderr));
    let mut json: Value = serde_json::from_slice(&output.stdout).unwrap();
    for reason in json["because"].as_array_mut().unwrap() {
        assert!(reason.as_object_mut().unwrap().remove("text").unwrap().is_string());
    }
    json
}

#[test]
fn every_case_is_printed_as_json() {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(cases()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    assert!(folders.len() >= 80);
    for folder in folders {
        let expected: Value =
            serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
        assert_eq!(decided(&folder), expected, "{}", folder.display());
    }
}

#[test]
fn people_read_which_provision_decided() {
    let folder = cases().join("61-fse-masked-from-the-doctor");
    let common = [
        "--consent",
        "consent.json",
        "--request",
        "request.json",
        "--resource",
        "resource.json",
        "--at",
        "2026-05-01",
    ];
    let plain = String::from_utf8(varco(&common, &folder).stdout).unwrap();
    assert!(plain.starts_with("permit\n"), "{plain}");
    let masked = varco(&[&common[..], &["--fse"]].concat(), &folder);
    let text = String::from_utf8(masked.stdout).unwrap();
    assert!(text.starts_with("deny\n") && text.contains("FSE 2.0  masked"), "{text}");
    assert!(text.contains("the document is masked (P99)"), "{text}");
}

#[test]
fn what_can_not_run_says_why() {
    let folder = cases().join("01-treatment-permitted");
    let with = |more: &[&str]| {
        let common = ["--consent", "consent.json", "--request", "request.json"];
        let output = varco(&[&common[..], more].concat(), &folder);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (more, cause) in [
        (&["--at", "ieri"][..], "2026-05-01T12:00:00Z"),
        (&["--at", "2026-05-01", "--born", "ieri"], "--born ieri"),
        (&["--at", "2026-05-01", "--resource", "request.json"], "not a FHIR resource"),
        (&["--at", "2026-05-01", "--beside", "consent.json"], "--resource"),
        (&["--at", "2026-05-01", "--combining", "majority"], "deny-overrides"),
    ] {
        let (code, error) = with(more);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(cause), "{error}");
    }
}
