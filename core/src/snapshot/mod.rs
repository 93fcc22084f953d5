//! Snapshots of profiles and types that were published with a differential only (FHIR R4 §5.1.0.4, §5.1.0.13 to
//! §5.1.0.15, and the merge rules of `ElementDefinition`, §2.29).
//!
//! The base's snapshot is laid out as a tree ([`tree`]): elements under elements, slices beside the element that
//! they slice. Each element of the differential is walked to its place ([`place`]); where the way leads into a
//! datatype, a profile of one or a content reference, what is known of that is copied there first ([`unfold`]). At
//! its place the differential's members are merged into the base's ([`merge`]).
//!
//! Invariants: nothing of the base is lost but what the differential replaces; ids and paths follow from the tree
//! alone; bounds on chains, depth and number of elements hold whatever the definitions say.

mod element;
mod error;
mod generate;
mod merge;
mod place;
mod tree;
mod unfold;

#[cfg(test)]
mod published_tests;
#[cfg(test)]
mod snapshot_tests;

use fhir_models::definition::Definitions;
use fhir_models::document::Value;

pub use error::{ElementFault, SnapshotError};
use generate::Generator;

/// Most elements of one snapshot.
pub const MOST_ELEMENTS: usize = 20_000;
/// Longest chain of definitions that need each other's snapshot to be made first.
pub const LONGEST_CHAIN: usize = 32;

/// A `StructureDefinition` with the snapshot that was made for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The whole resource as JSON, `snapshot` before `differential`; everything else as it was.
    pub json: String,
    /// How many elements the snapshot has.
    pub elements: usize,
    /// What was made sense of although the differential isn't quite right, for people.
    pub warnings: Vec<String>,
}

/// Makes the snapshot of a `StructureDefinition` out of its differential and the definitions at hand.
///
/// A snapshot that it has already is replaced. Bases that have no snapshot get theirs first. The built-in
/// definitions hold no prose but `short`: descriptions and mappings of elements are taken from bases that
/// [`Definitions`] were given whole.
///
/// # Errors
/// [`SnapshotError`], each with its cause and cure: no differential, a base that is not at hand or leads back to the
/// structure itself, elements that find no place in the base.
///
/// # Example
/// ```
/// use fhir_models::definition::Definitions;
/// use fhir_models::document::{Limits, OwnedDocument};
/// use varco_core::snapshot::snapshot;
///
/// let profile = r#"{"resourceType": "StructureDefinition", "url": "http://example.org/p", "name": "P",
///     "status": "draft", "kind": "resource", "abstract": false, "type": "Patient",
///     "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient", "derivation": "constraint",
///     "differential": {"element": [{"id": "Patient.birthDate", "path": "Patient.birthDate", "min": 1}]}}"#;
/// let profile = OwnedDocument::parse_json(profile, &Limits::default())?;
/// let made = snapshot(profile.root(), &Definitions::r4())?;
/// assert_eq!(made.elements, 45);
/// assert!(made.json.contains(r#""path":"Patient.birthDate""#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn snapshot(definition: Value<'_>, definitions: &Definitions) -> Result<Snapshot, SnapshotError> {
    Generator::new(definitions).snapshot(definition)
}
