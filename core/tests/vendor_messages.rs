//! A vendor's own messages: checked by its JSON Schema, mapped to Observations, refused with place and cause.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument};
use serde_json::{Value, json};
use varco_core::fhirpath::Temporal;
use varco_core::mapping::json_schema::InputSchema;
use varco_core::mapping::{CompiledMap, Counted, Mapper, Output, Settings};
use varco_core::validation::Validator;

fn file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/vendor/telemonitoring");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// What a vendor gives: a schema and a map.
struct Vendor {
    schema: InputSchema,
    map: CompiledMap,
}

impl Vendor {
    fn new() -> Vendor {
        let schema = InputSchema::read("message", file("message.schema.json").as_bytes()).unwrap();
        let mut builder = Definitions::builder();
        builder.definition("schema", schema.definition().as_bytes()).unwrap();
        let mut mapper = Mapper::new(Arc::new(builder.build().unwrap()));
        mapper.add("message.fml", file("message.fml").as_bytes()).unwrap();
        let map = mapper.compile(0).unwrap_or_else(|errors| panic!("{}", errors[0]));
        Vendor { schema, map }
    }

    /// Maps a message that arrives at 8:40, and reports what is lost.
    fn mapped(&self, message: &str) -> Result<Output, String> {
        self.mapped_with(message, true)
    }

    fn mapped_with(&self, message: &str, report: bool) -> Result<Output, String> {
        let told = |it: Vec<_>| it.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        let message = self.schema.parse(message.as_bytes(), &Limits::default()).map_err(told)?;
        let counted = Counted::default();
        let now = Temporal::parse_date_time("2026-03-01T08:40:00+01:00");
        let settings = Settings { now, randomness: Some(&counted), report, ..Settings::default() };
        self.map.run(&[message.document()], &settings).map_err(|it| it.to_string())
    }
}

fn observations(output: &Output) -> Vec<Value> {
    let bundle: Value = serde_json::from_str(output.text()).unwrap();
    bundle["entry"].as_array().unwrap().iter().map(|it| it["resource"].clone()).collect()
}

#[test]
fn a_message_becomes_valid_observations_and_what_is_lost_is_named() {
    let output = Vendor::new().mapped(&file("message.json")).unwrap();
    let bundle: Value = serde_json::from_str(output.text()).unwrap();
    assert_eq!(bundle, serde_json::from_str::<Value>(&file("bundle.json")).unwrap());
    // The digits are the device's.
    assert!(output.text().contains(r#""value":72.50"#));
    let document = OwnedDocument::parse_json(output.text(), &Limits::default()).unwrap();
    let issues = Validator::new(Definitions::r4()).validate(document.document()).issues;
    let errors: Vec<_> = issues.iter().filter(|it| it.severity.is_error()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let lost: Vec<_> = output.loss.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(lost, ["$this.device.firmware", "$this.device.battery"]);
    assert_eq!(output.notes, []);
}

#[test]
fn mdc_stays_beside_loinc_and_the_unit_tells_glucose_apart() {
    let output = Vendor::new().mapped(&file("message.json")).unwrap();
    let codes: Vec<String> = observations(&output)
        .iter()
        .map(|it| {
            let codings = it["code"]["coding"].as_array().unwrap().iter();
            let codes: Vec<_> = codings.map(|it| it["code"].as_str().unwrap()).collect();
            format!("{} {}", codes.join(" "), it["valueQuantity"]["code"].as_str().unwrap_or("-"))
        })
        .collect();
    assert_eq!(
        codes,
        [
            "85354-9 150020 -",
            "8867-4 149546 /min",
            "29463-7 188736 kg",
            "2708-6 59408-5 150456 %",
            "2339-0 160184 mg/dL",
            "15074-8 160184 mmol/L",
            "8310-5 150364 Cel",
        ]
    );
}

#[test]
fn alarms_and_only_alarms_are_marked_for_the_fast_lane() {
    let output = Vendor::new().mapped(&file("message.json")).unwrap();
    let marked: Vec<_> = observations(&output)
        .iter()
        .map(|it| {
            (it["meta"]["tag"][0]["code"].clone(), it["interpretation"][0]["coding"][0]["code"].clone())
        })
        .collect();
    let none = || (Value::Null, Value::Null);
    let alarm = |it: &str| (json!("EM"), json!(it));
    assert_eq!(marked, [none(), none(), none(), alarm("LL"), none(), none(), alarm("H")]);
}

#[test]
fn what_is_wrong_is_refused_with_place_and_cause() {
    let (vendor, message) = (Vendor::new(), file("message.json"));
    let cases: Vec<Value> = serde_json::from_str(&file("refused.json")).unwrap();
    assert!(cases.len() >= 14);
    for case in cases {
        let text = |key: &str| case[key].as_str().unwrap().to_owned();
        assert_eq!(message.matches(&text("replace")).count(), 1, "{case}");
        let error = vendor.mapped(&message.replace(&text("replace"), &text("with"))).unwrap_err();
        for told in case["told"].as_array().unwrap() {
            assert!(error.contains(told.as_str().unwrap()), "{}\n{error}", text("what"));
        }
    }
}

#[test]
fn a_message_is_bounded() {
    let vendor = Vendor::new();
    let mut message: Value = serde_json::from_str(&file("message.json")).unwrap();
    let reading = message["readings"][1].clone();
    message["readings"] = Value::Array(vec![reading.clone(); 500]);
    assert_eq!(observations(&vendor.mapped_with(&message.to_string(), false).unwrap()).len(), 500);
    message["readings"] = Value::Array(vec![reading; 501]);
    let error = vendor.mapped(&message.to_string()).unwrap_err();
    assert!(error.contains("$this.readings, line 1"), "{error}");
}
