//! A request's way through the gateway, one stage a file.
//!
//! ```text
//! receive → identify → limit → parse interaction → scopes → (map, plugin) → decide → validate → forward
//!                                                                                        ↓
//!            respond ← audit ← validate ← map ← decide per resource ← plugin ← answer
//! ```
//!
//! Invariants:
//! 1. What goes to the hospital's server is built from the parsed [`Interaction`]; nothing else of the caller is.
//! 2. No byte of an answer leaves before its decision is made and its audit record is on disk.
//! 3. A hidden resource and an absent one take the same way out: [`Refusal::Absent`].

mod account;
mod admission;
mod answer;
mod batch;
mod bound;
mod cause;
mod conditional;
mod doc_ref;
mod elements;
mod everything;
mod exchange;
pub(crate) mod feed;
mod finishing;
mod glass;
mod history;
mod includes;
mod inspect;
mod joins;
mod judge;
mod last_n;
mod map;
mod masking;
mod own;
mod page;
mod paging;
mod passthrough;
mod patch;
mod patient_match;
mod plugin;
mod policy;
mod process;
mod publication;
mod read;
pub(crate) mod receive;
mod record;
mod refusal;
mod refused;
mod remembered;
mod report;
mod route_plugins;
mod search;
mod serve;
mod setup;
mod subset;
mod summary;
mod surroundings;
mod tally;
mod targets;
mod telling;
mod template;
mod timeline;
mod told;
pub(crate) mod trace;
mod trail;
mod trail_search;
mod transaction;
mod transform;
mod translate;
mod turns;
mod validate;
mod view;
mod write;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Either, Full};
use metrics::gauge;
use varco_core::access::{Necessary, PatientsOf, SummaryOf};
use varco_core::audit::AuditRecorder;
use varco_core::consent::fse::FseSystems;
use varco_core::consent::{BreakGlass, Combining, LiteralReference, Reading, WithoutConsent};
use varco_core::identity::{AliasMap, IdentifierAliases};
use varco_core::interaction::SearchSchema;
use varco_core::requester::BusinessIdentifier;
use varco_plugin_host::PluginLibrary;

use crate::cache::Answers;
use crate::config::Config;
use crate::fse::{Outbox, Publication};
use crate::identify::TokenGate;
use crate::limit::{Lanes, Limiter, QuotaBook};
use crate::listen::{Coming, Handler, Peer};
use crate::mapping::Maps;
use crate::policy::Policies;
use crate::store::Store;
use crate::telemetry::reporting::Reporting;
use crate::upstream::Upstream;
use crate::validation::Validation;
use finishing::{Answering, Work};
use page::PageSeal;
pub(crate) use passthrough::may_pass;
use passthrough::{Passing, Passthroughs};
use patient_match::Matching;
pub use refusal::Refusal;
use refused::RefusedTally;
use route_plugins::RoutePlugins;
pub use route_plugins::read_concept_map;
pub use setup::SetupError;
use tally::Tally;
pub(crate) use tally::status_word;
use turns::Turns;

/// An answer's body: whole, or as it comes where it passes through.
pub type Reply = Either<Full<Bytes>, Box<Passing>>;

/// Everything that decides about requests. Immutable but for the store, the caches and the counters.
pub struct Gateway {
    config: Config,
    /// Itself, as it stands in audit records.
    recorder: Arc<AuditRecorder>,
    store: Arc<Store>,
    tokens: TokenGate,
    limit: Limiter,
    lanes: Lanes,
    quotas: Arc<QuotaBook>,
    upstream: Upstream,
    /// Answers of the hospital's server that are kept.
    answers: Answers,
    schema: SearchSchema,
    compartment: PatientsOf,
    summary: SummaryOf,
    necessary: Necessary,
    /// Identifier systems and their canonical names: those of the configuration, then the published ones.
    aliases: IdentifierAliases,
    /// The systems of FSE's codes, where its masking rules hold.
    fse: Option<FseSystems>,
    /// Rules for emergencies, where there are any.
    break_glass: Option<BreakGlass>,
    /// Identifier systems as this hospital writes them.
    to_local: AliasMap,
    /// Identifier systems as the federation writes them.
    to_network: AliasMap,
    reading: Reading,
    /// The local resources that consents may name for those whom tokens name by an identifier.
    parties: Vec<(BusinessIdentifier, LiteralReference)>,
    combining: Combining,
    without_consent: WithoutConsent,
    plugins: RoutePlugins,
    library: Arc<PluginLibrary>,
    turns: Arc<Turns>,
    seal: Arc<PageSeal>,
    validation: Validation,
    maps: Arc<Maps>,
    /// What the site permits, beside consents.
    policies: Option<Arc<Policies>>,
    matching: Matching,
    tally: Tally,
    reporting: Reporting,
    refused: RefusedTally,
    /// Messages to the national gateway wait here, whatever configuration there is.
    outbox: Arc<Outbox>,
    publication: Option<Arc<Publication>>,
    passthroughs: Passthroughs,
    capabilities: OnceLock<Bytes>,
    draining: AtomicBool,
    upstream_failing: AtomicBool,
}

impl Handler for Gateway {
    type Body = Reply;

    fn handle(
        self: Arc<Self>,
        request: Request<Coming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Reply>> + Send {
        let path = request.uri().path();
        // What passes through has its record before it is handed on, and ends with its caller.
        if let Some(route) = self.passthroughs.leads(path) {
            return Answering(Work::ending(self.pass(route, request, peer)));
        }
        let plane = self.publication.as_ref();
        Answering(match plane.and_then(|plane| Some((plane.clone(), plane.leads(path)?.clone()))) {
            Some((plane, route)) => Work::finishing(self.publish(plane, route, request, peer)),
            None => Work::finishing(self.process(request, peer)),
        })
    }
}

impl Gateway {
    /// Sets the gauges, before metrics are rendered.
    pub fn observe(&self) {
        self.reporting.observe();
        self.tokens.observe();
        self.answers.observe();
        self.store.observe();
        self.validation.observe();
        self.maps.current().observe();
        self.limit.observe();
        self.lanes.observe();
        self.quotas.observe();
        crate::review::observe(self);
        self.publication.iter().for_each(|plane| plane.observe());
        gauge!("varco_store_queue").set(self.store.writer().waiting() as f64);
        self.upstream.observe();
        self.passthroughs.observe();
    }

    /// What it reports beside its metrics.
    pub fn reporting(&self) -> &Reporting {
        &self.reporting
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What clients have used of their quotas.
    pub(crate) fn quotas(&self) -> &Arc<QuotaBook> {
        &self.quotas
    }

    /// What checks tokens.
    pub fn tokens(&self) -> &TokenGate {
        &self.tokens
    }

    /// The maps.
    pub fn maps(&self) -> &Arc<Maps> {
        &self.maps
    }

    /// The site's policies, where there are any.
    pub fn policies(&self) -> Option<&Arc<Policies>> {
        self.policies.as_ref()
    }

    /// The way to the national gateway, where there is one.
    pub fn publication(&self) -> Option<&Arc<Publication>> {
        self.publication.as_ref()
    }

    /// The configuration it was made from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// From now on not ready: no new request should be sent here.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// True once [`Gateway::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// How the hospital's server does, in words.
    pub fn upstream_state(&self) -> String {
        let seen = match self.upstream_failing.load(Ordering::Relaxed) {
            true => "failed when it was last asked",
            false => "no failure seen",
        };
        self.upstream.guard().and_then(|guard| guard.trouble()).unwrap_or_else(|| seen.to_owned())
    }

    /// How many requests are under way to the hospital's server, and how many wait for a place.
    pub fn upstream_load(&self) -> (usize, usize) {
        self.upstream.guard().map_or((0, 0), |guard| guard.load())
    }
}
