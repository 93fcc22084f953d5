//! Making a gateway from a configuration: whatever can fail fails here, before a port is open.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use fhir_models::definition::Definitions;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use metrics::gauge;
use varco_core::access::{Necessary, PatientsOf, SummaryOf};
use varco_core::consent::{Combining, LiteralReference, Reading, WithoutConsent};
use varco_core::identity::{AliasError, IdentifierAliases};
use varco_core::interaction::SearchSchema;
use varco_core::requester::BusinessIdentifier;
use varco_plugin_host::PluginLibrary;

use super::Gateway;
use super::page::PageSeal;
use super::passthrough::Passthroughs;
use super::patient_match::Matching;
use super::refused::RefusedTally;
use super::route_plugins::{PluginSetupError, RoutePlugins};
use super::tally::Tally;
use super::turns::Turns;
use crate::cache::Answers;
use crate::config::{self, Config};
use crate::fse::{Outbox, Publication, PublicationSetupError};
use crate::handoff::Bequest;
use crate::identify::{Replay, TokenGate, TokenSetupError};
use crate::limit::{Lanes, Limiter, QuotaBook};
use crate::mapping::{MapSetError, Maps};
use crate::policy::{Policies, PolicyLoadError};
use crate::store::{OpenIntent, Store, StoreError, intent_before};
use crate::telemetry::reporting::{Reporting, ReportingError, Tasks};
use crate::upstream::{Guard, Upstream, UpstreamSetupError};
use crate::validation::{Validation, ValidationSetupError};

/// Most open intents that are named in the log at the start.
const MOST_TOLD: usize = 20;

/// A gateway that can't be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A token issuer's keys.
    #[error(transparent)]
    Tokens(#[from] TokenSetupError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The way to the hospital's server.
    #[error(transparent)]
    Upstream(#[from] UpstreamSetupError),
    /// Identifier systems.
    #[error("the identifier aliases can't be used: {0}")]
    Aliases(#[from] AliasError),
    /// The time zone.
    #[error("there is no time zone {0}; use a name such as Europe/Rome")]
    TimeZone(String),
    /// Plugins.
    #[error(transparent)]
    Plugins(#[from] PluginSetupError),
    /// Definitions and the terminology server.
    #[error("traffic can't be validated: {0}")]
    Validation(#[from] ValidationSetupError),
    /// Maps.
    #[error("the maps can't be used: {0}")]
    Maps(#[from] MapSetError),
    /// Policies.
    #[error("the policies can't be used: {0}")]
    Policies(#[from] PolicyLoadError),
    /// Traces and the access log.
    #[error(transparent)]
    Reporting(#[from] ReportingError),
    /// The way to the national gateway.
    #[error(transparent)]
    Publication(#[from] PublicationSetupError),
    /// Random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// What outlives a configuration.
struct Lasting {
    store: Arc<Store>,
    limit: Limiter,
    lanes: Lanes,
    quotas: Arc<QuotaBook>,
    turns: Arc<Turns>,
    seal: Arc<PageSeal>,
    once: Arc<Replay>,
    guard: Arc<Guard>,
    tasks: Tasks,
    outbox: Arc<Outbox>,
    library: Arc<PluginLibrary>,
    /// The plane before, whose limits go on.
    publication: Option<Arc<Publication>>,
    answers: Answers,
    passthroughs: Passthroughs,
}

/// How dates and references are read here.
fn reading(config: &Config) -> Result<Reading, SetupError> {
    let zone = &config.consent.time_zone;
    Ok(Reading {
        zone: TimeZone::get(zone).map_err(|_| SetupError::TimeZone(zone.clone()))?,
        bases: vec![config.site.base().to_owned(), config.upstream.url.trim_end_matches('/').to_owned()],
    })
}

impl Gateway {
    /// Makes a gateway: opens the store, reads the keys, compiles the plugins.
    pub fn new(config: Config) -> Result<Gateway, SetupError> {
        let gateway = Gateway::opened(config, PageSeal::new().map_err(|_| SetupError::Random)?, true)?;
        gateway.tell_of_open_intents()?;
        Ok(gateway)
    }

    /// Makes a gateway that takes over from another process, with what that one knows. Both share the work until
    /// [`Gateway::end_overlap`].
    pub fn taking_over(config: Config, bequest: &Bequest) -> Result<Gateway, SetupError> {
        let gateway =
            Gateway::opened(config, PageSeal::with(bequest.seal).map_err(|_| SetupError::Random)?, false)?;
        gateway.store.overlap().join();
        gateway.tokens.once().learn(bequest.once.iter().copied());
        Ok(gateway)
    }

    /// Begins to share the work with a process that is to take over.
    pub fn begin_overlap(&self) -> std::io::Result<()> {
        self.store.overlap().begin()
    }

    /// What a process that takes over must know.
    pub fn bequest(&self) -> Bequest {
        Bequest { seal: self.seal.key(), once: self.tokens.once().all() }
    }

    /// The other process is gone: this one goes on alone.
    pub fn end_overlap(&self) {
        // What the other one wrote is not known here.
        self.answers.wrote_any();
        match self.store.end_overlap() {
            Ok(taken) => self.tokens.once().learn(taken),
            Err(error) => tracing::error!(%error, "what the other process knew can't be read"),
        }
        if self.store.is_held() {
            return;
        }
        // The other may need a moment more to end.
        let store = self.store.clone();
        std::thread::spawn(move || {
            if let Err(error) = store.hold() {
                tracing::error!(%error, "the process before has not ended, and a third could begin beside this one");
            }
        });
    }

    /// `alone`: no other process may have the store.
    fn opened(config: Config, seal: PageSeal, alone: bool) -> Result<Gateway, SetupError> {
        let reading = reading(&config)?;
        let store = Arc::new(Store::open(&config.store.path, reading.clone())?);
        if alone {
            store.hold()?;
        }
        let once = Arc::new(Replay::default());
        once.share(store.overlap().clone());
        let lasting = Lasting {
            limit: Limiter::new(&config.limits, None),
            lanes: Lanes::new(&config.limits, config.listen.worker_threads(), None),
            quotas: Arc::new(QuotaBook::open(reading.zone, store.clone(), Timestamp::now())?),
            outbox: Arc::new(Outbox::open(store.clone(), Timestamp::now().as_second())?),
            turns: Arc::new(Turns::new(store.overlap().clone())),
            store,
            seal: Arc::new(seal),
            once,
            guard: Guard::new(&config.upstream),
            tasks: Tasks::default(),
            library: Arc::default(),
            publication: None,
            answers: Answers::new(config.cache.bytes),
            passthroughs: Passthroughs::new(&config, None)?,
        };
        Gateway::make(config, lasting)
    }

    /// Makes the gateway that is to follow this one under another configuration: the store, page links, counted
    /// tokens and turns are those of this one.
    pub fn reconfigured(&self, config: Config) -> Result<Gateway, SetupError> {
        let lasting = Lasting {
            store: self.store.clone(),
            limit: Limiter::new(&config.limits, Some(&self.limit)),
            lanes: Lanes::new(&config.limits, config.listen.worker_threads(), Some(&self.lanes)),
            quotas: self.quotas.clone(),
            turns: self.turns.clone(),
            seal: self.seal.clone(),
            once: self.tokens.once(),
            guard: self
                .upstream
                .guard()
                .map_or_else(|| Guard::new(&config.upstream), |own| Guard::following(own, &config.upstream)),
            tasks: self.reporting.tasks.clone(),
            outbox: self.outbox.clone(),
            library: self.library.clone(),
            publication: self.publication.clone(),
            answers: Answers::following(&self.answers, config.cache.bytes),
            passthroughs: Passthroughs::new(&config, Some(&self.passthroughs))?,
        };
        Gateway::make(config, lasting)
    }

    fn make(config: Config, lasting: Lasting) -> Result<Gateway, SetupError> {
        let Lasting {
            store,
            limit,
            lanes,
            quotas,
            turns,
            seal,
            once,
            guard,
            tasks,
            outbox,
            library,
            publication,
            answers,
            passthroughs,
        } = lasting;
        let definitions = Definitions::r4();
        let tokens = TokenGate::new(&config, once)?;
        let reading = reading(&config)?;
        let aliases = config::aliases(&config)?;
        let systems = |pick: fn(&config::Alias) -> &String| -> Vec<&String> {
            config.identity.alias.iter().map(pick).collect()
        };
        let plugins = RoutePlugins::load(&config, &library)?;
        Ok(Gateway {
            recorder: config.site.recorder(),
            answers,
            store,
            tokens,
            limit,
            lanes,
            upstream: Upstream::guarded(&config.upstream, config.limits.answer_bytes, guard)?,
            schema: SearchSchema::from_definitions(definitions.clone()),
            summary: SummaryOf::from_definitions(definitions.clone()),
            necessary: Necessary::from_definitions(definitions.clone()),
            compartment: PatientsOf::from_definitions(definitions),
            to_local: aliases.to_systems(&systems(|alias| &alias.local))?,
            to_network: aliases.to_systems(&systems(|alias| &alias.network))?,
            combining: match config.consent.combining {
                config::Combining::DenyOverrides => Combining::DenyOverrides,
                config::Combining::MostRecent => Combining::MostRecent,
                config::Combining::RefuseAmbiguous => Combining::RefuseAmbiguous,
            },
            without_consent: match config.consent.without_consent {
                config::WithoutConsent::Deny => WithoutConsent::Deny,
                config::WithoutConsent::Permit => WithoutConsent::Permit,
            },
            parties: config
                .consent
                .party
                .iter()
                .filter_map(|party| {
                    let reference = LiteralReference::parse(&party.reference)?;
                    Some((BusinessIdentifier::new(&party.system, &party.value), reference))
                })
                .collect(),
            break_glass: config.break_glass.as_ref().map(config::BreakGlass::rules),
            fse: config.fse.masking.then(|| config.fse.systems()),
            aliases: IdentifierAliases::over_defaults(aliases.groups().iter().cloned())?,
            reading,
            plugins,
            library,
            turns,
            seal,
            validation: Validation::new(&config)?,
            maps: Arc::new(Maps::new(&config)?),
            policies: config.policy.as_ref().map(Policies::new).transpose()?.map(Arc::new),
            matching: Matching::new(&config)?,
            tally: Tally::new(config.route.iter().map(|route| route.name.as_str())),
            reporting: Reporting::new(&config, tasks)?,
            refused: RefusedTally::default(),
            publication: Publication::new(&config, &outbox, &quotas, publication.as_deref())?,
            outbox,
            quotas,
            passthroughs,
            capabilities: OnceLock::new(),
            draining: AtomicBool::new(false),
            upstream_failing: AtomicBool::new(false),
            config,
        })
    }
}

impl Gateway {
    /// Writes that the process before had begun, and of whose end it left no record.
    pub fn tell_of_open_intents(&self) -> Result<(), SetupError> {
        // What waits for the national gateway has not ended, and is told by the outbox.
        let waiting = self.store.outbox_heads(usize::MAX)?;
        let waiting: HashSet<String> = waiting.iter().map(|head| intent_before(&head.id)).collect();
        let mut open = self.store.open_intents()?;
        open.retain(|own| !waiting.contains(&own.id));
        gauge!("varco_audit_open_intents").set(open.len() as f64);
        for OpenIntent { id, recorded } in open.iter().take(MOST_TOLD) {
            tracing::warn!(
                audit_event = id,
                recorded,
                "a write was begun and its end is not on record: look at the hospital's server for what became of it"
            );
        }
        if open.len() > MOST_TOLD {
            tracing::warn!(
                more = open.len() - MOST_TOLD,
                "`varco audit verify` lists all writes without an end"
            );
        }
        Ok(())
    }
}
