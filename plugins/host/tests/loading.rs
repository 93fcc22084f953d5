//! A component is loaded only if it is the one that its manifest describes, and only with what that grants.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;

use serde_json::json;
use support::{component, engine, load, manifest, manifest_path};
use varco_plugin_host::{
    Deployment, Hook, LoadError, Manifest, Plugin, PluginLibrary, Terms, component_digest as digest,
};

/// Loads these bytes with a manifest that states their digest.
fn load_bytes(bytes: &[u8]) -> LoadError {
    let mut manifest = manifest("hostile");
    manifest["sha256"] = digest(bytes).into();
    Plugin::load(&engine(), Manifest::parse(&manifest.to_string()).unwrap(), bytes).unwrap_err()
}

#[test]
fn the_checked_in_samples_load_and_state_their_hooks() {
    let library = PluginLibrary::default();
    for sample in ["narrative-stripper", "hostile"] {
        let path = manifest_path(sample);
        let plugin = library.load_file(&path, &Terms::default(), Deployment::default()).unwrap();
        assert_eq!(plugin.name(), sample);
        assert!(plugin.handles(Hook::Request) && plugin.handles(Hook::Response));
    }
}

#[test]
fn a_changed_component_is_refused_with_both_digests() {
    let mut changed = component("narrative-stripper");
    *changed.last_mut().unwrap() ^= 1;
    let stated = manifest("narrative-stripper");
    let error = Plugin::load(&engine(), Manifest::parse(&stated.to_string()).unwrap(), &changed).unwrap_err();
    let LoadError::Digest { expected, actual, .. } = &error else { panic!("{error:?}") };
    assert_eq!(expected, stated["sha256"].as_str().unwrap());
    assert_eq!(*actual, digest(&changed));
    assert!(error.to_string().contains("Restore the component"), "{error}");
}

#[test]
fn an_import_without_its_grant_is_refused_by_name() {
    let error = load(&engine(), "narrative-stripper", |manifest| manifest["grants"] = json!(["settings"]))
        .unwrap_err();
    let LoadError::UngrantedImport { import, .. } = &error else { panic!("{error:?}") };
    assert_eq!(import, "varco:plugin/log@0.2.0");
    assert!(error.to_string().contains("Add \"log\" to grants"), "{error}");
}

#[test]
fn wasi_is_refused_by_name() {
    let name = b"wasi:cli/environment@0.2.0";
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    // Section 7: one type, an instance that exports nothing.
    bytes.extend([0x07, 3, 1, 0x42, 0]);
    // Section 10: one import of that name and type.
    bytes.extend([0x0a, 31, 1, 0x00, 26]);
    bytes.extend(name);
    bytes.extend([0x05, 0]);
    let error = load_bytes(&bytes);
    let LoadError::UngrantedImport { import, .. } = &error else { panic!("{error:?}") };
    assert_eq!(import.as_bytes(), name);
    assert!(error.to_string().contains("without WASI"), "{error}");
}

#[test]
fn a_component_without_the_named_hook_is_refused() {
    let error = load_bytes(b"\0asm\x0d\0\x01\0");
    let LoadError::MissingHook { hook, export, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*hook, export.as_str()), (Hook::Request, "varco:plugin/request-hook@0.2.0"));
}

#[test]
fn what_is_not_a_component_is_refused() {
    let core_module = b"\0asm\x01\0\0\0";
    let cut_short = &component("hostile")[..1000];
    for bytes in [&b""[..], b"not wasm", core_module, cut_short, &[0; 64]] {
        let error = load_bytes(bytes);
        assert!(matches!(error, LoadError::NotAComponent { .. }), "{error:?}");
    }
}

#[test]
fn a_component_above_the_size_limit_is_not_even_hashed() {
    let error = load_bytes(&vec![0; (16 << 20) + 1]);
    assert!(matches!(error, LoadError::TooLarge { limit: 16_777_216, .. }), "{error:?}");
}

#[test]
fn a_missing_file_is_named() {
    let absent = Path::new("absent.plugin.json");
    let library = PluginLibrary::default();
    let error = library.load_file(absent, &Terms::default(), Deployment::default()).unwrap_err();
    assert!(matches!(&error, LoadError::Read { path, .. } if path == "absent.plugin.json"), "{error:?}");
}
