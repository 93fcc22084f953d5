//! `pseudonym`: HMAC-SHA-256 under the operator's key (RFC 2104). The key never enters a guest.

use wasmtime::{StoreContextMut, component::WasmStr};

use crate::{call::CallState, deployment::PseudonymKey};

/// The longest system and the longest value, in bytes.
const LONGEST: usize = 4096;

pub fn pseudonym(
    store: StoreContextMut<'_, CallState>,
    (system, value): (WasmStr, WasmStr),
) -> wasmtime::Result<(String,)> {
    let plugin = store.data().plugin.clone();
    let (system, value) = (system.to_str(&store)?, value.to_str(&store)?);
    let key = plugin.pseudonym_key.as_ref().ok_or_else(|| wasmtime::Error::msg("it has no key"))?;
    if system.len().max(value.len()) > LONGEST {
        return Err(wasmtime::Error::msg("it asked for the pseudonym of more than 4096 bytes"));
    }
    Ok((PseudonymKey::pseudonym(key, &system, &value),))
}
