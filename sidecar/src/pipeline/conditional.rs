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

use super::answer::{Answer, shown_of, text};
use super::exchange::Exchange;
use super::search::visible;
use super::write::Prepared;
use super::{Refusal, joins, patch, write};

/// The one visible resource that meets the criteria of a conditional write; none for any other interaction.
pub(super) async fn met(
    exchange: &mut Exchange<'_>,
    interaction: &Interaction,
) -> Result<Option<Instance>, Refusal> {
    let Some(condition) = interaction.condition() else { return Ok(None) };
    joins::permit(exchange, condition)?;
    only(exchange, condition.clone()).await
}

/// Judges a conditional write and makes it ready, now that its condition is decided.
pub(super) async fn prepare(
    exchange: &mut Exchange<'_>,
    interaction: Interaction,
    met: Option<Instance>,
    body: Bytes,
) -> Result<Prepared, Refusal> {
    let resource_type = interaction.condition().ok_or(Refusal::Internal)?.resource_type.clone();
    let ready = match (interaction, met) {
        (Interaction::ConditionalCreate(_), None) => write::create(exchange, resource_type, body).await?,
        (Interaction::ConditionalCreate(_), Some(instance)) => {
            return exists(exchange, &instance).await.map(Prepared::Answered);
        }
        (Interaction::ConditionalUpdate(_), Some(instance)) => {
            write::update_found(exchange, instance, body).await?
        }
        // A create chooses the id itself: one that the caller gave might be that of a hidden resource.
        (Interaction::ConditionalUpdate(_), None) if write::states_id(exchange, &body)? => {
            return Err(Refusal::Body {
                text: "Nothing meets the criteria, so the resource would be created: send it without `id`."
                    .to_owned(),
                too_large: false,
            });
        }
        (Interaction::ConditionalUpdate(_), None) if exchange.headers.if_match.is_some() => {
            return Err(Refusal::Version);
        }
        (Interaction::ConditionalUpdate(_), None) => write::create(exchange, resource_type, body).await?,
        (Interaction::ConditionalPatch(_), Some(instance)) => patch::patch(exchange, instance, body).await?,
        (Interaction::ConditionalDelete(_), Some(instance)) => write::delete(exchange, instance).await?,
        (Interaction::ConditionalPatch(_) | Interaction::ConditionalDelete(_), None) => {
            return Err(Refusal::Absent);
        }
        _ => return Err(Refusal::Internal),
    };
    Ok(Prepared::Write(Box::new(ready)))
}

/// The one visible resource that meets the criteria, or none; several are refused.
pub(super) async fn only(
    exchange: &mut Exchange<'_>,
    condition: Search,
) -> Result<Option<Instance>, Refusal> {
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
    let document = exchange.release_or_refuse(document, instance).await?;
    let body = exchange.shown_or_refused(document.root()).await?;
    exchange.inspect_response([&*body]).await?;
    let answer = Answer::resource(StatusCode::OK, document.root(), shown_of(&text(&document), body));
    Ok(write::as_preferred(exchange, answer))
}
