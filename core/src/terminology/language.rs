//! Language tags (BCP 47: RFC 5646), system `urn:ietf:bcp:47`.
//!
//! A tag is a member where it is well-formed and its language and region are registered. Scripts, variants
//! and extensions are taken by their form: those that aren't registered are not noticed.

use fhir_models::definition::Membership;

use super::country;

const LANGUAGES: &str = include_str!("data/languages.txt");

/// Tags from before the registry (RFC 5646 §2.2.8) that the grammar does not give.
const GRANDFATHERED: &[&str] = &[
    "en-gb-oed",
    "i-ami",
    "i-bnn",
    "i-default",
    "i-enochian",
    "i-hak",
    "i-klingon",
    "i-lux",
    "i-mingo",
    "i-navajo",
    "i-pwn",
    "i-tao",
    "i-tay",
    "i-tsu",
    "sgn-be-fr",
    "sgn-be-nl",
    "sgn-ch-de",
];

/// Languages that extended ones are registered for. RFC 5646 §2.2.2 allows one.
const EXTENDED: &[&str] = &["ar", "kok", "lv", "ms", "sgn", "sw", "uz", "zh"];

/// Groups of countries that may stand as a region (UN M.49).
const GROUPS: &[&str] = &[
    "001", "002", "003", "005", "009", "011", "013", "014", "015", "017", "018", "019", "021", "029", "030",
    "034", "035", "039", "053", "054", "057", "061", "142", "143", "145", "150", "151", "154", "155", "202",
    "419",
];

/// Longest tag that is looked at.
const LONGEST: usize = 100;

/// Whether a tag is one.
pub(super) fn membership(tag: &str) -> Membership {
    if tag.len() > LONGEST || !tag.is_ascii() {
        return Membership::NotMember;
    }
    let lower = tag.to_ascii_lowercase();
    if GRANDFATHERED.contains(&lower.as_str()) {
        return Membership::Member;
    }
    if is_tag(&lower) { Membership::Member } else { Membership::NotMember }
}

/// `langtag` and `privateuse` of RFC 5646 §2.1, in lower case.
fn is_tag(tag: &str) -> bool {
    let mut parts = tag.split('-').peekable();
    let letters = |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase());
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let Some(first) = parts.next() else { return false };
    if first != "x" {
        if !letters(first) || !is_language(first) {
            return false;
        }
        let extended = parts.next_if(|part| part.len() == 3 && letters(part));
        if extended.is_some_and(|part| !EXTENDED.contains(&first) || !is_language(part)) {
            return false;
        }
        let _script = parts.next_if(|part| part.len() == 4 && letters(part));
        let region = parts.next_if(|part| {
            (part.len() == 2 && letters(part))
                || (part.len() == 3 && part.bytes().all(|it| it.is_ascii_digit()))
        });
        if region.is_some_and(|region| !is_region(region)) {
            return false;
        }
        let mut variants = Vec::new();
        while let Some(variant) = parts.next_if(|part| {
            plain(part)
                && ((5..=8).contains(&part.len())
                    || (part.len() == 4 && part.starts_with(|first: char| first.is_ascii_digit())))
        }) {
            if variants.contains(&variant) {
                return false;
            }
            variants.push(variant);
        }
        let mut singletons = Vec::new();
        while let Some(singleton) = parts.next_if(|part| part.len() == 1 && plain(part) && *part != "x") {
            if singletons.contains(&singleton) {
                return false;
            }
            singletons.push(singleton);
            let mut some = false;
            while parts.next_if(|part| (2..=8).contains(&part.len()) && plain(part)).is_some() {
                some = true;
            }
            if !some {
                return false;
            }
        }
        match parts.next() {
            None => return true,
            Some("x") => {}
            Some(_) => return false,
        }
    }
    let private: Vec<&str> = parts.collect();
    !private.is_empty() && private.iter().all(|part| (1..=8).contains(&part.len()) && plain(part))
}

/// A registered language or extended language; `qaa` to `qtz` are for private use.
fn is_language(subtag: &str) -> bool {
    let mut lines = LANGUAGES.lines();
    let two = lines.next().unwrap_or_default();
    match (subtag.len(), subtag.get(..2), subtag.get(2..)) {
        (2, ..) => two.split(' ').any(|known| known == subtag),
        (3, Some(start), Some(last)) => {
            ("qa".."qu").contains(&start)
                || lines
                    .find_map(|line| line.strip_prefix(start)?.strip_prefix(' '))
                    .is_some_and(|thirds| thirds.contains(last))
        }
        _ => false,
    }
}

fn is_region(subtag: &str) -> bool {
    let upper = subtag.to_ascii_uppercase();
    // Regions stay registered when ISO 3166 withdraws or only reserves them.
    GROUPS.contains(&subtag) || country::membership(&upper) != Membership::NotMember && upper.len() == 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tags_that_are() {
        for tag in [
            "it",
            "en-GB",
            "zh-Hant-TW",
            "es-419",
            "de-CH-1901",
            "sl-rozaj-biske",
            "sr-Latn-RS",
            "zh-cmn-Hans",
            "nds",
            "en-x-pirate",
            "x-whatever",
            "de-DE-u-co-phonebk",
            "i-klingon",
            "sgn-BE-FR",
            "qaa-Qaaa-QM",
            "IT-it",
            "iw",
            "sq-XK",
            "en-UK",
            "de-DD",
        ] {
            assert_eq!(membership(tag), Membership::Member, "{tag}");
        }
    }

    #[test]
    fn tags_that_are_not() {
        for tag in [
            "",
            "-",
            "xx",
            "e",
            "italiano",
            "en_US",
            "en-",
            "en-USA",
            "en-XX-YY",
            "it-IT-IT",
            "de-419-DE",
            "a-DE",
            "en-u",
            "de-1901-1901",
            "x",
            "x-",
            "zzz",
            "en-a-bbb-a-ccc",
            "en us",
            "ita-999",
            "è",
        ] {
            assert_eq!(membership(tag), Membership::NotMember, "{tag}");
        }
    }

    #[test]
    fn every_line_of_the_table_can_be_found() {
        let mut count = 0;
        for line in LANGUAGES.lines().skip(1) {
            let (start, thirds) = line.split_once(' ').unwrap_or_default();
            for last in thirds.chars() {
                assert!(is_language(&format!("{start}{last}")), "{start}{last}");
                count += 1;
            }
        }
        assert!(count > 8_000);
    }

    proptest! {
        #[test]
        fn no_text_upsets_the_reader(tag in "\\PC{0,40}|[a-zA-Z0-9-]{0,60}") {
            let _ = membership(&tag);
        }
    }
}
