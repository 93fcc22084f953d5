//! The cases of RFC 6902's appendix, told anew, and what a bound must catch.
#![allow(clippy::unwrap_used)]

use fhir_models::document::{Limits, OwnedDocument};
use proptest::prelude::*;

use super::*;

fn patched(document: &str, patch: &str) -> Result<String, PatchError> {
    let read = |text: &str| OwnedDocument::parse_json(text, &Limits::default()).unwrap();
    let (document, patch) = (read(document), read(patch));
    let limits = PatchLimits { operations: 50, bytes: 2_000 };
    json_patch(document.root(), patch.root(), &limits).map(|json| String::from_utf8(json).unwrap())
}

#[test]
fn operations_do_what_they_say() {
    for (document, patch, expected) in [
        // A.1, A.2: a member, an item before another
        (r#"{"ward":"a"}"#, r#"{"op":"add","path":"/bed","value":"7"}"#, r#"{"ward":"a","bed":"7"}"#),
        (r#"{"l":["x","z"]}"#, r#"{"op":"add","path":"/l/1","value":"y"}"#, r#"{"l":["x","y","z"]}"#),
        // A.3, A.4: taking away
        (r#"{"a":1,"b":2}"#, r#"{"op":"remove","path":"/b"}"#, r#"{"a":1}"#),
        (r#"{"l":["x","y","z"]}"#, r#"{"op":"remove","path":"/l/1"}"#, r#"{"l":["x","z"]}"#),
        // A.5: another value
        (r#"{"a":1.50,"b":2}"#, r#"{"op":"replace","path":"/b","value":"two"}"#, r#"{"a":1.50,"b":"two"}"#),
        // A.6, A.7: moving
        (
            r#"{"from":{"x":1,"y":2},"to":{"z":3}}"#,
            r#"{"op":"move","from":"/from/y","path":"/to/y"}"#,
            r#"{"from":{"x":1},"to":{"z":3,"y":2}}"#,
        ),
        (r#"{"l":[1,2,3,4]}"#, r#"{"op":"move","from":"/l/1","path":"/l/3"}"#, r#"{"l":[1,3,4,2]}"#),
        // A.8: tests that hold
        (
            r#"{"w":"x","l":["a",2,"c"]}"#,
            r#"{"op":"test","path":"/w","value":"x"},{"op":"test","path":"/l/1","value":2.0}"#,
            r#"{"w":"x","l":["a",2,"c"]}"#,
        ),
        // A.10, A.11: an object; members that mean nothing
        (r#"{"a":1}"#, r#"{"op":"add","path":"/b","value":{"c":{}}}"#, r#"{"a":1,"b":{"c":{}}}"#),
        (r#"{"a":1}"#, r#"{"op":"add","path":"/b","value":2,"why":3}"#, r#"{"a":1,"b":2}"#),
        // A.14: escapes, and no number out of a text
        (r#"{"/":9,"~1":10}"#, r#"{"op":"test","path":"/~01","value":10}"#, r#"{"/":9,"~1":10}"#),
        (r#"{"/":9}"#, r#"{"op":"replace","path":"/~1","value":8}"#, r#"{"/":8}"#),
        // A.16: a list as an item at the end
        (r#"{"l":["x"]}"#, r#"{"op":"add","path":"/l/-","value":["y","z"]}"#, r#"{"l":["x",["y","z"]]}"#),
        // The whole document, copies, a member that is there already
        (r#"{"a":1}"#, r#"{"op":"replace","path":"","value":{"b":2}}"#, r#"{"b":2}"#),
        (r#"{"a":[1]}"#, r#"{"op":"copy","from":"/a","path":"/a/0"}"#, r#"{"a":[[1],1]}"#),
        (r#"{"a":1}"#, r#"{"op":"add","path":"/a","value":2}"#, r#"{"a":2}"#),
        (r#"{"a":1}"#, r#"{"op":"move","from":"/a","path":"/a"}"#, r#"{"a":1}"#),
        (
            r#"{"o":{"a":1,"b":[2]}}"#,
            r#"{"op":"test","path":"/o","value":{"b":[2],"a":1}}"#,
            r#"{"o":{"a":1,"b":[2]}}"#,
        ),
    ] {
        assert_eq!(patched(document, &format!("[{patch}]")).as_deref(), Ok(expected), "{patch}");
    }
}

#[test]
fn what_does_not_fit_the_document_changes_nothing() {
    for (document, patch) in [
        // A.9, A.15: tests that don't hold
        (r#"{"w":"x"}"#, r#"{"op":"test","path":"/w","value":"y"}"#),
        (r#"{"~1":10}"#, r#"{"op":"test","path":"/~01","value":"10"}"#),
        // A.12: nothing to add to
        (r#"{"a":1}"#, r#"{"op":"add","path":"/b/c","value":1}"#),
        (r#"{"l":[1]}"#, r#"{"op":"add","path":"/l/3","value":1}"#),
        (r#"{"l":[1]}"#, r#"{"op":"add","path":"/l/01","value":1}"#),
        (r#"{"l":[1]}"#, r#"{"op":"remove","path":"/l/-"}"#),
        (r#"{"a":1}"#, r#"{"op":"remove","path":""}"#),
        (r#"{"a":1}"#, r#"{"op":"replace","path":"/b","value":1}"#),
        (r#"{"a":1}"#, r#"{"op":"move","from":"/b","path":"/c"}"#),
        (r#"{"a":1}"#, r#"{"op":"test","path":"/a/b","value":1}"#),
    ] {
        assert_eq!(patched(document, &format!("[{patch}]")).unwrap_err().status(), 422, "{patch}");
    }
}

#[test]
fn what_is_no_patch_is_refused() {
    for patch in [
        r#"{}"#,
        r#"[{"path":"/a"}]"#,
        r#"[{"op":"spam","path":"/a"}]"#,
        r#"[{"op":"add","path":"/b"}]"#,
        r#"[{"op":"add","path":"b","value":1}]"#,
        r#"[{"op":"add","path":"/~2","value":1}]"#,
        r#"[{"op":"move","path":"/b"}]"#,
        r#"[{"op":"move","from":"/a","path":"/a/b"}]"#,
        r#"[{"op":"remove","path":3}]"#,
        r#"[7]"#,
    ] {
        assert_eq!(patched(r#"{"a":{}}"#, patch).unwrap_err().status(), 400, "{patch}");
    }
}

#[test]
fn copies_of_copies_come_to_an_end() {
    let doubling = vec![r#"{"op":"copy","from":"/a","path":"/a/-"}"#; 40].join(",");
    assert_eq!(patched(r#"{"a":["0123456789"]}"#, &format!("[{doubling}]")), Err(PatchError::TooMuch));
    let chain = format!("{}1{}", "[".repeat(20), "]".repeat(20));
    let towers: Vec<String> = (0..60)
        .map(|_| format!(r#"{{"op":"add","path":"/n","value":{chain}}},{{"op":"move","from":"/m","path":"/n{}"}},{{"op":"move","from":"/n","path":"/m"}}"#, "/0".repeat(19)))
        .collect();
    let read = |text: &str| OwnedDocument::parse_json(text, &Limits::default()).unwrap();
    let limits = PatchLimits { operations: 1_000, bytes: 1 << 20 };
    let (document, patch) = (read(&format!(r#"{{"m":{chain}}}"#)), read(&format!("[{}]", towers.join(","))));
    assert_eq!(json_patch(document.root(), patch.root(), &limits), Err(PatchError::TooMuch));
    let many = vec![r#"{"op":"test","path":"/a","value":1}"#; 51].join(",");
    assert_eq!(patched(r#"{"a":1}"#, &format!("[{many}]")), Err(PatchError::TooMuch));
}

proptest! {
    #[test]
    fn any_patch_is_applied_or_refused(
        operations in prop::collection::vec(("(add|remove|replace|move|copy|test)", "(/[ab0-](/[ab0-])?)?", "(/[ab0](/[ab0])?)?"), 0..8)
    ) {
        let written: Vec<String> = operations
            .iter()
            .map(|(op, path, from)| format!(r#"{{"op":"{op}","path":"{path}","from":"{from}","value":{{"a":[1,"b"]}}}}"#))
            .collect();
        if let Ok(result) = patched(r#"{"a":{"b":[1,2]},"b":[0]}"#, &format!("[{}]", written.join(","))) {
            prop_assert!(OwnedDocument::parse_json(result, &Limits::default()).is_ok());
        }
    }
}
