//! The codice fiscale that a person's data call for, and its *omocodia* spellings.
//!
//! Source: D.M. 23 December 1976, annex. This is for comparing: whether a stated code fits stated data. The code that a
//! person really has is assigned by the tax office alone, which writes digits as letters where two people would share one; so what
//! is made here is never a person's code by itself.

use jiff::civil::Date;

use super::codice_fiscale::{
    CodiceFiscale, CodiceFiscaleFault, DIGIT_PLACES, MONTHS, OMOCODIA, Sex, check_letter,
};
use super::matching::letters;

/// What a codice fiscale is made of.
#[derive(Debug, Clone, Copy)]
pub struct CodiceFiscaleData<'d> {
    /// Surname, in any spelling: accents, spaces and apostrophes don't count.
    pub surname: &'d str,
    /// Names.
    pub name: &'d str,
    /// Day of birth.
    pub birth: Date,
    /// Legal sex.
    pub sex: Sex,
    /// Belfiore code of the place of birth: a letter and three digits, `F205` for Milan.
    pub place: &'d str,
}

impl CodiceFiscaleData<'_> {
    /// The code without omocodia.
    ///
    /// ```
    /// use jiff::civil::date;
    /// use varco_core::identity::{CodiceFiscaleData, Sex};
    ///
    /// let mario = CodiceFiscaleData {
    ///     surname: "Rossi", name: "Mario", birth: date(1971, 5, 1), sex: Sex::Male, place: "F205",
    /// };
    /// assert_eq!(mario.code()?.as_str(), "RSSMRA71E01F205E");
    /// # Ok::<(), varco_core::identity::CodiceFiscaleFault>(())
    /// ```
    ///
    /// # Errors
    /// [`CodiceFiscaleFault::Letters`] for a surname or name without a letter of A to Z,
    /// [`CodiceFiscaleFault::Character`] for a place of another shape.
    pub fn code(&self) -> Result<CodiceFiscale, CodiceFiscaleFault> {
        let mut text = Vec::with_capacity(16);
        text.extend(three(self.surname, false)?);
        text.extend(three(self.name, true)?);
        let day = i32::from(self.birth.day()) + if self.sex == Sex::Female { 40 } else { 0 };
        let month = usize::try_from(self.birth.month() - 1).ok().and_then(|at| MONTHS.get(at));
        text.extend(format!("{:02}", self.birth.year().rem_euclid(100)).bytes());
        text.extend(month);
        text.extend(format!("{day:02}").bytes());
        text.extend(self.place.bytes());
        text.push(b'A');
        let mut whole: [u8; 16] =
            text.as_slice().try_into().map_err(|_| CodiceFiscaleFault::Character(12))?;
        let letter = check_letter(&whole);
        if let Some(last) = whole.last_mut() {
            *last = u8::try_from(letter).unwrap_or(b'A');
        }
        if !self.place.bytes().skip(1).all(|byte| byte.is_ascii_digit()) {
            return Err(CodiceFiscaleFault::Character(13));
        }
        CodiceFiscale::parse(std::str::from_utf8(&whole).map_err(|_| CodiceFiscaleFault::Character(12))?)
    }
}

impl CodiceFiscale {
    /// All 128 spellings of a code: each of its seven digits as itself or as the letter that stands for it, each with its own
    /// check letter. The first is the one without omocodia.
    pub fn omocodia_spellings(&self) -> impl Iterator<Item = String> {
        let plain = self.plain();
        (0u32..128).map(move |choice| {
            let mut text = plain;
            for (bit, place) in DIGIT_PLACES.iter().enumerate() {
                let Some(character) = text.get_mut(*place).filter(|_| choice >> bit & 1 == 1) else {
                    continue;
                };
                let digit = usize::from(character.saturating_sub(b'0'));
                *character = OMOCODIA.get(digit).copied().unwrap_or(*character);
            }
            let letter = check_letter(&text);
            if let Some(last) = text.last_mut() {
                *last = u8::try_from(letter).unwrap_or(b'A');
            }
            String::from_utf8_lossy(&text).into_owned()
        })
    }
}

/// Three letters: consonants, then vowels, then X. Of a name with four consonants or more, the second is passed over.
fn three(name: &str, given: bool) -> Result<[u8; 3], CodiceFiscaleFault> {
    let all = letters(name);
    let all: Vec<u8> = all.bytes().filter(u8::is_ascii_uppercase).collect();
    if all.is_empty() {
        return Err(CodiceFiscaleFault::Letters);
    }
    let is_vowel = |letter: &&u8| matches!(letter, b'A' | b'E' | b'I' | b'O' | b'U');
    let mut consonants: Vec<u8> = all.iter().filter(|it| !is_vowel(it)).copied().collect();
    if given && consonants.len() > 3 {
        consonants.remove(1);
    }
    let vowels = all.iter().filter(is_vowel).copied();
    let mut chosen = consonants.into_iter().chain(vowels).chain([b'X', b'X']);
    Ok(std::array::from_fn(|_| chosen.next().unwrap_or(b'X')))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn code(surname: &str, name: &str) -> String {
        let data =
            CodiceFiscaleData { surname, name, birth: date(1971, 5, 1), sex: Sex::Male, place: "F205" };
        data.code().unwrap().as_str().to_owned()
    }

    /// The check letter, reckoned from the table as it is published.
    fn published_check_letter(first: &str) -> char {
        const TABLE: &str = "0A=1 1B=0 2C=5 3D=7 4E=9 5F=13 6G=15 7H=17 8I=19 9J=21 K=2 L=4 M=18 N=20 O=11 P=3 Q=6 R=8 S=12 T=14 U=16 V=10 W=22 X=25 Y=24 Z=23";
        let odd = |character: char| -> u32 {
            let entry =
                TABLE.split(' ').find(|it| it.split('=').next().unwrap().contains(character)).unwrap();
            entry.split('=').nth(1).unwrap().parse().unwrap()
        };
        let even = |character: char| character.to_digit(10).unwrap_or_else(|| character as u32 - 'A' as u32);
        let sum: u32 =
            first.chars().enumerate().map(|(at, it)| if at % 2 == 0 { odd(it) } else { even(it) }).sum();
        char::from_u32('A' as u32 + sum % 26).unwrap()
    }

    #[test]
    fn the_published_examples_are_made_from_their_data() {
        assert_eq!(code("Rossi", "Mario"), "RSSMRA71E01F205E");
        let woman = CodiceFiscaleData {
            surname: "Gateway",
            name: "Gateway",
            birth: date(1982, 2, 2),
            sex: Sex::Female,
            place: "G920",
        };
        assert_eq!(woman.code().unwrap().as_str(), "GTWGWY82B42G920M");
        for (published, holds) in
            [("RSSMRA71E01F205E", true), ("GTWGWY82B42G920M", true), ("VRDMRC67T20I257E", false)]
        {
            let code = CodiceFiscale::parse(published).unwrap();
            assert_eq!(code.check_letter_holds(), holds, "{published}");
            assert_eq!(code.expected_check_letter(), published_check_letter(&published[..15]));
        }
    }

    #[test]
    fn letters_are_taken_by_the_rule() {
        for (surname, name, wanted) in [
            ("Fo", "Dario", "FOXDRA"),
            ("Aiello", "Ada", "LLADAA"),
            ("D'Angiò", "Nicolò", "DNGNCL"),
            ("De Luca", "Anna Maria", "DLCNMR"),
            ("Rosi", "Gianfranco", "RSOGFR"),
            ("Ma", "Li", "MAXLIX"),
            ("Aio", "Ia", "AIOIAX"),
            ("Müller", "Jörg", "MLLJRG"),
        ] {
            assert_eq!(&code(surname, name)[..6], wanted, "{surname} {name}");
        }
        let nobody = CodiceFiscaleData {
            surname: "陈",
            name: "Mario",
            birth: date(1971, 5, 1),
            sex: Sex::Male,
            place: "Z210",
        };
        assert_eq!(nobody.code().unwrap_err(), CodiceFiscaleFault::Letters);
        for place in ["", "F20", "F2055", "F2A5", "f205", "1205", "F20L", "é205"] {
            assert!(CodiceFiscaleData { place, surname: "Rossi", ..nobody }.code().is_err(), "{place}");
        }
    }

    proptest! {
        #[test]
        fn what_is_made_is_read_and_every_spelling_of_it_is_the_same(
            surname in "[A-Za-zàèéìòù' ]{0,6}[A-Za-z]", name in "[A-Za-zàèéìòù' ]{0,8}[A-Za-z]",
            (year, month, day) in (1900i16..2100, 1i8..=12, 1i8..=31), female in any::<bool>(), place in "[A-Z][0-9]{3}",
        ) {
            let Ok(birth) = Date::new(year, month, day) else { return Ok(()) };
            let sex = if female { Sex::Female } else { Sex::Male };
            let made = CodiceFiscaleData { surname: &surname, name: &name, birth, sex, place: &place }.code().unwrap();
            prop_assert!(made.check_letter_holds() && !made.is_omocodia());
            prop_assert_eq!(made.as_str().chars().last().unwrap(), published_check_letter(&made.as_str()[..15]));
            prop_assert!(made.possible_births().contains(&birth));
            prop_assert_eq!((made.sex(), made.place()), (sex, place.as_str()));
            let spellings: HashSet<String> = made.omocodia_spellings().collect();
            prop_assert_eq!(spellings.len(), 128);
            prop_assert_eq!(made.omocodia_spellings().next().unwrap(), made.as_str());
            for spelling in &spellings {
                let read = CodiceFiscale::parse(spelling).unwrap();
                prop_assert!(read.check_letter_holds());
                prop_assert_eq!(read.is_omocodia(), spelling.as_str() != made.as_str());
                prop_assert_eq!(read.without_omocodia(), made.as_str());
                prop_assert_eq!((read.possible_births(), read.sex(), read.place()), (made.possible_births(), sex, place.as_str()));
            }
        }
    }
}
