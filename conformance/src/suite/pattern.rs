//! Regular expressions of checks: those of JSON Schema (ECMA-262), so that a suite needs one dialect only.

use serde_json::{Value, json};

/// A compiled pattern. It is found anywhere in a text unless it is anchored.
#[derive(Debug)]
pub(crate) struct Pattern(jsonschema::Validator);

impl Pattern {
    pub(crate) fn new(text: &str) -> Result<Pattern, String> {
        let schema = json!({"type": "string", "pattern": text});
        jsonschema::validator_for(&schema)
            .map(Pattern)
            .map_err(|_| format!("{text} is not a regular expression of ECMA-262"))
    }

    pub(crate) fn found_in(&self, text: &str) -> bool {
        self.0.is_valid(&Value::from(text))
    }

    /// A text as a pattern that matches it and nothing else.
    pub(crate) fn literal(text: &str) -> String {
        text.chars().fold(String::with_capacity(text.len()), |mut out, letter| {
            if r"\^$.|?*+()[]{}/".contains(letter) {
                out.push('\\');
            }
            out.push(letter);
            out
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_found_and_literals_are_literal() {
        assert!(Pattern::new(r#"^W/"\d+"$"#).unwrap().found_in("W/\"12\""));
        let literal = Pattern::literal("http://h.test/a?b=(c)");
        assert!(Pattern::new(&format!("^{literal}$")).unwrap().found_in("http://h.test/a?b=(c)"));
        assert!(!Pattern::new(&Pattern::literal("a.c")).unwrap().found_in("abc"));
        assert!(Pattern::new("(").is_err());
    }
}
