//! Names made comparable, and how alike two of them are.
//!
//! Accents, apostrophes, spaces and capitals differ between registries (`Nicolò`, `NICOLO'`, `De Santis`,
//! `DESANTIS`): what is compared are the letters alone. Likeness is the measure of Jaro and Winkler.

/// Longest name compared, in letters.
const LONGEST: usize = 64;

/// The letters of a name: unaccented capitals, nothing else but letters of other scripts.
pub(in crate::identity) fn letters(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for letter in name.chars().filter(|letter| letter.is_alphanumeric()).take(LONGEST) {
        match plain(letter) {
            Some(text) => out.push_str(text),
            None => out.extend(letter.to_uppercase()),
        }
    }
    out
}

/// The letters of ISO 8859-1 and of the Latin alphabets of Europe, without their marks.
pub(crate) fn plain(letter: char) -> Option<&'static str> {
    Some(match letter {
        'À'..='Å' | 'à'..='å' | 'Ā'..='ą' => "A",
        'Æ' | 'æ' => "AE",
        'Ç' | 'ç' | 'Ć'..='č' => "C",
        'Ď'..='đ' | 'Ð' | 'ð' => "D",
        'È'..='Ë' | 'è'..='ë' | 'Ē'..='ě' => "E",
        'Ĝ'..='ģ' => "G",
        'Ĥ'..='ħ' => "H",
        'Ì'..='Ï' | 'ì'..='ï' | 'Ĩ'..='ı' => "I",
        'Ĵ' | 'ĵ' => "J",
        'Ķ'..='ĸ' => "K",
        'Ĺ'..='ł' => "L",
        'Ñ' | 'ñ' | 'Ń'..='ŋ' => "N",
        'Ò'..='Ö' | 'Ø' | 'ò'..='ö' | 'ø' | 'Ō'..='ő' => "O",
        'Œ' | 'œ' => "OE",
        'Ŕ'..='ř' => "R",
        'Ś'..='š' | 'Ș' | 'ș' => "S",
        'ß' => "SS",
        'Ţ'..='ŧ' | 'Ț' | 'ț' => "T",
        'Þ' | 'þ' => "TH",
        'Ù'..='Ü' | 'ù'..='ü' | 'Ũ'..='ų' => "U",
        'Ŵ' | 'ŵ' => "W",
        'Ý' | 'ý' | 'ÿ' | 'Ŷ'..='Ÿ' => "Y",
        'Ź'..='ž' => "Z",
        _ => return None,
    })
}

/// How alike two names are: 1 for the same letters, 0 for nothing in common.
pub(super) fn likeness(one: &str, other: &str) -> f64 {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let jaro = jaro(&one, &other);
    let prefix = one.iter().zip(&other).take(4).take_while(|(a, b)| a == b).count();
    jaro + small(prefix) * 0.1 * (1.0 - jaro)
}

fn jaro(one: &[char], other: &[char]) -> f64 {
    if one.is_empty() || other.is_empty() {
        return 0.0;
    }
    let reach = (one.len().max(other.len()) / 2).saturating_sub(1);
    let mut taken = vec![false; other.len()];
    let mut matched = Vec::new();
    for (at, letter) in one.iter().enumerate() {
        let window = at.saturating_sub(reach)..(at + reach + 1).min(other.len());
        let found = window.clone().find(|&index| !taken[index] && other[index] == *letter);
        if let Some(index) = found {
            taken[index] = true;
            matched.push(*letter);
        }
    }
    if matched.is_empty() {
        return 0.0;
    }
    let theirs = other.iter().zip(&taken).filter(|(_, taken)| **taken).map(|(letter, _)| letter);
    let displaced = matched.iter().zip(theirs).filter(|(a, b)| a != b).count();
    let count = small(matched.len());
    (count / small(one.len()) + count / small(other.len()) + (count - small(displaced) / 2.0) / count) / 3.0
}

/// A count of letters as a number: names are short.
fn small(count: usize) -> f64 {
    f64::from(u16::try_from(count).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_have_the_same_letters() {
        assert_eq!(letters("Nicolò"), letters("NICOLO'"));
        assert_eq!(letters("D'Agostino"), letters("d\u{2019}agostino"));
        assert_eq!(letters("De Santis"), letters("DESANTIS"));
        assert_eq!(letters("Müller-Groß"), "MULLERGROSS");
        assert_eq!(letters("Łukasz Żak"), "LUKASZZAK");
    }

    #[test]
    fn likeness_is_that_of_the_literature() {
        let near = |one: &str, other: &str, expected: f64| {
            let measured = likeness(one, other);
            assert!((measured - expected).abs() < 0.001, "{one} {other}: {measured}");
        };
        near("MARTHA", "MARHTA", 0.961);
        near("DIXON", "DICKSONX", 0.813);
        near("DWAYNE", "DUANE", 0.840);
        near("ROSSI", "ROSSI", 1.0);
        near("ROSSI", "", 0.0);
        near("ABC", "XYZ", 0.0);
    }
}
