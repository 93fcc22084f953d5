//! Runs plugins, which are WebAssembly components, inside bounds.
//!
//! A [`PluginSet`] holds the plugins of a route in order. It gives each a request's or a response's body and does what
//! the [`Verdict`] says. The contract is the WIT package `varco:plugin@0.2.0` in `plugins/wit`; the [`Manifest`]
//! (JSON, checked against [`MANIFEST_SCHEMA`]) says what a plugin may use and within which bounds it runs.
//!
//! Invariants:
//!
//! * Every call gets a fresh instance, a deadline armed for it alone, and limits on memory, stack, tables, input,
//!   output and log lines. Nothing a plugin does can end or block the process, or a thread of it: a guest computes in
//!   turns of a millisecond.
//! * Instances that are alive, and calls that wait for one, are bounded, of one plugin and in all.
//! * A component imports nothing but what its manifest grants; there is no WASI.
//! * A plugin that keeps failing is left alone for a time that doubles ([`Quarantine`]).
//! * Quarantines go by the caller's [`Clock`]; turns and deadlines are measured here. Only [`PluginEngine::start`] makes a
//!   thread, which ends with the engine.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::path::Path;
//! use varco_plugin_host::{Context, Decision, Deployment, Hook, PluginLibrary, PluginSet, Terms, Use};
//!
//! let library = PluginLibrary::default();
//! let manifest = Path::new("plugins/narrative-stripper.plugin.json");
//! let plugin = library.load_file(manifest, &Terms::default(), Deployment::default())?;
//! let plugins = PluginSet::of(vec![Use::from(plugin)])?;
//! let context = Context {
//!     interaction: "read",
//!     resource_type: Some("Patient"),
//!     route: "exchange",
//!     roles: &["AAS"],
//!     purposes: &["TREAT"],
//!     content_type: "application/fhir+json",
//!     traceparent: None,
//! };
//! let clock = || library.now();
//! let outcome = plugins.run(Hook::Response, &context, b"{}", &clock).await?;
//! match outcome.decision {
//!     Decision::Continue(made) => drop(made),
//!     Decision::Refused { plugin, refusal } => drop((plugin, refusal.status_hint.status())),
//! }
//! # Ok(())
//! # }
//! ```

mod artefact;
mod call;
mod chain;
mod contract;
mod counters;
mod deployment;
mod engine;
mod enrichment;
mod error;
mod grant;
mod host_function;
mod library;
mod limiter;
mod manifest;
mod output;
mod place;
mod plugin;
mod quarantine;
mod standing;
mod ticker;
mod trust;
mod turn;
mod verdict;

pub use artefact::{ArtefactError, ArtefactFolder};
pub use chain::{ChainOutcome, Decision, PluginSet, Use};
pub use contract::{Context, VERSION};
pub use counters::PluginCounters;
pub use deployment::{Deployment, KeyLength, PseudonymKey};
pub use engine::{EngineSettings, PluginEngine};
pub use error::{EngineError, LoadError, PluginError};
pub use grant::refused_import;
pub use library::{PluginLibrary, Terms};
pub use manifest::{
    Grant, Hook, Limits, MANIFEST_SCHEMA, Manifest, ManifestError, ManifestFault, OnFailure, World, signature,
};
pub use plugin::{Plugin, component_digest};
pub use quarantine::{Admission, Quarantine};
pub use standing::Clock;
pub use trust::{Trust, Unsigned};
pub use verdict::{Made, Refusal, StatusHint, Verdict};
