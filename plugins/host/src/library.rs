//! The plugins of a process: one engine, and what was compiled for it, through all reloads.
//!
//! Invariants: the engine starts with the first plugin and is never made twice. A component that is in use is not compiled
//! again; one that nobody uses any more is not kept. Quarantine and counts stay with a component of the same digest.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use wasmtime::component::Component;

use crate::{
    Deployment, EngineError, EngineSettings, LoadError, Manifest, Plugin, PluginEngine, Trust,
    artefact::ArtefactFolder,
    plugin::{self, COMPONENT_BYTES},
    standing::Standing,
};

/// A compiled component, shared by all that call it.
pub struct Compiled {
    pub component: Component,
}

/// What a configuration says about all its plugins.
#[derive(Debug, Default)]
pub struct Terms {
    /// Whose plugins are loaded.
    pub trust: Trust,
    /// Where compiled components are kept; without it they are compiled at every start.
    pub artefacts: Option<ArtefactFolder>,
}

/// Loads plugins and knows those that are loaded.
pub struct PluginLibrary {
    born: Instant,
    settings: EngineSettings,
    engine: Mutex<Option<PluginEngine>>,
    /// By digest.
    compiled: Mutex<HashMap<String, Weak<Compiled>>>,
    /// By name.
    standings: Mutex<HashMap<String, Weak<Standing>>>,
}

impl std::fmt::Debug for PluginLibrary {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PluginLibrary")
            .field("components", &self.components())
            .finish_non_exhaustive()
    }
}

impl Default for PluginLibrary {
    fn default() -> Self {
        Self::new(EngineSettings::default())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PluginLibrary {
    /// A library whose engine will have these settings.
    pub fn new(settings: EngineSettings) -> Self {
        Self {
            born: Instant::now(),
            settings,
            engine: Mutex::default(),
            compiled: Mutex::default(),
            standings: Mutex::default(),
        }
    }

    /// The time since the library was made, for calls: it goes on through all reloads.
    pub fn now(&self) -> Duration {
        self.born.elapsed()
    }

    /// The engine; it is started where it is not running yet.
    ///
    /// # Errors
    ///
    /// [`EngineError`]
    pub fn engine(&self) -> Result<PluginEngine, EngineError> {
        let mut engine = lock(&self.engine);
        match &*engine {
            Some(engine) => Ok(engine.clone()),
            None => Ok(engine.insert(PluginEngine::start(&self.settings)?).clone()),
        }
    }

    /// Loads the manifest at `path` and the component beside it.
    ///
    /// # Errors
    ///
    /// [`LoadError`], which names the file or the plugin and what is wrong with it.
    pub fn load_file(
        &self,
        path: &Path,
        terms: &Terms,
        deployment: Deployment,
    ) -> Result<Arc<Plugin>, LoadError> {
        let unreadable = |path: &Path, error: std::io::Error| LoadError::Read {
            path: path.display().to_string(),
            cause: error.to_string(),
        };
        let text = fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
        let manifest = Manifest::parse(&text)
            .map_err(|error| LoadError::Manifest { path: path.display().to_string(), error })?;
        terms.trust.check(manifest.name(), path, &text)?;
        let beside = path.with_file_name(manifest.component());
        let about = fs::metadata(&beside).map_err(|error| unreadable(&beside, error))?;
        let bytes = usize::try_from(about.len()).unwrap_or(usize::MAX);
        if bytes > COMPONENT_BYTES {
            let (plugin, limit) = (manifest.name().to_owned(), COMPONENT_BYTES);
            return Err(LoadError::TooLarge { plugin, bytes, limit });
        }
        let component = fs::read(&beside).map_err(|error| unreadable(&beside, error))?;
        self.load(manifest, &component, terms, deployment)
    }

    /// Loads a plugin, of which whatever is known already is used again.
    ///
    /// # Errors
    ///
    /// [`LoadError`], which names what doesn't fit.
    pub fn load(
        &self,
        manifest: Manifest,
        component: &[u8],
        terms: &Terms,
        deployment: Deployment,
    ) -> Result<Arc<Plugin>, LoadError> {
        let engine = self.engine().map_err(LoadError::Engine)?;
        let sha256 = plugin::digest(&manifest, component)?;
        let known = lock(&self.compiled).get(&sha256).and_then(Weak::upgrade);
        let compiled = match known {
            Some(compiled) => compiled,
            None => {
                let component = compile(&engine, &manifest, &sha256, component, terms.artefacts.as_ref())?;
                Arc::new(Compiled { component })
            }
        };
        let known = lock(&self.standings).get(manifest.name()).and_then(Weak::upgrade);
        let standing = known
            .filter(|own| own.is_of(&sha256, manifest.counters()))
            .unwrap_or_else(|| Arc::new(Standing::new(&engine, &manifest, &sha256)));
        let name = manifest.name().to_owned();
        let plugin = Plugin::assembled(&engine, manifest, compiled.clone(), deployment, standing.clone())?;
        let mut all = lock(&self.compiled);
        all.retain(|_, own| own.strong_count() > 0);
        all.insert(sha256, Arc::downgrade(&compiled));
        drop(all);
        let mut all = lock(&self.standings);
        all.retain(|_, own| own.strong_count() > 0);
        all.insert(name, Arc::downgrade(&standing));
        Ok(Arc::new(plugin))
    }

    /// Compiled components that are in use.
    pub fn components(&self) -> usize {
        lock(&self.compiled).values().filter(|own| own.strong_count() > 0).count()
    }
}

/// Compiles a component, or takes what was compiled before.
fn compile(
    engine: &PluginEngine,
    manifest: &Manifest,
    sha256: &str,
    bytes: &[u8],
    artefacts: Option<&ArtefactFolder>,
) -> Result<Component, LoadError> {
    if let Some(component) = artefacts.and_then(|folder| folder.load(engine, sha256)) {
        return Ok(component);
    }
    let component = plugin::compile(engine, manifest, bytes)?;
    if let Some(folder) = artefacts {
        folder.keep(engine, sha256, &component);
    }
    Ok(component)
}
