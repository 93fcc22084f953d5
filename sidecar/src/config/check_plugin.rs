//! Plugins against the world: manifests and keys that can be used, settings that fit, names that routes know.

use std::collections::BTreeMap;

use varco_plugin_host::{Grant, Manifest, PseudonymKey};

use super::source::Source;
use super::{Config, Fault, PluginUse};
use crate::pipeline::read_concept_map;

/// Every fault of the plugins and of the routes that name them.
pub(super) fn faults(config: &Config, source: &Source<'_>, faults: &mut Vec<Fault>) {
    let mut names = BTreeMap::new();
    let mut unread = false;
    for (at, plugin) in config.plugin.iter().enumerate() {
        let pointer = format!("/plugin/{at}");
        let mut fault = |setting: &str, cause: String, cure: &str| {
            faults.push(source.fault(&format!("{pointer}/{setting}"), cause, cure));
        };
        let read = std::fs::read_to_string(&plugin.manifest).map_err(|error| error.to_string());
        let manifest = match read.and_then(|json| Manifest::parse(&json).map_err(|error| error.to_string())) {
            Ok(manifest) => manifest,
            Err(error) => {
                unread = true;
                let cause =
                    format!("The plugin manifest {} can't be used: {error}.", plugin.manifest.display());
                fault("manifest", cause, "Correct the manifest, or remove the plugin.");
                continue;
            }
        };
        if let Err(error) = manifest.settings_with(&plugin.settings) {
            let setting = if plugin.settings.is_empty() { "manifest" } else { "settings" };
            let cause = format!("The settings of plugin {} don't fit: {error}.", manifest.name());
            fault(setting, cause, "Give the settings that the manifest's settings_schema describes.");
        }
        if let Some(path) = &plugin.pseudonym_key_file {
            let read = std::fs::read(path).map_err(|error| error.to_string());
            if let Err(error) =
                read.and_then(|key| PseudonymKey::new(&key).map_err(|error| error.to_string()))
            {
                let cause = format!("The key file {} can't be used: {error}", path.display());
                fault(
                    "pseudonym_key_file",
                    cause,
                    "Name a file with 32 random bytes that the sidecar may read.",
                );
            }
        } else if manifest.grants().contains(&Grant::Pseudonym) {
            let cause = format!("Plugin {} makes pseudonyms and has no key.", manifest.name());
            let cure = "Make one with `openssl rand -out FILE 32` and name it as `pseudonym_key_file`.";
            fault("manifest", cause, cure);
        }
        for (number, path) in plugin.concept_maps.iter().enumerate() {
            if let Err(error) = read_concept_map(path) {
                let cause = format!("The concept map {} can't be used: {error}.", path.display());
                fault(&format!("concept_maps/{number}"), cause, "Name a file with a ConceptMap in JSON.");
            }
        }
        let name = manifest.name().to_owned();
        if let Some(first) = names.insert(name.clone(), at) {
            let cause = format!("Plugin {name} is named twice: here and as plugin {}.", first + 1);
            fault("manifest", cause, "Name each plugin once; routes say where it stands.");
        }
    }
    for (at, path) in config.plugins.trusted_keys.iter().enumerate() {
        let read = std::fs::read_to_string(path).map_err(|error| error.to_string());
        let key = read.and_then(|pem| {
            varco_plugin_host::signature::VerifyingKey::from_pem(&pem).map_err(|error| error.to_string())
        });
        if let Err(error) = key {
            let cause = format!("The key {} can't be used: {error}", path.display());
            let cure = "Name a PEM file with an Ed25519 public key.";
            faults.push(source.fault(&format!("/plugins/trusted_keys/{at}"), cause, cure));
        }
    }
    for (at, route) in config.route.iter().enumerate() {
        let uses: &[PluginUse] = route.plugins.as_deref().unwrap_or_default();
        for (number, own) in uses.iter().enumerate() {
            let mut fault = |cause: String, cure: &str| {
                faults.push(source.fault(&format!("/route/{at}/plugins/{number}"), cause, cure));
            };
            if !unread && !names.contains_key(own.name()) {
                let known = names.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let cause = format!("There is no plugin {}; there is: {known}.", own.name());
                fault(cause, "Name a plugin as its manifest does, and load it with [[plugin]].");
            }
            if uses.iter().take(number).any(|earlier| earlier.name() == own.name()) {
                fault(format!("Plugin {} stands twice in this route.", own.name()), "Keep one of them.");
            }
        }
    }
}
