//! Each fault of a manifest is reported with the JSON pointer of what must change, its cause and its cure.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use varco_plugin_host::{Limits, MANIFEST_SCHEMA, Manifest, ManifestError, ManifestFault, OnFailure};

fn faults(change: impl FnOnce(&mut Value)) -> Vec<ManifestFault> {
    let mut manifest = support::manifest("narrative-stripper");
    change(&mut manifest);
    match Manifest::parse(&manifest.to_string()) {
        Err(ManifestError::Faults(faults)) => faults,
        other => panic!("expected faults, got {other:?}"),
    }
}

fn fault(change: impl FnOnce(&mut Value)) -> (String, String) {
    let mut faults = faults(change);
    let fault = faults.pop().unwrap();
    assert!(faults.is_empty(), "{faults:?}");
    (fault.pointer.clone(), fault.to_string())
}

#[test]
fn each_fault_names_its_place_and_cure() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str, &str); 14] = [
        (|m| m["name"] = "Narrative Stripper".into(), "/name", "lower-case letters"),
        (|m| m["version"] = "1".into(), "/version", "semantic version"),
        (|m| m["world"] = "varco:plugin/gateway-plugin@0.1.0".into(), "/world", "varco:plugin@0.2.0"),
        (
            |m| m["world"] = "varco:plugin/request-plugin@0.2.0".into(),
            "/hooks/1",
            "doesn't have the hook response. Use request.",
        ),
        (|m| m["counters"] = json!(["Cut"]), "/counters/0", "start with a letter"),
        (|m| m["component"] = "../other.wasm".into(), "/component", "without a path"),
        (|m| m["sha256"] = "abc".into(), "/sha256", "sha256sum"),
        (|m| m["hooks"] = json!([]), "/hooks", "request, response"),
        (|m| m["hooks"][1] = "audit".into(), "/hooks/1", "Use request, response, transform"),
        (|m| m["grants"][0] = "network".into(), "/grants/0", "Use log, settings"),
        (|m| m["limits"]["deadline_ms"] = 60_000.into(), "/limits/deadline_ms", "1 to 1000 milliseconds"),
        (|m| m["limits"]["deadline"] = 10.into(), "/limits/deadline", "memory_mib, deadline_ms"),
        (|m| m["limits"]["memory_mib"] = json!(2), "/limits/memory_mib", "at least 5 MiB"),
        (|m| m["on_failure"] = "ignore".into(), "/on_failure", "Use closed"),
    ];
    for (change, pointer, cure) in cases {
        let (at, text) = fault(change);
        assert_eq!(at, pointer, "{text}");
        assert!(text.contains(cure), "{pointer}: {text}");
    }
}

#[test]
fn a_missing_property_is_named_itself() {
    let (at, text) = fault(|manifest| {
        manifest.as_object_mut().unwrap().shift_remove("sha256");
    });
    assert_eq!(at, "/sha256");
    assert!(text.contains("missing") && text.contains("64 lower-case hexadecimal digits"), "{text}");
}

#[test]
fn all_faults_are_reported_at_once() {
    let faults = faults(|manifest| {
        manifest["limits"]["memory_mib"] = 1000.into();
        manifest["signed"] = true.into();
        manifest["name"] = "".into();
    });
    let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers.len(), 3, "{faults:?}");
    for pointer in ["/limits/memory_mib", "/signed", "/name"] {
        assert!(pointers.contains(&pointer), "{pointers:?}");
    }
}

#[test]
fn settings_are_checked_by_the_plugin_s_own_schema_and_never_shown() {
    let (at, text) = fault(|manifest| manifest["settings"] = json!({"keep": ["s3cret"]}));
    assert_eq!(at, "/settings/keep/0");
    assert!(!text.contains("s3cret"), "{text}");
    let (at, _) = fault(|manifest| manifest["settings"] = json!({"key": "s3cret"}));
    assert_eq!(at, "/settings/key");
    let (at, text) = fault(|manifest| manifest["settings"] = "s3cret".into());
    assert_eq!(at, "/settings");
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn a_settings_schema_may_not_refer_to_the_outside() {
    let (at, _) =
        fault(|manifest| manifest["settings_schema"] = json!({"$ref": "https://example.org/schema.json"}));
    assert_eq!(at, "/settings_schema");
}

#[test]
fn a_property_given_twice_is_an_error_with_its_line() {
    let text = support::manifest("hostile").to_string();
    let twice = format!("{},\n\"grants\": []}}", text.strip_suffix('}').unwrap());
    let error = Manifest::parse(&twice).unwrap_err();
    let ManifestError::Json { line, cause, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*line, 2);
    assert!(cause.contains("grants"), "{cause}");
}

#[test]
fn broken_json_is_an_error_with_its_place() {
    let error = Manifest::parse("{\n  \"name\": \"x\",\n}").unwrap_err();
    assert!(matches!(&error, ManifestError::Json { line: 3, column: 1, .. }), "{error:?}");
    assert!(Manifest::parse("[]").is_err());
}

#[test]
fn what_a_manifest_leaves_out_has_the_documented_default() {
    let mut text = support::manifest("hostile");
    for optional in ["grants", "counters", "limits", "on_failure", "settings", "settings_schema"] {
        text.as_object_mut().unwrap().shift_remove(optional);
    }
    let manifest = Manifest::parse(&text.to_string()).unwrap();
    assert!(manifest.grants().is_empty());
    assert_eq!(manifest.on_failure(), OnFailure::Closed);
    assert!(manifest.settings_with(&serde_json::Map::new()).unwrap().is_empty());
    assert!(manifest.counters().is_empty());

    let schema: Value = serde_json::from_str(MANIFEST_SCHEMA).unwrap();
    let documented =
        |name: &str, key: &str| schema["properties"]["limits"]["properties"][name][key].as_u64().unwrap();
    let limits = manifest.limits();
    assert_eq!(limits, Limits::default());
    assert_eq!(u64::from(limits.memory_mib()), documented("memory_mib", "default"));
    assert_eq!(u64::from(limits.deadline_ms()), documented("deadline_ms", "default"));
    assert_eq!(limits.input_bytes() as u64, documented("input_kib", "default") * 1024);
    assert_eq!(limits.output_bytes() as u64, documented("output_kib", "default") * 1024);
    assert_eq!(u64::from(Limits::MAX_MEMORY_MIB), documented("memory_mib", "maximum"));
}
