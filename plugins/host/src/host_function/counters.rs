//! `counters`: counts of the names in the manifest, so that a plugin can't make metrics without end.

use wasmtime::{StoreContextMut, component::WasmStr};

use crate::call::CallState;

pub fn add(store: StoreContextMut<'_, CallState>, (name, by): (WasmStr, u32)) -> wasmtime::Result<()> {
    let plugin = store.data().plugin.clone();
    let name = name.to_str(&store)?;
    plugin.standing.tally.count(&name, by.into());
    Ok(())
}
