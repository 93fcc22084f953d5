//! `varco validate` as a program: exit codes, output, refusals.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

fn testdata() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/validation")
}

/// Exit code, standard output and standard error of `varco validate`.
fn run(arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_varco"))
        .arg("validate")
        .args(arguments)
        .current_dir(testdata())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its options does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn issues(stdout: &str) -> Vec<serde_json::Value> {
    let outcome: serde_json::Value = serde_json::from_str(stdout).unwrap();
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    outcome["issue"].as_array().unwrap().clone()
}

#[test]
fn a_valid_resource_exits_0_with_an_outcome_that_says_so() {
    let (code, out, _) = run(&["--output", "json", "11-paziente-corretto.json"], b"");
    let issues = issues(&out);
    assert_eq!((code, issues.len()), (0, 1));
    assert_eq!(issues[0]["severity"], "information");
    let (code, out, _) = run(&["11-paziente-corretto.json"], b"");
    assert_eq!((code, out.trim_end()), (0, "1 resource checked: no error"));
}

#[test]
fn faults_exit_1_and_name_element_and_position() {
    let (code, out, _) = run(&["--output", "json", "01-paziente-genere-e-nascita.json"], b"");
    let issues = issues(&out);
    assert_eq!(code, 1);
    let gender = issues.iter().find(|issue| issue["expression"][0] == "Patient.gender").unwrap();
    assert_eq!((&gender["severity"], &gender["code"]), (&"error".into(), &"code-invalid".into()));
    assert_eq!(gender["diagnostics"], "line 9, column 3");
}

#[test]
fn people_see_the_line_and_a_caret() {
    let (code, out, _) = run(&["-"], b"{\"resourceType\":\"Patient\",\r\n \"gender\": \"donna\"}\r\n");
    assert_eq!(code, 1);
    assert!(out.contains(" --> standard input:2:2\n"), "{out}");
    assert!(out.contains("2 |  \"gender\": \"donna\"}\n  |  ^^^^^^^^ Patient.gender\n"), "{out}");
    assert!(out.contains("  = help: take a code from the value set"), "{out}");
    assert!(!out.contains('\u{1b}'), "no colours without a terminal");
}

#[test]
fn ndjson_is_told_by_its_content_and_counted() {
    let text = "{\"resourceType\":\"Patient\"}\n\n{\"resourceType\":\"Patient\",\"birthDate\":\"2026-02-30\"}\n{\"a\"\n";
    let (code, out, err) = run(&["--output", "json", "-"], text.as_bytes());
    assert_eq!(code, 1);
    let issues = issues(&out);
    let places: Vec<_> = issues.iter().filter_map(|issue| issue["diagnostics"].as_str()).collect();
    assert_eq!(places, ["standard input: line 3, column 27", "standard input: line 4, column 5"]);
    assert!(err.contains("3 resources checked: 2 with 2 errors"), "{err}");
    assert!(err.contains("          2       1  Patient"), "{err}");
    assert!(err.contains("          1  syntax"), "{err}");
}

#[test]
fn a_folder_is_searched() {
    let (code, out, _) = run(&["."], b"");
    assert_eq!(code, 1);
    assert!(out.contains("12 resources checked: 11 with"), "{out}");
}

#[test]
fn a_byte_order_mark_is_a_warning() {
    let (code, out, _) = run(&["--output", "json", "-"], b"\xEF\xBB\xBF{\"resourceType\":\"Patient\"}");
    assert_eq!(code, 0);
    assert_eq!(issues(&out)[0]["severity"], "warning");
}

#[test]
fn what_is_not_built_is_refused_and_not_ignored() {
    let file = "11-paziente-corretto.json";
    for options in [["--terminology", "https://tx.example.org"], ["--fhir-version", "5.0.0"]] {
        let (code, out, err) = run(&[options[0], options[1], file], b"");
        assert_eq!(code, 2, "{options:?}");
        assert!(out.is_empty() && err.starts_with("varco validate: "), "{options:?}: {err}");
    }
    for version in ["4.0.1", "4.0", "R4", "r4"] {
        let (code, ..) = run(&["--fhir-version", version, "--terminology", "none", file], b"");
        assert_eq!(code, 0, "{version}");
    }
}

#[test]
fn xml_is_read_as_json_is() {
    let patient = b"<Patient xmlns=\"http://hl7.org/fhir\">\n  <active value=\"true\"/>\n  <gender value=\"donna\"/>\n</Patient>";
    let (code, out, _) = run(&["--output", "json", "-"], patient);
    let issues = issues(&out);
    assert_eq!(code, 1);
    assert_eq!(issues[0]["expression"][0], "Patient.gender");
    assert!(
        issues[0]["diagnostics"].as_str().unwrap().starts_with("line 3, "),
        "{}",
        issues[0]["diagnostics"]
    );
}

#[test]
fn a_profile_from_a_file_is_obeyed_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("profile.json");
    let text = r#"{"resourceType":"StructureDefinition","url":"http://example.org/p","name":"P","status":"draft",
        "kind":"resource","abstract":false,"type":"Patient","derivation":"constraint",
        "baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient","differential":{"element":[
        {"id":"Patient.birthDate","path":"Patient.birthDate","min":1}]}}"#;
    std::fs::write(&profile, text).unwrap();
    let arguments = ["--definition", profile.to_str().unwrap(), "--profile", "http://example.org/p", "-"];
    let (code, out, _) = run(&arguments, b"{\"resourceType\":\"Patient\"}");
    assert_eq!(code, 1);
    assert!(out.contains("Patient.birthDate stands 0 times"), "{out}");
    let (code, ..) = run(&arguments, b"{\"resourceType\":\"Patient\",\"birthDate\":\"1971-05-04\"}");
    assert_eq!(code, 0);
}

#[test]
fn what_cannot_be_read_exits_2() {
    let (code, _, err) = run(&["no-such-file.json"], b"");
    assert_eq!(code, 2);
    assert!(err.contains("no-such-file.json"), "{err}");
    for missing in [["--definition", "p.json"], ["--package", "p.tgz"]] {
        let (code, _, err) = run(&[missing[0], missing[1], "11-paziente-corretto.json"], b"");
        assert_eq!(code, 2);
        assert!(err.contains(missing[1]), "{err}");
    }
    let (code, out, _) = run(&["-"], b"{\"resourceType\":\"Patient\",\"id\":\"a\",\"id\":\"b\"}");
    assert_eq!(code, 1, "a broken document is a fault of the resource");
    assert!(out.contains("stands twice"), "{out}");
}

#[test]
fn repeats_are_told_once_with_their_lines() {
    let line = "{\"resourceType\":\"Patient\",\"gender\":\"donna\"}\r\n";
    let (code, out, _) = run(&["-"], line.repeat(38).as_bytes());
    assert_eq!(code, 1);
    assert_eq!(out.matches("error[binding]").count(), 1, "{out}");
    assert!(out.contains("and 37 more like it: lines 2, 3, 4, 5, 6, 7, 8, 9 …"), "{out}");
    assert!(out.contains("38 resources checked: 38 with 38 errors"), "{out}");
    assert!(out.contains(" resources/s, "), "{out}");
}

#[test]
fn no_more_is_printed_than_asked_for() {
    let (_, out, _) = run(&["--limit", "2", "."], b"");
    assert_eq!(out.matches("error[").count(), 2, "{out}");
    assert!(out.contains("--limit ") && out.contains("12 resources checked: 11 with"), "{out}");
    let (_, out, _) = run(&["--limit", "2", "--output", "json", "."], b"");
    let issues = issues(&out);
    assert_eq!(issues.iter().filter(|issue| issue["severity"] == "error").count(), 2);
    assert!(issues[2]["details"]["text"].as_str().unwrap().contains("more issues were found"));
}

#[test]
fn nothing_of_the_input_commands_the_terminal() {
    let text = "{\"resourceType\":\"Patient\",\"\u{7f}\u{9b}31m\":\"\u{202e}\"}";
    let (code, out, _) = run(&["-"], text.as_bytes());
    assert_eq!(code, 1);
    assert!(out.contains("␡<U+009B>31m"), "{out}");
    assert!(!out.chars().any(|c| c.is_control() && c != '\n'), "{out}");
}

#[test]
fn an_html_report_goes_to_standard_output_or_to_its_file() {
    let (code, out, err) = run(&["--output", "html", "01-paziente-genere-e-nascita.json"], b"");
    assert_eq!((code, err.trim_end()), (1, "1 resource checked: 3 errors"));
    assert!(out.starts_with("<!DOCTYPE html>") && out.trim_end().ends_with("</html>"));
    assert!(out.contains("Patient.gender") && out.contains("<mark>&quot;gender&quot;</mark>"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("città.html");
    let name = file.to_str().unwrap();
    let (code, out, _) = run(&["--report", name, "11-paziente-corretto.json"], b"");
    assert_eq!((code, out.trim_end()), (0, "1 resource checked: no error"));
    assert!(std::fs::read_to_string(&file).unwrap().contains("The resource has no error"));
    let (code, _, err) = run(&["--report", "no/such/folder/r.html", "11-paziente-corretto.json"], b"");
    assert_eq!(code, 2);
    assert!(err.contains("r.html can't be written"), "{err}");
}

#[test]
fn inputs_of_every_make_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (code, _, err) = run(&[folder.path().to_str().unwrap()], b"");
    assert_eq!(code, 2);
    assert!(err.contains("holds no resource"), "{err}");
    let windows = "\u{feff}{\r\n  \"resourceType\": \"Patient\",\r\n  \"gender\": \"x\"\r\n}\r\n";
    std::fs::write(path("perché.json"), windows).unwrap();
    let (code, out, _) = run(&[&path("perché.json")], b"");
    assert_eq!(code, 1);
    assert!(
        out.contains("perché.json:3:3")
            && out.contains("warning[syntax]: the input begins with a byte-order mark"),
        "{out}"
    );
    assert!(!out.contains('␍'), "{out}");
    for (bytes, message) in
        [(&b""[..], "the input is empty"), (b"\xFF\xFE{\0", "UTF-16"), (b"\x1F\x8B\x08", "compressed")]
    {
        let (code, out, _) = run(&["--output", "json", "-"], bytes);
        assert_eq!(code, 1);
        assert!(issues(&out)[0]["details"]["text"].as_str().unwrap().contains(message), "{out}");
    }
}

#[cfg(unix)]
#[test]
fn what_can_not_be_read_in_a_folder_is_named_and_the_rest_checked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.json"), "{\"resourceType\":\"Patient\"}").unwrap();
    std::os::unix::fs::symlink("nowhere.json", folder.path().join("b.json")).unwrap();
    let (code, out, err) = run(&[folder.path().to_str().unwrap()], b"");
    assert_eq!(code, 2);
    assert!(out.contains("1 resource checked: no error"), "{out}");
    assert!(err.contains("b.json can't be read"), "{err}");
}
