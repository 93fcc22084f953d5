//! A sidecar that is killed between the parts of a message's work: sent again, the message is done once, and what was
//! answered is answered again.
#![allow(clippy::unwrap_used)]

mod harness;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use harness::mllp::{Line, TWO_SENDERS, acknowledged, result};
use harness::serving::Serving;
use harness::{Setup, free_port};
use rusqlite::{Connection, OpenFlags};
use varco_conformance::hospital::{Hospital, HospitalOptions};

struct Site {
    hospital: Hospital,
    setup: Setup,
    port: u16,
}

impl Site {
    async fn new() -> Site {
        let hospital =
            Hospital::start((Ipv4Addr::LOCALHOST, 0).into(), HospitalOptions::default()).await.unwrap();
        let port = free_port();
        let setup = Setup::new(
            hospital.base_url(),
            &TWO_SENDERS.replace("127.0.0.1:0", &format!("127.0.0.1:{port}")),
        );
        Site { hospital, setup, port }
    }

    async fn serve(&self) -> Serving {
        Serving::start(&self.setup).await
    }

    async fn line(&self) -> Line<tokio::net::TcpStream> {
        Line::open(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))).await
    }

    fn store(&self) -> PathBuf {
        self.setup.folder.path().join("varco.sqlite")
    }

    fn count(&self, table: &str) -> i64 {
        let store = Connection::open_with_flags(self.store(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        store.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_server_took_it_and_before_the_record_it_is_done_once() {
    let site = Site::new().await;
    let serving = site.serve().await;
    let beside = Connection::open(site.store()).unwrap();
    beside.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut line = site.line().await;
    line.send(result("K1").as_bytes()).await;
    while site.hospital.resource_count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    serving.kill();
    beside.execute_batch("ROLLBACK").unwrap();
    drop(beside);
    assert_eq!(line.next().await, None, "no answer");
    assert_eq!((site.count("audit"), site.count("received")), (0, 0));

    let resources = site.hospital.resource_count();
    let again = site.serve().await;
    assert_eq!(acknowledged(&site.line().await.exchange(result("K1").as_bytes()).await), ("AA", "K1"));
    assert_eq!(site.hospital.resource_count(), resources);
    assert_eq!((site.count("audit"), site.count("received")), (1, 1));
    again.kill();
    site.hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_record_it_gives_the_stored_answer_and_asks_nobody() {
    let site = Site::new().await;
    let serving = site.serve().await;
    let mut line = site.line().await;
    line.send(result("K2").as_bytes()).await;
    while site.count("received") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    serving.kill();
    let stored: Vec<u8> = Connection::open(site.store())
        .unwrap()
        .query_row("SELECT answer FROM received", [], |row| row.get(0))
        .unwrap();
    let asked = site.hospital.request_count();

    let again = site.serve().await;
    let answer = site.line().await.exchange(result("K2").as_bytes()).await;
    assert_eq!([b"\x0b", answer.as_bytes(), b"\x1c\r"].concat(), stored);
    assert_eq!((site.hospital.request_count(), site.count("audit")), (asked, 1));
    again.kill();
    site.hospital.stop().await;
}
