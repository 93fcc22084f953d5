//! The listener on real sockets: TLS with client certificates, framing that could smuggle, slow clients.
#![allow(clippy::unwrap_used)]

mod harness;

use std::time::Duration;

use harness::Region;
use harness::authority::Authority;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn status(tls: ClientConfig, url: &str, token: &str) -> Result<(u16, http::Version), String> {
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_all_versions().build();
    let client =
        Client::builder(TokioExecutor::new()).build::<_, http_body_util::Empty<bytes::Bytes>>(connector);
    let request = http::Request::get(url).header("authorization", format!("Bearer {token}"));
    let answer = client.request(request.body(http_body_util::Empty::new()).unwrap()).await;
    answer.map(|answer| (answer.status().as_u16(), answer.version())).map_err(|error| format!("{error:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_client_authority_only_its_members_get_through() {
    let (network, strangers) = (Authority::new(), Authority::new());
    let (server, member, stranger) =
        (network.issue("127.0.0.1"), network.issue("127.0.0.1"), strangers.issue("127.0.0.1"));
    let keys = tempfile::tempdir().unwrap();
    network.write(keys.path(), &server);
    let file = |name: &str| keys.path().join(name).display().to_string();
    let tls = format!(
        "[listen.tls]\ncertificate = \"{}\"\nkey = \"{}\"\nclient_ca = \"{}\"\n",
        file("server.pem"),
        file("server.key"),
        file("ca.pem")
    );
    let region = Region::start_bare(&tls).await;
    let url = format!("https://127.0.0.1:{}/fhir/Organization/none", region.setup.port);
    let token = region.setup.token(json!({}));
    let (code, version) = status(network.client(Some(&member)), &url, &token).await.unwrap();
    assert_eq!((code, version), (404, http::Version::HTTP_2));
    assert!(status(network.client(None), &url, &token).await.is_err(), "no certificate");
    assert!(
        status(network.client(Some(&stranger)), &url, &token).await.is_err(),
        "another authority's certificate"
    );

    let digest = |pem: &str| -> [u8; 32] {
        Sha256::digest(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).into()
    };
    let bound = |pem: &str| {
        use base64::Engine as _;
        let thumbprint = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest(pem));
        region.setup.token(json!({ "cnf": { "x5t#S256": thumbprint } }))
    };
    assert_eq!(status(network.client(Some(&member)), &url, &bound(&member.0)).await.unwrap().0, 404);
    assert_eq!(
        status(network.client(Some(&member)), &url, &bound(&server.0)).await.unwrap().0,
        401,
        "a stolen token"
    );
    region.stop().await;
}

/// Sends raw bytes and reads until the connection ends.
async fn raw(port: u16, text: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection must end: {}", String::from_utf8_lossy(&answer));
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_drips_its_body_is_cut_off() {
    let region = Region::start_bare_listening("body_seconds = 1\n").await;
    let (port, token) = (region.setup.port, region.setup.token(json!({})));
    let body = format!(
        "POST /fhir/Observation HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/fhir+json\r\nContent-Length: 100\r\n\r\n{{"
    );
    let answer = raw(port, &body).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    region.stop().await;
}
