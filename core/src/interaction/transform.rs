//! `POST StructureMap/$transform` (FHIR R4, operation `StructureMap-transform`).
//!
//! The map is named by its canonical, in the URL or in a Parameters body beside the content; a body that is no
//! Parameters is the content itself. `[id]/$transform` is not served: the gateway keeps maps by canonical.

use fhir_models::document::{Value, name};
use fhir_models::primitive::Primitive;

use super::error::{InteractionError, ShownName};
use super::operation::{Operation, parameters, text_of};

/// Longest canonical that is read, in bytes.
const LONGEST_CANONICAL: usize = 1024;

/// A transformation that a caller asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transform {
    /// The canonical of the map; set once the body is taken.
    pub source: Option<String>,
}

impl Transform {
    pub(super) fn set_source(&mut self, canonical: &str) -> Result<(), InteractionError> {
        set_canonical(&mut self.source, "source", canonical)
    }

    /// The content to be transformed in a request's body: the body itself, or the parameter `content` of a
    /// Parameters body, whose `source` is taken up.
    ///
    /// Errors: no map or no content is named, a parameter is unknown or stands twice.
    pub fn take_body<'d>(&mut self, body: Value<'d>) -> Result<Value<'d>, InteractionError> {
        let content = match parameters(body) {
            None => Some(body),
            Some(all) => {
                let mut content = None;
                for (named, parameter) in all {
                    match (&*named, parameter.get(name::RESOURCE)) {
                        ("content", Some(_)) if content.is_some() => {
                            return Err(InteractionError::Repeated(ShownName::of("content")));
                        }
                        ("content", Some(own)) if own.is_object() => content = Some(own),
                        ("content", _) => {
                            let expected = "a resource, in the parameter's `resource`";
                            let name = ShownName::of("content");
                            return Err(InteractionError::BadValue { name, expected });
                        }
                        ("source", None) => {
                            self.set_source(&text_of(parameter, Operation::URI, "source")?)?
                        }
                        (other, _) => {
                            let name = ShownName::of(other);
                            return Err(InteractionError::UnknownParameter {
                                interaction: "$transform",
                                name,
                            });
                        }
                    }
                }
                content
            }
        };
        let missing = |name, expected| InteractionError::BadValue { name: ShownName::of(name), expected };
        if self.source.is_none() {
            return Err(missing(
                "source",
                "given: the canonical of the map, in the URL or as this parameter",
            ));
        }
        content.ok_or(missing(
            "content",
            "given: the resource to transform, as the body or as this parameter of it",
        ))
    }
}

/// Takes up a canonical that may stand once.
pub(super) fn set_canonical(
    slot: &mut Option<String>,
    named: &str,
    canonical: &str,
) -> Result<(), InteractionError> {
    if slot.is_some() {
        return Err(InteractionError::Repeated(ShownName::of(named)));
    }
    if canonical.len() > LONGEST_CANONICAL || !Primitive::Canonical.is_valid(canonical) {
        let expected = "one canonical, of at most 1024 bytes";
        return Err(InteractionError::BadValue { name: ShownName::of(named), expected });
    }
    *slot = Some(canonical.to_owned());
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fhir_models::document::{Limits, OwnedDocument};

    use super::*;
    use crate::interaction::{Interaction, SearchSchema};

    fn asked(method: &str, path: &str, query: Option<&str>) -> Result<Transform, InteractionError> {
        let schema = SearchSchema::new(["StructureMap", "Patient"], |_| Vec::new());
        match Interaction::parse(method, path, query, None, &schema)? {
            Interaction::Transform(_, own) => Ok(own),
            other => panic!("{other}"),
        }
    }

    fn content(query: Option<&str>, text: &str) -> Result<(Option<String>, String), InteractionError> {
        let mut own = asked("POST", "/StructureMap/$transform", query)?;
        let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
        let content = own.take_body(document.root())?.raw().to_owned();
        Ok((own.source, content))
    }

    #[test]
    fn the_map_stands_in_the_url_or_beside_the_content() {
        let patient = r#"{"resourceType":"Patient"}"#;
        let source = Some("http://example.org/map|1.0".to_owned());
        let by_url = content(Some("source=http://example.org/map%7C1.0"), patient).unwrap();
        assert_eq!(by_url, (source.clone(), patient.to_owned()));
        let body = format!(
            r#"{{"resourceType":"Parameters","parameter":[{{"name":"source","valueUri":"http://example.org/map|1.0"}},
              {{"name":"content","resource":{patient}}}]}}"#
        );
        assert_eq!(content(None, &body).unwrap(), (source, patient.to_owned()));
    }

    #[test]
    fn what_is_missing_doubled_or_unknown_is_refused() {
        let patient = r#"{"name":"content","resource":{"resourceType":"Patient"}}"#;
        let map = r#"{"name":"source","valueUri":"http://example.org/map"}"#;
        for parameters in [
            patient.to_owned(),
            map.to_owned(),
            format!("{map},{map},{patient}"),
            format!("{map},{patient},{patient}"),
            format!(r#"{map},{patient},{{"name":"other","valueUri":"x"}}"#),
            format!(r#"{map},{{"name":"content","valueString":"x"}}"#),
        ] {
            let body = format!(r#"{{"resourceType":"Parameters","parameter":[{parameters}]}}"#);
            assert_eq!(content(None, &body).unwrap_err().status(), 400, "{parameters}");
        }
        assert!(content(None, r#"{"resourceType":"Patient"}"#).is_err());
        for (method, path, status) in [
            ("GET", "/StructureMap/$transform", 405),
            ("POST", "/Patient/$transform", 404),
            ("POST", "/StructureMap/m1/$transform", 404),
        ] {
            assert_eq!(asked(method, path, None).unwrap_err().status(), status, "{method} {path}");
        }
    }
}
