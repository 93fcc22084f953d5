//! `Patient/$match` through a running sidecar, before a simulated hospital.
#![allow(clippy::unwrap_used)]

mod harness;

use harness::{Region, Reply, consent};
use http::StatusCode;
use serde_json::{Value, json};

const CODE: &str = "http://hl7.it/sid/codiceFiscale";
const OID: &str = "urn:oid:2.16.840.1.113883.2.9.4.3.2";

fn rossi(id: &str, identifier: Option<(&str, &str)>) -> Value {
    let mut own = json!({ "resourceType": "Patient", "id": id, "gender": "male", "birthDate": "1971-05-01",
        "name": [{ "family": "Rossi", "given": ["Mario"] }] });
    if let Some((system, value)) = identifier {
        own["identifier"] = json!([{ "system": system, "value": value }]);
    }
    own
}

fn asked(patient: &Value, more: Value) -> Value {
    let mut parameters = vec![json!({ "name": "resource", "resource": patient })];
    parameters.extend(more.as_array().cloned().unwrap_or_default());
    json!({ "resourceType": "Parameters", "parameter": parameters })
}

/// A hospital whose patients are shown unless their id begins with `hidden`.
async fn hospital(patients: &[Value]) -> Region {
    let alias = format!("[[identity.alias]]\nlocal = \"{OID}\"\nnetwork = \"{CODE}\"\n");
    let region = Region::start_bare(&alias).await;
    for patient in patients {
        region.seed(patient);
        let id = patient["id"].as_str().unwrap();
        if !id.starts_with("hidden") {
            let permit = json!({ "type": "permit", "purpose": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT" }] });
            let recorded = region.asking().post("Consent", &consent(&format!("Patient/{id}"), permit)).await;
            assert_eq!(recorded.status, StatusCode::CREATED);
        }
    }
    region
}

/// Ids and grades, best first.
fn matches(reply: &Reply) -> Vec<(String, String)> {
    assert_eq!(reply.status, StatusCode::OK, "{:?}", reply.body);
    let bundle = reply.json();
    assert_eq!(bundle["type"], "searchset");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let found: Vec<_> = entries.iter().filter(|entry| entry["search"]["mode"] == "match").collect();
    assert_eq!(bundle["total"], found.len());
    for entry in &found {
        let score = entry["search"]["score"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&score));
        assert_eq!(
            entry["search"]["extension"][0]["url"],
            "http://hl7.org/fhir/StructureDefinition/match-grade"
        );
    }
    let shown = |entry: &&Value| {
        (text(&entry["resource"]["id"]), text(&entry["search"]["extension"][0]["valueCode"]))
    };
    found.iter().map(shown).collect()
}

fn pairs<'p>(pairs: &[(&'p str, &'p str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(id, grade)| ((*id).to_owned(), (*grade).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_found_by_identifier_and_by_name_best_first() {
    let region = hospital(&[
        rossi("same", Some((OID, "RSSMRA71E01F205E"))),
        rossi("namesake", None),
        json!({ "resourceType": "Patient", "id": "other", "birthDate": "1990-01-01", "name": [{ "family": "Bianchi" }] }),
    ])
    .await;
    let asking = region.asking();
    let probe = rossi("x", Some((CODE, "RSSMRA71E01F205E")));
    let reply = asking.post("Patient/$match", &asked(&probe, json!([]))).await;
    assert_eq!(matches(&reply), pairs(&[("same", "certain"), ("namesake", "probable")]));
    // What is shown is written as the network writes it.
    assert_eq!(reply.json()["entry"][0]["resource"]["identifier"][0]["system"], CODE);
    let one =
        asking.post("Patient/$match", &asked(&probe, json!([{ "name": "count", "valueInteger": 1 }]))).await;
    assert_eq!(matches(&one), pairs(&[("same", "certain")]));
    let certain = json!([{ "name": "onlyCertainMatches", "valueBoolean": true }]);
    let only = asking.post("Patient/$match", &asked(&probe, certain.clone())).await;
    assert_eq!(matches(&only), pairs(&[("same", "certain")]));
    // A name and a birthday are never certain.
    let unsure = asking.post("Patient/$match", &asked(&rossi("x", None), certain)).await;
    assert_eq!(matches(&unsure), pairs(&[]));
    // The patient alone will do for a body.
    assert_eq!(matches(&asking.post("Patient/$match", &probe).await).len(), 2);

    // One record a patient; this answer had one.
    let record = region.audited(&only).await;
    assert_eq!(record["subtype"][0]["code"], "search-type", "{record}");
    assert!(
        record["entity"].as_array().unwrap().iter().any(|entity| entity["query"].is_string()),
        "{record}"
    );
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_certain_matches_are_not_merged_and_none_is_picked() {
    let code = Some((OID, "RSSMRA71E01F205E"));
    let region = hospital(&[rossi("a", code), rossi("b", code)]).await;
    let asking = region.asking();
    let probe = rossi("x", Some((CODE, "RSSMRA71E01F205E")));
    let both = asking.post("Patient/$match", &asked(&probe, json!([]))).await;
    assert_eq!(matches(&both), pairs(&[("a", "certain"), ("b", "certain")]));
    let certain = json!([{ "name": "onlyCertainMatches", "valueBoolean": true }]);
    let none = asking.post("Patient/$match", &asked(&probe, certain)).await;
    assert_eq!(matches(&none), pairs(&[]));
    assert_eq!(none.json()["entry"][0]["resource"]["issue"][0]["code"], "multiple-matches");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_question_is_refused_and_what_finds_nobody_is_empty() {
    let region = hospital(&[rossi("a", None)]).await;
    let asking = region.asking();
    let vague = asking
        .post("Patient/$match", &json!({ "resourceType": "Patient", "name": [{ "family": "Rossi" }] }))
        .await;
    assert_eq!(matches(&vague), pairs(&[]));
    assert_eq!(vague.json()["entry"][0]["resource"]["issue"][0]["code"], "incomplete");
    // Separators in values separate nothing.
    let odd = json!({ "resourceType": "Patient", "birthDate": "1971-05-01", "name": [{ "family": "Ros,si|$\\", "given": ["M,x"] }],
        "identifier": [{ "system": "urn:x|y,z", "value": "1,2|3" }] });
    assert_eq!(matches(&asking.post("Patient/$match", &odd).await), pairs(&[]));
    let person = asking.post("Patient/$match", &json!({ "resourceType": "Person" })).await;
    assert_eq!(person.status, StatusCode::BAD_REQUEST);
    for (scope, status) in [("system/Patient.r", StatusCode::FORBIDDEN), ("system/Patient.s", StatusCode::OK)]
    {
        let token = region.setup.token(json!({ "scope": scope }));
        let reply = asking.with_token(Some(token)).post("Patient/$match", &rossi("x", None)).await;
        assert_eq!(reply.status, status, "{scope}");
    }
    region.stop().await;
}

/// Twin worlds: a hidden candidate changes nothing of what the caller is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_patient_is_neither_shown_nor_counted() {
    let code = Some((OID, "RSSMRA71E01F205E"));
    let shown = [rossi("a", code), rossi("b", None)];
    let mut more = shown.to_vec();
    more.extend([rossi("hidden-1", code), rossi("hidden-2", None), rossi("hidden-3", code)]);
    let (with, without) = (hospital(&more).await, hospital(&shown).await);
    let probes = [
        rossi("x", Some((CODE, "RSSMRA71E01F205E"))),
        rossi("x", None),
        json!({ "resourceType": "Patient", "identifier": [{ "system": CODE, "value": "RSSMRA71E01F205E" }] }),
    ];
    let seen = |reply: &Reply, port: u16| {
        let (status, headers, body) = reply.appearance();
        let names: Vec<String> = headers.into_iter().map(|(name, _)| name).collect();
        let text = String::from_utf8(body.to_vec()).unwrap().replace(&format!("127.0.0.1:{port}"), "HOST");
        let mut body: Value = serde_json::from_str(&text).unwrap();
        for entry in body["entry"].as_array_mut().into_iter().flatten() {
            if let Some(meta) = entry["resource"]["meta"].as_object_mut() {
                meta.remove("lastUpdated");
            }
        }
        format!("{status} {names:?} {body}")
    };
    for probe in &probes {
        for more in [
            json!([]),
            json!([{ "name": "onlyCertainMatches", "valueBoolean": true }]),
            json!([{ "name": "count", "valueInteger": 1 }]),
        ] {
            let body = asked(probe, more.clone());
            let one = with.asking().post("Patient/$match", &body).await;
            let other = without.asking().post("Patient/$match", &body).await;
            assert_eq!(seen(&one, with.setup.port), seen(&other, without.setup.port), "{body}");
            assert!(!matches(&one).is_empty() || more[0]["name"] == "onlyCertainMatches", "{body}");
        }
    }
    with.stop().await;
    without.stop().await;
}
