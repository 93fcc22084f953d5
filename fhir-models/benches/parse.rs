//! How long it takes to read a document, as a ratio to `serde_json` on the same bytes in the same run.
//!
//! `IgnoredAny` only walks the text, `Value` builds a tree; the tape keeps every value and checks UTF-8,
//! escapes, numbers, duplicate names and limits. Goal: at most 1.2 times `IgnoredAny`. The ratios come first,
//! each from the fastest of many interleaved rounds; criterion's own figures follow.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fhir_models::definition::Definitions;
use fhir_models::document::stream::BundleStream;
use fhir_models::document::xml::{DefinitionSchema, write_xml};
use fhir_models::document::{Limits, Tape};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// A Patient of 3.7 KB, pretty-printed.
fn patient() -> Value {
    json!({
        "resourceType": "Patient",
        "id": "paziente-0001",
        "meta": {
            "versionId": "3",
            "lastUpdated": "2025-03-14T09:26:53.589+01:00",
            "profile": ["http://hl7.org/fhir/uv/ips/StructureDefinition/Patient-uv-ips"],
            "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}]
        },
        "text": {
            "status": "generated",
            "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p><b>Niccolò Dell'Acqua</b>, nato il 3 maggio 1971 a Forlì</p></div>"
        },
        "extension": [{
            "url": "http://hl7.org/fhir/StructureDefinition/patient-birthPlace",
            "valueAddress": {"city": "Forlì", "district": "FC", "country": "IT"}
        }],
        "identifier": [
            {"use": "official", "system": "http://hl7.it/sid/codiceFiscale", "value": "DLLNCL71E03D704Q"},
            {"use": "secondary", "system": "urn:oid:2.16.840.1.113883.2.9.2.30.4.1", "value": "0300012345678",
             "assigner": {"display": "Regione Lombardia"}, "period": {"start": "2012-01-01"}}
        ],
        "active": true,
        "name": [
            {"use": "official", "family": "Dell'Acqua", "given": ["Niccolò", "Maria"], "prefix": ["Dott."]},
            {"use": "maiden", "family": "Bianchi", "_family": {"id": "nome-madre"}}
        ],
        "telecom": [
            {"system": "phone", "value": "+39 02 5550 0123", "use": "mobile", "rank": 1},
            {"system": "email", "value": "niccolo.dellacqua@example.org", "use": "home"}
        ],
        "gender": "male",
        "birthDate": "1971-05-03",
        "_birthDate": {"extension": [{
            "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
            "valueDateTime": "1971-05-03T04:12:00+01:00"
        }]},
        "deceasedBoolean": false,
        "address": [{
            "use": "home", "line": ["Via Giuseppe Verdi 12", "Scala B"], "city": "Milano",
            "district": "MI", "postalCode": "20121", "country": "IT", "period": {"start": "2004-09-01"}
        }],
        "maritalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "M", "display": "Married"}],
            "text": "Coniugato"
        },
        "multipleBirthInteger": 2,
        "contact": [{
            "relationship": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0131", "code": "C"}]}],
            "name": {"family": "Rossi", "given": ["Lucia"]},
            "telecom": [{"system": "phone", "value": "+39 02 5550 0456"}],
            "gender": "female",
            "organization": {"reference": "Organization/h3", "display": "Centro di riabilitazione"}
        }],
        "communication": [{
            "language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "it", "display": "Italiano"}]},
            "preferred": true
        }],
        "link": [{"other": {"reference": "Patient/paziente-0001-doppio"}, "type": "replaces"}],
        "generalPractitioner": [{"reference": "Practitioner/mmg-4711", "display": "Dott.ssa Colombo"}],
        "managingOrganization": {"reference": "Organization/h1"}
    })
}

fn observation(number: usize) -> Value {
    json!({
        "resourceType": "Observation",
        "id": format!("esame-{number}"),
        "status": "final",
        "category": [{"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory", "display": "Laboratory"
        }]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "2339-0", "display": "Glucose [Mass/volume] in Blood"}], "text": "Glicemia"},
        "subject": {"reference": format!("Patient/paziente-{}", number / 10)},
        "encounter": {"reference": format!("Encounter/accesso-{}", number / 7)},
        "effectiveDateTime": "2025-02-11T07:45:00+01:00",
        "issued": "2025-02-11T11:02:17.000+01:00",
        "valueQuantity": {"value": 4.0 + (number % 90) as f64 / 10.0, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
        "interpretation": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "code": "N"}]}],
        "referenceRange": [{"low": {"value": 3.9, "unit": "mmol/L"}, "high": {"value": 6.1, "unit": "mmol/L"}}]
    })
}

/// A Bundle of `size` resources, one patient to nine observations.
fn bundle(size: usize) -> Value {
    let entry = |number: usize| {
        let resource = if number.is_multiple_of(10) { patient() } else { observation(number) };
        json!({"fullUrl": format!("https://h1.example.org/fhir/{number}"), "resource": resource, "search": {"mode": "match"}})
    };
    let entries: Vec<Value> = (0..size).map(entry).collect();
    json!({"resourceType": "Bundle", "type": "searchset", "total": size, "entry": entries})
}

fn texts() -> Vec<(&'static str, String)> {
    let (small, large) = (patient(), bundle(1_240));
    vec![
        ("Patient, pretty", serde_json::to_string_pretty(&small).unwrap()),
        ("Patient, compact", small.to_string()),
        ("Bundle, pretty", serde_json::to_string_pretty(&large).unwrap()),
        ("Bundle, compact", bundle(2_360).to_string()),
    ]
}

/// The fastest of many rounds of each task, the tasks taking turns.
fn fastest<const N: usize>(rounds: usize, mut tasks: [&mut dyn FnMut(); N]) -> [Duration; N] {
    let mut best = [Duration::MAX; N];
    for _ in 0..rounds {
        for (task, best) in tasks.iter_mut().zip(&mut best) {
            let start = Instant::now();
            task();
            *best = (*best).min(start.elapsed());
        }
    }
    best
}

fn repeat<T>(times: usize, mut task: impl FnMut() -> T) {
    for _ in 0..times {
        black_box(task());
    }
}

fn ratios(_: &mut Criterion) {
    println!("{:<18} {:>9} {:>10} {:>14} {:>8}", "text", "bytes", "tape", "× IgnoredAny", "× Value");
    for (name, text) in texts() {
        let bytes = text.as_bytes();
        // Small texts are read several times a round: a clock's tick is not small beside them.
        let times = 1 + 100_000 / bytes.len();
        let mut tape = Tape::new();
        let [ours, ignored, value] = fastest(
            if times > 1 { 2_000 } else { 60 },
            [
                &mut || repeat(times, || tape.parse_json(bytes, &Limits::default()).unwrap().len()),
                &mut || repeat(times, || serde_json::from_slice::<IgnoredAny>(bytes).unwrap()),
                &mut || repeat(times, || serde_json::from_slice::<Value>(bytes).unwrap()),
            ],
        );
        let ratio = |other: Duration| ours.as_secs_f64() / other.as_secs_f64();
        let micros = ours.as_secs_f64() * 1e6 / times as f64;
        println!(
            "{name:<18} {:>9} {micros:>7.1} µs {:>14.2} {:>8.2}",
            bytes.len(),
            ratio(ignored),
            ratio(value)
        );
    }
}

fn parse(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    for (name, text) in texts() {
        let bytes = text.as_bytes();
        let mut tape = Tape::new();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("tape", name), |b| {
            b.iter(|| tape.parse_json(bytes, &Limits::default()).unwrap().len());
        });
        group.bench_function(BenchmarkId::new("IgnoredAny", name), |b| {
            b.iter(|| serde_json::from_slice::<IgnoredAny>(bytes).unwrap());
        });
    }
    group.finish();
}

fn others(c: &mut Criterion) {
    let schema = DefinitionSchema::new(Definitions::r4());
    let mut group = c.benchmark_group("others");
    let mut tape = Tape::new();
    let json = patient().to_string();
    let document = tape.parse_json(json.as_bytes(), &Limits::default()).unwrap();
    let xml = write_xml(document.root(), &schema).unwrap();
    group.bench_function("XML written, Patient", |b| b.iter(|| write_xml(document.root(), &schema).unwrap()));
    let mut second = Tape::new();
    group.bench_function("XML read, Patient", |b| {
        b.iter(|| second.parse_xml(xml.as_bytes(), &schema, &Limits::default()).unwrap().len());
    });
    let large = bundle(1_000).to_string();
    group.throughput(Throughput::Bytes(large.len() as u64));
    group.bench_function("Bundle, entry by entry", |b| {
        b.iter(|| {
            let mut stream = BundleStream::new(large.as_bytes(), Limits::default());
            let mut entries = 0;
            while stream.next_entry().unwrap().is_some() {
                entries += 1;
            }
            entries
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(20).without_plots();
    targets = ratios, parse, others
}
criterion_main!(benches);
