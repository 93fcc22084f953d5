//! Refuses a Patient without an identifier: a first plugin to change into your own.

use varco_plugin::json::Value;
use varco_plugin::{Context, StatusHint, Verdict, count, refuse};

/// Called with the body of each request before it is forwarded.
pub fn judge(context: &Context, body: &[u8]) -> Verdict {
    if context.resource_type.as_deref() != Some("Patient") {
        return Verdict::Pass;
    }
    let Ok(patient) = Value::new(body) else {
        return refuse(StatusHint::BadRequest, "structure", "Send a Patient as JSON.");
    };
    let identifiers = patient.get("identifier").map(Value::items).unwrap_or_default();
    if identifiers.iter().any(|identifier| identifier.str("value").is_some()) {
        return Verdict::Pass;
    }
    count("without_identifier", 1);
    refuse(StatusHint::Unprocessable, "required", "Send the Patient with an identifier that has a value.")
}

varco_plugin::export!(request: judge);

#[cfg(test)]
mod tests {
    use varco_plugin::testing;

    use super::*;

    #[test]
    fn a_patient_with_an_identifier_passes_and_another_does_not() {
        let seen = testing::Gateway::new().run(|| {
            let context = testing::request("Patient");
            let known = br#"{"resourceType":"Patient","identifier":[{"value":"1"}]}"#;
            assert_eq!(judge(&context, known), Verdict::Pass);
            let unknown = br#"{"resourceType":"Patient","identifier":[]}"#;
            assert!(matches!(judge(&context, unknown), Verdict::Refuse(_)));
        });
        assert_eq!(seen.counts["without_identifier"], 1);
    }
}
