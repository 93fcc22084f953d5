//! The plugin stage: bodies pass the configured WebAssembly plugins.
//!
//! On the way in plugins see a body before it is judged; on the way out they see the server's answer before it
//! is judged. What a plugin writes is therefore judged like anything else: it can hide, never reveal. Transforms and
//! enrichment come last: they see one resource that may leave, and keep its type and id.

use std::borrow::Cow;

use fhir_models::document::OwnedDocument;
use http::StatusCode;
use varco_core::requester::Code;
use varco_plugin_host::{Context, Decision, Hook, Made, PluginError};

use super::Refusal;
use super::exchange::Exchange;
use crate::telemetry::stage::Stage;

/// What the plugins of a hook made of a body, parsed; none where they leave it as it is.
pub(super) async fn run(
    exchange: &mut Exchange<'_>,
    hook: Hook,
    body: &[u8],
) -> Result<Option<OwnedDocument>, Refusal> {
    if body.is_empty() || !exchange.gateway.plugins.any(hook) {
        return Ok(None);
    }
    let resource_type = exchange.account.resource_type().to_owned();
    Box::pin(run_on(exchange, hook, &resource_type, body)).await
}

/// A resource that may leave, after the transforms and the enrichment of its route. Each sees it alone, and nothing that the
/// caller may not see: what they make is not decided about again.
pub(super) async fn leaving<'b>(
    exchange: &mut Exchange<'_>,
    resource: Cow<'b, [u8]>,
    kind: &str,
) -> Result<Cow<'b, [u8]>, Refusal> {
    let plugins = &exchange.gateway.plugins;
    if !plugins.any(Hook::Transform) && !plugins.any(Hook::Enrich) {
        return Ok(resource);
    }
    let transformed = Box::pin(run_on(exchange, Hook::Transform, kind, &resource)).await?;
    let text = transformed.as_ref().map_or(&*resource, |made| made.text().as_bytes());
    let enriched = Box::pin(run_on(exchange, Hook::Enrich, kind, text)).await?;
    Ok(enriched.or(transformed).map_or(resource, |made| Cow::Owned(made.text().into())))
}

/// Whether plugins of the route change resources on their way out.
pub(super) fn changes_what_leaves(exchange: &Exchange<'_>) -> bool {
    let plugins = exchange.gateway.plugins.of(exchange.route_number());
    plugins.handles(Hook::Transform) || plugins.handles(Hook::Enrich)
}

/// Boxed by its callers: a request's task has no room for what it may not need.
async fn run_on(
    exchange: &mut Exchange<'_>,
    hook: Hook,
    resource_type: &str,
    body: &[u8],
) -> Result<Option<OwnedDocument>, Refusal> {
    let gateway = exchange.gateway;
    let plugins = gateway.plugins.of(exchange.route_number());
    if !plugins.handles(hook) {
        return Ok(None);
    }
    let within = exchange.account.enter(Stage::Plugin);
    let (roles, purposes) = (codes(&exchange.requester.roles), codes(&exchange.requester.purposes));
    let traceparent = exchange.account.trace.traceparent();
    let context = Context {
        interaction: exchange.account.interaction_name(),
        resource_type: Some(resource_type).filter(|name| !name.is_empty()),
        route: exchange.route_name(),
        roles: &roles,
        purposes: &purposes,
        content_type: "application/fhir+json",
        traceparent: Some(&traceparent),
    };
    let outcome = plugins.run(hook, &context, body, &|| gateway.library.now()).await;
    exchange.account.leave(&within);
    let outcome = outcome.map_err(|error| match error {
        PluginError::InputTooLarge { .. } if hook == Hook::Request => {
            Refusal::Body { text: "The body is larger than a plugin takes.".to_owned(), too_large: true }
        }
        error => Refusal::PluginFailed(error.to_string()),
    })?;
    exchange.account.plugins.extend(outcome.replaced_by);
    let skipped = outcome.skipped.iter().map(|error| (error.shared_name(), error.kind()));
    exchange.account.plugins_skipped.extend(skipped);
    match outcome.decision {
        Decision::Continue(Some(Made::Json(document))) => Ok(Some(document)),
        Decision::Continue(None) => Ok(None),
        // They were told that the body is JSON.
        Decision::Continue(Some(Made::Text(_))) => Err(Refusal::Internal),
        Decision::Refused { refusal, .. } => Err(Refusal::Plugin {
            status: StatusCode::from_u16(refusal.status_hint.status()).unwrap_or(StatusCode::FORBIDDEN),
            text: refusal.diagnostics,
        }),
    }
}

fn codes(codes: &[Code]) -> Vec<&str> {
    codes.iter().map(|code| code.code.as_str()).collect()
}
