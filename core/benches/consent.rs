//! A decision by a consent with 20 provisions, compiled (goal: at most 1 µs), and taking a tenth of the entries out
//! of a Bundle of 1 MB (goal: at most 1.5 times the time of parsing it).
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument, Tape, name};
use varco_core::access::{BundleRules, Candidate, Labels, PatientsOf, Total, Verdict, redact_bundle};
use varco_core::consent::{
    Action, Combining, CompiledConsent, Confidentiality, LiteralReference, Question, Reading, ResourceFacts,
    decide, outcome,
};
use varco_core::requester::{BusinessIdentifier, Code, Requester};

const REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

/// Permits treatment, with 19 exceptions of every kind; none but the last applies to the question.
fn consent() -> String {
    let mut exceptions = String::new();
    for number in 0..19 {
        let condition = match number % 5 {
            0 => format!(
                r#""actor":[{{"role":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"IRCP"}}]}},"reference":{{"type":"Practitioner","identifier":{{"system":"http://hl7.it/sid/codiceFiscale","value":"BNCLRA80A41F205{number}"}}}}}}]"#
            ),
            1 => r#""securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"HIV"},{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"V"}]"#.to_owned(),
            2 => format!(r#""data":[{{"meaning":"instance","reference":{{"reference":"DocumentReference/{number}"}}}}]"#),
            3 => format!(r#""class":[{{"system":"http://hl7.org/fhir/resource-types","code":"Observation"}}],"code":[{{"coding":[{{"system":"http://loinc.org","code":"{number}-1"}}]}}]"#),
            _ => format!(r#""purpose":[{{"system":"{REASON}","code":"HRESCH"}}],"period":{{"start":"2026"}}"#),
        };
        write!(exceptions, r#"{}{{"type":"deny",{condition}}}"#, if number > 0 { "," } else { "" }).unwrap();
    }
    format!(
        r#"{{"resourceType":"Consent","id":"c","status":"active","dateTime":"2026-01-10",
        "scope":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}}]}},
        "provision":{{"type":"permit","period":{{"start":"2026"}},"purpose":[{{"system":"{REASON}","code":"TREAT"}}],"provision":[{exceptions}]}}}}"#
    )
}

fn decisions(criterion: &mut Criterion) {
    let text = consent();
    let document = OwnedDocument::parse_json(text.as_str(), &Limits::default()).unwrap();
    let compiled = CompiledConsent::compile(document.root(), &Reading::default()).unwrap();
    assert_eq!(compiled.provisions(), 20);
    let requester = Requester {
        subject: Some(BusinessIdentifier::new("http://hl7.it/sid/codiceFiscale", "RSSMRA71E01F205E")),
        purposes: vec![Code::new(REASON, "TREAT")],
        ..Requester::default()
    };
    let facts = ResourceFacts {
        reference: LiteralReference::parse("DocumentReference/500"),
        resource_type: "DocumentReference".to_owned(),
        labels: vec![Code::new("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "N")],
        codes: vec![Code::new("http://loinc.org", "11502-2")],
        ..ResourceFacts::default()
    };
    let question = Question::new(&requester, Action::Access, "2026-05-01T12:00:00Z".parse().unwrap());
    let about = question.about(&facts);
    let consents = [&compiled];
    assert_eq!(outcome(&consents, &about, Combining::DenyOverrides), varco_core::consent::Outcome::Permit);

    let mut group = criterion.benchmark_group("consent of 20 provisions");
    group.bench_function("outcome for a resource", |bencher| {
        bencher.iter(|| outcome(black_box(&consents), black_box(&about), Combining::DenyOverrides));
    });
    group.bench_function("explained decision for a resource", |bencher| {
        bencher.iter(|| decide(black_box(&consents), black_box(&about), Combining::DenyOverrides));
    });
    group.bench_function("explained decision with residual rules", |bencher| {
        bencher.iter(|| decide(black_box(&consents), black_box(&question), Combining::DenyOverrides));
    });
    group.bench_function("compile", |bencher| {
        bencher.iter(|| CompiledConsent::compile(black_box(document.root()), &Reading::default()));
    });
    group.finish();
}

/// A searchset of 1 MB.
fn searchset() -> String {
    let mut entries = String::new();
    for number in 0.. {
        if entries.len() > 1 << 20 {
            break;
        }
        let comma = if number > 0 { "," } else { "" };
        write!(
            entries,
            r#"{comma}{{"fullUrl":"https://h1.example/fhir/Observation/o{number}","resource":{{"resourceType":"Observation","id":"o{number}","meta":{{"versionId":"1","lastUpdated":"2026-01-10T08:00:00Z","security":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"{level}"}}]}},"text":{{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">Frequenza cardiaca</div>"}},"identifier":[{{"system":"urn:oid:2.16.840.1.113883.2.9.2.30.4.4","value":"0309.{number}"}}],"status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"8867-4","display":"Heart rate"}}]}},"subject":{{"reference":"Patient/p1"}},"effectiveDateTime":"2026-01-10T08:00:00+01:00","performer":[{{"reference":"Practitioner/7"}}],"valueQuantity":{{"value":72,"unit":"/min","system":"http://unitsofmeasure.org","code":"/min"}},"component":[{{"code":{{"coding":[{{"system":"http://loinc.org","code":"8480-6"}}]}},"valueQuantity":{{"value":120.5,"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}}}]}},"search":{{"mode":"match"}}}}"#,
            level = if number % 10 == 3 { "V" } else { "N" },
        )
        .unwrap();
    }
    format!(
        r#"{{"resourceType":"Bundle","type":"searchset","total":10,"link":[{{"relation":"self","url":"https://h1.example/fhir/Observation"}}],"entry":[{entries}]}}"#
    )
}

fn redaction(criterion: &mut Criterion) {
    let text = searchset();
    let limits = Limits::default();
    let mut tape = Tape::new();
    let very = |candidate: &Candidate<'_>| {
        let secret = candidate.resource.and_then(|own| {
            own.get(name::META)?
                .get(name::SECURITY)?
                .children()
                .next()?
                .get(name::CODE)
                .map(|code| code.is_str("V"))
        });
        if secret == Some(true) { Verdict::Hide } else { Verdict::Show }
    };
    let rules = BundleRules { total: Total::Shown, links: None };
    {
        let document = tape.parse_json(text.as_bytes(), &limits).unwrap();
        let redacted = redact_bundle(document, &rules, very).unwrap();
        assert_eq!(redacted.hidden, (redacted.shown + redacted.hidden).div_ceil(10));
    }
    let mut group = criterion.benchmark_group("bundle of 1 MB");
    group.throughput(criterion::Throughput::Bytes(text.len() as u64));
    group.bench_function("parse", |bencher| {
        bencher.iter(|| tape.parse_json(black_box(text.as_bytes()), &limits).unwrap().len());
    });
    group.bench_function("parse and take a tenth out", |bencher| {
        bencher.iter(|| {
            let document = tape.parse_json(black_box(text.as_bytes()), &limits).unwrap();
            redact_bundle(document, &rules, very).unwrap()
        });
    });
    let document = tape.parse_json(text.as_bytes(), &limits).unwrap();
    group.bench_function("take a tenth out", |bencher| {
        bencher.iter(|| redact_bundle(black_box(document), &rules, very).unwrap());
    });
    group.bench_function("take a tenth out by all labels", |bencher| {
        bencher.iter(|| {
            redact_bundle(black_box(document), &rules, |candidate| {
                let labels = candidate.resource.map(Labels::of).unwrap_or_default();
                if labels.confidentiality() == Some(Confidentiality::VeryRestricted) {
                    Verdict::Hide
                } else {
                    Verdict::Show
                }
            })
            .unwrap()
        });
    });
    group.finish();
}

/// All that a decision asks a resource, for each entry of the Bundle: what it says, its labels, whose data it is.
fn facts(criterion: &mut Criterion) {
    let text = searchset();
    let limits = Limits::default();
    let mut tape = Tape::new();
    let reading = Reading { bases: vec!["https://h1.example/fhir".to_owned()], ..Reading::default() };
    let compartment = PatientsOf::from_definitions(Definitions::r4());
    let document = tape.parse_json(text.as_bytes(), &limits).unwrap();
    let resources = document.root().path(&[name::ENTRY, name::RESOURCE]);
    let mut group = criterion.benchmark_group(format!("facts of {} resources in 1 MB", resources.len()));
    group.throughput(criterion::Throughput::Bytes(text.len() as u64));
    group.bench_function("what they say", |bencher| {
        bencher.iter(|| {
            let codes = resources.iter().map(|own| ResourceFacts::of_resource(*own, &reading).codes.len());
            codes.sum::<usize>()
        });
    });
    group.bench_function("labels", |bencher| {
        bencher.iter(|| resources.iter().map(|own| Labels::of(*own).codes().len()).sum::<usize>());
    });
    group.bench_function("patients", |bencher| {
        bencher.iter(|| {
            let patients = resources.iter().map(|own| compartment.of(*own, &reading.bases).links.len());
            patients.sum::<usize>()
        });
    });
    group.bench_function("parse", |bencher| {
        let mut tape = Tape::new();
        bencher.iter(|| tape.parse_json(black_box(text.as_bytes()), &limits).unwrap().len());
    });
    group.finish();
}

criterion_group!(benches, decisions, facts, redaction);
criterion_main!(benches);
