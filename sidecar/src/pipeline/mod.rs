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
mod setup;
mod subset;
mod summary;
mod surroundings;
mod tally;
mod targets;
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

use std::future::ready;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use metrics::gauge;
use varco_core::access::{Necessary, PatientsOf, ScopeDecision, Scopes, SummaryOf};
use varco_core::audit::AuditRecorder;
use varco_core::consent::fse::FseSystems;
use varco_core::consent::{BreakGlass, Combining, LiteralReference, Reading, WithoutConsent};
use varco_core::identity::{AliasMap, IdentifierAliases};
use varco_core::interaction::headers::{RequestHeaders, check_form, handling};
use varco_core::interaction::{HistoryOf, Interaction, InteractionError, SearchSchema};
use varco_core::requester::BusinessIdentifier;
use varco_plugin_host::PluginLibrary;

use crate::cache::Answers;
use crate::config::{self, Config};
use crate::fse::{Outbox, Publication};
use crate::identify::{TokenError, TokenGate};
use crate::limit::{self, Lanes, Limiter, QuotaBook, Shape};
use crate::listen::hurry::Hurry;
use crate::listen::workers::{self, Side};
use crate::listen::{Alarm, Coming, Handler, Peer};
use crate::mapping::Maps;
use crate::policy::Policies;
use crate::store::Store;
use crate::telemetry::reporting::Reporting;
use crate::telemetry::stage::Stage;
use crate::telemetry::traces;
use crate::upstream::Upstream;
use crate::validation::Validation;
use account::Account;
use answer::Answer;
use exchange::Exchange;
use finishing::{Answering, Work};
use page::PageSeal;
pub(crate) use passthrough::may_pass;
use passthrough::{Passing, Passthroughs};
use patient_match::Matching;
pub use refusal::Refusal;
use refused::RefusedTally;
use report::Seen;
use route_plugins::RoutePlugins;
pub use route_plugins::read_concept_map;
pub use setup::SetupError;
pub(crate) use tally::status_word;
use tally::{Outcome, Tally};
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

impl Exchange<'_> {
    /// Answers an interaction that the scopes cover; `offset` says how much stood on the pages before. Boxed: a request's task
    /// is as large as its largest step, is copied when it begins and waits for its audit record when this is done.
    fn serve<'e>(
        &'e mut self,
        interaction: Interaction,
        body: Bytes,
        offset: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, Refusal>> + Send + 'e>> {
        if let Err(refusal) = self.admit_by_policy(&interaction) {
            return Box::pin(ready(Err(refusal)));
        }
        let kind = interaction.resource_type().cloned();
        match (kind.as_ref().map(|name| name.as_str()), interaction) {
            (_, Interaction::Validate(asked)) => Box::pin(validate::validate(self, asked, body)),
            (_, Interaction::Transform(_, asked)) => Box::pin(transform::transform(self, asked, body)),
            (_, Interaction::Translate(_, asked)) => Box::pin(translate::translate(self, asked, body)),
            (_, Interaction::Match(on, asked)) => {
                Box::pin(patient_match::patient_match(self, asked, on, body))
            }
            (Some("Consent"), interaction) => Box::pin(own::consent(self, interaction, body)),
            (Some("AuditEvent"), interaction) => Box::pin(trail::audit(self, interaction, offset)),
            (_, Interaction::Read(instance)) => Box::pin(read::read(self, instance)),
            (_, Interaction::Vread(instance, version)) => Box::pin(history::vread(self, instance, version)),
            (_, Interaction::History(asked)) => match asked.of.clone() {
                HistoryOf::Instance(instance) => Box::pin(history::history(self, asked, instance, offset)),
                _ => Box::pin(timeline::timeline(self, asked, offset)),
            },
            (_, Interaction::SearchType(search)) => Box::pin(search::search(self, search, offset)),
            (
                _,
                interaction @ (Interaction::Create(_)
                | Interaction::Update(_)
                | Interaction::Patch(_)
                | Interaction::Delete(_)
                | Interaction::ConditionalCreate(_)
                | Interaction::ConditionalUpdate(_)
                | Interaction::ConditionalPatch(_)
                | Interaction::ConditionalDelete(_)),
            ) => Box::pin(write::write(self, interaction, body)),
            // Taken apart before: no entry is a batch.
            (_, Interaction::Batch | Interaction::Transaction) => Box::pin(ready(Err(Refusal::Internal))),
            (_, Interaction::Everything(asked)) => Box::pin(everything::everything(self, asked, offset)),
            (_, Interaction::PatientSummary(patient)) => Box::pin(summary::summary(self, patient)),
            (_, Interaction::LastN(asked)) => Box::pin(last_n::last_n(self, asked, offset)),
            (_, Interaction::DocRef(asked)) => Box::pin(doc_ref::doc_ref(self, asked, offset)),
            (_, Interaction::Capabilities) => Box::pin(ready(Ok(own::capabilities(self.gateway)))),
        }
    }
}

impl Gateway {
    /// Not an `async fn`: that would keep room for the request and for its parts.
    fn process(
        self: Arc<Self>,
        request: Request<Coming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Reply>> + Send {
        let (head, body) = request.into_parts();
        async move { self.process_parts(&head, body, peer).await }
    }

    async fn process_parts(self: Arc<Self>, head: &Parts, body: Coming, peer: Peer) -> Response<Reply> {
        let started = Instant::now();
        let mut account = Account::open(head, peer, &self.reporting);
        let answered = self.answer(head, body, peer, &mut account).await;
        let audit = account.enter(Stage::Audit);
        let outcome = match answered {
            Ok(answer) => self.record(&account, answer.status, None).await.map(|()| answer),
            Err(refusal) => {
                // What was judged fit to be released did not leave.
                account.released.clear();
                let status = refusal.row().status;
                let recorded = match account.owed {
                    _ if matches!(refusal, Refusal::Shed(_)) => {
                        self.count_shed(&account, &refusal);
                        Ok(())
                    }
                    true => self.record(&account, status, Some(&refusal)).await,
                    false => self.count_refused(&account, &refusal).await,
                };
                recorded.and(Err(refusal))
            }
        };
        account.leave(&audit);
        self.remember(&mut account, outcome.is_ok());
        let close = outcome.as_ref().is_err_and(|refusal| refusal.ends_connection());
        let took = started.elapsed();
        self.tell(&account, &outcome, took);
        account.tell_policies(&self.tally);
        let cause = outcome.as_ref().err().map(Refusal::word);
        let within_limits = !matches!(outcome, Err(Refusal::Rate(_) | Refusal::Unauthorized(_)));
        let alarm = account.owed && account.is_urgent() && within_limits;
        let mut answer = outcome.unwrap_or_else(|refusal| Answer::refused(&refusal));
        inspect::tell(&account.warnings, &mut answer);
        // A refusal for a limit tells of that one.
        if answer.status != StatusCode::TOO_MANY_REQUESTS {
            answer.headers.extend(limit::headers(&account.standings));
        }
        if account.spans.is_some() || self.reporting.access_log.is_some() {
            self.observe_end(head, &mut account, &answer, cause, took);
        }
        let mut response = answer.into_response(&account.request_id, close);
        if alarm {
            response.extensions_mut().insert(Alarm);
        }
        response.map(Either::Left)
    }

    async fn answer(
        &self,
        head: &Parts,
        body: Coming,
        peer: Peer,
        account: &mut Account,
    ) -> Result<Answer, Refusal> {
        receive::check_framing(head)?;
        let path = self.below_base(head.uri.path())?;
        let method = head.method.as_str();
        if path == "/metadata" && method == "GET" {
            let parsed = Interaction::parse(method, path, head.uri.query(), None, &self.schema);
            account.understood(parsed.map_err(Refusal::Interaction)?);
            return Ok(own::capabilities(self));
        }
        let shape = Shape::of(method, path);
        let authorization = head.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let requester = self.admit_caller(head, peer, &shape, authorization, account).await?;
        let _hurry = account.is_urgent().then(Hurry::begin);
        let now = u64::try_from(account.received.as_second()).unwrap_or_default();
        self.admit(account, &requester, now);
        account.policy = self.as_policies_see(&requester, account);

        let raw_headers = || head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let within = Duration::from_secs(self.config.listen.body_seconds);
        let receiving = account.enter(Stage::Body);
        let body = receive::body(body, self.config.limits.body_bytes, within).await?;
        account.leave(&receiving);
        // The next steps wait for disk and server, each for its turn among all that is ready on its thread.
        workers::cross(if account.is_urgent() { Side::Alarms } else { Side::Ordinary }).await;
        let form = Interaction::expects_form(method, path).then_some(&*body);
        if form.is_some() {
            check_form(raw_headers()).map_err(Refusal::Interaction)?;
        }
        let page = match page::token_of(head.uri.query()) {
            Some(token) if method == "GET" => Some(self.seal.open(token, path, &requester, now)?),
            _ => None,
        };
        let query = page.as_ref().map_or(head.uri.query(), |page| Some(page.query.as_str()));
        let preferred = handling(raw_headers());
        let mut interaction = Interaction::parse_with(method, path, query, form, &self.schema, preferred)
            .map_err(Refusal::Interaction)?;
        account.understood(interaction.clone());
        let format_given = Interaction::asks_format(query, form);
        let mut headers =
            RequestHeaders::parse(raw_headers(), &interaction, format_given).map_err(Refusal::Interaction)?;
        if let Some(criteria) = headers.if_none_exist.take() {
            interaction = interaction.unless_exists(&criteria, &self.schema).map_err(Refusal::Interaction)?;
            account.understood(interaction.clone());
        }
        if let Some(signed) = &requester.fse {
            signed
                .check(&interaction, &body)
                .map_err(|differs| Refusal::Unauthorized(TokenError::Signed(differs)))?;
        }
        self.admit_subjects(&requester, &interaction, &body, account)?;
        let scopes = Scopes::of(requester.scopes.iter().map(String::as_str));
        let confined_to = match scopes.allows(&interaction, requester.patient.as_ref()) {
            ScopeDecision::Allowed => None,
            ScopeDecision::AllowedForPatient(patient) if exchange::can_be_confined(&interaction) => {
                Some(patient)
            }
            ScopeDecision::AllowedForPatient(_) | ScopeDecision::Denied => return Err(Refusal::Scope),
        };
        let mut exchange = Exchange { gateway: self, requester, headers, account, confined_to };
        let offset = page.map_or(0, |page| page.offset);
        if interaction == Interaction::Batch {
            return Box::pin(batch::batch(&mut exchange, body, preferred)).await;
        }
        exchange.serve(interaction, body, offset).await
    }

    /// The path below the FHIR base, compared by segment: `/fhir-admin` is not below `/fhir`.
    fn below_base<'p>(&self, path: &'p str) -> Result<&'p str, Refusal> {
        path.strip_prefix(self.config.site.base_path())
            .filter(|rest| rest.starts_with('/') || rest.is_empty())
            .ok_or(Refusal::Interaction(InteractionError::UnknownInteraction))
    }

    /// The line in the log, and the counts.
    fn tell(&self, account: &Account, outcome: &Result<Answer, Refusal>, took: Duration) {
        let status = outcome.as_ref().map_or_else(|refusal| refusal.row().status, |answer| answer.status);
        let client = account.requester.as_ref().map_or("", |requester| requester.client_id.as_str());
        let interaction = account.interaction_name();
        let (request_id, trace_id) = (account.request_id.as_str(), account.trace.trace_id.as_str());
        let (resource_type, micros) = (account.resource_type(), took.as_micros() as u64);
        let (released, withheld) = (account.released.len(), account.withheld);
        let status_code = status.as_u16();
        let result = match outcome {
            Ok(_) => {
                tracing::info!(
                    request_id,
                    trace_id,
                    client,
                    interaction,
                    resource_type,
                    status = status_code,
                    released,
                    withheld,
                    mapped = account.mapped,
                    micros,
                    mode = "enforce",
                    "answered"
                );
                Outcome::Answered
            }
            Err(refusal) if refusal.is_operational() => {
                tracing::error!(
                    request_id, trace_id, client, interaction, resource_type, status = status_code, cause = %refusal,
                    micros, mode = "enforce", "failed"
                );
                Outcome::Failed
            }
            // Told once a second: a line for each would be most of the work.
            Err(Refusal::Shed(_)) => Outcome::Refused,
            Err(refusal) => {
                tracing::info!(
                    request_id, trace_id, client, interaction, resource_type, status = status_code, cause = %refusal,
                    released, withheld, micros, mode = "enforce", "refused"
                );
                Outcome::Refused
            }
        };
        self.tally.request(interaction, status, result, took);
        self.tally.resources(released, withheld);
        if let Some(requester) = account.requester.as_ref().filter(|_| !self.config.route.is_empty()) {
            let takes = |it: &config::Route| it.takes(resource_type, &requester.client_id);
            self.tally.route(self.config.route.iter().position(takes), result, took);
        }
        if let Err(refusal) = outcome {
            self.tally.refusal(refusal.word());
        }
    }

    /// The line in the access log, and the trace.
    fn observe_end(
        &self,
        head: &Parts,
        account: &mut Account,
        answer: &Answer,
        cause: Option<&'static str>,
        took: Duration,
    ) {
        let base = self.config.site.base_path();
        let spans = account.spans.take();
        let request = traces::Request {
            method: template::method(&head.method),
            scheme: self.scheme(),
            protocol: template::protocol(head.version),
            route: account.interaction.as_ref().map(|interaction| template::of(interaction, base)),
            status: answer.status.as_u16(),
            cause,
            interaction: account.interaction_name(),
            resource_type: account.resource_type().to_owned(),
            request_id: account.request_id.clone(),
            bytes: answer.body.len(),
            released: account.released.len(),
            plugins: account.plugins.len(),
        };
        let client = account.requester.as_ref().map_or("", |requester| requester.client_id.as_str());
        let (received, address) = (account.received, account.client.ip());
        self.report(Seen { received, address, client, took, spans, request });
    }

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
