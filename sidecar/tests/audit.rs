//! The audit trail as those who review accesses see it: searched as FHIR, page by page.
#![allow(clippy::unwrap_used)]

mod harness;

use bytes::Bytes;
use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument};
use harness::Region;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use varco_core::outcome::IssueType;
use varco_core::validation::Validator;

/// The ids of a searchset's entries.
fn ids(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned()).collect()
}

fn next(bundle: &Value) -> Option<String> {
    let links = bundle["link"].as_array()?;
    let next = links.iter().find(|link| link["relation"] == "next")?;
    Some(next["url"].as_str()?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_is_searched_by_the_parameters_of_audit_event() {
    let region = Region::start("").await;
    let asking = region.asking();
    let nurse = asking.with_token(Some(region.setup.token(json!({
        "sub": "inf-verdi", "client_id": "ward-7",
        "extensions": { "ihe_iua": {
            "subject_name": "Niccolò D'Àgata",
            "subject_organization_id": ["urn:oid:2.16.840.1.113883.2.9.4.1.2|030901"],
            "subject_role": [{ "system": "urn:test:role", "code": "INF" }],
            "purpose_of_use": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT" }],
        }},
    }))));
    let read = nurse.get("Patient/anna").await.request_id().to_owned();
    let hidden = nurse.get("Patient/carla").await.request_id().to_owned();
    let sought = asking.get("Observation?patient=anna").await.request_id().to_owned();

    let by_nurse = "AuditEvent?agent:identifier=https://hub.test%7Cinf-verdi";
    for (query, expected) in [
        (by_nurse.to_owned(), vec![&hidden, &read]),
        (format!("{by_nurse}&outcome=0"), vec![&read]),
        (format!("{by_nurse}&outcome:not=0"), vec![&hidden]),
        (format!("{by_nurse}&outcome=0,8&_sort=date"), vec![&read, &hidden]),
        (format!("{by_nurse}&patient=Patient/carla"), vec![&hidden]),
        (format!("{by_nurse}&patient=anna,bruno"), vec![&read]),
        (
            format!("{by_nurse}&subtype=http://hl7.org/fhir/restful-interaction%7Cread&action=R"),
            vec![&hidden, &read],
        ),
        (format!("{by_nurse}&subtype=search-type"), vec![]),
        (format!("{by_nurse}&date=ge2026-01-01&date=lt2100"), vec![&hidden, &read]),
        (format!("{by_nurse}&date=lt2026-01-01"), vec![]),
        (format!("{by_nurse}&entity=Patient/anna"), vec![&read]),
        ("AuditEvent?agent-name=niccol".to_owned(), vec![&hidden, &read]),
        ("AuditEvent?agent-name:contains=agata".to_owned(), vec![&hidden, &read]),
        ("AuditEvent?agent-name:exact=Niccol%C3%B2%20D'%C3%80gata".to_owned(), vec![&hidden, &read]),
        ("AuditEvent?agent-role=INF".to_owned(), vec![&hidden, &read]),
        ("AuditEvent?agent:identifier=ward-7".to_owned(), vec![&hidden, &read]),
        ("AuditEvent?agent-role=AAS&subtype=search-type&patient=anna".to_owned(), vec![]),
        (format!("AuditEvent?_id={sought},{read}"), vec![&sought, &read]),
        (format!("AuditEvent?entity:identifier={sought}&site=030913&address=127.0.0.1"), vec![&sought]),
    ] {
        let found = asking.get(&query).await;
        assert_eq!(found.status, StatusCode::OK, "{query}: {:?}", found.body);
        let found = found.json();
        assert_eq!(ids(&found), expected.iter().map(|id| (*id).clone()).collect::<Vec<_>>(), "{query}");
        assert_eq!(found["total"], expected.len(), "{query}");
    }
    for query in ["AuditEvent?subtype:not=read", "AuditEvent?_sort=agent", "AuditEvent?agent:missing=true"] {
        assert_eq!(asking.get(query).await.status, StatusCode::METHOD_NOT_ALLOWED, "{query}");
    }
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_trail_are_linked_for_their_caller_alone() {
    let region = Region::start("").await;
    let asking = region.asking();
    for _ in 0..5 {
        asking.get("Patient/bruno").await;
    }
    let mut page = asking.get("AuditEvent?patient=bruno&subtype=read&_count=2").await.json();
    let stranger = asking.with_token(Some(region.setup.token(json!({ "client_id": "altri" }))));
    assert_eq!(stranger.get(&next(&page).unwrap()).await.status, StatusCode::BAD_REQUEST);
    let mut all = ids(&page);
    assert!(page.get("total").is_none(), "a page is not the whole");
    while let Some(link) = next(&page) {
        page = asking.get(&link).await.json();
        all.extend(ids(&page));
    }
    let at_once = asking.get("AuditEvent?patient=bruno&subtype=read").await.json();
    assert_eq!((all.len(), &all), (5, &ids(&at_once)));
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patients_own_token_sees_the_records_about_that_patient_alone() {
    let region = Region::start("").await;
    let asking = region.asking();
    for (id, patient) in [("o1", "anna"), ("o2", "bruno")] {
        region.seed(
            &json!({ "resourceType": "Observation", "id": id, "status": "final", "code": { "text": "x" },
            "subject": { "reference": format!("Patient/{patient}") } }),
        );
    }
    let both = asking.get("Observation?patient=anna,bruno").await;
    let of_bruno = asking.get("Patient/bruno").await.request_id().to_owned();
    let of_anna = asking.get("Patient/anna").await.request_id().to_owned();
    let scopes = json!({ "scope": "patient/AuditEvent.rs", "patient": "anna", "sub": "anna" });
    let anna = asking.with_token(Some(region.setup.token(scopes)));

    let all = anna.get("AuditEvent?_count=100").await;
    assert_eq!(all.status, StatusCode::OK, "{:?}", all.body);
    let told = ids(&all.json());
    assert!(told.contains(&of_anna) && told.contains(&format!("{}-1", both.request_id())), "{told:?}");
    let text = String::from_utf8(all.body.to_vec()).unwrap();
    assert!(!text.contains("Patient/bruno") && !text.contains("\"query\""), "{text}");
    let read = anna.get(&format!("AuditEvent/{}-1", both.request_id())).await.json();
    let names: Vec<&Value> =
        read["entity"].as_array().unwrap().iter().map(|entity| &entity["name"]).collect();
    assert_eq!(names, [&Value::Null, &json!("Observation"), &Value::Null], "{read}");
    assert_eq!(ids(&anna.get("AuditEvent?patient=bruno").await.json()), Vec::<String>::new());
    assert_eq!(anna.get("AuditEvent?entity=Patient/bruno").await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(anna.get(&format!("AuditEvent/{of_anna}")).await.status, StatusCode::OK);
    // Another's record is as absent as one that never was.
    assert_eq!(
        anna.get(&format!("AuditEvent/{of_bruno}")).await.appearance(),
        anna.get("AuditEvent/nothing").await.appearance()
    );
    assert_eq!(asking.get(&format!("AuditEvent/{of_bruno}")).await.status, StatusCode::OK);
    region.stop().await;
}

/// Every record that the gateway writes is an AuditEvent by the definitions of R4, and claims the pattern of what it did;
/// that the patterns are kept is proven where records are made (`core/tests/balp.rs`).
#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_and_what_was_denied_are_valid_events_of_their_patterns() {
    let region = Region::start("").await;
    let asking = region.asking();
    let observation = json!({ "resourceType": "Observation", "id": "o1", "status": "final",
        "code": { "text": "glucosio" }, "subject": { "reference": "Patient/anna" } });
    let created = asking.post("Observation", &observation).await;
    assert_eq!(created.status, StatusCode::CREATED, "{:?}", created.body);
    let at = format!("Observation/{}", created.json()["id"].as_str().unwrap());
    let mut changed = created.json();
    changed["status"] = json!("amended");
    let broken_glass = asking.with_token(Some(region.setup.token(json!({ "extensions": { "ihe_iua": {
        "subject_role": [{ "system": "urn:test:role", "code": "AAS" }],
        "purpose_of_use": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "BTG" }],
    }}}))));
    let validator = Validator::new(Definitions::r4());
    for (reply, pattern, outcome) in [
        (created, Some("PatientCreate"), "0"),
        (asking.get(&at).await, Some("PatientRead"), "0"),
        (asking.get("Observation?patient=Patient/anna").await, Some("PatientQuery"), "0"),
        (asking.put(&at, &changed).await, Some("PatientUpdate"), "0"),
        (asking.get("Patient/carla").await, None, "8"),
        (asking.get("Observation/none").await, None, "4"),
        // Whoever may read for treatment may read in an emergency: BTG is a kind of TREAT.
        (broken_glass.get("Patient/anna").await, Some("PatientRead"), "0"),
        (asking.send(Method::DELETE, &at, &[], Bytes::new()).await, Some("PatientDelete"), "0"),
    ] {
        let record = region.audited(&reply).await;
        let claimed = record["meta"]["profile"][0].as_str().and_then(|url| url.rsplit('.').next());
        assert_eq!((claimed, &record["outcome"]), (pattern, &json!(outcome)), "{record}");
        let document = OwnedDocument::parse_json(record.to_string(), &Limits::default()).unwrap();
        let mut report = validator.validate(document.document());
        // The patterns themselves are not at hand here.
        report.issues.retain(|issue| issue.code != IssueType::NotFound);
        assert!(report.issues.is_empty(), "{:#?}\n{record}", report.issues);
    }
    let found = asking.get("AuditEvent?patient=anna&subtype=read&_count=1").await.json();
    let agents = found["entry"][0]["resource"]["agent"].as_array().unwrap();
    assert!(agents.iter().any(|agent| agent["purposeOfUse"][0]["coding"][0]["code"] == "BTG"), "{found}");
    region.stop().await;
}
