//! Escaping inside a text: `plain`, `java`, `xml`, `json`. `None` for another form, or for escapes that are none.

use super::write::quote;

/// The text without its escapes.
pub(super) fn undo(text: &str, form: &str) -> Option<String> {
    match form {
        "plain" => Some(text.to_owned()),
        "java" | "json" => backslashes(text),
        "xml" => entities(text),
        _ => None,
    }
}

/// The text with escapes.
pub(super) fn apply(text: &str, form: &str) -> Option<String> {
    match form {
        "plain" => Some(text.to_owned()),
        "java" | "json" => {
            let mut out = String::new();
            quote(&mut out, text);
            out.get(1..out.len().checked_sub(1)?).map(str::to_owned)
        }
        "xml" => {
            let mut out = String::new();
            for next in text.chars() {
                match next {
                    '&' => out.push_str("&amp;"),
                    '<' => out.push_str("&lt;"),
                    '>' => out.push_str("&gt;"),
                    '"' => out.push_str("&quot;"),
                    '\'' => out.push_str("&apos;"),
                    other => out.push(other),
                }
            }
            Some(out)
        }
        _ => None,
    }
}

fn backslashes(text: &str) -> Option<String> {
    let (mut out, mut chars) = (String::new(), text.chars());
    while let Some(next) = chars.next() {
        if next != '\\' {
            out.push(next);
            continue;
        }
        match chars.next()? {
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'u' => {
                let high = unit(&mut chars)?;
                let unit = match high {
                    0xD800..=0xDBFF => {
                        (chars.next()? == '\\' && chars.next()? == 'u').then_some(())?;
                        let low = unit(&mut chars)?.checked_sub(0xDC00).filter(|it| *it < 0x400)?;
                        0x1_0000 + ((high - 0xD800) << 10) + low
                    }
                    other => other,
                };
                out.push(char::from_u32(unit)?);
            }
            other => out.push(other),
        }
    }
    Some(out)
}

fn unit(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit * 16 + chars.next()?.to_digit(16)?;
    }
    Some(unit)
}

fn entities(text: &str) -> Option<String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let (name, next) = after.split_once(';')?;
        out.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = name.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => number.parse(),
                };
                char::from_u32(code.ok()?)?
            }
        });
        rest = next;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_escaped_comes_back(text in "\\PC{0,40}", form in prop::sample::select(vec!["plain", "java", "xml", "json"])) {
            let escaped = apply(&text, form).unwrap_or_default();
            prop_assert_eq!(undo(&escaped, form), Some(text));
        }
    }

    #[test]
    fn escapes_that_are_none_are_told() {
        assert_eq!(undo("a&b", "xml"), None);
        assert_eq!(undo("\\uD83D", "json"), None);
        assert_eq!(undo("\\uD83D\\uDD25", "json").as_deref(), Some("🔥"));
        assert_eq!(apply("a", "html"), None);
    }
}
