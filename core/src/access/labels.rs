//! The security labels that hold for a resource as a whole (FHIR R4 §6.1.3).
//!
//! A whole is as sensitive as its most sensitive part: labels of contained and nested resources count for
//! whatever holds them, and labels of a Bundle for its entries ([`Labels::within`]). Besides `meta.security`,
//! `DocumentReference.securityLabel` and `Composition.confidentiality` are labels, and those that the DS4P
//! extension puts on single elements.
//!
//! Invariant: a part can only make the whole stricter. A level up to normal on a contained resource says
//! nothing about the whole, and what carries no level has none here: what that means is the deployment's
//! setting, and it should be a restrictive one.

use fhir_models::document::{NodeId, Value, name};

use super::nested::{NestedResource, resources};
use crate::consent::{CONFIDENTIALITY, Confidentiality};
use crate::requester::Code;

/// The label of a single element (HL7 FHIR DS4P, "inline security label").
pub(super) const INLINE: &str =
    "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label";
/// Other names of the v3-Confidentiality code system that are met in R4 and CDA-born data.
const CONFIDENTIALITY_ALIASES: &[&str] =
    &["http://hl7.org/fhir/v3/Confidentiality", "urn:oid:2.16.840.1.113883.5.25", "2.16.840.1.113883.5.25"];

/// The labels of a resource.
///
/// ```
/// use fhir_models::document::{Limits, Tape};
/// use varco_core::{access::Labels, consent::Confidentiality};
///
/// let text = br#"{"resourceType":"Composition","confidentiality":"V","meta":{"security":[
///   {"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"N"}]}}"#;
/// let mut tape = Tape::new();
/// let labels = Labels::of(tape.parse_json(text, &Limits::default())?.root());
/// assert_eq!(labels.confidentiality(), Some(Confidentiality::VeryRestricted));
/// # Ok::<(), fhir_models::document::SyntaxError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    codes: Vec<Code>,
    confidentiality: Option<Confidentiality>,
}

impl Labels {
    /// The labels of a resource and of everything inside it.
    pub fn of(resource: Value<'_>) -> Labels {
        Labels::of_all(&resources(resource))
    }

    /// The same of a list that [`resources`] made.
    pub fn of_all(all: &[NestedResource<'_>]) -> Labels {
        let mut labels = Labels::default();
        for (at, own) in all.iter().enumerate() {
            labels.take(own.value, at == 0);
        }
        let Some(resource) = all.first().map(|first| first.value) else { return labels };
        let below = (resource.id().number() + 1..).zip(resource.nodes_below());
        for (number, _) in below.filter(|(_, node)| node.name() == name::EXTENSION) {
            resource.document().value(NodeId::at(number)).into_iter().for_each(|own| labels.take_inline(own));
        }
        labels
    }

    /// The labels of a single element, by its `extension`.
    pub(super) fn inline(extensions: Value<'_>) -> Labels {
        let mut labels = Labels::default();
        labels.take_inline(extensions);
        labels
    }

    /// The labels that stand on a resource itself, without those of what it holds: for a Bundle, what its
    /// entries inherit.
    pub fn own(resource: Value<'_>) -> Labels {
        let mut labels = Labels::default();
        labels.take(resource, true);
        labels
    }

    /// These labels for something that stands inside `outer`: its labels hold here too.
    #[must_use]
    pub fn within(mut self, outer: &Labels) -> Labels {
        for code in &outer.codes {
            if !self.codes.contains(code) {
                self.codes.push(code.clone());
            }
        }
        self.confidentiality = self.confidentiality.max(outer.confidentiality);
        self
    }

    /// What of these labels restricts: without the levels up to normal.
    #[must_use]
    pub fn restricting(&self) -> Labels {
        let low = |code: &Code| {
            code.system == CONFIDENTIALITY
                && Confidentiality::of_code(&code.code).is_some_and(|level| level <= Confidentiality::Normal)
        };
        Labels {
            codes: self.codes.iter().filter(|code| !low(code)).cloned().collect(),
            confidentiality: self.confidentiality.filter(|level| *level > Confidentiality::Normal),
        }
    }

    /// All labels, each once. Codes of confidentiality are in the system [`CONFIDENTIALITY`], under whatever
    /// name they came.
    pub fn codes(&self) -> &[Code] {
        &self.codes
    }

    /// The highest level of confidentiality; `None` where no level is said. A code of that system that is no
    /// level counts as the highest: nobody knows what it forbids.
    pub fn confidentiality(&self) -> Option<Confidentiality> {
        self.confidentiality
    }

    /// True where the label stands on the resource or inside it.
    pub fn has(&self, system: &str, code: &str) -> bool {
        self.codes.iter().any(|own| own.system == system && own.code == code)
    }

    fn take_inline(&mut self, extensions: Value<'_>) {
        let inline = |own: &Value<'_>| own.get(name::URL).is_some_and(|url| url.is_str(INLINE));
        for extension in extensions.items().filter(inline) {
            if let Some(coding) = extension.get_key("valueCoding") {
                self.add(coding, false);
            }
        }
    }

    fn take(&mut self, resource: Value<'_>, whole: bool) {
        let kind = resource.resource_type().unwrap_or_default();
        resource.each(&[name::META, name::SECURITY], &mut |coding| self.add(coding, whole));
        if kind == "DocumentReference" {
            resource.each(&[name::SECURITY_LABEL, name::CODING], &mut |coding| self.add(coding, whole));
        }
        if kind == "Composition"
            && let Some(level) = resource.get_key("confidentiality").and_then(Value::as_str)
        {
            self.insert(Code::new(CONFIDENTIALITY, level), whole);
        }
    }

    fn add(&mut self, coding: Value<'_>, whole: bool) {
        let code = coding.str_of(name::CODE).unwrap_or_default();
        let system = coding.str_of(name::SYSTEM).unwrap_or_default();
        let system = if CONFIDENTIALITY_ALIASES.contains(&&*system) { CONFIDENTIALITY } else { &*system };
        self.insert(Code::new(system, code), whole);
    }

    fn insert(&mut self, code: Code, whole: bool) {
        if code.system == CONFIDENTIALITY {
            let level = Confidentiality::of_code(&code.code).unwrap_or(Confidentiality::VeryRestricted);
            if !whole && level <= Confidentiality::Normal {
                return;
            }
            self.confidentiality = self.confidentiality.max(Some(level));
        }
        if !self.codes.contains(&code) {
            self.codes.push(code);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use fhir_models::document::{Limits, OwnedDocument};

    fn labels(text: &str) -> Labels {
        Labels::of(OwnedDocument::parse_json(text, &Limits::default()).unwrap().root())
    }

    fn security(system: &str, code: &str) -> String {
        format!(r#""meta":{{"security":[{{"system":"{system}","code":"{code}"}}]}}"#)
    }

    #[test]
    fn the_highest_level_counts() {
        let both = format!(
            r#"{{"resourceType":"DocumentReference",{},"securityLabel":[{{"coding":[{{"system":"{CONFIDENTIALITY}","code":"R"}}]}}]}}"#,
            security(CONFIDENTIALITY, "N")
        );
        assert_eq!(labels(&both).confidentiality(), Some(Confidentiality::Restricted));
        assert!(labels(&both).has(CONFIDENTIALITY, "N") && labels(&both).has(CONFIDENTIALITY, "R"));
    }

    #[test]
    fn labels_inside_hold_for_the_whole() {
        let hiv = security("http://terminology.hl7.org/CodeSystem/v3-ActCode", "HIV");
        let very = security(CONFIDENTIALITY, "V");
        let bundle = format!(
            r#"{{"resourceType":"Bundle","entry":[{{"resource":{{"resourceType":"Observation",{hiv},
               "contained":[{{"resourceType":"Specimen",{very}}}]}}}}]}}"#
        );
        assert!(labels(&bundle).has("http://terminology.hl7.org/CodeSystem/v3-ActCode", "HIV"));
        assert_eq!(labels(&bundle).confidentiality(), Some(Confidentiality::VeryRestricted));
    }

    #[test]
    fn a_part_does_not_vouch_for_the_whole() {
        let normal = security(CONFIDENTIALITY, "N");
        let text =
            format!(r#"{{"resourceType":"Observation","contained":[{{"resourceType":"Device",{normal}}}]}}"#);
        assert_eq!(labels(&text), Labels::default());
    }

    #[test]
    fn a_label_on_the_bundle_holds_for_its_entries() {
        let text = format!(
            r#"{{"resourceType":"Bundle",{},"entry":[{{"resource":{{"resourceType":"Flag"}}}}]}}"#,
            security(CONFIDENTIALITY, "R")
        );
        let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
        let entry = document.root().path(&[name::ENTRY, name::RESOURCE])[0];
        assert_eq!(Labels::of(entry).confidentiality(), None);
        let inherited = Labels::of(entry).within(&Labels::own(document.root()));
        assert_eq!(inherited.confidentiality(), Some(Confidentiality::Restricted));
    }

    #[test]
    fn levels_are_known_under_every_name_and_unknown_ones_are_the_highest() {
        for system in CONFIDENTIALITY_ALIASES {
            let text = format!(r#"{{"resourceType":"Flag",{}}}"#, security(system, "R"));
            assert_eq!(labels(&text).codes(), [Code::new(CONFIDENTIALITY, "R")], "{system}");
        }
        let odd = format!(r#"{{"resourceType":"Flag",{}}}"#, security(CONFIDENTIALITY, "X"));
        assert_eq!(labels(&odd).confidentiality(), Some(Confidentiality::VeryRestricted));
    }

    #[test]
    fn a_single_element_can_be_labelled() {
        let text = format!(
            r#"{{"resourceType":"Patient","address":[{{"city":"Milano","extension":[{{"url":"{INLINE}","valueCoding":{{"system":"{CONFIDENTIALITY}","code":"V"}}}}]}}]}}"#
        );
        assert_eq!(labels(&text).confidentiality(), Some(Confidentiality::VeryRestricted));
    }

    #[test]
    fn a_label_anywhere_else_is_no_label() {
        let consent = format!(
            r#"{{"resourceType":"Consent","provision":{{"securityLabel":[{{"system":"{CONFIDENTIALITY}","code":"V"}}]}},
               "meta":{{"tag":[{{"system":"{CONFIDENTIALITY}","code":"V"}}]}}}}"#
        );
        assert_eq!(labels(&consent), Labels::default());
    }
}
