//! Maps in a running sidecar: `$transform`, `$translate`, and maps on routes that are read anew when their files change.
#![allow(clippy::unwrap_used)]

mod harness;

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use harness::{Region, Setup, listening};
use http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use varco_conformance::hospital::{Hospital, HospitalOptions};

const TO_NETWORK: &str = "http://example.org/StructureMap/to-network";
const TO_LOCAL: &str = "http://example.org/StructureMap/to-local";

/// A map from Patient to Patient.
fn map(url: &str, rules: &str) -> String {
    format!(
        "map \"{url}\" = \"test\"\n\
         uses \"http://hl7.org/fhir/StructureDefinition/Patient\" alias Patient as source\n\
         uses \"http://hl7.org/fhir/StructureDefinition/Patient\" alias Patient as target\n\
         group main(source src : Patient, target tgt : Patient) {{\n{rules}\n}}\n"
    )
}

/// Keeps what is known of a patient but puts the family name into the text; fails on `gender` = `other`.
const OUT: &str = "src check (gender.empty() or gender != 'other') -> tgt.active = true \"known\";\n\
    src.meta -> tgt.meta; src.identifier -> tgt.identifier; src.gender -> tgt.gender;\n\
    src.name as n -> tgt.name as m then { n.family as f -> m.text = f \"family\"; } \"name\";";

/// The other way.
const IN: &str = "src.id -> tgt.id; src.identifier -> tgt.identifier; src.gender -> tgt.gender;\n\
    src.name as n -> tgt.name as m then { n.text as t -> m.family = t \"text\"; } \"name\";";

const CONCEPT_MAP: &str = r#"{"resourceType":"ConceptMap","url":"http://example.org/ConceptMap/sesso","status":"active",
  "sourceUri":"http://example.org/ValueSet/sesso","targetUri":"http://hl7.org/fhir/ValueSet/administrative-gender",
  "group":[{"source":"urn:x:sesso","target":"http://hl7.org/fhir/administrative-gender",
    "element":[{"code":"M","target":[{"code":"male","display":"Male","equivalence":"equivalent"}]},
               {"code":"N","target":[{"equivalence":"unmatched"}]}]}]}"#;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("out.fml", &map(TO_NETWORK, OUT));
    write("in.fml", &map(TO_LOCAL, IN));
    write("sesso.json", CONCEPT_MAP);
    folder
}

fn maps(folder: &Path, reload: u32) -> String {
    format!("[mapping]\nmaps = [{:?}]\nreload_seconds = {reload}\n", folder.display().to_string())
}

fn routes(on_failure: &str) -> String {
    format!(
        "[[route]]\nname = \"people\"\ntypes = [\"Patient\"]\n\
         [[route.map]]\ntype = \"Patient\"\ndirection = \"responses\"\ncanonical = \"{TO_NETWORK}\"\non_failure = \"{on_failure}\"\n\
         [[route.map]]\ntype = \"Patient\"\ndirection = \"requests\"\ncanonical = \"{TO_LOCAL}\"\n"
    )
}

fn part<'v>(parameters: &'v Value, name: &str) -> Vec<&'v Value> {
    parameters.as_array().into_iter().flatten().filter(|it| it["name"] == name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn transform_runs_the_maps_of_the_site_and_forwards_nothing() {
    let folder = folder();
    let region = Region::start_bare(&maps(folder.path(), 0)).await;
    let (asking, before) = (region.asking(), region.hospital.request_count());
    let patient = json!({ "resourceType": "Patient", "name": [{ "family": "Rossi", "given": ["Anna"] }] });
    let by_url = asking.post(&format!("StructureMap/$transform?source={TO_NETWORK}"), &patient).await;
    assert_eq!(by_url.status, StatusCode::OK, "{:?}", by_url.body);
    assert_eq!(by_url.json()["name"], json!([{ "text": "Rossi" }]));
    assert_eq!(by_url.headers["varco-mapping"], "lost=1, unmapped-codes=0");
    let body = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "source", "valueUri": TO_NETWORK }, { "name": "content", "resource": patient } ] });
    let by_body = asking.post("StructureMap/$transform", &body).await;
    assert_eq!(by_body.json(), by_url.json());
    // A Binary carries what is no resource's own text.
    let data = "eyJyZXNvdXJjZVR5cGUiOiJQYXRpZW50IiwibmFtZSI6W3siZmFtaWx5IjoiVmVyZGkifV19";
    let binary = json!({ "resourceType": "Binary", "contentType": "application/fhir+json", "data": data });
    let packed = asking.post(&format!("StructureMap/$transform?source={TO_NETWORK}"), &binary).await;
    assert_eq!(packed.json()["name"], json!([{ "text": "Verdi" }]), "{:?}", packed.body);
    assert_eq!(region.hospital.request_count(), before);
    let audited = region.audited(&by_url).await;
    assert_eq!(audited["outcome"], "0", "{audited}");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_map_names_rule_value_and_place_and_the_log_no_value() {
    let folder = folder();
    let region = Region::start_bare(&maps(folder.path(), 0)).await;
    let asking = region.asking();
    let other = json!({ "resourceType": "Patient", "gender": "other" });
    let failed = asking.post(&format!("StructureMap/$transform?source={TO_NETWORK}"), &other).await;
    assert_eq!(failed.status, StatusCode::UNPROCESSABLE_ENTITY, "{:?}", failed.body);
    let (code, text) = failed.issue();
    assert_eq!(code, "processing");
    assert!(text.contains("rule main / known") && text.contains("out.fml:5:"), "{text}");
    assert_eq!(failed.json()["issue"][0]["expression"][0], "Patient");
    let unknown = asking.post("StructureMap/$transform?source=http://example.org/none", &other).await;
    assert_eq!((unknown.status, unknown.issue().0.as_str()), (StatusCode::NOT_FOUND, "not-found"));
    let wrong = json!({ "resourceType": "Observation", "status": "final" });
    let refused = asking.post(&format!("StructureMap/$transform?source={TO_NETWORK}"), &wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{:?}", refused.body);
    let scope = region.setup.token(json!({ "scope": "system/Patient.rs" }));
    let unscoped = asking.with_token(Some(scope)).post("StructureMap/$transform?source=urn:x", &other).await;
    assert_eq!(unscoped.status, StatusCode::FORBIDDEN);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_built_in_map_is_there_without_configuration() {
    let region = Region::start_bare("").await;
    let map = "urn:varco:map:eu-lab-to-fse-lab";
    let bundle = json!({ "resourceType": "Patient" });
    let reply = region.asking().post(&format!("StructureMap/$transform?source={map}"), &bundle).await;
    // The map is found and says what it is for.
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{:?}", reply.body);
    assert!(reply.issue().1.contains("Bundle"), "{:?}", reply.issue());
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn translate_answers_from_the_concept_maps_at_hand() {
    let folder = folder();
    let region = Region::start_bare(&maps(folder.path(), 0)).await;
    let asking = region.asking();
    let url = "http://example.org/ConceptMap/sesso";
    for path in [
        format!("ConceptMap/$translate?url={url}&system=urn:x:sesso&code=M"),
        "ConceptMap/$translate?source=http://example.org/ValueSet/sesso&system=urn:x:sesso&code=M".to_owned(),
    ] {
        let reply = asking.get(&path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {:?}", reply.body);
        let answer = reply.json();
        assert_eq!(part(&answer["parameter"], "result")[0]["valueBoolean"], true);
        let parts = &part(&answer["parameter"], "match")[0]["part"];
        assert_eq!(part(parts, "equivalence")[0]["valueCode"], "equivalent");
        assert_eq!(part(parts, "concept")[0]["valueCoding"]["code"], "male");
        assert_eq!(part(parts, "source")[0]["valueUri"], url);
    }
    let back = json!({ "resourceType": "Parameters", "parameter": [{ "name": "url", "valueUri": url },
        { "name": "reverse", "valueBoolean": true },
        { "name": "coding", "valueCoding": { "system": "http://hl7.org/fhir/administrative-gender", "code": "male" } }] });
    let back = asking.post("ConceptMap/$translate", &back).await.json();
    let parts = &part(&back["parameter"], "match")[0]["part"];
    assert_eq!(part(parts, "concept")[0]["valueCoding"]["code"], "M", "{back}");
    for code in ["N", "X"] {
        let none =
            asking.get(&format!("ConceptMap/$translate?url={url}&system=urn:x:sesso&code={code}")).await;
        assert_eq!(none.status, StatusCode::OK);
        let none = none.json();
        assert_eq!(part(&none["parameter"], "result")[0]["valueBoolean"], false, "{code}: {none}");
        assert!(part(&none["parameter"], "message")[0]["valueString"].is_string());
    }
    for unknown in ["url=http://example.org/none&code=M", "source=http://example.org/none&code=M"] {
        let reply = asking.get(&format!("ConceptMap/$translate?{unknown}")).await;
        assert_eq!((reply.status, reply.issue().0.as_str()), (StatusCode::NOT_FOUND, "not-found"));
    }
    let vague = asking.get("ConceptMap/$translate?code=M").await;
    assert_eq!(vague.status, StatusCode::BAD_REQUEST, "{:?}", vague.body);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_maps_what_is_read_found_and_written() {
    let folder = folder();
    let more =
        format!("[consent]\nwithout_consent = \"permit\"\n{}{}", maps(folder.path(), 0), routes("refuse"));
    let region = Region::start_bare(&more).await;
    region.seed(&json!({ "resourceType": "Patient", "id": "anna", "gender": "female", "name": [{ "family": "Forlì" }] }));
    let asking = region.asking();
    let read = asking.get("Patient/anna").await;
    assert_eq!(read.status, StatusCode::OK, "{:?}", read.body);
    let patient = read.json();
    assert_eq!((&patient["id"], &patient["name"]), (&json!("anna"), &json!([{ "text": "Forlì" }])));
    let found = asking.get("Patient?gender=female").await.json();
    assert_eq!(found["entry"][0]["resource"]["name"], json!([{ "text": "Forlì" }]));

    // Written in the network's dialect, stored in the hospital's, told back in the network's.
    let written = json!({ "resourceType": "Patient", "name": [{ "text": "D'Amico" }] });
    let created = asking.post("Patient", &written).await;
    assert_eq!(created.status, StatusCode::CREATED, "{:?}", created.body);
    assert_eq!(created.json()["name"], json!([{ "text": "D'Amico" }]));
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let by_family = asking.get("Patient?family=D'Amico").await.json();
    assert_eq!(by_family["total"], 1, "{by_family}");
    let updated = json!({ "resourceType": "Patient", "id": id, "name": [{ "text": "De Santis" }] });
    assert_eq!(asking.put(&format!("Patient/{id}"), &updated).await.status, StatusCode::OK);
    assert_eq!(asking.get("Patient?family=De%20Santis").await.json()["total"], 1);
    let record = region.audited(&read).await;
    assert!(record.to_string().contains(TO_NETWORK), "{record}");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_that_fails_shows_nothing_unmapped() {
    let folder = folder();
    let permit = "[consent]\nwithout_consent = \"permit\"\n";
    let of = |policy| format!("{permit}{}{}", maps(folder.path(), 0), routes(policy));
    let patients = [("anna", "female"), ("otto", "other")].map(|(id, gender)| {
        json!({ "resourceType": "Patient", "id": id, "gender": gender, "name": [{ "family": "Segreti" }] })
    });
    let closed = Region::start_bare(&of("refuse")).await;
    patients.iter().for_each(|patient| closed.seed(patient));
    let asking = closed.asking();
    for path in ["Patient/otto", "Patient?family=Segreti"] {
        let reply = asking.get(path).await;
        assert_eq!(reply.status, StatusCode::BAD_GATEWAY, "{path}: {:?}", reply.body);
        let text = String::from_utf8(reply.body.to_vec()).unwrap();
        assert!(!text.contains("Segreti") && !text.contains("other"), "{text}");
    }
    assert_eq!(asking.get("Patient/anna").await.status, StatusCode::OK);
    // A write is done whether or not it can be told: the answer then has no body.
    let told = asking.post("Patient", &json!({ "resourceType": "Patient", "gender": "other" })).await;
    assert_eq!((told.status, told.body.len()), (StatusCode::CREATED, 0), "{:?}", told.body);
    closed.stop().await;

    let leaving = Region::start_bare(&of("leave-out")).await;
    patients.iter().for_each(|patient| leaving.seed(patient));
    let asking = leaving.asking();
    assert_eq!(asking.get("Patient/otto").await.status, StatusCode::BAD_GATEWAY);
    let found = asking.get("Patient?family=Segreti").await.json();
    assert_eq!(found["total"], 1, "{found}");
    assert_eq!(found["entry"][0]["resource"]["id"], "anna");
    assert_eq!(found["entry"][1]["search"]["mode"], "outcome");
    assert!(!found.to_string().contains("otto"), "{found}");
    leaving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_map_makes_is_judged_again() {
    let folder = folder();
    // The map labels a patient; the consent withholds what bears the label.
    let label = "src.id -> tgt.id; src.name -> tgt.name;\n\
        src -> tgt.meta as m, m.security = c('http://terminology.hl7.org/CodeSystem/v3-Confidentiality', 'R') \"label\";";
    std::fs::write(folder.path().join("out.fml"), map(TO_NETWORK, label)).unwrap();
    let region = Region::start_bare(&format!("{}{}", maps(folder.path(), 0), routes("refuse"))).await;
    region.seed(&json!({ "resourceType": "Patient", "id": "anna", "name": [{ "family": "Forlì" }] }));
    let asking = region.asking();
    let normal = json!({ "type": "permit", "securityLabel": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N" }] });
    let all = json!({ "type": "permit", "purpose": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT" }] });
    let recorded = asking.post("Consent", &harness::consent("Patient/anna", all)).await;
    assert_eq!(recorded.status, StatusCode::CREATED);
    assert_eq!(asking.get("Patient/anna").await.status, StatusCode::OK);
    let id = recorded.json()["id"].clone();
    let mut narrower = harness::consent("Patient/anna", normal);
    narrower["id"] = id.clone();
    let path = format!("Consent/{}", id.as_str().unwrap());
    assert_eq!(asking.put(&path, &narrower).await.status, StatusCode::OK);
    assert_eq!(asking.get("Patient/anna").await.status, StatusCode::NOT_FOUND);
    assert_eq!(asking.get("Patient?family=Forl%C3%AC").await.json()["total"], 0);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_maps_are_taken_up_whole_or_not_at_all() {
    let folder = folder();
    let region = Region::start_bare(&maps(folder.path(), 1)).await;
    let asking = region.asking();
    let patient = json!({ "resourceType": "Patient", "name": [{ "family": "Rossi" }] });
    let named = |url: &str| format!("StructureMap/$transform?source={url}");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    // One of the two files is broken: the old set stays, whole.
    write("in.fml", "map broken");
    write(
        "out.fml",
        &map(
            TO_NETWORK,
            "src.name as n -> tgt.name as m then { n.family as f -> m.given = f \"f\"; } \"n\";",
        ),
    );
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let old = asking.post(&named(TO_NETWORK), &patient).await.json();
    assert_eq!(old["name"], json!([{ "text": "Rossi" }]));
    assert_eq!(asking.post(&named(TO_LOCAL), &patient).await.status, StatusCode::OK);
    write("in.fml", &map(TO_LOCAL, IN));
    for _ in 0..100 {
        let new = asking.post(&named(TO_NETWORK), &patient).await.json();
        if new["name"] == json!([{ "given": ["Rossi"] }]) {
            return region.stop().await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the changed maps were not taken up");
}

/// A `varco serve` of its own process; killed with the test.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn losses_are_counted_by_map_and_rule_and_the_log_names_no_value() {
    let folder = folder();
    // A value that the map can't hold: the fault's text has it, the log must not.
    let wrong = "src.name as n -> tgt.birthDate = (n.family) \"born\";";
    std::fs::write(folder.path().join("wrong.fml"), map("http://example.org/wrong", wrong)).unwrap();
    let hospital =
        Hospital::start((Ipv4Addr::LOCALHOST, 0).into(), HospitalOptions::default()).await.unwrap();
    let more = format!(
        "[consent]\nwithout_consent = \"permit\"\n{}[[route]]\nname = \"people\"\n[[route.map]]\ntype = \"Patient\"\n\
         direction = \"responses\"\ncanonical = \"http://example.org/wrong\"\n",
        maps(folder.path(), 0)
    );
    hospital.seed([r#"{"resourceType":"Patient","id":"p","name":[{"family":"Segreti"}]}"#]).unwrap();
    let setup = Setup::new(hospital.base_url(), &more);
    let log = setup.folder.path().join("log");
    let child = Command::new(env!("CARGO_BIN_EXE_varco"))
        .args(["serve", "--config"])
        .arg(setup.config_file())
        .stdout(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let _serving = Serving(child);
    listening(setup.port).await;
    let asking = setup.client();
    let patient =
        json!({ "resourceType": "Patient", "name": [{ "family": "Segreti", "given": ["Anna", "Eva"] }] });
    let path = format!("StructureMap/$transform?source={TO_NETWORK}");
    assert_eq!(asking.post(&path, &patient).await.status, StatusCode::OK);
    assert_eq!(asking.get("Patient/p").await.status, StatusCode::BAD_GATEWAY);
    let told = asking.post("StructureMap/$transform?source=http://example.org/wrong", &patient).await;
    assert!(told.issue().1.contains("Segreti"), "{:?}", told.issue());

    let url = format!("http://127.0.0.1:{}/metrics", setup.admin);
    let metrics = String::from_utf8(asking.get(&url).await.body.to_vec()).unwrap();
    let counted = |line: &str| assert!(metrics.lines().any(|own| own == line), "{line}\n{metrics}");
    counted(&format!("varco_map_lost_total{{map=\"{TO_NETWORK}\",rule=\"main / name\"}} 2"));
    counted(&format!("varco_map_runs_total{{map=\"{TO_NETWORK}\",result=\"mapped\"}} 1"));
    counted("varco_map_runs_total{map=\"http://example.org/wrong\",result=\"failed\"} 2");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("rule main / born") && !log.contains("Segreti"), "{log}");
}

#[test]
fn check_explains_every_fault_of_maps() {
    let folder = folder();
    std::fs::write(
        folder.path().join("broken.fml"),
        map("http://example.org/broken", "src.nome -> tgt.name;"),
    )
    .unwrap();
    let person = "map \"http://example.org/person\" = \"p\"\n\
        uses \"http://hl7.org/fhir/StructureDefinition/Patient\" alias Patient as source\n\
        uses \"http://hl7.org/fhir/StructureDefinition/Person\" alias Person as target\n\
        group main(source src : Patient, target tgt : Person) { src.name -> tgt.name; }\n";
    std::fs::write(folder.path().join("person.fml"), person).unwrap();
    let entry = |canonical: &str, direction: &str| {
        format!(
            "[[route.map]]\ntype = \"Patient\"\ndirection = \"{direction}\"\ncanonical = \"{canonical}\"\n"
        )
    };
    let routes = format!(
        "[[route]]\nname = \"people\"\n{}{}{}",
        entry("http://example.org/none", "responses"),
        entry("http://example.org/person", "requests"),
        entry("http://example.org/person", "requests"),
    );
    let setup = Setup::new("http://127.0.0.1:9/fhir", &format!("{}{routes}", maps(folder.path(), 0)));
    let checked = Command::new(env!("CARGO_BIN_EXE_varco"))
        .args(["check", "--config"])
        .arg(setup.config_file())
        .output()
        .unwrap();
    let told = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(checked.status.code(), Some(1), "{told}");
    for part in [
        "broken.fml:5:",
        "no element \"nome\"",
        "route[0].map[0].canonical: There is no map http://example.org/none.",
        "urn:varco:map:eu-lab-to-fse-lab",
        "route[0].map[1].type: The map http://example.org/person makes",
        "Patient of requests have a map already",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    for name in ["broken.fml", "person.fml"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    let routes = format!("[[route]]\nname = \"people\"\n{}", entry(TO_NETWORK, "responses"));
    let setup = Setup::new("http://127.0.0.1:9/fhir", &format!("{}{routes}", maps(folder.path(), 0)));
    let checked = Command::new(env!("CARGO_BIN_EXE_varco"))
        .args(["check", "--config"])
        .arg(setup.config_file())
        .output()
        .unwrap();
    let told = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(0), "{told}");
    assert!(told.contains(&format!("a Patient that may be shown is mapped by {TO_NETWORK}")), "{told}");
}
