//! Patches, applied to a copy: JSON Patch (RFC 6902), merge patch (RFC 7396) and FHIRPath Patch (FHIR R4 §3.1.5).
//!
//! Invariant: all of a patch or nothing of it. The result is text that has still to be parsed and judged like any
//! body: nothing here knows who may change what. Operations, size and depth are bounded ([`PatchLimits`]).

mod fhirpath_patch;
mod json_patch;
mod merge_patch;
mod pointer;
mod shape;
mod tree;

pub use fhirpath_patch::fhirpath_patch;
pub use json_patch::json_patch;
pub use merge_patch::merge_patch;

/// Bounds of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchLimits {
    /// The most operations.
    pub operations: usize,
    /// The most bytes of values in the document at any time, roughly those of its text.
    pub bytes: usize,
}

impl Default for PatchLimits {
    fn default() -> PatchLimits {
        PatchLimits { operations: 1_000, bytes: 16 << 20 }
    }
}

/// A patch that can't be applied. Numbers count from 0; nothing of the document is quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// Not a patch of this form.
    #[error("the body is not a patch of this form: {0}")]
    Form(&'static str),
    /// An operation outside its grammar.
    #[error("operation {at} can't be read: {what}")]
    Operation {
        /// Its number.
        at: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A place that the document does not have.
    #[error("operation {at} names a place that the resource does not have")]
    Place {
        /// The operation's number.
        at: usize,
    },
    /// A test that did not hold.
    #[error("the test of operation {at} does not hold")]
    Test {
        /// The operation's number.
        at: usize,
    },
    /// More than the limits.
    #[error("the patch has too many operations, or would make the resource too large")]
    TooMuch,
}

impl PatchError {
    /// The HTTP status: 422 where the patch is well formed and does not fit the resource (RFC 5789 §2.2).
    pub fn status(&self) -> u16 {
        match self {
            PatchError::Form(_) | PatchError::Operation { .. } => 400,
            PatchError::Place { .. } | PatchError::Test { .. } => 422,
            PatchError::TooMuch => 413,
        }
    }
}
