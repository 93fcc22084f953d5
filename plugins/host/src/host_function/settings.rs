//! `settings`: what the operator set.

use std::sync::Arc;

use wasmtime::StoreContextMut;

use crate::call::CallState;

pub fn json(store: StoreContextMut<'_, CallState>, (): ()) -> wasmtime::Result<(Arc<str>,)> {
    Ok((store.data().plugin.settings.clone(),))
}
