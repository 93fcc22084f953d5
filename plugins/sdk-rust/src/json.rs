//! Reads and edits JSON without parsing it into a tree and without printing it again.
//!
//! What isn't edited keeps its bytes: FHIR decimals are text (`1.50` is not `1.5`), and the order of members and white
//! space stay. Everything here is bounded: 64 levels, no recursion over values that are only skipped.
//!
//! ```
//! use varco_plugin::json::{Edit, rewrite};
//!
//! let patient = br#"{"resourceType":"Patient","name":[{"family":"Rossi"}],"multipleBirthInteger":2}"#;
//! let without = rewrite(patient, |place, _value| if place.is("name") { Edit::Cut } else { Edit::Keep });
//! assert_eq!(without.unwrap().unwrap(), br#"{"resourceType":"Patient","multipleBirthInteger":2}"#);
//! ```

mod rewrite;

use std::borrow::Cow;

pub use rewrite::{Edit, Place, Step, rewrite};

/// How deep objects and arrays may nest. FHIR R4 examples stay below 20.
const MAX_DEPTH: usize = 64;

/// The bytes are not one JSON value, or nest deeper than 64 levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotJson;

/// A value inside JSON text.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Value<'a> {
    /// The value that `text` holds. Only its beginning is looked at.
    ///
    /// # Errors
    ///
    /// [`NotJson`] where there is nothing but white space.
    pub fn new(text: &'a [u8]) -> Result<Self, NotJson> {
        let at = space(text, 0);
        if at < text.len() { Ok(Self { text, at }) } else { Err(NotJson) }
    }

    fn first(self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.first() == Some(b'{')
    }

    /// Whether it is an array.
    pub fn is_array(self) -> bool {
        self.first() == Some(b'[')
    }

    /// Whether it is a string.
    pub fn is_string(self) -> bool {
        self.first() == Some(b'"')
    }

    /// Its bytes, as they stand.
    pub fn bytes(self) -> Option<&'a [u8]> {
        self.text.get(self.at..end(self.text, self.at).ok()?)
    }

    /// What a string says, without quotes and escapes.
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        Written::at(self.text, self.at).ok()?.read(self.text)
    }

    /// The member of this name; of two, the first.
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        let mut found = None;
        if self.is_object() {
            let _ = parts(self.text, self.at, |own, at| {
                if own.is_some_and(|own| own.is(self.text, name)) {
                    found = Some(Value { text: self.text, at });
                }
                Ok(found.is_none())
            });
        }
        found
    }

    /// The string that the member of this name is.
    pub fn str(self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name)?.as_str()
    }

    /// The members of an object, up to where it is no JSON; nothing for another value.
    pub fn members(self) -> Vec<(Cow<'a, str>, Value<'a>)> {
        let mut found = Vec::new();
        if self.is_object() {
            // What is broken ends the list.
            let _ = parts(self.text, self.at, |name, at| {
                let name = name.and_then(|name| name.read(self.text)).ok_or(NotJson)?;
                found.push((name, Value { text: self.text, at }));
                Ok(true)
            });
        }
        found
    }

    /// The items of an array, up to where it is no JSON; nothing for another value.
    pub fn items(self) -> Vec<Value<'a>> {
        let mut found = Vec::new();
        if self.is_array() {
            let _ = parts(self.text, self.at, |_, at| {
                found.push(Value { text: self.text, at });
                Ok(true)
            });
        }
        found
    }
}

/// A string as JSON text, with quotes.
pub fn quote(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    out.push(b'"');
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{0}'..='\u{1f}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes())
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
    out
}

/// A string as it is written.
#[derive(Debug, Clone, Copy)]
struct Written {
    /// After the first quote.
    start: usize,
    /// Before the last.
    stop: usize,
    has_escape: bool,
}

impl Written {
    /// The string whose first quote is at `at`.
    #[inline]
    fn at(text: &[u8], at: usize) -> Result<Self, NotJson> {
        if text.get(at) != Some(&b'"') {
            return Err(NotJson);
        }
        let mut stop = at + 1;
        let mut has_escape = false;
        loop {
            stop += plain(text.get(stop..).ok_or(NotJson)?);
            match text.get(stop) {
                Some(b'"') => return Ok(Self { start: at + 1, stop, has_escape }),
                Some(b'\\') => {
                    has_escape = true;
                    stop += 2;
                }
                _ => return Err(NotJson),
            }
        }
    }

    /// The byte after its closing quote.
    fn end(self) -> usize {
        self.stop + 1
    }

    /// What it says. None where it isn't UTF-8 or an escape is wrong.
    fn read(self, text: &[u8]) -> Option<Cow<'_, str>> {
        self.unescaped(std::str::from_utf8(text.get(self.start..self.stop)?).ok()?)
    }

    /// As [`Self::read`], of text that is known to be UTF-8.
    #[inline]
    fn read_in(self, text: &str) -> Option<Cow<'_, str>> {
        self.unescaped(text.get(self.start..self.stop)?)
    }

    #[inline]
    fn unescaped(self, raw: &str) -> Option<Cow<'_, str>> {
        if self.has_escape { unescape(raw).map(Cow::Owned) } else { Some(Cow::Borrowed(raw)) }
    }

    fn is(self, text: &[u8], word: &str) -> bool {
        if self.has_escape {
            return self.read(text).is_some_and(|own| own == word);
        }
        text.get(self.start..self.stop) == Some(word.as_bytes())
    }
}

/// Calls `found` with the name, in an object, and the start of each part, for as long as it answers true.
fn parts(
    text: &[u8],
    open: usize,
    mut found: impl FnMut(Option<Written>, usize) -> Result<bool, NotJson>,
) -> Result<(), NotJson> {
    let is_object = text.get(open) == Some(&b'{');
    let close = if is_object { b'}' } else { b']' };
    let mut at = space(text, open + 1);
    if text.get(at) == Some(&close) {
        return Ok(());
    }
    loop {
        let name = if is_object {
            let (name, value) = member(text, at)?;
            at = value;
            Some(name)
        } else {
            None
        };
        if !found(name, at)? {
            return Ok(());
        }
        let comma = space(text, end(text, at)?);
        match text.get(comma) {
            Some(b',') => at = space(text, comma + 1),
            Some(byte) if *byte == close => return Ok(()),
            _ => return Err(NotJson),
        }
    }
}

/// The name of the member at `at`, and where its value starts.
#[inline]
fn member(text: &[u8], at: usize) -> Result<(Written, usize), NotJson> {
    let name = Written::at(text, at)?;
    let colon = space(text, name.end());
    if text.get(colon) != Some(&b':') {
        return Err(NotJson);
    }
    Ok((name, space(text, colon + 1)))
}

#[inline]
fn space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// Where the value at `at` ends. Brackets must fit; what stands between them is for the gateway's parser to judge.
#[inline]
fn end(text: &[u8], at: usize) -> Result<usize, NotJson> {
    match text.get(at) {
        Some(b'"') => Ok(Written::at(text, at)?.end()),
        Some(b'{' | b'[') => brackets_end(text, at),
        _ => literal_end(text, at),
    }
}

/// The byte after a number, `true`, `false` or `null`.
#[inline]
fn literal_end(text: &[u8], at: usize) -> Result<usize, NotJson> {
    let rest = text.get(at..).ok_or(NotJson)?;
    let is_of_one = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.' | b'E');
    match rest.iter().position(|byte| !is_of_one(byte)).unwrap_or(rest.len()) {
        0 => Err(NotJson),
        length => Ok(at + length),
    }
}

/// The byte after the bracket that closes the one at `at`.
fn brackets_end(text: &[u8], mut at: usize) -> Result<usize, NotJson> {
    let mut open = [0_u8; MAX_DEPTH];
    let mut depth = 0_usize;
    loop {
        match *text.get(at).ok_or(NotJson)? {
            bracket @ (b'{' | b'[') => {
                *open.get_mut(depth).ok_or(NotJson)? = if bracket == b'{' { b'}' } else { b']' };
                depth += 1;
                at += 1;
            }
            bracket @ (b'}' | b']') => {
                depth = depth.checked_sub(1).ok_or(NotJson)?;
                if open.get(depth) != Some(&bracket) {
                    return Err(NotJson);
                }
                at += 1;
                if depth == 0 {
                    return Ok(at);
                }
            }
            b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' => at += 1,
            b'"' => at = Written::at(text, at)?.end(),
            _ => at = literal_end(text, at)?,
        }
    }
}

/// How many bytes stand before the first quote, backslash or control character: eight at a time, each in its byte of a word.
#[inline]
fn plain(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let (words, rest) = text.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The high bit of the lowest byte that is below `limit` is set, and none below it.
        let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
        let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
        let found = (is(b'"') | is(b'\\') | below(word, 0x20)) & HIGH;
        if found != 0 {
            return number * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let stop = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
    words.len() * 8 + stop.unwrap_or(rest.len())
}

/// What stands between the quotes of a string, without escapes. None where one is wrong; half a surrogate pair becomes U+FFFD.
fn unescape(raw: &str) -> Option<String> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut characters = after.chars();
        match characters.next()? {
            'u' => {
                let (unit, tail) = unit(characters.as_str())?;
                rest = tail;
                let low = rest.strip_prefix("\\u").and_then(unit_of_pair);
                match (char::from_u32(unit.into()), low) {
                    (Some(character), _) => out.push(character),
                    (None, Some((low, tail))) if (0xd800..0xdc00).contains(&unit) => {
                        let high = (u32::from(unit) - 0xd800) << 10;
                        out.push(char::from_u32(0x10000 + high + (u32::from(low) - 0xdc00))?);
                        rest = tail;
                    }
                    _ => out.push('\u{fffd}'),
                }
                continue;
            }
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            plain @ ('"' | '\\' | '/') => out.push(plain),
            _ => return None,
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
    Some(out)
}

fn unit(text: &str) -> Option<(u16, &str)> {
    let digits = text.get(..4)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((u16::from_str_radix(digits, 16).ok()?, text.get(4..)?))
}

fn unit_of_pair(text: &str) -> Option<(u16, &str)> {
    unit(text).filter(|(unit, _)| (0xdc00..0xe000).contains(unit))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn strings_are_read_with_their_escapes() {
        for (raw, text) in [
            (r#""a\u0041\n\"""#, "aA\n\""),
            (r#""\ud83d\ude00x""#, "\u{1f600}x"),
            (r#""\ud83dx""#, "\u{fffd}x"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ude00""#, "\u{fffd}"),
        ] {
            assert_eq!(Value::new(raw.as_bytes()).unwrap().as_str().unwrap(), text, "{raw}");
        }
        for raw in [r#""\u00g1""#, r#""\u+123""#, r#""\x""#, "\"", "1", "\"\u{1}\""] {
            assert_eq!(Value::new(raw.as_bytes()).unwrap().as_str(), None, "{raw}");
        }
        let text = "\"\\\u{0}\u{1f600}é";
        assert_eq!(Value::new(&quote(text)).unwrap().as_str().unwrap(), text);
    }

    #[test]
    fn what_ends_a_run_of_plain_bytes_is_found_at_every_place() {
        for length in 0..40 {
            for stop in (0..0x20).chain([b'"', b'\\']) {
                let text =
                    ["é\u{7f} !#[]".repeat(9).as_bytes().get(..length).unwrap(), &[stop, b'"', 0, b'a']]
                        .concat();
                assert_eq!(plain(&text), length, "{text:?}");
            }
        }
        assert_eq!(plain(&[b'a'; 21]), 21);
    }

    #[test]
    fn members_are_found_by_name() {
        let value = Value::new(br#" {"a":[1,{"b":"c"}],"b":"d"} "#).unwrap();
        assert_eq!(value.str("b").unwrap(), "d");
        assert_eq!(value.get("a").unwrap().items()[1].str("b").unwrap(), "c");
        assert_eq!(value.get("a").unwrap().items()[1].bytes().unwrap(), br#"{"b":"c"}"#);
        assert!(value.get("c").is_none() && value.items().is_empty());
    }
}
