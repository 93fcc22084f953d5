//! `$validate`, and validation of traffic by route, through a running sidecar.
#![allow(clippy::unwrap_used)]

mod harness;

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use harness::{FHIR, Region};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

fn observation(id: &str, patient: &str, status: &str) -> Value {
    json!({ "resourceType": "Observation", "id": id, "status": status, "subject": { "reference": format!("Patient/{patient}") },
        "code": { "coding": [{ "system": "http://fdasis.nlm.nih.gov", "code": "14957-5" }] }, "valueDecimal": 1 })
}

/// An observation as R4 has it; [`observation`] holds a value of a type that it may not have.
fn valid(id: &str, patient: &str) -> Value {
    let mut own = observation(id, patient, "final");
    own.as_object_mut().unwrap().remove("valueDecimal");
    own["valueString"] = "negativo".into();
    own
}

fn issues(outcome: &Value) -> Vec<(String, String)> {
    assert_eq!(outcome["resourceType"], "OperationOutcome", "{outcome}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let issues = outcome["issue"].as_array().unwrap().iter();
    issues.map(|issue| (text(&issue["severity"]), text(&issue["expression"][0]))).collect()
}

fn has(outcome: &Value, severity: &str, expression: &str) -> bool {
    issues(outcome).contains(&(severity.to_owned(), expression.to_owned()))
}

fn route(types: &str, requests: &str, responses: &str, more: &str) -> String {
    format!(
        "[[route]]\nname = \"lab\"\n{types}\n[route.validation]\nrequests = \"{requests}\"\nresponses = \"{responses}\"\n{more}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn validate_answers_with_an_outcome_and_forwards_nothing() {
    let region = Region::start("").await;
    let (asking, before) = (region.asking(), region.hospital.request_count());
    let wrong =
        asking.post("Patient/$validate", &json!({ "resourceType": "Patient", "gender": "donna" })).await;
    assert_eq!(wrong.status, StatusCode::OK);
    assert!(has(&wrong.json(), "error", "Patient.gender"), "{:?}", wrong.body);
    let right = asking
        .post("Patient/anna/$validate", &json!({ "resourceType": "Patient", "gender": "female" }))
        .await;
    assert_eq!(
        (right.status, issues(&right.json())),
        (StatusCode::OK, vec![("information".to_owned(), String::new())])
    );
    let event = region.audited(&wrong).await;
    assert_eq!(
        (&event["outcome"], &event["subtype"][0]["code"]),
        (&"0".into(), &"operation".into()),
        "{event}"
    );
    assert!(!event.to_string().contains("donna"));
    assert_eq!(region.hospital.request_count(), before, "nothing may be forwarded");
    let metadata = asking.get("metadata").await.json();
    let patient = metadata["rest"][0]["resource"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["type"] == "Patient")
        .unwrap();
    assert_eq!(patient["operation"][0]["name"], "validate");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn validate_takes_parameters_and_says_where_in_the_body() {
    let region = Region::start("").await;
    let asking = region.asking();
    let text = "{\"resourceType\":\"Parameters\",\"parameter\":[\n{\"name\":\"mode\",\"valueCode\":\"update\"},\n\
                {\"name\":\"profile\",\"valueUri\":\"http://hl7.org/fhir/StructureDefinition/vitalsigns\"},\n\
                {\"name\":\"resource\",\"resource\":{\"resourceType\":\"Observation\",\n \"status\":\"fertig\"}}]}";
    let post = |path: &'static str, text: &str| {
        asking.send(Method::POST, path, &[("content-type", FHIR)], Bytes::from(text.to_owned()))
    };
    let reply = post("Observation/o1/$validate", text).await;
    assert_eq!(reply.status, StatusCode::OK);
    let outcome = reply.json();
    let status = outcome["issue"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["expression"][0] == "Observation.status")
        .unwrap();
    assert_eq!(status["diagnostics"], "line 5, column 2");
    assert!(has(&outcome, "error", "Observation.id"), "an update needs an id: {outcome}");
    assert!(outcome.to_string().contains("vitalsigns"), "the profile was asked for: {outcome}");
    let missing =
        post("Observation/$validate?profile=http://example.org/none", "{\"resourceType\":\"Observation\"}")
            .await;
    assert!(
        missing.status == StatusCode::OK && missing.json().to_string().contains("http://example.org/none")
    );
    let broken = post("Observation/$validate", "{\"resourceType\":\n \"Observation\",,}").await;
    assert_eq!(broken.status, StatusCode::OK);
    let places: Vec<Value> =
        broken.json()["issue"].as_array().unwrap().iter().map(|it| it["diagnostics"].clone()).collect();
    assert!(places.contains(&"line 2, column 16".into()), "{:?}", broken.body);
    assert!(has(&broken.json(), "error", "Observation"), "the rest is judged: {:?}", broken.body);
    for hopeless in ["", "[1]", "<Observation xmlns=\"http://hl7.org/fhir\"/>"] {
        let reply = post("Observation/$validate", hopeless).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert!(
            issues(&reply.json()).iter().any(|(severity, _)| severity == "fatal" || severity == "error"),
            "{hopeless}"
        );
    }
    for (path, text, status) in [
        ("Observation/$validate?mode=delete", "{\"resourceType\":\"Observation\"}", 400),
        ("Observation/o1/$validate?mode=profile", "", 400),
        ("Observation/o1/$validate?mode=prova", "", 400),
        ("Consent/c1/$validate?mode=delete", "", 405),
        ("Observation/$validate", "{\"resourceType\":\"Parameters\"}", 400),
        ("Observation/$validate?x=y", "{\"resourceType\":\"Observation\"}", 400),
        ("Osservazione/$validate", "{}", 404),
    ] {
        assert_eq!(post(path, text).await.status.as_u16(), status, "{path}");
    }
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_tries_the_write_up_to_where_it_would_be_forwarded() {
    let alias = "[[identity.alias]]\nlocal = \"http://hl7.it/sid/codiceFiscale\"\nnetwork = \"urn:oid:2.16.840.1.113883.2.9.4.3.2\"\n";
    let region = Region::start(alias).await;
    region.seed(&valid("o1", "anna"));
    region.seed(&valid("hidden", "carla"));
    let (asking, before) = (region.asking(), region.hospital.resource_count());
    let codes = |outcome: &Value| -> Vec<String> {
        let errors = outcome["issue"].as_array().unwrap().iter().filter(|it| it["severity"] == "error");
        errors.map(|it| it["code"].as_str().unwrap().to_owned()).collect()
    };
    for (path, body, expected) in [
        ("Observation/$validate?mode=create", valid("x", "anna"), vec![]),
        ("Observation/$validate?mode=create", valid("x", "carla"), vec!["forbidden"]),
        ("Observation/o1/$validate?mode=update", valid("o1", "anna"), vec![]),
        ("Observation/$validate?mode=update", valid("o1", "anna"), vec![]),
        ("Observation/o1/$validate?mode=update", valid("o1", "carla"), vec!["forbidden"]),
        ("Observation/none/$validate?mode=update", valid("none", "anna"), vec!["not-found"]),
        ("Observation/hidden/$validate?mode=update", valid("hidden", "anna"), vec!["not-found"]),
        ("Observation/o1/$validate?mode=update", valid("o2", "anna"), vec!["invalid"]),
        ("Observation/o1/$validate?mode=delete", json!({}), vec![]),
    ] {
        let reply = asking.post(path, &body).await;
        assert_eq!(
            (reply.status, codes(&reply.json())),
            (StatusCode::OK, expected.iter().map(|it| (*it).to_owned()).collect()),
            "{path}"
        );
    }
    for path in [
        "Observation/none/$validate?mode=delete",
        "Observation/hidden/$validate?mode=delete",
        "Observation/none/$validate?mode=profile&profile=http://hl7.org/fhir/StructureDefinition/vitalsigns",
        "Observation/hidden/$validate?mode=profile&profile=http://hl7.org/fhir/StructureDefinition/vitalsigns",
    ] {
        let reply = asking.send(Method::POST, path, &[], Bytes::new()).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}: hidden and absent look alike");
    }
    let reading = asking.with_token(Some(region.setup.token(json!({ "scope": "system/Observation.rs" }))));
    assert_eq!(reading.post("Observation/$validate", &valid("x", "anna")).await.status, StatusCode::OK);
    for path in [
        "Observation/$validate?mode=create",
        "Observation/o1/$validate?mode=update",
        "Observation/o1/$validate?mode=delete",
    ] {
        let reply = reading.post(path, &valid("o1", "anna")).await;
        assert_eq!(
            (reply.status, codes(&reply.json())),
            (StatusCode::OK, vec!["forbidden".to_owned()]),
            "{path}"
        );
    }
    // What the aliases write is what is judged: the caller does not hold that text, and gets no line of it.
    let diagnostics = |outcome: &Value| {
        outcome["issue"]
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["expression"][0] == "Patient.gender")
            .unwrap()["diagnostics"]
            .clone()
    };
    for (system, placed) in [("urn:oid:2.16.840.1.113883.2.9.4.3.2", false), ("urn:example:altro", true)] {
        let own = json!({ "resourceType": "Patient", "gender": "donna", "identifier": [{ "system": system, "value": "RSSMRA80A01H501U" }] });
        let reply = asking.post("Patient/$validate?mode=create", &own).await;
        assert_eq!(diagnostics(&reply.json()).is_string(), placed, "{system}: {:?}", reply.body);
    }
    assert_eq!(region.hospital.resource_count(), before, "nothing was written or deleted");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_resources_are_held_against_several_profiles() {
    let region = Region::start("").await;
    region.seed(&valid("o1", "anna"));
    let asking = region.asking();
    let base = "http://hl7.org/fhir/StructureDefinition";
    let path =
        format!("Observation/o1/$validate?mode=profile&profile={base}/vitalsigns&profile={base}/bodyweight");
    let reply = asking.send(Method::POST, &path, &[], Bytes::new()).await;
    assert_eq!(reply.status, StatusCode::OK);
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(text.contains("vitalsigns") && text.contains("bodyweight"), "{text}");
    assert!(reply.json()["issue"].as_array().unwrap().iter().all(|it| it["diagnostics"].is_null()), "{text}");
    assert_eq!(region.audited(&reply).await["outcome"], "0");
    let two = format!("Observation/$validate?profile={base}/vitalsigns&profile={base}/bodyweight");
    let reply = asking.post(&two, &valid("x", "anna")).await;
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(text.contains("vitalsigns") && text.contains("bodyweight"), "{text}");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn validate_has_the_bounds_of_every_interaction() {
    let region = Region::start("[limits]\nbody_bytes = 65536\n").await;
    let asking = region.asking();
    let patient = json!({ "resourceType": "Patient" });
    assert_eq!(
        asking.with_token(None).post("Patient/$validate", &patient).await.status,
        StatusCode::UNAUTHORIZED
    );
    let elsewhere = asking.with_token(Some(region.setup.token(json!({ "scope": "system/Observation.rs" }))));
    assert_eq!(elsewhere.post("Patient/$validate", &patient).await.status, StatusCode::FORBIDDEN);
    assert_eq!(asking.get("Patient/$validate").await.status, StatusCode::METHOD_NOT_ALLOWED);
    let large = json!({ "resourceType": "Patient", "id": "x".repeat(70_000) });
    assert_eq!(asking.post("Patient/$validate", &large).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let many: Vec<Value> = (0..1500).map(|_| json!({ "use": "nessuno" })).collect();
    let reply = asking.post("Patient/$validate", &json!({ "resourceType": "Patient", "name": many })).await;
    let found = issues(&reply.json());
    assert!((200..=202).contains(&found.len()), "{}", found.len());
    assert!(reply.body.len() < 400_000, "{}", reply.body.len());
    assert!(reply.body.ends_with(b"}"), "a whole outcome");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_enforces_lets_no_invalid_write_pass() {
    let region = Region::start(&route("types = [\"Observation\"]", "enforce", "off", "")).await;
    let (asking, before) = (region.asking(), region.hospital.resource_count());
    let refused = asking.post("Observation", &observation("x", "anna", "fertig")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{:?}", refused.body);
    assert!(has(&refused.json(), "error", "Observation.status"), "{:?}", refused.body);
    assert_eq!(region.audited(&refused).await["outcome"], "4");
    region.seed(&valid("o1", "anna"));
    let refused = asking.put("Observation/o1", &observation("o1", "anna", "fertig")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(region.hospital.resource("Observation", "o1").unwrap().contains("final"));
    assert_eq!(region.hospital.resource_count(), before + 1);
    assert_eq!(asking.post("Observation", &valid("x", "anna")).await.status, StatusCode::CREATED);
    let other =
        json!({ "resourceType": "Condition", "subject": { "reference": "Patient/anna" }, "onset": 7 });
    assert_eq!(
        asking.post("Condition", &other).await.status,
        StatusCode::CREATED,
        "no route takes conditions"
    );
    let hidden = asking.put("Observation/nessuna", &observation("nessuna", "anna", "fertig")).await;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND, "what stands there is asked first");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_enforces_replaces_an_invalid_answer_and_says_nothing_of_it() {
    let region = Region::start(&route("types = [\"Observation\"]", "off", "enforce", "")).await;
    region.seed(&observation("bad", "anna", "stato-di-Forlì"));
    region.seed(&valid("good", "anna"));
    region.seed(&observation("hidden", "carla", "stato-di-Carla"));
    let asking = region.asking();
    for path in ["Observation/bad", "Observation/bad/_history/1", "Observation?_id=bad", "Observation"] {
        let replaced = asking.get(path).await;
        assert_eq!(replaced.status, StatusCode::BAD_GATEWAY, "{path}");
        let text = String::from_utf8(replaced.body.to_vec()).unwrap();
        assert!(
            !text.contains("Forlì") && !text.contains("anna") && !text.contains("Observation."),
            "{text}"
        );
        assert_ne!(region.audited(&replaced).await["outcome"], "0", "{path}");
    }
    assert_eq!(asking.get("Observation/good").await.status, StatusCode::OK);
    assert_eq!(
        asking.get("Observation?_id=good,hidden").await.status,
        StatusCode::OK,
        "what is hidden counts nowhere"
    );
    assert_eq!(asking.get("Observation/hidden").await.status, StatusCode::NOT_FOUND);
    assert_eq!(asking.get("Patient/anna").await.status, StatusCode::OK, "no route takes patients");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_warns_tells_counts_and_rules_in_a_header() {
    let region = Region::start(&route("", "warn", "warn", "")).await;
    region.seed(&observation("bad", "anna", "fertig"));
    region.seed(&valid("good", "anna"));
    region.seed(&observation("hidden", "carla", "fertig"));
    let asking = region.asking();
    let read = asking.get("Observation/bad").await;
    assert_eq!(read.status, StatusCode::OK);
    let header = read.headers["varco-validation"].to_str().unwrap().to_owned();
    assert!(header.starts_with("responses=(") && header.contains("\"binding\""), "{header}");
    assert!(header.ends_with(";resources=1") && !header.contains("fertig"), "{header}");
    assert!(!asking.get("Observation?_id=good,hidden").await.headers.contains_key("varco-validation"));
    let page = asking.get("Observation").await.headers["varco-validation"].to_str().unwrap().to_owned();
    assert!(page.ends_with(";resources=2"), "{page}");
    let created = asking.post("Observation", &observation("x", "anna", "fertig")).await;
    assert_eq!(created.status, StatusCode::CREATED);
    assert!(created.headers["varco-validation"].to_str().unwrap().starts_with("requests=("));
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_are_chosen_by_type_direction_and_client() {
    let profile = "[[route.validation.profile]]\ntype = \"Observation\"\ndirection = \"requests\"\n\
                   canonical = \"http://hl7.org/fhir/StructureDefinition/vitalsigns\"\n";
    let region = Region::start(&route("clients = [\"ward-app\"]", "enforce", "enforce", profile)).await;
    region.seed(&valid("good", "anna"));
    let asking = region.asking();
    let refused = asking.post("Observation", &valid("x", "anna")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(String::from_utf8_lossy(&refused.body).contains("vitalsigns"));
    assert_eq!(
        asking.get("Observation/good").await.status,
        StatusCode::OK,
        "the profile is for requests alone"
    );
    let asked = asking.post("Observation/$validate?mode=create", &valid("x", "anna")).await;
    assert!(String::from_utf8_lossy(&asked.body).contains("vitalsigns"), "as the write would be");
    let plain = asking.post("Observation/$validate", &valid("x", "anna")).await;
    assert!(!String::from_utf8_lossy(&plain.body).contains("vitalsigns"));
    let other = asking.with_token(Some(region.setup.token(json!({ "client_id": "other-app" }))));
    assert_eq!(other.post("Observation", &valid("x", "anna")).await.status, StatusCode::CREATED);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_bundle_of_work_is_validated_beside_other_requests() {
    let region = Region::start("").await;
    let asking = region.asking();
    let name: Vec<Value> = (0..20_000).map(|number| json!({ "family": format!("Rossi{number}") })).collect();
    let large = json!({ "resourceType": "Patient", "name": name });
    let (reply, small) = tokio::join!(asking.post("Patient/$validate", &large), asking.get("Patient/anna"));
    assert_eq!((reply.status, small.status), (StatusCode::OK, StatusCode::OK));
    assert!(!issues(&reply.json()).iter().any(|(severity, _)| severity == "error"), "{:?}", reply.body);
    region.stop().await;
}

/// A terminology server that knows one code of LOINC, takes batches, counts requests and may hang.
struct Loinc {
    url: String,
    requests: Arc<AtomicUsize>,
    hangs: Arc<AtomicBool>,
}

impl Loinc {
    async fn start() -> Loinc {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/r4", listener.local_addr().unwrap());
        let (requests, hangs) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let own = Loinc { url, requests: requests.clone(), hangs: hangs.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (requests, hangs) = (requests.clone(), hangs.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (requests, hangs) = (requests.clone(), hangs.clone());
                    async move {
                        requests.fetch_add(1, Ordering::SeqCst);
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let text = String::from_utf8(body.to_vec()).unwrap();
                        for secret in ["Patient", "anna", "Forlì", "negativo", "display"] {
                            assert!(!text.contains(secret), "{text}");
                        }
                        if hangs.load(Ordering::SeqCst) {
                            tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
                        }
                        let answer = reply(&serde_json::from_str(&text).unwrap()).to_string();
                        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(answer))))
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        own
    }

    fn config(&self, responses: &str) -> String {
        let server =
            format!("[terminology]\nurl = \"{}\"\nanswer_seconds = 1\ntotal_seconds = 2\n", self.url);
        route("types = [\"Observation\"]", "enforce", responses, "") + &server
    }
}

fn reply(asked: &Value) -> Value {
    if asked["resourceType"] == "Bundle" {
        let entries = asked["entry"].as_array().unwrap().iter();
        let entries: Vec<Value> = entries
            .map(|it| json!({ "resource": reply(&it["resource"]), "response": { "status": "200" } }))
            .collect();
        return json!({ "resourceType": "Bundle", "type": "batch-response", "entry": entries });
    }
    let known = asked.to_string().contains("\"14957-5\"");
    json!({ "resourceType": "Parameters", "parameter": [{ "name": "result", "valueBoolean": known }] })
}

fn coded(id: &str, codes: &[&str]) -> Value {
    let mut own = valid(id, "anna");
    let coding = codes
        .iter()
        .map(|code| json!({ "system": "http://fdasis.nlm.nih.gov", "code": code, "display": "di Forlì" }));
    own["code"]["coding"] = coding.collect();
    own
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_that_nobody_here_can_judge_are_asked_of_the_server_once() {
    let server = Loinc::start().await;
    let region = Region::start(&server.config("warn")).await;
    let asking = region.asking();
    let created = asking.post("Observation", &coded("x", &["14957-5"])).await;
    assert_eq!(created.status, StatusCode::CREATED, "{:?}", created.body);
    let refused = asking.post("Observation", &coded("x", &["99999-9", "14957-5"])).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{:?}", refused.body);
    assert!(has(&refused.json(), "error", "Observation.code.coding[0].code"), "{:?}", refused.body);
    let asked = server.requests.load(Ordering::SeqCst);
    assert_eq!(asked, 2, "the second time one code was known");
    assert_eq!(
        asking.post("Observation", &coded("x", &["99999-9"])).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(server.requests.load(Ordering::SeqCst), asked, "answers are remembered");
    for number in 0..6 {
        region.seed(&coded(&format!("o{number}"), &[&format!("{number}-x"), "14957-5"]));
    }
    let page = asking.get("Observation").await;
    assert!(page.headers["varco-validation"].to_str().unwrap().contains("errors=6"), "{:?}", page.headers);
    assert_eq!(server.requests.load(Ordering::SeqCst), asked + 1, "one batch for the whole page");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_delays_a_request_and_refuses_nothing() {
    let server = Loinc::start().await;
    server.hangs.store(true, Ordering::SeqCst);
    let region = Region::start(&server.config("off")).await;
    let asking = region.asking();
    let asked = asking.post("Observation/$validate", &coded("x", &["99999-9"])).await;
    assert_eq!(asked.status, StatusCode::OK);
    assert!(!issues(&asked.json()).iter().any(|(severity, _)| severity == "error"), "{:?}", asked.body);
    assert_eq!(asking.post("Observation", &coded("x", &["99999-9"])).await.status, StatusCode::CREATED);
    region.stop().await;
}
