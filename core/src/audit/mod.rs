//! Audit: what happened to whose data (FHIR R4 §6.5 AuditEvent; IHE ITI Basic Audit Log Patterns, BALP 1.1.3).
//!
//! An [`AuditRecord`] is plain data that the sidecar fills in; [`AuditRecord::to_fhir_json`] writes it as an R4
//! AuditEvent that follows the BALP pattern of its interaction, and says so in `meta.profile` where it has all
//! that the pattern asks for. The same record holds what Regulation (EU) 2025/327 (EHDS), Annex II §3.2 wants
//! logged: provider or person, whose data, categories, date and time, origin.
//!
//! [`chain`] links stored records so that tampering shows; [`search_terms`] is what a record is found by;
//! [`RemovalEvent`] says in the chain itself what was removed from its beginning.

mod access;
mod balp;
pub mod chain;
mod codes;
mod event;
mod record;
mod record_terms;
mod refused;
mod removal;
mod terms;

#[cfg(test)]
mod audit_tests;

pub use access::{Access, AccessDecision};
pub use record::{
    AuditConsent, AuditEmergency, AuditOutcome, AuditPatient, AuditProcessing, AuditRecord, AuditRecorder,
    AuditResource, AuditReview, AuditSystem, AuditedEvent, NetworkAddress,
};
pub use refused::RefusedRequests;
pub use removal::{RemovalEvent, Removed};
pub use terms::{SEARCHED, SearchTerm, TERMS_VERSION, folded, search_terms, split_reference};
