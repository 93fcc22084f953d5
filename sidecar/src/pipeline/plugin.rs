//! The plugin stage: bodies pass the configured WebAssembly plugins.
//!
//! On the way in plugins see a body before it is judged; on the way out they see the server's answer before it
//! is judged. What a plugin writes is therefore judged like anything else: it can hide, never reveal.

use std::borrow::Cow;

use http::StatusCode;
use varco_plugin_host::{Context, Decision, Hook, PluginError};

use super::Refusal;
use super::exchange::Exchange;
use crate::telemetry::stage::Stage;

/// Runs the plugins of a hook over a body.
pub(super) fn run<'b>(
    exchange: &mut Exchange<'_>,
    hook: Hook,
    body: Cow<'b, [u8]>,
) -> Result<Cow<'b, [u8]>, Refusal> {
    let gateway = exchange.gateway;
    if body.is_empty() || !gateway.plugins.handles(hook) {
        return Ok(body);
    }
    let codes = |codes: &[varco_core::requester::Code]| -> Vec<String> {
        codes.iter().map(|code| code.code.clone()).collect()
    };
    let (roles, purposes) = (codes(&exchange.requester.roles), codes(&exchange.requester.purposes));
    let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
    let purposes: Vec<&str> = purposes.iter().map(String::as_str).collect();
    let resource_type = exchange.account.resource_type().to_owned();
    let traceparent = exchange.account.trace.traceparent();
    let context = Context {
        interaction: exchange.account.interaction_name(),
        resource_type: Some(resource_type.as_str()).filter(|name| !name.is_empty()),
        route: exchange.route_name(),
        roles: &roles,
        purposes: &purposes,
        content_type: "application/fhir+json",
        traceparent: Some(&traceparent),
    };
    let now = gateway.started.elapsed();
    let within = exchange.account.enter(Stage::Plugin);
    let outcome = match hook {
        Hook::Request => gateway.plugins.run_request(&context, body, now),
        _ => gateway.plugins.run_response(&context, body, now),
    };
    exchange.account.leave(&within);
    let outcome = outcome.map_err(|error| match error {
        PluginError::InputTooLarge { .. } if hook == Hook::Request => {
            Refusal::Body { text: "The body is larger than a plugin takes.".to_owned(), too_large: true }
        }
        error => Refusal::PluginFailed(error.to_string()),
    })?;
    exchange.account.plugins.extend(outcome.replaced_by.iter().map(ToString::to_string));
    match outcome.decision {
        Decision::Continue(body) => Ok(body),
        Decision::Refused { refusal, .. } => Err(Refusal::Plugin {
            status: StatusCode::from_u16(refusal.status_hint.status()).unwrap_or(StatusCode::FORBIDDEN),
            text: refusal.diagnostics,
        }),
    }
}
