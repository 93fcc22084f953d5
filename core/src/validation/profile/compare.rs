//! `fixed[x]` is the whole value; `pattern[x]` is part of it (FHIR R4 §2.29, `ElementDefinition.fixed[x]`,
//! `ElementDefinition.pattern[x]`).

use fhir_models::document::{Kind, Value};

/// Deepest nesting compared: deeper values count as different.
const DEPTH: usize = 64;

/// True where two values are the same, the order of members aside.
pub(in super::super) fn equal(a: Value<'_>, b: Value<'_>) -> bool {
    same(a, b, DEPTH)
}

/// True where everything that `pattern` says stands in `value`.
pub(in super::super) fn matches(value: Value<'_>, pattern: Value<'_>) -> bool {
    holds(value, pattern, DEPTH)
}

/// The innermost members that differ from what is wanted; the value itself where something is missing or too
/// much. What stands in arrays is not told apart: which item was meant is not known.
pub(super) fn differing<'d>(value: Value<'d>, wanted: Value<'_>) -> Vec<Value<'d>> {
    let mut found = Vec::new();
    collect(value, wanted, DEPTH, &mut found);
    if found.is_empty() { vec![value] } else { found }
}

fn collect<'d>(value: Value<'d>, wanted: Value<'_>, depth: usize, found: &mut Vec<Value<'d>>) {
    if value.kind() != Kind::Object || wanted.kind() != Kind::Object || depth == 0 {
        return found.push(value);
    }
    for member in wanted.children() {
        match partner(value, member) {
            Some(own) if holds(own, member, DEPTH) => {}
            Some(own) if !own.is_array() => collect(own, member, depth - 1, found),
            _ => return found.push(value),
        }
    }
}

fn scalar(a: Value<'_>, b: Value<'_>) -> bool {
    match a.kind() {
        Kind::String => a.as_str() == b.as_str(),
        _ => a.raw() == b.raw(),
    }
}

fn same(a: Value<'_>, b: Value<'_>, depth: usize) -> bool {
    if a.kind() != b.kind() || depth == 0 {
        return false;
    }
    match a.kind() {
        Kind::Object => {
            a.children().count() == b.children().count()
                && a.children().all(|member| partner(b, member).is_some_and(|it| same(member, it, depth - 1)))
        }
        Kind::Array => {
            a.children().count() == b.children().count()
                && a.children().zip(b.children()).all(|(x, y)| same(x, y, depth - 1))
        }
        _ => scalar(a, b),
    }
}

fn holds(value: Value<'_>, pattern: Value<'_>, depth: usize) -> bool {
    if depth == 0 {
        return false;
    }
    match (pattern.kind(), value.kind()) {
        (Kind::Object, Kind::Object) => pattern
            .children()
            .all(|member| partner(value, member).is_some_and(|it| holds(it, member, depth - 1))),
        (Kind::Array, Kind::Array) => {
            pattern.children().all(|wanted| value.children().any(|item| holds(item, wanted, depth - 1)))
        }
        (a, b) => a == b && scalar(value, pattern),
    }
}

/// The member of `object` with the name of `member`.
fn partner<'d>(object: Value<'d>, member: Value<'_>) -> Option<Value<'d>> {
    object.get_key(&member.key()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use fhir_models::document::{Limits, OwnedDocument};

    fn document(text: &str) -> OwnedDocument {
        OwnedDocument::parse_json(text, &Limits::default()).unwrap()
    }

    fn both(value: &str, other: &str) -> (bool, bool) {
        let (value, other) = (document(value), document(other));
        (equal(value.root(), other.root()), matches(value.root(), other.root()))
    }

    #[test]
    fn the_member_that_differs_is_named() {
        let differing = |value: &str, wanted: &str| {
            let (value, wanted) = (document(value), document(wanted));
            let found = differing(value.root(), wanted.root());
            found.into_iter().map(|it| it.raw().to_owned()).collect::<Vec<_>>().join(" ")
        };
        let wanted = r#"{"system":"s","code":"c"}"#;
        assert_eq!(differing(r#"{"system":"s","code":"x"}"#, wanted), "\"x\"");
        assert_eq!(differing(r#"{"system":"t","code":"x"}"#, wanted), "\"t\" \"x\"");
        assert_eq!(differing(r#"{"system":"s"}"#, wanted), r#"{"system":"s"}"#);
        let period = r#"{"period":{"start":"2020"}}"#;
        assert_eq!(differing(r#"{"period":{"start":"2021"}}"#, period), "\"2021\"");
        let listed = r#"{"coding":[{"code":"b"}]}"#;
        assert_eq!(differing(r#"{"coding":[{"code":"a"}]}"#, listed), r#"{"coding":[{"code":"a"}]}"#);
    }

    #[test]
    fn a_fixed_value_is_whole_and_a_pattern_is_a_part() {
        assert_eq!(both(r#"{"system":"s","code":"c"}"#, r#"{"code":"c","system":"s"}"#), (true, true));
        assert_eq!(both(r#"{"system":"s","code":"c","display":"d"}"#, r#"{"code":"c"}"#), (false, true));
        assert_eq!(both(r#"{"system":"s"}"#, r#"{"code":"c"}"#), (false, false));
        assert_eq!(
            both(r#"{"coding":[{"code":"a"},{"code":"b"}]}"#, r#"{"coding":[{"code":"b"}]}"#),
            (false, true)
        );
        assert_eq!(both("1.0", "1.00"), (false, false));
        assert_eq!(both("\"\\u0061\"", "\"a\""), (true, true));
    }
}
