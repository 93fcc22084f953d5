//! One message, from its request to its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, header};
use http_body_util::Full;
use jiff::Timestamp;
use metrics::{counter, histogram};
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::caller::NotAdmitted;
use super::forward::Answered;
use super::kind::climbs;
use super::message::Message;
use super::problem::{Kept, Problem};
use super::publish::outgoing;
use super::record::Origin;
use super::settle::{cause_of, outcome_of};
use super::{InHand, Publication, Route, finding, seconds, warning};
use crate::listen::{Coming, Peer};
use crate::pipeline::trace::Trace;
use crate::pipeline::{Refusal, receive, status_word};
use crate::store::RefusedRow;

/// How long a message waits for a place in hand.
const FOR_A_PLACE: Duration = Duration::from_secs(10);
/// Says under which id a message waits.
const OUTBOX: HeaderName = HeaderName::from_static("varco-outbox");

/// What a message came to.
struct Served {
    answer: Answered,
    findings: Vec<String>,
    kept: Option<String>,
}

/// What is said of a message in the log; beside the answer, for whoever tells of it elsewhere.
#[derive(Clone, Default)]
pub(crate) struct Told {
    /// What it is.
    pub kind: &'static str,
    /// Who sent it; empty where it is not known.
    pub client: String,
    cause: Option<String>,
}

impl Publication {
    /// Answers a request to one of the routes.
    pub(crate) async fn serve(
        self: Arc<Self>,
        route: Arc<Route>,
        request: Request<Coming>,
        peer: Peer,
        id: Uuid,
        trace: Trace,
    ) -> Response<Full<Bytes>> {
        let started = Instant::now();
        let (head, body) = request.into_parts();
        let id = id.to_string();
        let mut told = Told { kind: "other", ..Told::default() };
        let result = self.take(&route, &head, body, peer, (&id, &trace), &mut told).await;
        let status = result.as_ref().map_or_else(|problem| problem.row().2, |served| served.answer.status);
        let findings = result.as_ref().map_or_else(|_| String::new(), |served| served.findings.join("; "));
        let kept = match &result {
            Ok(served) => served.kept.is_some(),
            Err(problem) => problem.kept().is_some(),
        };
        let Told { kind, client, cause } = told.clone();
        let cause = cause.or_else(|| result.as_ref().err().map(|problem| problem.row().0.to_owned()));
        let (cause, micros) = (cause.unwrap_or_default(), started.elapsed().as_micros() as u64);
        let (request_id, trace_id, name, status_code) =
            (&id, &trace.trace_id, &route.config.name, status.as_u16());
        let operational = matches!(&result, Err(problem) if problem.is_operational());
        if operational {
            tracing::error!(
                request_id,
                trace_id,
                client,
                route = name,
                kind,
                status = status_code,
                cause,
                kept,
                micros,
                mode = "fse-transparent",
                "failed"
            );
        } else {
            tracing::info!(
                request_id,
                trace_id,
                client,
                route = name,
                kind,
                status = status_code,
                cause,
                kept,
                findings,
                micros,
                mode = "fse-transparent",
                "answered"
            );
        }
        let by = if result.is_ok() { "gateway" } else { "middleware" };
        counter!("varco_fse_messages_total", "route" => name.clone(), "kind" => kind,
            "status" => status_word(status), "by" => by)
        .increment(1);
        histogram!("varco_fse_message_seconds", "kind" => kind).record(started.elapsed().as_secs_f64());
        let mut response = match result {
            Ok(served) => given(served, &id),
            Err(problem) => refused(&problem, &id, &trace),
        };
        response.extensions_mut().insert(told);
        response
    }

    async fn take(
        &self,
        route: &Arc<Route>,
        head: &Parts,
        body: Coming,
        peer: Peer,
        (id, trace): (&str, &Trace),
        told: &mut Told,
    ) -> Result<Served, Problem> {
        let place = tokio::time::timeout(FOR_A_PLACE, route.places.clone().acquire_owned()).await;
        let place = place.map_err(|_| Problem::Busy)?.map_err(|_| Problem::Internal)?;
        receive::check_framing(head).map_err(|refusal| problem(refusal, route))?;
        let path = route.config.below(head.uri.path()).ok_or(Problem::Path)?;
        if climbs(path) {
            return Err(Problem::Path);
        }
        let now = seconds();
        let admitted =
            route.admission.admit(&head.headers, &peer, u64::try_from(now).unwrap_or_default()).await;
        let caller = match admitted {
            Ok(caller) => caller,
            Err(error) => return Err(self.not_admitted(&error, &peer, now, told).await),
        };
        told.client.clone_from(&caller.client);
        let place = match self.within_limits(route, &caller.client, place) {
            Ok(place) => place,
            Err((cause, problem)) => {
                self.count_refused(cause, &peer, now, told).await?;
                return Err(problem);
            }
        };
        let within = Duration::from_secs(route.config.answer_seconds);
        let body = receive::body(body, route.config.body_bytes, within).await;
        let body = body.map_err(|refusal| problem(refusal, route))?;
        let path = if path.is_empty() { "/" } else { path };
        let target = head.uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        let message = Message::read(head.method.clone(), target, &head.headers, body);
        told.kind = message.kind.name();
        let others = self.routes.iter().filter_map(|own| own.config.region.as_deref());
        let mut findings = finding::of(&message, route.config.region.as_deref(), others, now);
        let origin = Origin {
            id: id.to_owned(),
            trace: trace.trace_id.clone(),
            hop: Some(trace.traceparent()),
            kind: message.kind,
            caller,
            patient: message.tokens.person().map(str::to_owned),
        };
        if message.kind.is_publication() {
            let published = self.publish(route, message, origin, place).await?;
            findings.extend(published.finding.map(str::to_owned));
            return Ok(Served { answer: published.answer, findings, kept: published.kept });
        }
        let outcome = route.send(outgoing(&message, &origin)).await;
        told.cause = cause_of(&outcome);
        let row = self.recorder.end(&origin, outcome_of(&outcome), told.cause.clone(), false);
        self.commit(Vec::new(), vec![row]).await.map_err(|error| {
            told.cause = Some(error.to_string());
            Problem::Internal
        })?;
        match outcome {
            Ok(answer) => Ok(Served { answer, findings, kept: None }),
            Err(_) => Err(Problem::Unreachable(Kept::NotNeeded)),
        }
    }

    /// A caller that is not let through, or sends too much, is counted in the trail, as on every other plane.
    async fn not_admitted(&self, error: &NotAdmitted, peer: &Peer, now: i64, told: &mut Told) -> Problem {
        told.cause = Some(error.to_string());
        if let Err(problem) = self.count_refused(error.name(), peer, now, told).await {
            return problem;
        }
        match error {
            NotAdmitted::NoCertificate | NotAdmitted::Tokens(_) => Problem::Unknown,
            NotAdmitted::Certificate(_) | NotAdmitted::Network(_) => Problem::NotAdmitted,
        }
    }

    /// Takes what a message costs its caller; gives the cause in a word where that is more than it may send.
    fn within_limits(
        &self,
        route: &Route,
        client: &str,
        place: OwnedSemaphorePermit,
    ) -> Result<InHand, (&'static str, Problem)> {
        let rate = |exceeded| ("rate", Problem::Rate(exceeded));
        let of_caller = route.pace.place(client).map_err(rate)?;
        route.pace.take(client).map_err(rate)?;
        let day = route.pace.count_day(client, Timestamp::now());
        day.map_err(|exceeded| ("quota", Problem::Quota(exceeded)))?;
        Ok(InHand { _place: place, _of_caller: of_caller })
    }

    async fn count_refused(
        &self,
        cause: &'static str,
        peer: &Peer,
        now: i64,
        told: &mut Told,
    ) -> Result<(), Problem> {
        let address = peer.address.ip().to_canonical().to_string();
        let row = RefusedRow { minute: now.div_euclid(60), address, cause, count: 1 };
        if let Err(error) = self.outbox.store.count_refused(vec![row]).await {
            told.cause = Some(error.to_string());
            return Err(Problem::Internal);
        }
        counter!("varco_audit_refused_total", "cause" => cause).increment(1);
        Ok(())
    }
}

fn problem(refusal: Refusal, route: &Route) -> Problem {
    match refusal {
        Refusal::Framing(what) => Problem::Framing(what),
        Refusal::Body { too_large: true, .. } => Problem::TooLarge(route.config.body_bytes),
        Refusal::BodyTimeout => Problem::Slow,
        Refusal::BodyBroken | Refusal::Body { .. } => Problem::Broken,
        _ => Problem::Internal,
    }
}

/// The national gateway's answer, with own warnings where it can carry them.
fn given(served: Served, id: &str) -> Response<Full<Bytes>> {
    let Served { answer: Answered { status, headers, body }, findings, kept } = served;
    let json = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        value.split(';').next().is_some_and(|own| own.trim().eq_ignore_ascii_case("application/json"))
    });
    let plain = status.is_success() && json && !headers.contains_key(header::CONTENT_ENCODING);
    let warned = if plain { warning::append(&body, &findings) } else { None };
    let mut response = Response::new(Full::new(warned.map_or(body, Bytes::from)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    mark(&mut response, id, kept.as_deref());
    response
}

fn refused(problem: &Problem, id: &str, trace: &Trace) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(problem.to_json(&trace.trace_id, &trace.span_id).into()));
    *response.status_mut() = problem.row().2;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().extend(problem.headers());
    if matches!(problem, Problem::Framing(_)) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    mark(&mut response, id, problem.kept());
    response
}

fn mark(response: &mut Response<Full<Bytes>>, id: &str, kept: Option<&str>) {
    if let Ok(id) = HeaderValue::from_str(id) {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), id);
    }
    if let Some(kept) = kept.and_then(|kept| HeaderValue::from_str(kept).ok()) {
        response.headers_mut().insert(OUTBOX, kept);
    }
}
