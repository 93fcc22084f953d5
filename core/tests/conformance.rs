//! Conformance resources: what is found in definitions, statements, measures and forms, and what is not.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use fhir_models::definition::{Definitions, DefinitionsBuilder};
use fhir_models::document::{Limits, OwnedDocument};
use proptest::prelude::*;
use varco_core::validation::Validator;

const NONE: [&str; 0] = [];
const PATIENT: &str = "http://hl7.org/fhir/StructureDefinition/Patient";
const OBSERVATION: &str = "http://hl7.org/fhir/StructureDefinition/Observation";

fn definitions(all: &[String]) -> Arc<Definitions> {
    let mut builder: DefinitionsBuilder = Definitions::builder();
    for (number, text) in all.iter().enumerate() {
        assert!(builder.definition(&format!("{number}.json"), text.as_bytes()).unwrap());
    }
    Arc::new(builder.build().unwrap())
}

/// The elements with errors, each once, with these definitions at hand.
fn with(all: &[String], json: &str) -> Vec<String> {
    let validator = Validator::new(definitions(all));
    let document = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
    let report = validator.validate(document.document());
    let errors = report.issues.iter().filter(|issue| issue.severity.is_error());
    let mut found: Vec<String> = errors.map(|it| it.expression.clone().unwrap_or_default()).collect();
    found.dedup();
    found
}

#[test]
fn extensions_stand_where_something_is() {
    let at = |path: &str| {
        let known = extension("http://example.org/e", r#","fixedUri":"http://example.org/e""#);
        findings(&known.replace(r#""expression":"Patient""#, &format!(r#""expression":"{path}""#)))
    };
    assert_eq!(at("Patient.contact.name"), NONE);
    assert_eq!(at("HumanName.family"), NONE);
    assert_eq!(at("Observation.value"), NONE, "value[x], as it is often written");
    assert_eq!(at("Patient.shoeSize"), ["StructureDefinition.context[0]"]);
    assert_eq!(at("Shoe"), ["StructureDefinition.context[0]"]);
}

fn findings(json: &str) -> Vec<String> {
    with(&[], json)
}

fn structure(head: &str, elements: &str) -> String {
    format!(
        r#"{{"resourceType":"StructureDefinition","name":"P","status":"draft","abstract":false,{head},
        "differential":{{"element":[{elements}]}}}}"#
    )
}

fn head(type_name: &str, base: &str) -> String {
    format!(
        r#""url":"http://example.org/p","kind":"resource","type":"{type_name}","baseDefinition":"{base}","derivation":"constraint""#
    )
}

fn patient(elements: &str) -> Vec<String> {
    findings(&structure(&head("Patient", PATIENT), elements))
}

fn observation(elements: &str) -> Vec<String> {
    findings(&structure(&head("Observation", OBSERVATION), elements))
}

/// An element of a differential, `rest` beside its id and path.
fn element(path: &str, rest: &str) -> String {
    format!(r#"{{"id":"{path}","path":"{path}"{rest}}}"#)
}

const FIRST: &str = "StructureDefinition.differential.element[0]";

#[test]
fn a_profile_narrows_what_its_base_has() {
    assert_eq!(patient(&element("Patient.birthDate", r#","min":1"#)), NONE);
    assert_eq!(patient(&element("Patient.name.family", r#","min":1"#)), NONE, "inside a datatype");
    assert_eq!(patient(&element("Patient.shoeSize", "")), ["StructureDefinition", FIRST]);
    assert_eq!(patient(&element("Patient.name.sound", "")), ["StructureDefinition", FIRST]);
    assert_eq!(patient(&element("Patient.birthDate", r#","max":"*""#)), [format!("{FIRST}.max")]);
    assert_eq!(patient(&element("Patient.link.other", r#","min":0"#)), [format!("{FIRST}.min")]);
    let typed = r#","type":[{"code":"string"}]"#;
    assert_eq!(patient(&element("Patient.birthDate", typed)), [format!("{FIRST}.type[0]")]);
    assert_eq!(observation(&element("Observation.value[x]", typed)), NONE);
}

#[test]
fn elements_come_in_the_order_of_the_base() {
    let (name, birth) = (element("Patient.name", ""), element("Patient.birthDate", ""));
    assert_eq!(patient(&format!("{name},{birth}")), NONE);
    assert_eq!(patient(&format!("{birth},{name}")), ["StructureDefinition", FIRST]);
    let sliced = r#"{"id":"Patient.name:a","path":"Patient.name","sliceName":"a"},
        {"id":"Patient.name:a.given","path":"Patient.name.given"},
        {"id":"Patient.name:b","path":"Patient.name","sliceName":"b"},
        {"id":"Patient.name:b.family","path":"Patient.name.family"}"#;
    assert_eq!(patient(sliced), NONE, "each slice begins anew");
}

#[test]
fn a_written_out_choice_ends_with_one_of_its_types() {
    assert_eq!(observation(&element("Observation.valueQuantity.unit", r#","min":1"#)), NONE);
    assert_eq!(observation(&element("Observation.valueShoe", "")), ["StructureDefinition"]);
    assert_eq!(observation(&element("Observation.value[x].unit", "")), NONE, "a Quantity has one");
    let narrowed = element("Observation.value[x]", r#","type":[{"code":"CodeableConcept"}]"#);
    let below = element("Observation.value[x].unit", "");
    assert_eq!(
        observation(&format!("{narrowed},{below}")),
        ["StructureDefinition", "StructureDefinition.differential.element[1]"]
    );
}

#[test]
fn slicing_has_a_place_and_a_way_to_tell() {
    let sliced = |path: &str, by: &str| {
        element(
            path,
            &format!(r#","slicing":{{"rules":"open","discriminator":[{{"type":"value","path":"{by}"}}]}}"#),
        )
    };
    let by = format!("{FIRST}.slicing.discriminator[0]");
    assert_eq!(observation(&sliced("Observation.component", "code")), NONE);
    assert_eq!(observation(&sliced("Observation.component", "code.coding.system")), NONE);
    assert_eq!(observation(&sliced("Observation.component", "value")), NONE);
    assert_eq!(observation(&sliced("Observation.component", "$this")), NONE);
    assert_eq!(observation(&sliced("Observation.subject", "resolve().code")), [format!("{FIRST}.slicing")]);
    assert_eq!(observation(&sliced("Observation.component", "colour")), std::slice::from_ref(&by));
    assert_eq!(observation(&sliced("Observation.component", "code.colour")), std::slice::from_ref(&by));
    assert_eq!(observation(&sliced("Observation.hasMember", "resolve().code")), NONE);
    assert_eq!(observation(&sliced("Observation.extension", "type")), [by]);
    let root = observation(&sliced("Observation", "code"));
    assert!(root.contains(&"StructureDefinition".to_owned()) && root.contains(&FIRST.to_owned()), "{root:?}");
}

#[test]
fn values_and_bounds_suit_the_type() {
    let birth = |rest: &str| patient(&element("Patient.birthDate", rest));
    assert_eq!(birth(r#","fixedDate":"2000-01-01""#), NONE);
    assert_eq!(birth(r#","fixedString":"2000-01-01""#), [format!("{FIRST}.fixed.ofType(string)")]);
    assert_eq!(birth(r#","minValueDate":"2000-01-01""#), NONE);
    let active = |rest: &str| patient(&element("Patient.active", rest));
    assert_eq!(active(r#","minValueInteger":1"#), [FIRST]);
    assert_eq!(active(r#","maxLength":1"#), [FIRST]);
    assert_eq!(active(r#","binding":{"strength":"example"}"#), [FIRST]);
    let gender = |rest: &str| patient(&element("Patient.gender", rest));
    assert_eq!(gender(r#","binding":{"strength":"required"}"#), NONE);
    assert_eq!(gender(r#","binding":{"strength":"preferred"}"#), [format!("{FIRST}.binding")]);
    let key = r#","constraint":[{"key":"a-1","severity":"error","human":"x","expression":"EXPR"}]"#;
    assert_eq!(birth(&key.replace("EXPR", "$this <= today()")), NONE);
    assert_eq!(birth(&key.replace("EXPR", "$this <= (")), [format!("{FIRST}.constraint[0]")]);
}

#[test]
fn a_structure_fits_its_base() {
    let root = |head: &str| findings(&structure(head, &element("Patient", "")));
    let base = format!(r#""baseDefinition":"{PATIENT}""#);
    let url = r#""url":"http://example.org/p""#;
    assert_eq!(
        root(&format!(r#"{url},"kind":"resource","type":"Patient",{base}"#)),
        ["StructureDefinition"],
        "no derivation"
    );
    assert_eq!(
        root(&format!(r#"{url},"kind":"resource","type":"Patient",{base},"derivation":"specialization""#)),
        ["StructureDefinition"],
        "a new type with an old name"
    );
    let bare = format!(
        r#"{url},"kind":"logical","type":"Shoe","derivation":"specialization",
        "baseDefinition":"http://hl7.org/fhir/StructureDefinition/Element""#
    );
    assert_eq!(
        findings(&structure(&bare, &element("Shoe", ""))),
        ["StructureDefinition.type"],
        "types of one's own are URLs"
    );
    let own = bare.replace(r#""Shoe""#, r#""http://example.org/Shoe""#);
    assert_eq!(findings(&structure(&own, &element("Shoe", ""))), NONE);
    assert_eq!(findings(&structure(&own, &element("Boot", ""))), [FIRST], "paths begin with the type");
}

fn extension(url: &str, fixed: &str) -> String {
    let head = format!(
        r#""url":"{url}","kind":"complex-type","type":"Extension","derivation":"constraint",
        "context":[{{"type":"element","expression":"Patient"}}],
        "baseDefinition":"http://hl7.org/fhir/StructureDefinition/Extension""#
    );
    structure(&head, &element("Extension.url", fixed))
}

#[test]
fn an_extension_fixes_its_own_url() {
    assert_eq!(findings(&extension("http://example.org/e", r#","fixedUri":"http://example.org/e""#)), NONE);
    let wrong = extension("http://example.org/e", r#","fixedUri":"http://example.org/f""#);
    assert_eq!(findings(&wrong), ["StructureDefinition"]);
    assert_eq!(findings(&extension("http://example.org/e", "")), ["StructureDefinition"]);
    let known = extension("http://example.org/e", r#","fixedUri":"http://example.org/e""#);
    let used = |path: &str, profile: &str| {
        let type_ = format!(r#","type":[{{"code":"Extension","profile":["{profile}"]}}]"#);
        with(std::slice::from_ref(&known), &structure(&head("Patient", PATIENT), &element(path, &type_)))
    };
    assert_eq!(used("Patient.extension", "http://example.org/e"), NONE);
    let place = [format!("{FIRST}.type[0].profile[0]")];
    assert_eq!(used("Patient.modifierExtension", "http://example.org/e"), place, "it modifies nothing");
    assert_eq!(used("Patient.extension", OBSERVATION), place, "no extension at all");
}

#[test]
fn a_derived_profile_keeps_what_is_fixed() {
    let base = extension("http://example.org/e", r#","fixedUri":"http://example.org/e""#);
    let derived = |fixed: &str| {
        let json = extension("http://example.org/f", fixed)
            .replace("http://hl7.org/fhir/StructureDefinition/Extension", "http://example.org/e");
        with(std::slice::from_ref(&base), &json)
    };
    assert_eq!(derived(r#","fixedUri":"http://example.org/e""#), NONE);
    assert_eq!(derived(r#","fixedUri":"http://example.org/f""#), [format!("{FIRST}.fixed.ofType(uri)")]);
}

#[test]
fn an_obligation_profile_only_adds_obligations() {
    let flagged = |url: &str, base: &str, elements: &str| {
        let head = head("Patient", base).replace("http://example.org/p", url);
        structure(&head, elements).replacen(
            r#""name""#,
            r#""extension":[{"url":"http://hl7.org/fhir/StructureDefinition/obligation-profile-flag","valueBoolean":true}],"name""#,
            1,
        )
    };
    let good =
        flagged("http://example.org/o", PATIENT, &element("Patient.birthDate", r#","mustSupport":true"#));
    let only = |json: &str| -> Vec<String> {
        with(&[], json).into_iter().filter(|it| it.contains("differential")).collect()
    };
    assert_eq!(only(&good), NONE);
    let short = flagged("http://example.org/o", PATIENT, &element("Patient.birthDate", r#","short":"x""#));
    assert_eq!(only(&short), [format!("{FIRST}.short")]);
    let weak = r#","binding":{"strength":"example"}"#;
    let weak = flagged("http://example.org/o", PATIENT, &element("Patient.maritalStatus", weak));
    assert_eq!(only(&weak), [format!("{FIRST}.binding.strength")]);

    let heir = |from: &str| {
        let inherits = format!(
            r#""extension":[{{"url":"http://hl7.org/fhir/StructureDefinition/inherit-obligations","valueCanonical":"{from}"}}],"name""#
        );
        structure(&head("Patient", PATIENT), &element("Patient.name", "")).replacen(r#""name""#, &inherits, 1)
    };
    let plain = structure(
        &head("Patient", PATIENT).replace("http://example.org/p", "http://example.org/plain"),
        &element("Patient.name", ""),
    );
    let other = flagged("http://example.org/other", "http://example.org/plain", &element("Patient.name", ""));
    let at_hand = [good, plain, other];
    let inherits = |from: &str| -> Vec<String> { with(&at_hand, &heir(from)) };
    assert_eq!(inherits("http://example.org/o"), NONE);
    assert_eq!(inherits("http://example.org/plain"), ["StructureDefinition.extension[0]"], "no obligations");
    assert_eq!(inherits("http://example.org/other"), ["StructureDefinition.extension[0]"], "another base");
}

#[test]
fn search_parameters_lead_somewhere() {
    let parameter = |rest: &str| {
        findings(&format!(
            r#"{{"resourceType":"SearchParameter","url":"http://example.org/s","name":"S","status":"draft",
            "description":"x","code":"s","base":["Patient"]{rest}}}"#
        ))
    };
    assert_eq!(parameter(r#","type":"date","expression":"Patient.birthDate""#), NONE);
    let at = ["SearchParameter.expression"];
    assert_eq!(parameter(r#","type":"date","expression":"Patient.born""#), at);
    assert_eq!(parameter(r#","type":"date","expression":"Patient.birthDate |""#), at);
    assert_eq!(parameter(r#","type":"number","expression":"Patient.birthDate""#), at, "a date is no number");
    assert_eq!(parameter(r#","type":"string","target":["Patient"]"#), ["SearchParameter.target[0]"]);
    assert_eq!(parameter(r#","type":"composite""#), ["SearchParameter"]);
    let birthdate = r#","derivedFrom":"http://hl7.org/fhir/SearchParameter/individual-birthdate""#;
    assert_eq!(parameter(&format!(r#","type":"date"{birthdate}"#)), NONE);
    assert_eq!(parameter(&format!(r#","type":"string"{birthdate}"#)), ["SearchParameter"]);
}

#[test]
fn operations_can_be_called() {
    let operation = |rest: &str| {
        findings(&format!(
            r#"{{"resourceType":"OperationDefinition","name":"O","status":"draft","kind":"operation","code":"o",
            "system":true,"type":false,"instance":false{rest}}}"#
        ))
    };
    let parameter = |min: u32, max: &str| {
        format!(r#"{{"name":"p","use":"in","min":{min},"max":"{max}","type":"string"}}"#)
    };
    assert_eq!(operation(&format!(r#","parameter":[{}]"#, parameter(1, "*"))), NONE);
    let at = |tail: &str| [format!("OperationDefinition.parameter{tail}")];
    assert_eq!(operation(&format!(r#","parameter":[{}]"#, parameter(2, "1"))), at("[0]"));
    assert_eq!(operation(&format!(r#","parameter":[{}]"#, parameter(0, "many"))), at("[0].max"));
    let twice = format!(r#","parameter":[{},{}]"#, parameter(0, "1"), parameter(0, "1"));
    assert_eq!(operation(&twice), at("[1]"));
    assert_eq!(
        operation(&format!(r#","inputProfile":"{PATIENT}""#)),
        ["OperationDefinition.inputProfile"],
        "parameters are no patient"
    );
}

#[test]
fn a_statement_agrees_with_what_it_cites() {
    let statement = |resource: &str| {
        findings(&format!(
            r#"{{"resourceType":"CapabilityStatement","status":"draft","date":"2026-01-01","kind":"requirements","description":"x",
            "fhirVersion":"4.0.1","format":["json"],"rest":[{{"mode":"server","resource":[{{"type":"Patient"{resource}}}]}}]}}"#
        ))
    };
    let search = |kind: &str| {
        format!(
            r#","searchParam":[{{"name":"birthdate","type":"{kind}",
            "definition":"http://hl7.org/fhir/SearchParameter/individual-birthdate"}}]"#
        )
    };
    assert_eq!(statement(&search("date")), NONE);
    assert_eq!(statement(&search("token")), ["CapabilityStatement.rest[0].resource[0].searchParam[0]"]);
    assert_eq!(statement(&format!(r#","profile":"{PATIENT}""#)), NONE);
    assert_eq!(
        statement(&format!(r#","supportedProfile":["{OBSERVATION}"]"#)),
        ["CapabilityStatement.rest[0].resource[0].supportedProfile[0]"]
    );
}

#[test]
fn a_guide_depends_on_guides() {
    let guide = |rest: &str| {
        findings(&format!(
            r#"{{"resourceType":"ImplementationGuide","url":"http://example.org/ig","name":"G","status":"draft",
            "packageId":"org.example","fhirVersion":["4.0.1"]{rest}}}"#
        ))
    };
    let on = |uri: &str, id: &str| {
        format!(r#","dependsOn":[{{"uri":"{uri}","packageId":"{id}","version":"1.0.0"}}]"#)
    };
    assert_eq!(guide(&on("http://example.org/ImplementationGuide/x", "org.example.x")), NONE);
    assert_eq!(guide(&on("http://example.org/x", "org.example.x")), ["ImplementationGuide.dependsOn[0]"]);
    let single = on("http://example.org/ImplementationGuide/x", "single");
    assert_eq!(guide(&single), ["ImplementationGuide.dependsOn[0]"]);
}

fn concept(code: &str) -> String {
    format!(r#"{{"coding":[{{"system":"http://example.org/c","code":"{code}"}}]}}"#)
}

fn population(code: &str, rest: &str) -> String {
    let system = "http://terminology.hl7.org/CodeSystem/measure-population";
    format!(r#"{{"code":{{"coding":[{{"system":"{system}","code":"{code}"}}]}}{rest}}}"#)
}

/// Errors of a report on a proportion measure with two populations and a stratifier of two components.
fn report(kind: &str, group: &str) -> Vec<String> {
    let measure = format!(
        r#"{{"resourceType":"Measure","url":"http://example.org/m","status":"draft",
        "scoring":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/measure-scoring","code":"proportion"}}]}},
        "group":[{{"population":[{},{}],"stratifier":[{{"component":[{{"code":{}}},{{"code":{}}}]}}]}}]}}"#,
        population("numerator", ""),
        population("denominator", ""),
        concept("age"),
        concept("sex")
    );
    let json = format!(
        r#"{{"resourceType":"MeasureReport","status":"complete","type":"{kind}","measure":"http://example.org/m",
        "period":{{"start":"2026-01-01","end":"2026-01-31"}},"group":[{group}]}}"#
    );
    with(&[measure], &json)
}

#[test]
fn a_report_has_the_parts_of_its_measure() {
    let (upper, lower) =
        (population("numerator", r#","count":1"#), population("denominator", r#","count":2"#));
    let stratified = |a: &str, b: &str| {
        format!(
            r#","stratifier":[{{"stratum":[{{"component":[{{"code":{},"value":{}}},{{"code":{},"value":{}}}]}}]}}]"#,
            concept(a),
            concept("v"),
            concept(b),
            concept("v")
        )
    };
    let scored = r#","measureScore":{"value":0.5}"#;
    let group = |rest: &str| format!(r#"{{"population":[{upper},{lower}]{scored}{rest}}}"#);
    let whole = stratified("age", "sex");
    assert_eq!(report("summary", &group(&whole)), NONE);
    assert_eq!(
        report("summary", &group(&stratified("age", "shoe"))),
        ["MeasureReport.group[0]", "MeasureReport.group[0].stratifier[0]"]
    );
    assert_eq!(report("summary", &group("")), ["MeasureReport.group[0]"], "not stratified");
    let one = format!(r#"{{"population":[{upper}]{scored}{whole}}}"#);
    assert_eq!(report("summary", &one), ["MeasureReport.group[0]"], "no denominator");
    let twice = format!(r#"{{"population":[{upper},{lower},{lower}]{scored}{whole}}}"#);
    assert_eq!(report("summary", &twice), ["MeasureReport.group[0].population[2]"]);
    let score = |value: &str| group(&whole).replace("0.5", value);
    assert_eq!(report("summary", &group(&whole).replace(scored, "")), ["MeasureReport.group[0]"], "no score");
    assert_eq!(report("summary", &score("0.5")), NONE);
    assert_eq!(report("summary", &score("2")), ["MeasureReport.group[0].measureScore.value"]);
    let collected = report("data-collection", &score("0.5"));
    assert!(collected.contains(&"MeasureReport.group[0].measureScore".to_owned()), "{collected:?}");
}

#[test]
fn conditions_of_a_form_ask_its_questions() {
    let form = |items: &str| {
        findings(&format!(r#"{{"resourceType":"Questionnaire","status":"draft","item":[{items}]}}"#))
    };
    let asked = r#"{"linkId":"1","type":"boolean"}"#;
    let when = |id: &str, answer: &str| {
        format!(
            r#"{{"linkId":"2","type":"string","enableWhen":[{{"question":"{id}","operator":"=",{answer}}}]}}"#
        )
    };
    let yes = r#""answerBoolean":true"#;
    assert_eq!(form(&format!("{asked},{}", when("1", yes))), NONE);
    assert_eq!(form(&format!("{asked},{}", when("9", yes))), ["Questionnaire.item[1]"], "no such question");
    assert_eq!(form(&when("2", yes)), ["Questionnaire.item[0]"], "itself");
    assert_eq!(
        form(&format!("{asked},{}", when("1", r#""answerInteger":1"#))),
        ["Questionnaire.item[1].enableWhen[0].answer.ofType(integer)"]
    );
    let initial = |value: &str| format!(r#"{{"linkId":"1","type":"integer","initial":[{{{value}}}]}}"#);
    assert_eq!(form(&initial(r#""valueInteger":1"#)), NONE);
    assert_eq!(
        form(&initial(r#""valueString":"1""#)),
        ["Questionnaire.item[0].initial[0].value.ofType(string)"]
    );
}

#[test]
fn answers_stand_in_the_order_of_the_questions() {
    let form = r#"{"resourceType":"Questionnaire","url":"http://example.org/q","status":"draft","item":[
        {"linkId":"1","type":"string"},{"linkId":"2","type":"string"}]}"#
        .to_owned();
    let response = |items: &str| {
        let json = format!(
            r#"{{"resourceType":"QuestionnaireResponse","questionnaire":"http://example.org/q","status":"completed",
            "item":[{items}]}}"#
        );
        with(std::slice::from_ref(&form), &json)
    };
    let item = |id: &str| format!(r#"{{"linkId":"{id}","answer":[{{"valueString":"x"}}]}}"#);
    assert_eq!(response(&format!("{},{}", item("1"), item("2"))), NONE);
    assert_eq!(response(&item("2")), NONE);
    assert_eq!(response(&format!("{},{}", item("2"), item("1"))), ["QuestionnaireResponse"]);
}

#[test]
fn a_faulty_profile_is_not_the_instances_fault() {
    let elements =
        [element("Patient.shoeSize", r#","min":1"#), element("Patient.name", r#","min":1"#)].join(",");
    let profile = structure(&head("Patient", PATIENT), &elements);
    let validator = Validator::new(definitions(&[profile])).with_profile("http://example.org/p");
    let found = |json: &str| -> Vec<(String, bool)> {
        let document = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
        let issues = validator.validate(document.document()).issues;
        issues.iter().map(|it| (it.rule.unwrap().to_owned(), it.severity.is_error())).collect()
    };
    let warned = ("profile".to_owned(), false);
    assert_eq!(found(r#"{"resourceType":"Patient","name":[{"text":"a"}]}"#), std::slice::from_ref(&warned));
    assert_eq!(
        found(r#"{"resourceType":"Patient"}"#),
        [warned, ("cardinality".to_owned(), true)],
        "what the profile says clearly still holds"
    );
}

/// Steps of paths: real ones, ones that lead in circles, ones that lead nowhere.
fn step() -> impl Strategy<Value = String> {
    let real =
        ["value[x]", "valueQuantity", "component", "code", "extension", "subject", "hasMember", "$this"];
    prop_oneof![
        proptest::sample::select(real.map(str::to_owned).to_vec()),
        Just("resolve()".to_owned()),
        "[a-z:.\\[\\]]{0,6}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_differential_is_judged(
        elements in prop::collection::vec((prop::collection::vec(step(), 0..90), step(), 0u32..3), 0..6),
    ) {
        let elements: Vec<String> = elements
            .iter()
            .map(|(steps, by, min)| {
                let path = ["Observation".to_owned()].iter().chain(steps).cloned().collect::<Vec<_>>().join(".");
                let rest = format!(
                    r#","min":{min},"slicing":{{"rules":"open","discriminator":[{{"type":"value","path":"{by}.{path}"}}]}}"#
                );
                element(&path, &rest)
            })
            .collect();
        let json = structure(&head("Observation", OBSERVATION), &elements.join(","));
        let once = findings(&json);
        prop_assert_eq!(once, findings(&json));
    }
}

#[test]
fn an_extension_for_a_modifier_of_another_version_modifies() {
    let slice = |list: &str, path: &str| {
        let id = format!("Patient.{list}:e");
        let url = format!("http://hl7.org/fhir/3.0/StructureDefinition/extension-{path}");
        let element = format!(
            r#"{{"id":"{id}","path":"Patient.{list}","sliceName":"e","type":[{{"code":"Extension","profile":["{url}"]}}]}}"#
        );
        findings(&structure(&head("Patient", PATIENT), &element))
    };
    let wrong = ["StructureDefinition.differential.element[0].type[0].profile[0]"];
    assert_eq!(slice("modifierExtension", "Patient.animal"), NONE);
    assert_eq!(slice("extension", "Patient.animal"), wrong);
    assert_eq!(slice("modifierExtension", "Patient.photo"), wrong);
    assert_eq!(slice("extension", "Patient.photo"), NONE);
}
