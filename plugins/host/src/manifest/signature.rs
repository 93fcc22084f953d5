//! Who vouches for a plugin: Ed25519 signatures (RFC 8032) over a manifest, in a file beside it.
//!
//! What is signed is [`FORMAT`], a line break, and the manifest in one canonical form: without `settings` and `$schema`,
//! members sorted by name, no white space, numbers and strings as RFC 8785 writes those that manifests hold. The
//! manifest states the component's SHA-256 digest, so the signature binds the component too. `settings` are left out
//! because they are the operator's, who must be able to change them; the signed `settings_schema` bounds them.
//!
//! `NAME.plugin.json` has its signatures in `NAME.plugin.sig`, a JSON object:
//!
//! ```json
//! { "format": "varco-plugin-signature/1",
//!   "signatures": [ { "key": "SHA-256 of the public key, hexadecimal", "signature": "base64" } ] }
//! ```
//!
//! Invariant: [`verify`] accepts only what a trusted key has signed. A signature by a trusted key that doesn't fit is
//! never outvoted by another one that does.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// The form of what is signed and of the file that holds it.
pub const FORMAT: &str = "varco-plugin-signature/1";

/// Signatures that one file may hold.
const SIGNATURES: usize = 8;
/// The largest signature file and key file, in bytes.
const FILE_BYTES: usize = 16 << 10;
/// `SubjectPublicKeyInfo` of an Ed25519 key up to its 32 bytes (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const KEY_BYTES: usize = 32;

/// Why a signature is not made or not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The manifest isn't a JSON object.
    #[error("the manifest can't be signed or verified: {0}. Correct its JSON text.")]
    Manifest(String),
    /// The text holds no private key that can sign.
    #[error(
        "the key can't sign: {0}. Give an Ed25519 private key in PEM form, as `openssl genpkey -algorithm ed25519` writes it."
    )]
    PrivateKey(String),
    /// The text holds no public key that can verify.
    #[error(
        "the key can't verify: {0}. Give an Ed25519 public key in PEM form, as `openssl pkey -pubout` writes it."
    )]
    PublicKey(String),
    /// The signature file isn't one.
    #[error("the signature file can't be read: {0}. Sign the plugin again.")]
    File(String),
    /// No trusted key has signed.
    #[error(
        "no trusted key has signed the plugin; it is signed by {}. Trust the signer's public key, or get the plugin from someone whose key is trusted.",
        if .0.is_empty() { "nobody".to_owned() } else { .0.join(", ") }
    )]
    UnknownSigner(Vec<String>),
    /// A trusted key has signed another manifest or another component.
    #[error(
        "the signature by {0} is not of this manifest: manifest or component was changed after it was signed. Restore both as they were delivered; only `settings` may be changed."
    )]
    Altered(String),
}

/// A public key that may vouch for plugins.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    bytes: [u8; KEY_BYTES],
}

impl VerifyingKey {
    /// Reads a `PUBLIC KEY` in PEM form (RFC 7468, RFC 8410).
    ///
    /// # Errors
    ///
    /// [`SignatureError::PublicKey`].
    pub fn from_pem(pem: &str) -> Result<Self, SignatureError> {
        let der = decoded(pem, "PUBLIC KEY").map_err(SignatureError::PublicKey)?;
        let key = der.strip_prefix(&SPKI_PREFIX).and_then(|key| <[u8; KEY_BYTES]>::try_from(key).ok());
        let bytes = key.ok_or_else(|| SignatureError::PublicKey("it is not an Ed25519 key".to_owned()))?;
        Ok(Self { bytes })
    }

    /// The key in PEM form.
    pub fn to_pem(&self) -> String {
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(self.der()))
    }

    /// The key's name in signature files: the SHA-256 digest of its `SubjectPublicKeyInfo`, in hexadecimal.
    pub fn id(&self) -> String {
        Sha256::digest(self.der()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn der(&self) -> Vec<u8> {
        [SPKI_PREFIX.as_slice(), self.bytes.as_slice()].concat()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "VerifyingKey({})", self.id())
    }
}

/// A private key that signs plugins.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: VerifyingKey,
}

impl SigningKey {
    /// Reads a `PRIVATE KEY` in PEM form (PKCS #8: RFC 5958, RFC 8410).
    ///
    /// # Errors
    ///
    /// [`SignatureError::PrivateKey`], which never shows the key.
    pub fn from_pem(pem: &str) -> Result<Self, SignatureError> {
        let der = decoded(pem, "PRIVATE KEY").map_err(SignatureError::PrivateKey)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
            .map_err(|_| SignatureError::PrivateKey("it is not an Ed25519 key".to_owned()))?;
        let bytes = <[u8; KEY_BYTES]>::try_from(pair.public_key().as_ref())
            .map_err(|_| SignatureError::PrivateKey("its public half is not of 32 bytes".to_owned()))?;
        Ok(Self { pair, public: VerifyingKey { bytes } })
    }

    /// The public half.
    pub fn public(&self) -> &VerifyingKey {
        &self.public
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({})", self.public.id())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureFile {
    format: String,
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    key: String,
    signature: String,
}

/// Where the signatures of the manifest at `manifest` lie: `NAME.plugin.json` has them in `NAME.plugin.sig`.
pub fn signature_path(manifest: &Path) -> PathBuf {
    manifest.with_extension("sig")
}

/// Signs a manifest. Gives the new text of the signature file: `existing` with this key's signature added or renewed.
///
/// # Errors
///
/// [`SignatureError::Manifest`]; [`SignatureError::File`] where `existing` is not a signature file or is full.
pub fn sign(manifest: &str, existing: Option<&str>, key: &SigningKey) -> Result<String, SignatureError> {
    let message = signed_bytes(manifest)?;
    let mut file = match existing {
        Some(text) => read(text)?,
        None => SignatureFile { format: FORMAT.to_owned(), signatures: Vec::new() },
    };
    let id = key.public.id();
    file.signatures.retain(|signature| signature.key != id);
    if file.signatures.len() >= SIGNATURES {
        return Err(SignatureError::File(format!("it holds {SIGNATURES} signatures already")));
    }
    let signature = STANDARD.encode(key.pair.sign(&message));
    file.signatures.push(Signature { key: id, signature });
    let text =
        serde_json::to_string_pretty(&file).map_err(|error| SignatureError::File(error.to_string()))?;
    Ok(text + "\n")
}

/// Accepts a manifest that a trusted key has signed, and names that key by its [`VerifyingKey::id`].
///
/// It says nothing about the component: [`crate::Plugin::load`] compares that with the manifest's digest.
///
/// # Errors
///
/// [`SignatureError::UnknownSigner`] where no trusted key has signed, [`SignatureError::Altered`] where one has signed
/// something else, [`SignatureError::File`] and [`SignatureError::Manifest`] where a text can't be read.
pub fn verify(manifest: &str, signatures: &str, trusted: &[VerifyingKey]) -> Result<String, SignatureError> {
    let file = read(signatures)?;
    let message = signed_bytes(manifest)?;
    let mut accepted = None;
    for signature in &file.signatures {
        let Some(key) = trusted.iter().find(|key| key.id() == signature.key) else { continue };
        let altered = || SignatureError::Altered(signature.key.clone());
        let bytes = STANDARD.decode(&signature.signature).map_err(|_| altered())?;
        UnparsedPublicKey::new(&ED25519, key.bytes).verify(&message, &bytes).map_err(|_| altered())?;
        accepted = accepted.or(Some(signature.key.clone()));
    }
    accepted.ok_or_else(|| SignatureError::UnknownSigner(signers(&file)))
}

/// The ids of the keys that claim to have signed. Nothing is verified.
///
/// # Errors
///
/// [`SignatureError::File`].
pub fn claimed_signers(signatures: &str) -> Result<Vec<String>, SignatureError> {
    Ok(signers(&read(signatures)?))
}

fn signers(file: &SignatureFile) -> Vec<String> {
    file.signatures.iter().map(|signature| signature.key.clone()).collect()
}

fn read(text: &str) -> Result<SignatureFile, SignatureError> {
    let fault = |cause: String| Err(SignatureError::File(cause));
    if text.len() > FILE_BYTES {
        return fault(format!("it has more than {FILE_BYTES} bytes"));
    }
    let file: SignatureFile = match serde_json::from_str(text) {
        Ok(file) => file,
        Err(error) => return fault(error.to_string()),
    };
    if file.format != FORMAT {
        return fault(format!("its format is not {FORMAT}"));
    }
    if file.signatures.len() > SIGNATURES {
        return fault(format!("it holds more than {SIGNATURES} signatures"));
    }
    let id = |key: &str| key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !file.signatures.iter().all(|signature| id(&signature.key)) {
        return fault("a key's name is not a SHA-256 digest".to_owned());
    }
    Ok(file)
}

fn signed_bytes(manifest: &str) -> Result<Vec<u8>, SignatureError> {
    let value: Value =
        serde_json::from_str(manifest).map_err(|error| SignatureError::Manifest(error.to_string()))?;
    let Value::Object(mut members) = value else {
        return Err(SignatureError::Manifest("it is not a JSON object".to_owned()));
    };
    members.retain(|name, _| name != "settings" && name != "$schema");
    let mut message = format!("{FORMAT}\n");
    write_canonical(&Value::Object(members), &mut message);
    Ok(message.into_bytes())
}

/// The parser has bounded the depth.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            out.push('{');
            for (place, (name, member)) in sorted.into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write_canonical(member, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// The bytes of the one PEM block (RFC 7468) that `text` holds.
fn decoded(text: &str, label: &str) -> Result<Vec<u8>, String> {
    if text.len() > FILE_BYTES {
        return Err(format!("its file has more than {FILE_BYTES} bytes"));
    }
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let block = text.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end));
    let (block, _) = block.ok_or_else(|| format!("its file holds no `{label}` block"))?;
    let base64: String = block.split_ascii_whitespace().collect();
    STANDARD.decode(base64).map_err(|_| "its PEM block is not base64".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    // RFC 8410, section 10.3 and 10.1.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    const OTHER: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB\n-----END PRIVATE KEY-----\n";
    const MANIFEST: &str =
        r#"{"name":"p","sha256":"ab","limits":{"memory_mib":16},"grants":["log"],"settings":{"a":1}}"#;

    fn key() -> SigningKey {
        SigningKey::from_pem(PRIVATE).unwrap()
    }

    #[test]
    fn the_example_keys_of_rfc_8410_belong_together() {
        let public = VerifyingKey::from_pem(PUBLIC).unwrap();
        assert_eq!(key().public(), &public);
        assert_eq!(VerifyingKey::from_pem(&public.to_pem()).unwrap(), public);
    }

    #[test]
    fn what_a_trusted_key_signed_is_accepted() {
        let signatures = sign(MANIFEST, None, &key()).unwrap();
        let trusted = [key().public().clone()];
        assert_eq!(verify(MANIFEST, &signatures, &trusted), Ok(key().public().id()));
        assert_eq!(claimed_signers(&signatures).unwrap(), [key().public().id()]);
    }

    #[test]
    fn layout_order_and_settings_may_change_and_nothing_else_may() {
        let signatures = sign(MANIFEST, None, &key()).unwrap();
        let trusted = [key().public().clone()];
        let moved = "{\"settings\": {\"b\": [2]},\n \"grants\": [\"log\"], \"limits\": {\"memory_mib\": 16},\n \"sha256\": \"ab\", \"name\": \"\\u0070\"}";
        assert!(verify(moved, &signatures, &trusted).is_ok());
        for (from, to) in [
            ("\"ab\"", "\"ac\""),
            ("16", "64"),
            ("[\"log\"]", "[\"log\",\"fhirpath\"]"),
            ("\"name\":\"p\"", "\"name\":\"q\""),
            ("\"settings\"", "\"on_failure\":\"open\",\"settings\""),
        ] {
            let altered = MANIFEST.replace(from, to);
            assert_ne!(altered, MANIFEST);
            assert_eq!(
                verify(&altered, &signatures, &trusted),
                Err(SignatureError::Altered(key().public().id())),
                "{to}"
            );
        }
    }

    #[test]
    fn a_signature_by_a_stranger_counts_for_nothing() {
        let stranger = SigningKey::from_pem(OTHER).unwrap();
        let signatures = sign(MANIFEST, None, &stranger).unwrap();
        let trusted = [key().public().clone()];
        let unknown = SignatureError::UnknownSigner(vec![stranger.public().id()]);
        assert_eq!(verify(MANIFEST, &signatures, &trusted), Err(unknown));
        // Under a trusted key's name it is an alteration.
        let forged = signatures.replace(&stranger.public().id(), &key().public().id());
        assert!(matches!(verify(MANIFEST, &forged, &trusted), Err(SignatureError::Altered(_))));
        // A second signature beside it does not heal that.
        let both = sign(MANIFEST, Some(&signatures), &key()).unwrap();
        assert_eq!(verify(MANIFEST, &both, &trusted), Ok(key().public().id()));
        let trusting_both = [key().public().clone(), stranger.public().clone()];
        let half = both.replacen("\"signature\": \"", "\"signature\": \"AAAA", 1);
        assert!(matches!(verify(MANIFEST, &half, &trusting_both), Err(SignatureError::Altered(_))));
    }

    #[test]
    fn a_key_signs_once_and_a_file_is_bounded() {
        let once = sign(MANIFEST, None, &key()).unwrap();
        assert_eq!(sign(MANIFEST, Some(&once), &key()).unwrap(), once);
        for (text, cause) in [
            ("", "EOF"),
            (r#"{"format":"x","signatures":[]}"#, "format"),
            (r#"{"format":"varco-plugin-signature/1","signatures":[{"key":"k","signature":""}]}"#, "digest"),
            (r#"{"format":"varco-plugin-signature/1","signatures":[],"more":1}"#, "more"),
        ] {
            let fault = verify(MANIFEST, text, &[]).unwrap_err().to_string();
            assert!(fault.contains(cause), "{fault}");
        }
        let large = " ".repeat(FILE_BYTES + 1);
        assert!(verify(MANIFEST, &large, &[]).unwrap_err().to_string().contains("bytes"));
        let empty = format!("{{\"format\":\"{FORMAT}\",\"signatures\":[]}}");
        assert!(verify(MANIFEST, &empty, &[]).unwrap_err().to_string().contains("signed by nobody"));
    }

    #[test]
    fn a_wrong_key_is_explained_and_not_shown() {
        let cases =
            [("", "holds no"), (PUBLIC, "holds no"), (&PRIVATE.replace("MC4C", "MC4D"), "not an Ed25519")];
        for (pem, cause) in cases {
            let fault = SigningKey::from_pem(pem).unwrap_err().to_string();
            assert!(fault.contains(cause) && fault.contains("genpkey"), "{fault}");
        }
        assert!(VerifyingKey::from_pem(PRIVATE).unwrap_err().to_string().contains("-pubout"));
        assert!(!format!("{:?}", key()).contains("1O5y"));
    }

    #[test]
    fn the_signature_lies_beside_the_manifest() {
        assert_eq!(signature_path(Path::new("a/p.plugin.json")), Path::new("a/p.plugin.sig"));
    }
}
