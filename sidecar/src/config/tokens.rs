//! `[tokens]` and `[[issuer]]`: whose tokens are accepted, and by which keys.

use std::path::PathBuf;

use jsonwebtoken::Algorithm;
use serde::Deserialize;

/// `issuer.kind`: how a token says who vouches for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IssuerKind {
    /// A key of the issuer's set (JWKS) signs it.
    #[default]
    Jwks,
    /// The two tokens of FSE 2.0: a certificate in their header signs them.
    Fse,
}

/// The algorithms of FSE 2.0.
pub const FSE_ALGORITHMS: &[Algorithm] = &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512];

/// `[tokens]`, or one `[[issuer]]`.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Issuer {
    #[serde(default)]
    pub kind: IssuerKind,
    pub issuer: String,
    /// Of kind `fse`: who may vouch for certificates.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Of kind `fse`: what its callers may do, as SMART scopes.
    #[serde(default)]
    pub scopes: Vec<String>,
    #[serde(default)]
    pub audience: Option<String>,
    /// A file; else `jwks_url` is set.
    #[serde(default)]
    pub jwks: Option<PathBuf>,
    #[serde(default)]
    pub jwks_url: Option<String>,
    #[serde(default)]
    pub jwks_ca: Option<PathBuf>,
    /// Ranges of addresses of the house that the URL may lead to.
    #[serde(default)]
    pub jwks_networks: Vec<String>,
    #[serde(default)]
    pub jwks_in_the_clear: bool,
    #[serde(default = "default::refresh_seconds")]
    pub refresh_seconds: u64,
    #[serde(default = "default::unknown_key_seconds")]
    pub unknown_key_seconds: u64,
    #[serde(default = "default::max_age_seconds")]
    pub max_age_seconds: u64,
    #[serde(default = "default::fetch_seconds")]
    pub fetch_seconds: u64,
    #[serde(default = "default::leeway_seconds")]
    pub leeway_seconds: u64,
    /// Accepted algorithms; empty: all that fit the keys.
    #[serde(default)]
    pub algorithms: Vec<Algorithm>,
    /// Every token counts once.
    #[serde(default)]
    pub one_time: bool,
    #[serde(default)]
    pub max_lifetime_seconds: Option<u64>,
    #[serde(default)]
    pub claims: ClaimMap,
}

impl Issuer {
    /// How far a token's end may lie ahead, in seconds; none: any time. Identifiers of tokens that count once are kept
    /// that long.
    pub fn longest(&self) -> Option<u64> {
        self.max_lifetime_seconds.or(self.one_time.then_some(ONE_TIME_LIFETIME))
    }
}

/// How far the end of a token that counts once may lie ahead, where nothing else is configured, in seconds.
const ONE_TIME_LIFETIME: u64 = 3600;

/// `[tokens.claims]`: claims that stand elsewhere than IHE IUA and SMART put them, by name or JSON Pointer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct ClaimMap {
    pub client: Option<String>,
    pub subject: Option<String>,
    pub subject_system: Option<String>,
    pub subject_name: Option<String>,
    pub organization: Option<String>,
    pub organization_system: Option<String>,
    pub role: Option<String>,
    pub role_system: Option<String>,
    pub purpose: Option<String>,
    pub purpose_system: Option<String>,
    pub patient: Option<String>,
    pub person: Option<String>,
    pub organization_name: Option<String>,
    pub reason: Option<String>,
}

mod default {
    pub(super) fn refresh_seconds() -> u64 {
        300
    }
    pub(super) fn unknown_key_seconds() -> u64 {
        10
    }
    pub(super) fn max_age_seconds() -> u64 {
        86_400
    }
    pub(super) fn fetch_seconds() -> u64 {
        5
    }
    pub(super) fn leeway_seconds() -> u64 {
        30
    }
}
