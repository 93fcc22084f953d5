//! The thread that moves an engine's epoch on, so that turns and deadlines end also while guests compute.
//!
//! It ticks while plugins are called. When none was for a while it rests, which a call ends: a gateway without work wakes
//! a few times a second, not a thousand times.
//!
//! Invariants: the thread holds the engine weakly and ends when its owner is dropped. It rests only when no guest computes,
//! since each says so at the beginning of a call and at the end of each turn.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{Builder, JoinHandle, park_timeout},
    time::Duration,
};

use wasmtime::EngineWeak;

use crate::EngineError;

/// Ticks without a call before the thread rests: many more than a guest's turn has.
const IDLE: u32 = 64;
/// Between two ticks of a thread that rests.
const REST: Duration = Duration::from_millis(250);

/// Owns the thread. Dropping it ends the thread and waits for that.
pub struct EpochTicker {
    signals: Arc<Signals>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Signals {
    /// A guest computed since the last tick.
    used: AtomicBool,
    resting: AtomicBool,
    stop: AtomicBool,
}

impl EpochTicker {
    /// Starts a thread that increments the engine's epoch every `period`.
    pub fn start(engine: EngineWeak, period: Duration) -> Result<Self, EngineError> {
        let signals = Arc::<Signals>::default();
        let own = signals.clone();
        let thread = Builder::new()
            .name("plugin-epoch".to_owned())
            .spawn(move || tick(&engine, &own, period))
            .map_err(|error| EngineError::Ticker(error.to_string()))?;
        Ok(Self { signals, thread: Some(thread) })
    }

    /// A guest computes: the thread goes on ticking, or begins again.
    pub fn used(&self) {
        if self.signals.used.load(SeqCst) {
            return;
        }
        self.signals.used.store(true, SeqCst);
        if self.signals.resting.load(SeqCst) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

fn tick(engine: &EngineWeak, signals: &Signals, period: Duration) {
    let mut idle = 0_u32;
    while !signals.stop.load(SeqCst) {
        if idle < IDLE {
            park_timeout(period);
        } else {
            signals.resting.store(true, SeqCst);
            // Whoever comes after this look sees that the thread rests.
            if !signals.used.load(SeqCst) {
                park_timeout(REST);
            }
            signals.resting.store(false, SeqCst);
        }
        let Some(engine) = engine.upgrade() else { return };
        engine.increment_epoch();
        idle = if signals.used.swap(false, SeqCst) { 0 } else { idle.saturating_add(1) };
    }
}

impl fmt::Debug for EpochTicker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.signals.fmt(formatter)
    }
}

impl Drop for EpochTicker {
    fn drop(&mut self) {
        self.signals.stop.store(true, SeqCst);
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PERIOD: Duration = Duration::from_millis(1);

    #[test]
    fn dropping_the_owner_ends_the_thread() {
        let engine = wasmtime::Engine::default();
        let ticker = EpochTicker::start(engine.weak(), Duration::from_secs(3600)).unwrap();
        // Returns only when the thread has ended, well before its period.
        drop(ticker);
        let weak = engine.weak();
        drop(engine);
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn the_thread_does_not_keep_the_engine_alive() {
        let engine = wasmtime::Engine::default();
        let ticker = EpochTicker::start(engine.weak(), PERIOD).unwrap();
        drop(engine);
        let ended = (0..60_000).any(|_| {
            std::thread::sleep(PERIOD);
            ticker.thread.as_ref().is_some_and(JoinHandle::is_finished)
        });
        assert!(ended);
    }

    #[test]
    fn it_rests_when_no_plugin_is_called_and_a_call_ends_the_rest() {
        let engine = wasmtime::Engine::default();
        let ticker = EpochTicker::start(engine.weak(), PERIOD).unwrap();
        let comes_to = |wanted: bool, each: &dyn Fn()| {
            (0..60_000).any(|_| {
                each();
                std::thread::sleep(PERIOD);
                ticker.signals.resting.load(SeqCst) == wanted
            })
        };
        assert!(comes_to(true, &|| {}));
        assert!(comes_to(false, &|| ticker.used()));
    }
}
