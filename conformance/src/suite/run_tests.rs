//! The runner against the simulated hospital, whole and with faults.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};

use super::*;
use crate::hospital::{Effect, Fault, Hospital, HospitalOptions};

async fn hospital() -> Hospital {
    Hospital::start(([127, 0, 0, 1], 0).into(), HospitalOptions::default()).await.unwrap()
}

async fn run(suite: &Suite, hospital: &Hospital, options: RunOptions) -> RunReport {
    Runner::new(suite, hospital.base_url(), options).unwrap().run(&mut |_| {}).await.unwrap()
}

async fn base_r4(hospital: &Hospital) -> RunReport {
    run(&Suite::builtin("base-r4").unwrap().unwrap(), hospital, RunOptions::default()).await
}

fn failed(report: &RunReport) -> Vec<(&str, Vec<&str>)> {
    let tests = report.tests.iter().filter(|test| test.verdict == Verdict::Failed);
    tests.map(|test| (test.id.as_str(), test.unmet.iter().map(String::as_str).collect())).collect()
}

fn alter(change: impl Fn(&mut Response<Bytes>) + Send + Sync + 'static) -> Fault {
    Fault::new(Effect::Alter(Arc::new(change)))
}

/// A suite with these tests, given as YAML, and one requirement.
fn suite(tests: &str) -> Suite {
    let head = "id: x\ntitle: X\nversion: 1.0.0\nrequirements-file: r.csv\nrequirements: [R1]\nactors: { reader: A clinician }\n";
    let csv = "id,level,text,source\nR1,SHALL,Be there,§1\n";
    Suite::parse("x.yaml", &format!("{head}{tests}"), &|_| Ok(csv.to_owned())).unwrap()
}

#[tokio::test]
async fn the_hospital_passes_all_ten() {
    let hospital = hospital().await;
    let report = base_r4(&hospital).await;
    assert_eq!(failed(&report), []);
    assert_eq!(report.summary(), "10 passed, 0 failed, 0 skipped");
    assert_eq!(hospital.resource_count(), 0, "the suite cleans up");
    assert!(report.software.unwrap().contains("simulated hospital"));
    assert_eq!(base_r4(&hospital).await.summary(), "10 passed, 0 failed, 0 skipped");
}

#[tokio::test]
async fn a_server_that_rounds_decimals_fails_that_requirement_alone() {
    let hospital = hospital().await;
    hospital.inject(alter(|response| {
        let text = String::from_utf8_lossy(response.body()).replace("45.4640", "45.464");
        *response.body_mut() = text.into();
    }));
    let report = base_r4(&hospital).await;
    assert_eq!(failed(&report), [("read-back", vec!["R4-DECIMAL"])]);
    let test = report.tests.iter().find(|test| test.id == "read-back").unwrap();
    let cause = test.cause.as_deref().unwrap();
    assert!(cause.contains("is written 45.4640, but it is 45.464"), "{cause}");
    let evidence = test.steps.iter().find(|step| step.title == "read the decimals back").unwrap();
    assert!(evidence.request.as_ref().unwrap().url.contains("/Patient/"));
    assert!(evidence.response.as_ref().unwrap().body.contains("45.464"));
}

#[tokio::test]
async fn each_fault_fails_the_tests_that_look_for_it() {
    let without_etag = || {
        alter(|response| {
            response.headers_mut().remove("etag");
        })
    };
    let always_ok = || {
        alter(|response| {
            if response.status() == StatusCode::PRECONDITION_FAILED {
                *response.status_mut() = StatusCode::OK;
            }
        })
    };
    let plain_text = || {
        alter(|response| {
            if !response.status().is_success() {
                *response.body_mut() = Bytes::from_static(b"sorry");
            }
        })
    };
    let latin1 = || {
        alter(|response| {
            let text = String::from_utf8_lossy(response.body()).replace('ò', "?");
            *response.body_mut() = text.into();
        })
    };
    for (fault, expected) in [
        (without_etag().on_path("/Patient"), &["version-aware-update"][..]),
        (always_ok(), &["version-aware-update"]),
        (
            plain_text(),
            &["unknown-id", "malformed-json", "unknown-type", "unsupported-method", "content-type"],
        ),
        (latin1(), &["read-back"]),
        (Fault::new(Effect::Status(500)).on_path("/Patient/_search"), &["search"]),
        (Fault::new(Effect::Drop).on_path("/Paziente"), &["unknown-type"]),
    ] {
        let hospital = hospital().await;
        let told = format!("{fault:?}");
        hospital.inject(fault);
        let report = base_r4(&hospital).await;
        let found: Vec<&str> = failed(&report).iter().map(|(id, _)| *id).collect();
        assert_eq!(found, expected, "{told}");
    }
}

#[tokio::test]
async fn what_a_server_does_not_declare_is_skipped_and_not_failed() {
    let hospital = hospital().await;
    hospital.inject(
        alter(|response| {
            let text = String::from_utf8_lossy(response.body()).replace("\"update\"", "\"patch\"");
            *response.body_mut() = text.into();
        })
        .on_path("/metadata"),
    );
    let report = base_r4(&hospital).await;
    assert_eq!(report.summary(), "9 passed, 0 failed, 1 skipped");
    let skipped = report.tests.iter().find(|test| test.verdict == Verdict::Skipped).unwrap();
    assert_eq!(skipped.id, "version-aware-update");
    assert!(skipped.cause.as_ref().unwrap().contains("does not declare update of Patient"));
}

#[tokio::test]
async fn a_server_without_a_capability_statement_is_still_tested() {
    let hospital = hospital().await;
    hospital.inject(Fault::new(Effect::Status(500)).on_path("/metadata"));
    let report = base_r4(&hospital).await;
    assert_eq!(failed(&report), [("capability-statement", vec!["R4-CAPABILITY", "R4-MIME"])]);
}

#[tokio::test]
async fn a_hidden_resource_that_answers_otherwise_is_told() {
    let tests = r"
tests:
  - id: hidden
    title: A deleted resource can't be told from one that never was
    verifies: [R1]
    variables: { never: 'varco-${uuid}', gone: 'varco-${uuid}' }
    setup:
      - request: { method: PUT, path: '/Patient/${gone}', json: { resourceType: Patient, id: '${gone}' } }
      - request: { method: DELETE, path: '/Patient/${gone}' }
      - request: { method: GET, path: '/Patient/${never}' }
        expect: { status: 404 }
        save-response: absent
    steps:
      - title: read what is gone
        request: { method: GET, path: '/Patient/${gone}' }
        expect:
          status: [404, 410]
          same-as: { response: absent, alike: ['${gone}', '${never}'] }
";
    let hospital = hospital().await;
    let suite = suite(tests);
    let report = run(&suite, &hospital, RunOptions::default()).await;
    let cause = report.tests[0].cause.clone().unwrap();
    assert_eq!(cause, "read what is gone: the answer is the same as absent, but the status is 410, not 404");
    hospital.inject(alter(|response| {
        if response.status() == StatusCode::GONE {
            *response.status_mut() = StatusCode::NOT_FOUND;
            *response.body_mut() = Bytes::from_static(br#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-found","diagnostics":"there is no such resource"}]}"#);
            response.headers_mut().remove("etag");
            response.headers_mut().remove("last-modified");
        }
    }));
    assert_eq!(
        run(&suite, &hospital, RunOptions::default()).await.summary(),
        "1 passed, 0 failed, 0 skipped"
    );
}

#[tokio::test]
async fn tokens_follow_the_actor_and_stay_out_of_the_evidence() {
    let tests = r"
tests:
  - id: actors
    title: Each request bears its actor's token
    verifies: [R1]
    steps:
      - request: { method: GET, path: /metadata }
      - request: { method: GET, path: /metadata, as: reader }
      - request: { method: GET, path: /metadata, as: nobody }
";
    let hospital = hospital().await;
    let suite = suite(tests);
    let refused = Runner::new(&suite, hospital.base_url(), RunOptions::default()).err().unwrap();
    assert_eq!(refused, RunError::NoToken("reader".to_owned()));
    let tokens = [("default", "token-one-1"), ("reader", "token-two-2")];
    let tokens = tokens.map(|(name, token)| (name.to_owned(), Token::new(token)));
    let report = run(&suite, &hospital, RunOptions { tokens: tokens.into(), ..RunOptions::default() }).await;
    let sent =
        |headers: &HeaderMap| headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let seen: Vec<_> = hospital.requests().iter().skip(1).map(|request| sent(&request.headers)).collect();
    assert_eq!(seen, [Some("Bearer token-one-1".to_owned()), Some("Bearer token-two-2".to_owned()), None]);
    let told = serde_json::to_string(&report).unwrap();
    assert!(!told.contains("token-one-1") && !told.contains("token-two-2"));
    assert!(told.contains("(the token of reader)"));
    let stranger =
        RunOptions { tokens: [("writer".to_owned(), Token::new("x"))].into(), ..RunOptions::default() };
    assert!(
        matches!(Runner::new(&suite, hospital.base_url(), stranger), Err(RunError::UnknownActor(name, _)) if name == "writer")
    );
}

#[tokio::test]
async fn a_server_cannot_lead_the_runner_elsewhere() {
    let tests = r"
tests:
  - id: links
    title: The next page is fetched
    verifies: [R1]
    steps:
      - request: { method: GET, path: /Patient, query: { _count: '1' } }
        save: { next: { path: 'link[relation=next].url' } }
      - request: { method: GET, path: '${next}' }
        expect: { body: [{ path: entry.resource.id, equals: p2 }] }
";
    let hospital = hospital().await;
    hospital
        .seed([r#"{"resourceType":"Patient","id":"p1"}"#, r#"{"resourceType":"Patient","id":"p2"}"#])
        .unwrap();
    let suite = suite(tests);
    assert_eq!(failed(&run(&suite, &hospital, RunOptions::default()).await), []);
    let base = hospital.base_url().to_owned();
    hospital.inject(alter(move |response| {
        let text = String::from_utf8_lossy(response.body()).replace(&base, "http://elsewhere.test/fhir");
        *response.body_mut() = text.into();
    }));
    let report = run(&suite, &hospital, RunOptions::default()).await;
    let cause = report.tests[0].cause.clone().unwrap();
    assert!(cause.contains("no request was made"), "{cause}");
}

#[tokio::test]
async fn slow_and_endless_answers_end() {
    let tests =
        "tests: [{ id: t, title: T, verifies: [R1], steps: [{ request: { method: GET, path: /Patient } }] }]";
    let hospital = hospital().await;
    let suite = suite(tests);
    hospital.inject(Fault::new(Effect::Delay(std::time::Duration::from_secs(5))).on_path("/Patient"));
    let quick = RunOptions { timeout: std::time::Duration::from_millis(100), ..RunOptions::default() };
    let cause = run(&suite, &hospital, quick).await.tests[0].cause.clone().unwrap();
    assert!(cause.contains("no answer within 0.1 seconds"), "{cause}");
    hospital.clear_faults();
    let body = vec![b' '; 200_000];
    hospital.inject(
        Fault::new(Effect::Reply { status: 200, content_type: String::new(), body }).on_path("/Patient"),
    );
    let short = RunOptions { longest_body: 150_000, ..RunOptions::default() };
    let cause = run(&suite, &hospital, short).await.tests[0].cause.clone().unwrap();
    assert!(cause.contains("longer than 150000 bytes"), "{cause}");
}

#[tokio::test]
async fn where_nothing_answers_nothing_is_run() {
    let suite = Suite::builtin("base-r4").unwrap().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target = format!("http://{free}/fhir");
    let runner = Runner::new(&suite, &target, RunOptions::default()).unwrap();
    let error = runner.run(&mut |_| {}).await.unwrap_err();
    assert!(matches!(error, RunError::Unreachable { .. }), "{error}");
    for target in ["", "ftp://h/fhir", "http://user@h/fhir", "http://h/fhir?x=1", "/fhir"] {
        assert!(
            matches!(Runner::new(&suite, target, RunOptions::default()), Err(RunError::Target(_))),
            "{target}"
        );
    }
}

#[tokio::test]
async fn a_generated_patient_can_be_sent_and_the_suite_setup_is_shared() {
    let text = r"
setup:
  - request: { method: POST, path: /Patient, generate: { patient: { seed: 1, number: 5, codice-fiscale: oid } } }
    expect: { status: 201 }
    save: { shared: id, code: { pointer: /identifier/0/value } }
tests:
  - id: found
    title: Found by codice fiscale
    verifies: [R1]
    steps:
      - request: { method: GET, path: /Patient, query: { identifier: 'urn:oid:2.16.840.1.113883.2.9.4.3.2|${code}' } }
        expect: { body: [{ path: entry.resource.id, equals: '${shared}' }] }
teardown:
  - request: { method: DELETE, path: '/Patient/${shared}' }
";
    let hospital = hospital().await;
    let suite = suite(text);
    let report = run(&suite, &hospital, RunOptions::default()).await;
    assert_eq!((failed(&report), hospital.resource_count()), (vec![], 0));
    hospital.inject(Fault::new(Effect::Status(503)).on_method(Method::POST));
    let report = run(&suite, &hospital, RunOptions::default()).await;
    assert_eq!(report.tests[0].verdict, Verdict::Failed);
    assert!(
        report.tests[0]
            .cause
            .as_ref()
            .unwrap()
            .starts_with("the suite's setup failed: POST /Patient: the status is 201, but it is 503")
    );
}

/// A TLS server in front of the hospital, and the PEM of the authority that signed for it.
async fn behind_tls(hospital: &Hospital) -> (String, Vec<u8>) {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, behind) = (listener.local_addr().unwrap().port(), hospital.local_addr());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut inside) = acceptor.accept(stream).await else { return };
                let mut outside = tokio::net::TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
            });
        }
    });
    (format!("https://localhost:{port}/fhir"), signed.cert.pem().into_bytes())
}

#[tokio::test]
async fn a_target_behind_tls_is_tested_and_a_stranger_is_not_trusted() {
    let hospital = hospital().await;
    let (target, authority) = behind_tls(&hospital).await;
    let suite = Suite::builtin("base-r4").unwrap().unwrap();
    let trusting = RunOptions { authorities: Some(authority), ..RunOptions::default() };
    let report = Runner::new(&suite, &target, trusting).unwrap().run(&mut |_| {}).await.unwrap();
    assert_eq!(report.summary(), "10 passed, 0 failed, 0 skipped");
    hospital.forget_requests();
    let error =
        Runner::new(&suite, &target, RunOptions::default()).unwrap().run(&mut |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    assert_eq!(hospital.request_count(), 0);
}
