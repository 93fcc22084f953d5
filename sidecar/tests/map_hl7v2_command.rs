//! `varco map` with HL7 v2 messages: given this file from a hospital's system, when it is mapped without a map, then
//! this comes out, and this is said.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

const HEADER: &str = "MSH|^~\\&|ADT|030924|VARCO|HUB|20260301101500||ADT^A04^ADT_A01|";
const VISIT: &str = "EVN|A04\rPID|1||4711^^^030924&1.2.3&ISO^MR||Rossi^Mario||19710501|M\rPV1|1|O\r";

/// Exit code, standard output and standard error.
fn map(arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_varco"))
        .arg("map")
        .args(arguments)
        .arg("-")
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

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/hl7v2").join(name)).unwrap()
}

fn visit(control_id: &str) -> String {
    format!("{HEADER}{control_id}|P|2.5.1\r{VISIT}")
}

#[test]
fn a_message_becomes_its_bundle() {
    let (code, out, err) = map(&[], &sample("01-admission.hl7"));
    assert_eq!((code, err.as_str()), (0, ""));
    let golden: Value = serde_json::from_slice(&sample("01-admission.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), golden[0]["bundle"]);
}

#[test]
fn a_batch_becomes_a_bundle_a_line_and_the_report_tells_what_was_lost_of_each() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("loss.json");
    let (code, out, err) = map(&["--report", report.to_str().unwrap()], &sample("35-batch-of-two.hl7"));
    assert_eq!((code, err.as_str()), (0, ""));
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["identifier"]["value"], "M35b");
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let golden: Value = serde_json::from_slice(&sample("35-batch-of-two.json")).unwrap();
    for (index, told) in report["messages"].as_array().unwrap().iter().enumerate() {
        let lost: Vec<_> = told["loss"].as_array().unwrap().iter().map(|it| it["path"].clone()).collect();
        assert_eq!(Value::Array(lost), golden[index]["lost"]);
        assert_eq!(
            (&told["controlId"], &told["type"]),
            (&lines[index]["identifier"]["value"], &"ADT^A04".into())
        );
        assert_eq!(told["invalid"], serde_json::json!([]));
    }
}

#[test]
fn a_message_that_fails_is_named_with_its_place_and_the_others_are_printed() {
    let (code, out, err) = map(&[], &sample("42-broken-date.hl7"));
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with("varco map: PID-7.1: "), "{err}");
    let file = format!("{}{}{}", visit("A"), visit("B").replace("19710501", "19711301"), visit("C"));
    let (code, out, err) = map(&[], file.as_bytes());
    assert_eq!((code, out.lines().count()), (1, 2));
    assert!(err.starts_with("varco map: message 2 (B): PID-7.1: ") && err.lines().count() == 1, "{err}");
}

#[test]
fn a_fault_of_the_encoding_is_named_by_segment_and_field() {
    let text = "MSH|^~\\&|LAB|030924|||20260301101500||ORU^R01^ORU_R01|1|P|2.5.1\rPID|1||4711\rOBR|1\r\
                OBX|1|ST|a||right\rOBX|2|ST|b||wrong \\escape\r";
    let (code, out, err) = map(&[], text.as_bytes());
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with("varco map: OBX[2]-5: segment 5, field 5, byte "), "{err}");
    assert!(err.contains("not closed (§2.7)") && !err.contains("wrong"), "{err}");
}

#[test]
fn other_line_ends_and_a_byte_order_mark_need_lenient_reading() {
    let text = format!("\u{feff}{}", visit("1").replace('\r', "\r\n"));
    let (code, out, err) = map(&[], text.as_bytes());
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("begins with an MSH segment"), "{err}");
    let (code, _, err) = map(&[], text.trim_start_matches('\u{feff}').as_bytes());
    assert!(code == 1 && err.contains("not with LF"), "{err}");
    let (code, out, err) = map(&["--lenient"], text.as_bytes());
    assert_eq!(code, 0, "{err}");
    assert!(out.contains(r#""birthDate":"1971-05-01""#), "{out}");
    assert!(err.starts_with("varco map: tolerated: segment 2, "), "{err}");
}

#[test]
fn a_time_without_offset_is_one_of_the_zone() {
    let timestamp = |arguments: &[&str]| {
        let (code, out, err) = map(arguments, visit("1").as_bytes());
        assert_eq!(code, 0, "{err}");
        serde_json::from_str::<Value>(&out).unwrap()["timestamp"].as_str().unwrap().to_owned()
    };
    assert_eq!(timestamp(&[]), "2026-03-01T10:15:00+01:00");
    assert_eq!(timestamp(&["--zone", "+05:30"]), "2026-03-01T10:15:00+05:30");
    let (code, out, err) = map(&["--zone", "Europe/Milan"], visit("1").as_bytes());
    assert!(code == 2 && out.is_empty() && err.contains("Europe/Milan"), "{err}");
}

#[test]
fn a_code_without_translation_is_kept_and_told_and_refused_where_that_is_asked_for() {
    let message = sample("24-result-unmapped-status.hl7");
    let (code, out, err) = map(&[], &message);
    assert_eq!((code, out.lines().count()), (0, 1));
    assert!(err.contains("varco map: note: ") && err.contains("varco map: the result is invalid: "), "{err}");
    let (code, out, err) = map(&["--strict"], &message);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("was not printed (--strict)"), "{err}");
    let (code, _, err) = map(&["--no-validation"], &message);
    assert!(code == 0 && !err.contains("invalid"), "{err}");
}

#[test]
fn what_is_no_message_needs_a_map() {
    let (code, out, err) = map(&[], br#"{"resourceType":"Patient"}"#);
    assert!(code == 2 && out.is_empty() && err.contains("name a map with --map"), "{err}");
    assert_eq!(map(&["--map", "some.map", "--zone", "+01:00"], b"MSH|").0, 2);
    assert_eq!(map(&["--trace"], visit("1").as_bytes()).0, 2);
    let (code, _, err) = map(&[], visit("1").replace("ADT^A04^ADT_A01", "BAR^P01^BAR_P01").as_bytes());
    assert!(code == 1 && err.contains("messages of type BAR^P01 are not converted"), "{err}");
}
