//! `counters`: counts of the names in the manifest, so that a plugin can't make metrics without end.

use wasmtime::{StoreContextMut, component::WasmStr};

use crate::call::CallState;

/// The longest name in a manifest, in bytes.
const NAME_BYTES: usize = 48;

pub fn add(store: StoreContextMut<'_, CallState>, (name, by): (WasmStr, u32)) -> wasmtime::Result<()> {
    let plugin = store.data().plugin.clone();
    let name = name.to_str(&store)?;
    let known = name.len() <= NAME_BYTES && plugin.tally.count(&name, by.into());
    if !known {
        plugin.tally.count_dropped();
    }
    Ok(())
}
