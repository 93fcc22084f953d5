//! `varco plugin` as a program: what an author sees from an empty folder to a signed component.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// Exit code, standard output and standard error of `varco plugin`.
fn varco(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_varco")).arg("plugin").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/samples")
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A project of a sample that is built already, so that no compiler is needed.
fn built_project(folder: &Path, sample: &str) -> PathBuf {
    let project = folder.join(sample);
    let dist = project.join("dist");
    fs::create_dir_all(project.join("src")).unwrap();
    fs::create_dir_all(&dist).unwrap();
    fs::create_dir_all(project.join("fixtures")).unwrap();
    fs::copy(samples().join(sample).join("plugin.json"), project.join("plugin.json")).unwrap();
    fs::write(project.join("Cargo.toml"), "").unwrap();
    for suffix in ["wasm", "plugin.json"] {
        let name = format!("{sample}.{suffix}");
        fs::copy(samples().join("components").join(&name), dist.join(&name)).unwrap();
    }
    project
}

fn fixture(project: &Path, name: &str, text: &str) {
    fs::write(project.join("fixtures").join(name), text).unwrap();
}

#[test]
fn every_sample_passes_its_fixtures_and_survives_hostile_inputs() {
    let mut tested = 0;
    for entry in fs::read_dir(samples()).unwrap() {
        let sample = entry.unwrap().path();
        if !sample.join("fixtures").is_dir() {
            continue;
        }
        let name = sample.file_name().unwrap().to_str().unwrap();
        let built = samples().join("components").join(format!("{name}.plugin.json"));
        if !built.is_file() {
            println!("skipped: the sample {name} is not built here");
            continue;
        }
        let (code, out, err) = varco(&["test", "--built", shown(&built), shown(&sample)]);
        assert_eq!(code, 0, "{name}\n{out}{err}");
        assert!(!out.contains("FAILED") && out.contains("hostile inputs at the hook"), "{out}");
        tested += 1;
    }
    assert!(tested >= 4, "{tested} samples tested");
}

#[test]
fn a_new_project_in_c_builds_and_passes_its_tests() {
    let folder = tempfile::tempdir().unwrap();
    let place = shown(folder.path());
    let (code, out, err) = varco(&["new", "--lang", "c", "--in", place, "first-plugin"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("varco plugin build"), "{out}");
    let project = folder.path().join("first-plugin");
    assert_eq!(varco(&["new", "--in", place, "first-plugin"]).0, 2, "what is there is not overwritten");

    let (code, _, err) = varco(&["test", shown(&project)]);
    assert_eq!(code, 2);
    assert!(err.contains("varco plugin build"), "{err}");
    let (code, out, err) = varco(&["build", shown(&project)]);
    if code == 2 && err.contains("apt-get install") {
        println!("skipped: no clang for WebAssembly is here");
        return;
    }
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("varco:plugin/counters@"), "{out}");
    let (code, out, err) = varco(&["test", shown(&project)]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("ok      known") && out.contains("ok      unknown"), "{out}");

    // What the manifest doesn't grant is told at once, and so by the tests.
    let manifest = fs::read_to_string(project.join("plugin.json")).unwrap();
    let without = manifest
        .replace("\"grants\": [\"counters\"],\n  \"counters\": [\"without_identifier\"]", "\"grants\": []");
    assert_ne!(without, manifest);
    fs::write(project.join("plugin.json"), without).unwrap();
    let (code, _, err) = varco(&["build", shown(&project)]);
    assert_eq!(code, 1);
    assert!(err.contains("Add \"counters\" to grants"), "{err}");
    assert_eq!(varco(&["inspect", shown(&project)]).0, 1);
}

#[test]
fn a_build_without_a_compiler_says_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    for (lang, cure) in [
        ("rust", "rustup target add wasm32-unknown-unknown"),
        ("c", "apt-get install clang"),
        ("js", "npm install"),
    ] {
        assert_eq!(varco(&["new", "--lang", lang, "--in", shown(folder.path()), lang]).0, 0);
        let project = folder.path().join(lang);
        // A search path without compilers; what Debian has in /usr/bin is not looked for where one is named.
        let mut command = Command::new(env!("CARGO_BIN_EXE_varco"));
        command.args(["plugin", "build", shown(&project)]).env("PATH", "/nonexistent");
        if lang == "rust" {
            command.args(["--compiler", "/nonexistent/cargo"]);
        }
        let output = command.output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{err}");
        assert!(err.contains(cure), "{lang}: {err}");
    }
    let (code, _, err) = varco(&["build", shown(folder.path())]);
    assert_eq!(code, 2);
    assert!(err.contains("varco plugin new"), "{err}");
}

#[test]
fn a_result_that_is_not_the_golden_one_is_shown_and_can_be_blessed() {
    let folder = tempfile::tempdir().unwrap();
    let project = built_project(folder.path(), "narrative-stripper");
    fixture(
        &project,
        "note.in.json",
        r#"{"resourceType":"Observation","valueQuantity":{"value":1.50},"note":[{"text":"x"}]}"#,
    );
    fixture(&project, "note.context.json", r#"{"hook":"response"}"#);
    fixture(&project, "note.out.json", r#"{"resourceType":"Observation","valueQuantity":{"value":1.5}}"#);
    fixture(&project, "script.in.json", r#"{"resourceType":"Patient","text":{"div":"<script>"}}"#);
    fixture(&project, "script.context.json", r#"{"hook":"request"}"#);
    let test = |more: &[&str]| varco(&[&["test", "--no-hostile"], more, &[shown(&project)]].concat());

    let (code, out, err) = test(&[]);
    assert_eq!(code, 1, "{err}");
    assert!(out.contains("-    \"value\": 1.5\n") && out.contains("+    \"value\": 1.50\n"), "{out}");
    assert!(out.contains("script.out.json") && out.contains("0 passed, 2 failed"), "{out}");

    let (code, out, _) = test(&["--bless"]);
    assert_eq!(code, 0, "{out}");
    assert_eq!(test(&[]).0, 0);
    let refused: Value =
        serde_json::from_str(&fs::read_to_string(project.join("fixtures/script.refused.json")).unwrap())
            .unwrap();
    assert_eq!((&refused["status"], &refused["code"]), (&json!(422), &json!("security")));

    // Settings of a fixture are checked by the manifest's schema.
    fixture(&project, "note.context.json", r#"{"hook":"response","settings":{"keep":["all"]}}"#);
    let (code, _, err) = test(&[]);
    assert_eq!(code, 2);
    assert!(err.contains("/settings/keep/0"), "{err}");
    fixture(&project, "note.context.json", r#"{"hooks":"response"}"#);
    assert!(test(&[]).2.contains("unknown field"));
}

#[test]
fn a_plugin_that_breaks_off_fails_its_test() {
    let folder = tempfile::tempdir().unwrap();
    let project = built_project(folder.path(), "hostile");
    fixture(&project, "panic.in.json", r#"{"behaviour":"panic"}"#);
    fixture(&project, "panic.context.json", r#"{"hook":"request"}"#);
    let (code, out, _) = varco(&["test", "--no-hostile", shown(&project)]);
    assert_eq!(code, 1);
    assert!(out.contains("panicked") && out.contains("0 passed, 1 failed"), "{out}");
}

#[test]
fn a_measurement_names_times_and_memory() {
    let folder = tempfile::tempdir().unwrap();
    let project = built_project(folder.path(), "narrative-stripper");
    fixture(&project, "plain.in.json", r#"{"resourceType":"Patient"}"#);
    fixture(&project, "plain.context.json", r#"{"hook":"response"}"#);
    let (code, out, err) = varco(&["bench", "--rounds", "50", "--output", "json", shown(&project)]);
    assert_eq!(code, 0, "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let plain = &report["fixtures"][0];
    assert_eq!((&plain["name"], &plain["verdict"]), (&json!("plain"), &json!("pass")));
    assert!(plain["memory_bytes"].as_u64().unwrap() >= 65536, "{plain}");
    assert!(plain["p50_us"].as_f64().unwrap() <= plain["max_us"].as_f64().unwrap());
    let (code, out, _) = varco(&["bench", "--rounds", "5", shown(&project)]);
    assert_eq!(code, 0);
    assert!(out.contains("memory KiB") && out.contains("16 MiB"), "{out}");
    assert_eq!(varco(&["bench", "--fixture", "none", shown(&project)]).0, 2);
}

// RFC 8410, section 10.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

#[test]
fn a_signature_holds_until_something_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let project = built_project(folder.path(), "narrative-stripper");
    let (key, public) = (folder.path().join("key.pem"), folder.path().join("public.pem"));
    fs::write(&key, KEY).unwrap();
    fs::write(&public, PUBLIC).unwrap();
    let inspect = || varco(&["inspect", "--trust", shown(&public), shown(&project)]);

    assert_eq!(inspect().0, 1, "nobody has signed yet");
    let (code, out, err) = varco(&["sign", "--key", shown(&key), shown(&project)]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("signed by"), "{out}");
    let (code, out, _) = inspect();
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("verified, by") && out.contains("read the body of every request"), "{out}");
    assert!(varco(&["inspect", shown(&project)]).1.contains("not verified"));

    let manifest = project.join("dist/narrative-stripper.plugin.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"closed\"", "\"open\"")).unwrap();
    let (code, out, _) = inspect();
    assert_eq!(code, 1);
    assert!(out.contains("DOES NOT HOLD") && out.contains("changed after it was signed"), "{out}");

    fs::write(&manifest, &text).unwrap();
    let component = project.join("dist/narrative-stripper.wasm");
    let mut bytes = fs::read(&component).unwrap();
    // A custom section more: the component runs as before, and is another.
    bytes.extend_from_slice(&[0, 2, 1, b'x']);
    fs::write(&component, bytes).unwrap();
    let (code, out, _) = varco(&["inspect", "--output", "json", "--trust", shown(&public), shown(&project)]);
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["digest_fits"], &report["signature"]["state"]), (&json!(false), &json!("verified")));
    let (code, _, err) = varco(&["sign", "--key", shown(&key), shown(&project)]);
    assert_eq!(code, 2);
    assert!(err.contains("build it again"), "{err}");

    let (code, _, err) = varco(&["sign", "--key", shown(&public), shown(&project)]);
    assert_eq!(code, 2);
    assert!(err.contains("genpkey") || err.contains("build it again"), "{err}");
}
