//! `varco validate --terminology`: many documents, few requests, and a server that may fail.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A terminology server for LOINC: codes that begin with `1` exist.
struct Loinc {
    url: String,
    /// Bodies and authorisation of all requests.
    seen: Arc<Mutex<Vec<String>>>,
    down: Arc<AtomicBool>,
}

impl Loinc {
    async fn start() -> Loinc {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/r4", listener.local_addr().unwrap());
        let own = Loinc { url, seen: Arc::default(), down: Arc::default() };
        let (seen, down) = (own.seen.clone(), own.down.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, down) = (seen.clone(), down.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (seen, down) = (seen.clone(), down.clone());
                    async move {
                        let token = format!("{:?}", request.headers().get("authorization"));
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let text = String::from_utf8(body.to_vec()).unwrap();
                        let asked: Value = serde_json::from_str(&text).unwrap();
                        seen.lock().unwrap().push(token + &text);
                        let failing = down.load(Ordering::SeqCst);
                        let status = if failing { 503 } else { 200 };
                        let body = Full::new(Bytes::from(reply(&asked).to_string()));
                        Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        own
    }

    fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn reply(asked: &Value) -> Value {
    if asked["type"] == "batch" {
        let entries = asked["entry"].as_array().unwrap().iter();
        let entries =
            entries.map(|it| json!({ "resource": reply(&it["resource"]), "response": { "status": "200" } }));
        return json!({ "resourceType": "Bundle", "type": "batch-response", "entry": entries.collect::<Vec<_>>() });
    }
    let code = asked["parameter"].as_array().unwrap().iter().find(|it| it["name"] == "code").unwrap();
    let known = code["valueCode"].as_str().unwrap().starts_with('1');
    json!({ "resourceType": "Parameters", "parameter": [{ "name": "result", "valueBoolean": known }] })
}

fn observation(code: &str) -> String {
    let coding = json!({ "system": "http://fdasis.nlm.nih.gov", "code": code, "display": "di Maria Rossi" });
    json!({ "resourceType": "Observation", "status": "final", "code": { "coding": [coding] },
        "subject": { "display": "Maria Rossi" }, "note": [{ "text": "Maria Rossi" }] })
    .to_string()
}

/// Exit code, standard output and standard error.
async fn run(
    arguments: Vec<String>,
    environment: Option<(&'static str, &'static str)>,
) -> (i32, String, String) {
    let ran = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varco"));
        command.arg("validate").args(arguments).env_remove("VARCO_TERMINOLOGY_TOKEN").envs(environment);
        command.output().unwrap()
    });
    let output = ran.await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn arguments(server: &Loinc, inputs: &[&std::path::Path]) -> Vec<String> {
    let mut all =
        vec!["--output".to_owned(), "json".to_owned(), "--terminology".to_owned(), server.url.clone()];
    all.extend(inputs.iter().map(|input| input.display().to_string()));
    all
}

/// Line and element of each error.
fn errors(out: &str) -> Vec<(String, String)> {
    let outcome: Value = serde_json::from_str(out).unwrap();
    let issues = outcome["issue"].as_array().unwrap().iter().filter(|it| it["severity"] == "error");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    issues.map(|issue| (text(&issue["diagnostics"]), text(&issue["expression"][0]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_codes_of_many_documents_go_in_few_requests() {
    let server = Loinc::start().await;
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (0..400).map(|number| observation(&format!("1-{}", number % 150))).collect();
    let (many, one) = (folder.path().join("many.ndjson"), folder.path().join("one.json"));
    std::fs::write(
        &many,
        lines.join("\n")
            + "\n"
            + &observation("9-9")
            + "\n{\"resourceType\":\"Patient\",\"gender\":\"donna\"}\n",
    )
    .unwrap();
    std::fs::write(&one, observation("9-8")).unwrap();
    let (code, out, err) = run(arguments(&server, &[&many, &one]), None).await;
    assert_eq!(code, 1, "{err}");
    let found = errors(&out);
    let places: Vec<&str> = found.iter().map(|(_, element)| element.as_str()).collect();
    assert_eq!(
        places,
        ["Observation.code.coding[0].code", "Patient.gender", "Observation.code.coding[0].code"]
    );
    assert!(found[0].0.contains("many.ndjson: line 401,") && found[2].0.contains("one.json"), "{found:?}");
    assert_eq!(server.requests(), 2, "152 codes in batches of 100");
    assert!(
        !server.seen.lock().unwrap().iter().any(|seen| seen.contains("Rossi")),
        "codes are sent, nothing else"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_makes_no_code_wrong_and_is_told_of() {
    let server = Loinc::start().await;
    server.down.store(true, Ordering::SeqCst);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.json");
    std::fs::write(&file, observation("9-9")).unwrap();
    let (code, out, err) = run(arguments(&server, &[&file]), None).await;
    assert_eq!((code, errors(&out).len()), (0, 0), "{out}");
    assert!(err.contains("did not tell for 1 of 1 codes") && err.contains("status 503"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_comes_from_the_environment_or_a_file_and_is_not_shown() {
    let server = Loinc::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (file, token) = (folder.path().join("a.json"), folder.path().join("token"));
    std::fs::write(&file, observation("1-1")).unwrap();
    std::fs::write(&token, "fr0m-file").unwrap();
    let (code, out, err) =
        run(arguments(&server, &[&file]), Some(("VARCO_TERMINOLOGY_TOKEN", "fr0m-env"))).await;
    assert_eq!(code, 0, "{err}");
    assert!(!(out + &err).contains("fr0m"));
    let mut with_file = arguments(&server, &[&file]);
    with_file.extend(["--terminology-token-file".to_owned(), token.display().to_string()]);
    assert_eq!(run(with_file, None).await.0, 0);
    let seen = server.seen.lock().unwrap();
    assert!(seen[0].contains("Bearer fr0m-env") && seen[1].contains("Bearer fr0m-file"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_without_the_option_or_without_need() {
    let server = Loinc::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (asks, knows) = (folder.path().join("a.json"), folder.path().join("b.json"));
    std::fs::write(&asks, observation("9-9")).unwrap();
    std::fs::write(&knows, "{\"resourceType\":\"Patient\",\"gender\":\"female\"}").unwrap();
    assert_eq!(run(vec![asks.display().to_string()], None).await.0, 0);
    assert_eq!(run(arguments(&server, &[&knows]), None).await.0, 0);
    assert_eq!(server.requests(), 0);
}
