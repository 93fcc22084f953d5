//! Adds what an enrichment plugin gave to a resource, and nothing else.
//!
//! Invariant: what stood in the resource stands in the result, byte for byte; an addition that would replace something is
//! the plugin's failure.

use fhir_models::document::{Edits, Limits, OwnedDocument, Value};
use serde::de::IgnoredAny;

use crate::contract::WitAddition;

/// Most values that one call adds.
const ADDITIONS: usize = 100;
/// The longest path, in bytes.
const PATH_BYTES: usize = 256;

/// The resource with the additions, in order. None where there are none.
///
/// # Errors
///
/// What is wrong with an addition, without its value.
pub fn apply(resource: &[u8], additions: &[WitAddition]) -> Result<Option<Vec<u8>>, String> {
    if additions.is_empty() {
        return Ok(None);
    }
    if additions.len() > ADDITIONS {
        return Err(format!("it adds {} values, where {ADDITIONS} are allowed", additions.len()));
    }
    let mut text = resource.to_vec();
    // One after the other: a second item of an array that was made here must find it.
    for (number, addition) in additions.iter().enumerate() {
        text = added(text, addition)
            .map_err(|cause| format!("addition {}: {cause}", number.saturating_add(1)))?;
    }
    Ok(Some(text))
}

fn added(text: Vec<u8>, addition: &WitAddition) -> Result<Vec<u8>, &'static str> {
    if addition.path.len() > PATH_BYTES {
        return Err("its path is too long");
    }
    if serde_json::from_slice::<IgnoredAny>(&addition.value).is_err()
        || addition.value.trim_ascii() == b"null"
    {
        return Err("its value is not JSON, or null");
    }
    let document =
        OwnedDocument::parse_json(text, &Limits::default()).map_err(|_| "the resource is not JSON")?;
    let (above, last) = addition.path.rsplit_once('.').unwrap_or(("", &addition.path));
    let mut place = document.root();
    for step in above.split('.').filter(|step| !step.is_empty()) {
        place = child(place, step).ok_or("what its path goes through is not there")?;
    }
    let (name, repeats) = last.strip_suffix("[]").map_or((last, false), |name| (name, true));
    if !is_name(name) || !place.is_object() {
        return Err("its path names no element");
    }
    let mut edits = Edits::new(document.document());
    let member = |value: &[u8]| [b"\"", name.as_bytes(), b"\":", value].concat();
    match (place.get_key(name), repeats) {
        (Some(array), true) if array.is_array() => edits.append(array, &addition.value),
        (None, true) => edits.append(place, &member(&[b"[", addition.value.as_slice(), b"]"].concat())),
        (None, false) => edits.append(place, &member(&addition.value)),
        (Some(_), _) => return Err("the element is there already and takes no more"),
    }
    Ok(edits.apply())
}

/// `name` or `name[3]`, below an object.
fn child<'a>(place: Value<'a>, step: &str) -> Option<Value<'a>> {
    match step.split_once('[') {
        None => place.get_key(step),
        Some((name, rest)) => {
            let number: usize = rest.strip_suffix(']')?.parse().ok()?;
            place.get_key(name)?.items().nth(number)
        }
    }
}

fn is_name(name: &str) -> bool {
    let bytes = name.strip_prefix('_').unwrap_or(name).as_bytes();
    bytes.first().is_some_and(u8::is_ascii_lowercase) && bytes.iter().all(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const OBSERVATION: &str = r#"{"resourceType":"Observation","code":{"coding":[{"code":"x"}]},"component":[{},{"code":{"text":"a"}}]}"#;

    fn after(additions: &[(&str, &str)]) -> Result<String, String> {
        let additions: Vec<WitAddition> =
            additions.iter().map(|(path, value)| WitAddition::of(path, value)).collect();
        let made = apply(OBSERVATION.as_bytes(), &additions)?;
        Ok(made.map_or_else(|| OBSERVATION.to_owned(), |made| String::from_utf8(made).unwrap()))
    }

    #[test]
    fn a_coding_is_added_beside_the_one_that_is_there() {
        let made = after(&[("code.coding[]", r#"{"code":"y"}"#)]).unwrap();
        assert_eq!(made, OBSERVATION.replace(r#"{"code":"x"}"#, r#"{"code":"x"},{"code":"y"}"#));
    }

    #[test]
    fn an_absent_array_is_made_and_takes_more() {
        let made = after(&[
            ("component[1].code.coding[]", r#"{"code":"y"}"#),
            ("component[1].code.coding[]", r#"{"code":"z"}"#),
        ]);
        let whole =
            OBSERVATION.replace(r#""text":"a""#, r#""text":"a","coding":[{"code":"y"},{"code":"z"}]"#);
        assert_eq!(made.unwrap(), whole);
        assert_eq!(
            after(&[("status", "\"final\"")]).unwrap(),
            OBSERVATION.strip_suffix('}').unwrap().to_owned() + ",\"status\":\"final\"}"
        );
    }

    #[test]
    fn nothing_that_is_there_is_replaced() {
        for (path, value) in [
            ("code", "{}"),
            ("code.coding", "[]"),
            ("resourceType", "\"Patient\""),
            ("code[]", "{}"),
            ("subject.display", "\"a\""),
            ("component[7].code", "{}"),
            ("code.coding[].x", "1"),
            ("a\":1,\"b", "1"),
            ("", "1"),
            ("note[]", "{} , {}"),
            ("note[]", "null"),
            ("note[]", ""),
        ] {
            assert!(after(&[(path, value)]).is_err(), "{path}");
        }
    }

    #[test]
    fn additions_are_bounded() {
        assert!(after(&[("note[]", "{}"); 101]).is_err());
        assert_eq!(after(&[]).unwrap(), OBSERVATION);
    }
}
