//! The WebAssembly engine that all plugins of a process share, and its bounds.
//!
//! Invariant: the pool is allocated once. At most `concurrent_calls` instances exist at a time; a call beyond that is
//! refused, it doesn't wait and it doesn't grow the pool.

use std::{fmt, sync::Arc, time::Duration};

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
/// Stack of one call, in bytes. It is a part of the calling thread's stack.
const STACK: usize = 512 << 10;

/// Bounds of the whole engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// Calls that may run at the same time. Each reserves address space (4 GiB), not memory.
    pub concurrent_calls: u32,
    /// Idle slots that keep up to 1 MiB of memory each for the next call.
    pub warm_slots: u32,
    /// How often the epoch moves on: a call is stopped between its deadline and less than two ticks later.
    pub epoch_tick: Duration,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self { concurrent_calls: 64, warm_slots: 16, epoch_tick: Duration::from_millis(10) }
    }
}

/// The engine. Clones share it.
#[derive(Clone)]
pub struct PluginEngine {
    engine: Engine,
    epoch_tick: Duration,
    _ticker: Option<Arc<EpochTicker>>,
}

impl fmt::Debug for PluginEngine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PluginEngine").field("epoch_tick", &self.epoch_tick).finish_non_exhaustive()
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
        engine._ticker = Some(Arc::new(ticker));
        Ok(engine)
    }

    /// An engine whose epoch moves only by [`Self::increment_epoch`]. A guest that never ends is stopped only if
    /// another thread calls that: use it where such a thread exists, and in tests.
    ///
    /// # Errors
    ///
    /// [`EngineError`] where the machine offers no address space for the pool.
    pub fn without_ticker(settings: &EngineSettings) -> Result<Self, EngineError> {
        if settings.concurrent_calls == 0 || settings.epoch_tick.is_zero() {
            return Err(EngineError::Settings);
        }
        let engine =
            Engine::new(&config(settings)).map_err(|error| EngineError::Start(format!("{error:#}")))?;
        Ok(Self { engine, epoch_tick: settings.epoch_tick, _ticker: None })
    }

    /// Moves the epoch on by one tick.
    pub fn increment_epoch(&self) {
        self.engine.increment_epoch();
    }

    pub(crate) fn wasm(&self) -> &Engine {
        &self.engine
    }

    /// Ticks after which a call with this deadline is stopped: never before the deadline, less than two ticks after it.
    pub(crate) fn ticks(&self, deadline: Duration) -> u64 {
        let whole = deadline.as_nanos().div_ceil(self.epoch_tick.as_nanos().max(1));
        // The current tick has begun already.
        u64::try_from(whole).unwrap_or(u64::MAX).saturating_add(1)
    }
}

fn config(settings: &EngineSettings) -> Config {
    let calls = settings.concurrent_calls;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(CORE_INSTANCES))
        .total_memories(calls.saturating_mul(MEMORIES))
        .total_tables(calls.saturating_mul(TABLES))
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
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_deadline_is_rounded_up_to_ticks_and_never_shortened() {
        let engine = PluginEngine::without_ticker(&EngineSettings::default()).unwrap();
        for (deadline, ticks) in [(1, 2), (10, 2), (11, 3), (1000, 101)] {
            assert_eq!(engine.ticks(Duration::from_millis(deadline)), ticks, "{deadline} ms");
        }
    }

    #[test]
    fn an_engine_without_calls_or_time_is_refused() {
        let no_calls = EngineSettings { concurrent_calls: 0, ..EngineSettings::default() };
        assert!(matches!(PluginEngine::start(&no_calls), Err(EngineError::Settings)));
        let no_time = EngineSettings { epoch_tick: Duration::ZERO, ..EngineSettings::default() };
        assert!(matches!(PluginEngine::start(&no_time), Err(EngineError::Settings)));
    }
}
