//! Who may see what: scopes, compartments, labels, and taking out what may not be seen.

mod nested;
mod redact;
mod scopes;

pub use nested::{NestedResource, resources};
pub use redact::{
    BundleRules, Candidate, RedactError, RedactedBundle, Total, Verdict, redact_bundle, redact_resource,
};
pub use scopes::{Scope, ScopeContext, ScopeDecision, Scopes};
