//! Units by UCUM's grammar: what they are made of, and how one converts into another.
//!
//! A unit expression becomes a size (an exact ratio with a power of ten, where there is one) and its
//! dimensions. Two units are commensurable where the dimensions agree. Temperatures other than Kelvin,
//! logarithms and other scales that are not ratios convert to nothing but themselves (FHIRPath §Unit
//! Conversions).

use std::cmp::Ordering;

use super::decimal::Decimal;
use super::unit_table::{PREFIXES, Size, UNITS, Unit};

/// Longest unit expression.
const LONGEST: usize = 128;
/// Deepest nesting of parentheses and of definitions.
const DEEPEST: u8 = 12;

/// A unit's size in base units, and its dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitSize {
    /// The exact size: numerator, denominator, power of ten. `None` where it has no such form.
    exact: Option<(i128, i128, i32)>,
    /// The size as a binary fraction.
    about: f64,
    /// Base or arbitrary units by their number in the table, with exponents; sorted, none zero.
    dimensions: Vec<(u16, i32)>,
}

impl UnitSize {
    fn one() -> UnitSize {
        UnitSize { exact: Some((1, 1, 0)), about: 1.0, dimensions: Vec::new() }
    }

    fn number(text: &str) -> Option<UnitSize> {
        let decimal = Decimal::parse(text)?.normalized();
        let (mantissa, power) = stripped(decimal.mantissa(), -i32::from(decimal.scale()));
        Some(UnitSize { exact: Some((mantissa, 1, power)), about: text.parse().ok()?, ..UnitSize::one() })
    }

    fn times(mut self, other: &UnitSize, sign: i32) -> UnitSize {
        self.exact = product(self.exact, other.exact, sign);
        self.about *= other.about.powi(sign);
        for &(base, exponent) in &other.dimensions {
            match self.dimensions.iter_mut().find(|(own, _)| *own == base) {
                Some((_, own)) => *own += exponent * sign,
                None => self.dimensions.push((base, exponent * sign)),
            }
        }
        self.dimensions.retain(|(_, exponent)| *exponent != 0);
        self.dimensions.sort_unstable();
        self
    }

    fn power(&self, exponent: i32) -> UnitSize {
        let sign = exponent.signum();
        (0..exponent.abs()).fold(UnitSize::one(), |size, _| size.times(self, sign))
    }
}

type Ratio = (i128, i128, i32);

fn product(left: Option<Ratio>, right: Option<Ratio>, sign: i32) -> Option<Ratio> {
    let ((n, d, e), (on, od, oe)) = (left?, right?);
    let (on, od, oe) = if sign < 0 { (od, on, -oe) } else { (on, od, oe) };
    // Crosswise first: what cancels never overflows.
    let (n, od) = reduced(n, od);
    let (on, d) = reduced(on, d);
    let (n, up) = stripped(n.checked_mul(on)?, 0);
    let (d, down) = stripped(d.checked_mul(od)?, 0);
    Some((n, d, e + oe + up - down))
}

fn reduced(left: i128, right: i128) -> (i128, i128) {
    let (mut a, mut b) = (left.unsigned_abs(), right.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    match i128::try_from(a) {
        Ok(common) if common > 1 => (left / common, right / common),
        _ => (left, right),
    }
}

/// Moves zeros at the end of a number into the power of ten.
fn stripped(mut mantissa: i128, mut power: i32) -> (i128, i32) {
    while mantissa != 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        power += 1;
    }
    (mantissa, power)
}

/// The size of a unit expression; `None` where the grammar, a code or a scale can't be converted.
pub fn size_of(code: &str) -> Option<UnitSize> {
    if code.is_empty() || code.len() > LONGEST || !code.is_ascii() {
        return None;
    }
    let mut reader = Reader { text: code.as_bytes(), at: 0, depth: 0 };
    let size = reader.term()?;
    (reader.at == code.len()).then_some(size)
}

/// `value` in unit `from`, as a number of unit `to`.
pub fn convert(value: Decimal, from: &str, to: &str) -> Option<Decimal> {
    if from == to {
        return Some(value);
    }
    let (from, to) = (size_of(from)?, size_of(to)?);
    if from.dimensions != to.dimensions {
        return None;
    }
    let Some((numerator, denominator, power)) = product(from.exact, to.exact, -1) else {
        return Decimal::from_f64(value.to_f64() * from.about / to.about)?.rounded(15);
    };
    let mut converted = value.times(Decimal::new(numerator, 0)?)?;
    let shift = Decimal::new(10, 0)?.power(power.unsigned_abs())?;
    if power > 0 {
        converted = converted.times(shift)?;
    }
    let divisor = Decimal::new(denominator, 0)?;
    let divisor = if power < 0 { divisor.times(shift)? } else { divisor };
    converted.divided_by(divisor)
}

/// Compares two amounts; `None` where the units are not commensurable.
pub fn compare(left: Decimal, left_unit: &str, right: Decimal, right_unit: &str) -> Option<Ordering> {
    if left_unit == right_unit {
        return Some(left.cmp(&right));
    }
    let (a, b) = (size_of(left_unit)?, size_of(right_unit)?);
    if a.dimensions != b.dimensions {
        return None;
    }
    if let Some((numerator, denominator, power)) = product(a.exact, b.exact, -1) {
        let scaled = || {
            let shift = Decimal::new(10, 0)?.power(power.unsigned_abs())?;
            let mut left = left.times(Decimal::new(numerator, 0)?)?;
            let mut right = right.times(Decimal::new(denominator, 0)?)?;
            if power > 0 {
                left = left.times(shift)?;
            } else {
                right = right.times(shift)?;
            }
            Some(left.cmp(&right))
        };
        if let Some(order) = scaled() {
            return Some(order);
        }
    }
    let (left, right) = (left.to_f64() * a.about, right.to_f64() * b.about);
    let same = (left - right).abs() <= 1e-12 * left.abs().max(right.abs());
    if same { Some(Ordering::Equal) } else { left.partial_cmp(&right) }
}

/// Whether two units measure the same; `None` where one is not of the table, or no ratio.
pub(crate) fn commensurable(left: &str, right: &str) -> Option<bool> {
    Some(size_of(left)?.dimensions == size_of(right)?.dimensions)
}

/// True where one of the first unit is more than one of the second.
pub fn is_coarser(left: &str, right: &str) -> bool {
    matches!((size_of(left), size_of(right)), (Some(l), Some(r)) if l.about > r.about)
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    depth: u8,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// `/? component ((. | /) component)*`
    fn term(&mut self) -> Option<UnitSize> {
        self.depth = self.depth.checked_add(1).filter(|depth| *depth <= DEEPEST)?;
        let mut sign = if self.take(b'/') { -1 } else { 1 };
        let mut size = UnitSize::one();
        loop {
            let component = self.component()?;
            size = size.times(&component, sign);
            sign = match self.peek() {
                Some(b'.') => 1,
                Some(b'/') => -1,
                _ => break,
            };
            self.at += 1;
        }
        self.depth -= 1;
        Some(size)
    }

    fn component(&mut self) -> Option<UnitSize> {
        let size = if self.take(b'(') {
            let inner = self.term()?;
            self.take(b')').then_some(inner)?
        } else if self.peek() == Some(b'{') {
            UnitSize::one()
        } else {
            self.simple()?
        };
        if self.take(b'{') {
            let length = self.text.get(self.at..)?.iter().position(|&byte| byte == b'}')?;
            self.at += length + 1;
        }
        Some(size)
    }

    /// A whole number, or a unit with prefix and exponent.
    fn simple(&mut self) -> Option<UnitSize> {
        let symbol = self.symbol()?;
        if symbol.bytes().all(|byte| byte.is_ascii_digit()) {
            return UnitSize::number(symbol);
        }
        let exponent = self.exponent()?;
        let size = self.unit(symbol)?;
        Some(size.power(exponent))
    }

    /// Characters up to an exponent, an operator, a bracket or an annotation; brackets within `[ ]` count.
    fn symbol(&mut self) -> Option<&'t str> {
        let start = self.at;
        let rest = self.text.get(start..)?;
        if rest.starts_with(b"10*") || rest.starts_with(b"10^") {
            self.at += 3;
            return std::str::from_utf8(rest.get(..3)?).ok();
        }
        let number = rest.first()?.is_ascii_digit();
        let mut bracketed = false;
        while let Some(byte) = self.peek() {
            let inside = match byte {
                b'[' => {
                    bracketed = true;
                    true
                }
                b']' => std::mem::replace(&mut bracketed, false),
                _ if bracketed => true,
                b'.' | b'/' | b'(' | b')' | b'{' | b'}' | b'+' | b'-' => false,
                b'0'..=b'9' => number,
                _ => !number,
            };
            if !inside {
                break;
            }
            self.at += 1;
        }
        let symbol = self.text.get(start..self.at)?;
        (!symbol.is_empty() && !bracketed).then(|| std::str::from_utf8(symbol).ok()).flatten()
    }

    fn exponent(&mut self) -> Option<i32> {
        let start = self.at;
        if matches!(self.peek(), Some(b'+' | b'-')) {
            self.at += 1;
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        match std::str::from_utf8(self.text.get(start..self.at)?).ok()? {
            "" => Some(1),
            digits => digits.parse().ok().filter(|exponent: &i32| exponent.abs() <= 30),
        }
    }
}

impl Reader<'_> {
    fn unit(&self, symbol: &str) -> Option<UnitSize> {
        if let Some(found) = UNITS.iter().position(|unit| unit.code == symbol) {
            return self.defined(found);
        }
        PREFIXES.iter().find_map(|&(prefix, power)| {
            let code = symbol.strip_prefix(prefix)?;
            let found = UNITS.iter().position(|unit| unit.metric && unit.code == code)?;
            let factor = UnitSize { exact: Some((1, 1, power)), about: 10f64.powi(power), ..UnitSize::one() };
            Some(self.defined(found)?.times(&factor, 1))
        })
    }

    fn defined(&self, number: usize) -> Option<UnitSize> {
        let unit: &Unit = UNITS.get(number)?;
        let base = || UnitSize {
            dimensions: vec![(u16::try_from(number).unwrap_or(u16::MAX), 1)],
            ..UnitSize::one()
        };
        let of = |unit: &str, factor: UnitSize| {
            let mut reader = Reader { text: unit.as_bytes(), at: 0, depth: self.depth };
            Some(reader.term()?.times(&factor, 1))
        };
        match unit.size {
            Size::Base | Size::Arbitrary => Some(base()),
            Size::Of(value, expression) => of(expression, UnitSize::number(value)?),
            Size::About(value, expression) => {
                of(expression, UnitSize { exact: None, about: value, ..UnitSize::one() })
            }
            Size::Special => None,
        }
    }
}

/// The unit of a product (`sign` 1) or quotient (`sign` -1), its factors gathered: `cm` and `cm` give `cm2`.
pub fn combined(left: &str, right: &str, sign: i32) -> String {
    let mut factors: Vec<(&str, i32)> = Vec::new();
    if !(gather(left, 1, &mut factors) && gather(right, sign, &mut factors)) {
        let operator = if sign > 0 { '.' } else { '/' };
        return format!("({left}){operator}({right})");
    }
    factors.retain(|(_, exponent)| *exponent != 0);
    let mut text = String::new();
    for (symbol, exponent) in factors.iter().filter(|(_, exponent)| *exponent > 0) {
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(symbol);
        if *exponent > 1 {
            text.push_str(&exponent.to_string());
        }
    }
    for (symbol, exponent) in factors.iter().filter(|(_, exponent)| *exponent < 0) {
        text.push('/');
        text.push_str(symbol);
        if *exponent < -1 {
            text.push_str(&(-exponent).to_string());
        }
    }
    if text.is_empty() { "1".to_owned() } else { text }
}

/// Adds the factors of a plain unit expression; false where it holds numbers, brackets or annotations.
fn gather<'t>(unit: &'t str, sign: i32, factors: &mut Vec<(&'t str, i32)>) -> bool {
    if unit == "1" {
        return true;
    }
    let mut reader = Reader { text: unit.as_bytes(), at: 0, depth: 0 };
    let mut direction = if reader.take(b'/') { -1 } else { 1 };
    loop {
        let start = reader.at;
        let Some(length) = reader.symbol().map(str::len) else { return false };
        let Some(symbol) = unit.get(start..start + length) else { return false };
        let Some(exponent) = reader.exponent() else { return false };
        if symbol.starts_with(|first: char| first.is_ascii_digit()) {
            return false;
        }
        let exponent = exponent * sign * direction;
        match factors.iter_mut().find(|(own, _)| *own == symbol) {
            Some((_, own)) => *own += exponent,
            None => factors.push((symbol, exponent)),
        }
        direction = match reader.peek() {
            None => return true,
            Some(b'.') => 1,
            Some(b'/') => -1,
            Some(_) => return false,
        };
        reader.at += 1;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn d(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    fn converted(value: &str, from: &str, to: &str) -> String {
        convert(d(value), from, to).map_or_else(|| "none".to_owned(), |value| value.to_string())
    }

    #[test]
    fn every_unit_of_the_table_has_a_size() {
        for (number, unit) in UNITS.iter().enumerate() {
            assert_eq!(size_of(unit.code).is_none(), matches!(unit.size, Size::Special), "{}", unit.code);
            assert_eq!(UNITS.iter().position(|other| other.code == unit.code), Some(number), "{}", unit.code);
        }
    }

    #[test]
    fn amounts_convert_exactly() {
        assert_eq!(converted("4", "g", "mg"), "4000");
        assert_eq!(converted("185", "[lb_av]", "kg"), "83.91458845");
        assert_eq!(converted("1", "[in_i]", "cm"), "2.54");
        assert_eq!(converted("1", "a", "d"), "365.25");
        assert_eq!(converted("52", "cm", "m"), "0.52");
        assert_eq!(converted("6.3", "mmol/L", "umol/dl"), "630.0");
        assert_eq!(converted("120", "mm[Hg]", "kPa"), "15.99864");
        assert_eq!(converted("1", "10*3/uL", "10*9/L"), "1");
        assert_eq!(converted("24", "m", "kg"), "none");
        assert_eq!(converted("23", "Cel", "[degF]"), "none");
        assert_eq!(converted("37", "Cel", "Cel"), "37");
        assert_eq!(converted("1", "[iU]/L", "k[IU]/L"), "0.001");
        assert_eq!(converted("180", "deg", "rad").get(..8), Some("3.141592"));
    }

    #[test]
    fn comparison_needs_common_dimensions() {
        assert_eq!(compare(d("4.0000"), "g", d("4000"), "mg"), Some(Ordering::Equal));
        assert_eq!(compare(d("1"), "mg/dL", d("1"), "mmol/L"), None);
        assert_eq!(compare(d("2"), "cm", d("1"), "[in_i]"), Some(Ordering::Less));
        assert_eq!(compare(d("1"), "cm", d("1"), "[s]"), None);
        assert_eq!(compare(d("1"), "{score}", d("1"), "1"), Some(Ordering::Equal));
    }

    #[test]
    fn products_and_quotients_gather_their_factors() {
        assert_eq!(combined("cm", "cm", 1), "cm2");
        assert_eq!(combined("m/s", "s", 1), "m");
        assert_eq!(combined("m", "m", -1), "1");
        assert_eq!(combined("1", "s", -1), "/s");
        assert_eq!(combined("g", "m", -1), "g/m");
        assert_eq!(combined("cm", "m", 1), "cm.m");
        assert_eq!(combined("/s", "m", 1), "m/s");
        assert_eq!(combined("mg{dry}", "s", -1), "(mg{dry})/(s)");
    }

    proptest! {
        #[test]
        fn no_text_upsets_the_reader(text in "\\PC{0,20}|[a-zA-Z0-9./(){}\\[\\]*^+-]{0,30}") {
            let _ = size_of(&text);
            let _ = combined(&text, "m", -1);
            let _ = combined("m/s2", &text, -1);
        }
    }
}
