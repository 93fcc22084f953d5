//! Elements of FHIR's other versions, carried in R4 as extensions: `http://hl7.org/fhir/5.0/StructureDefinition/
//! extension-DeviceRequest.doNotPerform` (FHIR R5 §2.1.6.5).
//!
//! Such an extension is a modifier extension exactly where the element is a modifier in its own version. The
//! versions that are not at hand are known by the table of [`super::modifier_table`].

use fhir_models::definition::Definitions;

use super::modifier_table::{DSTU2, MODIFIERS, R5, STU3};

/// An element of another version, as the url of an extension names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ForeignElement<'u> {
    /// The version's first two numbers: `3.0`.
    pub version: &'u str,
    /// `Patient.animal`
    pub path: &'u str,
}

impl<'u> ForeignElement<'u> {
    /// Reads the url of an extension; `None` for any other url.
    pub fn of(url: &'u str) -> Option<ForeignElement<'u>> {
        let (version, rest) = url.strip_prefix("http://hl7.org/fhir/")?.split_once('/')?;
        let path = rest.strip_prefix("StructureDefinition/extension-")?;
        let numbers = version.split_once('.')?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        (is_number(numbers.0) && is_number(numbers.1)).then_some(ForeignElement { version, path })
    }

    /// Whether it changes what other elements mean; `None` where the version is not known here.
    pub fn is_modifier(self, definitions: &Definitions) -> Option<bool> {
        let path = self.path.trim_end_matches("[x]");
        let version = match self.version {
            "1.0" => DSTU2,
            "3.0" => STU3,
            "5.0" => R5,
            "4.0" => return modifier_of(definitions, path),
            _ => return None,
        };
        let found = MODIFIERS.binary_search_by(|(known, _)| (*known).cmp(path)).ok();
        Some(found.and_then(|at| MODIFIERS.get(at)).is_some_and(|(_, versions)| versions & version != 0))
    }
}

fn modifier_of(definitions: &Definitions, path: &str) -> Option<bool> {
    let type_name = path.split('.').next()?;
    let structure = definitions.structure(type_name)?;
    let element = structure.elements.iter().find(|it| it.path.trim_end_matches("[x]") == path)?;
    Some(element.is_modifier)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn is_modifier(url: &str) -> Option<bool> {
        ForeignElement::of(url).unwrap().is_modifier(&Definitions::r4())
    }

    #[test]
    fn a_modifier_is_one_in_its_own_version() {
        let base = "http://hl7.org/fhir/";
        let url = |version: &str, path: &str| format!("{base}{version}/StructureDefinition/extension-{path}");
        assert_eq!(is_modifier(&url("3.0", "Immunization.notGiven")), Some(true));
        assert_eq!(is_modifier(&url("5.0", "Immunization.notGiven")), Some(false));
        assert_eq!(is_modifier(&url("1.0", "Patient.animal")), Some(true));
        assert_eq!(is_modifier(&url("5.0", "Patient.deceased[x]")), Some(true));
        assert_eq!(is_modifier(&url("4.0", "Patient.active")), Some(true));
        assert_eq!(is_modifier(&url("4.0", "Patient.photo")), Some(false));
        assert_eq!(is_modifier(&url("9.0", "Patient.photo")), None);
    }

    #[test]
    fn other_urls_name_no_element() {
        for url in [
            "http://hl7.org/fhir/StructureDefinition/patient-animal",
            "http://hl7.org/fhir/5.0/StructureDefinition/Patient",
            "http://hl7.org/fhir/us/core/StructureDefinition/extension-Patient.animal",
        ] {
            assert_eq!(ForeignElement::of(url), None, "{url}");
        }
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(MODIFIERS.is_sorted_by(|a, b| a.0 < b.0));
    }
}
