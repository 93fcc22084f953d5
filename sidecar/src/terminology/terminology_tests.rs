#![allow(clippy::unwrap_used)]

//! The client before a small terminology server that answers, hangs, fails, refuses batches, and lies.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

/// How the server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Answers single questions and batches.
    Whole,
    /// Knows no batch: 404.
    NoBatch,
    /// Fails at batches: 500.
    BatchFails,
    /// Answers a batch with one entry too few.
    ShortBatch,
    /// Never answers.
    Hangs,
    /// 503 for everything.
    Down,
    /// 503 once, then well.
    DownOnce,
    /// HTML with status 200.
    Html,
    /// Says that the code system is not its own.
    Stranger,
    /// 401: no or a wrong token.
    Locked,
    /// Half a second for each answer.
    Slow,
}

struct Server {
    url: String,
    manner: Arc<Mutex<Manner>>,
    requests: Arc<AtomicUsize>,
    batches: Arc<AtomicUsize>,
    at_once: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(manner: Manner) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = Server {
            url: format!("http://{}/r4", listener.local_addr().unwrap()),
            manner: Arc::new(Mutex::new(manner)),
            requests: Arc::default(),
            batches: Arc::default(),
            at_once: Arc::default(),
            seen: Arc::default(),
        };
        let (manner, requests, batches) =
            (server.manner.clone(), server.requests.clone(), server.batches.clone());
        let (at_once, seen) = (server.at_once.clone(), server.seen.clone());
        let now = Arc::new(AtomicUsize::new(0));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (manner, requests, batches) = (manner.clone(), requests.clone(), batches.clone());
                let (at_once, seen, now) = (at_once.clone(), seen.clone(), now.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (manner, requests, batches) = (manner.clone(), requests.clone(), batches.clone());
                    let (at_once, seen, now) = (at_once.clone(), seen.clone(), now.clone());
                    async move {
                        requests.fetch_add(1, Ordering::SeqCst);
                        at_once.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        let (head, body) = request.into_parts();
                        let body =
                            String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
                        seen.lock().unwrap().push(format!(
                            "{} {:?} {body}",
                            head.uri,
                            head.headers.get("authorization")
                        ));
                        let is_batch = head.uri.path() == "/r4";
                        if is_batch {
                            batches.fetch_add(1, Ordering::SeqCst);
                        }
                        let own = *manner.lock().unwrap();
                        if own == Manner::DownOnce {
                            *manner.lock().unwrap() = Manner::Whole;
                        }
                        let (status, text) = respond(own, is_batch, &body).await;
                        now.fetch_sub(1, Ordering::SeqCst);
                        let response = Response::builder().status(status).body(Full::new(Bytes::from(text)));
                        Ok::<_, Infallible>(response.unwrap())
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        server
    }

    fn config(&self) -> config::Terminology {
        let server = config::Destination { answer_seconds: Some(1), ..config::Destination::at(&self.url) };
        config::Terminology { server, total_seconds: 4, ..config::Terminology::at(&self.url) }
    }

    fn client(&self) -> Terminology {
        Terminology::new(&self.config()).unwrap()
    }

    fn become_(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn respond(manner: Manner, is_batch: bool, body: &str) -> (u16, String) {
    let outcome = json!({ "resourceType": "OperationOutcome", "issue": [{ "severity": "error", "code": "not-found" }] });
    match manner {
        Manner::Hangs => tokio::time::sleep(Duration::from_secs(3600)).await,
        Manner::Slow => tokio::time::sleep(Duration::from_millis(500)).await,
        _ => {}
    }
    match manner {
        Manner::Down | Manner::DownOnce => return (503, String::new()),
        Manner::Html => return (200, "<html>log in</html>".to_owned()),
        Manner::Locked => return (401, String::new()),
        Manner::NoBatch if is_batch => return (404, outcome.to_string()),
        Manner::BatchFails if is_batch => return (500, String::new()),
        _ => {}
    }
    let body: Value = serde_json::from_str(body).unwrap();
    if !is_batch {
        return match judged(&body, manner) {
            Some(answer) => (200, answer.to_string()),
            None => (404, outcome.to_string()),
        };
    }
    assert_eq!(body["type"], "batch");
    let mut entries: Vec<Value> = body["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| match judged(&entry["resource"], manner) {
            Some(answer) => json!({ "resource": answer, "response": { "status": "200 OK" } }),
            None => json!({ "resource": outcome, "response": { "status": "404 Not Found" } }),
        })
        .collect();
    if manner == Manner::ShortBatch {
        entries.pop();
    }
    (200, json!({ "resourceType": "Bundle", "type": "batch-response", "entry": entries }).to_string())
}

/// Codes that begin with `good` are right, with `bad` wrong; of others it knows nothing.
fn judged(parameters: &Value, manner: Manner) -> Option<Value> {
    let code = parameters["parameter"].as_array().unwrap().iter().find(|it| it["name"] == "code").unwrap();
    let code = code["valueCode"].as_str().unwrap();
    let result = match code {
        code if code.starts_with("good") => true,
        code if code.starts_with("bad") => false,
        _ => return None,
    };
    let mut parameter =
        vec![json!({ "name": "result", "valueBoolean": result && manner != Manner::Stranger })];
    if manner == Manner::Stranger {
        parameter.push(json!({ "name": "x-unknown-system", "valueCanonical": "http://example.org/cs" }));
    }
    Some(json!({ "resourceType": "Parameters", "parameter": parameter }))
}

fn question(code: &str) -> Question {
    Question {
        system: Some("http://example.org/cs".to_owned()),
        version: None,
        code: code.to_owned(),
        display: None,
        value_set: Some("http://example.org/vs".to_owned()),
    }
}

fn numbered(stem: &str, count: usize) -> Vec<Question> {
    (0..count).map(|number| question(&format!("{stem}-{number}"))).collect()
}

async fn ask(client: &Terminology, questions: &[Question]) -> Vec<Membership> {
    let replies = client.ask(questions).await;
    questions.iter().map(|question| replies.answer(question).unwrap().membership).collect()
}

use Membership::{Member, NotMember, Unknown};

#[tokio::test]
async fn many_questions_go_in_one_batch_and_are_remembered() {
    let server = Server::start(Manner::Whole).await;
    let client = server.client();
    let questions = [question("good"), question("bad"), question("whatever"), question("good")];
    assert_eq!(ask(&client, &questions).await, [Member, NotMember, Unknown, Member]);
    assert_eq!((server.requests(), server.batches.load(Ordering::SeqCst)), (1, 1));
    assert_eq!(ask(&client, &questions).await, [Member, NotMember, Unknown, Member]);
    assert_eq!(server.requests(), 1, "all three kinds of answer are remembered");
    let mut batches = config::Terminology { batch: 10, ..server.config() };
    batches.questions = 35;
    let client = Terminology::new(&batches).unwrap();
    let found = ask(&client, &numbered("good", 40)).await;
    assert_eq!(found.iter().filter(|it| **it == Member).count(), 35, "no more than the bound is asked");
    assert_eq!(server.requests(), 1 + 4);
}

#[tokio::test]
async fn what_an_answer_depends_on_keeps_answers_apart() {
    let server = Server::start(Manner::Whole).await;
    let client = server.client();
    let base = question("good");
    let others = [
        Question { system: Some("http://example.org/other".to_owned()), ..base.clone() },
        Question { version: Some("2".to_owned()), ..base.clone() },
        Question { value_set: Some("http://example.org/vs|2".to_owned()), ..base.clone() },
        Question { value_set: None, ..base.clone() },
        Question { code: "good-2".to_owned(), ..base.clone() },
    ];
    assert_eq!(ask(&client, std::slice::from_ref(&base)).await, [Member]);
    for (number, other) in others.iter().enumerate() {
        assert_eq!(ask(&client, std::slice::from_ref(other)).await, [Member]);
        assert_eq!(server.requests(), number + 2, "{other:?}");
    }
    let named = Question { display: Some("Maria Rossi".to_owned()), ..base };
    assert_eq!(ask(&client, &[named]).await, [Member]);
    assert_eq!(server.requests(), 6, "a display changes nothing");
    assert!(!server.seen.lock().unwrap().iter().any(|seen| seen.contains("Rossi")));
}

#[tokio::test]
async fn a_server_without_batches_is_asked_one_by_one_with_few_at_a_time() {
    for (manner, batches) in [(Manner::NoBatch, 1), (Manner::BatchFails, 1), (Manner::ShortBatch, 1)] {
        let server = Server::start(manner).await;
        let client = Terminology::new(&config::Terminology { concurrency: 3, ..server.config() }).unwrap();
        let found = ask(&client, &numbered("good", 20)).await;
        assert!(found.iter().all(|it| *it == Member), "{manner:?}: {found:?}");
        assert!(server.at_once.load(Ordering::SeqCst) <= 3);
        ask(&client, &numbered("bad", 5)).await;
        assert_eq!(server.batches.load(Ordering::SeqCst), batches, "{manner:?}");
        assert_eq!(server.requests(), 26, "{manner:?}");
    }
}

#[tokio::test]
async fn each_kind_of_answer_lives_as_long_as_its_setting() {
    let server = Server::start(Manner::Whole).await;
    let settings = config::Terminology { not_member_seconds: 0, unknown_seconds: 0, ..server.config() };
    let client = Terminology::new(&settings).unwrap();
    for (code, requests) in
        [("good", 1), ("good", 1), ("bad", 2), ("bad", 3), ("whatever", 4), ("whatever", 5)]
    {
        ask(&client, &[question(code)]).await;
        assert_eq!(server.requests(), requests, "{code}");
    }
    let none = Terminology::new(&config::Terminology { cache_entries: 0, ..server.config() }).unwrap();
    ask(&none, &[question("good")]).await;
    none.inner.memory.observe();
    ask(&none, &[question("good")]).await;
    assert_eq!(server.requests(), 7);
}

#[tokio::test]
async fn a_server_that_fails_leaves_codes_unknown_and_is_left_alone() {
    for manner in [Manner::Down, Manner::Html, Manner::Locked] {
        let server = Server::start(manner).await;
        let settings = config::Terminology { breaker_failures: 3, breaker_seconds: 1, ..server.config() };
        let client = Terminology::new(&settings).unwrap();
        for code in 0..10 {
            assert_eq!(ask(&client, &[question(&format!("good-{code}"))]).await, [Unknown], "{manner:?}");
        }
        assert_eq!(server.requests(), 3, "{manner:?}");
        server.become_(Manner::Whole);
        assert_eq!(ask(&client, &[question("good-20")]).await, [Unknown], "it rests");
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(ask(&client, &[question("good-20")]).await, [Member], "resting was not remembered");
        assert_eq!(ask(&client, &[question("good-21")]).await, [Member]);
        assert_eq!(server.requests(), 5, "{manner:?}");
    }
}

#[tokio::test]
async fn a_passing_fault_is_tried_again_within_the_budget() {
    let server = Server::start(Manner::DownOnce).await;
    let client = server.client();
    assert_eq!(ask(&client, &[question("good")]).await, [Member]);
    assert_eq!(server.requests(), 2);
    server.become_(Manner::Down);
    let patient = config::Terminology { breaker_failures: 1000, ..server.config() };
    let client = Terminology::new(&patient).unwrap();
    for code in 0..20 {
        ask(&client, &[question(&format!("good-{code}"))]).await;
    }
    let retries = server.requests() - 2 - 20;
    assert!((3..=5).contains(&retries), "{retries} retries of 20 requests");
}

#[tokio::test]
async fn a_server_that_hangs_costs_a_bounded_time() {
    let server = Server::start(Manner::Hangs).await;
    let client = Terminology::new(&config::Terminology { total_seconds: 1, ..server.config() }).unwrap();
    let questions = numbered("good", 100);
    let asked = tokio::time::timeout(Duration::from_secs(30), ask(&client, &questions));
    let found = asked.await.unwrap();
    assert!(found.iter().all(|it| *it == Unknown));
    let slow = Server::start(Manner::Slow).await;
    let settings = config::Terminology { total_seconds: 2, concurrency: 1, batch: 1, ..slow.config() };
    let found = ask(&Terminology::new(&settings).unwrap(), &numbered("good", 20)).await;
    let known = found.iter().filter(|it| **it == Member).count();
    assert!((1..20).contains(&known), "what came in time counts: {known}");
}

#[tokio::test]
async fn a_server_that_lacks_the_code_system_does_not_make_codes_wrong() {
    let server = Server::start(Manner::Stranger).await;
    assert_eq!(ask(&server.client(), &[question("good"), question("bad")]).await, [Unknown, Unknown]);
}

#[tokio::test]
async fn what_may_not_be_sent_is_unknown_and_stays() {
    let server = Server::start(Manner::Whole).await;
    let contained = Question { value_set: Some("#vs".to_owned()), ..question("good") };
    assert_eq!(ask(&server.client(), &[contained]).await, [Unknown]);
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn the_token_goes_to_the_server() {
    let server = Server::start(Manner::Whole).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "t0ken\n").unwrap();
    let mut settings = server.config();
    settings.server.token_file = Some(file.path().to_owned());
    ask(&Terminology::new(&settings).unwrap(), &[question("good")]).await;
    assert!(server.seen.lock().unwrap()[0].contains("/r4/ValueSet/$validate-code"), "{:?}", server.seen);
    assert!(server.seen.lock().unwrap()[0].contains("Bearer t0ken"), "{:?}", server.seen);
}

#[tokio::test]
async fn nobody_at_home_is_unknown() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let client = Terminology::new(&config::Terminology::at(format!("http://{free}/r4"))).unwrap();
    assert_eq!(ask(&client, &[question("good"), question("bad")]).await, [Unknown, Unknown]);
}
