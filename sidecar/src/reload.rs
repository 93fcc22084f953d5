//! A changed configuration takes effect while the sidecar runs: all of it, or nothing.
//!
//! SIGHUP, or a change of the configuration's file or of a file that it names, makes another gateway beside the one that
//! answers; once it stands, it is put in its place. Requests that are under way end with the gateway that they began
//! with. What outlives a configuration goes from one gateway to the next: store, page links, tokens that count once.
//! With a fault, nothing changes and the log says why. Metric: `varco_config_reloads_total`, by result.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use http::{Request, Response};
use metrics::counter;
use metrics_exporter_prometheus::PrometheusHandle;
use rustls::ServerConfig;
use tokio::sync::watch;

use crate::audit::{AuditCare, AuditSetupError};
use crate::config::{self, Config, ConfigError, Difference};
use crate::identify::key_source;
use crate::listen::tls::{self, TlsError};
use crate::listen::{Coming, Handler, Peer};
use crate::mapping;
use crate::pipeline::{Gateway, Reply, SetupError};
use crate::systemd::Manager;
use crate::telemetry::background;
use crate::{fse, policy, review, telemetry};

/// The gateway that answers now.
pub struct Current {
    gateway: ArcSwap<Gateway>,
    /// Renders the metrics that are pushed.
    metrics: PrometheusHandle,
    /// Ends what the present gateway follows beside requests, when it is dropped.
    tasks: Mutex<watch::Sender<bool>>,
    /// Ends the work that one process at a time may do.
    alone: Mutex<Alone>,
}

/// Work beside requests that one process at a time may do: records exported and removed, minutes closed, reviews called to mind.
enum Alone {
    /// Another process does it, or is about to.
    Elsewhere,
    Here(watch::Sender<bool>),
}

impl Current {
    /// This one, with its work beside requests begun.
    pub fn new(gateway: Gateway, metrics: PrometheusHandle) -> Arc<Current> {
        let current = Current::beside_another(gateway, metrics);
        current.work();
        current
    }

    /// This one, while another process does the work that only one may do, until [`Current::work`].
    pub fn beside_another(gateway: Gateway, metrics: PrometheusHandle) -> Arc<Current> {
        let gateway = Arc::new(gateway);
        let tasks = Mutex::new(begin(&gateway, &metrics));
        Arc::new(Current {
            gateway: ArcSwap::new(gateway),
            metrics,
            tasks,
            alone: Mutex::new(Alone::Elsewhere),
        })
    }

    /// Begins the work that one process at a time may do.
    pub fn work(&self) {
        let mut alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        *alone = Alone::Here(begin_alone(&self.gateway()));
    }

    /// Ends that work for another process to do it, and waits until it has come to rest.
    pub async fn rest(&self) {
        let before = {
            let mut alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *alone, Alone::Elsewhere)
        };
        if let Alone::Here(tasks) = before {
            tasks.send_replace(true);
            tasks.closed().await;
        }
    }

    /// The gateway that answers now; whoever holds it keeps it through a reload.
    pub fn gateway(&self) -> Arc<Gateway> {
        self.gateway.load_full()
    }

    fn replace(&self, next: Gateway) {
        let next = Arc::new(next);
        let begun = begin(&next, &self.metrics);
        self.gateway.store(next);
        *self.tasks.lock().unwrap_or_else(PoisonError::into_inner) = begun;
        let mut alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        if let Alone::Here(tasks) = &mut *alone {
            *tasks = begin_alone(&self.gateway());
        }
    }
}

impl Handler for Current {
    type Body = Reply;

    fn handle(
        self: Arc<Self>,
        request: Request<Coming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Reply>> + Send {
        self.gateway().handle(request, peer)
    }
}

/// Begins what a gateway does beside requests; it ends when the sender is dropped.
fn begin(gateway: &Arc<Gateway>, metrics: &PrometheusHandle) -> watch::Sender<bool> {
    let (stop, stopping) = watch::channel(false);
    let background = &gateway.reporting().tasks.background;
    let (observed, rendered) = (gateway.clone(), metrics.clone());
    let render = move || {
        observed.observe();
        rendered.run_upkeep();
        rendered.render()
    };
    gateway.reporting().start(render, &stopping);
    background
        .spawn("maps", mapping::watch(gateway.maps().clone(), gateway.config().clone(), stopping.clone()));
    if let Some(policies) = gateway.policies() {
        background.spawn("policies", policy::watch(policies.clone(), stopping.clone()));
    }
    for source in gateway.tokens().key_sources() {
        background.spawn("keys of an issuer", key_source::watch(source.clone(), stopping.clone()));
    }
    if gateway.counts_minutes() {
        background.spawn("pass-through minutes", gateway.clone().close_minutes(stopping.clone()));
    }
    background.spawn("quotas", gateway.quotas().clone().keep(stopping));
    stop
}

/// Begins the work that one process at a time may do; it ends when the sender is dropped or says so.
fn begin_alone(gateway: &Arc<Gateway>) -> watch::Sender<bool> {
    let (stop, stopping) = watch::channel(false);
    match AuditCare::new(gateway.config()) {
        Ok(audit) => audit.start(gateway, &stopping),
        // It was tried before the gateway was made.
        Err(error) => tracing::error!(%error, "audit records are not cared for"),
    }
    let background = &gateway.reporting().tasks.background;
    if let Some(plane) = gateway.publication() {
        background.spawn("publications", fse::replay::watch(plane.clone(), stopping.clone()));
    }
    background.spawn("break-glass reviews", review::watch(gateway.clone(), stopping));
    stop
}

/// A configuration that is not taken up. The one before stays in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It has faults.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It changes what only a start reads.
    #[error("these settings are read at the start alone; start the sidecar again for them: {}", config::tell(.0))]
    NeedsStart(Vec<Difference>),
    /// Its certificates can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A gateway can't be made of it.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Audit records can't be sent as it says.
    #[error(transparent)]
    Audit(#[from] AuditSetupError),
    /// The work was given up.
    #[error("reading the configuration ended badly: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

/// Takes up changes of one configuration file.
pub struct Reloader {
    path: PathBuf,
    current: Arc<Current>,
    tls: Option<Arc<ArcSwap<ServerConfig>>>,
    manager: Arc<Manager>,
}

impl Reloader {
    /// For the file that the running configuration came from; the service manager is told of each reload.
    pub fn new(
        path: PathBuf,
        current: Arc<Current>,
        tls: Option<Arc<ArcSwap<ServerConfig>>>,
        manager: Arc<Manager>,
    ) -> Reloader {
        Reloader { path, current, tls, manager }
    }

    /// Reads the file again, and puts what it says into force: new connections get its certificates, new requests
    /// its rules.
    pub async fn reload(&self) -> Result<Vec<Difference>, ReloadError> {
        let (path, old) = (self.path.clone(), self.current.gateway());
        let made = tokio::task::spawn_blocking(move || make(&path, &old)).await??;
        if let (Some(here), Some(next)) = (&self.tls, made.tls) {
            here.store(Arc::new(next));
        }
        // A level that was set at the operator's port holds until the configuration says another.
        if made.differences.iter().any(|own| own.setting == "log" || own.setting == "log.level") {
            telemetry::set_level(made.gateway.config().log.level);
        }
        self.current.replace(made.gateway);
        Ok(made.differences)
    }

    /// Watches the files and SIGHUP until `stopping` turns true.
    pub async fn watch(self, mut stopping: watch::Receiver<bool>) {
        let mut hangups = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) {
            Ok(hangups) => hangups,
            Err(error) => {
                return tracing::warn!(%error, "SIGHUP can't be watched: the configuration stays as it is");
            }
        };
        let mut seen = self.state();
        loop {
            let every = self.current.gateway().config().reload.seconds;
            tokio::select! {
                _ = hangups.recv() => {}
                () = tokio::time::sleep(Duration::from_secs(every)), if every > 0 => {
                    let now = self.state();
                    if now == seen {
                        continue;
                    }
                }
                _ = stopping.wait_for(|stop| *stop) => return,
            }
            seen = self.state();
            self.manager.reloading();
            let result = match self.reload().await {
                Ok(differences) => {
                    // A file that the configuration names has changed, or nothing has.
                    let told = match differences.as_slice() {
                        [] => "no setting differs".to_owned(),
                        some => config::tell(some),
                    };
                    tracing::info!(differences = told, "the configuration was taken up");
                    background::done(None);
                    seen = self.state();
                    self.manager.ready("requests are answered; the configuration was taken up");
                    "done"
                }
                Err(error) => {
                    background::failed(&error.to_string(), None);
                    tracing::error!(cause = %error, "the configuration is not taken up: the one before stays in force");
                    self.manager.ready(
                        "requests are answered; a changed configuration has faults and is not taken up",
                    );
                    "refused"
                }
            };
            counter!("varco_config_reloads_total", "result" => result).increment(1);
        }
    }

    /// The configuration's file, and those that it names and nothing else watches, as they are now.
    fn state(&self) -> Vec<Option<(u64, SystemTime)>> {
        let config = self.current.gateway();
        let named = config.config().files();
        let state = |path: &Path| {
            let about = std::fs::metadata(path).ok()?;
            Some((about.len(), about.modified().ok()?))
        };
        std::iter::once(self.path.as_path()).chain(named).map(state).collect()
    }
}

struct Made {
    gateway: Gateway,
    tls: Option<ServerConfig>,
    differences: Vec<Difference>,
}

fn make(path: &Path, old: &Gateway) -> Result<Made, ReloadError> {
    let config: Config = config::load(path)?;
    let differences = old.config().differences(&config);
    let late: Vec<Difference> = differences.iter().filter(|own| own.needs_start()).cloned().collect();
    if !late.is_empty() {
        return Err(ReloadError::NeedsStart(late));
    }
    let tls = config.listen.tls.as_ref().map(tls::server_config).transpose()?;
    AuditCare::new(&config)?;
    Ok(Made { gateway: old.reconfigured(config)?, tls, differences })
}
