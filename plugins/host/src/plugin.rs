//! A loaded plugin: a checked manifest, a compiled component, its quarantine and its counts.
//!
//! Invariant: what was compiled has the digest, the imports and the exports that the manifest states.

use std::{fmt, sync::Arc, time::Instant};

use sha2::{Digest, Sha256};
use tracing::info;
use varco_core::terminology::concept_map::ConceptMap;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre};

use crate::{
    Grant, Hook, Limits, LoadError, Manifest, OnFailure, PluginCounters, PluginError, Verdict,
    call::{self, CallState},
    contract::Context,
    deployment::{Deployment, PseudonymKey, hex},
    engine::PluginEngine,
    grant,
    host_function::Expressions,
    library::Compiled,
    standing::{Clock, Standing},
};

/// The largest component that is compiled, in bytes.
pub const COMPONENT_BYTES: usize = 16 << 20;

/// What every call of a plugin shares.
#[derive(Debug)]
pub struct Identity {
    pub engine: PluginEngine,
    pub name: Arc<str>,
    pub settings: Arc<str>,
    pub limits: Limits,
    /// It may ask about the body.
    pub asks: bool,
    /// It may write to the log.
    pub logs: bool,
    pub pseudonym_key: Option<PseudonymKey>,
    pub concept_maps: Vec<Arc<ConceptMap>>,
    pub expressions: Expressions,
    pub standing: Arc<Standing>,
}

/// The digest of a component as manifests state it: SHA-256, in lower-case hexadecimal digits.
pub fn component_digest(component: &[u8]) -> String {
    hex(&Sha256::digest(component))
}

/// The component's digest, where it is the one that the manifest states.
pub fn digest(manifest: &Manifest, component: &[u8]) -> Result<String, LoadError> {
    let plugin = || manifest.name().to_owned();
    if component.len() > COMPONENT_BYTES {
        return Err(LoadError::TooLarge { plugin: plugin(), bytes: component.len(), limit: COMPONENT_BYTES });
    }
    let actual = component_digest(component);
    if actual != manifest.sha256() {
        return Err(LoadError::Digest { plugin: plugin(), expected: manifest.sha256().to_owned(), actual });
    }
    Ok(actual)
}

/// Compiles a component, which takes tens of milliseconds.
pub fn compile(engine: &PluginEngine, manifest: &Manifest, component: &[u8]) -> Result<Component, LoadError> {
    Component::from_binary(engine.wasm(), component).map_err(|error| LoadError::NotAComponent {
        plugin: manifest.name().to_owned(),
        cause: error.root_cause().to_string(),
    })
}

/// A plugin that is ready to be called, from any thread.
pub struct Plugin {
    manifest: Manifest,
    component: InstancePre<CallState>,
    hooks: Vec<(Hook, ComponentExportIndex)>,
    identity: Arc<Identity>,
    _compiled: Arc<Compiled>,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Plugin")
            .field("name", &self.manifest.name())
            .field("version", &self.manifest.version())
            .finish_non_exhaustive()
    }
}

impl Plugin {
    /// Checks the component against its manifest and compiles it, which takes tens of milliseconds.
    ///
    /// # Errors
    ///
    /// [`LoadError`], which names what doesn't fit: the digest, an import, a hook, the settings, or the component itself.
    pub fn load(engine: &PluginEngine, manifest: Manifest, component: &[u8]) -> Result<Self, LoadError> {
        Self::load_with(engine, manifest, component, Deployment::default())
    }

    /// As [`Plugin::load`], with what the operator gives the plugin.
    ///
    /// # Errors
    ///
    /// As [`Plugin::load`].
    pub fn load_with(
        engine: &PluginEngine,
        manifest: Manifest,
        component: &[u8],
        deployment: Deployment,
    ) -> Result<Self, LoadError> {
        let sha256 = digest(&manifest, component)?;
        let component = compile(engine, &manifest, component)?;
        let standing = Arc::new(Standing::new(engine, &manifest, &sha256));
        Self::assembled(engine, manifest, Arc::new(Compiled { component }), deployment, standing)
    }

    /// Of a component whose digest is the manifest's.
    pub(crate) fn assembled(
        engine: &PluginEngine,
        manifest: Manifest,
        compiled: Arc<Compiled>,
        deployment: Deployment,
        standing: Arc<Standing>,
    ) -> Result<Self, LoadError> {
        let plugin = || manifest.name().to_owned();
        grant::check_imports(engine, &manifest, &compiled.component)?;

        let contract = |error: wasmtime::Error| LoadError::Contract {
            plugin: plugin(),
            cause: error.root_cause().to_string(),
        };
        let linker = grant::linker(engine, manifest.grants()).map_err(contract)?;
        let linked = linker.instantiate_pre(&compiled.component).map_err(contract)?;
        let find = |hook: Hook| {
            let missing =
                || LoadError::MissingHook { plugin: plugin(), hook, export: hook.interface().to_owned() };
            let index = call::find(&linked, hook).map_err(contract)?.ok_or_else(missing)?;
            Ok((hook, index))
        };
        let hooks = manifest.hooks().iter().map(|hook| find(*hook)).collect::<Result<Vec<_>, LoadError>>()?;
        let granted = |grant| manifest.grants().contains(&grant);
        let settings = manifest
            .settings_with(&deployment.settings)
            .map_err(|error| LoadError::Settings { plugin: plugin(), error })?;
        if granted(Grant::Pseudonym) && deployment.pseudonym_key.is_none() {
            return Err(LoadError::NoKey { plugin: plugin() });
        }
        let identity = Arc::new(Identity {
            engine: engine.clone(),
            name: Arc::from(manifest.name()),
            settings: serde_json::to_string(&settings).unwrap_or_else(|_| "{}".to_owned()).into(),
            limits: manifest.limits(),
            asks: granted(Grant::Fhirpath),
            logs: granted(Grant::Log),
            pseudonym_key: deployment.pseudonym_key,
            concept_maps: deployment.concept_maps,
            expressions: Expressions::default(),
            standing,
        });
        info!(
            plugin = manifest.name(),
            version = manifest.version(),
            sha256 = manifest.sha256(),
            "plugin loaded"
        );
        Ok(Self { manifest, component: linked, hooks, identity, _compiled: compiled })
    }

    /// Runs one hook on a body, in turns on this thread (see [`PluginEngine`]): to be awaited on a tokio runtime with time. Dropped
    /// before it is done, it frees the instance at once. `clock` tells the time since any moment that stays the same.
    ///
    /// # Errors
    ///
    /// [`PluginError`] where there is no verdict; the caller applies [`Manifest::on_failure`].
    pub async fn judge(
        &self,
        hook: Hook,
        context: &Context<'_>,
        body: &[u8],
        clock: Clock<'_>,
    ) -> Result<Verdict, PluginError> {
        let result = self.attempt(hook, context, body, clock).await;
        self.identity.standing.tally.ended(&result);
        result
    }

    async fn attempt(
        &self,
        hook: Hook,
        context: &Context<'_>,
        body: &[u8],
        clock: Clock<'_>,
    ) -> Result<Verdict, PluginError> {
        let plugin = || self.identity.name.clone();
        let Some(function) = self.function(hook) else {
            return Err(PluginError::HookNotDeclared { plugin: plugin(), hook });
        };
        let limit = self.identity.limits.input_bytes();
        if body.len() > limit {
            return Err(PluginError::InputTooLarge { plugin: plugin(), bytes: body.len(), limit });
        }
        let standing = &self.identity.standing;
        let place = standing.places.take(self.identity.engine.places(), &standing.tally).await;
        let _place = place.ok_or_else(|| PluginError::Busy { plugin: plugin() })?;
        // Only now: a quarantine may have begun while the call waited.
        let admission = standing
            .admit(clock)
            .map_err(|retry_after| PluginError::Quarantined { plugin: plugin(), retry_after })?;
        let begun = Instant::now();
        let asked = (hook, context, body);
        let result = call::call(&self.component, function, &self.identity, begun, asked).await;
        standing.tally.took(hook, begun.elapsed());
        standing.ended(self.name(), hook, admission, &result, clock);
        result
    }

    fn function(&self, hook: Hook) -> Option<&ComponentExportIndex> {
        self.hooks.iter().find(|(own, _)| *own == hook).map(|(_, index)| index)
    }

    /// The plugin's name in logs, metrics and refusals.
    pub fn name(&self) -> &str {
        self.manifest.name()
    }

    /// The manifest that the plugin was loaded with.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether the manifest names this hook.
    pub fn handles(&self, hook: Hook) -> bool {
        self.function(hook).is_some()
    }

    /// What happens to an exchange that the plugin failed to judge.
    pub fn on_failure(&self) -> OnFailure {
        self.manifest.on_failure()
    }

    /// What happened since the plugin was loaded.
    pub fn counters(&self) -> PluginCounters {
        self.identity.standing.counts()
    }

    /// The manifest's counters and what the plugin added to them.
    pub fn own_counters(&self) -> impl Iterator<Item = (&str, u64)> {
        self.identity.standing.tally.own()
    }

    /// A failure was skipped, because the plugin fails open where it was used.
    pub(crate) fn skipped(&self) {
        self.identity.standing.tally.skipped();
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        self.identity.name.clone()
    }
}
