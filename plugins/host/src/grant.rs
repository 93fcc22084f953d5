//! Checks what a component imports against its grants, and offers it exactly those host functions.
//!
//! Invariant: a function that isn't granted isn't even defined, so no later mistake can reach it.

use wasmtime::component::{Component, Linker};

use crate::{
    Grant, LoadError, Manifest,
    call::CallState,
    contract::{PACKAGE, TYPES, VERSION},
    engine::PluginEngine,
    host_function,
};

/// Refuses a component that imports anything it may not have.
pub fn check_imports(
    engine: &PluginEngine,
    manifest: &Manifest,
    component: &Component,
) -> Result<(), LoadError> {
    let component_type = component.component_type();
    for (import, _) in component_type.imports(engine.wasm()) {
        if let Some(reason) = refused_import(import, manifest.grants()) {
            return Err(LoadError::UngrantedImport {
                plugin: manifest.name().to_owned(),
                import: import.to_owned(),
                reason,
            });
        }
    }
    Ok(())
}

/// Why a component with these grants may not import the interface, and the cure. None where it may.
pub fn refused_import(import: &str, granted: &[Grant]) -> Option<String> {
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
            "is not in the contract that this gateway speaks, varco:plugin@{VERSION}. Build the plugin against that version."
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
        host_function::define(*grant, &mut linker.instance(&grant.interface())?)?;
    }
    Ok(linker)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_import_is_refused_with_the_cure_that_fits_it() {
        assert_eq!(refused_import(TYPES, &[]), None);
        assert_eq!(refused_import("varco:plugin/log@0.2.0", &[Grant::Log]), None);
        for (import, cure) in [
            ("varco:plugin/log@0.2.0", "Add \"log\" to grants"),
            ("varco:plugin/log@0.9.0", "Build the plugin against that version"),
            ("varco:plugin/fetch@0.2.0", "Build the plugin against that version"),
            ("wasi:cli/environment@0.2.0", "without WASI"),
        ] {
            let reason = refused_import(import, &[Grant::Settings]).unwrap();
            assert!(reason.contains(cure), "{import}: {reason}");
        }
    }
}
