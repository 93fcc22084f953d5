//! What can't be delivered waits, and is sent in its order, once.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::application::*;
use crate::harness::national::{multipart, taken, tokens};

#[tokio::test(flavor = "multi_thread")]
async fn while_the_gateway_is_down_publications_wait_and_are_sent_in_their_order_and_traces() {
    let (mut national, region, application) = plane("").await;
    national.down().await;
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
    let (mut national, region, application) = plane("").await;
    national.down().await;
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
    let (mut national, region, application) = plane("").await;
    national.down().await;
    let (one, two) = (format!("{DOC}1"), format!("{DOC}2"));
    let short = Send { ends_in: 1, ..create(&one) };
    assert_eq!(problem(&application.send("1", &short).await), "mw/io_error");
    assert_eq!(problem(&application.send("2", &create(&two)).await), "mw/io_error");
    let needs = |outbox: &Value| {
        outbox["messages"].as_array().unwrap().iter().any(|own| own["state"] == "needs-token")
    };
    let outbox = application.outbox_is(needs).await;
    assert!(outbox["messages"][0]["cause"].as_str().unwrap().contains("expired"), "{outbox}");
    let (ended, whole) = (&outbox["messages"][0], &outbox["messages"][1]);
    assert_eq!((&ended["client"], &ended["tokens_end_in_seconds"]), (&json!("127.0.0.1"), &json!(0)));
    assert!(ended["cure"].as_str().unwrap().contains("new tokens") && whole["cure"].is_null(), "{outbox}");
    assert!(whole["tokens_end_in_seconds"].as_i64().unwrap() > 60, "{outbox}");
    assert!(ended["given_up_in_seconds"].as_i64().unwrap() > 4 * 86_400, "{outbox}");
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
    let (mut national, region, application) = plane("").await;
    national.down().await;
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
async fn a_gateway_that_comes_and_goes_gets_each_document_in_order_and_each_message_once() {
    const DOCUMENTS: usize = 3;
    const EACH: usize = 8;
    let (mut national, region, application) = plane("").await;
    // What it answers with 503 it has not taken.
    let taking = Arc::new(AtomicBool::new(true));
    let order = Arc::new(Mutex::new(Vec::<(String, String)>::new()));
    let (gate, list) = (taking.clone(), order.clone());
    national.answers(move |arrived| {
        if !gate.load(SeqCst) {
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
        taking.store(false, SeqCst);
        tokio::time::sleep(Duration::from_millis(30)).await;
        taking.store(true, SeqCst);
    }
    taking.store(false, SeqCst);
    for sender in senders {
        sender.await.unwrap();
    }
    national.down().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    taking.store(true, SeqCst);
    national.up().await;
    application.emptied().await;
    let order = order.lock().unwrap().clone();
    assert_eq!(order.len(), DOCUMENTS * EACH, "{order:?}");
    for document in 0..DOCUMENTS {
        let own = order.iter().filter(|(target, _)| target.contains(&format!("{DOC}{document}/")));
        let own: Vec<&String> = own.map(|(_, body)| body).collect();
        assert!(own.is_sorted() && own.len() == EACH, "{own:?}");
    }
    region.stop().await;
}
