//! `integer`, `unsignedInt`, `positiveInt` and `decimal` (FHIR R4 §2.24.0.1).
//!
//! A decimal is never turned into a binary fraction: its digits say how precise it is (1.50 is not 1.5).

use super::{Primitive, PrimitiveError};

/// Checks a whole number of at least `least` and at most 2147483647.
pub(super) fn integer(primitive: Primitive, text: &str, least: i64) -> Result<(), PrimitiveError> {
    let grammar = PrimitiveError::Grammar(primitive);
    let bytes = text.as_bytes();
    let (negative, digits) = match bytes.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, bytes),
    };
    let signed = digits.len() != bytes.len();
    match digits {
        [] => return Err(if text.is_empty() { PrimitiveError::Empty } else { grammar }),
        [b'0'] if signed => return Err(grammar),
        [b'0', _, ..] => return Err(grammar),
        _ => {}
    }
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(grammar);
    }
    if digits.len() > 10 {
        return Err(PrimitiveError::OutOfRange(primitive));
    }
    let size = digits.iter().fold(0, |value: i64, &digit| value * 10 + i64::from(digit - b'0'));
    let value = if negative { -size } else { size };
    if value < least || value > i64::from(i32::MAX) {
        return Err(PrimitiveError::OutOfRange(primitive));
    }
    Ok(())
}

/// Checks a decimal: `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`.
pub(super) fn decimal(text: &str) -> Result<(), PrimitiveError> {
    match decimal_parts(text) {
        Some(_) => Ok(()),
        None if text.is_empty() => Err(PrimitiveError::Empty),
        None => Err(PrimitiveError::Grammar(Primitive::Decimal)),
    }
}

/// A decimal taken apart, digit for digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecimalParts<'a> {
    /// Written with a minus sign.
    pub negative: bool,
    /// The digits before the point, at least one.
    pub whole: &'a str,
    /// The digits after the point, perhaps none. Their number is the value's precision.
    pub fraction: &'a str,
    /// What follows `e` or `E`, with its sign; empty where there is no exponent.
    pub exponent: &'a str,
}

/// Takes a decimal apart, or gives `None` where the text is not one.
pub fn decimal_parts(text: &str) -> Option<DecimalParts<'_>> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, mut rest) = unsigned.split_at_checked(digits(unsigned))?;
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
        return None;
    }
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        (fraction, rest) = after.split_at_checked(digits(after))?;
        if fraction.is_empty() {
            return None;
        }
    }
    let mut exponent = "";
    if let Some(after) = rest.strip_prefix(['e', 'E']) {
        let bare = after.strip_prefix(['+', '-']).unwrap_or(after);
        if bare.is_empty() || digits(bare) != bare.len() {
            return None;
        }
        (exponent, rest) = (after, "");
    }
    rest.is_empty().then_some(DecimalParts {
        negative: unsigned.len() != text.len(),
        whole,
        fraction,
        exponent,
    })
}
