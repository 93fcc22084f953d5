//! The character set of a message (MSH-18, HL7 table 0211): bytes become text here and nowhere else.

use std::borrow::Cow;

use super::error::Hl7v2ErrorKind;

/// A character set that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CharacterSet {
    /// 7-bit ASCII, also what an empty MSH-18 means.
    Ascii,
    /// `UNICODE UTF-8`.
    Utf8,
    /// `8859/1`, ISO/IEC 8859-1.
    Latin1,
    /// `8859/15`, ISO/IEC 8859-15: Latin-1 with the euro sign.
    Latin9,
}

/// Where Latin-9 differs from Latin-1.
const LATIN9: [(u8, char); 8] =
    [(0xA4, '€'), (0xA6, 'Š'), (0xA8, 'š'), (0xB4, 'Ž'), (0xB8, 'ž'), (0xBC, 'Œ'), (0xBD, 'œ'), (0xBE, 'Ÿ')];

impl CharacterSet {
    /// The set by its name in table 0211, in the spellings that are met; `None` for an empty field.
    pub(super) fn named(name: &[u8]) -> Result<Option<CharacterSet>, Hl7v2ErrorKind> {
        let plain: Vec<u8> =
            name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_uppercase).collect();
        match plain.as_slice() {
            b"" => Ok(None),
            b"ASCII" | b"USASCII" => Ok(Some(CharacterSet::Ascii)),
            b"UNICODEUTF8" | b"UTF8" | b"UNICODE" => Ok(Some(CharacterSet::Utf8)),
            b"88591" | b"ISO88591" | b"LATIN1" => Ok(Some(CharacterSet::Latin1)),
            b"885915" | b"ISO885915" | b"LATIN9" => Ok(Some(CharacterSet::Latin9)),
            _ => Err(Hl7v2ErrorKind::UnknownCharacterSet),
        }
    }

    /// The text of these bytes; `Err` has the offset of the first that is none.
    pub fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>, usize> {
        match self {
            CharacterSet::Ascii | CharacterSet::Utf8 => {
                let text = std::str::from_utf8(bytes).map_err(|error| error.valid_up_to())?;
                match bytes.iter().position(|byte| !byte.is_ascii()) {
                    Some(offset) if self == CharacterSet::Ascii => Err(offset),
                    _ => Ok(Cow::Borrowed(text)),
                }
            }
            CharacterSet::Latin1 => Ok(single_bytes(bytes, char::from)),
            CharacterSet::Latin9 => Ok(single_bytes(bytes, |byte| {
                LATIN9.iter().find(|(other, _)| *other == byte).map_or(char::from(byte), |(_, one)| *one)
            })),
        }
    }
}

fn single_bytes(bytes: &[u8], decode: impl Fn(u8) -> char) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        _ => Cow::Owned(bytes.iter().map(|byte| decode(*byte)).collect()),
    }
}
