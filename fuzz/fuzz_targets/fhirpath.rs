//! Any text: it compiles or is refused with a place inside it, and what compiles evaluates within its bounds. What
//! strict compilation takes, lenient compilation takes too.

#![no_main]

use std::sync::LazyLock;

use fhir_models::document::{Limits as DocumentLimits, OwnedDocument};
use libfuzzer_sys::fuzz_target;
use varco_core::fhirpath::{Context, Expression, Limits, Model, Options};

static PATIENT: LazyLock<OwnedDocument> = LazyLock::new(|| {
    let text = include_str!("../seeds/json/patient.json");
    OwnedDocument::parse_json(text, &DocumentLimits::default()).expect("the seed is a document")
});

fuzz_target!(|text: &str| {
    let model = Model::r4();
    let strict = Options { on: Some("Patient"), ..Options::strict() };
    let lenient = Expression::compile(text, &model, &Options::default());
    if Expression::compile(text, &model, &strict).is_ok() {
        assert!(lenient.is_ok(), "{text}");
    }
    let Ok(expression) = lenient else { return };
    let limits = Limits { steps: 20_000, depth: 100, items: 10_000 };
    let context = Context { limits: Some(limits), ..Context::default() };
    if let Ok(result) = expression.evaluate(PATIENT.document(), &context) {
        assert!(result.len() <= limits.items);
        for item in result.iter() {
            item.text();
            item.path();
        }
    }
});
