//! The configuration: one TOML file, checked before anything starts.
//!
//! [`load`] reads the file, checks it against the published schema and then against the world (files that
//! must exist, keys that must match). Every fault names its line, its cause and its cure; a configuration
//! with a fault starts nothing.

mod access;
mod audit;
mod break_glass;
mod cache;
mod check;
mod check_audit;
mod check_fse;
mod check_limits;
mod check_listen;
mod check_map;
mod check_mllp;
mod check_passthrough;
mod check_plugin;
mod check_policy;
mod check_publication;
mod check_route;
mod check_tokens;
mod check_upstream;
mod consent;
mod destination;
mod difference;
mod fault;
mod limits;
mod listen;
mod mapping;
mod mllp;
mod pace;
mod passthrough;
mod paths;
mod plugin;
mod policy;
mod publication;
mod route;
mod schema;
mod site;
mod source;
mod telemetry;
mod tokens;
mod upstream;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use access::{Access, Attachments, Elements, Nested, References};
pub use audit::{Audit, AuditExport};
pub use break_glass::{BreakGlass, Overridden};
pub use cache::Cache;
pub(crate) use check::aliases;
pub use consent::{Combining, Consent, Fse, InheritLabels, Party, WithoutConsent};
pub use destination::Destination;
pub use difference::{Difference, tell};
pub use fault::{ConfigError, Elsewhere, Fault};
pub use limits::{DailyQuota, LaneRule, LimitRule, Limits, Per, Tell};
pub use listen::{AlsoCertificate, ClientCertificate, Listen, Tls, UnknownName};
pub use mapping::{Mapping, OnMapFailure, RouteMap};
pub use mllp::{Mllp, MllpSender};
pub use pace::Pace;
pub use passthrough::{PassedAudit, PassedConsent, Passthrough};
pub use plugin::{OnPluginFailure, Plugin, PluginUse, Plugins, UnsignedPlugins};
pub use policy::{Policy, PolicyDefault};
pub use publication::{Callers, Publication, PublicationMode, PublicationRoute};
pub use route::{
    DEFAULT_ROUTE, Direction, Route, RouteProfile, RouteValidation, Terminology, Validation, ValidationMode,
};
pub use schema::SCHEMA;
pub use site::Site;
pub use telemetry::{AccessLogFormat, AuditIncludes, Otlp, PushedMetrics, Telemetry, Traces};
pub use tokens::{ClaimMap, FSE_ALGORITHMS, Issuer, IssuerKind};
pub use upstream::{Upstream, UpstreamBreaker, UpstreamEjection};

/// A checked configuration. Paths are absolute or relative to the working folder, defaults filled in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The hospital.
    pub site: Site,
    /// Where requests arrive.
    pub listen: Listen,
    /// The hospital's FHIR server.
    pub upstream: Upstream,
    /// Accepted tokens, of one issuer.
    #[serde(default)]
    pub tokens: Option<Issuer>,
    /// Accepted tokens of more issuers.
    #[serde(default)]
    pub issuer: Vec<Issuer>,
    /// Consents and audit records.
    pub store: Store,
    /// For how long audit records are kept, and where they are sent.
    #[serde(default)]
    pub audit: Audit,
    /// The operator's port.
    #[serde(default)]
    pub admin: Admin,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
    /// Room for what is remembered.
    #[serde(default)]
    pub cache: Cache,
    /// What writes are taken.
    #[serde(default)]
    pub writes: Writes,
    /// How consents combine.
    #[serde(default)]
    pub consent: Consent,
    /// What becomes of what is hidden inside of what is not.
    #[serde(default)]
    pub access: Access,
    /// What the site permits, beside consents.
    #[serde(default)]
    pub policy: Option<Policy>,
    /// The masking rules of FSE 2.0.
    #[serde(default)]
    pub fse: Fse,
    /// Emergencies.
    #[serde(default)]
    pub break_glass: Option<BreakGlass>,
    /// Identifier systems.
    #[serde(default)]
    pub identity: Identity,
    /// What holds for all plugins.
    #[serde(default)]
    pub plugins: Plugins,
    /// Plugins, in order.
    #[serde(default)]
    pub plugin: Vec<Plugin>,
    /// Definitions that traffic is validated against, beside the built-in ones.
    #[serde(default)]
    pub validation: Validation,
    /// Maps beside the built-in ones.
    #[serde(default)]
    pub mapping: Mapping,
    /// The terminology server.
    #[serde(default)]
    pub terminology: Option<Terminology>,
    /// Routes, in order.
    #[serde(default)]
    pub route: Vec<Route>,
    /// Messages to the national gateway of FSE 2.0.
    #[serde(default)]
    pub publication: Option<Publication>,
    /// Paths whose requests are handed on as they are.
    #[serde(default)]
    pub passthrough: Vec<Passthrough>,
    /// HL7 v2 messages.
    #[serde(default)]
    pub mllp: Option<Mllp>,
    /// What is sent to the operator's collector.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// Logging.
    #[serde(default)]
    pub log: Log,
    /// How changes are taken up.
    #[serde(default)]
    pub reload: Reload,
    /// The configuration as it is written, without defaults.
    #[serde(skip)]
    pub(crate) written: serde_json::Value,
}

/// `[store]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Store {
    pub path: PathBuf,
}

/// `[admin]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Admin {
    #[serde(default = "default::admin_address")]
    pub address: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Admin { address: default::admin_address() }
    }
}

/// `[writes]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Writes {
    /// Merge patches are taken. They can't tell a list's items apart, so FHIR does not foresee them.
    pub merge_patch: bool,
}

/// `[identity]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Identity {
    pub alias: Vec<Alias>,
}

/// `[[identity.alias]]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Alias {
    pub local: String,
    pub network: String,
    #[serde(default)]
    pub also: Vec<String>,
}

/// `[log]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Log {
    pub level: Level,
}

/// `[reload]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Reload {
    /// How often the files are looked at, in seconds; 0: only SIGHUP makes the sidecar read them.
    pub seconds: u64,
}

impl Default for Reload {
    fn default() -> Self {
        Reload { seconds: 5 }
    }
}

/// `log.level`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Level {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
}

mod default {
    use std::net::{Ipv4Addr, SocketAddr};

    pub(super) fn id_system() -> String {
        "urn:oid:2.16.840.1.113883.2.9.4.1.2".to_owned()
    }
    pub(super) fn connections() -> usize {
        4096
    }
    pub(super) fn header_seconds() -> u64 {
        10
    }
    pub(super) fn body_seconds() -> u64 {
        30
    }
    pub(super) fn idle_seconds() -> u64 {
        75
    }
    pub(super) fn stall_seconds() -> u64 {
        30
    }
    pub(super) fn drain_seconds() -> u64 {
        20
    }
    pub(super) fn admin_address() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 9464).into()
    }
}

/// Reads and checks the configuration at `path`.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), cause: error.to_string() })?;
    from_text(&text, path)
}

/// Checks a configuration's text; `path` names it in faults, and its folder is where its paths begin.
pub fn from_text(text: &str, path: &Path) -> Result<Config, ConfigError> {
    let refuse =
        |faults: Vec<Fault>| ConfigError::Faulty { path: path.to_owned(), text: text.to_owned(), faults };
    let source = source::Source::parse(text).map_err(|fault| refuse(vec![fault]))?;
    let faults = schema::faults(&source);
    if !faults.is_empty() {
        return Err(refuse(faults));
    }
    let mut config: Config = serde_json::from_value(source.value.clone()).map_err(|error| {
        refuse(vec![source.fault("", error.to_string(), "Correct the value named in the cause.")])
    })?;
    config.written = source.value.clone();
    config.resolve_paths(path.parent().unwrap_or(Path::new("")));
    config.plugin.iter_mut().for_each(Plugin::find_beside);
    let faults = check::faults(&config, &source);
    if faults.is_empty() { Ok(config) } else { Err(refuse(faults)) }
}

/// A text in TOML as JSON.
///
/// # Errors
/// What is not TOML, and dates outside of texts.
pub fn read_toml(text: &str) -> Result<serde_json::Value, Fault> {
    source::Source::parse(text).map(|source| source.value)
}

impl Config {
    /// Every issuer whose tokens are accepted.
    pub fn issuers(&self) -> impl Iterator<Item = &Issuer> {
        self.tokens.iter().chain(&self.issuer)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
