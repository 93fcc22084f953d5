//! `GET` and `POST ConceptMap/$translate` (FHIR R4, operation `ConceptMap-translate`).
//!
//! One of `code`, `coding` and `codeableConcept` says what is to be translated; `url`, or the value sets `source` and
//! `target`, or the code systems say by which concept map. The parameter `conceptMap`, a map that the caller brings, is
//! refused by name: the gateway answers from the maps of its site.

use fhir_models::document::{Value, name};

use super::error::{InteractionError, ShownName};
use super::operation::{Operation, boolean_of, parameters, parts, text_of};
use super::transform::set_canonical;
use crate::terminology::concept_map::{Asked, Concept, Dependency};

/// Most codings of a concept, and most dependencies, that are read.
const MOST: usize = 100;
/// Longest code, system or version, in bytes.
const LONGEST: usize = 2048;

/// A code that is to be translated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AskedCoding {
    /// Its code system; absent where any will do.
    pub system: Option<String>,
    /// The version of the code system.
    pub version: Option<String>,
    /// The code.
    pub code: String,
}

/// A translation that a caller asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Translate {
    /// The canonical of the concept map.
    pub url: Option<String>,
    /// The version of the concept map.
    pub concept_map_version: Option<String>,
    /// The value set that the code was chosen from.
    pub source: Option<String>,
    /// The value set in which a translation is sought.
    pub target: Option<String>,
    /// The code, where it came alone.
    code: Option<String>,
    system: Option<String>,
    version: Option<String>,
    /// Only targets of this code system are wanted.
    pub target_system: Option<String>,
    /// From targets to sources.
    pub reverse: bool,
    /// The codes to translate: each of them is.
    pub codings: Vec<AskedCoding>,
    /// Values of other elements.
    pub dependencies: Vec<Dependency>,
    /// True where the parameters stand in a body.
    pub(super) by_post: bool,
    /// Parameters that were taken up, so that none stands twice.
    seen: Vec<&'static str>,
}

/// The parameters that may stand in a URL.
const PRIMITIVE: &[&str] =
    &["url", "conceptMapVersion", "code", "system", "version", "source", "target", "targetsystem", "reverse"];
/// The parameters that need a body.
const COMPLEX: &[&str] = &["coding", "codeableConcept", "dependency"];

impl Translate {
    pub(super) fn new(by_post: bool) -> Translate {
        Translate { by_post, ..Translate::default() }
    }

    /// True for a parameter that the operation has.
    pub(super) fn takes(named: &str) -> bool {
        PRIMITIVE.contains(&named) || COMPLEX.contains(&named)
    }

    /// Takes up a parameter of the URL, or one of the body that might stand in the URL.
    pub(super) fn set(&mut self, named: &str, value: &str) -> Result<(), InteractionError> {
        let bad = |expected| InteractionError::BadValue { name: ShownName::of(named), expected };
        let own = PRIMITIVE.iter().find(|own| **own == named);
        let named = *own.ok_or(bad("sent in a Parameters body by POST"))?;
        self.see(named)?;
        if value.is_empty() || value.len() > LONGEST {
            return Err(bad("a text of at most 2048 bytes"));
        }
        match named {
            "url" => set_canonical(&mut self.url, named, value)?,
            "source" => set_canonical(&mut self.source, named, value)?,
            "target" => set_canonical(&mut self.target, named, value)?,
            "targetsystem" => set_canonical(&mut self.target_system, named, value)?,
            "conceptMapVersion" => self.concept_map_version = Some(value.to_owned()),
            "code" => self.code = Some(value.to_owned()),
            "system" => self.system = Some(value.to_owned()),
            "version" => self.version = Some(value.to_owned()),
            _ => {
                self.reverse = match value {
                    "true" => true,
                    "false" => false,
                    _ => return Err(bad("true or false")),
                }
            }
        }
        Ok(())
    }

    /// Takes up the parameters of a body.
    ///
    /// Errors: a body that is no Parameters, a parameter that is unknown, stands twice or has another form.
    pub fn take_body(&mut self, body: Value<'_>) -> Result<(), InteractionError> {
        let all = parameters(body).ok_or(InteractionError::BadValue {
            name: ShownName::of("parameter"),
            expected: "given: the body must be a Parameters resource",
        })?;
        for (named, parameter) in all {
            let too_many = InteractionError::TooMuch { what: "codings or dependencies", limit: MOST };
            match &*named {
                "coding" => {
                    self.see("coding")?;
                    let coding = parameter.get_key("valueCoding").and_then(coding_of);
                    let missing = misfit("coding", "a Coding with a code, in the parameter's `valueCoding`");
                    self.codings.push(coding.ok_or(missing)?);
                }
                "codeableConcept" => {
                    self.see("codeableConcept")?;
                    let codings = parameter.get_key("valueCodeableConcept").map(codings_of);
                    let expected = "a CodeableConcept with a code, in the parameter's `valueCodeableConcept`";
                    let codings = codings.filter(|it| !it.is_empty());
                    self.codings.extend(codings.ok_or(misfit("codeableConcept", expected))?);
                }
                "dependency" => self.dependencies.extend(dependencies_of(parameter)?),
                "reverse" => {
                    let text = if boolean_of(parameter, "reverse")? { "true" } else { "false" };
                    self.set("reverse", text)?
                }
                "code" => self.set("code", &text_of(parameter, Operation::CODE, "code")?)?,
                "version" | "conceptMapVersion" => {
                    self.set(&named, &text_of(parameter, &["valueString"], &named)?)?
                }
                other if PRIMITIVE.contains(&other) => {
                    self.set(other, &text_of(parameter, Operation::URI, other)?)?
                }
                "conceptMap" => {
                    return Err(InteractionError::ParameterNotServed(ShownName::of("conceptMap")));
                }
                other => {
                    let name = ShownName::of(other);
                    return Err(InteractionError::UnknownParameter { interaction: "$translate", name });
                }
            }
            if self.codings.len() > MOST || self.dependencies.len() > MOST {
                return Err(too_many);
            }
        }
        Ok(())
    }

    /// Says what is to be translated, once all parameters are there.
    ///
    /// Errors: nothing, or more than one of `code`, `coding` and `codeableConcept`; nothing by which a concept map
    /// could be chosen.
    pub fn complete(&mut self) -> Result<(), InteractionError> {
        let forms = ["code", "coding", "codeableConcept"];
        if forms.iter().filter(|form| self.seen.contains(form)).count() != 1 {
            let expected = "given, or `coding` or `codeableConcept` in its place: exactly one of the three";
            return Err(misfit("code", expected));
        }
        if let Some(code) = self.code.take() {
            let (system, version) = (self.system.take(), self.version.take());
            self.codings.push(AskedCoding { system, version, code });
        } else if self.system.is_some() || self.version.is_some() {
            return Err(misfit("system", "given with `code` alone: a coding has its own"));
        }
        let chosen = self.url.is_some()
            || self.source.is_some()
            || self.target.is_some()
            || self.target_system.is_some();
        if chosen { Ok(()) } else { Err(misfit("url", "given, or `source`, `target` or `targetsystem`")) }
    }

    /// True where the parameters stand in a body.
    pub fn takes_body(&self) -> bool {
        self.by_post
    }

    /// The questions to a concept map, one a code.
    pub fn questions(&self) -> impl Iterator<Item = Asked<'_>> {
        self.codings.iter().map(|coding| {
            let (system, version) = (coding.system.as_deref(), coding.version.as_deref());
            let concept = Concept { version, ..Concept::of(system, &coding.code) };
            let target_system = self.target_system.as_deref();
            Asked { concept, target_system, dependencies: &self.dependencies, reverse: self.reverse }
        })
    }

    fn see(&mut self, named: &'static str) -> Result<(), InteractionError> {
        if self.seen.contains(&named) {
            return Err(InteractionError::Repeated(ShownName::of(named)));
        }
        self.seen.push(named);
        Ok(())
    }
}

fn misfit(named: &str, expected: &'static str) -> InteractionError {
    InteractionError::BadValue { name: ShownName::of(named), expected }
}

fn coding_of(coding: Value<'_>) -> Option<AskedCoding> {
    let text = |key: &str| coding.get_key(key).and_then(Value::as_str).map(|it| it.into_owned());
    let code = text("code").filter(|code| !code.is_empty() && code.len() <= LONGEST)?;
    Some(AskedCoding { system: text("system"), version: text("version"), code })
}

fn codings_of(concept: Value<'_>) -> Vec<AskedCoding> {
    let codings = concept.get(name::CODING).into_iter().flat_map(Value::items);
    codings.take(MOST + 1).filter_map(coding_of).collect()
}

/// One for each code of the concept: any of them may be the one that a mapping depends on.
fn dependencies_of(parameter: Value<'_>) -> Result<Vec<Dependency>, InteractionError> {
    let expected = "an `element` and a `concept`, as parts of the parameter";
    let (mut element, mut concept) = (None, None);
    for (named, part) in parts(parameter) {
        match &*named {
            "element" => element = Some(text_of(part, Operation::URI, "element")?),
            "concept" => concept = part.get_key("valueCodeableConcept").map(codings_of),
            _ => return Err(misfit("dependency", expected)),
        }
    }
    match (element, concept) {
        (Some(element), Some(codings)) => {
            let one = |AskedCoding { system, code, .. }| Dependency {
                element: element.clone(),
                system,
                value: code,
                display: None,
            };
            Ok(codings.into_iter().map(one).collect())
        }
        _ => Err(misfit("dependency", expected)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fhir_models::document::{Limits, OwnedDocument};

    use super::*;
    use crate::interaction::{Interaction, SearchSchema};

    fn asked(method: &str, query: Option<&str>, body: &str) -> Result<Translate, InteractionError> {
        let schema = SearchSchema::new(["ConceptMap"], |_| Vec::new());
        match Interaction::parse(method, "/ConceptMap/$translate", query, None, &schema)? {
            Interaction::Translate(_, mut own) => {
                if method == "POST" {
                    let document = OwnedDocument::parse_json(body, &Limits::default()).unwrap();
                    own.take_body(document.root())?;
                }
                own.complete().map(|()| own)
            }
            other => panic!("{other}"),
        }
    }

    fn posted(parameters: &str) -> Result<Translate, InteractionError> {
        asked("POST", None, &format!(r#"{{"resourceType":"Parameters","parameter":[{parameters}]}}"#))
    }

    #[test]
    fn a_code_is_asked_about_by_url_and_by_body() {
        let query = "url=http://example.org/cm&system=urn:a&code=1&targetsystem=urn:b&reverse=true";
        let by_url = asked("GET", Some(query), "").unwrap();
        assert_eq!(by_url.url.as_deref(), Some("http://example.org/cm"));
        let coding = AskedCoding { system: Some("urn:a".into()), version: None, code: "1".into() };
        assert_eq!(by_url.codings, [coding]);
        assert!(by_url.reverse);
        let by_body = posted(
            r#"{"name":"url","valueUri":"http://example.org/cm"},{"name":"reverse","valueBoolean":true},
               {"name":"targetsystem","valueUri":"urn:b"},{"name":"coding","valueCoding":{"system":"urn:a","code":"1"}}"#,
        );
        let by_body = by_body.unwrap();
        assert_eq!((by_body.codings, by_body.target_system), (by_url.codings, by_url.target_system));
        assert!(by_body.reverse);
    }

    #[test]
    fn a_concept_and_what_it_depends_on() {
        let own = posted(
            r#"{"name":"source","valueUri":"http://example.org/vs"},
               {"name":"codeableConcept","valueCodeableConcept":{"coding":[{"code":"1"},{"system":"urn:c","code":"2"}]}},
               {"name":"dependency","part":[{"name":"element","valueUri":"urn:e"},
                 {"name":"concept","valueCodeableConcept":{"coding":[{"code":"x"}]}}]}"#,
        )
        .unwrap();
        assert_eq!((own.codings.len(), own.dependencies.len()), (2, 1));
    }

    #[test]
    fn what_is_not_one_question_is_refused() {
        for query in [
            "url=http://example.org/cm",
            "code=1",
            "url=http://example.org/cm&code=1&code=2",
            "url=http://example.org/cm&coding=urn:a%7C1",
            "url=http://example.org/cm&code=1&reverse=yes",
            "url=http://example.org/cm&code=1&conceptMap=x",
            "url=a%20b&code=1",
        ] {
            assert_eq!(asked("GET", Some(query), "").unwrap_err().status(), 400, "{query}");
        }
        let url = r#"{"name":"url","valueUri":"http://example.org/cm"}"#;
        for parameters in [
            r#"{"name":"code","valueCode":"1"},{"name":"coding","valueCoding":{"code":"1"}}"#,
            r#"{"name":"coding","valueCoding":{"system":"urn:a"}}"#,
            r#"{"name":"coding","valueCoding":{"code":"1"}},{"name":"system","valueUri":"urn:a"}"#,
            r#"{"name":"code","valueCode":"1"},{"name":"conceptMap","resource":{"resourceType":"ConceptMap"}}"#,
            r#"{"name":"code","valueCode":"1"},{"name":"dependency","part":[{"name":"element","valueUri":"e"}]}"#,
        ] {
            assert_eq!(posted(&format!("{url},{parameters}")).unwrap_err().status(), 400, "{parameters}");
        }
        assert!(asked("POST", None, r#"{"resourceType":"ConceptMap"}"#).is_err());
    }
}
