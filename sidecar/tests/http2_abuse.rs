//! HTTP/2 as nobody's client library would write it: header values that break lines, floods of streams taken back.
#![allow(clippy::unwrap_used)]

mod harness;

use std::time::Duration;

use harness::Region;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

/// A frame (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header that no table holds (RFC 7541 §6.2.2).
fn literal(name: &str, value: &str) -> Vec<u8> {
    [vec![0], text(name), text(value)].concat()
}

/// A string with its length (RFC 7541 §5.1, §5.2).
fn text(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.len();
    if rest < 127 {
        out.push(u8::try_from(rest).unwrap());
    } else {
        out.push(127);
        rest -= 127;
        while rest >= 128 {
            out.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        out.push(u8::try_from(rest).unwrap());
    }
    out.extend(text.as_bytes());
    out
}

/// A GET of this path with the token, and more headers.
fn get(path: &str, token: &str, more: &[(&str, &str)]) -> Vec<u8> {
    // `:method: GET` and `:scheme: http` of the static table, then `:path` and `:authority`.
    let mut block = vec![0x82, 0x86, 0x04];
    block.extend(text(path));
    block.push(0x01);
    block.extend(text("x"));
    block.extend(literal("authorization", &format!("Bearer {token}")));
    for (name, value) in more {
        block.extend(literal(name, value));
    }
    block
}

/// Sends frames on a new connection; gives the kinds and streams of the frames that come back until it ends or rests.
async fn exchange(port: u16, frames: &[u8]) -> Vec<(u8, u32)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let opening = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&opening).await.unwrap();
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
    let token = region.setup.token(serde_json::json!({}));
    let port = region.setup.port;
    let good =
        exchange(port, &frame(HEADERS, 5, 1, &get("/fhir/Patient/anna", &token, &[("x-a", "b")]))).await;
    assert!(good.contains(&(HEADERS, 1)), "a sound request is answered: {good:?}");
    let before = region.hospital.request_count();
    for block in [
        get("/fhir/Patient/anna", &token, &[("x-a", "b\r\nx-injected: 1")]),
        get("/fhir/Patient/anna", &token, &[("x-a\r\nx-injected", "1")]),
        get("/fhir/Patient/anna", &token, &[("x-a", "b\0c")]),
        get("/fhir/Patient/anna", &token, &[("X-Upper", "b")]),
        get("/fhir/Patient/anna HTTP/1.1\r\nHost: x\r\n\r\nGET /fhir/Patient/bruno", &token, &[]),
        get("/fhir/Patient/anna", &token, &[("transfer-encoding", "chunked")]),
        get("/fhir/Patient/anna", &token, &[("connection", "keep-alive")]),
        get("/fhir/Patient/anna", &token, &[(":path", "/fhir/Patient/bruno")]),
    ] {
        let answer = exchange(port, &frame(HEADERS, 5, 1, &block)).await;
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
    let token = region.setup.token(serde_json::json!({ "client_id": "flood" }));
    let before = region.hospital.request_count();
    let block = get("/fhir/Patient/anna", &token, &[]);
    let mut frames = Vec::new();
    for number in 0..3000 {
        let stream = 2 * number + 1;
        frames.extend(frame(HEADERS, 5, stream, &block));
        frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    let answer = exchange(region.setup.port, &frames).await;
    assert!(answer.iter().any(|(kind, _)| *kind == GOAWAY), "the connection is given up: {answer:?}");
    let asked = region.hospital.request_count() - before;
    assert!(asked <= 60, "{asked} requests reached the server");
    assert_eq!(region.asking().get("Patient/anna").await.status, StatusCode::OK, "others are served");
    region.stop().await;
}
