//! The difference between two documents: what a round trip lost, added or changed.
//!
//! Numbers are compared as written, objects without regard to the order of their members, arrays item by item.

use fhir_models::document::{Document, Kind, Value};

/// Deepest comparison.
const MAX_DEPTH: usize = 256;
/// Most differences told.
const MOST: usize = 10_000;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The place, as a FHIRPath expression: in the first document, or in the second for what only that has.
    pub path: String,
    /// What happened.
    pub kind: DifferenceKind,
}

/// What happened to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// Only the first document has it.
    Lost,
    /// Only the second document has it.
    Added,
    /// Both have it, with other values.
    Changed,
}

impl DifferenceKind {
    /// In one word.
    pub fn text(self) -> &'static str {
        match self {
            DifferenceKind::Lost => "lost",
            DifferenceKind::Added => "added",
            DifferenceKind::Changed => "changed",
        }
    }
}

/// All differences between a document and what came back of it, at most 10,000.
pub fn differences(before: Document<'_>, after: Document<'_>) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(before.root(), after.root(), 0, &mut found);
    found
}

fn tell(value: Value<'_>, kind: DifferenceKind, found: &mut Vec<Difference>) {
    if found.len() < MOST {
        found.push(Difference { path: value.expression(), kind });
    }
}

fn compare(before: Value<'_>, after: Value<'_>, depth: usize, found: &mut Vec<Difference>) {
    if before.kind() != after.kind() || depth > MAX_DEPTH {
        return tell(before, DifferenceKind::Changed, found);
    }
    match before.kind() {
        Kind::Object => {
            for member in before.children() {
                let Some(key) = member.key() else { continue };
                match after.get_key(&key) {
                    Some(other) => compare(member, other, depth + 1, found),
                    None => tell(member, DifferenceKind::Lost, found),
                }
            }
            for member in after.children() {
                if member.key().is_some_and(|key| before.get_key(&key).is_none()) {
                    tell(member, DifferenceKind::Added, found);
                }
            }
        }
        Kind::Array => {
            let (mut one, mut two) = (before.children(), after.children());
            loop {
                match (one.next(), two.next()) {
                    (None, None) => return,
                    (Some(one), Some(two)) => compare(one, two, depth + 1, found),
                    (Some(one), None) => tell(one, DifferenceKind::Lost, found),
                    (None, Some(two)) => tell(two, DifferenceKind::Added, found),
                }
            }
        }
        Kind::String if before.as_str() != after.as_str() => tell(before, DifferenceKind::Changed, found),
        Kind::Number | Kind::Boolean if before.raw() != after.raw() => {
            tell(before, DifferenceKind::Changed, found);
        }
        _ => {}
    }
}
