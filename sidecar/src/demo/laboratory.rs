//! Scenario 1: the German contact point reads a laboratory report of Niguarda.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use varco_conformance::patients::{Person, REGIONAL_LABORATORY_SYSTEM};

use super::network::{CF_LOCAL, CF_NETWORK, NCP};
use super::story::{Ask, Story};
use super::{DemoError, cast};

const TRACE_ID: &str = "6f1dbb1e3c0a4f0e9c1d5a7b8e2f4a60";

/// Plays it.
pub async fn play(story: &mut Story<'_>) -> Result<(), DemoError> {
    story.title("Scenario 1: the German contact point reads a laboratory report of Niguarda")?;
    let patient = cast::first_patient();
    let site = story.niguarda()?;
    let traceparent = format!("00-{TRACE_ID}-00f067aa0ba902b7-01");

    story.step(
        "The consent desk records: Niccolò D'Amico lets Germany see his laboratory results, for treatment",
    )?;
    let permit = json!({
        "type": "permit", "actor": cast::recipient(NCP, "DE"), "purpose": cast::treatment(),
    });
    let consent = cast::consent(&patient, "active", permit);
    let consent_id = record_consent(story, &consent).await?;

    story.step(
        "The contact point finds Niguarda's endpoint in the hub's directory, and gets a token for it",
    )?;
    let endpoints = story.network.directory(cast::GERMANY, "Endpoint").await?.json();
    let address = endpoints["entry"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| &entry["resource"])
        .find(|endpoint| endpoint["id"] == site.code)
        .and_then(|endpoint| endpoint["address"].as_str());
    story.must("the directory names its FHIR base", address == Some(&site.base))?;
    let token = story.network.token(cast::GERMANY, &site.base, "TREAT").await?;
    let ask = |path: String| Ask {
        traceparent: Some(&traceparent),
        ..Ask::get(cast::GERMANY, &token, format!("{}/{path}", site.base))
    };

    story.step("It searches the patient by codice fiscale, in the federation's system")?;
    site.hospital.forget_requests();
    let query = format!("Patient?identifier={CF_NETWORK}%7C{}", patient.fiscal_code);
    let found = story.ask(ask(query)).await?;
    let bundle = found.json();
    let identifier = &bundle["entry"][0]["resource"]["identifier"][0];
    let asked_locally = site
        .hospital
        .requests()
        .iter()
        .any(|request| request.target.contains("codiceFiscale") && !request.target.contains("2.16.840"));
    story.must("the patient is found", found.status == StatusCode::OK && bundle["total"] == 1)?;
    story.must(
        "the answer names the codice fiscale as the federation does",
        identifier["system"] == CF_NETWORK,
    )?;
    story.must(&format!("the hospital's server was asked with {CF_LOCAL}"), asked_locally)?;
    let event = story.audited(&found).await?;
    story.must(
        "the record is a query under the contact point's trace",
        is_query(&event) && names_trace(&event),
    )?;

    story.step("It searches and reads the report")?;
    let reports = story.ask(ask(format!("DiagnosticReport?patient=Patient/{}", patient.id()))).await?;
    let report_id = reports.json()["entry"][0]["resource"]["id"].as_str().unwrap_or_default().to_owned();
    story.must("one report is found", reports.json()["total"] == 1)?;
    let report = story.ask(ask(format!("DiagnosticReport/{report_id}"))).await?;
    story.must("the report is answered", report.status == StatusCode::OK)?;
    let event = story.audited(&report).await?;
    story.must(
        "the record is a read under the same trace, and names the consent",
        names_trace(&event) && mentions(&event, &consent_id),
    )?;

    story.step("It reads the first result")?;
    let result = report.json()["result"][0]["reference"].as_str().unwrap_or_default().to_owned();
    let observation = story.ask(ask(result)).await?;
    let codings = observation.json()["code"]["coding"].clone();
    let has = |system: &str| {
        codings.as_array().is_some_and(|list| list.iter().any(|coding| coding["system"] == system))
    };
    story.must(
        "the regional laboratory code stands beside LOINC",
        has(REGIONAL_LABORATORY_SYSTEM) && has("http://loinc.org"),
    )?;
    story.audited(&observation).await?;

    story.step("France has no consent: to its contact point the patient does not exist")?;
    let french = story.network.token(cast::FRANCE, &site.base, "TREAT").await?;
    let search = |code: &str| format!("{}/Patient?identifier={CF_NETWORK}%7C{code}", site.base);
    let hidden = story.ask(Ask::get(cast::FRANCE, &french, search(&patient.fiscal_code))).await?;
    let unknown = Person::synthetic(99, 99).fiscal_code;
    let absent = story.ask(Ask::get(cast::FRANCE, &french, search(&unknown))).await?;
    let same = hidden.json()["total"] == 0 && without_link(&hidden.json()) == without_link(&absent.json());
    story.must("searching him is answered as searching an unknown codice fiscale", same)?;
    let read = |id: &str| Ask::get(cast::FRANCE, &french, format!("{}/Patient/{id}", site.base));
    let hidden = story.ask(read(&patient.id())).await?;
    let absent = story.ask(read("synthetic-patient-999")).await?;
    story.must("reading him is answered as reading nobody", hidden.appearance() == absent.appearance())?;
    let event = story.audited(&hidden).await?;
    story.must("the record says that it was refused", event["outcome"] != "0")?;

    story.step("He revokes between the search and the next read")?;
    let mut revoked = consent;
    revoked["status"] = "inactive".into();
    revoked["id"] = consent_id.clone().into();
    let desk = story.network.token(cast::DESK, &site.base, "HOPERAT").await?;
    let url = format!("{}/Consent/{consent_id}", site.base);
    let put = Ask { method: Method::PUT, body: Some(&revoked), ..Ask::get(cast::DESK, &desk, url) };
    let revoking = story.ask(put).await?;
    story.must("the revocation is recorded", revoking.status == StatusCode::OK)?;
    let refused = story.ask(ask(format!("DiagnosticReport/{report_id}"))).await?;
    let absent = story.ask(ask("DiagnosticReport/there-is-none".to_owned())).await?;
    story.must(
        "the read is refused at once, and says no more than that nothing is there",
        refused.appearance() == absent.appearance(),
    )?;
    let none_of_it = !String::from_utf8_lossy(&refused.body).contains(&report_id);
    story.must("nothing of the report leaves", refused.status == StatusCode::NOT_FOUND && none_of_it)?;
    let event = story.audited(&refused).await?;
    story.must(
        "the refusal stands in the audit under the contact point's trace",
        names_trace(&event) && event["outcome"] != "0",
    )?;
    Ok(())
}

/// Records a consent at Niguarda; gives its id.
pub async fn record_consent(story: &mut Story<'_>, consent: &Value) -> Result<String, DemoError> {
    let site = story.niguarda()?;
    let token = story.network.token(cast::DESK, &site.base, "HOPERAT").await?;
    let url = format!("{}/Consent", site.base);
    let post = Ask { method: Method::POST, body: Some(consent), ..Ask::get(cast::DESK, &token, url) };
    let recorded = story.ask(post).await?;
    story.must("the consent is recorded", recorded.status == StatusCode::CREATED)?;
    Ok(recorded.json()["id"].as_str().unwrap_or_default().to_owned())
}

/// A searchset without the link that repeats the question.
pub fn without_link(bundle: &Value) -> Value {
    let mut bundle = bundle.clone();
    if let Some(members) = bundle.as_object_mut() {
        members.remove("link");
    }
    bundle
}

fn is_query(event: &Value) -> bool {
    event["subtype"].as_array().is_some_and(|list| list.iter().any(|code| code["code"] == "search-type"))
}

fn names_trace(event: &Value) -> bool {
    mentions(event, TRACE_ID)
}

fn mentions(event: &Value, text: &str) -> bool {
    event.to_string().contains(text)
}
