//! Any bytes: a batch is split into parts of itself; a message is read or refused with a place inside it, strictly and
//! leniently; what is read strictly is read leniently too; its document is JSON; and its acknowledgment
//! is a message with the control id in MSA-2.

#![no_main]

use fhir_models::document::{Limits as DocumentLimits, OwnedDocument};
use libfuzzer_sys::fuzz_target;
use varco_core::hl7v2::{
    Acknowledgment, AcknowledgmentCode, ErrorCode, Grouped, Message, MessageError, Path, Reading, Structure,
    message_document, place_of, split_batch,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(messages) = split_batch(bytes) {
        assert!(messages.iter().map(|message| message.len()).sum::<usize>() <= bytes.len());
        messages.into_iter().for_each(each);
    }
    each(bytes);
});

fn each(bytes: &[u8]) {
    let bounds = |reading| Reading { bytes: 1 << 16, segments: 1000, ..reading };
    let strict = Message::parse(bytes, &bounds(Reading::STRICT));
    let lenient = Message::parse(bytes, &bounds(Reading::LENIENT));
    match &strict {
        Ok(message) => {
            assert!(lenient.is_ok(), "what is right is right for the lenient too");
            look(message);
        }
        Err(error) => assert!(error.offset <= 3 * bytes.len() + 3, "{error}"),
    }
    if let Ok(message) = &lenient {
        look(message);
    }
}

fn look(message: &Message<'_>) {
    for segment in message.segments() {
        assert!(segment.offset() <= message.as_str().len());
        for number in 0..=segment.field_count() + 1 {
            for part in segment.field(number).into_iter().flat_map(|field| field.repetitions()) {
                for component in part.components() {
                    component.subcomponents().for_each(|one| drop(one.value()));
                }
            }
        }
    }
    for structure in Structure::all() {
        let Ok(grouped) = Grouped::fit(message, structure) else { continue };
        let text = message_document(message, &grouped, structure);
        let document =
            OwnedDocument::parse_json(text, &DocumentLimits::default()).expect("the document is JSON");
        document.root().descendants().for_each(|value| drop(place_of(value)));
    }
    let place = message.segments().last().map(|last| Path::of(last, 1, 1, 0, 0));
    let fault = MessageError { place, code: ErrorCode::DataType, text: "mend it | è ^ così".to_owned() };
    let answer = Acknowledgment { code: AcknowledgmentCode::Error, errors: vec![fault] };
    let written = answer.write(Some(message), "20260301101500+0100", "1");
    let again =
        Message::parse(written.as_bytes(), &Reading::LENIENT).expect("an acknowledgment is a message");
    let control = again.first("MSA").and_then(|msa| msa.field(2)).map_or("", |field| field.raw());
    assert_eq!(control, message.header(10).map_or("", |field| field.raw()));
}
