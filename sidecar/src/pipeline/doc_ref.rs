//! `DocumentReference/$docref` (IPA 1.0.0 and US Core 6.1.0, operation `docref`): the documents of a patient that the
//! caller may see. Of a patient who is absent, or hidden, there are none.

use http::StatusCode;
use varco_core::interaction::DocRef;

use super::answer::Answer;
use super::exchange::Exchange;
use super::{Refusal, joins, search};

/// A patient's documents; `offset` of them stood on the pages before.
pub(super) async fn doc_ref(
    exchange: &mut Exchange<'_>,
    asked: DocRef,
    offset: usize,
) -> Result<Answer, Refusal> {
    let search = asked.search(&exchange.gateway.schema).map_err(Refusal::Interaction)?;
    let mut found = Vec::new();
    for one in search::visible(exchange, search).await? {
        let document = joins::read(&one.json)?;
        if asked.range.holds(document.root(), &exchange.gateway.reading.zone) {
            found.push((one, false));
        }
    }
    let path = format!("{}/$docref", asked.resource_type);
    let bundle = search::page_of(exchange, &path, asked.self_query(), asked.count, offset, found).await?;
    Ok(Answer::fhir(StatusCode::OK, bundle))
}
