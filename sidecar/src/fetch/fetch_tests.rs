#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::config::Tls;
use crate::demo::pki::Authority;

/// A server on loopback that answers every request with these bytes; its port.
async fn server(answer: String, tls: Option<TlsAcceptor>) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, answer) = (tls.clone(), answer.clone());
            tokio::spawn(async move {
                match tls {
                    Some(tls) => answer_one(tls.accept(stream).await.ok()?, &answer).await,
                    None => answer_one(stream, &answer).await,
                }
            });
        }
    });
    port
}

async fn answer_one(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str) -> Option<()> {
    let mut seen = Vec::new();
    while !seen.windows(4).any(|four| four == b"\r\n\r\n") {
        let mut byte = [0; 256];
        let read = stream.read(&mut byte).await.ok()?;
        seen.extend_from_slice(&byte[..read]);
    }
    stream.write_all(answer.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn clear(answer: &str) -> Result<Bytes, FetchError> {
    let port = server(answer.to_owned(), None).await;
    let url = format!("http://127.0.0.1:{port}/keys").parse().unwrap();
    Fetcher::of_this_machine(5, 64).get(&url).await
}

#[tokio::test]
async fn this_machine_may_be_asked_in_the_clear_and_nobody_else() {
    assert_eq!(clear(&ok("{}")).await.unwrap(), "{}");
    let fetcher = Fetcher::of_this_machine(5, 64);
    for url in ["http://192.0.2.1/keys", "http://10.0.0.1/keys", "http://[fe80::1]/keys"] {
        let error = fetcher.get(&url.parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, FetchError::Forbidden { .. }), "{url}: {error}");
    }
    for url in ["https://127.0.0.1/keys", "/keys", "http://user@127.0.0.1/keys"] {
        assert!(matches!(fetcher.get(&url.parse().unwrap()).await, Err(FetchError::Url(_))), "{url}");
    }
}

#[tokio::test]
async fn redirects_and_large_bodies_are_refused() {
    let redirect = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(clear(redirect).await, Err(FetchError::Status(302)));
    assert_eq!(clear(&ok(&"k".repeat(65))).await, Err(FetchError::TooLarge(64)));
    let endless =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n41\r\n{}\r\n", "k".repeat(65));
    assert_eq!(clear(&endless).await, Err(FetchError::TooLarge(64)));
    assert!(matches!(clear("nonsense\r\n\r\n").await, Err(FetchError::Broken(_))));
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "k".repeat(LARGEST_HEAD * 2));
    assert!(matches!(clear(&head).await, Err(FetchError::Broken(_))));
}

#[tokio::test]
async fn over_tls_the_name_the_authority_and_the_address_must_be_right() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new().unwrap();
    let (certificate, key) = authority.issue("hub").unwrap().write(folder.path(), "hub").unwrap();
    let (ca, other) = (folder.path().join("ca.pem"), folder.path().join("other.pem"));
    std::fs::write(&ca, &authority.pem).unwrap();
    std::fs::write(&other, Authority::new().unwrap().pem).unwrap();
    let mut config = tls::server_config(&Tls::new(certificate, key)).unwrap();
    config.alpn_protocols.clear();
    let port = server(ok("{}"), Some(TlsAcceptor::from(Arc::new(config)))).await;
    let at = |host: &str| format!("https://{host}:{port}/keys").parse::<Uri>().unwrap();
    let with = |ca: &Path, listed: &[&str]| {
        let listed = listed.iter().map(|text| text.parse().unwrap()).collect();
        Fetcher::over_tls(ca, listed, 5, 64).unwrap()
    };
    let here = ["127.0.0.0/8", "::1"];
    assert_eq!(with(&ca, &here).get(&at("127.0.0.1")).await.unwrap(), "{}");
    assert_eq!(with(&ca, &here).get(&at("localhost")).await.unwrap(), "{}");
    let refused = with(&ca, &[]).get(&at("localhost")).await;
    assert!(matches!(refused, Err(FetchError::Forbidden { .. })), "{refused:?}");
    let stranger = with(&other, &here).get(&at("127.0.0.1")).await;
    assert!(matches!(stranger, Err(FetchError::Broken(_))), "{stranger:?}");
    let misnamed = with(&ca, &here).get(&at("127.0.0.2")).await;
    assert!(matches!(misnamed, Err(FetchError::Broken(_))), "{misnamed:?}");
    let clear = format!("http://127.0.0.1:{port}/").parse().unwrap();
    assert!(matches!(with(&ca, &here).get(&clear).await, Err(FetchError::Url(_))));
}
