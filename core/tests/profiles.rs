//! Profiles by topic: what each rule of a profile lets pass, and what it finds where.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use fhir_models::definition::{Definitions, DefinitionsBuilder};
use fhir_models::document::{Limits, OwnedDocument};
use varco_core::validation::{Settings, Validator};

const NONE: [&str; 0] = [];

/// A profile that has only a differential with these elements.
fn profile(url: &str, type_name: &str, base: &str, elements: &str) -> String {
    format!(
        r#"{{"resourceType":"StructureDefinition","url":"{url}","name":"P","status":"draft","abstract":false,
        "kind":"resource","type":"{type_name}","baseDefinition":"{base}","derivation":"constraint",
        "differential":{{"element":[{elements}]}}}}"#
    )
}

fn definitions(all: &[String]) -> Arc<Definitions> {
    let mut builder: DefinitionsBuilder = Definitions::builder();
    for (number, text) in all.iter().enumerate() {
        assert!(builder.definition(&format!("{number}.json"), text.as_bytes()).unwrap());
    }
    Arc::new(builder.build().unwrap())
}

/// `rule element` of every error, checked against the profile `http://example.org/p`.
fn findings(all: &[String], json: &str) -> Vec<String> {
    let validator = Validator::new(definitions(all)).with_profile("http://example.org/p");
    let document = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
    let report = validator.validate(document.document());
    let errors = report.issues.iter().filter(|issue| issue.severity.is_error());
    errors.map(|it| format!("{} {}", it.rule.unwrap(), it.expression.as_deref().unwrap_or("-"))).collect()
}

const PATIENT: &str = "http://hl7.org/fhir/StructureDefinition/Patient";
const OBSERVATION: &str = "http://hl7.org/fhir/StructureDefinition/Observation";

fn patient(elements: &str, members: &str) -> Vec<String> {
    let profile = profile("http://example.org/p", "Patient", PATIENT, elements);
    findings(&[profile], &format!(r#"{{"resourceType":"Patient"{members}}}"#))
}

fn observation(elements: &str, members: &str) -> Vec<String> {
    let profile = profile("http://example.org/p", "Observation", OBSERVATION, elements);
    let json = format!(r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}}{members}}}"#);
    findings(&[profile], &json)
}

#[test]
fn absent_must_support_is_mentioned_where_asked() {
    let marked = r#"{"id":"Patient.birthDate","path":"Patient.birthDate","mustSupport":true}"#;
    let profile = profile("http://example.org/p", "Patient", PATIENT, marked);
    let definitions = definitions(&[profile]);
    let issues = |must_support: bool, json: &str| {
        let settings = Settings { must_support, ..Settings::default() };
        let validator = Validator::with_settings(Arc::clone(&definitions), settings);
        let document = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
        let report = validator.with_profile("http://example.org/p").validate(document.document());
        assert!(report.is_valid());
        report.issues.len()
    };
    assert_eq!(issues(true, r#"{"resourceType":"Patient"}"#), 1);
    assert_eq!(issues(true, r#"{"resourceType":"Patient","birthDate":"1980"}"#), 0);
    assert_eq!(issues(false, r#"{"resourceType":"Patient"}"#), 0);
}

#[test]
fn cardinality_narrows() {
    let one = r#"{"id":"Patient.name","path":"Patient.name","min":1,"max":"1"}"#;
    assert_eq!(patient(one, ""), ["cardinality Patient"]);
    assert_eq!(patient(one, r#","name":[{"text":"a"}]"#), NONE);
    assert_eq!(patient(one, r#","name":[{"text":"a"},{"text":"b"}]"#), ["cardinality Patient"]);
    let none = r#"{"id":"Patient.photo","path":"Patient.photo","max":"0"}"#;
    assert_eq!(patient(none, r#","photo":[{"title":"x"}]"#), ["cardinality Patient"]);
    let inside = r#"{"id":"Patient.name.family","path":"Patient.name.family","min":1}"#;
    assert_eq!(patient(inside, ""), NONE, "no name, no family name");
    assert_eq!(patient(inside, r#","name":[{"text":"a"}]"#), ["cardinality Patient.name[0]"]);
    let twin = r#","name":[{"_family":{"extension":[{"url":"http://example.org/e","valueString":"x"}]}}]"#;
    assert_eq!(patient(inside, twin), NONE, "an extension stands for the value");
}

#[test]
fn values_are_fixed_patterned_and_bounded() {
    let fixed = r#"{"id":"Patient.gender","path":"Patient.gender","fixedCode":"other"}"#;
    assert_eq!(patient(fixed, r#","gender":"male""#), ["fixed Patient.gender"]);
    assert_eq!(patient(fixed, r#","gender":"other""#), NONE);
    let pattern = r#"{"id":"Patient.maritalStatus","path":"Patient.maritalStatus",
        "patternCodeableConcept":{"coding":[{"system":"http://example.org/s","code":"M"}]}}"#;
    let married =
        r#","maritalStatus":{"coding":[{"system":"http://example.org/s","code":"M","display":"x"}]}"#;
    assert_eq!(patient(pattern, married), NONE);
    assert_eq!(patient(pattern, r#","maritalStatus":{"text":"M"}"#), ["fixed Patient.maritalStatus"]);
    let least = r#"{"id":"Patient.birthDate","path":"Patient.birthDate","minValueDate":"1900-01-01"}"#;
    assert_eq!(patient(least, r#","birthDate":"1899-12-31""#), ["bounds Patient.birthDate"]);
    assert_eq!(patient(least, r#","birthDate":"1900-01-01""#), NONE);
    let short = r#"{"id":"Patient.name.family","path":"Patient.name.family","maxLength":3}"#;
    assert_eq!(patient(short, r#","name":[{"family":"Rossi"}]"#), ["bounds Patient.name[0].family"]);
    let most = r#"{"id":"Observation.value[x]","path":"Observation.value[x]","maxValueQuantity":
        {"value":1,"system":"http://unitsofmeasure.org","code":"kg"}}"#;
    let grams = |value: u32| {
        format!(r#","valueQuantity":{{"value":{value},"system":"http://unitsofmeasure.org","code":"g"}}"#)
    };
    assert_eq!(observation(most, &grams(999)), NONE);
    assert_eq!(observation(most, &grams(1001)), ["bounds Observation.value.ofType(Quantity)"]);
}

#[test]
fn types_of_a_choice_are_narrowed_and_sliced() {
    let quantity =
        r#"{"id":"Observation.value[x]","path":"Observation.value[x]","type":[{"code":"Quantity"}]}"#;
    assert_eq!(observation(quantity, r#","valueQuantity":{"value":1}"#), NONE);
    assert_eq!(observation(quantity, r#","valueString":"x""#), ["type Observation.value.ofType(string)"]);
    let short =
        r#"{"id":"Observation.value[x]:valueQuantity.unit","path":"Observation.valueQuantity.unit","min":1}"#;
    assert_eq!(
        observation(short, r#","valueQuantity":{"value":1}"#),
        ["cardinality Observation.value.ofType(Quantity)"]
    );
    assert_eq!(observation(short, r#","valueString":"x""#), NONE);
    let named = r#"{"id":"Observation.valueQuantity.unit","path":"Observation.valueQuantity.unit","min":1}"#;
    assert_eq!(
        observation(named, r#","valueString":"x""#),
        ["type Observation.value.ofType(string)"],
        "what a differential names by its type alone is all that is left of the choice"
    );
}

#[test]
fn built_in_vital_signs_keep_what_they_say_of_their_quantity() {
    let weight = |value: &str| {
        let text = format!(
            r#"{{"resourceType":"Observation","status":"final","meta":{{"profile":["http://hl7.org/fhir/StructureDefinition/bodyweight"]}},
            "category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}}]}}],
            "code":{{"coding":[{{"system":"http://loinc.org","code":"29463-7"}}]}},"subject":{{"reference":"Patient/x"}},
            "effectiveDateTime":"2024-01-01","valueQuantity":{value}}}"#
        );
        let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
        Validator::new(Definitions::r4()).is_valid(document.document())
    };
    assert!(weight(r#"{"value":70,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}"#));
    assert!(
        !weight(r#"{"value":70,"system":"http://unitsofmeasure.org","code":"kg"}"#),
        "the unit is required"
    );
}

/// Components sliced by code; the systolic one is required and has a quantity.
const SLICED: &str = r#"
    {"id":"Observation.component","path":"Observation.component","slicing":
        {"discriminator":[{"type":"pattern","path":"code"}],"rules":"closed","ordered":true}},
    {"id":"Observation.component:systolic","path":"Observation.component","sliceName":"systolic","min":1,"max":"1"},
    {"id":"Observation.component:systolic.code","path":"Observation.component.code",
        "patternCodeableConcept":{"coding":[{"code":"s"}]}},
    {"id":"Observation.component:systolic.valueQuantity","path":"Observation.component.valueQuantity","min":1},
    {"id":"Observation.component:diastolic","path":"Observation.component","sliceName":"diastolic"},
    {"id":"Observation.component:diastolic.code","path":"Observation.component.code",
        "patternCodeableConcept":{"coding":[{"code":"d"}]}}"#;

fn component(code: &str) -> String {
    format!(r#"{{"code":{{"coding":[{{"code":"{code}"}}]}},"valueQuantity":{{"value":1}}}}"#)
}

fn components(all: &[&str]) -> Vec<String> {
    let all: Vec<String> = all.iter().map(|code| component(code)).collect();
    observation(SLICED, &format!(r#","component":[{}]"#, all.join(",")))
}

#[test]
fn slices_are_told_by_their_discriminators() {
    assert_eq!(components(&["s"]), NONE);
    assert_eq!(components(&["s", "d", "d"]), NONE);
    assert_eq!(components(&["d"]), ["slicing Observation"], "the systolic one is missing");
    assert_eq!(components(&["s", "s"]), ["slicing Observation"], "one is enough");
    assert_eq!(components(&["d", "s"]), ["slicing Observation.component[1]"], "out of order");
    assert_eq!(components(&["s", "x"]), ["slicing Observation.component[1]"], "the slicing is closed");
    let bare = r#","component":[{"code":{"coding":[{"code":"s"}]},"valueString":"x"}]"#;
    assert_eq!(
        observation(SLICED, bare),
        ["slicing Observation.component[0]", "type Observation.component[0].value.ofType(string)"],
        "the slice wants a quantity, and the choice is narrowed to it"
    );
}

#[test]
fn a_profile_of_a_profile_adds_to_it() {
    let base = profile("http://example.org/base", "Observation", OBSERVATION, SLICED);
    let own = profile(
        "http://example.org/p",
        "Observation",
        "http://example.org/base",
        r#"{"id":"Observation.component:diastolic","path":"Observation.component","sliceName":"diastolic","min":1}"#,
    );
    let json = |component: &str| {
        format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},"component":[{component}]}}"#
        )
    };
    let (systolic, diastolic) = (component("s"), component("d"));
    let all = [base, own];
    assert_eq!(findings(&all, &json(&format!("{systolic},{diastolic}"))), NONE);
    assert_eq!(findings(&all, &json(&systolic)), ["slicing Observation"]);
    assert_eq!(findings(&all, &json(&diastolic)), ["slicing Observation"]);
}

#[test]
fn invariants_of_profiles_keep_their_severity() {
    let constraint = |severity: &str, expression: &str| {
        format!(
            r#"{{"id":"Patient.name","path":"Patient.name","constraint":[{{"key":"n-1","severity":"{severity}",
            "human":"a family name","expression":"{expression}"}}]}}"#
        )
    };
    let name = r#","name":[{"text":"x"}]"#;
    assert_eq!(patient(&constraint("error", "family.exists()"), name), ["invariant Patient.name[0]"]);
    assert_eq!(patient(&constraint("warning", "family.exists()"), name), NONE);
    assert_eq!(patient(&constraint("error", "family.exists() or text.exists()"), name), NONE);
    assert_eq!(
        patient(&constraint("error", "family.exists("), name),
        NONE,
        "a broken rule is nobody's fault"
    );
}

#[test]
fn profiles_claimed_in_meta_count() {
    let own = profile(
        "http://example.org/claimed",
        "Patient",
        PATIENT,
        r#"{"id":"Patient.birthDate","path":"Patient.birthDate","min":1}"#,
    );
    let validator = Validator::new(definitions(&[own]));
    let judge = |profile: &str| {
        let json = format!(r#"{{"resourceType":"Patient","meta":{{"profile":["{profile}"]}}}}"#);
        let document = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
        let report = validator.validate(document.document());
        (report.is_valid(), report.issues.len())
    };
    assert_eq!(judge("http://example.org/claimed"), (false, 1));
    assert_eq!(judge("http://example.org/unknown"), (true, 1), "what is not at hand is a warning");
}

#[test]
fn references_in_a_bundle_lead_to_resources_of_their_profile() {
    let target = profile(
        "http://example.org/born",
        "Patient",
        PATIENT,
        r#"{"id":"Patient.birthDate","path":"Patient.birthDate","min":1}"#,
    );
    let own = profile(
        "http://example.org/observation",
        "Observation",
        OBSERVATION,
        r#"{"id":"Observation.subject","path":"Observation.subject","type":[{"code":"Reference",
            "targetProfile":["http://example.org/born"]}]}"#,
    );
    let bundle = profile(
        "http://example.org/p",
        "Bundle",
        "http://hl7.org/fhir/StructureDefinition/Bundle",
        r#"{"id":"Bundle.type","path":"Bundle.type","fixedCode":"collection"}"#,
    );
    let json = |born: &str| {
        format!(
            r#"{{"resourceType":"Bundle","type":"collection","entry":[
            {{"fullUrl":"urn:uuid:c757873d-ec9a-4326-a141-556f43239520","resource":
                {{"resourceType":"Patient"{born}}}}},
            {{"fullUrl":"urn:oid:1.2","resource":{{"resourceType":"Observation","status":"final",
                "meta":{{"profile":["http://example.org/observation"]}},"code":{{"text":"x"}},
                "subject":{{"reference":"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"}}}}}}]}}"#
        )
    };
    let all = [target, own, bundle];
    assert_eq!(findings(&all, &json(r#","birthDate":"1971""#)), NONE);
    assert_eq!(findings(&all, &json("")), ["target Bundle.entry[1].resource.subject"]);
}

#[test]
fn extensions_stand_where_their_definition_says() {
    let definition = r#"{"resourceType":"StructureDefinition","url":"http://example.org/colour","name":"E",
        "status":"draft","kind":"complex-type","abstract":false,"type":"Extension","derivation":"constraint",
        "baseDefinition":"http://hl7.org/fhir/StructureDefinition/Extension",
        "context":[{"type":"element","expression":"Patient"},{"type":"element","expression":"HumanName"}],
        "differential":{"element":[{"id":"Extension.value[x]","path":"Extension.value[x]","min":1,
        "type":[{"code":"code"}]}]}}"#;
    let p = profile("http://example.org/p", "Patient", PATIENT, "");
    let all = [definition.to_owned(), p];
    let judge = |members: &str| findings(&all, &format!(r#"{{"resourceType":"Patient",{members}}}"#));
    let extension = r#"{"url":"http://example.org/colour","valueCode":"red"}"#;
    assert_eq!(judge(&format!(r#""extension":[{extension}]"#)), NONE);
    assert_eq!(judge(&format!(r#""name":[{{"text":"x","extension":[{extension}]}}]"#)), NONE);
    assert_eq!(
        judge(&format!(r#""contact":[{{"name":{{"text":"x"}},"extension":[{extension}]}}]"#)),
        ["extension Patient.contact[0]"]
    );
    assert_eq!(
        judge(&format!(r#""birthDate":"1971","_birthDate":{{"extension":[{extension}]}}"#)),
        ["extension Patient.birthDate"]
    );
    assert_eq!(
        judge(&format!(r#""modifierExtension":[{extension}]"#)),
        ["extension Patient.modifierExtension[0]"]
    );
    let wrong = r#"{"url":"http://example.org/colour","valueString":"red"}"#;
    assert_eq!(judge(&format!(r#""extension":[{wrong}]"#)), ["type Patient.extension[0]"]);
    let unknown = r#"{"url":"http://hospital.it/unknown","valueString":"x"}"#;
    assert_eq!(judge(&format!(r#""extension":[{unknown}]"#)), NONE);
    assert_eq!(
        judge(&format!(r#""modifierExtension":[{unknown}]"#)),
        ["extension Patient.modifierExtension[0]"]
    );
}

#[test]
fn profiles_in_a_circle_end() {
    let own = profile(
        "http://example.org/p",
        "Patient",
        PATIENT,
        r#"{"id":"Patient.link.other","path":"Patient.link.other","type":[{"code":"Reference",
            "targetProfile":["http://example.org/p"]}]}"#,
    );
    let itself = r##"{"resourceType":"Patient","link":[{"other":{"reference":"#"},"type":"seealso"}]}"##;
    assert_eq!(findings(&[own], itself), NONE);
    let a = profile("http://example.org/p", "Patient", "http://example.org/b", "");
    let b = profile("http://example.org/b", "Patient", "http://example.org/p", "");
    assert_eq!(findings(&[a, b], r#"{"resourceType":"Patient"}"#), ["profile Patient"]);
}

#[test]
fn answers_are_held_against_their_questionnaire() {
    let questionnaire = r#"{"resourceType":"Questionnaire","url":"http://example.org/q","status":"draft","item":[
        {"linkId":"1","type":"boolean","required":true},
        {"linkId":"2","type":"string","maxLength":3,"enableWhen":[{"question":"1","operator":"=","answerBoolean":true}]}]}"#;
    let p = profile(
        "http://example.org/p",
        "QuestionnaireResponse",
        "http://hl7.org/fhir/StructureDefinition/QuestionnaireResponse",
        "",
    );
    let all = [questionnaire.to_owned(), p];
    let judge = |items: &str| {
        let json = format!(
            r#"{{"resourceType":"QuestionnaireResponse","status":"completed",
            "questionnaire":"http://example.org/q","item":[{items}]}}"#
        );
        findings(&all, &json)
    };
    let yes = r#"{"linkId":"1","answer":[{"valueBoolean":true}]}"#;
    let no = r#"{"linkId":"1","answer":[{"valueBoolean":false}]}"#;
    let text = |text: &str| format!(r#"{{"linkId":"2","answer":[{{"valueString":"{text}"}}]}}"#);
    assert_eq!(judge(&format!("{yes},{}", text("abc"))), NONE);
    assert_eq!(
        judge(&format!("{yes},{}", text("abcd"))),
        ["questionnaire QuestionnaireResponse.item[1].answer[0].value.ofType(string)"]
    );
    assert_eq!(judge(&format!("{no},{}", text("abc"))), ["questionnaire QuestionnaireResponse.item[1]"]);
    assert_eq!(
        judge(&text("abc")),
        ["questionnaire QuestionnaireResponse", "questionnaire QuestionnaireResponse.item[0]"]
    );
    assert_eq!(judge(r#"{"linkId":"9"}"#).len(), 2, "an unknown item, and a required one missing");
    let wrong = r#"{"linkId":"1","answer":[{"valueString":"x"}]}"#;
    assert_eq!(judge(wrong), ["questionnaire QuestionnaireResponse.item[0].answer[0].value.ofType(string)"]);
}

#[test]
fn slices_that_nothing_tells_apart_are_the_profiles_fault() {
    let slicing = r#"{"id":"Patient.contact","path":"Patient.contact","slicing":{"discriminator":[{"type":"value","path":"gender"}],"rules":"open"}},
        {"id":"Patient.contact:one","path":"Patient.contact","sliceName":"one","max":"1"},
        {"id":"Patient.contact:one.gender","path":"Patient.contact.gender","fixedCode":"male"},
        {"id":"Patient.contact:one.name","path":"Patient.contact.name","min":1},
        {"id":"Patient.contact:two","path":"Patient.contact","sliceName":"two"},
        {"id":"Patient.contact:two.gender","path":"Patient.contact.gender","fixedCode":"GENDER"},
        {"id":"Patient.contact:two.organization","path":"Patient.contact.organization","min":1}"#;
    let contact = r#","contact":[{"gender":"male","organization":{"display":"x"}}]"#;
    let (same, other) = (slicing.replace("GENDER", "male"), slicing.replace("GENDER", "female"));
    // The second slice is the one that it obeys.
    assert_eq!(patient(&same, contact), ["slicing Patient.contact[0]"]);
    assert_eq!(patient(&other, contact), ["cardinality Patient.contact[0]"]);
}

#[test]
fn a_forbidden_variant_is_at_fault_itself() {
    let short = r#"{"id":"Observation.valueQuantity","path":"Observation.valueQuantity","max":"0"}"#;
    assert_eq!(
        observation(short, r#","valueQuantity":{"value":1}"#),
        ["type Observation.value.ofType(Quantity)"]
    );
    assert_eq!(observation(short, ""), NONE);
}

#[test]
fn a_profile_of_r4_says_in_its_snapshot_what_its_differential_shortened() {
    // The differential of the blood pressure profile forbids `valueQuantity`.
    let json =
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1}}"#;
    let validator =
        Validator::new(Definitions::r4()).with_profile("http://hl7.org/fhir/StructureDefinition/bp");
    let document = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
    let report = validator.validate(document.document());
    let places: Vec<_> = report.issues.iter().filter_map(|it| it.expression.as_deref()).collect();
    assert!(places.contains(&"Observation.value.ofType(Quantity)"), "{places:?}");
}
