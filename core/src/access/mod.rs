//! Who may see what: scopes, compartments, labels, and taking out what may not be seen.
//!
//! Everything here answers a question about one resource or request; what follows from the answers is decided
//! by consent and policy.

mod compartment;
mod cut;
mod element_cut;
mod element_path;
mod inherit;
mod labels;
mod necessary;
mod nested;
mod patient_link;
mod patient_scene;
mod redact;
mod reference_cut;
mod scopes;
mod subset;

pub use compartment::PatientsOf;
pub use cut::{Rest, cut_resources};
pub use element_cut::{LabelledElement, cut_elements, labelled_elements, without_inline_labels};
pub use element_path::{ElementPath, ElementPaths, element_paths};
pub use inherit::{
    Bond, Holder, Holders, InheritedLabels, LabelScene, MAX_HOLDERS, MAX_HOLDERS_DEEP, inherited,
    inherited_beside,
};
pub use labels::Labels;
pub use necessary::Necessary;
pub(crate) use nested::is_alone;
pub use nested::{NestedResource, resources};
pub use patient_link::{PatientLink, PatientReference, PatientRole, Patients};
pub use redact::{
    BundleRules, Candidate, RedactError, RedactedBundle, Total, Verdict, redact_bundle, redact_resource,
};
pub use reference_cut::{ReferenceFate, cut_references};
pub use scopes::{Scope, ScopeContext, ScopeDecision, Scopes};
pub use subset::{Kept, SummaryOf};
