//! What a transformation is given beside its sources: bounds, the time, random numbers.

use std::cell::Cell;
use std::fmt;

use crate::fhirpath::Temporal;

/// The bounds of a transformation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most rules and items worked on.
    pub steps: u64,
    /// Deepest nesting of groups and rules.
    pub depth: usize,
    /// Most elements made.
    pub nodes: usize,
    /// Longest result, in bytes.
    pub bytes: usize,
    /// Most notes kept.
    pub notes: usize,
}

impl Default for Limits {
    /// Ten million steps, 100 levels, two million elements, 64 MiB, 10,000 notes.
    fn default() -> Limits {
        Limits { steps: 10_000_000, depth: 100, nodes: 2_000_000, bytes: 64 << 20, notes: 10_000 }
    }
}

/// Random numbers that the caller draws, 128 bits each.
pub trait Randomness {
    /// The next number.
    fn next(&self) -> u128;
}

/// A number counted up: for tests, where results must be the same each time. Never for real identifiers.
#[derive(Debug, Default)]
pub struct Counted(Cell<u128>);

impl Randomness for Counted {
    fn next(&self) -> u128 {
        self.0.set(self.0.get().wrapping_add(1));
        self.0.get()
    }
}

/// How a map is run.
#[derive(Clone, Copy, Default)]
pub struct Settings<'s> {
    /// Bounds.
    pub limits: Limits,
    /// What `now()` answers; without it, such expressions are errors.
    pub now: Option<Temporal>,
    /// Where `uuid()` and `reference()` to a new resource take their numbers; without it, they are errors.
    pub randomness: Option<&'s dyn Randomness>,
    /// Note what is read, and by which rule: for [`Output::loss`](super::Output::loss).
    pub report: bool,
    /// Only count what is not read, by rule: for [`Output::lost`](super::Output::lost).
    pub count_losses: bool,
}

impl fmt::Debug for Settings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("limits", &self.limits)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}
