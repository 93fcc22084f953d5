//! The map of HL7 v2 messages, and its tables.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use super::*;
use crate::hl7v2::Reading;
use crate::mapping::syntax::{Rule, parse_text};

#[test]
fn every_group_that_is_called_is_there_once() {
    let map = parse_text("hl7v2", &map_text("Europe/Rome").unwrap()).unwrap();
    let names: HashSet<_> = map.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names.len(), map.groups.len());
    fn check(rules: &[Rule], names: &HashSet<&str>) {
        for rule in rules {
            for dependent in &rule.dependents {
                assert!(names.contains(dependent.name.as_str()), "{}", dependent.name);
            }
            check(&rule.rules, names);
        }
    }
    map.groups.iter().for_each(|group| check(&group.rules, &names));
}

#[test]
fn every_structure_has_its_group() {
    for structure in Structure::all() {
        assert!(MESSAGES.contains(&format!("group {}(", structure.name())), "{}", structure.name());
    }
}

#[test]
fn a_table_that_is_wrong_says_where() {
    let error = |text: &str| tables::groups(text).unwrap_err();
    assert_eq!(error("c1 | | value | v").line, 1);
    assert_eq!(error("# a comment\ntable X").line, 2);
    assert_eq!(error("table A CX -> Identifier\nc1 | value").line, 2);
    assert_eq!(error("table A CX -> Identifier\nc1 | | | v").line, 2);
    assert_eq!(
        tables::groups("table A CX -> Identifier\nc4_2 | c5 in ('A' \\| 'B') | period.start | v").unwrap(),
        "group A(source src, target tgt : Identifier) {\n  src as s where (c5 in ('A' | 'B')) then {\n    \
         s.c4_2 as v -> tgt.period as t0, t0.start = v \"CX-4.2\";\n  } \"CX-4.2 where\";\n}\n"
    );
}

#[test]
fn a_zone_that_does_not_exist_is_refused() {
    let error = Hl7v2Converter::new(Definitions::r4(), "Europe/Milan").unwrap_err().to_string();
    assert!(error.contains("the time zone Europe/Milan is unknown"), "{error}");
    assert!(Hl7v2Converter::new(Definitions::r4(), "'Europe/Rome").is_err());
    assert!(Hl7v2Converter::new(Definitions::r4(), "'; drop").is_err());
}

#[test]
fn the_same_message_names_the_same_resources() {
    let converter = Hl7v2Converter::new(Definitions::r4(), "+01:00").unwrap();
    let bundle = |id: &str| {
        let text = format!(
            "MSH|^~\\&|A|B|||2026||ADT^A04|{id}|P|2.5.1\rEVN|A04\rPID|1||4711^^^X^MR||Rossi\rPV1|1|O\r"
        );
        let message = Message::parse(text.as_bytes(), &Reading::STRICT).unwrap();
        converter.convert(&message, &Settings::default()).unwrap().bundle
    };
    assert_eq!(bundle("1"), bundle("1"));
    assert_ne!(bundle("1"), bundle("2").replace("\"2\"", "\"1\""));
}

#[test]
fn a_repeatable_transaction_has_a_condition_in_every_entry() {
    let converter = Hl7v2Converter::new(Definitions::r4(), "+01:00").unwrap();
    let text = "MSH|^~\\&|LAB|B|||20260301||ORU^R01^ORU_R01|7|P|2.5.1\rPID|1||4711^^^X&1.2.3&ISO^MR||Rossi\rOBR|1|||1^a^L|||2026\r\
                OBX|1|NM|1^a^L||1|||||F\rOBX|2|NM|1^a^L||2|||||F\r";
    let message = Message::parse(text.as_bytes(), &Reading::STRICT).unwrap();
    let bundle = converter.convert(&message, &Settings::default()).unwrap().bundle;
    let again = repeatable(&bundle, text.as_bytes()).unwrap();
    assert_eq!(repeatable(&bundle, text.as_bytes()).unwrap(), again);
    assert_ne!(repeatable(&bundle, b"another").unwrap(), again);
    let document = OwnedDocument::parse_json(&*again, &Limits::default()).unwrap();
    let mut conditions = HashSet::new();
    for entry in document.root().get_key("entry").unwrap().items() {
        let request = entry.get_key("request").unwrap();
        let text = |key: &str| request.get_key(key).and_then(Value::as_str);
        let url = text("url").unwrap();
        let condition = text("ifNoneExist").or(url.split_once('?').map(|(_, query)| query.to_owned().into()));
        assert!(conditions.insert(condition.unwrap()), "{url}");
    }
    assert!(conditions.contains("identifier=urn:oid:1.2.3|4711"), "{conditions:?}");
    assert!(
        conditions.iter().filter(|it| it.starts_with("identifier=urn:ietf:rfc:3986|urn:uuid:")).count() >= 2
    );
    // Renamed in the Bundle, renamed in the request.
    let renamed = again.replace("\"urn:oid:1.2.3\"", "\"http://x.test/mr\"");
    let renamed = repeatable(&renamed, text.as_bytes()).unwrap();
    assert!(renamed.contains("Patient?identifier=http://x.test/mr|4711"), "{renamed}");
}
