//! What passes through, piece by piece, before servers and callers that stop in the middle.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use crate::harness::Reply;
use crate::server::{Manner, Server, with_length};
use crate::site::Site;
use crate::{BROKEN, LATE, refused};

const ROOMY: &str = "[limits]\nrequests_per_second = 10000\nburst = 10000\n";
const TIMES: &str = "answer_seconds = 4\nfirst_byte_seconds = 2\nidle_seconds = 2\nretry_percent = 0\nbreaker = { failures = 1000, requests = 100000 }\n";

/// A site with a pass-through of this name to another path of its server.
async fn site(name: &str, route: &str, server: &str) -> Site {
    let through = |own: &Server| {
        format!(
            "{ROOMY}[[passthrough]]\nname = \"{name}\"\npath = \"/files\"\nmethods = [\"GET\", \"HEAD\", \"POST\"]\n\
             clients = [\"ward-app\"]\nconsent = \"not-checked\"\nreason = \"Nothing but made up files lies there.\"\n{route}\n\
             [passthrough.server]\nurl = \"http://{}/store\"\n{server}",
            own.address
        )
    };
    Site::before("answer_seconds = 5\n", through).await
}

impl Site {
    fn files(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/files{path}", self.setup.port)
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Reply {
        let alone = [headers, &[("connection", "close")]].concat();
        self.asking().send(method, &self.files(path), &alone, Bytes::new()).await
    }

    /// A connection on which this request is sent: its head ends with these fields.
    async fn raw(&self, line: &str, fields: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.setup.port)).await.unwrap();
        let token = self.setup.token(json!({}));
        let head = format!("{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{fields}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    async fn metrics(&self) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.setup.admin);
        String::from_utf8(self.get_alone(&url).await.body.to_vec()).unwrap()
    }

    /// Waits until no answer is being handed on.
    async fn nothing_passes(&self, name: &str) {
        let none = format!("varco_passthrough_under_way{{route=\"{name}\"}} 0");
        for _ in 0..2_000 {
            if self.metrics().await.contains(&none) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{}", self.metrics().await);
    }

    /// How many requests to the pass-through of this name ended so.
    async fn ended(&self, name: &str, outcome: &str) -> u64 {
        let told = self.metrics().await;
        let name = format!("varco_passthrough_requests_total{{route=\"{name}\",outcome=\"{outcome}\"}} ");
        told.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
    }
}

/// All that comes until the connection ends, in whatever way.
async fn rest(stream: &mut TcpStream) -> String {
    let (mut all, mut piece) = (Vec::new(), vec![0; 1 << 16]);
    while let Ok(read) = stream.read(&mut piece).await
        && read > 0
    {
        all.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(all).unwrap()
}

async fn until(stream: &mut TcpStream, words: &str) -> String {
    let mut all = String::new();
    while !all.contains(words) {
        all.push(char::from(stream.read_u8().await.unwrap()));
    }
    all
}

fn megabytes_resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_does_and_its_caller_is_known_and_on_record() {
    let site = site("known", "headers = [\"x-lab\"]", "").await;
    let before = site.records();
    site.server.does(Manner::Says(
        "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nX-Lab: 7\r\nSet-Cookie: a=b\r\nServer: inner/1\r\nContent-Type: text/plain\r\n\
         Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Trailer: x\r\n\r\n"
            .to_owned(),
    ));
    let claims = [("x-lab", "5"), ("x-forwarded-for", "10.0.0.1"), ("cookie", "a=b"), ("range", "bytes=0-2")];
    let reply = site.ask(Method::GET, "/a%20b/c?d=e&d=f", &claims).await;
    assert_eq!((reply.status, &reply.body[..]), (StatusCode::OK, &b"abc"[..]));
    let told = |name: &str| reply.headers.get(name).map(|own| own.to_str().unwrap());
    assert_eq!(
        (told("etag"), told("x-lab"), told("content-type")),
        (Some("\"1\""), Some("7"), Some("text/plain"))
    );
    assert_eq!((told("cache-control"), told("set-cookie"), told("server")), (Some("no-store"), None, None));
    let head = site.server.heads().remove(0).to_ascii_lowercase();
    assert!(head.starts_with("get /store/a%20b/c?d=e&d=f http/1.1\r\n"), "{head}");
    for passed in ["x-lab: 5", "range: bytes=0-2", "traceparent: 00-", reply.request_id()] {
        assert!(head.contains(passed), "{passed}: {head}");
    }
    for own in ["authorization", "cookie", "forwarded"] {
        assert!(!head.contains(own), "{own}: {head}");
    }
    assert_eq!(site.records(), before + 1);
    let found =
        site.asking().get(&format!("AuditEvent?entity:identifier=%7C{}", reply.request_id())).await.json();
    let record = found["entry"][0]["resource"].to_string();
    assert!(record.contains("pass-through known") && record.contains("ward-app"), "{record}");

    for (status, method, length) in
        [(304, Method::GET, "9"), (200, Method::HEAD, "9"), (204, Method::GET, "")]
    {
        let length_field =
            if length.is_empty() { String::new() } else { format!("Content-Length: {length}\r\n") };
        site.server.does(Manner::Says(format!("HTTP/1.1 {status} X\r\n{length_field}\r\n")));
        let mut stream = site.raw(&format!("{method} /files/a"), "Connection: close\r\n").await;
        let text = rest(&mut stream).await.to_ascii_lowercase();
        assert!(text.starts_with(&format!("http/1.1 {status} ")) && text.ends_with("\r\n\r\n"), "{text}");
        assert_eq!(text.contains("content-length: 9\r\n"), status == 200, "{text}");
    }
    site.server.heads();
    let before = site.records();
    let mut statuses = Vec::new();
    for (method, path, headers) in [
        (Method::DELETE, "/a", vec![]),
        (Method::GET, "/%2e%2e/fhir/Patient/anna", vec![]),
        (Method::GET, "/a/..;/b", vec![]),
        (Method::GET, "/a//b", vec![]),
        (Method::GET, "x", vec![]),
    ] {
        statuses.push(site.ask(method, path, &headers).await.status.as_u16());
    }
    assert_eq!(statuses, [405, 400, 400, 400, 404], "/filesx is not below /files");
    let others = [
        (json!({ "client_id": "other-app" }), 403),
        (json!({ "patient": "anna", "scope": "patient/*.rs" }), 403),
        (json!({ "exp": 1 }), 401),
    ];
    for (claims, status) in others {
        let asking = site.asking().with_token(Some(site.setup.token(claims)));
        assert_eq!(asking.get(&site.files("/a")).await.status, status);
    }
    assert_eq!(site.server.asked(), Vec::<String>::new());
    assert!(site.records() >= before + 3, "who was known and refused is on record");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_in_the_middle_ends_the_callers_connection() {
    let site = site("middle", "", TIMES).await;
    for status in [200, 502, 200] {
        site.server.does(if status == 200 { Manner::Good } else { ThenCloses(String::new()) });
        assert_eq!(site.ask(Method::GET, "/a", &[]).await.status, status);
        assert_eq!(site.get_alone("Patient/anna").await.status, status);
    }
    let tasks = Handle::current().metrics().num_alive_tasks();
    let of_length = |length: u64| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nabc");
    let chunked =
        |more: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n{more}");
    use Manner::{ThenCloses, ThenDrips, ThenHangs, ThenResets};
    let none = String::new;
    for (what, manner, (status, words)) in [
        ("hangs before the head", ThenHangs(none()), LATE),
        ("closes before the head", ThenCloses(none()), BROKEN),
        (
            "two lengths",
            ThenHangs("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc".to_owned()),
            BROKEN,
        ),
        (
            "a length and chunks",
            ThenCloses(chunked("0\r\n\r\n").replacen("\r\n", "\r\nContent-Length: 3\r\n", 1)),
            BROKEN,
        ),
        ("a body to the connection's end", ThenCloses("HTTP/1.1 200 OK\r\n\r\nabc".to_owned()), BROKEN),
        (
            "another protocol",
            ThenHangs("HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n".to_owned()),
            BROKEN,
        ),
    ] {
        site.server.does(manner);
        refused(&site.ask(Method::GET, "/a", &[]).await, status, words, what);
    }
    for (what, manner) in [
        ("hangs in the body", ThenHangs(of_length(9))),
        ("hangs in chunks", ThenHangs(chunked(""))),
        ("drips", ThenDrips(of_length(900_000))),
        ("resets in the body", ThenResets(of_length(9))),
        ("says more than it sends", ThenCloses(of_length(9))),
        ("chunks that end too early", ThenCloses(chunked("5\r\nab"))),
        ("chunks without an end", ThenCloses(chunked(""))),
        ("no chunk size", ThenHangs(chunked("zz\r\n"))),
    ] {
        site.server.does(manner);
        let text = rest(&mut site.raw("GET /files/a", "").await).await;
        // What breaks off at once may take its head along; a reset may overtake what was sent before it.
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let whole = body.ends_with("0\r\n\r\n") || (head.contains("ength: 9\r\n") && body.len() == 9);
        assert!(
            head.is_empty() || head.starts_with("HTTP/1.1 200 ") || head.contains(" 502 "),
            "{what}: {text}"
        );
        assert!(!whole && (body.contains("abc") || !what.starts_with("hangs")), "{what}: {text}");
        site.server.does(Manner::Good);
        assert_eq!(site.ask(Method::GET, "/a", &[]).await.status, 200, "after: {what}");
    }
    // The same over HTTP/2: the stream ends with an error, the connection goes on.
    let http2 = site.asking().over_http2();
    let request = || {
        let token = format!("Bearer {}", site.setup.token(json!({})));
        Request::get(site.files("/a")).header("authorization", token).body(Full::default()).unwrap()
    };
    for (manner, whole) in [(ThenResets(chunked("")), false), (Manner::Says(chunked("0\r\n\r\n")), true)] {
        site.server.does(manner);
        let came = match http2.client.request(request()).await {
            Ok(answer) => answer.into_body().collect().await.is_ok(),
            Err(_) => false,
        };
        assert_eq!(came, whole);
    }
    drop(http2);
    // What says less than it sends is whole, and the rest of it is nobody's.
    for _ in 0..10 {
        site.server.does(ThenHangs(format!("{}{}", with_length(200, "abc"), with_length(200, "forged"))));
        assert_eq!(site.ask(Method::GET, "/a", &[]).await.body, "abc");
        site.server.does(Manner::Says(with_length(200, "next")));
        assert_eq!(site.ask(Method::GET, "/a", &[]).await.body, "next");
    }
    site.nothing_passes("middle").await;
    site.is_quiet(tasks).await;
    let (failed, cut) = (site.ended("middle", "failed").await, site.ended("middle", "cut").await);
    // A reset may come before the head that was sent before it.
    assert!((7..=9).contains(&failed) && failed + cut == 16, "{failed} {cut}");
    assert_eq!(site.ended("middle", "left").await, 0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gigabyte_passes_in_little_memory_and_no_more_than_may() {
    let site = site("gigabyte", "body_bytes = 268435456", "").await;
    assert_eq!(site.ask(Method::GET, "/a", &[]).await.status, 200);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    site.server.does(Manner::ThenFloods(chunked.to_owned()));
    let before = megabytes_resident();
    let mut stream = site.raw("GET /files/large", "Connection: close\r\n").await;
    let (mut came, mut most, mut piece, mut last) = (0, 0, vec![0; 1 << 20], [0; 5]);
    loop {
        let read = stream.read(&mut piece).await.unwrap();
        if read == 0 {
            break;
        }
        if read >= 5 {
            last.copy_from_slice(&piece[read - 5..read]);
        }
        came += read as u64;
        most = most.max(megabytes_resident());
    }
    assert!(came > 1 << 30 && &last == b"0\r\n\r\n", "{came} {last:?}");
    assert!(most < before + 64, "{before} MB before, {most} at most");

    // And the other way: a quarter of a gigabyte, and a byte too much.
    site.server.does(Manner::Says(with_length(200, "taken")));
    let moved = site.server.moved();
    let mut stream =
        site.raw("POST /files/large", "Content-Length: 268435456\r\nConnection: close\r\n").await;
    piece.fill(b'x');
    for _ in 0..256 {
        stream.write_all(&piece).await.unwrap();
        most = most.max(megabytes_resident());
    }
    assert!(rest(&mut stream).await.ends_with("taken"));
    assert_eq!(site.server.moved() - moved, 268_435_456);
    assert!(most < before + 64, "{before} MB before, {most} at most");
    site.server.heads();
    let mut stream = site.raw("POST /files/large", "Content-Length: 268435457\r\n").await;
    assert!(until(&mut stream, "\r\n").await.contains(" 413 "));
    let mut stream =
        site.raw("POST /files/large", "Transfer-Encoding: chunked\r\nConnection: close\r\n").await;
    let chunk = [b"100000\r\n", &piece[..], b"\r\n"].concat();
    for _ in 0..257 {
        // The gateway may have answered and closed by the last one.
        let _ = stream.write_all(&chunk).await;
    }
    assert!(rest(&mut stream).await.contains(" 413 "));
    assert_eq!(site.server.asked(), Vec::<String>::new(), "no whole request came to the server");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_takes_nothing_or_leaves_holds_the_server_back_and_ends_its_request() {
    let site = site("slow", "answer_bytes = 1099511627776", "concurrency = 1\nqueue = 0\n").await;
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    site.server.does(Manner::ThenFloods(chunked));
    let mut stream = site.raw("GET /files/large", "").await;
    until(&mut stream, "\r\n\r\n").await;
    // As long as nothing is taken, the server comes to a stand: what is written lies in the system's buffers.
    let mut moved = (0, site.server.moved());
    while moved.0 != moved.1 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        moved = (moved.1, site.server.moved());
    }
    assert!(moved.1 < 128 << 20, "{moved:?}");
    // Its place is its own until its body has ended.
    refused(&site.ask(Method::GET, "/b", &[]).await, 503, "is busy; try again later", "a second one");
    drop(stream);
    site.nothing_passes("upload").await;
    assert_eq!(site.ended("slow", "left").await, 1);
    site.server.does(Manner::Good);
    assert_eq!(site.ask(Method::GET, "/a", &[]).await.status, 200);
    // One that leaves before there is an answer.
    site.server.does(Manner::Holds);
    let stream = site.raw("GET /files/late", "").await;
    while site.server.heads().is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    drop(stream);
    site.server.does(Manner::Good);
    while site.ask(Method::GET, "/a", &[]).await.status != StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    site.server.lets_go();
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_on_its_way_up_is_told_and_never_taken_for_a_whole_one() {
    let site = site("upload", "", TIMES).await;
    let post = async |fields: &str, body: &str| {
        let mut stream = site.raw("POST /files/a", &format!("{fields}Connection: close\r\n")).await;
        stream.write_all(body.as_bytes()).await.unwrap();
        stream
    };
    assert!(rest(&mut post("Content-Length: 3\r\n", "abc").await).await.contains(" 201 "));
    let chunks = "2;x=y\r\nab\r\n1\r\nc\r\n0\r\nx-trailer: y\r\n\r\n";
    assert!(rest(&mut post("Transfer-Encoding: chunked\r\n", chunks).await).await.contains(" 201 "));
    let heads = site.server.heads().join("").to_ascii_lowercase();
    assert!(
        heads.contains("content-length: 3\r\n") && heads.contains("transfer-encoding: chunked\r\n"),
        "{heads}"
    );
    assert_eq!(site.server.moved(), 6);

    // Silent in the middle; gone in the middle.
    assert!(rest(&mut post("Content-Length: 9\r\n", "abc").await).await.contains(" 408 "));
    drop(post("Content-Length: 9\r\n", "abc").await);
    drop(post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n").await);
    site.nothing_passes("upload").await;
    // A server that takes nothing of it.
    site.server.does(Manner::ReadsNoBody);
    let mut stream = post("Content-Length: 33554432\r\n", "").await;
    let (mut reads, mut writes) = stream.split();
    let piece = vec![b'x'; 1 << 20];
    let sends = async {
        for _ in 0..32 {
            if writes.write_all(&piece).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut answer = [0; 12];
    tokio::select! {
        read = reads.read_exact(&mut answer) => assert!(read.is_ok() && answer.ends_with(b"504"), "{answer:?}"),
        () = sends => {}
    }
    assert_eq!(site.server.heads(), Vec::<String>::new(), "none of these came whole");
    site.server.does(Manner::Good);
    assert!(rest(&mut post("Content-Length: 3\r\n", "abc").await).await.contains(" 201 "));

    // Who asks first is told to go on, where it may.
    let mut stream =
        site.raw("POST /files/a", "Content-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n").await;
    until(&mut stream, "100 Continue\r\n\r\n").await;
    stream.write_all(b"abc").await.unwrap();
    assert!(rest(&mut stream).await.contains(" 201 "));
    let mut stream = site
        .raw("DELETE /files/a", "Content-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n")
        .await;
    assert!(until(&mut stream, "\r\n").await.contains(" 405 "));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_ends_the_connection_only_where_its_body_is_still_to_come() {
    let site = site("unread", "body_bytes = 50000", "").await;
    let told = async |line: &str, fields: &str, more: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", site.setup.port)).await.unwrap();
        let token = format!("Host: x\r\nAuthorization: Bearer {}\r\n", site.setup.token(json!({})));
        let last = format!("GET /files/last HTTP/1.1\r\n{token}Connection: close\r\n\r\n");
        let all = format!("{line} HTTP/1.1\r\n{token}{fields}\r\n{more}").replace("LAST", &last);
        stream.write_all(all.as_bytes()).await.unwrap();
        rest(&mut stream).await.to_ascii_lowercase()
    };
    let (delete, post) = ("DELETE /files/a", "POST /files/a");
    for (line, fields, more, status) in [
        (delete, "Content-Length: 3\r\n", "abcLAST", 405),
        (delete, "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\nLAST", 405),
        ("GET /other/a", "Content-Length: 3\r\n", "abcLAST", 404),
    ] {
        let text = told(line, fields, more).await;
        assert!(text.starts_with(&format!("http/1.1 {status} ")), "{text}");
        assert_eq!(text.matches("http/1.1 ").count(), 2, "the next one is answered: {text}");
    }
    for (line, fields, more, status) in [
        (delete, "Content-Length: 30000\r\n", "abc", 405),
        (delete, "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n", 405),
        (delete, "Content-Length: 3\r\nExpect: 100-continue\r\n", "", 405),
        (post, "Content-Length: 100000\r\n", "abc", 413),
        (post, "Content-Length: 100000\r\nExpect: 100-continue\r\n", "", 413),
    ] {
        let text = told(line, fields, more).await;
        assert!(text.starts_with(&format!("http/1.1 {status} ")), "{text}");
        assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_ends_no_connection_and_a_sidecar_that_stops_waits_for_what_passes() {
    let site = site("pause", "audit = \"minute\"", "").await;
    let before = site.records();
    for _ in 0..3 {
        assert_eq!(site.ask(Method::GET, "/a", &[]).await.status, 200);
    }
    assert!(
        (before + 1..=before + 3).contains(&site.records()),
        "a record for the minute, not for each request"
    );
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n".to_owned();
    site.server.does(Manner::HoldsInside(chunked, "0\r\n\r\n".to_owned()));
    let mut stream = site.raw("GET /files/slow", "").await;
    until(&mut stream, "abc\r\n").await;
    // Longer than a connection without anything to do is left with the HTTP library.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (store, server) = (site.setup.folder.path().join("varco.sqlite"), site.server.clone());
    let Site { setup, running, .. } = site;
    let stopped = tokio::spawn(running.stop());
    while TcpStream::connect(("127.0.0.1", setup.port)).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!stopped.is_finished());
    server.lets_go();
    assert_eq!(rest(&mut stream).await, "0\r\n\r\n");
    stopped.await.unwrap();
    server.stop().await;
    let trail = varco::store::Store::open(&store, varco_core::consent::Reading::default());
    let records = trail.unwrap().verify_audit().unwrap().unwrap();
    assert!(records >= before + 2, "the minute's end counts its requests: {records}");
}
