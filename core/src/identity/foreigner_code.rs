//! Codes of foreigners in the Italian health service: STP and ENI.
//!
//! A foreigner without health insurance is given one code (D.P.R. 394/1999 art. 43): STP (*straniero temporaneamente
//! presente*) from outside the EU, ENI (*europeo non iscritto*) from inside. Three letters, the region, the structure that issued
//! it, seven digits. The regions write the same code under systems of their own; the number stays.

use super::region::RegionCode;

/// Which of the two codes it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ForeignerKind {
    /// From outside the EU.
    Stp,
    /// From inside the EU.
    Eni,
}

/// Why a text is no such code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignerCodeFault {
    /// Another beginning.
    #[error("the code of a foreigner begins with STP or ENI")]
    Kind,
    /// Not thirteen digits behind the letters.
    #[error(
        "thirteen digits follow STP or ENI: three for the region, three for the structure, seven for the person"
    )]
    Digits,
    /// No region has these three digits.
    #[error("the three digits behind STP or ENI are not those of a region, such as 030 for Lombardy")]
    Region,
}

/// A code of a foreigner. It names a person: its digits are not shown by accident.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ForeignerCode {
    kind: ForeignerKind,
    region: RegionCode,
    text: [u8; 16],
}

impl ForeignerCode {
    /// Reads a code.
    ///
    /// ```
    /// use varco_core::identity::{ForeignerCode, ForeignerKind, RegionCode};
    ///
    /// let code = ForeignerCode::parse("STP0309130012345")?;
    /// assert_eq!((code.kind(), code.region()), (ForeignerKind::Stp, RegionCode::LOMBARDY));
    /// assert_eq!((code.structure(), code.number()), ("913", "0012345"));
    /// # Ok::<(), varco_core::identity::ForeignerCodeFault>(())
    /// ```
    ///
    /// # Errors
    /// [`ForeignerCodeFault`]
    pub fn parse(text: &str) -> Result<ForeignerCode, ForeignerCodeFault> {
        let kind = match text.as_bytes().get(..3) {
            Some(b"STP") => ForeignerKind::Stp,
            Some(b"ENI") => ForeignerKind::Eni,
            _ => return Err(ForeignerCodeFault::Kind),
        };
        let bytes: [u8; 16] = text.as_bytes().try_into().map_err(|_| ForeignerCodeFault::Digits)?;
        if !bytes.iter().skip(3).all(u8::is_ascii_digit) {
            return Err(ForeignerCodeFault::Digits);
        }
        let region = text.get(3..6).and_then(RegionCode::parse).ok_or(ForeignerCodeFault::Region)?;
        Ok(ForeignerCode { kind, region, text: bytes })
    }

    /// Which of the two.
    pub fn kind(&self) -> ForeignerKind {
        self.kind
    }

    /// The region that issued it.
    pub fn region(&self) -> RegionCode {
        self.region
    }

    /// The structure of the region that issued it, three digits.
    pub fn structure(&self) -> &str {
        self.part(6, 9)
    }

    /// The person's number there, seven digits.
    pub fn number(&self) -> &str {
        self.part(9, 16)
    }

    /// The code as it was written.
    pub fn as_str(&self) -> &str {
        self.part(0, 16)
    }

    /// The system that the code has in all of Italy.
    pub fn national_system(&self) -> &'static str {
        match self.kind {
            ForeignerKind::Stp => "urn:oid:2.16.840.1.113883.2.9.4.3.17",
            ForeignerKind::Eni => "urn:oid:2.16.840.1.113883.2.9.4.3.18",
        }
    }

    /// The system of the region that issued it, for STP; a region has none for ENI.
    pub fn regional_system(&self) -> Option<String> {
        let system = format!("urn:oid:2.16.840.1.113883.2.9.2.{}.4.1.1", self.region.arc());
        (self.kind == ForeignerKind::Stp).then_some(system)
    }

    fn part(&self, from: usize, to: usize) -> &str {
        self.text.get(from..to).and_then(|part| std::str::from_utf8(part).ok()).unwrap_or_default()
    }
}

impl std::fmt::Debug for ForeignerCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ForeignerCode({:?}, {}, …)", self.kind, self.region)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::{IdentifierAliases, italian_groups, regional_groups};

    #[test]
    fn shapes_that_are_wrong_say_why() {
        use ForeignerCodeFault::*;
        for (text, fault) in [
            ("", Kind),
            ("stp0309130012345", Kind),
            ("RSSMRA71E01F205E", Kind),
            ("STP030913001234", Digits),
            ("STP03091300123456", Digits),
            ("STP30 9130012345", Digits),
            ("STP030913001234A", Digits),
            ("STP0319130012345", Region),
            ("ENI0009130012345", Region),
        ] {
            assert_eq!(ForeignerCode::parse(text).unwrap_err(), fault, "{text}");
        }
        assert!(!format!("{:?}", ForeignerCode::parse("ENI0309130012345").unwrap()).contains("12345"));
    }

    fn region() -> impl Strategy<Value = RegionCode> {
        let all = (0u16..1000).filter_map(|it| RegionCode::parse(&format!("{it:03}")));
        prop::sample::select(all.collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn a_code_tells_its_parts(region in region(), stp in any::<bool>(), structure in "[0-9]{3}", number in "[0-9]{7}") {
            let (letters, kind) = if stp { ("STP", ForeignerKind::Stp) } else { ("ENI", ForeignerKind::Eni) };
            let text = format!("{letters}{region}{structure}{number}");
            let code = ForeignerCode::parse(&text).unwrap();
            prop_assert_eq!((code.kind(), code.region(), code.as_str()), (kind, region, text.as_str()));
            prop_assert_eq!((code.structure(), code.number()), (structure.as_str(), number.as_str()));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(STP|ENI)?\\PC{0,20}") {
            let _ = ForeignerCode::parse(&text);
        }

        /// National and regional systems, the region with its leading zero and without, as a URN and bare: each spelling
        /// leads to the one system, and the two systems stay apart.
        #[test]
        fn both_spellings_of_a_region_lead_to_one_system(region in region(), stp in any::<bool>()) {
            let code = ForeignerCode::parse(&format!("{}{region}9130012345", if stp { "STP" } else { "ENI" })).unwrap();
            let groups = italian_groups().into_iter().chain(regional_groups(region));
            let aliases = IdentifierAliases::new(groups).unwrap();
            let bare = |urn: &str| urn.trim_start_matches("urn:oid:").to_owned();
            let national = code.national_system();
            prop_assert_eq!(aliases.canonical(national), national);
            let own = bare(national);
            prop_assert_eq!(aliases.canonical(&own), national);
            if let Some(regional) = code.regional_system() {
                let padded = regional.replace(&format!(".2.{}.4", region.arc()), &format!(".2.{region}.4"));
                for spelling in [regional.clone(), padded.clone(), bare(&regional), bare(&padded)] {
                    prop_assert_eq!(aliases.canonical(&spelling), regional.as_str());
                }
                prop_assert_ne!(regional.as_str(), national);
            }
        }
    }
}
