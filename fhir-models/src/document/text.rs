//! The text of a JSON string: finding its end and undoing its escapes.

use std::borrow::Cow;

use super::SyntaxErrorKind;
use super::scan::{find, next_stop};

/// Where a string ends, and whether it holds an escape.
pub(super) struct StringEnd {
    /// Offset of the closing quote.
    pub quote: usize,
    pub escaped: bool,
}

/// Checks a string from the byte after its opening quote. Errors carry the offset of the fault.
#[inline(always)]
pub(super) fn scan_string(bytes: &[u8], start: usize) -> Result<StringEnd, (SyntaxErrorKind, usize)> {
    let mut at = start;
    let mut escaped = false;
    loop {
        at = next_stop(bytes, at);
        match bytes.get(at) {
            Some(b'"') => return Ok(StringEnd { quote: at, escaped }),
            Some(b'\\') => {
                escaped = true;
                at = check_escape(bytes, at)?;
            }
            Some(_) => return Err((SyntaxErrorKind::ControlCharacter, at)),
            None => return Err((SyntaxErrorKind::UnexpectedEnd, at)),
        }
    }
}

#[cold]
/// Checks the escape whose backslash stands at `at`; gives the offset after it.
pub(super) fn check_escape(bytes: &[u8], at: usize) -> Result<usize, (SyntaxErrorKind, usize)> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => {
            let unit = hex4(bytes, at + 2).ok_or((SyntaxErrorKind::BadEscape, at))?;
            match unit {
                0xD800..=0xDBFF => {
                    let low = (bytes.get(at + 6) == Some(&b'\\') && bytes.get(at + 7) == Some(&b'u'))
                        .then(|| hex4(bytes, at + 8))
                        .flatten();
                    match low {
                        Some(0xDC00..=0xDFFF) => Ok(at + 12),
                        _ => Err((SyntaxErrorKind::LoneSurrogate, at)),
                    }
                }
                0xDC00..=0xDFFF => Err((SyntaxErrorKind::LoneSurrogate, at)),
                _ => Ok(at + 6),
            }
        }
        Some(_) => Err((SyntaxErrorKind::BadEscape, at)),
        None => Err((SyntaxErrorKind::UnexpectedEnd, at)),
    }
}

fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at.checked_add(4)?)?;
    digits.iter().try_fold(0, |value, &digit| Some(value * 16 + char::from(digit).to_digit(16)?))
}

/// The text between the quotes with its escapes undone. The input has been checked by [`scan_string`].
pub(super) fn unescape(raw: &str) -> Cow<'_, str> {
    let bytes = raw.as_bytes();
    let next = |at: usize| find(bytes, at, |byte| byte == b'\\');
    let mut slash = next(0);
    if slash >= bytes.len() {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut at = 0;
    while slash < bytes.len() {
        out.push_str(raw.get(at..slash).unwrap_or_default());
        let escape = bytes.get(slash..).unwrap_or_default();
        let (decoded, used) = match escape.get(1) {
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(b'u') => unicode(escape),
            Some(&other) => (char::from(other), 2),
            None => break,
        };
        out.push(decoded);
        at = slash + used;
        slash = next(at);
    }
    out.push_str(raw.get(at..).unwrap_or_default());
    Cow::Owned(out)
}

fn unicode(escape: &[u8]) -> (char, usize) {
    let high = hex4(escape, 2).unwrap_or(0xFFFD);
    if (0xD800..0xDC00).contains(&high) {
        let low = hex4(escape, 8).unwrap_or(0xDC00);
        let code = 0x10000 + ((high - 0xD800) << 10) + (low.wrapping_sub(0xDC00) & 0x3FF);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12);
    }
    (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(inner: &str) -> Result<bool, SyntaxErrorKind> {
        let text = format!("{inner}\"");
        match scan_string(text.as_bytes(), 0) {
            Ok(end) => {
                assert_eq!(end.quote, inner.len());
                Ok(end.escaped)
            }
            Err((kind, _)) => Err(kind),
        }
    }

    #[test]
    fn plain_and_escaped_strings_end_at_their_quote() {
        assert_eq!(scanned(""), Ok(false));
        assert_eq!(scanned("Niccolò Dell'Acqua di Forlì"), Ok(false));
        assert_eq!(scanned(r#"a \"quoted\" word and more text"#), Ok(true));
        assert_eq!(scanned(r"\ud83d\ude00"), Ok(true));
    }

    #[test]
    fn bad_strings_are_refused() {
        assert_eq!(scanned("tab\there, after eight bytes"), Err(SyntaxErrorKind::ControlCharacter));
        assert_eq!(scanned(r"\x41"), Err(SyntaxErrorKind::BadEscape));
        assert_eq!(scanned(r"\u12g4"), Err(SyntaxErrorKind::BadEscape));
        assert_eq!(scanned(r"\ud83d"), Err(SyntaxErrorKind::LoneSurrogate));
        assert_eq!(scanned(r"\ude00"), Err(SyntaxErrorKind::LoneSurrogate));
        assert_eq!(scan_string(b"never ends", 0).err(), Some((SyntaxErrorKind::UnexpectedEnd, 10)));
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unescape(r"a\u00e8\n\/\ud83d\ude00z"), "aè\n/😀z");
        assert!(matches!(unescape("plain"), Cow::Borrowed("plain")));
    }
}
