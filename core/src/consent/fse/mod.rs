//! FSE 2.0, the Italian national health record: who sees a document that the law or the patient has masked.
//!
//! These rules hold beside consents and can only take away: a document is given where consents permit it **and**
//! nothing here hides it. They are pure: who asks, what is asked for and what is known of the document's chain come
//! in; out comes `None`, or the rule that hides it ([`Hidden`]).
//!
//! | rule | whom it hides from |
//! |---|---|
//! | `P99` masked; `V` ("maggior tutela") without `P00` | everybody but the patient, parents and guardians; delegates as below |
//! | `P97` hidden from the parent | parents (`GEN`), guardians (`TUT`), delegates (`ING`) |
//! | `P98` hidden from the patient | the patient (`ASS`) and delegates |
//! | delegates (`ING`) | see nothing without the delegation to consult, never `V`, masked documents only with the delegation for services too |
//! | administrative staff (`OAM`) | do not see prescriptions |
//! | emergency | nothing without a self-certification, the summary with one, the rest with two; masked documents never, whoever asks |
//! | chain | documents that share a prescription number (NRE) are masked together ([`Chains`]) |
//!
//! What is unknown restricts: a caller without a role, or with one that FSE does not know, sees nothing; an unknown
//! masking code masks; a chain that could not be looked up is a masked one. Who has several roles sees what all of
//! them may see. Of several masks on one document each hides.
//!
//! Not here: that the consent to consultation must be given again at 18 ([`super::ComingOfAge`]), and opposition to
//! past data, which is a consent that denies a `dataPeriod` and so persists by itself.

mod chain;
mod claims;
mod document;
mod hidden;
mod mask;
mod request;

#[cfg(test)]
mod fse_tests;

pub use chain::{Chain, Chains};
pub use claims::{FseAction, FseClaims, FseMismatch, document_types, purpose_of_use};
pub use document::FseDocument;
pub use hidden::Hidden;
pub use mask::{MASKING_SYSTEM, Mask};
pub use request::{FseRequest, FseRole};

use super::{Decision, Outcome, Reason, ReasonEffect};

/// The systems that a deployment writes the codes of FSE in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FseSystems {
    /// Of masking codes.
    pub masking: Vec<String>,
    /// Of prescription numbers (NRE).
    pub prescription: Vec<String>,
    /// Of roles; empty where a role counts in whatever system it stands.
    pub roles: Vec<String>,
}

impl Default for FseSystems {
    /// The published OIDs, as URIs and bare.
    fn default() -> Self {
        let both = |oid: &str| vec![format!("urn:oid:{oid}"), oid.to_owned()];
        FseSystems {
            masking: both("2.16.840.1.113883.2.9.3.3.6.1.3"),
            prescription: both("2.16.840.1.113883.2.9.4.3.8"),
            roles: Vec::new(),
        }
    }
}

/// The rule that hides a document from a caller; `None` where none does.
///
/// ```
/// use varco_core::consent::fse::{Chain, FseDocument, FseRequest, FseSystems, Hidden, hidden};
/// use varco_core::consent::ResourceFacts;
/// use varco_core::requester::{Code, Requester};
///
/// let systems = FseSystems::default();
/// let doctor = Requester { roles: vec![Code::new("", "APR")], ..Requester::default() };
/// let facts = ResourceFacts {
///     labels: vec![Code::new("urn:oid:2.16.840.1.113883.2.9.3.3.6.1.3", "P99")],
///     ..ResourceFacts::default()
/// };
/// let document = FseDocument::of(&facts, Chain::Alone, &systems);
/// assert_eq!(hidden(&FseRequest::of(&doctor, &systems), &document), Some(Hidden::Masked));
/// ```
pub fn hidden(request: &FseRequest, document: &FseDocument) -> Option<Hidden> {
    if request.roles.is_empty() {
        return Some(Hidden::UnknownRole);
    }
    if request.emergency
        && let Some(hidden) = in_emergency(request, document)
    {
        return Some(hidden);
    }
    request.roles.iter().find_map(|role| from_role(*role, request, document))
}

/// A decision by consents, with these rules beside it: what they hide is denied. Without a document, only what
/// they hide from this caller whatever the document is.
pub fn beside(mut decision: Decision, request: &FseRequest, document: Option<&FseDocument>) -> Decision {
    let open = FseDocument::open();
    let Some(hidden) = hidden(request, document.unwrap_or(&open)) else { return decision };
    decision.outcome = Outcome::Deny;
    decision.rest = Outcome::Deny;
    decision.residual = Vec::new();
    decision.because.push(Reason {
        consent: "FSE 2.0".into(),
        provision: hidden.code().into(),
        text: hidden.text().to_owned(),
        effect: ReasonEffect::Deny,
    });
    decision
}

fn in_emergency(request: &FseRequest, document: &FseDocument) -> Option<Hidden> {
    match request.self_certifications {
        _ if document.is_demographic => None,
        0 => Some(Hidden::NotCertified),
        1 if !document.is_summary => Some(Hidden::NotTheSummary),
        _ => document.masked_by(),
    }
}

fn from_role(role: FseRole, request: &FseRequest, document: &FseDocument) -> Option<Hidden> {
    let marked = |mask: Mask, hidden: Hidden| document.has(mask).then_some(hidden);
    match role {
        FseRole::Patient => marked(Mask::FromPatient, Hidden::FromPatient),
        FseRole::Parent | FseRole::Guardian => marked(Mask::FromParent, Hidden::FromParent),
        FseRole::Delegate if !request.may_consult => Some(Hidden::NotDelegated),
        FseRole::Delegate if document.is_very_restricted => Some(Hidden::NeverToDelegates),
        FseRole::Delegate => marked(Mask::FromPatient, Hidden::FromPatient)
            .or_else(|| marked(Mask::FromParent, Hidden::FromParent))
            .or_else(|| document.masked_by().filter(|_| !request.may_use_services)),
        FseRole::Administrative if document.is_prescription => Some(Hidden::Prescription),
        FseRole::Administrative | FseRole::Staff => document.masked_by(),
    }
}
