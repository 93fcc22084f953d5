//! One issuer: its keys, and what its tokens must say (RFC 7519, RFC 9068; RFC 8725 for what to beware of).
//!
//! Invariant: a token is checked by this issuer's keys alone. What its header says about keys beside their identifier
//! (`jku`, `jwk`, `x5u`, `x5c`) is never looked at.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, Header, Validation, decode};
use varco_core::requester::Requester;

use super::TokenError;
use super::key_source::{Held, KeySource, KeySourceError};
use super::token::Claims;
use crate::config;

/// What a token came to.
pub(super) struct Accepted {
    pub requester: Requester,
    /// Seconds since 1970.
    pub expires: u64,
    /// The certificate that it is bound to (RFC 8705), as `x5t#S256`.
    pub certificate: Option<String>,
    /// Of the keys it was checked by.
    pub generation: u64,
}

/// Checks the tokens of one issuer.
pub(super) struct Issuer {
    pub name: String,
    pub keys: Arc<KeySource>,
    pub leeway: u64,
    audience: String,
    algorithms: Vec<Algorithm>,
}

impl Issuer {
    pub fn new(config: &config::Issuer, audience: &str) -> Result<Issuer, KeySourceError> {
        Ok(Issuer {
            name: config.issuer.clone(),
            keys: Arc::new(KeySource::new(config)?),
            leeway: config.leeway_seconds,
            audience: config.audience.as_deref().unwrap_or(audience).to_owned(),
            algorithms: config.algorithms.clone(),
        })
    }

    /// Checks a token; a key that isn't known makes the keys be read anew, once. `now` is in seconds since 1970.
    pub async fn check(&self, token: &str, header: &Header, now: u64) -> Result<Accepted, TokenError> {
        if header.crit.is_some() {
            return Err(TokenError::Critical);
        }
        let held = self.keys.current();
        let refused = match &held {
            Some(held) => match self.check_by(held, token, header, now) {
                Err(TokenError::UnknownKey) => TokenError::UnknownKey,
                decided => return decided,
            },
            None => TokenError::NoKeys,
        };
        let seen = held.map(|held| held.generation);
        match self.keys.newer_than(seen).await {
            Some(held) => self.check_by(&held, token, header, now),
            None => Err(refused),
        }
    }

    fn check_by(&self, held: &Held, token: &str, header: &Header, now: u64) -> Result<Accepted, TokenError> {
        let mut named = held.keys.find(header.kid.as_deref()).peekable();
        named.peek().ok_or(TokenError::UnknownKey)?;
        let listed = self.algorithms.is_empty() || self.algorithms.contains(&header.alg);
        let key = named.find(|key| listed && key.algorithms.contains(&header.alg));
        let key = key.ok_or(TokenError::Algorithm)?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = self.leeway;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.name]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let claims = decode::<Claims>(token, &key.key, &validation)
            .map_err(|error| TokenError::Invalid(error.to_string()))?
            .claims;
        if claims.iat.is_some_and(|issued| issued > now.saturating_add(self.leeway)) {
            return Err(TokenError::Future);
        }
        let certificate = claims.confirmation.as_ref().and_then(|cnf| cnf.certificate.clone());
        Ok(Accepted {
            expires: claims.exp,
            certificate,
            generation: held.generation,
            requester: claims.into_requester(),
        })
    }

    /// True where what was accepted by keys of this generation still counts.
    pub fn still_holds(&self, generation: u64) -> bool {
        self.keys.current().is_some_and(|held| held.generation == generation)
    }
}
