//! Checks what a component imports against its grants, and offers it exactly those host functions.
//!
//! Invariant: a function that isn't granted isn't even defined, so no later mistake can reach it.

use tracing::{debug, error, info, warn};
use wasmtime::{
    StoreContextMut,
    component::{Component, ComponentType, Lift, Linker, WasmStr},
};

use crate::{
    Grant, LoadError, Manifest,
    call::CallState,
    contract::{PACKAGE, TYPES, WORLD, printable},
    engine::PluginEngine,
};

/// Lines that one call may write.
pub const LINES: u32 = 8;
/// The longest line, in bytes.
const LINE_BYTES: usize = 512;

/// Refuses a component that imports anything it may not have.
pub fn check_imports(
    engine: &PluginEngine,
    manifest: &Manifest,
    component: &Component,
) -> Result<(), LoadError> {
    let component_type = component.component_type();
    for (import, _) in component_type.imports(engine.wasm()) {
        if let Some(reason) = refused(import, manifest.grants()) {
            return Err(LoadError::UngrantedImport {
                plugin: manifest.name().to_owned(),
                import: import.to_owned(),
                reason,
            });
        }
    }
    Ok(())
}

fn refused(import: &str, granted: &[Grant]) -> Option<String> {
    if import == TYPES {
        return None;
    }
    match Grant::ALL.into_iter().find(|grant| grant.interface() == import) {
        Some(grant) if granted.contains(&grant) => None,
        Some(grant) => Some(format!(
            "the manifest doesn't grant. Add \"{}\" to grants if the plugin may have it.",
            grant.as_str()
        )),
        None if import.starts_with(PACKAGE) => Some(format!(
            "is not in the contract that this gateway speaks, {WORLD}. Build the plugin against that version."
        )),
        None => Some(
            "this gateway never offers: a plugin has no network, files, clock or environment. Build it for \
             wasm32-unknown-unknown, without WASI."
                .to_owned(),
        ),
    }
}

/// A linker that knows the granted host functions and nothing else.
pub fn linker(engine: &PluginEngine, grants: &[Grant]) -> wasmtime::Result<Linker<CallState>> {
    let mut linker = Linker::new(engine.wasm());
    for grant in grants {
        let mut interface = linker.instance(grant.interface())?;
        match grant {
            Grant::Log => interface.func_wrap("line", log_line)?,
            Grant::Settings => interface.func_wrap("json", settings_json)?,
        }
    }
    Ok(linker)
}

// The engine makes these from a component's bytes, which the compiler doesn't see.
#[allow(dead_code)]
#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
enum Level {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

fn log_line(
    mut store: StoreContextMut<'_, CallState>,
    (level, text): (Level, WasmStr),
) -> wasmtime::Result<()> {
    let state = store.data_mut();
    match state.lines_left.checked_sub(1) {
        Some(left) => state.lines_left = left,
        None => {
            state.plugin.tally.log_line_dropped();
            return Ok(());
        }
    }
    state.plugin.tally.log_line();
    let line = printable(&text.to_str(&store)?, LINE_BYTES);
    let plugin = &*store.data().plugin.name;
    match level {
        Level::Debug => debug!(target: "varco::plugin", plugin, line),
        Level::Info => info!(target: "varco::plugin", plugin, line),
        Level::Warn => warn!(target: "varco::plugin", plugin, line),
        Level::Error => error!(target: "varco::plugin", plugin, line),
    }
    Ok(())
}

fn settings_json(store: StoreContextMut<'_, CallState>, (): ()) -> wasmtime::Result<(String,)> {
    Ok((store.data().plugin.settings.clone(),))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_import_is_refused_with_the_cure_that_fits_it() {
        assert_eq!(refused(TYPES, &[]), None);
        assert_eq!(refused("varco:plugin/log@0.1.0", &[Grant::Log]), None);
        for (import, cure) in [
            ("varco:plugin/log@0.1.0", "Add \"log\" to grants"),
            ("varco:plugin/log@0.9.0", "Build the plugin against that version"),
            ("varco:plugin/fetch@0.1.0", "Build the plugin against that version"),
            ("wasi:cli/environment@0.2.0", "without WASI"),
        ] {
            let reason = refused(import, &[Grant::Settings]).unwrap();
            assert!(reason.contains(cure), "{import}: {reason}");
        }
    }
}
