//! Codes that nothing at hand can judge become questions, and a server's answers count.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument};
use varco_core::terminology::{Answer, Answers, Membership, Question};
use varco_core::validation::{ValidationReport, Validator};

const LOINC: &str = "http://loinc.org";
const BOUND: &str = r#"{"resourceType":"StructureDefinition","url":"http://example.it/bound","name":"Bound","status":"active",
    "kind":"resource","abstract":false,"type":"Observation","baseDefinition":"http://hl7.org/fhir/StructureDefinition/Observation","derivation":"constraint",
    "differential":{"element":[{"id":"Observation.code","path":"Observation.code","binding":{"strength":"required","valueSet":"http://example.it/vs/elsewhere|2"}}]}}"#;

struct Said(BTreeMap<Question, Answer>);

impl Answers for Said {
    fn answer(&self, question: &Question) -> Option<Answer> {
        self.0.get(question).cloned()
    }
}

fn validator(files: &[&str]) -> Validator {
    let mut builder = Definitions::builder();
    for (number, file) in files.iter().enumerate() {
        builder.definition(&format!("{number}.json"), file.as_bytes()).unwrap();
    }
    Validator::new(Arc::new(builder.build().unwrap()))
}

fn with(validator: &Validator, json: &str, answers: &dyn Answers) -> ValidationReport {
    let document = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
    validator.validate_with(document.document(), answers)
}

fn creatinine() -> String {
    let coding = format!(r#"{{"system":"{LOINC}","code":"2160-0","display":"Creatinine"}}"#);
    format!(r#"{{"resourceType":"Observation","status":"final","code":{{"coding":[{coding},{coding}]}}}}"#)
}

#[test]
fn a_question_is_asked_once_and_only_where_answers_are_expected() {
    let validator = validator(&[BOUND]).with_profile("http://example.it/bound");
    let of_system = Question {
        system: Some(LOINC.to_owned()),
        version: None,
        code: "2160-0".to_owned(),
        display: Some("Creatinine".to_owned()),
        value_set: None,
    };
    let of_set = Question {
        display: None,
        value_set: Some("http://example.it/vs/elsewhere|2".to_owned()),
        ..of_system.clone()
    };
    let report = with(&validator, &creatinine(), &());
    assert_eq!(report.questions, [of_set.clone(), of_system.clone()]);
    assert_eq!(report.unknown_codes, 1);
    let document = OwnedDocument::parse_json(creatinine(), &Limits::default()).unwrap();
    assert!(validator.validate(document.document()).questions.is_empty());

    let no =
        |question: &Question| Said(BTreeMap::from([(question.clone(), Answer::of(Membership::NotMember))]));
    let report = with(&validator, &creatinine(), &no(&of_set));
    assert_eq!(report.questions, std::slice::from_ref(&of_system));
    assert_eq!((report.issues.len(), report.unknown_codes), (1, 0), "{:?}", report.issues);
    assert!(report.issues[0].message.contains("http://example.it/vs/elsewhere|2"));
    let report = with(&validator, &creatinine(), &no(&of_system));
    assert_eq!(report.issues.len(), 2, "both codings: {:?}", report.issues);

    let unsure = Answer::of(Membership::Unknown);
    let report = with(
        &validator,
        &creatinine(),
        &Said(BTreeMap::from([(of_set, unsure.clone()), (of_system, unsure)])),
    );
    assert!(report.questions.is_empty() && report.issues.is_empty());
    assert_eq!(report.unknown_codes, 1, "a server that can't tell leaves the code unknown");
}

#[test]
fn a_wrong_display_is_a_warning_with_the_right_one() {
    let validator = validator(&[]);
    let question = with(&validator, &creatinine(), &()).questions.remove(0);
    let right = Answer { display: Some("Creatinina".to_owned()), ..Answer::of(Membership::Member) };
    let report = with(&validator, &creatinine(), &Said(BTreeMap::from([(question, right)])));
    assert!(report.is_valid() && report.issues.len() == 2);
    assert!(report.issues[0].message.contains("Creatinina"));
}

#[test]
fn what_is_known_here_is_no_question() {
    let json = r#"{"resourceType":"Patient","gender":"female","maritalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-MaritalStatus","code":"M"}]}}"#;
    assert!(with(&validator(&[]), json, &()).questions.is_empty());
}
