//! Two answers that must be the same: how "indistinguishable from absent" is checked.
//!
//! Status, header names and values, and the body's very text are compared. What a suite names as allowed to differ
//! is taken out of both first; `date` always is, and nothing else.

use fhir_models::document::{Edits, Limits, NodeId, OwnedDocument};

use super::evidence::{CheckResult, ResponseEvidence};
use super::model::SameAs;
use super::path::Place;
use super::variables::{TemplateFault, Variables};

/// What texts that count as the same are replaced by: no JSON text or header holds this character.
const ALIKE: &str = "\u{1}";

pub(super) fn same_as(
    same: &SameAs,
    response: &ResponseEvidence,
    saved: Option<&ResponseEvidence>,
    variables: &Variables,
) -> Result<CheckResult, TemplateFault> {
    let expected = format!("the answer is the same as {}", same.response);
    let alike: Vec<String> =
        same.alike.iter().map(|text| variables.expand(text)).collect::<Result<_, _>>()?;
    let found = match saved {
        None => Some("there is no such answer".to_owned()),
        Some(saved) => difference(same, &alike, response, saved),
    };
    Ok(CheckResult { expected, passed: found.is_none(), found })
}

fn difference(
    same: &SameAs,
    alike: &[String],
    one: &ResponseEvidence,
    other: &ResponseEvidence,
) -> Option<String> {
    if one.status != other.status {
        return Some(format!("the status is {}, not {}", one.status, other.status));
    }
    if one.protocol != other.protocol {
        return Some(format!("the protocol is {}, not {}", one.protocol, other.protocol));
    }
    let (left, right) = (headers(same, alike, one), headers(same, alike, other));
    for (name, value) in &left {
        let twin = right.iter().find(|(own, _)| own == name);
        match twin {
            None => return Some(format!("the header {name} is there, and not in the other")),
            Some((_, theirs)) if theirs != value => return Some(format!("the header {name} differs")),
            Some(_) => {}
        }
    }
    if let Some((name, _)) = right.iter().find(|(name, _)| !left.iter().any(|(own, _)| own == name)) {
        return Some(format!("the header {name} is missing"));
    }
    let (left, right) = (body(same, alike, &one.body), body(same, alike, &other.body));
    if left == right {
        return None;
    }
    let same_letters = left.chars().zip(right.chars()).take_while(|(left, right)| left == right).count();
    Some(format!("the body differs from character {} on", same_letters + 1))
}

/// The headers that count, by name, each with its values joined.
fn headers(same: &SameAs, alike: &[String], response: &ResponseEvidence) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for (name, _) in &response.headers {
        let excepted = same.except_headers.iter().any(|own| own.eq_ignore_ascii_case(name));
        if name == "date" || excepted || found.iter().any(|(own, _)| own == name) {
            continue;
        }
        found.push((name.clone(), blur(response.header(name).unwrap_or_default(), alike)));
    }
    found
}

fn body(same: &SameAs, alike: &[String], text: &str) -> String {
    let parsed = OwnedDocument::parse_json(text, &Limits::default());
    let (Ok(document), false) = (parsed, same.except_paths.is_empty()) else {
        return blur(text.to_owned(), alike);
    };
    let mut edits = Edits::new(document.document());
    for path in &same.except_paths {
        let Ok(place) = Place::path(path) else { continue };
        for value in place.values(document.root()) {
            if value.id() != NodeId::ROOT {
                edits.replace(value, "null");
            }
        }
    }
    blur(String::from_utf8(edits.apply()).unwrap_or_default(), alike)
}

/// Longer texts first: one may hold another.
fn blur(text: String, alike: &[String]) -> String {
    let mut sorted: Vec<&String> = alike.iter().filter(|text| !text.is_empty()).collect();
    sorted.sort_by_key(|text| std::cmp::Reverse(text.len()));
    sorted.into_iter().fold(text, |text, own| text.replace(own.as_str(), ALIKE))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn answer(id: &str, extra: &[(&str, &str)]) -> ResponseEvidence {
        let mut headers =
            vec![("date".to_owned(), id.to_owned()), ("content-type".to_owned(), "x".to_owned())];
        headers.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let body = format!(r#"{{"id":"random-{id}","issue":[{{"diagnostics":"{id} is not known"}}]}}"#);
        ResponseEvidence { status: 404, protocol: "HTTP/1.1".to_owned(), headers, body }
    }

    fn found(options: &str, one: &ResponseEvidence, other: &ResponseEvidence) -> Option<String> {
        let same: SameAs = serde_json::from_str(options).unwrap();
        let mut variables = Variables::default();
        variables.set("hidden", "aaaa");
        same_as(&same, one, Some(other), &variables).unwrap().found
    }

    #[test]
    fn answers_are_the_same_but_for_what_is_named() {
        let options = r#"{"response":"absent","except-paths":["id"],"alike":["${hidden}","bbbb"]}"#;
        assert_eq!(found(options, &answer("aaaa", &[]), &answer("bbbb", &[])), None);
        let strict = r#"{"response":"absent","alike":["${hidden}"]}"#;
        assert!(
            found(strict, &answer("aaaa", &[]), &answer("bbbb", &[])).unwrap().contains("the body differs")
        );
    }

    #[test]
    fn a_header_more_or_less_is_a_difference() {
        let options = r#"{"response":"absent","except-headers":["X-Request-Id"],"alike":["aaaa","bbbb"]}"#;
        let plain = answer("bbbb", &[("x-request-id", "2")]);
        assert_eq!(found(options, &answer("aaaa", &[("x-request-id", "1")]), &plain), None);
        let tagged = answer("aaaa", &[("etag", "1")]);
        assert_eq!(
            found(options, &tagged, &plain).unwrap(),
            "the header etag is there, and not in the other"
        );
        assert_eq!(found(options, &plain, &tagged).unwrap(), "the header etag is missing");
    }

    #[test]
    fn another_status_is_a_difference() {
        let mut gone = answer("aaaa", &[]);
        gone.status = 410;
        assert_eq!(
            found(r#"{"response":"x"}"#, &gone, &answer("aaaa", &[])).unwrap(),
            "the status is 410, not 404"
        );
    }
}
