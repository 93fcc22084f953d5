//! Which BALP pattern an event follows (IHE ITI BALP 1.1.3, §3:5.7.3 and §3:5.7.6).
//!
//! A profile is claimed only where the record has all that it asks for. The patterns fix `outcome` to success,
//! so a refused or failed request claims none ("failures are recorded differently"); AuthZconsent allows both.

use super::{AuditOutcome, AuditRecord, AuditedEvent};

pub(super) const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";
pub(super) const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
pub(super) const BASIC_AUDIT_ENTITY: &str =
    "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType";
pub(super) const AUTHZ_SUBTYPE: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType";
pub(super) const USER_AGENT: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes";
const CANONICAL: &str = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.";

/// A coding: system, code, display.
pub(super) type Coded = (&'static str, &'static str, &'static str);

const SOURCE: Coded = (DCM, "110153", "Source Role ID");
const DESTINATION: Coded = (DCM, "110152", "Destination Role ID");
const APPLICATION: Coded = (DCM, "110150", "Application");
const CUSTODIAN: Coded =
    ("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "custodian", "Custodian");
const RECIPIENT: Coded = (PARTICIPATION, "IRCP", "information recipient");
const AUTHOR: Coded = (PARTICIPATION, "AUT", "author (originator)");

/// The fixed parts of an event.
pub(super) struct Pattern {
    /// Code of the subtype; for REST also its display.
    pub subtype: &'static str,
    /// `C`, `R`, `U`, `D` or `E`.
    pub action: &'static str,
    /// Type of the agent that is the client.
    pub client: Coded,
    /// Type of the agent that is the server.
    pub server: Coded,
    /// Type of the agent that is the person.
    pub user: Coded,
    /// The BALP profile for it, without `Patient`.
    profile: Option<&'static str>,
}

/// What is read flows to the client, and what is asked or written to the server: so BALP gives the roles of
/// source and destination. A delete has neither.
pub(super) fn pattern(event: AuditedEvent) -> Pattern {
    let read = |subtype, profile| Pattern {
        subtype,
        action: "R",
        client: DESTINATION,
        server: SOURCE,
        user: RECIPIENT,
        profile,
    };
    let asked = |subtype, profile| Pattern {
        subtype,
        action: "E",
        client: SOURCE,
        server: DESTINATION,
        user: RECIPIENT,
        profile,
    };
    let written = |subtype, action, profile| Pattern {
        subtype,
        action,
        client: SOURCE,
        server: DESTINATION,
        user: AUTHOR,
        profile: Some(profile),
    };
    match event {
        AuditedEvent::Read => read("read", Some("Read")),
        AuditedEvent::Vread => read("vread", Some("Read")),
        AuditedEvent::HistoryInstance => read("history-instance", None),
        AuditedEvent::HistoryType => read("history-type", None),
        AuditedEvent::HistorySystem => read("history-system", None),
        AuditedEvent::Capabilities => read("capabilities", None),
        AuditedEvent::Create => written("create", "C", "Create"),
        AuditedEvent::Update => written("update", "U", "Update"),
        AuditedEvent::Patch => written("patch", "U", "Update"),
        AuditedEvent::Delete => {
            Pattern { client: APPLICATION, server: CUSTODIAN, ..written("delete", "D", "Delete") }
        }
        AuditedEvent::SearchType => asked("search-type", Some("Query")),
        AuditedEvent::SearchSystem => asked("search-system", Some("Query")),
        AuditedEvent::Operation => asked("operation", None),
        AuditedEvent::Batch => asked("batch", None),
        AuditedEvent::Transaction => asked("transaction", None),
        AuditedEvent::Review => Pattern { client: APPLICATION, ..asked("break-glass-review", None) },
        AuditedEvent::ConsentDecision => Pattern { client: APPLICATION, ..asked("AuthZ-Consent", None) },
    }
}

impl AuditRecord {
    /// The canonical URL of the BALP profile that this record follows, if it follows one.
    pub fn profile(&self) -> Option<String> {
        if self.event == AuditedEvent::ConsentDecision {
            let who = self.requester.subject.is_some() && self.requester.organizations.len() == 1;
            let what = self.patients.len() == 1 && !self.consents.is_empty();
            return (who && what).then(|| format!("{CANONICAL}AuthZconsent"));
        }
        let name = pattern(self.event).profile.filter(|_| self.outcome == AuditOutcome::Success)?;
        let complete = match name {
            "Query" => self.query.is_some() && self.resources.is_empty(),
            _ => self.resources.len() == 1 && self.query.is_none(),
        };
        let patient = if self.patients.len() == 1 { "Patient" } else { "" };
        complete.then(|| format!("{CANONICAL}{patient}{name}"))
    }
}
