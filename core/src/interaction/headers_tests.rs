#![allow(clippy::unwrap_used)]

use super::*;
use crate::interaction::SearchSchema;
use proptest::prelude::*;

fn interaction(method: &str, path: &str) -> Interaction {
    let schema = SearchSchema::new(["Patient"], |_| Vec::new());
    Interaction::parse(method, path, None, None, &schema).unwrap()
}

fn read(
    method: &str,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<RequestHeaders, InteractionError> {
    let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    RequestHeaders::parse(headers, &interaction(method, path), false)
}

fn status(method: &str, path: &str, headers: &[(&'static str, &str)]) -> u16 {
    read(method, path, headers).map_or_else(|error| error.status(), |_| 200)
}

#[test]
fn only_json_is_answered() {
    let get = |accept: &str| status("GET", "Patient/1", &[("Accept", accept)]);
    for good in [
        "application/fhir+json",
        "application/json",
        "text/html, */*;q=0.1",
        "application/fhir+xml;q=0.9, application/fhir+json;fhirVersion=4.0",
        "application/*",
    ] {
        assert_eq!(get(good), 200, "{good}");
    }
    for bad in [
        "application/fhir+xml",
        "text/html",
        "application/fhir+json;q=0",
        "application/fhir+json;fhirVersion=5.0",
        "application/fhir+json;q=0, application/json;q=0.0, */*",
    ] {
        assert_eq!(get(bad), 406, "{bad}");
    }
    assert_eq!(status("GET", "Patient/1", &[]), 200);
    let overridden = RequestHeaders::parse(
        [("accept", &b"application/fhir+xml"[..])],
        &interaction("GET", "Patient/1"),
        true,
    );
    assert!(overridden.is_ok());
}

#[test]
fn bodies_are_plain_json_in_utf8() {
    let post = |kind: &str| status("POST", "Patient", &[("content-type", kind)]);
    assert_eq!(post("application/fhir+json; charset=UTF-8; fhirVersion=4.0"), 200);
    assert_eq!(post("application/json;charset=\"utf-8\""), 200);
    for bad in [
        "application/fhir+xml",
        "application/fhir+json; charset=utf-16",
        "application/fhir+json; fhirVersion=5.0",
        "application/json-patch+json",
        "json",
        "application/json; boundary",
    ] {
        assert_eq!(post(bad), 415, "{bad}");
    }
    assert_eq!(status("POST", "Patient", &[]), 415);
    let json = ("content-type", "application/fhir+json");
    assert_eq!(status("POST", "Patient", &[json, ("content-encoding", "gzip")]), 415);
    assert_eq!(status("POST", "Patient", &[json, ("content-encoding", "identity")]), 200);
    assert_eq!(status("POST", "Patient", &[json, json]), 400);
}

#[test]
fn a_form_is_checked_before_it_is_read() {
    let check = |kind: &str| check_form([("Content-Type", kind.as_bytes())]).map_err(|e| e.status());
    assert_eq!(check("application/x-www-form-urlencoded; charset=utf-8"), Ok(()));
    assert_eq!(check("application/fhir+json"), Err(415));
    assert_eq!(check_form([]).map_err(|error| error.status()), Err(415));
}

#[test]
fn preconditions_are_kept_refused_or_dropped_but_never_forgotten_on_a_write() {
    let json = ("content-type", "application/fhir+json");
    let update = read("PUT", "Patient/1", &[json, ("If-Match", "W/\"3\"")]).unwrap();
    assert_eq!(update.if_match, Id::parse("3"));
    assert_eq!(status("PUT", "Patient/1", &[json, ("if-match", "*")]), 400);
    assert_eq!(status("PUT", "Patient/1", &[json, ("if-none-match", "*")]), 400);
    let create = read("POST", "Patient", &[json, ("if-none-exist", "identifier=x")]).unwrap();
    assert_eq!(create.if_none_exist.as_deref(), Some("identifier=x"));
    assert_eq!(status("PUT", "Patient/1", &[json, ("if-none-exist", "identifier=x")]), 400);
    assert_eq!(status("POST", "Patient", &[json, ("if-match", "W/\"3\"")]), 400);
    let search = read("GET", "Patient", &[("if-none-match", "W/\"3\""), ("if-match", "W/\"3\"")]);
    assert_eq!(search, Ok(RequestHeaders::default()));
}

#[test]
fn what_a_reader_has_is_known_to_the_gateway_and_never_forwarded() {
    let get = |name, value| read("GET", "Patient/1", &[(name, value)]).unwrap();
    let tags = get("if-none-match", "W/\"3\", \"4\"");
    assert!(tags.is_known(Some("4"), None) && !tags.is_known(Some("5"), None) && !tags.is_known(None, None));
    let any = get("if-none-match", "*");
    assert!(!any.is_known(Some("1"), None));
    let since = get("if-modified-since", "Sun, 22 Nov 2026 10:00:00 GMT");
    let at = |text: &str| Some(text.parse().unwrap());
    assert!(since.is_known(None, at("2026-11-22T10:00:00.9Z")));
    assert!(!since.is_known(None, at("2026-11-22T10:00:01Z")));
    assert!(!get("if-modified-since", "yesterday").is_known(None, at("2026-11-22T10:00:01Z")));
    let own = interaction("GET", "Patient/1");
    assert_eq!(tags.to_upstream(&own, &own.to_request()).len(), 1);
}

#[test]
fn a_patch_says_its_form_by_its_media_type() {
    let kind = |own: &str| read("PATCH", "Patient/1", &[("content-type", own)]).map(|own| own.patch.unwrap());
    assert_eq!(kind("application/json-patch+json"), Ok(PatchKind::Json));
    assert_eq!(kind("application/fhir+json; charset=utf-8"), Ok(PatchKind::FhirPath));
    assert_eq!(kind("application/merge-patch+json"), Ok(PatchKind::Merge));
    assert_eq!(kind("application/json").unwrap_err().status(), 415);
    assert_eq!(kind("application/json-patch+json; charset=utf-16").unwrap_err().status(), 415);
}

#[test]
fn the_first_preference_of_a_name_counts() {
    let of = |value: &str| handling([("Prefer", value.as_bytes())]);
    assert_eq!(of("return=minimal, handling=lenient"), Handling::Lenient);
    assert_eq!(of("handling=strict, handling=lenient"), Handling::Strict);
    assert_eq!(of("lenient"), Handling::Strict);
    assert_eq!(handling([]), Handling::Strict);
    let json = ("content-type", "application/fhir+json");
    let outcome = read("PUT", "Patient/1", &[json, ("prefer", "return=OperationOutcome")]).unwrap();
    assert_eq!(outcome.prefer, Some(ReturnPreference::Outcome));
}

#[test]
fn headers_to_the_server_are_written_anew() {
    let json = ("content-type", "application/json");
    let forged = ("x-forwarded-for", "10.0.0.1");
    let prefer = ("prefer", "respond-async, return=minimal; x=1");
    let create = interaction("POST", "Patient");
    let headers = read("POST", "Patient", &[json, forged, prefer]).unwrap();
    assert_eq!(
        headers.to_upstream(&create, &create.to_request()),
        [
            ("accept", "application/fhir+json".into()),
            ("content-type", "application/fhir+json".into()),
            ("prefer", "return=minimal".into()),
        ]
    );
    let search = interaction("GET", "Patient");
    let headers = read("GET", "Patient", &[forged, prefer]).unwrap();
    assert_eq!(
        headers.to_upstream(&search, &search.to_request()),
        [("accept", "application/fhir+json".into()), ("prefer", "handling=strict".into())]
    );
}

proptest! {
    #[test]
    fn any_header_is_read_or_refused(value in prop::collection::vec(any::<u8>(), 0..60)) {
        for name in ["accept", "content-type", "prefer", "if-match", "content-encoding"] {
            for path in ["Patient", "Patient/1"] {
                let method = if path == "Patient" { "POST" } else { "PUT" };
                let _ = RequestHeaders::parse([(name, value.as_slice())], &interaction(method, path), false);
            }
        }
    }
}
