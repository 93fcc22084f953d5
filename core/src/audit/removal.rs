//! The event that says that old records were removed from the trail, by which rule.
//!
//! It stands in the chain itself: what it says of the removed records (how many, up to which one, and the hash that the
//! last of them carried) is what the rest of the trail is proven from. Data that is destroyed is an event of its record's
//! life cycle (ISO 21089; AuditEvent.type, FHIR R4 §6.5.4).

use std::sync::Arc;

use fhir_models::document::{JsonWriter, Value};
use jiff::Timestamp;

use super::AuditRecorder;
use super::balp::DCM;
use super::chain::RecordHash;
use super::codes::{APPLICATION_SERVER, OBJECT, SECURITY_RESOURCE};
use super::event::{coding, detail, identified, instant};

const LIFECYCLE: &str = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle";
const AUDIT_LIFECYCLE: &str = "http://terminology.hl7.org/CodeSystem/dicom-audit-lifecycle";

/// What one step of removal took from the beginning of a trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The number of the first record that was removed.
    pub first: i64,
    /// The number of the last one.
    pub through: i64,
    /// The hash that the last one carried: the next record follows from it.
    pub hash: RecordHash,
    /// How many were removed now.
    pub count: u64,
    /// How many were removed since the trail began, these included.
    pub total: u64,
    /// The rule, as the configuration has it: `keep = "5 years"`.
    pub rule: String,
}

/// The event that records a removal.
#[derive(Debug, Clone)]
pub struct RemovalEvent {
    /// The AuditEvent's id.
    pub id: String,
    /// When it was recorded.
    pub recorded: Timestamp,
    /// Who recorded it, and removed by its rule.
    pub recorder: Arc<AuditRecorder>,
    /// What was removed.
    pub removed: Removed,
}

impl RemovalEvent {
    /// The AuditEvent as JSON.
    pub fn to_fhir_json(&self) -> Vec<u8> {
        let destroyed = (LIFECYCLE, "destroy", "Destroy/Delete Record Lifecycle Event");
        let mut json = JsonWriter::new();
        json.begin_object().member("resourceType", "AuditEvent").member("id", &self.id).key("type");
        coding(destroyed, &mut json);
        json.member("action", "D").member("recorded", &instant(self.recorded)).member("outcome", "0");
        json.key("agent").begin_array().begin_object().key("type").begin_object().key("coding").begin_array();
        coding((DCM, "110150", "Application"), &mut json);
        json.end_array().end_object().key("who");
        identified(&self.recorder.observer, None, None, &mut json);
        json.key("requestor").boolean(false).end_object().end_array();
        self.recorder.write_source(APPLICATION_SERVER, &mut json);
        json.key("entity").begin_array().begin_object().key("type");
        coding(OBJECT, &mut json);
        json.key("role");
        coding(SECURITY_RESOURCE, &mut json);
        json.key("lifecycle");
        coding((AUDIT_LIFECYCLE, "15", "Permanent erasure / Physical destruction"), &mut json);
        json.member("description", "Audit records that were kept for as long as the rule says");
        json.key("detail").begin_array();
        let Removed { first, through, hash, count, total, rule } = &self.removed;
        detail("rule", rule, &mut json);
        for (name, number) in [("first", first), ("through", through)] {
            detail(name, &number.to_string(), &mut json);
        }
        for (name, number) in [("removed", count), ("removed-in-all", total)] {
            detail(name, &number.to_string(), &mut json);
        }
        detail("hash", &hash.to_string(), &mut json);
        json.end_array().end_object().end_array().end_object();
        json.into_bytes()
    }
}

impl Removed {
    /// What a removal's event says; `None` where the event is another.
    pub fn of(event: Value<'_>) -> Option<Removed> {
        let kind = event.get_key("type")?.get_key("code")?.as_str()?;
        let details = event.get_key("entity")?.items().next()?.get_key("detail")?;
        let said = |name: &str| {
            let mut own = details
                .items()
                .filter(|own| own.get_key("type").and_then(Value::as_str).as_deref() == Some(name));
            Some(own.next()?.get_key("valueString")?.as_str()?.into_owned())
        };
        (kind == "destroy").then_some(())?;
        Some(Removed {
            first: said("first")?.parse().ok()?,
            through: said("through")?.parse().ok()?,
            hash: said("hash")?.parse().ok()?,
            count: said("removed")?.parse().ok()?,
            total: said("removed-in-all")?.parse().ok()?,
            rule: said("rule")?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fhir_models::document::{Limits, OwnedDocument};

    use super::*;
    use crate::requester::BusinessIdentifier;
    use crate::validation::Validator;

    #[test]
    fn a_removal_is_a_valid_event_and_is_read_back() {
        let removed = Removed {
            first: 1,
            through: 500,
            hash: RecordHash::GENESIS.of_next(b"x"),
            count: 499,
            total: 1_499,
            rule: "keep = \"5 years\"".to_owned(),
        };
        let event = RemovalEvent {
            id: "r-1".to_owned(),
            recorded: "2031-05-01T12:00:00Z".parse().unwrap(),
            recorder: Arc::new(AuditRecorder {
                site: Some("030943".to_owned()),
                ..AuditRecorder::of(
                    BusinessIdentifier::new("http://hl7.it/sid/hsp", "030943"),
                    "https://h1.example/fhir",
                )
            }),
            removed: removed.clone(),
        };
        let document = OwnedDocument::parse_json(event.to_fhir_json(), &Limits::default()).unwrap();
        assert_eq!(Removed::of(document.root()), Some(removed));
        let report = Validator::new(fhir_models::definition::Definitions::r4()).validate(document.document());
        assert!(report.issues.is_empty(), "{:#?}", report.issues);
        let read = document.text().replace("destroy", "read");
        let read = OwnedDocument::parse_json(read, &Limits::default()).unwrap();
        assert_eq!(Removed::of(read.root()), None);
    }
}
