//! Cardinality: how often an element stands (FHIR R4 §2.29, `min` and `max`), and its JSON form, an array
//! or a single value (FHIR R4 §2.6.2.1).

use fhir_models::definition::Max;

use crate::outcome::IssueType;

use super::finding::{Fault, Rule};
use super::shape::{ElementRule, Shape};

/// The bounds on an element's repetitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cardinality {
    pub min: u32,
    pub max: Max,
}

impl Cardinality {
    /// `1..1`
    pub const ONE: Cardinality = Cardinality { min: 1, max: Max::Count(1) };

    /// True where `count` repetitions are within the bounds.
    pub fn allows(self, count: usize) -> bool {
        count >= self.min as usize && self.max.allows(count)
    }

    /// As people read it: `1..*`.
    pub fn shown(self) -> String {
        match self.max {
            Max::Unbounded => format!("{}..*", self.min),
            Max::Count(max) => format!("{}..{max}", self.min),
        }
    }
}

/// A required element is missing.
pub(super) fn missing(shape: &Shape, element: &ElementRule) -> Fault {
    let choice = if element.choice { "[x]" } else { "" };
    Fault::error(
        Rule::Cardinality,
        IssueType::Required,
        format!(
            "`{}.{}{choice}` is required ({}) and missing",
            shape.path,
            element.name,
            element.cardinality.shown()
        ),
    )
}

/// An element stands too often or not often enough.
pub(super) fn count(shape: &Shape, element: &ElementRule, count: usize) -> Fault {
    let few = count < element.cardinality.min as usize;
    Fault::error(
        Rule::Cardinality,
        if few { IssueType::Required } else { IssueType::Structure },
        format!(
            "`{}.{}` stands {count} times; {} allowed",
            shape.path,
            element.name,
            element.cardinality.shown()
        ),
    )
}

/// A single value where JSON writes an array.
pub(super) fn not_an_array(shape: &Shape, element: &ElementRule) -> Fault {
    Fault::error(
        Rule::JsonForm,
        IssueType::Structure,
        format!(
            "`{}.{}` may repeat: write it as a JSON array, [ ], even for one value",
            shape.path, element.name
        ),
    )
}

/// An array where JSON writes a single value.
pub(super) fn an_array(shape: &Shape, element: &ElementRule) -> Fault {
    Fault::error(
        Rule::JsonForm,
        IssueType::Structure,
        format!(
            "`{}.{}` does not repeat: write the value alone, without a JSON array",
            shape.path, element.name
        ),
    )
}
