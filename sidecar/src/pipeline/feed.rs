//! What the hospital's own systems feed in beside HTTP: a transaction to the server, and its audit record.
//!
//! No token and no consent is asked for here: a feed carries the hospital's own data to the hospital's own server, and
//! who may feed is a list in the configuration. Every feed is recorded all the same.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use fhir_models::document::Document;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use jiff::Timestamp;
use uuid::Uuid;
use varco_core::audit::{
    AuditOutcome, AuditPatient, AuditProcessing, AuditRecord, AuditResource, AuditedEvent, NetworkAddress,
};
use varco_core::identity::MappedDocument;
use varco_core::requester::Requester;

use super::Gateway;
use super::trace::Trace;
use crate::limit::{Lane, Place};
use crate::store::{ReceivedRow, StoreError};
use crate::telemetry::course::Course;
use crate::telemetry::stage::Stage;
use crate::telemetry::traces::Hl7v2Message;
use crate::upstream::{UpstreamAnswer, UpstreamError};
use crate::validation::Validation;

const FHIR_JSON: HeaderValue = HeaderValue::from_static("application/fhir+json");

/// One feed: its ids, from [`Gateway::begin_feed`] on.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    /// The id in logs, audit records and towards the server.
    pub request_id: String,
    /// When it began.
    pub received: Timestamp,
    trace: Trace,
}

/// What came of a feed, for its audit record.
#[derive(Debug, Clone)]
pub(crate) struct Fed {
    /// Who fed it.
    pub requester: Requester,
    /// Where it came from.
    pub client: NetworkAddress,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// Why it failed, without personal data.
    pub cause: Option<String>,
    /// Whom it is about.
    pub patients: Vec<AuditPatient>,
    /// What was written: `Type/id`.
    pub written: Vec<String>,
    /// The maps that ran, by name.
    pub mapped: Vec<String>,
}

impl Gateway {
    /// A new one, at the beginning of a trace.
    pub(crate) fn begin_feed(&self) -> (Feed, Course) {
        let (id, mut trace) = (Uuid::now_v7(), Trace::continue_from(&HeaderMap::new()));
        let spans = self.reporting.begin_trace(&mut trace);
        let ticket = Some(self.reporting.tasks.requests.begin(id));
        (
            Feed { request_id: id.to_string(), received: Timestamp::now(), trace },
            Course { spans, ticket, kind: None },
        )
    }

    /// Tells the collector of one that ended.
    pub(crate) fn end_feed(&self, course: Course, message: Hl7v2Message) {
        if let (Some(tracer), Some(spans)) = (&self.reporting.tracer, course.spans) {
            tracer.finish_message(*spans, message);
        }
    }

    /// A place among those that feeds share with requests, where one is free.
    pub(crate) fn place_for_feed(&self, lane: Lane) -> Option<Place> {
        self.lanes.find(lane)
    }

    /// A transaction at the hospital's server (FHIR R4 §3.1.0.11.2).
    pub(crate) async fn transact(
        &self,
        feed: &Feed,
        course: &mut Course,
        bundle: Bytes,
    ) -> Result<UpstreamAnswer, UpstreamError> {
        let within = course.enter(Stage::Upstream);
        if let Some(spans) = &mut course.spans {
            spans.calls(&within.entered, "POST", "/".to_owned());
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, FHIR_JSON);
        headers.insert(header::ACCEPT, FHIR_JSON);
        headers.insert(HeaderName::from_static("prefer"), HeaderValue::from_static("return=minimal"));
        feed.trace.put_into(course.spans.as_ref().map(|spans| spans.current()), &mut headers);
        if let Ok(value) = HeaderValue::from_str(&feed.request_id) {
            headers.insert(HeaderName::from_static("x-request-id"), value);
        }
        let base = if self.upstream.is_at_root() { "/" } else { "" };
        let started = Instant::now();
        let answer = self.upstream.ask(Method::POST, base, headers, bundle).await;
        self.answers.wrote_any();
        let status = answer.as_ref().ok().map(|answer| answer.status);
        self.tally.upstream(status, started.elapsed());
        if let Some(spans) = &mut course.spans {
            spans.answered(&within.entered, status.map(|status| status.as_u16()));
        }
        course.leave(&within);
        let failing = answer.as_ref().map_or(true, |answer| answer.status.is_server_error());
        self.upstream_failing.store(failing, Ordering::Relaxed);
        answer
    }

    /// A document with this hospital's identifier systems, where it has others.
    pub(crate) fn in_local_terms(&self, document: Document<'_>) -> Option<MappedDocument> {
        self.to_local.map_document(document)
    }

    /// What validates.
    pub(crate) fn validation(&self) -> &Validation {
        &self.validation
    }

    /// Makes what came of a feed durable, together with the message that it was.
    pub(crate) async fn record_feed(
        &self,
        feed: &Feed,
        fed: Fed,
        received: Option<ReceivedRow>,
    ) -> Result<(), StoreError> {
        let record = AuditRecord {
            id: feed.request_id.clone(),
            recorded: feed.received,
            event: AuditedEvent::Transaction,
            outcome: fed.outcome,
            outcome_description: fed.cause,
            requester: Arc::new(fed.requester),
            token_id: None,
            client_address: fed.client,
            recorder: self.recorder.clone(),
            patients: fed.patients,
            resources: fed
                .written
                .into_iter()
                .map(|reference| AuditResource { reference, labels: Vec::new() })
                .collect(),
            query: None,
            request_id: Some(feed.request_id.clone()),
            consents: Vec::new(),
            processing: AuditProcessing {
                trace: Some(feed.trace.trace_id.clone()),
                mapped: fed.mapped,
                ..AuditProcessing::default()
            },
        };
        self.store.writer().append_received(record.per_patient(), received).await
    }
}
