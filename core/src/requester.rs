//! Who asks: what the sidecar has established about a caller before any decision is made.
//!
//! Every field comes from a verified source (token, client certificate); nothing the caller merely claims
//! in a header stands here.

use crate::consent::fse::FseClaims;
use crate::interaction::Id;

/// A code in a system: R4 `Coding` without display.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code {
    /// The code system's URI; empty where none was given.
    pub system: String,
    /// The code.
    pub code: String,
}

impl Code {
    /// A code in a system.
    pub fn new(system: impl Into<String>, code: impl Into<String>) -> Code {
        Code { system: system.into(), code: code.into() }
    }
}

/// A business identifier: R4 `Identifier.system` and `.value`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BusinessIdentifier {
    /// The namespace's URI; empty where none was given.
    pub system: String,
    /// The value, as it is written in that namespace.
    pub value: String,
}

impl BusinessIdentifier {
    /// An identifier in a namespace.
    pub fn new(system: impl Into<String>, value: impl Into<String>) -> BusinessIdentifier {
        BusinessIdentifier { system: system.into(), value: value.into() }
    }
}

/// What a caller has been granted, or has certified, beside scopes and consents (FSE 2.0).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grants {
    /// How many self-certifications of an emergency the caller has given.
    pub self_certifications: u8,
    /// The patient has delegated the caller to consult.
    pub may_consult: bool,
    /// The patient has delegated the caller to use services.
    pub may_use_services: bool,
}

/// The caller of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requester {
    /// The OAuth client or certificate subject: the application that calls.
    pub client_id: String,
    /// The person or system behind the call, where the token names one (IHE IUA `subject_id`, JWT `sub`).
    pub subject: Option<BusinessIdentifier>,
    /// The name of the person, for the audit record alone.
    pub subject_name: Option<String>,
    /// The functional roles of the person (IHE IUA `subject_role`).
    pub roles: Vec<Code>,
    /// The organisation on whose behalf the call is made (IHE IUA `subject_organization_id`).
    pub organizations: Vec<BusinessIdentifier>,
    /// The names of those organisations, for the audit record alone (IHE IUA `subject_organization`).
    pub organization_names: Vec<String>,
    /// The community that the call comes from, for the audit record alone (IHE IUA `home_community_id`).
    pub home_community: Option<String>,
    /// The purposes of use (IHE IUA `purpose_of_use`; v3-PurposeOfUse).
    pub purposes: Vec<Code>,
    /// The token's identifier (`jti`), for the audit record alone.
    pub token_id: Option<String>,
    /// The patient in context, where the token is for one patient's data (SMART App Launch, claim `patient`): the
    /// logical id at this site.
    pub patient: Option<Id>,
    /// The only patient whom the request may be about (IHE IUA and FSE 2.0 `person_id`).
    pub person: Option<BusinessIdentifier>,
    /// What the caller has signed of this request, where the tokens are those of FSE 2.0.
    pub fse: Option<FseClaims>,
    /// Why, in the caller's words: what an emergency is to be reviewed by. For the audit record and the review alone.
    pub reason: Option<String>,
    /// When the token was issued, in seconds since 1970.
    pub issued: Option<u64>,
    /// What the caller has been granted or has certified.
    pub grants: Grants,
    /// SMART scopes, one each.
    pub scopes: Vec<String>,
    /// SHA-256 of the client certificate, in lower-case hexadecimal, where the connection has one.
    pub certificate: Option<String>,
}
