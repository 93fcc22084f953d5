//! Percent encoding and `application/x-www-form-urlencoded` pairs (RFC 3986 §2.1, WHATWG URL §5).

/// Undoes percent encoding. `None` where an escape is broken or the bytes are not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            out.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// The name=value pairs of a query or a form. `None` where an escape is broken.
pub(crate) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let parts = text.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Some((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
        })
        .collect()
}

/// Percent-encodes all but unreserved characters and those in `also` (RFC 3986 §2.3).
pub(crate) fn encode(text: &str, also: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        let letter = char::from(byte);
        if letter.is_ascii_alphanumeric()
            || "-._~".contains(letter)
            || (byte.is_ascii() && also.contains(letter))
        {
            out.push(letter);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// A query from its pairs, legible where the characters allow it.
pub(crate) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let each =
        pairs.into_iter().map(|(name, value)| format!("{}={}", encode(name, ":"), encode(value, ":/,")));
    each.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn broken_escapes_are_refused() {
        assert_eq!(decode("%5Fhas%C3%A8").as_deref(), Some("_hasè"));
        for text in ["%", "%4", "%zz", "%C3"] {
            assert_eq!(decode(text), None, "{text}");
        }
        assert_eq!(pairs("a=1+2&&b&c=%26").unwrap().len(), 3);
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(name in "\\PC{1,12}", value in "\\PC{0,12}") {
            let text = query([(name.as_str(), value.as_str())]);
            prop_assert!(text.is_ascii());
            prop_assert_eq!(pairs(&text).unwrap(), vec![(name, value)]);
        }

        #[test]
        fn any_text_decodes_or_is_refused(text in ".{0,40}") {
            let _ = pairs(&text);
        }
    }
}
