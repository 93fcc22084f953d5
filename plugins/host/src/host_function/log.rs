//! `log`: a few short lines a call.

use tracing::{debug, error, info, warn};
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, WasmStr},
};

use super::take;
use crate::{call::CallState, contract::printable};

/// Lines that one call may write.
pub const LINES: u32 = 8;
/// The longest line, in bytes.
const LINE_BYTES: usize = 512;

// The engine makes these from a component's bytes, which the compiler doesn't see.
#[allow(dead_code)]
#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum Level {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

pub fn line(
    mut store: StoreContextMut<'_, CallState>,
    (level, text): (Level, WasmStr),
) -> wasmtime::Result<()> {
    let state = store.data_mut();
    if !take(&mut state.allowance.lines) {
        state.plugin.standing.tally.log_line_dropped();
        return Ok(());
    }
    state.plugin.standing.tally.log_line();
    let text = text.to_str(&store)?;
    let line = || printable(&text, LINE_BYTES);
    let state = store.data();
    let (plugin, trace) = (&*state.plugin.name, state.traceparent.as_deref().unwrap_or_default());
    match level {
        Level::Debug => debug!(target: "varco::plugin", plugin, trace, line = line()),
        Level::Info => info!(target: "varco::plugin", plugin, trace, line = line()),
        Level::Warn => warn!(target: "varco::plugin", plugin, trace, line = line()),
        Level::Error => error!(target: "varco::plugin", plugin, trace, line = line()),
    }
    Ok(())
}
