//! TLS for the listener and towards the hospital's server: certificates and keys from PEM files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::names::Names;
use crate::config::{ClientCertificate, Tls, UnknownName};

/// A certificate or key that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub struct TlsError {
    /// The file at fault.
    pub path: PathBuf,
    /// What is wrong with it.
    pub cause: String,
}

fn fault(path: &Path, cause: impl ToString) -> TlsError {
    TlsError { path: path.to_owned(), cause: cause.to_string() }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The listener's side: TLS 1.2 and 1.3, HTTP/2 preferred; with `client_ca`, a client certificate is demanded, or
/// taken where one is shown.
pub fn server_config(tls: &Tls) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(&tls.certificate, error))?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => builder.with_client_cert_verifier(verifier(tls, path)?),
    };
    let first = certified(&tls.certificate, &tls.key)?;
    let mut names = Names::new(first, tls.unknown_name == UnknownName::Refuse);
    for also in &tls.also {
        let key = certified(&also.certificate, &also.key)?;
        names.add(key, &also.certificate).map_err(|cause| fault(&also.certificate, cause))?;
    }
    let mut config = builder.with_cert_resolver(Arc::new(names));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// What judges clients' certificates. Once there are lists of revoked ones, a certificate whose authority has none, or an
/// outdated one, is refused.
fn verifier(tls: &Tls, authorities: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(authorities)?), provider());
    if tls.client_certificate == ClientCertificate::Optional {
        builder = builder.allow_unauthenticated();
    }
    for path in &tls.crl {
        let lists = CertificateRevocationListDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| fault(path, format!("no revocation list can be read from it ({error})")))?;
        if lists.is_empty() {
            return Err(fault(path, "it holds no revocation list in PEM form"));
        }
        builder = builder.with_crls(lists).only_check_end_entity_revocation().enforce_revocation_expiration();
    }
    let at_fault = tls.crl.first().map_or(authorities, PathBuf::as_path);
    builder.build().map_err(|error| fault(at_fault, error))
}

/// A certificate with its chain and its key, which belong together.
fn certified(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(certificate)?;
    let own = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| fault(key, format!("no private key can be read from it ({error})")))?;
    CertifiedKey::from_der(chain, own, &provider())
        .map_err(|error| fault(key, format!("certificate and key don't belong together ({error})")))
}

/// The client's side, which trusts only the authorities in `ca`.
pub fn client_config(ca: &Path) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(ca, error))?;
    Ok(builder.with_root_certificates(roots(ca)?).with_no_client_auth())
}

/// The client's side, which trusts only the authorities in `ca` and shows a certificate of its own.
pub fn client_config_showing(ca: &Path, certificate: &Path, key: &Path) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(ca, error))?
        .with_root_certificates(roots(ca)?);
    let chain = certificates(certificate)?;
    let own = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| fault(key, format!("no private key can be read from it ({error})")))?;
    builder
        .with_client_auth_cert(chain, own)
        .map_err(|error| fault(key, format!("certificate and key don't belong together ({error})")))
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store
            .add(certificate)
            .map_err(|error| fault(path, format!("an authority in it can't be used ({error})")))?;
    }
    Ok(store)
}

/// The certificates of a PEM file; at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(chain) if chain.is_empty() => Err(fault(path, "it holds no certificate in PEM form")),
        Ok(chain) => Ok(chain),
        Err(error) => Err(fault(path, format!("no certificate can be read from it ({error})"))),
    }
}

/// The client's side where no https server is configured: every certificate is refused.
pub fn trusting_nobody() -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}
