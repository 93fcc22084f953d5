//! A word for each refusal, for metrics and traces: what the operator counts, never what the caller wrote.
//!
//! Hidden and absent are one word, as they are one refusal.

use super::Refusal;
use crate::upstream::UpstreamError;

impl Refusal {
    /// The word.
    pub(super) fn word(&self) -> &'static str {
        match self.cause() {
            Refusal::Unauthorized(_) => "token",
            Refusal::Scope => "scope",
            Refusal::Absent => "absent",
            Refusal::Consent => "consent",
            Refusal::Policy(_) => "policy",
            Refusal::Interaction(_) => "interaction",
            Refusal::NotServed(_) => "not-served",
            Refusal::Framing(_) => "framing",
            Refusal::Body { too_large: true, .. } => "body-too-large",
            Refusal::Body { .. } => "body",
            Refusal::BodyTimeout => "body-timeout",
            Refusal::BodyBroken => "body-broken",
            Refusal::Rate(_) => "rate",
            Refusal::Quota(_) => "quota",
            Refusal::Shed(_) => "shed",
            Refusal::TooBroad(_) => "too-broad",
            Refusal::PageLink => "page-link",
            Refusal::Plugin { .. } => "plugin",
            Refusal::PluginFailed(_) => "plugin-failed",
            Refusal::UpstreamRefused { .. } => "upstream-refused",
            Refusal::Upstream(error) => match error {
                UpstreamError::Unreachable(_) => "upstream-unreachable",
                UpstreamError::Timeout(_) => "upstream-timeout",
                UpstreamError::NoHead(_) => "upstream-no-head",
                UpstreamError::Stalled(_) => "upstream-stalled",
                UpstreamError::Busy { .. } => "upstream-busy",
                UpstreamError::Resting { .. } => "upstream-resting",
                UpstreamError::Framing(_) => "upstream-framing",
                UpstreamError::TooLarge(_) => "upstream-too-large",
                UpstreamError::NotFhir(_) => "upstream-not-fhir",
                UpstreamError::Status(_) => "upstream-status",
                UpstreamError::Request(_) => "upstream-request",
                UpstreamError::Caller(_) => "body",
            },
            Refusal::InvalidRequest(_) => "invalid-request",
            Refusal::InvalidResponse { .. } => "invalid-response",
            Refusal::UnknownMap => "unknown-map",
            Refusal::Unmapped { .. } | Refusal::NotMapped(_) => "unmapped",
            Refusal::MapFailed { .. } => "map-failed",
            Refusal::Store(_) => "store",
            Refusal::ConsentResource(_) => "consent-resource",
            Refusal::Internal => "internal",
            Refusal::TooMuchAnswer => "too-much-answer",
            Refusal::Patch(_) => "patch",
            Refusal::Several => "several",
            Refusal::Unmatched => "unmatched",
            Refusal::NoTransactions => "no-transactions",
            // The cause of an entry stands for it.
            Refusal::Entry { .. } => "entry",
            Refusal::Version => "version",
            Refusal::UnclearPath => "path",
            Refusal::NotPassed(_) => "method",
            Refusal::OldProtocol => "old-protocol",
        }
    }
}
