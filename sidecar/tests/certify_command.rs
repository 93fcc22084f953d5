//! `varco certify run` as a person runs it: exit codes, lines, reports.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::{Command, Output};

use varco_conformance::hospital::{Effect, Fault, Hospital, HospitalOptions};

/// A hospital on a runtime of its own, so that the command can be waited for.
struct Target {
    hospital: Hospital,
    _runtime: tokio::runtime::Runtime,
}

fn target() -> Target {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let options = HospitalOptions::default();
    let hospital = runtime.block_on(Hospital::start(([127, 0, 0, 1], 0).into(), options)).unwrap();
    Target { hospital, _runtime: runtime }
}

fn certify(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_varco")).args(["certify", "run"]).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn a_sound_server_exits_0_and_the_last_line_counts() {
    let target = target();
    let (code, lines, faults) = certify(&["--suite", "base-r4", "--target", target.hospital.base_url()]);
    assert_eq!((code, faults.as_str()), (0, ""), "{lines}");
    assert_eq!(lines.lines().last(), Some("10 passed, 0 failed, 0 skipped"));
    assert_eq!(lines.lines().filter(|line| line.starts_with("  pass  ")).count(), 10);
}

#[test]
fn a_failure_exits_1_and_names_cause_and_requirement() {
    let target = target();
    target.hospital.inject(Fault::new(Effect::Status(500)).on_path("/Paziente"));
    let (code, lines, _) = certify(&["--suite", "base-r4", "--target", target.hospital.base_url()]);
    assert_eq!(code, 1, "{lines}");
    for part in ["  FAIL  unknown-type", "read: the status is 404, but it is 500", "R4-UNKNOWN-TYPE (SHALL)"]
    {
        assert!(lines.contains(part), "{part} is missing from\n{lines}");
    }
    assert_eq!(lines.lines().last(), Some("9 passed, 1 failed, 0 skipped"));
}

#[test]
fn reports_go_where_they_are_told() {
    let target = target();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("evidence.json");
    let base = ["--suite", "base-r4", "--target", target.hospital.base_url()];
    let (code, json, counts) = certify(&[&base[..], &["--output", "json"]].concat());
    let evidence: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, evidence["tests"].as_array().unwrap().len()), (0, 10));
    assert_eq!(counts.trim(), "10 passed, 0 failed, 0 skipped");
    let to_file = ["--output", "testreport", "--report", file.to_str().unwrap()];
    let (code, lines, _) = certify(&[&base[..], &to_file].concat());
    assert_eq!((code, lines.lines().last()), (0, Some("10 passed, 0 failed, 0 skipped")));
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(
        (report["resourceType"].as_str(), report["result"].as_str()),
        (Some("TestReport"), Some("pass"))
    );
}

#[test]
fn what_cannot_be_run_exits_2_and_says_why() {
    let target = target();
    let url = target.hospital.base_url();
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.yaml");
    std::fs::write(&broken, "id: broken\ntitle: Broken\ntests: 3\n").unwrap();
    let broken = broken.to_str().unwrap();
    for (arguments, part) in [
        (["--suite", "none", "--target", url, "--timeout", "1"], "built in are: base-r4"),
        (["--suite", broken, "--target", url, "--timeout", "1"], "broken.yaml:3:8: 3 is not of type"),
        (
            ["--suite", "base-r4", "--target", "http://127.0.0.1:1/fhir", "--timeout", "1"],
            "nothing answers at",
        ),
        (["--suite", "base-r4", "--target", "not a url", "--timeout", "1"], "is not a FHIR base URL"),
        (["--suite", "base-r4", "--target", url, "--token", "reader=secret-token"], "has no actor reader"),
        (["--suite", "base-r4", "--target", url, "--token", "secret-token"], "ACTOR=TOKEN"),
        (["--suite", "base-r4", "--target", url, "--ca", "/nowhere/ca.pem"], "can't be read"),
    ] {
        let (code, _, faults) = certify(&arguments);
        assert_eq!(code, 2, "{arguments:?}: {faults}");
        assert!(faults.contains(part), "{arguments:?}: {faults}");
        assert!(!faults.contains("secret-token"), "{faults}");
    }
}

#[test]
fn tokens_come_from_a_file_too() {
    let target = target();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.txt");
    std::fs::write(&file, "# for the suite\n\ndefault = token-from-file\n").unwrap();
    let base = ["--suite", "base-r4", "--target", target.hospital.base_url()];
    let (code, _, faults) = certify(&[&base[..], &["--token-file", file.to_str().unwrap()]].concat());
    assert_eq!(code, 0, "{faults}");
    let seen = target.hospital.requests();
    let bearers = seen.iter().filter_map(|request| request.headers.get("authorization"));
    assert!(bearers.clone().count() > 20 && bearers.clone().all(|value| value == "Bearer token-from-file"));
    std::fs::write(&file, "default\n").unwrap();
    let (code, _, faults) = certify(&[&base[..], &["--token-file", file.to_str().unwrap()]].concat());
    assert!(code == 2 && faults.contains("tokens.txt:1: a line is ACTOR=TOKEN"), "{faults}");
}

#[test]
fn a_second_world_is_compared_and_what_cannot_be_tested_is_told() {
    let (first, twin) = (target(), target());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.txt");
    let actors = "keeper narrow colleague researcher unbound expired early misaddressed foreign unsigned";
    let lines: Vec<String> = actors.split(' ').map(|actor| format!("{actor}=token-of-{actor}")).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let base = ["--suite", "gateway-security", "--target", first.hospital.base_url()];
    let base = [&base[..], &["--token-file", file.to_str().unwrap()]].concat();
    let (code, lines, faults) = certify(&base);
    assert_eq!(code, 1, "{lines}{faults}");
    assert!(lines.contains("skip  joins") && lines.contains("give the other with --twin-target"), "{lines}");
    assert!(lines.contains("  none  pitfalls@29  not testable: "), "{lines}");
    assert!(lines.lines().last().unwrap().contains("; requirements: 1 not testable, "), "{lines}");

    // A server that hides nothing, in both worlds.
    let worlds = ["--twin-target", twin.hospital.base_url(), "--twin-token", "keeper=token-in-the-twin"];
    let (code, lines, _) = certify(&[&base[..], &worlds].concat());
    assert_eq!(code, 1, "{lines}");
    assert!(
        lines.contains("FAIL  joins") && lines.contains("the answer is the same in both worlds, but"),
        "{lines}"
    );
    let keeper = |target: &Target| {
        let sent = target.hospital.requests().into_iter().filter(|own| own.method == "POST");
        sent.filter_map(|own| own.headers.get("authorization").cloned()).next().unwrap()
    };
    assert_eq!(keeper(&first), "Bearer token-of-keeper");
    assert_eq!(keeper(&twin), "Bearer token-in-the-twin");

    let (code, _, faults) = certify(&[&base[..], &["--twin-token", "keeper=x"]].concat());
    assert!(code == 2 && faults.contains("--twin-target"), "{faults}");
    let (code, _, faults) = certify(&[&base[..], &["--twin-target", "http://127.0.0.1:1/fhir"]].concat());
    assert!(code == 2 && faults.contains("nothing answers at http://127.0.0.1:1"), "{faults}");
}
