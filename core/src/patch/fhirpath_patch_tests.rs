#![allow(clippy::unwrap_used)]

use super::*;

fn patched(document: &str, operations: &[&str]) -> Result<String, PatchError> {
    let read = |text: &str| OwnedDocument::parse_json(text, &Limits::default()).unwrap();
    let operations: Vec<String> =
        operations.iter().map(|parts| format!(r#"{{"name":"operation","part":[{parts}]}}"#)).collect();
    let patch = read(&format!(r#"{{"resourceType":"Parameters","parameter":[{}]}}"#, operations.join(",")));
    let document = read(document);
    let (model, definitions) = (Model::r4(), Definitions::r4());
    let limits = PatchLimits { operations: 5, bytes: 2_000 };
    let patched = fhirpath_patch(document.root(), patch.root(), &model, &definitions, &limits);
    patched.map(|json| String::from_utf8(json).unwrap())
}

fn parts(kind: &str, path: &str, more: &str) -> String {
    let more = if more.is_empty() { String::new() } else { format!(",{more}") };
    format!(r#"{{"name":"type","valueCode":"{kind}"}},{{"name":"path","valueString":"{path}"}}{more}"#)
}

const PATIENT: &str = r#"{"resourceType":"Patient","id":"p","name":[{"family":"Rossi","given":["Anna","Maria"]},{"family":"Verdi"}],"birthDate":"1971-05-04"}"#;

#[test]
fn operations_find_their_place() {
    let named = |name: &str, value: &str| {
        format!(r#"{{"name":"name","valueString":"{name}"}},{{"name":"value",{value}}}"#)
    };
    for (operation, expected) in [
        (
            parts("replace", "Patient.birthDate", r#"{"name":"value","valueDate":"1971-05-05"}"#),
            r#""birthDate":"1971-05-05""#,
        ),
        (parts("add", "Patient", &named("active", r#""valueBoolean":true"#)), r#","active":true}"#),
        (
            parts("add", "Patient", &named("telecom", r#""valueContactPoint":{"value":"1"}"#)),
            r#","telecom":[{"value":"1"}]}"#,
        ),
        (
            parts("add", "Patient", &named("deceased", r#""valueBoolean":false"#)),
            r#","deceasedBoolean":false}"#,
        ),
        (
            parts("add", "Patient.name.where(family='Verdi')", &named("given", r#""valueString":"Pia""#)),
            r#"{"family":"Verdi","given":["Pia"]}"#,
        ),
        (parts("delete", "Patient.name[0]", ""), r#""name":[{"family":"Verdi"}]"#),
        (parts("delete", "Patient.photo", ""), r#""birthDate":"1971-05-04"}"#),
        (
            parts(
                "insert",
                "Patient.name[0].given",
                r#"{"name":"index","valueInteger":1},{"name":"value","valueString":"Pia"}"#,
            ),
            r#"["Anna","Pia","Maria"]"#,
        ),
        (
            parts(
                "move",
                "Patient.name",
                r#"{"name":"source","valueInteger":1},{"name":"destination","valueInteger":0}"#,
            ),
            r#""name":[{"family":"Verdi"},{"family":"Rossi""#,
        ),
        (
            parts(
                "add",
                "Patient",
                r#"{"name":"name","valueString":"contact"},{"name":"value","part":[
                {"name":"name","valueHumanName":{"text":"x"}},{"name":"gender","valueCode":"female"}]}"#,
            ),
            r#""contact":[{"name":{"text":"x"},"gender":"female"}]"#,
        ),
    ] {
        let result = patched(PATIENT, &[&operation]).unwrap();
        assert!(result.contains(expected), "{operation}\n{result}");
    }
    let empty = patched(
        r#"{"resourceType":"Patient","name":[{"given":["a"]}],"active":true}"#,
        &[&parts("delete", "Patient.name.given", "")],
    );
    assert_eq!(empty.as_deref(), Ok(r#"{"resourceType":"Patient","active":true}"#));
    let observation = r#"{"resourceType":"Observation","valueString":"x"}"#;
    let other = parts("replace", "Observation.value", r#"{"name":"value","valueInteger":3}"#);
    assert_eq!(
        patched(observation, &[&other]).as_deref(),
        Ok(r#"{"resourceType":"Observation","valueInteger":3}"#)
    );
}

#[test]
fn what_names_no_place_or_several_is_refused() {
    let value = r#"{"name":"value","valueString":"x"}"#;
    for (operation, status) in [
        (parts("replace", "Patient.gender", value), 422),
        (parts("replace", "Patient.name.family", value), 400),
        (parts("delete", "Patient.name", ""), 400),
        (parts("replace", "Patient.birthDate", ""), 400),
        (parts("replace", "Patient.birthDate.substring(", value), 400),
        (parts("replace", "Patient.name.count()", value), 400),
        (parts("rotate", "Patient.birthDate", value), 400),
        (parts("add", "Patient", &format!(r#"{{"name":"name","valueString":"nothing"}},{value}"#)), 400),
        (parts("add", "Patient", &format!(r#"{{"name":"name","valueString":"birthDate"}},{value}"#)), 400),
        (
            parts(
                "insert",
                "Patient.name",
                r#"{"name":"index","valueInteger":9},{"name":"value","valueHumanName":{"text":"x"}}"#,
            ),
            400,
        ),
        (
            parts(
                "move",
                "Patient.name",
                r#"{"name":"source","valueInteger":1},{"name":"destination","valueInteger":2}"#,
            ),
            400,
        ),
        (
            parts(
                "insert",
                "Patient.name[0]",
                r#"{"name":"index","valueInteger":0},{"name":"value","valueHumanName":{"text":"x"}}"#,
            ),
            422,
        ),
        (r#"{"name":"path","valueString":"Patient"}"#.to_owned(), 400),
    ] {
        assert_eq!(
            patched(PATIENT, &[&operation]).map_err(|error| error.status()),
            Err(status),
            "{operation}"
        );
    }
    let twin = r#"{"resourceType":"Patient","birthDate":"1971","_birthDate":{"id":"b"}}"#;
    assert!(patched(twin, &[&parts("delete", "Patient.birthDate", "")]).is_err());
    let nothing = parts("delete", "Patient.photo", "");
    assert_eq!(patched(PATIENT, &[nothing.as_str(); 6]), Err(PatchError::TooMuch));
}
