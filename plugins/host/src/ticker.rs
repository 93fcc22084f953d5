//! The thread that moves an engine's epoch on, so that deadlines pass also while guests compute.
//!
//! Invariant: the thread holds the engine weakly and ends when its owner is dropped.

use std::{
    fmt,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{Builder, JoinHandle},
    time::Duration,
};

use wasmtime::EngineWeak;

use crate::EngineError;

/// Owns the thread. Dropping it ends the thread and waits for that.
pub struct EpochTicker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EpochTicker {
    /// Starts a thread that increments the engine's epoch every `period`.
    pub fn start(engine: EngineWeak, period: Duration) -> Result<Self, EngineError> {
        let (stop, stopped) = channel();
        let thread = Builder::new()
            .name("plugin-epoch".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                    let Some(engine) = engine.upgrade() else { return };
                    engine.increment_epoch();
                }
            })
            .map_err(|error| EngineError::Ticker(error.to_string()))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl fmt::Debug for EpochTicker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EpochTicker").field("running", &self.stop.is_some()).finish()
    }
}

impl Drop for EpochTicker {
    fn drop(&mut self) {
        drop(self.stop.take());
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
}
