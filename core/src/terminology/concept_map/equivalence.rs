//! How two concepts relate (R4 `concept-map-equivalence`, R5 `concept-map-relationship`, the signs of the Mapping
//! Language). Read from target to source: a target is *wider* than its source.

use std::fmt;

/// How a target relates to its source, in the terms of R4. Those of R5 are told by the term they came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Equivalence {
    /// Related, in a way that isn't known.
    RelatedTo,
    /// The same meaning.
    Equivalent,
    /// The same, but for wording.
    Equal,
    /// The target is wider.
    Wider,
    /// The target is above the source in the hierarchy.
    Subsumes,
    /// The target is narrower.
    Narrower,
    /// The target is below the source in the hierarchy.
    Specializes,
    /// They overlap.
    Inexact,
    /// Nothing corresponds.
    Unmatched,
    /// The target explicitly doesn't correspond.
    Disjoint,
}

impl Equivalence {
    /// Reads the code of R4 or R5, or the sign of the Mapping Language.
    pub fn read(text: &str) -> Option<Equivalence> {
        Some(match text {
            "relatedto" | "related-to" | "-" => Equivalence::RelatedTo,
            "equivalent" | "==" => Equivalence::Equivalent,
            "equal" | "=" => Equivalence::Equal,
            "wider" | "source-is-narrower-than-target" | "<=" => Equivalence::Wider,
            "subsumes" | "<-" => Equivalence::Subsumes,
            "narrower" | "source-is-broader-than-target" | ">=" => Equivalence::Narrower,
            "specializes" | ">-" => Equivalence::Specializes,
            "inexact" | "~" => Equivalence::Inexact,
            "unmatched" | "--" => Equivalence::Unmatched,
            "disjoint" | "not-related-to" | "!=" => Equivalence::Disjoint,
            _ => return None,
        })
    }

    /// The code of R4.
    pub fn code(self) -> &'static str {
        match self {
            Equivalence::RelatedTo => "relatedto",
            Equivalence::Equivalent => "equivalent",
            Equivalence::Equal => "equal",
            Equivalence::Wider => "wider",
            Equivalence::Subsumes => "subsumes",
            Equivalence::Narrower => "narrower",
            Equivalence::Specializes => "specializes",
            Equivalence::Inexact => "inexact",
            Equivalence::Unmatched => "unmatched",
            Equivalence::Disjoint => "disjoint",
        }
    }

    /// False for `unmatched` and `disjoint`: such a target is none.
    pub fn corresponds(self) -> bool {
        !matches!(self, Equivalence::Unmatched | Equivalence::Disjoint)
    }

    /// How well a target may stand for its source, or `None` where it would claim more than was known: it is
    /// narrower, only overlaps, or doesn't correspond. Less is better.
    pub(super) fn rank(self) -> Option<u8> {
        Some(match self {
            Equivalence::Equal => 0,
            Equivalence::Equivalent => 1,
            Equivalence::Wider | Equivalence::Subsumes => 2,
            Equivalence::RelatedTo => 3,
            _ => return None,
        })
    }

    /// The same relation, seen from the other side.
    pub fn reversed(self) -> Equivalence {
        match self {
            Equivalence::Wider => Equivalence::Narrower,
            Equivalence::Narrower => Equivalence::Wider,
            Equivalence::Subsumes => Equivalence::Specializes,
            Equivalence::Specializes => Equivalence::Subsumes,
            same => same,
        }
    }
}

impl fmt::Display for Equivalence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
