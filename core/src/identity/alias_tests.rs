#![allow(clippy::unwrap_used)]

use fhir_models::document::{Limits, Tape};
use proptest::prelude::*;

use super::*;
use crate::interaction::{ParameterKind, SearchParameter, SearchSchema};

const CF: &str = "http://hl7.it/sid/codiceFiscale";
const CF_OID: &str = "urn:oid:2.16.840.1.113883.2.9.4.3.2";
const CF_BARE: &str = "2.16.840.1.113883.2.9.4.3.2";

fn group(canonical: &str, aliases: &[&str]) -> AliasGroup {
    AliasGroup {
        canonical: canonical.to_owned(),
        aliases: aliases.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn defaults() -> IdentifierAliases {
    IdentifierAliases::over_defaults([]).unwrap()
}

fn map(map: &AliasMap, text: &str) -> Option<(String, Vec<String>)> {
    let mut tape = Tape::new();
    let document = tape.parse_json(text.as_bytes(), &Limits::default()).unwrap();
    let mapped = map.map_document(document)?;
    let places = mapped.changes.iter().map(|change| document.value(change.node).unwrap().expression());
    Some((String::from_utf8(mapped.json).unwrap(), places.collect()))
}

#[test]
fn every_spelling_of_an_italian_system_is_known() {
    let aliases = defaults();
    for (spelling, canonical) in [
        (CF_OID, CF),
        (CF_BARE, CF),
        (CF, CF),
        ("urn:oid:2.16.840.1.113883.2.9.4.3.16", "http://hl7.it/sid/anpr"),
        ("2.16.840.1.113883.2.9.4.1.2", "http://hl7.it/sid/hsp"),
        ("2.16.840.1.113883.2.9.4.1.1", "http://hl7.it/sid/fls"),
        ("2.16.840.1.113883.2.9.4.3.8", "urn:oid:2.16.840.1.113883.2.9.4.3.8"),
        ("2.16.840.1.113883.2.9.2.030.4.1.1", "urn:oid:2.16.840.1.113883.2.9.2.30.4.1.1"),
        ("http://example.org/local", "http://example.org/local"),
    ] {
        assert_eq!(aliases.canonical(spelling), canonical);
    }
}

#[test]
fn a_deployment_may_choose_another_canonical_name() {
    let aliases = IdentifierAliases::over_defaults([group(CF_OID, &[CF])]).unwrap();
    assert_eq!(aliases.canonical(CF), CF_OID);
    assert_eq!(aliases.canonical("2.16.840.1.113883.2.9.4.1.2"), "http://hl7.it/sid/hsp");
}

#[test]
fn a_system_in_two_groups_is_an_error_that_names_both() {
    let conflict = IdentifierAliases::new([group("urn:a", &["urn:x"]), group("urn:b", &["urn:x"])]);
    let message = conflict.unwrap_err().to_string();
    assert!(["`urn:x`", "`urn:a`", "`urn:b`"].iter().all(|name| message.contains(name)), "{message}");
    assert!(IdentifierAliases::new([group("urn:a", &["urn:a", "urn:x", "urn:x"])]).is_ok());
    for bad in [group("", &[]), group("urn:a", &[""]), group("urn:a", &["urn: x"])] {
        assert!(matches!(IdentifierAliases::new([bad]), Err(AliasError::BadSystem { .. })));
    }
}

#[test]
fn a_systems_own_names_must_be_known_and_one_each() {
    let aliases = defaults();
    assert!(matches!(aliases.to_systems(&["urn:x"]), Err(AliasError::Unknown { .. })));
    assert!(matches!(aliases.to_systems(&[CF, CF_OID]), Err(AliasError::TwoNames { .. })));
    assert!(aliases.to_systems(&[CF_OID, CF_OID]).is_ok());
}

#[test]
fn identifiers_are_found_wherever_they_stand_and_nothing_else_is_touched() {
    let text = format!(
        r#"{{"resourceType":"Bundle","identifier":{{"system":"{CF_OID}","value":"1"}},
        "entry":[{{"resource":{{"resourceType":"Observation",
          "contained":[{{"resourceType":"Patient","identifier":[{{"use":"official","system":"{CF_BARE}","value":"1"}},{{"system":"{CF}"}}]}}],
          "subject":{{"reference":"Patient/1","identifier":{{"system":"{CF_OID}","value":"1"}}}},
          "code":{{"coding":[{{"system":"{CF_OID}","code":"1"}}]}},
          "valueQuantity":{{"value":1,"system":"{CF_OID}","code":"1"}},
          "extension":[{{"url":"x","valueIdentifier":{{"system":"{CF_OID}"}}}},{{"url":"{CF_OID}","valueUri":"{CF_OID}"}}]}}}},
        {{"resource":{{"resourceType":"DocumentReference","masterIdentifier":{{"system":"urn:\u006fid:2.16.840.1.113883.2.9.4.3.2","value":"1"}},
          "meta":{{"tag":[{{"system":"{CF_OID}"}}]}}}}}},
        {{"resource":{{"resourceType":"Patient","telecom":[{{"system":"{CF_OID}","value":"1"}}],"_identifier":[{{"system":"{CF_OID}"}}]}}}}]}}"#
    );
    let (json, places) = map(&defaults().to_canonical(), &text).unwrap();
    assert_eq!(
        places,
        [
            "Bundle.identifier.system",
            "Bundle.entry[0].resource.contained[0].identifier[0].system",
            "Bundle.entry[0].resource.subject.identifier.system",
            "Bundle.entry[0].resource.extension[0].valueIdentifier.system",
            "Bundle.entry[1].resource.masterIdentifier.system",
        ]
    );
    assert_eq!(json.matches(CF).count(), 6);
    assert_eq!(json.matches(CF_OID).count(), text.matches(CF_OID).count() - 3);
    assert_eq!(map(&defaults().to_canonical(), &json), None);
}

#[test]
fn a_search_by_identifier_is_mapped_and_a_search_by_code_is_not() {
    let schema = SearchSchema::new(["Observation"], |_| {
        vec![
            SearchParameter::new("identifier", ParameterKind::Token),
            SearchParameter::new("code", ParameterKind::Token),
            SearchParameter::new("patient", ParameterKind::Reference),
        ]
    });
    let query = format!(
        "identifier={CF}|X,{CF}|Y,Z&identifier:not={CF}|&identifier:of-type={CF}|NI|X&patient:identifier={CF}|X&code={CF}|X&_tag={CF}|X"
    );
    let parse = |query: &str| Interaction::parse("GET", "/Observation", Some(query), None, &schema).unwrap();
    let original = parse(&query);
    let mut search = original.clone();
    assert_eq!(defaults().to_systems(&[CF_OID]).unwrap().map_search(&mut search), 4);
    let expected = format!(
        "identifier={CF_OID}|X,{CF_OID}|Y,Z&identifier:not={CF_OID}|&identifier:of-type={CF}|NI|X&patient:identifier={CF_OID}|X&code={CF}|X&_tag={CF}|X"
    );
    assert_eq!(search, parse(&expected));
    assert_eq!(defaults().to_canonical().map_search(&mut search), 4);
    assert_eq!(search, original);
}

/// A document whose identifiers use one name a namespace, and that choice of names.
fn spoken() -> impl Strategy<Value = (Vec<String>, String)> {
    let groups = italian_groups();
    let choice: Vec<_> = groups
        .iter()
        .map(|group| prop::sample::select(group.names().map(str::to_owned).collect::<Vec<_>>()))
        .collect();
    (choice, prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), "[a-z]{1,4}"), 0..8))
        .prop_map(|(names, uses)| {
            let identifier = |(which, pretty, value): &(prop::sample::Index, bool, String)| {
                let system = which.get(&names);
                let space = if *pretty { " " } else { "" };
                format!(r#"{{"value":{space}"{value}", "system":{space}"{system}"}}"#)
            };
            let identifiers: Vec<String> = uses.iter().map(identifier).collect();
            let text = format!(
                r#"{{"resourceType":"Patient","identifier":[{}],"telecom":[{{"system":"{CF_BARE}"}}]}}"#,
                identifiers.join(", ")
            );
            (names, text)
        })
}

proptest! {
    #[test]
    fn mapping_is_idempotent_and_undone_by_its_inverse((names, text) in spoken()) {
        let aliases = defaults();
        let (there, back) = (aliases.to_canonical(), aliases.to_systems(&names).unwrap());
        let canonical = map(&there, &text).map_or_else(|| text.clone(), |(json, _)| json);
        prop_assert_eq!(map(&there, &canonical), None);
        let returned = map(&back, &canonical).map_or(canonical, |(json, _)| json);
        prop_assert_eq!(returned, text);
    }
}
