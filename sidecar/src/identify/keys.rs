//! The token issuer's public keys, from a JSON Web Key Set (RFC 7517).
//!
//! A file is the operator's: one key that can't be used is a fault of it. A set that is fetched is the issuer's own, and may
//! hold keys for other ends; those are left out (§5). A symmetric key is never used.

use std::io::Read as _;
use std::path::Path;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

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
    /// More bytes than are read.
    #[error("it has more than 256 KiB")]
    TooLarge,
    /// More keys than are kept.
    #[error("it holds more than 64 keys")]
    TooMany,
}

/// One key, and the algorithms it may be used with.
pub struct Key {
    id: Option<String>,
    /// The algorithms that fit the key's kind; a token that names another is refused.
    pub algorithms: Vec<Algorithm>,
    /// The key.
    pub key: DecodingKey,
}

/// Largest key set that is read, in bytes.
pub const LARGEST_SET: usize = 256 * 1024;
/// Most keys of a set.
pub const MOST_KEYS: usize = 64;

/// The issuer's keys.
pub struct Keys(Vec<Key>);

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<Value>,
}

impl Keys {
    /// Reads a JWKS file.
    pub fn load(path: &Path) -> Result<Keys, KeysError> {
        Keys::strict(&read(path)?)
    }

    /// The keys of an operator's set: every one must be good.
    pub fn strict(bytes: &[u8]) -> Result<Keys, KeysError> {
        let mut keys = Vec::new();
        for raw in members(bytes)? {
            let jwk = Jwk::deserialize(raw).map_err(KeysError::NotJwks)?;
            if signs(&jwk) {
                keys.push(key(&jwk)?);
            }
        }
        match keys.as_slice() {
            [] => Err(KeysError::Empty),
            [_] => Ok(Keys(keys)),
            several if several.iter().any(|key| key.id.is_none()) => Err(KeysError::Nameless),
            _ => Ok(Keys(keys)),
        }
    }

    /// The keys of an issuer's own set that can be used; at least one.
    pub fn lenient(bytes: &[u8]) -> Result<Keys, KeysError> {
        let usable = |raw: &Value| Jwk::deserialize(raw).ok().filter(signs).and_then(|jwk| key(&jwk).ok());
        let mut keys: Vec<Key> = members(bytes)?.iter().filter_map(usable).collect();
        if keys.len() > 1 {
            keys.retain(|key| key.id.is_some());
        }
        if keys.is_empty() { Err(KeysError::Empty) } else { Ok(Keys(keys)) }
    }

    /// The keys with this identifier; a token without one may be checked by an only key.
    pub fn find<'k>(&'k self, id: Option<&'k str>) -> impl Iterator<Item = &'k Key> {
        let only = self.0.len() == 1;
        self.0.iter().filter(move |key| match id {
            Some(id) => key.id.as_deref() == Some(id),
            None => only,
        })
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True where there is none; a set that was read has one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The bytes of a key set's file.
pub fn read(path: &Path) -> Result<Vec<u8>, KeysError> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(KeysError::Unreadable)?;
    file.take(LARGEST_SET as u64 + 1).read_to_end(&mut bytes).map_err(KeysError::Unreadable)?;
    Ok(bytes)
}

fn members(bytes: &[u8]) -> Result<Vec<Value>, KeysError> {
    if bytes.len() > LARGEST_SET {
        return Err(KeysError::TooLarge);
    }
    let set: RawSet = serde_json::from_slice(bytes).map_err(KeysError::NotJwks)?;
    if set.keys.len() > MOST_KEYS { Err(KeysError::TooMany) } else { Ok(set.keys) }
}

fn signs(jwk: &Jwk) -> bool {
    !matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_)))
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ED: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;
    const OCT: &str = r#""kty":"oct","k":"c2VjcmV0""#;

    fn set(keys: &[String]) -> Vec<u8> {
        format!(r#"{{"keys":[{}]}}"#, keys.join(",")).into_bytes()
    }

    fn named(id: &str, key: &str) -> String {
        format!(r#"{{"kid":"{id}",{key}}}"#)
    }

    #[test]
    fn an_issuers_own_set_may_hold_keys_for_other_ends() {
        let odd = [
            named("a", ED),
            named("s", OCT),
            named("q", r#""kty":"LMS","pub":"AA""#),
            named("e", &format!(r#"{ED},"use":"enc""#)),
            named("b", ED),
            format!("{{{ED}}}"),
        ];
        let keys = Keys::lenient(&set(&odd)).unwrap();
        assert_eq!(keys.len(), 2);
        for (id, found) in [(Some("a"), 1), (Some("b"), 1), (Some("s"), 0), (Some("e"), 0), (None, 0)] {
            assert_eq!(keys.find(id).count(), found, "{id:?}");
        }
        assert!(matches!(Keys::strict(&set(&odd)), Err(KeysError::Symmetric(id)) if id == "s"));
        assert!(matches!(Keys::lenient(&set(&odd[1..3])), Err(KeysError::Empty)));
    }

    #[test]
    fn sets_are_bounded() {
        let many: Vec<String> = (0..=MOST_KEYS).map(|number| named(&number.to_string(), ED)).collect();
        assert!(matches!(Keys::lenient(&set(&many)), Err(KeysError::TooMany)));
        assert_eq!(Keys::lenient(&set(&many[1..])).unwrap().len(), MOST_KEYS);
        assert!(matches!(Keys::lenient(&vec![b' '; LARGEST_SET + 1]), Err(KeysError::TooLarge)));
    }

    #[test]
    fn an_only_key_needs_no_name_and_its_algorithm_holds() {
        let keys = Keys::strict(&set(&[format!("{{{ED}}}")])).unwrap();
        assert_eq!(keys.find(None).next().unwrap().algorithms, [Algorithm::EdDSA]);
        let other = Keys::strict(&set(&[format!(r#"{{{ED},"alg":"ES256"}}"#)])).unwrap();
        assert!(other.find(None).next().unwrap().algorithms.is_empty());
    }
}
