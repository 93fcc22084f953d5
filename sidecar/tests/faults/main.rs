//! What goes wrong around a sidecar, on real sockets: a server that hangs, resets, drips, lies and floods, callers that go
//! away, a disk that is full. Each has its documented answer (`sidecar/README.md`), leaves nothing running, and is forgotten
//! with the next good request.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../harness/mod.rs"]
mod harness;
mod passing;
mod server;
mod site;

use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use harness::serving::Serving;
use harness::{FHIR, Reply, Setup, listening};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use server::{Manner, Server, good, with_length};
use site::Site;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::Handle;

const SECRET: &str = "Segreto";

fn patient() -> String {
    json!({ "resourceType": "Patient", "id": "anna", "name": [{ "family": SECRET }] }).to_string()
}

/// Refused for the server's sake: status, an OperationOutcome that says it in these words, nothing of what the server sent.
#[track_caller]
fn refused(reply: &Reply, status: u16, words: &str, when: &str) {
    assert_eq!(reply.status.as_u16(), status, "{when}: {:?}", reply.body);
    let (code, text) = reply.issue();
    assert!(code == "transient" && text.contains(words), "{when}: {code} {text}");
    assert!(!String::from_utf8_lossy(&reply.body).contains(SECRET), "{when}");
    assert_eq!(reply.headers.contains_key("retry-after"), status == 503, "{when}");
}

const LATE: (u16, &str) = (504, "did not answer in time");
const BROKEN: (u16, &str) = (502, "can't be reached or did not answer as it should");

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_the_server_has_its_answer_and_the_next_request_is_well() {
    let site = Site::start(
        "answer_seconds = 4\nfirst_byte_seconds = 2\nidle_seconds = 2\nretry_percent = 0\nbreaker = { failures = 1000, requests = 100000 }\n",
        "[limits]\nanswer_bytes = 1048576\n",
    )
    .await;
    // Once each, so that what is begun with the first connection and the first failure stands.
    for (manner, status) in [(Manner::Good, 200), (ThenCloses(String::new()), 502), (Manner::Good, 200)] {
        site.server.does(manner);
        assert_eq!(site.get_alone("Patient/anna").await.status, status);
    }
    let tasks = Handle::current().metrics().num_alive_tasks();
    let head = |more: &str| format!("HTTP/1.1 200 OK\r\ncontent-type: {FHIR}\r\n{more}\r\n");
    let (whole, length) = (patient(), patient().len());
    let of_length = |length: i64| format!("{}{whole}", head(&format!("content-length: {length}\r\n")));
    let two =
        |more: &str, body: &str| format!("{}{body}", head(&format!("content-length: {length}\r\n{more}")));
    let chunk = format!("{length:x}\r\n{whole}\r\n");
    let chunked = |more: &str| format!("{}{more}", head("transfer-encoding: chunked\r\n"));
    let half = || "HTTP/1.1 200 OK\r\nconte".to_owned();
    let none = String::new;
    use Manner::{Repeats, Says, ThenCloses, ThenDrips, ThenFloods, ThenHangs, ThenResets};
    let cases = [
        ("hangs before the head", ThenHangs(none()), LATE),
        ("hangs in the head", ThenHangs(half()), LATE),
        ("hangs in the body", ThenHangs(of_length(900)), LATE),
        ("drips", ThenDrips(of_length(900_000)), LATE),
        ("closes before the head", ThenCloses(none()), BROKEN),
        ("resets before the head", ThenResets(none()), BROKEN),
        ("resets in the head", ThenResets(half()), BROKEN),
        ("resets in the body", ThenResets(of_length(900)), BROKEN),
        ("says more than it sends", ThenCloses(of_length(900)), BROKEN),
        ("says less than it sends", ThenHangs(of_length(9)), BROKEN),
        ("says a gigabyte", ThenHangs(of_length(1 << 30)), BROKEN),
        ("sends a gigabyte", ThenFloods(chunked("")), BROKEN),
        ("no chunk size", ThenHangs(chunked(&format!("zz\r\n{whole}"))), BROKEN),
        ("a chunk size beyond all", ThenHangs(chunked(&format!("fffffffffffffffff\r\n{whole}"))), BROKEN),
        ("a chunk without its end", ThenHangs(chunked(&format!("5\r\n{whole}"))), BROKEN),
        ("chunks that end too early", ThenCloses(chunked(&chunk)), BROKEN),
        ("two lengths", ThenHangs(two("content-length: 9\r\n", &whole)), BROKEN),
        ("the same length twice", ThenCloses(two(&format!("content-length: {length}\r\n"), &whole)), BROKEN),
        (
            "a length and chunks",
            ThenCloses(two("transfer-encoding: chunked\r\n", &format!("{chunk}0\r\n\r\n"))),
            BROKEN,
        ),
        ("a length that is none", ThenHangs(of_length(-1)), BROKEN),
        ("not HTTP", ThenHangs(format!("220 mail.example ESMTP {SECRET}\r\n")), BROKEN),
        (
            "another protocol",
            ThenHangs("HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n".to_owned()),
            BROKEN,
        ),
        ("100 Continue for ever", Repeats("HTTP/1.1 100 Continue\r\n\r\n".to_owned()), LATE),
        ("headers for ever", ThenHangs(head(&format!("x: {}\r\n", "x".repeat(4 << 20)))), BROKEN),
        ("ten thousand headers", ThenHangs(head(&"x: y\r\n".repeat(10_000))), BROKEN),
        ("a page of a portal", Says(with_length(200, &format!("<html>{SECRET}</html>"))), BROKEN),
        ("503", Says(with_length(503, SECRET)), BROKEN),
    ];
    for (what, manner, (status, words)) in cases {
        site.server.does(manner);
        let before = site.records();
        refused(&site.get_alone("Patient/anna").await, status, words, what);
        assert_eq!(site.records(), before + 1, "{what}: it is on record");
        site.server.does(Manner::Good);
        let good = site.get_alone("Patient/bruno").await;
        assert_eq!((good.status, &good.json()["id"]), (StatusCode::OK, &json!("bruno")), "after: {what}");
    }
    // A gigabyte was sent, and but a little more than the bound was taken: what lies in the system's buffers.
    assert!(site.server.moved() < 64 << 20, "{}", site.server.moved());
    site.is_quiet(tasks).await;
    assert_eq!(site.ready().await["upstream_requests"], json!({ "under_way": 0, "waiting": 0 }));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unusual_and_clear_is_taken() {
    let site = Site::start("answer_seconds = 5\n", "").await;
    let asking = site.asking();
    let body = json!({ "resourceType": "Patient", "id": "anna" }).to_string();
    let chunks: String = body.chars().map(|own| format!("1;x=y\r\n{own}\r\n")).collect();
    for (what, text) in [
        (
            "1xx before the answer",
            format!("{}{}", "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".repeat(20), good(200, "anna")),
        ),
        (
            "chunks of a byte, with a trailer",
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\nx: y\r\n\r\n"),
        ),
        ("a body to the connection's end", format!("HTTP/1.0 200 OK\r\n\r\n{body}")),
    ] {
        site.server.does(Manner::ThenCloses(text));
        let reply = asking.get("Patient/anna").await;
        assert_eq!(reply.status, StatusCode::OK, "{what}: {:?}", reply.body);
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_the_server_closes_between_requests_cost_no_reader_an_error() {
    let site =
        Site::start("answer_seconds = 5\n", "[limits]\nrequests_per_second = 10000\nburst = 10000\n").await;
    let asking = site.asking();
    // The second manner costs a retry each time: as many as the budget holds.
    for (manner, requests) in [(Manner::GoodThenCloses, 60), (Manner::OneAnswerAConnection, 12)] {
        site.server.does(manner.clone());
        let first = site.server.connections();
        for at in 0..requests {
            let reply = asking.get("Patient/anna").await;
            assert_eq!(reply.status, StatusCode::OK, "{manner:?} {at}: {:?}", reply.body);
        }
        assert!(site.server.connections() - first >= 10, "{manner:?}");
        site.server.does(Manner::Good);
        asking.get("Patient/anna").await;
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_an_answer_is_never_the_next_answer() {
    let site = Site::start("answer_seconds = 5\n", "").await;
    let asking = site.asking();
    let forged =
        json!({ "resourceType": "Patient", "id": "bruno", "name": [{ "family": SECRET }] }).to_string();
    for _ in 0..20 {
        let text = format!("{}{}", good(200, "anna"), with_length(200, &forged));
        site.server.does(Manner::ThenHangs(text));
        assert_eq!(asking.get("Patient/anna").await.status, StatusCode::OK);
        site.server.does(Manner::Good);
        let next = asking.get("Patient/bruno").await;
        assert_eq!(next.status, StatusCode::OK, "{:?}", next.body);
        assert!(!String::from_utf8_lossy(&next.body).contains(SECRET));
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_made_again_and_writes_never() {
    let site =
        Site::start("answer_seconds = 5\nbreaker = { failures = 1000, requests = 100000 }\n", "").await;
    let asking = site.asking();
    for manner in [Manner::ThenResets(String::new()), Manner::ThenCloses(with_length(503, ""))] {
        site.server.does(manner);
        refused(&asking.get("Patient/anna").await, BROKEN.0, BROKEN.1, "a read");
        assert_eq!(site.server.asked(), ["GET /fhir/Patient/anna HTTP/1.1"; 3]);
        let observation = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
            "subject": { "reference": "Patient/anna" } });
        refused(&asking.post("Observation", &observation).await, BROKEN.0, BROKEN.1, "a write");
        let posts: Vec<String> =
            site.server.asked().into_iter().filter(|line| line.starts_with("POST")).collect();
        assert!(posts.len() <= 1, "{posts:?}");
    }
    // A server that says when to come again is not asked before.
    site.server
        .does(Manner::ThenCloses("HTTP/1.1 503 X\r\nretry-after: 5\r\ncontent-length: 0\r\n\r\n".to_owned()));
    asking.get("Patient/anna").await;
    assert_eq!(site.server.asked().len(), 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_left_alone_through_a_reload_and_asked_again_when_it_is_back() {
    let site = Site::start(
        "answer_seconds = 5\nretry_percent = 0\nbreaker = { failures = 4, open_seconds = 4, most_open_seconds = 4, probes = 1 }\n",
        "[limits]\nburst = 10000\nrequests_per_second = 10000\n",
    )
    .await;
    let asking = site.asking();
    assert_eq!(asking.get("Patient/anna").await.status, StatusCode::OK);
    assert_eq!(site.ready().await["upstream"], "no failure seen");
    site.server.does(Manner::ThenCloses(String::new()));
    for _ in 0..4 {
        refused(&asking.get("Patient/anna").await, BROKEN.0, BROKEN.1, "closed");
    }
    site.server.asked();
    let busy = asking.get("Patient/anna").await;
    refused(&busy, 503, "is busy; try again later", "open");
    let state = site.ready().await;
    assert!(state["upstream"].as_str().unwrap().contains("left alone"), "{state}");
    assert_eq!(state["ready"], true, "consents and the trail are served all the same");
    // The same server under other settings: still left alone, and for as long.
    site.setup.replace("probes = 1", "probes = 2");
    site.running.reloader(site.setup.config_file()).reload().await.unwrap();
    assert!(site.ready().await["upstream"].as_str().unwrap() != "no failure seen");
    site.server.does(Manner::Good);
    let mut statuses = Vec::new();
    while statuses.last() != Some(&StatusCode::OK) {
        statuses.push(asking.get("Patient/anna").await.status);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(statuses.iter().rev().skip(1).all(|status| *status == StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(site.server.asked().len(), 1, "only what it could answer");
    while site.ready().await["upstream"] != "no failure seen" {
        asking.get("Patient/anna").await;
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_fits_is_refused_at_once_and_takes_no_part_in_what_is_under_way() {
    let site =
        Site::start("answer_seconds = 60\nconcurrency = 1\nqueue = 1\nqueue_milliseconds = 60000\n", "")
            .await;
    let asking = site.asking();
    site.server.does(Manner::Holds);
    let ask = || {
        let asking = asking.clone();
        tokio::spawn(async move { asking.get("Patient/anna").await })
    };
    let load = async |wanted: (usize, usize)| {
        while site.running.gateway().upstream_load() != wanted {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let first = ask();
    load((1, 0)).await;
    let second = ask();
    load((1, 1)).await;
    for _ in 0..10 {
        refused(&asking.get("Patient/anna").await, 503, "is busy; try again later", "full");
    }
    assert_eq!(site.ready().await["upstream_requests"], json!({ "under_way": 1, "waiting": 1 }));
    site.server.lets_go();
    assert_eq!((first.await.unwrap().status, second.await.unwrap().status), (StatusCode::OK, StatusCode::OK));
    assert_eq!(site.server.asked().len(), 2);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_machines_the_one_that_fails_is_left_out_and_no_reader_notices() {
    let other = Server::start();
    let site =
        Site::start("answer_seconds = 5\n", "[limits]\nburst = 10000\nrequests_per_second = 10000\n").await;
    let addresses =
        format!("answer_seconds = 5\naddresses = [\"{}\", \"{}\"]\n", site.server.address, other.address);
    site.setup.replace("answer_seconds = 5\n", &addresses);
    site.running.reloader(site.setup.config_file()).reload().await.unwrap();
    let asking = site.asking();
    for _ in 0..20 {
        assert_eq!(asking.get("Patient/anna").await.status, StatusCode::OK);
    }
    assert_eq!((site.server.asked().len(), other.asked().len()), (10, 10), "in turn");
    other.does(Manner::ThenResets(String::new()));
    for _ in 0..20 {
        assert_eq!(asking.get("Patient/anna").await.status, StatusCode::OK);
    }
    assert_eq!((site.server.asked().len(), other.asked().len()), (20, 3));
    assert_eq!(site.ready().await["upstream"], "1 of its 2 addresses are left out");
    other.stop().await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_stops_nothing_and_is_on_record() {
    let site = Site::start("answer_seconds = 60\n", "").await;
    assert_eq!(site.get_alone("Patient/anna").await.status, StatusCode::OK);
    site.is_quiet(usize::MAX).await;
    let (tasks, before) = (Handle::current().metrics().num_alive_tasks(), site.records());
    site.server.does(Manner::Holds);
    let token = site.setup.token(json!({}));
    let observation = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
        "subject": { "reference": "Patient/anna" } })
    .to_string();
    let read = format!("GET /fhir/Patient/anna HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut gone = TcpStream::connect(("127.0.0.1", site.setup.port)).await.unwrap();
    gone.write_all(read.as_bytes()).await.unwrap();
    while site.running.gateway().upstream_load() != (1, 0) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    gone.set_zero_linger().unwrap();
    drop(gone);
    assert_eq!(site.records(), before);
    site.server.lets_go();
    while site.records() < before + 1 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // One that goes away inside of its body: nothing is forwarded, and that is on record too.
    site.server.asked();
    let half = format!(
        "POST /fhir/Observation HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: {FHIR}\r\nContent-Length: {}\r\n\r\n{}",
        observation.len(),
        &observation[..20]
    );
    let mut gone = TcpStream::connect(("127.0.0.1", site.setup.port)).await.unwrap();
    gone.write_all(half.as_bytes()).await.unwrap();
    drop(gone);
    while site.records() < before + 2 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(site.server.asked().is_empty());
    site.is_quiet(tasks).await;
    site.stop().await;
}

/// Bounds the size of the files that a running process may write: for it, the disk is full.
fn bound_files(process: &Serving, bytes: &str) {
    let pid = process.0.id().to_string();
    let done = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:")]).status().unwrap();
    assert!(done.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_full_disk_nothing_is_released_or_forwarded_until_there_is_room_again() {
    let server = Server::start();
    let setup =
        Setup::new(&server.url(), "[consent]\nwithout_consent = \"permit\"\n[log]\nlevel = \"error\"\n");
    // A process that outgrows its bound gets a signal; ignored, each write fails as it does on a full disk.
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_varco"), "serve", "--config"])
        .arg(setup.config_file())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let serving = Serving(child);
    listening(setup.port).await;
    let asking = setup.client();
    while asking.try_send(Method::GET, "Patient/anna", &[], Bytes::new()).await.is_err() {}
    assert_eq!(asking.get("Patient/anna").await.status, StatusCode::OK);
    let log = std::fs::metadata(setup.folder.path().join("varco.sqlite-wal")).unwrap().len();
    bound_files(&serving, &log.to_string());
    let observation = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
        "subject": { "reference": "Patient/anna" } });
    server.asked();
    for _ in 0..5 {
        for reply in [asking.get("Patient/anna").await, asking.post("Observation", &observation).await] {
            assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{:?}", reply.body);
            assert_eq!(
                reply.issue(),
                ("no-store".to_owned(), "A needed store is out of order; try again.".to_owned())
            );
        }
    }
    assert!(
        server.asked().iter().all(|line| !line.starts_with("POST")),
        "nothing is written without its intent"
    );
    bound_files(&serving, "unlimited");
    assert_eq!(asking.get("Patient/anna").await.status, StatusCode::OK, "no restart is needed");
    assert_eq!(asking.post("Observation", &observation).await.status, StatusCode::CREATED);
    serving.kill();
    let proof = Command::new(env!("CARGO_BIN_EXE_varco"))
        .args(["audit", "verify", "--output", "json", "--config"])
        .arg(setup.config_file())
        .output()
        .unwrap();
    let proof: Value = serde_json::from_slice(&proof.stdout).unwrap();
    assert_eq!((&proof["intact"], &proof["open"]), (&json!(true), &json!([])), "{proof}");
    server.stop().await;
}
