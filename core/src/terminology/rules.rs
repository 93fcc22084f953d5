//! Systems that are no lists: which file judges which (FHIR R4 §4.3 and its pages on each system).

use fhir_models::definition::{CodeRules, Membership};

use super::{country, currency, formed, language, loinc, media_type, snomed, ucum};

const UCUM: &str = "http://unitsofmeasure.org";
const COUNTRIES: &str = "urn:iso:std:iso:3166";
const SUBDIVISIONS: &str = "urn:iso:std:iso:3166:-2";
const REGIONS: &str = "http://unstats.un.org/unsd/methods/m49/m49.htm";
const STATES: &str = "https://www.usps.com/";

/// The rules that this program has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules;

/// True for a system that [`Rules`] know something of.
pub(crate) fn are_for(system: &str) -> bool {
    matches!(
        system,
        UCUM | COUNTRIES
            | snomed::SNOMED
            | "http://loinc.org"
            | "urn:ietf:bcp:13"
            | "urn:ietf:bcp:47"
            | "urn:iso:std:iso:4217"
            | SUBDIVISIONS
            | STATES
            | REGIONS
    ) || formed::is_one(system)
}

/// What codes of a system look like, for a message.
pub(crate) fn form(system: &str) -> &'static str {
    match system {
        UCUM => "a UCUM unit is written like mg/dL or mm[Hg], case-sensitive",
        COUNTRIES => "a country is written as in ISO 3166-1: IT, ITA or 380",
        snomed::SNOMED => "a SNOMED CT concept has 6 to 18 digits, of which the last is a check digit",
        "http://loinc.org" => "a LOINC code is a number with a check digit behind a hyphen, such as 8867-4",
        "urn:ietf:bcp:13" => "a media type is written like application/pdf",
        "urn:ietf:bcp:47" => "a language is written like it or it-CH, of registered parts",
        SUBDIVISIONS => "a part of a country is written as in ISO 3166-2: IT-BO",
        REGIONS => "a region has three digits, such as 150",
        STATES => "a state of the USA has two capital letters, such as MA",
        "urn:iso:std:iso:4217" => "a currency has three capital letters, such as EUR",
        _ => formed::form(system).unwrap_or("check its spelling"),
    }
}

/// The name that a system which is a table gives a code.
pub(crate) fn name(system: &str, code: &str) -> Option<&'static str> {
    (system == COUNTRIES).then(|| country::name(code)).flatten()
}

/// The codes and names of a system that is a table.
pub(crate) fn names(system: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    (system == COUNTRIES).then(country::alpha2).into_iter().flatten()
}

impl CodeRules for Rules {
    fn membership(&self, system: &str, code: &str) -> Membership {
        match system {
            UCUM => ucum::membership(code),
            COUNTRIES => country::membership(code),
            snomed::SNOMED => snomed::membership(code),
            "http://loinc.org" => loinc::membership(code),
            "urn:ietf:bcp:13" => media_type::membership(code),
            "urn:ietf:bcp:47" => language::membership(code),
            "urn:iso:std:iso:4217" => currency::membership(code),
            SUBDIVISIONS => country::subdivision(code),
            STATES => country::state(code),
            REGIONS => country::region(code),
            _ => formed::membership(system, code),
        }
    }

    fn passes(&self, system: &str, code: &str, property: &str, op: &str, value: &str) -> Membership {
        match (system, property, op) {
            (UCUM, "canonical", "=") => ucum::measures_as(code, value),
            _ => Membership::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use fhir_models::definition::Definitions;

    use super::*;

    fn ask(set: &str, system: Option<&str>, code: &str) -> Membership {
        let set = Definitions::r4().value_set(&format!("http://hl7.org/fhir/ValueSet/{set}")).unwrap();
        set.membership_by(system, code, &Rules)
    }

    #[test]
    fn value_sets_of_the_specification_are_decided_by_rules() {
        assert_eq!(ask("mimetypes", None, "application/pdf"), Membership::Member);
        assert_eq!(ask("mimetypes", None, "pdf"), Membership::NotMember);
        assert_eq!(ask("all-languages", None, "it-CH"), Membership::Member);
        assert_eq!(ask("all-languages", None, "it_CH"), Membership::NotMember);
        assert_eq!(ask("currencies", None, "EUR"), Membership::Member);
        assert_eq!(ask("currencies", None, "€"), Membership::NotMember);
        assert_eq!(ask("ucum-units", Some(UCUM), "mg/dL"), Membership::Member);
        assert_eq!(ask("iso3166-1-3", Some(COUNTRIES), "ITA"), Membership::Member);
        assert_eq!(ask("iso3166-1-3", Some(COUNTRIES), "IT"), Membership::NotMember);
        assert_eq!(ask("all-distance-units", Some(UCUM), "km"), Membership::Member);
        assert_eq!(ask("all-distance-units", Some(UCUM), "kg"), Membership::NotMember);
        assert_eq!(ask("body-site", Some(snomed::SNOMED), "38266002"), Membership::Unknown);
        assert_eq!(ask("body-site", Some(snomed::SNOMED), "38266003"), Membership::NotMember);
    }
}
