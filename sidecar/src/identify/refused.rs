//! Why a caller is not known.

use varco_core::consent::fse::FseMismatch;

use super::ChainError;

/// Why a caller is not known. The text is for the operator; the caller only learns that the token is not accepted, or that
/// it should come back later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No `Authorization` header.
    #[error("the request carries no bearer token")]
    Absent,
    /// Several headers, another scheme, or too long.
    #[error("the Authorization header is not one bearer token of at most 16 KiB")]
    Malformed,
    /// Not a JWT.
    #[error("the token is not a signed JWT")]
    NotJwt,
    /// Another `iss`.
    #[error("the token is of no configured issuer")]
    UnknownIssuer,
    /// An extension that changes what the token means (RFC 7515 §4.1.11).
    #[error("the token's header demands an extension (`crit`) that is not understood")]
    Critical,
    /// The key isn't the issuer's.
    #[error("the token names a key that the issuer's key set doesn't hold")]
    UnknownKey,
    /// The algorithm doesn't fit the key, or isn't accepted.
    #[error("the token's algorithm is not one that its key and its issuer's configuration allow")]
    Algorithm,
    /// Signature, issuer, audience or times.
    #[error("the token is not valid: {0}")]
    Invalid(String),
    /// Made later than now.
    #[error("the token says that it was issued in the future")]
    Future,
    /// Expired since it was first checked.
    #[error("the token has expired")]
    Expired,
    /// Bound to another certificate.
    #[error("the token is bound to a client certificate that this connection doesn't show")]
    Certificate,
    /// Bound in a way that isn't checked here, such as DPoP.
    #[error("the token is bound to its sender (`cnf`) in a way that is not checked here; only x5t#S256 is")]
    Confirmation,
    /// A claim that can't be read as it is mapped.
    #[error("the token's claim {0} has not the form that it is read in")]
    Claim(String),
    /// Valid for longer than the issuer's tokens may be.
    #[error("the token is valid for longer than max_lifetime_seconds")]
    TooLong,
    /// A token that counts once, without an identifier.
    #[error("the token has no `jti`, and the issuer's tokens count once")]
    NoId,
    /// A token that was used before.
    #[error("the token was used before (`jti`), and the issuer's tokens count once")]
    Replayed,
    /// Too many tokens that count once.
    #[error("too many tokens that count once are remembered; none is forgotten before it expires")]
    ReplayMemory,
    /// A certificate chain that doesn't hold.
    #[error("the token is not signed by a certificate that counts: {0}")]
    Chain(ChainError),
    /// The second token of FSE 2.0.
    #[error("the request carries no FSE-JWT-Signature, or more than one, or too long a one")]
    NoSignature,
    /// The two tokens of FSE 2.0 are of different origin.
    #[error("Authorization and FSE-JWT-Signature differ in {0}")]
    Pair(&'static str),
    /// The request isn't the one that was signed.
    #[error("the request is not the one that FSE-JWT-Signature was made for: {0}")]
    Signed(FseMismatch),
    /// No keys to check with: nobody can be known.
    #[error(
        "the keys of the token's issuer are not at hand, or too old; the log says why they can't be read"
    )]
    NoKeys,
}

impl TokenError {
    /// True where the cause lies with this installation, and the same token may be good later.
    pub fn is_operational(&self) -> bool {
        matches!(self, TokenError::NoKeys | TokenError::ReplayMemory)
    }

    /// A word for metrics.
    pub fn name(&self) -> &'static str {
        match self {
            TokenError::Absent => "absent",
            TokenError::Malformed => "malformed",
            TokenError::NotJwt => "not-jwt",
            TokenError::UnknownIssuer => "issuer",
            TokenError::Critical => "critical-extension",
            TokenError::UnknownKey => "key",
            TokenError::Algorithm => "algorithm",
            TokenError::Invalid(_) => "invalid",
            TokenError::Future => "future",
            TokenError::Expired => "expired",
            TokenError::Certificate => "certificate",
            TokenError::Confirmation => "confirmation",
            TokenError::Claim(_) => "claim",
            TokenError::TooLong => "lifetime",
            TokenError::NoId => "no-jti",
            TokenError::Replayed => "replayed",
            TokenError::ReplayMemory => "replay-memory",
            TokenError::NoKeys => "no-keys",
            TokenError::Chain(_) => "chain",
            TokenError::NoSignature => "no-signature",
            TokenError::Pair(_) => "pair",
            TokenError::Signed(_) => "signed",
        }
    }
}
