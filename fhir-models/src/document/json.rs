//! The JSON parser: one pass, no recursion, no allocation per node.
//!
//! Invariant: when [`parse_into`] succeeds, every node's spans lie inside the text on character boundaries,
//! `next` is past the node's last descendant, and strings and numbers obey RFC 8259.

use std::collections::HashSet;

use super::name::{self, Names};
use super::tape::{HAS_KEY, KEY_ESCAPED, Kind, Node, UNDERSCORE, VALUE_ESCAPED};
use super::text::{scan_string, unescape};
use super::{Limits, Name, SyntaxError, SyntaxErrorKind};

/// Objects with more members than this use a hash set to find duplicate names.
const FEW_MEMBERS: u32 = 48;

/// Parses `bytes` into `nodes` (cleared first) and gives the text back as UTF-8.
pub(super) fn parse_into<'a>(
    bytes: &'a [u8],
    limits: &Limits,
    nodes: &mut Vec<Node>,
) -> Result<&'a str, SyntaxError> {
    nodes.clear();
    let longest = limits.bytes.min(u32::MAX as usize - 1);
    if bytes.len() > longest {
        return Err(SyntaxError::at(SyntaxErrorKind::TooLarge(longest), bytes, longest));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| SyntaxError::at(SyntaxErrorKind::NotUtf8, bytes, error.valid_up_to()))?;
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(SyntaxError::at(SyntaxErrorKind::ByteOrderMark, bytes, 0));
    }
    let names = Names::get();
    let mut parser = Parser { bytes, text, at: 0, limits, nodes, open: Vec::new(), names };
    match parser.document() {
        Ok(()) => Ok(text),
        Err((kind, offset)) => {
            nodes.clear();
            Err(SyntaxError::at(kind, bytes, offset))
        }
    }
}

/// An object or array whose end has not been met.
struct Open {
    node: u32,
    object: bool,
    members: u32,
    /// One bit per name seen, by hash: a clear bit proves that a name is new.
    seen: u64,
    /// All names seen, once there are many.
    many: Option<HashSet<Box<str>>>,
}

struct Key {
    start: u32,
    len: u16,
    name: Name,
    flags: u8,
}

struct Parser<'a, 'n> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    limits: &'n Limits,
    nodes: &'n mut Vec<Node>,
    open: Vec<Open>,
    names: Names,
}

type Fault = (SyntaxErrorKind, usize);

impl Parser<'_, '_> {
    fn document(&mut self) -> Result<(), Fault> {
        self.skip_space();
        self.value(None)?;
        while !self.open.is_empty() {
            self.step()?;
        }
        self.skip_space();
        if self.at < self.bytes.len() {
            return Err((SyntaxErrorKind::TrailingText, self.at));
        }
        Ok(())
    }

    /// One member, item or closing bracket of the innermost open container.
    fn step(&mut self) -> Result<(), Fault> {
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        let (object, first) = (open.object, open.members == 0);
        open.members = open.members.saturating_add(1);
        let close = if object { b'}' } else { b']' };
        self.skip_space();
        if self.peek() == Some(close) {
            self.at += 1;
            return self.close();
        }
        if !first {
            if self.peek() != Some(b',') {
                return Err(self.fault(SyntaxErrorKind::ExpectedCommaOrEnd));
            }
            self.at += 1;
            self.skip_space();
            if self.peek() == Some(close) {
                return Err(self.fault(SyntaxErrorKind::TrailingComma));
            }
        }
        if object {
            let key = self.key()?;
            self.value(Some(key))
        } else {
            self.value(None)
        }
    }

    fn close(&mut self) -> Result<(), Fault> {
        let next = self.nodes.len() as u32;
        let end = self.at as u32;
        if let Some(node) = self.open.pop().and_then(|open| self.nodes.get_mut(open.node as usize)) {
            node.next = next;
            node.end = end;
        }
        Ok(())
    }

    fn key(&mut self) -> Result<Key, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault(SyntaxErrorKind::ExpectedName));
        }
        let start = self.at + 1;
        let end = scan_string(self.bytes, start)?;
        let len = u16::try_from(end.quote - start).map_err(|_| (SyntaxErrorKind::NameTooLong, self.at))?;
        let raw = self.bytes.get(start..end.quote).unwrap_or_default();
        let mut key = Key { start: start as u32, len, name: Name::UNKNOWN, flags: HAS_KEY };
        let hash;
        if end.escaped {
            key.flags |= KEY_ESCAPED;
            let plain = unescape(self.text.get(start..end.quote).unwrap_or_default());
            hash = self.recognise(&mut key, plain.as_bytes());
        } else {
            hash = self.recognise(&mut key, raw);
        }
        self.refuse_duplicate(&key, hash)?;
        self.at = end.quote + 1;
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.fault(SyntaxErrorKind::ExpectedColon));
        }
        self.at += 1;
        self.skip_space();
        Ok(key)
    }

    /// Fills in the key's name; gives a hash that differs for `name` and `_name`.
    fn recognise(&self, key: &mut Key, text: &[u8]) -> usize {
        if let Some(bare) = text.strip_prefix(b"_") {
            key.name = self.names.find(bare);
            if key.name != Name::UNKNOWN {
                key.flags |= UNDERSCORE;
                return key.name.index().wrapping_mul(2) + 1;
            }
        } else {
            key.name = self.names.find(text);
            if key.name != Name::UNKNOWN {
                return key.name.index().wrapping_mul(2);
            }
        }
        name::hash(text)
    }

    fn refuse_duplicate(&mut self, key: &Key, hash: usize) -> Result<(), Fault> {
        let text = self.text;
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        let bit = 1u64 << ((hash ^ (hash >> 6) ^ (hash >> 12)) & 63);
        let fresh = open.seen & bit == 0;
        open.seen |= bit;
        let duplicate = (SyntaxErrorKind::DuplicateName, (key.start as usize).saturating_sub(1));
        if open.members > FEW_MEMBERS {
            let container = open.node;
            let nodes = &self.nodes;
            let many = open.many.get_or_insert_with(|| {
                siblings(nodes, container)
                    .map(|node| key_text(text, node.key_start, node.key_len).into())
                    .collect()
            });
            return if many.insert(key_text(text, key.start, key.len).into()) {
                Ok(())
            } else {
                Err(duplicate)
            };
        }
        if fresh {
            return Ok(());
        }
        let known = key.name != Name::UNKNOWN;
        let same = |node: &Node| {
            if known {
                return node.name == key.name && (node.flags ^ key.flags) & UNDERSCORE == 0;
            }
            node.name == Name::UNKNOWN
                && key_text(text, node.key_start, node.key_len) == key_text(text, key.start, key.len)
        };
        if siblings(self.nodes, open.node).any(same) { Err(duplicate) } else { Ok(()) }
    }

    fn value(&mut self, key: Option<Key>) -> Result<(), Fault> {
        if self.nodes.len() >= self.limits.nodes.min(u32::MAX as usize - 1) {
            return Err(self.fault(SyntaxErrorKind::TooManyNodes(self.limits.nodes)));
        }
        let start = self.at;
        let number = self.nodes.len() as u32;
        let key = key.unwrap_or(Key { start: 0, len: 0, name: Name::UNKNOWN, flags: 0 });
        let mut flags = key.flags;
        let kind = match self.peek() {
            Some(b'"') => {
                let end = scan_string(self.bytes, start + 1)?;
                self.at = end.quote + 1;
                if end.escaped {
                    flags |= VALUE_ESCAPED;
                }
                Kind::String
            }
            Some(b'{') => self.open(number, true)?,
            Some(b'[') => self.open(number, false)?,
            Some(b't') => self.word(b"true", Kind::Boolean)?,
            Some(b'f') => self.word(b"false", Kind::Boolean)?,
            Some(b'n') => self.word(b"null", Kind::Null)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(_) => return Err(self.fault(SyntaxErrorKind::ExpectedValue)),
            None => return Err(self.fault(SyntaxErrorKind::UnexpectedEnd)),
        };
        self.nodes.push(Node {
            start: start as u32,
            end: self.at as u32,
            key_start: key.start,
            next: number + 1,
            name: key.name,
            key_len: key.len,
            kind,
            flags,
        });
        Ok(())
    }

    fn open(&mut self, node: u32, object: bool) -> Result<Kind, Fault> {
        if self.open.len() >= self.limits.depth {
            return Err(self.fault(SyntaxErrorKind::TooDeep(self.limits.depth)));
        }
        self.at += 1;
        self.open.push(Open { node, object, members: 0, seen: 0, many: None });
        Ok(if object { Kind::Object } else { Kind::Array })
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<Kind, Fault> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            Ok(kind)
        } else {
            Err(self.fault(SyntaxErrorKind::ExpectedValue))
        }
    }

    /// RFC 8259 §6.
    fn number(&mut self) -> Result<Kind, Fault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err((SyntaxErrorKind::BadNumber, start)),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits(start)?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits(start)?;
        }
        if matches!(self.peek(), Some(b'0'..=b'9' | b'.' | b'+' | b'-' | b'a'..=b'z' | b'A'..=b'Z')) {
            return Err((SyntaxErrorKind::BadNumber, start));
        }
        Ok(Kind::Number)
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self, start: usize) -> Result<(), Fault> {
        let before = self.at;
        self.digits();
        if self.at == before { Err((SyntaxErrorKind::BadNumber, start)) } else { Ok(()) }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn fault(&self, kind: SyntaxErrorKind) -> Fault {
        let kind = if self.at >= self.bytes.len() { SyntaxErrorKind::UnexpectedEnd } else { kind };
        (kind, self.at)
    }
}

/// The members met so far of a container that is still open.
fn siblings(nodes: &[Node], container: u32) -> impl Iterator<Item = &Node> {
    let mut at = container as usize + 1;
    std::iter::from_fn(move || {
        let node = nodes.get(at)?;
        at = node.next as usize;
        Some(node)
    })
}

fn key_text(text: &str, start: u32, len: u16) -> std::borrow::Cow<'_, str> {
    let start = start as usize;
    unescape(text.get(start..start + usize::from(len)).unwrap_or_default())
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
