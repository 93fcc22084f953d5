//! Why a document can't be compiled into a consent.

/// Why a document can't be compiled. The cure for the caller is the same for all: keep the patient's data
/// closed ([`super::CompiledConsent::unreadable`]) and tell the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConsentError {
    /// Another resource, or no resource.
    #[error("not a Consent: `resourceType` must be `Consent`")]
    NotConsent,
    /// Nested too deeply.
    #[error("provisions are nested more than {0} levels deep; express the exceptions side by side")]
    TooDeep(usize),
    /// Too many rules.
    #[error("more than {0} provisions in one consent; split it")]
    TooManyProvisions(usize),
    /// Too many alternatives.
    #[error(
        "more than {0} conditions in one consent; name a class, a code or a label instead of each resource"
    )]
    TooManyConditions(usize),
}
