//! `varco map` without a map: HL7 v2 messages, converted by the built-in maps to transaction Bundles.
//!
//! A batch is answered message by message, as HL7 v2 acknowledges it (HL7 v2.5.1 §2.10.3): what can be converted is
//! printed, one Bundle a line; each message that can't is named with the place of its fault, and the exit code is 1.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use fhir_models::definition::Definitions;
use fhir_models::document::JsonWriter;
use varco_core::hl7v2::{Hl7v2Error, Message, Reading, split_batch};
use varco_core::mapping::Settings;
use varco_core::mapping::hl7v2::Hl7v2Converter;
use varco_core::outcome::Issue;
use varco_core::validation::Validator;

use super::{Map, Refusal, invalid, say, tell_invalid, write_invalid, write_report};

/// True where bytes begin like a message, a batch or a file of messages.
pub(super) fn is_hl7v2(bytes: &[u8]) -> bool {
    matches!(bare(bytes).get(..3), Some(b"MSH" | b"FHS" | b"BHS"))
}

/// Without a byte order mark.
fn bare(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}

/// What became of one message.
struct Answer {
    /// MSH-10.
    control_id: String,
    /// MSH-9, such as `ADT^A04`.
    kind: String,
    /// The Bundle, or why there is none.
    bundle: Result<String, String>,
    lost: Vec<String>,
    notes: Vec<String>,
    tolerated: Vec<String>,
    issues: Vec<Issue>,
}

impl Answer {
    fn refused(error: String) -> Answer {
        Answer {
            control_id: String::new(),
            kind: String::new(),
            bundle: Err(error),
            lost: Vec::new(),
            notes: Vec::new(),
            tolerated: Vec::new(),
            issues: Vec::new(),
        }
    }
}

impl Map {
    /// Converts the messages of a text and prints their Bundles.
    pub(super) fn map_hl7v2(
        &self,
        text: &[u8],
        definitions: &Arc<Definitions>,
        settings: &Settings<'_>,
    ) -> Result<ExitCode, Refusal> {
        // A byte order mark is no part of HL7 v2, but some editors write one.
        let text = if self.lenient { bare(text) } else { text };
        let reading = if self.lenient { Reading::LENIENT } else { Reading::STRICT };
        let converter =
            Hl7v2Converter::new(Arc::clone(definitions), &self.zone).map_err(|error| anyhow!(error))?;
        let validator = (!self.no_validation).then(|| Validator::new(Arc::clone(definitions)));
        let messages = split_batch(text).map_err(|error| Refusal(1, located(text, &error)))?;
        let mut answers = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            let mut answer = answer(&converter, message, &reading, settings);
            if let (Some(validator), Ok(bundle)) = (&validator, &answer.bundle) {
                answer.issues = invalid(validator, bundle)?;
            }
            // One message needs no number.
            let which = match (messages.len(), answer.control_id.as_str()) {
                (1, _) => String::new(),
                (_, "") => format!("message {}: ", index + 1),
                (_, control_id) => format!("message {} ({control_id}): ", index + 1),
            };
            self.tell(&which, &mut answer);
            answers.push(answer);
        }
        if let Some(file) = &self.report {
            write_report(file, &report(&answers))?;
        }
        let failed = answers.iter().any(|answer| answer.bundle.is_err());
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// The Bundle on standard output, what should be known about it on standard error.
    fn tell(&self, which: &str, answer: &mut Answer) {
        for note in &answer.tolerated {
            say::note(format!("varco map: {which}tolerated: {note}"));
        }
        for note in &answer.notes {
            say::note(format!("varco map: {which}note: {note}"));
        }
        tell_invalid(which, &answer.issues);
        if self.strict && answer.bundle.is_ok() && !answer.issues.is_empty() {
            answer.bundle = Err("the result is invalid and was not printed (--strict)".to_owned());
        }
        match &answer.bundle {
            Ok(bundle) => say::line(bundle.trim_end()),
            Err(error) => say::note(format!("varco map: {which}{error}")),
        }
    }
}

fn answer(converter: &Hl7v2Converter, bytes: &[u8], reading: &Reading, settings: &Settings<'_>) -> Answer {
    let message = match Message::parse(bytes, reading) {
        Ok(message) => message,
        Err(error) => return Answer::refused(located(bytes, &error)),
    };
    let kind = message.message_type();
    let mut answer = Answer {
        control_id: message.header(10).and_then(|field| field.text(1)).unwrap_or_default().into_owned(),
        kind: format!("{}^{}", kind.code, kind.event),
        tolerated: message.notes().iter().map(|note| located(bytes, note)).collect(),
        ..Answer::refused(String::new())
    };
    match converter.convert(&message, settings) {
        Ok(converted) => {
            answer.bundle = Ok(converted.bundle);
            answer.lost = converted.lost;
            answer.notes = converted.notes.iter().map(ToString::to_string).collect();
        }
        Err(error) => answer.bundle = Err(error.to_string()),
    }
    answer
}

/// A fault after its place as people write it, `OBX[2]-5`, where it stands in a segment that has a name.
fn located(message: &[u8], error: &Hl7v2Error) -> String {
    match error.place_in(message) {
        Some(place) => format!("{place}: {error}"),
        None => error.to_string(),
    }
}

fn report(answers: &[Answer]) -> Vec<u8> {
    let mut json = JsonWriter::new();
    json.begin_object().key("messages").begin_array();
    for answer in answers {
        json.begin_object();
        for (name, text) in [("controlId", &answer.control_id), ("type", &answer.kind)] {
            json.optional(name, Some(text.as_str()).filter(|text| !text.is_empty()));
        }
        json.optional("error", answer.bundle.as_ref().err().map(String::as_str));
        json.key("loss").begin_array();
        for place in &answer.lost {
            json.begin_object().member("path", place).end_object();
        }
        json.end_array();
        for (name, texts) in [("notes", &answer.notes), ("tolerated", &answer.tolerated)] {
            json.key(name).begin_array();
            for text in texts {
                json.string(text);
            }
            json.end_array();
        }
        write_invalid(&mut json, &answer.issues);
        json.end_object();
    }
    json.end_array().end_object();
    let mut bytes = json.into_bytes();
    bytes.push(b'\n');
    bytes
}
