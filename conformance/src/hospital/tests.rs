//! The hospital over the network, as a client sees it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::*;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect(&self.text)
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The status and the first issue's code, for refusals.
    fn refusal(&self) -> (u16, String) {
        let code = self.json()["issue"][0]["code"].as_str().unwrap_or_default().to_owned();
        (self.status.as_u16(), code)
    }

    fn ids(&self) -> Vec<String> {
        let bundle = self.json();
        let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| entry["resource"]["id"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn link(&self, relation: &str) -> Option<String> {
        let bundle = self.json();
        let link = bundle["link"].as_array()?.iter().find(|link| link["relation"] == relation)?.clone();
        Some(link["url"].as_str()?.to_owned())
    }
}

struct Ward {
    hospital: Hospital,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Ward {
    async fn open() -> Ward {
        Ward::with(HospitalOptions::default()).await
    }

    async fn with(options: HospitalOptions) -> Ward {
        let hospital = Hospital::start(([127, 0, 0, 1], 0).into(), options).await.unwrap();
        Ward { hospital, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Option<Answer> {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.hospital.base_url())
        };
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response =
            self.client.request(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await.ok()?;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.ok()?.to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Some(Answer { status: parts.status, headers: parts.headers, text })
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await.unwrap()
    }

    async fn write(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send(method, path, &[("content-type", "application/fhir+json")], body).await.unwrap()
    }
}

const MARIA: &str = r#"{"resourceType":"Patient","identifier":[{"system":"http://hl7.it/sid/codiceFiscale","value":"DMCMRA80E57A794W"}],"name":[{"family":"D'Amico","given":["Maria"]}],"gender":"female","birthDate":"1980-05-17"}"#;

fn glucose(patient: &str, date: &str) -> String {
    let code = r#"{"coding":[{"system":"http://loinc.org","code":"14749-6"}]}"#;
    format!(
        r#"{{"resourceType":"Observation","status":"final","code":{code},"subject":{{"reference":"{patient}"}},"effectiveDateTime":"{date}","valueQuantity":{{"value":5.10}}}}"#
    )
}

#[tokio::test]
async fn a_resource_lives_from_create_to_delete_and_keeps_its_history() {
    let ward = Ward::open().await;
    let created = ward.write("POST", "/Patient", MARIA).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.header("etag"), "W/\"1\"");
    assert!(created.header("last-modified").ends_with("GMT"));
    let location = created.header("location").to_owned();
    let id = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(location, format!("{}/Patient/{id}/_history/1", ward.hospital.base_url()));

    let read = ward.get(&format!("/Patient/{id}")).await;
    assert_eq!((read.status.as_u16(), read.header("content-type")), (200, "application/fhir+json"));
    assert!(read.text.starts_with(&MARIA[..MARIA.len() - 1]));
    let known =
        ward.send("GET", &format!("/Patient/{id}"), &[("if-none-match", "W/\"1\"")], "").await.unwrap();
    assert_eq!((known.status.as_u16(), known.text.as_str()), (304, ""));

    let changed = format!(r#"{{"resourceType":"Patient","id":"{id}","active":true}}"#);
    let put = ward.write("PUT", &format!("/Patient/{id}"), &changed).await;
    assert_eq!((put.status.as_u16(), put.header("etag")), (200, "W/\"2\""));
    let old = ward.get(&location).await;
    assert_eq!(old.json()["meta"]["versionId"], "1");

    let deleted = ward.send("DELETE", &format!("/Patient/{id}"), &[], "").await.unwrap();
    assert_eq!((deleted.status.as_u16(), deleted.header("etag")), (204, "W/\"3\""));
    assert_eq!(ward.get(&format!("/Patient/{id}")).await.refusal(), (410, "deleted".to_owned()));
    assert_eq!(ward.get(&format!("/Patient/{id}/_history/3")).await.status, 410);
    assert_eq!(ward.get("/Patient").await.json()["total"], 0);
    assert_eq!(ward.send("DELETE", &format!("/Patient/{id}"), &[], "").await.unwrap().status, 204);

    let again = ward.write("PUT", &format!("/Patient/{id}"), &changed).await;
    assert_eq!((again.status.as_u16(), again.header("etag")), (201, "W/\"4\""));

    let history = ward.get(&format!("/Patient/{id}/_history")).await.json();
    assert_eq!((history["type"].as_str(), history["total"].as_u64()), (Some("history"), Some(4)));
    let methods: Vec<_> =
        (0..4).map(|at| history["entry"][at]["request"]["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["PUT", "DELETE", "PUT", "POST"]);
    assert!(history["entry"][1].get("resource").is_none());
    let page = ward.get("/Patient/_history?_count=1").await;
    assert_eq!(page.ids().len(), 1);
    assert_eq!(ward.get(&page.link("next").unwrap()).await.ids(), [""]);
    assert_eq!(ward.get("/_history").await.json()["total"], 4);
    assert_eq!(ward.get("/_history?_since=2999-01-01T00:00:00Z").await.json()["total"], 0);
}

#[tokio::test]
async fn a_client_may_choose_ids_and_must_repeat_them() {
    let ward = Ward::open().await;
    let created = ward.write("PUT", "/Patient/mine", r#"{"resourceType":"Patient","id":"mine"}"#).await;
    assert_eq!(created.status, 201);
    let other = ward.write("PUT", "/Patient/mine", r#"{"resourceType":"Patient","id":"theirs"}"#).await;
    assert_eq!(other.refusal(), (400, "value".to_owned()));
    let none = ward.write("PUT", "/Patient/mine", r#"{"resourceType":"Patient"}"#).await;
    assert_eq!(none.status, 400);
    let created = ward.write("POST", "/Patient", r#"{"resourceType":"Patient","id":"mine"}"#).await;
    assert_ne!(created.json()["id"], "mine");
}

#[tokio::test]
async fn an_update_of_an_old_version_is_refused() {
    let ward = Ward::open().await;
    ward.hospital.seed([r#"{"resourceType":"Patient","id":"p"}"#]).unwrap();
    let body = r#"{"resourceType":"Patient","id":"p","active":false}"#;
    let json = ("content-type", "application/fhir+json");
    let put = |tag: &'static str| {
        ward.send("PUT", "/Patient/p", Box::leak(Box::new([json, ("if-match", tag)])), body)
    };
    assert_eq!(put("W/\"1\"").await.unwrap().header("etag"), "W/\"2\"");
    assert_eq!(put("W/\"1\"").await.unwrap().refusal(), (412, "conflict".to_owned()));
    assert_eq!(put("*").await.unwrap().header("etag"), "W/\"3\"");
    let deletion = ward.send("DELETE", "/Patient/p", &[("if-match", "W/\"1\"")], "").await.unwrap();
    assert_eq!(deletion.status, 412);
}

#[tokio::test]
async fn if_none_exist_finds_what_is_there() {
    let ward = Ward::open().await;
    let headers =
        [("content-type", "application/fhir+json"), ("if-none-exist", "identifier=DMCMRA80E57A794W")];
    let first = ward.send("POST", "/Patient", &headers, MARIA).await.unwrap();
    let second = ward.send("POST", "/Patient", &headers, MARIA).await.unwrap();
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 200));
    assert_eq!(first.header("location"), second.header("location"));
    ward.write("POST", "/Patient", MARIA).await;
    assert_eq!(ward.send("POST", "/Patient", &headers, MARIA).await.unwrap().status, 412);
}

#[tokio::test]
async fn refusals_are_operation_outcomes_with_the_right_status() {
    let ward = Ward::with(HospitalOptions { longest_body: 2_000, ..HospitalOptions::default() }).await;
    ward.hospital.seed([r#"{"resourceType":"Patient","id":"p"}"#]).unwrap();
    let fhir = [("content-type", "application/fhir+json")];
    let long = format!(r#"{{"resourceType":"Patient","language":"{}"}}"#, "x".repeat(3_000));
    let deep = "[".repeat(500);
    for (method, path, headers, body, status, code) in [
        ("GET", "/Patient/none", &[][..], "", 404, "not-found"),
        ("GET", "/Patient/p/_history/9", &[], "", 404, "not-found"),
        ("GET", "/Patient/none/_history", &[], "", 404, "not-found"),
        ("GET", "/Nothing/1", &[], "", 404, "not-supported"),
        ("GET", "/patient/p", &[], "", 404, "not-supported"),
        ("GET", "/Patient/p/$everything", &[], "", 404, "not-supported"),
        ("GET", "/Patient/p/Observation", &[], "", 404, "not-supported"),
        ("GET", "/Patient//p", &[], "", 404, "not-found"),
        ("GET", "/Patient/%zz", &[], "", 400, "value"),
        ("POST", "/Patient/p", &fhir, "{}", 405, "not-supported"),
        ("PUT", "/Patient/p/_history/1", &fhir, "{}", 405, "not-supported"),
        ("DELETE", "/metadata", &[], "", 405, "not-supported"),
        ("PATCH", "/Patient/p", &fhir, "[]", 405, "not-supported"),
        ("DELETE", "/Patient?name=x", &[], "", 400, "not-supported"),
        ("POST", "/Patient", &[("content-type", "text/csv")], MARIA, 415, "not-supported"),
        (
            "POST",
            "/Patient",
            &[("content-type", "application/fhir+json"), ("content-encoding", "gzip")],
            MARIA,
            415,
            "not-supported",
        ),
        ("POST", "/Patient", &fhir, "{\"resourceType\":\"Pat", 400, "structure"),
        (
            "POST",
            "/Patient",
            &fhir,
            r#"{"resourceType":"Patient","active":true,"active":false}"#,
            400,
            "structure",
        ),
        ("POST", "/Patient", &fhir, deep.as_str(), 413, "structure"),
        ("POST", "/Patient", &fhir, long.as_str(), 413, "too-long"),
        (
            "POST",
            "/Patient",
            &fhir,
            r#"{"resourceType":"Observation","status":"final","code":{}}"#,
            400,
            "invalid",
        ),
        (
            "POST",
            "/Observation",
            &fhir,
            r#"{"resourceType":"Observation","status":"final"}"#,
            422,
            "required",
        ),
        ("GET", "/Patient?birthdate=soon", &[], "", 400, "value"),
        ("GET", "/Patient?family:soundex=x", &[], "", 400, "value"),
        ("GET", "/Patient?_count=some", &[], "", 400, "value"),
        ("GET", "/Patient?colour=red", &[("prefer", "handling=strict")], "", 400, "not-supported"),
        ("GET", "/Patient/p", &[("accept", "application/fhir+xml")], "", 406, "not-supported"),
    ] {
        let answer = ward.send(method, path, headers, body).await.unwrap();
        assert_eq!(answer.refusal(), (status, code.to_owned()), "{method} {path}");
        assert_eq!(answer.json()["resourceType"], "OperationOutcome");
        assert_eq!(answer.headers.contains_key("allow"), status == 405, "{method} {path}");
    }
    let root = ward.hospital.base_url().replace("/fhir", "/other");
    assert_eq!(ward.get(&root).await.status, 404);
}

#[tokio::test]
async fn search_finds_by_each_kind_of_parameter() {
    let ward = Ward::open().await;
    ward.hospital
        .seed([
            r#"{"resourceType":"Patient","id":"a","identifier":[{"system":"s","value":"1"}],"name":[{"family":"Forlì"}],"birthDate":"1980-05-17","meta":{"security":[{"system":"sec","code":"R"}]}}"#.to_owned(),
            r#"{"resourceType":"Patient","id":"b","identifier":[{"system":"t","value":"1"}],"name":[{"family":"Rossi"}],"birthDate":"1990"}"#.to_owned(),
            glucose("Patient/a", "2026-01-10").replace("\"status\"", "\"id\":\"o1\",\"status\""),
            glucose("Patient/b", "2026-02-10").replace("\"status\"", "\"id\":\"o2\",\"status\""),
            glucose("Patient/a", "2026-03-10T08:00:00+01:00").replace("\"status\"", "\"id\":\"o3\",\"status\""),
        ])
        .unwrap();
    let base = ward.hospital.base_url().to_owned();
    for (path, expected) in [
        ("/Patient?identifier=s|1".to_owned(), &["a"][..]),
        ("/Patient?identifier=1".to_owned(), &["a", "b"]),
        ("/Patient?family=forli".to_owned(), &["a"]),
        ("/Patient?birthdate=ge1985".to_owned(), &["b"]),
        ("/Patient?_security=sec|R".to_owned(), &["a"]),
        ("/Patient?_security:not=sec|R".to_owned(), &["b"]),
        ("/Patient?_id=a,b&birthdate=lt1985".to_owned(), &["a"]),
        ("/Patient?_lastUpdated=gt2020".to_owned(), &["a", "b"]),
        ("/Observation?patient=a".to_owned(), &["o1", "o3"]),
        ("/Observation?subject=Patient/a&_sort=-date".to_owned(), &["o3", "o1"]),
        (format!("/Observation?patient={base}/Patient/b"), &["o2"]),
        ("/Observation?code=http://loinc.org|14749-6&date=lt2026-02".to_owned(), &["o1"]),
        ("/Observation?status=final&_sort=-_lastUpdated,date&_count=1".to_owned(), &["o3"]),
        ("?_type=Patient,Observation&_id=b,o1".to_owned(), &["o1", "b"]),
        ("/Patient?_has:Observation:patient:code=x&_id=a".to_owned(), &["a"]),
    ] {
        let answer = ward.get(&path).await;
        let mut ids = answer.ids();
        if path.contains("_type") {
            ids.sort_by(|left, right| right.cmp(left));
        }
        assert_eq!(ids, expected, "{path}");
        let bundle = answer.json();
        assert_eq!(bundle["type"], "searchset");
        let first = &bundle["entry"][0];
        let resource = &first["resource"];
        let expected = format!(
            "{base}/{}/{}",
            resource["resourceType"].as_str().unwrap(),
            resource["id"].as_str().unwrap()
        );
        assert_eq!(
            (first["fullUrl"].as_str(), first["search"]["mode"].as_str()),
            (Some(&*expected), Some("match"))
        );
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let posted = ward.send("POST", "/Patient/_search?_id=a,b", &form, "family=Forl%C3%AC").await.unwrap();
    assert_eq!(posted.ids(), ["a"]);
    assert!(posted.link("self").unwrap().contains("/Patient?_id=a,b&family=Forl%C3%AC"));
    let wrong =
        ward.send("POST", "/Patient/_search", &[("content-type", "application/fhir+json")], "{}").await;
    assert_eq!(wrong.unwrap().status, 415);
    assert!(!ward.get("/Patient?colour=red").await.link("self").unwrap().contains("colour"));
}

#[tokio::test]
async fn pages_are_linked_and_counted() {
    let ward = Ward::open().await;
    let patients = (0..45).map(|at| format!(r#"{{"resourceType":"Patient","id":"p{at}","active":true}}"#));
    ward.hospital.seed(patients).unwrap();
    let mut seen = Vec::new();
    let mut next = Some("/Patient?active=true&_count=20".to_owned());
    while let Some(url) = next {
        let page = ward.get(&url).await;
        assert_eq!(page.json()["total"], 45);
        seen.extend(page.ids());
        next = page.link("next");
    }
    assert_eq!(seen.len(), 45);
    assert_eq!((seen[0].as_str(), seen[44].as_str()), ("p0", "p44"));
    let second = ward.get("/Patient?_count=20&_offset=20").await;
    assert!(second.link("previous").unwrap().ends_with("_count=20&_offset=0"));
    let counted = ward.get("/Patient?_summary=count").await.json();
    assert_eq!(counted["total"], 45);
    assert!(counted.get("entry").is_none());
    assert!(ward.get("/Patient?_count=0").await.json().get("entry").is_none());
    assert_eq!(ward.get("/Patient?_count=100000").await.ids().len(), 45);
    assert!(ward.get("/Patient?_count=20&_offset=9999999").await.link("next").is_none());
}

#[tokio::test]
async fn a_transaction_is_whole_or_nothing() {
    let ward = Ward::open().await;
    ward.hospital.seed([MARIA.replace("\"identifier\"", "\"id\":\"maria\",\"identifier\"")]).unwrap();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"request": {"method": "GET", "url": "Observation?status=final"}},
        {"fullUrl": "urn:uuid:9d6f0a3e-0000-4000-8000-000000000001",
         "resource": {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"},
                      "subject": {"reference": "Patient?identifier=DMCMRA80E57A794W"}},
         "request": {"method": "POST", "url": "Encounter"}},
        {"resource": {"resourceType": "Observation", "status": "final", "code": {},
                      "encounter": {"reference": "urn:uuid:9d6f0a3e-0000-4000-8000-000000000001"}},
         "request": {"method": "POST", "url": "Observation"}},
        {"resource": {"resourceType": "Patient", "id": "maria", "identifier": [{"value": "DMCMRA80E57A794W"}]},
         "request": {"method": "PUT", "url": "Patient/maria", "ifMatch": "W/\"1\""}},
    ]});
    let answer = ward.write("POST", "", &bundle.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let reply = answer.json();
    assert_eq!(reply["type"], "transaction-response");
    let statuses: Vec<_> =
        (0..4).map(|at| reply["entry"][at]["response"]["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["200 OK", "201 Created", "201 Created", "200 OK"]);
    assert_eq!(reply["entry"][0]["resource"]["total"], 1);
    assert_eq!(reply["entry"][3]["response"]["etag"], "W/\"2\"");
    let encounter = &reply["entry"][1]["resource"];
    let reference = format!("Encounter/{}", encounter["id"].as_str().unwrap());
    assert_eq!(reply["entry"][2]["resource"]["encounter"]["reference"], reference.as_str());
    assert_eq!(encounter["subject"]["reference"], "Patient/maria");
    let stored = ward.hospital.resource("Encounter", encounter["id"].as_str().unwrap()).unwrap();
    assert!(stored.contains("\"Patient/maria\""));
}

#[tokio::test]
async fn a_conditional_update_creates_once_and_then_updates() {
    let ward = Ward::open().await;
    let url = "/Patient?identifier=urn:x%7C1";
    let patient = r#"{"resourceType":"Patient","identifier":[{"system":"urn:x","value":"1"}]}"#;
    let created = ward.write("PUT", url, patient).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let updated = ward.write("PUT", url, patient).await;
    assert_eq!((updated.status.as_u16(), &updated.json()["id"]), (200, &created.json()["id"]));
    let other = ward.write("PUT", url, &patient.replacen("{", r#"{"id":"another","#, 1)).await;
    assert_eq!(other.refusal(), (400, "value".to_owned()));
    ward.hospital.seed([patient]).unwrap();
    assert_eq!(ward.write("PUT", url, patient).await.refusal(), (412, "multiple-matches".to_owned()));
    assert_eq!(ward.write("PUT", "/Patient?_count=3", patient).await.refusal().0, 400);
    assert_eq!(ward.hospital.resource_count(), 2);
}

#[tokio::test]
async fn a_transaction_of_conditional_entries_does_nothing_twice() {
    let ward = Ward::open().await;
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"fullUrl": "urn:uuid:9d6f0a3e-0000-4000-8000-000000000001",
         "resource": {"resourceType": "Patient", "identifier": [{"system": "http://x.test/mr", "value": "1,2"}]},
         "request": {"method": "PUT", "url": "Patient?identifier=http://x.test/mr|1%5C%2C2"}},
        {"resource": {"resourceType": "Observation", "status": "final", "code": {},
                      "identifier": [{"system": "urn:o", "value": "7"}],
                      "subject": {"reference": "urn:uuid:9d6f0a3e-0000-4000-8000-000000000001"}},
         "request": {"method": "POST", "url": "Observation", "ifNoneExist": "identifier=urn:o|7"}},
    ]});
    let send = async || {
        let answer = ward.write("POST", "", &bundle.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let reply = answer.json();
        let status = |at: usize| reply["entry"][at]["response"]["status"].as_str().unwrap().to_owned();
        (status(0), status(1), reply["entry"][0]["resource"]["id"].as_str().unwrap().to_owned())
    };
    let (patient, observation, id) = send().await;
    assert_eq!((patient.as_str(), observation.as_str()), ("201 Created", "201 Created"));
    let found = ward.get(&format!("/Observation?subject=Patient/{id}")).await;
    assert_eq!(found.ids().len(), 1, "{}", found.text);
    assert_eq!(send().await, ("200 OK".to_owned(), "200 OK".to_owned(), id));
    assert_eq!(ward.hospital.resource_count(), 2);
}

#[tokio::test]
async fn a_transaction_that_fails_leaves_nothing() {
    let ward = Ward::open().await;
    let observation = json!({"resourceType": "Observation", "status": "final", "code": {}});
    let post =
        |resource: Value| json!({"resource": resource, "request": {"method": "POST", "url": "Observation"}});
    let transaction = |entries: Vec<Value>| {
        json!({"resourceType": "Bundle", "type": "transaction", "entry": entries}).to_string()
    };
    let broken = transaction(vec![post(observation.clone()), post(json!({"resourceType": "Observation"}))]);
    let answer = ward.write("POST", "", &broken).await;
    assert_eq!(answer.refusal(), (422, "required".to_owned()));
    assert_eq!(answer.json()["issue"][0]["expression"][0], "Bundle.entry[1]");
    let dangling = json!({"resourceType": "Observation", "status": "final", "code": {}, "subject": {"reference": "Patient?identifier=none"}});
    assert_eq!(ward.write("POST", "", &transaction(vec![post(dangling)])).await.status, 412);
    let twice = json!({"resource": {"resourceType": "Patient", "id": "p"}, "request": {"method": "PUT", "url": "Patient/p"}});
    assert_eq!(
        ward.write("POST", "", &transaction(vec![twice.clone(), twice])).await.refusal().1,
        "duplicate"
    );
    let far = json!({"request": {"method": "GET", "url": "http://elsewhere.test/fhir/Patient/p"}});
    assert_eq!(ward.write("POST", "", &transaction(vec![far])).await.status, 400);
    assert_eq!(ward.hospital.resource_count(), 0);
}

#[tokio::test]
async fn each_entry_of_a_batch_stands_alone() {
    let ward = Ward::open().await;
    let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        {"resource": {"resourceType": "Observation", "status": "final"}, "request": {"method": "POST", "url": "Observation"}},
        {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}},
        {"request": {"method": "GET", "url": "Patient/none"}},
        {"request": {"method": "PATCH", "url": "Patient/none"}},
    ]});
    let reply = ward.write("POST", "", &bundle.to_string()).await.json();
    let statuses: Vec<_> =
        (0..4).map(|at| reply["entry"][at]["response"]["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["422 Unprocessable Entity", "201 Created", "404 Not Found", "400 Bad Request"]);
    assert_eq!(reply["entry"][2]["response"]["outcome"]["resourceType"], "OperationOutcome");
    assert_eq!(ward.hospital.resource_count(), 1);
    let collection = json!({"resourceType": "Bundle", "type": "collection"}).to_string();
    assert_eq!(ward.write("POST", "", &collection).await.status, 400);
}

#[tokio::test]
async fn the_capability_statement_says_what_works() {
    let ward = Ward::open().await;
    let answer = ward.get("/metadata").await;
    let statement = answer.json();
    assert_eq!(
        (statement["resourceType"].as_str(), statement["fhirVersion"].as_str()),
        (Some("CapabilityStatement"), Some("4.0.1"))
    );
    assert_eq!(statement["implementation"]["url"], ward.hospital.base_url());
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    let patient = resources.iter().find(|resource| resource["type"] == "Patient").unwrap();
    let names: Vec<_> =
        patient["searchParam"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    for name in names {
        let answer =
            ward.send("GET", &format!("/Patient?{name}=2020"), &[("prefer", "handling=strict")], "").await;
        assert_eq!(answer.unwrap().status, 200, "{name}");
    }
}

#[tokio::test]
async fn faults_happen_when_told_and_requests_are_counted() {
    let ward = Ward::open().await;
    ward.hospital.seed([r#"{"resourceType":"Patient","id":"p"}"#]).unwrap();
    assert_eq!(ward.hospital.request_count(), 0);

    ward.hospital.inject(Fault::new(Effect::Status(503)).on_path("/Patient").times(1));
    assert_eq!(ward.get("/Patient/p").await.refusal(), (503, "exception".to_owned()));
    assert_eq!(ward.get("/Patient/p").await.status, 200);

    ward.hospital.inject(Fault::new(Effect::Drop).on_method(Method::GET));
    assert!(ward.send("GET", "/Patient/p", &[], "").await.is_none());
    ward.hospital.clear_faults();

    let page =
        Effect::Reply { status: 200, content_type: "text/html".to_owned(), body: b"<h1>Welcome".to_vec() };
    ward.hospital.inject(Fault::new(page).times(1));
    let answer = ward.get("/Patient/p").await;
    assert_eq!((answer.header("content-type"), answer.text.as_str()), ("text/html", "<h1>Welcome"));

    let altered = Effect::Alter(Arc::new(|response| {
        response.headers_mut().remove("etag");
    }));
    ward.hospital.inject(Fault::new(altered).times(1));
    assert_eq!(ward.get("/Patient/p").await.header("etag"), "");

    ward.hospital.inject(Fault::new(Effect::Delay(Duration::from_millis(80))).times(1));
    let begun = Instant::now();
    assert_eq!(ward.get("/Patient/p").await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(80));

    ward.hospital.forget_requests();
    ward.send("POST", "/Patient?x=1", &[("content-type", "application/json"), ("x-trace", "t1")], MARIA)
        .await
        .unwrap();
    let seen = ward.hospital.requests();
    assert_eq!((ward.hospital.request_count(), seen.len()), (1, 1));
    assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("POST", "/fhir/Patient?x=1"));
    assert_eq!((seen[0].headers["x-trace"].to_str().unwrap(), &*seen[0].body), ("t1", MARIA.as_bytes()));
}

#[tokio::test]
async fn http2_without_tls_and_head_are_served() {
    let ward = Ward::open().await;
    ward.hospital.seed([r#"{"resourceType":"Patient","id":"p"}"#]).unwrap();
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let url = format!("{}/Patient/p", ward.hospital.base_url());
    let response = client.get(url.parse().unwrap()).await.unwrap();
    assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_2, 200));
    let head = ward.send("HEAD", "/Patient/p", &[], "").await.unwrap();
    assert_eq!((head.status.as_u16(), head.header("etag"), head.text.as_str()), (200, "W/\"1\"", ""));
}

#[tokio::test]
async fn prefer_decides_what_comes_back() {
    let ward = Ward::open().await;
    for (prefer, expected) in [
        ("return=minimal", None),
        ("return=OperationOutcome", Some("OperationOutcome")),
        ("return=representation, handling=strict", Some("Patient")),
    ] {
        let headers = [("content-type", "application/fhir+json"), ("prefer", prefer)];
        let answer = ward.send("POST", "/Patient", &headers, MARIA).await.unwrap();
        let found =
            (!answer.text.is_empty()).then(|| answer.json()["resourceType"].as_str().unwrap().to_owned());
        assert_eq!(found.as_deref(), expected);
    }
}

#[tokio::test]
async fn stopping_lets_a_request_in_flight_end() {
    let ward = Ward::open().await;
    ward.hospital.inject(Fault::new(Effect::Delay(Duration::from_millis(150))));
    let url = format!("{}/metadata", ward.hospital.base_url());
    let client = ward.client.clone();
    let flight = tokio::spawn(async move { client.get(url.parse().unwrap()).await.unwrap().status() });
    while ward.hospital.request_count() == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let address = ward.hospital.local_addr();
    ward.hospital.stop().await;
    assert_eq!(flight.await.unwrap(), 200);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_bad_seed_names_its_number() {
    let ward = Ward::open().await;
    let refused = ward.hospital.seed([r#"{"resourceType":"Patient"}"#, "{}"]).unwrap_err();
    assert_eq!(refused.to_string(), "seed number 1 is refused: the resource has no resourceType");
}
