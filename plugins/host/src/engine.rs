//! The WebAssembly engine that all plugins of a process share, and its bounds.
//!
//! Invariant: the pool is allocated once. At most `concurrent_calls` instances exist at a time, of one plugin at most
//! `calls_of_one`; a call beyond that waits for its place or is refused, it doesn't grow the pool.

use std::{fmt, sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy,
};

use crate::{EngineError, manifest::Limits, ticker::EpochTicker};

/// Instances that one component may be made of: the guest, and those that wire its imports. A guest with a language
/// runtime inside is made of a dozen.
const CORE_INSTANCES: u32 = 16;
/// Linear memories that one component may have: the guest's, and those of what stands in for WASI beside a language
/// runtime. A call's memory limit holds for their sum.
const MEMORIES: u32 = 3;
/// Tables that one component may have: the guest's and those that wire its imports.
const TABLES: u32 = 8;
/// Elements that one table may have.
pub(crate) const TABLE_ELEMENTS: usize = 10_000;
/// What a call leaves resident in its slot for the next one.
const KEEP_RESIDENT: usize = 1 << 20;
/// What a guest may use of its call's stack, in bytes.
const STACK: usize = 512 << 10;
/// Stack of one call with the host's functions, in bytes. What a call touched stays with the slot; no guest can read it.
const WHOLE_STACK: usize = 2 << 20;

/// Bounds of the whole engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// Calls that may be alive at the same time. Each reserves address space (4 GiB), not memory.
    pub concurrent_calls: u32,
    /// Calls of one plugin among them.
    pub calls_of_one: u32,
    /// Idle slots that keep up to 1 MiB of memory each for the next call.
    pub warm_slots: u32,
    /// How often the epoch moves on: the longest that a guest computes before others of its thread have their turn, and
    /// at most twice that at its beginning.
    pub epoch_tick: Duration,
}

impl Default for EngineSettings {
    fn default() -> Self {
        let epoch_tick = Duration::from_millis(1);
        Self { concurrent_calls: 64, calls_of_one: 16, warm_slots: 16, epoch_tick }
    }
}

/// The engine. Clones share it.
#[derive(Clone)]
pub struct PluginEngine {
    engine: Engine,
    ticker: Option<Arc<EpochTicker>>,
    /// For the calls of all plugins.
    places: Arc<Semaphore>,
    calls_of_one: usize,
}

impl fmt::Debug for PluginEngine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PluginEngine").field("places", &self.places).finish_non_exhaustive()
    }
}

impl PluginEngine {
    /// An engine with a thread that moves its epoch on. The thread ends with the last clone, and with the last plugin.
    ///
    /// # Errors
    ///
    /// [`EngineError`] where the machine offers no address space for the pool, or no thread.
    pub fn start(settings: &EngineSettings) -> Result<Self, EngineError> {
        let mut engine = Self::without_ticker(settings)?;
        let ticker = EpochTicker::start(engine.engine.weak(), settings.epoch_tick)?;
        engine.ticker = Some(Arc::new(ticker));
        Ok(engine)
    }

    /// An engine whose epoch moves only by [`Self::increment_epoch`]. A guest that never ends is stopped only if
    /// another thread calls that: use it where such a thread exists, and in tests.
    ///
    /// # Errors
    ///
    /// [`EngineError`] where the machine offers no address space for the pool.
    pub fn without_ticker(settings: &EngineSettings) -> Result<Self, EngineError> {
        let (calls, calls_of_one) =
            (settings.concurrent_calls, settings.calls_of_one.min(settings.concurrent_calls));
        if calls_of_one == 0 || settings.epoch_tick.is_zero() {
            return Err(EngineError::Settings);
        }
        let count = |calls: u32| usize::try_from(calls).map_err(|_| EngineError::Settings);
        let (places, calls_of_one) = (Arc::new(Semaphore::new(count(calls)?)), count(calls_of_one)?);
        let engine =
            Engine::new(&config(settings)).map_err(|error| EngineError::Start(format!("{error:#}")))?;
        Ok(Self { engine, ticker: None, places, calls_of_one })
    }

    /// Moves the epoch on by one tick.
    pub fn increment_epoch(&self) {
        self.engine.increment_epoch();
    }

    pub(crate) fn wasm(&self) -> &Engine {
        &self.engine
    }

    /// A guest computes.
    pub(crate) fn used(&self) {
        if let Some(ticker) = &self.ticker {
            ticker.used();
        }
    }

    /// The places for the calls of all plugins.
    pub(crate) fn places(&self) -> &Semaphore {
        &self.places
    }

    /// How many of them one plugin may have.
    pub(crate) fn calls_of_one(&self) -> usize {
        self.calls_of_one
    }
}

fn config(settings: &EngineSettings) -> Config {
    let calls = settings.concurrent_calls;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(CORE_INSTANCES))
        .total_memories(calls.saturating_mul(MEMORIES))
        .total_tables(calls.saturating_mul(TABLES))
        .total_stacks(calls)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memories_per_module(1)
        .max_tables_per_module(2)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(usize::try_from(Limits::MAX_MEMORY_MIB).unwrap_or(64) << 20)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .max_unused_warm_slots(settings.warm_slots)
        .pagemap_scan(Enabled::Auto);

    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .max_wasm_stack(STACK)
        .async_stack_size(WHOLE_STACK)
        .concurrency_support(false)
        .generate_address_map(false)
        .wasm_memory64(false)
        // The compiler's own adapters between the parts of a component have two memories. A guest's module has one.
        .wasm_multi_memory(true)
        .wasm_relaxed_simd(false);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_without_calls_or_time_is_refused() {
        let no_calls = EngineSettings { concurrent_calls: 0, ..EngineSettings::default() };
        assert!(matches!(PluginEngine::start(&no_calls), Err(EngineError::Settings)));
        let none_of_one = EngineSettings { calls_of_one: 0, ..EngineSettings::default() };
        assert!(matches!(PluginEngine::start(&none_of_one), Err(EngineError::Settings)));
        let no_time = EngineSettings { epoch_tick: Duration::ZERO, ..EngineSettings::default() };
        assert!(matches!(PluginEngine::start(&no_time), Err(EngineError::Settings)));
    }
}
