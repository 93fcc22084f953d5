//! Who calls: bearer tokens checked against the issuer's keys (RFC 6750, RFC 9068, IHE IUA).
//!
//! Invariant: a [`Requester`] is made only from a token whose signature, issuer, audience and times hold,
//! and whose certificate binding (RFC 8705), where it has one, is that of the connection.

pub mod keys;
mod token;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jsonwebtoken::{Validation, decode, decode_header};
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use varco_core::requester::Requester;

use keys::{Keys, KeysError};
use token::Claims;

/// Longest token that is looked at, in bytes.
const LONGEST_TOKEN: usize = 16 * 1024;
/// How many checked tokens are remembered.
const REMEMBERED: u64 = 10_000;
/// How long a checked token is remembered at most, in seconds; its own expiry is asked again each time.
const REMEMBERED_SECONDS: u64 = 60;

/// Why a caller is not known. The text is for the operator; the caller only learns that the token is not accepted.
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
    /// The key isn't the issuer's.
    #[error("the token names a key that the issuer's key set doesn't hold")]
    UnknownKey,
    /// The algorithm doesn't fit the key.
    #[error("the token's algorithm is not one that its key allows")]
    Algorithm,
    /// Signature, issuer, audience or times.
    #[error("the token is not valid: {0}")]
    Invalid(String),
    /// Expired since it was first checked.
    #[error("the token has expired")]
    Expired,
    /// Bound to another certificate.
    #[error("the token is bound to a client certificate that this connection doesn't show")]
    Certificate,
}

struct Accepted {
    requester: Requester,
    expires: u64,
    certificate: Option<String>,
}

/// Checks bearer tokens.
pub struct TokenGate {
    keys: Keys,
    issuer: String,
    audience: String,
    leeway: u64,
    accepted: Cache<[u8; 32], Arc<Accepted>>,
}

impl TokenGate {
    /// A gate for one issuer and audience, with the keys in the file `jwks`.
    pub fn new(jwks: &Path, issuer: &str, audience: &str, leeway: u64) -> Result<TokenGate, KeysError> {
        let accepted = Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_live(Duration::from_secs(REMEMBERED_SECONDS))
            .build();
        let (issuer, audience) = (issuer.to_owned(), audience.to_owned());
        Ok(TokenGate { keys: Keys::load(jwks)?, issuer, audience, leeway, accepted })
    }

    /// The caller behind a request. `now` is in seconds since 1970; `certificate` is the SHA-256 of the client
    /// certificate's DER, if the connection has one.
    pub fn identify(
        &self,
        headers: &HeaderMap,
        certificate: Option<&[u8; 32]>,
        now: u64,
    ) -> Result<Requester, TokenError> {
        let token = bearer(headers)?;
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let accepted = match self.accepted.get(&digest) {
            Some(accepted) => accepted,
            None => {
                let accepted = Arc::new(self.check(token)?);
                self.accepted.insert(digest, accepted.clone());
                accepted
            }
        };
        if now > accepted.expires.saturating_add(self.leeway) {
            return Err(TokenError::Expired);
        }
        if let Some(bound) = &accepted.certificate {
            let shown = certificate.map(token::thumbprint);
            if shown.as_ref() != Some(bound) {
                return Err(TokenError::Certificate);
            }
        }
        let mut requester = accepted.requester.clone();
        requester.certificate =
            certificate.map(|digest| digest.iter().map(|byte| format!("{byte:02x}")).collect());
        Ok(requester)
    }

    fn check(&self, token: &str) -> Result<Accepted, TokenError> {
        let header = decode_header(token).map_err(|_| TokenError::NotJwt)?;
        let key = self.keys.find(header.kid.as_deref()).ok_or(TokenError::UnknownKey)?;
        if !key.algorithms.contains(&header.alg) {
            return Err(TokenError::Algorithm);
        }
        let mut validation = Validation::new(header.alg);
        validation.leeway = self.leeway;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let claims = decode::<Claims>(token, &key.key, &validation)
            .map_err(|error| TokenError::Invalid(error.to_string()))?
            .claims;
        let certificate = claims.confirmation.as_ref().and_then(|cnf| cnf.certificate.clone());
        Ok(Accepted { expires: claims.exp, certificate, requester: claims.into_requester() })
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, TokenError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(TokenError::Absent)?;
    if values.next().is_some() {
        return Err(TokenError::Malformed);
    }
    let text = value.to_str().map_err(|_| TokenError::Malformed)?;
    let (scheme, token) = text.split_once(' ').ok_or(TokenError::Malformed)?;
    let fits = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= LONGEST_TOKEN;
    if fits { Ok(token.trim()) } else { Err(TokenError::Malformed) }
}
