//! Checks a body that a plugin returned before anything else in the gateway sees it.
//!
//! It is a cheap check that blames the plugin where the body can't be what it claims to be: whether a JSON body is one
//! JSON object in UTF-8 (RFC 8259). The gateway's own strict parser still judges the body after that.

use std::sync::Arc;

use serde::de::IgnoredAny;

use crate::{Limits, PluginError};

/// Accepts the body or blames the plugin.
pub fn check(plugin: &Arc<str>, limits: Limits, content_type: &str, body: &[u8]) -> Result<(), PluginError> {
    let limit = limits.output_bytes();
    if body.len() > limit {
        return Err(PluginError::OutputTooLarge { plugin: plugin.clone(), limit });
    }
    let malformed =
        |expected, cause| Err(PluginError::OutputMalformed { plugin: plugin.clone(), expected, cause });
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => return malformed("UTF-8 text", format!("byte {} is not", error.valid_up_to())),
    };
    if !is_json(content_type) {
        return Ok(());
    }
    if !text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') {
        return malformed("a JSON object", "it starts with something else".to_owned());
    }
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(()),
        // The parser's words could quote the body.
        Err(error) => malformed(
            "a JSON object",
            format!("the text goes wrong at line {}, column {}", error.line(), error.column()),
        ),
    }
}

/// Accepts what a transform made of a resource, or blames the plugin: it must be of the same type under the same id, since
/// that is what the client asked for by its URL.
pub fn check_same(plugin: &Arc<str>, resource: &[u8], made: &[u8]) -> Result<(), PluginError> {
    let (before, after) = (named(resource), named(made));
    if before == after {
        return Ok(());
    }
    Err(PluginError::OutputMalformed {
        plugin: plugin.clone(),
        expected: "a resource of the same type and id",
        cause: "it is another".to_owned(),
    })
}

/// What a resource is by its own words.
#[derive(Debug, PartialEq, Eq, serde::Deserialize)]
struct Named {
    #[serde(rename = "resourceType")]
    resource_type: Option<String>,
    id: Option<String>,
}

fn named(resource: &[u8]) -> Option<Named> {
    serde_json::from_slice(resource).ok()
}

/// `application/json` and every media type with the suffix `+json` (RFC 6839, section 3.1).
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(content_type: &str, body: &[u8]) -> Option<&'static str> {
        check(&Arc::from("p"), Limits::default(), content_type, body).err().map(|error| error.kind())
    }

    #[test]
    fn json_must_be_one_object_in_utf8() {
        for good in ["{}", " {\"a\":[1.50,\"\\u00e8\"]} \n"] {
            assert_eq!(judged("application/fhir+json", good.as_bytes()), None, "{good}");
        }
        for bad in ["", "[]", "{", "{} {}", "{a:1}", "{\"a\":1,}", "{\"a\":\"\\ud800\\u0041\"", "nil"] {
            assert_eq!(judged("application/json", bad.as_bytes()), Some("output-malformed"), "{bad}");
        }
        assert_eq!(judged("application/fhir+json", b"{\"a\":\"\xff\"}"), Some("output-malformed"));
    }

    #[test]
    fn a_transform_keeps_type_and_id() {
        let patient = br#"{"resourceType":"Patient","id":"a","gender":"male"}"#;
        let judged = |made: &str| check_same(&Arc::from("p"), patient, made.as_bytes()).is_ok();
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
