//! What the operator sees: JSON log lines and Prometheus metrics. Neither ever holds a patient's data.

pub mod access_log;
pub mod background;
pub mod calls;
pub(crate) mod collector;
pub mod course;
pub mod exposition;
pub mod frame;
mod json_lines;
mod lines;
pub mod names;
mod pushed;
pub mod reporting;
pub mod spans;
pub mod stage;
pub mod traces;
pub mod under_way;

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::sync::watch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use crate::config::Level;
use json_lines::JsonLines;
use lines::Lines;

/// Upper bounds of the latency buckets, in seconds: 50 µs to 30 s.
pub const BUCKETS: &[f64] = &[
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 30.0,
];
/// How often values of histograms are put into their buckets. Until then each takes memory.
const UPKEEP: Duration = Duration::from_secs(2);

/// Lines of the open log that still wait.
static LINES: OnceLock<Lines> = OnceLock::new();

/// The level of the open log.
static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    }
}

/// The level of the open log, as the configuration writes it; `None` where no log is open.
pub fn level() -> Option<&'static str> {
    LEVEL
        .get()?
        .with_current(|level| match *level {
            LevelFilter::ERROR => "error",
            LevelFilter::WARN => "warn",
            LevelFilter::INFO => "info",
            LevelFilter::DEBUG => "debug",
            LevelFilter::TRACE => "trace",
            _ => "off",
        })
        .ok()
}

/// Lets lines of this level and above through from now on.
pub fn set_level(level: Level) {
    if let Some(Err(error)) = LEVEL.get().map(|own| own.reload(filter(level))) {
        tracing::warn!(%error, "the level of the log can't be changed");
    }
}

/// Sends log lines as JSON, one a line, to standard output. A second call in one process has no effect.
pub fn start_log(level: Level) {
    let (level, handle) = reload::Layer::new(filter(level));
    let gathered = Lines::to(std::io::stdout());
    let lines = JsonLines(gathered.as_ref().ok().cloned());
    if tracing_subscriber::registry().with(level).with(lines).try_init().is_err() {
        return tracing::debug!("a log is already open");
    }
    let _ = LEVEL.set(handle);
    match gathered {
        Ok(gathered) => drop(LINES.set(gathered)),
        Err(error) => tracing::warn!(%error, "there is no thread for log lines: each is written by itself"),
    }
}

/// Writes the lines that still wait: the last thing that a process does.
pub fn flush_log() {
    LINES.get().into_iter().for_each(Lines::flush);
}

/// Starts to count, and gives the handle that renders the metrics.
pub fn start_metrics() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS)?
        .install_recorder()?;
    names::describe();
    pushed::begin();
    Ok(handle)
}

/// Puts values of histograms into their buckets, whether anybody reads the metrics or not, until `stopping` turns true.
pub async fn keep_up(metrics: PrometheusHandle, mut stopping: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(UPKEEP) => metrics.run_upkeep(),
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

#[cfg(test)]
mod dashboard_tests;
