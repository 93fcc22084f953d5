//! Who calls: bearer tokens checked against their issuer's keys (RFC 6750, RFC 9068, IHE IUA).
//!
//! Invariant: a [`Requester`] is made only from a token whose signature, issuer, audience and times hold,
//! and whose certificate binding (RFC 8705), where it has one, is that of the connection. A token is remembered for a
//! while, and no longer than the keys it was checked by. Callers of FSE 2.0 come with two tokens ([`fse`]).

mod chain;
mod claim_map;
mod fse;
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

use crate::cache::Counted;
use crate::config::{Config, IssuerKind};
use crate::hexadecimal;
use crate::listen::tls::TlsError;
pub(crate) use chain::Authorities;
pub use chain::ChainError;
use fse::FseIssuer;
use issuer::{Accepted, Issuer};
use key_source::{KeySource, KeySourceError};
pub use refused::TokenError;
pub(crate) use replay::Replay;

/// Longest token that is looked at, in bytes.
const LONGEST_TOKEN: usize = 16 * 1024;
/// How many checked tokens are remembered.
const REMEMBERED: u64 = 10_000;
/// How long a checked token is remembered at most, in seconds; its own expiry is asked again each time.
const REMEMBERED_SECONDS: u64 = 60;

/// An issuer whose keys can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenSetupError {
    /// Its key set.
    #[error("the keys of {issuer} can't be used: {cause}")]
    Keys {
        /// The issuer.
        issuer: String,
        /// Why.
        cause: KeySourceError,
    },
    /// The authorities of an issuer of kind `fse`.
    #[error("the authorities of {issuer} can't be used: {cause}")]
    Authorities {
        /// The issuer.
        issuer: String,
        /// Why.
        cause: TlsError,
    },
}

/// Checks bearer tokens.
pub struct TokenGate {
    issuers: Vec<Issuer>,
    fse: Vec<FseIssuer>,
    accepted: Counted<[u8; 32], Arc<(By, Accepted)>>,
    replay: Arc<Replay>,
}

/// Who checked a token: its place in the gate's lists.
#[derive(Clone, Copy)]
enum By {
    Keys(usize),
    Certificates(usize),
}

/// What says whose the token is, before anything of it is believed.
#[derive(Deserialize)]
struct Origin {
    iss: String,
}

impl TokenGate {
    /// A gate for the configured issuers; `replay` holds the tokens that count once and were seen.
    pub(crate) fn new(config: &Config, replay: Arc<Replay>) -> Result<TokenGate, TokenSetupError> {
        let base = config.site.base();
        let of_kind = |kind| config.issuers().filter(move |own| own.kind == kind);
        let issuers = of_kind(IssuerKind::Jwks).map(|own| {
            Issuer::new(own, base)
                .map_err(|cause| TokenSetupError::Keys { issuer: own.issuer.clone(), cause })
        });
        let fse = of_kind(IssuerKind::Fse).map(|own| {
            FseIssuer::new(own, base)
                .map_err(|cause| TokenSetupError::Authorities { issuer: own.issuer.clone(), cause })
        });
        let remembered =
            Cache::builder().max_capacity(REMEMBERED).time_to_live(Duration::from_secs(REMEMBERED_SECONDS));
        let accepted = Counted::new("tokens", remembered);
        let (issuers, fse) = (issuers.collect::<Result<_, _>>()?, fse.collect::<Result<_, _>>()?);
        Ok(TokenGate { issuers, fse, accepted, replay })
    }

    /// The tokens that count once, as far as they were seen.
    pub(crate) fn once(&self) -> Arc<Replay> {
        self.replay.clone()
    }

    /// The caller behind a request. `now` is in seconds since 1970; `certificate` is the SHA-256 of the client
    /// certificate's DER, if the connection has one.
    pub async fn identify(
        &self,
        headers: &HeaderMap,
        certificate: Option<&[u8; 32]>,
        now: u64,
    ) -> Result<Arc<Requester>, TokenError> {
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
    ) -> Result<Arc<Requester>, TokenError> {
        let token = bearer(headers)?;
        let signature = if self.fse.is_empty() { None } else { fse::signature(headers) };
        let digest: [u8; 32] = [Some(token), signature]
            .into_iter()
            .flatten()
            .fold(Sha256::new(), |digest, part| digest.chain_update(part).chain_update(b" "))
            .finalize()
            .into();
        let remembered = self.accepted.get(&digest).filter(|known| match known.0 {
            By::Keys(at) => self.issuers.get(at).is_some_and(|issuer| issuer.still_holds(known.1.generation)),
            By::Certificates(_) => true,
        });
        let accepted = match remembered {
            Some(accepted) => accepted,
            None => {
                let accepted = Arc::new(Box::pin(self.check(token, signature, now)).await?);
                self.accepted.insert(digest, accepted.clone());
                accepted
            }
        };
        let (by, accepted) = (accepted.0, &accepted.1);
        let leeway = match by {
            By::Keys(at) => self.issuers.get(at).map(|issuer| issuer.leeway),
            By::Certificates(at) => self.fse.get(at).map(|issuer| issuer.leeway),
        };
        let leeway = leeway.unwrap_or_default();
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
        for id in &accepted.once {
            self.replay.take(*id, accepted.expires.saturating_add(leeway), now)?;
        }
        let Some(digest) = certificate else { return Ok(accepted.requester.clone()) };
        let certificate = Some(hexadecimal::write(digest));
        Ok(Arc::new(Requester { certificate, ..Requester::clone(&accepted.requester) }))
    }

    async fn check(
        &self,
        token: &str,
        signature: Option<&str>,
        now: u64,
    ) -> Result<(By, Accepted), TokenError> {
        let header = decode_header(token).map_err(|_| TokenError::NotJwt)?;
        let name = origin(token).ok_or(TokenError::NotJwt)?;
        if let Some((at, issuer)) = self.fse.iter().enumerate().find(|(_, own)| own.serves(&name)) {
            return Ok((By::Certificates(at), issuer.check(token, signature, now)?));
        }
        let mut issuers = self.issuers.iter().enumerate();
        let (at, issuer) = issuers.find(|(_, own)| own.name == name).ok_or(TokenError::UnknownIssuer)?;
        Ok((By::Keys(at), issuer.check(token, &header, now).await?))
    }

    /// Where each issuer's keys come from, to be watched.
    pub fn key_sources(&self) -> impl Iterator<Item = &Arc<KeySource>> {
        self.issuers.iter().map(|issuer| &issuer.keys)
    }

    /// The issuers whose keys are not at hand or too old, and how many issuers there are in all.
    pub fn without_keys(&self) -> (Vec<&str>, usize) {
        let without = self.issuers.iter().filter(|issuer| issuer.keys.current().is_none());
        (without.map(|issuer| issuer.name.as_str()).collect(), self.issuers.len() + self.fse.len())
    }

    /// Sets the gauges, before metrics are rendered.
    pub fn observe(&self) {
        self.key_sources().for_each(|source| source.observe());
        self.accepted.observe();
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
