//! FHIR's own escapes inside search values: `\,` `\|` `\$` `\\` (FHIR R4 §3.1.1.4.0.2).

/// The parts of `text` between separators that no backslash stands before.
pub(super) fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == separator {
            parts.push(text.get(start..at).unwrap_or_default());
            start = at + separator.len_utf8();
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

/// The text that `escaped` stands for; `None` where a backslash stands before anything else than FHIR allows.
pub(super) fn unescape(escaped: &str) -> Option<String> {
    let mut out = String::with_capacity(escaped.len());
    let mut characters = escaped.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.push(characters.next().filter(|next| matches!(next, ',' | '|' | '$' | '\\'))?),
            other => out.push(other),
        }
    }
    Some(out)
}

/// Appends `text` with a backslash before every backslash, comma and character of `also`.
pub(super) fn escape_into(out: &mut String, text: &str, also: &str) {
    for character in text.chars() {
        if matches!(character, '\\' | ',') || also.contains(character) {
            out.push('\\');
        }
        out.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn separators_count_only_unescaped() {
        assert_eq!(split(r"a\,b,c\\,d", ','), [r"a\,b", r"c\\", "d"]);
        assert_eq!(split("", ','), [""]);
        assert_eq!(unescape(r"a\,b\|\$\\").as_deref(), Some(r"a,b|$\"));
        assert_eq!(unescape(r"a\b"), None);
        assert_eq!(unescape(r"a\"), None);
    }

    proptest! {
        #[test]
        fn escaping_is_undone(text in r"[a-c,|$\\]{0,12}") {
            let mut escaped = String::new();
            escape_into(&mut escaped, &text, "|$");
            prop_assert_eq!(split(&escaped, ',').len(), 1);
            prop_assert_eq!(split(&escaped, '|').len(), 1);
            prop_assert_eq!(unescape(&escaped), Some(text));
        }
    }
}
