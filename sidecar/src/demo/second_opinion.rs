//! Scenario 4: a second opinion on three documents, for 14 days, at Humanitas.

use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::laboratory::{record_consent, without_link};
use super::network::HSP;
use super::story::{Ask, Story};
use super::{DemoError, cast};

/// Plays it.
pub async fn play(story: &mut Story<'_>) -> Result<(), DemoError> {
    story.title("Scenario 4: a second opinion at Humanitas on three documents of Niguarda")?;
    let patient = cast::second_patient();
    let site = story.niguarda()?;
    let base = &site.base;

    story.step(
        "Maria Sofia Forlì lets Humanitas see three documents for 14 days; one more that she names is masked",
    )?;
    let day = SignedDuration::from_hours(24);
    let now = Timestamp::now();
    let consent_id = record_consent(story, &consent_from_now()).await?;

    let token = story.network.token(cast::SPECIALIST, base, "TREAT").await?;
    let ask = |path: String| Ask::get(cast::SPECIALIST, &token, format!("{base}/{path}"));
    let search = format!("DocumentReference?patient=Patient/{}", patient.id());

    story.step("The specialist searches her documents")?;
    let found = story.ask(ask(search.clone())).await?;
    let mut ids = ids(&found.json());
    ids.sort();
    let three: Vec<String> = (1..=3).map(cast::document_id).collect();
    story.must(
        "exactly the three are found, and the total is three",
        ids == three && found.json()["total"] == 3,
    )?;
    story.audited(&found).await?;

    story.step("Page by page the count is the same, and a page link serves its caller alone")?;
    let first = story.ask(ask(format!("{search}&_count=2"))).await?.json();
    let next = first["link"].as_array().into_iter().flatten().find(|link| link["relation"] == "next");
    let next = next.and_then(|link| link["url"].as_str()).unwrap_or_default().to_owned();
    let second = story.ask(Ask::get(cast::SPECIALIST, &token, next.clone())).await?.json();
    let sizes = (entries(&first).len(), entries(&second).len());
    story.must(
        "two on the first page, one on the second, total three on both",
        sizes == (2, 1) && first["total"] == 3 && second["total"] == 3,
    )?;
    let other_purpose = story.network.token(cast::SPECIALIST, base, "HRESCH").await?;
    let replayed = story.ask(Ask::get(cast::SPECIALIST, &other_purpose, next)).await?;
    story.must("for another purpose the link is refused", replayed.status == StatusCode::BAD_REQUEST)?;

    story.step("The specialist reads the three")?;
    let mut records = Vec::new();
    for id in &three {
        let read = story.ask(ask(format!("DocumentReference/{id}"))).await?;
        story.must("the document is answered", read.status == StatusCode::OK && read.json()["id"] == *id)?;
        records.push(story.audited(&read).await?["id"].to_string());
    }
    records.dedup();
    story.must("each document has an audit record of its own", records.len() == 3)?;

    story.step("A masked document, one outside the consent, and one that isn't there look the same")?;
    let absent = story.ask(ask("DocumentReference/there-is-none".to_owned())).await?;
    let no_match = story.ask(ask("DocumentReference?_id=there-is-none".to_owned())).await?.json();
    for number in [cast::MASKED, cast::UNLISTED] {
        let id = cast::document_id(number);
        let read = story.ask(ask(format!("DocumentReference/{id}"))).await?;
        story.must(
            "by read: status, headers and body are those of an absent one",
            read.appearance() == absent.appearance(),
        )?;
        let found = story.ask(ask(format!("DocumentReference?_id={id}"))).await?.json();
        story.must(
            "by search and count: the answer is that of an absent one",
            without_link(&found) == without_link(&no_match),
        )?;
    }

    story.step("For research, which she did not allow, nothing is there")?;
    let research =
        story.ask(Ask::get(cast::SPECIALIST, &other_purpose, format!("{base}/{search}"))).await?.json();
    story.must("the same search finds nothing", research["total"] == 0)?;

    story.step("The 14 days are over")?;
    let mut over =
        cast::consent(&patient, "active", permit(now - day * 14, now - SignedDuration::from_secs(1)));
    over["id"] = consent_id.clone().into();
    let desk = story.network.token(cast::DESK, base, "HOPERAT").await?;
    let put = Ask {
        method: Method::PUT,
        body: Some(&over),
        ..Ask::get(cast::DESK, &desk, format!("{base}/Consent/{consent_id}"))
    };
    story.ask(put).await?;
    let late = story.ask(ask(format!("DocumentReference/{}", cast::document_id(1)))).await?;
    story.must("the first document is as absent as the others", late.appearance() == absent.appearance())?;

    story.step("The audit trail of all this")?;
    let records = site.verified_audit()?;
    story.must(&format!("{records} records, and their hash chain is whole"), records > 0)?;
    Ok(())
}

/// The consent of the scenario, from now on for 13 days.
pub fn consent_from_now() -> Value {
    let (now, day) = (Timestamp::now(), SignedDuration::from_hours(24));
    cast::consent(&cast::second_patient(), "active", permit(now - day, now + day * 13))
}

/// Documents 1 to 4 for Humanitas, for treatment, between two instants; but nothing that is masked.
fn permit(from: Timestamp, until: Timestamp) -> Value {
    let data: Vec<Value> = (1..=cast::MASKED)
        .map(|number| {
            let reference = format!("DocumentReference/{}", cast::document_id(number));
            json!({ "meaning": "instance", "reference": { "reference": reference } })
        })
        .collect();
    let masked =
        json!([{ "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R" }]);
    json!({
        "type": "permit",
        "period": { "start": from.to_string(), "end": until.to_string() },
        "actor": cast::recipient(HSP, "030943"),
        "purpose": cast::treatment(),
        "data": data,
        "provision": [{ "type": "deny", "securityLabel": masked }],
    })
}

fn entries(bundle: &Value) -> Vec<&Value> {
    bundle["entry"].as_array().into_iter().flatten().collect()
}

fn ids(bundle: &Value) -> Vec<String> {
    entries(bundle).iter().filter_map(|entry| entry["resource"]["id"].as_str()).map(str::to_owned).collect()
}
