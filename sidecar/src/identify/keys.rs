//! The token issuer's public keys, from a JWKS file (RFC 7517).

use std::path::Path;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};

/// Keys that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file can't be read.
    #[error("it can't be read: {0}")]
    Unreadable(std::io::Error),
    /// The file isn't a JWKS.
    #[error("it is not a JSON Web Key Set: {0}")]
    NotJwks(serde_json::Error),
    /// A symmetric key: whoever can check with it can also sign.
    #[error("key {0} is symmetric; only public keys may stand here")]
    Symmetric(String),
    /// A key of a kind that isn't supported.
    #[error("key {0} is of a kind that is not supported; use RSA, EC P-256 or P-384, or Ed25519")]
    Unsupported(String),
    /// No key at all.
    #[error("it holds no key for signatures")]
    Empty,
    /// Several keys, one without an identifier.
    #[error("it holds several keys, and one has no `kid`")]
    Nameless,
}

/// One key, and the algorithms it may be used with.
pub struct Key {
    id: Option<String>,
    /// The algorithms that fit the key's kind; a token that names another is refused.
    pub algorithms: Vec<Algorithm>,
    /// The key.
    pub key: DecodingKey,
}

/// The issuer's keys.
pub struct Keys(Vec<Key>);

impl Keys {
    /// Reads a JWKS file.
    pub fn load(path: &Path) -> Result<Keys, KeysError> {
        let bytes = std::fs::read(path).map_err(KeysError::Unreadable)?;
        let set: JwkSet = serde_json::from_slice(&bytes).map_err(KeysError::NotJwks)?;
        let signing = |jwk: &&Jwk| {
            !matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_)))
        };
        let keys: Vec<Key> = set.keys.iter().filter(signing).map(key).collect::<Result<_, _>>()?;
        match keys.as_slice() {
            [] => Err(KeysError::Empty),
            [_] => Ok(Keys(keys)),
            several if several.iter().any(|key| key.id.is_none()) => Err(KeysError::Nameless),
            _ => Ok(Keys(keys)),
        }
    }

    /// The key with this identifier; a token without one may be checked by an only key.
    pub fn find(&self, id: Option<&str>) -> Option<&Key> {
        match (id, self.0.as_slice()) {
            (Some(id), keys) => keys.iter().find(|key| key.id.as_deref() == Some(id)),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}

fn key(jwk: &Jwk) -> Result<Key, KeysError> {
    let name = || jwk.common.key_id.clone().unwrap_or_else(|| "without `kid`".to_owned());
    let mut algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => vec![
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => vec![Algorithm::ES256],
            EllipticCurve::P384 => vec![Algorithm::ES384],
            _ => return Err(KeysError::Unsupported(name())),
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            vec![Algorithm::EdDSA]
        }
        AlgorithmParameters::OctetKey(_) => return Err(KeysError::Symmetric(name())),
        _ => return Err(KeysError::Unsupported(name())),
    };
    if let Some(named) = jwk.common.key_algorithm {
        algorithms.retain(|algorithm| format!("{algorithm:?}") == named.to_string());
    }
    let key = DecodingKey::from_jwk(jwk).map_err(|_| KeysError::Unsupported(name()))?;
    Ok(Key { id: jwk.common.key_id.clone(), algorithms, key })
}
