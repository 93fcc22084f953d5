//! What the signed claims of an FSE 2.0 token say of a request, and whether the request is that one.
//!
//! Invariant: claims only narrow. `patient_consent` opens nothing by itself: consents that are kept decide.

use sha2::{Digest, Sha256};

use super::{FseRequest, FseRole};
use crate::consent::{ACT_REASON, ResourceFacts};
use crate::interaction::Interaction;
use crate::requester::Code;

const LOINC: &str = "http://loinc.org";
const LOINC_OID: &str = "2.16.840.1.113883.6.1";

/// What is done (`action_id`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FseAction {
    /// `CREATE`
    Create,
    /// `READ`
    Read,
    /// `UPDATE`
    Update,
    /// `DELETE`
    Delete,
}

impl FseAction {
    /// The action with this code.
    pub fn of_code(code: &str) -> Option<FseAction> {
        Some(match code {
            "CREATE" => FseAction::Create,
            "READ" => FseAction::Read,
            "UPDATE" => FseAction::Update,
            "DELETE" => FseAction::Delete,
            _ => return None,
        })
    }

    /// Whether an interaction is this action. A batch is none: it is many. Operations that touch no stored data are any.
    pub fn covers(self, interaction: &Interaction) -> bool {
        match interaction {
            Interaction::Capabilities
            | Interaction::Validate(_)
            | Interaction::Transform(..)
            | Interaction::Translate(..) => true,
            Interaction::Read(_)
            | Interaction::Vread(..)
            | Interaction::History(_)
            | Interaction::SearchType(_)
            | Interaction::Match(..)
            | Interaction::Everything(_)
            | Interaction::PatientSummary(_)
            | Interaction::LastN(_)
            | Interaction::DocRef(_) => self == FseAction::Read,
            Interaction::Create(_) | Interaction::ConditionalCreate(_) => self == FseAction::Create,
            Interaction::Update(_)
            | Interaction::ConditionalUpdate(_)
            | Interaction::Patch(_)
            | Interaction::ConditionalPatch(_) => self == FseAction::Update,
            Interaction::Delete(_) | Interaction::ConditionalDelete(_) => self == FseAction::Delete,
            Interaction::Batch | Interaction::Transaction => false,
        }
    }
}

/// How a request differs from what was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FseMismatch {
    /// Another action.
    #[error("it is not the action that `action_id` names")]
    Action,
    /// A create without a hash.
    #[error("it creates something and `attachment_hash` is missing")]
    NoHash,
    /// Another body.
    #[error("its body is not the one that `attachment_hash` was taken of")]
    Hash,
}

/// The claims that a request is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FseClaims {
    /// `action_id`
    pub action: FseAction,
    /// `resource_hl7_type`: the types of documents that it is about; empty where none is named.
    pub document_types: Vec<Code>,
    /// `patient_consent`
    pub patient_consent: bool,
    /// `attachment_hash`: SHA-256 of the body.
    pub body_hash: Option<[u8; 32]>,
}

impl FseClaims {
    /// Whether a request is the one that was signed.
    pub fn check(&self, interaction: &Interaction, body: &[u8]) -> Result<(), FseMismatch> {
        if !self.action.covers(interaction) {
            return Err(FseMismatch::Action);
        }
        match self.body_hash {
            Some(hash) if hash != <[u8; 32]>::from(Sha256::digest(body)) => Err(FseMismatch::Hash),
            None if self.action == FseAction::Create && !body.is_empty() => Err(FseMismatch::NoHash),
            _ => Ok(()),
        }
    }

    /// Whether the claims leave a resource to be seen or written: a document has to be of a type that they name.
    pub fn names(&self, facts: &ResourceFacts) -> bool {
        let is_document = matches!(facts.resource_type.as_str(), "DocumentReference" | "Composition");
        !is_document
            || self.document_types.is_empty()
            || self.document_types.iter().any(|own| {
                facts
                    .classes
                    .iter()
                    .any(|class| class.code == own.code && canonical(&class.system) == own.system)
            })
    }

    /// Whether the caller may consult at all: staff of whom the token says that the patient has not consented may not,
    /// but in an emergency.
    pub fn may_consult(&self, request: &FseRequest) -> bool {
        let own = |role: &FseRole| !matches!(role, FseRole::Staff | FseRole::Administrative);
        self.patient_consent
            || request.emergency
            || (!request.roles.is_empty() && request.roles.iter().all(own))
    }
}

/// The purpose in v3-ActReason that a `purpose_of_use` of FSE means; `None` for a code that FSE doesn't have. `CONSENT`
/// has no counterpart there and stays FSE's own.
pub fn purpose_of_use(code: &str) -> Option<Code> {
    let v3 = |code: &str| Some(Code::new(ACT_REASON, code));
    match code {
        "TREATMENT" => v3("TREAT"),
        "EMERGENCY" => v3("ETREAT"),
        "PUBEMERGENCY" => v3("DISASTER"),
        "SYSADMIN" => v3("HSYSADMIN"),
        "PERSONAL" => v3("PATRQT"),
        "ADMINISTRATIVE" => v3("PATADMIN"),
        "UPDATE" => v3("RECORDMGT"),
        "ACCESS UPDATE" => v3("METAMGT"),
        "CONSENT" => Some(Code::new("", code)),
        _ => None,
    }
}

/// The types in a `resource_hl7_type`, as in `('11502-2^^2.16.840.1.113883.6.1')`; `None` where it can't be read.
pub fn document_types(text: &str) -> Option<Vec<Code>> {
    let inner = text.trim();
    let inner = match inner.strip_prefix('(') {
        Some(rest) => rest.strip_suffix(')')?,
        None => inner,
    };
    inner.split(',').map(document_type).collect()
}

fn document_type(text: &str) -> Option<Code> {
    let text = text.trim();
    let text = match text.strip_prefix('\'') {
        Some(rest) => rest.strip_suffix('\'')?,
        None => text,
    };
    let mut parts = text.split('^');
    let (code, system) = (parts.next()?, parts.nth(1)?);
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
    };
    let whole = plain(code) && plain(system) && parts.next().is_none();
    whole.then(|| Code::new(canonical(system), code))
}

/// A system as it is compared here.
fn canonical(system: &str) -> String {
    match system.strip_prefix("urn:oid:").unwrap_or(system) {
        LOINC | LOINC_OID => LOINC.to_owned(),
        oid if oid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => format!("urn:oid:{oid}"),
        other => other.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::consent::fse::FseSystems;
    use crate::interaction::SearchSchema;
    use crate::requester::Requester;

    fn asked(method: &str, path: &str) -> Interaction {
        let schema = SearchSchema::new(["Patient", "DocumentReference"], |_| Vec::new());
        Interaction::parse(method, path, None, None, &schema).unwrap()
    }

    fn claims(action: FseAction) -> FseClaims {
        FseClaims { action, document_types: Vec::new(), patient_consent: true, body_hash: None }
    }

    #[test]
    fn an_action_covers_its_own_interactions_alone() {
        let all = [
            ("READ", "GET", "Patient/1"),
            ("READ", "GET", "Patient"),
            ("CREATE", "POST", "Patient"),
            ("UPDATE", "PUT", "Patient/1"),
            ("UPDATE", "PATCH", "Patient/1"),
            ("DELETE", "DELETE", "Patient/1"),
        ];
        for (own, method, path) in all {
            for code in ["READ", "CREATE", "UPDATE", "DELETE"] {
                let covers = FseAction::of_code(code).unwrap().covers(&asked(method, path));
                assert_eq!(covers, own == code, "{code} {method} {path}");
            }
        }
        assert!(!FseAction::Create.covers(&Interaction::Batch));
        assert_eq!(FseAction::of_code("read"), None);
    }

    #[test]
    fn the_body_is_the_one_that_was_signed() {
        let create = asked("POST", "Patient");
        let of = |body: &[u8]| FseClaims {
            body_hash: Some(Sha256::digest(body).into()),
            ..claims(FseAction::Create)
        };
        assert_eq!(of(b"{}").check(&create, b"{}"), Ok(()));
        assert_eq!(of(b"{}").check(&create, b"{ }"), Err(FseMismatch::Hash));
        assert_eq!(of(b"{}").check(&create, b""), Err(FseMismatch::Hash));
        assert_eq!(claims(FseAction::Create).check(&create, b"{}"), Err(FseMismatch::NoHash));
        assert_eq!(claims(FseAction::Read).check(&create, b"{}"), Err(FseMismatch::Action));
        assert_eq!(claims(FseAction::Update).check(&asked("PUT", "Patient/1"), b"{}"), Ok(()));
    }

    #[test]
    fn document_types_are_compared_whatever_their_system_is_called() {
        let types = document_types("('11502-2^^2.16.840.1.113883.6.1', '7^^1.2.3')").unwrap();
        assert_eq!(types, [Code::new(LOINC, "11502-2"), Code::new("urn:oid:1.2.3", "7")]);
        assert_eq!(document_types("11502-2^^2.16.840.1.113883.6.1").unwrap().len(), 1);
        for bad in
            ["", "()", "('11502-2')", "('11502-2^^2.16.840.1.113883.6.1", "'a^^1.2", "a^^1.2^x", "a^^1.2,"]
        {
            assert_eq!(document_types(bad), None, "{bad}");
        }
        let own = FseClaims { document_types: types, ..claims(FseAction::Read) };
        let facts = |kind: &str, system: &str, code: &str| ResourceFacts {
            resource_type: kind.to_owned(),
            classes: vec![Code::new(system, code)],
            ..ResourceFacts::default()
        };
        assert!(own.names(&facts("DocumentReference", LOINC, "11502-2")));
        assert!(own.names(&facts("Composition", "urn:oid:2.16.840.1.113883.6.1", "11502-2")));
        assert!(!own.names(&facts("DocumentReference", LOINC, "60591-5")));
        assert!(!own.names(&facts("DocumentReference", "urn:else", "11502-2")));
        assert!(own.names(&facts("Observation", LOINC, "60591-5")));
    }

    #[test]
    fn without_the_patients_consent_staff_consults_in_emergencies_alone() {
        let asking = |role: &str, purpose: &str| {
            let requester = Requester {
                roles: vec![Code::new("", role)],
                purposes: vec![purpose_of_use(purpose).unwrap()],
                ..Requester::default()
            };
            FseRequest::of(&requester, &FseSystems::default())
        };
        let refused = FseClaims { patient_consent: false, ..claims(FseAction::Read) };
        assert!(!refused.may_consult(&asking("AAS", "TREATMENT")));
        assert!(!refused.may_consult(&asking("OAM", "ADMINISTRATIVE")));
        assert!(!refused.may_consult(&asking("nobody", "PERSONAL")));
        assert!(refused.may_consult(&asking("AAS", "EMERGENCY")));
        assert!(refused.may_consult(&asking("AAS", "PUBEMERGENCY")));
        assert!(refused.may_consult(&asking("ASS", "PERSONAL")));
        assert!(claims(FseAction::Read).may_consult(&asking("AAS", "TREATMENT")));
        assert_eq!(purpose_of_use("TREAT"), None);
    }
}
