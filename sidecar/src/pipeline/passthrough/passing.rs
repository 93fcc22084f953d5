//! The body of an answer that passes, with all that its request holds until it has ended: places, its line in `/tasks`, what is
//! told of it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use hyper::body::{Body, Frame, SizeHint};

use super::{Outcome, Route};
use crate::pipeline::account::Account;
use crate::pipeline::report::Seen;
use crate::pipeline::{Gateway, Refusal};
use crate::telemetry::traces;
use crate::upstream::{Flow, UpstreamError};

/// What is told of a request whatever becomes of it.
pub(super) struct Told {
    pub method: &'static str,
    pub protocol: &'static str,
    pub started: Instant,
}

/// What is to be done when a request has ended, in whatever way.
pub(super) struct Ending {
    gateway: Arc<Gateway>,
    route: Arc<Route>,
    account: Box<Account>,
    told: Told,
    status: StatusCode,
    fault: Option<UpstreamError>,
    whole: bool,
    /// Bytes of both bodies: the caller's, the server's.
    moved: (u64, u64),
}

impl Ending {
    pub fn new(
        gateway: Arc<Gateway>,
        route: Arc<Route>,
        account: Box<Account>,
        told: Told,
        status: StatusCode,
    ) -> Ending {
        route.under_way.fetch_add(1, Ordering::Relaxed);
        Ending { gateway, route, account, told, status, fault: None, whole: false, moved: (0, 0) }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.route.under_way.fetch_sub(1, Ordering::Relaxed);
        let fault = self.fault.take().map(|error| self.route.refusal(error));
        let outcome = match (&fault, self.whole) {
            (Some(_), _) => Outcome::Cut,
            (None, true) => Outcome::Answered,
            (None, false) => Outcome::Left,
        };
        self.gateway.tell_passage(
            &self.route,
            &mut self.account,
            &self.told,
            self.status,
            (outcome, fault.as_ref()),
            self.moved,
        );
    }
}

/// The body. Dropped before its end, it is a caller that went away.
pub struct Passing {
    body: Flow,
    ending: Ending,
}

impl Passing {
    pub(super) fn new(body: Flow, mut ending: Ending) -> Passing {
        ending.whole = body.is_end_stream();
        ending.moved = (body.sent(), 0);
        Passing { body, ending }
    }
}

impl Body for Passing {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let next = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        let own = &mut *self;
        own.ending.moved = (own.body.sent(), own.body.moved());
        match &next {
            None => own.ending.whole = true,
            Some(Ok(_)) => own.ending.whole = own.body.is_end_stream(),
            Some(Err(error)) => own.ending.fault = Some(error.clone()),
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Gateway {
    /// The line in the log, the counts, the line in the access log and the trace.
    pub(super) fn tell_passage(
        &self,
        route: &Route,
        account: &mut Account,
        told: &Told,
        status: StatusCode,
        (outcome, cause): (Outcome, Option<&Refusal>),
        (up, down): (u64, u64),
    ) {
        let took = told.started.elapsed();
        route.ended(outcome, took);
        route.meters.up.increment(up);
        route.meters.down.increment(down);
        if let Some(refusal) = cause {
            self.tally.refusal(refusal.word());
        }
        let client = account.requester.as_ref().map_or("", |requester| requester.client_id.as_str());
        let (request_id, trace_id) = (account.request_id.as_str(), account.trace.trace_id.as_str());
        let (name, micros, status_code) = (&route.config.name, took.as_micros() as u64, status.as_u16());
        let (method, ended) = (told.method, outcome.name());
        macro_rules! passed {
            ($level:ident) => {
                tracing::$level!(
                    request_id,
                    trace_id,
                    client,
                    route = name,
                    method,
                    status = status_code,
                    up,
                    down,
                    micros,
                    mode = "pass-through",
                    ended,
                    "passed"
                )
            };
        }
        match cause {
            // Told once a second.
            Some(Refusal::Shed(_)) => {}
            Some(cause) if cause.is_operational() => tracing::error!(
                request_id, trace_id, client, route = name, method, status = status_code, cause = %cause, up, down,
                micros, mode = "pass-through", ended, "failed"
            ),
            Some(cause) => tracing::info!(
                request_id, trace_id, client, route = name, method, status = status_code, cause = %cause, up, down,
                micros, mode = "pass-through", ended, "refused"
            ),
            // Where records count by the minute, so does the log.
            None if route.config.audit == crate::config::PassedAudit::Minute
                && outcome == Outcome::Answered =>
            {
                passed!(debug)
            }
            None => passed!(info),
        }
        let spans = account.spans.take();
        if spans.is_none() && self.reporting.access_log.is_none() {
            return;
        }
        let request = traces::Request {
            method,
            scheme: self.scheme(),
            protocol: told.protocol,
            route: Some(format!("{}/{{path}}", route.config.path)),
            status: status_code,
            cause: cause.map(Refusal::word).or((outcome == Outcome::Left).then_some("left")),
            interaction: "pass-through",
            resource_type: String::new(),
            request_id: account.request_id.clone(),
            bytes: usize::try_from(down).unwrap_or(usize::MAX),
            released: 0,
            plugins: 0,
        };
        let (received, address) = (account.received, account.client.ip());
        self.report(Seen { received, address, client, took, spans, request });
    }
}
