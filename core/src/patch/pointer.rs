//! JSON Pointer (RFC 6901): the place of a value in a document.

use super::tree::Tree;

/// The steps of a pointer, unescaped; empty for the whole document.
pub(super) type Pointer = Vec<String>;

/// Reads a pointer; `None` where it is outside the grammar.
pub(super) fn parse(text: &str) -> Option<Pointer> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let unescape = |step: &str| {
        let mut out = String::with_capacity(step.len());
        let mut letters = step.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '~' => out.push(match letters.next()? {
                    '0' => '~',
                    '1' => '/',
                    _ => return None,
                }),
                other => out.push(other),
            }
        }
        Some(out)
    };
    text.strip_prefix('/')?.split('/').map(unescape).collect()
}

/// An item's number: digits without a leading zero (RFC 6901 §4).
pub(super) fn index(step: &str) -> Option<usize> {
    let plain = step == "0" || (!step.starts_with('0') && step.bytes().all(|byte| byte.is_ascii_digit()));
    if plain { step.parse().ok() } else { None }
}

/// The value at a place.
pub(super) fn get<'t>(tree: &'t Tree, pointer: &[String]) -> Option<&'t Tree> {
    pointer.iter().try_fold(tree, |at, step| match at {
        Tree::Object(members) => members.iter().find(|(key, _)| key == step).map(|(_, value)| value),
        Tree::Array(items) => items.get(index(step)?),
        _ => None,
    })
}

/// The value at a place, to be changed.
pub(super) fn get_mut<'t>(tree: &'t mut Tree, pointer: &[String]) -> Option<&'t mut Tree> {
    pointer.iter().try_fold(tree, |at, step| match at {
        Tree::Object(members) => members.iter_mut().find(|(key, _)| key == step).map(|(_, value)| value),
        Tree::Array(items) => items.get_mut(index(step)?),
        _ => None,
    })
}
