//! What can't be decided is not released, and nothing is asked of an address that a caller or a server names.
#![allow(clippy::unwrap_used)]

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use harness::{FHIR, ISSUER, Region, now};
use http::{Method, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ED25519};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use varco_conformance::hospital::{Effect, Fault};

const SECRET: &str = "Segreto";

fn observation(patient: &str, more: Value) -> Value {
    let mut made = json!({ "resourceType": "Observation", "status": "final",
        "subject": { "reference": format!("Patient/{patient}") }, "code": { "text": "x" } });
    for (name, value) in more.as_object().unwrap() {
        made[name] = value.clone();
    }
    made
}

/// Damages the store of a running sidecar.
fn damage(region: &Region, statement: &str) {
    let file = region.setup.folder.path().join("varco.sqlite");
    rusqlite::Connection::open(file).unwrap().execute_batch(statement).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_store_it_answers_503_and_releases_nothing() {
    let region = Region::start("").await;
    let asking = region.asking();
    assert_eq!(asking.get("Patient/anna").await.status, StatusCode::OK);
    damage(&region, "DROP TABLE consent");
    let before = region.hospital.resource_count();
    for reply in [
        asking.get("Patient/bruno").await,
        asking.get("Patient?identifier=CF-bruno").await,
        asking.get("Patient/carla").await,
        asking.post("Observation", &observation("bruno", json!({}))).await,
    ] {
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{:?}", reply.body);
        let text = String::from_utf8_lossy(&reply.body);
        assert!(!text.contains("Amico") && !text.contains("consent"), "{text}");
    }
    assert_eq!(region.hospital.resource_count(), before);
    damage(&region, "DROP TABLE audit");
    let unrecorded = asking.get("Patient/anna").await;
    assert_eq!(unrecorded.status, StatusCode::SERVICE_UNAVAILABLE, "an answer without its record");
    assert!(!String::from_utf8_lossy(&unrecorded.body).contains("Forl"));
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_its_trail_takes_no_record_nothing_is_answered() {
    let region = Region::start("").await;
    let asking = region.asking();
    damage(
        &region,
        "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
    );
    for path in [
        "Patient/anna",
        "Patient/carla",
        "Patient",
        "Patient?name=Forl%C3%AC",
        "Consent?patient=Patient/anna",
    ] {
        let reply = asking.get(path).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {:?}", reply.body);
        let text = String::from_utf8_lossy(&reply.body);
        assert!(!text.contains("Forl") && !text.contains("disk"), "{text}");
    }
    damage(&region, "DROP TRIGGER full");
    assert_eq!(asking.get("Patient/anna").await.status, StatusCode::OK, "no restart is needed");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_trail_can_not_record_is_not_written() {
    let region = Region::start("").await;
    region.seed(&observation("anna", json!({ "id": "o1" })));
    let asking = region.asking();
    let hidden = observation("anna", json!({ "id": "o1", "code": { "text": SECRET } }));
    let consents = asking.get("Consent?patient=Patient/bruno").await.json()["total"].clone();
    damage(
        &region,
        "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
    );
    let (before, stored) =
        (region.hospital.resource_count(), region.hospital.resource("Observation", "o1").unwrap());
    region.hospital.forget_requests();
    let patch = r#"[{"op":"replace","path":"/code/text","value":"y"}]"#;
    let patched = [("content-type", "application/json-patch+json")];
    let entry = json!({ "resource": observation("anna", json!({})), "request": { "method": "POST", "url": "Observation" } });
    for reply in [
        asking.post("Observation", &observation("anna", json!({}))).await,
        asking.put("Observation/o1", &hidden).await,
        asking.send(Method::PATCH, "Observation/o1", &patched, Bytes::from(patch)).await,
        asking.send(Method::DELETE, "Observation/o1", &[], Bytes::new()).await,
        asking.put("Observation?_id=o1", &hidden).await,
        asking
            .post("", &json!({ "resourceType": "Bundle", "type": "batch", "entry": [entry.clone()] }))
            .await,
        asking.post("Consent", &harness::consent("Patient/bruno", json!({ "type": "permit" }))).await,
    ] {
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{:?}", reply.body);
    }
    let forwarded = region.hospital.requests();
    assert!(forwarded.iter().all(|request| request.method == Method::GET), "{forwarded:#?}");
    assert_eq!(region.hospital.resource_count(), before);
    assert_eq!(region.hospital.resource("Observation", "o1").unwrap(), stored);
    damage(&region, "DROP TRIGGER full");
    assert_eq!(asking.get("Consent?patient=Patient/bruno").await.json()["total"], consents);
    assert_eq!(asking.put("Observation/o1", &hidden).await.status, StatusCode::OK, "no restart is needed");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lies_is_not_passed_on() {
    let region = Region::start("").await;
    let asking = region.asking();
    let hidden = json!({ "resourceType": "Patient", "id": "carla", "name": [{ "family": SECRET }] });
    let own = json!({ "resourceType": "Patient", "id": "anna", "name": [{ "family": SECRET }] });
    let bundle = |entry: &Value| json!({ "resourceType": "Bundle", "type": "searchset", "total": 7, "entry": [{ "resource": entry }] });
    let reply =
        |body: String| Effect::Reply { status: 200, content_type: FHIR.to_owned(), body: body.into_bytes() };
    for (path, body) in [
        ("Patient/anna", hidden.to_string()),
        (
            "Patient/anna",
            json!({ "resourceType": "Observation", "id": "anna", "code": { "text": SECRET } }).to_string(),
        ),
        (
            "Patient/anna",
            json!({ "resourceType": "OperationOutcome", "issue": [{ "diagnostics": SECRET }] }).to_string(),
        ),
        ("Patient/anna", bundle(&own).to_string()),
        ("Patient/anna", own.to_string().replace('}', "")),
        ("Patient/anna", format!("{own}{own}")),
        ("Patient/anna", own.to_string().replace("\"id\"", "\"id\":\"carla\",\"id\"")),
        ("Patient/anna", format!("\u{feff}{own}")),
        ("Patient/anna", String::new()),
        ("Patient", own.to_string()),
    ] {
        region.hospital.inject(Fault::new(reply(body.clone())));
        let answer = asking.get(path).await;
        region.hospital.clear_faults();
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{body}: {:?}", answer.body);
        assert!(!String::from_utf8_lossy(&answer.body).contains(SECRET), "{body}");
    }
    // A server that answers with more than it was asked for, or with nobody's: judged as any other.
    let nameless = json!({ "resourceType": "Patient", "name": [{ "family": SECRET }] });
    for entry in [hidden, nameless] {
        region.hospital.inject(Fault::new(reply(bundle(&entry).to_string())));
        let answer = asking.get("Patient?identifier=CF-anna").await;
        region.hospital.clear_faults();
        assert_eq!((answer.status, answer.json()["total"].as_u64()), (StatusCode::OK, Some(0)));
        assert!(!String::from_utf8_lossy(&answer.body).contains(SECRET));
    }
    region.stop().await;
}

/// A port that counts who calls.
async fn trap() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, calls)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_that_a_caller_or_a_server_names_is_contacted() {
    let region = Region::start("").await;
    let asking = region.asking();
    let (url, calls) = trap().await;
    assert!(tokio::net::TcpStream::connect(url.trim_start_matches("http://")).await.is_ok());
    while calls.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let named = json!({ "meta": { "profile": [format!("{url}/StructureDefinition/x")], "source": url },
        "extension": [{ "url": format!("{url}/x"), "valueUrl": url }], "contained": [{ "resourceType": "DocumentReference",
        "id": "d", "status": "current", "content": [{ "attachment": { "url": format!("{url}/a.pdf") } }] }] });
    asking.post("Observation", &observation("anna", named.clone())).await;
    asking.post("Observation/$validate", &observation("anna", named)).await;
    asking.get(&format!("Observation?subject={url}/Patient/anna")).await;
    asking.get(&format!("Observation?_profile={url}/x&_source={url}")).await;

    for location in [url.clone(), "http://169.254.169.254/latest/meta-data/".to_owned()] {
        let target = location.clone();
        region.hospital.inject(Fault::new(Effect::Alter(Arc::new(move |answer| {
            *answer.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            answer.headers_mut().insert("location", target.parse().unwrap());
        }))));
        let answer = asking.get("Patient/anna").await;
        region.hospital.clear_faults();
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        assert!(
            !String::from_utf8_lossy(&answer.body).contains(&location)
                && !answer.headers.contains_key("location")
        );
    }
    let body = json!({ "resourceType": "Bundle", "type": "searchset",
        "link": [{ "relation": "next", "url": format!("{url}/fhir/Patient?page=2") }] });
    region.hospital.inject(
        Fault::new(Effect::Reply {
            status: 200,
            content_type: FHIR.to_owned(),
            body: body.to_string().into(),
        })
        .times(1),
    );
    asking.get("Patient").await;
    region.hospital.clear_faults();
    assert_eq!(calls.load(Ordering::SeqCst), 1, "only this test itself may have called");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_algorithm_or_with_a_header_of_its_own_is_refused() {
    let region = Region::start("").await;
    let (url, calls) = trap().await;
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let claims = json!({ "iss": ISSUER, "aud": region.setup.base(), "exp": now() + 300, "nbf": now() - 5,
        "client_id": "ward-app", "scope": "system/*.cruds" });
    let named = |algorithm: Algorithm| Header { kid: Some("k1".to_owned()), ..Header::new(algorithm) };
    let own = EncodingKey::from_ed_der(&key.serialize_der());
    let jwks: Value = serde_json::from_str(&region.setup.issuer.jwks()).unwrap();
    let public = jwks["keys"][0]["x"].as_str().unwrap().to_owned();
    let jku = Header { jku: Some(format!("{url}/jwks")), ..named(Algorithm::EdDSA) };
    let x5u = Header { x5u: Some(format!("{url}/x5u")), ..named(Algorithm::EdDSA) };
    let unknown = Header { kid: Some("k2".to_owned()), ..Header::new(Algorithm::EdDSA) };
    let secret = |text: &[u8]| EncodingKey::from_secret(text);
    let good = region.setup.token(json!({}));
    let cut = good.rsplit_once('.').unwrap().0.to_owned();
    for token in [
        encode(&jku, &claims, &own).unwrap(),
        encode(&x5u, &claims, &own).unwrap(),
        encode(&unknown, &claims, &own).unwrap(),
        encode(&named(Algorithm::HS256), &claims, &secret(public.as_bytes())).unwrap(),
        encode(&named(Algorithm::HS256), &claims, &secret(region.setup.issuer.jwks().as_bytes())).unwrap(),
        format!("{cut}."),
        cut,
        format!("{good}x"),
    ] {
        let refused = region.asking().with_token(Some(token.clone())).get("Patient/anna").await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{token}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_says_in_headers_does_not_reach_the_server() {
    let region = Region::start("").await;
    let asking = region.asking();
    region.hospital.forget_requests();
    let said = [
        ("x-forwarded-for", "10.1.2.3"),
        ("x-forwarded-host", "elsewhere.test"),
        ("forwarded", "for=10.1.2.3"),
        ("cookie", "session=told"),
        ("x-http-method-override", "DELETE"),
        ("x-purpose-of-use", "told"),
        ("x-user", "told"),
        ("te", "trailers"),
        ("proxy-authorization", "Basic dG9sZA=="),
        ("x-original-url", "/fhir/Patient/carla"),
    ];
    assert_eq!(asking.send(Method::GET, "Patient/anna", &said, Bytes::new()).await.status, StatusCode::OK);
    assert_eq!(asking.send(Method::GET, "Patient", &said, Bytes::new()).await.status, StatusCode::OK);
    let seen = region.hospital.requests();
    assert!(seen.len() >= 2);
    for request in seen {
        assert!(request.headers.get("authorization").is_none(), "the caller's token stays here");
        for (name, value) in said {
            let passed = request.headers.get_all(name).iter().any(|own| own == value);
            assert!(!passed, "{name} reached the server");
        }
    }
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_grow_when_read_are_refused_within_bounds() {
    let region = Region::start("[limits]\nbody_bytes = 2000000\n").await;
    let asking = region.asking();
    let before = region.hospital.request_count();
    let open =
        |text: &str| format!("{{\"resourceType\":\"Observation\",\"extension\":{}", text.repeat(400_000));
    // Two megabytes of zeroes in two kilobytes: what `gzip` makes of them is not looked into.
    let zipped = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3].repeat(200);
    for (body, headers, statuses) in [
        (open("[").into_bytes(), vec![("content-type", FHIR)], [400, 413]),
        (open("{\"a\":").into_bytes(), vec![("content-type", FHIR)], [400, 413]),
        (zipped.clone(), vec![("content-type", FHIR), ("content-encoding", "gzip")], [400, 415]),
        (zipped, vec![("content-type", FHIR)], [400, 415]),
        (vec![b' '; 2_000_001], vec![("content-type", FHIR)], [413, 413]),
        (vec![0xff; 4096], vec![("content-type", FHIR)], [400, 400]),
    ] {
        let refused = asking.send(Method::POST, "Observation", &headers, Bytes::from(body)).await;
        assert!(statuses.contains(&refused.status.as_u16()), "{:?} {:?}", refused.status, refused.body);
    }
    let many: Vec<String> = (0..60).map(|number| format!("x{number}")).collect();
    let wide = format!("Patient?{}", vec![format!("_id={}", many.join(",")); 60].join("&"));
    assert!(asking.get(&wide).await.status.is_client_error());
    assert_eq!(region.hospital.request_count(), before, "nothing may be forwarded");
    assert_eq!(asking.get("Patient/anna").await.status, StatusCode::OK);
    region.stop().await;
}
