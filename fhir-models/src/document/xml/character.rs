//! Characters and names of XML (XML 1.0, fifth edition, §2.2 and §2.3).

use crate::document::scan::find_far;

/// The offset of the first character that may stand nowhere in an XML document.
pub(super) fn first_forbidden(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let blank = |byte: u8| (byte == b'\t') | (byte == b'\n') | (byte == b'\r');
    let suspect = |byte: u8| ((byte < 0x20) & !blank(byte)) | (byte == 0xEF);
    let mut at = 0;
    loop {
        at = find_far(bytes, at, suspect);
        if at >= bytes.len() {
            return None;
        }
        // U+FFFE and U+FFFF.
        if bytes.get(at) != Some(&0xEF) || matches!(bytes.get(at + 1..at + 3), Some([0xBF, 0xBE | 0xBF])) {
            return Some(at);
        }
        at += 3;
    }
}

/// True for a character that may stand in XML, if need be as a character reference.
pub(super) fn is_allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The end of the name that begins at `at`; `at` itself where none does. A colon belongs to no name here: it
/// parts a prefix from a local name.
pub(super) fn name_end(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let plain = rest.bytes().take_while(|byte| byte.is_ascii_alphabetic()).count();
    if rest.as_bytes().get(plain).is_none_or(|&byte| matches!(byte, b'=' | b'>' | b' ' | b'/')) {
        return at + plain;
    }
    let mut end = 0;
    for (offset, character) in rest.char_indices() {
        if !(begins_name(character) || (offset > 0 && continues_name(character))) {
            break;
        }
        end = offset + character.len_utf8();
    }
    at + end
}

fn begins_name(character: char) -> bool {
    matches!(character,
        'a'..='z' | 'A'..='Z' | '_' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}'
        | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
}

fn continues_name(character: char) -> bool {
    matches!(character, '0'..='9' | '-' | '.' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_characters_are_found_wherever_they_stand() {
        assert_eq!(first_forbidden("plain\r\n\ttext \u{7F} è \u{FEFF}\u{FFFD} 😀"), None);
        assert_eq!(first_forbidden("è\u{0}"), Some(2));
        assert_eq!(first_forbidden("ab\u{1F}"), Some(2));
        assert_eq!(first_forbidden("\u{FFFD}\u{FFFE}"), Some(3));
        assert_eq!(first_forbidden("\u{FFFF}"), Some(0));
        assert!(is_allowed('\n') && is_allowed('😀') && !is_allowed('\u{8}') && !is_allowed('\u{FFFF}'));
    }

    #[test]
    fn names_end_where_they_end() {
        assert_eq!(name_end("birthDate value", 0), 9);
        assert_eq!(name_end("f:Patient", 0), 1);
        assert_eq!(name_end("età-1.b>", 0), 8);
        assert_eq!(name_end("1a", 0), 0);
        assert_eq!(name_end("-a", 0), 0);
        assert_eq!(name_end("", 0), 0);
    }
}
