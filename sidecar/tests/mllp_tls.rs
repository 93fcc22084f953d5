//! MLLP over TLS: who shows which certificate may say what.
#![allow(clippy::unwrap_used)]

mod harness;

use std::sync::Arc;

use harness::Region;
use harness::authority::Authority;
use harness::mllp::{Line, acknowledged, admission, field, result};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use varco_core::hl7v2::mllp_frame;

/// A connection with or without a certificate of its own.
async fn open(
    network: &Authority,
    region: &Region,
    own: Option<&(String, String)>,
) -> std::io::Result<Line<TlsStream<TcpStream>>> {
    let stream = TcpStream::connect(region.running.mllp.unwrap()).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connector = TlsConnector::from(Arc::new(network.client(own)));
    Ok(Line::over(connector.connect(name, stream).await?))
}

/// A region whose MLLP port speaks TLS, and the folder of its keys.
async fn region(network: &Authority, client_ca: bool, senders: &str) -> (Region, tempfile::TempDir) {
    let keys = tempfile::tempdir().unwrap();
    let server = network.issue("127.0.0.1");
    network.write(keys.path(), &server);
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
    let mut line = open(&network, &region, None).await.unwrap();
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
    let mut line = open(&network, &region, Some(&adt)).await.unwrap();
    assert_eq!(acknowledged(&line.exchange(admission("1").as_bytes()).await), ("AA", "1"));
    let answer = line.exchange(result("2").as_bytes()).await;
    assert_eq!((acknowledged(&answer), field(&answer, "ERR", 2)), (("AR", "2"), "MSH^1^3"), "{answer}");
    assert!(answer.contains("certificate"), "{answer}");
    assert_eq!(region.hospital.request_count(), 1);

    // A member of the network that is no sender, a stranger, and nobody at all: not listened to.
    for own in [Some(printer), Some(strangers.issue("adt.hospital.example")), None] {
        if let Ok(mut line) = open(&network, &region, own.as_ref()).await {
            assert_eq!(line.next().await, None);
        }
    }
    assert_eq!(region.hospital.request_count(), 1);
    region.stop().await;
}
