//! Masking, inherited labels and consents by identifier, against a running sidecar.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use harness::{Asking, Region, consent};
use http::StatusCode;
use serde_json::{Value, json};

const CF: &str = "http://hl7.it/sid/codiceFiscale";
const CF_OID: &str = "urn:oid:2.16.840.1.113883.2.9.4.3.2";
const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
const MASKING: &str = "urn:varco:synthetic:fse-masking";
const NRE: &str = "urn:oid:2.16.840.1.113883.2.9.4.3.8";
const FSE: &str = "[fse]\nmasking = true\nmasking_systems = [\"urn:varco:synthetic:fse-masking\"]\n";

/// Permits whatever is asked for.
fn permit() -> Value {
    json!({ "type": "permit" })
}

fn patient(id: &str, born: &str) -> Value {
    json!({ "resourceType": "Patient", "id": id, "birthDate": born, "identifier": [{ "system": CF, "value": format!("CF-{id}") }] })
}

fn document(id: &str, labels: &[(&str, &str)], numbers: &[&str]) -> Value {
    let labels: Vec<Value> = labels
        .iter()
        .map(|(system, code)| json!({ "coding": [{ "system": system, "code": code }] }))
        .collect();
    let related: Vec<Value> =
        numbers.iter().map(|number| json!({ "identifier": { "system": NRE, "value": number } })).collect();
    let mut document = json!({ "resourceType": "DocumentReference", "id": id, "status": "current",
        "type": { "coding": [{ "system": "http://loinc.org", "code": "11502-2" }] },
        "subject": { "reference": "Patient/anna" }, "securityLabel": labels,
        "content": [{ "attachment": { "contentType": "application/pdf", "url": format!("Binary/{id}") } }] });
    if labels_are_missing(&document) {
        document.as_object_mut().unwrap().remove("securityLabel");
    }
    if !related.is_empty() {
        document["context"] = json!({ "related": related });
    }
    document
}

fn labels_are_missing(document: &Value) -> bool {
    document["securityLabel"].as_array().is_some_and(Vec::is_empty)
}

fn binary(id: &str, context: &str) -> Value {
    json!({ "resourceType": "Binary", "id": id, "contentType": "application/pdf",
        "securityContext": { "reference": context }, "data": "JVBERi0=" })
}

/// The same caller in another role of FSE, for another purpose, with these claims.
fn acting(region: &Region, role: &str, purpose: &str, fse: Value) -> Asking {
    let claims = json!({ "extensions": { "ihe_iua": {
        "subject_role": [{ "system": "urn:varco:synthetic:ruoli", "code": role }],
        "purpose_of_use": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": purpose }] },
        "fse": fse } });
    region.asking().with_token(Some(region.setup.token(claims)))
}

async fn status(asking: &Asking, path: &str) -> StatusCode {
    asking.get(path).await.status
}

const OK: StatusCode = StatusCode::OK;
const ABSENT: StatusCode = StatusCode::NOT_FOUND;

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_may_name_its_patient_by_an_identifier_under_any_alias() {
    let region = Region::start_bare("").await;
    region.seed(&patient("anna", "1980-01-01"));
    region.seed(&patient("bruno", "1980-01-01"));
    let asking = region.asking();
    assert_eq!(status(&asking, "Patient/anna").await, ABSENT);
    let mut given = consent("Patient/anna", permit());
    given["patient"] = json!({ "type": "Patient", "identifier": { "system": CF_OID, "value": "CF-anna" } });
    let written = asking.post("Consent", &given).await;
    assert_eq!(written.status, StatusCode::CREATED, "{:?}", written.body);
    assert_eq!(status(&asking, "Patient/anna").await, OK);
    assert_eq!(status(&asking, "Patient/bruno").await, ABSENT);
    let kept = asking.get("Consent?patient=Patient/anna").await.json();
    assert_eq!(kept["total"], 1, "{kept}");
    // Revoked, it is gone with the next request.
    let id = written.json()["id"].as_str().unwrap().to_owned();
    given["id"] = id.clone().into();
    given["status"] = "inactive".into();
    assert_eq!(asking.put(&format!("Consent/{id}"), &given).await.status, OK);
    assert_eq!(status(&asking, "Patient/anna").await, ABSENT);
    given.as_object_mut().unwrap().remove("id");
    for nobody in [
        json!({ "identifier": { "value": "CF-anna" } }),
        json!({ "display": "Anna" }),
        json!({ "reference": "https://h2.example/fhir/Patient/1" }),
    ] {
        given["patient"] = nobody;
        assert_eq!(asking.post("Consent", &given).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_is_as_visible_as_the_document_it_belongs_to() {
    let region = Region::start_bare("").await;
    region.seed(&patient("anna", "1980-01-01"));
    let asking = region.asking();
    let deny = json!({ "type": "deny", "securityLabel": [{ "system": CONFIDENTIALITY, "code": "V" }] });
    let mut given = consent("Patient/anna", permit());
    given["provision"] = json!({ "type": "permit", "provision": [deny] });
    assert_eq!(asking.post("Consent", &given).await.status, StatusCode::CREATED);
    region.seed(&document("aperto", &[(CONFIDENTIALITY, "N")], &[]));
    region.seed(&document("chiuso", &[(CONFIDENTIALITY, "V")], &[]));
    region.seed(&document("chiuso-2", &[(CONFIDENTIALITY, "V")], &[]));
    region.seed(&binary("aperto", "DocumentReference/aperto"));
    region.seed(&binary("chiuso", "DocumentReference/chiuso"));
    region.seed(&binary("chiuso-2", "Patient/anna"));
    region.seed(&binary("orfano", "DocumentReference/mai-visto"));
    assert_eq!(status(&asking, "DocumentReference/aperto").await, OK);
    assert_eq!(status(&asking, "DocumentReference/chiuso").await, ABSENT);
    assert_eq!(status(&asking, "Binary/aperto").await, OK);
    let absent = asking.get("Binary/mai-visto").await.appearance();
    for hidden in ["Binary/chiuso", "Binary/chiuso-2", "Binary/orfano"] {
        let mut found = asking.get(hidden).await.appearance();
        found.1.clone_from(&absent.1);
        assert_eq!(found, absent, "{hidden}");
    }
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_of_reports_and_lists_count_where_the_deployment_says_so() {
    for (setting, expected) in [("", OK), ("[consent]\ninherit_labels = \"all\"\n", ABSENT)] {
        let region = Region::start_bare(setting).await;
        region.seed(&patient("anna", "1980-01-01"));
        let asking = region.asking();
        let deny = json!({ "type": "deny", "securityLabel": [{ "system": CONFIDENTIALITY, "code": "R" }] });
        let mut given = consent("Patient/anna", permit());
        given["provision"] = json!({ "type": "permit", "provision": [deny] });
        assert_eq!(asking.post("Consent", &given).await.status, StatusCode::CREATED);
        let normal = json!({ "security": [{ "system": CONFIDENTIALITY, "code": "N" }] });
        for id in ["sodio", "hiv"] {
            region.seed(&json!({ "resourceType": "Observation", "id": id, "meta": normal, "status": "final",
                "code": { "text": id }, "subject": { "reference": "Patient/anna" } }));
        }
        region.seed(&json!({ "resourceType": "DiagnosticReport", "id": "r", "status": "final", "code": { "text": "x" },
            "meta": { "security": [{ "system": CONFIDENTIALITY, "code": "R" }] },
            "subject": { "reference": "Patient/anna" }, "result": [{ "reference": "Observation/hiv" }] }));
        assert_eq!(status(&asking, "Observation/sodio").await, OK, "{setting}");
        assert_eq!(status(&asking, "Observation/hiv").await, expected, "{setting}");
        region.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn masked_documents_are_absent_for_whom_they_are_masked_from() {
    let region = Region::start_bare(FSE).await;
    region.seed(&patient("anna", "1980-01-01"));
    assert_eq!(
        region.asking().post("Consent", &consent("Patient/anna", permit())).await.status,
        StatusCode::CREATED
    );
    for (id, labels, numbers) in [
        ("aperto", &[(CONFIDENTIALITY, "N")][..], &[][..]),
        ("oscurato", &[(MASKING, "P99")], &[]),
        ("tutela", &[(CONFIDENTIALITY, "V")], &[]),
        ("tutela-visibile", &[(CONFIDENTIALITY, "V"), (MASKING, "P00")], &[]),
        ("non-al-genitore", &[(MASKING, "P97")], &[]),
        ("non-al-paziente", &[(MASKING, "P98")], &[]),
        ("ricetta", &[(MASKING, "P99")], &["0300A1"]),
        ("referto", &[], &["0300A1"]),
        ("altro-referto", &[], &["0300A2"]),
    ] {
        region.seed(&document(id, labels, numbers));
    }
    region.seed(&binary("oscurato", "DocumentReference/oscurato"));
    region.seed(
        &json!({ "resourceType": "MedicationRequest", "id": "farmaco", "status": "active", "intent": "order",
        "subject": { "reference": "Patient/anna" }, "medicationCodeableConcept": { "text": "x" } }),
    );
    let both = json!({ "delegations": ["consult", "services"] });
    let sees = |asking: Asking| async move {
        let mut seen = Vec::new();
        for id in [
            "aperto",
            "oscurato",
            "tutela",
            "tutela-visibile",
            "non-al-genitore",
            "non-al-paziente",
            "ricetta",
            "referto",
            "altro-referto",
        ] {
            if status(&asking, &format!("DocumentReference/{id}")).await == OK {
                seen.push(id);
            }
        }
        let found = asking.get("DocumentReference?patient=anna").await.json();
        assert_eq!(found["total"], seen.len(), "a search finds what a read finds: {found}");
        seen
    };
    let doctor = acting(&region, "APR", "TREAT", json!({}));
    let open = ["aperto", "tutela-visibile", "non-al-genitore", "non-al-paziente", "altro-referto"];
    assert_eq!(sees(doctor.clone()).await, open);
    let to_patient = [
        "aperto",
        "oscurato",
        "tutela",
        "tutela-visibile",
        "non-al-genitore",
        "ricetta",
        "referto",
        "altro-referto",
    ];
    assert_eq!(sees(acting(&region, "ASS", "PATRQT", json!({}))).await, to_patient);
    let to_parent = [
        "aperto",
        "oscurato",
        "tutela",
        "tutela-visibile",
        "non-al-paziente",
        "ricetta",
        "referto",
        "altro-referto",
    ];
    assert_eq!(sees(acting(&region, "GEN", "PATRQT", json!({}))).await, to_parent);
    assert_eq!(
        sees(acting(&region, "ING", "PATRQT", json!({ "delegations": "consult" }))).await,
        ["aperto", "altro-referto"]
    );
    assert_eq!(
        sees(acting(&region, "ING", "PATRQT", both)).await,
        ["aperto", "oscurato", "ricetta", "referto", "altro-referto"]
    );
    assert_eq!(sees(acting(&region, "ING", "PATRQT", json!({}))).await, [""; 0]);
    assert_eq!(sees(acting(&region, "primario", "TREAT", json!({}))).await, [""; 0]);
    assert_eq!(sees(acting(&region, "AAS", "BTG", json!({ "self_certifications": 1 }))).await, [""; 0]);
    assert_eq!(sees(acting(&region, "AAS", "BTG", json!({ "self_certifications": 2 }))).await, open);
    assert_eq!(status(&doctor, "Binary/oscurato").await, ABSENT);
    assert_eq!(status(&acting(&region, "ASS", "PATRQT", json!({})), "Binary/oscurato").await, OK);
    assert_eq!(status(&doctor, "MedicationRequest/farmaco").await, OK);
    assert_eq!(
        status(&acting(&region, "OAM", "TREAT", json!({})), "MedicationRequest/farmaco").await,
        ABSENT
    );
    // Why stands in the audit record, for those who review accesses; the caller learns nothing.
    let hidden = doctor.get("DocumentReference/referto").await;
    let record = region.audited(&hidden).await;
    assert!(record.to_string().contains("same prescription number is masked"), "{record}");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_parent_permitted_ends_at_eighteen() {
    let region = Region::start_bare(FSE).await;
    let asking = region.asking();
    for (id, born) in [("bambina", "2019-05-01"), ("adulta", "2000-05-01"), ("ignota", "")] {
        let mut own = patient(id, born);
        if born.is_empty() {
            own.as_object_mut().unwrap().remove("birthDate");
        }
        region.seed(&own);
        let mut given = consent(&format!("Patient/{id}"), permit());
        given["dateTime"] = "2015-01-01".into();
        given["provision"] = permit();
        assert_eq!(asking.post("Consent", &given).await.status, StatusCode::CREATED);
    }
    assert_eq!(status(&asking, "Patient/bambina").await, OK);
    assert_eq!(status(&asking, "Patient/adulta").await, ABSENT);
    assert_eq!(status(&asking, "Patient/ignota").await, ABSENT);
    let mut anew = consent("Patient/adulta", permit());
    anew["dateTime"] = "2020-01-01".into();
    anew["provision"] = permit();
    assert_eq!(asking.post("Consent", &anew).await.status, StatusCode::CREATED);
    assert_eq!(status(&asking, "Patient/adulta").await, OK);
    region.stop().await;
}
