//! `varco snapshot` as a program: exit codes, output, refusals.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::{Command, Stdio};

/// Exit code, standard output and standard error.
fn run(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_varco"))
        .arg("snapshot")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

const XML: &str = r#"<StructureDefinition xmlns="http://hl7.org/fhir"><url value="http://example.it/p"/>
    <name value="P"/><status value="draft"/><kind value="resource"/><abstract value="false"/><type value="Patient"/>
    <baseDefinition value="BASE"/><derivation value="constraint"/>
    <differential><element id="Patient.name"><path value="Patient.name"/><min value="1"/></element></differential>
    </StructureDefinition>"#;

#[test]
fn a_differential_gets_its_snapshot_and_the_validator_takes_it() {
    let input = XML.replace("BASE", "http://hl7.org/fhir/StructureDefinition/Patient");
    let (code, out, notes) = run(&["-"], &input);
    assert_eq!((code, notes.as_str()), (0, ""));
    let made: serde_json::Value = serde_json::from_str(&out).unwrap();
    let elements = made["snapshot"]["element"].as_array().unwrap();
    let name = elements.iter().find(|it| it["id"] == "Patient.name").unwrap();
    assert_eq!(
        (&name["min"], &name["max"], &name["type"][0]["code"]),
        (&1.into(), &"*".into(), &"HumanName".into())
    );
    assert_eq!(made["differential"]["element"].as_array().unwrap().len(), 1);
    let folder = tempfile::tempdir().unwrap();
    let (profile, patient) = (folder.path().join("p.json"), folder.path().join("patient.json"));
    std::fs::write(&profile, &out).unwrap();
    std::fs::write(&patient, r#"{"resourceType":"Patient"}"#).unwrap();
    let validated = Command::new(env!("CARGO_BIN_EXE_varco"))
        .args(["validate", "--profile", "http://example.it/p", "--definition"])
        .args([&profile, &patient])
        .output()
        .unwrap();
    assert_eq!(validated.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&validated.stdout).contains("name"));
}

#[test]
fn a_base_that_is_not_at_hand_is_named() {
    let (code, out, notes) = run(&["-"], &XML.replace("BASE", "http://example.it/base"));
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(notes.contains("http://example.it/base, which is not at hand"), "{notes}");
    assert_eq!(run(&["/none/profile.json"], "").0, 2);
    assert_eq!(run(&["--fhir-version", "5.0", "-"], "").0, 2);
}
