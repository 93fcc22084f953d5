//! A route's limits refuse an application that sends too much, in the plane's own forms, and nobody where nothing is set.

use http::StatusCode;
use serde_json::json;

use crate::application::*;
use crate::harness::Region;
use crate::harness::national::{National, taken};

async fn limited(limits: &str) -> (National, Region, Application) {
    let national = National::start().await;
    let more = settings(&national, &format!("limits = {{ {limits} }}\n"));
    let region = Region::edited("", &more, |_| {}).await;
    let application = Application::of(&region.setup);
    (national, region, application)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_too_fast_is_refused_with_when_to_come_again_and_forwarded_never() {
    let (national, region, application) = limited("per_second = 1, burst = 3").await;
    let documents: Vec<_> = (0..20).map(|number| delete(&format!("{DOC}{number}"))).collect();
    let ids: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let mut replies = Vec::new();
    for (document, id) in documents.iter().zip(&ids) {
        replies.push(application.send(id, document).await);
    }
    let (passed, refused): (Vec<_>, Vec<_>) =
        replies.iter().partition(|reply| reply.status == StatusCode::CREATED);
    assert!(passed.len() >= 3 && !refused.is_empty(), "{}", passed.len());
    assert_eq!(national.lines().len(), passed.len());
    for reply in refused {
        assert_eq!(
            (reply.status, problem(reply).as_str()),
            (StatusCode::TOO_MANY_REQUESTS, "mw/too_many_requests")
        );
        assert_eq!(
            (&reply.headers["retry-after"], &reply.headers["ratelimit-policy"]),
            (&"1".parse().unwrap(), &"\"client\";q=3;w=3".parse().unwrap())
        );
    }
    assert_eq!(application.outbox().await["waiting"], 0, "nothing of it is kept");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_days_quota_and_places_are_other_refusals() {
    let (national, region, application) = limited("per_day = 2, at_a_time = 1").await;
    national.answers(|_| None);
    let sender = Application::of(&region.setup);
    let silent = tokio::spawn(async move { sender.send("1", &delete(&format!("{DOC}1"))).await });
    national.wait_for(1).await;
    let beside = application.send("2", &delete(&format!("{DOC}2"))).await;
    assert_eq!(
        (beside.status, problem(&beside).as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "mw/too_many_requests")
    );
    assert!(beside.headers["ratelimit-policy"].to_str().unwrap().contains("concurrent"));
    assert_eq!(problem(&silent.await.unwrap()), "mw/io_error");
    national.answers(|_| Some(taken()));
    application.emptied().await;
    // What is sent again from the outbox is nobody's new message.
    let last = application.send("3", &delete(&format!("{DOC}3"))).await;
    assert_eq!(last.status, StatusCode::CREATED, "{:?}", last.body);
    let over = application.send("4", &delete(&format!("{DOC}4"))).await;
    assert_eq!((over.status, problem(&over).as_str()), (StatusCode::TOO_MANY_REQUESTS, "mw/limit_exceeded"));
    assert!(over.headers["ratelimit-policy"].to_str().unwrap().contains("\"day\";q=2"));
    assert_eq!(over.json()["status"], json!(429));
    assert!(!national.lines().iter().any(|line| line.ends_with("4")));
    region.stop().await;
}
