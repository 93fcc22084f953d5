//! One issuer: its keys, and what its tokens must say (RFC 7519, RFC 9068; RFC 8725 for what to beware of).
//!
//! Invariant: a token is checked by this issuer's keys alone. What its header says about keys beside their identifier
//! (`jku`, `jwk`, `x5u`, `x5c`) is never looked at.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, Header, Validation, decode};
use serde::Deserialize;
use serde_json::Value;
use varco_core::interaction::Id;
use varco_core::requester::Requester;

use super::TokenError;
use super::key_source::{Held, KeySource, KeySourceError};
use super::token::Claims;
use super::{claim_map, replay};
use crate::config::{self, ClaimMap};

/// What a token came to.
pub(super) struct Accepted {
    pub requester: Arc<Requester>,
    /// Seconds since 1970.
    pub expires: u64,
    /// The certificate that it is bound to (RFC 8705), as `x5t#S256`.
    pub certificate: Option<String>,
    /// Of tokens that count once.
    pub once: Vec<[u8; 32]>,
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
    one_time: bool,
    longest: Option<u64>,
    map: ClaimMap,
}

impl Issuer {
    pub fn new(config: &config::Issuer, audience: &str) -> Result<Issuer, KeySourceError> {
        Ok(Issuer {
            name: config.issuer.clone(),
            keys: Arc::new(KeySource::new(config)?),
            leeway: config.leeway_seconds,
            audience: config.audience.as_deref().unwrap_or(audience).to_owned(),
            algorithms: config.algorithms.clone(),
            one_time: config.one_time,
            longest: config.longest(),
            map: config.claims.clone(),
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
        let said = decode::<Value>(token, &key.key, &validation)
            .map_err(|error| TokenError::Invalid(error.to_string()))?
            .claims;
        let claims = Claims::deserialize(&said).map_err(|error| TokenError::Invalid(error.to_string()))?;
        claims.check_times(now, self.leeway, self.longest)?;
        let once = match (self.one_time, &claims.jti) {
            (false, _) => Vec::new(),
            (true, Some(jti)) if !jti.is_empty() => vec![replay::id(&self.name, jti)],
            (true, _) => return Err(TokenError::NoId),
        };
        let (expires, generation) = (claims.exp, held.generation);
        let certificate = claims.certificate()?;
        let mut requester = claims.into_requester()?;
        claim_map::apply(&self.map, &said, &mut requester)?;
        requester.patient = patient(&said, self.map.patient.as_deref().unwrap_or("patient"))?;
        Ok(Accepted { expires, certificate, once, generation, requester: Arc::new(requester) })
    }

    /// True where what was accepted by keys of this generation still counts.
    pub fn still_holds(&self, generation: u64) -> bool {
        self.keys.current().is_some_and(|held| held.generation == generation)
    }
}

/// The patient in context: an id, or a reference to a Patient of this site. What is neither refuses the token, because
/// without it the token would not be confined.
fn patient(claims: &Value, name: &str) -> Result<Option<Id>, TokenError> {
    let Some(value) = claim_map::claim(claims, name) else { return Ok(None) };
    let text = value.as_str().map(|text| text.strip_prefix("Patient/").unwrap_or(text));
    let id = text.and_then(Id::parse);
    id.map(Some).ok_or_else(|| TokenError::Claim(name.to_owned()))
}
