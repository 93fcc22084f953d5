#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use fhir_models::definition::Definitions;
use fhir_models::document::Limits;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::mapping::{Mapper, Settings};

/// What a map whose rules are given makes of a message.
fn mapped(schema: &Value, rules: &str, message: &str) -> Result<String, String> {
    let schema = InputSchema::read("message", schema.to_string().as_bytes()).map_err(|it| it.to_string())?;
    let mut builder = Definitions::builder();
    builder.definition("schema", schema.definition().as_bytes()).unwrap();
    let mut mapper = Mapper::new(Arc::new(builder.build().unwrap()));
    let map = format!(
        "map \"urn:x:m\" = m\nuses \"{}\" alias Message as source\nuses \"http://hl7.org/fhir/StructureDefinition/Basic\" alias Basic as target\n\
         group main(source src : Message, target tgt : Basic) {{ {rules} }}",
        schema.url()
    );
    mapper.add("m.fml", map.as_bytes()).map_err(|it| it.to_string())?;
    let map = mapper.compile(0).map_err(|errors| errors[0].to_string())?;
    let message = schema.parse(message.as_bytes(), &Limits::default()).map_err(|it| it[0].to_string())?;
    map.run(&[message.document()], &Settings::default())
        .map(|it| it.text().to_owned())
        .map_err(|it| it.to_string())
}

fn message() -> Value {
    json!({"$id": "https://vendor.example/message#", "type": "object", "required": ["id"], "additionalProperties": false, "properties": {
        "id": {"type": "string"}, "taken-at": {"type": ["string", "null"], "format": "date-time"}, "level": {"enum": ["low", "high"]},
        "values": {"type": "array", "items": {"type": "number", "maximum": 300}},
        "part": {"$ref": "#/$defs/part"}, "any": {}, "_own": {"type": "string"},
        "grid": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
    }, "$defs": {"part": {"type": "object", "properties": {"name": {"type": "string"}, "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}}}}}})
}

#[test]
fn a_schema_becomes_a_model_that_a_map_names() {
    let schema = InputSchema::read("x", message().to_string().as_bytes()).unwrap();
    assert_eq!(schema.url(), "https://vendor.example/message");
    assert_eq!(schema.left_out(), ["any", "_own", "grid"]);
    let definition: Value = serde_json::from_str(schema.definition()).unwrap();
    let elements: Vec<String> = definition["differential"]["element"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            let holds = it["contentReference"].as_str().or(it["type"][0]["code"].as_str()).unwrap_or("-");
            format!("{} {} {holds}", it["path"].as_str().unwrap(), it["max"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        elements,
        [
            "Input 1 -",
            "Input.id 1 string",
            "Input.taken-at 1 dateTime",
            "Input.level 1 code",
            "Input.values * decimal",
            "Input.part 1 BackboneElement",
            "Input.part.name 1 string",
            "Input.part.parts * #Input.part",
        ]
    );
    let text = r#"{"id":"a","taken-at":"2026-03-01T08:00:00Z","level":"low","values":[1.50,2],
      "part":{"name":"one","parts":[{"name":"two","parts":[{"name":"three"}]}]},"any":{"x":null},"grid":[[1]]}"#;
    let rules = "src.id as i -> tgt.id = i; src.`taken-at` as t -> tgt.created = (t.toString().substring(0, 10)); src.level as l -> tgt.language = l;
      src.values as v -> tgt.identifier as i, i.value = cast(v, 'string');
      src.part as p then { p.parts as q then { q.parts as r then { r.name as n -> tgt.implicitRules = n; }; }; };";
    assert_eq!(
        mapped(&message(), rules, text).unwrap(),
        r#"{"resourceType":"Basic","id":"a","implicitRules":"three","language":"low","identifier":[{"value":"1.50"},{"value":"2"}],"created":"2026-03-01"}"#
    );
    let error = mapped(&message(), "src.levl as l -> tgt.language = l;", text).unwrap_err();
    assert!(error.contains("has no element \"levl\"; did you mean level?"), "{error}");
}

#[test]
fn what_the_schema_refuses_is_told_with_its_place_and_without_its_value() {
    let cases = [
        (r#"{"id": 7}"#, r#"$this.id, line 1, column 2: the value is not of type "string""#),
        (r#"{"level": "low"}"#, "$this, line 1, column 1: id is missing"),
        (
            "{\"id\": \"a\",\n \"level\": \"none\"}",
            r#"$this.level, line 2, column 2: the value is none of "low", "high""#,
        ),
        (
            r#"{"id": "a", "values": [1, 301]}"#,
            "$this.values[1], line 1, column 27: the value is greater than the maximum of 300",
        ),
        (r#"{"id": "a", "values": [NaN]}"#, "$this, line 1, column 24: the message is no JSON"),
        (
            r#"{"id": "a", "values": ["NaN"]}"#,
            r#"$this.values[0], line 1, column 24: the value is not of type "number""#,
        ),
        (r#"{"id": "a", "values": [1e999]}"#, "line 1, column 28: the value can't be checked"),
        (r#"{"id": "a", "id": "b"}"#, "$this, line 1, column 13: the message is no JSON"),
        (
            r#"{"id": "a", "taken-at": "yesterday"}"#,
            r#"$this.taken-at, line 1, column 13: the value is not a "date-time""#,
        ),
        (r#"{"id": "a", "colour": "red"}"#, "$this, line 1, column 1: the schema knows no colour"),
        (r#"["a"]"#, "$this, line 1, column 1: "),
    ];
    for (text, wanted) in cases {
        let error = mapped(&message(), "src.id as i -> tgt.id = i;", text).unwrap_err();
        assert!(error.contains(wanted), "{text}\n{error}");
    }
}

#[test]
fn branches_of_a_schema_are_laid_over_each_other() {
    let schema = json!({"oneOf": [
        {"type": "object", "properties": {"kind": {"const": "weight"}, "value": {"type": "number"}}},
        {"allOf": [{"$ref": "#/definitions/base"}], "properties": {"kind": {"const": "text"}, "value": {"type": "string"}}}],
        "definitions": {"base": {"type": "object", "properties": {"flag": {"type": "boolean"}, "count": {"type": "integer", "maximum": 9_999_999_999_u64}}}}});
    let schema = InputSchema::read("own", schema.to_string().as_bytes()).unwrap();
    assert_eq!(schema.url(), "urn:varco:schema:own");
    let definition: Value = serde_json::from_str(schema.definition()).unwrap();
    let types: Vec<_> = definition["differential"]["element"].as_array().unwrap().iter().skip(1).collect();
    let types: Vec<_> = types
        .iter()
        .map(|it| (it["path"].as_str().unwrap(), it["type"][0]["code"].as_str().unwrap()))
        .collect();
    let wanted = [
        ("Input.kind", "code"),
        ("Input.value", "string"),
        ("Input.flag", "boolean"),
        ("Input.count", "decimal"),
    ];
    assert_eq!(types, wanted);
}

#[test]
fn schemas_that_cannot_be_used_say_why() {
    let refused = |schema: &str| InputSchema::read("x", schema.as_bytes()).unwrap_err().to_string();
    assert!(refused("{").starts_with("it is no JSON: "));
    assert!(refused(r#"{"type": "strnig"}"#).contains("it is no JSON Schema that can be used"));
    assert!(
        refused(r#"{"properties":{"a":{"$ref":"https://vendor.example/other.json"}}}"#)
            .contains("are not fetched")
    );
    assert!(refused(r#"{"properties":{"a":{"$ref":"file:///etc/passwd"}}}"#).contains("are not fetched"));
    assert_eq!(
        refused(r#"{"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}}"#),
        SchemaFault::NoObject.to_string()
    );
    assert_eq!(refused("{}"), SchemaFault::NoObject.to_string());
    let lookahead = r#"{"properties": {"a": {"type": "string", "pattern": "^(?=a)(a+)+$"}}}"#;
    assert!(refused(lookahead).contains("it is no JSON Schema that can be used"));
    let wide: Vec<String> = (0..3_000).map(|it| format!(r#""p{it}": {{"type": "string"}}"#)).collect();
    assert!(
        refused(&format!(r#"{{"properties": {{{}}}}}"#, wide.join(",")))
            .contains("more than 2000 properties")
    );
    // Each level names the next one twice: followed without bound, this would never end.
    let levels: Vec<String> = (0..30)
        .map(|it| format!(r##""d{it}": {{"properties": {{"a": {{"$ref": "#/$defs/d{0}"}}, "b": {{"$ref": "#/$defs/d{0}"}}}}}}"##, it + 1))
        .collect();
    let bomb = format!(
        r##"{{"$ref": "#/$defs/d0", "$defs": {{{}, "d30": {{"type": "string"}}}}}}"##,
        levels.join(",")
    );
    assert!(refused(&bomb).contains("more than 2000 properties"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    /// Whatever the message, it is refused with a place inside it, or all that the schema knows of it can be mapped.
    #[test]
    fn any_message_is_refused_in_place_or_mapped(
        id in "\"[a-z]{0,3}\"|1|null|\\[\\]",
        values in prop::collection::vec("-?[0-9]{1,3}(\\.[0-9]{1,2})?|\"x\"|NaN|null", 0..4),
        part in "\\{\\}|\\{\"name\":\"n\"\\}|\\[1\\]|true|\\{\"parts\":\\[\\{\\}\\]\\}",
    ) {
        let text = format!(r#"{{"id":{id},"values":[{}],"part":{part}}}"#, values.join(","));
        let schema = InputSchema::read("x", message().to_string().as_bytes()).unwrap();
        let rules = "src.id as i -> tgt.id = i; src.values as v -> tgt.identifier as i, i.value = cast(v, 'string'); src.part as p then { p.name as n -> tgt.language = n; };";
        match schema.parse(text.as_bytes(), &Limits::default()) {
            Ok(_) => prop_assert!(mapped(&message(), rules, &text).is_ok() || id == "\"\""),
            Err(faults) => for fault in faults {
                prop_assert!(fault.position.line == 1 && fault.position.column <= text.chars().count() + 1, "{}", fault);
            }
        }
    }
}
