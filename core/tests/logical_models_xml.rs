//! Logical models in XML: what is read as their definitions say, and where faults are found.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use fhir_models::definition::Definitions;
use varco_core::validation::Validator;

const URL: &str = "http://example.it/StructureDefinition";
const NONE: [&str; 0] = [];

fn element(path: &str, rest: &str) -> String {
    format!(r#"{{"id":"{path}","path":"{path}","min":0,"max":"1",{rest}}}"#)
}

fn model(name: &str, base: &str, extension: &str, elements: &[String]) -> String {
    let base = if base.contains(':') { base.to_owned() } else { format!("{URL}/{base}") };
    format!(
        r#"{{"resourceType":"StructureDefinition","url":"{URL}/{name}","name":"{name}","status":"active","kind":"logical",
        "abstract":false,"type":"{URL}/{name}","baseDefinition":"{base}","derivation":"specialization",{extension}
        "differential":{{"element":[{{"id":"{name}","path":"{name}"}},{}]}}}}"#,
        elements.join(",")
    )
}

const NAMESPACE: &str = "http://hl7.org/fhir/tools/StructureDefinition/xml-namespace";
const XML_NAME: &str = "http://hl7.org/fhir/tools/StructureDefinition/xml-name";

/// A referral as a region writes it: a namespace of its own, attributes, text, and types named in the document.
fn referral() -> Vec<String> {
    let base = "http://hl7.org/fhir/StructureDefinition/Base";
    let own = format!(r#""extension":[{{"url":"{NAMESPACE}","valueUri":"urn:example:ricetta"}}],"#);
    let attribute = r#""representation":["xmlAttr"],"type":[{"code":"code"}]"#;
    let renamed = format!(
        r#""min":1,"extension":[{{"url":"{XML_NAME}","valueString":"numero-ricetta"}}],"type":[{{"code":"string"}}]"#
    );
    vec![
        model(
            "Ricetta",
            base,
            &own,
            &[
                element("Ricetta.stato", attribute),
                element("Ricetta.numero", &renamed),
                element("Ricetta.quantita", r#""type":[{"code":"positiveInt"}]"#),
                element("Ricetta.voce", &format!(r#""max":"*","type":[{{"code":"{URL}/Voce"}}]"#)),
            ],
        ),
        model(
            "Voce",
            base,
            &own,
            &[element("Voce.testo", r#""min":1,"representation":["xmlText"],"type":[{"code":"string"}]"#)],
        ),
        model(
            "Farmaco",
            "Voce",
            &own,
            &[element("Farmaco.aic", r#""min":1,"representation":["xmlAttr"],"type":[{"code":"string"}]"#)],
        ),
        model("Altro", base, &own, &[element("Altro.x", r#""type":[{"code":"string"}]"#)]),
    ]
}

/// A reading whose XML is written as FHIR's own.
fn reading() -> Vec<String> {
    let base = "http://hl7.org/fhir/StructureDefinition/Element";
    vec![model(
        "Rilevazione",
        base,
        "",
        &[
            element("Rilevazione.ora", r#""min":1,"type":[{"code":"dateTime"}]"#),
            element("Rilevazione.unita", r#""type":[{"code":"Coding"}]"#),
            element("Rilevazione.note", r#""max":"*","type":[{"code":"string"}]"#),
            element("Rilevazione.esito[x]", r#""type":[{"code":"integer"},{"code":"string"}]"#),
        ],
    )]
}

fn validator(all: &[String], model: &str) -> Validator {
    let mut builder = Definitions::builder();
    for (number, text) in all.iter().enumerate() {
        let text = text.replace(r#""min":0,"max":"1","min":1,"max":"*""#, r#""min":1,"max":"*""#);
        let text = text.replace(r#""min":0,"max":"1","max":"*""#, r#""min":0,"max":"*""#);
        let text = text.replace(r#""min":0,"max":"1","min":1"#, r#""min":1,"max":"1""#);
        assert!(builder.definition(&format!("{number}.json"), text.as_bytes()).unwrap());
    }
    Validator::new(Arc::new(builder.build().unwrap())).with_profile(format!("{URL}/{model}"))
}

/// The errors: where, and on which line and column.
fn errors(validator: &Validator, xml: &str) -> Vec<String> {
    let report = validator.validate_bytes(xml.as_bytes());
    let errors = report.issues.into_iter().filter(|it| it.severity.is_error());
    errors
        .map(|it| {
            let at = it.position.map(|at| format!("{}:{}", at.line, at.column)).unwrap_or_default();
            format!("{} {at}", it.expression.unwrap_or_default())
        })
        .collect()
}

const RICETTA: &str = r#"<r:Ricetta xmlns:r="urn:example:ricetta" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" stato="nuova">
  <r:numero-ricetta>030A0-1</r:numero-ricetta>
  <r:quantita>2</r:quantita>
  <r:voce xsi:type="Farmaco" aic="A012745028">aspirina</r:voce>
  <r:voce>tampone</r:voce>
</r:Ricetta>"#;

#[test]
fn a_models_own_xml_is_read_as_it_says() {
    let own = validator(&referral(), "Ricetta");
    assert_eq!(errors(&own, RICETTA), NONE);
    let after = |from: &str, to: &str| {
        assert!(RICETTA.contains(from));
        errors(&own, &RICETTA.replace(from, to))
    };
    assert_eq!(after("numero-ricetta>", "numero>").len(), 1, "the name in XML is another");
    assert_eq!(after("numero-ricetta>", "codice>"), ["Ricetta 1:1", "Ricetta 2:3"]);
    assert_eq!(after(r#" stato="nuova">"#, "><r:stato>nuova</r:stato>").len(), 1, "an attribute");
    assert_eq!(after("<r:quantita>2</r:quantita>", "<r:quantita>0</r:quantita>"), ["Ricetta.quantita 3:3"]);
    assert_eq!(after("<r:voce>tampone</r:voce>", "<r:peso>1</r:peso>"), ["Ricetta 5:3"]);
    assert_eq!(after("<r:voce>tampone</r:voce>", "<r:voce/>"), ["Ricetta.voce[1] 5:3"]);
    assert_eq!(after(r#" aic="A012745028""#, ""), ["Ricetta.voce[0] 4:3"], "the type that is named has more");
    assert_eq!(
        after(r#"xsi:type="Farmaco" aic="A012745028""#, r#"xsi:type="Altro""#),
        ["Ricetta.voce[0] 4:11"]
    );
    assert_eq!(
        after(r#"<r:voce>tampone</r:voce>"#, r#"<r:voce aic="x">tampone</r:voce>"#),
        ["Ricetta.voce[1] 5:11"]
    );
}

#[test]
fn the_root_has_the_models_name_and_namespace() {
    let own = validator(&referral(), "Ricetta");
    let other = errors(&own, &RICETTA.replace("urn:example:ricetta", "urn:example:altro"));
    assert!(other.iter().any(|it| it.ends_with("1:1")), "{other:?}");
    let other = errors(&own, &RICETTA.replace("r:Ricetta", "r:Referto"));
    assert_eq!(other.len(), 1, "{other:?}");
    let broken = errors(&own, &RICETTA.replace("</r:quantita>", "</r:quantità>"));
    assert!(!broken.is_empty());
    assert!(!own.is_valid_bytes(b"<Ricetta"));
    assert_eq!(
        errors(&own, r#"<Patient xmlns="http://hl7.org/fhir"><active value="true"/></Patient>"#).len(),
        1
    );
}

#[test]
fn values_of_fhirs_types_are_written_as_fhirs() {
    let own = validator(&reading(), "Rilevazione");
    let good = r#"<Rilevazione xmlns="http://hl7.org/fhir">
  <ora value="2024-05-04T18:30:00+02:00"/>
  <unita><system value="http://unitsofmeasure.org"/><code value="mm[Hg]"/></unita>
  <note id="n1" value="a riposo"/>
  <note><extension url="http://hl7.org/fhir/StructureDefinition/data-absent-reason"><valueCode value="masked"/></extension></note>
  <esitoInteger value="71"/>
</Rilevazione>"#;
    assert_eq!(errors(&own, good), NONE);
    assert_eq!(errors(&own, &good.replace("2024-05-04", "2024-05-34")), ["Rilevazione.ora 2:3"]);
    assert_eq!(errors(&own, &good.replace("\"71\"", "\"alto\"")), ["Rilevazione.esitoInteger 6:3"]);
    assert_eq!(errors(&own, &good.replace("<code value=", "<codice value=")), ["Rilevazione.unita 3:53"]);
    assert_eq!(errors(&own, &good.replace("<esitoInteger", "testo<esitoInteger")).len(), 1, "stray text");
}
