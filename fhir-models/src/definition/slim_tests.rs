//! Slimming keeps what decides.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::structure::tests::{PROFILE, read};
use super::*;
use crate::document::{Limits, OwnedDocument};

fn slimmed(json: &str) -> String {
    let document = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
    String::from_utf8(slim(document.document())).unwrap()
}

#[test]
fn a_slim_structure_reads_like_the_whole_one() {
    let slim = slimmed(PROFILE);
    let (mut whole, short) = (read(PROFILE).unwrap(), read(&slim).unwrap());
    whole.differential.clear();
    for element in &mut whole.elements {
        for value in element.pattern.iter_mut() {
            value.json.retain(|c| c != ' ');
        }
    }
    assert_eq!(whole, short);
    for gone in ["<div>", "Regione", "Long prose", "xpath", "\"rim\"", "bindingName", "Codes.", "isModifier"]
    {
        assert!(PROFILE.contains(gone) && !slim.contains(gone), "{gone}: {slim}");
    }
    assert_eq!(slimmed(&slim), slim, "slimming twice changes nothing");
}

#[test]
fn a_profile_without_snapshot_keeps_its_differential() {
    let start = PROFILE.find("\"snapshot\"").unwrap();
    let end = PROFILE.find("\"differential\"").unwrap();
    let json = [&PROFILE[..start], &PROFILE[end..]].concat();
    let short = read(&slimmed(&json)).unwrap();
    assert!(short.elements.is_empty());
    assert_eq!(short.differential[0].min, Some(1));
}

#[test]
fn concepts_keep_names_in_the_languages_of_use() {
    let slim = slimmed(
        r#"{"resourceType":"CodeSystem","url":"http://example.it/cs","content":"complete","concept":[
        {"code":"a","display":"A","definition":"Long prose.","extension":[{"url":"http://hl7.org/fhir/StructureDefinition/translation"}],
         "designation":[{"language":"it-IT","use":{"code":"x"},"value":"Alfa"},{"language":"ja","value":"ア"},{"value":"nessuna"}],
         "property":[{"code":"internalId","valueCode":"123"},{"code":"status","valueCode":"retired"}],
         "concept":[{"code":"b","designation":[{"language":"ital","value":"no"}]}]}]}"#,
    );
    assert_eq!(
        slim,
        r#"{"resourceType":"CodeSystem","url":"http://example.it/cs","content":"complete","concept":[{"code":"a","display":"A","designation":[{"language":"it-IT","value":"Alfa"}],"property":[{"code":"status","valueCode":"retired"}],"concept":[{"code":"b"}]}]}"#
    );
}

#[test]
fn a_search_parameter_keeps_all_but_prose() {
    let slim = slimmed(
        r#"{"resourceType":"SearchParameter","url":"u","description":"Prose","code":"c","base":["Patient"],"type":"token",
        "expression":"Patient.x","xpath":"f:x","xpathUsage":"normal","target":["Group"],"modifier":["not"],"comparator":["eq"]}"#,
    );
    assert_eq!(
        slim,
        r#"{"resourceType":"SearchParameter","url":"u","code":"c","base":["Patient"],"type":"token","expression":"Patient.x","target":["Group"],"modifier":["not"],"comparator":["eq"]}"#
    );
}

#[test]
fn an_operation_keeps_the_use_of_its_parameters() {
    let slim = slimmed(
        r#"{"resourceType":"OperationDefinition","url":"u","comment":"Prose","parameter":[{"name":"count","use":"in","min":0,"max":"1","documentation":"Prose","type":"integer"}]}"#,
    );
    assert_eq!(
        slim,
        r#"{"resourceType":"OperationDefinition","url":"u","parameter":[{"name":"count","use":"in","min":0,"max":"1","type":"integer"}]}"#
    );
}
