//! How much of the matches a caller wants to see: `_summary`, `_elements` and `_total` (FHIR R4 §3.1.1.5.7 to
//! §3.1.1.5.9).

use super::error::{InteractionError, ShownName};

/// The most elements that `_elements` may name.
const MOST_ELEMENTS: usize = 100;

/// `_summary`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Summary {
    /// `true`: the elements that the type marks as its summary.
    Marked,
    /// `text`: narrative, id, meta and mandatory elements.
    Text,
    /// `data`: all but the narrative.
    Data,
    /// `count`: how many matches there are, none of them.
    Count,
    /// `false`: everything.
    Whole,
}

/// `_total`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TotalWanted {
    /// `none`
    None,
    /// `estimate`
    Estimate,
    /// `accurate`
    Accurate,
}

const SUMMARIES: [(&str, Summary); 5] = [
    ("true", Summary::Marked),
    ("text", Summary::Text),
    ("data", Summary::Data),
    ("count", Summary::Count),
    ("false", Summary::Whole),
];

const TOTALS: [(&str, TotalWanted); 3] =
    [("none", TotalWanted::None), ("estimate", TotalWanted::Estimate), ("accurate", TotalWanted::Accurate)];

impl Summary {
    /// The value of `_summary`.
    pub fn code(self) -> &'static str {
        SUMMARIES.iter().find(|(_, own)| *own == self).map_or("", |(code, _)| code)
    }

    pub(super) fn parse(text: &str) -> Result<Summary, InteractionError> {
        let found = SUMMARIES.iter().find(|(code, _)| *code == text).map(|(_, own)| *own);
        let expected = "true, text, data, count or false";
        found.ok_or_else(|| InteractionError::BadValue { name: ShownName::of("_summary"), expected })
    }
}

impl TotalWanted {
    /// The value of `_total`.
    pub fn code(self) -> &'static str {
        TOTALS.iter().find(|(_, own)| *own == self).map_or("", |(code, _)| code)
    }

    pub(super) fn parse(text: &str) -> Result<TotalWanted, InteractionError> {
        let found = TOTALS.iter().find(|(code, _)| *code == text).map(|(_, own)| *own);
        let expected = "none, estimate or accurate";
        found.ok_or_else(|| InteractionError::BadValue { name: ShownName::of("_total"), expected })
    }
}

/// Names of elements at the root of a resource, each once, in the caller's order.
pub(super) fn elements(text: &str) -> Result<Vec<Box<str>>, InteractionError> {
    let mut found: Vec<Box<str>> = Vec::new();
    for name in text.split(',') {
        let plain =
            !name.is_empty() && name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !plain {
            let expected = "names of elements at the root of the resource, joined by commas";
            return Err(InteractionError::BadValue { name: ShownName::of("_elements"), expected });
        }
        if !found.iter().any(|known| **known == *name) {
            found.push(name.into());
        }
    }
    if found.len() > MOST_ELEMENTS {
        return Err(InteractionError::TooMuch { what: "elements in _elements", limit: MOST_ELEMENTS });
    }
    Ok(found)
}
