//! Units of measure (UCUM, case-sensitive), system `http://unitsofmeasure.org`.
//!
//! The grammar of UCUM §2 over its table of unit atoms and prefixes: an expression is a unit or it is none.
//! What a unit measures is the business of [`crate::fhirpath`]'s conversions.

use std::collections::HashMap;
use std::sync::LazyLock;

use fhir_models::definition::Membership;

use crate::fhirpath;

const ATOMS: &str = include_str!("data/ucum.txt");

const PREFIXES: &[&str] = &[
    "Y", "Z", "E", "P", "T", "G", "M", "k", "h", "da", "d", "c", "m", "u", "n", "p", "f", "a", "z", "y",
    "Ki", "Mi", "Gi", "Ti",
];

/// Longest unit expression, in bytes.
const LONGEST: usize = 256;
/// Deepest nesting of parentheses.
const DEEPEST: usize = 16;

/// Whether an expression is a unit.
pub(super) fn membership(code: &str) -> Membership {
    if code.len() > LONGEST {
        return Membership::Unknown;
    }
    let mut reader = Reader { text: code.as_bytes(), at: 0 };
    if !reader.main_term() || reader.at != code.len() {
        Membership::NotMember
    } else if code.bytes().all(|byte| byte.is_ascii_graphic()) {
        Membership::Member
    } else {
        // UCUM §2 has no spaces, nor letters beyond ASCII; those in annotations mean nothing and are common.
        Membership::Unknown
    }
}

/// Whether a unit measures the same as another (`canonical` in a filter of a value set).
pub(super) fn measures_as(code: &str, other: &str) -> Membership {
    match fhirpath::commensurable(code, other) {
        Some(true) => Membership::Member,
        Some(false) => Membership::NotMember,
        None if membership(code) == Membership::NotMember => Membership::NotMember,
        None => Membership::Unknown,
    }
}

/// Atoms, and whether they take prefixes.
static KNOWN: LazyLock<HashMap<&str, bool>> = LazyLock::new(|| {
    let lines = ATOMS.lines().zip([true, false]);
    lines.flat_map(|(line, metric)| line.split(' ').map(move |atom| (atom, metric))).collect()
});

fn is_symbol(text: &str) -> bool {
    if KNOWN.contains_key(text) {
        return true;
    }
    let metric = |atom: &str| KNOWN.get(atom) == Some(&true);
    PREFIXES.iter().any(|prefix| text.strip_prefix(prefix).is_some_and(metric))
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// `"/" term | term`
    fn main_term(&mut self) -> bool {
        self.take(b'/');
        self.term(0)
    }

    /// `component (("." | "/") component)*`
    fn term(&mut self, depth: usize) -> bool {
        if depth > DEEPEST {
            return false;
        }
        loop {
            if !self.component(depth) {
                return false;
            }
            if !self.take(b'.') && !self.take(b'/') {
                return true;
            }
        }
    }

    /// `simple annotation | simple | annotation | factor | "(" term ")"`
    fn component(&mut self, depth: usize) -> bool {
        if self.take(b'(') {
            self.take(b'/');
            return self.term(depth + 1) && self.take(b')') && self.annotation_or_nothing();
        }
        if self.peek() == Some(b'{') {
            return self.annotation_or_nothing();
        }
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        let factor = self.at > start;
        let powered =
            matches!(self.peek(), Some(b'*' | b'^')) && self.text.get(start..self.at) == Some(b"10");
        if factor && !powered {
            return self.annotation_or_nothing();
        }
        if powered {
            self.at += 1;
            self.exponent();
            return self.annotation_or_nothing();
        }
        self.symbol() && self.annotation_or_nothing()
    }

    /// A prefix and an atom with an exponent. Brackets hold anything but brackets.
    fn symbol(&mut self) -> bool {
        let start = self.at;
        let mut inside = false;
        while let Some(byte) = self.peek() {
            match byte {
                b'[' if !inside => inside = true,
                b']' if inside => inside = false,
                _ if inside => {}
                b'.' | b'/' | b'(' | b')' | b'{' | b'}' | b'+' | b'-' | b'0'..=b'9' => break,
                _ => {}
            }
            self.at += 1;
        }
        let symbol = self.text.get(start..self.at).and_then(|it| std::str::from_utf8(it).ok());
        let known = !inside && symbol.is_some_and(is_symbol);
        known && {
            self.exponent();
            true
        }
    }

    fn exponent(&mut self) {
        let start = self.at;
        if matches!(self.peek(), Some(b'+' | b'-')) {
            self.at += 1;
        }
        let digits = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == digits {
            // A sign alone is no exponent; what follows can't be read then.
            self.at = start;
        }
    }

    fn annotation_or_nothing(&mut self) -> bool {
        if !self.take(b'{') {
            return true;
        }
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'}' => return true,
                b'{' => return false,
                _ => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units() {
        for code in [
            "mg/dL",
            "mm[Hg]",
            "10*3/uL",
            "10^9/L",
            "/min",
            "{score}",
            "kg.m/s2",
            "[degF]",
            "Cel",
            "%",
            "m2",
            "mmol/L{dry}",
            "[arb'U]/mL",
            "mL/(min.{1.73_m2})",
            "mL/min/1.73.m2",
            "1",
            "{beats}/min",
            "10*-3",
            "ug/(kg.h)",
            "a",
            "mo",
            "wk",
            "d",
            "KiBy",
            "[pH]",
            "B[10.nV]",
            "s-1",
            "(/min)",
            "[CFU]/mL",
        ] {
            assert_eq!(membership(code), Membership::Member, "{code}");
        }
    }

    #[test]
    fn no_units() {
        for code in [
            "",
            "mgs",
            "mg per dL",
            "mmHg",
            "C ",
            "mg//dL",
            "(mg",
            "{score",
            "1.5 mg",
            "kwk",
            "years",
            "[degC]",
            "m+",
            "°C",
            "{a{b}}",
            ".",
            "mg)",
            "iu/L",
        ] {
            assert_eq!(membership(code), Membership::NotMember, "{code}");
        }
        assert_eq!(membership("/min{per minute}"), Membership::Unknown);
    }

    #[test]
    fn what_a_unit_measures() {
        assert_eq!(measures_as("cm", "m"), Membership::Member);
        assert_eq!(measures_as("mo", "a"), Membership::Member);
        assert_eq!(measures_as("kg", "m"), Membership::NotMember);
        assert_eq!(measures_as("mgs", "m"), Membership::NotMember);
    }

    proptest! {
        #[test]
        fn no_text_upsets_the_reader(text in "\\PC{0,30}|[a-zA-Z0-9./(){}\\[\\]*^+-]{0,60}") {
            let _ = membership(&text);
        }
    }
}
