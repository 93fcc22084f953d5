//! A whole sidecar: its ports, started together and stopped together.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics_exporter_prometheus::PrometheusHandle;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use varco_core::mapping::hl7v2::ConverterError;

use crate::admin::Admin;
use crate::audit::{AuditCare, AuditSetupError};
use crate::config::{Config, Listen};
use crate::handoff::{Giver, Offer, Said, Taken};
use crate::listen::workers::Workers;
use crate::listen::{self, Phase, tls};
use crate::mllp::{self, Intake};
use crate::pipeline::{Gateway, SetupError};
use crate::reload::{Current, Reloader};
use crate::systemd::{Given, Manager};
use crate::telemetry;

/// A sidecar that can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port is taken or not ours to take.
    #[error(
        "{address} can't be listened on: {cause}. Stop the program that holds it, or choose another address."
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        cause: io::Error,
    },
    /// Threads.
    #[error("worker threads can't be started: {0}")]
    Workers(io::Error),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// Store, keys, plugins, upstream.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// What becomes of audit records.
    #[error(transparent)]
    Audit(#[from] AuditSetupError),
    /// Maps of HL7 v2.
    #[error(transparent)]
    Maps(#[from] ConverterError),
    /// The socket for the next process.
    #[error("{} can't be made for the next process: {cause}. Choose a path in a folder of this user's own.", path.display())]
    Handoff {
        /// The socket.
        path: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
    /// The process that serves goes on.
    #[error("the process that serves did not hand over: {0}")]
    NotGiven(io::Error),
    /// Tokens could not be checked.
    #[error("the keys of no token issuer could be fetched; the process that serves goes on")]
    Keys,
}

/// Connections that wait to be taken, as tokio asks for.
const BACKLOG: u32 = 1024;
/// Longest time in which HTTP/1.1 connections at rest are left open after another process has taken over: a request that comes
/// on one of them is answered, and that answer closes it.
const LINGER: Duration = Duration::from_secs(10);
/// Time for a process that takes over to fetch the keys of token issuers.
const KEYS_WITHIN: Duration = Duration::from_secs(30);
/// Time for a life sign.
const ALIVE_WITHIN: Duration = Duration::from_secs(10);
const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A running sidecar.
pub struct Running {
    /// Where the federation's requests arrive.
    pub address: SocketAddr,
    /// Where the operator's requests arrive.
    pub admin: SocketAddr,
    /// Where HL7 v2 messages arrive, if they do.
    pub mllp: Option<SocketAddr>,
    current: Arc<Current>,
    workers: Weak<Workers>,
    tls: Option<Arc<ArcSwap<ServerConfig>>>,
    stop: watch::Sender<bool>,
    phase: watch::Sender<Phase>,
    operator_phase: watch::Sender<Phase>,
    drain_delay: Duration,
    drain: Duration,
    federation: JoinHandle<()>,
    operator: JoinHandle<()>,
    messages: Arc<Mutex<Option<JoinHandle<()>>>>,
    manager: Arc<Manager>,
    handed_over: watch::Receiver<bool>,
    offer: Option<JoinHandle<UnixStream>>,
}

/// What a process is given at its start.
#[derive(Debug, Default)]
pub struct Origin {
    /// What another process gave that this one takes over from.
    pub taken: Option<Taken>,
    /// Sockets of the service manager.
    pub given: Vec<Given>,
    /// The service manager.
    pub manager: Arc<Manager>,
}

/// Starts a sidecar that comes from nobody. When this returns, its ports take connections.
pub async fn start(config: Config, metrics: PrometheusHandle) -> Result<Running, StartError> {
    start_from(config, metrics, Origin::default()).await
}

/// Starts a sidecar with what it is given. When this returns, its ports take connections, and a process that served before
/// takes none any more.
pub async fn start_from(
    config: Config,
    metrics: PrometheusHandle,
    mut origin: Origin,
) -> Result<Running, StartError> {
    let tls = config.listen.tls.as_ref().map(tls::server_config).transpose()?;
    let tls = tls.map(|tls| Arc::new(ArcSwap::from_pointee(tls)));
    let bounds = config.listen.clone();
    let (federation, address) = origin.bind("federation", config.listen.address)?;
    let (operator, admin_address) = origin.bind("admin", config.admin.address)?;
    let mut sockets = vec![("federation", clone_of(&federation)?), ("admin", clone_of(&operator)?)];
    let messages = match &config.mllp {
        None => None,
        Some(own) => {
            let mut tls = own.tls.as_ref().map(tls::server_config).transpose()?;
            // The protocols that a web server offers are not spoken here.
            tls.iter_mut().for_each(|tls| tls.alpn_protocols.clear());
            let bound = origin.bind("mllp", own.address)?;
            sockets.push(("mllp", clone_of(&bound.0)?));
            Some((bound, tls.map(Arc::new), own.clone()))
        }
    };
    // What is begun with the gateway can be begun: said here, where a fault ends the start.
    AuditCare::new(&config)?;
    let Origin { mut taken, manager, given } = origin;
    for own in given {
        tracing::warn!(
            name = own.name, address = %own.address,
            "the service manager opened a socket that nothing here listens on: name it federation, admin or mllp (FileDescriptorName=), or remove it"
        );
    }
    let current = match &taken {
        None => Current::new(Gateway::new(config)?, metrics.clone()),
        Some(taken) => {
            Current::beside_another(Gateway::taking_over(config, &taken.bequest)?, metrics.clone())
        }
    };
    let gateway = current.gateway();
    let workers = Arc::new(Workers::start(bounds.worker_threads()).map_err(StartError::Workers)?);
    let (stop, stopping) = watch::channel(false);
    let (phase, serving) = watch::channel(Phase::Serving);
    let (operator_phase, operator_serving) = watch::channel(Phase::Serving);
    let drain_delay = Duration::from_secs(bounds.drain_delay_seconds);
    tokio::spawn(telemetry::keep_up(metrics.clone(), stopping.clone()));
    let admin = Arc::new(Admin { current: current.clone(), metrics });
    let admin_bounds = Listen { connections: 64, drain_seconds: 1, ..bounds.clone() };
    let drain = Duration::from_secs(bounds.drain_seconds);
    let (mllp, messages) = match messages {
        None => (None, None),
        Some(((listener, address), tls, own)) => {
            let intake = Arc::new(Intake::new(current.clone(), own)?);
            tracing::info!(%address, tls = tls.is_some(), "HL7 v2 messages are taken");
            (Some(address), Some((listener, tls, intake)))
        }
    };
    if let Some(before) = taken.take() {
        keys_at_hand(&gateway).await?;
        taken = Some(ready_after(before).await?);
    }
    let (released, free) = watch::channel(taken.is_none());
    let messages = messages.map(|(listener, tls, intake)| {
        let (mut free, stopping) = (free, stopping.clone());
        tokio::spawn(async move {
            // Messages of one sender are done in one process at a time, in their order.
            let _ = free.wait_for(|free| *free).await;
            mllp::serve(listener, tls, intake, drain, stopping).await;
        })
    });
    if let Some(before) = taken {
        tokio::spawn(follow_after(before, current.clone(), released));
    }
    let messages = Arc::new(Mutex::new(messages));
    let (done, handed_over) = watch::channel(false);
    let offer = match &bounds.handoff {
        None => None,
        Some(path) => {
            let offer =
                Offer::open(path).map_err(|cause| StartError::Handoff { path: path.clone(), cause })?;
            let giver = Giver {
                current: current.clone(),
                sockets,
                phases: vec![phase.clone(), operator_phase.clone()],
                stop: stop.clone(),
                messages: messages.clone(),
                manager: manager.clone(),
                done,
            };
            Some(tokio::spawn(offer.give(giver)))
        }
    };
    tracing::info!(
        %address, admin = %admin_address, tls = tls.is_some(), client_certificates = bounds.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()),
        upstream = gateway.config().upstream.url, plugins = gateway.config().plugin.len(), mode = "enforce", "ready"
    );
    Ok(Running {
        address,
        admin: admin_address,
        federation: tokio::spawn(listen::serve(
            federation,
            Some(workers.clone()),
            tls.clone(),
            bounds,
            current.clone(),
            serving,
        )),
        operator: tokio::spawn(listen::serve(operator, None, None, admin_bounds, admin, operator_serving)),
        current,
        workers: Arc::downgrade(&workers),
        tls,
        stop,
        phase,
        operator_phase,
        drain_delay,
        drain,
        mllp,
        messages,
        manager,
        handed_over,
        offer,
    })
}

impl Running {
    /// What decides now.
    pub fn gateway(&self) -> Arc<Gateway> {
        self.current.gateway()
    }

    /// What takes up changes of the file that the configuration came from.
    pub fn reloader(&self, path: PathBuf) -> Reloader {
        Reloader::new(path, self.current.clone(), self.tls.clone(), self.manager.clone())
    }

    /// Takes up changes of that file until the sidecar stops.
    pub fn follow(&self, path: PathBuf) {
        let background = self.current.gateway().reporting().tasks.background.clone();
        background.spawn("configuration", self.reloader(path).watch(self.stop.subscribe()));
    }

    /// Says that it is not ready, and after `listen.drain_delay_seconds` takes no new request; returns when the open ones
    /// have finished or the drain time is over. The operator's port is served until then.
    pub async fn stop(self) {
        self.current.gateway().drain();
        if !self.drain_delay.is_zero() {
            tracing::info!(
                seconds = self.drain_delay.as_secs(),
                "not ready any more; requests are still taken"
            );
            self.phase.send_replace(Phase::Leaving);
            tokio::time::sleep(self.drain_delay).await;
        }
        if let Some(offer) = &self.offer {
            offer.abort();
        }
        self.stop.send_replace(true);
        self.phase.send_replace(Phase::Closing);
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner).take();
        for task in [Some(self.federation), messages].into_iter().flatten() {
            ended(task).await;
        }
        self.operator_phase.send_replace(Phase::Closing);
        ended(self.operator).await;
        self.current.gateway().save_quotas().await;
        self.current.gateway().end_minutes(true).await;
        self.current.gateway().reporting().flush().await;
        tracing::info!("stopped");
    }
}

impl Running {
    /// Returns once another process has taken over.
    pub async fn handed_over(&mut self) {
        if self.handed_over.wait_for(|done| *done).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// After another process has taken over: answers what still comes on open connections, which each answer closes, then closes
    /// those at rest, and returns when all have ended or the drain time is over.
    pub async fn leave(self) {
        let lingering = (self.drain / 2).min(LINGER);
        let mut federation = self.federation;
        let left = tokio::time::timeout(lingering, &mut federation).await;
        self.phase.send_replace(Phase::Closing);
        self.operator_phase.send_replace(Phase::Closing);
        if left.is_err() {
            ended(federation).await;
        }
        ended(self.operator).await;
        self.current.gateway().save_quotas().await;
        self.current.gateway().end_minutes(true).await;
        self.current.gateway().reporting().flush().await;
        tracing::info!("stopped: another process has taken over");
        // The end of this connection tells the other process that it is alone.
        drop(self.offer);
    }

    /// What tells whether it would answer.
    pub fn life(&self) -> Life {
        Life { current: self.current.clone(), workers: self.workers.clone() }
    }
}

/// Tells whether a sidecar would answer requests.
pub struct Life {
    current: Arc<Current>,
    workers: Weak<Workers>,
}

impl Life {
    /// Whether requests would be answered now: each worker thread takes up work, and the store answers.
    pub async fn is_alive(&self) -> bool {
        // While the last connections end there may be no workers any more.
        if let Some(workers) = self.workers.upgrade()
            && !workers.answer(ALIVE_WITHIN).await
        {
            return false;
        }
        let gateway = self.current.gateway();
        let store = tokio::task::spawn_blocking(move || gateway.store().is_alive());
        matches!(tokio::time::timeout(ALIVE_WITHIN, store).await, Ok(Ok(true)))
    }
}

impl Origin {
    /// The listening socket of this name: one that was given, or a new one.
    fn bind(&mut self, name: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
        let failed = |cause| StartError::Bind { address, cause };
        let given = |given: &Given| given.name == name || given.address == address;
        let taken = self.taken.as_mut().and_then(|taken| taken.socket(name, address));
        let socket = match (taken, self.given.iter().position(given)) {
            (Some(taken), _) => taken,
            (None, Some(place)) => self.given.swap_remove(place).socket,
            (None, None) => bind(address).map_err(failed)?,
        };
        let bound = socket.local_addr().map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        Ok((TcpListener::from_std(socket).map_err(failed)?, bound))
    }
}

/// A new listening socket, as tokio makes them.
fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

fn clone_of(socket: &TcpListener) -> Result<std::net::TcpListener, StartError> {
    let clone = socket.as_fd().try_clone_to_owned().map(std::net::TcpListener::from);
    clone.map_err(|cause| StartError::Bind { address: socket.local_addr().unwrap_or(UNKNOWN), cause })
}

/// Waits until tokens can be checked, as `/ready` asks for.
async fn keys_at_hand(gateway: &Gateway) -> Result<(), StartError> {
    let waited = tokio::time::timeout(KEYS_WITHIN, async {
        loop {
            let (without, issuers) = gateway.tokens().without_keys();
            if without.len() < issuers {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    waited.await.map_err(|_| StartError::Keys)
}

/// Tells the process before that this one is ready, and waits until it takes no more connections.
async fn ready_after(mut before: Taken) -> Result<Taken, StartError> {
    let said = tokio::task::spawn_blocking(move || before.ready().map(|said| (said, before))).await;
    match said {
        Ok(Ok((said, before))) => {
            if said == Said::Gone {
                tracing::warn!("the process before is gone: this one goes on alone");
            }
            Ok(before)
        }
        Ok(Err(cause)) => Err(StartError::NotGiven(cause)),
        Err(error) => Err(StartError::NotGiven(io::Error::other(error))),
    }
}

/// Begins what one process at a time may do, once the one before rests; and goes on alone once that one is gone.
async fn follow_after(mut before: Taken, current: Arc<Current>, released: watch::Sender<bool>) {
    let before = tokio::task::spawn_blocking(move || {
        before.await_release();
        before
    });
    let before = before.await;
    released.send_replace(true);
    current.work();
    if let Ok(before) = before {
        let _ = tokio::task::spawn_blocking(move || before.await_end()).await;
    }
    let gateway = current.gateway();
    gateway.end_overlap();
    if let Err(error) = gateway.tell_of_open_intents() {
        tracing::error!(%error, "whether writes were left open can't be told");
    }
    tracing::info!("the process before has ended");
}

async fn ended(listener: JoinHandle<()>) {
    if let Err(error) = listener.await {
        tracing::error!(%error, "a listener ended badly");
    }
}
