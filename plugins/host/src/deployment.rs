//! What the operator gives a plugin beside its manifest: settings, a key for pseudonyms, concept maps.
//!
//! Invariant: the key is in no debug output, no error and no guest.

use std::{fmt, sync::Arc};

use aws_lc_rs::hmac;
use serde_json::{Map, Value};
use varco_core::terminology::concept_map::ConceptMap;

/// What one plugin gets in this gateway.
#[derive(Debug, Clone, Default)]
pub struct Deployment {
    /// Settings over those of the manifest, checked by the manifest's schema.
    pub settings: Map<String, Value>,
    /// The key of the grant `pseudonym`.
    pub pseudonym_key: Option<PseudonymKey>,
    /// The maps of the grant `concept-map`, by their canonical URL.
    pub concept_maps: Vec<Arc<ConceptMap>>,
}

/// Why bytes are no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key for pseudonyms has 32 to 64 bytes, this one has {0}. Make one with `openssl rand -out FILE 32`."
)]
pub struct KeyLength(pub usize);

/// A key for pseudonyms.
#[derive(Clone)]
pub struct PseudonymKey {
    key: Arc<hmac::Key>,
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PseudonymKey")
    }
}

impl PseudonymKey {
    /// A key of 32 to 64 random bytes.
    ///
    /// # Errors
    ///
    /// [`KeyLength`]
    pub fn new(bytes: &[u8]) -> Result<Self, KeyLength> {
        if !(32..=64).contains(&bytes.len()) {
            return Err(KeyLength(bytes.len()));
        }
        Ok(Self { key: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, bytes)) })
    }

    /// HMAC-SHA-256 of the system's length in bytes (8 bytes, the most significant first), the system and the value, as 64
    /// lower-case hexadecimal digits. The length keeps `("a", "bc")` and `("ab", "c")` apart.
    pub fn pseudonym(&self, system: &str, value: &str) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&u64::try_from(system.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(system.as_bytes());
        context.update(value.as_bytes());
        hex(context.sign().as_ref())
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_pseudonym_is_the_same_for_the_same_pair_and_key_alone() {
        let (key, other) = (PseudonymKey::new(&[7; 32]).unwrap(), PseudonymKey::new(&[8; 32]).unwrap());
        let pseudonym = key.pseudonym("urn:x", "ab");
        assert_eq!(pseudonym.len(), 64);
        assert_eq!(pseudonym, key.pseudonym("urn:x", "ab"));
        for different in
            [key.pseudonym("urn:xa", "b"), key.pseudonym("urn:x", "a"), other.pseudonym("urn:x", "ab")]
        {
            assert_ne!(pseudonym, different);
        }
    }

    #[test]
    fn a_short_key_is_refused_and_no_key_is_printed() {
        assert_eq!(PseudonymKey::new(b"secret").unwrap_err(), KeyLength(6));
        assert_eq!(format!("{:?}", PseudonymKey::new(&[65; 32]).unwrap()), "PseudonymKey");
    }
}
