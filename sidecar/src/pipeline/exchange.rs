//! One request and all that its stages share.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use fhir_models::document::{Limits, OwnedDocument, SyntaxError, Value, name};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use varco_core::interaction::headers::{RequestHeaders, ReturnPreference};
use varco_core::interaction::{Id, Instance, Interaction, UpstreamRequest};
use varco_core::requester::Requester;
use varco_plugin_host::Hook;

use super::account::Account;
use super::remembered::AtHand;
use super::{Gateway, Refusal, includes, plugin, template};
use crate::telemetry::course::Within;
use crate::telemetry::stage::Stage;
use crate::upstream::{UpstreamAnswer, UpstreamError};

/// How many headers a question has, at most as a rule: the map takes three quarters of its room.
const USUAL: usize = 8;
const FHIR: HeaderValue = HeaderValue::from_static("application/fhir+json");

/// One request on its way.
pub(super) struct Exchange<'g> {
    pub gateway: &'g Gateway,
    pub requester: Arc<Requester>,
    pub headers: RequestHeaders,
    pub account: &'g mut Account,
    /// The scopes cover the request only for data of this patient (SMART `patient/` scopes).
    pub confined_to: Option<Id>,
}

/// One question to the hospital's server.
struct Call {
    within: Within,
    started: Instant,
}

/// True for an interaction that can be answered for one patient's data alone: every resource of its answer is judged, and
/// judged by whose it is; and the patient's own audit records. Consents are kept here, and not by whose data they are about.
pub(super) fn can_be_confined(interaction: &Interaction) -> bool {
    let own = interaction.resource_type().is_some_and(includes::is_own);
    let reads = matches!(
        interaction,
        Interaction::Read(_)
            | Interaction::Vread(..)
            | Interaction::SearchType(_)
            | Interaction::History(..)
            | Interaction::Everything(_)
            | Interaction::PatientSummary(_)
            | Interaction::LastN(_)
            | Interaction::DocRef(_)
    );
    let trail = interaction.resource_type().is_some_and(|own| own.as_str() == "AuditEvent");
    let trail = trail && matches!(interaction, Interaction::Read(_) | Interaction::SearchType(_));
    trail || (reads && !own)
}

impl Exchange<'_> {
    /// Asks the hospital's server, with headers built anew.
    pub async fn ask(
        &mut self,
        interaction: &Interaction,
        request: &UpstreamRequest,
        body: Bytes,
    ) -> Result<UpstreamAnswer, Refusal> {
        let mut headers = HeaderMap::with_capacity(USUAL);
        let plan = match self.at_hand(interaction, request, &mut headers) {
            AtHand::Answer(answer) => return Ok(answer),
            AtHand::Ask(plan) => plan,
        };
        let method = match request.method.as_str() {
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "DELETE" => Method::DELETE,
            _ => Method::GET,
        };
        let call = self.begin_call(&method, &request.path_and_query);
        for (name, value) in self.headers.to_upstream(interaction, request) {
            let value = match value {
                Cow::Borrowed(own) => Ok(HeaderValue::from_static(own)),
                Cow::Owned(own) => HeaderValue::try_from(own),
            };
            if let Ok(value) = value {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        self.trace_into(&mut headers);
        let body = request.form.clone().map_or(body, Bytes::from);
        let answer =
            Box::pin(self.gateway.upstream.ask(method, &request.path_and_query, headers, body)).await;
        self.wrote(interaction);
        let answer = self.seen(&call, answer)?;
        Ok(self.came(plan, answer))
    }

    /// Puts on record what is about to be written; without that nothing may be forwarded.
    pub async fn intend(&mut self) -> Result<(), Refusal> {
        self.gateway.record_intents(&mut [&mut *self.account]).await
    }

    /// Asks for a transaction of plain writes.
    pub async fn transact(&mut self, bundle: Bytes) -> Result<UpstreamAnswer, Refusal> {
        let call = self.begin_call(&Method::POST, "/");
        let minimal = self.headers.prefer == Some(ReturnPreference::Minimal);
        let mut headers = self.own_headers();
        headers.insert(http::header::CONTENT_TYPE, FHIR);
        let prefer = if minimal { "return=minimal" } else { "return=representation" };
        headers.insert(HeaderName::from_static("prefer"), HeaderValue::from_static(prefer));
        let base = if self.gateway.upstream.is_at_root() { "/" } else { "" };
        let answer = Box::pin(self.gateway.upstream.ask(Method::POST, base, headers, bundle)).await;
        self.gateway.answers.wrote_any();
        self.seen(&call, answer)
    }

    /// Asks for something that the caller did not ask for and a decision needs.
    pub async fn look_up(&mut self, path_and_query: &str) -> Result<UpstreamAnswer, Refusal> {
        let call = self.begin_call(&Method::GET, path_and_query);
        let headers = self.own_headers();
        let answer =
            Box::pin(self.gateway.upstream.ask(Method::GET, path_and_query, headers, Bytes::new())).await;
        self.seen(&call, answer)
    }

    /// Asks for the next page of a search.
    pub async fn follow(&mut self, link: &str) -> Result<UpstreamAnswer, Refusal> {
        // The link is the server's own: nothing of it is told.
        let call = self.begin_call(&Method::GET, "/{page}");
        let headers = self.own_headers();
        let answer = Box::pin(self.gateway.upstream.follow(link, headers)).await;
        self.seen(&call, answer)
    }

    /// The server is about to be asked.
    fn begin_call(&mut self, method: &Method, path_and_query: &str) -> Call {
        let within = self.account.enter(Stage::Upstream);
        if let Some(spans) = &mut self.account.spans {
            spans.calls(&within.entered, template::method(method), template::of_path(path_and_query));
        }
        Call { within, started: Instant::now() }
    }

    /// The headers of a question that is not the caller's own.
    fn own_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(USUAL);
        headers.insert(http::header::ACCEPT, FHIR);
        self.trace_into(&mut headers);
        headers
    }

    fn trace_into(&self, headers: &mut HeaderMap) {
        let span = self.account.spans.as_ref().map(|spans| spans.current());
        self.account.trace.put_into(span, headers);
        if let Ok(value) = HeaderValue::from_str(&self.account.request_id) {
            headers.insert(HeaderName::from_static("x-request-id"), value);
        }
    }

    fn seen(
        &mut self,
        call: &Call,
        answer: Result<UpstreamAnswer, UpstreamError>,
    ) -> Result<UpstreamAnswer, Refusal> {
        let status = answer.as_ref().ok().map(|answer| answer.status);
        self.gateway.tally.upstream(status, call.started.elapsed());
        if let Some(spans) = &mut self.account.spans {
            spans.answered(&call.within.entered, status.map(|status| status.as_u16()));
        }
        self.account.leave(&call.within);
        let failing = answer.as_ref().map_or(true, |answer| answer.status.is_server_error());
        self.gateway.upstream_failing.store(failing, Ordering::Relaxed);
        answer.map_err(Refusal::Upstream)
    }

    /// The resource of an answer's body after the response plugins, parsed. Anything but FHIR JSON is the server's fault.
    pub async fn resource_of(&mut self, body: Bytes, resource_type: &str) -> Result<OwnedDocument, Refusal> {
        let not_fhir = |what: String| Refusal::Upstream(UpstreamError::NotFhir(what));
        let document = match plugin::run(self, Hook::Response, &body).await? {
            Some(changed) => changed,
            None => OwnedDocument::parse_json(body, &self.answer_limits())
                .map_err(|error: SyntaxError| not_fhir(error.to_string()))?,
        };
        if document.root().resource_type().as_deref() == Some(resource_type) {
            Ok(document)
        } else {
            Err(not_fhir(format!("it is not a {resource_type}")))
        }
    }

    fn answer_limits(&self) -> Limits {
        Limits { bytes: self.gateway.config.limits.answer_bytes, ..Limits::default() }
    }

    /// The current version of a resource as the server has it, or nothing where it is absent or deleted.
    pub async fn fetch(
        &mut self,
        interaction: &Interaction,
        instance: &Instance,
    ) -> Result<Option<OwnedDocument>, Refusal> {
        let answer = self.ask(interaction, &interaction.to_request(), Bytes::new()).await?;
        match answer.status {
            StatusCode::OK => {
                let document = self.resource_of(answer.body, instance.resource_type.as_str()).await?;
                if document.root().get(name::ID).is_some_and(|id| id.is_str(instance.id.as_str())) {
                    Ok(Some(document))
                } else {
                    Err(Refusal::Upstream(UpstreamError::NotFhir(
                        "it is another resource than was asked for".to_owned(),
                    )))
                }
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            other => Err(Refusal::Upstream(UpstreamError::Status(other.as_u16()))),
        }
    }

    /// A released resource in the federation's identifier systems; its own text where that stays as it is.
    pub fn in_network_terms<'v>(&mut self, resource: Value<'v>) -> Cow<'v, [u8]> {
        match self.gateway.to_network.map_value(resource) {
            Some(mapped) => {
                self.account.mapped += mapped.changes.len();
                Cow::Owned(mapped.json)
            }
            None => Cow::Borrowed(resource.raw().as_bytes()),
        }
    }
}
