//! Escapes in values (HL7 v2.5.1 §2.7): read here, and written here.
//!
//! `\F\ \S\ \T\ \R\ \E\` stand for delimiters, `\P\` for the truncation mark, `\X…\` for bytes; `\.br\` and its
//! like lay out text, `\H\ \N\` turn highlighting on and off. `\C…\ \M…\` switch character sets and `\Z…\` belongs
//! to a site: they stay as they are written, as does what nobody knows.

use std::borrow::Cow;

use super::delimiters::Delimiters;

/// Longest escape looked for, in bytes between the two escape characters.
const LONGEST: usize = 512;
/// Most lines or columns that one layout command makes.
const MOST_LAYOUT: usize = 80;

/// The end of the escape that begins at `start`, and whether the standard knows it.
pub(super) fn end(text: &[u8], start: usize, delimiters: &Delimiters) -> Option<(usize, bool)> {
    let body = text.get(start + 1..)?;
    let length = body.iter().take(LONGEST).position(|byte| *byte == delimiters.escape)?;
    let body = &body[..length];
    if body.iter().any(|byte| byte.is_ascii_control() || *byte == delimiters.field) {
        return None;
    }
    let known = match body {
        [b'F' | b'S' | b'T' | b'R' | b'E' | b'P' | b'H' | b'N'] => true,
        [b'X' | b'C' | b'M', digits @ ..] => {
            !digits.is_empty() && digits.len() % 2 == 0 && digits.iter().all(u8::is_ascii_hexdigit)
        }
        [b'Z', ..] => true,
        [b'.', command @ ..] => layout(command).is_some(),
        _ => false,
    };
    Some((start + 1 + length, known))
}

/// The text of a value, its escapes resolved.
pub(super) fn unescape<'t>(text: &'t str, delimiters: &Delimiters) -> Cow<'t, str> {
    let bytes = text.as_bytes();
    let Some(first) = bytes.iter().position(|byte| *byte == delimiters.escape) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len());
    out.push_str(&text[..first]);
    let mut at = first;
    while at < bytes.len() {
        let next = bytes[at..].iter().position(|byte| *byte == delimiters.escape).map(|found| at + found);
        let Some(start) = next else { break };
        out.push_str(&text[at..start]);
        match end(bytes, start, delimiters) {
            Some((end, true)) => {
                let whole = &text[start..=end];
                resolve(&text[start + 1..end], whole, delimiters, &mut out);
                at = end + 1;
            }
            // One that nobody knows stays; the character that ends it may begin the next.
            _ => {
                out.push(char::from(delimiters.escape));
                at = start + 1;
            }
        }
    }
    out.push_str(&text[at..]);
    Cow::Owned(out)
}

fn resolve(body: &str, whole: &str, delimiters: &Delimiters, out: &mut String) {
    match body.as_bytes() {
        b"F" => out.push(char::from(delimiters.field)),
        b"S" => out.push(char::from(delimiters.component)),
        b"T" => out.push(char::from(delimiters.subcomponent)),
        b"R" => out.push(char::from(delimiters.repetition)),
        b"E" => out.push(char::from(delimiters.escape)),
        b"P" => out.push(char::from(delimiters.truncation.unwrap_or(b'#'))),
        b"H" | b"N" => {}
        [b'X', digits @ ..] => {
            let bytes: Vec<u8> =
                digits.chunks_exact(2).map(|pair| hex(pair[0]) << 4 | hex(pair[1])).collect();
            match std::str::from_utf8(&bytes) {
                Ok(text) => out.push_str(text),
                Err(_) => out.extend(bytes.iter().map(|byte| char::from(*byte))),
            }
        }
        [b'.', command @ ..] => match layout(command) {
            Some(Layout::Lines(count)) => out.extend(std::iter::repeat_n('\n', count)),
            Some(Layout::Columns(count)) => out.extend(std::iter::repeat_n(' ', count)),
            Some(Layout::Nothing) | None => {}
        },
        _ => out.push_str(whole),
    }
}

enum Layout {
    Lines(usize),
    Columns(usize),
    Nothing,
}

/// A formatting command (§2.7.6), without its point.
fn layout(command: &[u8]) -> Option<Layout> {
    let (name, argument) = command.split_at_checked(2)?;
    let sign = usize::from(matches!(argument, [b'+' | b'-', ..]));
    let number = match &argument[sign..] {
        [] => None,
        digits if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => {
            Some(digits.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')))
        }
        _ => return None,
    };
    let count = number.unwrap_or(1).min(MOST_LAYOUT);
    Some(match name.to_ascii_lowercase().as_slice() {
        b"br" | b"ce" if number.is_none() => Layout::Lines(1),
        b"sp" => Layout::Lines(count),
        b"sk" => Layout::Columns(count),
        b"fi" | b"nf" if number.is_none() => Layout::Nothing,
        b"in" | b"ti" => Layout::Nothing,
        _ => return None,
    })
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit.to_ascii_lowercase().saturating_sub(b'a') + 10) & 0x0f,
    }
}

/// The text as it stands in a value: delimiters escaped, line ends as `\.br\`, other control characters as `\X..\`.
pub fn escape(text: &str, delimiters: &Delimiters) -> String {
    let mark = char::from(delimiters.escape);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(one) = rest.next() {
        let letter = match u8::try_from(u32::from(one)) {
            Ok(byte) if byte == delimiters.field => "F",
            Ok(byte) if byte == delimiters.component => "S",
            Ok(byte) if byte == delimiters.subcomponent => "T",
            Ok(byte) if byte == delimiters.repetition => "R",
            Ok(byte) if byte == delimiters.escape => "E",
            Ok(byte) if Some(byte) == delimiters.truncation => "P",
            Ok(b'\r') => {
                rest.next_if_eq(&'\n');
                ".br"
            }
            Ok(b'\n') => ".br",
            Ok(byte) if byte.is_ascii_control() => {
                out.push_str(&format!("{mark}X{byte:02X}{mark}"));
                continue;
            }
            _ => {
                out.push(one);
                continue;
            }
        };
        out.push(mark);
        out.push_str(letter);
        out.push(mark);
    }
    out
}
