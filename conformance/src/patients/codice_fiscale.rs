//! The codice fiscale of a made-up person, check letter included (Italian decree of 23 December 1976).

use super::Sex;

const MONTHS: &[u8; 12] = b"ABCDEHLMPRST";

/// The value of a character in an odd position; in an even one it is its place in the alphabet or its digit.
const ODD: [u32; 26] =
    [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];

/// The code of a person; `None` where the date or the place is not one that a code can hold.
pub(super) fn codice_fiscale(
    family: &str,
    given: &str,
    sex: Sex,
    (year, month, day): (u16, u8, u8),
    cadastral: &str,
) -> Option<String> {
    let letter = char::from(*MONTHS.get(usize::from(month).checked_sub(1)?)?);
    let day = match sex {
        Sex::Male => day,
        Sex::Female => day.checked_add(40)?,
    };
    let code = format!("{}{}{:02}{letter}{day:02}{cadastral}", surname(family), forename(given), year % 100);
    let check = check_letter(&code)?;
    Some(format!("{code}{check}"))
}

/// The sixteenth letter for the fifteen before it; `None` for anything but fifteen capitals and digits.
pub(super) fn check_letter(fifteen: &str) -> Option<char> {
    if fifteen.len() != 15 {
        return None;
    }
    let mut sum = 0;
    for (at, byte) in fifteen.bytes().enumerate() {
        let value = match byte {
            b'0'..=b'9' => u32::from(byte - b'0'),
            b'A'..=b'Z' => u32::from(byte - b'A'),
            _ => return None,
        };
        // Positions are counted from 1, so the first is odd.
        sum += if at % 2 == 0 { *ODD.get(usize::try_from(value).ok()?)? } else { value };
    }
    char::from_u32(u32::from(b'A') + sum % 26)
}

fn surname(family: &str) -> String {
    let (consonants, vowels) = letters(family);
    three(consonants + &vowels)
}

fn forename(given: &str) -> String {
    let (consonants, vowels) = letters(given);
    let picked: String = match consonants.chars().collect::<Vec<_>>().as_slice() {
        [first, _, third, fourth, ..] => [first, third, fourth].into_iter().collect(),
        _ => consonants + &vowels,
    };
    three(picked)
}

fn three(letters: String) -> String {
    letters.chars().chain("XXX".chars()).take(3).collect()
}

/// The consonants and the vowels of a name, in capitals without accents.
fn letters(name: &str) -> (String, String) {
    let plain = name.chars().filter_map(|letter| match letter {
        'a'..='z' => Some(letter.to_ascii_uppercase()),
        'A'..='Z' => Some(letter),
        'à' | 'á' | 'ä' | 'À' | 'Á' | 'Ä' => Some('A'),
        'è' | 'é' | 'ë' | 'È' | 'É' | 'Ë' => Some('E'),
        'ì' | 'í' | 'ï' | 'Ì' | 'Í' => Some('I'),
        'ò' | 'ó' | 'ö' | 'Ò' | 'Ó' | 'Ö' => Some('O'),
        'ù' | 'ú' | 'ü' | 'Ù' | 'Ú' | 'Ü' => Some('U'),
        _ => None,
    });
    plain.partition(|letter| !"AEIOU".contains(*letter))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn check_letters_of_published_codes() {
        for good in ["RSSMRA71E01F205E", "GTWGWY82B42G920M"] {
            assert_eq!(check_letter(&good[..15]), good.chars().last());
        }
        assert_ne!(check_letter("VRDMRC67T20I257"), Some('E'));
        assert_eq!(check_letter("RSSMRA71E01F20"), None);
        assert_eq!(check_letter("RSSMRA71E01F20è"), None);
    }

    #[test]
    fn names_are_coded_by_consonants_then_vowels() {
        assert_eq!(
            codice_fiscale("Rossi", "Mario", Sex::Male, (1971, 5, 1), "F205").unwrap(),
            "RSSMRA71E01F205E"
        );
        for (family, coded) in
            [("D'Amico", "DMC"), ("Fò", "FOX"), ("Bò", "BOX"), ("De André", "DND"), ("Ait", "TAI")]
        {
            assert_eq!(surname(family), coded, "{family}");
        }
        for (given, coded) in
            [("Niccolò", "NCL"), ("Àlvaro", "LVR"), ("Francesca", "FNC"), ("Noè", "NOE"), ("Ugo", "GUO")]
        {
            assert_eq!(forename(given), coded, "{given}");
        }
    }

    #[test]
    fn women_add_forty_to_the_day() {
        let code = codice_fiscale("Verdi", "Anna", Sex::Female, (2004, 12, 9), "A794").unwrap();
        assert!(code.starts_with("VRDNNA04T49A794"));
        assert_eq!(codice_fiscale("Verdi", "Anna", Sex::Female, (2004, 13, 9), "A794"), None);
    }
}
