//! Elements that the type does not have (FHIR R4 §2.6.2: property names are element names).

use std::borrow::Cow;

use fhir_models::document::{Value, name};

use crate::outcome::IssueType;

use super::finding::Rule;
use super::shape::{Shape, ShapeKind};
use super::walk::Walk;

/// Longest part of an unknown name that a message repeats, in characters.
const SHOWN: usize = 64;

/// Reports `member` of `object`, which has no place in `shape`.
#[cold]
pub(super) fn report<'d>(walk: &mut Walk<'_, 'd>, object: Value<'d>, member: Value<'d>, shape: &Shape) {
    let key = member.key().unwrap_or_default();
    let cure = if member.name() == name::RESOURCE_TYPE && shape.kind != ShapeKind::Resource {
        Cow::Borrowed("only a resource has a type")
    } else if member.is_underscored() && shape.find(member.name()).is_some() {
        Cow::Borrowed("only primitives have a `_` property")
    } else {
        match nearest(&key, shape) {
            Some(likely) => Cow::Owned(format!("did you mean `{likely}`?")),
            None => Cow::Borrowed("remove it, or carry the data in an extension"),
        }
    };
    let shown: String = key.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    let fault = Rule::UnknownElement
        .error(IssueType::Structure, format!("`{}` has no element `{shown}`: {cure}", shape.path));
    walk.report(object, member, fault);
}

/// The property of the shape that is two edits away at most, and nearer than half of its length.
fn nearest(key: &str, shape: &Shape) -> Option<&'static str> {
    nearest_of(key, shape.entries.iter().map(|entry| entry.name.text()))
}

/// The same among these names.
pub(super) fn nearest_of<'n>(key: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let bare = key.strip_prefix('_').unwrap_or(key);
    if bare.len() > SHOWN {
        return None;
    }
    known
        .map(|known| (distance(bare.as_bytes(), known.as_bytes()), known))
        .filter(|&(edits, known)| edits <= 2 && edits * 2 < known.len())
        .min()
        .map(|(_, known)| known)
}

/// Edit distance with swaps of neighbours; letter case counts as no edit.
fn distance(a: &[u8], b: &[u8]) -> usize {
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX;
    }
    let same =
        |x: Option<&u8>, y: Option<&u8>| matches!((x, y), (Some(x), Some(y)) if x.eq_ignore_ascii_case(y));
    let width = b.len() + 1;
    let mut rows: Vec<Vec<usize>> = vec![(0..width).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i; width];
        for j in 1..width {
            let (x, y) = (a.get(i - 1), b.get(j - 1));
            let cell = |r: usize, c: usize| {
                rows.get(r).and_then(|row| row.get(c)).copied().unwrap_or(usize::MAX / 2)
            };
            let left = row.get(j - 1).copied().unwrap_or(usize::MAX / 2);
            let mut best =
                (cell(i - 1, j) + 1).min(left + 1).min(cell(i - 1, j - 1) + usize::from(!same(x, y)));
            if i > 1 && j > 1 && same(x, b.get(j - 2)) && same(a.get(i - 2), y) {
                best = best.min(cell(i - 2, j - 2) + 1);
            }
            if let Some(slot) = row.get_mut(j) {
                *slot = best;
            }
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn slips_of_the_pen_are_near() {
        let edits = |a: &str, b: &str| distance(a.as_bytes(), b.as_bytes());
        assert_eq!(edits("birthdate", "birthDate"), 0);
        assert_eq!(edits("brithDate", "birthDate"), 1);
        assert_eq!(edits("birthDat", "birthDate"), 1);
        assert!(edits("cognome", "family") > 2);
        assert_eq!(edits("", "ab"), 2);
        assert!(edits("a", "abcd") > 2);
    }
}
