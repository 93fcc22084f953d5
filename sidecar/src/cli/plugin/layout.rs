//! Lays JSON text out anew without touching its tokens, so that golden files can be read and compared.
//!
//! Numbers stay as they are written (`1.50`), and so do strings and the order of members: two texts are equal here only
//! where they differ in white space alone.

/// One member or item a line, two spaces a level. Text that isn't JSON comes back as it is.
pub fn laid_out(text: &str) -> String {
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len().saturating_mul(2));
    let mut depth = 0_usize;
    let mut rest = text.trim();
    while let Some(first) = rest.chars().next() {
        let (token, tail) = rest.split_at(token_end(rest));
        rest = tail.trim_start();
        match first {
            '{' | '[' => {
                out.push(first);
                if rest.starts_with(['}', ']']) {
                    continue;
                }
                depth = depth.saturating_add(1);
                line(&mut out, depth);
            }
            '}' | ']' => {
                if !out.ends_with(['{', '[']) {
                    depth = depth.saturating_sub(1);
                    line(&mut out, depth);
                }
                out.push(first);
            }
            ',' => {
                out.push(first);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => out.push_str(token),
        }
    }
    out.push('\n');
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Where the first token of valid JSON ends.
fn token_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(b'"') => {
            let mut at = 1_usize;
            while let Some(byte) = bytes.get(at) {
                match byte {
                    b'"' => return at.saturating_add(1),
                    b'\\' => at = at.saturating_add(2),
                    _ => at = at.saturating_add(1),
                }
            }
            bytes.len()
        }
        Some(b'{' | b'}' | b'[' | b']' | b',' | b':') => 1,
        _ => text.find(|it: char| it.is_whitespace() || "{}[],:".contains(it)).unwrap_or(text.len()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tokens_stay_and_white_space_is_one() {
        let text = r#" {"a":1.50,"b":[ ],"c":{},"d":["x \" {,", true,null,{"e":-1e3}]} "#;
        let laid = laid_out(text);
        assert_eq!(
            laid,
            "{\n  \"a\": 1.50,\n  \"b\": [],\n  \"c\": {},\n  \"d\": [\n    \"x \\\" {,\",\n    true,\n    null,\n    {\n      \"e\": -1e3\n    }\n  ]\n}\n"
        );
        assert_eq!(laid_out(&laid), laid);
        assert_ne!(laid_out("{\"a\":1.5}"), laid_out("{\"a\":1.50}"));
        assert_eq!(laid_out("not JSON {"), "not JSON {");
    }

    proptest! {
        #[test]
        fn any_text_is_laid_out_once(text in "[\\[\\]{},:\"a1. \\\\é]{0,40}") {
            let once = laid_out(&text);
            prop_assert_eq!(laid_out(&once), once);
        }
    }
}
