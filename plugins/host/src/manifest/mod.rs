//! A plugin's manifest: what it is, what it may use, and within which bounds it runs.
//!
//! Invariant: a [`Manifest`] has passed the published JSON Schema, its own `settings_schema`, and the rules that a
//! schema can't express; every limit is inside its range.

mod fault;
pub mod signature;

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

pub use fault::{ManifestError, ManifestFault};

/// The published JSON Schema (draft 2020-12) of `*.plugin.json`.
pub const MANIFEST_SCHEMA: &str = include_str!("../../schema/plugin-manifest.schema.json");

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// What a call needs beside the body it takes and the body it gives: the stack and data of a small guest.
const GUEST_OVERHEAD: usize = MIB;

/// The moment at which a plugin is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    /// Before a request is forwarded.
    Request,
    /// Before a response is released.
    Response,
}

impl Hook {
    /// The name in manifests, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A host interface that a manifest may grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grant {
    /// Bounded lines in the gateway's log.
    Log,
    /// The manifest's `settings` as JSON text.
    Settings,
}

impl Grant {
    /// Every grant there is.
    pub const ALL: [Self; 2] = [Self::Log, Self::Settings];

    /// The name in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Settings => "settings",
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
    #[serde(rename = "world")]
    _world: String,
    component: String,
    sha256: String,
    hooks: Vec<Hook>,
    #[serde(default)]
    grants: Vec<Grant>,
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
        if let Some(fault) = manifest.limits.fault() {
            return Err(ManifestError::Faults(vec![fault]));
        }
        if let Some(schema) = &manifest.settings_schema {
            fault::check_settings(schema, &manifest.settings)?;
        }
        Ok(manifest)
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

    /// The plugin's settings, as the JSON text that it reads.
    pub fn settings_json(&self) -> String {
        serde_json::to_string(&self.settings).unwrap_or_else(|_| "{}".to_owned())
    }
}
