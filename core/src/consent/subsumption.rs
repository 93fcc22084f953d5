//! Which code stands for which others.
//!
//! A provision that names a broad code speaks of the narrower ones too (FHIR R4 §6.2, `securityLabel`:
//! "subsumption logic applies"). Only the hierarchies that consents are written in are known here, as they
//! stand in the HL7 v3 code systems; any other code means itself alone.

use crate::requester::Code;

/// HL7 v3 purposes of use.
pub const ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
/// HL7 v3 act codes: sensitivities, consent directives.
pub const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
/// HL7 v3 confidentiality.
pub const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";

/// Broad code, narrower codes at every depth. Source: v3-ActReason, `PurposeOfUse`.
const PURPOSES: &[(&str, &[&str])] = &[
    ("TREAT", &["CLINTRL", "COC", "ETREAT", "BTG", "ERTREAT", "POPHLTH", "TREATDS"]),
    ("ETREAT", &["BTG", "ERTREAT"]),
    (
        "HPAYMT",
        &[
            "CLMATTCH", "COVAUTH", "COVERAGE", "ELIGDTRM", "ELIGVER", "ENROLLM", "MILDCRG", "PMTDS",
            "REMITADV",
        ],
    ),
    ("COVERAGE", &["ELIGDTRM", "ELIGVER", "ENROLLM", "MILDCRG"]),
    (
        "HOPERAT",
        &[
            "CAREMGT",
            "DONAT",
            "FRAUD",
            "GOV",
            "HACCRED",
            "HCOMPL",
            "HDECD",
            "HDIRECT",
            "HDM",
            "HLEGAL",
            "HOUTCOMS",
            "HPRGRP",
            "HQUALIMP",
            "HSYSADMIN",
            "LABELING",
            "METAMGT",
            "MEMADMIN",
            "MILCDM",
            "MLTRAINING",
            "PATADMIN",
            "PATSFTY",
            "PERFMSR",
            "RECORDMGT",
            "SYSDEV",
            "HTEST",
            "TRAIN",
        ],
    ),
    ("HSYSADMIN", &["LABELING", "METAMGT"]),
    ("SYSDEV", &["HTEST"]),
    (
        "HRESCH",
        &["BIORCH", "CLINTRCH", "CLINTRCHNPC", "CLINTRCHPC", "PRECLINTRCH", "DSRCH", "POARCH", "TRANSRCH"],
    ),
    ("CLINTRCH", &["CLINTRCHNPC", "CLINTRCHPC", "PRECLINTRCH"]),
    ("PATRQT", &["FAMRQT", "PWATRNY", "SUPNWK"]),
    ("PUBHLTH", &["DISASTER", "THREAT"]),
];

/// Source: v3-ActCode, `ActInformationSensitivityPolicy`. IHE PCF §3:5.8.4 also puts the two use disorders
/// under `ETH`.
const SENSITIVITIES: &[(&str, &[&str])] = &[
    ("SPI", &["BH", "COGN", "DVD", "EMOTDIS", "MH", "PSY", "PSYTHPN", "SUD", "ETHUD", "OPIOIDUD"]),
    ("BH", &["COGN", "DVD", "EMOTDIS"]),
    ("SUD", &["ETHUD", "OPIOIDUD"]),
    ("ETH", &["ETHUD", "OPIOIDUD"]),
];

/// The codes that `code` also stands for in its system.
pub(super) fn narrower(system: &str, code: &str) -> &'static [&'static str] {
    let table = match system {
        ACT_REASON => PURPOSES,
        ACT_CODE => SENSITIVITIES,
        _ => return &[],
    };
    table.iter().find(|(broad, _)| *broad == code).map_or(&[], |(_, narrow)| narrow)
}

/// The codes of its system that `code` falls under, at every depth.
#[cfg(feature = "cedar")]
pub(crate) fn broader(code: &Code) -> impl Iterator<Item = &'static str> {
    let table: &'static [(&'static str, &'static [&'static str])] = match code.system.as_str() {
        ACT_REASON => PURPOSES,
        ACT_CODE => SENSITIVITIES,
        _ => &[],
    };
    table.iter().filter(|(_, narrow)| narrow.contains(&code.code.as_str())).map(|(broad, _)| *broad)
}

/// True where `broad` stands for `narrow` and is not the same code.
pub(super) fn is_broader(broad: &Code, narrow: &Code) -> bool {
    broad.system == narrow.system && narrower(&broad.system, &broad.code).contains(&narrow.code.as_str())
}

/// Levels of confidentiality, least first (v3-Confidentiality).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidentiality {
    /// `U`, unrestricted.
    Unrestricted,
    /// `L`, low.
    Low,
    /// `M`, moderate.
    Moderate,
    /// `N`, normal.
    Normal,
    /// `R`, restricted.
    Restricted,
    /// `V`, very restricted; in the Italian FSE "maggior tutela".
    VeryRestricted,
}

impl Confidentiality {
    /// The level of a code of [`CONFIDENTIALITY`]; `None` for codes that are not levels.
    pub fn of_code(code: &str) -> Option<Confidentiality> {
        Some(match code {
            "U" => Confidentiality::Unrestricted,
            "L" => Confidentiality::Low,
            "M" => Confidentiality::Moderate,
            "N" => Confidentiality::Normal,
            "R" => Confidentiality::Restricted,
            "V" => Confidentiality::VeryRestricted,
            _ => return None,
        })
    }

    /// The level's code.
    pub fn code(self) -> &'static str {
        match self {
            Confidentiality::Unrestricted => "U",
            Confidentiality::Low => "L",
            Confidentiality::Moderate => "M",
            Confidentiality::Normal => "N",
            Confidentiality::Restricted => "R",
            Confidentiality::VeryRestricted => "V",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn break_glass_is_emergency_treatment_is_treatment() {
        let reason = |code: &str| Code::new(ACT_REASON, code);
        assert!(is_broader(&reason("TREAT"), &reason("BTG")));
        assert!(is_broader(&reason("ETREAT"), &reason("BTG")));
        assert!(!is_broader(&reason("BTG"), &reason("TREAT")));
        assert!(!is_broader(&reason("TREAT"), &reason("TREAT")));
        assert!(!is_broader(&reason("TREAT"), &Code::new("http://example.org/purposes", "BTG")));
    }

    #[test]
    fn every_table_is_closed_over_its_depth() {
        for table in [PURPOSES, SENSITIVITIES] {
            for (broad, narrow) in table {
                for code in *narrow {
                    let below =
                        table.iter().find(|(other, _)| other == code).map_or(&[][..], |(_, codes)| codes);
                    assert!(
                        below.iter().all(|deep| narrow.contains(deep)),
                        "{broad} lacks codes below {code}"
                    );
                }
            }
        }
    }

    #[test]
    fn levels_are_ordered_and_keep_their_codes() {
        let levels = ["U", "L", "M", "N", "R", "V"].map(Confidentiality::of_code);
        assert!(levels.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(levels.iter().flatten().all(|level| Confidentiality::of_code(level.code()) == Some(*level)));
        assert_eq!(Confidentiality::of_code("B"), None);
    }
}
