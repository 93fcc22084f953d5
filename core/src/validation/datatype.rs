//! What a datatype's parts say of each other, beyond its invariants: the size of an attachment and its data, a unit
//! and its system, the points of sampled data, an expression and its language (FHIR R4 §2.24.0).
//!
//! Invariant: one look for a member decides whether there is anything to check.

use fhir_models::document::{Value, name};

use crate::fhirpath::{Expression, Options};
use crate::outcome::IssueType;

use super::coding;
use super::conformance::is_grammar;
use super::finding::Rule;
use super::walk::Walk;

/// A datatype with rules of this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Datatype {
    Attachment,
    Expression,
    Quantity,
    SampledData,
}

impl Datatype {
    /// The datatype of this name, where there are rules for it.
    pub fn of(name: &str) -> Option<Datatype> {
        Some(match name {
            "Attachment" => Datatype::Attachment,
            "Expression" => Datatype::Expression,
            "Quantity" | "Age" | "Count" | "Distance" | "Duration" => Datatype::Quantity,
            "SampledData" => Datatype::SampledData,
            _ => return None,
        })
    }
}

/// Checks a value of such a type.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, value: Value<'d>, datatype: Datatype) {
    match datatype {
        Datatype::Attachment => attachment(walk, value),
        Datatype::Expression => expression(walk, value),
        Datatype::Quantity => coding::unit(walk, value),
        Datatype::SampledData => points(walk, value),
    }
}

/// `size` counts the bytes of the data before they were written in base64.
fn attachment<'d>(walk: &mut Walk<'_, 'd>, value: Value<'d>) {
    let Some(place) = value.get_key("size") else { return };
    let (Some(size), Some(data)) = (place.as_number(), value.get(name::DATA).and_then(Value::as_str)) else {
        return;
    };
    let Some(actual) = decoded_length(&data) else { return };
    if size.parse::<usize>().is_ok_and(|size| size != actual) {
        let message =
            format!("size says {size} bytes, and the data has {actual}: size counts them before base64");
        walk.report(value, place, Rule::Resource.error(IssueType::Value, message));
    }
}

/// The number of bytes behind a text in base64; `None` for one that is broken.
fn decoded_length(text: &str) -> Option<usize> {
    let digits = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let (count, padding) = digits.fold((0usize, 0usize), |(count, padding), byte| match byte {
        b'=' => (count, padding + 1),
        _ => (count + 1, padding),
    });
    let whole = count.checked_add(padding)?;
    (whole % 4 == 0 && padding <= 2).then(|| whole / 4 * 3 - padding)
}

/// An expression that says it is FHIRPath keeps its grammar.
fn expression<'d>(walk: &mut Walk<'_, 'd>, value: Value<'d>) {
    if !value.get_key("language").is_some_and(|it| it.is_str("text/fhirpath")) {
        return;
    }
    let Some(place) = value.get(name::EXPRESSION) else { return };
    let Some(text) = place.as_str() else { return };
    let Err(error) = Expression::compile(&text, walk.types.model(), &Options::default()) else { return };
    if is_grammar(&error.fault) {
        let message = format!("this is not FHIRPath, which language says: {error}");
        walk.report(value, place, Rule::Resource.error(IssueType::Invalid, message));
    }
}

/// Points are decimals, or E (error), L (below the limit) or U (above it), with one space between.
fn points<'d>(walk: &mut Walk<'_, 'd>, value: Value<'d>) {
    let Some(place) = value.get(name::DATA) else { return };
    let Some(text) = place.as_str() else { return };
    if !text.split(' ').all(|point| matches!(point, "E" | "L" | "U") || is_decimal(point)) {
        let message = "the points are decimals, E, L or U, with one space between them";
        walk.report(value, place, Rule::Resource.error(IssueType::Value, message));
    }
}

fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    match text.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_data_is_known_without_reading_it() {
        assert_eq!(decoded_length(""), Some(0));
        assert_eq!(decoded_length("AAAA"), Some(3));
        assert_eq!(decoded_length("AA A=\n"), Some(2));
        assert_eq!(decoded_length("AA=="), Some(1));
        assert_eq!(decoded_length("AAA"), None);
        assert_eq!(decoded_length("A==="), None);
    }

    #[test]
    fn points_are_decimals() {
        assert!(is_decimal("-2.5"));
        assert!(is_decimal("0"));
        assert!(!is_decimal("2."));
        assert!(!is_decimal(""));
        assert!(!is_decimal("1e3"));
    }
}
