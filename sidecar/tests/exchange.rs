//! One request through a running sidecar, before a simulated hospital: what is answered, what is forwarded, what
//! is audited.
#![allow(clippy::unwrap_used)]

mod harness;

use std::time::Duration;

use bytes::Bytes;
use harness::{FHIR, Region, consent};
use http::{Method, StatusCode, Version};
use serde_json::{Value, json};
use varco_conformance::hospital::{Effect, Fault};

fn observation(id: &str, patient: &str) -> Value {
    json!({ "resourceType": "Observation", "id": id, "status": "final", "subject": { "reference": format!("Patient/{patient}") },
        "code": { "coding": [{ "system": "http://loinc.org", "code": "14957-5" }] }, "valueDecimal": 1 })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consented_read_is_answered_and_audited() {
    let region = Region::start("").await;
    let read = region.asking().get("Patient/anna").await;
    assert_eq!(read.status, StatusCode::OK);
    assert_eq!(read.json()["name"][0]["family"], "Forlì");
    assert_eq!(read.headers["content-type"], "application/fhir+json; charset=utf-8");
    assert_eq!(read.headers["etag"], "W/\"1\"");
    assert_eq!(read.headers["cache-control"], "no-store");
    let event = region.audited(&read).await;
    assert_eq!(event["outcome"], "0");
    assert!(event.to_string().contains("Patient/anna"), "{event}");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_resource_looks_absent_by_read_search_count_and_write() {
    let region = Region::start("").await;
    region.seed(&observation("o-anna", "anna"));
    region.seed(&observation("o-carla", "carla"));
    let asking = region.asking();
    let absent = asking.get("Observation/nessuna").await;
    let hidden = asking.get("Observation/o-carla").await;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);
    assert_eq!(hidden.appearance(), absent.appearance());
    for path in
        ["Observation", "Observation?status=final", "Observation?_count=1", "Observation?patient=anna,carla"]
    {
        let found = asking.get(path).await.json();
        assert_eq!(
            (found["total"].as_u64(), found["entry"].as_array().unwrap().len()),
            (Some(1), 1),
            "{path}"
        );
        assert!(!found["link"].as_array().unwrap().iter().any(|link| link["relation"] == "next"), "{path}");
    }
    let none = asking.get("Observation?patient=Patient/carla").await.json();
    assert_eq!((none["total"].as_u64(), none.get("entry")), (Some(0), None));
    let put = |id: &str| observation(id, "anna");
    let (over_hidden, over_absent) = (
        asking.put("Observation/o-carla", &put("o-carla")).await,
        asking.put("Observation/nessuna", &put("nessuna")).await,
    );
    assert_eq!(over_hidden.status, StatusCode::NOT_FOUND);
    assert_eq!(over_hidden.appearance(), over_absent.appearance());
    let delete = |path: &'static str| asking.send(Method::DELETE, path, &[], Bytes::new());
    assert_eq!(
        delete("Observation/o-carla").await.appearance(),
        delete("Observation/nessuna").await.appearance()
    );
    assert!(region.hospital.resource("Observation", "o-carla").unwrap().contains("Patient/carla"));
    let event = region.audited(&hidden).await;
    assert_ne!(event["outcome"], "0");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_may_name_its_recipient_by_a_local_resource() {
    let hsp = "urn:oid:2.16.840.1.113883.2.9.4.1.2";
    let party = format!(
        "[[consent.party]]\nreference = \"Organization/humanitas\"\nsystem = \"{hsp}\"\nvalue = \"030943\"\n"
    );
    let region = Region::start(&party).await;
    let asking = region.asking();
    let recipient = json!([{ "role": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP" }] },
        "reference": { "reference": "Organization/humanitas" } }]);
    let permit = json!({ "type": "permit", "actor": recipient });
    assert_eq!(asking.post("Consent", &consent("Patient/carla", permit)).await.status, StatusCode::CREATED);
    assert_eq!(asking.get("Patient/carla").await.status, StatusCode::OK);
    let elsewhere =
        json!({ "extensions": { "ihe_iua": { "subject_organization_id": [format!("{hsp}|030937")] } } });
    let other = asking.with_token(Some(region.setup.token(elsewhere)));
    assert_eq!(other.get("Patient/carla").await.status, StatusCode::NOT_FOUND);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_consent_counts_at_once() {
    let region = Region::start("").await;
    let asking = region.asking();
    let held = asking.get("Consent?patient=Patient/anna").await.json();
    let mut own = held["entry"][0]["resource"].clone();
    assert_eq!(asking.get("Patient/anna").await.status, StatusCode::OK);
    own["status"] = "inactive".into();
    let id = own["id"].as_str().unwrap().to_owned();
    assert_eq!(asking.put(&format!("Consent/{id}"), &own).await.status, StatusCode::OK);
    assert_eq!(asking.get("Patient/anna").await.status, StatusCode::NOT_FOUND);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_full_and_their_links_serve_one_caller() {
    let region = Region::start("").await;
    for number in 0..9 {
        region.seed(&observation(&format!("o{number}"), if number % 2 == 0 { "anna" } else { "carla" }));
    }
    let asking = region.asking();
    let mut page = asking.get("Observation?_count=2&_sort=_lastUpdated").await.json();
    let mut seen = Vec::new();
    loop {
        assert_eq!(page["total"], 5);
        let entries = page["entry"].as_array().unwrap();
        seen.extend(entries.iter().map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned()));
        let next = page["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next").cloned();
        let Some(next) = next else { break };
        assert_eq!(entries.len(), 2);
        let url = next["url"].as_str().unwrap();
        let other = region.setup.token(json!({ "client_id": "other-app" }));
        assert_eq!(asking.with_token(Some(other)).get(url).await.status, StatusCode::BAD_REQUEST);
        assert_eq!(asking.get(&url.replace("_page=", "_page=A")).await.status, StatusCode::BAD_REQUEST);
        page = asking.get(url).await.json();
    }
    seen.sort();
    assert_eq!(seen, ["o0", "o2", "o4", "o6", "o8"]);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn identifiers_are_written_as_the_reader_knows_them() {
    let alias = "[[identity.alias]]\nlocal = \"http://hl7.it/sid/codiceFiscale\"\nnetwork = \"urn:oid:2.16.840.1.113883.2.9.4.3.2\"\n";
    let region = Region::start(alias).await;
    let asking = region.asking();
    let network = "urn:oid:2.16.840.1.113883.2.9.4.3.2";
    let found = asking.get(&format!("Patient?identifier={network}%7CCF-anna")).await.json();
    assert_eq!(found["total"], 1);
    assert_eq!(found["entry"][0]["resource"]["identifier"][0]["system"], network);
    let permitted = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
        "subject": { "reference": "Patient/anna", "identifier": { "system": network, "value": "CF-anna" } } });
    let created = asking.post("Observation", &permitted).await;
    assert_eq!(created.status, StatusCode::CREATED, "{:?}", created.body);
    assert_eq!(created.json()["subject"]["identifier"]["system"], network);
    let location = created.headers["location"].to_str().unwrap();
    assert!(location.starts_with(&format!("{}/Observation/", asking.base)), "{location}");
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let stored = region.hospital.resource("Observation", &id).unwrap();
    assert!(stored.contains("http://hl7.it/sid/codiceFiscale") && !stored.contains(network), "{stored}");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies_are_refused_and_nothing_is_forwarded() {
    let region = Region::start("[limits]\nbody_bytes = 2048\n").await;
    let asking = region.asking();
    let before = region.hospital.request_count();
    let post =
        |body: String| asking.send(Method::POST, "Observation", &[("content-type", FHIR)], Bytes::from(body));
    let good = observation("x", "anna").to_string();
    for (body, words) in [
        (good.replace("\"status\"", "\"status\":\"final\",\"status\""), "twice"),
        (good[..40].to_owned(), "too early"),
        (good.replace("Observation", "Patient"), "must be a Observation"),
        (format!("\u{feff}{good}"), "byte-order mark"),
        (String::new(), "too early"),
    ] {
        let refused = post(body.clone()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}");
        let (code, text) = refused.issue();
        assert!(code == "structure" && text.contains(words), "{body}: {text}");
    }
    let deep =
        format!("{{\"resourceType\":\"Observation\",\"extension\":{}1{}}}", "[".repeat(500), "]".repeat(500));
    assert_eq!(post(deep).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let large = post(good.replace("final", &"x".repeat(3000))).await;
    assert_eq!((large.status, large.issue().0.as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "too-long"));
    let xml = asking
        .send(
            Method::POST,
            "Observation",
            &[("content-type", "application/fhir+xml")],
            Bytes::from_static(b"<x/>"),
        )
        .await;
    assert_eq!(xml.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(region.hospital.request_count(), before, "nothing may be forwarded");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_interactions_are_refused_by_name() {
    let region = Region::start("").await;
    let asking = region.asking();
    let before = region.hospital.request_count();
    for (method, path, status) in [
        ("GET", "Paziente/1", 404),
        ("POST", "Patient/anna/$everything", 405),
        ("GET", "Patient/$everything", 404),
        ("GET", "Patient/anna/$everything?_type=Consent", 405),
        ("GET", "Observation/$lastn?patient=anna", 400),
        ("POST", "Observation/$lastn", 405),
        ("GET", "DocumentReference/$docref?patient=anna&on-demand=true", 400),
        ("GET", "Patient/anna/$lastn", 404),
        ("GET", "Patient?_filter=active", 400),
        ("GET", "Patient?%5Ffilter=active", 400),
        ("GET", "Observation?subject.identifier=x", 400),
        ("GET", "Patient?_revinclude=*", 400),
        ("GET", "Observation?nessuno=x", 400),
        ("PATCH", "Patient/anna", 415),
        ("POST", "Patient/_history", 405),
        ("POST", "_history", 405),
        ("DELETE", "Patient", 400),
        ("POST", "", 415),
        ("GET", "Patient/../metadata", 400),
        ("GET", "Patient/anna%2F_history", 400),
    ] {
        let refused = asking.send(method.parse().unwrap(), path, &[], Bytes::new()).await;
        assert_eq!(refused.status.as_u16(), status, "{method} {path}: {:?}", refused.body);
        assert_eq!(refused.json()["resourceType"], "OperationOutcome");
    }
    assert_eq!(
        asking.send(Method::POST, "Patient/anna", &[], Bytes::new()).await.headers["allow"],
        "GET, PUT, PATCH, DELETE"
    );
    assert_eq!(
        asking
            .send(Method::GET, "Patient/anna", &[("accept", "application/fhir+xml")], Bytes::new())
            .await
            .status,
        406
    );
    let outside = asking.get(&asking.base.replace("/fhir", "/fhir-admin/Patient/anna")).await;
    assert_eq!(outside.status, StatusCode::NOT_FOUND);
    assert_eq!(region.hospital.request_count(), before, "nothing may be forwarded");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_checked() {
    let region = Region::start("").await;
    let asking = region.asking();
    let with = |changed: Value| asking.with_token(Some(region.setup.token(changed)));
    let past = harness::now() - 3600;
    let unsigned =
        format!("{}.{}.", "eyJhbGciOiJub25lIn0", region.setup.token(json!({})).split('.').nth(1).unwrap());
    let other_issuer = harness::Issuer::new().token(&asking.base, json!({}));
    for caller in [
        asking.with_token(None),
        asking.with_token(Some("x".to_owned())),
        asking.with_token(Some(unsigned)),
        asking.with_token(Some(other_issuer)),
        with(json!({ "iss": "https://elsewhere.test" })),
        with(json!({ "aud": "https://elsewhere.test/fhir" })),
        with(json!({ "aud": null })),
        with(json!({ "exp": past })),
        with(json!({ "nbf": harness::now() + 3600 })),
        with(json!({ "cnf": { "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" } })),
    ] {
        let refused = caller.get("Patient/anna").await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{:?}", caller.token);
        assert_eq!(refused.headers["www-authenticate"], "Bearer realm=\"fhir\"");
        assert_eq!(refused.issue().0, "login");
    }
    let narrow = with(json!({ "scope": "system/Observation.rs" }));
    assert_eq!(narrow.get("Patient/anna").await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        narrow.get("Patient/nessuno").await.appearance(),
        narrow.get("Patient/anna").await.appearance()
    );
    assert_eq!(asking.with_token(None).get("metadata").await.json()["resourceType"], "CapabilityStatement");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_without_consent_is_refused() {
    let region = Region::start("").await;
    let asking = region.asking();
    let before = region.hospital.resource_count();
    assert_eq!(asking.post("Observation", &observation("x", "carla")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        asking.post("Observation", &observation("x", "nobody-here")).await.status,
        StatusCode::FORBIDDEN
    );
    let two = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
        "subject": { "reference": "Patient/anna" }, "performer": [{ "reference": "Patient/carla" }] });
    assert_eq!(asking.post("Observation", &two).await.status, StatusCode::FORBIDDEN);
    assert_eq!(region.hospital.resource_count(), before);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_server_is_a_gateway_error_with_its_cause_in_the_log_alone() {
    let region = Region::start("[limits]\nanswer_bytes = 4096\n").await;
    let asking = region.asking();
    let cases: [(Effect, u16); 4] = [
        (Effect::Status(500), 502),
        (Effect::Reply { status: 200, content_type: "text/html".to_owned(), body: b"<html>".to_vec() }, 502),
        (Effect::Drop, 502),
        (Effect::Delay(Duration::from_secs(30)), 504),
    ];
    for (effect, status) in cases {
        region.hospital.inject(Fault::new(effect));
        let failed = asking.get("Patient/anna").await;
        region.hospital.clear_faults();
        assert_eq!(failed.status.as_u16(), status);
        assert!(!failed.issue().1.contains("127.0.0.1"));
        let event = region.audited(&failed).await;
        assert_ne!(event["outcome"], "0");
    }
    region.seed(&json!({ "resourceType": "Patient", "id": "anna", "text": "x".repeat(5000) }));
    assert_eq!(asking.get("Patient/anna").await.status, StatusCode::BAD_GATEWAY);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_has_its_rate() {
    let region = Region::start("[limits]\nrequests_per_second = 1\nburst = 12\n").await;
    let asking = region.asking().with_token(Some(region.setup.token(json!({ "client_id": "noisy" }))));
    let mut statuses = Vec::new();
    for _ in 0..20 {
        let reply = asking.get("Patient/anna").await;
        if reply.status == StatusCode::TOO_MANY_REQUESTS {
            assert!(reply.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
        }
        statuses.push(reply.status.as_u16());
    }
    assert!(statuses.iter().filter(|status| **status == 200).count() >= 12, "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    let calm = region.asking().with_token(Some(region.setup.token(json!({ "client_id": "calm" }))));
    assert_eq!(calm.get("Patient/anna").await.status, StatusCode::OK);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_served_and_the_operators_port_tells_state_and_counts() {
    let region = Region::start("").await;
    let reply = region.asking().over_http2().get("Patient/anna").await;
    assert_eq!((reply.status, reply.version), (StatusCode::OK, Version::HTTP_2));
    let admin = format!("http://127.0.0.1:{}", region.setup.admin);
    let operator = region.asking().with_token(None);
    assert_eq!(operator.get(&format!("{admin}/live")).await.status, StatusCode::OK);
    let ready = operator.get(&format!("{admin}/ready")).await;
    assert_eq!((ready.status, ready.json()["store"].as_str()), (StatusCode::OK, Some("works")));
    assert_eq!(operator.get(&format!("{admin}/metrics")).await.status, StatusCode::OK);
    assert_eq!(operator.get(&format!("{admin}/Patient/anna")).await.status, StatusCode::NOT_FOUND);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_changes_what_passes_and_what_it_writes_is_judged() {
    let manifest =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/samples/components/narrative-stripper.plugin.json");
    let region = Region::start(&format!("[[plugin]]\nmanifest = \"{manifest}\"\n")).await;
    let mut told = observation("o1", "anna");
    told["text"] =
        json!({ "status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Forlì</div>" });
    region.seed(&told);
    let asking = region.asking();
    let read = asking.get("Observation/o1").await;
    assert_eq!(read.status, StatusCode::OK);
    assert!(read.json().get("text").is_none(), "{:?}", read.body);
    told["id"] = "o2".into();
    told["note"] = json!([{ "text": "<script>alert(1)</script>" }]);
    let refused = asking.post("Observation", &told).await;
    assert!(refused.status.is_client_error(), "{}", refused.status);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_that_cannot_be_kept_is_refused() {
    let region = Region::start("").await;
    let asking = region.asking();
    let foreign = consent("https://elsewhere.test/fhir/Patient/1", json!({ "type": "permit" }));
    let refused = asking.post("Consent", &foreign).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.issue().1.contains("Patient/123"));
    let narrow = asking.with_token(Some(region.setup.token(json!({ "scope": "system/Patient.rs" }))));
    assert_eq!(
        narrow.post("Consent", &consent("Patient/carla", json!({ "type": "permit" }))).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(narrow.get("AuditEvent").await.status, StatusCode::FORBIDDEN);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_hangs_up_leaves_its_audit_record() {
    let region = Region::start("").await;
    let asking = region.asking();
    region.hospital.inject(Fault::new(Effect::Delay(Duration::from_millis(400))).on_method(Method::POST));
    let body = observation("x", "anna");
    let hasty = tokio::time::timeout(Duration::from_millis(150), asking.post("Observation", &body));
    assert!(hasty.await.is_err(), "the caller must be gone before the answer");
    let created = |events: &Value| {
        let events = events["entry"].as_array().cloned().unwrap_or_default();
        events.iter().any(|entry| entry["resource"].to_string().contains("\"Observation/"))
    };
    let mut waited = 0;
    while !created(&asking.get("AuditEvent?patient=Patient/anna&_count=3").await.json()) {
        waited += 1;
        assert!(waited < 100, "no audit record of the write");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(asking.get("Observation?patient=anna").await.json()["total"] == 1);
    region.stop().await;
}
