//! Conditional create, update, patch and delete (FHIR R4 §3.1.0.8.1, §3.1.0.4.3, §3.1.0.6, §3.1.0.7.1).
//!
//! Invariant: criteria are met by what the caller may see. A hidden resource that meets them counts as none, so a
//! conditional create stores a second one beside it, as it would if the first did not exist. The server behind is
//! asked for plain writes alone.
//!
//! Two conditional writes of one type wait for each other, so that of two alike only one creates; a writer that
//! doesn't come through this gateway can still come between.

use bytes::Bytes;
use http::StatusCode;
use varco_core::interaction::{Id, Instance, Interaction, Search};

use super::answer::Answer;
use super::exchange::Exchange;
use super::search::visible;
use super::{Refusal, joins, patch, write};

/// Answers a conditional write.
pub(super) async fn write(
    exchange: &mut Exchange<'_>,
    interaction: Interaction,
    body: Bytes,
) -> Result<Answer, Refusal> {
    let condition = interaction.condition().ok_or(Refusal::Internal)?.clone();
    let resource_type = condition.resource_type.clone();
    joins::permit(exchange, &condition)?;
    let gateway = exchange.gateway;
    let _turn = gateway.turns.wait(resource_type.as_str()).await;
    let met = only(exchange, condition).await?;
    match (interaction, met) {
        (Interaction::ConditionalCreate(_), None) => write::create(exchange, resource_type, body).await,
        (Interaction::ConditionalCreate(_), Some(instance)) => exists(exchange, &instance).await,
        (Interaction::ConditionalUpdate(_), Some(instance)) => {
            write::update_found(exchange, instance, body).await
        }
        // A create chooses the id itself: one that the caller gave might be that of a hidden resource.
        (Interaction::ConditionalUpdate(_), None) if write::states_id(exchange, &body)? => {
            Err(Refusal::Body {
                text: "Nothing meets the criteria, so the resource would be created: send it without `id`."
                    .to_owned(),
                too_large: false,
            })
        }
        (Interaction::ConditionalUpdate(_), None) if exchange.headers.if_match.is_some() => {
            Err(Refusal::Version)
        }
        (Interaction::ConditionalUpdate(_), None) => write::create(exchange, resource_type, body).await,
        (Interaction::ConditionalPatch(_), Some(instance)) => patch::patch(exchange, instance, body).await,
        (Interaction::ConditionalDelete(_), Some(instance)) => write::delete(exchange, instance).await,
        (Interaction::ConditionalPatch(_) | Interaction::ConditionalDelete(_), None) => Err(Refusal::Absent),
        _ => Err(Refusal::Internal),
    }
}

/// The one visible resource that meets the criteria, or none; several are refused.
async fn only(exchange: &mut Exchange<'_>, condition: Search) -> Result<Option<Instance>, Refusal> {
    let resource_type = condition.resource_type.clone();
    let mut met = visible(exchange, condition).await?.into_iter();
    let (first, second) = (met.next(), met.next());
    let Some(first) = first else { return Ok(None) };
    if second.is_some() {
        return Err(Refusal::Several);
    }
    let id = first.reference.rsplit('/').next().and_then(Id::parse).ok_or(Refusal::Internal)?;
    Ok(Some(Instance { resource_type, id }))
}

/// The answer to a create of what exists: 200 with what stands there (FHIR R4 §3.1.0.8.1).
async fn exists(exchange: &mut Exchange<'_>, instance: &Instance) -> Result<Answer, Refusal> {
    let read = Interaction::Read(instance.clone());
    let Some(document) = exchange.fetch(&read, instance).await? else { return Err(Refusal::Absent) };
    exchange.release_or_refuse(document.root(), instance).await?;
    let body = exchange.shown_or_refused(document.root()).await?;
    exchange.inspect_response([body.as_slice()]).await?;
    let answer = Answer::resource(StatusCode::OK, document.root(), body);
    Ok(write::as_preferred(exchange, answer))
}
