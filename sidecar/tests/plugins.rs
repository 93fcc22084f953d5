//! Plugins in a running sidecar: what each failure comes to, and what a reload takes up.
#![allow(clippy::unwrap_used)]

mod harness;

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use harness::serving::Serving;
use harness::{Asking, Region, Setup};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use varco::reload::ReloadError;
use varco_conformance::hospital::{Hospital, HospitalOptions};

fn components() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/samples/components"))
}

/// Puts a sample into a folder, with its manifest changed.
fn install(folder: &Path, sample: &str, change: impl FnOnce(&mut Value)) {
    fs::copy(components().join(format!("{sample}.wasm")), folder.join(format!("{sample}.wasm"))).unwrap();
    let path = format!("{sample}.plugin.json");
    let text = fs::read_to_string(components().join(&path)).unwrap();
    let mut manifest: Value = serde_json::from_str(&text).unwrap();
    change(&mut manifest);
    fs::write(folder.join(path), manifest.to_string()).unwrap();
}

/// Misdeeds, the type whose route they spoil, and the result that they are counted under.
const MISDEEDS: [(&str, &str, &str); 8] = [
    ("panic", "Observation", "trapped"),
    ("loop", "Condition", "too-slow"),
    ("memory", "Procedure", "out-of-memory"),
    ("recursion", "Encounter", "trapped"),
    ("garbage", "Immunization", "output-malformed"),
    ("oversize", "DiagnosticReport", "output-too-large"),
    ("costly-questions", "AllergyIntolerance", "too-slow"),
    ("host-flood", "Flag", "too-slow"),
];

/// One hostile plugin for each misdeed, under its name. Those that compute get the longest deadline: on a busy machine they
/// may take their time.
fn install_misdeeds(folder: &Path) {
    for (misdeed, ..) in MISDEEDS {
        install(folder, "hostile", |manifest| {
            manifest["name"] = misdeed.into();
            manifest["settings"]["behaviour"] = misdeed.into();
            let endless = ["loop", "costly-questions", "host-flood"].contains(&misdeed);
            manifest["limits"]["deadline_ms"] = if endless { 20 } else { 1000 }.into();
        });
        fs::rename(folder.join("hostile.plugin.json"), folder.join(format!("{misdeed}.plugin.json")))
            .unwrap();
    }
}

/// A route for each misdeed, and one for FHIR's other types that has no plugin.
fn routes_of_misdeeds() -> String {
    let plugins = MISDEEDS.map(|(misdeed, ..)| format!("[[plugin]]\nmanifest = \"{misdeed}.plugin.json\"\n"));
    let routes = MISDEEDS.map(|(misdeed, kind, _)| {
        format!("[[route]]\nname = \"{misdeed}\"\ntypes = [\"{kind}\"]\nplugins = [\"{misdeed}\"]\n")
    });
    format!("{}{}[[route]]\nname = \"rest\"\nplugins = []\n", plugins.concat(), routes.concat())
}

/// Something of Anna's, of this type.
fn resource(kind: &str) -> Value {
    let who = if ["Immunization", "AllergyIntolerance"].contains(&kind) { "patient" } else { "subject" };
    let mut resource = json!({ "resourceType": kind, "id": "one", "status": "completed" });
    resource[who] = json!({ "reference": "Patient/anna" });
    match kind {
        "Flag" => resource["status"] = "active".into(),
        "Condition" | "AllergyIntolerance" => drop(resource.as_object_mut().unwrap().remove("status")),
        "Encounter" => {
            resource["status"] = "finished".into();
            resource["class"] = json!({ "code": "AMB" });
        }
        "Immunization" => {
            resource["vaccineCode"] = json!({ "text": "a" });
            resource["occurrenceString"] = "in spring".into();
        }
        "Observation" | "DiagnosticReport" => resource["status"] = "final".into(),
        _ => {}
    }
    if !["Encounter", "Immunization"].contains(&kind) {
        resource["code"] = json!({ "text": "a" });
    }
    resource
}

/// Seeds Anna, who permits, and asks for her.
async fn anna(region: &Region) -> Asking {
    region.seed(&json!({ "resourceType": "Patient", "id": "anna" }));
    let asking = region.asking();
    let permit = harness::consent("Patient/anna", json!({ "type": "permit" }));
    assert_eq!(asking.post("Consent", &permit).await.status, StatusCode::CREATED);
    asking
}

/// A region whose plugin strips narratives, notes and displays.
async fn stripping(more: &str) -> Region {
    let more = format!("[[plugin]]\nmanifest = \"narrative-stripper.plugin.json\"\n{more}");
    Region::edited("", &more, |setup| install(setup.folder.path(), "narrative-stripper", |_| {})).await
}

/// A metric of a sidecar in a process of its own.
async fn metric(setup: &Setup, line: &str) -> Option<f64> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, setup.admin)).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let found = answer.lines().find_map(|own| own.strip_prefix(line)?.strip_prefix(' '));
    found.map(|value| value.trim().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_misdeed_costs_its_own_route_alone_and_quarantine_shows_in_metrics() {
    let hospital =
        Hospital::start((Ipv4Addr::LOCALHOST, 0).into(), HospitalOptions::default()).await.unwrap();
    let setup = Setup::new(hospital.base_url(), &routes_of_misdeeds());
    install_misdeeds(setup.folder.path());
    let serving = Serving::start(&setup).await;
    let asking = setup.client();
    hospital.seed([json!({ "resourceType": "Patient", "id": "anna" }).to_string()]).unwrap();
    let permit = json!({ "type": "permit" });
    assert_eq!(
        asking.post("Consent", &harness::consent("Patient/anna", permit)).await.status,
        StatusCode::CREATED
    );
    for (misdeed, kind, result) in MISDEEDS {
        hospital.seed([resource(kind).to_string()]).unwrap();
        // Three failures, and then it is left alone.
        for _ in 0..4 {
            let refused = asking.get(&format!("{kind}/one")).await;
            assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{misdeed}: {:?}", refused.body);
            assert!(!String::from_utf8_lossy(&refused.body).contains("oops"));
        }
        let calls =
            |result: &str| format!("varco_plugin_calls_total{{plugin=\"{misdeed}\",result=\"{result}\"}}");
        let counted = metric(&setup, &calls(result)).await;
        assert!(counted.is_some_and(|count| count >= 3.0), "{misdeed}: {counted:?}");
        assert!(metric(&setup, &calls("quarantined")).await.is_some_and(|count| count <= 1.0));
        let quarantine = format!("varco_plugin_quarantine{{plugin=\"{misdeed}\"}}");
        assert_eq!(metric(&setup, &quarantine).await, Some(1.0), "{misdeed}");
        let opened = format!("varco_plugin_quarantines_total{{plugin=\"{misdeed}\"}}");
        assert!(metric(&setup, &opened).await.is_some_and(|count| count >= 1.0), "{misdeed}");
        // The others go on.
        assert_eq!(asking.get("Patient/anna").await.status, StatusCode::OK, "{misdeed}");
    }
    serving.kill();
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_plugin_loops_other_requests_of_its_worker_are_answered() {
    let hospital =
        Hospital::start((Ipv4Addr::LOCALHOST, 0).into(), HospitalOptions::default()).await.unwrap();
    let routes = "[[plugin]]\nmanifest = \"hostile.plugin.json\"\n\
        [[route]]\nname = \"slow\"\ntypes = [\"Condition\"]\n[[route]]\nname = \"rest\"\nplugins = []\n";
    let setup = Setup::listening(hospital.base_url(), "workers = 1\n", routes);
    install(setup.folder.path(), "hostile", |manifest| {
        manifest["settings"]["behaviour"] = "loop".into();
        manifest["limits"]["deadline_ms"] = 1000.into();
    });
    let serving = Serving::start(&setup).await;
    let asking = setup.client();
    let seeded = [json!({ "resourceType": "Patient", "id": "anna" }), resource("Condition")];
    hospital.seed(seeded.map(|resource| resource.to_string())).unwrap();
    let permit = json!({ "type": "permit" });
    assert_eq!(
        asking.post("Consent", &harness::consent("Patient/anna", permit)).await.status,
        StatusCode::CREATED
    );
    // Four, each of which computes for a second on the one worker.
    let looping: Vec<_> = (0..4)
        .map(|_| {
            let asking = setup.client();
            tokio::spawn(async move { asking.get("Condition/one").await.status })
        })
        .collect();
    while metric(&setup, "varco_plugin_pausing{plugin=\"hostile\"}").await != Some(4.0) {
        assert!(!looping.iter().any(|own| own.is_finished()), "one ended before all had begun");
        tokio::task::yield_now().await;
    }
    for _ in 0..5 {
        assert_eq!(asking.get("Patient/anna").await.status, StatusCode::OK);
    }
    assert!(!looping.iter().any(|own| own.is_finished()), "the others waited for a plugin");
    for own in looping {
        assert_eq!(own.await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(metric(&setup, "varco_plugin_pausing{plugin=\"hostile\"}").await, Some(0.0));
    let slow = "varco_plugin_calls_total{plugin=\"hostile\",result=\"too-slow\"}";
    assert_eq!(metric(&setup, slow).await, Some(4.0));
    serving.kill();
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_route_says_open_the_exchange_goes_on_and_its_record_says_so() {
    let more = "[[plugin]]\nmanifest = \"hostile.plugin.json\"\n\
        [[route]]\nname = \"open\"\ntypes = [\"Observation\"]\nplugins = [{ name = \"hostile\", on_failure = \"open\" }]\n\
        [[route]]\nname = \"closed\"\ntypes = [\"Condition\"]\nplugins = [\"hostile\"]\n\
        [[route]]\nname = \"rest\"\nplugins = []\n";
    let region = Region::edited("", more, |setup| {
        install(setup.folder.path(), "hostile", |manifest| {
            manifest["settings"]["behaviour"] = "panic".into()
        });
    })
    .await;
    let asking = anna(&region).await;
    region.seed(&resource("Observation"));
    region.seed(&resource("Condition"));
    let read = asking.get("Observation/one").await;
    assert_eq!(read.status, StatusCode::OK, "{:?}", read.body);
    let record = region.audited(&read).await.to_string();
    assert!(record.contains("plugin skipped: hostile (trap)"), "{record}");
    assert_eq!(asking.get("Condition/one").await.status, StatusCode::SERVICE_UNAVAILABLE);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantine_outlives_a_reload_and_ends_by_itself() {
    let more = "[[plugin]]\nmanifest = \"hostile.plugin.json\"\n[limits]\npage_size = 1\n\
        [[route]]\nname = \"labs\"\ntypes = [\"Observation\"]\n[[route]]\nname = \"rest\"\nplugins = []\n";
    let region = Region::edited("", more, |setup| {
        install(setup.folder.path(), "hostile", |manifest| manifest["limits"]["deadline_ms"] = 1000.into());
    })
    .await;
    let asking = anna(&region).await;
    let (good, mut bad) = (resource("Observation"), resource("Observation"));
    bad["id"] = "bad".into();
    bad["behaviour"] = "panic".into();
    region.seed(&good);
    region.seed(&bad);
    for _ in 0..3 {
        assert_eq!(asking.get("Observation/bad").await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    region.setup.replace("page_size = 1", "page_size = 2");
    region.running.reloader(region.setup.config_file()).reload().await.unwrap();
    // Its end is a matter of time, not of what is asked meanwhile.
    let mut refused = 0;
    while asking.get("Observation/one").await.status != StatusCode::OK {
        refused += 1;
        assert!(refused < 6000, "it never ends");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(asking.get("Observation/one").await.status, StatusCode::OK);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_up_changed_plugins_and_refuses_those_that_do_not_fit() {
    let region = stripping("[plugins]\nunsigned = \"allow\"\n").await;
    let (asking, folder) = (anna(&region).await, region.setup.folder.path().to_owned());
    let reloader = region.running.reloader(region.setup.config_file());
    let mut told = resource("Observation");
    told["note"] = json!([{ "text": "tired" }]);
    told["code"] = json!({ "coding": [{ "code": "a", "display": "A" }] });
    region.seed(&told);
    let read = async || asking.get("Observation/one").await.json();
    assert!(read().await.get("note").is_none());

    // The operator's settings stand over those of the manifest.
    region.setup.replace("[plugins]", "settings = { keep = [\"note\"] }\n[plugins]");
    reloader.reload().await.unwrap();
    let kept = read().await;
    assert_eq!((&kept["note"][0]["text"], kept["code"]["coding"][0].get("display")), (&json!("tired"), None));
    region.setup.replace("keep = [\"note\"]", "keep = [\"everything\"]");
    let Err(ReloadError::Config(fault)) = reloader.reload().await else { panic!("settings that don't fit") };
    assert!(fault.to_string().contains("settings_schema"), "{fault}");
    region.setup.replace("keep = [\"everything\"]", "keep = [\"note\"]");

    // Another component than the manifest states.
    let component = folder.join("narrative-stripper.wasm");
    let bytes = fs::read(&component).unwrap();
    fs::write(&component, [bytes.as_slice(), b"x"].concat()).unwrap();
    let Err(ReloadError::Setup(fault)) = reloader.reload().await else { panic!("an altered component") };
    assert!(fault.to_string().contains("SHA-256"), "{fault}");
    assert!(read().await.get("note").is_some());
    fs::write(&component, &bytes).unwrap();

    // Nobody vouches for it.
    fs::write(folder.join("vendor.pem"), "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n").unwrap();
    region.setup.replace("unsigned = \"allow\"", "trusted_keys = [\"vendor.pem\"]");
    let Err(ReloadError::Setup(fault)) = reloader.reload().await else { panic!("an unsigned plugin") };
    assert!(fault.to_string().contains("no trusted key has signed"), "{fault}");

    // A route can't name what isn't loaded.
    region.setup.replace("trusted_keys = [\"vendor.pem\"]", "[[route]]\nname = \"x\"\nplugins = [\"other\"]");
    let Err(ReloadError::Config(fault)) = reloader.reload().await else { panic!("an unknown plugin") };
    assert!(fault.to_string().contains("There is no plugin other"), "{fault}");
    assert!(read().await.get("note").is_some());
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transforms_change_what_leaves_after_the_decision_about_it() {
    let more =
        "[[plugin]]\nmanifest = \"pseudonymiser.plugin.json\"\npseudonym_key_file = \"pseudonyms.key\"\n";
    let region = Region::edited("", more, |setup| {
        let folder = setup.folder.path();
        fs::write(folder.join("pseudonyms.key"), [7; 32]).unwrap();
        install(folder, "pseudonymiser", |manifest| manifest["limits"]["deadline_ms"] = 1000.into());
    })
    .await;
    let asking = region.asking();
    let patient = |id: &str| {
        json!({ "resourceType": "Patient", "id": id, "name": [{ "family": "Rossi" }],
            "identifier": [{ "system": "urn:x:mrn", "value": format!("MRN-{id}") }] })
    };
    region.seed(&patient("anna"));
    region.seed(&patient("carla"));
    // Who it is decides about consent: decided before, by the identifiers that the hospital knows.
    let permit = json!({ "type": "permit" });
    assert_eq!(
        asking.post("Consent", &harness::consent("Patient/anna", permit)).await.status,
        StatusCode::CREATED
    );
    let read = asking.get("Patient/anna").await;
    assert_eq!(read.status, StatusCode::OK, "{:?}", read.body);
    let told = read.json();
    assert_eq!(told["id"], "anna");
    assert!(!told.to_string().contains("Rossi") && !told.to_string().contains("MRN-anna"), "{told}");
    assert_eq!(told["identifier"][0]["value"].as_str().unwrap().len(), 64);
    let found = asking.get("Patient").await.json();
    assert_eq!(found["total"], 1, "{found}");
    assert_eq!(found["entry"][0]["resource"]["identifier"], told["identifier"]);
    assert!(!found.to_string().contains("Rossi"));
    assert_eq!(asking.get("Patient/carla").await.status, StatusCode::NOT_FOUND);
    assert!(region.audited(&read).await.to_string().contains("plugin: pseudonymiser"));
    let patch = br#"[{"op":"remove","path":"/name"}]"#.as_slice().into();
    let media = [("content-type", "application/json-patch+json")];
    let patched = asking.send(http::Method::PATCH, "Patient/anna", &media, patch).await;
    assert!(patched.status.is_client_error(), "{}", patched.status);
    region.stop().await;
}

/// Resident memory in KiB (proc(5), `/proc/PID/status`).
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_of_plugins_leave_memory_flat_and_fail_no_request() {
    let region = stripping("").await;
    let (asking, folder) = (anna(&region).await, region.setup.folder.path().to_owned());
    let reloader = region.running.reloader(region.setup.config_file());
    let reload = async |rounds: std::ops::Range<u32>| {
        for round in rounds {
            install(&folder, "narrative-stripper", |manifest| {
                manifest["limits"]["deadline_ms"] = (500 + round).into();
            });
            reloader.reload().await.unwrap();
            let read = asking.get("Patient/anna").await;
            assert_eq!(read.status, StatusCode::OK, "{:?}", read.body);
        }
    };
    reload(0..30).await;
    let before = resident();
    reload(30..230).await;
    let after = resident();
    assert!(after < before + (48 << 10), "{before} KiB before, {after} KiB after");
    region.stop().await;
}
