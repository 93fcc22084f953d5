//! Encodings and escapes of strings: base64, hexadecimal, HTML and JSON (FHIRPath §Additional String
//! Functions).

/// The format's name is none of FHIRPath's.
#[derive(Debug)]
pub(super) struct UnknownFormat;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub(super) fn encode(text: &str, format: &str) -> Result<Option<String>, UnknownFormat> {
    Ok(Some(match format {
        "hex" => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
        "base64" => base64(text.as_bytes(), STANDARD),
        "urlbase64" => base64(text.as_bytes(), URL),
        "ascii" => text.chars().map(|it| if it.is_ascii() { it } else { '?' }).collect(),
        _ => return Err(UnknownFormat),
    }))
}

/// `None` where the text is not of the format, or not UTF-8 within.
pub(super) fn decode(text: &str, format: &str) -> Result<Option<String>, UnknownFormat> {
    let bytes = match format {
        "hex" => hex(text),
        "base64" => from_base64(text, STANDARD),
        "urlbase64" => from_base64(text, URL),
        _ => return Err(UnknownFormat),
    };
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
}

fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let sextet = (bits >> (18 - 6 * at) & 63) as usize;
            let letter = alphabet.get(sextet).copied().unwrap_or(b'=');
            out.push(if at <= group.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

fn from_base64(text: &str, alphabet: &[u8; 64]) -> Option<Vec<u8>> {
    let body = text.trim_end_matches('=');
    if text.len() - body.len() > 2 || (text.len() != body.len() && !text.len().is_multiple_of(4)) {
        return None;
    }
    let mut out = Vec::with_capacity(body.len() / 4 * 3 + 2);
    for group in body.as_bytes().chunks(4) {
        let mut bits: u32 = 0;
        for letter in group {
            bits = bits << 6 | u32::try_from(alphabet.iter().position(|own| own == letter)?).ok()?;
        }
        let bytes = match group.len() {
            4 => 3,
            3 => 2,
            2 => 1,
            _ => return None,
        };
        bits <<= 6 * (4 - group.len());
        out.extend_from_slice(bits.to_be_bytes().get(1..1 + bytes)?);
    }
    Some(out)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|it| it as u8);
    text.as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}

pub(super) fn escape(text: &str, target: &str) -> Result<Option<String>, UnknownFormat> {
    let mut out = String::with_capacity(text.len());
    for found in text.chars() {
        match (target, found) {
            ("html", '<') => out.push_str("&lt;"),
            ("html", '>') => out.push_str("&gt;"),
            ("html", '&') => out.push_str("&amp;"),
            ("html", '"') => out.push_str("&quot;"),
            ("html", '\'') => out.push_str("&#39;"),
            ("json", '"') => out.push_str("\\\""),
            ("json", '\\') => out.push_str("\\\\"),
            ("json", '\n') => out.push_str("\\n"),
            ("json", '\r') => out.push_str("\\r"),
            ("json", '\t') => out.push_str("\\t"),
            ("json", '\u{c}') => out.push_str("\\f"),
            ("json", control) if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            ("html" | "json", other) => out.push(other),
            _ => return Err(UnknownFormat),
        }
    }
    if matches!(target, "html" | "json") { Ok(Some(out)) } else { Err(UnknownFormat) }
}

pub(super) fn unescape(text: &str, target: &str) -> Result<Option<String>, UnknownFormat> {
    let (start, read): (char, Reader) = match target {
        "html" => ('&', entity),
        "json" => ('\\', json_escape),
        _ => return Err(UnknownFormat),
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(start) {
        out.push_str(rest.get(..at).unwrap_or_default());
        let after = rest.get(at + 1..).unwrap_or_default();
        match read(after) {
            Some((found, used)) => {
                out.push(found);
                rest = after.get(used..).unwrap_or_default();
            }
            None => {
                out.push(start);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Ok(Some(out))
}

/// Reads one escape behind its first character: what it stands for, and its length.
type Reader = fn(&str) -> Option<(char, usize)>;

/// The character of an HTML entity, behind its `&`, and the length read.
fn entity(text: &str) -> Option<(char, usize)> {
    let end = text.bytes().take(12).position(|byte| byte == b';')?;
    let name = text.get(..end)?;
    let found = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((found, end + 1))
}

/// The character of a JSON escape, behind its backslash, and the length read.
fn json_escape(text: &str) -> Option<(char, usize)> {
    let unit = |from: usize| text.get(from..from + 4).and_then(|it| u32::from_str_radix(it, 16).ok());
    Some(match text.chars().next()? {
        'n' => ('\n', 1),
        'r' => ('\r', 1),
        't' => ('\t', 1),
        'b' => ('\u{8}', 1),
        'f' => ('\u{c}', 1),
        'u' => {
            let high = unit(1)?;
            if (0xD800..0xDC00).contains(&high) {
                let low = text.get(5..7).filter(|it| *it == "\\u").and_then(|_| unit(7))?;
                let low = low.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
                return char::from_u32(0x10000 + ((high - 0xD800) << 10) + low).map(|it| (it, 11));
            }
            (char::from_u32(high)?, 5)
        }
        other => (other, other.len_utf8()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn published_examples() {
        assert_eq!(encode("test", "base64").unwrap().unwrap(), "dGVzdA==");
        assert_eq!(encode("subjects?_d", "urlbase64").unwrap().unwrap(), "c3ViamVjdHM_X2Q=");
        assert_eq!(encode("test", "hex").unwrap().unwrap(), "74657374");
        assert_eq!(decode("dGVzdA==", "base64").unwrap().unwrap(), "test");
        assert_eq!(escape("\"1<2\"", "html").unwrap().unwrap(), "&quot;1&lt;2&quot;");
        assert_eq!(unescape("&quot;1&lt;2&#x26;&bad;&quot;", "html").unwrap().unwrap(), "\"1<2&&bad;\"");
        assert_eq!(unescape(r#"\"1\u00e8\ud83d\ude00\""#, "json").unwrap().unwrap(), "\"1è😀\"");
        assert!(encode("a", "rot13").is_err() && escape("", "xml").is_err());
        assert!(decode("!!", "base64").unwrap().is_none() && decode("gA==", "base64").unwrap().is_none());
    }

    proptest! {
        #[test]
        fn what_was_coded_comes_back(text in "\\PC{0,40}") {
            for format in ["hex", "base64", "urlbase64"] {
                let coded = encode(&text, format).unwrap().unwrap();
                prop_assert_eq!(decode(&coded, format).unwrap(), Some(text.clone()));
                let _ = decode(&text, format);
            }
            for target in ["html", "json"] {
                let escaped = escape(&text, target).unwrap().unwrap();
                prop_assert_eq!(unescape(&escaped, target).unwrap(), Some(text.clone()));
                let _ = unescape(&text, target);
            }
        }
    }
}
