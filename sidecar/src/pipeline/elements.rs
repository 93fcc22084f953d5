//! Elements that bear labels of their own, by `access.elements`.
//!
//! By `"withhold"` a resource is as hidden as the most hidden of its elements. By `"cut"`, where a resource would be
//! shown if no element bore a label, the elements whose labels hide them are taken out.
//!
//! Invariants: what is left is judged again, and shown where both it and the whole without these labels may be shown.
//! A search finds such a resource by its id, its time and its references alone, and by no reference that was cut:
//! by what it is not found does not depend on what was cut.

use fhir_models::document::{Limits, OwnedDocument, Value, name};
use varco_core::access::{Labels, Rest, cut_elements, labelled_elements, without_inline_labels};
use varco_core::interaction::{Modifier, ParameterKind, Search, SearchValue};
use varco_core::requester::Code;

use super::Refusal;
use super::exchange::Exchange;
use super::judge::Judgement;
use super::targets::leads_to;
use crate::config::Elements;

/// Most labelled elements of one resource that are judged; one that has more is withheld.
const MOST_LABELLED: usize = 2_000;
/// Most different labels of elements of one resource.
const MOST_LABELS: usize = 32;

/// Parameters about what is never cut.
const UNCUT: &[&str] = &["_id", "_lastUpdated"];

impl Exchange<'_> {
    /// What may be shown of a resource that may not be shown as a whole because of labels of its elements.
    pub(super) async fn without_elements(
        &mut self,
        resource: Value<'_>,
        labels: &[Code],
    ) -> Result<Option<(Judgement, OwnedDocument)>, Refusal> {
        if self.gateway.config.access.elements == Elements::Withhold {
            return Ok(None);
        }
        let limits = Limits { bytes: usize::MAX, ..Limits::default() };
        let read = |json: &[u8]| OwnedDocument::parse_json(json, &limits).map_err(|_| Refusal::Internal);
        let document = read(resource.raw().as_bytes())?;
        let labelled = labelled_elements(document.document());
        if !(1..=MOST_LABELLED).contains(&labelled.len()) {
            return Ok(None);
        }
        let Some(unlabelled) = without_inline_labels(document.document()) else { return Ok(None) };
        let unlabelled = read(&unlabelled)?;
        let whole = self.judge_under(unlabelled.root(), labels).await?;
        if !whole.permitted {
            return Ok(None);
        }
        let mut known: Vec<(Labels, Judgement)> = Vec::new();
        let mut hidden = Vec::new();
        for element in labelled {
            let judged = known.iter().find(|(own, _)| *own == element.labels);
            let permitted = match judged {
                Some((_, judgement)) => judgement.permitted,
                None if known.len() >= MOST_LABELS => return Ok(None),
                None => {
                    let all: Vec<Code> = labels.iter().chain(element.labels.codes()).cloned().collect();
                    let judgement = self.judge_under(unlabelled.root(), &all).await?;
                    let permitted = judgement.permitted;
                    known.push((element.labels, judgement));
                    permitted
                }
            };
            if !permitted {
                hidden.push(element.value);
            }
        }
        let Rest::Part(json) = cut_elements(document.document(), &hidden, &self.gateway.necessary) else {
            return Ok(None);
        };
        let left = read(&json)?;
        let judgement = whole.and(self.judge_under(left.root(), labels).await?);
        if !judgement.permitted {
            return Ok(None);
        }
        known.into_iter().filter(|(_, own)| !own.permitted).for_each(|(_, own)| self.withhold(own));
        Ok(Some((judgement, left)))
    }

    /// True where a resource from which elements were cut may be a match: whether it is tells nothing of them.
    pub(super) fn matches_without(&self, search: &Search, before: Value<'_>, after: Value<'_>) -> bool {
        let uncut = |name: &str| UNCUT.contains(&name);
        search.sort.iter().all(|key| uncut(&key.parameter))
            && search.criteria.iter().all(|criterion| {
                if uncut(criterion.name()) {
                    return true;
                }
                let plain = matches!(criterion.modifier(), None | Some(Modifier::Type(_)));
                let schema = &self.gateway.schema;
                let paths = schema
                    .parameter(&search.resource_type, criterion.name())
                    .filter(|_| plain && criterion.kind() == ParameterKind::Reference)
                    .and_then(|own| own.paths.as_ref());
                let Some(paths) = paths else { return false };
                let at = |resource| -> Vec<Value<'_>> {
                    paths.iter().flat_map(move |path| path.values(resource)).collect()
                };
                let (all, left) = (at(before), at(after));
                let lead = |values: &[Value<'_>]| -> Vec<String> {
                    values.iter().filter_map(|own| own.str_of(name::REFERENCE).map(Into::into)).collect()
                };
                all.len() == left.len() && lead(&all) == lead(&left)
                    || criterion.values().iter().any(|value| match value {
                        SearchValue::Reference(wanted) => {
                            left.iter().any(|own| leads_to(self.gateway, *own, wanted))
                        }
                        _ => false,
                    })
            })
    }
}
