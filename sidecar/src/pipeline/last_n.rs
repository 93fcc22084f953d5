//! `Observation/$lastn` (FHIR R4, operation `Observation-lastn`): computed over what the caller may see, so that no
//! hidden observation takes the place of a visible one.

use fhir_models::document::OwnedDocument;
use http::StatusCode;
use varco_core::interaction::LastN;

use super::answer::Answer;
use super::exchange::Exchange;
use super::{Refusal, joins, search};

/// The last observations of each code; `offset` of them stood on the pages before.
pub(super) async fn last_n(
    exchange: &mut Exchange<'_>,
    asked: LastN,
    offset: usize,
) -> Result<Answer, Refusal> {
    joins::permit(exchange, &asked.search)?;
    let visible = search::visible(exchange, asked.search.clone()).await?;
    let documents: Vec<OwnedDocument> =
        visible.iter().map(|found| joins::read(&found.json)).collect::<Result<_, _>>()?;
    let observations: Vec<_> = documents.iter().map(|document| document.root()).collect();
    let last = asked.last(&observations, &exchange.gateway.reading.zone);
    let mut visible: Vec<_> = visible.into_iter().map(Some).collect();
    let found =
        last.into_iter().filter_map(|at| visible.get_mut(at)?.take()).map(|one| (one, false)).collect();
    let (query, count) = (asked.self_query(), asked.search.count);
    let bundle = search::page_of(exchange, "Observation/$lastn", query, count, offset, found).await?;
    Ok(Answer::fhir(StatusCode::OK, bundle))
}
