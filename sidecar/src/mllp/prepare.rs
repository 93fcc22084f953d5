//! From a message to the transaction that is sent: header, rights, map, identifiers, conditions. No IO.

use std::borrow::Cow;

use fhir_models::document::{Limits, OwnedDocument, Value, name};
use varco_core::audit::AuditPatient;
use varco_core::hl7v2::{Message, Reading};
use varco_core::mapping::Settings;
use varco_core::mapping::hl7v2::{Hl7v2Converter, repeatable};
use varco_core::requester::BusinessIdentifier;

use super::fault::Fault;
use crate::config::{Mllp, MllpSender};
use crate::pipeline::Gateway;

/// Longest control id (HL7 v2.7 §2.14.9.10; earlier versions have 20).
const LONGEST_CONTROL_ID: usize = 199;

/// What is read of MSH before anything else, however broken the rest is.
#[derive(Debug, Clone, Default)]
pub(super) struct Header {
    pub application: String,
    pub facility: String,
    pub control_id: String,
    /// MSH-9.1 and MSH-9.2.
    pub code: String,
    pub event: String,
    version: String,
    processing: String,
}

impl Header {
    /// `ADT^A01`
    pub fn kind(&self) -> String {
        format!("{}^{}", self.code, self.event)
    }

    /// The header of a message; a fault where it has none.
    pub fn read(message: &[u8], lenient: bool) -> Result<Header, Fault> {
        let line = message.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
        let read = Message::parse(line, &Reading { bytes: usize::MAX, ..Reading::LENIENT });
        let header = match read {
            Ok(header) => header,
            Err(error) => {
                // The strict reader names the same fault, or one before it.
                let told = Message::parse(message, &reading(lenient, usize::MAX)).err().unwrap_or(error);
                return Err(Fault::syntax(message, &told));
            }
        };
        let text = |field| {
            let part = header.header(field).and_then(|part| part.text(1));
            part.map(Cow::into_owned).unwrap_or_default()
        };
        let kind = header.message_type();
        Ok(Header {
            application: text(3),
            facility: text(4),
            control_id: text(10),
            code: kind.code.into_owned(),
            event: kind.event.into_owned(),
            version: text(12),
            processing: text(11),
        })
    }

    /// Refuses what the header alone makes impossible.
    pub fn check(&self, sender: &MllpSender, settings: &Mllp) -> Result<(), Fault> {
        if self.control_id.is_empty() || self.control_id.len() > LONGEST_CONTROL_ID {
            return Err(Fault::control_id(self.control_id.is_empty()));
        }
        let passed_over = |field: &str| settings.lenient && field.is_empty();
        let known = |version: &str| {
            let minor = version.strip_prefix("2.").and_then(|rest| rest.as_bytes().first());
            minor.is_some_and(|minor| (b'1'..=b'9').contains(minor))
        };
        if !known(&self.version) && !passed_over(&self.version) {
            return Err(Fault::version());
        }
        if !settings.processing.contains(&self.processing) && !passed_over(&self.processing) {
            return Err(Fault::processing(&settings.processing));
        }
        if !sender.sends(&self.code, &self.event) {
            return Err(Fault::not_allowed());
        }
        Ok(())
    }
}

fn reading(lenient: bool, bytes: usize) -> Reading {
    let reading = if lenient { Reading::LENIENT } else { Reading::STRICT };
    Reading { bytes, ..reading }
}

/// An entry of the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    pub resource_type: String,
    /// Its first identifier that has a system.
    pub identifier: Option<BusinessIdentifier>,
}

/// A transaction to be sent.
#[derive(Debug)]
pub(super) struct Prepared {
    pub bundle: OwnedDocument,
    pub sent: Vec<Sent>,
    /// How many identifiers were written in another system.
    pub renamed: usize,
}

impl Prepared {
    /// The patients, as far as the message knows them.
    pub fn patients(&self) -> Vec<AuditPatient> {
        let patients = self.sent.iter().filter(|entry| entry.resource_type == "Patient");
        patients.map(|entry| AuditPatient { reference: None, identifier: entry.identifier.clone() }).collect()
    }
}

/// The transaction of a message.
pub(super) fn prepare(
    message: &[u8],
    settings: &Mllp,
    converter: &Hl7v2Converter,
    gateway: &Gateway,
) -> Result<Prepared, Fault> {
    let read = Message::parse(message, &reading(settings.lenient, settings.message_bytes))
        .map_err(|error| Fault::syntax(message, &error))?;
    if read.named("MSH").count() > 1 {
        return Err(Fault::several());
    }
    let converted =
        converter.convert(&read, &Settings::default()).map_err(|error| Fault::conversion(message, &error))?;
    let parse = |text: &[u8]| {
        let limits = Limits { bytes: usize::MAX, ..Limits::default() };
        OwnedDocument::parse_json(text, &limits).map_err(|_| Fault::internal())
    };
    let document = parse(converted.bundle.as_bytes())?;
    let renamed = gateway.in_local_terms(document.document());
    let text = match &renamed {
        Some(renamed) => std::str::from_utf8(&renamed.json).map_err(|_| Fault::internal())?,
        None => &converted.bundle,
    };
    let bundle = parse(repeatable(text, message).map_err(|_| Fault::internal())?.as_bytes())?;
    let entries = bundle.root().get(name::ENTRY).into_iter().flat_map(Value::items);
    let sent = entries.filter_map(|entry| entry.get(name::RESOURCE)).map(|resource| Sent {
        resource_type: resource.resource_type().map(Cow::into_owned).unwrap_or_default(),
        identifier: resource.get(name::IDENTIFIER).into_iter().flat_map(Value::items).find_map(|own| {
            Some(BusinessIdentifier::new(own.str_of(name::SYSTEM)?, own.str_of(name::VALUE)?))
        }),
    });
    let sent = sent.collect();
    Ok(Prepared { sent, renamed: renamed.map_or(0, |renamed| renamed.changes.len()), bundle })
}
