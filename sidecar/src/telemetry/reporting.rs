//! What one gateway reports beside its metrics: traces, access log, what is under way.
//!
//! Each part is there only where the configuration asks for it; what is off costs a look at an `Option`. The tasks that send
//! and write live until the gateway is gone, so that a request that ends under an old configuration is still told of.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::access_log::{AccessLog, AccessLogFile};
use super::background::Background;
use super::collector::Collector;
use super::pushed;
use super::traces::{self, Place, Places, TraceExport, Tracer};
use super::under_way::UnderWay;
use tokio::sync::watch;

use crate::audit::destination::DestinationError;
use crate::config::Config;

/// What can't be reported as the configuration asks for.
#[derive(Debug, thiserror::Error)]
pub enum ReportingError {
    /// The collector.
    #[error("traces and metrics can't be sent to the collector: {0}")]
    Collector(#[from] DestinationError),
    /// The access log.
    #[error("the access log {} can't be written: {cause}", path.display())]
    AccessLog {
        /// Its file.
        path: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
}

/// What outlives a configuration: what is under way.
#[derive(Clone, Default)]
pub struct Tasks {
    /// Requests.
    pub requests: Arc<UnderWay>,
    /// What runs beside them.
    pub background: Arc<Background>,
}

/// What one gateway reports.
pub struct Reporting {
    /// Takes spans, where traces are sent.
    pub tracer: Option<Tracer>,
    /// Takes lines, where there is an access log.
    pub access_log: Option<AccessLog>,
    /// What is under way.
    pub tasks: Tasks,
    /// What was not started yet.
    unstarted: Mutex<Unstarted>,
}

#[derive(Default)]
struct Unstarted {
    traces: Option<TraceExport>,
    access_log: Option<AccessLogFile>,
    metrics: Option<(Collector, Duration)>,
}

impl Reporting {
    /// What the configuration asks for.
    pub fn new(config: &Config, tasks: Tasks) -> Result<Reporting, ReportingError> {
        let mut unstarted = Unstarted::default();
        let mut tracer = None;
        if let Some(otlp) = &config.telemetry.otlp
            && let Some(traces) = &otlp.traces
        {
            let collector = Collector::new(otlp, &config.site)?;
            let terminology = config.terminology.as_ref().map(|own| Place::of(&own.server.url));
            let places = Places {
                own: Place::of(&config.site.base_url),
                upstream: Place::of(&config.upstream.url),
                terminology: terminology.unwrap_or_default(),
            };
            let (takes, sends) = Tracer::new(traces, collector, places);
            (tracer, unstarted.traces) = (Some(takes), Some(sends));
        }
        if let Some(otlp) = &config.telemetry.otlp
            && let Some(metrics) = &otlp.metrics
        {
            let collector = Collector::new(otlp, &config.site)?;
            unstarted.metrics = Some((collector, Duration::from_secs(metrics.seconds)));
        }
        let mut access_log = None;
        if let Some(log) = &config.telemetry.access_log {
            let (takes, writes) = AccessLog::new(&log.path, log.format)
                .map_err(|cause| ReportingError::AccessLog { path: log.path.clone(), cause })?;
            (access_log, unstarted.access_log) = (Some(takes), Some(writes));
        }
        Ok(Reporting { tracer, access_log, tasks, unstarted: Mutex::new(unstarted) })
    }

    /// Starts what sends and writes; `render` gives the metrics that are pushed until `stopping` turns true.
    pub fn start(
        &self,
        render: impl Fn() -> String + Send + Sync + 'static,
        stopping: &watch::Receiver<bool>,
    ) {
        let unstarted = std::mem::take(&mut *self.unstarted.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(traces) = unstarted.traces {
            self.tasks.background.spawn("traces to the collector", traces.run());
        }
        if let Some(log) = unstarted.access_log {
            self.tasks.background.spawn("access log", log.run());
        }
        if let Some((collector, every)) = unstarted.metrics {
            let pushed = pushed::run(collector, every, render, stopping.clone());
            self.tasks.background.spawn("metrics to the collector", pushed);
        }
    }

    /// Sends what waits, within two seconds.
    pub async fn flush(&self) {
        if let Some(tracer) = &self.tracer {
            tracer.flush().await;
        }
    }

    /// Sets the gauges, before metrics are rendered.
    pub fn observe(&self) {
        traces::observe(self.tracer.as_ref());
    }
}
