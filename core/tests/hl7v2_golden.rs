//! The messages of `testdata/hl7v2`, each converted and held against what must come out: the Bundle, what was noted and what
//! was lost, or the error. Messages whose name says `lenient` are read so, all others by the letter.
//!
//! `VARCO_WRITE_GOLDEN=1` writes what comes out instead; look at the difference before you keep it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use fhir_models::definition::Definitions;
use serde_json::{Value, json};
use varco_core::hl7v2::{Message, Reading, split_batch};
use varco_core::mapping::Settings;
use varco_core::mapping::hl7v2::Hl7v2Converter;
use varco_core::validation::Validator;

fn messages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/hl7v2");
    let mut files: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "hl7"));
    files.sort();
    files
}

fn converted(converter: &Hl7v2Converter, reading: &Reading, bytes: &[u8]) -> Value {
    let message = match Message::parse(bytes, reading) {
        Ok(message) => message,
        Err(error) => return json!({ "error": error.to_string() }),
    };
    let tolerated: Vec<String> = message.notes().iter().map(ToString::to_string).collect();
    match converter.convert(&message, &Settings::default()) {
        Err(error) => json!({ "error": error.to_string(), "tolerated": tolerated }),
        Ok(converted) => {
            let bundle: Value = serde_json::from_str(&converted.bundle).unwrap();
            let notes: Vec<String> = converted.notes.iter().map(ToString::to_string).collect();
            json!({ "bundle": bundle, "notes": notes, "lost": converted.lost, "tolerated": tolerated })
        }
    }
}

#[test]
fn every_message_becomes_what_it_must() {
    let converter = Hl7v2Converter::new(Definitions::r4(), "Europe/Rome").unwrap();
    let validator = Validator::new(Definitions::r4());
    let messages = messages();
    assert!(messages.len() >= 40, "{} messages", messages.len());
    let mut wrong = Vec::new();
    for path in messages {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let reading = if name.contains("lenient") { Reading::LENIENT } else { Reading::STRICT };
        let bytes = fs::read(&path).unwrap();
        let results: Vec<Value> = match split_batch(&bytes) {
            Ok(messages) => messages.iter().map(|message| converted(&converter, &reading, message)).collect(),
            Err(error) => vec![json!({ "error": error.to_string() })],
        };
        for result in &results {
            if result.get("error").is_some() != name.contains("broken") {
                wrong.push(format!("{name}: {}", result["error"]));
            }
            if let Some(bundle) = result.get("bundle") {
                let report = validator.validate_bytes(bundle.to_string().as_bytes());
                let errors: Vec<_> = report.issues.iter().filter(|issue| issue.severity.is_error()).collect();
                // A code that has no translation is kept, and the result says that it is not FHIR's.
                if !errors.is_empty() && result["notes"].as_array().unwrap().is_empty() {
                    wrong.push(format!("{name}: {errors:#?}"));
                }
            }
        }
        let golden = path.with_extension("json");
        if std::env::var_os("VARCO_WRITE_GOLDEN").is_some() {
            fs::write(&golden, serde_json::to_string_pretty(&results).unwrap() + "\n").unwrap();
        } else if serde_json::from_slice::<Vec<Value>>(&fs::read(&golden).unwrap_or_default()).ok()
            != Some(results)
        {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "not what they must become:\n{}", wrong.join("\n"));
}
