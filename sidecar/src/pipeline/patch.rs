//! Patch (FHIR R4 §3.1.0.6): applied here to a copy, judged before and after, and stored as an update.
//!
//! Invariant: what the caller may not see can't be tested or moved by a patch, because nothing of it is looked at;
//! and the server behind gets a whole resource with the version it was made from, never a patch.

use bytes::Bytes;
use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument, Value, name};
use varco_core::fhirpath::Model;
use varco_core::interaction::headers::PatchKind;
use varco_core::interaction::{Id, Instance};
use varco_core::patch::{PatchError, PatchLimits, fhirpath_patch, json_patch, merge_patch};

use super::exchange::Exchange;
use super::write::Ready;
use super::{Refusal, plugin, write};
use crate::config::Direction;

/// Patches a resource that stands there and is visible to the caller.
pub(super) async fn patch(
    exchange: &mut Exchange<'_>,
    instance: Instance,
    body: Bytes,
) -> Result<Ready, Refusal> {
    let kind = exchange.headers.patch.unwrap_or(PatchKind::Json);
    if kind == PatchKind::Merge && !exchange.gateway.config.writes.merge_patch {
        return Err(Refusal::NotServed(
            "Merge patches are not served here; send a JSON Patch (application/json-patch+json).",
        ));
    }
    let kept_as = instance.resource_type.as_str();
    if [Direction::Requests, Direction::Responses]
        .iter()
        .any(|own| exchange.route_map(kept_as, *own).is_some())
    {
        return Err(Refusal::NotServed(
            "A map stands between this resource and what is stored, and a patch would be of the one and not the other.",
        ));
    }
    let limits = Limits { bytes: exchange.gateway.config.limits.body_bytes, ..Limits::default() };
    let patch = OwnedDocument::parse_json(body.clone(), &limits)
        .map_err(|error| Refusal::Body { text: format!("{error}."), too_large: error.is_limit() })?;
    let plugins = exchange.account.plugins.len();
    let current = write::guard_change(exchange, &instance).await?;
    if exchange.account.plugins.len() > plugins || plugin::changes_what_leaves(exchange) {
        return Err(Refusal::NotServed(
            "A plugin changes this resource on its way out: a patch of what is left would lose the rest.",
        ));
    }
    // As the caller reads it, so that its paths and tests mean what it saw.
    let shown = exchange.in_network_terms(current.root());
    let shown = OwnedDocument::parse_json(shown.into_owned(), &limits).map_err(|_| Refusal::Internal)?;
    let bounds = PatchLimits { bytes: exchange.gateway.config.limits.body_bytes, ..PatchLimits::default() };
    let patched = match kind {
        PatchKind::Json => json_patch(shown.root(), patch.root(), &bounds),
        PatchKind::Merge => merge_patch(shown.root(), patch.root(), &bounds),
        PatchKind::FhirPath => {
            fhirpath_patch(shown.root(), patch.root(), &Model::r4(), &Definitions::r4(), &bounds)
        }
    };
    let patched = patched.map_err(Refusal::Patch)?;
    if !keeps_identity(&patched, current.root(), &limits) {
        return Err(Refusal::Patch(PatchError::Form("a patch can't change `resourceType` or `id`")));
    }
    if exchange.headers.if_match.is_none() {
        let version = current.root().get(name::META).and_then(|meta| meta.str_of(name::VERSION_ID));
        exchange.headers.if_match = version.and_then(|version| Id::parse(&version));
    }
    write::store(exchange, instance, Bytes::from(patched)).await
}

fn keeps_identity(patched: &[u8], current: Value<'_>, limits: &Limits) -> bool {
    let Ok(patched) = OwnedDocument::parse_json(patched, limits) else { return false };
    let root = patched.root();
    root.resource_type() == current.resource_type() && root.str_of(name::ID) == current.str_of(name::ID)
}
