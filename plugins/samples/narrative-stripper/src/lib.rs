//! Takes free text out of FHIR JSON before it leaves, for exchanges that need codes only.
//!
//! On a response it cuts, at any depth, `text` where it is a Narrative (FHIR R4 2.1.28), `note` (Annotation) and
//! `display`. What is not cut is not reprinted: decimals, property order and white space stay as they were. An object
//! or array that loses its last member goes too, because FHIR JSON (R4 2.1.6.1) allows no empty one.
//!
//! On a request it refuses a body that contains `<script`, however the JSON escapes it.
//!
//! The setting `keep` names elements that stay: `{"keep": ["display"]}`.

mod cut;
mod script;

use varco_plugin::{Context, Level, StatusHint, Verdict, refuse};

pub use cut::{Kept, NotJson, free_text};

/// Refuses active content.
pub fn on_request(_context: &Context, body: &[u8]) -> Verdict {
    if script::contained(body) {
        return refuse(
            StatusHint::Unprocessable,
            "security",
            "Remove the <script> element: a narrative must not hold active content.",
        );
    }
    Verdict::Pass
}

/// Takes free text out.
pub fn on_response(context: &Context, body: &[u8]) -> Verdict {
    if body.is_empty() {
        return Verdict::Pass;
    }
    if !context.content_type.ends_with("json") {
        return refuse(
            StatusHint::Unprocessable,
            "not-supported",
            "Ask for application/fhir+json: this route removes free text and can do so in JSON only.",
        );
    }
    let kept = Kept::from_settings(&varco_plugin::settings());
    match free_text(body, kept) {
        Ok(None) => Verdict::Pass,
        Ok(Some(stripped)) => {
            let cut = body.len().saturating_sub(stripped.len());
            varco_plugin::log(Level::Debug, &format!("cut {cut} bytes of free text"));
            Verdict::Replace(stripped)
        }
        Err(NotJson) => refuse(
            StatusHint::Unprocessable,
            "structure",
            "The answer of the upstream server is not JSON, so free text can't be removed from it.",
        ),
    }
}

varco_plugin::export!(request: on_request, response: on_response);

#[cfg(test)]
mod tests {
    use varco_plugin::testing;

    use super::*;

    const OBSERVATION: &str = concat!(
        r#"{"resourceType":"Observation","text":{"status":"generated","div":"<div>Ada</div>"},"#,
        r#""valueQuantity":{"value":1.50},"note":[{"text":"said she was tired"}]}"#
    );

    #[test]
    fn a_response_leaves_without_narrative_and_note() {
        let seen = testing::Gateway::new().run(|| {
            let verdict = on_response(&testing::response("Observation"), OBSERVATION.as_bytes());
            let expected = br#"{"resourceType":"Observation","valueQuantity":{"value":1.50}}"#;
            assert_eq!(verdict, Verdict::Replace(expected.to_vec()));
        });
        assert_eq!(seen.lines, [(Level::Debug, "cut 92 bytes of free text".to_owned())]);
    }

    #[test]
    fn a_response_without_free_text_passes() {
        let body = br#"{"resourceType":"Patient","gender":"female"}"#;
        assert_eq!(on_response(&testing::response("Patient"), body), Verdict::Pass);
        assert_eq!(on_response(&testing::response("Patient"), b""), Verdict::Pass);
    }

    #[test]
    fn xml_and_broken_json_are_refused_because_they_cannot_be_stripped() {
        let mut context = testing::response("Patient");
        assert!(matches!(on_response(&context, b"{\"text\":"), Verdict::Refuse(_)));
        context.content_type = "application/fhir+xml".to_owned();
        assert!(matches!(on_response(&context, b"<Patient/>"), Verdict::Refuse(_)));
    }

    #[test]
    fn a_request_with_a_script_is_refused_and_names_the_cure() {
        let context = testing::request("Patient");
        let body = br#"{"text":{"div":"<div>\u003cSCRIPT>x()</script></div>"}}"#;
        let Verdict::Refuse(refusal) = on_request(&context, body) else {
            panic!("a script must be refused");
        };
        assert_eq!((refusal.status_hint, refusal.code.as_str()), (StatusHint::Unprocessable, "security"));
        assert_eq!(on_request(&context, OBSERVATION.as_bytes()), Verdict::Pass);
    }
}
