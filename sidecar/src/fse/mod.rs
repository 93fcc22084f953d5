//! The publication plane: messages of the hospital's applications to the national gateway of FSE 2.0, by the rules for regional
//! middlewares (published by the Ministry of Health with the gateway's interfaces: "Modello Middleware Regionale").
//!
//! ```text
//! caller → kind, chains, findings → outbox (on disk) → national gateway → settle + audit → answer, with own warnings
//!                                        ↑                    ↓ no answer
//!                                        └── replay, in order ┘
//! ```
//!
//! Invariants:
//! 1. Every message is forwarded as soon as it has come: method, path, query, body and the listed headers as they are. What
//!    this gateway notices becomes a warning and never a refusal.
//! 2. The national gateway's answer goes back as it is, status, content type and body; own warnings are appended to a success
//!    alone. Own errors are RFC 7807 and of type `mw/…`.
//! 3. A publication is on disk before it is forwarded. While the gateway is silent it waits; the messages about one document are sent
//!    in the order in which they came, each has its effect once, and none waits longer than the gateway takes it.
//! 4. Nothing here touches what this hospital shows to the federation: masks and consents are those of its own store and server,
//!    whatever the national gateway has taken or not.
//!
//! Bounds: messages in hand, bytes of a message and an answer, time for each, number, bytes and days of what waits. How much one
//! caller may send is bounded only where the route's `limits` say so: they look at nothing of a message, and what is above them is
//! told in the forms of own errors (429). The plane has places of its own, so that it neither takes those of requests nor waits
//! for them.

mod caller;
mod claims;
mod finding;
mod forward;
mod kind;
mod listing;
mod message;
mod multipart;
mod outbox;
mod plan;
mod problem;
mod publish;
mod record;
pub mod replay;
mod serve;
mod settle;
mod verdict;
mod warning;

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use metrics::histogram;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::{self, Config, PublicationRoute};
use crate::identify::TokenSetupError;
use crate::limit::{ClientPlace, Pace, QuotaBook};
use crate::pipeline::status_word;
use crate::pipeline::trace::Trace;
use crate::store::OutboxMessage;
use crate::upstream::UpstreamSetupError;
use caller::{Admission, Caller};
use forward::{Outgoing, Way};
use kind::Kind;
pub(crate) use kind::climbs;
pub use listing::{Operated, Operation};
pub use outbox::Outbox;
use record::{Origin, Recorder};
pub(crate) use serve::Told;

/// Time beyond its own that an attempt may take until it is settled, in seconds.
const MARGIN: u64 = 5;

/// A plane that can't be made.
#[derive(Debug, thiserror::Error)]
pub enum PublicationSetupError {
    /// The way to a national gateway.
    #[error("the national gateway of route {route} can't be reached: {cause}")]
    Way {
        /// The route's name.
        route: String,
        /// Why.
        cause: UpstreamSetupError,
    },
    /// Those who may publish.
    #[error(transparent)]
    Tokens(#[from] TokenSetupError),
}

/// One route.
pub struct Route {
    /// Its name.
    name: Arc<str>,
    config: PublicationRoute,
    way: Way,
    admission: Admission,
    places: Arc<Semaphore>,
    /// What each caller may send.
    pace: Arc<Pace>,
}

/// What a message has in hand, until it is answered or on disk.
struct InHand {
    _place: OwnedSemaphorePermit,
    _of_caller: Option<ClientPlace>,
}

impl Route {
    /// Where its paths begin, without a slash at the end.
    pub(crate) fn path(&self) -> &str {
        self.config.path.trim_end_matches('/')
    }

    /// How long an attempt takes at most, in seconds.
    fn longest(&self) -> u64 {
        self.config.answer_seconds
    }

    /// The same until what came of it is on disk.
    fn settled_within(&self) -> u64 {
        self.longest().saturating_add(MARGIN)
    }

    async fn send(&self, outgoing: Outgoing) -> outbox::Outcome {
        let started = Instant::now();
        let outcome = self.way.send(outgoing).await;
        let status = outcome.as_ref().map_or("none", |answer| status_word(answer.status));
        histogram!("varco_fse_gateway_seconds", "status" => status).record(started.elapsed().as_secs_f64());
        outcome
    }
}

/// The routes of one configuration, and the outbox.
pub struct Publication {
    config: config::Publication,
    routes: Vec<Arc<Route>>,
    outbox: Arc<Outbox>,
    recorder: Recorder,
}

impl Publication {
    /// What the configuration asks for; `None` where it asks for nothing. A route's limits that are set as `before` go on.
    pub fn new(
        config: &Config,
        outbox: &Arc<Outbox>,
        quotas: &Arc<QuotaBook>,
        before: Option<&Publication>,
    ) -> Result<Option<Arc<Publication>>, PublicationSetupError> {
        let Some(own) = &config.publication else { return Ok(None) };
        let route = |route: &PublicationRoute| {
            let way = Way::new(route)
                .map_err(|cause| PublicationSetupError::Way { route: route.name.clone(), cause })?;
            let admission = Admission::new(config, route)?;
            let places = Arc::new(Semaphore::new(route.in_flight));
            let earlier = before.and_then(|plane| plane.route(&route.name));
            let pace = earlier.filter(|own| own.config.limits == route.limits).map(|own| own.pace.clone());
            let pace = pace.unwrap_or_else(|| {
                Arc::new(Pace::new(format!("publication {}", route.name), &route.limits, quotas.clone()))
            });
            Ok(Arc::new(Route {
                name: route.name.as_str().into(),
                config: route.clone(),
                way,
                admission,
                places,
                pace,
            }))
        };
        let routes: Result<_, PublicationSetupError> = own.route.iter().map(route).collect();
        Ok(Some(Arc::new(Publication {
            config: own.clone(),
            routes: routes?,
            outbox: outbox.clone(),
            recorder: Recorder(config.site.recorder()),
        })))
    }

    /// The route that a path belongs to.
    pub fn leads(&self, path: &str) -> Option<&Arc<Route>> {
        self.routes.iter().find(|route| route.config.below(path).is_some())
    }

    /// Sets the gauges, before metrics are rendered.
    pub fn observe(&self) {
        self.outbox.observe(seconds());
    }

    fn route(&self, name: &str) -> Option<&Arc<Route>> {
        self.routes.iter().find(|route| &*route.name == name)
    }
}

/// A stored message as its records know it; `None` where its kind is not known.
fn origin_of(stored: &OutboxMessage) -> Option<Origin> {
    Some(Origin {
        id: stored.head.id.clone(),
        trace: stored.head.trace.clone(),
        hop: None,
        kind: Kind::publication(&stored.head.kind)?,
        caller: serde_json::from_str::<Caller>(&stored.caller).unwrap_or_default(),
        patient: stored.patient.clone(),
    })
}

/// The next hop of a message's trace, as a header: the same trace for every attempt. The first is part of the request's own span, a
/// later one has a span of its own.
fn trace_into(headers: &mut HeaderMap, origin: &Origin) {
    let own = origin.hop.clone().unwrap_or_else(|| Trace::next_of(&origin.trace).traceparent());
    if let Ok(value) = HeaderValue::from_str(&own) {
        headers.insert(HeaderName::from_static("traceparent"), value);
    }
}

/// The present instant, in seconds since 1970.
fn seconds() -> i64 {
    Timestamp::now().as_second()
}

/// The same in milliseconds.
fn milliseconds() -> i64 {
    Timestamp::now().as_millisecond()
}
