//! One thing that two records agree or disagree on, and how much that weighs.
//!
//! Weights are those of Fellegi and Sunter (1969): the logarithm to base 2 of how much likelier the observation
//! is if both records are of one person than if they are of two.

use std::fmt;

use jiff::civil::Date;

use super::person::Person;
use super::spelling::likeness;

/// What was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// An identifier that belongs to one person.
    Identifier,
    /// Family name.
    Family,
    /// Given name.
    Given,
    /// Date of birth.
    BirthDate,
    /// Administrative gender.
    Gender,
    /// Postal code of an address.
    PostalCode,
    /// Telephone number or e-mail address.
    Telecom,
}

/// How the two compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Agreement {
    /// The same.
    Same,
    /// Alike: a slip of spelling or typing apart.
    Alike,
    /// Different.
    Different,
}

/// One observation. Its text names no value: it may be logged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// What was compared.
    pub feature: Feature,
    /// The result.
    pub agreement: Agreement,
    /// What it weighs, in bits; negative where it speaks against one person.
    pub bits: f64,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let feature = match self.feature {
            Feature::Identifier => "identifier",
            Feature::Family => "family name",
            Feature::Given => "given name",
            Feature::BirthDate => "date of birth",
            Feature::Gender => "gender",
            Feature::PostalCode => "postal code",
            Feature::Telecom => "telephone or e-mail",
        };
        let agreement = match self.agreement {
            Agreement::Same => "the same",
            Agreement::Alike => "alike",
            Agreement::Different => "different",
        };
        write!(f, "{feature}: {agreement} ({:+.1} bits)", self.bits)
    }
}

/// What a feature weighs in bits: where it is the same, alike, different.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weight {
    /// The same.
    pub same: f64,
    /// Alike.
    pub alike: f64,
    /// Different.
    pub different: f64,
}

/// The weights of all features but identifiers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Family name.
    pub family: Weight,
    /// Given name.
    pub given: Weight,
    /// Date of birth.
    pub birth_date: Weight,
    /// Administrative gender.
    pub gender: Weight,
    /// Postal code.
    pub postal_code: Weight,
    /// Telephone or e-mail.
    pub telecom: Weight,
}

impl Default for Weights {
    /// Estimates for an Italian region: one family name in 500, one given name in 100, 25,000 dates of birth, one
    /// postal code in 32; 2 to 5 % of records have a slip in each, a quarter of addresses and telephones are old.
    fn default() -> Weights {
        let weight = |same, alike, different| Weight { same, alike, different };
        Weights {
            family: weight(8.9, 4.0, -5.0),
            given: weight(6.6, 3.0, -4.3),
            birth_date: weight(14.6, 5.0, -6.0),
            gender: weight(1.0, 0.0, -6.6),
            postal_code: weight(5.0, 0.0, -2.0),
            telecom: weight(8.0, 0.0, -1.2),
        }
    }
}

/// Names from this likeness on are alike.
const ALIKE: f64 = 0.9;

/// Compares all that both records have.
pub(super) fn compare(one: &Person, other: &Person, weights: &Weights) -> Vec<Evidence> {
    let names = |one: &[String], other: &[String]| {
        best(one, other, |a, b| if a == b { 1.0 } else { likeness(a, b) }).map(|best| match best {
            best if best >= 1.0 => Agreement::Same,
            best if best >= ALIKE => Agreement::Alike,
            _ => Agreement::Different,
        })
    };
    let any = |one: &[String], other: &[String]| {
        best(one, other, |a, b| f64::from(u8::from(a == b)))
            .map(|best| if best > 0.5 { Agreement::Same } else { Agreement::Different })
    };
    let told = |gender: &Option<String>| gender.clone().filter(|code| code == "male" || code == "female");
    let genders = told(&one.gender).zip(told(&other.gender));
    let compared = [
        (Feature::Family, names(&one.families, &other.families), weights.family),
        (Feature::Given, names(&one.givens, &other.givens), weights.given),
        (Feature::BirthDate, one.birth_date.zip(other.birth_date).map(dates), weights.birth_date),
        (
            Feature::Gender,
            genders.map(|(a, b)| if a == b { Agreement::Same } else { Agreement::Different }),
            weights.gender,
        ),
        (Feature::PostalCode, any(&one.postal_codes, &other.postal_codes), weights.postal_code),
        (Feature::Telecom, any(&one.telecoms, &other.telecoms), weights.telecom),
    ];
    let evidence = |(feature, agreement, weight): (Feature, Option<Agreement>, Weight)| {
        let agreement = agreement?;
        let bits = match agreement {
            Agreement::Same => weight.same,
            Agreement::Alike => weight.alike,
            Agreement::Different => weight.different,
        };
        Some(Evidence { feature, agreement, bits })
    };
    compared.into_iter().filter_map(evidence).collect()
}

/// The best of all pairs; `None` where one side has nothing.
fn best(one: &[String], other: &[String], measure: impl Fn(&str, &str) -> f64) -> Option<f64> {
    let pairs = one.iter().flat_map(|a| other.iter().map(move |b| (a, b)));
    pairs.map(|(a, b)| measure(a, b)).reduce(f64::max)
}

/// Alike are dates with day and month exchanged, or one digit mistyped.
fn dates((one, other): (Date, Date)) -> Agreement {
    if one == other {
        return Agreement::Same;
    }
    let exchanged = one.year() == other.year() && one.month() == other.day() && one.day() == other.month();
    let (a, b) = (one.to_string(), other.to_string());
    let mistyped = a.len() == b.len() && a.bytes().zip(b.bytes()).filter(|(a, b)| a != b).count() == 1;
    if exchanged || mistyped { Agreement::Alike } else { Agreement::Different }
}
