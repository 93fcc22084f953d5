#![allow(clippy::unwrap_used)]

use std::io::{self, Read};

use proptest::prelude::*;

use super::*;
use crate::document::{Limits, SyntaxErrorKind, Tape};

/// A reader that gives a few bytes at a time.
struct Drip<'a> {
    rest: &'a [u8],
    most: usize,
}

impl Read for Drip<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.most.min(self.rest.len()).min(out.len());
        let (now, later) = self.rest.split_at(count);
        out[..count].copy_from_slice(now);
        self.rest = later;
        Ok(count)
    }
}

/// Entries with their offset and line; then the frame, or why there is none.
type Told = (Vec<(String, u64, usize)>, Result<String, String>);

fn bundle(text: &str, most: usize) -> Told {
    bundle_within(text, most, Limits::default())
}

fn bundle_within(text: &str, most: usize, limits: Limits) -> Told {
    let mut stream = BundleStream::new(Drip { rest: text.as_bytes(), most }, limits);
    let mut entries = Vec::new();
    loop {
        match stream.next_entry() {
            Ok(Some(it)) => entries.push((it.document().text().to_owned(), it.offset(), it.start().line)),
            Ok(None) => return (entries, Ok(stream.frame().unwrap().text().to_owned())),
            Err(error) => {
                assert!(stream.frame().is_err());
                assert!(matches!(stream.next_entry().err().unwrap().kind, StreamErrorKind::Failed));
                return (entries, Err(error.to_string()));
            }
        }
    }
}

fn lines(text: &str, most: usize, limits: Limits) -> Vec<Result<(String, u64, usize), String>> {
    let mut stream = NdjsonStream::new(Drip { rest: text.as_bytes(), most }, limits);
    let mut found = Vec::new();
    loop {
        match stream.next_document() {
            Ok(Some(it)) => {
                found.push(Ok((it.document().root().raw().to_owned(), it.offset(), it.start().line)));
            }
            Ok(None) => return found,
            Err(error) => found.push(Err(error.to_string())),
        }
    }
}

#[test]
fn entries_come_one_by_one_and_the_frame_last() {
    let text = "{\n \"resourceType\": \"Bundle\",\n \"entry\": [\n  {\"fullUrl\": \"]}\\\"\"},\n  {\"a\": [{}]} ],\n \"total\": 2 }\n";
    for most in [1, 2, 7, 1000] {
        let (entries, frame) = bundle(text, most);
        let at = |entry: &str| text.find(entry).unwrap() as u64;
        let expected = [("{\"fullUrl\": \"]}\\\"\"}", 4), ("{\"a\": [{}]}", 5)];
        assert_eq!(entries, expected.map(|(entry, line)| (entry.to_owned(), at(entry), line)));
        assert_eq!(frame.unwrap(), "{\"resourceType\":\"Bundle\",\"total\":2}");
    }
}

#[test]
fn a_bundle_without_entries_is_one() {
    assert_eq!(
        bundle("{\"resourceType\":\"Bundle\"}", 3),
        (vec![], Ok("{\"resourceType\":\"Bundle\"}".to_owned()))
    );
    assert_eq!(
        bundle("{\"entry\":[],\"resourceType\":\"Bundle\"}", 3).1.unwrap(),
        "{\"resourceType\":\"Bundle\"}"
    );
}

#[test]
fn the_frame_is_strict() {
    let refused = |text: &str| bundle(text, 5).1.err().unwrap();
    let cases = [
        ("", "the text ends too early (line 1, column 1)"),
        ("[]", "this is not a Bundle: its resourceType must be \"Bundle\" (line 1, column 1)"),
        ("{}", "this is not a Bundle: its resourceType must be \"Bundle\" (line 1, column 3)"),
        (
            "{\"resourceType\":\"Patient\"}",
            "this is not a Bundle: its resourceType must be \"Bundle\" (line 1, column 17)",
        ),
        ("\u{FEFF}{}", "the text begins with a byte-order mark; send UTF-8 without one (line 1, column 1)"),
        (
            "{\"resourceType\":\"Bundle\"} x",
            "there is text after the end of the document (line 1, column 27)",
        ),
        (
            "{\"resourceType\":\"Bundle\",}",
            "a comma must not stand before a closing bracket (line 1, column 26)",
        ),
        ("{\"resourceType\":\"Bundle\"", "the text ends too early (line 1, column 25)"),
        ("{\"a\":1,\n\"\\u0061\":2}", "the property name stands twice in one object (line 2, column 1)"),
        (
            "{\"entry\":[],\"entr\\u0079\":[]}",
            "the property name stands twice in one object (line 1, column 13)",
        ),
        ("{\"entry\":{}}", "Bundle.entry must be an array (line 1, column 10)"),
        ("{\"entry\":[1]}", "an entry of a Bundle must be an object (line 1, column 11)"),
        ("{\"entry\":[{},]}", "a comma must not stand before a closing bracket (line 1, column 14)"),
        ("{\"entry\":[{} {}]}", "a comma or the closing bracket is expected here (line 1, column 14)"),
        ("{\"entry\":[\n {\"a\":01}]}", "this is not a number by JSON's grammar (line 2, column 7)"),
        ("{\"entry\":[{\"a\":{}}}", "a comma or the closing bracket is expected here (line 1, column 19)"),
        ("{\"total\":\n 1x}", "this is not a number by JSON's grammar (line 2, column 2)"),
        ("{\"total\" 1}", "a colon is expected after the property name (line 1, column 10)"),
        ("{\"total\":}", "a value is expected here (line 1, column 10)"),
        ("{total:1}", "a property name in double quotes is expected here (line 1, column 2)"),
        ("{\"entry\":[{\"a\":\"", "the text ends too early (line 1, column 17)"),
    ];
    for (text, message) in cases {
        assert_eq!(refused(text), message, "{text}");
    }
}

#[test]
fn each_line_of_ndjson_stands_for_itself() {
    let text = "{\"a\":1}\r\n\n  \n[\n{\"b\":2}\n\n{\"c\":3}";
    for most in [1, 3, 1000] {
        assert_eq!(
            lines(text, most, Limits::default()),
            [
                Ok(("{\"a\":1}".to_owned(), 0, 1)),
                Err("the text ends too early (line 4, column 2)".to_owned()),
                Ok(("{\"b\":2}".to_owned(), 15, 5)),
                Ok(("{\"c\":3}".to_owned(), 24, 7)),
            ]
        );
    }
    assert_eq!(lines("", 1, Limits::default()), []);
}

#[test]
fn a_line_beyond_the_limit_is_passed_over() {
    let limits = Limits { bytes: 8, ..Limits::default() };
    let text = "[1,2,3,4,5,6,7]\n[1234567]\n[123456]\n[1,2,3,4,5]";
    for most in [1, 4, 1000] {
        let found: Vec<_> = lines(text, most, limits).into_iter().map(|it| it.map(|it| it.0)).collect();
        let large = |line| Err(format!("the document is larger than 8 bytes (line {line}, column 1)"));
        assert_eq!(found, [large(1), large(2), Ok("[123456]".to_owned()), large(4)]);
    }
}

#[test]
fn positions_are_those_of_the_stream() {
    let text = "{\"resourceType\":\"Bundle\",\"entry\":[ {\"è\":1,\n \"b\":[2]}]}";
    let mut stream = BundleStream::new(text.as_bytes(), Limits::default());
    let entry = stream.next_entry().unwrap().unwrap();
    let at = |key: &str| {
        let position = entry.position(entry.document().root().get_key(key).unwrap().position());
        (position.line, position.column)
    };
    assert_eq!((at("è"), at("b")), ((1, 37), (2, 2)));
}

/// A reader of endless entries, up to a number.
struct Many {
    left: usize,
    now: Vec<u8>,
}

impl Read for Many {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.now.is_empty() && self.left > 0 {
            self.left -= 1;
            let end = if self.left == 0 { "]}" } else { "," };
            self.now =
                format!("{{\"resource\":{{\"resourceType\":\"Patient\",\"id\":\"{}\"}}}}{end}", self.left)
                    .into();
        }
        let count = self.now.len().min(out.len());
        out[..count].copy_from_slice(&self.now[..count]);
        self.now.drain(..count);
        Ok(count)
    }
}

#[test]
fn memory_does_not_grow_with_the_number_of_entries() {
    let head = b"{\"resourceType\":\"Bundle\",\"entry\":[".as_slice();
    let mut stream = BundleStream::new(head.chain(Many { left: 20_000, now: Vec::new() }), Limits::default());
    let mut count = 0;
    while stream.next_entry().unwrap().is_some() {
        count += 1;
        assert!(stream.held() < 1 << 18);
    }
    assert_eq!(count, 20_000);
}

#[test]
fn a_failing_reader_is_told_and_not_asked_again() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let mut stream = NdjsonStream::new(b"{}\n".chain(Broken), Limits::default());
    assert!(stream.next_document().unwrap().is_some());
    assert_eq!(
        stream.next_document().err().unwrap().to_string(),
        "reading failed: the disk is gone (line 2, column 1)"
    );
    assert!(matches!(stream.next_document().err().unwrap().kind, StreamErrorKind::Failed));
    let mut stream = BundleStream::new(b"{\"entry\":[".chain(Broken), Limits::default());
    assert!(matches!(stream.next_entry().err().unwrap().kind, StreamErrorKind::Read(_)));
}

proptest! {
    /// A stream agrees with the parser that sees the whole text.
    #[test]
    fn near_bundles_are_read_as_the_parser_reads_them(
        parts in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"entry\":[", "\"entry\":[{}", ",{\"a\":\"}\"}", "{\"b\":[1,{}]}", "\"total\":1", "\"x\":", "\"\\\\\"",
            " ", "\n", "\"resourceType\":\"Bundle\"", "\"resourceType\":\"Bundle\",", "null", "\"é", "1.5",
        ]), 0..14),
        most in 1usize..40,
    ) {
        for text in [parts.concat(), format!("{{\"resourceType\":\"Bundle\",{}}}", parts.concat())] {
            let (entries, frame) = bundle(&text, most);
            let mut tape = Tape::new();
            let whole = tape.parse_json(text.as_bytes(), &Limits::default());
            let parsed = whole.ok().map(|it| it.root()).filter(|root| root.get_key("resourceType").is_some_and(|it| it.is_str("Bundle")));
            let listed = parsed.and_then(|root| root.get_key("entry"));
            let fits = listed.is_none_or(|list| list.is_array() && list.children().all(|it| it.is_object()));
            prop_assert_eq!(frame.is_ok(), parsed.is_some() && fits, "{}: {:?}", text, frame);
            if let (Ok(frame), Some(root)) = (frame, parsed) {
                let expected: Vec<(String, u64)> = listed.into_iter().flat_map(|list| list.children())
                    .map(|it| (it.raw().to_owned(), it.span().start as u64)).collect();
                let got: Vec<(String, u64)> = entries.into_iter().map(|(text, offset, _)| (text, offset)).collect();
                prop_assert_eq!(got, expected);
                let members: Vec<String> = root.children().filter(|it| it.key().unwrap() != "entry")
                    .map(|it| format!("{}:{}", serde_json::to_string(&it.key().unwrap()).unwrap(), it.raw())).collect();
                prop_assert_eq!(frame, format!("{{{}}}", members.join(",")));
            }
        }
    }

    #[test]
    fn any_bytes_give_documents_or_errors(bytes in prop::collection::vec(any::<u8>(), 0..200), most in 1usize..50) {
        let mut stream = NdjsonStream::new(Drip { rest: &bytes, most }, Limits { bytes: 50, ..Limits::default() });
        for _ in 0..300 {
            if matches!(stream.next_document(), Ok(None)) {
                break;
            }
        }
        prop_assert!(matches!(stream.next_document(), Ok(None)));
        let mut stream = BundleStream::new(Drip { rest: &bytes, most }, Limits { bytes: 50, ..Limits::default() });
        while let Ok(Some(_)) = stream.next_entry() {}
    }

    #[test]
    fn places_are_counted_as_positions_are(text in "[aè\n\r😀]{0,40}", cuts in prop::collection::vec(0usize..8, 0..12)) {
        let mut source = source::Source::new(text.as_bytes(), &Limits::default());
        while !source.is_ended() {
            source.fill().unwrap();
        }
        let mut at = 0;
        for mut cut in cuts {
            while !text.is_char_boundary((at + cut).min(text.len())) {
                cut += 1;
            }
            source.take(cut);
            at = (at + cut).min(text.len());
            // Between CR and LF the parser's positions are still on the old line.
            if !(text[..at].ends_with('\r') && text[at..].starts_with('\n')) {
                prop_assert_eq!(source.place().position(), Position::of(text.as_bytes(), at));
            }
        }
    }
}

#[test]
fn limits_hold_for_the_frame_and_each_entry() {
    let limits = Limits { bytes: 40, depth: 3, nodes: 10 };
    let refused = |text: &str| bundle_within(text, 9, limits).1.err().unwrap();
    let many: Vec<String> = (0..50).map(|n| format!("{{\"n\":{n}}}")).collect();
    let text = format!("{{\"resourceType\":\"Bundle\",\"entry\":[{}]}}", many.join(","));
    assert_eq!(bundle_within(&text, 9, limits).0.len(), 50);
    assert!(refused("{\"entry\":[{\"a\":[[[1]]]}]}").contains("3 levels deep"));
    assert!(
        refused(&format!("{{\"entry\":[{{\"a\":\"{}\"}}]}}", "x".repeat(50)))
            .contains("larger than 40 bytes")
    );
    let members: Vec<String> = (0..10).map(|n| format!("\"m{n}\":1")).collect();
    assert!(refused(&format!("{{{}}}", members.join(","))).contains("larger than 40 bytes"));
    let error =
        BundleStream::new("{\"entry\":[{\"a\":[[[1]]]}]}".as_bytes(), limits).next_entry().err().unwrap();
    assert!(error.is_limit());
    assert_eq!(error.kind.to_string(), SyntaxErrorKind::TooDeep(3).to_string());
}
