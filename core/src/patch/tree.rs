//! A document as a tree that can be changed. Numbers keep their digits, members their order.

use fhir_models::document::{JsonWriter, Kind, Value};

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Tree {
    /// Members in order; keys are unescaped.
    Object(Vec<(String, Tree)>),
    /// Items.
    Array(Vec<Tree>),
    /// Text, unescaped.
    Text(String),
    /// A number, `true`, `false` or `null`, as it is written.
    Literal(String),
}

impl Tree {
    /// The tree of a parsed value. Depth is bounded by what parsed it.
    pub(super) fn of(value: Value<'_>) -> Tree {
        match value.kind() {
            Kind::Object => {
                let member = |child: Value<'_>| {
                    let key = child.key().map(|key| key.into_owned()).unwrap_or_default();
                    (key, Tree::of(child))
                };
                Tree::Object(value.children().map(member).collect())
            }
            Kind::Array => Tree::Array(value.children().map(Tree::of).collect()),
            _ => match value.as_str() {
                Some(text) => Tree::Text(text.into_owned()),
                None => Tree::Literal(value.raw().to_owned()),
            },
        }
    }

    /// About how many bytes the value's text has.
    pub(super) fn weight(&self) -> usize {
        let sum = |all: &mut dyn Iterator<Item = usize>| all.fold(2_usize, usize::saturating_add);
        match self {
            Tree::Object(members) => {
                let weight = |(key, value): &(String, Tree)| value.weight().saturating_add(key.len() + 4);
                sum(&mut members.iter().map(weight))
            }
            Tree::Array(items) => sum(&mut items.iter().map(|item| item.weight().saturating_add(1))),
            Tree::Text(text) => text.len().saturating_add(2),
            Tree::Literal(text) => text.len(),
        }
    }

    /// How deeply it nests; 0 for what holds nothing.
    pub(super) fn depth(&self) -> usize {
        let deepest = match self {
            Tree::Object(members) => members.iter().map(|(_, value)| value.depth()).max(),
            Tree::Array(items) => items.iter().map(Tree::depth).max(),
            _ => return 0,
        };
        deepest.unwrap_or(0).saturating_add(1)
    }

    /// Writes the value.
    pub(super) fn write(&self, json: &mut JsonWriter) {
        match self {
            Tree::Object(members) => {
                json.begin_object();
                for (key, value) in members {
                    json.key_of(key);
                    value.write(json);
                }
                json.end_object();
            }
            Tree::Array(items) => {
                json.begin_array();
                items.iter().for_each(|item| item.write(json));
                json.end_array();
            }
            Tree::Text(text) => {
                json.string(text);
            }
            Tree::Literal(text) => {
                json.raw(text.as_bytes());
            }
        }
    }

    /// The text of the whole document.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut json = JsonWriter::new();
        self.write(&mut json);
        json.into_bytes()
    }

    /// Equality of RFC 6902 §4.6: members in any order, numbers by what they are worth.
    pub(super) fn equals(&self, other: &Tree) -> bool {
        match (self, other) {
            (Tree::Object(own), Tree::Object(others)) => {
                let held = |(key, value): &(String, Tree)| {
                    others.iter().any(|(other, theirs)| other == key && value.equals(theirs))
                };
                own.len() == others.len() && own.iter().all(held)
            }
            (Tree::Array(own), Tree::Array(others)) => {
                own.len() == others.len() && own.iter().zip(others).all(|(own, other)| own.equals(other))
            }
            (Tree::Text(own), Tree::Text(other)) => own == other,
            (Tree::Literal(own), Tree::Literal(other)) => own == other || is_same_number(own, other),
            _ => false,
        }
    }
}

fn is_same_number(own: &str, other: &str) -> bool {
    matches!((worth(own), worth(other)), (Some(own), Some(other)) if own == other)
}

/// Sign, digits without zeros at either end, and the power of ten of the last digit; `None` for what is no number.
fn worth(text: &str) -> Option<(bool, String, i64)> {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?)
        }
        None => (rest, 0_i64),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{part}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let kept = digits.trim_end_matches('0');
    let zeros = i64::try_from(digits.len() - kept.len()).ok()?;
    let kept = kept.trim_start_matches('0');
    if kept.is_empty() {
        return Some((false, String::new(), 0));
    }
    let power = exponent.checked_sub(i64::try_from(part.len()).ok()?)?.checked_add(zeros)?;
    Some((negative, kept.to_owned(), power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equal_by_their_worth() {
        for (own, other) in
            [("1", "1.0"), ("100", "1e2"), ("0", "-0.00"), ("-1.50", "-15e-1"), ("1E+3", "1000")]
        {
            assert!(is_same_number(own, other), "{own} {other}");
        }
        for (own, other) in [("1", "-1"), ("1", "10"), ("1", "true"), ("0.1", "0.01"), ("null", "null")] {
            assert!(!is_same_number(own, other), "{own} {other}");
        }
    }
}
