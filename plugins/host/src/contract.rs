//! The host's side of the WIT package `varco:plugin@0.2.0`: names, and the types that cross the boundary.
//!
//! Invariant: names, field order and case order are those of `plugins/wit/varco-plugin.wit`; the engine compares them
//! with the component's when it is loaded.

use wasmtime::component::{ComponentType, Lift, Lower};

use crate::{Grant, Hook, Refusal, StatusHint};

/// The version of the contract that this gateway speaks.
pub const VERSION: &str = "0.2.0";
/// The interface that holds only types. Every component may import it.
pub const TYPES: &str = "varco:plugin/types@0.2.0";
/// What the names of the contract start with, in any version.
pub const PACKAGE: &str = "varco:plugin/";

/// The longest `diagnostics` of a refusal, in bytes.
const DIAGNOSTICS_BYTES: usize = 512;

/// The FHIR R4 `issue-type` value set (http://hl7.org/fhir/ValueSet/issue-type).
const ISSUE_TYPES: [&str; 31] = [
    "invalid",
    "structure",
    "required",
    "value",
    "invariant",
    "security",
    "login",
    "unknown",
    "expired",
    "forbidden",
    "suppressed",
    "processing",
    "not-supported",
    "duplicate",
    "multiple-matches",
    "not-found",
    "deleted",
    "too-long",
    "code-invalid",
    "extension",
    "too-costly",
    "business-rule",
    "conflict",
    "transient",
    "lock-error",
    "no-store",
    "exception",
    "timeout",
    "incomplete",
    "throttled",
    "informational",
];

impl Grant {
    /// The interface that the grant opens.
    pub(crate) fn interface(self) -> String {
        format!("{PACKAGE}{}@{VERSION}", self.as_str())
    }
}

impl Hook {
    /// The interface that the component must export.
    pub(crate) fn interface(self) -> &'static str {
        match self {
            Self::Request => "varco:plugin/request-hook@0.2.0",
            Self::Response => "varco:plugin/response-hook@0.2.0",
            Self::Transform => "varco:plugin/transform-hook@0.2.0",
            Self::Enrich => "varco:plugin/enrichment-hook@0.2.0",
        }
    }

    /// The function in that interface.
    pub(crate) fn function(self) -> &'static str {
        match self {
            Self::Request => "on-request",
            Self::Response => "on-response",
            Self::Transform => "transform",
            Self::Enrich => "enrich",
        }
    }

    fn direction(self) -> WitDirection {
        match self {
            Self::Request => WitDirection::Request,
            Self::Response | Self::Transform | Self::Enrich => WitDirection::Response,
        }
    }
}

/// What the plugin is told about the exchange. It holds no token and nothing that identifies a patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// The FHIR interaction by its code (R4 `restful-interaction`): `read`, `search-type`, `create` ...
    pub interaction: &'a str,
    /// The resource type that the interaction addresses; none for whole-system interactions.
    pub resource_type: Option<&'a str>,
    /// The route's name in the configuration.
    pub route: &'a str,
    /// The client's role codes.
    pub roles: &'a [&'a str],
    /// The client's purpose-of-use codes.
    pub purposes: &'a [&'a str],
    /// The body's media type without parameters.
    pub content_type: &'a str,
    /// The exchange's place in its trace, as the header `traceparent` has it (W3C Trace Context, section 3.2).
    pub traceparent: Option<&'a str>,
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum WitDirection {
    #[component(name = "request")]
    Request,
    #[component(name = "response")]
    Response,
}

#[derive(Clone, ComponentType, Lower)]
#[component(record)]
pub struct WitContext<'a> {
    direction: WitDirection,
    interaction: &'a str,
    #[component(name = "resource-type")]
    resource_type: Option<&'a str>,
    route: &'a str,
    roles: &'a [&'a str],
    purposes: &'a [&'a str],
    #[component(name = "content-type")]
    content_type: &'a str,
    traceparent: Option<&'a str>,
}

impl<'a> WitContext<'a> {
    pub fn new(hook: Hook, context: &Context<'a>) -> Self {
        Self {
            direction: hook.direction(),
            interaction: context.interaction,
            resource_type: context.resource_type,
            route: context.route,
            roles: context.roles,
            purposes: context.purposes,
            content_type: context.content_type,
            traceparent: context.traceparent,
        }
    }
}

// The engine makes these from a component's bytes, which the compiler doesn't see.
#[allow(dead_code)]
#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum WitStatusHint {
    #[component(name = "bad-request")]
    BadRequest,
    #[component(name = "forbidden")]
    Forbidden,
    #[component(name = "not-found")]
    NotFound,
    #[component(name = "conflict")]
    Conflict,
    #[component(name = "unprocessable")]
    Unprocessable,
}

#[derive(Clone, ComponentType, Lift)]
#[component(record)]
pub struct WitRefusal {
    #[component(name = "status-hint")]
    status_hint: WitStatusHint,
    code: String,
    diagnostics: String,
}

#[derive(Clone, ComponentType, Lift)]
#[component(variant)]
pub enum WitVerdict {
    #[component(name = "pass")]
    Pass,
    #[component(name = "replace")]
    Replace(Vec<u8>),
    #[component(name = "refuse")]
    Refuse(WitRefusal),
}

/// A value to add to a resource.
#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub struct WitAddition {
    pub path: String,
    pub value: Vec<u8>,
}

#[cfg(test)]
impl WitAddition {
    pub fn of(path: &str, value: &str) -> Self {
        Self { path: path.to_owned(), value: value.as_bytes().to_vec() }
    }
}

impl From<WitRefusal> for Refusal {
    fn from(refusal: WitRefusal) -> Self {
        let status_hint = match refusal.status_hint {
            WitStatusHint::BadRequest => StatusHint::BadRequest,
            WitStatusHint::Forbidden => StatusHint::Forbidden,
            WitStatusHint::NotFound => StatusHint::NotFound,
            WitStatusHint::Conflict => StatusHint::Conflict,
            WitStatusHint::Unprocessable => StatusHint::Unprocessable,
        };
        // A plugin that refuses with a wrong code still refuses.
        let known = ISSUE_TYPES.iter().any(|code| *code == refusal.code);
        let code = if known { refusal.code } else { "processing".to_owned() };
        Self { status_hint, code, diagnostics: printable(&refusal.diagnostics, DIAGNOSTICS_BYTES) }
    }
}

/// At most `limit` bytes of `text`, on one line: control characters become spaces.
pub fn printable(text: &str, limit: usize) -> String {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let kept = text.get(..end).unwrap_or_default();
    kept.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: &str, diagnostics: &str) -> Refusal {
        WitRefusal {
            status_hint: WitStatusHint::Forbidden,
            code: code.to_owned(),
            diagnostics: diagnostics.to_owned(),
        }
        .into()
    }

    #[test]
    fn an_unknown_issue_type_still_refuses() {
        assert_eq!(refusal("business-rule", "").code, "business-rule");
        assert_eq!(refusal("because", "").code, "processing");
        assert_eq!(refusal("because", "").status_hint.status(), 403);
    }

    #[test]
    fn text_from_a_plugin_is_one_short_line() {
        assert_eq!(refusal("value", "a\r\nb\u{1b}[2J").diagnostics, "a  b [2J");
        assert_eq!(printable("èèè", 5), "èè");
        assert_eq!(printable("", 5), "");
        assert_eq!(refusal("value", &"x".repeat(2000)).diagnostics.len(), 512);
    }
}
