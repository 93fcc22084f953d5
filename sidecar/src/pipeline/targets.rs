//! References that lead to what the caller may not see, by `access.references`; and where attachments lead, by
//! `access.attachments`.
//!
//! Invariant (twin worlds): a reference to a hidden resource is treated as one to a resource that is not there. Both are
//! looked up in the same way, by searches that name types and ids alone, and whatever is neither here nor visible has
//! its reference cut. References to Patients stay: each Patient that a visible resource names has allowed it to be seen.
//! References to Consents and AuditEvents, which the gateway keeps itself, lead nowhere and go.

use std::collections::{BTreeMap, BTreeSet};

use fhir_models::document::{Limits, OwnedDocument, Value, name};
use http::StatusCode;
use varco_core::access::{ReferenceFate, cut_references};
use varco_core::interaction::{
    Id, Modifier, ParameterKind, ResourceType, Search, SearchReference, SearchValue,
};

use super::exchange::Exchange;
use super::view::View;
use super::{Gateway, Refusal, includes, joins, search};
use crate::config::{Attachments, References};
use crate::upstream::UpstreamError;

/// The most resources that references of one request are followed to.
const MOST_TARGETS: usize = 5_000;
/// How many ids one search to the server holds.
const AT_A_TIME: usize = 100;

impl Exchange<'_> {
    /// Looks up what these resources refer to, each once a request.
    pub async fn learn_targets(&mut self, resources: &[Value<'_>]) -> Result<(), Refusal> {
        if self.gateway.config.access.references == References::Keep {
            return Ok(());
        }
        let mut wanted: BTreeMap<ResourceType, BTreeSet<Id>> = BTreeMap::new();
        let known = &mut self.account.surroundings.targets;
        for value in resources.iter().flat_map(|resource| resource.descendants()) {
            if !matches!(value.name(), name::REFERENCE | name::URL) {
                continue;
            }
            let Some((kind, id)) = value.as_str().and_then(|text| local(self.gateway, &text)) else {
                continue;
            };
            if known.contains_key(&format!("{kind}/{}", id.as_str())) {
                continue;
            }
            if includes::is_own(&kind) {
                known.insert(format!("{kind}/{}", id.as_str()), false);
            } else {
                wanted.entry(kind).or_default().insert(id);
            }
        }
        let count: usize = wanted.values().map(BTreeSet::len).sum();
        if known.len().saturating_add(count) > MOST_TARGETS {
            return Err(Refusal::TooBroad(MOST_TARGETS));
        }
        for (kind, ids) in wanted {
            let ids: Vec<Id> = ids.into_iter().collect();
            for some in ids.chunks(AT_A_TIME) {
                self.learn_some(&kind, some).await?;
            }
        }
        Ok(())
    }

    async fn learn_some(&mut self, kind: &ResourceType, ids: &[Id]) -> Result<(), Refusal> {
        let names = ids.iter().map(|id| (format!("{kind}/{}", id.as_str()), false));
        self.account.surroundings.targets.extend(names);
        let listed: Vec<&str> = ids.iter().map(Id::as_str).collect();
        let mut missing: BTreeSet<Id> = ids.iter().cloned().collect();
        let mut room = self.gateway.config.limits.answer_bytes;
        let mut answer =
            self.look_up(&format!("/{kind}?_id={}&_count={}", listed.join(","), AT_A_TIME)).await?;
        loop {
            match answer.status {
                StatusCode::OK => {}
                // A type that the server does not have, or does not search.
                StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => break,
                other => return Err(Refusal::Upstream(UpstreamError::Status(other.as_u16()))),
            }
            room = room.checked_sub(answer.body.len()).ok_or(Refusal::TooBroad(MOST_TARGETS))?;
            let page = self.resource_of(answer.body, "Bundle").await?;
            for resource in search::entries(page.root()).filter_map(|entry| entry.get(name::RESOURCE)) {
                let Some(id) = resource.str_of(name::ID) else { continue };
                let name = format!("{kind}/{id}");
                missing.retain(|own| own.as_str() != id);
                let asked = self.account.surroundings.targets.contains_key(&name);
                if asked && resource.resource_type().as_deref() == Some(kind.as_str()) {
                    let seen = self.may_be_seen(resource).await?;
                    self.account.surroundings.targets.insert(name, seen);
                }
            }
            match search::next_link(page.root()) {
                Some(link) => answer = self.follow(&link).await?,
                None => break,
            }
        }
        match missing.first() {
            Some(id) => self.miss_content(kind, id).await,
            None => Ok(()),
        }
    }

    /// Whether a resource is hidden by what it says, not by what the token's scopes are for: who is nobody's data, such
    /// as a Practitioner, may be named to whoever sees one patient's data alone.
    async fn may_be_seen(&mut self, resource: Value<'_>) -> Result<bool, Refusal> {
        let confined = self.confined_to.take();
        if !self.gateway.compartment.of(resource, &self.gateway.reading.bases).is_nobodys() {
            self.confined_to.clone_from(&confined);
        }
        let view = self.view(resource, &[]).await;
        self.confined_to = confined;
        Ok(!matches!(view?, View::Hidden(_)))
    }

    /// True where the settings leave references and attachments as they are.
    pub fn keeps_references(&self) -> bool {
        let access = self.gateway.config.access;
        access.references == References::Keep && access.attachments == Attachments::Keep
    }

    /// A resource as the settings have references and attachments; nothing where it stays as it is.
    pub async fn with_seen_references(
        &mut self,
        resource: Value<'_>,
    ) -> Result<Option<OwnedDocument>, Refusal> {
        if self.keeps_references() {
            return Ok(None);
        }
        self.learn_targets(&[resource]).await?;
        let leading =
            resource.descendants().filter(|value| matches!(value.name(), name::REFERENCE | name::URL));
        let mut texts = leading.filter_map(Value::as_str);
        if texts.all(|text| self.fate(&text, true) == ReferenceFate::Keep) {
            return Ok(None);
        }
        let limits = Limits { bytes: usize::MAX, ..Limits::default() };
        let document = OwnedDocument::parse_json(resource.raw(), &limits).map_err(|_| Refusal::Internal)?;
        let fate = |text: &str, attached: bool| self.fate(text, attached);
        match cut_references(document.document(), &self.gateway.necessary, fate) {
            None => Ok(None),
            Some(json) => OwnedDocument::parse_json(json, &limits).map(Some).map_err(|_| Refusal::Internal),
        }
    }

    fn fate(&self, text: &str, attached: bool) -> ReferenceFate {
        let access = self.gateway.config.access;
        let hidden = || {
            let (kind, id) = local(self.gateway, text)?;
            let name = format!("{kind}/{}", id.as_str());
            Some(!self.account.surroundings.targets.get(&name).copied().unwrap_or(false))
        };
        match access.references {
            References::Bare if hidden() == Some(true) => ReferenceFate::Bare,
            References::Cut if hidden() == Some(true) => ReferenceFate::Cut,
            _ if attached && access.attachments == Attachments::Local && self.leads_elsewhere(text) => {
                ReferenceFate::Unaddressed
            }
            _ => ReferenceFate::Keep,
        }
    }

    /// True for an address that is another server's: it has a scheme or a host that is not ours.
    fn leads_elsewhere(&self, text: &str) -> bool {
        let below =
            |base: &String| text.strip_prefix(base.as_str()).is_some_and(|rest| rest.starts_with('/'));
        let has_scheme = text.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':'));
        let named = text.starts_with("urn:uuid:") || text.starts_with("urn:oid:");
        (has_scheme || text.starts_with("//")) && !named && !self.gateway.reading.bases.iter().any(below)
    }

    /// True where a resource from which references were cut still meets the criteria about these references: it must
    /// not be found by what it does not show.
    pub fn still_meets(&self, search: &Search, before: Value<'_>, after: Value<'_>) -> bool {
        let schema = &self.gateway.schema;
        search.criteria.iter().filter(|own| own.kind() == ParameterKind::Reference).all(|criterion| {
            let parameter = schema.parameter(&search.resource_type, criterion.name());
            // What can't be followed can't be shown to be met.
            let Some(paths) = parameter.and_then(|own| own.paths.as_ref()) else { return false };
            let at = |resource| {
                let values = paths.iter().flat_map(move |path| path.values(resource));
                values.filter(|value: &Value<'_>| {
                    value.get(name::REFERENCE).is_some() || value.get(name::IDENTIFIER).is_some()
                })
            };
            let left: Vec<Value<'_>> = at(after).collect();
            if left.len() == at(before).count() && criterion.modifier() != Some(&Modifier::Identifier) {
                return true;
            }
            criterion.values().iter().any(|value| match value {
                SearchValue::Missing(missing) => *missing == left.is_empty(),
                SearchValue::Reference(wanted) => left.iter().any(|own| leads_to(self.gateway, *own, wanted)),
                SearchValue::Token(token) => {
                    left.iter().filter_map(|own| own.get(name::IDENTIFIER)).any(|own| {
                        let system = own.str_of(name::SYSTEM);
                        token
                            .system
                            .as_deref()
                            .is_none_or(|wanted| system.as_deref().unwrap_or_default() == wanted)
                            && token
                                .code
                                .as_deref()
                                .is_none_or(|wanted| own.get(name::VALUE).is_some_and(|it| it.is_str(wanted)))
                    })
                }
                _ => false,
            })
        })
    }
}

pub(super) fn leads_to(gateway: &Gateway, reference: Value<'_>, wanted: &SearchReference) -> bool {
    let Some(text) = reference.str_of(name::REFERENCE) else { return false };
    let found = joins::local(gateway, &text);
    match wanted {
        SearchReference::Id(id) => found.is_some_and(|(_, own)| own == *id),
        SearchReference::Instance(kind, id) => found.is_some_and(|own| own == (kind.clone(), id.clone())),
        SearchReference::Url(url) => *text == **url,
    }
}

/// The resource of this server that a reference leads to, but for Patients.
fn local(gateway: &Gateway, text: &str) -> Option<(ResourceType, Id)> {
    joins::local(gateway, text).filter(|(kind, _)| kind.as_str() != "Patient")
}
