//! What the server's answer to a transaction comes to (FHIR R4 §3.1.0.11.2).
//!
//! Invariant: only a `transaction-response` in which every entry succeeded is a success. Nothing of the server's
//! words is passed on: they may speak of a patient.

use fhir_models::document::{Limits, OwnedDocument, Value, name};
use varco_core::audit::AuditPatient;
use varco_core::hl7v2::ErrorCode;

use super::fault::Fault;
use super::prepare::Sent;
use crate::upstream::{UpstreamAnswer, UpstreamError};

/// A transaction that the server has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Done {
    /// The patients, by what the server calls them.
    pub patients: Vec<AuditPatient>,
    /// What else was written: `Type/id`.
    pub written: Vec<String>,
}

/// Reads the answer to a transaction of these entries.
pub(super) fn read(answer: &UpstreamAnswer, sent: &[Sent]) -> Result<Done, Fault> {
    let status = answer.status.as_u16();
    match status {
        200..=299 => done(answer, sent),
        404 | 405 | 501 => {
            let text = "it takes no transactions, and a message is one: its operator must allow them";
            Err(Fault::refused("no-transactions", ErrorCode::Internal, status, text))
        }
        412 => {
            let text =
                "several of its resources have an identifier of this message: they must be merged first";
            Err(Fault::refused("several-matches", ErrorCode::DuplicateKey, status, text))
        }
        400 | 413 | 415 | 422 => {
            let text = "it does not accept what the message says; its log has the cause";
            Err(Fault::refused("refused-upstream", ErrorCode::Internal, status, text))
        }
        _ => Err(Fault::upstream(&UpstreamError::Status(status))),
    }
}

fn done(answer: &UpstreamAnswer, sent: &[Sent]) -> Result<Done, Fault> {
    let not_fhir = |what: &str| Fault::upstream(&UpstreamError::NotFhir(what.to_owned()));
    let limits = Limits { bytes: usize::MAX, ..Limits::default() };
    let document = OwnedDocument::parse_json(&answer.body[..], &limits)
        .map_err(|_| not_fhir("the answer to a transaction is no JSON"))?;
    let root = document.root();
    let is_response = root.resource_type().as_deref() == Some("Bundle")
        && root.get(name::TYPE).is_some_and(|own| own.is_str("transaction-response"));
    let entries: Vec<Value<'_>> = root.get(name::ENTRY).into_iter().flat_map(Value::items).collect();
    if !is_response || entries.len() != sent.len() {
        return Err(not_fhir(
            "the answer to a transaction is not a transaction-response with as many entries",
        ));
    }
    let mut done = Done { patients: Vec::new(), written: Vec::new() };
    for (entry, sent) in entries.into_iter().zip(sent) {
        let response = entry.get_key("response");
        let text = |key: &str| response.and_then(|response| response.get_key(key)).and_then(Value::as_str);
        if !text("status").is_some_and(|status| status.starts_with('2')) {
            return Err(not_fhir("an entry of a transaction that succeeded did not succeed"));
        }
        let stored = entry.get(name::RESOURCE).and_then(|resource| resource.str_of(name::ID));
        let named = text("location").and_then(|location| located(&location, &sent.resource_type));
        let reference = named.or_else(|| Some(format!("{}/{}", sent.resource_type, stored?)));
        if sent.resource_type != "Patient" {
            done.written.extend(reference);
        } else {
            let identifier = if reference.is_some() { None } else { sent.identifier.clone() };
            let patient = AuditPatient { reference, identifier };
            if !done.patients.contains(&patient) {
                done.patients.push(patient);
            }
        }
    }
    Ok(done)
}

/// `Type/id` of a location such as `http://h/fhir/Patient/1/_history/2`.
fn located(location: &str, resource_type: &str) -> Option<String> {
    let mut segments = location.split('/').skip_while(|segment| *segment != resource_type).skip(1);
    let id = segments.next().filter(|id| {
        (1..=64).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
    })?;
    Some(format!("{resource_type}/{id}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use varco_core::requester::BusinessIdentifier;

    use super::super::fault::Class;
    use super::*;

    fn sent() -> Vec<Sent> {
        let identifier = Some(BusinessIdentifier::new("urn:x", "1"));
        let one = |name: &str| Sent { resource_type: name.to_owned(), identifier: identifier.clone() };
        vec![one("Patient"), one("Observation")]
    }

    fn answered(status: u16, body: &str) -> Result<Done, Fault> {
        let status = StatusCode::from_u16(status).unwrap();
        read(&UpstreamAnswer { status, headers: HeaderMap::new(), body: body.to_owned().into() }, &sent())
    }

    #[test]
    fn every_entry_must_have_succeeded() {
        let bundle = |entries: &str| {
            format!(r#"{{"resourceType":"Bundle","type":"transaction-response","entry":[{entries}]}}"#)
        };
        let patient = r#"{"response":{"status":"201","location":"http://h/fhir/Patient/7/_history/1"}}"#;
        let observation =
            r#"{"resource":{"resourceType":"Observation","id":"9"},"response":{"status":"200 OK"}}"#;
        let done = answered(200, &bundle(&format!("{patient},{observation}"))).unwrap();
        assert_eq!(done.written, ["Observation/9"]);
        assert_eq!(done.patients[0].reference.as_deref(), Some("Patient/7"));
        let bare = r#"{"response":{"status":"200"}}"#;
        let done = answered(200, &bundle(&format!("{bare},{bare}"))).unwrap();
        assert_eq!(done.patients[0].identifier.as_ref().unwrap().value, "1");
        for wrong in [
            "".to_owned(),
            "{}".to_owned(),
            bundle(patient),
            bundle(&format!("{patient},{}", r#"{"response":{"status":"400"}}"#)),
            bundle(&format!("{patient},{{}}")),
            bundle(&format!("{patient},{observation}")).replace("transaction-", "batch-"),
        ] {
            let fault = answered(200, &wrong).unwrap_err();
            assert_eq!((fault.class, fault.cause), (Class::Later, "upstream"), "{wrong}");
        }
    }

    #[test]
    fn a_refusal_is_told_by_its_status() {
        let class =
            |status| answered(status, "Maria Rossi").map_err(|fault| (fault.class, fault.cause)).unwrap_err();
        assert_eq!(class(405), (Class::Content, "no-transactions"));
        assert_eq!(class(412), (Class::Content, "several-matches"));
        assert_eq!(class(422), (Class::Content, "refused-upstream"));
        for later in [401, 409, 429, 500, 503] {
            assert_eq!(class(later), (Class::Later, "upstream"));
        }
        assert!(!answered(422, "Maria Rossi").unwrap_err().told().contains("Rossi"));
    }
}
