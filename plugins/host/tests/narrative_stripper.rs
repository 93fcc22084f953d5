//! The useful sample does its work inside the sandbox as it does natively.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use support::{CallsAt, READ, engine, load};
use varco_plugin_host::{Context, Made, Plugin, StatusHint, Verdict};

const NOW: Duration = Duration::ZERO;

fn stripper() -> Plugin {
    load(&engine(), "narrative-stripper", |_| {}).unwrap()
}

#[test]
fn a_bundle_leaves_without_narrative_note_and_display_and_with_its_decimals() {
    let bundle = br#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Observation",
        "text":{"status":"generated","div":"<div>Ada Rossi</div>"},
        "code":{"coding":[{"system":"http://loinc.org","code":"14957-5","display":"Microalbumin"}],"text":"Microalbuminuria"},
        "performer":[{"display":"Dr. Bianchi"}],
        "valueQuantity":{"value":1.50,"unit":"mg/L"},
        "note":[{"text":"seen with her sister"}]}}]}"#;
    let Verdict::Replace(body) = stripper().on_response(&READ, bundle, NOW).unwrap() else {
        panic!("free text must be cut");
    };
    let body = String::from_utf8(body.bytes().to_vec()).unwrap();
    for cut in ["Ada Rossi", "\"display\"", "Bianchi", "sister", "performer"] {
        assert!(!body.contains(cut), "{cut} in {body}");
    }
    for kept in ["\"text\":\"Microalbuminuria\"", "1.50", "14957-5"] {
        assert!(body.contains(kept), "{kept} not in {body}");
    }
}

#[test]
fn a_resource_without_free_text_passes_untouched() {
    let plugin = stripper();
    let body = br#"{"resourceType":"Patient","gender":"female"}"#;
    assert_eq!(plugin.on_response(&READ, body, NOW), Ok(Verdict::Pass));
    assert_eq!(plugin.on_request(&READ, body, NOW), Ok(Verdict::Pass));
    let counters = plugin.counters();
    assert_eq!((counters.calls, counters.passed, counters.traps), (2, 2, 0));
}

#[test]
fn a_script_in_a_request_is_refused_with_a_cure() {
    let plugin = stripper();
    let body = br#"{"resourceType":"Patient","text":{"div":"<div>\u003cscript>steal()</script></div>"}}"#;
    let Verdict::Refuse(refusal) = plugin.on_request(&READ, body, NOW).unwrap() else {
        panic!("a script must be refused");
    };
    assert_eq!(refusal.status_hint, StatusHint::Unprocessable);
    assert_eq!(refusal.status_hint.status(), 422);
    assert_eq!(refusal.code, "security");
    assert!(refusal.diagnostics.starts_with("Remove the <script> element"), "{}", refusal.diagnostics);
    assert_eq!(plugin.counters().refused, 1);
}

#[test]
fn the_context_reaches_the_plugin() {
    let xml = Context { content_type: "application/fhir+xml", ..READ };
    let verdict = stripper().on_response(&xml, b"<Patient xmlns=\"http://hl7.org/fhir\"/>", NOW).unwrap();
    let Verdict::Refuse(refusal) = verdict else { panic!("XML can't be stripped") };
    assert_eq!(refusal.code, "not-supported");
}

#[test]
fn the_settings_reach_the_plugin() {
    let keeps_display = load(&engine(), "narrative-stripper", |manifest| {
        manifest["settings"]["keep"] = vec!["display"].into()
    })
    .unwrap();
    let body = br#"{"code":{"display":"Glucose"},"note":[{"text":"x"}]}"#;
    let expected = br#"{"code":{"display":"Glucose"}}"#.to_vec();
    assert_eq!(keeps_display.on_response(&READ, body, NOW), Ok(Verdict::Replace(Made::Text(expected))));
    assert_eq!(keeps_display.counters().log_lines, 1);
}

#[test]
fn a_body_of_two_mebibytes_fits_into_the_sample_s_limits() {
    let note = r#"{"resource":{"resourceType":"Observation","status":"final","note":[{"text":"x"}]}}"#;
    let entries = vec![note; 25_000].join(",");
    let bundle = format!(r#"{{"resourceType":"Bundle","entry":[{entries}]}}"#);
    assert!(bundle.len() > 1_900_000);
    let generous =
        load(&engine(), "narrative-stripper", |manifest| manifest["limits"]["deadline_ms"] = 1000.into())
            .unwrap();
    let Verdict::Replace(body) = generous.on_response(&READ, bundle.as_bytes(), NOW).unwrap() else {
        panic!("free text must be cut");
    };
    assert!(!String::from_utf8(body.bytes().to_vec()).unwrap().contains("note"));
}

#[test]
fn a_body_of_64_kib_needs_no_more_memory_than_an_empty_one() {
    let plugin = stripper();
    let noted = |bytes: usize| format!(r#"{{"note":[],"status":"{}"}}"#, "x".repeat(bytes)).into_bytes();
    let held = |bytes| {
        assert!(matches!(plugin.on_response(&READ, &noted(bytes), NOW), Ok(Verdict::Replace(_))));
        plugin.counters().peak_memory
    };
    let least = held(0);
    assert_eq!(held(64 << 10), least, "memory was grown, which each call would pay for");
    assert!(held(1 << 20) > least + (2 << 20));
}
