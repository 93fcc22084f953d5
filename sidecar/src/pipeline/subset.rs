//! `_summary` and `_elements`: the part of a resource that is asked for, cut from what the caller may see.

use bytes::Bytes;
use fhir_models::document::OwnedDocument;
use varco_core::access::{Kept, SummaryOf};
use varco_core::interaction::{Search, Summary};

use super::{Gateway, Refusal, joins};

/// How much of each resource a search shows.
pub(super) struct Shape {
    summary: Option<Summary>,
    elements: Vec<Box<str>>,
}

impl Shape {
    /// As the search asks.
    pub fn of(search: &Search) -> Shape {
        Shape { summary: search.summary, elements: search.elements.clone() }
    }

    /// The part of a resource that is shown. `_elements` speaks of the matches alone.
    pub fn apply(&self, gateway: &Gateway, json: Bytes, included: bool) -> Result<Bytes, Refusal> {
        let kept = match self.summary {
            Some(Summary::Marked) => Kept::Summary,
            Some(Summary::Text) => Kept::Narrative,
            Some(Summary::Data) => Kept::Data,
            Some(Summary::Whole | Summary::Count) => return Ok(json),
            None if self.elements.is_empty() || included => return Ok(json),
            None => Kept::Elements(&self.elements),
        };
        let document: OwnedDocument = joins::read(&json)?;
        let summary: &SummaryOf = &gateway.summary;
        Ok(summary.subset(document.document(), &kept).into())
    }
}
