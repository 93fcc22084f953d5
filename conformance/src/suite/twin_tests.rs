//! The runner against two worlds: a peer that hides well passes, and each way of leaking is caught.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::*;
use crate::hospital::{Effect, Fault, Hospital, HospitalOptions};

const SUITE: &str = r"
id: x
title: X
version: 1.0.0
requirements-file: r.csv
requirements: [R1, R2, R3]
actors: { keeper: Who may see everything }
twin: { except-headers: [Last-Modified, ETag, Content-Length], except-members: [lastUpdated, id, fullUrl], cut-after: ['_page='] }
variables: { hidden: 'none-${uuid}' }
setup:
  - request: { method: POST, path: /Patient, as: keeper, json: { resourceType: Patient, gender: male } }
    save: { seen: id }
  - only-in: first
    request: { method: POST, path: /Patient, as: keeper, json: { resourceType: Patient, gender: female } }
    save: { hidden: id }
  - request: { method: POST, path: /Patient, as: keeper, json: { resourceType: Patient, gender: other } }
tests:
  - id: read
    title: What is hidden can't be told from what is absent
    verifies: [R1]
    twin: {}
    steps:
      - request: { method: GET, path: '/Patient/${hidden}' }
  - id: search
    title: Nor is it counted, linked to or left out of a page
    verifies: [R1]
    twin: { pages: 5 }
    steps:
      - request: { method: GET, path: /Patient, query: { _count: '1' } }
";

const CSV: &str = "id,level,text,source,extent,tests,note\nR1,SHALL,Hide,§1,tested,read search,\nR2,SHALL,Spread,§2,not-testable,,one site only\nR3,SHALL,Close,§3,partly,tests/own.rs::closes,a full disk\n";

fn suite() -> Suite {
    Suite::parse("x.yaml", SUITE, &|_| Ok(CSV.to_owned())).unwrap()
}

/// A hospital before which nobody hides anything; `leak` changes its answers to all but the keeper.
async fn world(leak: impl Fn(&mut Response<Bytes>) + Send + Sync + 'static) -> Hospital {
    let hospital = Hospital::start(([127, 0, 0, 1], 0).into(), HospitalOptions::default()).await.unwrap();
    hospital.inject(Fault::new(Effect::Alter(Arc::new(leak))).on_method(http::Method::GET));
    hospital
}

/// Takes from an answer what tells of the hidden patient, as a gateway should.
fn hide(response: &mut Response<Bytes>) {
    let text = String::from_utf8_lossy(response.body()).into_owned();
    let Ok(mut body) = serde_json::from_str::<serde_json::Value>(&text) else { return };
    if body["gender"] == "female" || !response.status().is_success() {
        *response.status_mut() = StatusCode::NOT_FOUND;
        response.headers_mut().remove("etag");
        response.headers_mut().remove("last-modified");
        *response.body_mut() = Bytes::from_static(br#"{"resourceType":"OperationOutcome"}"#);
        return;
    }
    if body["resourceType"] == "Bundle" {
        // Two visible patients, in pages of one: the first, and the last (by its `_count`).
        let url = body["link"][0]["url"].as_str().unwrap_or_default().to_owned();
        let base = url.split("/Patient").next().unwrap_or_default().to_owned();
        let second = url.contains("_count=2");
        body["total"] = 2.into();
        body["entry"] = serde_json::json!([{ "resource": { "resourceType": "Patient", "gender": if second { "other" } else { "male" } } }]);
        body["link"] = serde_json::json!([{ "relation": "self", "url": format!("{base}/Patient?_count=1") }]);
        if !second {
            let next = serde_json::json!({ "relation": "next", "url": format!("{base}/Patient?_count=2&_page=sealed-{}", base.len()) });
            body["link"].as_array_mut().unwrap().push(next);
        }
        *response.body_mut() = body.to_string().into();
    }
}

async fn run(suite: &Suite, first: &Hospital, twin: Option<&Hospital>) -> RunReport {
    let tokens = |word: &str| [("keeper".to_owned(), Token::new(format!("token-of-{word}")))].into();
    let twin = twin.map(|twin| TwinTarget { target: twin.base_url().to_owned(), tokens: tokens("twin") });
    let options = RunOptions { tokens: tokens("first"), twin, ..RunOptions::default() };
    Runner::new(suite, first.base_url(), options).unwrap().run(&mut |_| {}).await.unwrap()
}

fn causes(report: &RunReport) -> Vec<(&str, String)> {
    let failed = report.tests.iter().filter(|test| test.verdict == Verdict::Failed);
    failed.map(|test| (test.id.as_str(), test.cause.clone().unwrap())).collect()
}

#[tokio::test]
async fn who_hides_well_passes_and_every_page_is_compared() {
    let suite = suite();
    let (first, twin) = (world(hide).await, world(hide).await);
    let report = run(&suite, &first, Some(&twin)).await;
    assert_eq!(causes(&report), []);
    let search = report.tests.iter().find(|test| test.id == "search").unwrap();
    let compared = search.steps.iter().flat_map(|step| &step.checks);
    assert_eq!(compared.filter(|check| check.expected == "the answer is the same in both worlds").count(), 2);
    assert_eq!(
        (first.resource_count(), twin.resource_count()),
        (3, 2),
        "the hidden one is in the first world alone"
    );
    let bearer = |hospital: &Hospital| {
        let sent = hospital
            .requests()
            .into_iter()
            .filter_map(|request| request.headers.get("authorization").cloned());
        sent.map(|value| value.to_str().unwrap().to_owned()).next()
    };
    assert_eq!(bearer(&first).as_deref(), Some("Bearer token-of-first"));
    assert_eq!(bearer(&twin).as_deref(), Some("Bearer token-of-twin"));
}

#[tokio::test]
async fn each_way_of_leaking_is_caught() {
    type Leak = fn(&mut Response<Bytes>);
    let change = |from: &'static str, to: &'static str| {
        move |response: &mut Response<Bytes>| {
            hide(response);
            let text = String::from_utf8_lossy(response.body()).replace(from, to);
            *response.body_mut() = text.into();
        }
    };
    let status: Leak = |response| {
        let hidden = String::from_utf8_lossy(response.body()).contains("female");
        hide(response);
        if hidden && response.status() == StatusCode::NOT_FOUND {
            *response.status_mut() = StatusCode::FORBIDDEN;
        }
    };
    let header: Leak = |response| {
        let etag = response.headers().get("etag").cloned();
        hide(response);
        if let (StatusCode::NOT_FOUND, Some(etag)) = (response.status(), etag) {
            response.headers_mut().insert("etag", etag);
        }
    };
    let last_page: Leak = |response| {
        hide(response);
        let text = String::from_utf8_lossy(response.body())
            .replace(r#""gender":"other""#, r#""gender":"other","active":true"#);
        *response.body_mut() = text.into();
    };
    type Case = (Box<dyn Fn(&mut Response<Bytes>) + Send + Sync>, &'static str, &'static str);
    let cases: Vec<Case> = vec![
        (Box::new(status), "read", "the status is 403, and 404 in the twin world"),
        (Box::new(header), "read", "the header etag is there in the first world alone"),
        (Box::new(change("OperationOutcome\"", "OperationOutcome\" ")), "read", "the body differs"),
        (Box::new(change("\"total\":2", "\"total\":3")), "search", "the body differs"),
        (Box::new(change("\"relation\":\"next\"", "\"relation\":\"last\"")), "search", "the body differs"),
        (Box::new(change("\"entry\":[", "\"entry\":[{},")), "search", "the body differs"),
        (Box::new(last_page), "search", "page 2 (in the twin world): the answer is the same"),
    ];
    let suite = suite();
    for (leak, test, told) in cases {
        let (first, twin) = (world(leak).await, world(hide).await);
        let report = run(&suite, &first, Some(&twin)).await;
        let causes = causes(&report);
        let found = causes.iter().find(|(id, _)| *id == test);
        assert!(found.is_some_and(|(_, cause)| cause.contains(told)), "{test} must say {told}: {causes:?}");
    }
}

#[tokio::test]
async fn two_worlds_that_refuse_everything_show_nothing() {
    let suite = suite();
    for status in [401, 429, 503] {
        let closed = move |response: &mut Response<Bytes>| {
            hide(response);
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
        };
        let (first, twin) = (world(closed).await, world(closed).await);
        let report = run(&suite, &first, Some(&twin)).await;
        assert_eq!(report.count(Verdict::Passed), 0, "{status}");
    }
}

#[tokio::test]
async fn with_one_world_nothing_is_compared_and_nothing_is_said_to_pass() {
    let suite = suite();
    let report = run(&suite, &world(hide).await, None).await;
    assert_eq!(
        report.summary(),
        "0 passed, 0 failed, 2 skipped; requirements: 1 not testable, 1 tested in part"
    );
    assert!(report.tests[0].cause.as_ref().unwrap().contains("--twin-target"));
}

#[tokio::test]
async fn what_cannot_be_tested_is_told_and_never_passed() {
    let suite = suite();
    let report = run(&suite, &world(hide).await, Some(&world(hide).await)).await;
    assert_eq!(
        report.summary(),
        "2 passed, 0 failed, 0 skipped; requirements: 1 not testable, 1 tested in part"
    );
    let text = report.text(&suite);
    assert!(text.contains("  none  R2  not testable: one site only"), "{text}");
    assert!(
        text.contains("  part  R3  tested in part: a full disk\n        not run here: tests/own.rs::closes"),
        "{text}"
    );
    let told: serde_json::Value = serde_json::from_str(&crate::report::test_report(&report)).unwrap();
    let untested = told["test"].as_array().unwrap().iter().find(|test| test["name"] == "R2").unwrap();
    assert_eq!(untested["action"][0]["operation"]["result"], "skip");
}
