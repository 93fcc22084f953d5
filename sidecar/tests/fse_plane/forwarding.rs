//! Messages and answers go through as they are; what this gateway says itself has its documented form.

use bytes::Bytes;
use http::{Method, StatusCode};
use rusqlite::Connection;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::application::*;
use crate::harness::Region;
use crate::harness::national::{National, taken};

#[tokio::test(flavor = "multi_thread")]
async fn messages_and_answers_go_through_byte_by_byte() {
    let (national, region, application) = plane("").await;
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
    let (national, region, application) = plane("").await;
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
    assert_eq!(reply.headers["connection"], "close", "its rest was not read");
    for path in ["/documents/%2e%2e/x", "/..;/x", "/a%2fb"] {
        let reply = application.send("2", &Send { path: path.to_owned(), ..delete("x") }).await;
        assert_eq!((reply.status, problem(&reply).as_str()), (StatusCode::BAD_REQUEST, "mw/path"), "{path}");
    }
    // Refused before its body was read: the connection goes on where all of it is there, and else says that it ends.
    let head = "POST /fse/v1/..;/x HTTP/1.1\r\nHost: x\r\nContent-Length:";
    let last = "GET /fse/v1/..;/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for (rest, count) in [(format!("3\r\n\r\nabc{last}"), 2), ("30000\r\n\r\nabc".to_owned(), 1)] {
        let mut stream = TcpStream::connect(("127.0.0.1", region.setup.port)).await.unwrap();
        stream.write_all(format!("{head} {rest}").as_bytes()).await.unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).await.unwrap();
        let answers = answers.to_ascii_lowercase();
        assert_eq!(answers.matches("http/1.1 400 ").count(), count, "{answers}");
        assert_eq!(answers.matches("\r\nconnection: close\r\n").count(), 1, "{answers}");
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
