//! A configuration that changes under a running sidecar.
#![allow(clippy::unwrap_used)]

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use harness::Region;
use harness::authority::Authority;
use http::StatusCode;
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use varco::config::Difference;
use varco::reload::{ReloadError, Reloader};

fn reloader(region: &Region) -> Reloader {
    region.running.reloader(region.setup.config_file())
}

fn told(differences: &[Difference]) -> Vec<String> {
    differences.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_holds_for_the_next_request_and_page_links_outlive_it() {
    let region = Region::start("[limits]\npage_size = 1\n").await;
    let (asking, reloader) = (region.asking(), reloader(&region));
    let first = asking.get("Patient").await.json();
    assert_eq!((&first["total"], first["entry"].as_array().unwrap().len()), (&json!(2), 1));
    let next = first["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next").unwrap();

    region.setup.replace("page_size = 1", "page_size = 20");
    assert_eq!(told(&reloader.reload().await.unwrap()), ["limits.page_size: 1 → 20"]);
    assert_eq!(asking.get("Patient").await.json()["entry"].as_array().unwrap().len(), 2);
    let page = asking.get(next["url"].as_str().unwrap()).await.json();
    assert_eq!(page["entry"][0]["resource"]["id"], "bruno", "{page}");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_a_fault_or_needs_a_start_changes_nothing() {
    let region = Region::start("[limits]\npage_size = 1\n").await;
    let (asking, reloader) = (region.asking(), reloader(&region));
    region.setup.replace("page_size = 1", "page_size = 20\nbusrt = 3");
    let Err(ReloadError::Config(fault)) = reloader.reload().await else { panic!("a fault was taken up") };
    assert!(fault.to_string().contains("busrt"), "{fault}");
    region.setup.replace("busrt = 3", "burst = 300");
    region.setup.replace(
        &format!("admin]\naddress = \"127.0.0.1:{}\"", region.setup.admin),
        "admin]\naddress = \"127.0.0.1:1\"",
    );
    let Err(ReloadError::NeedsStart(late)) = reloader.reload().await else { panic!("a port was moved") };
    assert_eq!(late.len(), 1, "{late:?}");
    assert_eq!(late[0].setting, "admin.address");
    assert_eq!(asking.get("Patient").await.json()["entry"].as_array().unwrap().len(), 1);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_through_twenty_reloads() {
    let region = Region::start("[limits]\nrequests_per_second = 100000\nburst = 1000\n").await;
    let reloader = reloader(&region);
    let (done, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut streams = Vec::new();
    for _ in 0..4 {
        let (asking, done, answered) = (region.asking(), done.clone(), answered.clone());
        streams.push(tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                let reply = asking.get("Patient/anna").await;
                assert_eq!(reply.status, StatusCode::OK, "{:?}", reply.body);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for burst in 1001..1021 {
        region.setup.replace(&format!("burst = {}", burst - 1), &format!("burst = {burst}"));
        reloader.reload().await.unwrap();
        let before = answered.load(Ordering::Relaxed);
        while answered.load(Ordering::Relaxed) < before + 8 {
            tokio::task::yield_now().await;
        }
    }
    done.store(true, Ordering::Relaxed);
    for stream in streams {
        stream.await.unwrap();
    }
    let records = region.running.gateway().store().verify_audit().unwrap().unwrap();
    assert!(records as usize >= answered.load(Ordering::Relaxed));
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_connections_get_the_new_certificate() {
    let (old, new) = (Authority::new(), Authority::new());
    let keys = tempfile::tempdir().unwrap();
    old.write(keys.path(), &old.issue("127.0.0.1"));
    let file = |name: &str| keys.path().join(name).display().to_string();
    let tls =
        format!("[listen.tls]\ncertificate = \"{}\"\nkey = \"{}\"\n", file("server.pem"), file("server.key"));
    let region = Region::start_bare_listening(&tls).await;
    let port = region.setup.port;
    let accepts = async |authority: &Authority| {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let connector = TlsConnector::from(Arc::new(authority.client(None)));
        connector.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.is_ok()
    };
    assert!(accepts(&old).await && !accepts(&new).await);
    new.write(keys.path(), &new.issue("127.0.0.1"));
    assert!(reloader(&region).reload().await.unwrap().is_empty());
    assert!(accepts(&new).await && !accepts(&old).await);
    // A key that does not belong to the certificate is a fault: the pair before stays.
    std::fs::write(keys.path().join("server.key"), old.issue("127.0.0.1").1).unwrap();
    assert!(reloader(&region).reload().await.is_err());
    assert!(accepts(&new).await);
    region.stop().await;
}
