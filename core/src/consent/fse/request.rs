//! Who asks, in the words of FSE.

use super::FseSystems;
use crate::consent::is_emergency;
use crate::requester::Requester;

/// A role of FSE (`subject_role`), as far as the rules tell roles apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FseRole {
    /// `ASS`: the patient.
    Patient,
    /// `GEN`: a parent.
    Parent,
    /// `TUT`: a guardian.
    Guardian,
    /// `ING`: a delegate.
    Delegate,
    /// `OAM`: administrative staff.
    Administrative,
    /// Any other role that FSE knows: doctors, nurses, pharmacists, systems.
    Staff,
}

/// The roles that are [`FseRole::Staff`].
const STAFF: &[&str] = &[
    "AAS", "APR", "PSS", "INF", "FAR", "DSA", "DAM", "NOR", "DRS", "RSA", "MRP", "INI", "OGC", "OPI", "MDS",
    "GTW", "DAP",
];

impl FseRole {
    /// The role with this code; `None` where FSE has none.
    pub fn of_code(code: &str) -> Option<FseRole> {
        Some(match code {
            "ASS" => FseRole::Patient,
            "GEN" => FseRole::Parent,
            "TUT" => FseRole::Guardian,
            "ING" => FseRole::Delegate,
            "OAM" => FseRole::Administrative,
            staff if STAFF.contains(&staff) => FseRole::Staff,
            _ => return None,
        })
    }
}

/// Who asks, and with what in hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FseRequest {
    /// The caller's roles; empty where none is stated, or one that FSE does not know.
    pub roles: Vec<FseRole>,
    /// True where a purpose claimed is an emergency.
    pub emergency: bool,
    /// How many self-certifications the caller has given for this emergency.
    pub self_certifications: u8,
    /// A delegate's delegation to consult.
    pub may_consult: bool,
    /// A delegate's delegation for services.
    pub may_use_services: bool,
}

impl FseRequest {
    /// By the roles and purposes of a requester.
    pub fn of(requester: &Requester, systems: &FseSystems) -> FseRequest {
        let counts = |system: &String| systems.roles.is_empty() || systems.roles.contains(system);
        let own = requester.roles.iter().filter(|role| counts(&role.system));
        let roles: Option<Vec<FseRole>> = own.map(|role| FseRole::of_code(&role.code)).collect();
        let emergency = is_emergency(requester);
        let grants = requester.grants;
        FseRequest {
            roles: roles.unwrap_or_default(),
            emergency,
            self_certifications: grants.self_certifications,
            may_consult: grants.may_consult,
            may_use_services: grants.may_use_services,
        }
    }
}
