//! What happened to a plugin, for metrics and for those who ask in the process.
//!
//! Handles of metrics are looked up once, when a plugin is loaded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::{Hook, PluginError, Verdict};

/// A moment's counts. All but the last only grow; `peak_memory` is no count but a maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PluginCounters {
    /// Calls that reached the plugin.
    pub calls: u64,
    /// Verdicts to pass.
    pub passed: u64,
    /// Verdicts to replace the body.
    pub replaced: u64,
    /// Verdicts to refuse.
    pub refused: u64,
    /// Calls that broke off: panics, broken rules of WebAssembly, calls nested too deeply.
    pub traps: u64,
    /// Calls stopped at the deadline.
    pub deadlines: u64,
    /// Calls stopped at the memory limit.
    pub memory_limits: u64,
    /// Bodies above the output limit.
    pub outputs_too_large: u64,
    /// Bodies that are not of the media type.
    pub outputs_malformed: u64,
    /// Additions that can't be made.
    pub additions: u64,
    /// Bodies above the input limit; the plugin was not called.
    pub inputs_too_large: u64,
    /// Calls not made because the instances were all in use for too long.
    pub busy: u64,
    /// Calls not made because of the quarantine.
    pub quarantined: u64,
    /// Times the quarantine was opened or renewed.
    pub quarantines: u64,
    /// Lines written to the log.
    pub log_lines: u64,
    /// Lines above the limit of a call.
    pub log_lines_dropped: u64,
    /// Counts of names that the manifest doesn't list.
    pub counts_dropped: u64,
    /// Failures that were skipped, because the plugin fails open where it was used.
    pub skipped: u64,
    /// Times that a call gave its thread back before it was done.
    pub pauses: u64,
    /// The most linear memory that one call held, in bytes.
    pub peak_memory: u64,
    /// Whether the plugin is in quarantine now.
    pub in_quarantine: bool,
}

/// A count that is also a metric.
struct Count {
    here: AtomicU64,
    metric: Counter,
}

impl Count {
    fn of(metric: Counter) -> Self {
        Self { here: AtomicU64::new(0), metric }
    }

    fn add(&self, by: u64) {
        self.here.fetch_add(by, Ordering::Relaxed);
        self.metric.increment(by);
    }

    fn read(&self) -> u64 {
        self.here.load(Ordering::Relaxed)
    }
}

/// The running counts, shared by the calls.
pub struct Tally {
    calls: AtomicU64,
    passed: Count,
    replaced: Count,
    refused: Count,
    traps: Count,
    deadlines: Count,
    memory_limits: Count,
    outputs_too_large: Count,
    outputs_malformed: Count,
    additions: Count,
    inputs_too_large: Count,
    busy: Count,
    quarantined: Count,
    quarantines: Count,
    log_lines: Count,
    log_lines_dropped: Count,
    counts_dropped: Count,
    skipped: Count,
    pauses: Count,
    pausing: Gauge,
    waiting: Gauge,
    peak_memory: AtomicU64,
    peak: Gauge,
    quarantine: Gauge,
    /// By [`Hook::number`].
    seconds: [Histogram; 4],
    /// The manifest's counters.
    own: Vec<(Box<str>, Count)>,
}

impl std::fmt::Debug for Tally {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.snapshot(false).fmt(formatter)
    }
}

impl Tally {
    /// For a plugin of this name, with its manifest's counters.
    pub fn new(plugin: &str, counters: &[String]) -> Self {
        let name = || plugin.to_owned();
        let calls = |result: &'static str| {
            Count::of(counter!("varco_plugin_calls_total", "plugin" => name(), "result" => result))
        };
        let dropped = |what: &'static str| {
            Count::of(counter!("varco_plugin_dropped_total", "plugin" => name(), "what" => what))
        };
        let seconds =
            |hook: Hook| histogram!("varco_plugin_seconds", "plugin" => name(), "hook" => hook.as_str());
        let own = |counter_name: &String| {
            let metric =
                counter!("varco_plugin_counter_total", "plugin" => name(), "counter" => counter_name.clone());
            (Box::from(counter_name.as_str()), Count::of(metric))
        };
        let quarantine = gauge!("varco_plugin_quarantine", "plugin" => name());
        quarantine.set(0.0);
        Self {
            calls: AtomicU64::new(0),
            passed: calls("passed"),
            replaced: calls("replaced"),
            refused: calls("refused"),
            traps: calls("trapped"),
            deadlines: calls("too-slow"),
            memory_limits: calls("out-of-memory"),
            outputs_too_large: calls("output-too-large"),
            outputs_malformed: calls("output-malformed"),
            additions: calls("addition-refused"),
            inputs_too_large: calls("input-too-large"),
            busy: calls("busy"),
            quarantined: calls("quarantined"),
            quarantines: Count::of(counter!("varco_plugin_quarantines_total", "plugin" => name())),
            log_lines: Count::of(counter!("varco_plugin_log_lines_total", "plugin" => name())),
            log_lines_dropped: dropped("log-lines"),
            counts_dropped: dropped("counts"),
            skipped: Count::of(counter!("varco_plugin_skipped_total", "plugin" => name())),
            pauses: Count::of(counter!("varco_plugin_pauses_total", "plugin" => name())),
            pausing: gauge!("varco_plugin_pausing", "plugin" => name()),
            waiting: gauge!("varco_plugin_waiting", "plugin" => name()),
            peak_memory: AtomicU64::new(0),
            peak: gauge!("varco_plugin_peak_memory_bytes", "plugin" => name()),
            quarantine,
            seconds: Hook::ALL.map(seconds),
            own: counters.iter().map(own).collect(),
        }
    }

    pub fn ended(&self, result: &Result<Verdict, PluginError>) {
        let counter = match result {
            Ok(Verdict::Pass) => &self.passed,
            Ok(Verdict::Replace(_)) => &self.replaced,
            Ok(Verdict::Refuse(_)) => &self.refused,
            Err(PluginError::Trap { .. } | PluginError::Stack { .. }) => &self.traps,
            Err(PluginError::Deadline { .. }) => &self.deadlines,
            Err(PluginError::Memory { .. }) => &self.memory_limits,
            Err(PluginError::OutputTooLarge { .. }) => &self.outputs_too_large,
            Err(PluginError::OutputMalformed { .. }) => &self.outputs_malformed,
            Err(PluginError::Addition { .. }) => &self.additions,
            Err(PluginError::InputTooLarge { .. }) => &self.inputs_too_large,
            Err(PluginError::Quarantined { .. }) => &self.quarantined,
            Err(PluginError::Busy { .. }) => &self.busy,
            Err(PluginError::HookNotDeclared { .. }) => return,
        };
        counter.add(1);
        if result.as_ref().err().is_none_or(PluginError::blames_plugin) {
            self.calls.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A call took this long, from making the instance to taking its answer.
    pub fn took(&self, hook: Hook, time: Duration) {
        if let Some(histogram) = self.seconds.get(hook.number()) {
            histogram.record(time.as_secs_f64());
        }
    }

    /// The quarantine was opened or renewed.
    pub fn quarantined(&self) {
        self.quarantines.add(1);
        self.quarantine.set(1.0);
    }

    /// The quarantine is over, or nobody is left whom it concerns.
    pub fn released(&self) {
        self.quarantine.set(0.0);
    }

    pub fn log_line(&self) {
        self.log_lines.add(1);
    }

    pub fn log_line_dropped(&self) {
        self.log_lines_dropped.add(1);
    }

    /// Adds to one of the manifest's counters. Other names are dropped, and that is counted.
    pub fn count(&self, name: &str, by: u64) {
        match self.own.iter().find(|(own, _)| **own == *name) {
            Some((_, counter)) => counter.add(by),
            None => self.counts_dropped.add(1),
        }
    }

    pub fn skipped(&self) {
        self.skipped.add(1);
    }

    /// A call gave its thread back before it was done.
    pub fn paused(&self) {
        self.pauses.add(1);
    }

    /// So many more calls, or less, have given their thread back and are not done.
    pub fn pausing(&self, more: f64) {
        self.pausing.increment(more);
    }

    /// So many more calls, or less, wait for a place.
    pub fn waiting(&self, more: f64) {
        self.waiting.increment(more);
    }

    /// The manifest's counters with their counts.
    pub fn own(&self) -> impl Iterator<Item = (&str, u64)> {
        self.own.iter().map(|(name, counter)| (&**name, counter.read()))
    }

    pub fn held(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if self.peak_memory.load(Ordering::Relaxed) < bytes
            && self.peak_memory.fetch_max(bytes, Ordering::Relaxed) < bytes
        {
            self.peak.set(bytes as f64);
        }
    }

    pub fn snapshot(&self, in_quarantine: bool) -> PluginCounters {
        PluginCounters {
            calls: self.calls.load(Ordering::Relaxed),
            passed: self.passed.read(),
            replaced: self.replaced.read(),
            refused: self.refused.read(),
            traps: self.traps.read(),
            deadlines: self.deadlines.read(),
            memory_limits: self.memory_limits.read(),
            outputs_too_large: self.outputs_too_large.read(),
            outputs_malformed: self.outputs_malformed.read(),
            additions: self.additions.read(),
            inputs_too_large: self.inputs_too_large.read(),
            busy: self.busy.read(),
            quarantined: self.quarantined.read(),
            quarantines: self.quarantines.read(),
            log_lines: self.log_lines.read(),
            log_lines_dropped: self.log_lines_dropped.read(),
            counts_dropped: self.counts_dropped.read(),
            skipped: self.skipped.read(),
            pauses: self.pauses.read(),
            peak_memory: self.peak_memory.load(Ordering::Relaxed),
            in_quarantine,
        }
    }
}
