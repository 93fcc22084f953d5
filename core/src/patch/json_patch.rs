//! JSON Patch (RFC 6902): a list of operations, each on the result of the one before.

use fhir_models::document::Value;

use super::pointer::{self, Pointer};
use super::tree::Tree;
use super::{PatchError, PatchLimits};

/// The document with a JSON Patch applied.
///
/// ```
/// use fhir_models::document::{Limits, OwnedDocument};
/// use varco_core::patch::{PatchLimits, json_patch};
///
/// let read = |text: &str| OwnedDocument::parse_json(text, &Limits::default());
/// let patient = read(r#"{"resourceType":"Patient","active":true,"name":[{"family":"Rossi"}]}"#)?;
/// let patch = read(r#"[{"op":"test","path":"/active","value":true},
///     {"op":"add","path":"/name/-","value":{"family":"Bianchi"}}]"#)?;
/// let patched = json_patch(patient.root(), patch.root(), &PatchLimits::default())?;
/// assert!(String::from_utf8_lossy(&patched).ends_with(r#"[{"family":"Rossi"},{"family":"Bianchi"}]}"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn json_patch(
    document: Value<'_>,
    patch: Value<'_>,
    limits: &PatchLimits,
) -> Result<Vec<u8>, PatchError> {
    if !patch.is_array() {
        return Err(PatchError::Form("a JSON Patch is a list of operations"));
    }
    let mut tree = Tree::of(document);
    let mut room = Room { weight: tree.weight(), depth: tree.depth(), most: limits.bytes };
    for (at, operation) in patch.children().enumerate() {
        if at >= limits.operations {
            return Err(PatchError::TooMuch);
        }
        apply(&mut tree, operation, at, &mut room)?;
    }
    Ok(tree.to_json())
}

/// The most that a patched document may nest: more than any parser of FHIR reads, and shallow for a stack.
const DEEPEST: usize = 1_000;

/// Upper bounds of what the document has come to. What is taken away is not subtracted.
struct Room {
    weight: usize,
    depth: usize,
    most: usize,
}

impl Room {
    /// Counts a value that is put at a place.
    fn take(&mut self, path: &[String], weight: usize, depth: usize) -> Result<(), PatchError> {
        self.weight = self.weight.saturating_add(weight);
        self.depth = self.depth.max(path.len().saturating_add(depth));
        if self.weight > self.most || self.depth > DEEPEST { Err(PatchError::TooMuch) } else { Ok(()) }
    }
}

fn apply(tree: &mut Tree, operation: Value<'_>, at: usize, room: &mut Room) -> Result<(), PatchError> {
    let bad = |what| PatchError::Operation { at, what };
    let nowhere = PatchError::Place { at };
    let place = |member: &str| -> Result<Pointer, PatchError> {
        let text = operation.get_key(member).and_then(Value::as_str);
        let text = text.ok_or(bad("`path`, and `from` where it is needed, must be texts"))?;
        pointer::parse(&text).ok_or(bad("`path` and `from` are JSON Pointers, as in /name/0/family"))
    };
    let value = || operation.get_key("value").map(Tree::of).ok_or(bad("`value` is missing"));
    let op = operation.get_key("op").and_then(Value::as_str).ok_or(bad("`op` is missing"))?;
    let path = place("path")?;
    match &*op {
        "add" => {
            let value = value()?;
            room.take(&path, value.weight(), value.depth())?;
            add(tree, &path, value).ok_or(nowhere)
        }
        "remove" => remove(tree, &path).map(|_| ()).ok_or(nowhere),
        "replace" => {
            let value = value()?;
            room.take(&path, value.weight(), value.depth())?;
            *pointer::get_mut(tree, &path).ok_or(nowhere)? = value;
            Ok(())
        }
        "move" => {
            let from = place("from")?;
            if path.len() > from.len() && path.starts_with(&from) {
                return Err(bad("a value can't be moved into itself"));
            }
            if path == from {
                return pointer::get(tree, &path).map(|_| ()).ok_or(nowhere);
            }
            room.take(&path, 0, room.depth.saturating_sub(from.len()))?;
            let value = remove(tree, &from).ok_or(nowhere.clone())?;
            add(tree, &path, value).ok_or(nowhere)
        }
        "copy" => {
            let from = pointer::get(tree, &place("from")?).ok_or(nowhere.clone())?;
            room.take(&path, from.weight(), from.depth())?;
            let copy = from.clone();
            add(tree, &path, copy).ok_or(nowhere)
        }
        "test" => {
            let found = pointer::get(tree, &path).ok_or(nowhere)?;
            if found.equals(&value()?) { Ok(()) } else { Err(PatchError::Test { at }) }
        }
        _ => Err(bad("`op` is add, remove, replace, move, copy or test")),
    }
}

fn add(tree: &mut Tree, path: &[String], value: Tree) -> Option<()> {
    let Some((last, parents)) = path.split_last() else {
        *tree = value;
        return Some(());
    };
    match pointer::get_mut(tree, parents)? {
        Tree::Object(members) => match members.iter_mut().find(|(key, _)| key == last) {
            Some((_, own)) => *own = value,
            None => members.push((last.clone(), value)),
        },
        Tree::Array(items) => {
            let index = if last == "-" { items.len() } else { pointer::index(last)? };
            if index > items.len() {
                return None;
            }
            items.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(tree: &mut Tree, path: &[String]) -> Option<Tree> {
    let (last, parents) = path.split_last()?;
    match pointer::get_mut(tree, parents)? {
        Tree::Object(members) => {
            let at = members.iter().position(|(key, _)| key == last)?;
            Some(members.remove(at).1)
        }
        Tree::Array(items) => {
            let index = pointer::index(last).filter(|index| *index < items.len())?;
            Some(items.remove(index))
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "json_patch_tests.rs"]
mod tests;
