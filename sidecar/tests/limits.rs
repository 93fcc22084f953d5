//! Limits, quotas and lanes, as callers meet them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use http::StatusCode;
use serde_json::json;

use harness::{Asking, Region, Reply};

/// A caller with a token of this client.
fn client(region: &Region, id: &str) -> Asking {
    region.asking().with_token(Some(region.setup.token(json!({ "client_id": id }))))
}

/// A header's text.
fn header<'r>(reply: &'r Reply, name: &str) -> &'r str {
    reply.headers.get(name).unwrap_or_else(|| panic!("{name} is missing")).to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_and_quota_are_two_refusals_that_say_which_and_until_when() {
    let region = Region::start(
        "[limits]\nrequests_per_second = 1\nburst = 3\ntell = \"answers\"\n\
         [[limits.rule]]\nname = \"ward\"\nper = \"client\"\nrequests = 1000\nclients = [\"ward-app\"]\n\
         [[limits.quota]]\nclients = [\"lab\"]\nrequests_per_day = 2\n",
    )
    .await;
    let lab = client(&region, "lab");
    let first = lab.get("Patient/anna").await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(header(&first, "ratelimit-policy"), r#""client";q=3;w=3, "day";q=2;w=86400"#);
    assert!(header(&first, "ratelimit").starts_with(r#""client";r=2;t=1, "day";r=1;t="#), "{first:?}");
    assert_eq!(lab.get("Patient/anna").await.status, StatusCode::OK);
    let spent = lab.get("Patient/anna").await;
    assert_eq!(spent.status, StatusCode::TOO_MANY_REQUESTS);
    let (code, text) = spent.issue();
    assert_eq!(code, "business-rule");
    assert!(text.starts_with("LimitExceeded"), "{text}");
    let wait = header(&spent, "retry-after");
    assert!((1..=90_000).contains(&wait.parse::<u64>().unwrap()), "{wait}");
    assert_eq!(header(&spent, "ratelimit-policy"), r#""day";q=2;w=86400"#);
    assert_eq!(header(&spent, "ratelimit"), format!(r#""day";r=0;t={wait}"#));
    let noisy = client(&region, "noisy");
    let mut refused = None;
    for _ in 0..20 {
        refused =
            Some(noisy.get("Patient/anna").await).filter(|own| own.status != StatusCode::OK).or(refused);
    }
    let refused = refused.unwrap();
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let (code, text) = refused.issue();
    assert_eq!(code, "throttled");
    assert!(text.starts_with("TooManyRequests"), "{text}");
    assert_eq!(header(&refused, "ratelimit-policy"), r#""client";q=3;w=3"#);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_by_patient_does_not_tell_who_is_there() {
    let region = Region::start(
        "[[limits.rule]]\nname = \"patient\"\nper = \"patient\"\nrequests = 2\nseconds = 3600\n",
    )
    .await;
    // One who consented, one who is hidden, one who is not there: the third request is refused, and alike.
    let mut seen = Vec::new();
    for (caller, patient) in [("a", "anna"), ("b", "carla"), ("c", "nobody")] {
        let caller = client(&region, caller);
        let mut statuses = Vec::new();
        for path in [format!("Patient/{patient}"), format!("Observation?patient={patient}")] {
            statuses.push(caller.get(&path).await.status);
        }
        let third = caller.get(&format!("Patient/{patient}")).await;
        assert_eq!(third.status, StatusCode::TOO_MANY_REQUESTS, "{patient}: {statuses:?}");
        let mut appearance = third.appearance();
        // The seconds to wait follow from the clock.
        appearance.1.retain(|(name, _)| name != "retry-after" && name != "ratelimit");
        seen.push(appearance);
        assert_ne!(caller.get("Patient/bruno").await.status, StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[1], seen[2]);
    // Nobody uses up a patient's requests for others.
    assert_eq!(client(&region, "d").get("Patient/anna").await.status, StatusCode::OK);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_passes_where_everything_else_is_shed() {
    let region = Region::start(
        "[limits]\nconcurrent = 1\nconcurrent_bulk = 0\nconcurrent_priority = 1\n\
         [[limits.priority]]\nclients = [\"monitor\"]\ninteractions = [\"create\"]\ntypes = [\"Observation\"]\n\
         [[limits.bulk]]\nclients = [\"warehouse\"]\n",
    )
    .await;
    // No place is left for bulk.
    let shed = client(&region, "warehouse").get("Patient/anna").await;
    assert_eq!(shed.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((header(&shed, "retry-after"), shed.issue().0.as_str()), ("5", "transient"));
    // What a caller claims of itself gives no lane.
    let claimed = client(&region, "warehouse")
        .send(http::Method::GET, "Patient/anna", &[("priority", "u=0"), ("x-priority", "alarm")], "".into())
        .await;
    assert_eq!(claimed.status, StatusCode::SERVICE_UNAVAILABLE);
    // Others find theirs, and an alarm its own.
    assert_eq!(client(&region, "ward").get("Patient/anna").await.status, StatusCode::OK);
    let alarm = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "asystole" },
        "subject": { "reference": "Patient/anna" } });
    assert_eq!(client(&region, "monitor").post("Observation", &alarm).await.status, StatusCode::CREATED);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_outlives_a_stop_and_limits_outlive_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("kept.sqlite");
    let edit = |setup: &harness::Setup| {
        setup.replace("path = \"varco.sqlite\"", &format!("path = \"{}\"", store.display()));
    };
    let settings = "[reload]\nseconds = 0\n[limits]\nrequests_per_day = 4\nburst = 100\n";
    let region = Region::edited("", settings, edit).await;
    assert_eq!(region.asking().get("Patient/anna").await.status, StatusCode::NOT_FOUND);
    assert_eq!(region.asking().get("Patient/anna").await.status, StatusCode::NOT_FOUND);
    region.setup.replace("burst = 100", "burst = 200");
    region.running.reloader(region.setup.config_file()).reload().await.unwrap();
    assert_eq!(region.asking().get("Patient/anna").await.status, StatusCode::NOT_FOUND);
    region.stop().await;
    let region = Region::edited("", settings, edit).await;
    assert_eq!(region.asking().get("Patient/anna").await.status, StatusCode::NOT_FOUND);
    assert_eq!(region.asking().get("Patient/anna").await.status, StatusCode::TOO_MANY_REQUESTS);
    region.stop().await;
}
