//! Transactions: all entries or none, each judged as a request of its own, by one request to the hospital's server.
#![allow(clippy::unwrap_used)]

mod harness;

use std::collections::BTreeMap;

use harness::sekmet::Sekmet;
use harness::{Asking, FHIR, Region, Reply, Setup, consent};
use http::{Method, StatusCode};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use varco::{config, run};
use varco_conformance::hospital::{Effect, Fault};

const CODE: &str = "http://hl7.it/sid/codiceFiscale";

fn transaction(entries: &[Value]) -> Value {
    json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries })
}

fn observation(subject: &str, more: Value) -> Value {
    let mut made = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
        "subject": { "reference": subject } });
    made.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    made
}

fn encounter(subject: &str) -> Value {
    json!({ "resourceType": "Encounter", "status": "finished", "class": { "code": "AMB" },
        "subject": { "reference": subject } })
}

fn entry(method: &str, url: &str) -> Value {
    json!({ "request": { "method": method, "url": url } })
}

fn with(method: &str, url: &str, resource: Value) -> Value {
    json!({ "request": { "method": method, "url": url }, "resource": resource })
}

fn statuses(reply: &Reply) -> Vec<String> {
    let answered = reply.json();
    assert_eq!(answered["type"], "transaction-response", "{answered}");
    let entries = answered["entry"].as_array().unwrap();
    entries.iter().map(|entry| entry["response"]["status"].as_str().unwrap().to_owned()).collect()
}

/// The transactions that the hospital was asked for.
fn forwarded(region: &Region) -> Vec<Value> {
    let seen = region.hospital.requests();
    let posts = seen.iter().filter(|request| request.method != Method::GET);
    posts.map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
}

/// The region's own patients, an observation of each, and Anna's second one.
async fn region(more: &str) -> Region {
    let region = Region::start(more).await;
    for (id, patient) in [("o1", "anna"), ("o2", "anna"), ("h1", "carla")] {
        region.seed(&observation(&format!("Patient/{patient}"), json!({ "id": id })));
    }
    region
}

#[tokio::test(flavor = "multi_thread")]
async fn its_entries_are_done_together_in_the_order_of_r4_and_answered_in_the_callers() {
    let region = region("").await;
    let asking = region.asking();
    region.hospital.forget_requests();
    let mut visit = with("POST", "Encounter", encounter(&format!("Patient?identifier={CODE}%7CCF-anna")));
    visit["fullUrl"] = "urn:uuid:5f0c9a52-6f5c-4f4c-8a55-000000000001".into();
    let visited = json!({ "encounter": { "reference": "urn:uuid:5f0c9a52-6f5c-4f4c-8a55-000000000001" } });
    let mut changed = with(
        "PUT",
        "Observation/o1",
        observation("Patient/anna", json!({ "id": "o1", "status": "amended" })),
    );
    changed["request"]["ifMatch"] = "W/\"1\"".into();
    let mut known = with("POST", "Patient", json!({ "resourceType": "Patient" }));
    known["request"]["ifNoneExist"] = format!("identifier={CODE}%7CCF-bruno").into();
    known["fullUrl"] = "urn:uuid:5f0c9a52-6f5c-4f4c-8a55-000000000002".into();
    let reply = asking
        .post(
            "",
            &transaction(&[
                entry("GET", "Observation?patient=anna"),
                with("POST", "Observation", observation("Patient/anna", visited)),
                visit,
                changed,
                with(
                    "POST",
                    "Observation",
                    observation("urn:uuid:5f0c9a52-6f5c-4f4c-8a55-000000000002", json!({})),
                ),
                known,
                entry("DELETE", "Observation/o2"),
            ]),
        )
        .await;
    assert_eq!(reply.status, StatusCode::OK, "{:?}", reply.body);
    assert_eq!(statuses(&reply), ["200", "201", "201", "200", "201", "200", "204"]);
    let answered = reply.json();
    let resource = |at: usize| answered["entry"][at]["resource"].clone();
    assert_eq!(resource(0)["total"], 2, "the deletion and the creation are done: {answered}");
    assert_eq!(
        resource(1)["encounter"]["reference"],
        format!("Encounter/{}", resource(2)["id"].as_str().unwrap())
    );
    assert_eq!(resource(2)["subject"]["reference"], "Patient/anna");
    assert_eq!(resource(4)["subject"]["reference"], "Patient/bruno");
    assert_eq!((&resource(3)["status"], &resource(5)["id"]), (&json!("amended"), &json!("bruno")));
    let location = answered["entry"][1]["response"]["location"].as_str().unwrap();
    assert!(location.starts_with(&region.setup.base()), "{location}");

    let sent = forwarded(&region);
    assert_eq!(sent.len(), 1, "one request writes all");
    let methods: Vec<&str> = sent[0]["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["request"]["method"].as_str().unwrap())
        .collect();
    assert_eq!(methods, ["DELETE", "POST", "POST", "POST", "PUT"], "what exists is not created");
    let text = sent[0].to_string();
    assert!(!text.contains("00000000000") && !text.contains("ifNoneExist") && !text.contains('?'), "{text}");

    // One record for the whole and one for each entry, under one request; the writes' intents are closed.
    let records = asking
        .get(&format!("AuditEvent?entity:identifier=%7C{}&_count=100", reply.request_id()))
        .await
        .json();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut traces: Vec<String> = Vec::new();
    for record in records["entry"].as_array().unwrap() {
        let event = &record["resource"];
        assert_eq!(event["outcome"], "0", "{event}");
        *kinds.entry(event["subtype"][0]["code"].as_str().unwrap().to_owned()).or_default() += 1;
        let details = event["entity"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|own| own["detail"].as_array().cloned().unwrap_or_default());
        traces.extend(details.filter(|own| own["type"] == "trace").map(|own| own["valueString"].to_string()));
    }
    let expected = [("create", 4), ("delete", 1), ("search-type", 1), ("transaction", 1), ("update", 1)];
    assert_eq!(kinds, expected.map(|(kind, count)| (kind.to_owned(), count)).into());
    traces.dedup();
    assert_eq!(traces.len(), 1);
    assert_eq!(region.running.gateway().store().open_intents().unwrap(), []);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refused_entry_refuses_all_as_it_would_be_refused_alone() {
    let route =
        "[[route]]\nname = \"visits\"\ntypes = [\"Encounter\"]\n[route.validation]\nrequests = \"enforce\"\n";
    let region = region(&format!("[limits]\nburst = 10000\n{route}")).await;
    let asking = region.asking();
    let count = region.hospital.resource_count();
    let good = with("POST", "Observation", observation("Patient/anna", json!({})));
    let change = |id: &str| {
        with("PUT", &format!("Observation/{id}"), observation("Patient/anna", json!({ "id": id })))
    };
    let stale = {
        let mut own = change("o1");
        own["request"]["ifMatch"] = "W/\"7\"".into();
        own
    };
    let by_search = |code: &str| {
        with("POST", "Observation", observation(&format!("Patient?identifier={CODE}%7C{code}"), json!({})))
    };
    let two = observation("Patient/anna", json!({ "performer": [{ "reference": "Patient/carla" }] }));
    let patch =
        json!({ "resourceType": "Binary", "contentType": "application/json-patch+json", "data": "W10=" });
    let permit = consent("Patient/bruno", json!({ "type": "permit" }));
    let invalid = json!({ "resourceType": "Encounter", "status": "ended", "class": { "code": "AMB" }, "subject": { "reference": "Patient/anna" } });
    let same = {
        let mut own = with("PUT", "Observation?_id=o1", observation("Patient/anna", json!({})));
        own["fullUrl"] = "urn:uuid:x".into();
        own
    };
    let base = &region.setup.base();
    for (entries, status) in [
        (vec![with("POST", "Observation", observation("Patient/carla", json!({})))], 403),
        (vec![with("POST", "Observation", two)], 403),
        (vec![with("POST", "Observation", observation("Patient/nobody-here/x", json!({})))], 403),
        (vec![change("h1")], 404),
        (vec![with("PATCH", "Observation/h1", patch)], 404),
        (vec![entry("DELETE", "Observation/h1")], 404),
        (vec![entry("DELETE", "Observation?_id=h1")], 404),
        (vec![entry("GET", "Observation/h1")], 404),
        (vec![entry("DELETE", "Observation/o1"), entry("GET", "Observation/o1")], 404),
        (vec![by_search("CF-carla")], 412),
        (vec![by_search("CF-nobody")], 412),
        (vec![stale], 412),
        (vec![change("o1"), entry("DELETE", "Observation/o1")], 400),
        (vec![change("o1"), same], 400),
        (vec![with("POST", "Observation", observation("./Patient?identifier=CF-carla", json!({})))], 400),
        (
            vec![with(
                "POST",
                "Observation",
                observation(&format!("{base}/Patient?identifier=CF-carla"), json!({})),
            )],
            400,
        ),
        (vec![with("POST", "Encounter", invalid)], 422),
        (vec![with("POST", "Consent", permit)], 405),
        (vec![with("POST", "Observation/$validate", observation("Patient/anna", json!({})))], 405),
        (vec![with("POST", "", transaction(std::slice::from_ref(&good)))], 400),
        (vec![with("POST", "./", transaction(std::slice::from_ref(&good)))], 400),
        (vec![entry("GET", "//elsewhere.test/fhir/Observation/o1")], 400),
        (vec![entry("GET", "https://elsewhere.test/fhir/Observation/o1")], 400),
    ] {
        let all: Vec<Value> = [vec![good.clone()], entries].concat();
        region.hospital.forget_requests();
        let reply = asking.post("", &transaction(&all)).await;
        assert_eq!(reply.status.as_u16(), status, "{all:?}: {:?}", reply.body);
        assert_eq!(forwarded(&region), Vec::<Value>::new(), "{all:?}");
        let expression = reply.json()["issue"][0]["expression"][0].as_str().unwrap().to_owned();
        let named = (1..all.len()).any(|at| expression.starts_with(&format!("Bundle.entry[{at}]")));
        assert!(named, "{all:?}: {expression}");
        if status == 422 {
            assert_eq!(expression, "Bundle.entry[1].resource.status");
        }
        assert!(!String::from_utf8_lossy(&reply.body).contains("carla"), "{:?}", reply.body);
        // Every entry is on record: the one that was refused, and those that were not done for its sake.
        let records = asking
            .get(&format!("AuditEvent?entity:identifier=%7C{}&outcome:not=0&_count=100", reply.request_id()))
            .await;
        assert!(records.json()["total"].as_u64().unwrap() > all.len() as u64, "{:?}", records.body);
    }
    let absent = asking.post("", &transaction(&[by_search("CF-nobody")])).await;
    assert_eq!(
        asking.post("", &transaction(&[by_search("CF-carla")])).await.appearance(),
        absent.appearance()
    );
    assert_eq!(region.hospital.resource_count(), count);
    assert!(region.hospital.resource("Observation", "o1").unwrap().contains("\"final\""));
    let narrow = asking.with_token(Some(region.setup.token(json!({ "scope": "system/Observation.crus" }))));
    for (entries, status) in [
        (vec![good.clone()], 200),
        (vec![good.clone(), entry("DELETE", "Observation/o1")], 403),
        (vec![by_search("CF-anna")], 403),
    ] {
        let reply = narrow.post("", &transaction(&entries)).await;
        assert_eq!(reply.status.as_u16(), status, "{entries:?}: {:?}", reply.body);
    }
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_or_does_no_transactions_fails_the_whole() {
    let region = region("").await;
    let asking = region.asking();
    let count = region.hospital.resource_count();
    let both = transaction(&[
        with("POST", "Observation", observation("Patient/anna", json!({}))),
        entry("DELETE", "Observation/o1"),
    ]);
    let reply = |body: &str| Effect::Reply {
        status: 200,
        content_type: FHIR.to_owned(),
        body: body.as_bytes().to_vec(),
    };
    for (effect, status) in [
        (Effect::Status(500), 502),
        (Effect::Status(404), 501),
        (Effect::Status(405), 501),
        (Effect::Status(501), 501),
        (Effect::Status(409), 409),
        (Effect::Drop, 502),
        (reply(r#"{"resourceType":"Bundle","type":"transaction-response"}"#), 502),
        (
            reply(
                r#"{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":"201","location":"Observation/1"}},{"response":{"status":"204"}}]}"#,
            ),
            502,
        ),
    ] {
        region.hospital.forget_requests();
        region.hospital.inject(Fault::new(effect.clone()).on_method(Method::POST));
        let failed = asking.post("", &both).await;
        region.hospital.clear_faults();
        assert_eq!(failed.status.as_u16(), status, "{effect:?}: {:?}", failed.body);
        let writes =
            region.hospital.requests().iter().filter(|request| request.method != Method::GET).count();
        assert_eq!(writes, 1, "{effect:?}: asked once, and never entry by entry");
        let records = format!("AuditEvent?entity:identifier=%7C{}&outcome:not=0", failed.request_id());
        assert_eq!(asking.get(&records).await.json()["total"], 3, "{effect:?}");
    }
    assert_eq!(region.hospital.resource_count(), count);
    assert_eq!(region.running.gateway().store().open_intents().unwrap(), []);
    // What the trail can't record is not done.
    let file = region.setup.folder.path().join("varco.sqlite");
    let full = "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END";
    rusqlite::Connection::open(file).unwrap().execute_batch(full).unwrap();
    region.hospital.forget_requests();
    assert_eq!(asking.post("", &both).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(forwarded(&region), Vec::<Value>::new());
    region.stop().await;
}

fn admission(code: &str) -> Value {
    let person = json!({ "resourceType": "Patient", "name": [{ "family": "Forlì" }],
        "identifier": [{ "system": CODE, "value": code }] });
    let mut new = with("POST", "Patient", person);
    new["fullUrl"] = "urn:uuid:p".into();
    transaction(&[with("POST", "Observation", observation("urn:uuid:p", json!({}))), new])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_about_a_new_patient_is_judged_by_the_consents_that_the_patient_has_by_identifier() {
    let region = region("[consent]\nwithout_consent = \"permit\"\n").await;
    let asking = region.asking();
    let reply = asking.post("", &admission("CF-nuova")).await;
    assert_eq!(statuses(&reply), ["201", "201"]);
    let answered = reply.json();
    let patient = format!("Patient/{}", answered["entry"][1]["resource"]["id"].as_str().unwrap());
    assert_eq!(answered["entry"][0]["resource"]["subject"]["reference"], patient);
    let records = asking.get(&format!("AuditEvent?patient={patient}&subtype=create")).await.json();
    let told = records["entry"].as_array().unwrap().iter().map(|entry| entry["resource"].to_string());
    let of_observation = told.filter(|event| event.contains("\"Observation/")).count();
    assert_eq!(of_observation, 1, "its record names the patient as the server does: {records}");

    let mut denied = consent("Patient/x", json!({ "type": "deny" }));
    denied["patient"] = json!({ "identifier": { "system": CODE, "value": "CF-contraria" } });
    assert_eq!(asking.post("Consent", &denied).await.status, StatusCode::CREATED);
    let before = region.hospital.resource_count();
    let refused = asking.post("", &admission("CF-contraria")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{:?}", refused.body);
    assert_eq!(region.hospital.resource_count(), before);
    assert_eq!(statuses(&asking.post("", &admission("CF-altra")).await), ["201", "201"]);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_nobody_here_wrote_does_them() {
    let Some(server) = Sekmet::start().await else { return };
    let setup = Setup::new(&server.base(), "[consent]\nwithout_consent = \"permit\"\n");
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let running = run::start(config::load(&setup.config_file()).unwrap(), metrics).await.unwrap();
    let asking: Asking = setup.client();
    let reply = asking.post("", &admission("CF-1")).await;
    assert_eq!(statuses(&reply), ["201", "201"], "{:?}", reply.body);
    let answered = reply.json();
    let id = |at: usize| answered["entry"][at]["resource"]["id"].as_str().unwrap().to_owned();
    let (observed, patient) = (id(0), format!("Patient/{}", id(1)));
    assert_eq!(answered["entry"][0]["resource"]["subject"]["reference"], patient);

    let change = observation(&patient, json!({ "id": observed, "status": "amended" }));
    let more = [
        with("POST", "Encounter", encounter(&format!("Patient?identifier={CODE}%7CCF-1"))),
        with("PUT", &format!("Observation/{observed}"), change),
        entry("GET", &format!("Observation/{observed}")),
    ];
    let reply = asking.post("", &transaction(&more)).await;
    assert_eq!(statuses(&reply), ["201", "200", "200"], "{:?}", reply.body);
    assert_eq!(reply.json()["entry"][2]["resource"]["status"], "amended");
    let last = [entry("DELETE", &format!("Observation/{observed}")), entry("GET", "Observation/none")];
    assert_eq!(asking.post("", &transaction(&last)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(asking.get(&format!("Observation/{observed}")).await.status, StatusCode::OK);
    let reply = asking.post("", &transaction(&last[..1])).await;
    assert_eq!(statuses(&reply), ["204"], "{:?}", reply.body);
    assert_eq!(asking.get(&format!("Observation/{observed}")).await.status, StatusCode::NOT_FOUND);
    running.stop().await;
}
