//! The one translation that a map means, where it means one.
//!
//! Only a target that may stand for its source is taken: `equal`, `equivalent`, `wider`, `subsumes`, `relatedto`. Of
//! several, in this order: a code that is mapped goes before a code for all that is unmapped; a mapping that depends
//! on values which are all given goes before one that depends on fewer; then `equal`, `equivalent`, `wider` and
//! `subsumes`, `relatedto`. Where two different codes are left, none is picked.

use std::cmp::Reverse;

use super::{Match, Origin, Translation};

/// Most codes told of.
const MOST_TOLD: usize = 100;

/// What [`Translation::preferred`] finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preferred<'t, 'a> {
    /// Nothing that may stand for what was asked.
    None,
    /// This one.
    One(&'t Match<'a>),
    /// These (the first hundred), and the map doesn't say which.
    Several(Vec<&'t Match<'a>>),
}

impl<'a> Translation<'a> {
    /// The match to take, by the rules above.
    pub fn preferred(&self) -> Preferred<'_, 'a> {
        let order = |it: &Match<'_>| {
            let rank = it.equivalence.rank().filter(|_| it.concept.is_some())?;
            Some((it.origin != Origin::Mapped, Reverse(it.dependencies), rank))
        };
        let Some(best) = self.matches.iter().filter_map(order).min() else { return Preferred::None };
        let mut found: Vec<&Match<'a>> = Vec::new();
        for it in self.matches.iter().filter(|it| order(it) == Some(best)) {
            let same = |other: &&Match<'a>| {
                let key = |it: &Match<'a>| it.concept.map(|it| (it.system, it.code));
                key(other) == key(it)
            };
            if !found.iter().any(same) {
                found.push(it);
            }
            if found.len() == MOST_TOLD {
                break;
            }
        }
        match found.as_slice() {
            [only] => Preferred::One(only),
            _ => Preferred::Several(found),
        }
    }
}
