//! What two records of a person can be compared by, taken from FHIR R4 Patient resources.

use fhir_models::document::{Name, Value, name};
use jiff::civil::Date;

use super::super::alias::IdentifierAliases;
use super::super::codice_fiscale::{CodiceFiscale, Sex, TaxCode};
use super::spelling::letters;

/// Most identifiers, names, addresses and telecoms that are read of one record.
const MOST: usize = 32;

/// The system of the codice fiscale, as HL7 Italia writes it.
pub(super) const CODICE_FISCALE: &str = "http://hl7.it/sid/codiceFiscale";

/// What is known of a person. Build it with [`Person::of`], or field by field.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// Identifiers: canonical system and value.
    pub identifiers: Vec<(String, String)>,
    /// Family names, letters only.
    pub(super) families: Vec<String>,
    /// Given names, letters only: each as a whole, and its first.
    pub(super) givens: Vec<String>,
    /// Date of birth, where it is known to the day.
    pub birth_date: Option<Date>,
    /// `male`, `female` or another code of FHIR's administrative gender.
    pub gender: Option<String>,
    /// Postal codes.
    pub(super) postal_codes: Vec<String>,
    /// Telephone numbers (their last nine digits) and e-mail addresses.
    pub(super) telecoms: Vec<String>,
}

impl Person {
    /// The person that a Patient (or RelatedPerson) resource describes. Old names and identifiers
    /// (`use` = `old`) count too: people are found by them.
    pub fn of(patient: Value<'_>, aliases: &IdentifierAliases) -> Person {
        let mut person = Person::default();
        let items = |of: Name| patient.get(of).into_iter().flat_map(Value::items).take(MOST);
        for identifier in items(name::IDENTIFIER) {
            if let (Some(system), Some(value)) =
                (identifier.str_of(name::SYSTEM), identifier.str_of(name::VALUE))
            {
                person.identify(aliases.canonical(&system), &value);
            }
        }
        for name in items(name::NAME) {
            if let Some(family) = name.str_of(name::FAMILY) {
                person.family(&family);
            }
            let given: Vec<_> =
                name.get(name::GIVEN).into_iter().flat_map(Value::items).filter_map(Value::as_str).collect();
            person.given(&given.join(" "));
        }
        person.birth_date = patient.str_of(name::BIRTH_DATE).and_then(|text| text.parse().ok());
        person.gender = patient.str_of(Name::of("gender")).map(|code| code.into_owned());
        for address in items(Name::of("address")) {
            if let Some(code) = address.str_of(Name::of("postalCode")) {
                person.postal_codes.push(letters(&code));
            }
        }
        for telecom in items(Name::of("telecom")) {
            if let Some(value) = telecom.str_of(name::VALUE) {
                person.telecom(&value);
            }
        }
        person.complete();
        person
    }

    /// Adds an identifier.
    pub fn identify(&mut self, canonical_system: &str, value: &str) {
        let value: String =
            value.chars().filter(|one| !one.is_whitespace()).collect::<String>().to_uppercase();
        if !value.is_empty() {
            self.identifiers.push((canonical_system.to_owned(), value));
        }
    }

    /// Adds a family name.
    pub fn family(&mut self, family: &str) {
        add(&mut self.families, letters(family));
    }

    /// Adds given names, separated by spaces.
    pub fn given(&mut self, given: &str) {
        add(&mut self.givens, letters(given));
        add(&mut self.givens, letters(given.split_whitespace().next().unwrap_or_default()));
    }

    /// Adds a telephone number or an e-mail address.
    pub fn telecom(&mut self, value: &str) {
        let text = if value.contains('@') {
            value.trim().to_lowercase()
        } else {
            let digits: String = value.chars().filter(char::is_ascii_digit).collect();
            // Without the country's prefix, which is written or not.
            digits.get(digits.len().saturating_sub(9)..).unwrap_or_default().to_owned()
        };
        if text.len() >= 6 {
            add(&mut self.telecoms, text);
        }
    }

    /// The codice fiscale of 16 characters, where one is known whose check letter holds.
    pub fn codice_fiscale(&self) -> Option<CodiceFiscale> {
        let own = self.identifiers.iter().filter(|(system, _)| system == CODICE_FISCALE);
        own.filter_map(|(_, value)| match TaxCode::parse(value) {
            Ok(TaxCode::Person(code)) if code.check_letter_holds() => Some(code),
            _ => None,
        })
        .next()
    }

    /// Fills the sex and, where it leaves no doubt, the date of birth from the codice fiscale.
    fn complete(&mut self) {
        let Some(code) = self.codice_fiscale() else { return };
        if self.gender.is_none() {
            let sex = if code.sex() == Sex::Female { "female" } else { "male" };
            self.gender = Some(sex.to_owned());
        }
        if let (None, [only]) = (self.birth_date, code.possible_births().as_slice()) {
            self.birth_date = Some(*only);
        }
    }
}

fn add(to: &mut Vec<String>, text: String) {
    if !text.is_empty() && !to.contains(&text) {
        to.push(text);
    }
}

/// Shows nothing of the person.
impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Person(…)")
    }
}
