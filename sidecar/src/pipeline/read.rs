//! Read (FHIR R4 §3.1.0.2).

use http::StatusCode;
use varco_core::interaction::{Instance, Interaction};

use super::Refusal;
use super::answer::{Answer, shown_of, text};
use super::exchange::Exchange;

/// One resource, or [`Refusal::Absent`] where it isn't there or isn't for this caller.
pub(super) async fn read(exchange: &mut Exchange<'_>, instance: Instance) -> Result<Answer, Refusal> {
    let found = exchange.fetch(&Interaction::Read(instance.clone()), &instance).await?;
    let Some(document) = found else {
        Box::pin(exchange.miss_content(&instance.resource_type, &instance.id)).await?;
        return Err(Refusal::Absent);
    };
    let document = exchange.release_or_refuse(document, &instance).await?;
    let body = exchange.shown_or_refused(document.root()).await?;
    exchange.inspect_response([&*body]).await?;
    let answer = Answer::resource(StatusCode::OK, document.root(), shown_of(&text(&document), body));
    Ok(answer.unless_known(&exchange.headers, document.root()))
}
