//! Nothing of the plane opens what is shut here.

use http::StatusCode;
use serde_json::json;

use crate::application::*;
use crate::harness::consent;
use crate::harness::national::taken;

#[tokio::test(flavor = "multi_thread")]
async fn a_mask_stays_shut_whatever_becomes_of_its_publication() {
    let fse = "[fse]\nmasking = true\nmasking_systems = [\"urn:varco:synthetic:fse-masking\"]\n";
    let (mut national, region, application) = plane(fse).await;
    let given = consent("Patient/anna", json!({ "type": "permit" }));
    region.seed(&json!({ "resourceType": "Patient", "id": "anna" }));
    assert_eq!(region.asking().post("Consent", &given).await.status, StatusCode::CREATED);
    region.seed(&json!({ "resourceType": "DocumentReference", "id": "ricetta", "status": "current",
        "type": { "coding": [{ "system": "http://loinc.org", "code": "57833-6" }] }, "subject": { "reference": "Patient/anna" },
        "securityLabel": [{ "coding": [{ "system": "urn:varco:synthetic:fse-masking", "code": "P99" }] }],
        "content": [{ "attachment": { "contentType": "application/pdf" } }] }));
    let shut = async |when: &str| {
        for path in ["DocumentReference/ricetta", "DocumentReference/absent"] {
            assert_eq!(region.asking().get(path).await.status, StatusCode::NOT_FOUND, "{path} {when}");
        }
        let found = region.asking().get("DocumentReference?patient=Patient/anna").await.json();
        assert_eq!(found["total"], 0, "{when}");
    };
    shut("before").await;
    let document = format!("{DOC}9");
    let mask = Send {
        claims: json!({ "action_id": "UPDATE", "purpose_of_use": "TREATMENT" }),
        ..metadata(&document, "P99")
    };
    let refusal = br#"{"type":"/msg/jwt-validation","status":403}"#;
    national.answers(|_| Some((403, "application/problem+json", refusal.to_vec())));
    let refused = application.send("1", &mask).await;
    assert_eq!((refused.status, &refused.body[..]), (StatusCode::FORBIDDEN, &refusal[..]));
    shut("while the purpose is refused").await;
    let ended = application.outbox().await["ended"][0].clone();
    assert_eq!(
        (&ended["id"], &ended["state"]),
        (&json!(refused.request_id()), &json!("refused")),
        "the operator is told"
    );
    national.down().await;
    assert_eq!(problem(&application.send("2", &mask).await), "mw/io_error");
    shut("while the mask waits").await;
    assert_eq!(problem(&application.send("3", &metadata(&document, "P00")).await), "mw/io_error");
    shut("while the unmasking waits").await;
    national.answers(|_| Some(taken()));
    national.up().await;
    application.emptied().await;
    shut("after the gateway took the unmasking: the hospital's own label decides here").await;
    region.stop().await;
}
