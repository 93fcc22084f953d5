//! The JSON parser: one pass, no recursion, no allocation per node.
//!
//! Invariant: when [`parse_into`] succeeds, every node's spans lie inside the text on character boundaries,
//! `next` is past the node's last descendant, and strings and numbers obey RFC 8259.

use std::str::Utf8Error;

use super::members::{Members, Seen};
use super::name::{self, Names};
use super::scan::{short_name, skip_one_space, skip_space};
use super::tape::{HAS_KEY, KEY_ESCAPED, Kind, Node, UNDERSCORE, VALUE_ESCAPED};
use super::text::{scan_string, unescape};
use super::{Limits, Name, SyntaxError, SyntaxErrorKind};

/// Parses `bytes` into `nodes` (cleared first) and gives the text back as UTF-8.
pub(super) fn parse_into<'a>(
    bytes: &'a [u8],
    limits: &Limits,
    nodes: &mut Vec<Node>,
) -> Result<&'a str, SyntaxError> {
    nodes.clear();
    refuse_too_large(bytes, limits)?;
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error))?;
    parse_text_into(text, limits, nodes)?;
    Ok(text)
}

/// [`parse_into`] for a text that is to be kept.
pub(super) fn parse_owned_into(
    bytes: Vec<u8>,
    limits: &Limits,
    nodes: &mut Vec<Node>,
) -> Result<String, SyntaxError> {
    nodes.clear();
    refuse_too_large(&bytes, limits)?;
    let text = String::from_utf8(bytes).map_err(|error| not_utf8(error.as_bytes(), error.utf8_error()))?;
    parse_text_into(&text, limits, nodes)?;
    Ok(text)
}

fn refuse_too_large(bytes: &[u8], limits: &Limits) -> Result<(), SyntaxError> {
    let longest = limits.bytes.min(u32::MAX as usize - 1);
    if bytes.len() > longest {
        return Err(SyntaxError::at(SyntaxErrorKind::TooLarge(longest), bytes, longest));
    }
    Ok(())
}

fn not_utf8(bytes: &[u8], error: Utf8Error) -> SyntaxError {
    SyntaxError::at(SyntaxErrorKind::NotUtf8, bytes, error.valid_up_to())
}

/// Bytes of text to a node where values are short, as in nine of ten records of a hospital: room for so many nodes is made
/// before they are read.
const BYTES_OF_A_NODE: usize = 20;
/// Most nodes that room is made for before they are read.
const MOST_AT_ONCE: usize = 1 << 16;

fn parse_text_into(text: &str, limits: &Limits, nodes: &mut Vec<Node>) -> Result<(), SyntaxError> {
    let bytes = text.as_bytes();
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(SyntaxError::at(SyntaxErrorKind::ByteOrderMark, bytes, 0));
    }
    let members = Members::new(text);
    let most = limits.nodes.min(u32::MAX as usize - 1);
    // The parser owns the nodes while it runs: one step less to each of them.
    let mut own = std::mem::take(nodes);
    own.reserve((bytes.len() / BYTES_OF_A_NODE).min(MOST_AT_ONCE));
    let mut parser = Parser { bytes, text, limits, most, nodes: own, names: Names::get(), members };
    let parsed = parser.document();
    *nodes = parser.nodes;
    parsed.map_err(|(kind, offset)| {
        nodes.clear();
        let kind = if offset >= bytes.len() { SyntaxErrorKind::UnexpectedEnd } else { kind };
        SyntaxError::at(kind, bytes, offset)
    })
}

/// A property name: where it stands in the text, without its quotes, and what it is.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub start: u32,
    pub len: u16,
    pub name: Name,
    pub flags: u8,
}

/// What an item of an array and the root have in place of a key.
const NO_KEY: Key = Key { start: 0, len: 0, name: Name::UNKNOWN, flags: 0 };

struct Parser<'a, 'n> {
    bytes: &'a [u8],
    text: &'a str,
    limits: &'n Limits,
    /// Most nodes.
    most: usize,
    nodes: Vec<Node>,
    names: Names,
    members: Members<'a>,
}

type Fault = (SyntaxErrorKind, usize);

impl Parser<'_, '_> {
    fn document(&mut self) -> Result<(), Fault> {
        let bytes = self.bytes;
        let mut outer: Vec<Seen> = Vec::with_capacity(16);
        let mut open = Seen::in_array(0);
        let mut at = skip_space(bytes, 0);
        let mut key = NO_KEY;
        'value: loop {
            let start = at;
            if self.nodes.len() >= self.most {
                return Err((SyntaxErrorKind::TooManyNodes(self.limits.nodes), at));
            }
            match bytes.get(at) {
                Some(b'"') => {
                    let end = scan_string(bytes, at + 1)?;
                    at = end.quote + 1;
                    let escaped = if end.escaped { VALUE_ESCAPED } else { 0 };
                    self.push(Kind::String, start, at, key, escaped);
                }
                Some(b'{') => {
                    self.deeper(&mut outer, open, at)?;
                    open = Seen::in_object(self.nodes.len() as u32);
                    self.push(Kind::Object, start, at, key, 0);
                    at = skip_space(bytes, at + 1);
                    if bytes.get(at) != Some(&b'}') {
                        self.key(&mut at, &mut open, &mut key)?;
                        continue 'value;
                    }
                    at += 1;
                    self.close(open.node(), at);
                    open = outer.pop().unwrap_or(open);
                }
                Some(b'[') => {
                    self.deeper(&mut outer, open, at)?;
                    open = Seen::in_array(self.nodes.len() as u32);
                    self.push(Kind::Array, start, at, key, 0);
                    at = skip_space(bytes, at + 1);
                    if bytes.get(at) != Some(&b']') {
                        key = NO_KEY;
                        continue 'value;
                    }
                    at += 1;
                    self.close(open.node(), at);
                    open = outer.pop().unwrap_or(open);
                }
                Some(b'-' | b'0'..=b'9') => {
                    at = number(bytes, at)?;
                    self.push(Kind::Number, start, at, key, 0);
                }
                Some(b't') => {
                    at = word(bytes, at, b"true")?;
                    self.push(Kind::Boolean, start, at, key, 0);
                }
                Some(b'f') => {
                    at = word(bytes, at, b"false")?;
                    self.push(Kind::Boolean, start, at, key, 0);
                }
                Some(b'n') => {
                    at = word(bytes, at, b"null")?;
                    self.push(Kind::Null, start, at, key, 0);
                }
                _ => return Err((SyntaxErrorKind::ExpectedValue, at)),
            }
            loop {
                at = skip_space(bytes, at);
                if outer.is_empty() {
                    return if at < bytes.len() { Err((SyntaxErrorKind::TrailingText, at)) } else { Ok(()) };
                }
                match bytes.get(at) {
                    Some(b',') => {
                        at = skip_space(bytes, at + 1);
                        if open.is_object() {
                            if bytes.get(at) == Some(&b'}') {
                                return Err((SyntaxErrorKind::TrailingComma, at));
                            }
                            self.key(&mut at, &mut open, &mut key)?;
                        } else {
                            if bytes.get(at) == Some(&b']') {
                                return Err((SyntaxErrorKind::TrailingComma, at));
                            }
                            key = NO_KEY;
                        }
                        continue 'value;
                    }
                    Some(b'}') if open.is_object() => {}
                    Some(b']') if !open.is_object() => {}
                    _ => return Err((SyntaxErrorKind::ExpectedCommaOrEnd, at)),
                }
                at += 1;
                self.close(open.node(), at);
                open = outer.pop().unwrap_or(open);
            }
        }
    }

    #[inline(always)]
    fn deeper(&self, outer: &mut Vec<Seen>, open: Seen, at: usize) -> Result<(), Fault> {
        if outer.len() >= self.limits.depth {
            return Err((SyntaxErrorKind::TooDeep(self.limits.depth), at));
        }
        outer.push(open);
        Ok(())
    }

    #[inline(always)]
    fn push(&mut self, kind: Kind, start: usize, end: usize, key: Key, flags: u8) {
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node {
            start: start as u32,
            end: end as u32,
            key_start: key.start,
            next,
            name: key.name,
            key_len: key.len,
            kind,
            flags: key.flags | flags,
        });
    }

    #[inline(always)]
    fn close(&mut self, node: u32, end: usize) {
        let next = self.nodes.len() as u32;
        if let Some(node) = self.nodes.get_mut(node as usize) {
            node.next = next;
            node.end = end as u32;
        }
    }

    /// Reads a name and its colon into `out`; leaves `at` at the value.
    #[inline(always)]
    fn key(&mut self, at: &mut usize, open: &mut Seen, out: &mut Key) -> Result<(), Fault> {
        let bytes = self.bytes;
        if bytes.get(*at) != Some(&b'"') {
            return Err((SyntaxErrorKind::ExpectedName, *at));
        }
        let start = *at + 1;
        let (key, hash, quote);
        let short = short_name(bytes, start).map(|(head, len)| (self.names.find_short(head), len));
        match short {
            // Zeros fill up a head: with one at its end, the text is not the name.
            Some((name, len)) if name != Name::UNKNOWN && bytes.get(start + len - 1) != Some(&0) => {
                quote = start + len;
                hash = name.index();
                key = Key { start: start as u32, len: len as u16, name, flags: HAS_KEY };
            }
            _ => (key, hash, quote) = self.long_key(start)?,
        }
        self.members.add(open, &self.nodes, &key, hash)?;
        let colon = skip_space(bytes, quote + 1);
        if bytes.get(colon) != Some(&b':') {
            return Err((SyntaxErrorKind::ExpectedColon, colon));
        }
        *at = skip_one_space(bytes, colon + 1);
        *out = key;
        Ok(())
    }

    /// A name that is long, underscored, holds an escape, is not FHIR's or stands near the text's end.
    #[inline(never)]
    fn long_key(&self, start: usize) -> Result<(Key, usize, usize), Fault> {
        let end = scan_string(self.bytes, start)?;
        let len = u16::try_from(end.quote - start).map_err(|_| (SyntaxErrorKind::NameTooLong, start - 1))?;
        let raw = self.text.get(start..end.quote).unwrap_or_default();
        let mut key = Key { start: start as u32, len, name: Name::UNKNOWN, flags: HAS_KEY };
        let hash = if end.escaped {
            key.flags |= KEY_ESCAPED;
            self.recognise(&mut key, unescape(raw).as_bytes())
        } else {
            self.recognise(&mut key, raw.as_bytes())
        };
        Ok((key, hash, end.quote))
    }

    /// Fills in the key's name; gives a hash that differs for `name` and `_name`.
    fn recognise(&self, key: &mut Key, text: &[u8]) -> usize {
        let bare = text.strip_prefix(b"_");
        key.name = self.names.find(bare.unwrap_or(text));
        if key.name == Name::UNKNOWN {
            return name::hash(text);
        }
        if bare.is_some() {
            key.flags |= UNDERSCORE;
        }
        key.name.index() + usize::from(bare.is_some()) * 31
    }
}

fn word(bytes: &[u8], at: usize, word: &[u8]) -> Result<usize, Fault> {
    if bytes.get(at..).is_some_and(|rest| rest.starts_with(word)) {
        Ok(at + word.len())
    } else {
        Err((SyntaxErrorKind::ExpectedValue, at))
    }
}

/// True for a text that is a number by JSON's grammar, and nothing else.
pub(super) fn is_number(text: &str) -> bool {
    number(text.as_bytes(), 0).is_ok_and(|end| end == text.len())
}

/// Checks a number (RFC 8259 §6); gives the offset after it.
fn number(bytes: &[u8], start: usize) -> Result<usize, Fault> {
    let bad = Err((SyntaxErrorKind::BadNumber, start));
    let digits = |mut at: usize| {
        while matches!(bytes.get(at), Some(b'0'..=b'9')) {
            at += 1;
        }
        at
    };
    let mut at = start;
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    match bytes.get(at) {
        Some(b'0') => at += 1,
        Some(b'1'..=b'9') => at = digits(at),
        _ => return bad,
    }
    if bytes.get(at) == Some(&b'.') {
        let first = at + 1;
        at = digits(first);
        if at == first {
            return bad;
        }
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let first = if matches!(bytes.get(at + 1), Some(b'+' | b'-')) { at + 2 } else { at + 1 };
        at = digits(first);
        if at == first {
            return bad;
        }
    }
    match bytes.get(at) {
        Some(b'0'..=b'9' | b'.' | b'+' | b'-' | b'a'..=b'z' | b'A'..=b'Z') => bad,
        _ => Ok(at),
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
