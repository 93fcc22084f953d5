//! Systems whose codes can only be told by their form: ICD-10-CM, ICD-10-PCS, CVX, RxNorm, ATC (FHIR R4 §4.3
//! and the rules of each publisher).
//!
//! Invariant: what is well-formed may exist; only what can be no code of the system is refused. ICD-10 and
//! ICD-9 themselves are left out: FHIR lets their codes be combined.

use fhir_models::definition::Membership;

/// A system, what its codes look like in words, and the test.
struct Formed {
    system: &'static str,
    form: &'static str,
    may_be: fn(&str) -> bool,
}

const SYSTEMS: &[Formed] = &[
    Formed {
        system: "http://hl7.org/fhir/sid/icd-10-cm",
        form: "an ICD-10-CM code has a letter and up to six more letters and digits, as in E11.65",
        may_be: is_icd10_cm,
    },
    Formed {
        system: "http://www.cms.gov/Medicare/Coding/ICD10",
        form: "an ICD-10-PCS code has up to seven letters and digits, as in 0DTJ4ZZ",
        may_be: |code| code.len() <= 7 && code.bytes().all(|it| it.is_ascii_alphanumeric()),
    },
    Formed {
        system: "http://hl7.org/fhir/sid/cvx",
        form: "a CVX code is a number of up to three digits, as in 207",
        may_be: |code| digits(code, 3),
    },
    Formed {
        system: "http://www.nlm.nih.gov/research/umls/rxnorm",
        form: "an RxNorm concept is a number, as in 313782",
        may_be: |code| digits(code, 8),
    },
    Formed {
        system: "http://www.whocc.no/atc",
        form: "an ATC code is written like A10BA02, or the beginning of one",
        may_be: is_atc,
    },
];

fn of(system: &str) -> Option<&'static Formed> {
    SYSTEMS.iter().find(|it| it.system == system)
}

/// True for a system of this table.
pub(super) fn is_one(system: &str) -> bool {
    of(system).is_some()
}

/// What its codes look like.
pub(super) fn form(system: &str) -> Option<&'static str> {
    of(system).map(|it| it.form)
}

/// Whether a code may be one of the system's, or is none.
pub(super) fn membership(system: &str, code: &str) -> Membership {
    match of(system) {
        Some(formed) if code.is_empty() || !(formed.may_be)(code) => Membership::NotMember,
        _ => Membership::Unknown,
    }
}

fn digits(code: &str, most: usize) -> bool {
    code.len() <= most && code.bytes().all(|it| it.is_ascii_digit())
}

/// A category, a code below it with or without its dot, or a block of categories (`A00-A09`).
fn is_icd10_cm(code: &str) -> bool {
    let category = |text: &str| {
        let mut bytes = text.bytes();
        text.len() == 3
            && bytes.next().is_some_and(|it| it.is_ascii_alphabetic())
            && bytes.next().is_some_and(|it| it.is_ascii_digit())
            && bytes.all(|it| it.is_ascii_alphanumeric())
    };
    if let Some((first, last)) = code.split_once('-') {
        return category(first) && (category(last) || last.is_empty());
    }
    let Some((head, rest)) = code.split_at_checked(3) else { return false };
    let rest = rest.strip_prefix('.').unwrap_or(rest);
    category(head) && rest.len() <= 4 && rest.bytes().all(|it| it.is_ascii_alphanumeric())
}

/// Seven places, of which any number of the last ones may lack by whole levels: `A`, `A10`, `A10B`, `A10BA`, `A10BA02`.
fn is_atc(code: &str) -> bool {
    const PLACES: &[u8] = b"A00AA00";
    matches!(code.len(), 1 | 3 | 4 | 5 | 7)
        && code.bytes().zip(PLACES).all(|(own, place)| match place {
            b'A' => own.is_ascii_alphabetic(),
            _ => own.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_be(system: &str, code: &str) -> bool {
        membership(system, code) == Membership::Unknown
    }

    #[test]
    fn what_is_well_formed_may_exist() {
        let cm = "http://hl7.org/fhir/sid/icd-10-cm";
        for code in ["E11", "E11.65", "C7A.00", "S72.001A", "T36.0X1A", "Z3A", "E1165", "A00-A09"] {
            assert!(may_be(cm, code), "{code}");
        }
        for code in ["E10.3+T1", "11.65", "E11.650012", "E1", "", "Diabete"] {
            assert!(!may_be(cm, code), "{code}");
        }
        assert!(may_be("http://www.whocc.no/atc", "A10BA02"));
        assert!(may_be("http://www.whocc.no/atc", "A10"));
        assert!(!may_be("http://www.whocc.no/atc", "A1"));
        assert!(!may_be("http://hl7.org/fhir/sid/cvx", "covid"));
        assert!(!may_be("http://www.nlm.nih.gov/research/umls/rxnorm", "C0011849"));
    }

    #[test]
    fn other_systems_are_not_judged() {
        assert!(!is_one("http://hl7.org/fhir/sid/icd-10"));
        assert!(may_be("http://hl7.org/fhir/sid/icd-10", "A18.0 M49.0"));
    }
}
