//! `POST Patient/$match` (FHIR R4, operation `Patient-match`; IHE PDQm ITI-119).
//!
//! A Parameters body holds the patient in question, `onlyCertainMatches` and `count`; a body that is a Patient
//! is the patient in question.

use fhir_models::document::{Value, name};

use super::error::{InteractionError, ShownName};
use super::operation::{boolean_of, parameters};

/// A search for a person that a caller asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatientMatch {
    /// True where only one match, and a certain one, is any good.
    pub only_certain: bool,
    /// Most matches that are wanted, at least 1.
    pub count: Option<u32>,
}

impl PatientMatch {
    /// The patient in question in a request's body, whose other parameters are taken up.
    ///
    /// Errors: no patient, a parameter that is unknown, stands twice or has another form.
    pub fn take_body<'d>(&mut self, body: Value<'d>) -> Result<Value<'d>, InteractionError> {
        let misfit = |named, expected| InteractionError::BadValue { name: ShownName::of(named), expected };
        let mut patient = None;
        let Some(all) = parameters(body) else {
            let own = (body.resource_type().as_deref() == Some("Patient")).then_some(body);
            return own.ok_or(misfit("resource", "a Patient, as this parameter or as the body"));
        };
        let mut seen: Vec<String> = Vec::new();
        for (named, parameter) in all {
            if seen.iter().any(|it| **it == *named) {
                return Err(InteractionError::Repeated(ShownName::of(&named)));
            }
            match &*named {
                "resource" => {
                    let own = parameter.get(name::RESOURCE);
                    patient = own.filter(|it| it.resource_type().as_deref() == Some("Patient"));
                }
                "onlyCertainMatches" => self.only_certain = boolean_of(parameter, "onlyCertainMatches")?,
                "count" => {
                    let value = parameter.get_key("valueInteger").or(parameter.get_key("valuePositiveInt"));
                    let number = value.and_then(|it| it.raw().parse().ok()).filter(|count| *count > 0);
                    let expected = "a whole number from 1 up, in the parameter's `valueInteger`";
                    self.count = Some(number.ok_or(misfit("count", expected))?);
                }
                other => {
                    let name = ShownName::of(other);
                    return Err(InteractionError::UnknownParameter { interaction: "$match", name });
                }
            }
            seen.push(named.into_owned());
        }
        patient.ok_or(misfit("resource", "given: a Patient, in the parameter's `resource`"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fhir_models::document::{Limits, OwnedDocument};

    use super::*;
    use crate::interaction::{Interaction, SearchSchema};

    fn asked(text: &str) -> Result<PatientMatch, InteractionError> {
        let schema = SearchSchema::new(["Patient"], |_| Vec::new());
        match Interaction::parse("POST", "/Patient/$match", None, None, &schema)? {
            Interaction::Match(_, mut own) => {
                let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
                own.take_body(document.root()).map(|_| own)
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_patient_comes_with_its_parameters_or_alone() {
        let patient = r#"{"resourceType":"Patient","active":true}"#;
        assert_eq!(asked(patient).unwrap(), PatientMatch::default());
        let body = format!(
            r#"{{"resourceType":"Parameters","parameter":[{{"name":"resource","resource":{patient}}},
              {{"name":"onlyCertainMatches","valueBoolean":true}},{{"name":"count","valueInteger":3}}]}}"#
        );
        assert_eq!(asked(&body).unwrap(), PatientMatch { only_certain: true, count: Some(3) });
    }

    #[test]
    fn what_is_no_question_is_refused() {
        let patient = r#"{"name":"resource","resource":{"resourceType":"Patient"}}"#;
        for parameters in [
            String::new(),
            r#"{"name":"resource","resource":{"resourceType":"Person"}}"#.to_owned(),
            format!("{patient},{patient}"),
            format!(r#"{patient},{{"name":"count","valueInteger":0}}"#),
            format!(r#"{patient},{{"name":"count","valueString":"3"}}"#),
            format!(r#"{patient},{{"name":"onlyCertainMatches","valueString":"true"}}"#),
            format!(r#"{patient},{{"name":"onlySingleMatch","valueBoolean":true}}"#),
        ] {
            let body = format!(r#"{{"resourceType":"Parameters","parameter":[{parameters}]}}"#);
            assert_eq!(asked(&body).unwrap_err().status(), 400, "{parameters}");
        }
        assert!(asked(r#"{"resourceType":"Person"}"#).is_err());
    }
}
