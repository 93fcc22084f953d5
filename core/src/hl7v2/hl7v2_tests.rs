//! Messages as hospitals send them, and as they should not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

const ADMISSION: &str = "MSH|^~\\&|ADT|030924|VARCO|HUB|20260301101500+0100||ADT^A01^ADT_A01|M1|P|2.5.1|||AL|NE|ITA|UNICODE UTF-8\r\
EVN|A01|20260301101500\r\
PID|1||123^^^030924^MR~RSSMRA71E01F205E^^^MEF^NN||Rossi^Mario^^^^^L~Rossi^M.^^^^^A||19710501|M|||Via Mazzini&Via Mazzini&12^^Milano^MI^20121^ITA\r\
PV1|1|I|MED^201^1^030924\r\
ZPV|uno|\"\"\r";

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn parse(text: &str) -> Message<'_> {
    Message::parse(text.as_bytes(), &Reading::STRICT).unwrap()
}

#[test]
fn an_admission_is_read_by_segment_field_repetition_component() {
    let message = parse(ADMISSION);
    let kind = message.message_type();
    assert_eq!((&*kind.code, &*kind.event, &*kind.structure), ("ADT", "A01", "ADT_A01"));
    assert_eq!(message.value(&path("MSH-1")).unwrap(), "|");
    assert_eq!(message.value(&path("MSH-2")).unwrap(), "^~\\&");
    assert_eq!(message.value(&path("MSH-10")).unwrap(), "M1");
    let ids: Vec<_> = message.values(&path("PID-3.1")).collect();
    assert_eq!(ids, ["123", "RSSMRA71E01F205E"]);
    assert_eq!(message.value(&path("PID-3[2].5")).unwrap(), "NN");
    assert_eq!(message.value(&path("PID-11.1.3")).unwrap(), "12");
    assert_eq!(message.value(&path("PID-11")).unwrap(), "Via Mazzini");
    assert_eq!(message.value(&path("PID-2")), None);
    assert_eq!(message.value(&path("PID-99.9.9")), None);
    let local = message.first("ZPV").unwrap();
    assert_eq!(local.position(), 5);
    assert!(local.field(2).unwrap().is_null());
    assert_eq!(local.text(2), None);
    let place = message.first("PID").unwrap().field(5).unwrap().component(2).unwrap();
    assert_eq!(&ADMISSION[place.offset()..place.offset() + 5], "Mario");
}

#[test]
fn a_message_may_have_delimiters_of_its_own() {
    let message = parse("MSH#*@!%#A#B\rPID###1*2@3*4%5\r");
    assert_eq!(message.value(&path("PID-3[2].2.2")).unwrap(), "5");
    assert_eq!(message.delimiters().field, b'#');
}

#[test]
fn escapes_become_text_and_text_becomes_escapes() {
    let message = parse(
        "MSH|^~\\&|A|||||||1|P|2.5.1||||||UNICODE UTF-8\rOBX|1|FT|x||Perch\\XC3A8\\ \\T\\ C\\F\\o\\.br\\fine\\.sp2\\\\H\\ok\\N\\ \\Zlocal\\ \\E\\||\r",
    );
    let value = message.value(&path("OBX-5")).unwrap();
    assert_eq!(value, "Perchè & C|o\nfine\n\nok \\Zlocal\\ \\");
    let delimiters = Delimiters::default();
    assert_eq!(
        escape("a|b^c~d\\e&f\r\ng\u{7}", &delimiters),
        "a\\F\\b\\S\\c\\R\\d\\E\\e\\T\\f\\.br\\g\\X07\\"
    );
}

#[test]
fn what_breaks_a_rule_is_refused_with_its_place() {
    let refused = |text: &[u8]| Message::parse(text, &Reading::STRICT).unwrap_err();
    let header = "MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5.1\r";
    let with = |rest: &str| refused([header, rest].concat().as_bytes());
    assert_eq!(refused(b"").kind, Hl7v2ErrorKind::NoHeader);
    assert_eq!(refused(b"PID|1").kind, Hl7v2ErrorKind::NoHeader);
    assert_eq!(refused(b"MSH").kind, Hl7v2ErrorKind::EncodingCharacters);
    assert_eq!(refused(b"MSH|^^\\&|").kind, Hl7v2ErrorKind::EncodingCharacters);
    assert_eq!(refused(b"MSH|^~\\&\nPID|1").kind, Hl7v2ErrorKind::LineEnd);
    assert_eq!(with("pid|1\r").kind, Hl7v2ErrorKind::SegmentName);
    assert_eq!(with("PIDX|1\r").kind, Hl7v2ErrorKind::SegmentName);
    let open = with("PID|1||C:\\dati\r");
    assert_eq!((open.kind, open.segment, open.field), (Hl7v2ErrorKind::Escape, 2, 3));
    assert_eq!(open.offset, header.len() + "PID|1||C:".len());
    assert_eq!(with("PID|1|\u{1}\r").kind, Hl7v2ErrorKind::ControlCharacter);
    assert_eq!(with("PID|1||Niccolò\r").kind, Hl7v2ErrorKind::CharacterSet);
    let few = Reading { segments: 1, ..Reading::STRICT };
    let text = [header, "PID|1\r"].concat();
    assert_eq!(Message::parse(text.as_bytes(), &few).unwrap_err().kind, Hl7v2ErrorKind::TooManySegments);
    let small = Reading { bytes: 10, ..Reading::STRICT };
    assert_eq!(Message::parse(text.as_bytes(), &small).unwrap_err().kind, Hl7v2ErrorKind::TooLarge);
    assert!(!open.to_string().contains("dati"), "a message of ours quotes the patient's data");
}

#[test]
fn what_hospitals_send_is_read_leniently_and_noted() {
    let text = "MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5.1\r\n\r\nPID|1||C:\\dati||D'Agostino^Niccolò\r\nnot a segment\r\nPV1|1|O\r\n";
    let message = Message::parse(text.as_bytes(), &Reading::LENIENT).unwrap();
    assert_eq!(message.segments().len(), 3);
    assert_eq!(message.value(&path("PID-3")).unwrap(), "C:\\dati");
    assert_eq!(message.value(&path("PID-5.2")).unwrap(), "Niccolò");
    let kinds: Vec<_> = message.notes().iter().map(|note| note.kind).collect();
    for kind in [
        Hl7v2ErrorKind::CharacterSet,
        Hl7v2ErrorKind::LineEnd,
        Hl7v2ErrorKind::Escape,
        Hl7v2ErrorKind::SegmentName,
    ] {
        assert!(kinds.contains(&kind), "{kind:?} was not noted");
    }
}

#[test]
fn character_sets_are_told_by_the_header() {
    let latin = |name: &str| {
        let mut bytes =
            format!("MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5.1||||||{name}\rPID|1||||Nicol").into_bytes();
        bytes.push(0xF2);
        bytes.extend_from_slice(b"^\xA4\r");
        bytes
    };
    let bytes = latin("8859/1");
    let message = Message::parse(&bytes, &Reading::STRICT).unwrap();
    assert_eq!(message.value(&path("PID-5.1")).unwrap(), "Nicolò");
    assert_eq!(message.value(&path("PID-5.2")).unwrap(), "¤");
    let bytes = latin("8859/15");
    assert_eq!(Message::parse(&bytes, &Reading::STRICT).unwrap().value(&path("PID-5.2")).unwrap(), "€");
    for name in ["", "ASCII", "UNICODE UTF-8"] {
        let bytes = latin(name);
        let fault = Message::parse(&bytes, &Reading::STRICT).unwrap_err();
        assert_eq!(fault.kind, Hl7v2ErrorKind::CharacterSet, "{name}");
        let guessed = Message::parse(&bytes, &Reading::LENIENT).unwrap();
        assert_eq!(guessed.value(&path("PID-5.1")).unwrap(), "Nicolò");
        assert_eq!(guessed.notes().len(), 1);
    }
    let bytes = latin("KS X 1001");
    let fault = Message::parse(&bytes, &Reading::STRICT).unwrap_err();
    assert_eq!((fault.kind, fault.field), (Hl7v2ErrorKind::UnknownCharacterSet, 18));
}

#[test]
fn an_acknowledgment_turns_the_header_around() {
    let message = parse(ADMISSION);
    let pid = message.first("PID").unwrap();
    let answer = Acknowledgment {
        code: AcknowledgmentCode::Error,
        errors: vec![MessageError {
            place: Some(Path::of(pid, 1, 3, 2, 1)),
            code: ErrorCode::DataType,
            text: "il codice fiscale non è valido | correggere".to_owned(),
        }],
    };
    let text = answer.write(Some(&message), "20260301101501+0100", "R1");
    let answer = parse(&text);
    assert_eq!(answer.message_type().code, "ACK");
    assert_eq!(answer.message_type().event, "A01");
    assert_eq!(answer.value(&path("MSH-3")).unwrap(), "VARCO");
    assert_eq!(answer.value(&path("MSH-5")).unwrap(), "ADT");
    assert_eq!(answer.value(&path("MSA-1")).unwrap(), "AE");
    assert_eq!(answer.value(&path("MSA-2")).unwrap(), "M1");
    let place: Vec<_> = answer.first("ERR").unwrap().field(2).unwrap().components().map(Part::raw).collect();
    assert_eq!(place, ["PID", "1", "3", "2", "1"]);
    assert_eq!(answer.value(&path("ERR-3.1")).unwrap(), "102");
    assert_eq!(answer.value(&path("ERR-8")).unwrap(), "il codice fiscale non è valido | correggere");
    let nothing =
        Acknowledgment { code: AcknowledgmentCode::Reject, errors: Vec::new() }.write(None, "2026", "R2");
    assert_eq!(parse(&nothing).value(&path("MSA-1")).unwrap(), "AR");
}

#[test]
fn a_batch_gives_its_messages() {
    let one = "MSH|^~\\&|A\rPID|1\r";
    let batch = format!("FHS|^~\\&\rBHS|^~\\&\r{one}{one}BTS|2\rFTS|1\r");
    let messages = split_batch(batch.as_bytes()).unwrap();
    assert_eq!(messages, [one.trim_end().as_bytes(); 2]);
    assert_eq!(split_batch([one, one, "\r\n"].concat().as_bytes()).unwrap().len(), 2);
    let cut = batch.replace("BTS|2", "BTS|3");
    assert_eq!(split_batch(cut.as_bytes()).unwrap_err().kind, Hl7v2ErrorKind::BatchCount);
    assert_eq!(split_batch(b"").unwrap_err().kind, Hl7v2ErrorKind::NoHeader);
}

#[test]
fn places_are_written_as_they_are_read() {
    for text in ["PID-3", "PID-3.4.1", "PID-3[2].1", "OBX[2]-5", "OBX[12]-5[3].6.7"] {
        assert_eq!(path(text).to_string(), text);
    }
    for text in
        ["", "PID", "PID-", "PID-0", "pid-3", "PID-3.", "PID-3[0]", "PID-3[1", "PID-3.1.2.3", "PID-70000"]
    {
        assert_eq!(text.parse::<Path>(), Err(PathError), "{text}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), header in any::<bool>()) {
        let mut text = if header { b"MSH|^~\\&|A|B\r".to_vec() } else { Vec::new() };
        text.extend(bytes);
        for reading in [Reading::STRICT, Reading::LENIENT] {
            if let Ok(message) = Message::parse(&text, &reading) {
                for segment in message.segments() {
                    for number in 0..=segment.field_count() + 1 {
                        for part in segment.field(number).into_iter().flat_map(Part::repetitions) {
                            let _ = part.value();
                            part.components().flat_map(Part::subcomponents).for_each(|leaf| {
                                let _ = leaf.value();
                            });
                        }
                    }
                }
                let code = AcknowledgmentCode::Accept;
                let answer = Acknowledgment { code, errors: Vec::new() }.write(Some(&message), "2026", "1");
                prop_assert!(answer.starts_with("MSH"));
            }
        }
        let _ = split_batch(&text);
    }

    #[test]
    fn what_is_escaped_is_read_back(text in "[ -~àèéìòùÀÈ€\n]{0,60}") {
        let value = format!("x{text}");
        let message = format!(
            "MSH|^~\\&|A|||||||1|P|2.5.1||||||UNICODE UTF-8\rNTE|1||{}\r",
            escape(&value, &Delimiters::default())
        );
        let message = Message::parse(message.as_bytes(), &Reading::STRICT).unwrap();
        prop_assert_eq!(message.value(&path("NTE-3")).unwrap(), value);
    }
}
