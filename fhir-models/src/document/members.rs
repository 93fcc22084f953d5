//! The names of one object: none may stand there twice.
//!
//! Which of two values under one name counts is undefined (RFC 8259 §4); readers that choose differently
//! can be played against each other, so a duplicate is refused however the name is written.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::json::Key;
use super::tape::{Node, UNDERSCORE};
use super::text::unescape;
use super::{Name, SyntaxErrorKind};

/// Objects with more members than this use a hash set to find duplicate names.
const FEW: u32 = 48;

/// An object or array whose end has not been met, and the names met in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// One bit per name, by hash: a clear bit proves that a name is new.
    bits: u64,
    node: u32,
    /// How many names; all ones for an array.
    members: u32,
}

impl Seen {
    pub fn in_object(node: u32) -> Seen {
        Seen { bits: 0, node, members: 0 }
    }

    pub fn in_array(node: u32) -> Seen {
        Seen { bits: 0, node, members: u32::MAX }
    }

    pub fn is_object(self) -> bool {
        self.members != u32::MAX
    }

    pub fn node(self) -> u32 {
        self.node
    }
}

/// Finds duplicate names.
pub(super) struct Members<'a> {
    text: &'a str,
    /// All names of objects with many members, by the object's node.
    many: HashMap<u32, HashSet<Cow<'a, str>>>,
}

impl<'a> Members<'a> {
    pub fn new(text: &'a str) -> Members<'a> {
        Members { text, many: HashMap::new() }
    }

    /// Adds a name to those of the object `node`. `hash` is equal for equal names.
    #[inline(always)]
    pub fn add(
        &mut self,
        seen: &mut Seen,
        nodes: &[Node],
        key: &Key,
        hash: usize,
    ) -> Result<(), (SyntaxErrorKind, usize)> {
        let bit = 1u64 << (hash % 64);
        let fresh = seen.bits & bit == 0;
        seen.bits |= bit;
        seen.members = (seen.members + 1).min(u32::MAX - 2);
        if fresh && seen.members <= FEW {
            return Ok(());
        }
        self.doubtful(seen.members, nodes, seen.node, key)
    }

    #[inline(never)]
    fn doubtful(
        &mut self,
        members: u32,
        nodes: &[Node],
        node: u32,
        key: &Key,
    ) -> Result<(), (SyntaxErrorKind, usize)> {
        let text = self.text;
        let known = key.name != Name::UNKNOWN;
        let duplicate = if members > FEW {
            let many = self.many.entry(node).or_insert_with(|| {
                siblings(nodes, node).map(|node| key_text(text, node.key_start, node.key_len)).collect()
            });
            !many.insert(key_text(text, key.start, key.len))
        } else if known {
            let twin = key.flags & UNDERSCORE;
            siblings(nodes, node).any(|node| node.name == key.name && node.flags & UNDERSCORE == twin)
        } else {
            let own = key_text(text, key.start, key.len);
            siblings(nodes, node)
                .any(|node| node.name == Name::UNKNOWN && key_text(text, node.key_start, node.key_len) == own)
        };
        if duplicate {
            return Err((SyntaxErrorKind::DuplicateName, (key.start as usize).saturating_sub(1)));
        }
        Ok(())
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

fn key_text(text: &str, start: u32, len: u16) -> Cow<'_, str> {
    let start = start as usize;
    unescape(text.get(start..start + usize::from(len)).unwrap_or_default())
}
