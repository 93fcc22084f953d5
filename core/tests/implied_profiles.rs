//! Profiles that nobody claims, and what lies beyond the resource: vital signs, guides, targets, the clock.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument};
use varco_core::fhirpath::Temporal;
use varco_core::validation::Validator;

const NONE: [&str; 0] = [];

fn document(json: &str) -> OwnedDocument {
    OwnedDocument::parse_json(json, &Limits::default()).unwrap()
}

fn definitions(all: &[&str]) -> Arc<Definitions> {
    let mut builder = Definitions::builder();
    for (number, text) in all.iter().enumerate() {
        assert!(builder.definition(&format!("{number}.json"), text.as_bytes()).unwrap(), "{text}");
    }
    Arc::new(builder.build().unwrap())
}

/// `rule element` of every error.
fn findings(validator: &Validator, json: &str) -> Vec<String> {
    let document = document(json);
    let report = validator.validate(document.document());
    let errors = report.issues.iter().filter(|issue| issue.severity.is_error());
    errors.map(|it| format!("{} {}", it.rule.unwrap(), it.expression.as_deref().unwrap_or("-"))).collect()
}

/// A profile of a type with these elements in its differential.
fn profile(url: &str, type_name: &str, elements: &str) -> String {
    let kind = if matches!(type_name, "HumanName" | "Address") { "complex-type" } else { "resource" };
    format!(
        r#"{{"resourceType":"StructureDefinition","url":"{url}","name":"P","status":"draft","abstract":false,
        "kind":"{kind}","type":"{type_name}","derivation":"constraint",
        "baseDefinition":"http://hl7.org/fhir/StructureDefinition/{type_name}",
        "differential":{{"element":[{elements}]}}}}"#
    )
}

const NAMED: &str = r#"{"id":"Patient.name","path":"Patient.name","min":1}"#;
const NAMELESS: &str = r#"{"resourceType":"Patient"}"#;

fn temperature(code: &str, members: &str) -> Vec<String> {
    let json = format!(
        r#"{{"resourceType":"Observation","status":"final","code":{{"coding":[{code}]}},
        "subject":{{"display":"x"}},"effectiveDateTime":"2024-05-01","valueQuantity":{{"value":37,"unit":"C",
        "system":"http://unitsofmeasure.org","code":"Cel"}}{members}}}"#
    );
    findings(&Validator::new(Definitions::r4()), &json)
}

const VITAL: &str = r#","category":[{"coding":[{"code":"vital-signs",
    "system":"http://terminology.hl7.org/CodeSystem/observation-category"}]}]"#;

#[test]
fn a_vital_sign_obeys_its_profile_unasked() {
    let loinc = r#"{"system":"http://loinc.org","code":"8310-5"}"#;
    let snomed = r#"{"system":"http://snomed.info/sct","code":"386725007"}"#;
    assert_eq!(temperature(loinc, VITAL), NONE);
    assert_eq!(temperature(loinc, ""), ["cardinality Observation", "slicing Observation"]);
    assert_eq!(temperature(snomed, VITAL), ["slicing Observation.code"]);
    assert_eq!(temperature(&format!("{snomed},{loinc}"), VITAL), NONE);
    assert_eq!(temperature(r#"{"system":"http://loinc.org","code":"718-7"}"#, ""), NONE, "haemoglobin");
}

#[test]
fn a_guide_declares_profiles_for_all_resources_of_a_type() {
    let profile = profile("http://example.org/p", "Patient", NAMED);
    let guide = |url: &str, more: &str| {
        format!(
            r#"{{"resourceType":"ImplementationGuide","url":"{url}","name":"G","status":"draft",
            "packageId":"g","fhirVersion":["4.0.1"]{more}}}"#
        )
    };
    let global = r#","global":[{"type":"Patient","profile":"http://example.org/p"}]"#;
    let inner = guide("http://example.org/inner", global);
    let validator = Validator::new(definitions(&[&profile, &inner]));
    assert_eq!(findings(&validator, NAMELESS), ["cardinality Patient"]);
    assert_eq!(findings(&validator, r#"{"resourceType":"Patient","name":[{"text":"x"}]}"#), NONE);
    assert_eq!(findings(&validator, r#"{"resourceType":"Person"}"#), NONE);
    let depends = r#","dependsOn":[{"uri":"http://example.org/inner","version":"1"}]"#;
    let outer = guide("http://example.org/outer", depends);
    let validator = Validator::new(definitions(&[&profile, &inner, &outer]));
    assert_eq!(findings(&validator, NAMELESS), NONE, "a guide that came for another one covers nothing");
}

#[test]
fn a_profile_may_be_asked_for_every_resource_of_a_type() {
    let profile = profile("http://example.org/p", "Patient", NAMED);
    let validator =
        Validator::new(definitions(&[&profile])).with_profile_of("Patient", "http://example.org/p");
    let bundle = format!(
        r#"{{"resourceType":"Bundle","type":"collection","entry":[{{"fullUrl":"urn:uuid:0d4b4b3e-5a0c-4d3c-9d3a-3f6f0f0b7f11",
        "resource":{NAMELESS}}}]}}"#
    );
    assert_eq!(findings(&validator, &bundle), ["cardinality Bundle.entry[0].resource"]);
}

#[test]
fn the_target_at_hand_is_held_against_the_profile_of_the_reference() {
    let linked = r#"{"id":"Patient.link.other","path":"Patient.link.other","type":[{"code":"Reference",
        "targetProfile":["http://example.org/named"]}]}"#;
    let all = [
        profile("http://example.org/p", "Patient", linked),
        profile("http://example.org/named", "Patient", NAMED),
    ];
    let definitions = definitions(&[&all[0], &all[1]]);
    let validator = |target: &str| {
        let validator = Validator::new(Arc::clone(&definitions)).with_profile("http://example.org/p");
        validator.with_instance(document(target))
    };
    let json = r#"{"resourceType":"Patient","link":[{"type":"seealso","other":{"reference":"Patient/2"}}]}"#;
    let good = r#"{"resourceType":"Patient","id":"2","name":[{"text":"x"}]}"#;
    let bad = r#"{"resourceType":"Patient","id":"2"}"#;
    let invalid = r#"{"resourceType":"Patient","id":"2","name":[{"text":"x"}],"gender":"?"}"#;
    assert_eq!(findings(&validator(good), json), NONE);
    assert_eq!(findings(&validator(bad), json), ["target Patient.link[0].other"]);
    assert_eq!(findings(&validator(invalid), json), ["target Patient.link[0].other"]);
    assert_eq!(findings(&validator(r#"{"resourceType":"Patient","id":"3"}"#), json), NONE, "not at hand");
}

#[test]
fn a_relative_reference_names_the_type_of_its_target() {
    let subject = r#"{"id":"Observation.subject","path":"Observation.subject","type":[{"code":"Reference",
        "targetProfile":["http://hl7.org/fhir/StructureDefinition/Patient"]}]}"#;
    let profile = profile("http://example.org/p", "Observation", subject);
    let validator = Validator::new(definitions(&[&profile])).with_profile("http://example.org/p");
    let of = |subject: &str| {
        let json = format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},"subject":{{{subject}}}}}"#
        );
        findings(&validator, &json)
    };
    assert_eq!(of(r#""reference":"Patient/1""#), NONE);
    assert_eq!(of(r#""reference":"Group/1""#), ["target Observation.subject"]);
    assert_eq!(of(r#""reference":"https://elsewhere.example/Group/1""#), NONE, "other servers, other rules");
    assert_eq!(of(r#""reference":"Patient/1","type":"Patient""#), NONE);
    assert_eq!(of(r#""reference":"Patient/1","type":"Practitioner""#), ["target Observation.subject"]);
}

#[test]
fn an_aggregation_says_where_targets_stand() {
    let bundled = r#"{"id":"Observation.subject","path":"Observation.subject","type":[{"code":"Reference",
        "aggregation":["bundled"]}]}"#;
    let profile = profile("http://example.org/p", "Observation", bundled);
    let definitions = definitions(&[&profile]);
    let validator =
        || Validator::new(Arc::clone(&definitions)).with_profile_of("Observation", "http://example.org/p");
    let observation = |reference: &str, contained: &str| {
        format!(
            r#"{{"resourceType":"Observation"{contained},"status":"final","code":{{"text":"x"}},
            "subject":{{"reference":"{reference}"}}}}"#
        )
    };
    let bundle = |reference: &str| {
        let observation = observation(reference, "");
        format!(
            r#"{{"resourceType":"Bundle","type":"collection","entry":[
            {{"fullUrl":"urn:uuid:0d4b4b3e-5a0c-4d3c-9d3a-3f6f0f0b7f11","resource":{observation}}},
            {{"fullUrl":"urn:uuid:1d4b4b3e-5a0c-4d3c-9d3a-3f6f0f0b7f12","resource":{NAMELESS}}}]}}"#
        )
    };
    let inside = bundle("urn:uuid:1d4b4b3e-5a0c-4d3c-9d3a-3f6f0f0b7f12");
    assert_eq!(findings(&validator(), &inside), NONE);
    let outside = bundle("https://elsewhere.example/Patient/1");
    assert_eq!(findings(&validator(), &outside), ["target Bundle.entry[0].resource.subject"]);
    assert_eq!(findings(&validator(), &observation("Patient/1", "")), NONE, "it may become part of a Bundle");
    let contained = observation("#p", r#","contained":[{"resourceType":"Patient","id":"p"}]"#);
    assert_eq!(findings(&validator(), &contained), ["target Observation.subject"]);
}

#[test]
fn a_bound_may_be_a_distance_from_today() {
    let least = r#"{"id":"Patient.birthDate","path":"Patient.birthDate",
        "minValueQuantity":{"value":120,"system":"http://unitsofmeasure.org","code":"a"}}"#;
    let profile = profile("http://example.org/p", "Patient", least);
    let definitions = definitions(&[&profile]);
    let timeless = || Validator::new(Arc::clone(&definitions)).with_profile("http://example.org/p");
    let told = || timeless().with_now(Temporal::parse_date_time("2024-06-15T12:00:00Z").unwrap());
    let old = r#"{"resourceType":"Patient","birthDate":"1899-06-15"}"#;
    assert_eq!(findings(&told(), old), ["bounds Patient.birthDate"]);
    assert_eq!(findings(&told(), &old.replace("1899", "1950")), NONE);
    assert_eq!(findings(&timeless(), old), NONE, "nobody told the time");
}

#[test]
fn a_primitive_may_be_obliged_to_have_its_value() {
    const BASE: &str = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition";
    let of = |obligation: &str, patient: &str| {
        let element = format!(
            r#"{{"extension":[{obligation}],"id":"Patient.active","path":"Patient.active","min":1}}"#
        );
        let profile = profile("http://example.org/p", "Patient", &element);
        let validator = Validator::new(definitions(&[&profile])).with_profile("http://example.org/p");
        findings(&validator, patient)
    };
    let must = format!(r#"{{"url":"{BASE}.mustHaveValue","valueBoolean":true}}"#);
    let reason = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
    let instead = format!(r#"{{"url":"{BASE}.valueAlternatives","valueCanonical":"{reason}"}}"#);
    let absent = format!(
        r#"{{"resourceType":"Patient","_active":{{"extension":[{{"url":"{reason}","valueCode":"unknown"}}]}}}}"#
    );
    let other = r#"{"resourceType":"Patient","_active":{"extension":[
        {"url":"http://hl7.org/fhir/StructureDefinition/iso21090-nullFlavor","valueCode":"MSK"}]}}"#;
    let whole = r#"{"resourceType":"Patient","active":true}"#;
    assert_eq!(of(&must, whole), NONE);
    assert_eq!(of(&must, &absent), ["content Patient.active"]);
    assert_eq!(of(&instead, whole), NONE);
    assert_eq!(of(&instead, &absent), NONE);
    assert_eq!(of(&instead, other), ["content Patient.active"]);
}

#[test]
fn a_differential_speaks_of_the_slices_of_a_types_profile() {
    let street = "http://hl7.org/fhir/StructureDefinition/iso21090-ADXP-streetName";
    let slices = format!(
        r#"{{"id":"Address.line.extension","path":"Address.line.extension","slicing":{{"discriminator":[
        {{"type":"value","path":"url"}}],"rules":"open"}}}},
        {{"id":"Address.line.extension:street","path":"Address.line.extension","sliceName":"street","max":"1",
        "type":[{{"code":"Extension","profile":["{street}"]}}]}}"#
    );
    let address = profile("http://example.org/address", "Address", &slices);
    let needs = r#"{"id":"Patient.address","path":"Patient.address","type":[{"code":"Address",
        "profile":["http://example.org/address"]}]},
        {"id":"Patient.address.line.extension:street","path":"Patient.address.line.extension",
        "sliceName":"street","min":1}"#;
    let profile = profile("http://example.org/p", "Patient", needs);
    let validator = Validator::new(definitions(&[&address, &profile])).with_profile("http://example.org/p");
    let of = |extension: &str| {
        let json = format!(
            r#"{{"resourceType":"Patient","address":[{{"line":["Via Po 1"],"_line":[{{"extension":[
            {{"url":"{extension}","valueString":"Po"}}]}}]}}]}}"#
        );
        findings(&validator, &json)
    };
    assert_eq!(of(street), NONE);
    let number = "http://hl7.org/fhir/StructureDefinition/iso21090-ADXP-houseNumber";
    assert_eq!(of(number), ["slicing Patient.address[0].line[0]"]);
}

#[test]
fn a_type_profile_that_is_not_at_hand_is_said_to_be_missing() {
    let name = r#"{"id":"Patient.name","path":"Patient.name","type":[{"code":"HumanName",
        "profile":["http://example.org/absent"]}]}"#;
    let profile = profile("http://example.org/p", "Patient", name);
    let validator = Validator::new(definitions(&[&profile])).with_profile("http://example.org/p");
    assert_eq!(findings(&validator, NAMELESS), NONE);
    let named = r#"{"resourceType":"Patient","name":[{"text":"x"}]}"#;
    assert_eq!(findings(&validator, named), ["definition Patient.name[0]"]);
}

#[test]
fn where_no_profile_of_a_choice_is_obeyed_each_says_why() {
    let family = r#"{"id":"HumanName.family","path":"HumanName.family","min":1}"#;
    let given = r#"{"id":"HumanName.given","path":"HumanName.given","maxLength":2}"#;
    let one = profile("http://example.org/one", "HumanName", family);
    let two = profile("http://example.org/two", "HumanName", given);
    let either = r#"{"id":"Patient.name","path":"Patient.name","type":[{"code":"HumanName",
        "profile":["http://example.org/one","http://example.org/two"]}]}"#;
    let profile = profile("http://example.org/p", "Patient", either);
    let validator = Validator::new(definitions(&[&one, &two, &profile])).with_profile("http://example.org/p");
    let of = |name: &str| findings(&validator, &format!(r#"{{"resourceType":"Patient","name":[{name}]}}"#));
    assert_eq!(of(r#"{"given":["Al"]}"#), NONE);
    assert_eq!(of(r#"{"family":"Rossi","given":["Anna"]}"#), NONE);
    let found = of(r#"{"given":["Anna"]}"#);
    assert_eq!(
        found,
        ["profile Patient.name[0]", "cardinality Patient.name[0]", "bounds Patient.name[0].given[0]"]
    );
}

#[test]
fn conforms_to_asks_for_the_type_too() {
    let rule = r#"{"id":"Patient","path":"Patient","constraint":[{"key":"whole-1","severity":"error","human":"x",
        "expression":"conformsTo('http://hl7.org/fhir/StructureDefinition/Patient')"}]}"#;
    let profile = profile("http://example.org/p", "Patient", rule);
    let validator = Validator::new(definitions(&[&profile])).with_profile("http://example.org/p");
    assert_eq!(findings(&validator, NAMELESS), NONE);
    let wrong = r#"{"resourceType":"Patient","gender":"?"}"#;
    assert_eq!(findings(&validator, wrong), ["invariant Patient", "binding Patient.gender"]);
}
