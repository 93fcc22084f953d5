//! Own warnings in an answer of the national gateway (regional-middleware model §6): appended to its member `warning` after
//! `--middlewarewarning--`, which stands there once however many warnings there are.
//!
//! Invariant: no other byte of the answer changes. Only a success that is a JSON object gets anything; the errors of the
//! national gateway stay as they are.

use std::ops::Range;

/// What separates national warnings from those of middlewares.
pub const MARK: &str = "--middlewarewarning--";
/// Deepest nesting that is followed.
const DEEPEST: usize = 64;

/// The answer with these warnings; `None` where it can't carry them.
pub fn append(body: &[u8], warnings: &[String]) -> Option<Vec<u8>> {
    if warnings.is_empty() {
        return None;
    }
    // Two members of one name would have two meanings, and it must be JSON before a byte is put into it.
    serde_json::from_slice::<serde::de::IgnoredAny>(body).ok()?;
    let own = warnings.join("; ");
    let (at, text) = match find(body)? {
        Found::Text(span) => {
            let national = serde_json::from_slice::<String>(body.get(span.clone())?).ok()?;
            let separator = if national.contains(MARK) { "; " } else { MARK };
            (span.end.checked_sub(1)?, inner(&format!("{separator}{own}"))?)
        }
        Found::Absent { end, empty } => {
            let comma = if empty { "" } else { "," };
            (end, format!("{comma}\"warning\":\"{}\"", inner(&format!("{MARK}{own}"))?))
        }
    };
    let (before, after) = (body.get(..at)?, body.get(at..)?);
    Some([before, text.as_bytes(), after].concat())
}

enum Found {
    /// The member, quotes included.
    Text(Range<usize>),
    /// There is none; where the object ends, and whether it has no member at all.
    Absent { end: usize, empty: bool },
}

/// A text as it stands between quotes.
fn inner(text: &str) -> Option<String> {
    let quoted = serde_json::to_string(text).ok()?;
    Some(quoted.strip_prefix('"')?.strip_suffix('"')?.to_owned())
}

/// Looks through the members of the outermost object of a text that is known to be JSON.
fn find(body: &[u8]) -> Option<Found> {
    let blank = |at: usize| {
        let rest = body.get(at..).unwrap_or_default();
        at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
    };
    let mut at = blank(0);
    if body.get(at) != Some(&b'{') {
        return None;
    }
    at = blank(at + 1);
    let (mut empty, mut found) = (true, None);
    while body.get(at) == Some(&b'"') {
        empty = false;
        let name_end = string_end(body, at)?;
        let name = serde_json::from_slice::<String>(body.get(at..name_end)?).ok()?;
        at = blank(name_end);
        if body.get(at) != Some(&b':') {
            return None;
        }
        let start = blank(at + 1);
        let end = value_end(body, start)?;
        if name == "warning" {
            if found.is_some() {
                return None;
            }
            found = Some(start..end);
        }
        at = blank(end);
        if body.get(at) == Some(&b',') {
            at = blank(at + 1);
        }
    }
    match found {
        Some(span) if body.get(span.start) == Some(&b'"') => Some(Found::Text(span)),
        Some(_) => None,
        None if body.get(at) == Some(&b'}') => Some(Found::Absent { end: at, empty }),
        None => None,
    }
}

/// Where a text that begins at `at` ends, its quote included.
fn string_end(body: &[u8], at: usize) -> Option<usize> {
    let mut escaped = false;
    for (step, byte) in body.get(at + 1..)?.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1 + step + 1),
            _ => {}
        }
    }
    None
}

fn value_end(body: &[u8], at: usize) -> Option<usize> {
    let (mut place, mut depth) = (at, 0usize);
    loop {
        match body.get(place)? {
            b'"' => {
                place = string_end(body, place)?;
                if depth == 0 {
                    return Some(place);
                }
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > DEEPEST {
                    return None;
                }
                place += 1;
            }
            b'}' | b']' => {
                // The end of the object around a number or a literal.
                if depth == 0 {
                    return Some(place);
                }
                depth -= 1;
                place += 1;
                if depth == 0 {
                    return Some(place);
                }
            }
            byte if depth == 0 && (*byte == b',' || byte.is_ascii_whitespace()) => return Some(place),
            _ => place += 1,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn appended(body: &str, warnings: &[&str]) -> Option<String> {
        let warnings: Vec<String> = warnings.iter().map(|own| (*own).to_owned()).collect();
        append(body.as_bytes(), &warnings).map(|body| String::from_utf8(body).unwrap())
    }

    #[test]
    fn own_warnings_follow_the_national_one_after_one_mark() {
        let national =
            r#"{ "traceID" : "c2",  "warning": "[[X]Attenzione \"é\" \\]" , "n":[1, {"warning":"no"}] }"#;
        let once = appended(national, &["one", "two"]).unwrap();
        assert_eq!(
            once,
            r#"{ "traceID" : "c2",  "warning": "[[X]Attenzione \"é\" \\]--middlewarewarning--one; two" , "n":[1, {"warning":"no"}] }"#
        );
        let twice = appended(&once, &["three"]).unwrap();
        assert_eq!(twice.matches(MARK).count(), 1);
        assert!(twice.contains("--middlewarewarning--one; two; three\""));
    }

    #[test]
    fn without_a_national_warning_the_mark_stands_first() {
        assert_eq!(appended("{ }", &["a\"b"]).unwrap(), r#"{ "warning":"--middlewarewarning--a\"b"}"#);
        assert_eq!(
            appended("{\"traceID\":\"1\"\n}\n", &["a"]).unwrap(),
            "{\"traceID\":\"1\"\n,\"warning\":\"--middlewarewarning--a\"}\n"
        );
        assert_eq!(
            appended(r#"{"a":{"warning":1},"b":-1.5e3}"#, &["w"]).unwrap(),
            r#"{"a":{"warning":1},"b":-1.5e3,"warning":"--middlewarewarning--w"}"#
        );
    }

    #[test]
    fn what_can_not_carry_a_warning_stays_as_it_is() {
        for body in [
            "",
            "[]",
            "\"x\"",
            "{",
            "{\"warning\":null}",
            "{\"warning\":[]}",
            "{\"warning\":\"a\",\"warning\":\"b\"}",
            "<a/>",
            "{}x",
        ] {
            assert_eq!(appended(body, &["w"]), None, "{body}");
        }
        assert_eq!(appended("{}", &[]), None);
    }

    fn object() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f32>().prop_map(|own| json!(own)),
            ".*".prop_map(Value::from),
        ];
        let value = leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(".{0,8}", inner, 0..4).prop_map(|own| json!(own)),
            ]
        });
        prop::collection::hash_map("[a-z\"\\\\]{0,6}", value, 0..5).prop_map(|own| json!(own))
    }

    proptest! {
        #[test]
        fn nothing_but_the_warning_changes(mut answer in object(), national in prop::option::of(".*"), own in ".{1,20}", pretty: bool) {
            answer.as_object_mut().unwrap().remove("warning");
            let mut given = answer.clone();
            if let Some(national) = &national {
                given["warning"] = json!(national);
            }
            let text = if pretty { serde_json::to_string_pretty(&given) } else { serde_json::to_string(&given) }.unwrap();
            let mut result: Value = serde_json::from_slice(&append(text.as_bytes(), std::slice::from_ref(&own)).unwrap()).unwrap();
            let warning = result.as_object_mut().unwrap().remove("warning").unwrap();
            let expected = format!("{}{MARK}{own}", national.clone().unwrap_or_default());
            if !national.unwrap_or_default().contains(MARK) {
                prop_assert_eq!(warning, json!(expected));
            }
            prop_assert_eq!(result, answer);
        }

        #[test]
        fn no_bytes_make_it_fail(body: Vec<u8>) {
            let _ = append(&body, &["w".to_owned()]);
        }
    }
}
