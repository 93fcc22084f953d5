//! Makes a component of a core module, and tells what a component asks for and offers.
//!
//! The crates that do it are those that the host's engine brings along for its own use: the gateway gets no further
//! dependency by them.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, anyhow};
use varco_plugin_host::Manifest;
use wit_component::{ComponentEncoder, DecodedWasm, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::CONTRACT;

/// What a component starts with (magic, version, layer); a core module has another version.
const PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";

/// Wraps a module that says itself what its world is, as those built with the Rust SDK do.
///
/// # Errors
///
/// What keeps the module from being a component of its world.
pub fn wrap(module: &[u8]) -> Result<Vec<u8>> {
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| anyhow!("the module can't be made a component: {error:#}"))
}

/// Wraps a module that was compiled without knowing its world, as those in C are: the manifest names it.
///
/// # Errors
///
/// As [`wrap`].
pub fn wrap_for_world(mut module: Vec<u8>, manifest: &Manifest) -> Result<Vec<u8>> {
    let (resolve, package) = contract()?;
    let name = manifest.world().as_str();
    let world = resolve
        .select_world(&[package], Some(name))
        .map_err(|error| anyhow!("the contract has no world {name}: {error}"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .map_err(|error| anyhow!("the module can't be told its world: {error:#}"))?;
    wrap(&module)
}

/// The WIT text of a world with the manifest's hooks and grants alone. JavaScript components import all that their world
/// has, used or not.
pub fn own_world(manifest: &Manifest) -> String {
    let version = manifest.world().as_str().rsplit_once('@').map_or("", |(_, version)| version);
    let imports = manifest
        .grants()
        .iter()
        .map(|grant| format!("  import varco:plugin/{}@{version};\n", grant.as_str()));
    let exports = manifest.world().hooks().iter().map(|hook| {
        let interface = match hook.as_str() {
            "enrich" => "enrichment",
            other => other,
        };
        format!("  export varco:plugin/{interface}-hook@{version};\n")
    });
    let body: String = imports.chain(exports).collect();
    format!("package plugin:project;\n\nworld plugin {{\n{body}}}\n")
}

fn contract() -> Result<(Resolve, wit_parser::PackageId)> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("varco-plugin.wit", CONTRACT).map_err(|error| {
        anyhow!("the gateway's own contract can't be read: {error}; install the program again")
    })?;
    Ok((resolve, package))
}

/// What a component asks for and offers, by the full names of the interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interfaces {
    /// Interfaces that it imports.
    pub imports: BTreeSet<String>,
    /// Interfaces that it exports.
    pub exports: BTreeSet<String>,
}

impl Interfaces {
    /// Those of a component.
    ///
    /// # Errors
    ///
    /// Where the bytes are none.
    pub fn of(component: &[u8]) -> Result<Self> {
        if !component.starts_with(PREAMBLE) {
            return Err(anyhow!("the file is not a WebAssembly component: its first eight bytes say so"));
        }
        let decoded = wit_component::decode(component)
            .map_err(|error| anyhow!("{error:#}"))
            .context("the file is not a WebAssembly component")?;
        let DecodedWasm::Component(resolve, world) = decoded else {
            return Err(anyhow!("the file holds WIT alone, not a component"));
        };
        let world = resolve.worlds.get(world).context("the component has no world")?;
        Ok(Self {
            imports: world.imports.keys().map(|key| resolve.name_world_key(key)).collect(),
            exports: world.exports.keys().map(|key| resolve.name_world_key(key)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use varco_plugin_host::World;

    use super::*;

    fn manifest(world: &str, hook: &str) -> Manifest {
        let text = format!(
            r#"{{"name":"p","version":"0.1.0","description":"d","world":"{world}","component":"p.wasm","sha256":"{}","hooks":["{hook}"],"grants":["log","concept-map"]}}"#,
            "0".repeat(64)
        );
        Manifest::parse(&text).unwrap()
    }

    #[test]
    fn every_world_can_be_written_with_grants_alone() {
        for world in World::ALL {
            let manifest = manifest(world.as_str(), world.hooks()[0].as_str());
            let (mut resolve, _) = contract().unwrap();
            let package = resolve.push_str("own.wit", &own_world(&manifest)).unwrap();
            let own = resolve.select_world(&[package], Some("plugin")).unwrap();
            let own = &resolve.worlds[own];
            let imports: Vec<String> = own.imports.keys().map(|key| resolve.name_world_key(key)).collect();
            assert!(imports.contains(&"varco:plugin/log@0.2.0".to_owned()), "{imports:?}");
            assert!(!imports.contains(&"varco:plugin/settings@0.2.0".to_owned()), "{imports:?}");
            assert_eq!(own.exports.len(), world.hooks().len());
        }
    }

    #[test]
    fn what_is_no_component_is_said_to_be_none() {
        assert!(Interfaces::of(b"\0asm\x01\0\0\0").is_err());
        assert!(Interfaces::of(b"").is_err());
        assert!(wrap(b"nonsense").unwrap_err().to_string().contains("can't be made a component"));
    }
}
