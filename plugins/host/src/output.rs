//! Checks a body that a plugin returned before anything else in the gateway sees it.
//!
//! It blames the plugin where the body can't be what it claims to be: whether a JSON body is one JSON object in UTF-8 (RFC
//! 8259), by the gateway's own strict parser. What was parsed is handed on, so that nobody parses it again.

use std::{borrow::Cow, sync::Arc};

use fhir_models::document::{self, OwnedDocument, Value};

use crate::{Limits, Made, PluginError};

/// The body, or the plugin is to blame.
pub fn checked(
    plugin: &Arc<str>,
    limits: Limits,
    content_type: &str,
    body: Vec<u8>,
) -> Result<Made, PluginError> {
    let limit = limits.output_bytes();
    if body.len() > limit {
        return Err(PluginError::OutputTooLarge { plugin: plugin.clone(), limit });
    }
    let malformed =
        |expected, cause| PluginError::OutputMalformed { plugin: plugin.clone(), expected, cause };
    if !is_json(content_type) {
        return match str::from_utf8(&body) {
            Ok(_) => Ok(Made::Text(body)),
            Err(error) => Err(malformed("UTF-8 text", format!("byte {} is not", error.valid_up_to()))),
        };
    }
    // The parser's words could quote the body.
    let document = OwnedDocument::parse_json(body, &document::Limits::default()).map_err(|error| {
        let (line, column) = (error.position.line, error.position.column);
        malformed("a JSON object", format!("the text goes wrong at line {line}, column {column}"))
    })?;
    if !document.root().is_object() {
        return Err(malformed("a JSON object", "it is something else".to_owned()));
    }
    Ok(Made::Json(document))
}

/// Accepts what a transform made of a resource, or blames the plugin: it must be of the same type under the same id, since
/// that is what the client asked for by its URL.
pub fn check_same(plugin: &Arc<str>, resource: &[u8], made: &Made) -> Result<(), PluginError> {
    if let (Made::Json(made), Ok(before)) = (made, serde_json::from_slice::<Named>(resource)) {
        let after = |name| made.root().get_key(name).and_then(Value::as_str);
        if before.resource_type == after("resourceType") && before.id == after("id") {
            return Ok(());
        }
    }
    Err(PluginError::OutputMalformed {
        plugin: plugin.clone(),
        expected: "a resource of the same type and id",
        cause: "it is another".to_owned(),
    })
}

/// What a resource is by its own words.
#[derive(serde::Deserialize)]
struct Named<'r> {
    #[serde(rename = "resourceType", borrow)]
    resource_type: Option<Cow<'r, str>>,
    #[serde(borrow)]
    id: Option<Cow<'r, str>>,
}

/// `application/json` and every media type with the suffix `+json` (RFC 6839, section 3.1).
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn judged(content_type: &str, body: &[u8]) -> Option<&'static str> {
        let made = checked(&Arc::from("p"), Limits::default(), content_type, body.to_vec());
        made.err().map(|error| error.kind())
    }

    #[test]
    fn json_must_be_one_object_in_utf8() {
        for good in ["{}", " {\"a\":[1.50,\"\\u00e8\"]} \n"] {
            assert_eq!(judged("application/fhir+json", good.as_bytes()), None, "{good}");
        }
        for bad in [
            "",
            "[]",
            "{",
            "{} {}",
            "{a:1}",
            "{\"a\":1,}",
            "{\"a\":\"\\ud800\\u0041\"",
            "nil",
            "{\"a\":1,\"a\":2}",
        ] {
            assert_eq!(judged("application/json", bad.as_bytes()), Some("output-malformed"), "{bad}");
        }
        assert_eq!(judged("application/fhir+json", b"{\"a\":\"\xff\"}"), Some("output-malformed"));
    }

    #[test]
    fn a_transform_keeps_type_and_id() {
        let patient = br#"{"resourceType":"Patient","id":"a","gender":"male"}"#;
        let judged = |made: &str| {
            let plugin = Arc::from("p");
            let made = checked(&plugin, Limits::default(), "application/fhir+json", made.into()).unwrap();
            check_same(&plugin, patient, &made).is_ok()
        };
        assert!(judged(r#"{"id":"\u0061","resourceType":"Patient"}"#));
        for other in [r#"{"id":"b","resourceType":"Patient"}"#, r#"{"id":"a","resourceType":"Person"}"#, "{}"]
        {
            assert!(!judged(other), "{other}");
        }
    }

    #[test]
    fn other_media_types_must_be_text() {
        assert_eq!(judged("application/fhir+xml", b"<Patient/>"), None);
        assert_eq!(judged("application/fhir+xml", b"\xfe\xff"), Some("output-malformed"));
    }

    #[test]
    fn the_limit_holds_for_every_media_type() {
        let large = vec![b' '; Limits::default().output_bytes() + 1];
        assert_eq!(judged("text/plain", &large), Some("output-too-large"));
        assert_eq!(judged("text/plain", &large[1..]), None);
    }

    #[test]
    fn a_parameter_or_capitals_do_not_hide_json() {
        assert!(is_json("Application/FHIR+JSON; charset=utf-8"));
        assert!(!is_json("application/jsonp"));
    }
}
