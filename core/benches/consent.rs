//! A decision by a consent with 20 provisions, compiled (goal: at most 1 µs).
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use fhir_models::document::{Limits, OwnedDocument};
use varco_core::consent::{
    Action, Combining, CompiledConsent, LiteralReference, Question, Reading, ResourceFacts, decide, outcome,
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

criterion_group!(benches, decisions);
criterion_main!(benches);
