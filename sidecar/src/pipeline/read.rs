//! Read and vread (FHIR R4 §3.1.0.2, §3.1.0.3).

use http::StatusCode;
use varco_core::interaction::{Id, Instance, Interaction};

use super::Refusal;
use super::answer::Answer;
use super::exchange::Exchange;

/// One resource, or [`Refusal::Absent`] where it isn't there or isn't for this caller.
pub(super) async fn read(exchange: &mut Exchange<'_>, instance: Instance) -> Result<Answer, Refusal> {
    let interaction = Interaction::Read(instance.clone());
    let Some(document) = exchange.fetch(&interaction, &instance).await? else { return Err(Refusal::Absent) };
    exchange.release_or_refuse(document.root(), &instance).await?;
    let body = exchange.shown_or_refused(document.root()).await?;
    exchange.inspect_response([body.as_slice()]).await?;
    Ok(Answer::resource(StatusCode::OK, document.root(), body))
}

/// An older version: judged by itself and by what the resource is today, since a label that came later guards
/// the past as well.
pub(super) async fn vread(
    exchange: &mut Exchange<'_>,
    instance: Instance,
    version: Id,
) -> Result<Answer, Refusal> {
    let now = Interaction::Read(instance.clone());
    let Some(current) = exchange.fetch(&now, &instance).await? else { return Err(Refusal::Absent) };
    let then = Interaction::Vread(instance.clone(), version);
    let Some(document) = exchange.fetch(&then, &instance).await? else { return Err(Refusal::Absent) };
    let today = exchange.judge(current.root()).await?;
    if !today.permitted {
        exchange.withhold(&today);
        return Err(Refusal::Absent);
    }
    exchange.release_or_refuse(document.root(), &instance).await?;
    let body = exchange.shown_or_refused(document.root()).await?;
    exchange.inspect_response([body.as_slice()]).await?;
    Ok(Answer::resource(StatusCode::OK, document.root(), body))
}
