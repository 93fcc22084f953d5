//! The validator by topic: what each rule lets pass, and what it finds where.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::sync::Arc;

use fhir_models::definition::{Definitions, DefinitionsBuilder};
use fhir_models::document::{Limits, OwnedDocument};
use proptest::prelude::*;
use varco_core::outcome::{Issue, IssueSeverity};
use varco_core::validation::{Settings, ValidationReport, Validator};

fn validator() -> Validator {
    Validator::new(Definitions::r4())
}

fn document(json: &str) -> OwnedDocument {
    OwnedDocument::parse_json(json, &Limits::default()).unwrap()
}

fn report(json: &str) -> ValidationReport {
    let document = document(json);
    let validator = validator();
    let mut report = validator.validate(document.document());
    assert_eq!(validator.is_valid(document.document()), report.is_valid());
    report.issues.retain(is_fault);
    report
}

/// Information is no fault.
fn is_fault(issue: &Issue) -> bool {
    issue.severity != IssueSeverity::Information
}

/// `rule element` of every finding.
fn findings(json: &str) -> Vec<String> {
    let shown =
        |issue: &Issue| format!("{} {}", issue.rule.unwrap(), issue.expression.as_deref().unwrap_or("-"));
    report(json).issues.iter().map(shown).collect()
}

/// A Patient with these further members.
fn patient(members: &str) -> Vec<String> {
    findings(&format!(r#"{{"resourceType":"Patient",{members}}}"#))
}

/// An Observation with these further members.
fn observation(members: &str) -> Vec<String> {
    findings(&format!(r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},{members}}}"#))
}

const NONE: [&str; 0] = [];

/// The twin of a primitive, with an extension.
const EXTENDED: &str = r#"{"extension":[{"url":"http://example.org/e","valueString":"x"}]}"#;

#[test]
fn every_type_of_r4_compiles() {
    let definitions = Definitions::r4();
    let validator = validator();
    let mut resources = 0;
    for name in definitions.type_names().filter(|name| definitions.is_resource(name)) {
        let empty = document(&format!(r#"{{"resourceType":"{name}"}}"#));
        let report = validator.validate(empty.document());
        let broken = report.issues.iter().find(|issue| issue.rule == Some("definition"));
        assert!(broken.is_none(), "{name}: {broken:?}");
        resources += 1;
    }
    assert_eq!(resources, 146, "R4 has 146 concrete resource types");
}

#[test]
fn a_validator_is_shared_by_threads() {
    let validator = Arc::new(validator());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let validator = Arc::clone(&validator);
            std::thread::spawn(move || {
                let document = document(r#"{"resourceType":"Patient","gender":"x"}"#);
                validator.validate(document.document())
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap().issues.len(), 1);
    }
}

#[test]
fn a_document_is_a_resource() {
    assert_eq!(findings("[]"), ["resource-type -"]);
    assert_eq!(findings("{}"), ["resource-type -"]);
    assert_eq!(findings(r#"{"resourceType":7}"#), ["resource-type -"]);
    assert_eq!(findings(r#"{"resourceType":"Paziente"}"#), ["resource-type Paziente"]);
    assert_eq!(findings(r#"{"resourceType":"\u001b[31m"}"#), ["resource-type -"], "no input in a terminal");
    assert_eq!(findings(r#"{"resourceType":"Resource"}"#), ["resource-type Resource"]);
    assert_eq!(findings(r#"{"resourceType":"Patient"}"#), NONE);
}

#[test]
fn unknown_elements_are_reported_where_they_stand() {
    assert_eq!(patient(r#""fhir_comments":["x"]"#), ["unknown-element Patient"]);
    let contact = r#""contact":[{"gendre":"male","name":{"text":"x"}}]"#;
    assert_eq!(patient(contact), ["unknown-element Patient.contact[0]"]);
    assert_eq!(patient(r#""name":[{"resourceType":"HumanName"}]"#), ["unknown-element Patient.name[0]"]);
    let near = report(r#"{"resourceType":"Patient","birthdate":"2000"}"#);
    assert!(near.issues[0].message.contains("did you mean `birthDate`?"), "{}", near.issues[0].message);
}

#[test]
fn cardinality_counts_items_and_absences() {
    assert_eq!(patient(r#""communication":[{"preferred":true}]"#), ["cardinality Patient.communication[0]"]);
    assert_eq!(findings(r#"{"resourceType":"Observation","status":"final"}"#), ["cardinality Observation"]);
    let twin_alone = r#"{"resourceType":"Observation","code":{"text":"x"},"_status":{"extension":[
        {"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}}"#;
    assert_eq!(findings(twin_alone), NONE, "an extension may stand for the value");
}

#[test]
fn json_form_follows_the_definition() {
    assert_eq!(patient(r#""name":{"family":"Rossi"}"#), ["json-form Patient.name"]);
    assert_eq!(patient(r#""birthDate":["2000"]"#), ["json-form Patient.birthDate"]);
    assert_eq!(patient(r#""name":["Rossi"]"#), ["json-form Patient.name[0]"]);
    assert_eq!(patient(r#""maritalStatus":"S""#), ["json-form Patient.maritalStatus"]);
    assert_eq!(patient(r#""active":1"#), ["json-form Patient.active"]);
    assert_eq!(patient(r#""birthDate":{"value":"2000"}"#), ["json-form Patient.birthDate"]);
}

#[test]
fn emptiness_is_never_content() {
    assert_eq!(patient(r#""name":[]"#), ["content Patient.name"]);
    assert_eq!(patient(r#""name":[{}]"#), ["content Patient.name[0]"]);
    assert_eq!(patient(r#""name":[{"id":"n"}]"#), ["content Patient.name[0]"]);
    assert_eq!(patient(r#""name":[{"family":""}]"#), ["content Patient.name[0].family"]);
    assert_eq!(patient(r#""gender":null"#), ["content Patient.gender"]);
    assert_eq!(patient(r#""name":[null]"#), ["content Patient.name[0]"]);
    assert_eq!(patient(r#""contained":[null]"#), ["resource-type Patient.contained[0]"]);
}

#[test]
fn a_choice_has_one_variant() {
    assert_eq!(observation(r#""valueString":"x","_valueString":{"id":"v"}"#), NONE);
    assert_eq!(observation(r#""_valueString":{"id":"v"},"valueString":"x""#), NONE);
    assert_eq!(observation(r#""valueString":"x","valueBoolean":true"#), ["choice Observation"]);
    assert_eq!(
        observation(&format!(r#""_valueString":{EXTENDED},"valueBoolean":true"#)),
        ["choice Observation"]
    );
    assert_eq!(observation(r#""valueBase64Binary":"AQID""#), ["unknown-element Observation"]);
    assert_eq!(observation(r#""value":"x""#), ["unknown-element Observation"]);
    assert_eq!(
        observation(r#""valueQuantity":{"value":"1"}"#),
        ["json-form Observation.value.ofType(Quantity).value"]
    );
}

#[test]
fn twins_keep_step_with_their_values() {
    let name = |members: &str| patient(&format!(r#""name":[{{{members}}}]"#).replace("EXT", EXTENDED));
    assert_eq!(name(r#""given":["a",null],"_given":[null,EXT]"#), NONE);
    assert_eq!(name(r#""given":["a","b"],"_given":[EXT]"#), NONE);
    assert_eq!(name(r#""_given":[EXT]"#), NONE);
    assert_eq!(name(r#""family":"a","_family":{"id":"n"}"#), NONE, "an id beside a value");
    assert_eq!(name(r#""_family":{"id":"n"}"#), ["content Patient.name[0].family"]);
    assert_eq!(name(r#""given":["a",null]"#), ["content Patient.name[0].given[1]"]);
    assert_eq!(name(r#""given":["a",null],"_given":[EXT,null]"#), ["content Patient.name[0].given[1]"]);
    assert_eq!(name(r#""given":["a",null],"_given":[EXT]"#), ["content Patient.name[0].given[1]"]);
    assert_eq!(name(r#""_given":[null,EXT]"#), ["content Patient.name[0].given[0]"]);
    assert_eq!(name(r#""_given":[]"#), ["content Patient.name[0].given"]);
    assert_eq!(name(r#""_given":EXT"#), ["json-form Patient.name[0].given"]);
    assert_eq!(name(r#""_given":["x"]"#), ["json-form Patient.name[0].given[0]"]);
    assert_eq!(name(r#""_family":[EXT]"#), ["json-form Patient.name[0].family"]);
    assert_eq!(patient(r#""_contact":[{"id":"x"}]"#), ["unknown-element Patient"]);
    assert_eq!(patient(r#""_id":{"extension":[]}"#), ["unknown-element Patient"]);
    assert_eq!(patient(r#""_birthDate":{"value":"2000"}"#), ["unknown-element Patient.birthDate"]);
    assert_eq!(patient(&format!(r#""_birthDate":{EXTENDED}"#)), NONE);
    assert_eq!(
        patient(r#""_birthDate":{"extension":[{"url":"http://example.org/e","valueDate":"2000-13"}]}"#),
        ["primitive Patient.birthDate.extension[0].value.ofType(date)"]
    );
}

#[test]
fn bindings_know_members_strangers_and_the_unknown() {
    assert_eq!(patient(r#""gender":"female""#), NONE);
    assert_eq!(patient(r#""gender":"Female""#), ["binding Patient.gender"]);
    let clinical = |concept: &str| {
        findings(&format!(
            r#"{{"resourceType":"AllergyIntolerance","patient":{{"display":"x"}},"clinicalStatus":{concept}}}"#
        ))
    };
    let system = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical";
    let coding = |system: &str, code: &str| format!(r#"{{"system":"{system}","code":"{code}"}}"#);
    let right = coding(system, "active");
    let wrong = coding(system, "attivo");
    let local = coding("http://example.org/stato", "attivo");
    assert_eq!(clinical(&format!(r#"{{"coding":[{right}]}}"#)), NONE);
    assert_eq!(clinical(&format!(r#"{{"coding":[{local},{right}]}}"#)), NONE, "one of them is enough");
    assert_eq!(
        clinical(&format!(r#"{{"coding":[{wrong}]}}"#)),
        [
            "binding AllergyIntolerance.clinicalStatus",
            "code AllergyIntolerance.clinicalStatus.coding[0].code"
        ]
    );
    assert_eq!(
        clinical(&format!(r#"{{"coding":[{local}]}}"#)),
        ["binding AllergyIntolerance.clinicalStatus"]
    );
    assert_eq!(clinical(r#"{"text":"attiva"}"#), ["binding AllergyIntolerance.clinicalStatus"]);
    let bare = report(
        r#"{"resourceType":"AllergyIntolerance","patient":{"display":"x"},
            "clinicalStatus":{"coding":[{"code":"active"}]}}"#,
    );
    assert_eq!((bare.issues.len(), bare.unknown_codes), (0, 1), "without its system a code is unknown");
    let euros =
        report(r#"{"resourceType":"Invoice","status":"issued","totalNet":{"value":10.00,"currency":"EUR"}}"#);
    assert_eq!((euros.issues.len(), euros.unknown_codes), (0, 0), "ISO 4217 is known");
}

#[test]
fn without_definitions_no_type_is_known() {
    let none = Validator::new(Arc::new(DefinitionsBuilder::empty().build().unwrap()));
    let document = document(r#"{"resourceType":"Patient","gender":"x"}"#);
    let report = none.validate(document.document());
    assert_eq!(report.issues.len(), 1);
    assert_eq!(report.issues[0].rule, Some("resource-type"), "no definitions, no types");
}

#[test]
fn extensions_have_an_absolute_url_and_one_content() {
    let extension = |json: &str| patient(&format!(r#""extension":[{json}]"#));
    assert_eq!(extension(r#"{"url":"http://example.org/e","valueString":"x"}"#), NONE);
    assert_eq!(extension(r#"{"url":"urn:oid:1.2.3","valueString":"x"}"#), NONE);
    assert_eq!(extension(r#"{"url":"e","valueString":"x"}"#), ["extension Patient.extension[0]"]);
    assert_eq!(extension(r#"{"valueString":"x"}"#), ["cardinality Patient.extension[0]"]);
    assert_eq!(extension(r#"{"url":"http://example.org/e"}"#), ["extension Patient.extension[0]"]);
    assert_eq!(
        extension(r#"{"url":"http://example.org/e","extension":[{"url":"inner","valueCode":"x"}]}"#),
        NONE
    );
    assert_eq!(
        extension(r#"{"url":"http://example.org/e","extension":[{"url":"inner"}]}"#),
        ["extension Patient.extension[0].extension[0]"]
    );
}

#[test]
fn references_are_absolute_local_or_type_and_id() {
    let reference = |text: &str| observation(&format!(r#""subject":{{"reference":"{text}"}}"#));
    for fine in [
        "Patient/1",
        "Patient/1/_history/2",
        "http://example.org/fhir/Patient/1",
        "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
        "urn:oid:2.16.840.1",
        "Patient?identifier=http://hl7.it/sid/codiceFiscale%7CRSSMRA71E01F205E",
    ] {
        assert_eq!(reference(fine), NONE, "{fine}");
    }
    for wrong in [
        "1",
        "Paziente/1",
        "Patient/",
        "Patient/a_b",
        "Patient/1/2",
        "Patient/1/_history/",
        "#a b",
        "/Patient/1",
    ] {
        assert_eq!(reference(wrong), ["reference Observation.subject"], "{wrong}");
    }
    assert_eq!(reference("#"), ["target Observation.subject"], "the Observation is no subject of itself");
}

#[test]
fn resources_in_resources() {
    let bundle = r#"{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:oid:1.2","resource":{"resourceType":"Patient",
        "contained":[{"resourceType":"Organization","name":7}],"gender":"x"}}]}"#;
    assert_eq!(
        findings(bundle),
        ["json-form Bundle.entry[0].resource.contained[0].name", "binding Bundle.entry[0].resource.gender"]
    );
    let nested = r#""contained":[{"resourceType":"Patient","contained":[{"resourceType":"Patient"}]}]"#;
    assert_eq!(patient(nested), ["contained Patient"]);
    let parameters = r#"{"resourceType":"Parameters","parameter":[{"name":"a","part":[{"name":"b",
        "resource":{"resourceType":"Patient","active":"x"}}]}]}"#;
    assert_eq!(findings(parameters), ["json-form Parameters.parameter[0].part[0].resource.active"]);
}

#[test]
fn content_references_lead_back() {
    let questionnaire = r#"{"resourceType":"Questionnaire","status":"draft","item":[{"linkId":"1","type":"group",
        "item":[{"linkId":"1.1","type":"group","item":[{"type":"string"}]}]}]}"#;
    assert_eq!(findings(questionnaire), ["cardinality Questionnaire.item[0].item[0].item[0]"]);
}

#[test]
fn ids_of_elements_are_unique_in_their_resource() {
    assert_eq!(patient(r#""name":[{"id":"a","text":"x"},{"id":"b","text":"y"}]"#), NONE);
    assert_eq!(
        patient(r#""name":[{"id":"a","text":"x"},{"id":"a","text":"y"}]"#),
        ["element-id Patient.name[1]"]
    );
    let two = r#"{"resourceType":"Bundle","type":"collection","entry":[
        {"fullUrl":"urn:oid:1.2","resource":{"resourceType":"Patient","name":[{"id":"a","text":"x"}]}},
        {"fullUrl":"urn:oid:1.3","resource":{"resourceType":"Patient","name":[{"id":"a","text":"x"}]}}]}"#;
    assert_eq!(findings(two), NONE, "each resource has its own ids");
}

#[test]
fn positions_point_at_the_member() {
    let text = "{\r\n  \"resourceType\": \"Patient\",\r\n  \"name\": [{ \"family\": \"Forlì\", \"nome\": \"x\" }],\r\n  \"gender\": \"x\"\r\n}";
    let report = report(text);
    let places: Vec<_> = report.issues.iter().map(|it| it.position.unwrap()).collect();
    assert_eq!(places.iter().map(|it| (it.line, it.column)).collect::<Vec<_>>(), [(3, 33), (4, 3)]);
}

#[test]
fn findings_and_depth_are_bounded() {
    let names = vec![r#"{"x":1}"#; 500].join(",");
    let many = document(&format!(r#"{{"resourceType":"Patient","name":[{names}]}}"#));
    let report = validator().validate(many.document());
    assert_eq!((report.issues.len(), report.truncated), (200, true));
    let few = Validator::with_settings(
        Definitions::r4(),
        Settings { findings: 3, depth: 4, ..Settings::default() },
    );
    assert_eq!(few.validate(many.document()).issues.len(), 3);
    let deep = r#"{"resourceType":"Patient","extension":[{"url":"http://example.org/a","extension":[{"url":"b",
        "extension":[{"url":"c","extension":[{"url":"d","valueString":"x"}]}]}]}]}"#;
    let report = few.validate(document(deep).document());
    assert!(report.issues.iter().any(|issue| issue.rule == Some("limit")));
    assert!(!validator().validate(document(deep).document()).issues.iter().any(is_fault));
}

#[test]
fn a_listener_hears_what_a_report_lists_and_may_stop() {
    let text = r#"{"resourceType":"Patient","meta":{"profile":["http://example.org/none"]},"gender":"x",
        "cognome":1,"birthDate":"1971-02-30"}"#;
    let validator = validator();
    let document = document(text);
    let report = validator.validate(document.document());
    assert!(report.issues.len() >= 4, "{:?}", report.issues);
    let mut heard = Vec::new();
    let streamed = validator.stream(document.document(), &mut |issue| {
        heard.push(issue);
        ControlFlow::Continue(())
    });
    assert_eq!((streamed.issues, streamed.stopped, streamed.truncated), (heard.len(), false, false));
    assert_eq!(streamed.errors, heard.iter().filter(|issue| issue.severity.is_error()).count());
    heard.sort_by_key(|issue| issue.position);
    assert_eq!(heard, report.issues);
    for stop_after in 1..=report.issues.len() {
        let mut count = 0;
        let streamed = validator.stream_bytes(text.as_bytes(), &mut |_| {
            count += 1;
            if count == stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((count, streamed.issues, streamed.stopped), (stop_after, stop_after, true));
    }
    let few = Validator::with_settings(Definitions::r4(), Settings { findings: 2, ..Settings::default() });
    let streamed = few.stream(document.document(), &mut |_| ControlFlow::Continue(()));
    assert_eq!((streamed.issues, streamed.truncated, streamed.stopped), (2, true, false));
}

#[test]
fn what_a_trial_finds_is_heard_by_nobody() {
    let definition = r#"{"resourceType":"StructureDefinition","url":"http://example.org/s","name":"S","status":"draft",
        "kind":"resource","abstract":false,"type":"Patient","derivation":"constraint",
        "baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient","differential":{"element":[
        {"id":"Patient.identifier","path":"Patient.identifier","slicing":{"rules":"open",
          "discriminator":[{"type":"value","path":"system"}]}},
        {"id":"Patient.identifier:cf","path":"Patient.identifier","sliceName":"cf","max":"1"},
        {"id":"Patient.identifier:cf.system","path":"Patient.identifier.system","min":1,
          "fixedUri":"http://example.org/cf"}]}}"#;
    let mut definitions = Definitions::builder();
    definitions.definition("s.json", definition.as_bytes()).unwrap();
    let validator =
        Validator::new(Arc::new(definitions.build().unwrap())).with_profile("http://example.org/s");
    let text =
        br#"{"resourceType":"Patient","identifier":[{"system":"http://example.org/other","value":"1"}]}"#;
    let streamed = validator.stream_bytes(text, &mut |issue| panic!("{issue:?}"));
    assert_eq!((streamed.issues, streamed.stopped), (0, false));
}

#[test]
fn bytes_that_are_no_document_are_an_issue_with_its_place() {
    let validator = validator();
    for (bytes, message) in [
        (&b"{\"resourceType\":\"Patient\","[..], "this is not a JSON document: the text ends too early"),
        (b"<Patient xmlns=\"http://hl7.org/fhir\">", "this is not a FHIR XML document: "),
        (b"\xFF", "this is not a JSON document: "),
    ] {
        let report = validator.validate_bytes(bytes);
        let [issue] = report.issues.as_slice() else { panic!("{report:?}") };
        assert!(issue.message.starts_with(message), "{issue:?}");
        assert!(issue.position.is_some() && issue.rule == Some("syntax"));
        assert!(!validator.is_valid_bytes(bytes));
    }
    let small = Validator::new(Definitions::r4()).with_limits(Limits { bytes: 10, ..Limits::default() });
    let report = small.validate_bytes(b"{\"resourceType\":\"Patient\"}");
    assert_eq!(report.issues[0].code, varco_core::outcome::IssueType::TooLong);
    let xml = b"<Patient xmlns=\"http://hl7.org/fhir\"><gender value=\"donna\"/></Patient>";
    assert_eq!(validator.validate_bytes(xml).issues[0].expression.as_deref(), Some("Patient.gender"));
}

#[test]
fn codes_that_nobody_can_judge_are_counted_by_system_where_that_is_asked_for() {
    let text = br#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":
        {"value":1,"system":"http://unitsofmeasure.org","code":"mm"},"component":[{"code":{"coding":[
        {"system":"http://loinc.org","code":"1"}]},"valueQuantity":{"value":2}}]}"#;
    let profile = r#"{"resourceType":"StructureDefinition","url":"http://example.org/b","name":"B","status":"draft",
        "kind":"resource","abstract":false,"type":"Observation","derivation":"constraint",
        "baseDefinition":"http://hl7.org/fhir/StructureDefinition/Observation","differential":{"element":[
        {"id":"Observation.component.code","path":"Observation.component.code","binding":{"strength":"required",
          "valueSet":"http://example.org/fhir/ValueSet/nowhere"}}]}}"#;
    let mut definitions = Definitions::builder();
    definitions.definition("b.json", profile.as_bytes()).unwrap();
    let definitions = Arc::new(definitions.build().unwrap());
    for named in [false, true] {
        let settings = Settings { unknown_systems: named, ..Settings::default() };
        let validator = Validator::with_settings(Arc::clone(&definitions), settings);
        let report = validator.with_profile("http://example.org/b").validate_bytes(text);
        assert_eq!(report.unknown_codes, 1, "{report:?}");
        let systems: Vec<_> = report.unknown_systems.into_iter().collect();
        let expected = [("http://loinc.org".to_owned(), 1)];
        assert_eq!(systems, if named { &expected[..] } else { &[] });
    }
}

#[test]
fn a_validator_is_made_once_and_shared_by_threads() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    shared(&validator());
}

/// JSON values under names that FHIR knows, mostly in the wrong place.
fn odd_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("-1.50".to_owned()),
        "[a-z#/ ]{0,6}".prop_map(|text| format!("\"{text}\"")),
        Just("\"2024-02-30\"".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
    ];
    let names = prop_oneof![
        Just("resourceType"),
        Just("id"),
        Just("extension"),
        Just("url"),
        Just("valueString"),
        Just("_valueString"),
        Just("name"),
        Just("given"),
        Just("_given"),
        Just("contained"),
        Just("entry"),
        Just("resource"),
        Just("reference"),
        Just("text"),
        Just("div"),
        Just("coding"),
        Just("code"),
        Just("nome"),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::btree_map(names.clone(), inner, 0..6).prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_document_upsets_the_validator(kind in "Patient|Bundle|Observation|Parameters", values in prop::collection::vec(odd_json(), 4)) {
        let text = format!(
            r#"{{"resourceType":"{kind}","name":{},"contained":{},"entry":{},"extension":{}}}"#,
            values[0], values[1], values[2], values[3]
        );
        let document = document(&text);
        let validator = validator();
        let report = validator.validate(document.document());
        prop_assert_eq!(report.is_valid(), validator.is_valid(document.document()));
        let places: Vec<_> = report.issues.iter().map(|issue| issue.position).collect();
        prop_assert!(places.is_sorted());
        prop_assert!(report.issues.iter().all(|issue| issue.expression.as_ref().is_some_and(|it| it.starts_with(&kind))));
    }
}
