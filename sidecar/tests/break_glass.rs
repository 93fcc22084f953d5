//! Given an emergency, when the glass is broken, then a role, a reason and a time are asked for, nothing masked is shown, the
//! audit names the reason, and the use waits until somebody has reviewed it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use std::process::Command;

use harness::{Asking, Region, Reply, consent, now};
use http::StatusCode;
use serde_json::{Value, json};

const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
const MASKING: &str = "urn:varco:synthetic:fse-masking";
const ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
const WHY: &str = "Paziente incosciente in pronto soccorso";
const RULES: &str = "[break_glass]\nroles = [\"AAS\"]\nminutes = 30\n";
const FSE: &str = "[fse]\nmasking = true\nmasking_systems = [\"urn:varco:synthetic:fse-masking\"]\n";

/// A caller in a role, for a purpose, with a reason and a time of issue.
fn acting(region: &Region, role: &str, purpose: &str, reason: Value, issued: Value) -> Asking {
    let claims = json!({ "iat": issued, "extensions": {
        "ihe_iua": {
            "subject_name": "Lucia Rossi",
            "subject_role": [{ "system": "urn:test:role", "code": role }],
            "purpose_of_use": [{ "system": ACT_REASON, "code": purpose }] },
        "fse": { "self_certifications": 2 },
        "break_glass": { "reason": reason } } });
    region.asking().with_token(Some(region.setup.token(claims)))
}

fn breaking(region: &Region) -> Asking {
    acting(region, "AAS", "BTG", json!(WHY), json!(now() - 60))
}

fn observation(id: &str, patient: &str, labels: &[(&str, &str)]) -> Value {
    let labels: Vec<Value> =
        labels.iter().map(|(system, code)| json!({ "system": system, "code": code })).collect();
    let mut own = json!({ "resourceType": "Observation", "id": id, "status": "final", "code": { "text": "x" },
        "subject": { "reference": format!("Patient/{patient}") } });
    if !labels.is_empty() {
        own["meta"] = json!({ "security": labels });
    }
    own
}

/// Anna permits treatment to Maugeri alone and denies what is restricted; Bruno has said nothing; Carla denies everything.
async fn world(more: &str) -> Region {
    let region = Region::start_bare(more).await;
    for id in ["anna", "bruno", "carla"] {
        region.seed(&json!({ "resourceType": "Patient", "id": id, "birthDate": "1980-01-01" }));
        region.seed(&observation(id, id, &[(CONFIDENTIALITY, "N")]));
    }
    region.seed(&observation("riservato", "anna", &[(CONFIDENTIALITY, "R")]));
    region.seed(&observation("oscurato", "anna", &[(MASKING, "P99")]));
    region.seed(&observation("tutela", "anna", &[(CONFIDENTIALITY, "V")]));
    let maugeri = json!([{ "role": { "coding": [{ "code": "IRCP",
        "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType" }] },
        "reference": { "identifier": { "system": "urn:oid:2.16.840.1.113883.2.9.4.1.2", "value": "030417" } } }]);
    let restricted = json!({ "type": "deny", "securityLabel": [{ "system": CONFIDENTIALITY, "code": "R" }] });
    let mut given = consent("Patient/anna", json!({ "type": "permit" }));
    given["provision"] = json!({ "type": "permit", "actor": maugeri });
    let mut denied = consent("Patient/anna", json!({ "type": "permit" }));
    denied["provision"] = restricted;
    let mut closed = consent("Patient/carla", json!({ "type": "permit" }));
    closed["provision"] = json!({ "type": "deny" });
    for own in [given, denied, closed] {
        let written = region.asking().post("Consent", &own).await;
        assert_eq!(written.status, StatusCode::CREATED, "{:?}", written.body);
    }
    region
}

async fn seen(asking: &Asking) -> Vec<String> {
    let found = asking.get("Observation?_sort=_id").await.json();
    let entries = found["entry"].as_array().cloned().unwrap_or_default();
    let mut ids: Vec<String> =
        entries.iter().map(|own| own["resource"]["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(found["total"], ids.len(), "{found}");
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_goes_over_what_is_configured_and_nothing_masked() {
    let region = world(RULES).await;
    assert_eq!(seen(&region.asking()).await, [""; 0]);
    assert_eq!(seen(&breaking(&region)).await, ["anna", "bruno"]);
    region.stop().await;
    let all = format!("{RULES}overrides = [\"no-consent\", \"withheld\", \"denied\"]\n{FSE}");
    for rules in [all.clone(), all.replace("masking = true", "masking = false")] {
        let region = world(&rules).await;
        assert_eq!(seen(&breaking(&region)).await, ["anna", "bruno", "carla", "riservato"], "{rules}");
        // Only reading is opened.
        let written = breaking(&region).post("Observation", &observation("x", "carla", &[])).await;
        assert_eq!(written.status, StatusCode::FORBIDDEN, "{:?}", written.body);
        region.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn masked_data_and_absent_data_look_the_same_through_broken_glass() {
    let all = format!("{RULES}overrides = [\"no-consent\", \"withheld\", \"denied\"]\n{FSE}");
    let (with, without) = (world(&all).await, world(&all).await);
    with.seed(&observation("zeta", "bruno", &[(MASKING, "P99")]));
    let port = |region: &Region| region.setup.port;
    let shown = |region: &Region, reply: &Reply| {
        let (status, mut headers, body) = reply.appearance();
        headers.retain(|(name, _)| name != "content-length");
        let body = String::from_utf8_lossy(&body).replace(&port(region).to_string(), "PORT");
        let body: Value = serde_json::from_str(&body).unwrap();
        (status, headers, body["total"].clone(), body["entry"].as_array().map(Vec::len), body["link"].clone())
    };
    for path in [
        "Observation/zeta",
        "Observation?patient=bruno",
        "Observation?patient=bruno&_summary=count",
        "Observation?_id=zeta",
        "Patient?_has:Observation:patient:_id=zeta",
        "Patient?_id=bruno&_revinclude=Observation:patient",
    ] {
        let one = breaking(&with).get(path).await;
        let other = breaking(&without).get(path).await;
        assert_eq!(shown(&with, &one), shown(&without, &other), "{path}");
    }
    with.stop().await;
    without.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_emergency_looks_like_any_refusal() {
    let region = world(RULES).await;
    // What consents permit to anybody else: an emergency that is not admitted doesn't get it either.
    let open = consent("Patient/bruno", json!({ "type": "permit" }));
    assert_eq!(region.asking().post("Consent", &open).await.status, StatusCode::CREATED);
    assert_eq!(region.asking().get("Patient/bruno").await.status, StatusCode::OK);
    let absent = region.asking().get("Patient/nobody").await.appearance();
    let recent = json!(now() - 60);
    let cases = [
        ("no role that may", acting(&region, "OAM", "BTG", json!(WHY), recent.clone())),
        ("carries no reason", acting(&region, "AAS", "BTG", json!(" "), recent.clone())),
        ("carries no reason", acting(&region, "AAS", "ETREAT", Value::Null, recent)),
        ("does not say when it was issued", acting(&region, "AAS", "BTG", json!(WHY), Value::Null)),
        (
            "time since the token was issued is over",
            acting(&region, "AAS", "BTG", json!(WHY), json!(now() - 1900)),
        ),
    ];
    for (cause, asking) in cases {
        let refused = asking.get("Patient/bruno").await;
        assert_eq!(refused.appearance(), absent, "{cause}");
        assert_eq!(seen(&asking).await, [""; 0], "{cause}");
        assert_eq!(asking.get("Consent?patient=Patient/bruno").await.json()["total"], 0, "{cause}");
        let record = region.audited(&refused).await;
        assert!(record["outcomeDesc"].as_str().unwrap().contains(cause), "{cause}: {record}");
        assert_ne!(record["outcome"], "0");
    }
    // A header is nobody's reason.
    let unreasoned = acting(&region, "AAS", "BTG", Value::Null, json!(now()));
    let headers = [("x-break-glass-reason", WHY), ("purpose-of-use", "BTG")];
    let refused = unreasoned.send(http::Method::GET, "Patient/bruno", &headers, bytes::Bytes::new()).await;
    assert_eq!(refused.appearance(), absent);
    region.stop().await;
}

fn review(region: &Region, more: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_varco"))
        .args(["audit", "review", "--config"])
        .arg(region.setup.config_file())
        .args(more)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_use_is_recorded_and_waits_for_its_review() {
    let region = world(RULES).await;
    let asking = breaking(&region);
    let read = asking.get("Observation/anna").await;
    assert_eq!(read.status, StatusCode::OK);
    let record = region.audited(&read).await;
    let subtypes: Vec<&str> =
        record["subtype"].as_array().unwrap().iter().map(|own| own["code"].as_str().unwrap()).collect();
    assert_eq!(subtypes, ["read", "110127"], "{record}");
    let told = record.to_string();
    for part in ["break-glass-reason", WHY, "break-glass-overrides", "withheld", "\"BTG\""] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let overrides = region.asking().get("AuditEvent?subtype=110127&patient=Patient/anna").await.json();
    assert_eq!(overrides["total"], 1);
    assert_eq!(asking.get("Observation?patient=anna").await.status, StatusCode::OK);
    for kind in ["batch", "transaction"] {
        let entry = json!({ "request": { "method": "GET", "url": "Observation/anna" } });
        let several = json!({ "resourceType": "Bundle", "type": kind, "entry": [entry] });
        let answered = asking.post("", &several).await;
        assert_eq!(answered.status, StatusCode::OK, "{:?}", answered.body);
        assert_eq!(answered.json()["entry"][0]["resource"]["id"], "anna", "{kind}");
    }
    assert_eq!(asking.get("Observation/bruno").await.status, StatusCode::OK);
    assert_eq!(region.asking().get("Observation/bruno").await.status, StatusCode::NOT_FOUND);

    let (well, json) = review(&region, &["--output", "json"]);
    assert!(well, "{json}");
    let open: Value = serde_json::from_str(&json).unwrap();
    let reviews = open["reviews"].as_array().unwrap();
    assert_eq!(reviews.len(), 2, "{open}");
    let anna = &reviews[0];
    assert_eq!(
        (&anna["patient"], &anna["reason"], &anna["requests"]),
        (&json!("Patient/anna"), &json!(WHY), &json!(4))
    );
    assert_eq!((&anna["seen"], &anna["overridden"]), (&json!(["Observation/anna"]), &json!(["withheld"])));
    assert_eq!((&anna["who"]["name"], &anna["withheld"]), (&json!("Lucia Rossi"), &json!(3)), "{anna}");
    assert_eq!(reviews[1]["overridden"], json!(["no-consent"]));
    let (_, text) = review(&region, &[]);
    for part in [
        "who       Lucia Rossi",
        "whom      Patient/anna",
        WHY,
        "seen      Observation/anna",
        "2 open reviews, 0 overdue",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let admin = Asking { base: format!("http://127.0.0.1:{}", region.setup.admin), ..region.asking() };
    assert_eq!(admin.get("metrics").await.status, StatusCode::OK);

    let id = anna["id"].as_str().unwrap();
    for wrong in [
        &["--close", id][..],
        &["--close", id, "--by", " ", "--finding", "x"],
        &["--close", "x", "--by", "V", "--finding", "x"],
    ] {
        assert!(!review(&region, wrong).0, "{wrong:?}");
    }
    let finding = "motivato: paziente incosciente";
    let (well, told) = review(&region, &["--close", id, "--by", "Dott.ssa Verdi", "--finding", finding]);
    assert!(well, "{told}");
    let (well, told) = review(&region, &["--close", id, "--by", "Dott.ssa Verdi", "--finding", finding]);
    assert!(!well && told.contains("closed by Dott.ssa Verdi"), "{told}");
    // The sidecar goes on writing after the other process: the chain holds, and the closing is in the trail.
    assert_eq!(asking.get("Observation/bruno").await.status, StatusCode::OK);
    let closing =
        region.asking().get("AuditEvent?subtype=break-glass-review&patient=Patient/anna").await.json();
    assert_eq!(closing["total"], 1, "{closing}");
    let closing = closing["entry"][0]["resource"].to_string();
    for part in [id, finding, "Dott.ssa Verdi"] {
        assert!(closing.contains(part), "{part}: {closing}");
    }
    assert!(region.running.gateway().store().verify_audit().unwrap().is_ok());
    let (_, json) = review(&region, &["--output", "json"]);
    let open: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(open["reviews"].as_array().unwrap().len(), 1, "{open}");
    region.stop().await;
}

#[test]
fn the_explanation_names_what_an_emergency_goes_over() {
    let folder = tempfile::tempdir().unwrap();
    let write =
        |name: &str, value: &Value| std::fs::write(folder.path().join(name), value.to_string()).unwrap();
    let mut research = consent("Patient/1", json!({}));
    research["provision"] =
        json!({ "type": "permit", "purpose": [{ "system": ACT_REASON, "code": "HRESCH" }] });
    write("consent.json", &research);
    write("masked.json", &observation("1", "1", &[("urn:oid:2.16.840.1.113883.2.9.3.3.6.1.3", "P99")]));
    write("open.json", &observation("2", "1", &[]));
    let explain = |reason: Value, over: &str, resource: &str| -> (String, String) {
        write("request.json", &json!({ "purpose": "BTG", "role": "AAS", "reason": reason }));
        let output = Command::new(env!("CARGO_BIN_EXE_varco"))
            .current_dir(folder.path())
            .args(["consent", "explain", "--consent", "consent.json", "--request", "request.json"])
            .args(["--at", "2026-05-01T12:00:00Z", "--output", "json", "--break-glass", over])
            .args(["--resource", resource])
            .output()
            .unwrap();
        let told: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        (told["decision"].as_str().unwrap().to_owned(), told["because"].to_string())
    };
    let (decision, because) = explain(json!(WHY), "no-consent,withheld", "open.json");
    assert_eq!(decision, "permit");
    assert!(because.contains("the emergency goes over it: consents permit, but not this"), "{because}");
    let (decision, because) = explain(json!(WHY), "no-consent", "open.json");
    assert_eq!(decision, "deny");
    assert!(because.contains("doesn't override it"), "{because}");
    let (decision, because) = explain(json!(""), "withheld", "open.json");
    assert_eq!(decision, "deny");
    assert!(because.contains("carries no reason"), "{because}");
    assert_eq!(explain(json!(WHY), "no-consent,withheld,denied", "masked.json").0, "deny");
}
