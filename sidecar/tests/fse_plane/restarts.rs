//! What waits outlives the process.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::{Method, StatusCode};
use rusqlite::Connection;
use serde_json::json;
use varco::store::TrailReader;
use varco_conformance::hospital::{Hospital, HospitalOptions};

use crate::application::*;
use crate::harness::Setup;
use crate::harness::national::{National, taken, tokens};
use crate::harness::serving::Serving;

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
    let hospital =
        Hospital::start((Ipv4Addr::LOCALHOST, 0).into(), HospitalOptions::default()).await.unwrap();
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
    let hospital =
        Hospital::start((Ipv4Addr::LOCALHOST, 0).into(), HospitalOptions::default()).await.unwrap();
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
