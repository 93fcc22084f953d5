//! MLLP over TLS: who shows which certificate may say what.
#![allow(clippy::unwrap_used)]

mod harness;

use std::sync::Arc;

use harness::Region;
use harness::mllp::{Line, acknowledged, admission, field, result};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use varco_core::hl7v2::mllp_frame;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// A connection with or without a certificate of its own.
    async fn open(
        &self,
        region: &Region,
        own: Option<&(String, String)>,
    ) -> std::io::Result<Line<TlsStream<TcpStream>>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
                )
                .unwrap(),
        };
        let stream = TcpStream::connect(region.running.mllp.unwrap()).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        Ok(Line::over(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
    }
}

/// A region whose MLLP port speaks TLS, and the folder of its keys.
async fn region(network: &Authority, client_ca: bool, senders: &str) -> (Region, tempfile::TempDir) {
    let keys = tempfile::tempdir().unwrap();
    let server = network.issue("127.0.0.1");
    for (name, text) in [("ca.pem", &network.pem), ("server.pem", &server.0), ("server.key", &server.1)] {
        std::fs::write(keys.path().join(name), text).unwrap();
    }
    let file = |name: &str| keys.path().join(name).display().to_string();
    let ca = if client_ca { format!("client_ca = \"{}\"\n", file("ca.pem")) } else { String::new() };
    let more = format!(
        "[mllp]\naddress = \"127.0.0.1:0\"\n[mllp.tls]\ncertificate = \"{}\"\nkey = \"{}\"\n{ca}{senders}",
        file("server.pem"),
        file("server.key")
    );
    (Region::start_bare(&more).await, keys)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_come_over_tls() {
    let network = Authority::new();
    let (region, _keys) =
        region(&network, false, "[[mllp.sender]]\nname = \"adt\"\napplication = \"ADT\"\n").await;
    let mut line = network.open(&region, None).await.unwrap();
    assert_eq!(acknowledged(&line.exchange(admission("1").as_bytes()).await), ("AA", "1"));
    // In the clear nothing is understood.
    let mut clear = TcpStream::connect(region.running.mllp.unwrap()).await.unwrap();
    clear.write_all(&mllp_frame(admission("2").as_bytes())).await.unwrap();
    let mut said = Vec::new();
    let _ = clear.read_to_end(&mut said).await;
    assert!(!said.contains(&0x0B) && region.hospital.request_count() == 1);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_and_a_header_must_name_the_same_sender() {
    let (network, strangers) = (Authority::new(), Authority::new());
    let senders = "[[mllp.sender]]\nname = \"adt\"\napplication = \"ADT\"\ncertificate_name = \"adt.hospital.example\"\n\
                   [[mllp.sender]]\nname = \"lis\"\napplication = \"LAB\"\ncertificate_name = \"lis.hospital.example\"\n";
    let (region, _keys) = region(&network, true, senders).await;
    let (adt, printer) = (network.issue("adt.hospital.example"), network.issue("printer.hospital.example"));
    let mut line = network.open(&region, Some(&adt)).await.unwrap();
    assert_eq!(acknowledged(&line.exchange(admission("1").as_bytes()).await), ("AA", "1"));
    let answer = line.exchange(result("2").as_bytes()).await;
    assert_eq!((acknowledged(&answer), field(&answer, "ERR", 2)), (("AR", "2"), "MSH^1^3"), "{answer}");
    assert!(answer.contains("certificate"), "{answer}");
    assert_eq!(region.hospital.request_count(), 1);

    // A member of the network that is no sender, a stranger, and nobody at all: not listened to.
    for own in [Some(printer), Some(strangers.issue("adt.hospital.example")), None] {
        if let Ok(mut line) = network.open(&region, own.as_ref()).await {
            assert_eq!(line.next().await, None);
        }
    }
    assert_eq!(region.hospital.request_count(), 1);
    region.stop().await;
}
