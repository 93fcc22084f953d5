//! Value sets, code systems and concept maps that contradict themselves or the systems they speak of; bindings
//! beside the main one; answers whose display is another code's.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument};
use varco_core::validation::Validator;

const COLOURS: &str = r#"{"resourceType":"CodeSystem","url":"http://example.it/cs","status":"active","content":"complete",
    "property":[{"code":"warm","type":"boolean"},{"code":"like","type":"Coding"},{"code":"weight","type":"integer"}],
    "filter":[{"code":"shade","operator":["="],"value":"a shade"}],
    "concept":[{"code":"red","display":"Rosso"},{"code":"blue","display":"Azzurro"}]}"#;
const MORE: &str = r#"{"resourceType":"CodeSystem","url":"http://example.it/more","status":"active","content":"supplement",
    "supplements":"http://example.it/cs","concept":[{"code":"red","designation":[{"language":"de","value":"Rot"}]}]}"#;
const SET: &str = r#"{"resourceType":"ValueSet","url":"http://example.it/vs","status":"active",
    "compose":{"include":[{"system":"http://example.it/cs","concept":[{"code":"red"}]}]}}"#;

/// Errors as `place: message`, with the severity in front of warnings where they are asked for.
fn found(definitions: &[&str], profile: Option<&str>, json: &str, warnings: bool) -> Vec<String> {
    let mut builder = Definitions::builder();
    for (number, text) in [COLOURS, MORE, SET].iter().chain(definitions).enumerate() {
        builder.definition(&format!("{number}.json"), text.as_bytes()).unwrap();
    }
    let validator = Validator::new(Arc::new(builder.build().unwrap()));
    let validator = profile.into_iter().fold(validator, |it, profile| it.with_profile(profile));
    let document = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
    let report = validator.validate(document.document());
    let issues = report.issues.into_iter().filter(|it| warnings || it.severity.is_error());
    issues.map(|it| format!("{}: {}", it.expression.unwrap_or_default(), it.message)).collect()
}

fn filters(system: &str, property: &str, op: &str, value: &str) -> Vec<String> {
    let json = format!(
        r#"{{"resourceType":"ValueSet","url":"http://example.it/f","status":"active","compose":{{"include":[
            {{"system":"{system}","filter":[{{"property":"{property}","op":"{op}","value":"{value}"}}]}}]}}}}"#
    );
    found(&[], None, &json, false)
}

#[test]
fn codes_of_a_value_set_are_codes_of_their_system() {
    let json = r#"{"resourceType":"ValueSet","url":"http://example.it/f","status":"active","compose":{"include":[
        {"system":"http://example.it/cs","concept":[{"code":"red"},{"code":"green"}]},
        {"system":"http://snomed.info/sct","concept":[{"code":"1"},{"code":"404684003"}]},
        {"system":"http://example.it/more","concept":[{"code":"red"}]}]}}"#;
    let found = found(&[], None, json, false);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("ValueSet.compose.include[0].concept[1]: "));
    assert!(found[1].starts_with("ValueSet.compose.include[1].concept[0]: "));
    assert!(found[2].starts_with("ValueSet.compose.include[2].system: "), "a supplement: {found:?}");
}

#[test]
fn filters_fit_their_system() {
    const CS: &str = "http://example.it/cs";
    const SNOMED: &str = "http://snomed.info/sct";
    for (system, property, op, value) in [
        (CS, "concept", "is-a", "red"),
        (CS, "warm", "=", "true"),
        (CS, "warm", "exists", "false"),
        (CS, "like", "=", "http://example.it/cs#red"),
        (CS, "like", "in", "http://example.it/cs|1#red,http://example.it/elsewhere#x"),
        (CS, "shade", "=", "dark"),
        (CS, "code", "regex", "r.*"),
        (CS, "code", "regex", "(?!b)r.*"),
        (CS, "weight", "=", "12"),
        (SNOMED, "concept", "is-a", "404684003"),
        (SNOMED, "concept", "in", "700043003"),
        (SNOMED, "constraint", "=", "<< 404684003: 363698007 = *"),
        (SNOMED, "363698007", "=", "39057004"),
        ("http://example.it/elsewhere", "anything", "is-a", "x"),
    ] {
        assert_eq!(filters(system, property, op, value), [""; 0], "{property} {op} {value}");
    }
    for (system, property, op, value) in [
        (CS, "concept", "is-a", "green"),
        (CS, "code", "in", "red, green"),
        (CS, "warm", "=", "1"),
        (CS, "warm", "exists", "yes"),
        (CS, "warm", "is-a", "true"),
        (CS, "like", "=", "red"),
        (CS, "like", "=", "http://example.it/cs#green"),
        (CS, "shade", "in", "dark"),
        (CS, "code", "regex", "r("),
        (CS, "notSelectable", "=", "no"),
        (SNOMED, "concept", "is-a", "something"),
        (SNOMED, "constraint", "=", "404684003 << 404684003"),
        (SNOMED, "363698007", "not-in", "39057004"),
    ] {
        assert_eq!(filters(system, property, op, value).len(), 1, "{property} {op} {value}");
    }
}

#[test]
fn expressions_use_declared_parameters() {
    let set = |language: &str, expression: &str| {
        let json = format!(
            r#"{{"resourceType":"ValueSet","url":"http://example.it/f","status":"active",
                "extension":[{{"url":"http://hl7.org/fhir/tools/StructureDefinition/valueset-parameter","extension":[{{"url":"name","valueCode":"p-warm"}}]}}],
                "compose":{{"include":[{{"system":"http://example.it/cs","filter":[{{"property":"warm","op":"=","_value":{{"extension":[
                {{"url":"http://hl7.org/fhir/StructureDefinition/cqf-expression","valueExpression":{{"language":"{language}","expression":"{expression}"}}}}]}}}}]}}]}}}}"#
        );
        found(&[], None, &json, false)
            .into_iter()
            .filter(|it| it.contains("valueExpression") || it.contains("Expression"))
            .count()
    };
    assert_eq!(set("text/fhirpath", "%p-warm"), 0);
    assert_eq!(set("text/fhirpath", "%p-cold"), 1);
    assert_eq!(set("text/fhirpath", "$ and %p-warm"), 1);
    assert_eq!(set("text/cql", "%p-warm"), 1);
}

#[test]
fn a_code_system_keeps_its_promises() {
    let json = r#"{"resourceType":"CodeSystem","url":"http://example.it/own","status":"active","content":"complete","count":3,
        "property":[{"code":"out","uri":"http://hl7.org/fhir/concept-properties#inactive","type":"code"},
            {"code":"gone","uri":"http://hl7.org/fhir/concept-properties#inactive","type":"boolean"},
            {"code":"status","uri":"http://hl7.org/fhir/concept-properties#retirementDate","type":"dateTime"},
            {"code":"parent","type":"code"},{"code":"rank","type":"integer"}],
        "concept":[{"code":"a","property":[{"code":"rank","valueString":"1"},{"code":"parent","valueCode":"z"}]},
            {"code":"b","property":[{"code":"parent","valueCode":"a"},{"code":"rank","valueInteger":1}]}]}"#;
    let places: Vec<String> = found(&[], None, json, false)
        .into_iter()
        .map(|it| it.split(": ").next().unwrap().to_owned())
        .collect();
    assert_eq!(
        places,
        [
            "CodeSystem.count",
            "CodeSystem.property[0]",
            "CodeSystem.property[1]",
            "CodeSystem.property[2]",
            "CodeSystem.concept[0].property[0]",
            "CodeSystem.concept[0].property[1]"
        ]
    );
}

#[test]
fn a_map_is_between_codes_that_are() {
    let json = r#"{"resourceType":"ConceptMap","url":"http://example.it/cm","status":"active","sourceCanonical":"http://example.it/vs",
        "group":[{"source":"http://example.it/cs","target":"http://example.it/cs","element":[
            {"code":"red","target":[{"code":"blue","equivalence":"equal"}]},
            {"code":"blue","target":[{"code":"red","equivalence":"equal"}]},
            {"code":"green","target":[{"code":"pink","equivalence":"equal"}]}]}]}"#;
    let found = found(&[], None, json, false);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("ConceptMap.group[0].element[1].code: the source value set"), "{found:?}");
    assert!(found[1].starts_with("ConceptMap.group[0].element[2].code: the source code system"));
    assert!(found[2].starts_with("ConceptMap.group[0].element[2].target[0].code: the target code system"));
}

#[test]
fn bindings_beside_the_main_one_hold_too() {
    let profile = |extension: &str| {
        format!(
            r##"{{"resourceType":"StructureDefinition","url":"http://example.it/bound","name":"B","status":"active","kind":"resource","abstract":false,
            "type":"Observation","baseDefinition":"http://hl7.org/fhir/StructureDefinition/Observation","derivation":"constraint",
            "contained":[{{"resourceType":"ValueSet","id":"own","status":"active","compose":{{"include":[{{"system":"http://example.it/cs","concept":[{{"code":"blue"}}]}}]}}}}],
            "differential":{{"element":[{{"id":"Observation.code","path":"Observation.code","binding":{{"strength":"example","extension":[{extension}]}}}}]}}}}"##
        )
    };
    let tools = |purpose: &str, set: &str, more: &str| {
        format!(
            r#"{{"url":"http://hl7.org/fhir/tools/StructureDefinition/additional-binding","extension":[{{"url":"purpose","valueCode":"{purpose}"}},{{"url":"valueSet","valueCanonical":"{set}"}}{more}]}}"#
        )
    };
    let red = r#"{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://example.it/cs","code":"red"}]}}"#;
    let blue = red.replace("red", "blue");
    let errors = |extension: &str, json: &str| {
        found(&[&profile(extension)], Some("http://example.it/bound"), json, false).len()
    };
    let required = tools("required", "http://example.it/vs", "");
    assert_eq!((errors(&required, red), errors(&required, &blue)), (0, 1));
    let contained = tools("maximum", "#own", "");
    assert_eq!((errors(&contained, red), errors(&contained, &blue)), (1, 0));
    let later = required.replace(
        "http://hl7.org/fhir/tools/StructureDefinition/additional-binding",
        "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.binding.additional",
    );
    assert_eq!((errors(&later, red), errors(&later, &blue)), (0, 1));
    let candidate = tools("candidate", "http://example.it/vs", "");
    assert_eq!(errors(&candidate, &blue), 0);
    let limited = tools(
        "required",
        "http://example.it/vs",
        r#",{"url":"usage","valueUsageContext":{"code":{"code":"age"},"valueCodeableConcept":{"text":"child"}}}"#,
    );
    assert_eq!(errors(&limited, &blue), 0, "which context this is in is not known");
}

#[test]
fn an_answer_means_what_it_shows() {
    let form = r##"{"resourceType":"Questionnaire","url":"http://example.it/q","status":"active",
        "contained":[{"resourceType":"ValueSet","id":"all","status":"active","compose":{"include":[{"system":"http://example.it/cs"}]}}],
        "item":[{"linkId":"1","type":"choice","answerValueSet":"#all"},{"linkId":"2","type":"choice","answerValueSet":"http://example.it/vs"}]}"##;
    let answered = |language: &str, link: &str, value: &str| {
        let json = format!(
            r#"{{"resourceType":"QuestionnaireResponse",{language}"questionnaire":"http://example.it/q","status":"completed","item":[{{"linkId":"{link}","answer":[{{{value}}}]}}]}}"#
        );
        let all = found(&[form], None, &json, false);
        all.into_iter()
            .filter(|it| {
                it.starts_with("QuestionnaireResponse.item[0].answer[0]: ")
                    || it.contains("none of the values")
            })
            .count()
    };
    let coding = |code: &str, display: &str| {
        format!(r#""valueCoding":{{"system":"http://example.it/cs","code":"{code}","display":"{display}"}}"#)
    };
    assert_eq!(answered("", "1", &coding("red", "rosso")), 0);
    assert_eq!(answered("", "1", &coding("red", "Rot")), 0, "by its supplement");
    assert_eq!(answered("", "1", &coding("red", "Azzurro")), 1);
    assert_eq!(answered("", "1", &coding("red", "Whatever")), 0, "in a language that nobody states");
    assert_eq!(answered(r#""language":"en","#, "1", &coding("red", "Whatever")), 1);
    assert_eq!(answered(r#""language":"fr","#, "1", &coding("red", "Rouge")), 0);
    assert_eq!(answered(r#""language":"fr","#, "1", &coding("red", "Azzurro")), 1);
    assert_eq!(answered("", "2", &coding("blue", "Azzurro")), 1, "not in the value set");
    assert_eq!(answered("", "1", r#""valueString":"blue""#), 0);
    assert_eq!(answered("", "1", r#""valueString":"Rosso""#), 0);
    assert_eq!(answered("", "1", r#""valueString":"verde""#), 1);
}

#[test]
fn a_display_that_is_another_codes_contradicts_the_code() {
    let coding = |system: &str, code: &str, display: &str| {
        let json = format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"coding":[{{"system":"{system}","code":"{code}",
                "display":"{display}"}}]}}}}"#
        );
        found(&[], None, &json, false).len()
    };
    let status = "http://hl7.org/fhir/observation-status";
    assert_eq!(coding(status, "final", "Final"), 0);
    assert_eq!(coding(status, "final", "Cancelled"), 1);
    assert_eq!(coding(status, "final", "Definitivo"), 0, "another language");
    let countries = "urn:iso:std:iso:3166";
    assert_eq!(coding(countries, "IT", "Italia"), 0);
    assert_eq!(coding(countries, "IT", "Austria"), 1);
}

#[test]
fn a_display_of_no_shared_word_is_wrong_where_the_language_is_the_systems() {
    let observed = |more: &str, codings: &[(&str, &str)]| {
        let all: Vec<String> = codings
            .iter()
            .map(|(code, display)| {
                format!(
                    r#"{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"{code}","display":"{display}"}}"#
                )
            })
            .collect();
        let json = format!(
            r#"{{"resourceType":"Observation",{more}"status":"final","code":{{"text":"x"}},"category":[{{"coding":[{}]}}]}}"#,
            all.join(",")
        );
        found(&[], None, &json, false).len()
    };
    let foreign = ("vital-signs", "Parametri essenziali");
    assert_eq!(observed("", &[foreign]), 0, "no language is stated or shown");
    assert_eq!(observed("", &[("laboratory", "Laboratory"), foreign]), 1, "another name is the system's");
    assert_eq!(observed("", &[("laboratory", "laboratory"), foreign]), 0, "another name is but the code");
    assert_eq!(observed(r#""language":"en-GB","#, &[foreign]), 1);
    assert_eq!(observed(r#""language":"it","#, &[("laboratory", "Laboratory"), foreign]), 0);
    assert_eq!(observed("", &[("laboratory", "Laboratory"), ("vital-signs", "vital-signs")]), 0, "the code");
    let told = |words: &str| {
        format!(
            r#""text":{{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">{words}</div>"}},"#
        )
    };
    assert_eq!(observed(&told("Weight and height of the patient"), &[foreign]), 1);
    assert_eq!(observed(&told("Peso e altezza del paziente"), &[foreign]), 0);
}

#[test]
fn a_display_that_lost_characters_is_no_name_of_a_code() {
    let coding = |display: &str| {
        let json = format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"coding":[{{"system":"http://loinc.org",
                "code":"2160-0","display":"{display}"}}]}}}}"#
        );
        found(&[], None, &json, false)
    };
    assert_eq!(coding("Creatinine"), [""; 0]);
    assert_eq!(coding("クレアチニン"), [""; 0]);
    for damaged in ["Cr\u{FFFD}atinine", "Cr\\ufffdatinine"] {
        let found = coding(damaged);
        assert!(found[0].starts_with("Observation.code.coding[0].display: "), "{found:?}");
        assert_eq!(found.len(), 1);
    }
}

#[test]
fn a_supplement_adds_to_codes_that_may_exist() {
    let supplement = |code: &str| {
        let json = format!(
            r#"{{"resourceType":"CodeSystem","url":"http://example.it/s","status":"active","content":"supplement",
                "supplements":"http://loinc.org","concept":[{{"code":"{code}"}}]}}"#
        );
        found(&[], None, &json, false).len()
    };
    assert_eq!(supplement("8867-4"), 0);
    assert_eq!(supplement("polso"), 1);
}

#[test]
fn the_identifier_of_a_definition_is_a_whole_uri() {
    let identifier = |resource: &str, url: &str| {
        let json = format!(
            r#"{{"resourceType":{resource},{url}"identifier":[{{"system":"urn:ietf:rfc:3986","value":"1.2.840.1"}}]}}"#
        );
        found(&[], None, &json, false).len()
    };
    let set = r#""ValueSet","status":"active""#;
    assert_eq!(identifier(set, r#""url":"http://example.it/v","#), 1);
    assert_eq!(identifier(r#""Patient""#, ""), 0, "a warning elsewhere");
}
