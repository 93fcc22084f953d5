//! Percent-encoding (RFC 3986 §2.1), decoded once and strictly, encoded anew.
//!
//! Invariant: what [`decode_segment`] and [`decode_parameter`] give back holds no control character, and no
//! escape is left to be decoded a second time by whoever reads it next.

use std::borrow::Cow;

use super::error::EncodingFault;

/// Decodes one path segment. An encoded slash or backslash is refused: some server behind may split there.
pub(super) fn decode_segment(raw: &str) -> Result<Cow<'_, str>, EncodingFault> {
    // As nearly all are: nothing in it is to be decoded.
    if raw.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'$')) {
        return Ok(Cow::Borrowed(raw));
    }
    let text = decode(raw.as_bytes(), false)?;
    if text.contains(['/', '\\']) {
        return Err(EncodingFault::EncodedSlash);
    }
    Ok(Cow::Owned(text))
}

/// Decodes a parameter's name or value; `+` is a space, as in every form (WHATWG URL §5.1).
pub(super) fn decode_parameter(raw: &[u8]) -> Result<String, EncodingFault> {
    decode(raw, true)
}

fn decode(raw: &[u8], plus_is_space: bool) -> Result<String, EncodingFault> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let plain = match byte {
            b'%' => {
                let (Some(high), Some(low)) = (hex(after.first()), hex(after.get(1))) else {
                    return Err(EncodingFault::BadEscape);
                };
                rest = after.get(2..).unwrap_or_default();
                high << 4 | low
            }
            b'+' if plus_is_space => b' ',
            b'!'..=b'~' => byte,
            _ => return Err(EncodingFault::RawCharacter),
        };
        if plain < b' ' || plain == 0x7F {
            return Err(EncodingFault::ControlCharacter);
        }
        out.push(plain);
    }
    String::from_utf8(out).map_err(|_| EncodingFault::NotUtf8)
}

fn hex(byte: Option<&u8>) -> Option<u8> {
    char::from(*byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The query of the parameters that are given, encoded.
pub(super) fn query_of<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a Option<String>)>) -> String {
    let mut out = String::new();
    for (name, value) in parameters {
        if let Some(value) = value {
            let mark = if out.is_empty() { "" } else { "&" };
            out.push_str(mark);
            out.push_str(name);
            out.push('=');
            encode_into(&mut out, value);
        }
    }
    out
}

/// Appends `text` so that it can stand in a query or form. The characters `:`, `,`, `/` and `$` have a meaning
/// only inside FHIR's own grammars and stay as they are.
pub(super) fn encode_into(out: &mut String, text: &str) {
    for &byte in text.as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b':' | b',' | b'/' | b'$' => out.push(char::from(byte)),
            _ => {
                out.push('%');
                for digit in [byte >> 4, byte & 15] {
                    out.push(char::from_digit(digit.into(), 16).unwrap_or('0').to_ascii_uppercase());
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_decoded_once() {
        assert_eq!(decode_segment("%50atient").unwrap(), "Patient");
        assert_eq!(decode_segment("%252e").unwrap(), "%2e");
        assert_eq!(decode_parameter(b"Forl%C3%AC+e%2BX").unwrap(), "Forlì e+X");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        use EncodingFault::*;
        for (raw, fault) in [
            ("a%2Fb", EncodedSlash),
            ("a%5cb", EncodedSlash),
            ("a%00", ControlCharacter),
            ("a%0d%0a", ControlCharacter),
            ("%7F", ControlCharacter),
            ("%", BadEscape),
            ("%4", BadEscape),
            ("%zz", BadEscape),
            ("%+1", BadEscape),
            ("%FF", NotUtf8),
            ("%C0%AF", NotUtf8),
            ("a b", RawCharacter),
            ("è", RawCharacter),
        ] {
            assert_eq!(decode_segment(raw).unwrap_err(), fault, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn encoding_is_undone_by_decoding(text in r"[^\x00-\x1f\x7f]{0,30}") {
            let mut raw = String::new();
            encode_into(&mut raw, &text);
            prop_assert_eq!(decode_parameter(raw.as_bytes()), Ok(text));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(raw in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(text) = decode_parameter(&raw) {
                prop_assert!(!text.bytes().any(|byte| byte < 0x20));
            }
        }
    }
}
