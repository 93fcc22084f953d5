//! `[plugins]`, `[[plugin]]` and a route's `plugins`: what is loaded, whom it must be signed by, and where it stands.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

/// `[plugins]`: what holds for all plugins.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plugins {
    /// Files with the public keys that may vouch for plugins.
    pub trusted_keys: Vec<PathBuf>,
    /// What becomes of plugins that none of them signed. Absent: loaded where no key is trusted, refused where one is.
    pub unsigned: Option<UnsignedPlugins>,
    /// Where compiled plugins are kept. Absent: beside the store.
    pub compiled: Option<PathBuf>,
}

/// `plugins.unsigned`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum UnsignedPlugins {
    Allow,
    Refuse,
}

/// `[[plugin]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// Its manifest.
    pub manifest: PathBuf,
    /// Settings over those of the manifest.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// The key of its pseudonyms: 32 to 64 random bytes.
    #[serde(default)]
    pub pseudonym_key_file: Option<PathBuf>,
    /// Concept maps that it may ask.
    #[serde(default)]
    pub concept_maps: Vec<PathBuf>,
    /// The component that the manifest names, and the manifest's signatures.
    #[serde(skip)]
    pub beside: Vec<PathBuf>,
}

impl Plugin {
    /// Names the files beside the manifest, so that a change of them is seen.
    pub(super) fn find_beside(&mut self) {
        let named = std::fs::read_to_string(&self.manifest)
            .ok()
            .and_then(|text| serde_json::from_str::<Value>(&text).ok())
            .and_then(|manifest| Some(self.manifest.with_file_name(manifest.get("component")?.as_str()?)));
        let signatures = varco_plugin_host::signature::signature_path(&self.manifest);
        self.beside = named.into_iter().chain([signatures]).collect();
    }

    /// Every file that it is made of.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let own = std::iter::once(&self.manifest).chain(&self.pseudonym_key_file);
        own.chain(&self.concept_maps).chain(&self.beside).map(PathBuf::as_path)
    }

    /// The paths that the configuration states.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        std::iter::once(&mut self.manifest).chain(&mut self.pseudonym_key_file).chain(&mut self.concept_maps)
    }
}

/// One of a route's `plugins`: its name, or its name and what its failure means there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum PluginUse {
    /// Its failure means what its manifest says.
    Name(String),
    /// Its failure means what stands here.
    With {
        /// The name in its manifest.
        name: String,
        /// What its failure means.
        on_failure: OnPluginFailure,
    },
}

/// What a plugin's failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum OnPluginFailure {
    Closed,
    Open,
}

impl PluginUse {
    /// The plugin's name.
    pub fn name(&self) -> &str {
        match self {
            PluginUse::Name(name) | PluginUse::With { name, .. } => name,
        }
    }

    /// What its failure means here, where that is said.
    pub fn on_failure(&self) -> Option<OnPluginFailure> {
        match self {
            PluginUse::Name(_) => None,
            PluginUse::With { on_failure, .. } => Some(*on_failure),
        }
    }
}
