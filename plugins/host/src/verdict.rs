//! What a plugin decides about a body.

use fhir_models::document::OwnedDocument;

/// What the gateway does with the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Go on with the body as it was.
    Pass,
    /// Go on with this body instead.
    Replace(Made),
    /// Stop the exchange.
    Refuse(Refusal),
}

/// A body that a plugin made, after the checks that blame it. Two are equal where their bytes are.
#[derive(Debug, Clone)]
pub enum Made {
    /// JSON, one object, as it was parsed for the checks.
    Json(OwnedDocument),
    /// Text of another media type.
    Text(Vec<u8>),
}

impl Made {
    /// The text, in UTF-8.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Json(document) => document.text().as_bytes(),
            Self::Text(text) => text,
        }
    }
}

impl PartialEq for Made {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Made {}

/// Why a plugin refuses an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The class of HTTP status that the plugin suggests.
    pub status_hint: StatusHint,
    /// A code of the FHIR R4 `issue-type` value set, for `OperationOutcome.issue.code`.
    pub code: String,
    /// What to change; printable, at most 512 bytes. It is the plugin author's text.
    pub diagnostics: String,
}

/// The class of HTTP status (RFC 9110, section 15.5) that a refusal suggests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusHint {
    /// The body can't be understood.
    BadRequest,
    /// The client may not do this.
    Forbidden,
    /// To the client, the thing doesn't exist.
    NotFound,
    /// The body contradicts the state of the server.
    Conflict,
    /// The body is understood but breaks a rule.
    Unprocessable,
}

impl StatusHint {
    /// The HTTP status code.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Unprocessable => 422,
        }
    }
}
