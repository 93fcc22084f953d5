//! Given an issuer that changes its keys, when a token comes, then the keys that are its own now decide.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use harness::{Asking, Issuer, Region};
use http::StatusCode;
use jsonwebtoken::{Algorithm, Header};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server of one document, which can be changed or taken away; it counts who asks.
#[derive(Clone)]
struct KeyServer {
    port: u16,
    document: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

impl KeyServer {
    async fn start(document: String) -> KeyServer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server =
            KeyServer { port, document: Arc::new(Mutex::new(Some(document))), asked: Arc::default() };
        let own = server.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                own.asked.fetch_add(1, Ordering::SeqCst);
                let document = own.document.lock().unwrap().clone();
                let answer = match document {
                    Some(text) => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len()),
                    None => "HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n".to_owned(),
                };
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        server
    }

    fn serve(&self, document: Option<String>) {
        *self.document.lock().unwrap() = document;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// A region whose tokens are checked by this server's keys.
    async fn region(&self, settings: &str) -> Region {
        let url = format!(
            "jwks_url = \"http://127.0.0.1:{}/keys\"\njwks_in_the_clear = true\n{settings}",
            self.port
        );
        Region::edited("", "", |setup| setup.replace("jwks = \"hub.jwks.json\"", &url)).await
    }
}

fn set(issuers: &[(&str, &Issuer)]) -> String {
    json!({ "keys": issuers.iter().map(|(id, issuer)| issuer.jwk(id)).collect::<Vec<_>>() }).to_string()
}

/// A caller with a token that this issuer signs under this key's name.
fn caller(region: &Region, id: &str, issuer: &Issuer) -> Asking {
    let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::EdDSA) };
    let token = issuer.sign(header, &Issuer::claims(&region.setup.base(), json!({ "jti": id })));
    region.asking().with_token(Some(token))
}

async fn status(asking: &Asking) -> StatusCode {
    asking.get("Consent?patient=Patient/anna").await.status
}

/// Asks until the answer has this status.
async fn until(asking: &Asking, wanted: StatusCode) {
    let mut last = status(asking).await;
    for _ in 0..300 {
        if last == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        last = status(asking).await;
    }
    panic!("{last} stays, {wanted} never comes");
}

#[tokio::test]
async fn a_rotated_key_is_taken_up_and_the_old_one_ends_with_its_tokens() {
    let (old, new) = (Issuer::new(), Issuer::new());
    let server = KeyServer::start(set(&[("2025", &old)])).await;
    let region = server.region("unknown_key_seconds = 1\n").await;
    let (before, after) = (caller(&region, "2025", &old), caller(&region, "2026", &new));
    assert_eq!(status(&before).await, StatusCode::OK);
    assert_eq!(status(&after).await, StatusCode::UNAUTHORIZED);
    server.serve(Some(set(&[("2025", &old), ("2026", &new)])));
    until(&after, StatusCode::OK).await;
    assert_eq!(status(&before).await, StatusCode::OK);
    // The schedule is far away: an unknown name makes the keys be read. A token is not remembered longer than its key.
    server.serve(Some(set(&[("2026", &new)])));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(status(&caller(&region, "invented", &new)).await, StatusCode::UNAUTHORIZED);
    assert_eq!((status(&after).await, status(&before).await), (StatusCode::OK, StatusCode::UNAUTHORIZED));
    region.stop().await;
}

#[tokio::test]
async fn invented_names_of_keys_cost_the_issuer_one_question_within_the_pause() {
    let issuer = Issuer::new();
    let server = KeyServer::start(set(&[("k", &issuer)])).await;
    let region = server.region("refresh_seconds = 3600\nunknown_key_seconds = 3600\n").await;
    until(&caller(&region, "k", &issuer), StatusCode::OK).await;
    for number in 0..20 {
        let stranger = caller(&region, &format!("invented-{number}"), &issuer);
        assert_eq!(status(&stranger).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(server.asked(), 1);
    region.stop().await;
}

#[tokio::test]
async fn keys_that_can_no_longer_be_read_stay() {
    let issuer = Issuer::new();
    let server = KeyServer::start(set(&[("k", &issuer)])).await;
    let region = server.region("refresh_seconds = 1\n").await;
    let asking = caller(&region, "k", &issuer);
    until(&asking, StatusCode::OK).await;
    // What is empty, too large or no set at all is as good as none.
    for worthless in
        [None, Some(r#"{"keys":[]}"#.to_owned()), Some(" ".repeat(300 * 1024)), Some("<html>".to_owned())]
    {
        server.serve(worthless);
        let asked = server.asked();
        while server.asked() < asked + 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(status(&asking).await, StatusCode::OK);
    }
    region.stop().await;
}

#[tokio::test]
async fn without_keys_or_with_keys_too_old_callers_are_told_to_come_back() {
    let issuer = Issuer::new();
    let server = KeyServer::start(set(&[("k", &issuer)])).await;
    server.serve(None);
    let region = server.region("refresh_seconds = 1\nunknown_key_seconds = 1\nmax_age_seconds = 2\n").await;
    let asking = caller(&region, "k", &issuer);
    let admin = Asking { base: format!("http://127.0.0.1:{}", region.setup.admin), ..asking.clone() };
    for _ in 0..2 {
        until(&asking, StatusCode::SERVICE_UNAVAILABLE).await;
        let refused = asking.get("Consent?patient=Patient/anna").await;
        assert_eq!(refused.issue().0, "transient");
        let ready = admin.get("ready").await;
        assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(ready.json()["keys"], format!("not at hand or too old: {}", harness::ISSUER));
        server.serve(Some(set(&[("k", &issuer)])));
        until(&asking, StatusCode::OK).await;
        server.serve(None);
    }
    region.stop().await;
}

#[tokio::test]
async fn a_file_is_read_anew_too() {
    let region =
        Region::edited("", "", |setup| setup.replace("[store]", "unknown_key_seconds = 1\n[store]")).await;
    assert_eq!(status(&region.asking()).await, StatusCode::OK);
    let new = Issuer::new();
    let asking = caller(&region, "2026", &new);
    std::fs::write(region.setup.folder.path().join("hub.jwks.json"), set(&[("2026", &new)])).unwrap();
    until(&asking, StatusCode::OK).await;
    assert_eq!(status(&region.asking()).await, StatusCode::UNAUTHORIZED);
    region.stop().await;
}
