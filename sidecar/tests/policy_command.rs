//! `varco check` of site policies as a program: faults with their places, and tests of policies.
#![allow(clippy::unwrap_used)]

mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::Setup;

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/policies")
}

/// Exit code, standard output and standard error of `varco check` with these policies.
fn check(policies: &Path, default: &str, more: &[&str]) -> (i32, String, String) {
    let policy = format!("[policy]\nfiles = [\"{}\"]\ndefault = \"{default}\"\n", policies.display());
    let setup = Setup::new("http://127.0.0.1:1/fhir", &policy);
    let output = Command::new(env!("CARGO_BIN_EXE_varco"))
        .args(["check", "--config", &setup.config_file().display().to_string()])
        .args(more)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_hospitals_policies_pass_their_tests_and_each_is_tested() {
    let tests = testdata().join("tests").display().to_string();
    let (code, out, err) = check(&testdata().join("hospital.cedar"), "deny", &["--policy-tests", &tests]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.contains("beside consent, 8 policies permit and 6 forbid; what none speaks of is denied"),
        "{out}"
    );
    assert!(out.contains("25 tests of policies in 2 files: 25 as expected, 0 not."), "{out}");
    assert!(!out.contains("Policies that decide no test"), "{out}");
}

#[test]
fn a_test_that_comes_out_otherwise_fails_and_says_how() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.yaml");
    let text = "tests:\n  - name: nurses write\n    caller: { roles: [\"https://hospital.example/roles|nurse\"], purposes: [TREAT] }\n    \
        action: create\n    resource: { type: Observation }\n    expect: { decision: permit, by: [nurses-read] }\n";
    fs::write(&file, text).unwrap();
    let policies = testdata().join("hospital.cedar");
    let arguments = ["--policy-tests", &file.display().to_string()].map(str::to_owned);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (code, out, _) = check(&policies, "deny", &arguments);
    assert_eq!(code, 1);
    assert!(out.contains("nurses write: deny by default, expected permit by nurses-read"), "{out}");
    assert!(out.contains("1 tests of policies in 1 files: 0 as expected, 1 not."), "{out}");
    fs::write(&file, text.replace("action: create", "action: look")).unwrap();
    let (code, _, err) = check(&policies, "deny", &arguments);
    assert_eq!(code, 1);
    assert!(err.contains("/tests/0/action"), "{err}");
}

#[test]
fn a_fault_of_a_policy_is_shown_where_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.cedar");
    fs::write(&file, "permit(principal, action, resource);\n\nforbid(principal, action, resource)\nwhen { resource.lables.contains(\"x\") };\n").unwrap();
    let (code, _, err) = check(&file, "permit", &[]);
    assert_eq!(code, 1);
    for part in ["policy.files[0]", "site.cedar:4:", "lables", "labels", "^^^", "nothing was started"] {
        assert!(err.contains(part), "{part} in {err}");
    }
    let (code, _, err) = check(&folder.path().join("none.cedar"), "permit", &[]);
    assert_eq!(code, 1);
    assert!(err.contains("can't be read"), "{err}");
}

#[test]
fn the_published_forms_are_what_they_say() {
    let printed = |argument: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_varco")).args(["check", argument]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(printed("--policy-schema").contains("entity Resource"));
    let schema: serde_json::Value = serde_json::from_str(&printed("--policy-tests-schema")).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
}
