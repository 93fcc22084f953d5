//! The gateway's own host, for tests and measurements: one engine, and plugins with what an operator would give them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Map, Value};
use tokio::runtime::{Builder, Runtime};
use varco::pipeline::read_concept_map;
use varco_core::terminology::concept_map::ConceptMap;
use varco_plugin_host::{Deployment, EngineSettings, Plugin, PluginEngine, PseudonymKey};

use super::project::Built;

/// The key for pseudonyms in tests. It is public: a gateway has its own.
const TEST_KEY: [u8; 32] = *b"varco plugin test: not a secret!";

/// A host that runs plugins for their author.
#[derive(Debug)]
pub struct Stand {
    engine: PluginEngine,
    runtime: Runtime,
    concept_maps: Vec<Arc<ConceptMap>>,
}

impl Stand {
    /// Starts the engine.
    ///
    /// # Errors
    ///
    /// Where the machine has no address space or thread for it.
    pub fn new() -> Result<Self> {
        let settings = EngineSettings { concurrent_calls: 2, warm_slots: 2, ..EngineSettings::default() };
        let runtime = Builder::new_current_thread().enable_time().build()?;
        Ok(Self { engine: PluginEngine::start(&settings)?, runtime, concept_maps: Vec::new() })
    }

    /// Runs calls to their end, as a worker of the gateway that has nothing else to do.
    pub fn to_the_end<T>(&self, calls: impl Future<Output = T>) -> T {
        self.runtime.block_on(calls)
    }

    /// Gives plugins the concept maps of a folder, where there is one.
    ///
    /// # Errors
    ///
    /// The file that can't be read or is none.
    pub fn with_concept_maps(mut self, folder: &Path) -> Result<Self> {
        for path in json_files(folder)? {
            let map = read_concept_map(&path)
                .map_err(|fault| anyhow!("the concept map {} can't be used: {fault}", path.display()))?;
            self.concept_maps.push(Arc::new(map));
        }
        Ok(self)
    }

    /// Loads a plugin as a gateway would, with these settings over those of its manifest.
    ///
    /// # Errors
    ///
    /// What the gateway would say.
    pub fn load(&self, built: &Built, settings: &Map<String, Value>) -> Result<Plugin> {
        let deployment = Deployment {
            settings: settings.clone(),
            pseudonym_key: Some(PseudonymKey::new(&TEST_KEY)?),
            concept_maps: self.concept_maps.clone(),
        };
        Ok(Plugin::load_with(&self.engine, built.manifest.clone(), &built.component()?, deployment)?)
    }
}

/// The JSON files of a folder by name; none where the folder isn't there.
pub fn json_files(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("{} can't be read", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|it| it == "json"));
    files.sort();
    Ok(files)
}
