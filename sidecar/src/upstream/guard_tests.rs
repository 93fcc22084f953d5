#![allow(clippy::unwrap_used)]

use super::super::CallerFault;
use super::*;

static LOST: UpstreamError = UpstreamError::Unreachable(String::new());

fn guard(edit: impl FnOnce(&mut config::Upstream)) -> Arc<Guard> {
    let mut config = config::Upstream::at("http://127.0.0.1:1/fhir");
    edit(&mut config);
    Guard::new(&config)
}

fn answered(status: u16) -> Result<StatusCode, &'static UpstreamError> {
    Ok(StatusCode::from_u16(status).unwrap())
}

#[tokio::test]
async fn a_server_that_fails_is_left_alone_and_what_is_refused_takes_no_place() {
    let guard = guard(|own| own.breaker.failures = 3);
    assert_eq!(guard.trouble(), None);
    for _ in 0..3 {
        guard.enter(None).await.unwrap().ended(Err(&LOST));
    }
    let Err(UpstreamError::Resting { seconds: 1..=3 }) = guard.enter(None).await else {
        panic!("it is open")
    };
    assert!(guard.trouble().unwrap().contains("left alone"));
    assert_eq!(guard.load(), (0, 0));
}

#[tokio::test]
async fn what_one_request_may_be_at_fault_for_does_not_count() {
    let guard = guard(|own| own.breaker.failures = 1);
    for answer in [
        answered(500),
        answered(404),
        answered(429),
        Err(&UpstreamError::TooLarge(1)),
        Err(&UpstreamError::Framing("x")),
        Err(&UpstreamError::Caller(CallerFault::Broken)),
    ] {
        guard.enter(None).await.unwrap().ended(answer);
        assert_eq!(guard.trouble(), None, "{answer:?}");
    }
    // Given up: nothing was learned, and the place is free.
    drop(guard.enter(None).await.unwrap());
    assert_eq!((guard.trouble(), guard.load()), (None, (0, 0)));
    guard.enter(None).await.unwrap().ended(answered(503));
    assert!(guard.trouble().is_some());
}

#[tokio::test]
async fn more_than_its_places_and_its_queue_are_refused_as_busy() {
    let guard = guard(|own| (own.concurrency, own.queue) = (1, 0));
    let first = guard.enter(None).await.unwrap();
    assert_eq!(guard.load(), (1, 0));
    assert!(matches!(guard.enter(None).await, Err(UpstreamError::Busy { .. })));
    first.ended(answered(200));
    assert!(guard.enter(None).await.is_ok());
}

#[tokio::test]
async fn of_two_addresses_the_one_that_fails_is_left_out() {
    let guard = guard(|own| {
        own.addresses = vec!["127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()];
        own.ejection.failures = 2;
    });
    let mut asked = [0, 0];
    for _ in 0..20 {
        let passage = guard.enter(None).await.unwrap();
        let at = passage.address();
        asked[at] += 1;
        passage.ended(if at == 0 { Err(&LOST) } else { answered(200) });
    }
    assert_eq!(asked, [2, 18]);
    assert_eq!(guard.trouble().unwrap(), "1 of its 2 addresses are left out");
}

#[tokio::test]
async fn a_reload_changes_settings_and_keeps_what_is_known() {
    let mut config = config::Upstream::at("http://127.0.0.1:1/fhir");
    config.breaker.failures = 1;
    let old = Guard::new(&config);
    assert!(Arc::ptr_eq(&old, &Guard::following(&old, &config)), "nothing differs");
    old.enter(None).await.unwrap().ended(Err(&LOST));
    config.concurrency = 7;
    let next = Guard::following(&old, &config);
    assert!(matches!(next.enter(None).await, Err(UpstreamError::Resting { .. })));
}

#[test]
fn without_a_share_there_is_no_retry() {
    assert!((0..10).all(|_| !guard(|own| own.retry_percent = 0).may_repeat()));
    assert!(guard(|_| {}).may_repeat());
}
