//! Synthetic patients of Lombardy and their records: made up, always the same, and marked as made up.
//!
//! Codes are real where they are public: check letters of the codice fiscale, cadastral codes of towns, hospital
//! codes, LOINC, ATC. People, values and numbers are not. Each resource carries the tag `HTEST` (test health data)
//! and an id that begins with `synthetic-`.
//!
//! ```
//! use varco_conformance::patients::{FiscalCodeSystem, Person};
//!
//! let person = Person::synthetic(2026, 1);
//! assert_eq!(person, Person::synthetic(2026, 1));
//! assert!(person.patient(FiscalCodeSystem::Oid).contains(&person.fiscal_code));
//! ```

mod codice_fiscale;
mod document;
mod element;
mod laboratory;
mod names;
mod places;
mod prescription;
mod random;

pub use document::{
    CONFIDENTIALITY_SYSTEM, DocumentKind, DocumentPlan, SYNTHETIC_MASKING_SYSTEM, document_reference,
};
pub use laboratory::{Laboratory, REGIONAL_LABORATORY_SYSTEM, laboratory_report};
pub use places::{HOSPITALS, HospitalCode, NIGUARDA, Place, TOWNS};
pub use prescription::{AIC_SYSTEM, NRE_SYSTEM, medication_request, prescription_number};

use random::Numbers;

const LOINC: &str = "http://loinc.org";

/// Administrative gender, as the codice fiscale knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sex {
    /// `female`
    Female,
    /// `male`
    Male,
}

/// How a deployment writes the system of the codice fiscale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FiscalCodeSystem {
    /// `http://hl7.it/sid/codiceFiscale`
    #[default]
    Hl7Italy,
    /// `urn:oid:2.16.840.1.113883.2.9.4.3.2`
    Oid,
}

impl FiscalCodeSystem {
    /// The system's URI.
    pub fn uri(self) -> &'static str {
        match self {
            FiscalCodeSystem::Hl7Italy => "http://hl7.it/sid/codiceFiscale",
            FiscalCodeSystem::Oid => "urn:oid:2.16.840.1.113883.2.9.4.3.2",
        }
    }
}

/// A person who does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    seed: u64,
    number: u64,
    /// Family name.
    pub family: String,
    /// Given names, in order.
    pub given: Vec<String>,
    /// Administrative gender.
    pub sex: Sex,
    /// Birth date: year, month and day.
    pub born: (u16, u8, u8),
    /// Where they were born.
    pub birthplace: Place,
    /// Where they live.
    pub home: Place,
    /// The codice fiscale that follows from all this, with a right check letter.
    pub fiscal_code: String,
}

impl Person {
    /// The person with this number in the population of this seed. The same arguments give the same person.
    pub fn synthetic(seed: u64, number: u64) -> Person {
        let mut numbers = Numbers::of(seed, number);
        let sex = if numbers.one_in(2) { Sex::Female } else { Sex::Male };
        let choices = match sex {
            Sex::Female => names::WOMEN,
            Sex::Male => names::MEN,
        };
        let mut given = vec![(*numbers.pick(choices, &choices[0])).to_owned()];
        if numbers.one_in(5) {
            let second = (*numbers.pick(choices, &choices[0])).to_owned();
            if !given.contains(&second) {
                given.push(second);
            }
        }
        let family = (*numbers.pick(names::FAMILIES, &names::FAMILIES[0])).to_owned();
        let year = 1930 + u16::try_from(numbers.below(95)).unwrap_or(0);
        let month = 1 + u8::try_from(numbers.below(12)).unwrap_or(0);
        // No month is shorter than 28 days.
        let day = 1 + u8::try_from(numbers.below(28)).unwrap_or(0);
        let abroad = numbers.one_in(6);
        let birthplace = *numbers.pick(if abroad { places::ELSEWHERE } else { TOWNS }, &places::MILANO);
        let home = *numbers.pick(TOWNS, &places::MILANO);
        Person::new(seed, number, family, given, sex, (year, month, day), birthplace, home)
    }

    /// A person with chosen names, for a story that needs them; birth date and places follow from seed and number.
    pub fn named(seed: u64, number: u64, family: &str, given: &[&str], sex: Sex) -> Person {
        let model = Person::synthetic(seed, number);
        let given = given.iter().map(|&name| name.to_owned()).collect();
        Person::new(seed, number, family.to_owned(), given, sex, model.born, model.birthplace, model.home)
    }

    #[allow(clippy::too_many_arguments)]
    fn new(
        seed: u64,
        number: u64,
        family: String,
        given: Vec<String>,
        sex: Sex,
        born: (u16, u8, u8),
        birthplace: Place,
        home: Place,
    ) -> Person {
        let all = given.concat();
        let code = codice_fiscale::codice_fiscale(&family, &all, sex, born, birthplace.cadastral);
        Person {
            seed,
            number,
            family,
            given,
            sex,
            born,
            birthplace,
            home,
            fiscal_code: code.unwrap_or_default(),
        }
    }

    /// The id of their Patient resource.
    pub fn id(&self) -> String {
        format!("synthetic-patient-{}", self.number)
    }

    /// The birth date as FHIR writes it.
    pub fn birth_date(&self) -> String {
        let (year, month, day) = self.born;
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// Their Patient resource, with the codice fiscale in the given system.
    pub fn patient(&self, system: FiscalCodeSystem) -> String {
        let mut json = element::begin("Patient", &self.id(), None);
        json.key("identifier").begin_array();
        element::identifier(&mut json, system.uri(), &self.fiscal_code);
        json.end_array().key("active").boolean(true);
        json.key("name")
            .begin_array()
            .begin_object()
            .member("use", "official")
            .member("family", &self.family);
        json.key("given").begin_array();
        for name in &self.given {
            json.string(name);
        }
        json.end_array().end_object().end_array();
        json.member(
            "gender",
            match self.sex {
                Sex::Female => "female",
                Sex::Male => "male",
            },
        );
        json.member("birthDate", &self.birth_date());
        json.key("address").begin_array().begin_object().member("use", "home").member("city", self.home.name);
        json.member("district", self.home.province).member("postalCode", self.home.postal_code);
        json.member("country", "IT").end_object().end_array();
        json.key("extension").begin_array().begin_object();
        json.member("url", "http://hl7.org/fhir/StructureDefinition/patient-birthPlace");
        json.key("valueAddress").begin_object().member("city", self.birthplace.name).end_object();
        json.end_object().end_array();
        element::end(json)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use fhir_models::document::{Limits, OwnedDocument, name};
    use proptest::prelude::*;

    fn parsed(text: &str) -> OwnedDocument {
        OwnedDocument::parse_json(text, &Limits::default()).unwrap()
    }

    #[test]
    fn a_population_is_the_same_each_time_and_has_accents() {
        let people: Vec<Person> = (0..500).map(|number| Person::synthetic(7, number)).collect();
        assert_eq!(people, (0..500).map(|number| Person::synthetic(7, number)).collect::<Vec<_>>());
        let families: HashSet<_> = people.iter().map(|person| person.family.as_str()).collect();
        assert!(families.contains("D'Amico") && families.contains("Forlì"));
        let given: HashSet<_> = people.iter().flat_map(|person| &person.given).map(String::as_str).collect();
        assert!(given.contains("Niccolò") && given.contains("Àlvaro"));
        let codes: HashSet<_> = people.iter().map(|person| &person.fiscal_code).collect();
        assert!(codes.len() > 490, "{}", codes.len());
        assert_ne!(Person::synthetic(8, 3), Person::synthetic(7, 3));
    }

    #[test]
    fn both_systems_of_the_codice_fiscale_can_be_written() {
        let person = Person::synthetic(7, 3);
        for system in [FiscalCodeSystem::Hl7Italy, FiscalCodeSystem::Oid] {
            let patient = parsed(&person.patient(system));
            let found = patient.root().path(&[name::IDENTIFIER, name::SYSTEM]);
            assert!(found[0].is_str(system.uri()));
        }
    }

    #[test]
    fn a_laboratory_report_holds_both_codes_and_its_results() {
        let person = Person::synthetic(7, 3);
        let number = prescription_number(&person, 1);
        assert_eq!((number.len(), &number[..5]), (15, "0300A"));
        let laboratory = Laboratory {
            hospital: NIGUARDA,
            number: 1,
            effective: "2026-03-02T08:15:00+01:00",
            prescription: Some(&number),
        };
        let resources = laboratory_report(&person, &laboratory);
        assert_eq!(resources, laboratory_report(&person, &laboratory));
        let report = parsed(&resources[0]);
        let results: Vec<_> = report.root().path(&[name::Name::of("result"), name::REFERENCE]);
        assert_eq!(results.len(), resources.len() - 1);
        let first = parsed(&resources[1]);
        assert!(results[0].is_str(&format!("Observation/{}", first.root().str_of(name::ID).unwrap())));
        let codes = first.root().path(&[name::CODE, name::CODING, name::CODE]);
        assert!(codes[0].is_str("14957-5") && codes[1].is_str("0090334.02"));
        let creatinine = parsed(&resources[3]);
        let value = creatinine.root().get_key("valueQuantity").unwrap().get(name::VALUE).unwrap();
        assert_eq!(value.as_number().unwrap().split_once('.').unwrap().1.len(), 2);
    }

    #[test]
    fn documents_carry_their_labels_and_their_chain() {
        let person = Person::named(7, 3, "D'Amico", &["Niccolò"], Sex::Male);
        let number = prescription_number(&person, 1);
        let plan = DocumentPlan {
            kind: DocumentKind::DischargeLetter,
            hospital: NIGUARDA,
            number: 4,
            date: "2026-03-02T08:15:00Z",
            labels: &[(CONFIDENTIALITY_SYSTEM, "R"), (SYNTHETIC_MASKING_SYSTEM, "P99")],
            prescription: Some(&number),
        };
        let text = document_reference(&person, &plan);
        let document = parsed(&text);
        let labels = document.root().path(&[name::SECURITY_LABEL, name::CODING, name::CODE]);
        assert!(labels[0].is_str("R") && labels[1].is_str("P99"));
        assert!(text.contains(&number));
        let request = medication_request(&person, NIGUARDA, 1, "2026-03-01");
        assert!(request.contains(&number) && request.contains("http://www.whocc.no/atc"));
    }

    proptest! {
        #[test]
        fn every_person_has_a_valid_code_and_resource(seed in any::<u64>(), number in any::<u64>()) {
            let person = Person::synthetic(seed, number);
            let code = &person.fiscal_code;
            prop_assert_eq!(code.len(), 16);
            let read = varco_core::identity::CodiceFiscale::parse(code).unwrap();
            prop_assert!(read.check_letter_holds(), "{}", code);
            prop_assert_eq!(read.place(), person.birthplace.cadastral);
            let born: Vec<_> = read.possible_births().iter().map(|date| date.to_string()).collect();
            prop_assert!(born.contains(&person.birth_date()), "{:?} {}", born, person.birth_date());
            let patient = parsed(&person.patient(FiscalCodeSystem::Oid));
            let family = patient.root().path(&[name::NAME, name::FAMILY]);
            prop_assert!(family[0].is_str(&person.family));
        }
    }
}
