//! How a plugin did so far: its counts and its quarantine, which outlive a reload where the component is the same.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tracing::{info, warn};

use crate::{
    Hook, Manifest, PluginEngine, PluginError, Verdict,
    counters::{PluginCounters, Tally},
    place::Places,
    quarantine::{Admission, Quarantine},
};

/// Tells the time since any moment that stays the same.
pub type Clock<'c> = &'c (dyn Fn() -> Duration + Sync);

/// The standing of one component under one name.
#[derive(Debug)]
pub struct Standing {
    pub tally: Tally,
    pub places: Places,
    /// The component's digest.
    sha256: String,
    counters: Vec<String>,
    quarantine: Mutex<Quarantine>,
    /// Whether the quarantine holds anything that a success would change. Calls of a plugin that does well take no lock.
    stained: AtomicBool,
}

impl Standing {
    /// A good one.
    pub fn new(engine: &PluginEngine, manifest: &Manifest, sha256: &str) -> Self {
        Self {
            tally: Tally::new(manifest.name(), manifest.counters()),
            places: Places::new(engine.calls_of_one()),
            sha256: sha256.to_owned(),
            counters: manifest.counters().to_vec(),
            quarantine: Mutex::default(),
            stained: AtomicBool::new(false),
        }
    }

    /// Whether it is of this component with these counters.
    pub fn is_of(&self, sha256: &str, counters: &[String]) -> bool {
        self.sha256 == sha256 && self.counters == counters
    }

    /// Leave for a call that begins now, or the time after which to ask again.
    pub fn admit(&self, clock: Clock<'_>) -> Result<Admission, Duration> {
        if self.stained.load(Ordering::Acquire) {
            let now = clock();
            self.quarantine().admit(now)
        } else {
            Ok(Admission::Regular)
        }
    }

    /// Takes up how a call ended now.
    pub fn ended(
        &self,
        plugin: &str,
        hook: Hook,
        admission: Admission,
        result: &Result<Verdict, PluginError>,
        clock: Clock<'_>,
    ) {
        match result {
            Ok(_) if !self.stained.load(Ordering::Acquire) => {}
            Ok(_) => {
                let mut quarantine = self.quarantine();
                let ended = quarantine.succeeded(admission);
                self.stained.store(*quarantine != Quarantine::default(), Ordering::Release);
                drop(quarantine);
                if ended {
                    self.tally.released();
                    info!(plugin, "quarantine ended");
                }
            }
            Err(error) if error.blames_plugin() => {
                warn!(plugin, hook = hook.as_str(), kind = error.kind(), cause = %error, "plugin failed");
                let mut quarantine = self.quarantine();
                let opened = quarantine.failed(admission, clock());
                self.stained.store(true, Ordering::Release);
                drop(quarantine);
                if let Some(period) = opened {
                    self.tally.quarantined();
                    warn!(plugin, seconds = period.as_secs(), "plugin in quarantine");
                }
            }
            Err(_) => self.quarantine().abandoned(admission, clock()),
        }
    }

    pub fn counts(&self) -> PluginCounters {
        let in_quarantine = self.quarantine().is_open();
        self.tally.snapshot(in_quarantine)
    }

    fn quarantine(&self) -> MutexGuard<'_, Quarantine> {
        self.quarantine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        if self.quarantine().is_open() {
            self.tally.released();
        }
    }
}
