//! `varco plugin bench`: what a call costs.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use varco_plugin_host::{Plugin, PluginError, Verdict};

use super::fixture::Fixture;
use super::project::Built;
use super::stand::Stand;
use super::{Ending, say};

/// Most rounds that are measured.
const MAX_ROUNDS: u32 = 10_000_000;

/// Measures a plugin's calls: a second, p50, p99, memory. Each fixture is measured on its own.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco plugin bench small-bodies
  varco plugin bench --rounds 100000 --fixture patient small-bodies
  varco plugin bench --output json small-bodies > bench.json

Each call gets a fresh instance, as in the gateway. Times are wall-clock time of one thread on this machine: compare them
with others of the same minute. Memory is what one instance held at most; it must stay below limits.memory_mib.")]
pub struct Bench {
    /// The project's folder.
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// The manifest of what was built, where it isn't in the project's dist/.
    #[arg(long, value_name = "FILE")]
    built: Option<PathBuf>,
    /// Calls that are measured of each fixture, after a tenth of them to warm up.
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_ROUNDS)))]
    rounds: u32,
    /// This fixture alone.
    #[arg(long, value_name = "NAME")]
    fixture: Option<String>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

struct Measured {
    name: String,
    bytes: usize,
    verdict: &'static str,
    per_second: f64,
    times: Vec<Duration>,
    memory: u64,
}

impl Bench {
    pub(super) fn run(self) -> Result<Ending> {
        let built = Built::open(self.built.as_deref().unwrap_or(&self.folder))?;
        let folder = self.folder.join("fixtures");
        let mut fixtures = Fixture::read_all(&folder, &built.manifest)?;
        if let Some(name) = &self.fixture {
            fixtures.retain(|fixture| fixture.name == *name);
        }
        if fixtures.is_empty() {
            bail!("{} has no such fixture; write the body to measure with as NAME.in.json", folder.display());
        }
        let stand = Stand::new()?.with_concept_maps(&folder.join("concept-maps"))?;
        let bar = progress(u64::from(self.rounds).saturating_mul(u64::try_from(fixtures.len())?));
        let mut all = Vec::new();
        let mut loading = Duration::ZERO;
        for fixture in &fixtures {
            let start = Instant::now();
            let plugin = stand.load(&built, &fixture.setting.settings)?;
            loading = loading.max(start.elapsed());
            bar.set_message(fixture.name.clone());
            match measure(&stand, &plugin, fixture, self.rounds, &bar) {
                Ok(measured) => all.push(measured),
                Err(fault) => {
                    bar.finish_and_clear();
                    say::note(format!("varco: fixture {}: {fault}", fixture.name));
                    return Ok(Ending::AtFault);
                }
            }
        }
        bar.finish_and_clear();
        let component = built.component()?.len();
        match self.output {
            Output::Text => text(&built, component, loading, &all),
            Output::Json => say::line(serde_json::to_string_pretty(&json!({
                "plugin": built.manifest.name(),
                "component_bytes": component,
                "load_ms": millis(loading),
                "rounds": self.rounds,
                "fixtures": all.iter().map(|it| json!({
                    "name": it.name, "body_bytes": it.bytes, "verdict": it.verdict,
                    "calls_per_second": it.per_second.round(), "p50_us": micros(it.at(500)), "p99_us": micros(it.at(990)),
                    "max_us": micros(it.at(1000)), "memory_bytes": it.memory,
                })).collect::<Vec<_>>(),
            }))?),
        }
        Ok(Ending::Well)
    }
}

impl Measured {
    /// The time below which this many calls in a thousand stayed.
    fn at(&self, share: usize) -> Duration {
        let last = self.times.len().saturating_sub(1);
        let place = self.times.len().saturating_mul(share).checked_div(1000).unwrap_or(0).min(last);
        self.times.get(place).copied().unwrap_or_default()
    }
}

fn measure(
    stand: &Stand,
    plugin: &Plugin,
    fixture: &Fixture,
    rounds: u32,
    bar: &ProgressBar,
) -> Result<Measured, PluginError> {
    let warming = rounds.checked_div(10).unwrap_or(0).max(1);
    let mut times = Vec::with_capacity(usize::try_from(rounds).unwrap_or(0));
    let mut verdict = "";
    fixture.setting.with_context(fixture.hook, |context| {
        stand.to_the_end(async {
            for round in 0..rounds.saturating_add(warming) {
                let start = Instant::now();
                let given = plugin.judge(fixture.hook, context, &fixture.body, &|| Duration::ZERO).await?;
                let time = start.elapsed();
                if round < warming {
                    continue;
                }
                times.push(time);
                verdict = match given {
                    Verdict::Pass => "pass",
                    Verdict::Replace(_) => "replace",
                    Verdict::Refuse(_) => "refuse",
                };
                if round.is_multiple_of(64) {
                    bar.inc(64);
                }
            }
            Ok(())
        })
    })?;
    let total: Duration = times.iter().sum();
    times.sort_unstable();
    Ok(Measured {
        name: fixture.name.clone(),
        bytes: fixture.body.len(),
        verdict,
        per_second: f64::from(rounds) / total.as_secs_f64().max(f64::MIN_POSITIVE),
        times,
        memory: plugin.counters().peak_memory,
    })
}

fn text(built: &Built, component: usize, loading: Duration, all: &[Measured]) {
    let manifest = &built.manifest;
    say::line(format!(
        "{} {}: component {component} bytes, compiled and loaded in {} ms",
        manifest.name(),
        manifest.version(),
        millis(loading)
    ));
    say::line(format!(
        "{:24} {:>9} {:>8} {:>10} {:>9} {:>9} {:>9} {:>11}",
        "fixture", "bytes", "verdict", "calls/s", "p50 µs", "p99 µs", "max µs", "memory KiB"
    ));
    for it in all {
        say::line(format!(
            "{:24} {:>9} {:>8} {:>10.0} {:>9.1} {:>9.1} {:>9.1} {:>11}",
            it.name,
            it.bytes,
            it.verdict,
            it.per_second,
            micros(it.at(500)),
            micros(it.at(990)),
            micros(it.at(1000)),
            it.memory.div_ceil(1024)
        ));
    }
    let limits = manifest.limits();
    say::line(format!("limits: {} MiB, {} ms a call", limits.memory_mib(), limits.deadline_ms()));
}

fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e7).round() / 10.0
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn progress(rounds: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(rounds), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{bar:32} {pos} of {len} calls  {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
