//! `uri`, `url`, `canonical`, `oid` and `uuid` (FHIR R4 §2.24.0.1).
//!
//! The specification asks no more of a `uri` than the absence of white space; whether it is absolute is a
//! rule of the element that holds it.

use super::characters::any_below;
use super::{Primitive, PrimitiveError};

/// `\S+`
pub(super) fn without_space(primitive: Primitive, text: &str) -> Result<(), PrimitiveError> {
    if text.is_empty() {
        return Err(PrimitiveError::Empty);
    }
    let spaced = any_below(text.as_bytes(), 0x21) || (!text.is_ascii() && text.contains(char::is_whitespace));
    if !spaced {
        return Ok(());
    }
    if text.contains(char::is_whitespace) {
        Err(PrimitiveError::Space(primitive))
    } else {
        Err(PrimitiveError::ControlCharacter)
    }
}

/// `urn:oid:[0-2](\.(0|[1-9][0-9]*))+`
pub(super) fn oid(text: &str) -> Result<(), PrimitiveError> {
    if text.is_empty() {
        return Err(PrimitiveError::Empty);
    }
    let arc = |arc: &str| {
        !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'))
    };
    let grammar = text
        .strip_prefix("urn:oid:")
        .and_then(|oid| oid.split_once('.'))
        .is_some_and(|(first, rest)| matches!(first, "0" | "1" | "2") && rest.split('.').all(arc));
    if grammar { Ok(()) } else { Err(PrimitiveError::Grammar(Primitive::Oid)) }
}

/// `urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`
pub(super) fn uuid(text: &str) -> Result<(), PrimitiveError> {
    if text.is_empty() {
        return Err(PrimitiveError::Empty);
    }
    let grammar = text.strip_prefix("urn:uuid:").is_some_and(|uuid| {
        uuid.len() == 36
            && uuid.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            })
    });
    if grammar { Ok(()) } else { Err(PrimitiveError::Grammar(Primitive::Uuid)) }
}
