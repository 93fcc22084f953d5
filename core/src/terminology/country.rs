//! Countries (ISO 3166-1), system `urn:iso:std:iso:3166`: alpha-2, alpha-3 and numeric codes.
//!
//! A withdrawn, reserved or user-assigned code may be right in its time and place: unknown.

use fhir_models::definition::Membership;

const COUNTRIES: &str = include_str!("data/countries.txt");

/// Withdrawn (ISO 3166-3) and exceptionally or transitionally reserved.
const WITHDRAWN: &[&str] = &[
    "AC", "AI", "AN", "BQ", "BU", "BY", "CP", "CQ", "CS", "CT", "DD", "DG", "DY", "EA", "EU", "EZ", "FQ",
    "FX", "GE", "HV", "IC", "JT", "MI", "NH", "NQ", "NT", "PC", "PU", "PZ", "RH", "SF", "SK", "SU", "TA",
    "TP", "UK", "UN", "VD", "WK", "YD", "YU", "ZR", "AFI", "ANT", "ATB", "ATF", "ATN", "BUR", "BYS", "CSK",
    "CTE", "DDR", "DHY", "FXX", "GEL", "HVO", "JTN", "MID", "NHB", "NTZ", "PCI", "PCZ", "PUS", "RHO", "ROM",
    "SCG", "SKM", "SUN", "TMP", "VDR", "WAK", "YMD", "YUG", "ZAR", "128", "200", "216", "230", "249", "278",
    "280", "296", "396", "488", "530", "532", "536", "582", "590", "720", "736", "810", "849", "872", "886",
    "890", "891",
];

/// Whether a code is a country's.
pub(super) fn membership(code: &str) -> Membership {
    if find(code).is_some() {
        return Membership::Member;
    }
    let within =
        |ranges: &[(&str, &str)]| ranges.iter().any(|(first, last)| (*first..=*last).contains(&code));
    let own = match code.len() {
        2 => within(&[("AA", "AA"), ("QM", "QZ"), ("XA", "XZ"), ("ZZ", "ZZ")]),
        3 => within(&[("AAA", "AAZ"), ("QMA", "QZZ"), ("XAA", "XZZ"), ("ZZA", "ZZZ")]),
        _ => false,
    };
    let upper = code.bytes().all(|byte| byte.is_ascii_uppercase());
    if (own && upper) || WITHDRAWN.contains(&code) { Membership::Unknown } else { Membership::NotMember }
}

/// A part of a country (ISO 3166-2), by its form: which parts there are is not known here.
pub(super) fn subdivision(code: &str) -> Membership {
    let formed = code.split_once('-').is_some_and(|(country, part)| {
        country.len() == 2
            && membership(country) != Membership::NotMember
            && (1..=3).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    });
    if formed { Membership::Unknown } else { Membership::NotMember }
}

/// A state of the USA as the post writes it, by its form.
pub(super) fn state(code: &str) -> Membership {
    let formed = code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    if formed { Membership::Unknown } else { Membership::NotMember }
}

/// A region of the world (UN M.49), by its form.
pub(super) fn region(code: &str) -> Membership {
    let formed = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    if formed { Membership::Unknown } else { Membership::NotMember }
}

/// The English short name of a country.
pub(super) fn name(code: &str) -> Option<&'static str> {
    find(code)
}

/// All alpha-2 codes with the names.
pub(super) fn alpha2() -> impl Iterator<Item = (&'static str, &'static str)> {
    COUNTRIES.lines().filter_map(|line| Some((line.get(..2)?, line.get(11..)?)))
}

fn find(code: &str) -> Option<&'static str> {
    let column = match (code.len(), code.as_bytes().first()?) {
        (2, _) => 0..2,
        (3, b'0'..=b'9') => 7..10,
        (3, _) => 3..6,
        _ => return None,
    };
    COUNTRIES.lines().find(|line| line.get(column.clone()) == Some(code)).and_then(|line| line.get(11..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_all_three_kinds() {
        for code in ["IT", "ITA", "380", "AX", "004"] {
            assert_eq!(membership(code), Membership::Member, "{code}");
        }
        assert_eq!((name("BD"), name("380")), (Some("Bangladesh"), Some("Italy")));
    }

    #[test]
    fn past_and_private_codes_are_unknown_and_others_wrong() {
        for code in ["XK", "UK", "YU", "DDR", "280", "XKX"] {
            assert_eq!(membership(code), Membership::Unknown, "{code}");
        }
        for code in ["it", "ITALY", "XX1", "I", "", "999", "38", "ZY", "Xa", "è"] {
            assert_eq!(membership(code), Membership::NotMember, "{code}");
        }
    }

    #[test]
    fn parts_of_countries_are_known_by_their_form() {
        assert_eq!((subdivision("IT-BO"), subdivision("US-MA")), (Membership::Unknown, Membership::Unknown));
        for code in ["IT", "Italy", "ZY-1", "IT-", "IT-BOLO", "it-bo"] {
            assert_eq!(subdivision(code), Membership::NotMember, "{code}");
        }
        assert_eq!((region("150"), region("Europe")), (Membership::Unknown, Membership::NotMember));
        assert_eq!((state("MA"), state("Massachusetts")), (Membership::Unknown, Membership::NotMember));
    }

    #[test]
    fn every_line_has_its_columns() {
        assert_eq!(alpha2().count(), 249);
        for line in COUNTRIES.lines() {
            let columns: Vec<&str> = line.splitn(4, ' ').collect();
            assert!(
                matches!(columns.as_slice(), [a, b, c, d] if a.len() == 2 && b.len() == 3 && c.len() == 3 && !d.is_empty()),
                "{line}"
            );
        }
    }
}
