#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument};
use proptest::prelude::*;

use super::*;

static NECESSARY: LazyLock<Necessary> = LazyLock::new(|| Necessary::from_definitions(Definitions::r4()));

/// A label that is forbidden (`SECRET`) or not.
fn inline(code: &str) -> String {
    format!(r#""extension":[{{"url":"{INLINE}","valueCoding":{{"system":"urn:s","code":"{code}"}}}}]"#)
}

fn parsed(text: &str) -> OwnedDocument {
    OwnedDocument::parse_json(text, &Limits::default()).unwrap()
}

/// Cuts every element that is labelled `SECRET`.
fn cut(text: &str) -> Rest {
    let document = parsed(text);
    let all = labelled_elements(document.document());
    let secret = all.iter().filter(|own| own.labels.has("urn:s", "SECRET")).map(|own| own.value);
    cut_elements(document.document(), &secret.collect::<Vec<_>>(), &NECESSARY)
}

fn left(text: &str) -> String {
    match cut(text) {
        Rest::Part(json) => String::from_utf8(json).unwrap(),
        other => panic!("{other:?}: {text}"),
    }
}

fn patient(members: &str) -> String {
    format!(r#"{{"resourceType":"Patient","id":"p",{members}}}"#)
}

#[test]
fn an_element_goes_with_its_twin_and_every_narrative() {
    let secret = inline("SECRET");
    let text = patient(&format!(
        r#""text":{{"status":"generated","div":"<div>1980</div>"}},"gender":"female","birthDate":"1980-01-01","_birthDate":{{{secret}}},"telecom":[{{"value":"1",{secret}}},{{"value":"2","extension":[{{"url":"urn:x","valueCode":"c"}}]}}]"#
    ));
    assert_eq!(
        left(&text),
        patient(
            r#""gender":"female","telecom":[{"value":"2","extension":[{"url":"urn:x","valueCode":"c"}]}]"#
        )
    );
    assert_eq!(cut(&patient(&format!(r#""telecom":[{{"value":"1",{}}}]"#, inline("OPEN")))), Rest::Whole);
}

#[test]
fn what_is_left_empty_goes_and_no_filling_tells_of_it() {
    let secret = inline("SECRET");
    for (members, expected) in [
        (format!(r#""telecom":[{{"value":"1",{secret}}}],"active":true"#), r#""active":true"#),
        (
            format!(r#""active":true,"contact":[{{"name":{{"text":"x","_text":{{{secret}}}}}}}]"#),
            r#""active":true"#,
        ),
        (
            format!(r#""name":[{{"given":["a","b","c"],"_given":[null,{{{secret}}},null]}}]"#),
            r#""name":[{"given":["a","c"]}]"#,
        ),
        (
            format!(r#""name":[{{"given":["a",null],"_given":[{{{secret}}},{{"id":"i"}}]}}]"#),
            r#""name":[{"_given":[{"id":"i"}]}]"#,
        ),
        (
            format!(r#""name":[{{"given":["a","b"],"_given":[{{"id":"i"}},{{{secret}}}]}}]"#),
            r#""name":[{"given":["a"],"_given":[{"id":"i"}]}]"#,
        ),
        (
            format!(
                r#""active":true,"extension":[{{"url":"urn:x","valueString":"s","_valueString":{{{secret}}}}}]"#
            ),
            r#""active":true"#,
        ),
    ] {
        assert_eq!(left(&patient(&members)), patient(expected));
    }
}

#[test]
fn what_a_resource_cannot_do_without_hides_it() {
    let secret = inline("SECRET");
    for text in [
        // Mandatory, itself or by what is left of it; a modifier, and what stands in one; the resource and its `meta`.
        format!(r#"{{"resourceType":"Observation","status":"final","code":{{"text":"HIV",{secret}}}}}"#),
        format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"text":"HIV","_text":{{{secret}}}}}}}"#
        ),
        format!(
            r#"{{"resourceType":"Observation","code":{{"text":"x"}},"note":[{{"authorString":"a","text":"HIV","_text":{{{secret}}}}}]}}"#
        ),
        format!(
            r#"{{"resourceType":"Questionnaire","item":[{{"linkId":"1","item":[{{"linkId":"2","_linkId":{{{secret}}},"type":"group"}}]}}]}}"#
        ),
        format!(r#"{{"resourceType":"Provenance","target":[{{"reference":"Patient/p",{secret}}}]}}"#),
        format!(
            r#"{{"resourceType":"AllergyIntolerance","verificationStatus":{{"coding":[{{"code":"refuted",{secret}}},{{"code":"x"}}]}}}}"#
        ),
        format!(r#"{{"resourceType":"Patient","id":"p",{secret}}}"#),
        format!(r#"{{"resourceType":"Patient","meta":{{"source":"urn:x","_source":{{{secret}}}}}}}"#),
        format!(r#"{{"resourceType":"Patient","nowhere":{{"a":1,{secret}}}}}"#),
        format!(
            r#"{{"resourceType":"Patient","modifierExtension":[{{"url":"urn:x","valueString":"s","_valueString":{{{secret}}}}}]}}"#
        ),
        // A contained resource would be left behind; a resource is no element; a signature would tell.
        format!(
            r##"{{"resourceType":"Patient","contained":[{{"resourceType":"Practitioner","id":"d"}}],"generalPractitioner":[{{"reference":"#d",{secret}}}]}}"##
        ),
        format!(
            r#"{{"resourceType":"Bundle","entry":[{{"resource":{{"resourceType":"Patient"}},{secret}}}]}}"#
        ),
        format!(
            r#"{{"resourceType":"Bundle","signature":{{"data":"c2ln"}},"entry":[{{"resource":{{"resourceType":"Patient","telecom":[{{"value":"1",{secret}}}]}}}}]}}"#
        ),
    ] {
        assert_eq!(cut(&text), Rest::Nothing, "{text}");
    }
    let two = format!(
        r#"{{"resourceType":"Provenance","target":[{{"reference":"Patient/p",{secret}}},{{"reference":"Patient/q"}}]}}"#
    );
    assert_eq!(left(&two), r#"{"resourceType":"Provenance","target":[{"reference":"Patient/q"}]}"#);
}

#[test]
fn elements_of_resources_inside_go_and_so_do_sections_without_content() {
    let secret = inline("SECRET");
    let text = format!(
        r#"{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{{"resourceType":"Composition","section":[{{"title":"t","entry":[{{"reference":"Patient/p",{secret}}}]}},{{"title":"u","entry":[{{"reference":"Patient/q"}}]}}]}}}},{{"resource":{{"resourceType":"Patient","text":{{"div":"<div>1</div>"}},"active":true,"telecom":[{{"value":"1",{secret}}}]}}}}]}}"#
    );
    assert_eq!(
        left(&text),
        r#"{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Composition","section":[{"title":"u","entry":[{"reference":"Patient/q"}]}]}},{"resource":{"resourceType":"Patient","active":true}}]}"#
    );
}

#[test]
fn without_its_inline_labels_a_document_says_the_same() {
    let text =
        patient(&format!(r#""telecom":[{{"value":"1",{}}}],"_gender":{{{}}}"#, inline("A"), inline("B")));
    let bare = without_inline_labels(parsed(&text).document()).unwrap();
    assert_eq!(String::from_utf8(bare).unwrap(), patient(r#""telecom":[{"value":"1"}]"#));
    assert_eq!(without_inline_labels(parsed(&patient(r#""active":true"#)).document()), None);
}

/// A Patient whose elements bear labels at random.
fn labelled() -> impl Strategy<Value = String> {
    let label = || prop::sample::select(&["", "SECRET", "OPEN"][..]);
    let bears = |code: &str, rest: &str| match code {
        "" => format!("{{{rest}}}"),
        code => format!("{{{rest}{}{}}}", if rest.is_empty() { "" } else { "," }, inline(code)),
    };
    let beside = move |code: &str| if code.is_empty() { "null".to_owned() } else { bears(code, "") };
    let name =
        (label(), prop::collection::vec(label(), 1..4), label()).prop_map(move |(own, given, family)| {
            let texts = vec![r#""hidden""#; given.len()].join(",");
            let around: Vec<String> = given.iter().map(|code| beside(code)).collect();
            let family =
                if family.is_empty() { String::new() } else { format!(r#","_family":{}"#, beside(family)) };
            bears(own, &format!(r#""given":[{texts}],"_given":[{}],"family":"f"{family}"#, around.join(",")))
        });
    let spoken = (label(), label()).prop_map(move |(own, other)| {
        bears(own, &format!(r#""language":{},"preferred":true"#, bears(other, r#""text":"it""#)))
    });
    (prop::collection::vec(name, 1..3), prop::collection::vec(spoken, 1..3), label()).prop_map(
        move |(names, spoken, birth)| {
            patient(&format!(
                r#""text":{{"div":"<div>SECRET</div>"}},"name":[{}],"communication":[{}],"birthDate":"1980","_birthDate":{}"#,
                names.join(","),
                spoken.join(","),
                bears(birth, r#""id":"b""#)
            ))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_forbidden_label_is_left_and_cutting_again_cuts_no_more(text in labelled()) {
        match cut(&text) {
            Rest::Part(json) => {
                let after = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
                prop_assert!(!after.text().contains("SECRET"), "{}", after.text());
                prop_assert!(!after.text().contains("{}") && !after.text().contains("[]"), "{}", after.text());

                prop_assert_eq!(cut(after.text()), Rest::Whole);
            }
            // What hides a Patient here: a `communication` without `language`.
            Rest::Nothing => {
                let needed = format!(r#""language":{{"text":"it",{}}}"#, inline("SECRET"));
                prop_assert!(text.contains(&needed), "{}", text);
            }
            Rest::Whole => prop_assert_eq!(text.matches("SECRET").count(), 1),
        }
    }
}
