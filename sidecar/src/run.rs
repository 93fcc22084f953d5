//! A whole sidecar: its ports, started together and stopped together.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics_exporter_prometheus::PrometheusHandle;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use varco_core::mapping::hl7v2::ConverterError;

use crate::admin::Admin;
use crate::audit::{AuditCare, AuditSetupError};
use crate::config::{Config, Listen};
use crate::listen::{self, Phase, tls};
use crate::mllp::{self, Intake};
use crate::pipeline::{Gateway, SetupError};
use crate::reload::{Current, Reloader};
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
}

/// A running sidecar.
pub struct Running {
    /// Where the federation's requests arrive.
    pub address: SocketAddr,
    /// Where the operator's requests arrive.
    pub admin: SocketAddr,
    /// Where HL7 v2 messages arrive, if they do.
    pub mllp: Option<SocketAddr>,
    current: Arc<Current>,
    tls: Option<Arc<ArcSwap<ServerConfig>>>,
    stop: watch::Sender<bool>,
    phase: watch::Sender<Phase>,
    operator_phase: watch::Sender<Phase>,
    drain_delay: Duration,
    federation: JoinHandle<()>,
    operator: JoinHandle<()>,
    messages: Option<JoinHandle<()>>,
}

/// Starts a sidecar. When this returns, its ports take connections.
pub async fn start(config: Config, metrics: PrometheusHandle) -> Result<Running, StartError> {
    let tls = config.listen.tls.as_ref().map(tls::server_config).transpose()?;
    let tls = tls.map(|tls| Arc::new(ArcSwap::from_pointee(tls)));
    let bounds = config.listen.clone();
    let (federation, address) = bind(config.listen.address).await?;
    let (operator, admin_address) = bind(config.admin.address).await?;
    let messages = match &config.mllp {
        None => None,
        Some(own) => {
            let mut tls = own.tls.as_ref().map(tls::server_config).transpose()?;
            // The protocols that a web server offers are not spoken here.
            tls.iter_mut().for_each(|tls| tls.alpn_protocols.clear());
            Some((bind(own.address).await?, tls.map(Arc::new), own.clone()))
        }
    };
    // What is begun with the gateway can be begun: said here, where a fault ends the start.
    AuditCare::new(&config)?;
    let current = Current::new(Gateway::new(config)?, metrics.clone());
    let gateway = current.gateway();
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
            (Some(address), Some(tokio::spawn(mllp::serve(listener, tls, intake, drain, stopping.clone()))))
        }
    };
    tracing::info!(
        %address, admin = %admin_address, tls = tls.is_some(), client_certificates = bounds.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()),
        upstream = gateway.config().upstream.url, plugins = gateway.config().plugin.len(), mode = "enforce", "ready"
    );
    Ok(Running {
        address,
        admin: admin_address,
        federation: tokio::spawn(listen::serve(federation, tls.clone(), bounds, current.clone(), serving)),
        operator: tokio::spawn(listen::serve(operator, None, admin_bounds, admin, operator_serving)),
        current,
        tls,
        stop,
        phase,
        operator_phase,
        drain_delay,
        mllp,
        messages,
    })
}

impl Running {
    /// What decides now.
    pub fn gateway(&self) -> Arc<Gateway> {
        self.current.gateway()
    }

    /// What takes up changes of the file that the configuration came from.
    pub fn reloader(&self, path: PathBuf) -> Reloader {
        Reloader::new(path, self.current.clone(), self.tls.clone())
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
        self.stop.send_replace(true);
        self.phase.send_replace(Phase::Closing);
        for task in [Some(self.federation), self.messages].into_iter().flatten() {
            ended(task).await;
        }
        self.operator_phase.send_replace(Phase::Closing);
        ended(self.operator).await;
        self.current.gateway().save_quotas().await;
        self.current.gateway().reporting().flush().await;
        tracing::info!("stopped");
    }
}

async fn ended(listener: JoinHandle<()>) {
    if let Err(error) = listener.await {
        tracing::error!(%error, "a listener ended badly");
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |cause| StartError::Bind { address, cause };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
