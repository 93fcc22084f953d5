//! Logical models: what is found in instances of a vendor's own payload, and what is not.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::sync::Arc;

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument};
use varco_core::validation::{ValidationReport, Validator};

const NONE: [&str; 0] = [];
const MODEL: &str = "http://telemonitoraggio.example.it/StructureDefinition/Rilevazione";
const DEVICE: &str = "http://telemonitoraggio.example.it/StructureDefinition/Apparecchio";

/// What a blood pressure monitor at a patient's home sends in the evening.
const GOOD: &str = r#"{
    "codiceFiscale": "RSSMRA80A01H501U", "_codiceFiscale": {"id": "cf"}, "inviataIl": "2024-05-04T18:30:00+02:00",
    "apparecchio": {"matricola": "MT-0042", "batteria": 81},
    "misure": [
        {"tipo": "pressione", "massima": 128, "minima": 84, "unita": {"system": "http://unitsofmeasure.org", "code": "mm[Hg]"}},
        {"tipo": "battito", "esitoInteger": 71, "precedenti": [{"tipo": "battito", "esitoString": "irregolare"}]}
    ],
    "note": ["a riposo", "seduto"], "_note": [null, {"id": "n2"}]
}"#;

fn element(path: &str, rest: &str) -> String {
    format!(r#"{{"id":"{path}","path":"{path}",{rest}}}"#)
}

fn model(url: &str, base: &str, elements: &[String]) -> String {
    let name = url.rsplit('/').next().unwrap();
    format!(
        r#"{{"resourceType":"StructureDefinition","url":"{url}","name":"{name}","status":"active","kind":"logical",
        "abstract":false,"type":"{url}","baseDefinition":"{base}","derivation":"specialization",
        "differential":{{"element":[{}]}}}}"#,
        elements.join(",")
    )
}

fn reading() -> String {
    let of = |name: &str, rest: &str| element(&format!("Rilevazione.{name}"), rest);
    let ordered = r#"{"key":"ril-1","severity":"error","human":"la massima supera la minima",
        "expression":"massima.empty() or minima.empty() or massima > minima"}"#;
    let hidden = r#"{"key":"ril-2","severity":"error","human":"l'esito intero è positivo",
        "expression":"esito.ofType(integer).all($this > 0)"}"#;
    let elements = [
        element("Rilevazione", r#""min":0,"max":"*""#),
        of("codiceFiscale", r#""min":1,"max":"1","maxLength":16,"type":[{"code":"string"}]"#),
        of("inviataIl", r#""min":1,"max":"1","type":[{"code":"dateTime"}]"#),
        of("apparecchio", &format!(r#""min":0,"max":"1","type":[{{"code":"{DEVICE}"}}]"#)),
        of("paziente", r#""min":0,"max":"1","type":[{"code":"HumanName"}]"#),
        of("versione", r#""min":0,"max":"1","type":[{"code":"code"}],"fixedCode":"v2""#),
        of("note", r#""min":0,"max":"3","type":[{"code":"string"}]"#),
        of(
            "misure",
            &format!(
                r#""min":1,"max":"*","type":[{{"code":"BackboneElement"}}],"constraint":[{ordered},{hidden}]"#
            ),
        ),
        of(
            "misure.tipo",
            r#""min":1,"max":"1","type":[{"code":"code"}],"binding":{"strength":"required",
            "valueSet":"http://telemonitoraggio.example.it/ValueSet/tipi"}"#,
        ),
        of("misure.massima", r#""min":0,"max":"1","type":[{"code":"positiveInt"}]"#),
        of("misure.minima", r#""min":0,"max":"1","type":[{"code":"positiveInt"}]"#),
        of("misure.unita", r#""min":0,"max":"1","type":[{"code":"Coding"}]"#),
        of("misure.esito[x]", r#""min":0,"max":"1","type":[{"code":"integer"},{"code":"string"}]"#),
        of("misure.precedenti", r##""min":0,"max":"2","contentReference":"#Rilevazione.misure""##),
    ];
    model(MODEL, "http://hl7.org/fhir/StructureDefinition/Base", &elements)
}

fn device() -> String {
    let elements = [
        element("Apparecchio", r#""min":0,"max":"*""#),
        element("Apparecchio.matricola", r#""min":1,"max":"1","type":[{"code":"string"}]"#),
        element(
            "Apparecchio.batteria",
            r#""min":0,"max":"1","type":[{"code":"integer"}],"maxValueInteger":100"#,
        ),
    ];
    model(DEVICE, "http://hl7.org/fhir/StructureDefinition/Element", &elements)
}

const TYPES: &str = r#"{"resourceType":"ValueSet","url":"http://telemonitoraggio.example.it/ValueSet/tipi","status":"active",
    "compose":{"include":[{"system":"http://telemonitoraggio.example.it/tipi",
    "concept":[{"code":"pressione"},{"code":"battito"}]}]}}"#;

fn definitions(all: &[String]) -> Arc<Definitions> {
    let mut builder = Definitions::builder();
    for (number, text) in all.iter().enumerate() {
        assert!(builder.definition(&format!("{number}.json"), text.as_bytes()).unwrap());
    }
    Arc::new(builder.build().unwrap())
}

fn validator() -> Validator {
    Validator::new(definitions(&[reading(), device(), TYPES.to_owned()])).with_profile(MODEL)
}

fn report(json: &str) -> ValidationReport {
    let document = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
    validator().validate(document.document())
}

fn errors(report: &ValidationReport) -> Vec<String> {
    let errors = report.issues.iter().filter(|issue| issue.severity.is_error());
    errors.map(|it| it.expression.clone().unwrap_or_default()).collect()
}

/// The elements with errors after one change of the good reading.
fn after(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from));
    errors(&report(&GOOD.replace(from, to)))
}

#[test]
fn a_good_reading_has_no_fault() {
    let good = report(GOOD);
    assert!(good.issues.is_empty(), "{:?}", good.issues);
    assert!(validator().is_valid(OwnedDocument::parse_json(GOOD, &Limits::default()).unwrap().document()));
}

#[test]
fn the_models_own_elements_keep_their_rules() {
    let own = r#""codiceFiscale": "RSSMRA80A01H501U", "_codiceFiscale": {"id": "cf"}"#;
    assert_eq!(after(own, r#""codicefiscale": "RSSMRA80A01H501U""#), ["Rilevazione", "Rilevazione"]);
    assert_eq!(after("RSSMRA80A01H501U", "RSSMRA80A01H501U-2"), ["Rilevazione.codiceFiscale"]);
    assert_eq!(after("2024-05-04T18:30", "2024-05-34T18:30"), ["Rilevazione.inviataIl"]);
    assert_eq!(after(r#""massima": 128"#, r#""massima": "alta""#), ["Rilevazione.misure[0].massima"]);
    assert_eq!(after(r#"{"matricola""#, r#"{"numero": 1, "matricola""#), ["Rilevazione.apparecchio"]);
    assert_eq!(after(r#""matricola": "MT-0042", "#, ""), ["Rilevazione.apparecchio"]);
    assert_eq!(after(r#""batteria": 81"#, r#""batteria": 181"#), ["Rilevazione.apparecchio.batteria"]);
    assert_eq!(
        after(r#"["a riposo", "seduto"], "_note": [null, {"id": "n2"}]"#, r#""a riposo""#),
        ["Rilevazione.note"]
    );
    assert_eq!(
        after(r#""seduto"], "_note": [null,"#, r#""b", "c", "d"], "_note": [null,"#),
        ["Rilevazione.note"]
    );
    assert_eq!(after(r#""seduto"]"#, "null]"), ["Rilevazione.note[1]"]);
    let fixed = after(r#""apparecchio""#, r#""versione": "v1", "apparecchio""#);
    assert_eq!(fixed, ["Rilevazione.versione"]);
    assert_eq!(after(r#""apparecchio""#, r#""versione": "v2", "apparecchio""#), NONE);
}

#[test]
fn a_likely_name_is_proposed() {
    let report = report(&GOOD.replace("inviataIl", "inviatall"));
    assert!(report.issues.iter().any(|it| it.message.contains("did you mean `inviataIl`")), "{report:?}");
}

#[test]
fn codes_choices_and_content_references_are_held_to_the_model() {
    let other = r#""tipo": "peso", "esitoInteger""#;
    assert_eq!(after(r#""tipo": "battito", "esitoInteger""#, other), ["Rilevazione.misure[1].tipo"]);
    let two = r#""esitoString": "a", "esitoInteger""#;
    assert_eq!(after(r#""esitoInteger""#, two), ["Rilevazione.misure[1]"]);
    assert_eq!(after("esitoInteger", "esitoBoolean"), ["Rilevazione.misure[1]"]);
    assert_eq!(
        after(r#"{"tipo": "battito", "esitoString""#, r#"{"esitoString""#),
        ["Rilevazione.misure[1].precedenti[0]"]
    );
    let many = r#"[{"tipo": "battito"}, {"tipo": "battito"}, {"tipo": "battito", "esitoString""#;
    assert_eq!(after(r#"[{"tipo": "battito", "esitoString""#, many), ["Rilevazione.misure[1].precedenti"]);
}

#[test]
fn datatypes_keep_fhirs_rules() {
    let name = |text: &str| after(r#""apparecchio""#, &format!(r#""paziente": {text}, "apparecchio""#));
    assert_eq!(name(r#"{"family": "Rossi", "given": ["Mario"]}"#), NONE);
    assert_eq!(name(r#"{"cognome": "Rossi"}"#), ["Rilevazione.paziente"]);
    assert_eq!(name(r#"{"family": "Rossi", "use": "casa"}"#), ["Rilevazione.paziente.use"]);
    assert_eq!(name(r#""Mario Rossi""#), ["Rilevazione.paziente"]);
}

#[test]
fn constraints_are_evaluated_or_counted() {
    assert_eq!(after(r#""minima": 84"#, r#""minima": 184"#), ["Rilevazione.misure[0]"]);
    assert_eq!(after(r#""esitoInteger": 71"#, r#""esitoInteger": -71"#), ["Rilevazione.misure[1]"]);
    assert_eq!(report(GOOD).unchecked_invariants, 0);
    let beyond = reading().replace("esito.ofType(integer)", "descendants().ofType(integer)");
    let known = definitions(&[beyond, device(), TYPES.to_owned()]);
    let document = OwnedDocument::parse_json(GOOD, &Limits::default()).unwrap();
    let report = Validator::new(known).with_profile(MODEL).validate(document.document());
    assert_eq!(report.unchecked_invariants, 3, "one asks for types not told, of three measures");
}

#[test]
fn an_instance_may_say_what_it_is_and_a_resource_is_none() {
    let typed = |name: &str| after("{\n", &format!(r#"{{"resourceType": "{name}","#));
    assert_eq!(typed("Rilevazione"), NONE);
    assert_eq!(typed(MODEL), NONE);
    assert_eq!(typed("Apparecchio"), ["Apparecchio"]);
    assert_eq!(errors(&report(r#"{"resourceType": "Patient"}"#)), ["Patient"]);
    assert_eq!(errors(&report("[]")), ["Rilevazione"]);
    assert_eq!(errors(&report("{}")), ["Rilevazione"]);
}

#[test]
fn faults_are_streamed_with_their_places() {
    let json = GOOD.replace("2024-05-04T18:30", "2024-05-34T18:30");
    let document = OwnedDocument::parse_json(json.as_str(), &Limits::default()).unwrap();
    let mut places = Vec::new();
    validator().stream(document.document(), &mut |issue| {
        places.push(issue.expression.unwrap_or_default());
        ControlFlow::Continue(())
    });
    assert_eq!(places, ["Rilevazione.inviataIl"]);
}

#[test]
fn a_model_that_cannot_be_checked_is_at_fault_itself() {
    let fault = |all: &[String]| Validator::new(definitions(all)).profile_fault(MODEL);
    assert_eq!(fault(&[reading(), device()]), None);
    assert!(fault(&[reading()]).unwrap().contains("Apparecchio"));
    let sliced =
        reading().replace(r#""path":"Rilevazione.note","#, r#""path":"Rilevazione.nota","sliceName":"a","#);
    assert!(fault(&[sliced, device()]).unwrap().contains("does not define"));
    let narrowed = reading().replace(r#""code":"BackboneElement""#, r#""code":"Quantity""#);
    assert!(fault(&[narrowed, device()]).unwrap().contains("Quantity"));
    let circle = reading().replace("http://hl7.org/fhir/StructureDefinition/Base", MODEL);
    assert!(fault(&[circle, device()]).unwrap().contains("circle"));
    let without = Validator::new(definitions(&[reading()])).with_profile(MODEL);
    let document = OwnedDocument::parse_json(GOOD, &Limits::default()).unwrap();
    assert!(!without.validate(document.document()).is_valid());
}

#[test]
fn endless_nesting_ends_at_the_bound() {
    let mut inner = r#"{"tipo":"battito"}"#.to_owned();
    for _ in 0..100 {
        inner = format!(r#"{{"tipo":"battito","precedenti":[{inner}]}}"#);
    }
    let json = format!(r#"{{"codiceFiscale":"X","inviataIl":"2024","misure":[{inner}]}}"#);
    let settings = varco_core::validation::Settings { depth: 40, ..Default::default() };
    let known = definitions(&[reading(), device(), TYPES.to_owned()]);
    let validator = Validator::with_settings(known, settings).with_profile(MODEL);
    let limits = Limits { depth: 1_000, ..Limits::default() };
    let document = OwnedDocument::parse_json(json.as_str(), &limits).unwrap();
    let report = validator.validate(document.document());
    assert!(report.issues.iter().any(|it| it.message.contains("40 levels")), "{:?}", report.issues);
}
