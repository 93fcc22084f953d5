//! Entity and character references (XML 1.0 §4.1 and §4.6).
//!
//! Only the five entities that XML itself defines exist: without a document type declaration there are no
//! others, and none can expand to more than one character.

use super::character::is_allowed;
use crate::document::SyntaxErrorKind;
use crate::document::scan::find;

/// Reads the reference whose `&` stands at the start of `text`: the character and the length of the
/// reference.
pub(super) fn read(text: &str) -> Result<(char, usize), SyntaxErrorKind> {
    // The longest is `&#x10FFFF;`; leading zeros could make any length, so more is refused.
    let end = text.bytes().take(16).position(|byte| byte == b';').ok_or(SyntaxErrorKind::BadReference)?;
    let inner = text.get(1..end).unwrap_or_default();
    let character = match inner {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => match inner.strip_prefix('#') {
            Some(number) => of_number(number).ok_or(SyntaxErrorKind::BadReference)?,
            None => return Err(SyntaxErrorKind::UnknownEntity),
        },
    };
    Ok((character, end + 1))
}

fn of_number(text: &str) -> Option<char> {
    let (digits, radix) = match text.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok().and_then(char::from_u32).filter(|&it| is_allowed(it))
}

/// The value of an attribute: references resolved, line ends and tabs turned into spaces (XML 1.0 §3.3.3).
/// The text has been checked by the reader; where it was tolerant, an ampersand that begins no reference stays.
pub(super) fn attribute_value(raw: &str) -> std::borrow::Cow<'_, str> {
    // Of the control characters, only tabs and line ends are left by now.
    if find(raw.as_bytes(), 0, |byte| (byte == b'&') | (byte < b' ')) == raw.len() {
        return raw.into();
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(stop) = rest.find(['&', '\t', '\n', '\r']) {
        let (plain, from) = rest.split_at(stop);
        out.push_str(plain);
        let used = if from.starts_with('&') {
            let (character, used) = read(from).unwrap_or(('&', 1));
            out.push(character);
            used
        } else {
            // CR LF is one line end (XML 1.0 §2.11).
            out.push(' ');
            if from.starts_with("\r\n") { 2 } else { 1 }
        };
        rest = from.get(used..).unwrap_or_default();
    }
    out.push_str(rest);
    out.into()
}

/// Writes the text of an attribute in double quotes so that any reader gets it back unchanged. `None` where
/// it holds a character that XML can't carry.
pub(super) fn escape_attribute(out: &mut String, text: &str) -> Option<()> {
    let mut copied = 0;
    for (at, character) in text.char_indices() {
        let reference = match character {
            '&' => "&amp;",
            '<' => "&lt;",
            '"' => "&quot;",
            '\t' => "&#x9;",
            '\n' => "&#xA;",
            '\r' => "&#xD;",
            _ if is_allowed(character) => continue,
            _ => return None,
        };
        out.push_str(text.get(copied..at).unwrap_or_default());
        out.push_str(reference);
        copied = at + character.len_utf8();
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_five_entities_and_numbers_are_known() {
        assert_eq!(read("&amp; b"), Ok(('&', 5)));
        assert_eq!(read("&#232;"), Ok(('è', 6)));
        assert_eq!(read("&#x1F600;"), Ok(('😀', 9)));
        assert_eq!(read("&nbsp;"), Err(SyntaxErrorKind::UnknownEntity));
        for bad in
            ["&amp", "&", "&#;", "&#x;", "&#0;", "&#xD800;", "&#x110000;", "&#+1;", "&#xFFFF;", "&#X41;"]
        {
            assert_eq!(read(bad), Err(SyntaxErrorKind::BadReference), "{bad}");
        }
    }

    #[test]
    fn line_ends_in_attributes_are_spaces_unless_referenced() {
        assert_eq!(attribute_value("a\r\nb\tc\nd\re"), "a b c d e");
        assert_eq!(attribute_value("a&#xD;&#10;b&lt;"), "a\r\nb<");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(text in "[a&<>\"'\\t\\n\\r è😀]{0,30}") {
            let mut out = String::new();
            prop_assert!(escape_attribute(&mut out, &text).is_some());
            prop_assert!(!out.contains(['<', '"', '\t', '\n', '\r']));
            prop_assert_eq!(attribute_value(&out), text);
        }
    }
}
