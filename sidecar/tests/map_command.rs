//! `varco map` as a program: exit codes, output, reports.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const MAP: &str = r#"map "http://example.org/m" = m
uses "http://hl7.org/fhir/StructureDefinition/Patient" alias Patient as source
uses "http://hl7.org/fhir/StructureDefinition/Person" alias Person as target
group main(source src : Patient, target tgt : Person) {
  src -> tgt: gender, birthDate;
  src.name as n check family.exists() -> tgt.name = n "names";
}
"#;
const BACK: &str = r#"map "http://example.org/back" = back
uses "http://hl7.org/fhir/StructureDefinition/Person" alias Person as source
uses "http://hl7.org/fhir/StructureDefinition/Patient" alias Patient as target
group main(source src : Person, target tgt : Patient) { src -> tgt: gender, name; }
"#;
const PATIENT: &[u8] =
    br#"{"resourceType":"Patient","active":true,"name":[{"family":"Rossi"}],"gender":"male","birthDate":"1971-05-01"}"#;

/// Exit code, standard output and standard error of `varco map` in a folder with the maps.
fn run(folder: &Path, arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    std::fs::write(folder.join("there.map"), MAP).unwrap();
    std::fs::write(folder.join("back.map"), BACK).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_varco"))
        .arg("map")
        .args(arguments)
        .current_dir(folder)
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

#[test]
fn the_result_alone_goes_to_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = run(folder.path(), &["--map", "there.map", "-"], PATIENT);
    let person =
        r#"{"resourceType":"Person","name":[{"family":"Rossi"}],"gender":"male","birthDate":"1971-05-01"}"#;
    assert_eq!((code, out.trim_end(), err.as_str()), (0, person, ""));
    let xml = br#"<Patient xmlns="http://hl7.org/fhir"><gender value="female"/></Patient>"#;
    let (code, out, _) = run(folder.path(), &["--map", "there.map", "-"], xml);
    assert_eq!((code, out.trim_end()), (0, r#"{"resourceType":"Person","gender":"female"}"#));
}

#[test]
fn the_report_names_losses_and_what_a_round_trip_lost() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--map", "there.map", "--back", "back.map", "--report", "loss.json", "--trace", "-"];
    let (code, _, err) = run(folder.path(), &arguments, PATIENT);
    assert_eq!(code, 0);
    assert!(err.contains("there.map:6:3: rule main / names at Patient.name[0] (line 1, column 49)"), "{err}");
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("loss.json")).unwrap()).unwrap();
    assert_eq!(report["loss"][0]["path"], "Patient.active");
    assert_eq!(report["loss"].as_array().unwrap().len(), 1);
    let lost: Vec<_> =
        report["roundTrip"].as_array().unwrap().iter().map(|it| it["path"].as_str().unwrap()).collect();
    assert_eq!(lost, ["Patient.active", "Patient.birthDate"]);
}

#[test]
fn failures_exit_1_and_say_where() {
    let folder = tempfile::tempdir().unwrap();
    let nameless = br#"{"resourceType":"Patient","name":[{"text":"x"}]}"#;
    let (code, out, err) = run(folder.path(), &["--map", "there.map", "-"], nameless);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("there.map:6:3: the check family.exists() does not hold"), "{err}");
    assert!(err.contains("at Patient.name[0], line 1, column 35 of the source"), "{err}");
    std::fs::write(folder.path().join("wrong.map"), MAP.replace("src.name", "src.nome")).unwrap();
    let (code, _, err) = run(folder.path(), &["--map", "wrong.map", "-"], PATIENT);
    assert_eq!(code, 1);
    assert!(err.contains("wrong.map:6:3: Patient has no element \"nome\"; did you mean name?"), "{err}");
}

#[test]
fn an_invalid_result_is_told_and_refused_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = br#"{"resourceType":"Patient","gender":"donna"}"#;
    let (code, out, err) = run(folder.path(), &["--map", "there.map", "-"], wrong);
    assert_eq!((code, out.trim_end()), (0, r#"{"resourceType":"Person","gender":"donna"}"#));
    assert!(err.contains("the result is invalid") && err.contains("Person.gender"), "{err}");
    let (code, out, _) = run(folder.path(), &["--map", "there.map", "--strict", "-"], wrong);
    assert_eq!((code, out.as_str()), (1, ""));
    let (code, _, err) = run(folder.path(), &["--map", "there.map", "--no-validation", "-"], wrong);
    assert_eq!((code, err.as_str()), (0, ""));
}

#[test]
fn what_can_not_be_read_exits_2() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(folder.path(), &["--map", "none.map", "-"], PATIENT).0, 2);
    assert_eq!(run(folder.path(), &["--map", "there.map", "none.json"], PATIENT).0, 2);
    assert_eq!(run(folder.path(), &["--map", "there.map", "-"], b"{").0, 2);
    let (code, _, err) = run(folder.path(), &["--fhir-version", "5.0.0", "--map", "there.map", "-"], PATIENT);
    assert!(code == 2 && err.contains("use R4"), "{err}");
}

#[test]
fn a_vendors_json_is_checked_by_its_schema_and_mapped() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/vendor/telemonitoring");
    let folder = tempfile::tempdir().unwrap();
    for name in ["message.schema.json", "message.fml"] {
        std::fs::copy(samples.join(name), folder.path().join(name)).unwrap();
    }
    let arguments = [
        "--input-schema",
        "message.schema.json",
        "--map",
        "message.fml",
        "--report",
        "loss.json",
        "--strict",
        "-",
    ];
    let message = std::fs::read_to_string(samples.join("message.json")).unwrap();
    let (code, out, err) = run(folder.path(), &arguments, message.as_bytes());
    assert_eq!((code, err.as_str()), (0, ""));
    let bundle: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(bundle["entry"].as_array().unwrap().len(), 7);
    let report = std::fs::read_to_string(folder.path().join("loss.json")).unwrap();
    assert!(report.contains(r#""path":"$this.device.firmware""#), "{report}");

    let refused = message.replace("72.50", "\"NaN\"").replace("\"bpm\"", "null");
    let (code, out, err) = run(folder.path(), &arguments, refused.as_bytes());
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("- is refused by its schema:\n  $this.readings[1].unit, line 12, column"), "{err}");
    assert!(err.contains("$this.readings[2].value, line 13, column"), "{err}");

    std::fs::write(folder.path().join("message.schema.json"), r#"{"$ref":"https://vendor.example/other"}"#)
        .unwrap();
    let (code, _, err) = run(folder.path(), &arguments, message.as_bytes());
    assert_eq!(code, 2);
    assert!(err.contains("the schema message.schema.json can't be used"), "{err}");
}

#[test]
fn a_regional_dialect_in_xml_goes_there_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/mapping/synthetic-cup.xml");
    let arguments = [
        "--map",
        "urn:varco:map:synthetic-cup-to-fhir",
        "--back",
        "urn:varco:map:fhir-to-synthetic-cup",
        "--report",
        "loss.json",
        "--strict",
        "-",
    ];
    let (code, out, err) = run(folder.path(), &arguments, &std::fs::read(sample).unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains(r#""value":"CUP-2026-0031877""#), "{out}");
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("loss.json")).unwrap()).unwrap();
    assert_eq!(report["loss"][0]["path"], "$this.impegnativa.esenzione");
    assert_eq!(report["roundTrip"][0]["path"], "$this.impegnativa.esenzione");
    assert_eq!(report["roundTrip"].as_array().unwrap().len(), 1);
    let made = folder.path().join("transaction.json");
    std::fs::write(&made, &out).unwrap();
    let (code, out, _) =
        run(folder.path(), &["--map", "urn:varco:map:fhir-to-synthetic-cup", "transaction.json"], b"");
    assert_eq!(code, 0);
    assert!(
        out.contains("<Prenotazione xmlns=\"urn:varco:synthetic:cup\" codice=\"CUP-2026-0031877\""),
        "{out}"
    );
}
