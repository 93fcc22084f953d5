//! The plugins of a route, in order.
//!
//! Each gets the body that the one before it left. The first refusal ends the chain; so does the first failure of a
//! plugin whose `on_failure` is `closed`. A failure of one whose `on_failure` is `open` is reported and skipped.

use std::{collections::BTreeSet, sync::Arc};

use tracing::warn;

use crate::{
    Clock, Hook, LoadError, Made, OnFailure, Plugin, PluginError, Refusal, Verdict, contract::Context,
};

/// One plugin in its place, and what becomes of an exchange that it fails to judge there.
#[derive(Debug, Clone)]
pub struct Use {
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// What becomes of the exchange.
    pub on_failure: OnFailure,
}

impl From<Arc<Plugin>> for Use {
    /// As its manifest says.
    fn from(plugin: Arc<Plugin>) -> Self {
        let on_failure = plugin.on_failure();
        Self { plugin, on_failure }
    }
}

/// Plugins in the order in which they are called.
#[derive(Debug, Clone, Default)]
pub struct PluginSet {
    uses: Arc<[Use]>,
    /// Whether any plugin has the hook, by [`Hook::number`].
    hooks: [bool; 4],
}

/// What the chain decided, and what the audit and the metrics should know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainOutcome {
    /// What to do with the exchange.
    pub decision: Decision,
    /// The plugins that replaced the body, in order.
    pub replaced_by: Vec<Arc<str>>,
    /// Failures that were skipped because the plugin fails open.
    pub skipped: Vec<PluginError>,
}

/// What to do with the exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Go on: with this body, where a plugin replaced it.
    Continue(Option<Made>),
    /// Stop the exchange.
    Refused {
        /// The plugin that refuses.
        plugin: Arc<str>,
        /// Why.
        refusal: Refusal,
    },
}

impl PluginSet {
    /// A set of these uses, in this order.
    ///
    /// # Errors
    ///
    /// [`LoadError::SameName`] where two have the same name.
    pub fn of(uses: Vec<Use>) -> Result<Self, LoadError> {
        let mut names = BTreeSet::new();
        if let Some(second) = uses.iter().find(|own| !names.insert(own.plugin.name())) {
            return Err(LoadError::SameName { plugin: second.plugin.name().to_owned() });
        }
        let hooks = Hook::ALL.map(|hook| uses.iter().any(|own| own.plugin.handles(hook)));
        Ok(Self { uses: uses.into(), hooks })
    }

    /// Gives a body to each plugin that has the hook, in turn, as [`Plugin::judge`] does.
    ///
    /// # Errors
    ///
    /// [`PluginError`] of a plugin that fails closed: the exchange must be refused and nothing released.
    pub async fn run(
        &self,
        hook: Hook,
        context: &Context<'_>,
        body: &[u8],
        clock: Clock<'_>,
    ) -> Result<ChainOutcome, PluginError> {
        let mut made: Option<Made> = None;
        let mut replaced_by = Vec::new();
        let mut skipped = Vec::new();
        for own in self.uses.iter().filter(|own| own.plugin.handles(hook)) {
            let plugin = &own.plugin;
            let body = made.as_ref().map_or(body, Made::bytes);
            match plugin.judge(hook, context, body, clock).await {
                Ok(Verdict::Pass) => {}
                Ok(Verdict::Replace(replacement)) => {
                    made = Some(replacement);
                    replaced_by.push(plugin.shared_name());
                }
                Ok(Verdict::Refuse(refusal)) => {
                    let decision = Decision::Refused { plugin: plugin.shared_name(), refusal };
                    return Ok(ChainOutcome { decision, replaced_by, skipped });
                }
                Err(error) => match own.on_failure {
                    OnFailure::Closed => return Err(error),
                    OnFailure::Open => {
                        warn!(plugin = plugin.name(), kind = error.kind(), "plugin skipped: it fails open");
                        plugin.skipped();
                        skipped.push(error);
                    }
                },
            }
        }
        Ok(ChainOutcome { decision: Decision::Continue(made), replaced_by, skipped })
    }

    /// Whether any plugin wants this hook, so that a body need not be read where none does.
    pub fn handles(&self, hook: Hook) -> bool {
        self.hooks.get(hook.number()).is_some_and(|own| *own)
    }

    /// The plugins, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Plugin> {
        self.uses.iter().map(|own| &*own.plugin)
    }

    /// How many plugins there are.
    pub fn len(&self) -> usize {
        self.uses.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.uses.is_empty()
    }
}
