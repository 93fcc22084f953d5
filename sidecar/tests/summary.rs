//! `Patient/[id]/$summary`: composed of what the caller may see, the same in a world without the hidden resources, and
//! valid against the profile of the International Patient Summary.
#![allow(clippy::unwrap_used)]

mod harness;

use std::io::Write;
use std::process::{Command, Stdio};

use harness::{Asking, Region};
use serde_json::{Value, json};

const LIMITS: &str = "[limits]\nrequests_per_second = 10000\nburst = 10000\n";
const LOINC: &str = "http://loinc.org";

fn of(patient: &str, kind: &str, id: &str, more: Value) -> Value {
    let subject = if matches!(kind, "AllergyIntolerance" | "Immunization") { "patient" } else { "subject" };
    let mut made = json!({ "resourceType": kind, "id": id });
    made[subject] = json!({ "reference": format!("Patient/{patient}") });
    made.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    made
}

fn status(of: &str, code: &str) -> Value {
    json!({ "coding": [{ "system": format!("http://terminology.hl7.org/CodeSystem/{of}"), "code": code }] })
}

fn measured(id: &str, category: &str, loinc: &str, unit: &str) -> Value {
    let category = json!([status("observation-category", category)]);
    let value = json!({ "value": 7.2, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit });
    let code = json!({ "coding": [{ "system": LOINC, "code": loinc }] });
    let more = json!({ "status": "final", "category": category, "code": code, "valueQuantity": value,
        "effectiveDateTime": "2026-02-01T08:00:00Z", "performer": [{ "display": "Laboratorio" }] });
    of("anna", "Observation", id, more)
}

/// What the caller may see of anna, without allergies.
fn visible() -> Vec<Value> {
    let (clinical, verified) = ("condition-clinical", "condition-ver-status");
    vec![
        json!({ "resourceType": "Patient", "id": "anna", "name": [{ "family": "Forlì", "given": ["Anna"] }],
            "identifier": [{ "system": "http://hl7.it/sid/codiceFiscale", "value": "CF-anna" }], "gender": "female", "birthDate": "1960-01-01" }),
        of(
            "anna",
            "Condition",
            "asthma",
            json!({ "code": { "text": "Asma <grave>" },
            "clinicalStatus": status(clinical, "active"), "verificationStatus": status(verified, "confirmed"), "onsetDateTime": "2019-05" }),
        ),
        of(
            "anna",
            "Condition",
            "fracture",
            json!({ "code": { "text": "Frattura" }, "clinicalStatus": status(clinical, "resolved"), "onsetDateTime": "2001" }),
        ),
        json!({ "resourceType": "Medication", "id": "pill", "code": { "text": "Salbutamolo" } }),
        of(
            "anna",
            "MedicationStatement",
            "takes",
            json!({ "status": "active", "medicationReference": { "reference": "Medication/pill" },
            "effectivePeriod": { "start": "2019-06" }, "dosage": [{ "text": "al bisogno" }] }),
        ),
        measured("glucose", "laboratory", "14749-6", "mmol/L"),
        measured("weight", "vital-signs", "29463-7", "kg"),
    ]
}

/// An allergy, a problem and a result of anna's that name carla, who permits nothing.
fn hidden() -> Vec<Value> {
    let carla = json!({ "reference": "Patient/carla" });
    let secret = json!({ "text": "Segreto" });
    let mut result = measured("hr", "laboratory", "14749-6", "mmol/L");
    result["performer"] = json!([carla]);
    vec![
        of("anna", "AllergyIntolerance", "ha", json!({ "code": secret, "asserter": carla })),
        of("anna", "Condition", "hc", json!({ "code": secret, "asserter": carla })),
        of(
            "anna",
            "MedicationStatement",
            "hm",
            json!({ "status": "active", "medicationCodeableConcept": secret, "informationSource": carla,
            "effectiveDateTime": "2026" }),
        ),
        result,
    ]
}

/// A summary without what differs between any two requests and servers: the document's own ids, times, ports.
async fn summary(asking: &Asking, patient: &str, port: u16) -> String {
    let reply = asking.get(&format!("Patient/{patient}/$summary")).await;
    assert_eq!(reply.status, 200, "{}", reply.json());
    let mut bundle = reply.json();
    let own = [&bundle["identifier"]["value"], &bundle["entry"][0]["fullUrl"], &author(&bundle)["fullUrl"]]
        .map(|urn| urn.as_str().unwrap().strip_prefix("urn:uuid:").unwrap().to_owned());
    bundle["timestamp"] = Value::Null;
    bundle["entry"][0]["resource"]["date"] = Value::Null;
    for entry in bundle["entry"].as_array_mut().unwrap() {
        if let Some(meta) = entry["resource"]["meta"].as_object_mut() {
            meta.remove("lastUpdated");
        }
    }
    let text = bundle.to_string().replace(&format!("127.0.0.1:{port}"), "HOST");
    own.iter().fold(text, |text, uuid| text.replace(uuid, "UUID"))
}

fn author(bundle: &Value) -> &Value {
    bundle["entry"].as_array().unwrap().last().unwrap()
}

fn section<'b>(bundle: &'b Value, code: &str) -> &'b Value {
    let sections = bundle["entry"][0]["resource"]["section"].as_array().unwrap();
    sections.iter().find(|own| own["code"]["coding"][0]["code"] == code).unwrap()
}

/// What `varco validate` finds against the profile of the summary; the program fails where there are errors.
fn validate(bundle: &Value) -> (bool, String) {
    let profile = "http://hl7.org/fhir/uv/ips/StructureDefinition/Bundle-uv-ips";
    let mut child = Command::new(env!("CARGO_BIN_EXE_varco"))
        .args(["validate", "--profile", profile, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bundle.to_string().as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    (out.status.success(), String::from_utf8(out.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_tells_nothing_of_what_is_hidden_and_is_valid() {
    let (with, without) = (Region::start(LIMITS).await, Region::start(LIMITS).await);
    for made in visible() {
        with.seed(&made);
        without.seed(&made);
    }
    for made in hidden() {
        with.seed(&made);
    }
    let (a, b) = (with.asking(), without.asking());
    let (port_a, port_b) = (with.setup.port, without.setup.port);
    for patient in ["anna", "bruno"] {
        assert_eq!(summary(&a, patient, port_a).await, summary(&b, patient, port_b).await, "{patient}");
    }
    let reply = a.get("Patient/anna/$summary?_format=json&_pretty=false").await;
    let bundle = reply.json();
    let (valid, found) = validate(&bundle);
    assert!(valid, "{found}\n{bundle}");
    assert!(!bundle.to_string().contains("Segreto") && !bundle.to_string().contains("carla"), "{bundle}");
    // An allergy is hidden, which looks as where there is none.
    let bruno = a.get("Patient/bruno/$summary").await.json();
    assert_eq!(section(&bundle, "48765-2"), section(&bruno, "48765-2"));
    assert_eq!(section(&bundle, "48765-2")["emptyReason"]["coding"][0]["code"], "unavailable");
    let told = |code: &str| section(&bundle, code)["text"]["div"].as_str().unwrap().to_owned();
    assert!(told("11450-4").contains("Asma &lt;grave&gt;"), "{}", told("11450-4"));
    assert!(told("10160-0").contains("<td>Salbutamolo</td><td>al bisogno</td>"), "{}", told("10160-0"));
    assert!(told("30954-2").contains("7.2 mmol/L"), "{}", told("30954-2"));
    let url = format!("{}/Condition/asthma", a.base);
    let entry = bundle["entry"].as_array().unwrap().iter().find(|entry| entry["fullUrl"] == *url).unwrap();
    assert_eq!(entry["resource"], a.get("Condition/asthma").await.json());
    // The composition, the patient, five of hers, a medication, the author.
    assert_eq!(bundle["entry"].as_array().unwrap().len(), 9);

    // What is put in the trail is an operation on the patient, with what was asked; nothing was asked of the server as one.
    let reply = b.get("Patient/anna/$summary").await;
    let record = without.audited(&reply).await;
    assert_eq!(record["subtype"][0]["code"], "operation");
    assert!(record["entity"].to_string().contains("Patient/anna"), "{record}");
    assert!(!with.hospital.requests().iter().any(|seen| seen.target.contains('$')));

    // A visible allergy and the sections of what else there is.
    with.seed(&of(
        "anna",
        "AllergyIntolerance",
        "nuts",
        json!({ "code": { "text": "Noci" }, "criticality": "high",
        "clinicalStatus": status("allergyintolerance-clinical", "active") }),
    ));
    with.seed(&of(
        "anna",
        "Immunization",
        "flu",
        json!({ "status": "completed", "vaccineCode": { "text": "Influenza" },
        "occurrenceDateTime": "2025-10-10" }),
    ));
    with.seed(&of(
        "anna",
        "Procedure",
        "surgery",
        json!({ "status": "completed", "code": { "text": "Appendicectomia" },
        "performedDateTime": "1999" }),
    ));
    with.seed(&of(
        "anna",
        "CarePlan",
        "plan",
        json!({ "status": "active", "intent": "plan", "title": "Dieta" }),
    ));
    let bundle = a.get("Patient/anna/$summary").await.json();
    let (valid, found) = validate(&bundle);
    assert!(valid, "{found}\n{bundle}");
    for (code, words) in
        [("48765-2", "Noci"), ("11369-6", "Influenza"), ("47519-4", "Appendicectomia"), ("18776-5", "Dieta")]
    {
        assert!(section(&bundle, code)["text"]["div"].as_str().unwrap().contains(words), "{code}");
    }
    with.stop().await;
    without.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_is_of_one_patient_whom_the_caller_may_read() {
    let region = Region::start(LIMITS).await;
    for made in visible() {
        region.seed(&made);
    }
    let a = region.asking();
    for patient in ["carla", "nobody"] {
        let read = a.get(&format!("Patient/{patient}")).await;
        let reply = a.get(&format!("Patient/{patient}/$summary")).await;
        assert_eq!((reply.status, reply.json()), (read.status, read.json()), "{patient}");
        assert_eq!(reply.status, 404);
    }
    for (path, status) in [
        ("Patient/$summary", 404),
        ("Patient/anna/$summary?profile=http://x.example/p", 400),
        ("Patient/anna/$summary?identifier=x", 400),
        ("Observation/glucose/$summary", 404),
    ] {
        let reply = a.get(path).await;
        assert_eq!(reply.status, status, "{path}");
        let named = reply.json().to_string();
        assert!(["$summary", "profile", "identifier"].iter().any(|name| named.contains(name)), "{named}");
    }
    assert_eq!(a.post("Patient/anna/$summary", &json!({ "resourceType": "Parameters" })).await.status, 405);
    assert!(a.get("metadata").await.json().to_string().contains("uv/ips/OperationDefinition/summary"));

    // Types that the scopes don't cover stay out; scopes of one patient give that patient's summary alone.
    let scoped = |scope: &str, patient: Option<&str>| {
        let claims = json!({ "scope": scope, "patient": patient });
        a.with_token(Some(region.setup.token(claims)))
    };
    let narrow = scoped("system/Patient.rs system/MedicationStatement.rs", None);
    let bundle = narrow.get("Patient/anna/$summary").await.json();
    assert_eq!(section(&bundle, "11450-4")["emptyReason"]["coding"][0]["code"], "unavailable");
    assert_eq!(bundle["entry"].as_array().unwrap().len(), 4, "{bundle}");
    let reads = scoped("system/Patient.r", None);
    assert_eq!(reads.get("Patient/anna/$summary").await.status, 403);
    let own = scoped("patient/*.rs", Some("anna"));
    assert_eq!(section(&own.get("Patient/anna/$summary").await.json(), "11450-4")["entry"][1], Value::Null);
    assert_eq!(own.get("Patient/bruno/$summary").await.status, 404);
    region.stop().await;
}
