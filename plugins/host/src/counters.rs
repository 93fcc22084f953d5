//! What happened to a plugin since it was loaded, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{PluginError, Verdict};

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
    /// Calls not made because the engine's instances were all in use.
    pub busy: u64,
    /// Calls not made because of the quarantine.
    pub quarantined: u64,
    /// Times the quarantine was opened or renewed.
    pub quarantines: u64,
    /// Lines written to the log.
    pub log_lines: u64,
    /// Lines above the limit of a call.
    pub log_lines_dropped: u64,
    /// The most linear memory that one call held, in bytes.
    pub peak_memory: u64,
    /// Counts of names that the manifest doesn't list.
    pub counts_dropped: u64,
    /// Whether the plugin is in quarantine now.
    pub in_quarantine: bool,
}

/// The running counts, shared by the calls.
#[derive(Debug, Default)]
pub struct Tally {
    calls: AtomicU64,
    passed: AtomicU64,
    replaced: AtomicU64,
    refused: AtomicU64,
    traps: AtomicU64,
    deadlines: AtomicU64,
    memory_limits: AtomicU64,
    outputs_too_large: AtomicU64,
    outputs_malformed: AtomicU64,
    additions: AtomicU64,
    inputs_too_large: AtomicU64,
    busy: AtomicU64,
    quarantined: AtomicU64,
    quarantines: AtomicU64,
    log_lines: AtomicU64,
    log_lines_dropped: AtomicU64,
    peak_memory: AtomicU64,
    counts_dropped: AtomicU64,
    /// The manifest's counters.
    own: Vec<(Box<str>, AtomicU64)>,
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Tally {
    /// With the manifest's counters.
    pub fn with(counters: &[String]) -> Self {
        let own = counters.iter().map(|name| (Box::from(name.as_str()), AtomicU64::new(0))).collect();
        Self { own, ..Self::default() }
    }

    /// Adds to one of the manifest's counters; false where it has none of this name.
    pub fn count(&self, name: &str, by: u64) -> bool {
        let own = self.own.iter().find(|(own, _)| **own == *name);
        own.map(|(_, counter)| counter.fetch_add(by, Ordering::Relaxed)).is_some()
    }

    pub fn count_dropped(&self) {
        add(&self.counts_dropped);
    }

    /// The manifest's counters with their counts.
    pub fn own(&self) -> impl Iterator<Item = (&str, u64)> {
        self.own.iter().map(|(name, counter)| (&**name, counter.load(Ordering::Relaxed)))
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
        add(counter);
        if result.as_ref().err().is_none_or(PluginError::blames_plugin) {
            add(&self.calls);
        }
    }

    pub fn quarantined(&self) {
        add(&self.quarantines);
    }

    pub fn log_line(&self) {
        add(&self.log_lines);
    }

    pub fn log_line_dropped(&self) {
        add(&self.log_lines_dropped);
    }

    pub fn held(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if self.peak_memory.load(Ordering::Relaxed) < bytes {
            self.peak_memory.fetch_max(bytes, Ordering::Relaxed);
        }
    }

    pub fn snapshot(&self, in_quarantine: bool) -> PluginCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PluginCounters {
            calls: read(&self.calls),
            passed: read(&self.passed),
            replaced: read(&self.replaced),
            refused: read(&self.refused),
            traps: read(&self.traps),
            deadlines: read(&self.deadlines),
            memory_limits: read(&self.memory_limits),
            outputs_too_large: read(&self.outputs_too_large),
            outputs_malformed: read(&self.outputs_malformed),
            additions: read(&self.additions),
            inputs_too_large: read(&self.inputs_too_large),
            busy: read(&self.busy),
            quarantined: read(&self.quarantined),
            quarantines: read(&self.quarantines),
            log_lines: read(&self.log_lines),
            log_lines_dropped: read(&self.log_lines_dropped),
            peak_memory: read(&self.peak_memory),
            counts_dropped: read(&self.counts_dropped),
            in_quarantine,
        }
    }
}
