//! Any bytes: the JSON parser gives a document or an error, and agrees with an outside parser and with the
//! streams.

#![no_main]

use std::sync::LazyLock;

use fhir_models::definition::Definitions;
use fhir_models::document::stream::{BundleStream, NdjsonStream};
use fhir_models::document::xml::DefinitionSchema;
use fhir_models::document::{Format, Kind, Limits, SyntaxErrorKind, Tape, Value};
use libfuzzer_sys::fuzz_target;

static R4: LazyLock<DefinitionSchema> = LazyLock::new(|| DefinitionSchema::new(Definitions::r4()));

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { bytes: 1 << 16, depth: 64, nodes: 10_000 };
    let mut tape = Tape::new();
    match tape.parse_json(bytes, &limits) {
        Ok(document) => {
            let root = document.root();
            assert_eq!(1 + root.descendants().map(|value| check(value)).count(), document.len());
            check(root);
            if let Ok(theirs) = serde_json::from_slice::<serde_json::Value>(bytes) {
                assert_eq!(reread(root), theirs);
            }
        }
        Err(error) => {
            assert!(error.offset <= bytes.len());
            let ours_alone = error.is_limit() || error.kind == SyntaxErrorKind::DuplicateName;
            assert!(ours_alone || serde_json::from_slice::<serde_json::Value>(bytes).is_err(), "{error}");
        }
    }
    tolerant(bytes, &limits);
    let mut lines = NdjsonStream::new(bytes, limits);
    while !matches!(lines.next_document(), Ok(None)) {}
    let mut bundle = BundleStream::new(bytes, limits);
    while let Ok(Some(entry)) = bundle.next_entry() {
        assert!(entry.document().root().is_object());
    }
});

/// Read tolerantly, a right text is the same, and a wrong one becomes JSON with notes of what was wrong.
fn tolerant(bytes: &[u8], limits: &Limits) {
    let (mut strict, mut mended, mut again) = (Tape::new(), Tape::new(), Tape::new());
    let strict = strict.parse_json(bytes, limits);
    if Format::of(bytes) != Format::Json {
        return;
    }
    let Ok(document) = mended.parse_tolerant(bytes, &*R4, limits) else {
        return assert!(strict.is_err());
    };
    assert_eq!(strict.is_ok(), document.form_faults().is_empty());
    let whole = Limits { bytes: usize::MAX, ..*limits };
    assert!(again.parse_json(document.text().as_bytes(), &whole).is_ok());
    check(document.root());
    for value in document.root().descendants() {
        assert!(document.source_offset(value.span().start) < document.source().len());
    }
}

/// Every way to read a value, none of which may panic.
fn check(value: Value<'_>) {
    let (span, member) = (value.span(), value.member_span());
    assert!(member.start <= span.start && span.end == member.end && span.start < span.end);
    assert_eq!(value.raw().len(), span.len());
    assert!(value.children().all(|child| span.start < child.span().start && child.span().end < span.end));
    assert_eq!(value.as_str().is_some(), value.kind() == Kind::String);
    value.key();
}

fn reread(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Object => {
            value.children().filter_map(|it| Some((it.key()?.into_owned(), reread(it)))).collect()
        }
        Kind::Array => value.children().map(reread).collect(),
        Kind::String => value.as_str().unwrap_or_default().into_owned().into(),
        _ => serde_json::from_str(value.raw()).unwrap_or_default(),
    }
}
