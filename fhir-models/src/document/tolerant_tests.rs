#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::xml::DefinitionSchema;
use super::{FormFault, Limits, SyntaxError, SyntaxErrorKind as Why, Tape};
use crate::definition::Definitions;

fn schema() -> DefinitionSchema {
    DefinitionSchema::new(Definitions::r4())
}

/// The text that a tolerant reading gives, and what it put up with.
fn read(text: impl AsRef<[u8]>) -> Result<(String, Vec<FormFault>), SyntaxError> {
    let mut tape = Tape::new();
    let document = tape.parse_tolerant(text.as_ref(), &schema(), &Limits::default())?;
    let strict = Tape::new().parse_json(document.text().as_bytes(), &Limits::default()).is_ok();
    assert!(strict, "{}", document.text());
    assert!(document.form_faults().is_sorted_by_key(|fault| fault.offset));
    Ok((document.text().to_owned(), document.form_faults().to_vec()))
}

/// What JSON is mended to, with the kind and offset of each fault.
fn mended(text: &str) -> (String, Vec<(Why, usize)>) {
    let (mended, faults) = read(text).unwrap();
    (mended, faults.iter().map(|fault| (fault.kind, fault.offset)).collect())
}

/// The kind and XPath of each fault of an XML text.
fn tolerated(text: &str) -> (String, Vec<(Why, String)>) {
    let (json, faults) = read(text).unwrap();
    (json, faults.into_iter().map(|fault| (fault.kind, fault.path.unwrap_or_default())).collect())
}

fn one(text: &str, json: &str, kind: Why, offset: usize) {
    assert_eq!(mended(text), (json.to_owned(), vec![(kind, offset)]), "{text}");
}

#[test]
fn json_without_fault_stays_as_it_is() {
    let text = "{ \"resourceType\": \"Patient\", \"active\": true }\n";
    assert_eq!(mended(text), (text.to_owned(), Vec::new()));
}

#[test]
fn of_two_values_under_one_name_the_first_counts() {
    one(r#"{"a":1,"a":{"b":[2,{}]},"c":3}"#, r#"{"a":1,"c":3}"#, Why::DuplicateName, 7);
    one(r#"{"a":1,"\u0061":2}"#, r#"{"a":1}"#, Why::DuplicateName, 7);
    one(r#"{"x":{"a":[1],"a":[]},"a":3}"#, r#"{"x":{"a":[1]},"a":3}"#, Why::DuplicateName, 14);
}

#[test]
fn commas_may_be_too_many_or_too_few() {
    one(r#"{"a":[1,2,],"b":3}"#, r#"{"a":[1,2],"b":3}"#, Why::TrailingComma, 10);
    one(r#"{"a":1,}"#, r#"{"a":1}"#, Why::TrailingComma, 7);
    one(r#"{"a":1 "b":2}"#, r#"{"a":1,"b":2}"#, Why::ExpectedCommaOrEnd, 7);
    one(r#"{"a":[1 2]}"#, r#"{"a":[1,2]}"#, Why::ExpectedCommaOrEnd, 8);
    one(r#"{"a":[1,,2]}"#, r#"{"a":[1,2]}"#, Why::ExpectedValue, 8);
    one(r#"{,"a":1}"#, r#"{"a":1}"#, Why::ExpectedName, 1);
    one(r#"{"a":1,"b":}"#, r#"{"a":1}"#, Why::ExpectedValue, 11);
    one(r#"{"b":,"a":1}"#, r#"{"a":1}"#, Why::ExpectedValue, 5);
}

#[test]
fn values_of_another_language_are_texts() {
    one(r#"{"a":True}"#, r#"{"a":"True"}"#, Why::ExpectedValue, 5);
    one(r#"{"a":007}"#, r#"{"a":"007"}"#, Why::BadNumber, 5);
    one(r#"{'a':1}"#, r#"{"a":1}"#, Why::ExpectedName, 1);
    one(r#"{"a":'say "b"'}"#, r#"{"a":"say \"b\""}"#, Why::ExpectedValue, 5);
    one(r#"{"a" 1}"#, r#"{"a":1}"#, Why::ExpectedColon, 5);
}

#[test]
fn strings_are_mended_inside() {
    one("{\"a\":\"b\tc\"}", "{\"a\":\"b\\u0009c\"}", Why::ControlCharacter, 7);
    one(r#"{"a":"C:\dati"}"#, r#"{"a":"C:\\dati"}"#, Why::BadEscape, 8);
    one(r#"{"a":"\ud83d!"}"#, r#"{"a":"\ufffd!"}"#, Why::LoneSurrogate, 6);
}

#[test]
fn comments_marks_and_text_after_the_end_are_passed_over() {
    one("{\"a\":1 // età\n}", "{\"a\":1}", Why::Comment, 7);
    one("/* x */{\"a\":1}", "{\"a\":1}", Why::Comment, 0);
    one("\u{FEFF}{\"a\":1}", "{\"a\":1}", Why::ByteOrderMark, 0);
    one("{\"a\":1} }", "{\"a\":1}", Why::TrailingText, 8);
}

#[test]
fn bytes_that_are_no_text_are_replaced() {
    let (text, faults) = read(b"{\"a\":\"b\xE8c\"}").unwrap();
    assert_eq!(text, "{\"a\":\"b\u{FFFD}c\"}");
    assert_eq!(
        faults.iter().map(|fault| (fault.kind, fault.offset)).collect::<Vec<_>>(),
        [(Why::NotUtf8, 7)]
    );
    let (json, faults) =
        read(b"<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"\x93\"/></Patient>").unwrap();
    assert_eq!(json, "{\"resourceType\":\"Patient\",\"id\":\"\u{FFFD}\"}");
    assert_eq!((faults[0].kind, faults[0].path.as_deref()), (Why::NotUtf8, Some("/f:Patient/f:id")));
}

#[test]
fn where_nothing_is_left_the_first_fault_is_told() {
    let kind = |text: &str| read(text).err().map(|error| (error.kind, error.offset));
    assert_eq!(kind(r#"{"a":[1,2"#), Some((Why::UnexpectedEnd, 9)));
    assert_eq!(kind(r#"{"a":[1}"#), Some((Why::ExpectedCommaOrEnd, 7)));
    assert_eq!(kind("not found"), Some((Why::ExpectedValue, 0)));
    assert_eq!(kind(""), Some((Why::UnexpectedEnd, 0)));
    assert_eq!(kind("<Patient xmlns=\"http://hl7.org/fhir\"><id>"), Some((Why::UnexpectedEnd, 41)));
    assert_eq!(kind("<html><body/></html>"), Some((Why::WrongNamespace, 0)));
    assert_eq!(kind("<!DOCTYPE x><Patient/>"), Some((Why::DocumentType, 0)));
}

const PATIENT: &str = "<Patient xmlns=\"http://hl7.org/fhir\" xmlns:o=\"urn:other\">";

#[test]
fn what_fhir_xml_has_no_place_for_is_left_out() {
    let text = format!(
        "{PATIENT} loop <active value=\"true\" o:b=\"c\"/><name><o:family value=\"x\"/>\
         <given value=\"a\" value=\"b\"/>;</name><name>;</name></Patient> end"
    );
    let (json, faults) = tolerated(&text);
    assert_eq!(json, r#"{"resourceType":"Patient","active":true,"name":[{"given":["a"]},{}]}"#);
    let faults: Vec<_> = faults.iter().map(|(kind, path)| (*kind, path.as_str())).collect();
    assert_eq!(
        faults,
        [
            (Why::StrayText, "/f:Patient"),
            (Why::UnexpectedAttribute, "/f:Patient/f:active"),
            (Why::WrongNamespace, "/f:Patient/f:name[1]"),
            (Why::DuplicateAttribute, "/f:Patient/f:name[1]/f:given"),
            (Why::StrayText, "/f:Patient/f:name[1]"),
            (Why::StrayText, "/f:Patient/f:name[2]"),
            (Why::TrailingText, ""),
        ]
    );
}

#[test]
fn what_stands_in_an_undefined_element_is_not_judged() {
    let text = format!("{PATIENT}<name><text value=\"A\"><script>x</script></text></name></Patient>");
    let (json, faults) = tolerated(&text);
    assert_eq!(json, r#"{"resourceType":"Patient","name":[{"text":"A","_text":{"script":{}}}]}"#);
    assert_eq!(faults, []);
}

#[test]
fn entities_and_namespaces_of_others_are_noted() {
    let text = "<Patient><id value=\"a&nbsp;&b\"/><text><div>x &reg;</div></text></Patient>";
    let (json, faults) = tolerated(text);
    assert_eq!(json, r#"{"resourceType":"Patient","id":"a&nbsp;&b","text":{"div":"<div>x &reg;</div>"}}"#);
    let kinds: Vec<_> = faults.iter().map(|(kind, path)| (*kind, path.as_str())).collect();
    assert_eq!(
        kinds,
        [
            (Why::WrongNamespace, "/f:Patient"),
            (Why::UnknownEntity, "/f:Patient/f:id"),
            (Why::BadReference, "/f:Patient/f:id"),
            (Why::UnknownEntity, "/f:Patient/f:text/h:div"),
        ]
    );
}

#[test]
fn no_more_faults_are_kept_than_is_said() {
    let text = format!("{{\"a\":[{}1]}}", "1 ".repeat(300));
    let mut tape = Tape::new();
    let schema = schema();
    let document = tape.parse_tolerant(text.as_bytes(), &schema, &Limits::default()).unwrap();
    assert_eq!(document.form_faults().len(), super::MOST_FAULTS);
    assert!(document.has_more_form_faults());
}

/// A text of JSON or XML with a few bytes replaced, taken away or put in.
fn spoilt() -> impl Strategy<Value = Vec<u8>> {
    let whole = prop::sample::select(vec![
        r#"{"resourceType":"Patient","active":true,"name":[{"given":["A","B\n"],"_given":[null,{"id":"x"}]}],"x":-1.5e3}"#.to_owned(),
        format!("{PATIENT}<id value='a&amp;b'/><text><status value='generated'/><div xmlns='http://www.w3.org/1999/xhtml'>x<br/></div></text><name><given value='A'/><given value='B'/></name><!-- c --></Patient>"),
    ]);
    let bytes = prop::sample::select(b"{}[]:,\"'\\/<>&;!-= \n\x01\xFFax10".to_vec());
    let edits = prop::collection::vec((any::<prop::sample::Index>(), bytes, 0u8..3), 0..4);
    (whole, edits).prop_map(|(text, edits)| {
        let mut text = text.into_bytes();
        for (at, byte, how) in edits {
            let at = at.index(text.len());
            match how {
                0 => text[at] = byte,
                1 => drop(text.remove(at)),
                _ => text.insert(at, byte),
            }
        }
        text
    })
}

proptest! {
    #[test]
    fn both_readings_agree_on_what_is_right(text in spoilt()) {
        let schema = schema();
        let limits = Limits::default();
        let (mut strict, mut tolerant) = (Tape::new(), Tape::new());
        let strict = strict.parse(&text, &schema, &limits);
        match tolerant.parse_tolerant(&text, &schema, &limits) {
            Ok(document) => {
                prop_assert!(Tape::new().parse_json(document.text().as_bytes(), &limits).is_ok());
                let faults = document.form_faults();
                prop_assert!(faults.iter().all(|fault| fault.offset <= document.source().len()));
                prop_assert!(faults.iter().all(|fault| fault.near <= document.text().len()));
                match strict {
                    Ok(strict) => {
                        prop_assert!(faults.is_empty());
                        prop_assert_eq!(strict.text(), document.text());
                        prop_assert_eq!(strict.misplaced(), document.misplaced());
                    }
                    Err(error) => {
                        // The rules of narrative and of elements find the rest.
                        let later = error.kind == Why::ExpectedDiv || document.format() == super::Format::Xml;
                        prop_assert!(later || !faults.is_empty(), "{error}");
                    }
                }
            }
            Err(_) => prop_assert!(strict.is_err()),
        }
    }
}
