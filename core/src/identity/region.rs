//! Codes of the Italian regions, which are written in two ways.
//!
//! The Ministry of Health's codes have three digits (`030`, Lombardy). An OID's arcs have no leading zeros
//! (ITU-T X.660 §6.2.3), so the same region is `30` there; both spellings of both are met in real data.

use std::fmt;

/// The regions and autonomous provinces (041 Bolzano, 042 Trento) by the Ministry's code.
const CODES: [u16; 21] =
    [10, 20, 30, 41, 42, 50, 60, 70, 80, 90, 100, 110, 120, 130, 140, 150, 160, 170, 180, 190, 200];

/// A region or autonomous province.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionCode(u16);

impl RegionCode {
    /// Lombardy, `030`.
    pub const LOMBARDY: RegionCode = RegionCode(30);

    /// The region with this code, with or without its leading zero.
    ///
    /// ```
    /// use varco_core::identity::RegionCode;
    ///
    /// let lombardy = RegionCode::parse("30").ok_or("a region")?;
    /// assert_eq!(lombardy.to_string(), "030");
    /// assert_eq!(lombardy.arc(), "30");
    /// assert_eq!(RegionCode::parse("030"), Some(lombardy));
    /// # Ok::<(), &str>(())
    /// ```
    pub fn parse(text: &str) -> Option<RegionCode> {
        let digits = (2..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if digits { text.parse().ok()? } else { return None };
        CODES.contains(&number).then_some(RegionCode(number))
    }

    /// The region as an arc of an OID: no leading zero.
    pub fn arc(self) -> String {
        self.0.to_string()
    }
}

/// The Ministry's code: three digits.
impl fmt::Display for RegionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_mean_one_region() {
        assert_eq!(RegionCode::parse("030"), Some(RegionCode::LOMBARDY));
        assert_eq!(RegionCode::parse("30"), RegionCode::parse("030"));
        assert_eq!(RegionCode::parse("200").map(|region| region.to_string()).as_deref(), Some("200"));
        for bad in ["", "3", "0030", "031", "+30", "IT", "999", "40"] {
            assert_eq!(RegionCode::parse(bad), None, "{bad}");
        }
    }
}
