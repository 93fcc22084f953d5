//! Any bytes: the XML reader gives a document or an error, and what is written from a document is read
//! again as the same document.

#![no_main]

use std::sync::LazyLock;

use fhir_models::definition::Definitions;
use fhir_models::document::xml::{DefinitionSchema, write_xml};
use fhir_models::document::{Format, Limits, Tape};
use libfuzzer_sys::fuzz_target;

static R4: LazyLock<DefinitionSchema> = LazyLock::new(|| DefinitionSchema::new(Definitions::r4()));

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { bytes: 1 << 16, depth: 64, nodes: 10_000 };
    tolerant(bytes, &limits);
    let mut tape = Tape::new();
    let document = match tape.parse_xml(bytes, &*R4, &limits) {
        Ok(document) => document,
        Err(error) => {
            assert!(error.offset <= bytes.len());
            return;
        }
    };
    assert!(document.misplaced().iter().all(|id| document.value(*id).is_some()));
    for value in document.root().descendants() {
        assert!(document.source_offset(value.span().start) < bytes.len());
    }
    let Ok(written) = write_xml(document.root(), &*R4) else { return };
    let mut second = Tape::new();
    let again = match second.parse_xml(written.as_bytes(), &*R4, &Limits::default()) {
        Ok(again) => again,
        Err(error) => panic!("what was written can't be read: {error}"),
    };
    assert_eq!(again.len(), document.len());
    assert!(again.misplaced().is_empty());
    assert_eq!(write_xml(again.root(), &*R4).ok(), Some(written));
});

/// Read tolerantly, a right text is the same, and faults are told with places in it.
fn tolerant(bytes: &[u8], limits: &Limits) {
    let (mut strict, mut lenient) = (Tape::new(), Tape::new());
    let strict = strict.parse_xml(bytes, &*R4, limits);
    if Format::of(bytes) != Format::Xml {
        return;
    }
    let Ok(document) = lenient.parse_tolerant(bytes, &*R4, limits) else {
        return assert!(strict.is_err());
    };
    assert!(document.form_faults().iter().all(|fault| fault.offset <= document.source().len()));
    if let Ok(strict) = strict {
        assert!(document.form_faults().is_empty());
        assert_eq!(strict.text(), document.text());
    }
}
