//! `string`, `markdown`, `xhtml` as text, `code` and `id` (FHIR R4 §2.24.0.1).

use super::{LONGEST_STRING, Primitive, PrimitiveError};

/// A string of 1 byte to 1 MiB whose only control characters are tab, line feed and carriage return.
pub(super) fn string(text: &str) -> Result<(), PrimitiveError> {
    if text.len() > LONGEST_STRING {
        return Err(PrimitiveError::TooLong);
    }
    unbounded(text)
}

/// The same without the limit of length.
pub(super) fn unbounded(text: &str) -> Result<(), PrimitiveError> {
    if text.is_empty() {
        return Err(PrimitiveError::Empty);
    }
    let forbidden = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r');
    if any_below(text.as_bytes(), 0x20) && text.as_bytes().iter().any(forbidden) {
        return Err(PrimitiveError::ControlCharacter);
    }
    Ok(())
}

/// No space at either end, single plain spaces inside.
pub(super) fn code(text: &str) -> Result<(), PrimitiveError> {
    if text.is_empty() {
        return Err(PrimitiveError::Empty);
    }
    if text.len() > LONGEST_STRING {
        return Err(PrimitiveError::TooLong);
    }
    if text.is_ascii() {
        if !any_below(text.as_bytes(), 0x21) {
            return Ok(());
        }
    } else if text.chars().any(|c| c.is_whitespace() && c != ' ') {
        return Err(PrimitiveError::CodeSpaces);
    }
    let mut after_space = true;
    for byte in text.bytes() {
        match byte {
            b' ' if after_space => return Err(PrimitiveError::CodeSpaces),
            b' ' => after_space = true,
            b'\t' | b'\n' | b'\r' | 0x0B | 0x0C => return Err(PrimitiveError::CodeSpaces),
            0..0x20 => return Err(PrimitiveError::ControlCharacter),
            _ => after_space = false,
        }
    }
    if after_space { Err(PrimitiveError::CodeSpaces) } else { Ok(()) }
}

/// `[A-Za-z0-9\-\.]{1,64}`
pub(super) fn id(text: &str) -> Result<(), PrimitiveError> {
    if text.is_empty() {
        return Err(PrimitiveError::Empty);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    if text.len() <= 64 && text.bytes().all(allowed) {
        Ok(())
    } else {
        Err(PrimitiveError::Grammar(Primitive::Id))
    }
}

/// True where a byte is below `limit` (at most 0x80). Eight bytes at a time; bytes from 0x80 up don't count.
pub(super) fn any_below(bytes: &[u8], limit: u8) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let bound = ONES * u64::from(limit);
    let (words, tail) = bytes.as_chunks::<8>();
    words.iter().any(|word| {
        let word = u64::from_le_bytes(*word);
        word.wrapping_sub(bound) & !word & HIGHS != 0
    }) || tail.iter().any(|&byte| byte < limit)
}
