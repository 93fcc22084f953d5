//! Who sends: what a connection proves, and what the header says beside it.

use std::net::SocketAddr;

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use sha2::{Digest, Sha256};
use varco_core::requester::Requester;

use crate::config::MllpSender;
use crate::hexadecimal;

/// One connection.
#[derive(Debug)]
pub(super) struct Peer {
    /// Where it comes from.
    pub address: SocketAddr,
    /// SHA-256 of the certificate that it showed.
    certificate: Option<[u8; 32]>,
    /// For each sender of the configuration, whether the connection can be its own.
    may_be: Vec<bool>,
}

/// Why a message has no sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// The header names nobody on the list.
    Unlisted,
    /// It names somebody whom this connection is not.
    Unproven,
}

impl Peer {
    /// A connection; the certificate's chain has been verified.
    pub fn new(
        address: SocketAddr,
        certificate: Option<&CertificateDer<'_>>,
        senders: &[MllpSender],
    ) -> Peer {
        let digest: Option<[u8; 32]> = certificate.map(|certificate| Sha256::digest(certificate).into());
        let proves = |sender: &MllpSender| {
            let ip = address.ip().to_canonical();
            (sender.addresses.is_empty() || sender.addresses.iter().any(|own| own.to_canonical() == ip))
                && (sender.certificate_sha256.is_none()
                    || (digest.is_some() && sender.certificate_digest() == digest))
                && sender.certificate_name.as_ref().is_none_or(|name| is_named(certificate, name))
        };
        Peer { address, certificate: digest, may_be: senders.iter().map(proves).collect() }
    }

    /// True where it can be none of the senders.
    pub fn is_nobody(&self) -> bool {
        !self.may_be.contains(&true)
    }

    /// The number of the sender that the header names, if the connection can be its own.
    pub fn sender(
        &self,
        senders: &[MllpSender],
        application: &str,
        facility: &str,
    ) -> Result<usize, Unknown> {
        let named = |sender: &MllpSender| {
            sender.application == application && sender.facility.as_ref().is_none_or(|own| own == facility)
        };
        let mut unknown = Unknown::Unlisted;
        for (number, (sender, may_be)) in senders.iter().zip(&self.may_be).enumerate() {
            match (named(sender), may_be) {
                (true, true) => return Ok(number),
                (true, false) => unknown = Unknown::Unproven,
                (false, _) => {}
            }
        }
        Err(unknown)
    }

    /// The sender as audit records know callers.
    pub fn requester(&self, sender: &MllpSender) -> Requester {
        Requester {
            client_id: sender.name.clone(),
            certificate: self.certificate.map(|digest| hexadecimal::write(&digest)),
            ..Requester::default()
        }
    }
}

fn is_named(certificate: Option<&CertificateDer<'_>>, name: &str) -> bool {
    let parsed = certificate.and_then(|certificate| ParsedCertificate::try_from(certificate).ok());
    let name = ServerName::try_from(name).ok();
    parsed.zip(name).is_some_and(|(certificate, name)| verify_server_name(&certificate, &name).is_ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn sender(name: &str, application: &str, more: &str) -> MllpSender {
        let text = format!(r#"{{"name":"{name}","application":"{application}"{more}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn certificate(name: &str) -> CertificateDer<'static> {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn a_header_must_agree_with_what_the_connection_proves() {
        let own = certificate("lis.example.org");
        let digest: String = Sha256::digest(&own).iter().map(|byte| format!("{byte:02X}:")).collect();
        let senders = [
            sender("lis", "LAB", r#","certificate_name":"lis.example.org""#),
            sender("adt", "ADT", r#","facility":"030924","addresses":["10.0.0.1"]"#),
            sender("ris", "RIS", &format!(r#","certificate_sha256":"{}""#, digest.trim_end_matches(':'))),
        ];
        let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 1);
        let shown = Peer::new(at("10.0.0.9"), Some(&own), &senders);
        assert_eq!(shown.sender(&senders, "LAB", "x"), Ok(0));
        assert_eq!(shown.sender(&senders, "RIS", ""), Ok(2));
        assert_eq!(shown.sender(&senders, "ADT", "030924"), Err(Unknown::Unproven));
        assert_eq!(shown.sender(&senders, "PACS", ""), Err(Unknown::Unlisted));
        let other = Peer::new(at("::ffff:10.0.0.1"), Some(&certificate("ris.example.org")), &senders);
        assert_eq!(other.sender(&senders, "LAB", ""), Err(Unknown::Unproven));
        assert_eq!(other.sender(&senders, "RIS", ""), Err(Unknown::Unproven));
        assert_eq!(other.sender(&senders, "ADT", "030924"), Ok(1));
        assert_eq!(other.sender(&senders, "ADT", "030925"), Err(Unknown::Unlisted));
        assert!(Peer::new(at("10.0.0.9"), None, &senders).is_nobody());
    }
}
