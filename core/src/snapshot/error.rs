//! Why no snapshot can be made.

use std::fmt;

use super::{LONGEST_CHAIN, MOST_ELEMENTS};

/// Why no snapshot can be made of a structure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It is another resource, or none.
    #[error("this is no StructureDefinition")]
    NotAStructure,
    /// An element of the resource is absent that the snapshot depends on.
    #[error("{of} lacks {what}, without which no snapshot can be made")]
    Missing {
        /// Canonical of the structure.
        of: String,
        /// `type`, `baseDefinition` …
        what: &'static str,
    },
    /// There is nothing to make a snapshot of.
    #[error("{0} has no differential: a snapshot is made of a differential and its base")]
    NoDifferential(String),
    /// The base, or a definition that a base needs, is not among the definitions.
    #[error("{of} is built on {base}, which is not at hand: bring the package or file that defines it")]
    NotAtHand {
        /// Canonical of the structure.
        of: String,
        /// Canonical of its base.
        base: String,
    },
    /// Structures are built on each other.
    #[error("the structures are built on each other in a circle: {}", .0.join(" → "))]
    Circle(Vec<String>),
    /// Bases without snapshot lead too far.
    #[error("the snapshot of {0} needs more than {LONGEST_CHAIN} others to be made first")]
    TooLong(String),
    /// The differential leads to more elements than a snapshot may have.
    #[error("{0} has more than {MOST_ELEMENTS} elements")]
    TooLarge(String),
    /// A definition at hand can't be read.
    #[error("{of} can't be used: {cause}")]
    Broken {
        /// Its canonical.
        of: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Elements of the differential find no place in the base.
    #[error("{of}: {}", all(.faults))]
    Elements {
        /// Canonical of the structure.
        of: String,
        /// The elements, in order.
        faults: Vec<ElementFault>,
    },
}

/// An element of a differential that finds no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementFault {
    /// Its id, or its path where it has none.
    pub element: String,
    /// Why, and what to do.
    pub cause: String,
}

impl fmt::Display for ElementFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.element, self.cause)
    }
}

fn all(faults: &[ElementFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
