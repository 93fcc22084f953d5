//! Whose data a resource holds: the answer.

use fhir_models::document::NodeId;

use crate::consent::LiteralReference;
use crate::requester::BusinessIdentifier;

/// A patient whom a resource has to do with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatientLink {
    /// The patient.
    pub patient: PatientReference,
    /// Business identifiers that stand beside the reference or in the contained Patient.
    pub identifiers: Vec<BusinessIdentifier>,
    /// In which role.
    pub role: PatientRole,
    /// The element that says so, in the document that was looked at.
    pub at: NodeId,
}

/// How a resource names a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatientReference {
    /// `Patient/1` on this server, an absolute URL elsewhere, or a `urn:uuid:` that names nothing in the same
    /// Bundle: compare it as [`LiteralReference::same`] does.
    Literal(LiteralReference),
    /// A contained Patient, known by its identifiers alone.
    Contained,
    /// A logical reference: identifiers and no address (FHIR R4 §2.3.0.3).
    Identified,
    /// The Patient itself, which has no id yet.
    Itself,
    /// A Group, whose members are not said here.
    Group(LiteralReference),
    /// Somebody whom the text does not tell: a display name alone, a broken or conditional reference.
    Unresolved,
}

/// What a patient is to a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatientRole {
    /// The data is about this patient.
    Subject,
    /// The patient acts in it, by the compartment's parameter of this name: `performer`, `recorder` …
    Participant(Box<str>),
    /// The patient is referred to in some other element.
    Mentioned,
}

/// The patients whom a resource and everything inside it has to do with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patients {
    /// Each patient once a role.
    pub links: Vec<PatientLink>,
    /// Resources that belong to some patient by their type and don't say to whom: an Observation without
    /// subject, a Binary whose security context is elsewhere, a type that the definitions don't know. A
    /// decision must not take these for nobody's data.
    pub unattributed: Vec<NodeId>,
}

impl Patients {
    /// True where the resource is no patient's data: an Organization, a Location, a ValueSet.
    pub fn is_nobodys(&self) -> bool {
        self.links.is_empty() && self.unattributed.is_empty()
    }

    /// The patients whom the data is about.
    pub fn subjects(&self) -> impl Iterator<Item = &PatientLink> {
        self.links.iter().filter(|link| link.role == PatientRole::Subject)
    }

    pub(super) fn add(&mut self, link: PatientLink) {
        let known = |own: &PatientLink| {
            (&own.patient, &own.identifiers, &own.role) == (&link.patient, &link.identifiers, &link.role)
        };
        // Somebody unresolved may be anybody: two of them are not one.
        if link.patient == PatientReference::Unresolved || !self.links.iter().any(known) {
            self.links.push(link);
        }
    }
}
