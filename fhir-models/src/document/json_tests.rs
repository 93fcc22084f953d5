#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::document::{Tape, Value};

fn refused(text: &[u8]) -> (SyntaxErrorKind, usize, usize) {
    let mut tape = Tape::new();
    let error = tape.parse_json(text, &Limits::default()).err().unwrap();
    (error.kind, error.position.line, error.position.column)
}

fn accepted(text: &str) {
    Tape::new().parse_json(text.as_bytes(), &Limits::default()).unwrap();
}

#[test]
fn the_grammar_is_strict() {
    use SyntaxErrorKind::*;
    assert_eq!(refused(b""), (UnexpectedEnd, 1, 1));
    assert_eq!(refused(b"{\"a\":1,}"), (TrailingComma, 1, 8));
    assert_eq!(refused(b"[1,]"), (TrailingComma, 1, 4));
    assert_eq!(refused(b"{\r\n\"a\" 1}"), (ExpectedColon, 2, 5));
    assert_eq!(refused(b"{a:1}"), (ExpectedName, 1, 2));
    assert_eq!(refused(b"[1 2]"), (ExpectedCommaOrEnd, 1, 4));
    assert_eq!(refused(b"[1]]"), (TrailingText, 1, 4));
    assert_eq!(refused(b"[nul]"), (ExpectedValue, 1, 2));
    assert_eq!(refused(b"[1"), (UnexpectedEnd, 1, 3));
    assert_eq!(refused(b"\xEF\xBB\xBF{}"), (ByteOrderMark, 1, 1));
    assert_eq!(refused(b"[\"\xC3\xA8\", \"\xFF\"]"), (NotUtf8, 1, 8));
    assert_eq!(refused(b"[\"a\nb\"]"), (ControlCharacter, 1, 4));
}

#[test]
fn a_name_with_zeros_at_its_end_is_another_name() {
    // Found by fuzzing: what leaves held a name that no other reader takes.
    let padded = b"{\"total\0\0\0\0\":3,\"resourceType\":\"Bundle\"}";
    assert_eq!(refused(padded), (SyntaxErrorKind::ControlCharacter, 1, 8));
    let escaped = r#"{"id\u0000":"h1","resourceType":"Bundle"}"#;
    let mut tape = Tape::new();
    let root = tape.parse_json(escaped.as_bytes(), &Limits::default()).unwrap().root();
    assert!(root.get(name::ID).is_none());
    assert!(root.get_key("id\0").is_some());
}

proptest! {
    #[test]
    fn control_characters_stand_in_no_name(at in 0_usize..6, character in 0_u8..0x20, name in "id|total|resourceType|code") {
        let mut name = name.into_bytes();
        name.insert(at.min(name.len()), character);
        let text = [b"{\"".as_slice(), &name, b"\":\"x\",\"more than sixteen bytes\":1}"].concat();
        prop_assert_eq!(refused(&text).0, SyntaxErrorKind::ControlCharacter);
    }
}

#[test]
fn numbers_follow_their_grammar() {
    for good in ["0", "-0", "10.50", "1e5", "1E-5", "-1.5e+10", "0.0"] {
        accepted(good);
    }
    for bad in ["01", "-", "1.", ".5", "1e", "+1", "1.5.2", "0x10", "1a", "--1", "Infinity", "NaN"] {
        assert!(Tape::new().parse_json(bad.as_bytes(), &Limits::default()).is_err(), "{bad}");
    }
}

#[test]
fn duplicate_names_are_found_however_written() {
    use SyntaxErrorKind::DuplicateName;
    assert_eq!(refused(br#"{"id":"a","id":"b"}"#), (DuplicateName, 1, 11));
    assert_eq!(refused(br#"{"id":"a","\u0069d":"b"}"#).0, DuplicateName);
    assert_eq!(refused(br#"{"nessuno":1,"x":{"nessuno":2},"ness\u0075no":3}"#).0, DuplicateName);
    assert_eq!(refused(br#"{"_id":{},"_\u0069d":{}}"#).0, DuplicateName);
    accepted(r#"{"id":"a","_id":{"id":"b","_id":{}},"x":[{"id":"a"},{"id":"a"}]}"#);
}

#[test]
fn duplicates_are_found_among_many_members() {
    let members: Vec<String> = (0..5_000).map(|n| format!("\"k{n}\":{n}")).collect();
    accepted(&format!("{{{}}}", members.join(",")));
    let twice = format!("{{{},\"k17\":0}}", members.join(","));
    assert_eq!(refused(twice.as_bytes()).0, SyntaxErrorKind::DuplicateName);
}

#[test]
fn limits_hold() {
    let limits = Limits { bytes: 100, depth: 3, nodes: 5 };
    let mut tape = Tape::new();
    let kind = |tape: &mut Tape, text: &str| {
        tape.parse_json(text.as_bytes(), &limits).err().map(|e| (e.kind, e.is_limit()))
    };
    assert_eq!(kind(&mut tape, "[[[1]]]"), None);
    assert_eq!(kind(&mut tape, "[[[[1]]]]"), Some((SyntaxErrorKind::TooDeep(3), true)));
    assert_eq!(kind(&mut tape, "[1,2,3,4,5]"), Some((SyntaxErrorKind::TooManyNodes(5), true)));
    assert_eq!(kind(&mut tape, &" ".repeat(101)), Some((SyntaxErrorKind::TooLarge(100), true)));
    let deep = "[".repeat(1_000_000);
    assert!(Tape::new().parse_json(deep.as_bytes(), &Limits::default()).err().unwrap().is_limit());
}

#[test]
fn line_ends_of_every_kind_are_counted() {
    assert_eq!(refused(b"[\r\n1,\r2,\n\n x]"), (SyntaxErrorKind::ExpectedValue, 5, 2));
}

/// The document as `serde_json` would hold it.
fn reread(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Object => value.children().map(|c| (c.key().unwrap().into_owned(), reread(c))).collect(),
        Kind::Array => value.children().map(reread).collect(),
        Kind::String => value.as_str().unwrap().into_owned().into(),
        _ => serde_json::from_str(value.raw()).unwrap(),
    }
}

proptest! {
    #[test]
    fn any_bytes_give_a_document_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut tape = Tape::new();
        if let Err(error) = tape.parse_json(&bytes, &Limits::default()) {
            prop_assert!(error.offset <= bytes.len());
        }
    }

    #[test]
    fn near_json_agrees_with_an_outside_parser(text in r#"[\[\]{},:"a\\u0 1e.tr\n-]{0,40}"#) {
        let mut tape = Tape::new();
        let ours = tape.parse_json(text.as_bytes(), &Limits::default());
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        match (&ours, &theirs) {
            (Ok(doc), Ok(value)) => prop_assert_eq!(&reread(doc.root()), value),
            (Err(error), Ok(_)) => prop_assert!(matches!(error.kind, SyntaxErrorKind::DuplicateName), "{}: {}", text, error),
            // Numbers beyond a double's range are grammatical; the outside parser can't hold them.
            (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("out of range"), "{}: {}", text, error),
            (Err(_), Err(_)) => {}
        }
    }
}
