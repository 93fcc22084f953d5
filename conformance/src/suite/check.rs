//! Checks of an answer: status, headers, body. Every check is made, so that a report tells all that is wrong.

use std::collections::HashMap;

use fhir_models::document::{Document, Kind, Limits, OwnedDocument, Value};

use super::compare;
use super::evidence::{CheckResult, ResponseEvidence};
use super::model::{BodyCheck, Expect, HeaderCheck};
use super::path::Place;
use super::pattern::Pattern;
use super::variables::{TemplateFault, Variables};

/// Longest text of a value that is shown in a cause.
const SHOWN: usize = 120;

/// What counts where a step names no status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unnamed {
    /// Any from 200 to 299.
    Success,
    /// Any that answers what was asked, be it a refusal: below 500, and neither 401, 408 nor 429.
    Answer,
}

/// Makes all checks of an answer.
pub(super) fn check(
    expect: &Expect,
    unnamed: Unnamed,
    response: &ResponseEvidence,
    variables: &Variables,
    saved: &HashMap<String, ResponseEvidence>,
) -> Result<Vec<CheckResult>, TemplateFault> {
    let mut results = vec![status(expect, unnamed, response.status)];
    for (name, wanted) in &expect.headers {
        header(name, wanted, response.header(name), variables, &mut results)?;
    }
    if !expect.body.is_empty() {
        match OwnedDocument::parse_json(response.body.as_str(), &Limits::default()) {
            Ok(document) => {
                for wanted in &expect.body {
                    body(wanted, document.document(), variables, &mut results)?;
                }
            }
            Err(fault) => results.push(failed("the body is JSON", Some(format!("{fault}")))),
        }
    }
    if let Some(same) = &expect.same_as {
        results.push(compare::same_as(same, response, saved.get(&same.response), variables)?);
    }
    Ok(results)
}

fn passed(expected: impl Into<String>) -> CheckResult {
    CheckResult { expected: expected.into(), passed: true, found: None }
}

fn failed(expected: impl Into<String>, found: Option<String>) -> CheckResult {
    CheckResult { expected: expected.into(), passed: false, found }
}

fn judged(expected: String, holds: bool, found: impl FnOnce() -> String) -> CheckResult {
    if holds { passed(expected) } else { failed(expected, Some(found())) }
}

fn status(expect: &Expect, unnamed: Unnamed, found: u16) -> CheckResult {
    let (expected, holds) = match &expect.status {
        None if unnamed == Unnamed::Answer => (
            "the status is below 500, and neither 401, 408 nor 429".to_owned(),
            found < 500 && !matches!(found, 401 | 408 | 429),
        ),
        None => ("the status is from 200 to 299".to_owned(), (200..300).contains(&found)),
        Some(wanted) => {
            let all: Vec<String> = wanted.as_slice().iter().map(u16::to_string).collect();
            (format!("the status is {}", all.join(" or ")), wanted.as_slice().contains(&found))
        }
    };
    judged(expected, holds, || format!("it is {found}"))
}

fn header(
    name: &str,
    wanted: &HeaderCheck,
    found: Option<String>,
    variables: &Variables,
    results: &mut Vec<CheckResult>,
) -> Result<(), TemplateFault> {
    let shown =
        || found.as_deref().map_or("it is missing".to_owned(), |found| format!("it is {}", short(found)));
    if let Some(exists) = wanted.exists {
        let word = if exists { "there" } else { "absent" };
        results.push(judged(format!("the header {name} is {word}"), found.is_some() == exists, shown));
    }
    if let Some(text) = &wanted.equals {
        let text = variables.expand(text)?;
        results.push(judged(format!("the header {name} is {text}"), found.as_deref() == Some(&*text), shown));
    }
    if let Some(pattern) = &wanted.matches {
        let pattern = variables.expand_with(pattern, Pattern::literal)?;
        let holds = found.as_deref().is_some_and(|found| matches(&pattern, found));
        results.push(judged(format!("the header {name} matches {pattern}"), holds, shown));
    }
    Ok(())
}

fn matches(pattern: &str, text: &str) -> bool {
    Pattern::new(pattern).is_ok_and(|pattern| pattern.found_in(text))
}

fn body(
    wanted: &BodyCheck,
    document: Document<'_>,
    variables: &Variables,
    results: &mut Vec<CheckResult>,
) -> Result<(), TemplateFault> {
    let root = document.root();
    if let Some(resource) = &wanted.resource {
        let own = root.resource_type();
        results.push(judged(
            format!("the body's resourceType is {resource}"),
            own.as_deref() == Some(resource),
            || own.as_deref().map_or("it has none".to_owned(), |own| format!("it is {}", short(own))),
        ));
    }
    let (place, name) = match (&wanted.path, &wanted.pointer) {
        (Some(text), _) => (Place::path(text), text.as_str()),
        (None, Some(text)) => (Place::pointer(text), text.as_str()),
        (None, None) => return Ok(()),
    };
    let values = match place {
        Ok(place) => place.values(root),
        Err(fault) => {
            results.push(failed(fault, None));
            return Ok(());
        }
    };
    let shown = || match values.as_slice() {
        [] => "nothing is there".to_owned(),
        [only] => format!("it is {}", short(only.raw())),
        many => format!("there are {}: {}", many.len(), short(&join(many))),
    };
    if let Some(exists) = wanted.exists {
        let word = if exists { "there" } else { "absent" };
        results.push(judged(format!("{name} is {word}"), values.is_empty() != exists, shown));
    }
    if let Some(count) = wanted.count {
        let own = u64::try_from(values.len()).unwrap_or(u64::MAX);
        results.push(judged(format!("{name} has {count} values"), own == count, || format!("it has {own}")));
    }
    for (verb, value) in [("is", &wanted.equals), ("has", &wanted.contains), ("is everywhere", &wanted.all)] {
        let Some(value) = value else { continue };
        let value = expanded(value, variables)?;
        let mut same = values.iter().map(|own| equal(*own, &value));
        let holds = match verb {
            "is" => values.len() == 1 && same.all(|same| same),
            "has" => same.any(|same| same),
            _ => !values.is_empty() && same.all(|same| same),
        };
        results.push(judged(format!("{name} {verb} {value}"), holds, shown));
    }
    if let Some(pattern) = &wanted.matches {
        let pattern = variables.expand_with(pattern, Pattern::literal)?;
        let holds = !values.is_empty()
            && values.iter().all(|value| {
                let text = value.as_str();
                matches(&pattern, text.as_deref().unwrap_or_else(|| value.raw()))
            });
        results.push(judged(format!("{name} matches {pattern}"), holds, shown));
    }
    if let Some(digits) = &wanted.digits {
        let holds = matches!(values.as_slice(), [only] if only.as_number() == Some(digits));
        results.push(judged(format!("{name} is written {digits}"), holds, shown));
    }
    Ok(())
}

fn expanded(value: &serde_json::Value, variables: &Variables) -> Result<serde_json::Value, TemplateFault> {
    match value.as_str() {
        Some(text) => Ok(variables.expand(text)?.into()),
        None => Ok(value.clone()),
    }
}

fn equal(own: Value<'_>, wanted: &serde_json::Value) -> bool {
    match (own.kind(), wanted) {
        (Kind::String, serde_json::Value::String(wanted)) => own.is_str(wanted),
        (Kind::Boolean, serde_json::Value::Bool(wanted)) => own.as_bool() == Some(*wanted),
        (Kind::Number, serde_json::Value::Number(wanted)) => own.as_number() == Some(&*wanted.to_string()),
        _ => false,
    }
}

fn join(values: &[Value<'_>]) -> String {
    values.iter().take(5).map(|value| value.raw()).collect::<Vec<_>>().join(", ")
}

/// A text cut to what a line can show.
pub(super) fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= SHOWN {
        return line;
    }
    line.chars().take(SHOWN).collect::<String>() + "…"
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn response() -> ResponseEvidence {
        ResponseEvidence {
            status: 200,
            protocol: "HTTP/1.1".to_owned(),
            headers: vec![("etag".to_owned(), "W/\"3\"".to_owned())],
            body:
                r#"{"resourceType":"Observation","id":"o1","valueQuantity":{"value":1.50},"flag":true,"n":3,
                "code":{"coding":[{"code":"a"},{"code":"b"}]}}"#
                    .to_owned(),
        }
    }

    fn faults(expect: &str) -> Vec<String> {
        let expect: Expect = serde_json::from_str(expect).unwrap();
        let mut variables = Variables::default();
        variables.set("id", "o1");
        let results = check(&expect, Unnamed::Success, &response(), &variables, &HashMap::new()).unwrap();
        let wrong = results.into_iter().filter(|result| !result.passed);
        wrong.map(|result| format!("{}: {}", result.expected, result.found.unwrap_or_default())).collect()
    }

    #[test]
    fn what_holds_passes() {
        let expect = r#"{"status":[200,201],"headers":{"ETag":{"exists":true,"equals":"W/\"3\"","matches":"^W/"},"Allow":{"exists":false}},
            "body":[{"resource":"Observation"},{"path":"id","equals":"${id}","matches":"^${id}$"},{"path":"valueQuantity.value","digits":"1.50"},
            {"path":"flag","equals":true},{"path":"n","equals":3},{"path":"code.coding.code","contains":"b","count":2},
            {"path":"code.coding[0].code","all":"a"},{"pointer":"/none","exists":false}]}"#;
        assert_eq!(faults(expect), Vec::<String>::new());
    }

    #[test]
    fn what_does_not_hold_says_what_was_found() {
        for (expect, fault) in [
            (r#"{"status":404}"#, "the status is 404: it is 200"),
            (r#"{"headers":{"Allow":{"exists":true}}}"#, "the header Allow is there: it is missing"),
            (r#"{"body":[{"resource":"Patient"}]}"#, "the body's resourceType is Patient: it is Observation"),
            (
                r#"{"body":[{"path":"valueQuantity.value","digits":"1.5"}]}"#,
                "valueQuantity.value is written 1.5: it is 1.50",
            ),
            (
                r#"{"body":[{"path":"code.coding.code","equals":"a"}]}"#,
                "code.coding.code is \"a\": there are 2: \"a\", \"b\"",
            ),
            (
                r#"{"body":[{"path":"code.coding.code","all":"a"}]}"#,
                "code.coding.code is everywhere \"a\": there are 2: \"a\", \"b\"",
            ),
            (r#"{"body":[{"path":"none","all":"a"}]}"#, "none is everywhere \"a\": nothing is there"),
            (r#"{"body":[{"path":"n","equals":"3"}]}"#, "n is \"3\": it is 3"),
        ] {
            assert_eq!(faults(expect), [fault], "{expect}");
        }
    }
}
