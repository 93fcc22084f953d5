//! Limits, quotas, lanes and kept answers, as callers meet them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use varco_conformance::hospital::{Effect, Fault};

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
         [[limits.bulk]]\nclients = [\"warehouse\"]\n[[limits.quota]]\nclients = [\"monitor\"]\nrequests_per_day = 1\n",
    )
    .await;
    // No place is left for bulk.
    let shed = client(&region, "warehouse").get("Patient/anna").await;
    assert_eq!(shed.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((header(&shed, "retry-after"), shed.issue().0.as_str()), ("5", "transient"));
    // What a caller claims of itself gives no lane.
    let claimed = client(&region, "warehouse")
        .send(Method::GET, "Patient/anna", &[("priority", "u=0"), ("x-priority", "alarm")], "".into())
        .await;
    assert_eq!(claimed.status, StatusCode::SERVICE_UNAVAILABLE);
    // Others find theirs, and an alarm its own.
    assert_eq!(client(&region, "ward").get("Patient/anna").await.status, StatusCode::OK);
    let alarm = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "asystole" },
        "subject": { "reference": "Patient/anna" } });
    let monitor = client(&region, "monitor");
    assert_eq!(monitor.post("Observation", &alarm).await.status, StatusCode::CREATED);
    // A quota that is used up stops the client's other requests, and no alarm.
    assert_eq!(monitor.get("Patient/anna").await.status, StatusCode::OK);
    assert_eq!(monitor.get("Patient/anna").await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(monitor.post("Observation", &alarm).await.status, StatusCode::CREATED);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_does_not_wait_for_a_place_that_a_slow_server_keeps_taken() {
    let region = Region::start(
        "[limits]\nconcurrent = 1\nconcurrent_priority = 1\n\
         [[limits.priority]]\nclients = [\"monitor\"]\ninteractions = [\"create\"]\ntypes = [\"Observation\"]\n",
    )
    .await;
    let slow =
        Fault::new(Effect::Delay(Duration::from_secs(4))).on_method(Method::GET).on_path("/Patient/bruno");
    region.hospital.inject(slow);
    region.hospital.forget_requests();
    let ward = client(&region, "ward");
    let waiting = tokio::spawn({
        let ward = ward.clone();
        async move { ward.get("Patient/bruno").await }
    });
    while region.hospital.request_count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let shed = ward.get("Patient/anna").await;
    assert_eq!((shed.status, header(&shed, "retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    // Who has no token learns no more than that.
    let nobody = ward.with_token(None).get("Patient/anna").await;
    assert_eq!(nobody.appearance(), shed.appearance());
    let alarm = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "asystole" },
        "subject": { "reference": "Patient/anna" } });
    assert_eq!(client(&region, "monitor").post("Observation", &alarm).await.status, StatusCode::CREATED);
    assert_eq!(ward.post("Observation", &alarm).await.status, StatusCode::SERVICE_UNAVAILABLE);
    // The one that was worked on is not harmed, and its place is free again.
    assert_eq!(waiting.await.unwrap().status, StatusCode::OK);
    assert_eq!(ward.get("Patient/anna").await.status, StatusCode::OK);
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

const KEEPING: &str =
    "[[route]]\nname = \"kept\"\ntypes = [\"Patient\", \"Observation\"]\ncache_seconds = 60\n";

/// What hidden, labelled and plain data there is beside the patients.
fn seed_observations(region: &Region) {
    for (id, patient, label) in
        [("oa", "anna", "N"), ("ob", "bruno", "N"), ("oc", "carla", "N"), ("or", "anna", "R")]
    {
        region.seed(&json!({ "resourceType": "Observation", "id": id, "status": "final", "code": { "text": "x" },
            "subject": { "reference": format!("Patient/{patient}") },
            "meta": { "security": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": label }] } }));
    }
}

/// How many requests the hospital's server got while this was asked.
async fn asked_of_server(region: &Region, caller: &Asking, path: &str) -> (Reply, u64) {
    let before = region.hospital.request_count();
    let reply = caller.get(path).await;
    (reply, region.hospital.request_count() - before)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_gives_nobody_more_than_the_server_would() {
    let (keeping, asking_each_time) = (Region::start(KEEPING).await, Region::start("").await);
    [&keeping, &asking_each_time].into_iter().for_each(seed_observations);
    let callers = [
        json!({}),
        json!({ "sub": "dr-bianchi" }),
        json!({ "client_id": "another-app" }),
        json!({ "scope": "system/Patient.rs" }),
        json!({ "patient": "bruno", "scope": "patient/*.rs" }),
        json!({ "extensions": { "ihe_iua": { "purpose_of_use": [{
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HMARKT" }] } } }),
    ];
    let paths = [
        "Patient/anna",
        "Patient/carla",
        "Patient/nobody",
        "Observation/oa",
        "Observation/oc",
        "Observation/or",
        "Observation?patient=anna",
        "Observation?patient=carla",
        "Observation?_id=oa,ob,oc",
        "Patient?_sort=_id",
        "Patient?_sort=_id&_summary=count",
    ];
    // Each caller asks after all others did, and more than once.
    for round in 0..2 {
        for claims in &callers {
            for path in paths {
                let ask = async |region: &Region| {
                    let token = region.setup.token(claims.clone());
                    let reply = region.asking().with_token(Some(token)).get(path).await;
                    harness::twins::seen(&reply, region.setup.port)
                };
                assert_eq!(
                    ask(&keeping).await,
                    ask(&asking_each_time).await,
                    "round {round}: {claims} {path}"
                );
            }
        }
    }
    keeping.stop().await;
    asking_each_time.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_released_whole_is_kept_and_for_its_caller_alone() {
    let region = Region::start(KEEPING).await;
    seed_observations(&region);
    let ward = region.asking();
    for (path, first, second) in [
        ("Patient/anna", 1, 0),
        ("Observation/oa", 1, 0),
        ("Observation?patient=bruno", 1, 0),
        // Hidden, absent and partly hidden: the server is asked each time, and alike.
        ("Patient/carla", 1, 1),
        ("Patient/nobody", 1, 1),
        ("Patient?_sort=_id", 1, 1),
        // Above normal.
        ("Observation/or", 1, 1),
        ("Observation?patient=anna", 1, 1),
    ] {
        let counts =
            (asked_of_server(&region, &ward, path).await.1, asked_of_server(&region, &ward, path).await.1);
        assert_eq!(counts, (first, second), "{path}");
    }
    let other = ward.with_token(Some(region.setup.token(json!({ "sub": "dr-bianchi" }))));
    assert_eq!(asked_of_server(&region, &other, "Patient/anna").await.1, 1);
    // Each request has its record, kept or not.
    let again = ward.get("Patient/anna").await;
    assert_eq!(region.audited(&again).await["action"], "R");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_consent_and_a_write_count_at_once() {
    let region = Region::start(KEEPING).await;
    let ward = region.asking();
    let absent = ward.get("Patient/nobody").await;
    for expected in [1, 0] {
        let (reply, asked) = asked_of_server(&region, &ward, "Patient/anna").await;
        assert_eq!((reply.status, asked), (StatusCode::OK, expected));
    }
    let permits = harness::consent("Patient/anna", json!({ "type": "deny" }));
    let mut revoked = permits.clone();
    revoked["dateTime"] = json!("2026-02-01");
    assert_eq!(ward.post("Consent", &revoked).await.status, StatusCode::CREATED);
    let (reply, asked) = asked_of_server(&region, &ward, "Patient/anna").await;
    assert_eq!((reply.status, asked), (StatusCode::NOT_FOUND, 1));
    assert_eq!(reply.appearance(), absent.appearance());

    let (_, first) = asked_of_server(&region, &ward, "Patient/bruno").await;
    let (before, second) = asked_of_server(&region, &ward, "Patient/bruno").await;
    assert_eq!((first, second), (1, 0));
    let mut bruno = before.json();
    bruno["birthDate"] = json!("1970-01-01");
    assert_eq!(ward.put("Patient/bruno", &bruno).await.status, StatusCode::OK);
    let (after, asked) = asked_of_server(&region, &ward, "Patient/bruno").await;
    assert_eq!((after.json()["birthDate"].as_str(), asked), (Some("1970-01-01"), 1));
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_says_what_may_be_kept_and_is_asked_by_the_tag_of_what_is() {
    let region = Region::start(KEEPING).await;
    let ward = region.asking();
    let saying = |path: &str, words: &'static str| {
        let alter = move |answer: &mut http::Response<bytes::Bytes>| {
            answer.headers_mut().insert("cache-control", http::HeaderValue::from_static(words));
        };
        region.hospital.inject(Fault::new(Effect::Alter(Arc::new(alter))).on_path(path));
    };
    saying("/Patient/anna", "no-cache");
    saying("/Patient/bruno", "no-store");
    let first = ward.get("Patient/anna").await;
    let (second, asked) = asked_of_server(&region, &ward, "Patient/anna").await;
    assert_eq!((first.appearance(), asked), (second.appearance(), 1));
    let seen = region.hospital.requests().pop().unwrap();
    assert_eq!(seen.headers["if-none-match"], "W/\"1\"");
    // What changed behind our back is what is answered.
    region.seed(&json!({ "resourceType": "Patient", "id": "anna", "name": [{ "family": "Nuova" }] }));
    let third = ward.get("Patient/anna").await;
    assert_eq!(third.json()["name"][0]["family"], "Nuova");
    for _ in 0..2 {
        assert_eq!(asked_of_server(&region, &ward, "Patient/bruno").await.1, 1);
        assert!(!region.hospital.requests().pop().unwrap().headers.contains_key("if-none-match"));
    }
    region.stop().await;
}
