//! The synthetic regional dialects: a booking that comes in, in XML and JSON, and a person that goes out. What comes back is
//! what went in, but for what the loss reports name.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument};
use serde_json::{Value, json};
use varco_core::mapping::{
    CompiledMap, Counted, FHIR_TO_SYNTHETIC_ANAGRAFE, FHIR_TO_SYNTHETIC_CUP, Output, SYNTHETIC_ANAGRAFE,
    SYNTHETIC_ANAGRAFE_TO_FHIR, SYNTHETIC_CUP, SYNTHETIC_CUP_TO_FHIR, Settings, differences, regional_map,
    regional_model,
};
use varco_core::validation::Validator;

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/mapping").join(name);
    fs::read_to_string(path).unwrap()
}

fn compiled(url: &str) -> CompiledMap {
    let map = regional_map(url).unwrap();
    map.compile(&Definitions::r4()).unwrap_or_else(|errors| panic!("{}", errors[0]))
}

fn read(map: &CompiledMap, text: &str) -> OwnedDocument {
    map.read_source(0, text.as_bytes(), &Limits::default()).unwrap()
}

fn ran(map: &CompiledMap, text: &str) -> Result<Output, String> {
    let counted = Counted::default();
    let settings = Settings { randomness: Some(&counted), report: true, ..Settings::default() };
    map.run(&[read(map, text).document()], &settings).map_err(|error| error.to_string())
}

fn errors(text: &str) -> Vec<String> {
    let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
    let issues = Validator::new(Definitions::r4()).validate(document.document()).issues;
    let errors = issues.into_iter().filter(|it| it.severity.is_error());
    errors.map(|it| format!("{}: {}", it.expression.unwrap_or_default(), it.message)).collect()
}

fn lost(output: &Output) -> Vec<&str> {
    output.loss.iter().map(|it| it.path.trim_start_matches("$this.")).collect()
}

/// What the way there and back changes.
fn round_trip(there: &CompiledMap, back: &CompiledMap, text: &str) -> Vec<String> {
    let sent = ran(there, text).unwrap();
    let returned = ran(back, sent.text()).unwrap();
    let (before, after) = (read(there, text), read(there, returned.text()));
    let found = differences(before.document(), after.document());
    found.iter().map(|it| format!("{} {}", it.kind.text(), it.path.trim_start_matches("$this."))).collect()
}

#[test]
fn a_booking_in_xml_and_in_json_becomes_the_same_valid_transaction() {
    let map = compiled(SYNTHETIC_CUP_TO_FHIR);
    let (xml, json) = (
        ran(&map, &fixture("synthetic-cup.xml")).unwrap(),
        ran(&map, &fixture("synthetic-cup.json")).unwrap(),
    );
    assert_eq!(xml.text(), json.text());
    assert_eq!(errors(xml.text()), [] as [&str; 0]);
    let made: Value = serde_json::from_str(xml.text()).unwrap();
    assert_eq!(made, serde_json::from_str::<Value>(&fixture("synthetic-cup-transaction.json")).unwrap());
    for output in [&xml, &json] {
        assert_eq!(lost(output), ["impegnativa.esenzione"]);
        assert_eq!(output.notes, []);
    }
}

#[test]
fn a_booking_comes_back_as_it_went_but_for_the_exemption() {
    let (there, back) = (compiled(SYNTHETIC_CUP_TO_FHIR), compiled(FHIR_TO_SYNTHETIC_CUP));
    assert_eq!(round_trip(&there, &back, &fixture("synthetic-cup.xml")), ["lost impegnativa.esenzione"]);
    assert_eq!(round_trip(&there, &back, &fixture("synthetic-cup.json")), ["lost impegnativa.esenzione"]);
    let sent = ran(&there, &fixture("synthetic-cup.xml")).unwrap();
    let returned = ran(&back, sent.text()).unwrap();
    let bare = |text: &str| text.split('\n').map(str::trim).collect::<String>();
    let wanted = fixture("synthetic-cup.xml").replace("<esenzione>E01</esenzione>", "");
    assert_eq!(bare(returned.text()), bare(&wanted));
}

/// All states, priorities and sexes, with and without what may be absent.
#[test]
fn every_booking_of_the_dialect_comes_back_but_for_what_the_reports_name() {
    let (there, back) = (compiled(SYNTHETIC_CUP_TO_FHIR), compiled(FHIR_TO_SYNTHETIC_CUP));
    let whole: Value = serde_json::from_str(&fixture("synthetic-cup.json")).unwrap();
    let mut met = 0;
    for state in ["P", "E", "A", "N"] {
        for priority in ["U", "B", "D", "P"] {
            for absent in 0..6u32 {
                let mut booking = whole.clone();
                booking["stato"] = json!(state);
                booking["impegnativa"]["priorita"] = json!(priority);
                match absent {
                    0 => _ = booking.as_object_mut().unwrap().remove("nota"),
                    1 => _ = booking.as_object_mut().unwrap().remove("impegnativa"),
                    2 => _ = booking["appuntamento"].as_object_mut().unwrap().remove("ambulatorio"),
                    3 => booking["assistito"] = json!({"stp": "STP0309130012345", "cognome": "Nguyen"}),
                    4 => booking["assistito"]["sesso"] = json!("F"),
                    _ => booking["impegnativa"] = json!({"nre": "030A41234567890", "priorita": priority}),
                }
                let text = booking.to_string();
                let sent = ran(&there, &text).unwrap();
                assert_eq!(errors(sent.text()), [] as [&str; 0], "{text}");
                let named: Vec<String> = lost(&sent).iter().map(|it| format!("lost {it}")).collect();
                assert_eq!(round_trip(&there, &back, &text), named, "{text}");
                met += 1;
            }
        }
    }
    assert_eq!(met, 96);
}

#[test]
fn what_the_booking_tables_do_not_know_is_refused_in_its_place() {
    let map = compiled(SYNTHETIC_CUP_TO_FHIR);
    let xml = fixture("synthetic-cup.xml");
    for (from, to, told) in [
        (
            "<priorita>D",
            "<priorita>X",
            "does not hold for X (rule request / priority, at $this.impegnativa.priorita, line 14",
        ),
        ("stato=\"P\"", "stato=\"Q\"", "does not hold for Q (rule request / status"),
        ("19710501", "1971-05-01", "rule patient / birth, at $this.assistito.dataNascita, line 8"),
        ("<sesso>M", "<sesso>maschio", "rule patient / sex, at $this.assistito.sesso, line 7"),
    ] {
        let error = ran(&map, &xml.replace(from, to)).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
    let back = compiled(FHIR_TO_SYNTHETIC_CUP);
    let sent = ran(&map, &xml).unwrap().text().to_owned();
    let error = ran(&back, &sent.replace("urn:varco:synthetic:cup:priorita", "urn:x:other")).unwrap_err();
    assert!(error.contains("prescription / own-priority"), "{error}");
    let error = ran(&back, &sent.replace(r#""status":"booked""#, r#""status":"waitlist""#)).unwrap_err();
    assert!(error.contains("does not hold for waitlist"), "{error}");
}

#[test]
fn a_person_goes_out_and_what_the_registry_has_no_place_for_is_named() {
    let output = ran(&compiled(FHIR_TO_SYNTHETIC_ANAGRAFE), &fixture("patient.json")).unwrap();
    let made: Value = serde_json::from_str(output.text()).unwrap();
    assert_eq!(made, serde_json::from_str::<Value>(&fixture("synthetic-anagrafe.json")).unwrap());
    assert_eq!(
        lost(&output),
        [
            "Patient.identifier[1].value",
            "Patient.active",
            "Patient.name[0].use",
            "Patient.name[1].use",
            "Patient.name[1].given[0]",
            "Patient.telecom[3].value",
            "Patient.address[1].city",
            "Patient.address[1].country",
            "Patient.generalPractitioner[0].type",
        ]
    );
}

#[test]
fn a_person_comes_back_as_the_registry_knows_them() {
    let (there, back) = (compiled(FHIR_TO_SYNTHETIC_ANAGRAFE), compiled(SYNTHETIC_ANAGRAFE_TO_FHIR));
    assert_eq!(
        round_trip(&there, &back, &fixture("patient.json")),
        [
            "lost Patient.identifier[1]",
            "lost Patient.active",
            "lost Patient.name[0].use",
            "lost Patient.name[1]",
            "lost Patient.telecom[3]",
            "lost Patient.address[1]",
        ]
    );
    assert_eq!(round_trip(&back, &there, &fixture("synthetic-anagrafe.json")), [] as [&str; 0]);
    let returned = ran(&back, &fixture("synthetic-anagrafe.json")).unwrap();
    assert_eq!(errors(returned.text()), [] as [&str; 0]);
}

#[test]
fn a_person_that_the_registry_cannot_say_is_refused() {
    let map = compiled(FHIR_TO_SYNTHETIC_ANAGRAFE);
    let patient = fixture("patient.json");
    let error = ran(&map, &patient.replace("1982-02-02", "1982-02")).unwrap_err();
    assert!(error.contains("rule person / birth, at Patient.birthDate"), "{error}");
    let error = ran(
        &map,
        &patient.replace("http://ospedale.example.it/sid/cartella", "http://hl7.it/sid/codiceFiscale"),
    )
    .unwrap_err();
    assert!(error.contains("identifier is there 2 times, and the rule takes only one"), "{error}");
    let xml = r#"<Patient xmlns="http://hl7.org/fhir"><name><family value="Rossi"/></name><gender value="other"/></Patient>"#;
    assert_eq!(ran(&map, xml).unwrap().text(), r#"{"cognome":"Rossi","sesso":"X"}"#);
}

#[test]
fn what_goes_out_is_an_instance_of_its_model() {
    let mut builder = Definitions::builder();
    for url in [SYNTHETIC_CUP, SYNTHETIC_ANAGRAFE] {
        builder.definition(url, regional_model(url).unwrap().as_bytes()).unwrap();
    }
    let definitions = Arc::new(builder.build().unwrap());
    for (url, name) in
        [(SYNTHETIC_CUP, "synthetic-cup.json"), (SYNTHETIC_ANAGRAFE, "synthetic-anagrafe.json")]
    {
        let document = OwnedDocument::parse_json(fixture(name), &Limits::default()).unwrap();
        let validator = Validator::new(Arc::clone(&definitions)).with_profile(url);
        let issues = validator.validate(document.document()).issues;
        let found: Vec<_> = issues.iter().filter(|it| it.severity.is_error()).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}
