//! A Patient of 5 KB through a map that rewrites its identifiers, and a laboratory report of the national gateway of 5 KB
//! through the map to the EU Laboratory report, each beside parsing the same bytes.
//!
//! The figure is the ratio of the two in one run: `map` to `parse` of the group. Maps per second on one thread is one over
//! `parse and map`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument, Tape};
use varco_core::mapping::{CompiledMap, FSE_LAB_TO_EU_LAB, Mapper, Output, Settings, regional_map};

const MAP: &str = r##"
map "http://example.org/StructureMap/identifiers" = identifiers
conceptmap "#systems" {
  prefix a = "urn:systems"
  prefix b = "urn:systems"
  a:"urn:oid:2.16.840.1.113883.2.9.4.3.2" == b:"http://hl7.it/sid/codiceFiscale"
  a:"urn:oid:2.16.840.1.113883.2.9.4.3.16" == b:"http://hl7.it/sid/anpr"
  a:"urn:oid:2.16.840.1.113883.2.9.2.30.4.1" == b:"http://example.org/anagrafe"
}
uses "http://hl7.org/fhir/StructureDefinition/Patient" alias Patient as source
uses "http://hl7.org/fhir/StructureDefinition/Patient" alias PatientOut as target
group main(source src : Patient, target tgt : PatientOut) {
  src -> tgt: id, meta, text, extension, active, name, telecom, gender, birthDate, address, maritalStatus, contact,
    communication, generalPractitioner, managingOrganization;
  src.identifier as i -> tgt.identifier as o then {
    i -> o: use, type, value, period, assigner;
    i.system as s -> o.system = translate(s, '#systems', 'code');
  };
}
"##;

/// Synthetic, in the shape of a regional registry's answer.
fn patient() -> String {
    let mut text = String::from(
        r#"{"resourceType":"Patient","id":"a1","meta":{"lastUpdated":"2026-03-01T10:00:00Z","profile":["http://example.org/StructureDefinition/paziente"]},"active":true,"#,
    );
    let mut list = |name: &str, count: usize, item: &dyn Fn(usize) -> String| {
        let items: Vec<String> = (0..count).map(item).collect();
        write!(text, "\"{name}\":[{}],", items.join(",")).unwrap();
    };
    list("identifier", 6, &|nth| {
        let tail = ["4.3.2", "4.3.16", "2.30.4.1"][nth % 3];
        format!(
            r#"{{"use":"official","type":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"NI","display":"Identificativo"}}]}},"system":"urn:oid:2.16.840.1.113883.2.9.{tail}","value":"RSSMRA71E01F205{nth}"}}"#
        )
    });
    list("name", 2, &|nth| {
        format!(
            r#"{{"use":"usual","family":"Rossi-{nth}","given":["Maria","Niccolò","Elena"],"prefix":["Dott.ssa"]}}"#
        )
    });
    list("telecom", 6, &|nth| {
        format!(r#"{{"system":"phone","value":"+39 02 123456{nth}","use":"home","rank":{}}}"#, nth + 1)
    });
    list("address", 6, &|nth| {
        format!(
            r#"{{"use":"home","line":["Via Garibaldi {nth}","Scala B, interno 12"],"city":"Milano","district":"MI","state":"Lombardia","postalCode":"2012{nth}","country":"IT","period":{{"start":"2011-02-03"}}}}"#
        )
    });
    list("contact", 8, &|nth| {
        format!(
            r#"{{"relationship":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v2-0131","code":"N"}}],"text":"parente"}}],"name":{{"family":"Bianchi","given":["Luca"]}},"telecom":[{{"system":"phone","value":"02 55{nth}"}}],"gender":"male"}}"#
        )
    });
    list("communication", 2, &|_| {
        r#"{"language":{"coding":[{"system":"urn:ietf:bcp:47","code":"it-IT"}],"text":"Italiano"},"preferred":true}"#.to_owned()
    });
    text + r#""gender":"female","birthDate":"1971-05-01","maritalStatus":{"text":"coniugata"},"managingOrganization":{"reference":"Organization/030913"}}"#
}

/// What is measured of a map, on one text that was found to be mapped rightly.
fn measured(criterion: &mut Criterion, name: &str, map: &CompiledMap, text: &str) {
    let settings = Settings::default();
    let source = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(text.len() as u64));
    let mut tape = Tape::new();
    group.bench_function("parse", |bencher| {
        bencher.iter(|| tape.parse_json(black_box(text.as_bytes()), &Limits::default()).unwrap().len())
    });
    group.bench_function("map", |bencher| {
        bencher.iter(|| map.run(&[black_box(source.document())], &settings).unwrap().text().len())
    });
    group.bench_function("parse and map", |bencher| {
        bencher.iter(|| {
            let document = tape.parse_json(black_box(text.as_bytes()), &Limits::default()).unwrap();
            map.run(&[document], &settings).unwrap().text().len()
        })
    });
    group.finish();
}

fn output(map: &CompiledMap, text: &str) -> Output {
    let source = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
    map.run(&[source.document()], &Settings::default()).unwrap()
}

fn identifiers(criterion: &mut Criterion) {
    let mut mapper = Mapper::new(Definitions::r4());
    mapper.add("identifiers.map", MAP.as_bytes()).unwrap();
    let map = mapper.compile(0).unwrap_or_else(|errors| panic!("{}", errors[0]));
    let text = patient();
    // The sign that it does something: a wrong answer is quick too.
    let output = output(&map, &text);
    assert_eq!(output.text().matches("http://hl7.it/sid/codiceFiscale").count(), 2);
    assert!(output.text().len() > 4_500 && output.notes.is_empty());
    measured(criterion, "identifiers", &map, &text);
}

/// The report of the test data, without the blanks that make it legible, and with its result a second time.
fn laboratory_report() -> String {
    let text: String = include_str!("../../testdata/mapping/fse-lab.json").lines().map(str::trim).collect();
    let entry = |resource: &str| {
        let inside = text.find(&format!("\"resourceType\": \"{resource}\"")).unwrap();
        text[..inside].rfind("{\"fullUrl\"").unwrap()
    };
    let (result, index) = (entry("Observation"), entry("DocumentReference"));
    let again =
        text[result..index].replace("000000000005", "000000000007").replace("0090334.02", "0090334.03");
    text[..index].to_owned() + &again + &text[index..]
}

fn laboratory(criterion: &mut Criterion) {
    let map = regional_map(FSE_LAB_TO_EU_LAB).unwrap().compile(&Definitions::r4()).unwrap();
    let text = laboratory_report();
    let output = output(&map, &text);
    assert!(output.text().contains(r#""code":"mg/L""#) && output.text().contains("IT-25"));
    assert!((4_900..5_500).contains(&text.len()), "{}", text.len());
    assert!(output.text().len() > 4_000 && output.notes.is_empty());
    measured(criterion, "fse-lab-to-eu-lab", &map, &text);
}

criterion_group!(benches, identifiers, laboratory);
criterion_main!(benches);
