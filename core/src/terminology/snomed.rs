//! SNOMED CT identifiers (SNOMED CT Release File Specification §"SNOMED CT identifiers"), system
//! `http://snomed.info/sct`.
//!
//! The concepts are elsewhere. Which codes can't be a concept's is known by their form: length, partition
//! and Verhoeff's check digit. What is well-formed may exist: unknown. Expressions are not judged.

use fhir_models::definition::Membership;

/// The code system.
pub(crate) const SNOMED: &str = "http://snomed.info/sct";

/// Whether a code may be a concept's, or is none.
pub(super) fn membership(code: &str) -> Membership {
    if is_expression(code) || is_concept_id(code) { Membership::Unknown } else { Membership::NotMember }
}

/// A post-coordinated expression, or a concept with its term: more than an identifier.
fn is_expression(code: &str) -> bool {
    code.contains([':', '+', '|', '=', '{', '<', '('])
}

/// True for an identifier with something behind it, a slip of the hand. What has no such beginning was never
/// meant as one: a code of SNOMED RT, of another system, or a note.
pub(crate) fn is_spoiled(code: &str) -> bool {
    let digits = code.bytes().take_while(u8::is_ascii_digit).count();
    (6..=18).contains(&digits) && digits < code.len() && code.as_bytes().get(digits) != Some(&b'-')
}

/// True for the identifier of a concept: partition `00` or `10`.
pub(crate) fn is_concept_id(code: &str) -> bool {
    is_id(code)
        && code.get(code.len().saturating_sub(3)..).is_some_and(|end| matches!(end.get(1..2), Some("0")))
}

/// True for an identifier of any component.
pub(crate) fn is_id(code: &str) -> bool {
    let digits = code.as_bytes();
    let length = digits.len();
    if !(6..=18).contains(&length) || digits.first() == Some(&b'0') || !digits.iter().all(u8::is_ascii_digit)
    {
        return false;
    }
    let partition = match digits.get(length - 3..length - 1) {
        // The short format, and the long one with its seven digits of namespace.
        Some([b'0', b'0'..=b'5']) => true,
        Some([b'1', b'0'..=b'6']) => length >= 11,
        _ => false,
    };
    partition && verhoeff(digits)
}

/// Products of the dihedral group of order ten.
const PRODUCT: [[u8; 10]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
    [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
    [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
    [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
    [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
    [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
    [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
    [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
    [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
];

/// Verhoeff's permutation and its powers.
const PERMUTATION: [[u8; 10]; 8] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
    [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
    [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
    [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
    [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
    [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
    [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
];

fn verhoeff(digits: &[u8]) -> bool {
    let mut check = 0u8;
    for (place, digit) in digits.iter().rev().enumerate() {
        let permuted = PERMUTATION.get(place % 8).and_then(|row| row.get(usize::from(digit - b'0')));
        let product =
            PRODUCT.get(usize::from(check)).zip(permuted).and_then(|(row, it)| row.get(usize::from(*it)));
        check = product.copied().unwrap_or(u8::MAX);
    }
    check == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn concepts_of_both_formats_may_exist() {
        for code in ["404684003", "138875005", "73211009", "900000000000207008", "929360041000036105"] {
            assert_eq!(membership(code), Membership::Unknown, "{code}");
        }
    }

    #[test]
    fn what_can_be_no_concept() {
        for code in [
            "1",
            "2",
            "276885007x",
            "something",
            "404684004",
            "04684003",
            "4046840031404684003",
            "",
            "٤٠٤٦٨٤٠٠٣",
        ] {
            assert_eq!(membership(code), Membership::NotMember, "{code}");
        }
        assert!(is_id("680946014") && !is_concept_id("680946014"), "a description");
    }

    #[test]
    fn slips_are_told_from_other_systems() {
        assert!(is_spoiled("276885007x"));
        for code in ["T-15460", "34552-0", "404684004", "a note", ""] {
            assert!(!is_spoiled(code), "{code}");
        }
    }

    #[test]
    fn expressions_are_not_judged() {
        assert_eq!(membership("404684003:363698007=39057004"), Membership::Unknown);
        assert_eq!(membership("404684003 |Clinical finding|"), Membership::Unknown);
    }

    proptest! {
        #[test]
        fn one_wrong_digit_is_always_noticed(place in 0usize..9, digit in 0u8..10) {
            let mut code = *b"404684003";
            prop_assume!(code[place] != b'0' + digit);
            code[place] = b'0' + digit;
            prop_assert!(!verhoeff(&code));
        }

        #[test]
        fn no_text_upsets_the_reader(text in "\\PC{0,24}|[0-9]{0,24}") {
            let _ = membership(&text);
        }
    }
}
