//! Pass-through: requests beside the FHIR base that are handed on as they are, both ways as they come, because the operator says
//! that no rule needs what is in them (`[[passthrough]]`).
//!
//! ```text
//! framing → path → place → token → limits → method, client → audit record → head and body to the server, piece by piece
//!                                                                                        ↓
//!             caller ← piece by piece, until the server, the caller or a bound ends it ← head
//! ```
//!
//! Invariants:
//! 1. Nobody decides about what passes, so nothing that is decided about can be reached: a route's path never meets the FHIR
//!    base, its server never the hospital's FHIR server (`config/check_passthrough`), and no caller's path climbs ([`path`]).
//! 2. The caller is known, listed, and within its limits; its access is on disk before anything is handed on ([`record`]).
//! 3. What is in memory of a body is bounded whatever its size: each piece waits until the one before was taken.
//! 4. A body that breaks off ends its connection, at either side. None ends as if it were whole.
//! 5. A caller that goes away ends the request to the server: nothing is written here that its absence could leave half done.
//!
//! Metrics: `varco_passthrough_requests_total`, `varco_passthrough_seconds`, `varco_passthrough_bytes_total`,
//! `varco_passthrough_under_way`.

mod headers;
mod minutes;
mod passing;
mod path;
mod record;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::Uri;
use http::{Method, Request, Response, Version};
use http_body_util::Either;
use hyper::body::Body as _;
use metrics::{Counter, Histogram, counter, gauge, histogram};

use headers::Stands;
pub(crate) use headers::may_pass;
use minutes::Minutes;
pub use passing::Passing;
use passing::{Ending, Told};

use super::account::Account;
use super::answer::Answer;
use super::{Gateway, Refusal, Reply, receive, template};
use crate::config::{Config, PassedAudit, Passthrough};
use crate::limit::{self, Shape};
use crate::listen::{Coming, Peer};
use crate::telemetry::stage::Stage;
use crate::upstream::{
    self, CallerFault, Flowing, Guard, Upload, Upstream, UpstreamError, UpstreamSetupError,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How requests ended, as metrics and logs have it.
const OUTCOMES: [&str; 5] = ["answered", "refused", "failed", "cut", "left"];

/// How one ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All of the server's answer was handed on.
    Answered,
    /// Nothing was handed on: the caller's doing.
    Refused,
    /// Nothing of an answer was handed on: this installation's doing.
    Failed,
    /// The answer broke off.
    Cut,
    /// The caller went away.
    Left,
}

impl Outcome {
    fn name(self) -> &'static str {
        OUTCOMES.get(self as usize).copied().unwrap_or_default()
    }
}

/// What a route counts.
struct Meters {
    ended: [Counter; OUTCOMES.len()],
    seconds: Histogram,
    up: Counter,
    down: Counter,
}

/// One pass-through.
pub(super) struct Route {
    config: Passthrough,
    methods: Vec<Method>,
    allow: HeaderValue,
    headers: Vec<HeaderName>,
    upstream: Upstream,
    stands: Stands,
    /// Those of each listed client, in the list's order.
    minutes: Vec<Minutes>,
    meters: Meters,
    under_way: AtomicU64,
}

/// All of them.
#[derive(Default)]
pub(super) struct Passthroughs {
    routes: Vec<Arc<Route>>,
    /// `https://host:port`, as callers find this gateway.
    origin: String,
}

impl Passthroughs {
    /// Those of the configuration; what is known of a server that was asked `before` goes on.
    pub fn new(config: &Config, before: Option<&Passthroughs>) -> Result<Passthroughs, UpstreamSetupError> {
        let routes = config.passthrough.iter().map(|own| {
            let old = before.and_then(|it| it.routes.iter().find(|old| old.config.name == own.name));
            let old = old.filter(|old| old.config.server.url == own.server.url);
            let guard = match old.and_then(|old| old.upstream.guard()) {
                Some(guard) => Guard::following(guard, &own.server),
                None => Guard::of_passthrough(&own.server, &own.name),
            };
            Route::new(own, guard).map(Arc::new)
        });
        let base = config.site.base();
        let origin = base.strip_suffix(config.site.base_path()).unwrap_or(base).to_owned();
        Ok(Passthroughs { routes: routes.collect::<Result<_, _>>()?, origin })
    }

    /// The one that this path belongs to.
    pub fn leads(&self, path: &str) -> Option<Arc<Route>> {
        self.routes.iter().find(|route| route.config.below(path).is_some()).cloned()
    }

    /// Sets the gauges, before metrics are rendered.
    pub fn observe(&self) {
        for route in &self.routes {
            route.upstream.observe();
            let under_way = route.under_way.load(Ordering::Relaxed);
            gauge!("varco_passthrough_under_way", "route" => route.config.name.clone()).set(under_way as f64);
        }
    }
}

impl Route {
    fn new(config: &Passthrough, guard: Arc<Guard>) -> Result<Route, UpstreamSetupError> {
        let wrong = || UpstreamSetupError::Url(config.server.url.clone());
        let uri: Uri = config.server.url.parse().map_err(|_| wrong())?;
        let stands = Stands {
            authority: uri.authority().cloned().ok_or_else(wrong)?,
            base: uri.path().trim_end_matches('/').to_owned(),
            path: config.path.clone(),
        };
        let methods = config.methods.iter().map(|own| own.parse()).collect::<Result<Vec<Method>, _>>();
        let route = || config.name.clone();
        let bytes = |direction: &'static str| counter!("varco_passthrough_bytes_total", "route" => route(), "direction" => direction);
        Ok(Route {
            allow: HeaderValue::from_str(&config.methods.join(", ")).map_err(|_| wrong())?,
            methods: methods.map_err(|_| wrong())?,
            headers: config.headers.iter().filter_map(|own| own.parse().ok()).collect(),
            // Nothing of it is gathered: its answers are bounded where they are handed on.
            upstream: Upstream::guarded(&config.server, 0, guard)?,
            stands,
            minutes: config.clients.iter().map(|_| Minutes::default()).collect(),
            meters: Meters {
                ended: OUTCOMES.map(|outcome| {
                    counter!("varco_passthrough_requests_total", "route" => route(), "outcome" => outcome)
                }),
                seconds: histogram!("varco_passthrough_seconds", "route" => route()),
                up: bytes("requests"),
                down: bytes("responses"),
            },
            under_way: AtomicU64::new(0),
            config: config.clone(),
        })
    }

    fn ended(&self, outcome: Outcome, took: Duration) {
        if let Some(counter) = self.meters.ended.get(outcome as usize) {
            counter.increment(1);
        }
        self.meters.seconds.record(took.as_secs_f64());
    }
}

impl Gateway {
    /// Answers a request to this pass-through.
    pub(super) async fn pass(
        self: Arc<Self>,
        route: Arc<Route>,
        request: Request<Coming>,
        peer: Peer,
    ) -> Response<Reply> {
        let started = Instant::now();
        let (head, body) = request.into_parts();
        let mut account = Box::new(Account::open(&head, peer, &self.reporting));
        let told = Told {
            method: template::method(&head.method),
            protocol: template::protocol(head.version),
            started,
        };
        let flowing = self.hand_on(&route, &head, body, peer, &mut account).await;
        match flowing {
            Ok(Flowing { status, headers, body }) => {
                let headers =
                    headers::answered(headers, head.method == Method::HEAD, &route.headers, &route.stands);
                let mut response = Response::new(());
                *response.status_mut() = status;
                *response.headers_mut() = headers;
                response.headers_mut().extend(limit::headers(&account.standings));
                if let Ok(id) = HeaderValue::from_str(&account.request_id) {
                    response.headers_mut().insert(REQUEST_ID, id);
                }
                let ending = Ending::new(self, route, account, told, status);
                response.map(|()| Either::Right(Box::new(Passing::new(body, ending))))
            }
            Err(refusal) => Box::pin(self.refuse(&route, &head, &mut account, &told, refusal)).await,
        }
    }

    /// Puts on record, tells and answers what is not handed on.
    async fn refuse(
        self: &Arc<Self>,
        route: &Route,
        head: &Parts,
        account: &mut Account,
        told: &Told,
        refusal: Refusal,
    ) -> Response<Reply> {
        let close = refusal.ends_connection();
        let refusal = match self.record_refused_passage(route, head, account, &refusal).await {
            Ok(()) => refusal,
            Err(worse) => worse,
        };
        let outcome = if refusal.is_operational() { Outcome::Failed } else { Outcome::Refused };
        let answer = Answer::refused(&refusal);
        self.tell_passage(route, account, told, answer.status, (outcome, Some(&refusal)), (0, 0));
        answer.into_response(&account.request_id, close).map(Either::Left)
    }

    /// Hands a request on, if its caller may; the answer's head, and the body to come.
    async fn hand_on(
        self: &Arc<Self>,
        route: &Arc<Route>,
        head: &Parts,
        body: Coming,
        peer: Peer,
        account: &mut Account,
    ) -> Result<Flowing, Refusal> {
        receive::check_framing(head)?;
        let below = route.config.below(head.uri.path()).ok_or(Refusal::UnclearPath)?;
        if path::is_unclear(below) {
            return Err(Refusal::UnclearPath);
        }
        let authorization = head.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let requester = self.admit_caller(head, peer, &Shape::PASSED, authorization, account).await?;
        if !route.methods.contains(&head.method) {
            return Err(Refusal::NotPassed(route.allow.clone()));
        }
        let client = route.config.clients.iter().position(|own| *own == requester.client_id);
        let client = client.ok_or(Refusal::Policy("the client is not listed at this pass-through"))?;
        if requester.fse.is_some() {
            return Err(Refusal::Policy("the token signs a message, and nobody reads what passes"));
        }
        if requester.patient.is_some() {
            return Err(Refusal::Policy("the token is about one patient, and nobody reads what passes"));
        }
        let most = route.config.body_bytes;
        if body.size_hint().lower() > most {
            return Err(route.refusal(UpstreamError::Caller(CallerFault::TooLarge)));
        }
        let within = account.enter(Stage::Audit);
        match route.config.audit {
            PassedAudit::Each => Box::pin(self.record_passage(route, head, account)).await?,
            PassedAudit::Minute if route.counted(client, account.received) => {}
            PassedAudit::Minute => Box::pin(self.count_passage(route, client, account)).await?,
        }
        account.leave(&within);

        let within = account.enter(Stage::Upstream);
        let span = account.spans.as_ref().map(|spans| spans.current());
        if let Some(spans) = &mut account.spans {
            spans.calls(
                &within.entered,
                template::method(&head.method),
                format!("{}/{{path}}", route.config.path),
            );
        }
        let deadline = route.upstream.deadline();
        let upload =
            (!body.is_end_stream()).then(|| Upload::new(body, most, route.upstream.idle(), deadline));
        let (trace, id) = (&account.trace, &account.request_id);
        let request = || {
            let mut request = Request::new(());
            *request.method_mut() = head.method.clone();
            *request.uri_mut() = upstream::uri(route.target(below, head.uri.query()))?;
            *request.headers_mut() = headers::asked(&head.headers, &route.headers);
            trace.put_into(span, request.headers_mut());
            if let Ok(id) = HeaderValue::from_str(id) {
                request.headers_mut().insert(REQUEST_ID, id);
            }
            Ok(request)
        };
        let most = route.config.answer_bytes;
        let flowing = route.upstream.stream(&head.method, request, upload, deadline, most).await;
        if let Some(spans) = &mut account.spans {
            spans.answered(&within.entered, flowing.as_ref().ok().map(|own| own.status.as_u16()));
        }
        let flowing = flowing.map_err(|error| route.refusal(error))?;
        // A caller in HTTP/1.0 could not tell the end of such a body from its breaking off.
        let endless = !flowing.headers.contains_key(CONTENT_LENGTH) && !flowing.body.is_end_stream();
        if head.version == Version::HTTP_10 && endless {
            return Err(Refusal::OldProtocol);
        }
        Ok(flowing)
    }
}

impl Route {
    /// Why nothing, or not all, was handed on.
    fn refusal(&self, error: UpstreamError) -> Refusal {
        match error {
            UpstreamError::Caller(CallerFault::TooLarge) => {
                let text = format!("The body is larger than {} bytes.", self.config.body_bytes);
                Refusal::Body { text, too_large: true }
            }
            UpstreamError::Caller(CallerFault::Slow) => Refusal::BodyTimeout,
            UpstreamError::Caller(CallerFault::Broken) => Refusal::BodyBroken,
            error => Refusal::Upstream(error),
        }
    }

    /// Path and query at the server.
    fn target(&self, below: &str, query: Option<&str>) -> String {
        let path = if below.is_empty() && self.stands.base.is_empty() { "/" } else { below };
        let mut target =
            String::with_capacity(self.stands.base.len() + path.len() + 1 + query.map_or(0, str::len));
        target.push_str(&self.stands.base);
        target.push_str(path);
        if let Some(query) = query {
            target.push('?');
            target.push_str(query);
        }
        target
    }
}
