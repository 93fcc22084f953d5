//! A sidecar before `sekmet-fhir`, a FHIR R4 server that nobody here wrote: create, read, search, consented and
//! refused, audit found afterwards. The variable `SEKMET` names its program.
#![allow(clippy::unwrap_used)]

mod harness;

use harness::sekmet::Sekmet;
use harness::{Reply, Setup, consent};
use http::StatusCode;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use varco::{config, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_nobody_here_wrote_is_protected() {
    let Some(server) = Sekmet::start().await else { return };

    let alias = "[[identity.alias]]\nlocal = \"http://hl7.it/sid/codiceFiscale\"\nnetwork = \"urn:oid:2.16.840.1.113883.2.9.4.3.2\"\n";
    let setup = Setup::new(&server.base(), &format!("[consent]\nwithout_consent = \"permit\"\n{alias}"));
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let running = run::start(config::load(&setup.config_file()).unwrap(), metrics).await.unwrap();
    let asking = setup.client();
    let network = "urn:oid:2.16.840.1.113883.2.9.4.3.2";

    let patient = |family: &str, code: &str| {
        json!({ "resourceType": "Patient", "name": [{ "family": family, "given": ["Niccolò"] }],
        "identifier": [{ "system": network, "value": code }], "gender": "male", "birthDate": "1971-05-01" })
    };
    let seen = asking.post("Patient", &patient("Forlì", "RSSMRA71E01F205E")).await;
    let hidden = asking.post("Patient", &patient("D'Amico", "GTWGWY82B42G920M")).await;
    assert_eq!((seen.status, hidden.status), (StatusCode::CREATED, StatusCode::CREATED), "{:?}", seen.body);
    let id = |reply: &Reply| reply.json()["id"].as_str().unwrap().to_owned();
    let (seen, hidden) = (id(&seen), id(&hidden));
    let observation = |patient: &str| {
        json!({ "resourceType": "Observation", "status": "final", "subject": { "reference": format!("Patient/{patient}") },
        "code": { "coding": [{ "system": "http://loinc.org", "code": "14957-5" }] }, "valueQuantity": { "value": 12.5, "unit": "mg/L" } })
    };
    for owner in [&seen, &hidden] {
        let created = asking.post("Observation", &observation(owner)).await;
        assert_eq!(created.status, StatusCode::CREATED, "{:?}", created.body);
    }

    let permit = json!({ "type": "permit", "purpose": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT" }] });
    assert_eq!(
        asking.post("Consent", &consent(&format!("Patient/{seen}"), permit)).await.status,
        StatusCode::CREATED
    );
    let research = json!({ "type": "permit", "purpose": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH" }] });
    assert_eq!(
        asking.post("Consent", &consent(&format!("Patient/{hidden}"), research)).await.status,
        StatusCode::CREATED
    );

    let read = asking.get(&format!("Patient/{seen}")).await;
    assert_eq!(read.status, StatusCode::OK);
    assert_eq!(read.json()["name"][0]["family"], "Forlì");
    assert_eq!(read.json()["identifier"][0]["system"], network);
    let refused = asking.get(&format!("Patient/{hidden}")).await;
    let absent = asking.get("Patient/00000000-0000-4000-8000-000000000000").await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    assert_eq!(refused.appearance(), absent.appearance());

    let total = |bundle: Value| (bundle["total"].as_u64(), bundle["entry"].as_array().map_or(0, Vec::len));
    assert_eq!(
        total(asking.get(&format!("Patient?identifier={network}%7CRSSMRA71E01F205E")).await.json()),
        (Some(1), 1)
    );
    assert_eq!(
        total(asking.get(&format!("Patient?identifier={network}%7CGTWGWY82B42G920M")).await.json()),
        (Some(0), 0)
    );
    assert_eq!(total(asking.get(&format!("Observation?patient={seen}")).await.json()), (Some(1), 1));
    assert_eq!(total(asking.get(&format!("Observation?patient={hidden}")).await.json()), (Some(0), 0));

    for (reply, outcome, patient) in [(&read, "0", &seen), (&refused, "8", &hidden)] {
        let found =
            asking.get(&format!("AuditEvent?entity:identifier=%7C{}", reply.request_id())).await.json();
        assert_eq!(found["total"], 1, "{found}");
        let event = &found["entry"][0]["resource"];
        assert_eq!(event["outcome"], outcome);
        assert!(event.to_string().contains(&format!("Patient/{patient}")), "{event}");
    }
    let of_patient =
        asking.get(&format!("AuditEvent?patient=Patient/{hidden}&date=ge2026-01-01")).await.json();
    assert!(of_patient["total"].as_u64().unwrap() >= 2, "{of_patient}");
    running.stop().await;
    drop(server);
}
