//! The audit record of a message (IHE BALP).
//!
//! A publication has two: its intent is written with the message itself, before anything is sent; the record that tells how it
//! ended names it, however much later that is, and has the same trace. So a search of the trail finds each message once. Other
//! messages have one, before their answer leaves.

use std::sync::Arc;

use jiff::Timestamp;
use varco_core::audit::{
    AuditOutcome, AuditPatient, AuditProcessing, AuditRecord, AuditRecorder, AuditedEvent, NetworkAddress,
};
use varco_core::requester::BusinessIdentifier;

use super::caller::Caller;
use super::kind::Kind;
use crate::store::{AuditRow, intent_before};

/// A message as its records know it.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The id of the request, of the message and of its record.
    pub id: String,
    /// The trace that it belongs to.
    pub trace: String,
    /// Its `traceparent` for the next hop, while the request that brought it is answered.
    pub hop: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// Who brought it.
    pub caller: Caller,
    /// Whom it is about, as its tokens say.
    pub patient: Option<String>,
}

/// Writes records for one site.
pub struct Recorder(pub Arc<AuditRecorder>);

impl Recorder {
    /// The record that something is about to be published.
    pub fn intent(&self, origin: &Origin) -> AuditRow {
        let told = "about to be sent to the national gateway: what came of it is not on record".to_owned();
        self.row(origin, intent_before(&origin.id), AuditOutcome::Open, Some(told), None)
    }

    /// The record of how a message ended.
    pub fn end(
        &self,
        origin: &Origin,
        outcome: AuditOutcome,
        told: Option<String>,
        intended: bool,
    ) -> AuditRow {
        let intent = intended.then(|| intent_before(&origin.id));
        self.row(origin, origin.id.clone(), outcome, told, intent)
    }

    fn row(
        &self,
        origin: &Origin,
        id: String,
        outcome: AuditOutcome,
        outcome_description: Option<String>,
        intent: Option<String>,
    ) -> AuditRow {
        let person = origin.patient.as_deref().and_then(BusinessIdentifier::of_cx);
        let record = AuditRecord {
            id,
            recorded: Timestamp::now(),
            event: match origin.kind {
                Kind::Create => AuditedEvent::Create,
                Kind::Replace => AuditedEvent::Update,
                Kind::UpdateMetadata => AuditedEvent::Patch,
                Kind::Delete => AuditedEvent::Delete,
                Kind::Validation | Kind::Status | Kind::Other => AuditedEvent::Operation,
            },
            outcome,
            outcome_description,
            requester: Arc::new(origin.caller.requester()),
            token_id: origin.caller.token.clone(),
            client_address: NetworkAddress::Ip(origin.caller.address.clone()),
            recorder: self.0.clone(),
            patients: person
                .map(|own| AuditPatient { reference: None, identifier: Some(own) })
                .into_iter()
                .collect(),
            resources: Vec::new(),
            query: None,
            request_id: Some(origin.id.clone()),
            consents: Vec::new(),
            processing: AuditProcessing {
                trace: Some(origin.trace.clone()),
                intent,
                ..AuditProcessing::default()
            },
        };
        AuditRow::of(&record)
    }
}
