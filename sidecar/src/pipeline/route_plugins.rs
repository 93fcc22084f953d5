//! The plugins of each route, in order, made from the configuration.
//!
//! A route that names no plugins has all of them, as the configuration lists them. Engine and compiled components are the
//! process's: a reload compiles what is new and nothing else.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fhir_models::document::{Limits, OwnedDocument};
use varco_core::terminology::concept_map::ConceptMap;
use varco_plugin_host::signature::VerifyingKey;
use varco_plugin_host::{
    ArtefactError, ArtefactFolder, Deployment, Hook, LoadError, OnFailure, Plugin, PluginLibrary, PluginSet,
    PseudonymKey, Terms, Trust, Unsigned, Use,
};

use crate::config::{Config, OnPluginFailure, PluginUse, UnsignedPlugins};

/// The folder beside the store that compiled plugins are kept in, where the configuration names none.
const COMPILED: &str = "compiled-plugins";

/// Plugins that can't be put in their places.
#[derive(Debug, thiserror::Error)]
pub enum PluginSetupError {
    /// One can't be loaded.
    #[error("a plugin can't be loaded: {0}")]
    Load(#[from] LoadError),
    /// A file that the configuration names.
    #[error("{path} can't be used: {cause}")]
    File {
        /// The file.
        path: String,
        /// Why.
        cause: String,
    },
    /// The folder for compiled plugins.
    #[error(transparent)]
    Compiled(#[from] ArtefactError),
    /// A route names a plugin that isn't there.
    #[error("a route names the plugin {0}, which no [[plugin]] loads")]
    Unknown(String),
}

/// The plugins of all routes.
#[derive(Debug, Default)]
pub(super) struct RoutePlugins {
    /// For what takes no route, and for routes that name none.
    all: PluginSet,
    by_route: Vec<Option<PluginSet>>,
    any: [bool; Hook::ALL.len()],
}

impl RoutePlugins {
    /// Loads the configuration's plugins.
    pub fn load(config: &Config, library: &PluginLibrary) -> Result<Self, PluginSetupError> {
        if config.plugin.is_empty() {
            return Ok(Self { by_route: vec![None; config.route.len()], ..Self::default() });
        }
        let terms = terms(config)?;
        let mut loaded: BTreeMap<String, Arc<Plugin>> = BTreeMap::new();
        let mut all = Vec::new();
        for own in &config.plugin {
            let mut deployment = Deployment { settings: own.settings.clone(), ..Deployment::default() };
            if let Some(path) = &own.pseudonym_key_file {
                let key = std::fs::read(path).map_err(|error| unusable(path, error))?;
                let key = PseudonymKey::new(&key).map_err(|error| unusable(path, error))?;
                deployment.pseudonym_key = Some(key);
            }
            for path in &own.concept_maps {
                let map = read_concept_map(path).map_err(|error| unusable(path, error))?;
                deployment.concept_maps.push(Arc::new(map));
            }
            let plugin = library.load_file(&own.manifest, &terms, deployment)?;
            loaded.insert(plugin.name().to_owned(), plugin.clone());
            all.push(Use::from(plugin));
        }
        let of_route = |uses: &Vec<PluginUse>| -> Result<PluginSet, PluginSetupError> {
            let uses = uses.iter().map(|own| {
                let plugin = loaded.get(own.name());
                let plugin = plugin.ok_or_else(|| PluginSetupError::Unknown(own.name().to_owned()))?.clone();
                let on_failure = match own.on_failure() {
                    Some(OnPluginFailure::Open) => OnFailure::Open,
                    Some(OnPluginFailure::Closed) => OnFailure::Closed,
                    None => plugin.on_failure(),
                };
                Ok(Use { plugin, on_failure })
            });
            Ok(PluginSet::of(uses.collect::<Result<_, PluginSetupError>>()?)?)
        };
        let all = PluginSet::of(all)?;
        let by_route = config.route.iter().map(|route| route.plugins.as_ref().map(of_route).transpose());
        let by_route: Vec<Option<PluginSet>> = by_route.collect::<Result<_, _>>()?;
        let sets = || by_route.iter().flatten().chain([&all]);
        let any = Hook::ALL.map(|hook| sets().any(|set| set.handles(hook)));
        Ok(Self { all, by_route, any })
    }

    /// Whether any route has a plugin with this hook.
    pub fn any(&self, hook: Hook) -> bool {
        Hook::ALL.iter().zip(&self.any).any(|(own, any)| *own == hook && *any)
    }

    /// The plugins of a route.
    pub fn of(&self, route: Option<usize>) -> &PluginSet {
        route.and_then(|number| self.by_route.get(number)?.as_ref()).unwrap_or(&self.all)
    }
}

fn unusable(path: &Path, cause: impl std::fmt::Display) -> PluginSetupError {
    PluginSetupError::File { path: path.display().to_string(), cause: cause.to_string() }
}

/// Reads a ConceptMap of R4 or R5 in JSON.
///
/// # Errors
///
/// Why the file can't be read or is none, without its name.
pub fn read_concept_map(path: &Path) -> Result<ConceptMap, String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let document = OwnedDocument::parse_json(text, &Limits::default()).map_err(|error| error.to_string())?;
    ConceptMap::read(document.root(), &|_| None).map_err(|error| error.to_string())
}

fn terms(config: &Config) -> Result<Terms, PluginSetupError> {
    let keys = config.plugins.trusted_keys.iter().map(|path| {
        let pem = std::fs::read_to_string(path).map_err(|error| unusable(path, error))?;
        VerifyingKey::from_pem(&pem).map_err(|error| unusable(path, error))
    });
    let unsigned = match config.plugins.unsigned {
        None => Unsigned::AsKeysSay,
        Some(UnsignedPlugins::Allow) => Unsigned::Allow,
        Some(UnsignedPlugins::Refuse) => Unsigned::Refuse,
    };
    let trust = Trust { keys: keys.collect::<Result<_, _>>()?, unsigned };
    let artefacts = match &config.plugins.compiled {
        Some(path) => Some(ArtefactFolder::open(path)?),
        // A convenience that nobody asked for stops no start.
        None => ArtefactFolder::open(&config.store.path.with_file_name(COMPILED))
            .inspect_err(|error| tracing::warn!(cause = %error, "plugins are compiled at every start"))
            .ok(),
    };
    Ok(Terms { trust, artefacts })
}
