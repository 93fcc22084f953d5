//! Who calls: bearer tokens checked against their issuer's keys (RFC 6750, RFC 9068, IHE IUA).
//!
//! Invariant: a [`Requester`] is made only from a token whose signature, issuer, audience and times hold,
//! and whose certificate binding (RFC 8705), where it has one, is that of the connection. A token is remembered for a
//! while, and no longer than the keys it was checked by.

mod claim_map;
mod issuer;
pub mod key_source;
pub mod keys;
mod refused;
mod replay;
mod token;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jsonwebtoken::decode_header;
use metrics::{counter, gauge};
use moka::sync::Cache;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use varco_core::requester::Requester;

use crate::config::Config;
use issuer::{Accepted, Issuer};
use key_source::{KeySource, KeySourceError};
pub use refused::TokenError;
use replay::Replay;

/// Longest token that is looked at, in bytes.
const LONGEST_TOKEN: usize = 16 * 1024;
/// How many checked tokens are remembered.
const REMEMBERED: u64 = 10_000;
/// How long a checked token is remembered at most, in seconds; its own expiry is asked again each time.
const REMEMBERED_SECONDS: u64 = 60;

/// An issuer whose keys can't be used.
#[derive(Debug, thiserror::Error)]
#[error("the keys of {issuer} can't be used: {cause}")]
pub struct TokenSetupError {
    /// The issuer.
    pub issuer: String,
    /// Why.
    pub cause: KeySourceError,
}

/// Checks bearer tokens.
pub struct TokenGate {
    issuers: Vec<Issuer>,
    accepted: Cache<[u8; 32], Arc<(usize, Accepted)>>,
    replay: Replay,
}

/// What says whose the token is, before anything of it is believed.
#[derive(Deserialize)]
struct Origin {
    iss: String,
}

impl TokenGate {
    /// A gate for the configured issuers.
    pub fn new(config: &Config) -> Result<TokenGate, TokenSetupError> {
        let issuers = config.issuers().map(|own| {
            Issuer::new(own, config.site.base())
                .map_err(|cause| TokenSetupError { issuer: own.issuer.clone(), cause })
        });
        let accepted = Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_live(Duration::from_secs(REMEMBERED_SECONDS))
            .build();
        Ok(TokenGate { issuers: issuers.collect::<Result<_, _>>()?, accepted, replay: Replay::new() })
    }

    /// The caller behind a request. `now` is in seconds since 1970; `certificate` is the SHA-256 of the client
    /// certificate's DER, if the connection has one.
    pub async fn identify(
        &self,
        headers: &HeaderMap,
        certificate: Option<&[u8; 32]>,
        now: u64,
    ) -> Result<Requester, TokenError> {
        let identified = self.identified(headers, certificate, now).await;
        if let Err(error) = &identified {
            counter!("varco_tokens_refused_total", "cause" => error.name()).increment(1);
        }
        identified
    }

    async fn identified(
        &self,
        headers: &HeaderMap,
        certificate: Option<&[u8; 32]>,
        now: u64,
    ) -> Result<Requester, TokenError> {
        let token = bearer(headers)?;
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let remembered = self.accepted.get(&digest).filter(|known| {
            self.issuers.get(known.0).is_some_and(|issuer| issuer.still_holds(known.1.generation))
        });
        let accepted = match remembered {
            Some(accepted) => accepted,
            None => {
                let accepted = Arc::new(self.check(token, now).await?);
                self.accepted.insert(digest, accepted.clone());
                accepted
            }
        };
        let (issuer, accepted) = (self.issuers.get(accepted.0), &accepted.1);
        let leeway = issuer.map_or(0, |issuer| issuer.leeway);
        if now > accepted.expires.saturating_add(leeway) {
            return Err(TokenError::Expired);
        }
        if let Some(bound) = &accepted.certificate {
            let shown = certificate.map(token::thumbprint);
            if shown.as_ref() != Some(bound) {
                return Err(TokenError::Certificate);
            }
        }
        // Last of all: what is refused for another cause is not used up.
        if let Some(id) = accepted.once {
            self.replay.take(id, accepted.expires.saturating_add(leeway), now)?;
        }
        let mut requester = accepted.requester.clone();
        requester.certificate =
            certificate.map(|digest| digest.iter().map(|byte| format!("{byte:02x}")).collect());
        Ok(requester)
    }

    async fn check(&self, token: &str, now: u64) -> Result<(usize, Accepted), TokenError> {
        let header = decode_header(token).map_err(|_| TokenError::NotJwt)?;
        let name = origin(token).ok_or(TokenError::NotJwt)?;
        let mut issuers = self.issuers.iter().enumerate();
        let (at, issuer) = issuers.find(|(_, own)| own.name == name).ok_or(TokenError::UnknownIssuer)?;
        Ok((at, issuer.check(token, &header, now).await?))
    }

    /// Where each issuer's keys come from, to be watched.
    pub fn key_sources(&self) -> impl Iterator<Item = &Arc<KeySource>> {
        self.issuers.iter().map(|issuer| &issuer.keys)
    }

    /// The issuers whose keys are not at hand or too old, and how many issuers there are.
    pub fn without_keys(&self) -> (Vec<&str>, usize) {
        let without = self.issuers.iter().filter(|issuer| issuer.keys.current().is_none());
        (without.map(|issuer| issuer.name.as_str()).collect(), self.issuers.len())
    }

    /// Sets the gauges, before metrics are rendered.
    pub fn observe(&self) {
        self.key_sources().for_each(|source| source.observe());
        gauge!("varco_tokens_once_remembered").set(self.replay.len() as f64);
    }
}

/// The issuer that a token claims to be of.
fn origin(token: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Origin>(&claims).ok().map(|origin| origin.iss)
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
