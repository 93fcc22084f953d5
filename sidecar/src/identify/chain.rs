//! The certificate chain of a token (`x5c`, RFC 7515 §4.1.6), checked against the authorities of a configuration (RFC 5280
//! §6).
//!
//! Invariant: a [`Leaf`] is made only of a certificate that a configured authority vouches for at this time, that may sign,
//! and that names its holder once. Revocation lists are not read.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::DecodingKey;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, anchor_from_trusted_cert};
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::OID_PKCS1_RSAENCRYPTION;
use x509_parser::prelude::FromDer as _;

use crate::listen::tls::{self, TlsError};

/// Most certificates of a chain.
const MOST: usize = 6;

/// A chain that doesn't hold. The texts name no one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No `x5c`, or too long a one.
    #[error("its header holds no `x5c` of one to six certificates")]
    Length,
    /// Not base64 of DER.
    #[error("a certificate of `x5c` can't be read")]
    Unreadable,
    /// Not vouched for: unknown authority, expired, wrong constraints.
    #[error("no configured authority vouches for its certificate now ({0})")]
    Untrusted(String),
    /// The certificate is for other ends.
    #[error("the key usage of its certificate is not for signatures")]
    Usage,
    /// A key of another kind.
    #[error("its certificate has no RSA key")]
    Key,
    /// No common name, or several.
    #[error("its certificate doesn't have one common name")]
    Name,
}

/// The certificate that a token was signed by.
pub(super) struct Leaf {
    /// The common name of its subject.
    pub name: String,
    /// The whole subject, as DER.
    pub subject: Vec<u8>,
    pub key: DecodingKey,
    /// The last second that it holds in, since 1970.
    pub ends: u64,
}

/// Those who may vouch for certificates.
pub(crate) struct Authorities(Vec<Authority>);

struct Authority {
    anchor: TrustAnchor<'static>,
    /// First and last second, since 1970.
    holds: (i64, i64),
}

/// What a certificate's extended key usage says doesn't matter: FSE's signing certificates name none that is for tokens.
struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

impl Authorities {
    /// Reads a PEM file of authorities' certificates.
    pub fn load(path: &Path) -> Result<Authorities, TlsError> {
        let fault = |cause: &str| TlsError { path: path.to_owned(), cause: cause.to_owned() };
        let authority = |der: CertificateDer<'static>| {
            let unreadable = || fault("a certificate in it can't be read");
            let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| unreadable())?;
            if !parsed.is_ca() {
                return Err(fault("a certificate in it is not an authority's (basicConstraints)"));
            }
            let anchor = anchor_from_trusted_cert(&der).map_err(|_| unreadable())?.to_owned();
            let validity = parsed.validity();
            Ok(Authority { anchor, holds: (validity.not_before.timestamp(), validity.not_after.timestamp()) })
        };
        let found = tls::certificates(path)?.into_iter().map(authority).collect::<Result<_, _>>()?;
        Ok(Authorities(found))
    }

    /// Whether one of them holds at a time, in seconds since 1970.
    pub fn any_holds(&self, now: u64) -> bool {
        self.holding(now).next().is_some()
    }

    /// The first certificate of a chain, where one of these vouches for it at `now`, in seconds since 1970.
    pub(super) fn leaf(&self, x5c: &[String], now: u64) -> Result<Leaf, ChainError> {
        if !(1..=MOST).contains(&x5c.len()) {
            return Err(ChainError::Length);
        }
        let decoded = x5c.iter().map(|text| STANDARD.decode(text).map(CertificateDer::from));
        let chain: Vec<CertificateDer<'_>> =
            decoded.collect::<Result<_, _>>().map_err(|_| ChainError::Unreadable)?;
        let (first, others) = chain.split_first().ok_or(ChainError::Length)?;
        let untrusted = |error: webpki::Error| ChainError::Untrusted(error.to_string());
        let anchors: Vec<TrustAnchor<'_>> = self.holding(now).map(|own| own.anchor.clone()).collect();
        EndEntityCert::try_from(first)
            .map_err(|_| ChainError::Unreadable)?
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &anchors,
                others,
                UnixTime::since_unix_epoch(std::time::Duration::from_secs(now)),
                AnyPurpose,
                None,
                None,
            )
            .map_err(untrusted)?;
        read(first)
    }

    fn holding(&self, now: u64) -> impl Iterator<Item = &Authority> {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        self.0.iter().filter(move |own| (own.holds.0..=own.holds.1).contains(&now))
    }
}

fn read(der: &CertificateDer<'_>) -> Result<Leaf, ChainError> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| ChainError::Unreadable)?;
    let usage = certificate.key_usage().map_err(|_| ChainError::Usage)?;
    if usage.is_some_and(|usage| !usage.value.digital_signature() && !usage.value.non_repudiation()) {
        return Err(ChainError::Usage);
    }
    let key = certificate.public_key();
    if key.algorithm.algorithm != OID_PKCS1_RSAENCRYPTION {
        return Err(ChainError::Key);
    }
    let mut names = certificate.subject().iter_common_name();
    let name = names.next().filter(|_| names.next().is_none()).and_then(|name| name.as_str().ok());
    Ok(Leaf {
        name: name.filter(|name| !name.is_empty()).ok_or(ChainError::Name)?.to_owned(),
        subject: certificate.subject().as_raw().to_vec(),
        key: DecodingKey::from_rsa_der(&key.subject_public_key.data),
        ends: u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or_default(),
    })
}
