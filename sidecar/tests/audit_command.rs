//! `varco audit`: the trail proven and told, while the sidecar runs and after it was tampered with.
#![allow(clippy::unwrap_used)]

mod harness;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use harness::Region;
use serde_json::{Value, json};
use varco_core::audit::chain::RecordHash;

fn varco(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_varco")).arg("audit").args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn json_of(arguments: &[&str]) -> (Option<i32>, Value) {
    let (code, told, faults) = varco(&[arguments, &["--output", "json"]].concat());
    (code, serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}{faults}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_is_told_who_asked_for_what_and_what_was_denied() {
    let region = Region::start("").await;
    let nurse = region.asking().with_token(Some(region.setup.token(json!({
        "sub": "inf-verdi", "client_id": "ward-7",
        "extensions": { "ihe_iua": {
            "subject_name": "Niccolò <b>D'Àgata</b>\u{202e}",
            "subject_organization_id": ["urn:oid:1.2.250.1.71.4.2.2|750712184"],
            "subject_role": [{ "system": "urn:test:role", "code": "INF" }],
            "purpose_of_use": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT" }],
        }},
    }))));
    nurse.get("Patient/carla").await;
    nurse.get("Patient/anna").await;
    nurse.get("Observation?patient=Patient/anna&_count=5").await;
    let config = region.setup.config_file();
    let config = config.to_str().unwrap();

    let (code, anna) =
        json_of(&["report", "--config", config, "--patient", "Patient/anna", "--from", "2026"]);
    assert_eq!(code, Some(0));
    let accesses = anna["accesses"].as_array().unwrap();
    let by_nurse: Vec<&Value> = accesses.iter().filter(|own| own["application"] == "ward-7").collect();
    let [read] = by_nurse.as_slice() else {
        panic!("a search that found nothing is about nobody: {by_nurse:#?}")
    };
    assert_eq!((&read["interaction"], &read["categories"]), (&json!("read"), &json!(["Patient"])));
    assert_eq!((&read["decision"], &read["countries"]), (&json!("given"), &json!(["FR"])));
    assert_eq!(read["person"], json!({ "system": "https://hub.test", "value": "inf-verdi" }));
    assert_eq!((&read["site"], &read["address"]), (&json!("030913"), &json!("127.0.0.1")));

    let (_, carla) = json_of(&["report", "--config", config, "--patient", "carla"]);
    assert_eq!((&carla["count"], &carla["notGiven"]), (&json!(1), &json!(1)));
    assert_eq!(carla["accesses"][0]["decision"], "not given");
    let (_, text, _) = varco(&["report", "--config", config, "--patient", "carla"]);
    for words in [
        "Accesses to the data of Patient/carla at Ospedale Niguarda",
        "read: personal details (Patient)",
        "Niccolò <b>D'Àgata</b><U+202E> (https://hub.test|inf-verdi)",
        "750712184, FR",
        "treatment (TREAT)",
        "not given: hidden from the caller",
        "1 access, 1 not given.",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let (_, page, _) = varco(&["report", "--config", config, "--patient", "carla", "--output", "html"]);
    assert!(page.contains("Niccolò &lt;b&gt;D&#39;Àgata") && !page.contains("<b>"), "{page}");
    let (code, past) = json_of(&["report", "--config", config, "--patient", "anna", "--to", "2025-12-31"]);
    assert_eq!((code, &past["count"]), (Some(0), &json!(0)));
    // The same accesses by resource and by agent; the index need not be complete.
    let of = |about: &[&str]| json_of(&[&["report", "--config", config], about].concat()).1;
    let by_resource = of(&["--resource", "Patient/carla"]);
    assert_eq!((&by_resource["count"], &by_resource["accesses"]), (&carla["count"], &carla["accesses"]));
    let person = of(&["--agent", "https://hub.test|inf-verdi"]);
    assert_eq!((&person["count"], &person["notGiven"]), (&json!(3), &json!(1)), "{person}");
    assert_eq!(person["accesses"][0]["patients"], json!(["Patient/carla"]));
    assert_eq!(person["accesses"][1]["resources"], json!(["Patient/anna"]));
    for (about, count) in [
        (vec!["--agent", "urn:oid:1.2.250.1.71.4.2.2|750712184"], 3),
        (vec!["--agent", "ward-7"], 3),
        (vec!["--agent", "urn:other|inf-verdi"], 0),
        (vec!["--agent", "inf-verdi", "--patient", "anna"], 1),
        (vec!["--agent", "inf-verdi", "--resource", "Patient/anna", "--to", "2025"], 0),
        (vec!["--resource", "Observation/anna"], 0),
    ] {
        assert_eq!(of(&about)["count"], count, "{about:?}");
    }
    let (_, text, _) = varco(&["report", "--config", config, "--agent", "inf-verdi"]);
    for words in [
        "Accesses to data by inf-verdi",
        "whose     Patient/carla",
        "what      Patient/anna",
        "at        030913",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    for about in
        [vec![], vec!["--resource", "anna"], vec!["--resource", "observation/1"], vec!["--agent", "x|"]]
    {
        let (code, told, faults) = varco(&[&["report", "--config", config], about.as_slice()].concat());
        assert_eq!((code, told.as_str()), (Some(2), ""), "{about:?}: {faults}");
    }
    for (patient, from) in [("Group/1", "2026"), ("anna", "yesterday")] {
        let (code, told, faults) =
            varco(&["report", "--config", config, "--patient", patient, "--from", from]);
        assert_eq!((code, told.as_str()), (Some(2), ""), "{faults}");
    }
    region.stop().await;
}

/// A trail of a few records, in a file that nobody else holds.
async fn trail() -> (Region, PathBuf) {
    let region = Region::start("").await;
    // Each of the two consents has two records.
    for _ in 0..6 {
        region.asking().get("Patient/anna").await;
    }
    let path = region.setup.folder.path().join("copy.sqlite");
    let store = rusqlite::Connection::open(region.setup.folder.path().join("varco.sqlite")).unwrap();
    let indexed =
        || store.query_row("SELECT seq FROM audit_indexed", [], |row| row.get::<_, i64>(0)).unwrap();
    let all_are = async {
        while indexed() < 10 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all_are).await.unwrap();
    store.execute("VACUUM INTO ?1", [path.to_str().unwrap()]).unwrap();
    (region, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_to_the_trail_is_named_with_its_record() {
    let (region, copy) = trail().await;
    let config = region.setup.config_file();
    let (code, good) = json_of(&["verify", "--config", config.to_str().unwrap()]);
    assert_eq!((code, &good["intact"], &good["records"]), (Some(0), &json!(true), &json!(10)), "{good}");
    let kept = good["lastHash"].as_str().unwrap();

    let zeros = RecordHash::GENESIS.to_string();
    for (sql, record, words) in [
        ("UPDATE audit SET body = CAST('{\"resourceType\":\"AuditEvent\"}' AS BLOB) WHERE seq = 4", 4, "its content was changed"),
        ("UPDATE audit SET body = CAST(substr(body, 1, length(body) - 1) AS BLOB) WHERE seq = 10", 10, "its content was changed"),
        ("UPDATE audit SET hash = zeroblob(32) WHERE seq = 5", 5, "its hash was changed"),
        ("DELETE FROM audit WHERE seq IN (6, 7)", 8, "2 record(s) before it were removed"),
        ("DELETE FROM audit WHERE seq = 1", 2, "1 record(s) before it were removed"),
        (
            "UPDATE audit SET seq = seq + 100 WHERE seq >= 5; INSERT INTO audit SELECT 5, 'x', '', recorded, hash, body
             FROM audit WHERE seq = 4; UPDATE audit SET seq = seq - 99 WHERE seq > 100",
            5,
            "it was inserted",
        ),
        (
            "UPDATE audit SET seq = 99 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 6;
             UPDATE audit SET seq = 6 WHERE seq = 99",
            4,
            "the order was changed: record 6 belongs here",
        ),
        ("UPDATE audit SET recorded = '2020-01-01T00:00:00Z' WHERE seq = 3", 3, "the time that it is found by"),
        (
            "UPDATE audit_posting SET places = trim(replace(',' || places || ',', ',4,', ','), ',') WHERE parameter = 'patient'",
            4,
            "the patient that it is found by",
        ),
    ] {
        let tampered = region.setup.folder.path().join("tampered.sqlite");
        std::fs::copy(&copy, &tampered).unwrap();
        rusqlite::Connection::open(&tampered).unwrap().execute_batch(sql).unwrap();
        let store = tampered.to_str().unwrap();
        let (code, told) = json_of(&["verify", "--store", store]);
        assert_eq!((code, &told["intact"]), (Some(1), &json!(false)), "{sql}: {told}");
        assert_eq!(told["broken"]["record"], record, "{sql}: {told}");
        assert!(told["broken"]["what"].as_str().unwrap().contains(words), "{sql}: {told}");
        let (_, text, _) = varco(&["verify", "--store", store]);
        assert!(text.starts_with(&format!("record {record} (AuditEvent/")) && text.contains(words), "{text}");
    }
    // What is cut off at the end shows by a hash that was kept.
    rusqlite::Connection::open(&copy).unwrap().execute("DELETE FROM audit WHERE seq > 7", []).unwrap();
    let store = copy.to_str().unwrap();
    assert_eq!(json_of(&["verify", "--store", store]).0, Some(0));
    let (code, cut) = json_of(&["verify", "--store", store, "--kept", kept]);
    assert_eq!((code, &cut["keptFound"], &cut["broken"]), (Some(1), &json!(false), &Value::Null));
    assert_eq!(json_of(&["verify", "--store", store, "--kept", &zeros]).0, Some(0));
    for arguments in
        [vec!["verify", "--store", "/nowhere.sqlite"], vec!["verify", "--kept", "x"], vec!["verify"]]
    {
        assert_eq!(varco(&arguments).0, Some(2), "{arguments:?}");
    }
    region.stop().await;
}
