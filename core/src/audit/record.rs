//! What an audit record holds, as plain data.
//!
//! PHI discipline: a record names who did what to which patient's data, as BALP asks, by reference or
//! identifier. It holds no name of a patient, no content of a resource and no answer; the search as it was
//! asked is the one exception, since BALP keeps it to show what was attempted.

use std::sync::Arc;

use jiff::Timestamp;

use crate::requester::{BusinessIdentifier, Code, Requester};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditedEvent {
    /// `read`
    Read,
    /// `vread`
    Vread,
    /// `create`
    Create,
    /// `update`
    Update,
    /// `patch`
    Patch,
    /// `delete`
    Delete,
    /// `search-type`
    SearchType,
    /// `search-system`
    SearchSystem,
    /// `history-instance`
    HistoryInstance,
    /// `history-type`
    HistoryType,
    /// `history-system`
    HistorySystem,
    /// `capabilities`
    Capabilities,
    /// `operation`
    Operation,
    /// `batch`
    Batch,
    /// `transaction`
    Transaction,
    /// A decision by consent, apart from the request it was made for (BALP AuthZconsent).
    ConsentDecision,
    /// A use of break-glass was reviewed.
    Review,
}

/// How it ended (`http://hl7.org/fhir/audit-event-outcome`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditOutcome {
    /// `0`
    Success,
    /// `4`: the request was at fault, or was refused.
    MinorFailure,
    /// `8`: denied, or a server at fault.
    SeriousFailure,
    /// `12`: the service can't go on.
    MajorFailure,
    /// Not known yet: the record of what is about to be done.
    Open,
}

impl AuditOutcome {
    /// The code on the wire; none while it is not known.
    pub fn code(self) -> Option<&'static str> {
        match self {
            AuditOutcome::Success => Some("0"),
            AuditOutcome::MinorFailure => Some("4"),
            AuditOutcome::SeriousFailure => Some("8"),
            AuditOutcome::MajorFailure => Some("12"),
            AuditOutcome::Open => None,
        }
    }
}

/// A network address (`http://hl7.org/fhir/network-type`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkAddress {
    /// A host name.
    MachineName(String),
    /// An IP address, without port.
    Ip(String),
    /// A URL.
    Uri(String),
}

/// A system that takes part: who it is, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditSystem {
    /// Its identifier.
    pub identifier: BusinessIdentifier,
    /// Its name, for people.
    pub display: Option<String>,
    /// Its address as the connection has it.
    pub address: NetworkAddress,
}

/// Who records events: the server that is asked, as it stands in each of its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecorder {
    /// The server that was asked.
    pub server: AuditSystem,
    /// Who recorded the event: as a rule this server.
    pub observer: BusinessIdentifier,
    /// Its site, such as the hospital's public code.
    pub site: Option<String>,
}

impl AuditRecorder {
    /// A server at this URL that records what it is asked.
    pub fn of(identifier: BusinessIdentifier, url: &str) -> AuditRecorder {
        AuditRecorder {
            server: AuditSystem {
                identifier: identifier.clone(),
                display: None,
                address: NetworkAddress::Uri(url.to_owned()),
            },
            observer: identifier,
            site: None,
        }
    }
}

/// A patient whose data the event is about. One of the two is present.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditPatient {
    /// `Patient/…`
    pub reference: Option<String>,
    /// A business identifier, where the resource is not known.
    pub identifier: Option<BusinessIdentifier>,
}

/// A resource that was read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditResource {
    /// `DocumentReference/5`, with its version where one is known.
    pub reference: String,
    /// Its security labels.
    pub labels: Vec<Code>,
}

/// One consent's part in the decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditConsent {
    /// `Consent/7`
    pub consent: String,
    /// The provision that decided: `provision.provision[2]`.
    pub provision: String,
    /// What it did: `permit`, `deny`, `withhold` or `none`.
    pub effect: String,
}

/// An emergency that went over what consents don't permit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditEmergency {
    /// Why, in the caller's words.
    pub reason: Option<String>,
    /// What was overridden; empty where consents permitted what was asked.
    pub overridden: Vec<String>,
}

/// The review of an emergency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditReview {
    /// The review's id.
    pub id: String,
    /// What came of it, in the reviewer's words.
    pub finding: String,
}

/// What the gateway did to the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditProcessing {
    /// The trace that the request belongs to (W3C Trace Context, 32 hexadecimal digits): it joins the records of
    /// several sites.
    pub trace: Option<String>,
    /// The maps that ran, by name.
    pub mapped: Vec<String>,
    /// The site's policies that decided: `forbid: no-prescriptions`.
    pub policies: Vec<String>,
    /// How many entries were returned.
    pub returned: Option<u64>,
    /// How many entries were withheld.
    pub withheld: Option<u64>,
    /// The id of the record that was made before something was done, in the record that tells how it ended.
    pub intent: Option<String>,
    /// Where it broke the glass.
    pub emergency: Option<AuditEmergency>,
    /// Where it closed a review.
    pub review: Option<AuditReview>,
}

/// One audit record. [`AuditRecord::to_fhir_json`] writes it as an R4 AuditEvent.
#[derive(Debug, Clone)]
pub struct AuditRecord {
    /// The AuditEvent's id: 1 to 64 letters, digits, hyphens and dots.
    pub id: String,
    /// When it was recorded.
    pub recorded: Timestamp,
    /// What was done.
    pub event: AuditedEvent,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// Why it failed, in a sentence without personal data.
    pub outcome_description: Option<String>,
    /// Who asked.
    pub requester: Arc<Requester>,
    /// The token's id (`jti`), where a token was used.
    pub token_id: Option<String>,
    /// Where the request came from, as the connection has it.
    pub client_address: NetworkAddress,
    /// Who was asked, and records.
    pub recorder: Arc<AuditRecorder>,
    /// The patients concerned. BALP wants one record each: [`AuditRecord::per_patient`].
    pub patients: Vec<AuditPatient>,
    /// The resources concerned; none for a search, whose results BALP does not record.
    pub resources: Vec<AuditResource>,
    /// The search as it was asked: method, URL and, for POST, the form.
    pub query: Option<String>,
    /// The `X-Request-Id` that joins the records of one request.
    pub request_id: Option<String>,
    /// The consents that took part in the decision.
    pub consents: Vec<AuditConsent>,
    /// What the gateway did to the answer.
    pub processing: AuditProcessing,
}

impl AuditRecord {
    /// The records of an event that concerns several patients: one each, with ids `id-1`, `id-2` … (BALP:
    /// "one AuditEvent is created for every Patient identified"). An event with at most one stays as it is.
    pub fn per_patient(self) -> Vec<AuditRecord> {
        if self.patients.len() < 2 {
            return vec![self];
        }
        let one = |(number, patient): (usize, &AuditPatient)| AuditRecord {
            id: format!("{}-{}", self.id, number + 1),
            patients: vec![patient.clone()],
            ..self.clone()
        };
        self.patients.iter().enumerate().map(one).collect()
    }
}
