//! The plugins of a route, in order.
//!
//! Each gets the body that the one before it left. The first refusal ends the chain; so does the first failure of a
//! plugin whose `on_failure` is `closed`. A failure of one whose `on_failure` is `open` is reported and skipped.

use std::{borrow::Cow, collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use tracing::warn;

use crate::{
    Hook, LoadError, OnFailure, Plugin, PluginError, Refusal, Verdict, contract::Context,
    engine::PluginEngine,
};

/// Plugins in the order in which they are called.
#[derive(Debug, Clone, Default)]
pub struct PluginSet {
    plugins: Arc<[Plugin]>,
}

/// What the chain decided, and what the audit and the metrics should know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainOutcome<'b> {
    /// What to do with the exchange.
    pub decision: Decision<'b>,
    /// The plugins that replaced the body, in order.
    pub replaced_by: Vec<Arc<str>>,
    /// Failures that were skipped because the plugin fails open.
    pub skipped: Vec<PluginError>,
}

/// What to do with the exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<'b> {
    /// Go on with this body. It is borrowed where no plugin replaced it.
    Continue(Cow<'b, [u8]>),
    /// Stop the exchange.
    Refused {
        /// The plugin that refuses.
        plugin: Arc<str>,
        /// Why.
        refusal: Refusal,
    },
}

impl PluginSet {
    /// A set of these plugins, in this order.
    ///
    /// # Errors
    ///
    /// [`LoadError::SameName`] where two have the same name.
    pub fn new(plugins: Vec<Plugin>) -> Result<Self, LoadError> {
        let mut names = BTreeSet::new();
        if let Some(second) = plugins.iter().find(|plugin| !names.insert(plugin.name())) {
            return Err(LoadError::SameName { plugin: second.name().to_owned() });
        }
        Ok(Self { plugins: plugins.into() })
    }

    /// Loads manifests and the components beside them, in this order.
    ///
    /// # Errors
    ///
    /// The first [`LoadError`]; nothing is loaded then.
    pub fn load_files<P: AsRef<Path>>(
        engine: &PluginEngine,
        manifests: impl IntoIterator<Item = P>,
    ) -> Result<Self, LoadError> {
        let plugins: Result<Vec<_>, _> =
            manifests.into_iter().map(|manifest| Plugin::load_file(engine, manifest)).collect();
        Self::new(plugins?)
    }

    /// Gives a request's body to each plugin in turn. `now` is the time since any moment that stays the same.
    ///
    /// # Errors
    ///
    /// [`PluginError`] of a plugin that fails closed: the exchange must be refused and nothing forwarded.
    pub fn run_request<'b>(
        &self,
        context: &Context<'_>,
        body: Cow<'b, [u8]>,
        now: Duration,
    ) -> Result<ChainOutcome<'b>, PluginError> {
        self.run(Hook::Request, context, body, now)
    }

    /// Gives a response's body to each plugin in turn. `now` is the time since any moment that stays the same.
    ///
    /// # Errors
    ///
    /// [`PluginError`] of a plugin that fails closed: the exchange must be refused and nothing released.
    pub fn run_response<'b>(
        &self,
        context: &Context<'_>,
        body: Cow<'b, [u8]>,
        now: Duration,
    ) -> Result<ChainOutcome<'b>, PluginError> {
        self.run(Hook::Response, context, body, now)
    }

    fn run<'b>(
        &self,
        hook: Hook,
        context: &Context<'_>,
        mut body: Cow<'b, [u8]>,
        now: Duration,
    ) -> Result<ChainOutcome<'b>, PluginError> {
        let mut replaced_by = Vec::new();
        let mut skipped = Vec::new();
        for plugin in self.plugins.iter().filter(|plugin| plugin.handles(hook)) {
            match plugin.judge(hook, context, &body, now) {
                Ok(Verdict::Pass) => {}
                Ok(Verdict::Replace(replacement)) => {
                    body = Cow::Owned(replacement);
                    replaced_by.push(plugin.shared_name());
                }
                Ok(Verdict::Refuse(refusal)) => {
                    let decision = Decision::Refused { plugin: plugin.shared_name(), refusal };
                    return Ok(ChainOutcome { decision, replaced_by, skipped });
                }
                Err(error) => match plugin.on_failure() {
                    OnFailure::Closed => return Err(error),
                    OnFailure::Open => {
                        warn!(plugin = plugin.name(), kind = error.kind(), "plugin skipped: it fails open");
                        skipped.push(error);
                    }
                },
            }
        }
        Ok(ChainOutcome { decision: Decision::Continue(body), replaced_by, skipped })
    }

    /// Whether any plugin wants this hook, so that a body need not be read where none does.
    pub fn handles(&self, hook: Hook) -> bool {
        self.plugins.iter().any(|plugin| plugin.handles(hook))
    }

    /// The plugins, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Plugin> {
        self.plugins.iter()
    }

    /// How many plugins there are.
    pub fn len(&self) -> usize {
        self.plugins.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.plugins.is_empty()
    }
}
