//! What a reference leads to, as far as the document at hand can tell.
//!
//! A reference may point into the same document (`#id`, an entry's `fullUrl`), at a server, or say only an
//! identifier. Invariant: what may be a patient is never taken for something else.

use std::collections::{BTreeSet, HashMap, HashSet};

use fhir_models::document::{Kind, Node, NodeId, Value, name};

use super::nested::NestedResource;
use super::patient_link::{PatientLink, PatientReference, PatientRole, Patients};
use crate::consent::LiteralReference;
use crate::requester::BusinessIdentifier;

/// What a reference leads to, as far as its text says.
enum Target {
    Patient(PatientReference, Vec<BusinessIdentifier>),
    /// A Practitioner, an Organization …
    Other,
    /// It may be a patient.
    Unknown(PatientReference, Vec<BusinessIdentifier>),
}

/// What came of a reference that a rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// A patient was added, or had been.
    Patient,
    /// It means something that is no patient.
    Other,
    /// It doesn't say whom it means.
    Unclear,
}

/// The resources that are looked at together.
pub(super) struct Scene<'a, 's> {
    all: &'s [NestedResource<'a>],
    bases: &'s [String],
    by_url: HashMap<String, usize>,
    /// Elements that a rule has read.
    seen: BTreeSet<NodeId>,
}

/// Entries by the URN in their `fullUrl` (FHIR R4 §2.36.4.1). Any other URL says for itself what it names,
/// and a URN that two entries claim names neither.
fn full_urls(all: &[NestedResource<'_>]) -> HashMap<String, usize> {
    let mut entries = HashMap::new();
    let mut twice = HashSet::new();
    for (at, own) in all.iter().enumerate().filter(|(_, own)| own.unit.id() != own.value.id()) {
        let Some(url) = own.unit.str_of(name::FULL_URL).filter(|url| url.starts_with("urn:")) else {
            continue;
        };
        if entries.insert(url.clone().into_owned(), at).is_some() {
            twice.insert(url.into_owned());
        }
    }
    entries.retain(|url, _| !twice.contains(url));
    entries
}

impl<'a, 's> Scene<'a, 's> {
    /// These resources, on a server with these base URLs.
    pub(super) fn new(all: &'s [NestedResource<'a>], bases: &'s [String]) -> Scene<'a, 's> {
        Scene { all, bases, by_url: full_urls(all), seen: BTreeSet::new() }
    }

    /// The link of a Patient that is a resource of its own.
    pub(super) fn patient_itself(&self, patient: Value<'a>) -> PatientLink {
        let id = patient.str_of(name::ID).and_then(|id| LiteralReference::of("Patient", &id));
        PatientLink {
            patient: id.map_or(PatientReference::Itself, PatientReference::Literal),
            identifiers: identifiers_of(patient),
            role: PatientRole::Subject,
            at: patient.id(),
        }
    }

    /// Adds the patient of a reference that a rule names; with `assume`, one that doesn't say whom it means
    /// is taken for a patient.
    pub(super) fn link(
        &mut self,
        reference: Value<'a>,
        at: usize,
        role: &PatientRole,
        assume: bool,
        found: &mut Patients,
    ) -> Link {
        if *role != PatientRole::Subject && self.seen.contains(&reference.id()) {
            return Link::Patient;
        }
        let (patient, identifiers) = match self.target(reference, at) {
            Target::Patient(patient, identifiers) => (patient, identifiers),
            Target::Unknown(patient, identifiers) if assume => (patient, identifiers),
            // Who merely acts is a professional far more often than a patient.
            Target::Unknown(..) => return Link::Unclear,
            Target::Other => return Link::Other,
        };
        self.seen.insert(reference.id());
        found.add(PatientLink { patient, identifiers, role: role.clone(), at: reference.id() });
        Link::Patient
    }

    fn target(&self, reference: Value<'a>, at: usize) -> Target {
        let identifiers: Vec<_> = reference.get(name::IDENTIFIER).and_then(identifier).into_iter().collect();
        let declared = reference.str_of(name::TYPE);
        let Some(text) = reference.str_of(name::REFERENCE) else {
            let patient = if identifiers.is_empty() {
                PatientReference::Unresolved
            } else {
                PatientReference::Identified
            };
            return match declared.as_deref() {
                Some("Patient") => Target::Patient(patient, identifiers),
                Some(other) if other != "Group" => Target::Other,
                _ => Target::Unknown(patient, identifiers),
            };
        };
        if let Some(inner) = self.within(&text, at) {
            return match inner.value.resource_type().as_deref() {
                Some("Patient") if inner.contained => {
                    let mut all = identifiers_of(inner.value);
                    all.extend(identifiers);
                    Target::Patient(PatientReference::Contained, all)
                }
                Some("Patient") => {
                    let own = self.patient_itself(inner.value);
                    Target::Patient(own.patient, own.identifiers)
                }
                Some("Group") | None => Target::Unknown(PatientReference::Unresolved, identifiers),
                Some(_) => Target::Other,
            };
        }
        let Some(literal) = LiteralReference::parse_at(&text, self.bases) else {
            return Target::Unknown(PatientReference::Unresolved, identifiers);
        };
        match literal.resource_type() {
            Some("Patient") => Target::Patient(PatientReference::Literal(literal), identifiers),
            Some("Group") => Target::Unknown(PatientReference::Group(literal), identifiers),
            Some(_) => Target::Other,
            None if declared.as_deref() == Some("Patient") => {
                Target::Patient(PatientReference::Literal(literal), identifiers)
            }
            None if declared.as_deref().is_some_and(|own| own != "Group") => Target::Other,
            None => Target::Unknown(PatientReference::Literal(literal), identifiers),
        }
    }

    /// The resource at hand that a reference leads to: `#id` among the contained ones, `#` for their holder,
    /// or an entry's `fullUrl`.
    fn within(&self, text: &str, at: usize) -> Option<&NestedResource<'a>> {
        let Some(fragment) = text.strip_prefix('#') else {
            return self.by_url.get(text).and_then(|&entry| self.all.get(entry));
        };
        let own = self.all.get(at)?;
        let holder = if own.contained { own.holder? } else { at };
        if fragment.is_empty() {
            return self.all.get(holder);
        }
        self.all.iter().find(|inner| {
            inner.contained
                && inner.holder == Some(holder)
                && inner.value.str_of(name::ID).is_some_and(|id| id == fragment)
        })
    }

    /// Adds every Patient that is referred to, or contained, and that no rule has named: in the place of the
    /// resource that says so, or the last of fewer places.
    pub(super) fn mentions(&self, found: &mut [Patients]) {
        let mut inner = 0;
        let last = found.len().saturating_sub(1);
        let Some(root) = self.all.first() else { return };
        for value in referring(root.value) {
            while self.all.get(inner + 1).is_some_and(|next| next.value.id() <= value.id()) {
                inner += 1;
            }
            if self.seen.contains(&value.id()) {
                continue;
            }
            let holder = self.holder_of(value, inner);
            if let Target::Patient(patient, identifiers) = self.target(value, holder)
                && let Some(found) = found.get_mut(holder.min(last))
            {
                let role = PatientRole::Mentioned;
                found.add(PatientLink { patient, identifiers, role, at: value.id() });
            }
        }
        let contained = self.all.iter().enumerate().filter(|(_, own)| own.contained && is_patient(own.value));
        for (at, patient) in contained {
            let Some(found) = found.get_mut(at.min(last)) else { continue };
            let identifiers = identifiers_of(patient.value);
            let known = found.links.iter().any(|link| {
                link.patient == PatientReference::Contained
                    && identifiers.iter().all(|own| link.identifiers.contains(own))
            });
            if !known {
                let (role, at) = (PatientRole::Mentioned, patient.value.id());
                found.add(PatientLink { patient: PatientReference::Contained, identifiers, role, at });
            }
        }
    }

    /// The innermost resource around a value, given the last one that begins before it.
    fn holder_of(&self, value: Value<'a>, last: usize) -> usize {
        let mut at = last;
        while let Some(own) = self.all.get(at) {
            let span = own.value.span();
            match own.holder {
                Some(holder) if !span.contains(&value.span().start) => at = holder,
                _ => break,
            }
        }
        at
    }
}

/// The References of a resource and of all that stands inside, in the order of the source: they say whom they mean, or that
/// they mean a Patient with this identifier.
fn referring(root: Value<'_>) -> Vec<Value<'_>> {
    let document = root.document();
    let tells = |node: &Node| {
        matches!(node.name(), name::REFERENCE | name::TYPE)
            && node.kind() == Kind::String
            && !node.is_underscored()
    };
    let below = (root.id().number() + 1..).zip(root.nodes_below());
    let mut found: Vec<Value<'_>> = Vec::new();
    for (number, node) in below.filter(|(_, node)| tells(node)) {
        let Some(member) = document.value(NodeId::at(number)) else { continue };
        let of_type = node.name() == name::TYPE;
        if of_type && !member.is_str("Patient") {
            continue;
        }
        let named = |own: &Value<'_>| own.get(name::REFERENCE).is_some_and(|own| own.kind() == Kind::String);
        let meant = |own: &Value<'_>| !of_type || (own.get(name::IDENTIFIER).is_some() && !named(own));
        found.extend(member.parent().filter(meant));
    }
    // One that stands inside another may have been told of first.
    found.sort_unstable_by_key(|value| value.id());
    found
}

fn is_patient(resource: Value<'_>) -> bool {
    resource.get(name::RESOURCE_TYPE).is_some_and(|own| own.is_str("Patient"))
}

fn identifiers_of(patient: Value<'_>) -> Vec<BusinessIdentifier> {
    let mut found = Vec::new();
    patient.each(&[name::IDENTIFIER], &mut |own| found.extend(identifier(own)));
    found
}

fn identifier(value: Value<'_>) -> Option<BusinessIdentifier> {
    let system = value.str_of(name::SYSTEM).unwrap_or_default();
    Some(BusinessIdentifier::new(system, value.str_of(name::VALUE)?))
}
