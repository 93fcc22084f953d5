//! A sidecar that is killed in the middle of its work: what it answered, it had recorded.
#![allow(clippy::unwrap_used)]

mod harness;

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use harness::serving::Serving;
use harness::{Setup, consent};
use http::{Method, StatusCode};
use serde_json::json;
use varco_conformance::hospital::{Effect, Fault, Hospital, HospitalOptions};

#[tokio::test(flavor = "multi_thread")]
async fn every_answered_request_has_its_audit_record_after_a_kill() {
    let hospital =
        Hospital::start((Ipv4Addr::LOCALHOST, 0).into(), HospitalOptions::default()).await.unwrap();
    hospital
        .seed([r#"{"resourceType":"Patient","id":"anna"}"#, r#"{"resourceType":"Patient","id":"carla"}"#])
        .unwrap();
    let setup = Setup::new(
        hospital.base_url(),
        "[limits]\nrequests_per_second = 100000\nburst = 100000\n[log]\nlevel = \"error\"\n",
    );
    let serving = Serving::start(&setup).await;
    let asking = setup.client();
    let recorded = asking.post("Consent", &consent("Patient/anna", json!({ "type": "permit" }))).await;
    assert_eq!(recorded.status, StatusCode::CREATED, "{:?}", recorded.body);

    let answered = Arc::new(Mutex::new(Vec::new()));
    let (consented, hidden) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut streams = Vec::new();
    for stream in 0..8 {
        let (asking, answered) = (asking.clone(), answered.clone());
        let (consented, hidden) = (consented.clone(), hidden.clone());
        streams.push(tokio::spawn(async move {
            let (path, count) =
                if stream % 2 == 0 { ("Patient/anna", consented) } else { ("Patient/carla", hidden) };
            while let Ok(reply) = asking.try_send(Method::GET, path, &[], Bytes::new()).await {
                count.fetch_add(1, Ordering::Relaxed);
                answered.lock().unwrap().push((reply.request_id().to_owned(), reply.status));
            }
        }));
    }
    while consented.load(Ordering::Relaxed) < 150 || hidden.load(Ordering::Relaxed) < 150 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    serving.kill();
    for stream in streams {
        stream.await.unwrap();
    }

    let again = Serving::start(&setup).await;
    let answered = answered.lock().unwrap().clone();
    assert!(answered.len() >= 300);
    for (id, status) in &answered {
        let found = asking.get(&format!("AuditEvent?entity:identifier=%7C{id}")).await.json();
        assert_eq!(found["total"], 1, "request {id}, answered with {status}");
        let outcome = &found["entry"][0]["resource"]["outcome"];
        assert_eq!(*outcome == "0", *status == StatusCode::OK, "{id}");
    }
    again.kill();
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_a_write_and_its_record_the_trail_tells_that_its_end_is_not_known() {
    let hospital =
        Hospital::start((Ipv4Addr::LOCALHOST, 0).into(), HospitalOptions::default()).await.unwrap();
    hospital.seed([r#"{"resourceType":"Patient","id":"anna"}"#]).unwrap();
    let setup = Setup::new(hospital.base_url(), "[log]\nlevel = \"error\"\n");
    let serving = Serving::start(&setup).await;
    let asking = setup.client();
    asking.post("Consent", &consent("Patient/anna", json!({ "type": "permit" }))).await;
    let observation = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
        "subject": { "reference": "Patient/anna" } });
    assert_eq!(asking.post("Observation", &observation).await.status, StatusCode::CREATED);
    let told = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_varco"))
            .args(["audit", arguments[0], "--config"])
            .arg(setup.config_file())
            .args(&arguments[1..])
            .args(["--output", "json"])
            .output()
            .unwrap();
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    assert_eq!(told(&["verify"])["open"], json!([]));
    let before = told(&["report", "--patient", "anna"])["count"].as_u64().unwrap();
    assert_eq!(before, 2, "each write is told once");

    // The server takes the write; its answer does not come before the end.
    let late = Fault::new(Effect::Delay(Duration::from_secs(60)));
    hospital.inject(late.on_method(Method::POST));
    let lost = tokio::spawn({
        let (asking, observation) = (asking.clone(), observation.clone());
        async move {
            let body = Bytes::from(observation.to_string());
            asking.try_send(Method::POST, "Observation", &[("content-type", harness::FHIR)], body).await
        }
    });
    let posts = || hospital.requests().iter().filter(|request| request.method == Method::POST).count();
    while posts() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    serving.kill();
    assert!(lost.await.unwrap().is_err());

    let again = Serving::start(&setup).await;
    let proof = told(&["verify"]);
    assert_eq!(proof["intact"], true, "{proof}");
    let [open] = proof["open"].as_array().unwrap().as_slice() else { panic!("{proof}") };
    let report = told(&["report", "--patient", "anna"]);
    assert_eq!((&report["count"], &report["notGiven"]), (&json!(before + 1), &json!(0)), "{report}");
    let last = report["accesses"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["decision"], &last["id"]), (&json!("not known"), &open["id"]), "{last}");
    let found = asking.get("AuditEvent?patient=Patient/anna&subtype=create").await.json();
    assert_eq!(found["total"], 3, "{found}");
    assert_eq!(found["entry"][0]["resource"]["id"], open["id"]);
    assert!(found["entry"][0]["resource"].get("outcome").is_none());
    let done = found["entry"][1]["resource"]["entity"].to_string();
    assert!(done.contains("-intent\""), "{done}");
    again.kill();
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_answers_what_is_open_and_ends() {
    let hospital =
        Hospital::start((Ipv4Addr::LOCALHOST, 0).into(), HospitalOptions::default()).await.unwrap();
    hospital.seed([r#"{"resourceType":"Patient","id":"anna"}"#]).unwrap();
    let setup = Setup::new(hospital.base_url(), "[log]\nlevel = \"error\"\n");
    let mut serving = Serving::start(&setup).await;
    let asking = setup.client();
    asking.post("Consent", &consent("Patient/anna", json!({ "type": "permit" }))).await;
    hospital.inject(Fault::new(Effect::Delay(Duration::from_millis(800))));
    let open = tokio::spawn({
        let asking = asking.clone();
        async move { asking.get("Patient/anna").await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let pid = serving.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(open.await.unwrap().status, StatusCode::OK);
    let ended = tokio::task::spawn_blocking(move || serving.0.wait().unwrap()).await.unwrap();
    assert!(ended.success(), "{ended}");
    hospital.stop().await;
}

#[test]
fn a_wrong_configuration_exits_1_and_names_line_cause_and_cure() {
    let setup = Setup::new("http://127.0.0.1:9/fhir", "[limits]\nburts = 3\n");
    for command in ["serve", "check"] {
        let output = Command::new(env!("CARGO_BIN_EXE_varco"))
            .args([command, "--config"])
            .arg(setup.config_file())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8(output.stderr).unwrap();
        for words in ["varco.toml:19", "limits.burts", "There is no such setting", "Did you mean `burst`?"] {
            assert!(told.contains(words), "{told}");
        }
    }
}
