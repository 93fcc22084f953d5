//! Any text: it is a map or is refused with a place inside it; a map prints to what reads and prints the same; and what
//! compiles runs within its bounds and gives JSON.

#![no_main]

use std::sync::LazyLock;

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits as DocumentLimits, OwnedDocument};
use libfuzzer_sys::fuzz_target;
use varco_core::mapping::syntax::{parse_text, print};
use varco_core::mapping::{Counted, Limits, Mapper, Settings};

static PATIENT: LazyLock<OwnedDocument> = LazyLock::new(|| {
    let text = include_str!("../seeds/json/patient.json");
    OwnedDocument::parse_json(text, &DocumentLimits::default()).expect("the seed is a document")
});

fuzz_target!(|text: &str| {
    let Ok(map) = parse_text("fuzz.map", text) else { return };
    let printed = print(&map);
    let again = parse_text("fuzz.map", &printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
    assert_eq!(print(&again), printed);
    let mut mapper = Mapper::new(Definitions::r4());
    if mapper.add("fuzz.map", text.as_bytes()).is_err() {
        return;
    }
    let Ok(map) = mapper.compile(0) else { return };
    let counted = Counted::default();
    let limits = Limits { steps: 20_000, nodes: 20_000, bytes: 1 << 20, ..Limits::default() };
    let settings = Settings { limits, randomness: Some(&counted), report: true, ..Settings::default() };
    if let Ok(output) = map.run(&[PATIENT.document()], &settings) {
        for result in output.results.iter().filter(|it| it.text.starts_with('{')) {
            OwnedDocument::parse_json(result.text.as_str(), &DocumentLimits::default())
                .expect("the result is JSON");
        }
    }
});
