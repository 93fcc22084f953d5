//! The yes or no of the national gateway's token and Consent: what comes back is what was said, and a Consent that says more
//! than yes or no is refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument};
use serde_json::{Value, json};
use varco_core::mapping::{FHIR_TO_FSE_CONSENT, FSE_CONSENT_TO_FHIR, Output, Settings, regional_map};
use varco_core::validation::Validator;

const PERSON: &str = "RSSMRA71E01F205E^^^&2.16.840.1.113883.2.9.4.3.2&ISO";

fn ran(url: &str, source: &Value) -> Result<Output, String> {
    let map = regional_map(url).unwrap().compile(&Definitions::r4()).unwrap_or_else(|it| panic!("{}", it[0]));
    let source = map.read_source(0, source.to_string().as_bytes(), &Limits::default()).unwrap();
    let settings = Settings { report: true, ..Settings::default() };
    map.run(&[source.document()], &settings).map_err(|error| error.to_string())
}

fn value(output: &Output) -> Value {
    serde_json::from_str(output.text()).unwrap()
}

fn consent(given: bool) -> Value {
    value(&ran(FSE_CONSENT_TO_FHIR, &json!({"person_id": PERSON, "patient_consent": given})).unwrap())
}

#[test]
fn yes_and_no_become_valid_consents_and_return() {
    for (given, kind, rule) in [(true, "permit", "OPTIN"), (false, "deny", "OPTOUT")] {
        let claims = json!({"person_id": PERSON, "patient_consent": given});
        let sent = ran(FSE_CONSENT_TO_FHIR, &claims).unwrap();
        assert_eq!((sent.loss.as_slice(), sent.notes.as_slice()), ([].as_slice(), [].as_slice()));
        let document = OwnedDocument::parse_json(sent.text(), &Limits::default()).unwrap();
        let issues = Validator::new(Definitions::r4()).validate(document.document()).issues;
        let errors: Vec<_> = issues.iter().filter(|it| it.severity.is_error()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let made = value(&sent);
        assert_eq!((&made["provision"], &made["status"]), (&json!({"type": kind}), &json!("active")));
        assert_eq!(made["policyRule"]["coding"][0]["code"], rule);
        let person = json!({"system": "urn:oid:2.16.840.1.113883.2.9.4.3.2", "value": "RSSMRA71E01F205E"});
        assert_eq!(made["patient"]["identifier"], person);
        assert_eq!(value(&ran(FHIR_TO_FSE_CONSENT, &made).unwrap()), claims);
    }
}

#[test]
fn other_claims_are_lost_and_named() {
    let claims = json!({"person_id": PERSON, "patient_consent": true, "subject_role": "AAS"});
    let sent = ran(FSE_CONSENT_TO_FHIR, &claims).unwrap();
    let lost: Vec<_> = sent.loss.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(lost, ["$this.subject_role"]);
}

#[test]
fn claims_that_are_absent_or_malformed_are_refused() {
    for (claims, told) in [
        (json!({"person_id": PERSON}), "src.patient_consent is there 0 times"),
        (json!({"patient_consent": true}), "src.person_id is there 0 times"),
        (json!({"person_id": "RSSMRA71E01F205E", "patient_consent": true}), "consent / person"),
    ] {
        let error = ran(FSE_CONSENT_TO_FHIR, &claims).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn the_alias_of_the_codice_fiscale_goes_out_as_its_oid() {
    let mut consent = consent(true);
    consent["patient"]["identifier"]["system"] = json!("http://hl7.it/sid/codiceFiscale");
    assert_eq!(value(&ran(FHIR_TO_FSE_CONSENT, &consent).unwrap())["person_id"], PERSON);
}

#[test]
fn a_consent_that_says_more_than_yes_or_no_is_refused() {
    let told = |change: &dyn Fn(&mut Value)| {
        let mut consent = consent(true);
        change(&mut consent);
        ran(FHIR_TO_FSE_CONSENT, &consent).unwrap_err()
    };
    let part = "claims / whole";
    for (found, rule) in [
        (told(&|it| it["status"] = json!("inactive")), "claims / status"),
        (told(&|it| it["scope"]["coding"][0]["code"] = json!("research")), "claims / scope"),
        (told(&|it| it["provision"] = Value::Null), part),
        (told(&|it| it["provision"]["period"] = json!({"end": "2027"})), part),
        (told(&|it| it["provision"]["purpose"] = json!([{"code": "TREAT"}])), part),
        (told(&|it| it["provision"]["provision"] = json!([{"type": "deny"}])), part),
        (told(&|it| it["policyRule"]["coding"][0]["code"] = json!("OPTOUT")), "claims / no-contradiction"),
        (told(&|it| it["patient"]["identifier"]["system"] = json!("urn:x")), "person / claim"),
        (told(&|it| it["patient"] = json!({"reference": "Patient/1"})), "claims / identifier"),
    ] {
        assert!(found.contains(rule), "{rule}: {found}");
    }
}
