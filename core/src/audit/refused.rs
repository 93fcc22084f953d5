//! Requests whose caller was never known: counted by address, cause and minute, one record each.
//!
//! A record for each of them would let anybody fill the trail. BALP has no pattern for them ("failures are recorded
//! differently"); the event is the one that DICOM has for a failed login, with the minute as its period (FHIR R4 §6.5.4).

use std::sync::Arc;

use fhir_models::document::JsonWriter;
use jiff::Timestamp;

use super::balp::DCM;
use super::codes::{APPLICATION_SERVER, OTHER};
use super::event::{agent_type, asked, coding, detail, instant, network, who};
use super::{AuditRecorder, NetworkAddress};
use crate::requester::BusinessIdentifier;

/// How many requests were refused before their caller was known.
#[derive(Debug, Clone)]
pub struct RefusedRequests {
    /// The AuditEvent's id.
    pub id: String,
    /// When it was recorded.
    pub recorded: Timestamp,
    /// When the minute began that they came in.
    pub from: Timestamp,
    /// When it ended.
    pub until: Timestamp,
    /// Where they came from; none: from more addresses than are told apart.
    pub client_address: Option<NetworkAddress>,
    /// Why they were refused, in a word: `expired`.
    pub cause: String,
    /// How many they were.
    pub count: u64,
    /// Who was asked, and records.
    pub recorder: Arc<AuditRecorder>,
}

impl RefusedRequests {
    /// The AuditEvent as JSON.
    pub fn to_fhir_json(&self) -> Vec<u8> {
        let mut json = JsonWriter::new();
        json.begin_object().member("resourceType", "AuditEvent").member("id", &self.id).key("type");
        coding((DCM, "110114", "User Authentication"), &mut json);
        json.key("subtype").begin_array();
        coding((DCM, "110122", "Login"), &mut json);
        json.end_array().member("action", "E").key("period").begin_object();
        json.member("start", &instant(self.from)).member("end", &instant(self.until)).end_object();
        json.member("recorded", &instant(self.recorded)).member("outcome", "4");
        json.member(
            "outcomeDesc",
            &format!("{} refused before the caller was known: {}", self.count, self.cause),
        );

        json.key("agent").begin_array().begin_object();
        agent_type((DCM, "110153", "Source Role ID"), &mut json);
        who(&BusinessIdentifier::new("", ""), None, &mut json);
        json.key("requestor").boolean(true);
        if let Some(address) = &self.client_address {
            network(address, &mut json);
        }
        json.end_object().begin_object();
        agent_type((DCM, "110152", "Destination Role ID"), &mut json);
        asked(&self.recorder.server, &mut json);
        json.end_object().end_array();

        self.recorder.write_source(APPLICATION_SERVER, &mut json);
        json.key("entity").begin_array().begin_object().key("type");
        coding(OTHER, &mut json);
        json.member("description", "Requests of one address, cause and minute").key("detail").begin_array();
        detail("cause", &self.cause, &mut json);
        detail("count", &self.count.to_string(), &mut json);
        json.end_array().end_object().end_array().end_object();
        json.into_bytes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fhir_models::document::{Limits, OwnedDocument};

    use super::*;
    use crate::validation::Validator;

    #[test]
    fn refused_requests_are_a_valid_event() {
        let validator = Validator::new(fhir_models::definition::Definitions::r4());
        for client_address in [Some(NetworkAddress::Ip("2001:db8::7".to_owned())), None] {
            let record = RefusedRequests {
                id: "r-1".to_owned(),
                recorded: "2026-05-01T12:01:00Z".parse().unwrap(),
                from: "2026-05-01T12:00:00Z".parse().unwrap(),
                until: "2026-05-01T12:01:00Z".parse().unwrap(),
                client_address,
                cause: "expired".to_owned(),
                count: 17,
                recorder: Arc::new(AuditRecorder {
                    site: Some("030943".to_owned()),
                    ..AuditRecorder::of(
                        BusinessIdentifier::new("http://hl7.it/sid/hsp", "030943"),
                        "https://h1.example/fhir",
                    )
                }),
            };
            let document = OwnedDocument::parse_json(record.to_fhir_json(), &Limits::default()).unwrap();
            let report = validator.validate(document.document());
            assert!(report.issues.is_empty(), "{:#?}", report.issues);
        }
    }
}
