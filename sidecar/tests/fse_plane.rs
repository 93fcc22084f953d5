//! The way to the national gateway of FSE 2.0: what is sent goes through as it is, what can't be delivered waits on disk and is
//! sent in its order, once; and nothing of it opens what is shut here.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use harness::authority::Authority;
use harness::national::{National, multipart, taken, tokens};
use harness::serving::Serving;
use harness::{Asking, Region, Reply, Setup, consent};
use http::{Method, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{CertificateParams, DnType, KeyPair, KeyUsagePurpose};
use rusqlite::Connection;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use varco::store::TrailReader;

const GATEWAY_TIMEOUT: StatusCode = StatusCode::GATEWAY_TIMEOUT;
/// A document of this region, as a path names it.
const DOC: &str = "2.16.840.1.113883.2.9.2.30.4.4%5E";

fn settings(national: &National, more: &str) -> String {
    format!(
        "[publication]\nrecords = 50\n[[publication.route]]\nname = \"fse\"\npath = \"/fse/v1\"\nregion = \"030\"\n\
         gateway = \"http://127.0.0.1:{}/gateway/v1\"\ncallers = \"network\"\nnetworks = [\"127.0.0.1\"]\n\
         answer_seconds = 2\nbody_bytes = 100000\n{more}",
        national.port
    )
}

/// A hospital's application.
struct Application {
    asking: Asking,
    root: String,
    admin: String,
}

/// What an application sends, before its tokens.
#[derive(Clone)]
struct Send<'a> {
    method: Method,
    path: String,
    body: Vec<u8>,
    boundary: &'a str,
    ends_in: i64,
    claims: Value,
}

impl Application {
    fn of(setup: &Setup) -> Application {
        Application {
            asking: setup.client(),
            root: format!("http://127.0.0.1:{}/fse/v1", setup.port),
            admin: format!("http://127.0.0.1:{}", setup.admin),
        }
    }

    /// Sends with tokens of this id.
    async fn send(&self, id: &str, send: &Send<'_>) -> Reply {
        let (caller, signature) = tokens(id, send.ends_in, &send.claims);
        let kind = match send.body.first() {
            Some(b'-') => format!("multipart/form-data; boundary={}", send.boundary),
            _ => "application/json".to_owned(),
        };
        let headers = [
            ("fse-jwt-signature", signature.as_str()),
            ("content-type", kind.as_str()),
            ("accept", "application/json"),
            ("cookie", "c=1"),
            ("x-forwarded-for", "10.0.0.1"),
        ];
        let url = format!("{}{}", self.root, send.path);
        let asking = self.asking.with_token(Some(caller));
        asking.send(send.method.clone(), &url, &headers, Bytes::from(send.body.clone())).await
    }

    async fn outbox(&self) -> Value {
        let listing = self.asking.get(&format!("{}/outbox", self.admin)).await;
        assert_eq!(listing.status, StatusCode::OK, "{:?}", listing.body);
        listing.json()
    }

    /// Waits until the outbox is as wanted.
    async fn outbox_is(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..1_200 {
            let outbox = self.outbox().await;
            if wanted(&outbox) {
                return outbox;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the outbox is never as wanted: {}", self.outbox().await);
    }

    async fn emptied(&self) -> Value {
        self.outbox_is(|outbox| outbox["waiting"] == 0).await
    }
}

fn create<'a>(document: &str) -> Send<'a> {
    let plain = document.replace("%5E", "^");
    let body = multipart("b1", &plain, format!("%PDF-1.7 {document}\r\n\x00\x01").as_bytes());
    let hash = Sha256::digest(format!("%PDF-1.7 {document}\r\n\x00\x01"))
        .into_iter()
        .map(|byte| format!("{byte:02x}"));
    let claims = json!({ "action_id": "CREATE", "attachment_hash": hash.collect::<String>() });
    Send { method: Method::POST, path: "/documents".to_owned(), body, boundary: "b1", ends_in: 600, claims }
}

fn metadata<'a>(document: &str, access: &str) -> Send<'a> {
    let body = json!({ "tipologiaStruttura": "Ospedale", "attiCliniciRegoleAccesso": [access] })
        .to_string()
        .into_bytes();
    let path = format!("/documents/{document}/metadata");
    Send {
        method: Method::PUT,
        path,
        body,
        boundary: "",
        ends_in: 600,
        claims: json!({ "action_id": "UPDATE" }),
    }
}

fn delete<'a>(document: &str) -> Send<'a> {
    let path = format!("/documents/{document}");
    Send {
        method: Method::DELETE,
        path,
        body: Vec::new(),
        boundary: "",
        ends_in: 600,
        claims: json!({ "action_id": "DELETE" }),
    }
}

/// The type of an error of this gateway's own.
fn problem(reply: &Reply) -> String {
    assert_eq!(reply.headers["content-type"], "application/problem+json", "{:?}", reply.body);
    let body = reply.json();
    assert_eq!(body["status"], reply.status.as_u16(), "{body}");
    assert!(body["title"].is_string() && body["detail"].is_string() && body["traceID"].is_string(), "{body}");
    body["type"].as_str().unwrap().to_owned()
}

fn kept(reply: &Reply) -> String {
    reply.headers["varco-outbox"].to_str().unwrap().to_owned()
}

/// The AuditEvents of a request, as a search tells them.
async fn audited(region: &Region, id: &str) -> Vec<Value> {
    let found = region.asking().get(&format!("AuditEvent?entity:identifier=%7C{id}")).await.json();
    found["entry"].as_array().into_iter().flatten().map(|entry| entry["resource"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_and_answers_go_through_byte_by_byte() {
    let national = National::start().await;
    let region = Region::edited("", &settings(&national, ""), |_| {}).await;
    let application = Application::of(&region.setup);
    let problem_json = "application/problem+json; charset=UTF-8";
    let answers: Vec<(u16, &'static str, Vec<u8>)> = vec![
        (200, "application/json", b" {\"traceID\" : \"1\",\t\"warning\":\"x\" }\n\n".to_vec()),
        (201, "application/json", b"{\"a\":1.00,\"a\":2}".to_vec()),
        (200, "text/plain", b"not \xff UTF-8 \x00".to_vec()),
        (400, problem_json, b"{\"type\":\"/msg/syntax\" , \"detail\":\"\xe8\"}".to_vec()),
        (403, problem_json, b"{ \"type\":\"/msg/jwt-validation\",\"status\":403}\r\n".to_vec()),
        (404, problem_json, b"".to_vec()),
        (409, "application/xml", b"<a>".to_vec()),
        (422, problem_json, b"{\"type\":\"/msg/semantic\",\"warning\":\"w\",\"status\":422}".to_vec()),
        (500, "text/html", b"<html>".to_vec()),
        (503, problem_json, b"{\"title\":\"Service unavailable\"".to_vec()),
    ];
    for (at, (status, kind, body)) in answers.into_iter().enumerate() {
        let told = (status, kind, body.clone());
        national.answers(move |_| Some(told.clone()));
        for path in ["/documents/validation?x=%20y&&z", "/documents/fhir-validation", "/documents"] {
            let before = national.arrived().len();
            let sent = Send { path: path.to_owned(), ..create(&format!("{DOC}{at}")) };
            let reply = application.send(&format!("{at}{path}"), &sent).await;
            let arrived = &national.arrived()[before];
            assert_eq!(arrived.line(), format!("POST /gateway/v1{path}"));
            assert_eq!(arrived.body, sent.body);
            let names = ["authorization", "fse-jwt-signature", "content-type", "accept"];
            assert!(names.iter().all(|name| arrived.headers.contains_key(*name)), "{:?}", arrived.headers);
            let others = ["cookie", "x-forwarded-for", "forwarded", "via"];
            assert!(others.iter().all(|name| !arrived.headers.contains_key(*name)), "{:?}", arrived.headers);
            assert_eq!((reply.status.as_u16(), &reply.body[..]), (status, &body[..]), "{path}");
            assert_eq!(
                (&reply.headers["content-type"], &reply.headers["govway-transaction-id"]),
                (&kind.parse::<http::HeaderValue>().unwrap(), &"g1".parse().unwrap())
            );
            let records = audited(&region, reply.request_id()).await;
            assert_eq!(records.len(), 1, "{path} {status}: {records:?}");
        }
    }
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_noticed_becomes_a_warning_after_one_mark_and_never_a_refusal() {
    let national = National::start().await;
    let region = Region::edited("", &settings(&national, ""), |_| {}).await;
    let application = Application::of(&region.setup);
    let mut sent = create(&format!("{DOC}1"));
    sent.claims =
        json!({ "action_id": "READ", "attachment_hash": "00".repeat(32), "subject_organization_id": "120" });
    let reply = application.send("1", &sent).await;
    let warning = reply.json()["warning"].as_str().unwrap().to_owned();
    assert!(warning.starts_with("--middlewarewarning--"), "{warning}");
    for part in ["action_id", "attachment_hash", "region"] {
        assert!(warning.contains(part), "{warning}");
    }
    assert!(
        reply.body.starts_with(br#"{"traceID":"c2e1","spanID":"c2e1","workflowInstanceId":"w","warning":""#)
    );
    national.answers(|_| {
        Some((200, "application/json", br#"{"warning":"[[W]x]--middlewarewarning--other"}"#.to_vec()))
    });
    let validation = Send { path: "/documents/validation".to_owned(), ..sent.clone() };
    let warning = application.send("2", &validation).await.json()["warning"].as_str().unwrap().to_owned();
    assert!(
        warning.starts_with("[[W]x]--middlewarewarning--other; ") && warning.matches("--middle").count() == 1
    );
    let error = br#"{"type":"/msg/document-hash","status":400}"#;
    national.answers(|_| Some((400, "application/problem+json", error.to_vec())));
    assert_eq!(&application.send("3", &validation).await.body[..], error, "nothing is added to an error");
    let nobody = application.asking.with_token(None);
    let reply = nobody
        .send(Method::POST, &format!("{}/documents/validation", application.root), &[], Bytes::new())
        .await;
    assert_eq!(&reply.body[..], error, "not even a message without tokens is refused here");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_gateway_is_down_publications_wait_and_are_sent_in_their_order_and_traces() {
    let mut national = National::start().await;
    national.down().await;
    let region = Region::edited("", &settings(&national, ""), |_| {}).await;
    let application = Application::of(&region.setup);
    let (one, two) = (format!("{DOC}1"), format!("{DOC}2"));
    let messages = [
        create(&one),
        metadata(&one, "P99"),
        create(&two),
        metadata(&one, "P00"),
        delete(&one),
        metadata(&two, "P99"),
    ];
    let mut replies = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let reply = application.send(&at.to_string(), message).await;
        assert_eq!((reply.status, problem(&reply).as_str()), (GATEWAY_TIMEOUT, "mw/io_error"));
        assert_eq!(reply.json()["instance"], format!("mw/outbox/{}", kept(&reply)));
        assert_eq!(kept(&reply), reply.request_id());
        replies.push(reply);
    }
    let validation = Send { path: "/documents/validation".to_owned(), ..create(&one) };
    let reply = application.send("v", &validation).await;
    assert_eq!(
        (problem(&reply).as_str(), reply.headers.get("varco-outbox")),
        ("mw/io_error", None),
        "nothing to keep"
    );
    let outbox = application.outbox().await;
    assert_eq!((&outbox["waiting"], &outbox["silent_routes"]), (&json!(6), &json!(["fse"])));
    let ids: Vec<String> = outbox["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| own["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, replies.iter().map(kept).collect::<Vec<_>>());
    let text = outbox.to_string();
    assert!(!text.contains("GTWGWY") && !text.contains("RSSMRA") && !text.contains("2.16.840"), "{text}");
    let waiting = audited(&region, &kept(&replies[0])).await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0]["outcome"], Value::Null, "it is on record that its end is open");

    national.up().await;
    application.emptied().await;
    let lines = national.lines();
    let of =
        |document: &str| lines.iter().filter(|line| line.contains(document)).cloned().collect::<Vec<_>>();
    let path = |document: &str, rest: &str| format!("/gateway/v1/documents/{document}{rest}");
    let creations: Vec<usize> =
        lines.iter().enumerate().filter(|(_, line)| line.starts_with("POST")).map(|(at, _)| at).collect();
    assert_eq!((lines.len(), creations.len()), (6, 2), "{lines:?}");
    assert_eq!(
        of(&one),
        [
            format!("PUT {}", path(&one, "/metadata")),
            format!("PUT {}", path(&one, "/metadata")),
            format!("DELETE {}", path(&one, ""))
        ]
    );
    let arrived = national.arrived();
    let rules: Vec<bool> = arrived
        .iter()
        .filter(|own| own.target == path(&one, "/metadata"))
        .map(|own| own.body.windows(3).any(|part| part == b"P99"))
        .collect();
    assert_eq!(rules, [true, false], "masked first, unmasked then");
    for (document, message) in [(&one, &messages[0]), (&two, &messages[2])] {
        let created = arrived.iter().position(|own| own.body == message.body).unwrap();
        let followed = lines.iter().position(|line| line.contains(document.as_str())).unwrap();
        assert!(created < followed, "{document}: {lines:?}");
    }
    for (reply, message) in replies.iter().zip(&messages) {
        let trace = reply.json()["traceID"].as_str().unwrap().to_owned();
        let sent = arrived.iter().find(|own| {
            own.body == message.body && own.line().ends_with(&message.path) && own.trace() == trace
        });
        assert!(sent.is_some(), "the first attempt and the one that was answered are one trace");
        let records = audited(&region, &kept(reply)).await;
        assert_eq!((records.len(), &records[0]["outcome"]), (1, &json!("0")), "{records:?}");
        assert!(records[0].to_string().contains(&trace));
        assert!(records[0].to_string().contains("GTWGWY82B42G920M"), "whose data it is");
    }
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_again_is_published_once_and_brings_new_tokens() {
    let mut national = National::start().await;
    national.down().await;
    let region = Region::edited("", &settings(&national, ""), |_| {}).await;
    let application = Application::of(&region.setup);
    let one = format!("{DOC}1");
    let first = application.send("1", &create(&one)).await;
    assert_eq!(problem(&first), "mw/io_error");
    let plain = one.replace("%5E", "^");
    let content = format!("%PDF-1.7 {one}\r\n\x00\x01");
    let again = Send { boundary: "zz", body: multipart("zz", &plain, content.as_bytes()), ..create(&one) };
    let second = application.send("2", &again).await;
    assert_eq!((problem(&second).as_str(), kept(&second)), ("mw/io_error", kept(&first)), "the same message");
    assert_eq!(application.outbox().await["waiting"], 1);
    national.up().await;
    application.emptied().await;
    assert_eq!(national.lines(), ["POST /gateway/v1/documents"]);
    assert_eq!(national.arrived()[0].body, again.body, "as it came last");
    assert!(
        national.arrived()[0].headers["authorization"]
            .to_str()
            .unwrap()
            .contains(&tokens("2", 0, &json!({})).0[..8])
    );
    // Its callers were told of the outage alone: whoever asks once more gets the answer.
    let third = application.send("3", &create(&one)).await;
    assert_eq!((third.status, &third.body[..]), (StatusCode::CREATED, &taken().2[..]));
    assert_eq!(national.lines().len(), 1);
    // The very same sending is the same message however often it comes; with new tokens it is the application's wish.
    let told = application.send("4", &create(&format!("{DOC}2"))).await;
    let same = application.send("4", &create(&format!("{DOC}2"))).await;
    assert_eq!(
        (told.status, same.status, national.lines().len()),
        (StatusCode::CREATED, StatusCode::CREATED, 2)
    );
    assert_eq!(application.send("5", &create(&format!("{DOC}2"))).await.status, StatusCode::CREATED);
    assert_eq!(national.lines().len(), 3);
    for reply in [&first, &second, &third, &same] {
        assert_eq!(audited(&region, reply.request_id()).await.len(), 1);
    }
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_tokens_have_ended_waits_for_new_ones_and_holds_up_its_document_alone() {
    let mut national = National::start().await;
    national.down().await;
    let region = Region::edited("", &settings(&national, ""), |_| {}).await;
    let application = Application::of(&region.setup);
    let (one, two) = (format!("{DOC}1"), format!("{DOC}2"));
    let short = Send { ends_in: 1, ..create(&one) };
    assert_eq!(problem(&application.send("1", &short).await), "mw/io_error");
    assert_eq!(problem(&application.send("2", &create(&two)).await), "mw/io_error");
    let needs = |outbox: &Value| {
        outbox["messages"].as_array().unwrap().iter().any(|own| own["state"] == "needs-token")
    };
    let outbox = application.outbox_is(needs).await;
    assert!(outbox["messages"][0]["cause"].as_str().unwrap().contains("expired"), "{outbox}");
    national.up().await;
    application.outbox_is(|outbox| outbox["waiting"] == 1).await;
    assert_eq!(national.arrived()[0].body, create(&two).body, "another document is not held up");
    let behind = application.send("3", &metadata(&one, "P99")).await;
    assert_eq!(
        (behind.status, problem(&behind).as_str()),
        (StatusCode::CONFLICT, "mw/earlier_message_waits")
    );
    let renewed = application.send("4", &create(&one)).await;
    assert_eq!(renewed.status, StatusCode::CREATED, "{:?}", renewed.body);
    application.emptied().await;
    let lines = national.lines();
    assert_eq!(
        (lines.len(), lines[2].as_str()),
        (3, format!("PUT /gateway/v1/documents/{one}/metadata").as_str())
    );

    // Refused for its tokens when nobody was there to be told: it needs new ones as well.
    national.down().await;
    assert_eq!(problem(&application.send("5", &delete(&two)).await), "mw/io_error");
    national.answers(|_| Some((403, "application/problem+json", b"{}".to_vec())));
    national.up().await;
    application.outbox_is(needs).await;
    national.answers(|_| Some(taken()));
    assert_eq!(application.send("6", &delete(&two)).await.status, StatusCode::CREATED);
    application.emptied().await;
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_refused_is_told_to_the_operator_and_what_follows_it_goes_on() {
    let mut national = National::start().await;
    national.down().await;
    let region = Region::edited("", &settings(&national, ""), |_| {}).await;
    let application = Application::of(&region.setup);
    let one = format!("{DOC}1");
    let refused = application.send("1", &create(&one)).await;
    application.send("2", &delete(&one)).await;
    national.answers(|arrived| match arrived.method {
        Method::POST => Some((422, "application/problem+json", b"{\"type\":\"/msg/semantic\"}".to_vec())),
        _ => Some(taken()),
    });
    national.up().await;
    let outbox = application.emptied().await;
    assert_eq!(national.lines().len(), 2);
    let ended = &outbox["ended"];
    assert_eq!(ended.as_array().unwrap().len(), 1, "{ended}");
    assert_eq!(
        (&ended[0]["id"], &ended[0]["state"], &ended[0]["status"]),
        (&json!(kept(&refused)), &json!("refused"), &json!(422))
    );
    let record = &audited(&region, &kept(&refused)).await[0];
    assert_eq!(
        (&record["outcome"], record["outcomeDesc"].as_str().unwrap().contains("422")),
        (&json!("4"), true),
        "{record}"
    );
    // The application mends it and sends it again: that is another attempt.
    national.answers(|_| Some(taken()));
    assert_eq!(application.send("3", &create(&one)).await.status, StatusCode::CREATED);

    // What the operator gives up is sent no more, and is on record.
    national.down().await;
    let dropped = application.send("4", &create(&format!("{DOC}2"))).await;
    let id = kept(&dropped);
    let post = async |path: String| {
        application
            .asking
            .send(Method::POST, &format!("{}/outbox/{path}", application.admin), &[], Bytes::new())
            .await
            .status
    };
    assert_eq!(post("nothing/drop".to_owned()).await, StatusCode::NOT_FOUND);
    let mut done = post(format!("{id}/retry")).await;
    while done == StatusCode::CONFLICT {
        done = post(format!("{id}/retry")).await;
    }
    assert_eq!(done, StatusCode::OK);
    done = post(format!("{id}/drop")).await;
    while done == StatusCode::CONFLICT {
        done = post(format!("{id}/drop")).await;
    }
    assert_eq!(done, StatusCode::OK);
    assert_eq!(application.outbox().await["ended"][0]["state"], "dropped");
    assert_eq!(audited(&region, &id).await[0]["outcome"], "8");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn own_errors_have_their_documented_forms_and_bounds_hold() {
    let mut national = National::start().await;
    let elsewhere = "[[publication.route]]\nname = \"closed\"\npath = \"/closed\"\ngateway = \"http://127.0.0.1:9/g\"\ncallers = \"network\"\nnetworks = [\"10.9.0.0/16\"]\n";
    let region =
        Region::edited("", &settings(&national, elsewhere).replace("records = 50", "records = 1"), |_| {})
            .await;
    let application = Application::of(&region.setup);
    let large = Send { body: vec![b'-'; 100_001], ..create("1") };
    let reply = application.send("1", &large).await;
    assert_eq!(
        (reply.status, problem(&reply).as_str()),
        (StatusCode::PAYLOAD_TOO_LARGE, "mw/payload_too_large")
    );
    for path in ["/documents/%2e%2e/x", "/..;/x", "/a%2fb"] {
        let reply = application.send("2", &Send { path: path.to_owned(), ..delete("x") }).await;
        assert_eq!((reply.status, problem(&reply).as_str()), (StatusCode::BAD_REQUEST, "mw/path"), "{path}");
    }
    let url = format!("http://127.0.0.1:{}/closed/v1/status/1", region.setup.port);
    let reply = application.asking.get(&url).await;
    assert_eq!((reply.status, problem(&reply).as_str()), (StatusCode::FORBIDDEN, "mw/not_admitted"));
    assert!(national.lines().is_empty());
    // The plane hides nothing behind itself: a path that only begins like its own is not its own.
    let beside =
        application.asking.get(&format!("http://127.0.0.1:{}/fse/v10/documents", region.setup.port)).await;
    assert_eq!(beside.issue().0, "not-found", "{:?}", beside.body);

    national.answers(|_| None);
    let reply = application.send("3", &create(&format!("{DOC}1"))).await;
    assert_eq!(
        (reply.status, problem(&reply).as_str()),
        (GATEWAY_TIMEOUT, "mw/io_error"),
        "it never answers"
    );
    let unsure = application.outbox_is(|outbox| outbox["messages"][0]["unsure"] == true).await;
    assert_eq!(unsure["waiting"], 1);
    // There is no place for a second one: it is forwarded all the same.
    national.answers(|arrived| if arrived.method == Method::DELETE { Some(taken()) } else { None });
    let unkept = application.send("4", &delete(&format!("{DOC}2"))).await;
    assert_eq!(unkept.status, StatusCode::CREATED);
    assert!(unkept.json()["warning"].as_str().unwrap().contains("was not kept"));
    national.down().await;
    let lost = application.send("5", &delete(&format!("{DOC}3"))).await;
    assert_eq!((problem(&lost).as_str(), lost.headers.get("varco-outbox")), ("mw/io_error", None));
    assert!(lost.json()["detail"].as_str().unwrap().contains("send it again"));

    // Without its store it forwards nothing that it could not account for.
    national.answers(|_| Some(taken()));
    national.up().await;
    application.emptied().await;
    let before = national.lines().len();
    let beside = Connection::open(region.setup.folder.path().join("varco.sqlite")).unwrap();
    beside.execute_batch("ALTER TABLE outbox_chain RENAME TO gone").unwrap();
    let failed = application.send("6", &create(&format!("{DOC}4"))).await;
    assert_eq!(
        (failed.status, problem(&failed).as_str()),
        (StatusCode::INTERNAL_SERVER_ERROR, "mw/internal_error")
    );
    assert!(
        !failed.json()["detail"].as_str().unwrap().contains("outbox_chain"),
        "the cause is the operator's"
    );
    assert_eq!(national.lines().len(), before);
    beside.execute_batch("ALTER TABLE gone RENAME TO outbox_chain").unwrap();
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_comes_and_goes_gets_each_document_in_order_and_each_message_once() {
    const DOCUMENTS: usize = 3;
    const EACH: usize = 8;
    let mut national = National::start().await;
    let region = Region::edited("", &settings(&national, ""), |_| {}).await;
    // What it answers with 503 it has not taken.
    let taking = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let order = std::sync::Arc::new(std::sync::Mutex::new(Vec::<(String, String)>::new()));
    let (gate, list) = (taking.clone(), order.clone());
    national.answers(move |arrived| {
        if !gate.load(std::sync::atomic::Ordering::SeqCst) {
            return Some((503, "application/json", b"{}".to_vec()));
        }
        let number = String::from_utf8_lossy(&arrived.body).into_owned();
        list.lock().unwrap().push((arrived.target.clone(), number));
        Some(taken())
    });
    let senders = (0..DOCUMENTS).map(|document| {
        let application = Application::of(&region.setup);
        tokio::spawn(async move {
            for number in 0..EACH {
                let message = metadata(&format!("{DOC}{document}"), &format!("n{number:02}"));
                let reply = application.send(&format!("{document}-{number}"), &message).await;
                assert!(
                    [201, 503, 504].contains(&reply.status.as_u16()),
                    "{} {:?}",
                    reply.status,
                    reply.body
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    });
    let senders: Vec<_> = senders.collect();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        taking.store(false, std::sync::atomic::Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(30)).await;
        taking.store(true, std::sync::atomic::Ordering::SeqCst);
    }
    taking.store(false, std::sync::atomic::Ordering::SeqCst);
    for sender in senders {
        sender.await.unwrap();
    }
    national.down().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    taking.store(true, std::sync::atomic::Ordering::SeqCst);
    national.up().await;
    Application::of(&region.setup).emptied().await;
    let order = order.lock().unwrap().clone();
    assert_eq!(order.len(), DOCUMENTS * EACH, "{order:?}");
    for document in 0..DOCUMENTS {
        let own = order.iter().filter(|(target, _)| target.contains(&format!("{DOC}{document}/")));
        let own: Vec<&String> = own.map(|(_, body)| body).collect();
        assert!(own.is_sorted() && own.len() == EACH, "{own:?}");
    }
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hospitals_certificate_is_shown_for_listed_applications_alone() {
    let (network, ministry) = (Authority::new(), Authority::new());
    let keys = tempfile::tempdir().unwrap();
    let path = |name: &str| keys.path().join(name).display().to_string();
    network.write(keys.path(), &network.issue("127.0.0.1"));
    let (own, gateway) = (ministry.issue("127.0.0.1"), ministry.issue("127.0.0.1"));
    for (name, text) in [
        ("ministry.pem", &ministry.pem),
        ("own.pem", &own.0),
        ("own.key", &own.1),
        ("gateway.pem", &gateway.0),
        ("gateway.key", &gateway.1),
    ] {
        std::fs::write(keys.path().join(name), text).unwrap();
    }
    let shown = json!({ "certificate": path("gateway.pem"), "key": path("gateway.key"), "client_ca": path("ministry.pem") });
    let mut tls = varco::listen::tls::server_config(&serde_json::from_value(shown).unwrap()).unwrap();
    tls.alpn_protocols.clear();
    let national = National::over_tls(tls).await;
    let (member, peer) = (network.issue("127.0.0.1"), network.issue("127.0.0.1"));
    let der = CertificateDer::from_pem_slice(member.0.as_bytes()).unwrap();
    let fingerprint: Vec<String> = Sha256::digest(&der).iter().map(|byte| format!("{byte:02X}")).collect();
    let more = format!(
        "[publication]\n[[publication.route]]\nname = \"fse\"\npath = \"/fse/v1\"\ngateway = \"https://127.0.0.1:{}/g\"\n\
         ca = \"{}\"\ncertificate = \"{}\"\nkey = \"{}\"\ncallers = \"certificates\"\ncertificates = [\"{}\"]\n",
        national.port,
        path("ministry.pem"),
        path("own.pem"),
        path("own.key"),
        fingerprint.join(":")
    );
    let listen = format!(
        "tls = {{ certificate = \"{}\", key = \"{}\", client_ca = \"{}\" }}\n",
        path("server.pem"),
        path("server.key"),
        path("ca.pem")
    );
    let region = Region::edited(&listen, &more, |_| {}).await;
    let send = async |identity: &(String, String)| {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(network.client(Some(identity)))
            .https_only()
            .enable_http1()
            .build();
        let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
            .build::<_, http_body_util::Full<Bytes>>(connector);
        let (caller, signature) = tokens("1", 600, &json!({}));
        let request =
            http::Request::delete(format!("https://127.0.0.1:{}/fse/v1/documents/1", region.setup.port))
                .header("authorization", format!("Bearer {caller}"))
                .header("fse-jwt-signature", signature)
                .body(http_body_util::Full::default())
                .unwrap();
        client.request(request).await.unwrap().status()
    };
    assert_eq!(send(&member).await, StatusCode::CREATED);
    assert_eq!(national.lines(), ["DELETE /g/documents/1"]);
    assert_eq!(
        send(&peer).await,
        StatusCode::FORBIDDEN,
        "a member of the federation is not an application of this hospital"
    );
    assert_eq!(national.lines().len(), 1);
    region.stop().await;
}

/// The audit records that are kept, oldest first.
fn records(setup: &Setup) -> Vec<String> {
    let trail = TrailReader::open(&setup.folder.path().join("varco.sqlite")).unwrap();
    let mut records = Vec::new();
    trail
        .each(&[], |body| {
            records.push(String::from_utf8(body).unwrap());
            true
        })
        .unwrap();
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_sending_and_knowing_it_sends_again_and_says_so() {
    let national = National::start().await;
    let hospital = varco_conformance::hospital::Hospital::start(
        (std::net::Ipv4Addr::LOCALHOST, 0).into(),
        varco_conformance::hospital::HospitalOptions::default(),
    )
    .await
    .unwrap();
    let setup = Setup::new(hospital.base_url(), &settings(&national, ""));
    let application = Application::of(&setup);
    let one = format!("{DOC}1");
    national.answers(|_| None);
    let serving = Serving::start(&setup).await;
    let sender = Application::of(&setup);
    let sending = tokio::spawn({
        let one = one.clone();
        async move {
            let (caller, signature) = tokens("1", 600, &json!({}));
            let asking = sender.asking.with_token(Some(caller));
            let url = format!("{}/documents/{one}", sender.root);
            asking
                .try_send(Method::DELETE, &url, &[("fse-jwt-signature", &signature)], Bytes::new())
                .await
                .is_err()
        }
    });
    national.wait_for(1).await;
    serving.kill();
    assert!(sending.await.unwrap(), "nobody was told anything");
    let beside = Connection::open(setup.folder.path().join("varco.sqlite")).unwrap();
    let count = |sql: &str| beside.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM outbox WHERE state = 'sending' AND ended IS NULL"), 1);

    national.answers(|_| Some(taken()));
    let again = Serving::start(&setup).await;
    // What comes now is behind it.
    let following = application.send("2", &metadata(&one, "P99")).await;
    assert!(following.status == StatusCode::CREATED || problem(&following) == "mw/io_error");
    application.emptied().await;
    let expected = [
        format!("DELETE /gateway/v1/documents/{one}"),
        format!("DELETE /gateway/v1/documents/{one}"),
        format!("PUT /gateway/v1/documents/{one}/metadata"),
    ];
    assert_eq!(national.lines(), expected);
    let arrived = national.arrived();
    assert_eq!(arrived[0].trace(), arrived[1].trace());
    let told = records(&setup)
        .into_iter()
        .filter(|it| it.contains("sent again after an attempt whose end was not known"));
    assert_eq!(told.count(), 1);
    assert_eq!(count("SELECT count(*) FROM audit WHERE instr(id, '-intent') > 0"), 2);
    assert_eq!(
        count("SELECT count(*) FROM outbox WHERE body IS NOT NULL OR length(headers) > 0"),
        0,
        "no text is kept"
    );
    again.kill();
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_outlives_restarts_and_reloads_and_ends_after_five_days() {
    let mut national = National::start().await;
    national.down().await;
    let hospital = varco_conformance::hospital::Hospital::start(
        (std::net::Ipv4Addr::LOCALHOST, 0).into(),
        varco_conformance::hospital::HospitalOptions::default(),
    )
    .await
    .unwrap();
    let setup =
        Setup::new(hospital.base_url(), &format!("[reload]\nseconds = 1\n{}", settings(&national, "")));
    let application = Application::of(&setup);
    let serving = Serving::start(&setup).await;
    let (one, two) = (format!("{DOC}1"), format!("{DOC}2"));
    let old = application.send("1", &create(&one)).await;
    application.send("2", &create(&two)).await;
    application.send("3", &delete(&two)).await;
    assert_eq!(application.outbox().await["waiting"], 3);
    serving.kill();
    let beside = Connection::open(setup.folder.path().join("varco.sqlite")).unwrap();
    beside.execute("UPDATE outbox SET arrived = arrived - 432001 WHERE id = ?1", [kept(&old)]).unwrap();

    let again = Serving::start(&setup).await;
    let outbox = application.outbox_is(|outbox| outbox["waiting"] == 2).await;
    assert_eq!(
        (&outbox["ended"][0]["id"], &outbox["ended"][0]["state"]),
        (&json!(kept(&old)), &json!("expired"))
    );
    assert!(outbox["ended"][0]["cause"].as_str().unwrap().contains("/msg/max-day-limit-exceed"));
    let own = format!("\"id\":\"{}\"", kept(&old));
    let body = records(&setup).into_iter().find(|it| it.contains(&own)).unwrap();
    assert!(body.contains("/msg/max-day-limit-exceed"), "{body}");
    // The region's gateway moves: what waits goes to its new address.
    let mut moved = National::start().await;
    setup.replace(&format!(":{}/gateway/v1", national.port), &format!(":{}/moved", moved.port));
    application.emptied().await;
    assert_eq!(moved.lines(), ["POST /moved/documents".to_owned(), format!("DELETE /moved/documents/{two}")]);
    assert!(national.lines().is_empty());
    moved.down().await;
    again.kill();
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mask_stays_shut_whatever_becomes_of_its_publication() {
    let mut national = National::start().await;
    let fse = "[fse]\nmasking = true\nmasking_systems = [\"urn:varco:synthetic:fse-masking\"]\n";
    let region = Region::edited("", &format!("{fse}{}", settings(&national, "")), |_| {}).await;
    let application = Application::of(&region.setup);
    let given = consent("Patient/anna", json!({ "type": "permit" }));
    region.seed(&json!({ "resourceType": "Patient", "id": "anna" }));
    assert_eq!(region.asking().post("Consent", &given).await.status, StatusCode::CREATED);
    region.seed(&json!({ "resourceType": "DocumentReference", "id": "ricetta", "status": "current",
        "type": { "coding": [{ "system": "http://loinc.org", "code": "57833-6" }] }, "subject": { "reference": "Patient/anna" },
        "securityLabel": [{ "coding": [{ "system": "urn:varco:synthetic:fse-masking", "code": "P99" }] }],
        "content": [{ "attachment": { "contentType": "application/pdf" } }] }));
    let shut = async |when: &str| {
        for path in ["DocumentReference/ricetta", "DocumentReference/absent"] {
            assert_eq!(region.asking().get(path).await.status, StatusCode::NOT_FOUND, "{path} {when}");
        }
        let found = region.asking().get("DocumentReference?patient=Patient/anna").await.json();
        assert_eq!(found["total"], 0, "{when}");
    };
    shut("before").await;
    let document = format!("{DOC}9");
    let mask = Send {
        claims: json!({ "action_id": "UPDATE", "purpose_of_use": "TREATMENT" }),
        ..metadata(&document, "P99")
    };
    let refusal = br#"{"type":"/msg/jwt-validation","status":403}"#;
    national.answers(|_| Some((403, "application/problem+json", refusal.to_vec())));
    let refused = application.send("1", &mask).await;
    assert_eq!((refused.status, &refused.body[..]), (StatusCode::FORBIDDEN, &refusal[..]));
    shut("while the purpose is refused").await;
    let ended = application.outbox().await["ended"][0].clone();
    assert_eq!(
        (&ended["id"], &ended["state"]),
        (&json!(refused.request_id()), &json!("refused")),
        "the operator is told"
    );
    national.down().await;
    assert_eq!(problem(&application.send("2", &mask).await), "mw/io_error");
    shut("while the mask waits").await;
    assert_eq!(problem(&application.send("3", &metadata(&document, "P00")).await), "mw/io_error");
    shut("while the unmasking waits").await;
    national.answers(|_| Some(taken()));
    national.up().await;
    application.emptied().await;
    shut("after the gateway took the unmasking: the hospital's own label decides here").await;
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_made_for_the_national_gateway_admit_and_open_nothing_else() {
    let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::default());
    params.distinguished_name.push(DnType::CommonName, "CA");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca = params.self_signed(&key).unwrap().pem();
    let authority = rcgen::Issuer::new(params, key);
    let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "S1#030#OSPEDALE");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let x5c = STANDARD.encode(params.signed_by(&key, &authority).unwrap().der());
    let key = EncodingKey::from_rsa_pem(key.serialize_pem().as_bytes()).unwrap();

    let national = National::start().await;
    let tokens_alone = settings(&national, "")
        .replace("callers = \"network\"\nnetworks = [\"127.0.0.1\"]", "callers = \"tokens\"");
    let issuer = "[[issuer]]\nkind = \"fse\"\nissuer = \"auth:*\"\nca = \"fse.pem\"\nscopes = [\"system/*.rs\"]\none_time = true\n";
    let region = Region::edited("", &format!("{issuer}{tokens_alone}"), |setup| {
        std::fs::write(setup.folder.path().join("fse.pem"), &ca).unwrap();
    })
    .await;
    let audience = format!("http://127.0.0.1:{}/gateway/v1", national.port);
    let sign = |kind: &str, audience: &str| {
        let header = Header { x5c: Some(vec![x5c.clone()]), ..Header::new(Algorithm::RS256) };
        let claims = json!({ "iss": format!("{kind}:S1#030#OSPEDALE"), "aud": audience, "exp": harness::now() + 300,
            "jti": "1", "sub": "RSSMRA71E01F205E^^^&2.16.840.1.113883.2.9.4.3.2&ISO", "subject_organization_id": "030",
            "subject_role": "AAS", "person_id": "GTWGWY82B42G920M^^^&2.16.840.1.113883.2.9.4.3.2&ISO",
            "patient_consent": true, "purpose_of_use": "TREATMENT", "action_id": "DELETE" });
        encode(&header, &claims, &key).unwrap()
    };
    let application = Application::of(&region.setup);
    let delete = async |caller: String, signature: &str| {
        let url = format!("{}/documents/1", application.root);
        let asking = application.asking.with_token(Some(caller));
        asking.send(Method::DELETE, &url, &[("fse-jwt-signature", signature)], Bytes::new()).await
    };
    let (caller, signature) = (sign("auth", &audience), sign("integrity", &audience));
    for _ in 0..2 {
        let reply = delete(caller.clone(), &signature).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{:?}", reply.body);
        let record = &audited(&region, reply.request_id()).await[0];
        assert!(record.to_string().contains("RSSMRA71E01F205E"), "who it was is on record: {record}");
    }
    assert_eq!(national.lines().len(), 1, "the same message, sent again");
    let reader = application.asking.with_token(Some(caller.clone()));
    let opened =
        reader.send(Method::GET, "Patient", &[("fse-jwt-signature", &signature)], Bytes::new()).await;
    assert_eq!(opened.status, StatusCode::UNAUTHORIZED, "made for another audience");
    let (unsigned, unsigned_signature) = tokens("1", 600, &json!({}));
    let of_the_site = sign("auth", &region.setup.base());
    for (caller, signature) in [(unsigned, &unsigned_signature), (of_the_site, &signature)] {
        let reply = delete(caller, signature).await;
        assert_eq!((reply.status, problem(&reply).as_str()), (StatusCode::UNAUTHORIZED, "mw/unauthorized"));
    }
    assert_eq!(national.lines().len(), 1);
    region.stop().await;
}
