//! FHIRPath on a prepared Patient of 3.7 KB: paths, invariants and compilation.
//!
//! Figures are compared as ratios to the best crate that builds beside it (octofhir-fhirpath 0.4.57 on the same
//! resource and kind of machine: 3.0, 9.4, 4.5 and 6.8 µs for the first four).
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use fhir_models::document::{Limits, OwnedDocument};
use varco_core::fhirpath::{Collection, Context, Expression, Model, Options};

/// Synthetic, in the shape that record exports have.
const PATIENT: &str = include_str!("patient.json");

const CASES: &[(&str, &str)] = &[
    ("names", "Patient.name.given"),
    ("criteria", "name.exists() and telecom.where(system='phone').exists()"),
    ("dom-4", "contained.meta.versionId.empty() and contained.meta.lastUpdated.empty()"),
    ("ele-1", "hasValue() or (children().count() > id.count())"),
    (
        "dom-3",
        "contained.where((('#'+id in (%resource.descendants().reference | %resource.descendants().as(canonical) \
        | %resource.descendants().as(uri) | %resource.descendants().as(url))) or descendants().where(reference = '#').exists() \
        or descendants().where(as(canonical) = '#').exists()).not()).trace('unmatched', id).empty()",
    ),
    ("text", "name.select(given.first() & ' ' & family)"),
    ("descendants", "descendants().count()"),
];

fn evaluate(criterion: &mut Criterion) {
    let patient = OwnedDocument::parse_json(PATIENT, &Limits::default()).unwrap();
    let model = Model::r4();
    let options = Options { on: Some("Patient"), ..Options::default() };
    let context = Context::default();
    let mut group = criterion.benchmark_group("fhirpath");
    for (name, text) in CASES {
        let expression = Expression::compile(text, &model, &options).unwrap();
        let document = patient.document();
        // The sign that it does something: a wrong answer is quick too.
        assert!(!expression.evaluate(document, &context).unwrap().is_empty());
        let mut found = Collection::new();
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                expression.evaluate_into(black_box(document), &context, &mut found).unwrap();
                found.len()
            })
        });
        if *name != "names" && *name != "text" {
            group.bench_function(format!("{name}, as a test"), |bencher| {
                bencher.iter(|| expression.test(black_box(document), &context).unwrap())
            });
        }
    }
    group.finish();
}

fn compile(criterion: &mut Criterion) {
    let model = Model::r4();
    let options = Options { on: Some("Patient"), ..Options::strict() };
    let text = "name.exists() and telecom.where(system='phone').exists()";
    criterion.bench_function("fhirpath compile", |bencher| {
        bencher.iter(|| Expression::compile(black_box(text), &model, &options).unwrap())
    });
}

criterion_group!(benches, evaluate, compile);
criterion_main!(benches);
