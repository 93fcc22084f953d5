//! The Italian tax code: checked, and read for what it says about a person.
//!
//! Source: D.M. 23 December 1976 as amended (Ministry of Finance). A code of a natural person has 16 characters:
//! three letters of the surname, three of the name, two digits of the year, a letter for the month, two
//! digits of the day (plus 40 for women), the Belfiore code of the place of birth, a check letter. Where two
//! people would have the same code, digits are written as letters from the right (*omocodia*). A provisional
//! code has 11 digits that satisfy the Luhn formula (ISO/IEC 7812-1 annex B).
//!
//! Invariant: [`CodiceFiscale::parse`] checks the shape, a possible date included; whether the check letter holds
//! is asked apart, because many published examples fail it: a deployment decides if that is an error. No
//! message quotes the code.

use jiff::civil::Date;

/// The letters for the months, January first.
pub(super) const MONTHS: &[u8; 12] = b"ABCDEHLMPRST";
/// The letters that *omocodia* writes for 0 to 9.
pub(super) const OMOCODIA: &[u8; 10] = b"LMNPQRSTUV";
/// What a digit or letter counts in an odd place: 0 and A first.
const ODD: [u8; 26] =
    [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
/// The places that hold a digit, counted from 0.
pub(super) const DIGIT_PLACES: [usize; 7] = [6, 7, 9, 10, 12, 13, 14];

/// Why a text is not a codice fiscale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodiceFiscaleFault {
    /// Neither 16 characters nor 11 digits.
    #[error("a codice fiscale has 16 characters, or 11 digits if it is provisional")]
    Length,
    /// A surname or name without a letter of A to Z.
    #[error("the surname or the name has no letter of A to Z: write it as the passport does")]
    Letters,
    /// A character that can't stand in its place.
    #[error(
        "the character in place {0} can't stand there: capital letters and digits follow the pattern \
         LLLLLLDDLDDLDDDL, where L, M, N, P to V may stand for a digit"
    )]
    Character(usize),
    /// The ninth character is not a month.
    #[error("the month in place 9 must be one of the letters ABCDEHLMPRST")]
    Month,
    /// No year of birth in the 1900s or 2000s has this day.
    #[error("the day in places 10 and 11 must be 01 to 31, or 41 to 71 for women, and stand in the calendar")]
    Day,
    /// An 11-digit code whose last digit does not fit the others.
    #[error("the last digit of the provisional code does not fit the others; it was mistyped or invented")]
    CheckDigit,
}

/// Legal sex, as a codice fiscale tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sex {
    /// Days 1 to 31.
    Male,
    /// Days 41 to 71.
    Female,
}

/// A codice fiscale of 16 characters whose shape is right.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CodiceFiscale {
    text: [u8; 16],
    /// The same with omocodia undone.
    plain: [u8; 16],
}

impl CodiceFiscale {
    /// Reads a codice fiscale of 16 characters and checks its shape, not its check letter.
    ///
    /// ```
    /// use varco_core::identity::{CodiceFiscale, Sex};
    ///
    /// let code = CodiceFiscale::parse("RSSMRA71E01F205E")?;
    /// assert!(code.check_letter_holds());
    /// assert_eq!((code.sex(), code.place()), (Sex::Male, "F205"));
    /// // Two digits of a year leave the century open.
    /// let births: Vec<String> = code.possible_births().iter().map(ToString::to_string).collect();
    /// assert_eq!(births, ["1971-05-01", "2071-05-01"]);
    /// # Ok::<(), varco_core::identity::CodiceFiscaleFault>(())
    /// ```
    ///
    /// # Errors
    /// [`CodiceFiscaleFault`]; places in it are counted from 1.
    pub fn parse(text: &str) -> Result<CodiceFiscale, CodiceFiscaleFault> {
        let text: [u8; 16] = text.as_bytes().try_into().map_err(|_| CodiceFiscaleFault::Length)?;
        let mut plain = text;
        for (place, character) in plain.iter_mut().enumerate() {
            let fault = CodiceFiscaleFault::Character(place + 1);
            if DIGIT_PLACES.contains(&place) {
                *character = digit_of(*character).map(|digit| b'0' + digit).ok_or(fault)?;
            } else if !character.is_ascii_uppercase() {
                return Err(fault);
            }
        }
        let code = CodiceFiscale { text, plain };
        if code.month().is_none() {
            return Err(CodiceFiscaleFault::Month);
        }
        if code.possible_births().is_empty() {
            return Err(CodiceFiscaleFault::Day);
        }
        Ok(code)
    }

    /// The code as it was written.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// The check letter that the first 15 characters call for.
    pub fn expected_check_letter(&self) -> char {
        check_letter(&self.text)
    }

    /// True where the last character is the one that the others call for.
    pub fn check_letter_holds(&self) -> bool {
        self.text.last().is_some_and(|own| char::from(*own) == self.expected_check_letter())
    }

    /// True where letters stand for digits because another person has the same code.
    pub fn is_omocodia(&self) -> bool {
        self.text != self.plain
    }

    /// The code with digits in the place of the letters that stand for them, and the check letter that goes
    /// with it: the codes of two *omocodi* are the same then, so this identifies nobody.
    pub fn without_omocodia(&self) -> String {
        let mut plain = self.plain;
        if self.is_omocodia()
            && let Some(last) = plain.last_mut()
        {
            *last = u8::try_from(check_letter(&self.plain)).unwrap_or(*last);
        }
        String::from_utf8_lossy(&plain).into_owned()
    }

    /// The three letters of the surname.
    pub fn surname_letters(&self) -> &str {
        self.part(0, 3)
    }

    /// The three letters of the name.
    pub fn name_letters(&self) -> &str {
        self.part(3, 6)
    }

    /// The last two digits of the year of birth, 0 to 99. The century is not said.
    pub fn year_of_century(&self) -> u8 {
        self.number(6)
    }

    /// The days on which the person can have been born: one in the 1900s, one in the 2000s, fewer where the
    /// calendar lacks the day. Which of them is known only from elsewhere.
    pub fn possible_births(&self) -> Vec<Date> {
        let day = i8::try_from(self.number(9) % 40).unwrap_or(0);
        let in_range = (1..=31).contains(&self.number(9)) || (41..=71).contains(&self.number(9));
        let (Some(month), true) = (self.month(), in_range) else { return Vec::new() };
        let year = i16::from(self.year_of_century());
        [1900, 2000].iter().filter_map(|century| Date::new(century + year, month, day).ok()).collect()
    }

    /// Legal sex.
    pub fn sex(&self) -> Sex {
        if self.number(9) > 40 { Sex::Female } else { Sex::Male }
    }

    /// The Belfiore code of the place of birth: a letter and three digits. `Z` begins the codes of states
    /// other than Italy.
    pub fn place(&self) -> &str {
        self.part(11, 15)
    }

    /// The code with digits in the place of the letters that stand for them, its check letter as it was.
    pub(super) fn plain(&self) -> [u8; 16] {
        self.plain
    }

    fn part(&self, from: usize, to: usize) -> &str {
        self.plain.get(from..to).and_then(|part| std::str::from_utf8(part).ok()).unwrap_or_default()
    }

    /// The two digits from this place on.
    fn number(&self, from: usize) -> u8 {
        self.part(from, from + 2).parse().unwrap_or(0)
    }

    fn month(&self) -> Option<i8> {
        let at = MONTHS.iter().position(|letter| self.plain.get(8) == Some(letter))?;
        i8::try_from(at + 1).ok()
    }
}

/// Shows no digit of the code: it names a person.
impl std::fmt::Debug for CodiceFiscale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CodiceFiscale(…)")
    }
}

/// The digit that a character stands for.
fn digit_of(character: u8) -> Option<u8> {
    if character.is_ascii_digit() {
        return Some(character - b'0');
    }
    OMOCODIA.iter().position(|letter| *letter == character).and_then(|at| u8::try_from(at).ok())
}

pub(super) fn check_letter(text: &[u8; 16]) -> char {
    let mut sum = 0u32;
    for (at, character) in text.iter().take(15).enumerate() {
        let rank = match character {
            b'0'..=b'9' => character - b'0',
            other => other.saturating_sub(b'A'),
        };
        // Places count from 1: the first is odd.
        let odd = at % 2 == 0;
        let counts = if odd { ODD.get(usize::from(rank)).copied().unwrap_or(0) } else { rank };
        sum += u32::from(counts);
    }
    char::from_u32(u32::from(b'A') + sum % 26).unwrap_or('A')
}

/// A provisional code: 11 digits that satisfy the Luhn formula.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProvisionalCode([u8; 11]);

impl ProvisionalCode {
    /// Reads a provisional code.
    ///
    /// # Errors
    /// [`CodiceFiscaleFault`]
    pub fn parse(text: &str) -> Result<ProvisionalCode, CodiceFiscaleFault> {
        let digits: [u8; 11] = text.as_bytes().try_into().map_err(|_| CodiceFiscaleFault::Length)?;
        if let Some(place) = digits.iter().position(|digit| !digit.is_ascii_digit()) {
            return Err(CodiceFiscaleFault::Character(place + 1));
        }
        let mut sum = 0u32;
        for (at, digit) in digits.iter().enumerate() {
            let digit = u32::from(digit - b'0');
            sum += if at % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 };
        }
        if sum.is_multiple_of(10) { Ok(ProvisionalCode(digits)) } else { Err(CodiceFiscaleFault::CheckDigit) }
    }

    /// The code as it was written.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Shows no digit of the code: it names a person.
impl std::fmt::Debug for ProvisionalCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProvisionalCode(…)")
    }
}

/// A codice fiscale of either form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TaxCode {
    /// 16 characters.
    Person(CodiceFiscale),
    /// 11 digits.
    Provisional(ProvisionalCode),
}

impl TaxCode {
    /// Reads either form.
    ///
    /// # Errors
    /// [`CodiceFiscaleFault`]
    pub fn parse(text: &str) -> Result<TaxCode, CodiceFiscaleFault> {
        match text.len() {
            11 => ProvisionalCode::parse(text).map(TaxCode::Provisional),
            _ => CodiceFiscale::parse(text).map(TaxCode::Person),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn births(code: &str) -> Vec<String> {
        CodiceFiscale::parse(code).unwrap().possible_births().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_codes_hold_and_tell_their_parts() {
        let rossi = CodiceFiscale::parse("RSSMRA71E01F205E").unwrap();
        assert!(rossi.check_letter_holds());
        assert_eq!((rossi.surname_letters(), rossi.name_letters()), ("RSS", "MRA"));
        assert_eq!((rossi.year_of_century(), rossi.sex(), rossi.place()), (71, Sex::Male, "F205"));
        assert_eq!(births("RSSMRA71E01F205E"), ["1971-05-01", "2071-05-01"]);
        let woman = CodiceFiscale::parse("GTWGWY82B42G920M").unwrap();
        assert!(woman.check_letter_holds());
        assert_eq!(woman.sex(), Sex::Female);
        assert_eq!(births("GTWGWY82B42G920M"), ["1982-02-02", "2082-02-02"]);
    }

    #[test]
    fn a_wrong_check_letter_is_told_apart_from_a_wrong_shape() {
        let verdi = CodiceFiscale::parse("VRDMRC67T20I257E").unwrap();
        assert!(!verdi.check_letter_holds());
        assert_ne!(verdi.expected_check_letter(), 'E');
    }

    #[test]
    fn shapes_that_are_wrong_say_where() {
        use CodiceFiscaleFault::*;
        for (text, fault) in [
            ("", Length),
            ("RSSMRA71E01F205", Length),
            ("RSSMRA71E01F205EE", Length),
            ("rSSMRA71E01F205E", Character(1)),
            ("RSSMRA7AE01F205E", Character(8)),
            ("RSSMRA71E01F2051", Character(16)),
            ("RSSMRA71F01F205E", Month),
            ("RSSMRA71E00F205E", Day),
            ("RSSMRA71E40F205E", Day),
            ("RSSMRA71E72F205E", Day),
            ("RSSMRA71D31F205E", Day),
            ("RSSMRA71B30F205E", Day),
        ] {
            assert_eq!(CodiceFiscale::parse(text).unwrap_err(), fault, "{text}");
        }
    }

    #[test]
    fn a_leap_day_fixes_the_century() {
        assert_eq!(births("RSSMRA00B29F205X"), ["2000-02-29"]);
        assert_eq!(births("RSSMRA04B29F205X"), ["1904-02-29", "2004-02-29"]);
    }

    #[test]
    fn omocodia_is_read_and_undone() {
        let last = CodiceFiscale::parse("RSSMRA71E01F20RX").unwrap();
        assert!(last.is_omocodia());
        assert_eq!(last.place(), "F205");
        assert_eq!(last.without_omocodia(), "RSSMRA71E01F205E");
        let all = CodiceFiscale::parse("RSSMRATMELMFNLRX").unwrap();
        assert_eq!(all.without_omocodia(), "RSSMRA71E01F205E");
        assert_eq!(CodiceFiscale::parse("RSSMRA71E01F205E").unwrap().without_omocodia(), "RSSMRA71E01F205E");
    }

    #[test]
    fn provisional_codes_satisfy_luhn() {
        assert!(matches!(TaxCode::parse("00743110157"), Ok(TaxCode::Provisional(_))));
        assert_eq!(TaxCode::parse("00743110158"), Err(CodiceFiscaleFault::CheckDigit));
        assert_eq!(TaxCode::parse("0074311015A"), Err(CodiceFiscaleFault::Character(11)));
        assert_eq!(TaxCode::parse("RSSMRA71E0"), Err(CodiceFiscaleFault::Length));
        assert!(matches!(TaxCode::parse("RSSMRA71E01F205E"), Ok(TaxCode::Person(_))));
    }

    #[test]
    fn a_code_is_never_shown_by_accident() {
        let code = TaxCode::parse("RSSMRA71E01F205E").unwrap();
        assert!(!format!("{code:?}").contains("RSS"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,20}") {
            let _ = TaxCode::parse(&text);
        }

        #[test]
        fn of_ten_last_digits_exactly_one_fits(first in "[0-9]{10}") {
            let fits = (0..10).filter(|last| ProvisionalCode::parse(&format!("{first}{last}")).is_ok());
            prop_assert_eq!(fits.count(), 1);
        }

        /// The Luhn formula finds each wrong digit, and neighbours that changed places but for 0 and 9.
        #[test]
        fn a_slip_in_a_provisional_code_is_found(first in "[0-9]{10}", at in 0usize..11, other in 0u8..10) {
            let right = (0..10).map(|last| format!("{first}{last}")).find(|it| ProvisionalCode::parse(it).is_ok()).unwrap();
            let mut wrong = right.clone().into_bytes();
            wrong[at] = b'0' + other;
            let wrong = String::from_utf8(wrong).unwrap();
            prop_assert_eq!(ProvisionalCode::parse(&wrong).is_ok(), wrong == right);
            if at < 10 {
                let mut swapped = right.clone().into_bytes();
                swapped.swap(at, at + 1);
                let pair = [swapped[at], swapped[at + 1]];
                let blind = pair[0] == pair[1] || pair == *b"09" || pair == *b"90";
                let swapped = String::from_utf8(swapped).unwrap();
                prop_assert_eq!(ProvisionalCode::parse(&swapped).is_ok(), blind);
            }
        }

        #[test]
        fn one_changed_character_breaks_the_check_or_the_shape(at in 0usize..15, letter in "[A-Z0-9]") {
            let mut text = "RSSMRA71E01F205E".to_owned();
            let before = text[at..=at].to_owned();
            text.replace_range(at..=at, &letter);
            if letter != before {
                prop_assert!(!CodiceFiscale::parse(&text).is_ok_and(|code| code.check_letter_holds()) );
            }
        }
    }
}
