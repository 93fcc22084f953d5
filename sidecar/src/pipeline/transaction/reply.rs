//! What the hospital's server answers to a transaction (FHIR R4 §3.1.0.11.2).
//!
//! Invariant: it is a success only where the server says so of every write that it was asked for, of the right type and
//! id. Nothing of its words is passed on.

use bytes::Bytes;
use fhir_models::document::{Limits, OwnedDocument, Value, name};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use varco_core::interaction::{Id, Interaction};

use super::Refusal;
use crate::upstream::{UpstreamAnswer, UpstreamError};

/// The answer to each of the writes, in their order.
pub(super) fn read(answer: &UpstreamAnswer, asked: &[&Interaction]) -> Result<Vec<UpstreamAnswer>, Refusal> {
    match answer.status {
        status if status.is_success() => {}
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
            return Err(Refusal::NoTransactions);
        }
        StatusCode::BAD_REQUEST
        | StatusCode::CONFLICT
        | StatusCode::PRECONDITION_FAILED
        | StatusCode::UNPROCESSABLE_ENTITY => {
            return Err(Refusal::UpstreamRefused { status: answer.status });
        }
        other => return Err(Refusal::Upstream(UpstreamError::Status(other.as_u16()))),
    }
    let limits = Limits { bytes: usize::MAX, ..Limits::default() };
    let document = OwnedDocument::parse_json(answer.body.clone(), &limits)
        .map_err(|_| not_fhir("the answer to a transaction is no JSON"))?;
    let root = document.root();
    let is_response = root.resource_type().as_deref() == Some("Bundle")
        && root.get(name::TYPE).is_some_and(|own| own.is_str("transaction-response"));
    if !is_response {
        return Err(not_fhir("the answer to a transaction is no transaction-response"));
    }
    let entries: Vec<Value<'_>> = root.get(name::ENTRY).into_iter().flat_map(Value::items).collect();
    if entries.len() != asked.len() {
        return Err(not_fhir("the answer to a transaction has another number of entries"));
    }
    entries.into_iter().zip(asked).map(|(entry, asked)| one(entry, asked).map_err(not_fhir)).collect()
}

fn not_fhir(what: &str) -> Refusal {
    Refusal::Upstream(UpstreamError::NotFhir(what.to_owned()))
}

/// The answer to one write, as if it had been asked for alone.
fn one(entry: Value<'_>, asked: &Interaction) -> Result<UpstreamAnswer, &'static str> {
    let response = entry.get_key("response").ok_or("an entry of a transaction-response has no response")?;
    let text = |key: &str| response.get_key(key).and_then(Value::as_str);
    let status = text("status").and_then(|status| status.get(..3)?.parse::<StatusCode>().ok());
    let status = status.ok_or("an entry of a transaction-response has no status")?;
    if !status.is_success() {
        return Err("an entry of a transaction that succeeded did not succeed");
    }
    let resource_type = asked.resource_type().map(|own| own.as_str()).unwrap_or_default();
    let own = |id: &str| asked.instance().is_none_or(|instance| instance.id.as_str() == id);
    let mut headers = HeaderMap::new();
    if let Some(location) = text("location") {
        let mut segments = location.split('/').skip_while(|segment| *segment != resource_type).skip(1);
        let id = segments.next().and_then(Id::parse).ok_or("a location names another type")?;
        if !own(id.as_str()) {
            return Err("a location names another resource than was asked for");
        }
        let value = HeaderValue::from_str(&location).map_err(|_| "a location is none")?;
        headers.insert(header::LOCATION, value);
    }
    let deletes = matches!(asked, Interaction::Delete(_));
    let body = match entry.get(name::RESOURCE).filter(|_| !deletes) {
        // In the place of the resource, a server may say how it went.
        Some(resource) if resource.resource_type().as_deref() == Some("OperationOutcome") => Bytes::new(),
        Some(resource) => {
            let fits = resource.resource_type().as_deref() == Some(resource_type)
                && resource.str_of(name::ID).is_some_and(|id| own(&id));
            if !fits {
                return Err("an entry of a transaction-response has another resource than was asked for");
            }
            Bytes::from(resource.raw().to_owned())
        }
        None => Bytes::new(),
    };
    Ok(UpstreamAnswer { status, headers, body })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use varco_core::interaction::SearchSchema;

    use super::*;

    fn answered(status: u16, body: &str) -> Result<Vec<UpstreamAnswer>, Refusal> {
        let schema = SearchSchema::new(["Patient", "Observation"], |_| Vec::new());
        let parse = |method, path| Interaction::parse(method, path, None, None, &schema).unwrap();
        let (create, update) = (parse("POST", "Patient"), parse("PUT", "Observation/o1"));
        let status = StatusCode::from_u16(status).unwrap();
        let answer = UpstreamAnswer { status, headers: HeaderMap::new(), body: body.to_owned().into() };
        read(&answer, &[&create, &update])
    }

    const CREATED: &str =
        r#"{"response":{"status":"201 Created","location":"http://h/fhir/Patient/7/_history/1"}}"#;
    const UPDATED: &str =
        r#"{"resource":{"resourceType":"Observation","id":"o1"},"response":{"status":"200"}}"#;

    fn bundle(entries: &[&str]) -> String {
        let entries = entries.join(",");
        format!(r#"{{"resourceType":"Bundle","type":"transaction-response","entry":[{entries}]}}"#)
    }

    #[test]
    fn every_write_must_be_confirmed() {
        let read = answered(200, &bundle(&[CREATED, UPDATED])).unwrap();
        assert_eq!(read[0].headers[header::LOCATION], "http://h/fhir/Patient/7/_history/1");
        assert_eq!((read[0].status.as_u16(), read[1].status.as_u16()), (201, 200));
        assert!(read[1].body.starts_with(b"{\"resourceType\":\"Observation\""));
        for wrong in [
            String::new(),
            "{}".to_owned(),
            bundle(&[]),
            bundle(&[CREATED]),
            bundle(&[UPDATED, CREATED]),
            bundle(&[CREATED, "{}"]),
            bundle(&[CREATED, &UPDATED.replace("\"200\"", "\"412\"")]),
            bundle(&[CREATED, &UPDATED.replace("\"200\"", "\"\"")]),
            bundle(&[CREATED, &UPDATED.replace("o1", "o2")]),
            bundle(&[&CREATED.replace("Patient", "Person"), UPDATED]),
            bundle(&[CREATED, UPDATED]).replace("transaction-", "batch-"),
        ] {
            let refused = answered(200, &wrong).unwrap_err();
            assert!(matches!(refused, Refusal::Upstream(UpstreamError::NotFhir(_))), "{wrong}: {refused}");
        }
    }

    #[test]
    fn a_refusal_is_told_by_its_status() {
        let status = |status| answered(status, "Maria Rossi").unwrap_err().row().status.as_u16();
        for (own, told) in
            [(405, 501), (404, 501), (501, 501), (412, 412), (422, 422), (401, 502), (500, 502)]
        {
            assert_eq!(status(own), told);
        }
        assert!(!answered(422, "Maria Rossi").unwrap_err().to_string().contains("Rossi"));
    }
}
