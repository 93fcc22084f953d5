//! Refusals: a status and an OperationOutcome (FHIR R4 §2.40).

use fhir_models::document::JsonWriter;
use http::StatusCode;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// The code (<http://hl7.org/fhir/ValueSet/issue-type>).
    pub(super) code: &'static str,
    /// What is wrong and what would be right.
    pub(super) diagnostics: String,
    /// The element at fault, as FHIRPath.
    pub(super) expression: Option<String>,
    /// The `Allow` header that a 405 must carry (RFC 9110 §15.5.6).
    pub(super) allow: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, diagnostics: impl Into<String>) -> Refusal {
        Refusal { status, code, diagnostics: diagnostics.into(), expression: None, allow: None }
    }

    pub(super) fn bad_request(code: &'static str, diagnostics: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, code, diagnostics)
    }

    pub(super) fn not_found(diagnostics: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "not-found", diagnostics)
    }

    pub(super) fn method_not_allowed(allow: &'static str) -> Refusal {
        let text = format!("this method is not supported here; supported are {allow}");
        Refusal { allow: Some(allow), ..Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "not-supported", text) }
    }

    pub(super) fn at(self, expression: impl Into<String>) -> Refusal {
        Refusal { expression: Some(expression.into()), ..self }
    }

    /// The OperationOutcome as JSON.
    pub(super) fn body(&self) -> Vec<u8> {
        outcome("error", self.code, &self.diagnostics, self.expression.as_deref())
    }
}

/// An OperationOutcome with one issue.
pub(super) fn outcome(severity: &str, code: &str, diagnostics: &str, expression: Option<&str>) -> Vec<u8> {
    let mut json = JsonWriter::new();
    json.begin_object().member("resourceType", "OperationOutcome").key("issue").begin_array().begin_object();
    json.member("severity", severity).member("code", code).member("diagnostics", diagnostics);
    if let Some(expression) = expression {
        json.key("expression").begin_array().string(expression).end_array();
    }
    json.end_object().end_array().end_object();
    json.into_bytes()
}
