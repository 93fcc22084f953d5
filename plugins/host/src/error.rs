//! Why the engine doesn't start, a plugin isn't loaded, or a call gives no verdict.
//!
//! Invariant: no text here holds anything from a body.

use std::{sync::Arc, time::Duration};

use thiserror::Error;

use crate::{
    Hook,
    manifest::{ManifestError, signature::SignatureError},
};

/// Why the engine can't start.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EngineError {
    /// A setting is zero.
    #[error("the plugin engine needs at least one concurrent call and an epoch tick above zero. Raise them.")]
    Settings,
    /// The pool or the compiler can't be set up.
    #[error(
        "the plugin engine can't start: {0}. Lower the number of concurrent calls, or raise the limit on address space (ulimit -v)."
    )]
    Start(String),
    /// The epoch thread can't be started.
    #[error("the thread that enforces plugin deadlines can't start: {0}. Raise the limit on threads.")]
    Ticker(String),
}

/// Why a plugin is not loaded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file can't be read.
    #[error(
        "{path}: the file can't be read: {cause}. Check that it exists and that the gateway may read it."
    )]
    Read {
        /// The file.
        path: String,
        /// The operating system's words.
        cause: String,
    },
    /// The manifest is not accepted.
    #[error("{path}: {error}")]
    Manifest {
        /// The file.
        path: String,
        /// Its faults.
        error: ManifestError,
    },
    /// The component is not the one that the manifest was written for.
    #[error(
        "plugin {plugin}: the component's SHA-256 digest is {actual}, the manifest says {expected}. Restore the component, or, if the change is wanted, put the new digest into the manifest."
    )]
    Digest {
        /// The plugin.
        plugin: String,
        /// The manifest's digest.
        expected: String,
        /// The component's digest.
        actual: String,
    },
    /// The component is larger than the gateway compiles.
    #[error(
        "plugin {plugin}: the component has {bytes} bytes, the limit is {limit}. Build it optimised for size and stripped."
    )]
    TooLarge {
        /// The plugin.
        plugin: String,
        /// Size of the component.
        bytes: usize,
        /// The largest size.
        limit: usize,
    },
    /// The file holds no component that this engine can compile.
    #[error(
        "plugin {plugin}: the file is not a usable WebAssembly component: {cause}. Build it for wasm32-unknown-unknown and wrap the module into a component."
    )]
    NotAComponent {
        /// The plugin.
        plugin: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The component imports something that it may not have.
    #[error("plugin {plugin}: the component imports `{import}`, which {reason}")]
    UngrantedImport {
        /// The plugin.
        plugin: String,
        /// The import's full name.
        import: String,
        /// Why it may not have it, and the cure.
        reason: String,
    },
    /// The component lacks a hook that the manifest names.
    #[error(
        "plugin {plugin}: the manifest names the hook {hook}, but the component doesn't export `{export}`. Export it or take the hook out of the manifest."
    )]
    MissingHook {
        /// The plugin.
        plugin: String,
        /// The hook.
        hook: Hook,
        /// The export's full name.
        export: String,
    },
    /// Imports or exports have other types than the contract says.
    #[error(
        "plugin {plugin}: the component doesn't fit the contract: {cause}. Build it against the gateway's WIT package."
    )]
    Contract {
        /// The plugin.
        plugin: String,
        /// What doesn't fit.
        cause: String,
    },
    /// The operator's settings don't satisfy the manifest's schema.
    #[error("plugin {plugin}: its settings can't be used: {error}")]
    Settings {
        /// The plugin.
        plugin: String,
        /// What is wrong with them.
        error: ManifestError,
    },
    /// Pseudonyms are granted, and there is no key.
    #[error(
        "plugin {plugin}: its manifest asks for pseudonyms, and no key is configured. Name a file with 32 random bytes as pseudonym_key_file beside its manifest in the configuration."
    )]
    NoKey {
        /// The plugin.
        plugin: String,
    },
    /// Nobody whom the operator trusts vouches for it.
    #[error("plugin {plugin}: {error}")]
    Signature {
        /// The plugin.
        plugin: String,
        /// What is wrong with its signature.
        error: SignatureError,
    },
    /// The engine doesn't start.
    #[error(transparent)]
    Engine(EngineError),
    /// Two plugins have the same name.
    #[error(
        "two plugins are named {plugin}. Name each plugin once: the name stands in logs, metrics and refusals."
    )]
    SameName {
        /// The name.
        plugin: String,
    },
}

/// Why a call gave no verdict. The exchange gets the plugin's failure policy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PluginError {
    /// The plugin panicked or broke a rule of WebAssembly.
    #[error("plugin {plugin} broke off: {cause}. Report it to the plugin's author.")]
    Trap {
        /// The plugin.
        plugin: Arc<str>,
        /// The engine's words.
        cause: String,
    },
    /// The plugin took too long.
    #[error(
        "plugin {plugin} was stopped at its deadline of {deadline_ms} ms. Raise limits.deadline_ms or mend the plugin."
    )]
    Deadline {
        /// The plugin.
        plugin: Arc<str>,
        /// Its deadline in milliseconds.
        deadline_ms: u32,
    },
    /// The plugin asked for too much memory.
    #[error(
        "plugin {plugin} was stopped at its memory limit of {limit_mib} MiB. Raise limits.memory_mib or mend the plugin."
    )]
    Memory {
        /// The plugin.
        plugin: Arc<str>,
        /// Its limit in MiB.
        limit_mib: u32,
    },
    /// The plugin's calls nest too deeply.
    #[error(
        "plugin {plugin} was stopped because its calls nest too deeply. Report it to the plugin's author."
    )]
    Stack {
        /// The plugin.
        plugin: Arc<str>,
    },
    /// The plugin's body is too large.
    #[error(
        "plugin {plugin} returned a body of more than {limit} bytes. Raise limits.output_kib or mend the plugin."
    )]
    OutputTooLarge {
        /// The plugin.
        plugin: Arc<str>,
        /// Its limit in bytes.
        limit: usize,
    },
    /// The plugin's body is not of the media type it must have.
    #[error(
        "plugin {plugin} returned a body that is not {expected}: {cause}. Report it to the plugin's author."
    )]
    OutputMalformed {
        /// The plugin.
        plugin: Arc<str>,
        /// What it must be.
        expected: &'static str,
        /// Where it goes wrong.
        cause: String,
    },
    /// The plugin adds what can't be added.
    #[error(
        "plugin {plugin} adds what can't be added to the resource: {cause}. Report it to the plugin's author."
    )]
    Addition {
        /// The plugin.
        plugin: Arc<str>,
        /// Which addition, and what is wrong with it.
        cause: String,
    },
    /// The body is larger than the plugin takes. The plugin was not called.
    #[error(
        "the body has {bytes} bytes, plugin {plugin} takes at most {limit}. Send a smaller body or raise limits.input_kib."
    )]
    InputTooLarge {
        /// The plugin.
        plugin: Arc<str>,
        /// Size of the body.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The plugin is in quarantine. It was not called.
    #[error("plugin {plugin} is in quarantine after repeated failures; it is tried again in {} ms. See its earlier failures in the log.", retry_after.as_millis())]
    Quarantined {
        /// The plugin.
        plugin: Arc<str>,
        /// Time until the next try.
        retry_after: Duration,
    },
    /// All instances that the plugin or the engine may have were in use for too long. The plugin was not called.
    #[error(
        "plugin {plugin} could not be called: its calls, or those of all plugins, were as many as may be under way, and none ended in time. Find the slow plugin by varco_plugin_pausing, or limit the traffic."
    )]
    Busy {
        /// The plugin.
        plugin: Arc<str>,
    },
    /// The manifest doesn't name this hook. The plugin was not called.
    #[error("plugin {plugin} has no {hook} hook in its manifest. Add it to hooks or don't call it.")]
    HookNotDeclared {
        /// The plugin.
        plugin: Arc<str>,
        /// The hook.
        hook: Hook,
    },
}

impl PluginError {
    /// The plugin's name.
    pub fn plugin(&self) -> &str {
        self.name()
    }

    /// The plugin's name, shared.
    pub fn shared_name(&self) -> Arc<str> {
        self.name().clone()
    }

    fn name(&self) -> &Arc<str> {
        match self {
            Self::Trap { plugin, .. }
            | Self::Deadline { plugin, .. }
            | Self::Memory { plugin, .. }
            | Self::Stack { plugin }
            | Self::OutputTooLarge { plugin, .. }
            | Self::OutputMalformed { plugin, .. }
            | Self::Addition { plugin, .. }
            | Self::InputTooLarge { plugin, .. }
            | Self::Quarantined { plugin, .. }
            | Self::Busy { plugin }
            | Self::HookNotDeclared { plugin, .. } => plugin,
        }
    }

    /// A stable word for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Trap { .. } => "trap",
            Self::Deadline { .. } => "deadline",
            Self::Memory { .. } => "memory",
            Self::Stack { .. } => "stack",
            Self::OutputTooLarge { .. } => "output-too-large",
            Self::OutputMalformed { .. } => "output-malformed",
            Self::Addition { .. } => "addition",
            Self::InputTooLarge { .. } => "input-too-large",
            Self::Quarantined { .. } => "quarantined",
            Self::Busy { .. } => "busy",
            Self::HookNotDeclared { .. } => "hook-not-declared",
        }
    }

    /// Whether the plugin is to blame, so that the failure counts towards its quarantine.
    pub fn blames_plugin(&self) -> bool {
        match self {
            Self::Trap { .. }
            | Self::Deadline { .. }
            | Self::Memory { .. }
            | Self::Stack { .. }
            | Self::OutputTooLarge { .. }
            | Self::OutputMalformed { .. }
            | Self::Addition { .. } => true,
            Self::InputTooLarge { .. }
            | Self::Quarantined { .. }
            | Self::Busy { .. }
            | Self::HookNotDeclared { .. } => false,
        }
    }
}
