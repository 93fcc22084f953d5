//! Logical models whose elements are sliced, or have several types: what instances are held to.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use fhir_models::definition::Definitions;
use varco_core::validation::Validator;

const NONE: [&str; 0] = [];
const URL: &str = "http://territorio.example.it/StructureDefinition";

fn element(id: &str, rest: &str) -> String {
    let path: Vec<&str> = id.split('.').map(|it| it.split(':').next().unwrap()).collect();
    format!(r#"{{"id":"{id}","path":"{}",{rest}}}"#, path.join("."))
}

fn model(name: &str, base: &str, list: &str, elements: &[String]) -> String {
    format!(
        r#"{{"resourceType":"StructureDefinition","url":"{URL}/{name}","name":"{name}","status":"active","kind":"logical",
        "abstract":false,"type":"{URL}/{name}","baseDefinition":"{base}","derivation":"specialization",
        "{list}":{{"element":[{}]}}}}"#,
        elements.join(",")
    )
}

fn slicing(kind: &str, path: &str, rules: &str) -> String {
    format!(r#""slicing":{{"discriminator":[{{"type":"{kind}","path":"{path}"}}],"rules":"{rules}"}}"#)
}

/// A home visit: its measures, told by a code; who is visited, by the system of an identifier.
fn visit(list: &str) -> String {
    let of = |name: &str, rest: &str| element(&format!("Visita.{name}"), rest);
    let sex = r#""constraint":[{"key":"v-1","severity":"error","human":"il peso è di un adulto","expression":"valore > 30"}]"#;
    let elements = [
        element("Visita", r#""min":0,"max":"*""#),
        of(
            "misure",
            &format!(
                r#""min":0,"max":"*","type":[{{"code":"BackboneElement"}}],{}"#,
                slicing("value", "tipo", "closed")
            ),
        ),
        of("misure.tipo", r#""min":1,"max":"1","type":[{"code":"code"}]"#),
        of("misure.valore", r#""min":0,"max":"1","type":[{"code":"decimal"}]"#),
        of("misure.braccio", r#""min":0,"max":"1","type":[{"code":"string"}]"#),
        of("misure:peso", &format!(r#""sliceName":"peso","min":1,"max":"1",{sex}"#)),
        of("misure:peso.tipo", r#""min":1,"max":"1","fixedCode":"peso""#),
        of("misure:peso.valore", r#""min":1,"max":"1""#),
        of("misure:peso.braccio", r#""min":0,"max":"0""#),
        of("misure:pressione", r#""sliceName":"pressione","min":0,"max":"2""#),
        of("misure:pressione.tipo", r#""min":1,"max":"1","fixedCode":"pressione""#),
        of("misure:pressione.braccio", r#""min":1,"max":"1","maxLength":8"#),
        of(
            "assistito",
            &format!(
                r#""min":0,"max":"*","type":[{{"code":"Identifier"}}],{}"#,
                slicing("pattern", "$this", "open")
            ),
        ),
        of("assistito:cf", r#""sliceName":"cf","min":1,"max":"1","patternIdentifier":{"system":"urn:cf"}"#),
        of("assistito:cf.value", r#""min":1,"max":"1","maxLength":16"#),
        of(
            "esito[x]",
            r#""min":0,"max":"1","type":[{"code":"Quantity"},{"code":"string"},{"code":"Ratio"}]"#,
        ),
        of("esito[x]:esitoQuantity", r#""sliceName":"esitoQuantity","min":0,"max":"1""#),
        of("esito[x]:esitoQuantity.unit", r#""min":1,"max":"1""#),
    ];
    model("Visita", "http://hl7.org/fhir/StructureDefinition/Base", list, &elements)
}

fn validator(all: &[String], name: &str) -> Validator {
    let mut builder = Definitions::builder();
    for (number, text) in all.iter().enumerate() {
        assert!(builder.definition(&format!("{number}.json"), text.as_bytes()).unwrap());
    }
    Validator::new(Arc::new(builder.build().unwrap())).with_profile(format!("{URL}/{name}"))
}

fn errors(validator: &Validator, instance: &str) -> Vec<String> {
    let report = validator.validate_bytes(instance.as_bytes());
    let errors = report.issues.iter().filter(|it| it.severity.is_error());
    errors.map(|it| it.expression.clone().unwrap_or_default()).collect()
}

const GOOD: &str = r#"{
    "misure": [{"tipo": "pressione", "braccio": "destro"}, {"tipo": "peso", "valore": 71.5}],
    "assistito": [{"system": "urn:tessera", "value": "80380000000000000000"}, {"system": "urn:cf", "value": "RSSMRA80A01H501U"}],
    "esitoQuantity": {"value": 1, "unit": "visita"}
}"#;

#[test]
fn repetitions_are_held_to_their_slices() {
    for list in ["differential", "snapshot"] {
        let own = validator(&[visit(list)], "Visita");
        assert_eq!(own.profile_fault(&format!("{URL}/Visita")), None);
        assert_eq!(errors(&own, GOOD), NONE);
        let after = |from: &str, to: &str| {
            assert!(GOOD.contains(from));
            errors(&own, &GOOD.replace(from, to))
        };
        // Cardinality of a slice, and of elements inside of one.
        assert_eq!(after(r#", {"tipo": "peso", "valore": 71.5}"#, ""), ["Visita"]);
        let twice = r#"{"tipo": "peso", "valore": 70}, {"tipo": "peso", "valore": 71.5}"#;
        assert_eq!(after(r#"{"tipo": "peso", "valore": 71.5}"#, twice), ["Visita"]);
        assert_eq!(after(r#", "valore": 71.5"#, ""), ["Visita.misure[1]"]);
        assert_eq!(after("71.5", r#"71.5, "braccio": "destro""#), ["Visita.misure[1]"]);
        assert_eq!(after(r#", "braccio": "destro""#, ""), ["Visita.misure[0]"]);
        // Values and constraints inside of one.
        assert_eq!(after("destro", "quello destro"), ["Visita.misure[0].braccio"]);
        assert_eq!(after("71.5", "3.5"), ["Visita.misure[1]"]);
        // A closed slicing takes nothing else; an open one does.
        assert_eq!(after(r#""pressione""#, r#""battito""#), ["Visita.misure[0]"]);
        assert_eq!(after("urn:tessera", "urn:altro"), NONE);
        // Elements of FHIR's own types.
        assert_eq!(after("RSSMRA80A01H501U", "RSSMRA80A01H501U-2"), ["Visita.assistito[1].value"]);
        assert_eq!(after("urn:cf", "urn:stp"), ["Visita"]);
        // The types of a choice are slices too.
        assert_eq!(after(r#", "unit": "visita""#, ""), ["Visita.esitoQuantity"]);
        assert_eq!(
            after(r#""esitoQuantity": {"value": 1, "unit": "visita"}"#, r#""esitoString": "bene""#),
            NONE
        );
    }
}

#[test]
fn xml_is_held_to_slices_too() {
    let own = validator(&[visit("differential")], "Visita");
    let good = r#"<Visita xmlns="http://hl7.org/fhir">
  <misure><tipo value="peso"/><valore value="71.5"/></misure>
  <assistito><system value="urn:cf"/><value value="RSSMRA80A01H501U"/></assistito>
</Visita>"#;
    assert_eq!(errors(&own, good), NONE);
    assert_eq!(errors(&own, &good.replace(r#"<valore value="71.5"/>"#, "")), ["Visita.misure[0]"]);
    assert_eq!(errors(&own, &good.replace("\"peso\"", "\"battito\"")), ["Visita", "Visita.misure[0]"]);
}

#[test]
fn slices_are_inherited_and_may_be_narrowed() {
    let own = [
        element("Controllo", r#""min":0,"max":"*""#),
        element("Controllo.misure:pressione", r#""sliceName":"pressione","min":1"#),
    ];
    let check = model("Controllo", &format!("{URL}/Visita"), "differential", &own);
    let own = validator(&[visit("differential"), check], "Controllo");
    assert_eq!(errors(&own, GOOD), NONE);
    assert_eq!(
        errors(&own, &GOOD.replace(r#"{"tipo": "pressione", "braccio": "destro"}, "#, "")),
        ["Controllo"]
    );
    assert_eq!(errors(&own, &GOOD.replace("71.5", "3.5")), ["Controllo.misure[1]"]);
}

#[test]
fn slices_that_cannot_be_told_apart_are_the_models_fault() {
    let fault = |from: &str, to: &str| {
        let changed = visit("differential").replace(from, to);
        assert_ne!(changed, visit("differential"));
        validator(&[changed], "Visita").profile_fault(&format!("{URL}/Visita")).unwrap()
    };
    assert!(fault(r#""path":"tipo"}"#, r#""path":"durata"}"#).contains("tell nothing"));
    assert!(fault(r#""path":"tipo"}"#, r#""path":"tipo.where(true)"}"#).contains("can't be read"));
    assert!(fault(r#""type":"value","path":"tipo""#, r#""type":"type","path":"$this""#).contains("type"));
}

#[test]
fn types_have_rules_of_their_own() {
    let of = |name: &str, rest: &str| element(&format!("Prelievo.{name}"), rest);
    let rule = |key: &str, text: &str| {
        format!(r#"{{"key":"{key}","severity":"error","human":"{key}","expression":"{text}"}}"#)
    };
    let rules = [
        rule("p-1", "(esito is Quantity) implies nota.exists()"),
        rule("p-2", "esito.ofType(string).all(length() < 6)"),
        rule("p-3", "(esito as Quantity).value.empty() or (esito as Quantity).value > 0"),
        rule("p-4", "alle.empty() or alle >= @2020-01-01"),
    ];
    let elements = [
        element("Prelievo", &format!(r#""min":0,"max":"*","constraint":[{}]"#, rules.join(","))),
        of("alle", r#""min":0,"max":"1","type":[{"code":"date"}]"#),
        of("nota", r#""min":0,"max":"1","type":[{"code":"string"}]"#),
        of(
            "esito[x]",
            r#""min":0,"max":"1","type":[{"code":"Quantity"},{"code":"string"},{"code":"Range"}]"#,
        ),
        of(
            "chi",
            &format!(
                r#""min":0,"max":"*","type":[{{"code":"HumanName"}},{{"code":"{URL}/Operatore"}},{{"code":"string"}}]"#
            ),
        ),
    ];
    let base = "http://hl7.org/fhir/StructureDefinition/Base";
    let who = [
        element("Operatore", r#""min":0,"max":"*""#),
        element("Operatore.matricola", r#""min":1,"max":"1","type":[{"code":"string"}],"maxLength":4"#),
        element("Operatore.turno", r#""min":1,"max":"1","type":[{"code":"string"}]"#),
    ];
    let all =
        [model("Prelievo", base, "differential", &elements), model("Operatore", base, "differential", &who)];
    let own = validator(&all, "Prelievo");
    let found = |json: &str| {
        let report = own.validate_bytes(json.as_bytes());
        assert_eq!(report.unchecked_invariants, 0);
        errors(&own, json)
    };
    assert_eq!(found(r#"{"nota":"a","esitoQuantity":{"value":3}}"#), NONE);
    assert_eq!(found(r#"{"esitoQuantity":{"value":3}}"#), ["Prelievo"]);
    assert_eq!(found(r#"{"nota":"a","esitoQuantity":{"value":-3}}"#), ["Prelievo"]);
    assert_eq!(found(r#"{"esitoString":"basso"}"#), NONE);
    assert_eq!(found(r#"{"esitoString":"molto basso"}"#), ["Prelievo"]);
    assert_eq!(found(r#"{"alle":"2024-02-01"}"#), NONE);
    assert_eq!(found(r#"{"alle":"2014-02-01"}"#), ["Prelievo"]);
    // A type's own invariants hold for its instances only.
    let range = r#"{"esitoRange":{"low":{"value":4},"high":{"value":3}}}"#;
    assert_eq!(found(range), ["Prelievo.esitoRange"]);
    // Several types under one name: each repetition is held to its own.
    assert_eq!(found(r#"{"chi":["Anna", {"family":"Rossi"}, {"matricola":"7","turno":"A"}]}"#), NONE);
    assert_eq!(found(r#"{"chi":[{"matricola":"7"}]}"#), ["Prelievo.chi[0]"]);
    assert_eq!(found(r#"{"chi":[{"matricola":"70000","turno":"A"}]}"#), ["Prelievo.chi[0].matricola"]);
    assert_eq!(found(r#"{"chi":[{"family":"Rossi","use":"casa"}]}"#), ["Prelievo.chi[0].use"]);
    assert_eq!(found(r#"{"chi":[7]}"#), ["Prelievo.chi[0]"]);
}
