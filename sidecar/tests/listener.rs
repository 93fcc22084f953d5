//! The listener on real sockets: TLS with client certificates, revoked ones among them, and slow clients.
#![allow(clippy::unwrap_used)]

mod harness;

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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

/// A token that is bound to this certificate (RFC 8705 §3.1).
fn bound_token(region: &Region, pem: &str) -> String {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(certificate));
    region.setup.token(json!({ "cnf": { "x5t#S256": thumbprint } }))
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_client_authority_only_its_members_get_through() {
    let (network, strangers) = (Authority::new(), Authority::new());
    let (server, member, stranger) =
        (network.issue("127.0.0.1"), network.issue("127.0.0.1"), strangers.issue("127.0.0.1"));
    let keys = tempfile::tempdir().unwrap();
    network.write(keys.path(), &server);
    let region = Region::start_bare(&mutual_tls(keys.path(), "")).await;
    let url = format!("https://127.0.0.1:{}/fhir/Organization/none", region.setup.port);
    let token = region.setup.token(json!({}));
    let (code, version) = status(network.client(Some(&member)), &url, &token).await.unwrap();
    assert_eq!((code, version), (404, http::Version::HTTP_2));
    assert!(status(network.client(None), &url, &token).await.is_err(), "no certificate");
    assert!(
        status(network.client(Some(&stranger)), &url, &token).await.is_err(),
        "another authority's certificate"
    );

    let bound = |pem: &str| bound_token(&region, pem);
    assert_eq!(status(network.client(Some(&member)), &url, &bound(&member.0)).await.unwrap().0, 404);
    assert_eq!(
        status(network.client(Some(&member)), &url, &bound(&server.0)).await.unwrap().0,
        401,
        "a stolen token"
    );
    region.stop().await;
}

/// `[listen.tls]` with an authority for clients' certificates, of files in this folder.
fn mutual_tls(folder: &Path, more: &str) -> String {
    let file = |name: &str| folder.join(name).display().to_string();
    format!(
        "[listen.tls]\ncertificate = \"{}\"\nkey = \"{}\"\nclient_ca = \"{}\"\n{more}",
        file("server.pem"),
        file("server.key"),
        file("ca.pem")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_revoked_is_refused_and_a_new_list_counts_after_a_reload() {
    let network = Authority::new();
    let (one, other) = (network.issue_numbered("127.0.0.1", 11), network.issue_numbered("127.0.0.1", 12));
    let keys = tempfile::tempdir().unwrap();
    network.write(keys.path(), &network.issue("127.0.0.1"));
    let list = keys.path().join("revoked.pem");
    std::fs::write(&list, network.revoked(&[11], 2090)).unwrap();
    let crl = format!("crl = [\"{}\"]\n[reload]\nseconds = 0\n", list.display());
    let region = Region::start_bare(&mutual_tls(keys.path(), &crl)).await;
    let url = format!("https://127.0.0.1:{}/fhir/Organization/none", region.setup.port);
    let token = region.setup.token(json!({}));
    let gets_in = async |own: &(String, String)| {
        status(network.client(Some(own)), &url, &token).await.is_ok_and(|(code, _)| code == 404)
    };
    assert!(!gets_in(&one).await && gets_in(&other).await);
    let reloader = region.running.reloader(region.setup.config_file());
    std::fs::write(&list, network.revoked(&[12], 2090)).unwrap();
    reloader.reload().await.unwrap();
    assert!(gets_in(&one).await && !gets_in(&other).await);
    // A list that is outdated says nothing any more: nobody gets in by it.
    std::fs::write(&list, network.revoked(&[], 2025)).unwrap();
    reloader.reload().await.unwrap();
    assert!(!gets_in(&one).await && !gets_in(&other).await);
    // One that can't be read changes nothing.
    std::fs::write(&list, network.revoked(&[12], 2090)).unwrap();
    reloader.reload().await.unwrap();
    std::fs::write(&list, "nothing").unwrap();
    assert!(reloader.reload().await.is_err());
    assert!(gets_in(&one).await && !gets_in(&other).await);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_may_be_shown_must_be_good_and_bound_tokens_need_it() {
    let (network, strangers) = (Authority::new(), Authority::new());
    let (member, stranger) = (network.issue("127.0.0.1"), strangers.issue("127.0.0.1"));
    let keys = tempfile::tempdir().unwrap();
    network.write(keys.path(), &network.issue("127.0.0.1"));
    let region = Region::start_bare(&mutual_tls(keys.path(), "client_certificate = \"optional\"\n")).await;
    let url = format!("https://127.0.0.1:{}/fhir/Organization/none", region.setup.port);
    let code = async |own: Option<&(String, String)>, token: &str| {
        status(network.client(own), &url, token).await.map(|(code, _)| code)
    };
    let (free, bound) = (region.setup.token(json!({})), bound_token(&region, &member.0));
    assert_eq!(code(None, &free).await, Ok(404));
    assert_eq!(code(None, &bound).await, Ok(401), "a stolen token");
    assert_eq!(code(Some(&member), &free).await, Ok(404));
    assert_eq!(code(Some(&member), &bound).await, Ok(404));
    assert!(code(Some(&stranger), &free).await.is_err(), "another authority's certificate");
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
