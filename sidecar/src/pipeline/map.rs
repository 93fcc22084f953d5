//! The mapping stage of a route: what is written is mapped before it is judged and validated, what is answered once the
//! caller may see it.
//!
//! Invariants: what a map makes of a resource is judged again, and shown only where both judgements permit it: a map can
//! hide, never reveal. It keeps type and id. A map that fails passes nothing on: the request is refused, or, where the route
//! says so, a search leaves the resource out and says how many it left out. Identifier systems are renamed after
//! the map, in both directions.

use std::borrow::Cow;

use fhir_models::document::{Edits, JsonWriter, Limits, OwnedDocument, Value, name};
use varco_core::interaction::ResourceType;
use varco_core::mapping::Output;
use varco_core::outcome::{Issue, IssueSeverity, IssueType, Outcome};

use super::exchange::Exchange;
use super::judge::Judgement;
use super::{Refusal, plugin};
use crate::config::{Direction, OnMapFailure};
use crate::mapping::{MapFailure, MapSet, RouteMapCode};
use crate::telemetry::stage::Stage;
use std::sync::Arc;

/// A resource as the caller is to get it.
pub(super) enum Shown<'v> {
    /// Its JSON: borrowed where it is the resource's own text.
    Json(Cow<'v, [u8]>),
    /// What the map made of it is not for this caller.
    Hidden(Judgement),
    /// The map failed, and the route leaves such resources out.
    LeftOut(Refusal),
}

impl Shown<'_> {
    fn into_owned(self) -> Shown<'static> {
        match self {
            Shown::Json(json) => Shown::Json(Cow::Owned(json.into_owned())),
            Shown::Hidden(judgement) => Shown::Hidden(judgement),
            Shown::LeftOut(refusal) => Shown::LeftOut(refusal),
        }
    }
}

impl Exchange<'_> {
    /// The set of maps that this request works with.
    pub fn map_set(&mut self) -> Arc<MapSet> {
        let maps = &self.gateway.maps;
        Arc::clone(self.account.map_set.get_or_insert_with(|| maps.current()))
    }

    /// The map of the request's route for a type and direction, if it has one.
    pub fn route_map(&mut self, resource_type: &str, direction: Direction) -> Option<RouteMapCode> {
        let route = self.route_number()?;
        self.map_set().of_route(route, resource_type, direction).cloned()
    }

    /// The caller's resource in this hospital's dialect; itself where the route has no map for it.
    pub async fn map_request(
        &mut self,
        document: OwnedDocument,
        resource_type: &ResourceType,
    ) -> Result<OwnedDocument, Refusal> {
        let Some(own) = self.route_map(resource_type.as_str(), Direction::Requests) else {
            return Ok(document);
        };
        let map = own.map.url.clone();
        let within = self.account.enter(Stage::Map);
        let output = self.gateway.maps.run(&own.map, &document).await;
        self.account.leave(&within);
        let output = output.map_err(|error| match error {
            MapFailure::Rule(error) => Refusal::Unmapped { map: map.clone(), error },
            MapFailure::Broken => Refusal::Internal,
        })?;
        let limits = Limits { bytes: self.gateway.config.limits.body_bytes, ..Limits::default() };
        let made = made(&output, document.root(), &limits)
            .map_err(|cause| Refusal::NotMapped(format!("the map {map} fails: {cause}")))?;
        self.account.maps.insert(map);
        Ok(made)
    }

    /// A resource that was judged fit for the caller, in the dialect and the identifier systems that the caller reads.
    pub async fn shown<'v>(&mut self, resource: Value<'v>) -> Result<Shown<'v>, Refusal> {
        let without = match self.keeps_references() {
            true => None,
            false => Box::pin(self.with_seen_references(resource)).await?,
        };
        match without {
            Some(without) => Ok(self.shown_so(without.root()).await?.into_owned()),
            None => self.shown_so(resource).await,
        }
    }

    /// The same, of one whose references are as the settings have them.
    pub async fn shown_so<'v>(&mut self, resource: Value<'v>) -> Result<Shown<'v>, Refusal> {
        let resource_type = resource.resource_type().unwrap_or_default();
        let Some(own) = self.route_map(&resource_type, Direction::Responses) else {
            let json = self.in_network_terms(resource);
            return Ok(Shown::Json(plugin::leaving(self, json, &resource_type).await?));
        };
        match Box::pin(self.mapped(&own, resource)).await {
            Ok(made) => {
                self.account.maps.insert(own.map.url.clone());
                let judgement = Box::pin(self.judge(made.root())).await?;
                if judgement.permitted {
                    let json = self.in_network_terms(made.root());
                    Ok(Shown::Json(plugin::leaving(self, json, &resource_type).await?).into_owned())
                } else {
                    Ok(Shown::Hidden(judgement))
                }
            }
            Err(refusal) if own.on_failure == OnMapFailure::LeaveOut => {
                tracing::error!(request_id = self.account.request_id, cause = %refusal, "a resource is left out");
                Ok(Shown::LeftOut(refusal))
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// The one resource that was asked for, as the caller is to get it.
    pub async fn shown_or_refused<'v>(&mut self, resource: Value<'v>) -> Result<Cow<'v, [u8]>, Refusal> {
        match self.shown(resource).await? {
            Shown::Json(json) => Ok(json),
            Shown::Hidden(judgement) => {
                self.withhold(judgement);
                Err(Refusal::Absent)
            }
            Shown::LeftOut(refusal) => Err(refusal),
        }
    }

    async fn mapped(&mut self, own: &RouteMapCode, resource: Value<'_>) -> Result<OwnedDocument, Refusal> {
        let failed = |cause: String| Refusal::MapFailed { map: own.map.url.clone(), cause };
        let limits = Limits { bytes: self.gateway.config.limits.answer_bytes, ..Limits::default() };
        let document = OwnedDocument::parse_json(resource.raw(), &limits).map_err(|_| Refusal::Internal)?;
        let within = self.account.enter(Stage::Map);
        let output = self.gateway.maps.run(&own.map, &document).await;
        self.account.leave(&within);
        let output = output.map_err(|error| match error {
            MapFailure::Rule(error) => failed(error.without_values()),
            MapFailure::Broken => Refusal::Internal,
        })?;
        let made = made(&output, document.root(), &limits).map_err(failed)?;
        self.account.map_bytes = self.account.map_bytes.saturating_add(made.text().len());
        if self.account.map_bytes > self.gateway.config.limits.answer_bytes {
            return Err(failed("the results are larger than limits.answer_bytes".to_owned()));
        }
        Ok(made)
    }
}

/// The result of a map for traffic: of the source's type, under the source's id. An error names no value.
fn made(output: &Output, source: Value<'_>, limits: &Limits) -> Result<OwnedDocument, String> {
    let [result] = output.results.as_slice() else {
        return Err(format!("it makes {} results where one is needed", output.results.len()));
    };
    let parse = |json: &[u8]| {
        OwnedDocument::parse_json(json, limits).map_err(|error| format!("its result can't be read: {error}"))
    };
    let document = parse(result.text.as_bytes())?;
    let root = document.root();
    if root.resource_type() != source.resource_type() {
        return Err("its result is of another type than its source".to_owned());
    }
    match (root.str_of(name::ID), source.str_of(name::ID)) {
        (None, Some(id)) => {
            let mut json = JsonWriter::new();
            json.string(&id);
            let mut edits = Edits::new(document.document());
            edits.append(root, &[b"\"id\":".as_slice(), &json.into_bytes()].concat());
            parse(&edits.apply())
        }
        (Some(own), id) if Some(&own) != id.as_ref() => {
            Err("its result has another id than its source".to_owned())
        }
        _ => Ok(document),
    }
}

/// A searchset that says how many matches it leaves out (FHIR R4 §3.1.1.4.2: an entry of mode `outcome`).
pub(super) fn with_left_out(bundle: Vec<u8>, count: usize) -> Vec<u8> {
    if count == 0 {
        return bundle;
    }
    with_advice(
        bundle,
        format!("{count} matches can't be written in the form that is read here and are left out."),
    )
}

/// A searchset with an outcome that says what is incomplete about it.
pub(super) fn with_advice(bundle: Vec<u8>, text: String) -> Vec<u8> {
    let limits = Limits { bytes: usize::MAX, ..Limits::default() };
    let Ok(document) = OwnedDocument::parse_json(bundle.as_slice(), &limits) else { return bundle };
    let outcome = Outcome::from(Issue::new(IssueSeverity::Warning, IssueType::Incomplete, text)).to_json();
    let mut entry = JsonWriter::new();
    entry.begin_object().key("resource").raw(&outcome);
    entry.key("search").begin_object().member("mode", "outcome").end_object().end_object();
    let entry = entry.into_bytes();
    let mut edits = Edits::new(document.document());
    match document.root().get(name::ENTRY) {
        Some(entries) => edits.append(entries, &entry),
        None => edits.append(document.root(), &[b"\"entry\":[".as_slice(), &entry, b"]"].concat()),
    }
    edits.apply()
}
