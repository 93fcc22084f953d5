//! One search criterion: a parameter, its modifier and its values (FHIR R4 §3.1.1.4).

use fhir_models::document::{Value, name};
use jiff::Timestamp;

use super::date::{Period, Prefix, element_period, period_of};
use super::folded::folded;
use super::table::{Kind, Parameter};
use crate::hospital::outcome::Refusal;

/// A criterion that a resource meets or not.
#[derive(Debug)]
pub(super) struct Criterion {
    parameter: &'static Parameter,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Missing(bool),
    Token { any: Vec<Token>, negated: bool },
    Reference { any: Vec<String>, target: Option<String> },
    ReferenceIdentifier(Vec<Token>),
    Date(Vec<(Prefix, Period)>),
    Text { any: Vec<String>, how: How },
    Uri(Vec<String>),
}

#[derive(Debug, Clone, Copy)]
enum How {
    Begins,
    Contains,
    Exact,
}

/// `system|code`: a part that is `None` may be anything, an empty system must be absent.
#[derive(Debug)]
struct Token {
    system: Option<String>,
    code: Option<String>,
}

/// What the comparison needs besides the resource.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    /// The server's base URL: references below it are the server's own.
    pub(super) base: &'a str,
    pub(super) now: Timestamp,
}

impl Criterion {
    /// Reads a parameter's modifier and value.
    pub(super) fn parse(
        parameter: &'static Parameter,
        modifier: Option<&str>,
        value: &str,
        frame: Frame<'_>,
    ) -> Result<Criterion, Refusal> {
        let refused = |what: &str| {
            Refusal::bad_request("value", format!("the search parameter {}: {what}", parameter.name))
        };
        let unsupported =
            || refused(&format!("the modifier :{} is not supported", modifier.unwrap_or_default()));
        if modifier == Some("missing") {
            let missing = value.parse().map_err(|_| refused(":missing takes true or false"))?;
            return Ok(Criterion { parameter, test: Test::Missing(missing) });
        }
        let values = alternatives(value);
        if values.is_empty() {
            return Err(refused("a value is missing"));
        }
        let test = match (parameter.kind, modifier) {
            (Kind::Token, None | Some("not")) => {
                let any = values.iter().map(|value| Token::parse(value)).collect();
                Test::Token { any, negated: modifier.is_some() }
            }
            (Kind::Reference, Some("identifier")) => {
                Test::ReferenceIdentifier(values.iter().map(|value| Token::parse(value)).collect())
            }
            (Kind::Reference, None) => {
                let any =
                    values.iter().map(|value| relative(&unescaped(value), frame.base).to_owned()).collect();
                Test::Reference { any, target: parameter.target.map(str::to_owned) }
            }
            (Kind::Reference, Some(target))
                if target.starts_with(|letter: char| letter.is_ascii_uppercase()) =>
            {
                let any = values.iter().map(|value| unescaped(value)).collect();
                Test::Reference { any, target: Some(target.to_owned()) }
            }
            (Kind::Date, None) => {
                let parsed = values.iter().map(|value| {
                    let (prefix, rest) = Prefix::split(value);
                    Some((prefix, period_of(rest)?))
                });
                let dates: Option<Vec<_>> = parsed.collect();
                Test::Date(dates.ok_or_else(|| refused("a value is not a date with an optional prefix"))?)
            }
            (Kind::Text, None) => Test::text(&values, How::Begins),
            (Kind::Text, Some("contains")) => Test::text(&values, How::Contains),
            (Kind::Text, Some("exact")) => Test::text(&values, How::Exact),
            (Kind::Uri, None) => Test::Uri(values.iter().map(|value| unescaped(value)).collect()),
            _ => return Err(unsupported()),
        };
        Ok(Criterion { parameter, test })
    }

    /// True where the resource meets the criterion.
    pub(super) fn holds(&self, resource: Value<'_>, frame: Frame<'_>) -> bool {
        let elements = self.parameter.elements(resource);
        match &self.test {
            Test::Missing(missing) => elements.is_empty() == *missing,
            Test::Token { any, negated } => {
                let found = elements.iter().any(|&element| any.iter().any(|token| token.matches(element)));
                found != *negated
            }
            Test::Reference { any, target } => elements.iter().any(|element| {
                let Some(text) = element.str_of(name::REFERENCE).or_else(|| element.as_str()) else {
                    return false;
                };
                let own = relative(&text, frame.base);
                any.iter().any(|wanted| points_to(own, wanted, target.as_deref()))
            }),
            Test::ReferenceIdentifier(any) => elements.iter().any(|element| {
                let identifier = element.get(name::IDENTIFIER);
                identifier.is_some_and(|identifier| any.iter().any(|token| token.matches(identifier)))
            }),
            Test::Date(any) => elements
                .iter()
                .filter_map(|&element| element_period(element))
                .any(|own| any.iter().any(|(prefix, wanted)| prefix.holds(own, *wanted, frame.now))),
            Test::Text { any, how } => elements.iter().filter_map(|element| element.as_str()).any(|text| {
                any.iter().any(|wanted| match how {
                    How::Begins => folded(&text).starts_with(wanted.as_str()),
                    How::Contains => folded(&text).contains(wanted.as_str()),
                    How::Exact => text == *wanted,
                })
            }),
            Test::Uri(any) => elements.iter().any(|element| any.iter().any(|wanted| element.is_str(wanted))),
        }
    }
}

impl Test {
    fn text(values: &[&str], how: How) -> Test {
        let any = values.iter().map(|value| match how {
            How::Exact => unescaped(value),
            How::Begins | How::Contains => folded(&unescaped(value)),
        });
        Test::Text { any: any.collect(), how }
    }
}

impl Token {
    fn parse(text: &str) -> Token {
        let part = |text: &str| (!text.is_empty()).then(|| unescaped(text));
        match split_unescaped(text, b'|').as_slice() {
            [system, code, ..] => Token { system: Some(unescaped(system)), code: part(code) },
            _ => Token { system: None, code: part(text) },
        }
    }

    fn matches(&self, element: Value<'_>) -> bool {
        if let Some(codings) = element.get(name::CODING) {
            return codings.items().any(|coding| self.matches(coding));
        }
        if !element.is_object() {
            let own = element.as_str();
            let text = own.as_deref().unwrap_or_else(|| element.raw());
            return self.system.as_deref().is_none_or(str::is_empty)
                && self.code.as_deref().is_some_and(|code| code == text);
        }
        let system_fits = match self.system.as_deref() {
            None => true,
            Some("") => element.get(name::SYSTEM).is_none(),
            Some(wanted) => element.get(name::SYSTEM).is_some_and(|own| own.is_str(wanted)),
        };
        let code = element.get(name::CODE).or_else(|| element.get(name::VALUE));
        let code_fits = self.code.as_deref().is_none_or(|wanted| code.is_some_and(|own| own.is_str(wanted)));
        system_fits && code_fits && (self.code.is_some() || self.system.is_some())
    }
}

/// A reference without the server's own base and without a version.
fn relative<'a>(reference: &'a str, base: &str) -> &'a str {
    let below = reference.strip_prefix(base).and_then(|rest| rest.strip_prefix('/'));
    let text = below.unwrap_or(reference);
    text.split_once("/_history/").map_or(text, |(before, _)| before)
}

fn points_to(own: &str, wanted: &str, target: Option<&str>) -> bool {
    let mut parts = own.rsplit('/');
    let (id, resource_type) = (parts.next().unwrap_or_default(), parts.next());
    if target.is_some() && resource_type != target {
        return false;
    }
    if wanted.contains('/') || wanted.contains(':') {
        return own == wanted;
    }
    // A bare id is one of the server's own resources.
    parts.next().is_none() && id == wanted
}

/// The values between unescaped commas, empty ones left out.
fn alternatives(text: &str) -> Vec<&str> {
    split_unescaped(text, b',').into_iter().filter(|value| !value.is_empty()).collect()
}

fn split_unescaped(text: &str, separator: u8) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, byte) in text.bytes().enumerate() {
        if byte == separator && !escaped {
            parts.push(text.get(start..at).unwrap_or_default());
            start = at + 1;
        }
        escaped = byte == b'\\' && !escaped;
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

/// Undoes `\,`, `\|`, `\$` and `\\` (FHIR R4 §3.1.1.3.5).
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letters.peek() {
            Some(&next) if letter == '\\' && matches!(next, ',' | '|' | '$' | '\\') => {
                out.push(next);
                letters.next();
            }
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::hospital::search::table;
    use fhir_models::document::{Limits, OwnedDocument};

    const BASE: &str = "http://h1.test/fhir";

    fn meets(resource: &str, parameter: &str, value: &str) -> Result<bool, Refusal> {
        let document = OwnedDocument::parse_json(resource, &Limits::default()).unwrap();
        let frame = Frame { base: BASE, now: "2026-06-01T00:00:00Z".parse().unwrap() };
        let (name, modifier) = match parameter.split_once(':') {
            Some((name, modifier)) => (name, Some(modifier)),
            None => (parameter, None),
        };
        let resource_type = document.root().resource_type();
        let found = table::find(resource_type.as_deref(), name).unwrap();
        Ok(Criterion::parse(found, modifier, value, frame)?.holds(document.root(), frame))
    }

    const PATIENT: &str = r#"{"resourceType":"Patient","id":"p1","active":true,"gender":"female","birthDate":"1980-05-17",
        "identifier":[{"system":"http://hl7.it/sid/codiceFiscale","value":"RSSMRA71E01F205E"},{"value":"a,b"}],
        "name":[{"family":"D'Amico","given":["Niccolò","Àlvaro"]}]}"#;

    const OBSERVATION: &str = r#"{"resourceType":"Observation","status":"final","subject":{"reference":"Patient/p1/_history/3",
        "identifier":{"system":"s","value":"v"}},"code":{"coding":[{"system":"http://loinc.org","code":"14957-5"},{"code":"local"}]},
        "effectivePeriod":{"start":"2026-03-01"},"performer":[{"reference":"http://other.test/fhir/Practitioner/9"}]}"#;

    #[test]
    fn tokens_match_system_and_code() {
        for (value, expected) in [
            ("RSSMRA71E01F205E", true),
            ("http://hl7.it/sid/codiceFiscale|RSSMRA71E01F205E", true),
            ("http://hl7.it/sid/codiceFiscale|", true),
            ("|RSSMRA71E01F205E", false),
            ("|a\\,b", true),
            ("x,RSSMRA71E01F205E", true),
            ("rssmra71e01f205e", false),
        ] {
            assert_eq!(meets(PATIENT, "identifier", value), Ok(expected), "{value}");
        }
        assert_eq!(meets(PATIENT, "active", "true"), Ok(true));
        assert_eq!(meets(PATIENT, "gender:not", "male"), Ok(true));
        assert_eq!(meets(OBSERVATION, "code", "http://loinc.org|14957-5"), Ok(true));
        assert_eq!(meets(OBSERVATION, "code", "|local"), Ok(true));
        assert_eq!(meets(OBSERVATION, "category:missing", "true"), Ok(true));
    }

    #[test]
    fn references_match_in_each_form() {
        for (parameter, value, expected) in [
            ("patient", "p1", true),
            ("subject", "Patient/p1", true),
            ("subject", "http://h1.test/fhir/Patient/p1", true),
            ("subject", "http://h2.test/fhir/Patient/p1", false),
            ("subject:Patient", "p1", true),
            ("subject:Group", "p1", false),
            ("subject:identifier", "s|v", true),
            ("performer", "9", false),
            ("performer", "http://other.test/fhir/Practitioner/9", true),
        ] {
            assert_eq!(meets(OBSERVATION, parameter, value), Ok(expected), "{parameter}={value}");
        }
    }

    #[test]
    fn text_ignores_case_and_accents_unless_exact() {
        assert_eq!(meets(PATIENT, "given", "niccolo"), Ok(true));
        assert_eq!(meets(PATIENT, "name", "ALV"), Ok(true));
        assert_eq!(meets(PATIENT, "family:contains", "amico"), Ok(true));
        assert_eq!(meets(PATIENT, "given:exact", "Niccolo"), Ok(false));
        assert_eq!(meets(PATIENT, "given:exact", "Niccolò"), Ok(true));
    }

    #[test]
    fn dates_match_elements_and_periods() {
        assert_eq!(meets(PATIENT, "birthdate", "1980-05"), Ok(true));
        assert_eq!(meets(PATIENT, "birthdate", "lt1980"), Ok(false));
        assert_eq!(meets(OBSERVATION, "date", "ge2026-05-01"), Ok(true));
        assert_eq!(meets(OBSERVATION, "date", "eb2026-02-28"), Ok(false));
        assert!(meets(OBSERVATION, "date", "yesterday").is_err());
    }

    #[test]
    fn an_unknown_modifier_is_refused() {
        assert!(meets(PATIENT, "identifier:of-type", "x").unwrap_err().diagnostics.contains(":of-type"));
        assert!(meets(PATIENT, "birthdate:missing", "perhaps").is_err());
    }
}
