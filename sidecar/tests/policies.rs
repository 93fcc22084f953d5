//! Site policies in a running sidecar: what they hide looks absent, what they refuse tells nothing, and a change of their
//! files counts without a restart.
#![allow(clippy::unwrap_used)]

mod harness;

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use harness::twins::seen;
use harness::{Asking, Region, Reply, consent};
use http::{Method, StatusCode};
use serde_json::{Value, json};

const POLICY: &str = "[policy]\nfiles = [\"policies\"]\ndefault = \"permit\"\nreload_seconds = 1\n\
    [limits]\nrequests_per_second = 10000\nburst = 10000\n";

const POLICIES: &str = r#"
@id("hide-very-restricted") @reason("for the treating ward alone")
forbid(principal, action in [Action::"access", Action::"write"], resource)
when { resource has confidentiality && resource.confidentiality >= 6 };

@id("no-prescriptions")
forbid(principal in Role::"urn:test:role|AAS", action, resource)
when { ["MedicationRequest", "AuditEvent"].contains(resource.type) && !context.emergency };

@id("amended-stays")
forbid(principal, action in Action::"write", resource)
when { resource.codes.contains("http://loinc.org|1000-1") };
"#;

/// A region with these policies and a patient who consents to everything.
async fn region() -> Region {
    let region = Region::edited("", POLICY, |setup| {
        let folder = setup.folder.path().join("policies");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("site.cedar"), POLICIES).unwrap();
    })
    .await;
    region.seed(&json!({ "resourceType": "Patient", "id": "anna" }));
    let recorded =
        region.asking().post("Consent", &consent("Patient/anna", json!({ "type": "permit" }))).await;
    assert_eq!(recorded.status, StatusCode::CREATED, "{:?}", recorded.body);
    region
}

fn labelled(mut resource: Value, level: &str) -> Value {
    resource["meta"] = json!({ "security": [
        { "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": level }
    ] });
    resource
}

fn observation(id: &str, encounter: &str, code: &str) -> Value {
    json!({ "resourceType": "Observation", "id": id, "status": "final",
        "code": { "coding": [{ "system": "http://loinc.org", "code": code }] },
        "subject": { "reference": "Patient/anna" }, "encounter": { "reference": format!("Encounter/{encounter}") } })
}

fn encounter(id: &str) -> Value {
    json!({ "resourceType": "Encounter", "id": id, "status": "finished",
        "class": { "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB" },
        "subject": { "reference": "Patient/anna" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_hides_leaves_no_trace_in_any_answer() {
    let (with, without) = (region().await, region().await);
    for world in [&with, &without] {
        world.seed(&encounter("open"));
        world.seed(&observation("o1", "open", "1000-1"));
        world.seed(&observation("o2", "secret", "2000-1"));
    }
    with.seed(&labelled(encounter("secret"), "V"));
    with.seed(&labelled(observation("o3", "open", "2000-1"), "V"));
    let (a, b) = (with.asking(), without.asking());
    let found = a.get("Observation?patient=anna").await.json();
    assert_eq!(found["total"], 2, "{found}");
    let included = a.get("Observation?_include=Observation:encounter").await.json();
    assert_eq!(included["entry"].as_array().unwrap().len(), 3, "{included}");
    for path in [
        "Observation/o3",
        "Observation/o3/_history/1",
        "Observation/o3/_history",
        "Encounter/secret",
        "Observation",
        "Observation?patient=anna",
        "Observation?_summary=count",
        "Observation?_id=o1,o3",
        "Observation?_sort=-_lastUpdated",
        "Observation?code=http://loinc.org%7C2000-1",
        "Observation?_security=http://terminology.hl7.org/CodeSystem/v3-Confidentiality%7CV",
        "Observation?_include=Observation:encounter",
        "Encounter?_revinclude=Observation:encounter",
        "Observation?encounter:Encounter.status=finished",
        "Encounter?_has:Observation:encounter:code=http://loinc.org%7C2000-1",
        "Encounter?_summary=count",
    ] {
        let (in_a, in_b) = (a.get(path).await, b.get(path).await);
        assert_eq!(seen(&in_a, with.setup.port), seen(&in_b, without.setup.port), "{path}");
        assert!(!String::from_utf8_lossy(&in_a.body).contains("hide-very-restricted"), "{path}");
    }
    for (method, path, body) in [
        (Method::PUT, "Observation/o3", observation("o3", "open", "2000-1").to_string()),
        (Method::DELETE, "Observation/o3", String::new()),
        (Method::DELETE, "Encounter/secret", String::new()),
    ] {
        let send = async |to: &Asking| {
            to.send(method.clone(), path, &[("content-type", harness::FHIR)], Bytes::from(body.clone())).await
        };
        let (in_a, in_b) = (send(&a).await, send(&b).await);
        assert_eq!(in_a.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(seen(&in_a, with.setup.port), seen(&in_b, without.setup.port), "{path}");
    }
    with.stop().await;
    without.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_record_names_the_policy_and_the_caller_does_not_learn_it() {
    let region = region().await;
    region.seed(&labelled(observation("o3", "open", "2000-1"), "V"));
    let reviewer = region.asking().with_token(Some(region.setup.token(json!({
        "extensions": { "ihe_iua": { "subject_role": [{ "system": "urn:test:role", "code": "reviewer" }] } }
    }))));
    let audited = async |reply: &Reply| {
        let found =
            reviewer.get(&format!("AuditEvent?entity:identifier=%7C{}", reply.request_id())).await.json();
        found["entry"][0]["resource"].to_string()
    };
    let asking = region.asking();
    let hidden = asking.get("Observation/o3").await;
    assert_eq!(hidden.issue(), ("not-found".to_owned(), "There is no such resource.".to_owned()));
    let record = audited(&hidden).await;
    assert!(record.contains("forbid: hide-very-restricted"), "{record}");
    assert!(record.contains("hidden from the caller: a policy of the site forbids it"), "{record}");
    // What is forbidden is not seen inside of another resource either.
    let mut holder = observation("o4", "open", "2000-1");
    holder["contained"] = json!([{ "resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "order",
        "subject": { "reference": "Patient/anna" }, "medicationCodeableConcept": { "text": "x" } }]);
    region.seed(&holder);
    let held = asking.get("Observation/o4").await;
    assert_eq!(held.status, StatusCode::NOT_FOUND, "{:?}", held.body);
    assert!(audited(&held).await.contains("forbid: no-prescriptions"));
    // A type that is closed to the role is refused before anything is asked, whether there is such a resource or not.
    for path in
        ["MedicationRequest/none", "MedicationRequest?patient=anna", "AuditEvent?patient=Patient/anna"]
    {
        let refused = asking.get(path).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(refused.issue().1, "This request is not permitted.", "{path}");
        assert!(audited(&refused).await.contains("forbid: no-prescriptions"), "{path}");
    }
    let emergency = asking.with_token(Some(region.setup.token(json!({
        "extensions": { "ihe_iua": {
            "subject_role": [{ "system": "urn:test:role", "code": "AAS" }],
            "purpose_of_use": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "BTG" }]
        } }
    }))));
    assert_eq!(emergency.get("MedicationRequest?patient=anna").await.status, StatusCode::OK);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_judged_by_what_stands_there_and_by_what_will() {
    let region = region().await;
    region.seed(&observation("o1", "open", "1000-1"));
    region.seed(&observation("o2", "open", "2000-1"));
    let asking = region.asking();
    assert_eq!(asking.get("Observation/o1").await.status, StatusCode::OK);
    for (id, code, status) in [
        ("o1", "2000-1", StatusCode::FORBIDDEN),
        ("o2", "1000-1", StatusCode::FORBIDDEN),
        ("o2", "3000-1", StatusCode::OK),
    ] {
        let answer = asking.put(&format!("Observation/{id}"), &observation(id, "open", code)).await;
        assert_eq!(answer.status, status, "{id} {code} {:?}", answer.body);
    }
    let deleted = asking.send(Method::DELETE, "Observation/o1", &[], Bytes::new()).await;
    assert_eq!(deleted.status, StatusCode::FORBIDDEN);
    let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": [
        { "request": { "method": "DELETE", "url": "Observation/o1" } },
        { "request": { "method": "GET", "url": "MedicationRequest?patient=anna" } },
        { "request": { "method": "GET", "url": "Observation/o1" } },
    ] });
    let answers = asking.post("", &batch).await.json();
    let status =
        |at: usize| answers["entry"][at]["response"]["status"].as_str().unwrap_or_default().to_owned();
    assert_eq!([status(0), status(1), status(2)], ["403", "403", "200"], "{answers}");
    for (url, code) in [("Observation/o1", "3000-1"), ("MedicationRequest", "3000-1")] {
        let (method, id, kind) = match url.split_once('/') {
            Some((kind, id)) => ("PUT", id, kind),
            None => ("POST", "new", url),
        };
        let mut resource = observation(id, "open", code);
        resource["resourceType"] = json!(kind);
        let whole = json!({ "resourceType": "Bundle", "type": "transaction", "entry": [
            { "fullUrl": "urn:uuid:5e8ff9bf-55ba-4420-a5e7-4b0f6e0f2a11", "resource": observation("x", "open", "4000-1"),
              "request": { "method": "POST", "url": "Observation" } },
            { "fullUrl": "urn:uuid:5e8ff9bf-55ba-4420-a5e7-4b0f6e0f2a12", "resource": resource,
              "request": { "method": method, "url": url } },
        ] });
        let answer = asking.post("", &whole).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{url}: {:?}", answer.body);
    }
    let found = asking.get("Observation?code=http://loinc.org%7C4000-1&_summary=count").await.json();
    assert_eq!(found["total"], 0, "nothing of a refused transaction is done: {found}");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_policies_count_without_a_restart() {
    let region = region().await;
    region.seed(&observation("o1", "open", "2000-1"));
    let asking = region.asking();
    assert_eq!(asking.get("Observation/o1").await.status, StatusCode::OK);
    let file = region.setup.folder.path().join("policies/site.cedar");
    fs::write(
        &file,
        format!(
            "{POLICIES}\nforbid(principal, action, resource) when {{ resource.type == \"Observation\" }};"
        ),
    )
    .unwrap();
    for _ in 0..200 {
        if asking.get("Observation/o1").await.status == StatusCode::FORBIDDEN {
            region.stop().await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the changed policies are not taken up");
}
