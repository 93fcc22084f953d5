#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument, Tape};
use proptest::prelude::*;

use super::*;
use crate::access::{Necessary, resources};

static NECESSARY: LazyLock<Necessary> = LazyLock::new(|| Necessary::from_definitions(Definitions::r4()));

/// Cuts every resource whose id begins with `h`.
fn cut(text: &str) -> Rest {
    let mut tape = Tape::new();
    let document = tape.parse_json(text.as_bytes(), &Limits::default()).unwrap();
    let all = resources(document.root());
    let hidden: Vec<bool> =
        all.iter().map(|own| own.value.str_of(name::ID).is_some_and(|id| id.starts_with('h'))).collect();
    cut_resources(document, &all, &hidden, &NECESSARY)
}

fn left(text: &str) -> String {
    match cut(text) {
        Rest::Part(json) => String::from_utf8(json).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A document of a Composition with these sections, and these entries.
fn document(sections: &str, entries: &[&str]) -> String {
    let mut all = vec![format!(
        r#"{{"fullUrl":"urn:uuid:c","resource":{{"resourceType":"Composition","id":"c","text":{{"div":"<div>HIV</div>"}},"author":[{{"reference":"Organization/o"}}],"section":[{sections}]}}}}"#
    )];
    all.extend(entries.iter().map(|entry| (*entry).to_owned()));
    format!(r#"{{"resourceType":"Bundle","type":"document","entry":[{}]}}"#, all.join(","))
}

const SEEN: &str = r#"{"fullUrl":"urn:uuid:s","resource":{"resourceType":"Condition","id":"s","text":{"div":"<div>with HIV</div>"},"code":{"text":"Asthma"}}}"#;
const HIDDEN: &str =
    r#"{"fullUrl":"urn:uuid:h","resource":{"resourceType":"Condition","id":"h","code":{"text":"HIV"}}}"#;

#[test]
fn what_hides_nothing_is_left_whole() {
    assert_eq!(cut(&document("", &[SEEN])), Rest::Whole);
}

#[test]
fn a_hidden_entry_takes_its_section_entries_and_every_narrative_along() {
    let sections = r#"{"title":"Problems","text":{"div":"<div>HIV</div>"},"entry":[{"reference":"urn:uuid:s"},{"reference":"urn:uuid:h","display":"HIV"}]}"#;
    let expected = document(r#"{"title":"Problems","entry":[{"reference":"urn:uuid:s"}]}"#, &[SEEN])
        .replace(r#""text":{"div":"<div>HIV</div>"},"#, "")
        .replace(r#""text":{"div":"<div>with HIV</div>"},"#, "");
    assert_eq!(left(&document(sections, &[SEEN, HIDDEN])), expected);
}

#[test]
fn a_section_without_content_goes_with_its_title() {
    let sections = r#"{"title":"Infections","entry":[{"reference":"Condition/h/_history/1"}]},{"title":"All","section":[{"title":"Infections","entry":[{"reference":"https://h.example/fhir/Condition/h"}]},{"title":"Rest","entry":[{"reference":"Condition/s"}]}]},{"title":"Story","text":{"div":"<div>HIV</div>"}}"#;
    let text = left(&document(sections, &[SEEN, HIDDEN]));
    assert!(!text.contains("Infections") && !text.contains("Story") && !text.contains("HIV"), "{text}");
    assert!(text.contains(r#""section":[{"title":"All","section":[{"title":"Rest","entry":"#), "{text}");
}

#[test]
fn references_to_what_is_cut_go_and_mandatory_ones_say_nothing() {
    let encounter = r#"{"resource":{"resourceType":"Encounter","id":"e","reasonReference":[{"reference":"urn:uuid:h"},{"reference":"urn:uuid:s"}],"diagnosis":[{"condition":{"reference":"Condition/h","display":"HIV"},"rank":1}],"extension":[{"url":"urn:x","valueReference":{"reference":"Condition/h"}},{"url":"urn:y","valueString":"z"}]}}"#;
    let text =
        left(&document(r#"{"title":"T","entry":[{"reference":"Encounter/e"}]}"#, &[SEEN, HIDDEN, encounter]));
    assert!(text.contains(r#""reasonReference":[{"reference":"urn:uuid:s"}]"#), "{text}");
    assert!(text.contains(r#""condition":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]},"rank":1"#), "{text}");
    assert!(text.contains(r#""extension":[{"url":"urn:y","valueString":"z"}]"#), "{text}");
    assert!(!text.contains("Condition/h") && !text.contains("urn:uuid:h") && !text.contains("HIV"), "{text}");
}

#[test]
fn content_of_a_hidden_binary_is_not_named() {
    let entries = [
        r#"{"resource":{"resourceType":"DocumentReference","id":"d","content":[{"attachment":{"contentType":"text/plain","url":"Binary/hb"}}]}}"#,
        r#"{"resource":{"resourceType":"Binary","id":"hb","data":"SElW"}}"#,
    ];
    let text = left(&document(r#"{"title":"T","entry":[{"reference":"DocumentReference/d"}]}"#, &entries));
    assert!(!text.contains("Binary/hb"), "{text}");
}

#[test]
fn contained_resources_are_named_by_their_holder() {
    let text = r##"{"resourceType":"Bundle","type":"collection","entry":[
        {"resource":{"resourceType":"Observation","id":"a","contained":[{"resourceType":"Specimen","id":"hs"}],"specimen":{"reference":"#hs"}}},
        {"resource":{"resourceType":"Observation","id":"b","contained":[{"resourceType":"Specimen","id":"s"}],"specimen":{"reference":"#s"}}}]}"##;
    let text = left(text);
    assert!(!text.contains("hs") && text.contains(r##""specimen":{"reference":"#s"}"##), "{text}");
}

#[test]
fn a_name_that_something_visible_has_still_leads_there() {
    let copy = r#"{"fullUrl":"urn:uuid:h","resource":{"resourceType":"Condition","id":"s2"}}"#;
    let text = left(&document(r#"{"title":"T","entry":[{"reference":"urn:uuid:h"}]}"#, &[HIDDEN, copy]));
    assert!(text.contains(r#""entry":[{"reference":"urn:uuid:h"}]"#), "{text}");
}

#[test]
fn a_signed_or_headless_bundle_is_not_cut() {
    let sections = r#"{"title":"T","entry":[{"reference":"urn:uuid:s"}]}"#;
    let whole = document(sections, &[SEEN, HIDDEN]);
    let signed =
        whole.replacen("\"type\":\"document\"", "\"type\":\"document\",\"signature\":{\"data\":\"x\"}", 1);
    assert_eq!(cut(&signed), Rest::Nothing);
    let provenance = r#"{"resource":{"resourceType":"Provenance","id":"p","signature":[{"data":"x"}]}}"#;
    assert_eq!(cut(&document(sections, &[SEEN, HIDDEN, provenance])), Rest::Nothing);
    assert_eq!(cut(&whole.replacen("\"id\":\"c\"", "\"id\":\"hc\"", 1)), Rest::Nothing);
    assert_eq!(cut(r#"{"resourceType":"Bundle","id":"h1"}"#), Rest::Nothing);
    // Signed around what is unsigned: nothing inside may be missing.
    let inner = format!(r#"{{"resource":{whole}}}"#);
    let outer =
        format!(r#"{{"resourceType":"Bundle","type":"collection","signature":{{}},"entry":[{inner}]}}"#);
    assert_eq!(cut(&outer), Rest::Nothing);
}

#[test]
fn a_bundle_that_loses_all_it_holds_goes_and_one_that_loses_some_counts_the_rest() {
    let text = format!(
        r#"{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{{"resourceType":"Bundle","type":"searchset","total":1,"entry":[{HIDDEN}]}}}},{{"resource":{{"resourceType":"Bundle","type":"searchset","total":7,"entry":[{HIDDEN},{SEEN},{{"resource":{{"resourceType":"OperationOutcome","id":"x"}}}}]}}}}]}}"#
    );
    let seen = SEEN.replace(r#""text":{"div":"<div>with HIV</div>"},"#, "");
    assert_eq!(
        left(&text),
        format!(
            r#"{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{{"resourceType":"Bundle","type":"searchset","total":5,"entry":[{seen}]}}}}]}}"#
        )
    );
    let alone = format!(r#"{{"resourceType":"Bundle","type":"collection","entry":[{HIDDEN}]}}"#);
    assert_eq!(cut(&alone), Rest::Nothing);
}

#[test]
fn parameters_lose_what_holds_a_hidden_resource() {
    let text = r#"{"resourceType":"Parameters","parameter":[{"name":"a","resource":{"resourceType":"Flag","id":"h1"}},{"name":"b","part":[{"name":"c","resource":{"resourceType":"Flag","id":"h2"}},{"name":"d","valueString":"x"}]},{"name":"e","resource":{"resourceType":"Flag","id":"f"}}]}"#;
    assert_eq!(
        left(text),
        r#"{"resourceType":"Parameters","parameter":[{"name":"b","part":[{"name":"d","valueString":"x"}]},{"name":"e","resource":{"resourceType":"Flag","id":"f"}}]}"#
    );
}

/// A Bundle of resources that refer to each other; ids that begin with `h` are hidden.
fn tangle() -> impl Strategy<Value = String> {
    let kind =
        prop::sample::select(&["Observation", "Composition", "Bundle", "Parameters", "Provenance"][..]);
    let resource = (kind, any::<bool>(), 0u8..6, prop::collection::vec(0u8..6, 0..4), any::<bool>());
    let resource = resource.prop_map(|(kind, hidden, number, leads, contains)| {
        let id = |number: u8| format!("{}{number}", if number.is_multiple_of(2) { "h" } else { "s" });
        let own = if hidden { format!("h{number}") } else { format!("s{number}") };
        let refers: Vec<String> = leads.iter().map(|to| format!(r#"{{"reference":"Observation/{}"}}"#, id(*to))).collect();
        let contained = if contains { r##","contained":[{"resourceType":"Specimen","id":"h9"}],"specimen":{"reference":"#h9"}"## } else { "" };
        format!(
            r#"{{"resourceType":"{kind}","id":"{own}","text":{{"div":"<div/>"}},"hasMember":[{0}],"section":[{{"title":"t","entry":[{0}]}}]{contained}}}"#,
            refers.join(",")
        )
    });
    prop::collection::vec((resource, any::<bool>()), 1..7).prop_map(|all| {
        let entries: Vec<String> = all
            .into_iter()
            .map(|(resource, nest)| match nest {
                false => format!(r#"{{"resource":{resource}}}"#),
                true => format!(r#"{{"resource":{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{resource}}}]}}}}"#),
            })
            .collect();
        format!(r#"{{"resourceType":"Bundle","type":"collection","entry":[{}]}}"#, entries.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn nothing_hidden_is_left_and_cutting_again_cuts_no_more(text in tangle()) {
        if let Rest::Part(json) = cut(&text) {
            let after = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
            let all = resources(after.root());
            prop_assert!(!all.iter().any(|own| own.value.str_of(name::ID).is_some_and(|id| id.starts_with('h'))), "{}", after.text());
            prop_assert!(!after.text().contains("#h9"), "{}", after.text());
            prop_assert_eq!(cut(after.text()), Rest::Whole);
            // What is hidden is named only where a visible resource has the same name, which none has here.
            let hidden = resources(OwnedDocument::parse_json(text.as_str(), &Limits::default()).unwrap().root())
                .iter()
                .filter(|own| own.value.resource_type().as_deref() == Some("Observation"))
                .filter_map(|own| own.value.str_of(name::ID).filter(|id| id.starts_with('h')).map(|id| id.into_owned()))
                .collect::<Vec<_>>();
            for id in hidden {
                let reference = format!("Observation/{}\"", id);
                prop_assert!(!after.text().contains(&reference), "{} in {}", id, after.text());
            }
        }
    }
}
