//! Clients as nobody's library would write them: bytes with two meanings, connections that say nothing, answers that
//! nobody reads, HTTP/2 that breaks lines and takes streams back.
#![allow(clippy::unwrap_used)]

mod harness;

use std::time::Duration;

use harness::authority::Authority;
use harness::frames::{self, GOAWAY, HEADERS, RST_STREAM, frame};
use harness::{FHIR, Region, consent};
use http::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// What follows each row's bytes: it is answered only where the connection goes on.
const MARKER: &str = "GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Sends bytes, and gives the status of each answer until the connection ends.
async fn answers(port: u16, bytes: &[u8]) -> Vec<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // Where the server has hung up already there is nothing left to send.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(read.is_ok(), "the connection must end: {}\n{text}", String::from_utf8_lossy(bytes));
    text.split("HTTP/1.").skip(1).filter_map(|head| head.get(2..5)?.parse().ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_of_bytes_gets_its_answer_and_keeps_or_loses_its_connection() {
    let region = Region::start_bare("").await;
    let permit = json!({ "type": "permit" });
    region.seed(&json!({ "resourceType": "Patient", "id": "anna" }));
    let recorded = region.asking().post("Consent", &consent("Patient/anna", permit)).await;
    assert_eq!(recorded.status, StatusCode::CREATED);
    let body = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
        "subject": { "reference": "Patient/anna" } })
    .to_string();
    let (size, half) = (body.len(), body.len() / 2);
    let chunked =
        format!("{half:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n", &body[..half], size - half, &body[half..]);
    let bearer = format!("Authorization: Bearer {}\r\n", region.setup.token(json!({})));
    let get = |lines: &str| format!("GET /fhir/Patient/anna HTTP/1.1\r\n{lines}{bearer}\r\n");
    let post = |lines: &str, body: &str| {
        format!(
            "POST /fhir/Observation HTTP/1.1\r\nHost: x\r\n{bearer}Content-Type: {FHIR}\r\n{lines}\r\n{body}"
        )
    };
    let unknown = |lines: &str, body: &str| post(lines, body).replace("Bearer", "Basic");
    let first = |line: &str| format!("{line}\r\nHost: x\r\n{bearer}\r\n");
    let sized = |value: &str| format!("Content-Length: {value}\r\n");
    const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
    const HOST: &str = "Host: x\r\n";

    // What is sent, the statuses that come back; 200 at the end is the marker's: the connection went on.
    let rows: Vec<(&str, String, &[u16])> = vec![
        ("a sound read", get(HOST), &[200, 200]),
        ("a sound create", post(&sized(&size.to_string()), &body), &[201, 200]),
        ("a sound create in chunks", post(CHUNKED, &chunked), &[201, 200]),
        ("a chunk extension", post(CHUNKED, &chunked.replacen("\r\n", ";a=b\r\n", 1)), &[201, 200]),
        ("a trailer", post(CHUNKED, &chunked.replace("0\r\n\r\n", "0\r\nX-T: 1\r\n\r\n")), &[201, 200]),
        ("empty lines before a request", format!("\r\n{}", get(HOST)), &[200, 200]),
        ("HTTP/1.0 without Host", get("").replace("HTTP/1.1", "HTTP/1.0"), &[200]),
        // Two framings.
        ("length, then encoding", post(&format!("{}{CHUNKED}", sized(&size.to_string())), &chunked), &[400]),
        ("encoding, then length", post(&format!("{CHUNKED}{}", sized(&size.to_string())), &chunked), &[400]),
        ("two equal lengths", post(&sized(&size.to_string()).repeat(2), &body), &[400]),
        ("two lengths", post(&format!("{}{}", sized("4"), sized(&size.to_string())), &body), &[400]),
        ("lengths in a list", post(&sized(&format!("{size}, {size}")), &body), &[400]),
        ("a length with a sign", post(&sized(&format!("+{size}")), &body), &[400]),
        ("a negative length", post(&sized("-1"), &body), &[400]),
        ("a length in hexadecimal", post(&sized(&format!("{size:#x}")), &body), &[400]),
        ("an empty length", post("Content-Length:\r\n", &body), &[400]),
        ("a length beyond 64 bits", post(&sized("18446744073709551617"), &body), &[400]),
        ("an unknown encoding", post("Transfer-Encoding: xchunked\r\n", &chunked), &[400]),
        ("chunked not last", post("Transfer-Encoding: chunked, identity\r\n", &chunked), &[400]),
        ("chunked twice", post(&CHUNKED.repeat(2), &chunked), &[400]),
        ("compressed, then chunked", post("Transfer-Encoding: gzip, chunked\r\n", &chunked), &[400]),
        ("encoding in HTTP/1.0", post(CHUNKED, &chunked).replace("HTTP/1.1", "HTTP/1.0"), &[400]),
        ("a hidden encoding", post("Transfer-Encoding:\x0bchunked\r\n", &chunked), &[400]),
        ("a space before the colon", post(&format!("Content-Length : {size}\r\n"), &body), &[400]),
        ("a name that is no token", post("Content(Length: 4\r\n", &body), &[400]),
        // Chunks.
        (
            "a chunk size with a sign",
            post(CHUNKED, &chunked.replacen(&format!("{half:x}"), &format!("+{half:x}"), 1)),
            &[400],
        ),
        (
            "a chunk size with a prefix",
            post(CHUNKED, &chunked.replacen(&format!("{half:x}"), &format!("0x{half:x}"), 1)),
            &[400],
        ),
        (
            "a chunk size beyond 64 bits",
            post(CHUNKED, &format!("1{:0>16}\r\n{body}\r\n0\r\n\r\n", "")),
            &[400],
        ),
        (
            "a chunk that is longer than it says",
            post(CHUNKED, &chunked.replacen(&format!("{half:x}"), "3", 1)),
            &[400],
        ),
        (
            "a chunk that ends with a line feed alone",
            post(CHUNKED, &chunked.replacen("\r\n", "\n", 1)),
            &[400],
        ),
        (
            "a chunk extension that hides a line feed",
            post(CHUNKED, &chunked.replacen("\r\n", ";\n", 1)),
            &[400],
        ),
        ("an empty chunk size", post(CHUNKED, &format!("\r\n{chunked}")), &[400]),
        // Lines.
        ("line feeds alone", get(HOST).replace("\r\n", "\n"), &[400]),
        ("one line feed alone", get("Host: x\n"), &[400]),
        ("a carriage return in a value", get("Host: x\r\nX-A: b\rc\r\n"), &[400]),
        ("a folded line", get("Host: x\r\nX-A: b\r\n c\r\n"), &[400]),
        ("a folded first line", get(" Host: x\r\n"), &[400]),
        ("a zero byte", get("Host: x\r\nX-A: b\0c\r\n"), &[400]),
        ("an unknown version", first("GET /fhir/Patient/anna HTTP/1.2"), &[400]),
        ("HTTP/0.9", "GET /fhir/Patient/anna\r\n\r\n".to_owned(), &[400]),
        ("a space in the path", first("GET /fhir/Patient/anna x HTTP/1.1"), &[400]),
        ("half of HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nGET".to_owned(), &[]),
        // Whose request is it.
        ("no Host", get(""), &[400]),
        ("two Hosts", get("Host: x\r\nHost: y\r\n"), &[400]),
        ("absolute form, the same host", first("GET http://x/fhir/Patient/anna HTTP/1.1"), &[200, 200]),
        ("absolute form, another host", first("GET http://y/fhir/Patient/anna HTTP/1.1"), &[400]),
        ("CONNECT", first("CONNECT y:443 HTTP/1.1"), &[400]),
        ("TRACE", first("TRACE /fhir/Patient/anna HTTP/1.1"), &[405, 200]),
        ("OPTIONS of the server", first("OPTIONS * HTTP/1.1"), &[404, 200]),
        ("a method of one's own", first("PURGE /fhir/Patient/anna HTTP/1.1"), &[405, 200]),
        ("an upgrade", get("Host: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"), &[400]),
        (
            "an upgrade to HTTP/2",
            get("Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n"),
            &[400],
        ),
        ("Connection names a header", get("Host: x\r\nConnection: keep-alive, Authorization\r\n"), &[400]),
        (
            "Connection names nothing of here",
            get("Host: x\r\nConnection: keep-alive, X-Gone\r\n"),
            &[200, 200],
        ),
        // Too much.
        ("65 headers", get(&format!("Host: x\r\n{}", "X-A: b\r\n".repeat(64))), &[431]),
        ("70 KB of header", get(&format!("Host: x\r\nX-A: {}\r\n", "b".repeat(70_000))), &[431]),
        ("a length of 1 GB", post(&sized("1073741824"), ""), &[413]),
        // A body that nobody reads: at hand it is let go of, and the connection goes on.
        ("nobody's create", unknown(&sized(&size.to_string()), &body), &[401, 200]),
        ("nobody's create in chunks", unknown(CHUNKED, &chunked), &[401, 200]),
        ("nobody's create, the body to come", unknown(&sized("100000"), &body), &[401]),
    ];
    let mut wrong = Vec::new();
    for (name, bytes, expected) in &rows {
        let before = region.hospital.request_count();
        let got = answers(region.setup.port, format!("{bytes}{MARKER}").as_bytes()).await;
        // A server may also hang up on a flood without a word: what is still being sent then hides its answer.
        let hung_up = expected == &[431] || expected == &[413];
        if got != *expected && !(hung_up && got.is_empty()) {
            wrong.push(format!("{name}: {got:?} instead of {expected:?}"));
        }
        let refused = expected.first().is_none_or(|status| *status >= 400);
        if refused && region.hospital.request_count() != before {
            wrong.push(format!("{name}: something was forwarded"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_before_its_request_has_come_says_that_the_connection_ends() {
    let region = Region::start_bare("").await;
    // What needs no token doesn't ask for a body either.
    for (line, status) in [("POST /fhir/Observation", 401), ("GET /fhir/metadata", 200)] {
        let mut stream = TcpStream::connect(("127.0.0.1", region.setup.port)).await.unwrap();
        let head =
            format!("{line} HTTP/1.1\r\nHost: x\r\nContent-Type: {FHIR}\r\nContent-Length: 100000\r\n\r\n{{");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&answer).to_lowercase();
        assert!(text.starts_with(&format!("http/1.1 {status} ")), "{text}");
        assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
        let whole = format!("{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n{{{MARKER}");
        assert_eq!(answers(region.setup.port, whole.as_bytes()).await, [status, 200], "all of it is there");
    }
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_come_one_by_one_mean_the_same() {
    let region = Region::start_bare("").await;
    let head = "GET /fhir/metadata HTTP/1.1\r\nHost: x\r\n";
    for (lines, expected) in
        [("\r\n", vec![200, 200]), ("Content-Length: 0\r\nContent-Length: 0\r\n\r\n", vec![400])]
    {
        let mut stream = TcpStream::connect(("127.0.0.1", region.setup.port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for byte in format!("{head}{lines}{MARKER}").bytes() {
            if stream.write_all(&[byte]).await.is_err() {
                break;
            }
        }
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
        let text = String::from_utf8_lossy(&answer).into_owned();
        let statuses: Vec<u16> =
            text.split("HTTP/1.1 ").skip(1).map(|head| head[..3].parse().unwrap()).collect();
        // What was sent after the end may take the answer along.
        assert!(statuses == expected || (expected.len() == 1 && statuses.is_empty()), "{lines}: {text}");
    }
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_nobody_uses_ends_by_itself() {
    let region = Region::start_bare_listening("header_seconds = 1\nidle_seconds = 1\n").await;
    let silent = async |bytes: &[u8]| {
        let mut stream = TcpStream::connect(("127.0.0.1", region.setup.port)).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "it must end: {}", String::from_utf8_lossy(bytes));
        answer.len()
    };
    assert_eq!(silent(b"").await, 0, "nothing at all");
    assert_eq!(silent(b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nX-Slow: ").await, 0, "half a header");
    assert!(silent(b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\n\r\n").await > 0, "one request, then nothing");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    assert!(silent(preface).await > 0, "HTTP/2 without a request");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_has_rested_is_answered_as_before() {
    let region = Region::start_bare("").await;
    let mut stream = TcpStream::connect(("127.0.0.1", region.setup.port)).await.unwrap();
    let ask = b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(ask).await.unwrap();
    let mut first = [0; 4096];
    assert!(stream.read(&mut first).await.unwrap() > 0 && first.starts_with(b"HTTP/1.1 200"));
    // Longer than the HTTP library is kept for it; what is left of the first answer is read away.
    tokio::time::sleep(Duration::from_secs(3)).await;
    while let Ok(Ok(1..)) = tokio::time::timeout(Duration::from_millis(10), stream.read(&mut first)).await {}
    stream
        .write_all(format!("GET /fhir/nothing HTTP/1.1\r\nHost: x\r\n\r\n{MARKER}").as_bytes())
        .await
        .unwrap();
    let mut rest = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut rest)).await.unwrap().unwrap();
    assert!(rest.starts_with("HTTP/1.1 401") && rest.contains("HTTP/1.1 200"), "{rest}");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_of_an_answer_is_cut_off() {
    let region = Region::start_bare_listening("stall_seconds = 1\nidle_seconds = 600\n").await;
    let text = "x".repeat(3 << 20);
    region.seed(&json!({ "resourceType": "Patient", "id": "anna", "name": [{ "text": text }] }));
    let permit = json!({ "type": "permit" });
    let recorded = region.asking().post("Consent", &consent("Patient/anna", permit)).await;
    assert_eq!(recorded.status, StatusCode::CREATED);
    let token = region.setup.token(json!({}));

    // HTTP/1.1: far more is asked for than the buffers of the way hold; nothing is read until the end.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(([127, 0, 0, 1], region.setup.port).into()).await.unwrap();
    let get = format!("GET /fhir/Patient/anna HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(get.repeat(8).as_bytes()).await.unwrap();
    while !is_stuck(region.setup.port) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let gone = async {
        while is_stuck(region.setup.port) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, gone).await.is_ok(), "the connection is still held");
    drop(stream);

    // HTTP/2: the caller's window never opens.
    let mut stream = TcpStream::connect(("127.0.0.1", region.setup.port)).await.unwrap();
    // SETTINGS_INITIAL_WINDOW_SIZE = 0.
    let bytes = [
        frames::opening(&[0, 4, 0, 0, 0, 0]),
        frame(HEADERS, 5, 1, &frames::get("/fhir/Patient/anna", &token, &[])),
    ];
    stream.write_all(&bytes.concat()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection must end");
    assert!(answer.len() < 1 << 16, "{}", answer.len());
    assert_eq!(region.asking().get("Patient/anna").await.status, StatusCode::OK, "others are served");
    region.stop().await;
}

/// Whether the server's end of a connection stands, with bytes that nobody takes (`/proc/net/tcp`).
fn is_stuck(port: u16) -> bool {
    let local = format!(":{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, own, _, state, queues, ..] = fields.as_slice() else { return false };
        own.ends_with(&local) && *state == "01" && !queues.starts_with("00000000")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_can_not_take_every_place() {
    let region = Region::start_bare_listening("connections = 8\nconnections_per_address = 2\n").await;
    let port = region.setup.port;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        held.push(stream);
    }
    assert_eq!(answers(port, MARKER.as_bytes()).await, [0_u16; 0], "a third connection");
    let elsewhere = tokio::net::TcpSocket::new_v4().unwrap();
    elsewhere.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut stream = elsewhere.connect(([127, 0, 0, 1], port).into()).await.unwrap();
    stream.write_all(MARKER.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "another address is served");
    drop(held);
    while answers(port, MARKER.as_bytes()).await != [200] {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_without_a_free_place_can_still_be_told_to_stop() {
    let listen = "connections = 2\nconnections_per_address = 2\nidle_seconds = 600\n";
    let region = Region::start_bare_listening(listen).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(("127.0.0.1", region.setup.port)).await.unwrap();
        stream.write_all(b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        held.push(stream);
    }
    assert!(tokio::time::timeout(PATIENCE, region.stop()).await.is_ok(), "it waits for a place");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_of_tls_before_1_2_and_unknown_names_are_refused() {
    let network = Authority::new();
    let keys = tempfile::tempdir().unwrap();
    network.write(keys.path(), &network.issue("fhir.niguarda.example"));
    let other = network.issue("fhir.gemelli.example");
    std::fs::write(keys.path().join("other.pem"), &other.0).unwrap();
    std::fs::write(keys.path().join("other.key"), &other.1).unwrap();
    let file = |name: &str| keys.path().join(name).display().to_string();
    let region = Region::start_bare(&format!(
        "[listen.tls]\ncertificate = \"{}\"\nkey = \"{}\"\nunknown_name = \"refuse\"\n\
         [[listen.tls.also]]\ncertificate = \"{}\"\nkey = \"{}\"\n",
        file("server.pem"),
        file("server.key"),
        file("other.pem"),
        file("other.key"),
    ))
    .await;
    let connect = async |name: &'static str| {
        let stream = TcpStream::connect(("127.0.0.1", region.setup.port)).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(network.client(None)));
        connector.connect(name.try_into().unwrap(), stream).await.is_ok()
    };
    assert!(connect("fhir.niguarda.example").await && connect("fhir.gemelli.example").await);
    assert!(!connect("fhir.elsewhere.example").await);

    // A ClientHello of TLS 1.1 (RFC 4346 §7.4.1.2) is answered by an alert.
    let mut hello = vec![3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xC0, 0x13, 0x00, 0x2F, 1, 0]);
    let length = u8::try_from(hello.len()).unwrap();
    let record = [vec![22, 3, 1, 0, length + 4, 1, 0, 0, length], hello].concat();
    let mut stream = TcpStream::connect(("127.0.0.1", region.setup.port)).await.unwrap();
    stream.write_all(&record).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
    region.stop().await;
}

/// Sends frames on a new connection; gives the kinds and streams of the frames that come back until it ends or rests.
async fn frames_back(port: u16, frames: &[u8]) -> Vec<(u8, u32)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(&frames::opening(&[])).await.unwrap();
    // Where the server has hung up already there is nothing left to send.
    let _ = stream.write_all(frames).await;
    let (mut seen, mut buffer) = (Vec::new(), [0; 65536]);
    while let Ok(Ok(length)) = tokio::time::timeout(Duration::from_secs(2), stream.read(&mut buffer)).await {
        if length == 0 {
            break;
        }
        seen.extend_from_slice(&buffer[..length]);
    }
    let mut kinds = Vec::new();
    let mut rest = seen.as_slice();
    while let [a, b, c, kind, _, s0, s1, s2, s3, after @ ..] = rest {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        kinds.push((*kind, u32::from_be_bytes([*s0, *s1, *s2, *s3])));
        rest = after.get(length..).unwrap_or_default();
    }
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_breaks_lines_or_names_a_connection_ends_its_stream() {
    let region = Region::start("").await;
    let token = region.setup.token(json!({}));
    let port = region.setup.port;
    let good =
        frames_back(port, &frame(HEADERS, 5, 1, &frames::get("/fhir/Patient/anna", &token, &[("x-a", "b")])))
            .await;
    assert!(good.contains(&(HEADERS, 1)), "a sound request is answered: {good:?}");
    let before = region.hospital.request_count();
    for block in [
        frames::get("/fhir/Patient/anna", &token, &[("x-a", "b\r\nx-injected: 1")]),
        frames::get("/fhir/Patient/anna", &token, &[("x-a\r\nx-injected", "1")]),
        frames::get("/fhir/Patient/anna", &token, &[("x-a", "b\0c")]),
        frames::get("/fhir/Patient/anna", &token, &[("X-Upper", "b")]),
        frames::get("/fhir/Patient/anna HTTP/1.1\r\nHost: x\r\n\r\nGET /fhir/Patient/bruno", &token, &[]),
        frames::get("/fhir/Patient/anna", &token, &[("transfer-encoding", "chunked")]),
        frames::get("/fhir/Patient/anna", &token, &[("connection", "keep-alive")]),
        frames::get("/fhir/Patient/anna", &token, &[(":path", "/fhir/Patient/bruno")]),
    ] {
        let answer = frames_back(port, &frame(HEADERS, 5, 1, &block)).await;
        let ended =
            answer.iter().any(|(kind, stream)| (*kind, *stream) == (RST_STREAM, 1) || *kind == GOAWAY);
        assert!(ended, "{answer:?}: {}", String::from_utf8_lossy(&block));
        assert_eq!(region.hospital.request_count(), before, "nothing may be forwarded");
    }
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_streams_taken_back_costs_no_more_than_the_rate_allows() {
    let region = Region::start("[limits]\nrequests_per_second = 1\nburst = 20\n").await;
    let token = region.setup.token(json!({ "client_id": "flood" }));
    let before = region.hospital.request_count();
    let block = frames::get("/fhir/Patient/anna", &token, &[]);
    let mut frames = Vec::new();
    for number in 0..3000 {
        let stream = 2 * number + 1;
        frames.extend(frame(HEADERS, 5, stream, &block));
        frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    let answer = frames_back(region.setup.port, &frames).await;
    assert!(answer.iter().any(|(kind, _)| *kind == GOAWAY), "the connection is given up: {answer:?}");
    let asked = region.hospital.request_count() - before;
    assert!(asked <= 60, "{asked} requests reached the server");
    assert_eq!(region.asking().get("Patient/anna").await.status, StatusCode::OK, "others are served");
    region.stop().await;
}
