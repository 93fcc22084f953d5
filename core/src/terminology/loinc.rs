//! LOINC codes (LOINC Users' Guide, "mod 10 check digit"), system `http://loinc.org`.
//!
//! Terms (`8867-4`), answers (`LA6576-8`), answer lists (`LL…`), parts (`LP…`) and groups (`LG…`) all end in a
//! check digit. The terms are elsewhere: what is well-formed may exist.

use fhir_models::definition::Membership;

/// Most digits before the hyphen.
const DIGITS: usize = 8;

/// Whether a code may be one of LOINC's, or is none.
pub(super) fn membership(code: &str) -> Membership {
    if is_code(code) { Membership::Unknown } else { Membership::NotMember }
}

fn is_code(code: &str) -> bool {
    let Some((body, check)) = code.rsplit_once('-') else { return false };
    let letters = match body.get(..2) {
        Some("LA" | "LL" | "LP" | "LG") => 2,
        _ => 0,
    };
    let digits = body.get(letters..).unwrap_or_default();
    let numbered = (1..=DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    // Map of a multiaxial hierarchy: no check digit is promised for anything else.
    numbered
        && matches!(check.as_bytes(), [digit] if digit.is_ascii_digit() && sum(body.bytes(), *digit) % 10 == 0)
}

/// The sum that the check digit makes a multiple of ten. Letters count by their place after the digits.
fn sum(body: impl DoubleEndedIterator<Item = u8>, check: u8) -> u32 {
    let value = |byte: u8| u32::from(byte.saturating_sub(b'0'));
    let doubled = |value: u32| (2 * value).abs_diff(value / 5 * 9);
    let body = body.rev().enumerate();
    let weighted = body.map(|(place, byte)| if place % 2 == 0 { doubled(value(byte)) } else { value(byte) });
    weighted.sum::<u32>() + value(check)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codes_of_all_kinds_may_exist() {
        for code in
            ["8867-4", "85354-9", "1-8", "LA6576-8", "LP29684-5", "LA28867-2", "LP43571-6", "100066-0"]
        {
            assert_eq!(membership(code), Membership::Unknown, "{code}");
        }
    }

    #[test]
    fn a_wrong_check_digit_or_form() {
        for code in [
            "8867-5", "88674", "LA6576-9", "-4", "8867-", "8867-44", "heart", "LX6576-8", "8867-4 ", "",
            "è-4",
        ] {
            assert_eq!(membership(code), Membership::NotMember, "{code}");
        }
    }

    proptest! {
        #[test]
        fn no_text_upsets_the_reader(text in "\\PC{0,24}|L?[A-Z]?[0-9]{0,12}-[0-9]?") {
            let _ = membership(&text);
        }
    }
}
