//! What the rules of FSE ask about a document.

use super::{Chain, FseSystems, Hidden, Mask};
use crate::consent::{CONFIDENTIALITY, Confidentiality, ResourceFacts};
use crate::requester::Code;

/// Documents that are prescriptions (LOINC).
const PRESCRIPTIONS: &[&str] = &["57832-8", "57833-6", "57828-6", "29305-0"];
/// The patient summary, "profilo sanitario sintetico" (LOINC).
const SUMMARY: &str = "60591-5";
const LOINC: &[&str] = &["http://loinc.org", "urn:oid:2.16.840.1.113883.6.1", "2.16.840.1.113883.6.1"];

/// What the rules ask about a document, or about any resource: documents are no other than the data in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FseDocument {
    /// Its masks, each once.
    pub masks: Vec<Mask>,
    /// `V`, or a confidentiality that nobody knows.
    pub is_very_restricted: bool,
    /// True for prescriptions.
    pub is_prescription: bool,
    /// True for the patient summary.
    pub is_summary: bool,
    /// True for who the patient is, which is no document.
    pub is_demographic: bool,
    /// The documents with the same prescription number.
    pub chain: Chain,
}

impl FseDocument {
    /// From the facts of a resource. Its labels must hold those that it inherits.
    pub fn of(facts: &ResourceFacts, chain: Chain, systems: &FseSystems) -> FseDocument {
        let mut masks = Vec::new();
        let labels = facts.labels.iter().filter_map(|label| Mask::of_label(label, systems));
        let events = facts.codes.iter().filter_map(|event| Mask::of_event(event, systems));
        for mask in labels.chain(events) {
            if !masks.contains(&mask) {
                masks.push(mask);
            }
        }
        let of_type = |code: &Code, wanted: &[&str]| {
            LOINC.contains(&code.system.as_str()) && wanted.contains(&code.code.as_str())
        };
        let very = |label: &&Code| {
            label.system == CONFIDENTIALITY
                && Confidentiality::of_code(&label.code)
                    .is_none_or(|level| level == Confidentiality::VeryRestricted)
        };
        FseDocument {
            masks,
            is_very_restricted: facts.labels.iter().any(|label| very(&label)),
            is_prescription: matches!(facts.resource_type.as_str(), "MedicationRequest" | "ServiceRequest")
                || facts.classes.iter().any(|class| of_type(class, PRESCRIPTIONS)),
            is_summary: facts.classes.iter().any(|class| of_type(class, &[SUMMARY])),
            is_demographic: facts.resource_type == "Patient",
            chain,
        }
    }

    /// A document that no rule about documents hides.
    pub(super) fn open() -> FseDocument {
        FseDocument {
            masks: Vec::new(),
            is_very_restricted: false,
            is_prescription: false,
            is_summary: true,
            is_demographic: false,
            chain: Chain::Alone,
        }
    }

    pub(super) fn has(&self, mask: Mask) -> bool {
        self.masks.contains(&mask)
    }

    /// True where the document by itself is masked from staff, its chain left aside: what makes its chain so.
    pub fn is_masked_itself(&self) -> bool {
        self.masked_itself_by().is_some()
    }

    fn masked_itself_by(&self) -> Option<Hidden> {
        if self.has(Mask::Masked) {
            return Some(Hidden::Masked);
        }
        if self.has(Mask::Unknown) {
            return Some(Hidden::UnknownMask);
        }
        (self.is_very_restricted && !self.has(Mask::Unmasked)).then_some(Hidden::GreaterProtection)
    }

    /// The rule that masks it from staff.
    pub(super) fn masked_by(&self) -> Option<Hidden> {
        self.masked_itself_by().or(match self.chain {
            Chain::Alone | Chain::Open => None,
            Chain::Masked => Some(Hidden::MaskedChain),
            Chain::Unknown => Some(Hidden::UnknownChain),
        })
    }
}
