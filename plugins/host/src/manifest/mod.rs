//! A plugin's manifest: what it is, what it may use, and within which bounds it runs.
//!
//! Invariant: a [`Manifest`] has passed the published JSON Schema, its own `settings_schema`, and the rules that a
//! schema can't express; every limit is inside its range.

mod fault;
pub mod signature;
mod world;

use serde::Deserialize;
use serde_json::{Map, Value};

pub use fault::{ManifestError, ManifestFault};
pub use world::{Hook, World};

/// The published JSON Schema (draft 2020-12) of `*.plugin.json`.
pub const MANIFEST_SCHEMA: &str = include_str!("../../schema/plugin-manifest.schema.json");

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// What a call needs beside the body it takes and the body it gives: the stack and data of a small guest.
const GUEST_OVERHEAD: usize = MIB;

/// A host interface that a manifest may grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// Bounded lines in the gateway's log.
    Log,
    /// The plugin's settings as JSON text.
    Settings,
    /// Counts in the gateway's metrics, of the names in `counters`.
    Counters,
    /// FHIRPath on the body of the call.
    Fhirpath,
    /// Translations by the concept maps that the operator gives the plugin.
    ConceptMap,
    /// Whether a text is a codice fiscale.
    CodiceFiscale,
    /// Pseudonyms under a key that stays with the gateway.
    Pseudonym,
}

impl Grant {
    /// Every grant there is.
    pub const ALL: [Self; 7] = [
        Self::Log,
        Self::Settings,
        Self::Counters,
        Self::Fhirpath,
        Self::ConceptMap,
        Self::CodiceFiscale,
        Self::Pseudonym,
    ];

    /// The name in manifests, and of the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Settings => "settings",
            Self::Counters => "counters",
            Self::Fhirpath => "fhirpath",
            Self::ConceptMap => "concept-map",
            Self::CodiceFiscale => "codice-fiscale",
            Self::Pseudonym => "pseudonym",
        }
    }
}

/// What happens to an exchange that the plugin failed to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// It is refused.
    #[default]
    Closed,
    /// Its body passes as it was.
    Open,
}

/// Bounds of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    memory_mib: u32,
    deadline_ms: u32,
    input_kib: u32,
    output_kib: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_mib: 16, deadline_ms: 50, input_kib: 1024, output_kib: 1024 }
    }
}

impl Limits {
    /// The largest `memory_mib` that a manifest may ask for.
    pub const MAX_MEMORY_MIB: u32 = 64;

    /// Linear memory in MiB.
    pub fn memory_mib(&self) -> u32 {
        self.memory_mib
    }

    /// Time in milliseconds.
    pub fn deadline_ms(&self) -> u32 {
        self.deadline_ms
    }

    /// Linear memory in bytes.
    pub fn memory_bytes(&self) -> usize {
        bytes(self.memory_mib, MIB)
    }

    /// The largest body given to the plugin, in bytes.
    pub fn input_bytes(&self) -> usize {
        bytes(self.input_kib, KIB)
    }

    /// The largest body taken from the plugin, in bytes.
    pub fn output_bytes(&self) -> usize {
        bytes(self.output_kib, KIB)
    }

    fn fault(&self) -> Option<ManifestFault> {
        let needed = self.input_bytes().saturating_add(self.output_bytes()).saturating_add(GUEST_OVERHEAD);
        (needed > self.memory_bytes()).then(|| ManifestFault {
            pointer: "/limits/memory_mib".to_owned(),
            cause: format!(
                "{} MiB can't hold the input of {} KiB, the output of {} KiB and 1 MiB for the plugin itself",
                self.memory_mib, self.input_kib, self.output_kib
            ),
            cure: format!("Give at least {} MiB, or lower input_kib and output_kib.", needed.div_ceil(MIB)),
        })
    }
}

fn bytes(count: u32, unit: usize) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(unit)
}

/// A checked manifest.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    #[serde(rename = "$schema")]
    _schema: Option<String>,
    name: String,
    version: String,
    description: String,
    world: World,
    component: String,
    sha256: String,
    hooks: Vec<Hook>,
    #[serde(default)]
    grants: Vec<Grant>,
    #[serde(default)]
    counters: Vec<String>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    on_failure: OnFailure,
    #[serde(default)]
    settings: Map<String, Value>,
    #[serde(default)]
    settings_schema: Option<Map<String, Value>>,
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Json`] with the line and column where the text isn't JSON or names a property twice;
    /// [`ManifestError::Faults`] with every fault that the schema or a rule finds, by JSON pointer (RFC 6901).
    pub fn parse(json: &str) -> Result<Self, ManifestError> {
        let value: Value = serde_json::from_str(json).map_err(ManifestError::json)?;
        fault::check(&value)?;
        let manifest: Self = serde_json::from_str(json).map_err(ManifestError::json)?;
        let faults: Vec<ManifestFault> =
            manifest.limits.fault().into_iter().chain(manifest.foreign_hooks()).collect();
        if !faults.is_empty() {
            return Err(ManifestError::Faults(faults));
        }
        if let Some(schema) = &manifest.settings_schema {
            fault::check_settings(schema, &manifest.settings)?;
        }
        Ok(manifest)
    }

    /// Hooks that the world doesn't have.
    fn foreign_hooks(&self) -> impl Iterator<Item = ManifestFault> {
        let own = self.world.hooks();
        let foreign = self.hooks.iter().enumerate().filter(|(_, hook)| !own.contains(hook));
        foreign.map(|(at, hook)| ManifestFault {
            pointer: format!("/hooks/{at}"),
            cause: format!("the world {} doesn't have the hook {hook}", self.world.as_str()),
            cure: format!("Use {}.", own.iter().map(|hook| hook.as_str()).collect::<Vec<_>>().join(" or ")),
        })
    }

    /// The manifest's settings with those of the gateway's configuration over them, name by name.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Faults`] where they don't satisfy the manifest's `settings_schema`, or where the configuration gives
    /// settings and the manifest has no schema to check them by.
    pub fn settings_with(&self, given: &Map<String, Value>) -> Result<Map<String, Value>, ManifestError> {
        let Some(schema) = &self.settings_schema else {
            return match given.is_empty() {
                true => Ok(self.settings.clone()),
                false => Err(ManifestError::Faults(vec![ManifestFault {
                    pointer: "/settings_schema".to_owned(),
                    cause: "settings are given, and the manifest has no schema to check them by".to_owned(),
                    cure:
                        "Remove the settings from the configuration, or ask the plugin's author for a schema."
                            .to_owned(),
                }])),
            };
        };
        let mut settings = self.settings.clone();
        settings.extend(given.iter().map(|(name, value)| (name.clone(), value.clone())));
        fault::check_settings(schema, &settings)?;
        Ok(settings)
    }

    /// The plugin's name in logs, metrics and refusals.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The plugin's semantic version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What the plugin does, in one sentence.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The file name of the component in the manifest's folder.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// The SHA-256 digest of the component, 64 lower-case hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The world that the component was built for.
    pub fn world(&self) -> World {
        self.world
    }

    /// The names of the counters that the plugin may add to.
    pub fn counters(&self) -> &[String] {
        &self.counters
    }

    /// The hooks that the gateway calls.
    pub fn hooks(&self) -> &[Hook] {
        &self.hooks
    }

    /// The host interfaces that the component may import.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// Bounds of one call.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What happens to an exchange that the plugin failed to judge.
    pub fn on_failure(&self) -> OnFailure {
        self.on_failure
    }
}
