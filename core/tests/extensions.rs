//! Extensions by topic: where they may stand, in which list, and what happens to unknown ones.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument};
use varco_core::outcome::IssueSeverity;
use varco_core::validation::{Settings, UnknownExtensions, Validator};

const NONE: [&str; 0] = [];
const URL: &str = "http://region.example/fhir/StructureDefinition/note";

/// The definition of [`URL`] with these contexts and further members.
fn extension(contexts: &[(&str, &str)], more: &str) -> String {
    let contexts: Vec<String> = contexts
        .iter()
        .map(|(kind, expression)| format!(r#"{{"type":"{kind}","expression":"{expression}"}}"#))
        .collect();
    format!(
        r#"{{"resourceType":"StructureDefinition","url":"{URL}","name":"Note","status":"draft","abstract":false,
        "kind":"complex-type","type":"Extension","baseDefinition":"http://hl7.org/fhir/StructureDefinition/Extension",
        "derivation":"constraint","context":[{}]{more},"differential":{{"element":[
        {{"id":"Extension.url","path":"Extension.url","fixedUri":"{URL}"}},
        {{"id":"Extension.value[x]","path":"Extension.value[x]","type":[{{"code":"string"}}]}}]}}}}"#,
        contexts.join(",")
    )
}

fn definitions(all: &[String]) -> Arc<Definitions> {
    let mut builder = Definitions::builder();
    for (number, text) in all.iter().enumerate() {
        builder.definition(&format!("{number}.json"), text.as_bytes()).unwrap();
    }
    Arc::new(builder.build().unwrap())
}

/// Severity and element of every issue about extensions.
fn issues(validator: &Validator, json: &str) -> Vec<String> {
    let document = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
    let report = validator.validate(document.document());
    let about = report.issues.iter().filter(|issue| issue.rule == Some("extension"));
    let severity = |it| if it == IssueSeverity::Information { "information" } else { "error" };
    about.map(|it| format!("{} {}", severity(it.severity), it.expression.as_deref().unwrap_or("-"))).collect()
}

/// A document in which `EXT` stands for one extension of [`URL`].
fn placed(contexts: &[(&str, &str)], more: &str, json: &str) -> Vec<String> {
    let validator = Validator::new(definitions(&[extension(contexts, more)]));
    let written = format!(r#"[{{"url":"{URL}","valueString":"x"}}]"#);
    issues(&validator, &json.replace("EXT", &written))
}

const ON_PATIENT: &str = r#"{"resourceType":"Patient","extension":EXT}"#;
const ON_ORGANIZATION: &str = r#"{"resourceType":"Organization","name":"x","extension":EXT}"#;
const ON_NAME: &str = r#"{"resourceType":"Patient","name":[{"family":"a"},{"family":"b","extension":EXT}]}"#;
const ON_GIVEN: &str =
    r#"{"resourceType":"Patient","name":[{"given":["a","b"],"_given":[null,{"extension":EXT}]}]}"#;
const ON_ADDRESS: &str =
    r#"{"resourceType":"Patient","address":[{"use":"home","extension":EXT},{"use":"work","extension":EXT}]}"#;
const ON_ACTIVE: &str = r#"{"resourceType":"Patient","active":true,"_active":{"extension":EXT}}"#;

#[test]
fn an_element_context_names_a_type_or_a_path() {
    assert_eq!(placed(&[("element", "Patient")], "", ON_PATIENT), NONE);
    assert_eq!(placed(&[("element", "Patient")], "", ON_ORGANIZATION), ["error Organization"]);
    assert_eq!(placed(&[("element", "Patient")], "", ON_NAME), ["error Patient.name[1]"]);
    assert_eq!(placed(&[("element", "Patient")], "", ON_ACTIVE), ["error Patient.active"]);
    assert_eq!(placed(&[("element", "DomainResource")], "", ON_ORGANIZATION), NONE);
    assert_eq!(placed(&[("element", "HumanName")], "", ON_NAME), NONE);
    assert_eq!(placed(&[("element", "Patient.name")], "", ON_NAME), NONE);
    assert_eq!(placed(&[("element", "HumanName.given")], "", ON_GIVEN), NONE);
    assert_eq!(placed(&[("element", "Patient.name.given")], "", ON_GIVEN), NONE);
    assert_eq!(placed(&[("element", "Patient.contact.name")], "", ON_NAME), ["error Patient.name[1]"]);
    assert_eq!(placed(&[("element", "boolean")], "", ON_ACTIVE), NONE);
    let on_value = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},
        "valueQuantity":{"value":1,"extension":EXT}}"#;
    for path in [
        "Observation.value",
        "Observation.value[x]",
        "Observation.valueQuantity",
        "Observation.value.ofType(Quantity)",
        "Quantity",
    ] {
        assert_eq!(placed(&[("element", path)], "", on_value), NONE, "{path}");
    }
    let other = placed(&[("element", "Observation.valueString")], "", on_value);
    assert_eq!(other, ["error Observation.value.ofType(Quantity)"]);
}

#[test]
fn a_fhirpath_context_allows_what_it_finds() {
    let home = [("fhirpath", "Patient.address.where(use = 'home')")];
    assert_eq!(placed(&home, "", ON_ADDRESS), ["error Patient.address[1]"]);
    assert_eq!(placed(&[("fhirpath", "Patient.name.given")], "", ON_GIVEN), NONE);
    assert_eq!(placed(&[("fhirpath", "use = 'work'")], "", ON_ADDRESS), ["error Patient.address[0]"]);
    assert_eq!(placed(&[("fhirpath", "this is no ( expression")], "", ON_PATIENT), NONE, "nobody can tell");
}

#[test]
fn an_extension_context_covers_the_extension_and_its_value() {
    let outer = "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired";
    let inside = r#"{"resourceType":"Patient","extension":[{"url":"OUTER","valueBoolean":true,
        "_valueBoolean":{"extension":EXT}}]}"#;
    let contexts = [("extension", outer)];
    assert_eq!(placed(&contexts, "", &inside.replace("OUTER", outer)), NONE);
    let other = inside.replace("OUTER", "http://hl7.org/fhir/StructureDefinition/patient-cadavericDonor");
    assert_eq!(placed(&contexts, "", &other), ["error Patient.extension[0].value.ofType(boolean)"]);
}

#[test]
fn a_context_invariant_is_a_rule_of_the_host() {
    let rule = r#","contextInvariant":["use = 'home' and %extension.value.exists()"]"#;
    assert_eq!(placed(&[("element", "Address")], rule, ON_ADDRESS), ["error Patient.address[1]"]);
}

#[test]
fn modifier_extensions_have_a_list_of_their_own() {
    let root = r#"{"id":"Extension","path":"Extension","isModifier":true},{"id":"Extension.url""#;
    let modifier = extension(&[("element", "Patient")], "").replace(r#"{"id":"Extension.url""#, root);
    let validator = Validator::new(definitions(&[modifier]));
    let of = |list: &str| {
        let json = format!(r#"{{"resourceType":"Patient","{list}":[{{"url":"{URL}","valueString":"x"}}]}}"#);
        issues(&validator, &json)
    };
    assert_eq!(of("modifierExtension"), NONE);
    assert_eq!(of("extension"), ["error Patient.extension[0]"]);
    let plain =
        placed(&[("element", "Patient")], "", r#"{"resourceType":"Patient","modifierExtension":EXT}"#);
    assert_eq!(plain, ["error Patient.modifierExtension[0]"]);
}

#[test]
fn elements_of_other_versions_are_modifiers_as_there() {
    let of = |list: &str, element: &str| {
        let url = format!("http://hl7.org/fhir/3.0/StructureDefinition/extension-{element}");
        let json =
            format!(r#"{{"resourceType":"Patient","{list}":[{{"url":"{url}","valueBoolean":true}}]}}"#);
        issues(&Validator::new(Definitions::r4()), &json)
    };
    assert_eq!(of("modifierExtension", "Patient.animal"), NONE);
    assert_eq!(of("extension", "Patient.animal"), ["error Patient.extension[0]"]);
    assert_eq!(of("modifierExtension", "Patient.photo"), ["error Patient.modifierExtension[0]"]);
    assert_eq!(of("extension", "Patient.photo"), NONE);
}

#[test]
fn an_unknown_extension_is_mentioned_once_or_refused() {
    let url = "https://vendor.example.it/fhir/thing";
    let one = format!(r#"{{"url":"{url}","valueString":"x"}}"#);
    let json = format!(r#"{{"resourceType":"Patient","extension":[{one},{one}]}}"#);
    let settings = Settings { unknown_extensions: UnknownExtensions::Error, ..Settings::default() };
    let strict = || Validator::with_settings(Definitions::r4(), settings);
    assert_eq!(issues(&Validator::new(Definitions::r4()), &json), ["information Patient.extension[0]"]);
    assert_eq!(issues(&strict(), &json), ["error Patient.extension[0]", "error Patient.extension[1]"]);
    let trusting = strict().with_extension_authority("https://vendor.example.it/");
    assert_eq!(issues(&trusting, &json), ["information Patient.extension[0]"]);
    let document = OwnedDocument::parse_json(json.as_str(), &Limits::default()).unwrap();
    assert!(Validator::new(Definitions::r4()).is_valid(document.document()), "information is no fault");
    let modifying = json.replace("\"extension\"", "\"modifierExtension\"");
    let report = issues(&Validator::new(Definitions::r4()), &modifying);
    assert_eq!(report, ["error Patient.modifierExtension[0]", "error Patient.modifierExtension[1]"]);
}

#[test]
fn an_empty_url_is_reported_at_the_extension() {
    let json = r#"{"resourceType":"Patient","extension":[{"url":"","valueString":"x"}]}"#;
    assert_eq!(issues(&Validator::new(Definitions::r4()), json), ["error Patient.extension[0]"]);
}
