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
mod destination;
mod difference;
mod fault;
mod limits;
mod listen;
mod mapping;
mod mllp;
mod pace;
mod passthrough;
mod plugin;
mod policy;
mod publication;
mod route;
mod schema;
mod source;
mod telemetry;
mod tokens;
mod upstream;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use varco_core::audit::AuditRecorder;
use varco_core::consent::fse::FseSystems;
use varco_core::requester::BusinessIdentifier;

pub use access::{Access, Attachments, Elements, Nested, References};
pub use audit::{Audit, AuditExport};
pub use break_glass::{BreakGlass, Overridden};
pub use cache::Cache;
pub(crate) use check::aliases;
pub use destination::Destination;
pub use difference::{Difference, tell};
pub use fault::{ConfigError, Elsewhere, Fault};
pub use limits::{DailyQuota, LaneRule, LimitRule, Limits, Per, Tell};
pub use listen::{AlsoCertificate, ClientCertificate, UnknownName};
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

/// `[site]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Site {
    pub id: String,
    #[serde(default = "default::id_system")]
    pub id_system: String,
    #[serde(default)]
    pub name: Option<String>,
    pub base_url: String,
}

impl Site {
    /// The path of the FHIR base, without a slash at its end: empty for the root.
    pub fn base_path(&self) -> &str {
        let after_scheme = self.base_url.split_once("://").map_or("", |(_, rest)| rest);
        after_scheme.find('/').map_or("", |at| after_scheme[at..].trim_end_matches('/'))
    }

    /// The FHIR base URL without a slash at its end.
    pub fn base(&self) -> &str {
        self.base_url.trim_end_matches('/')
    }

    /// The gateway as it stands in audit records.
    pub fn recorder(&self) -> Arc<AuditRecorder> {
        let identifier = BusinessIdentifier::new(self.id_system.clone(), self.id.clone());
        let mut recorder =
            AuditRecorder { site: Some(self.id.clone()), ..AuditRecorder::of(identifier, self.base()) };
        recorder.server.display = self.name.clone();
        Arc::new(recorder)
    }
}

/// `[listen]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Listen {
    pub address: SocketAddr,
    #[serde(default)]
    pub tls: Option<Tls>,
    #[serde(default)]
    pub behind_tls_terminator: bool,
    #[serde(default = "default::connections")]
    pub connections: usize,
    #[serde(default)]
    pub connections_per_address: Option<usize>,
    #[serde(default = "default::header_seconds")]
    pub header_seconds: u64,
    #[serde(default = "default::body_seconds")]
    pub body_seconds: u64,
    #[serde(default = "default::idle_seconds")]
    pub idle_seconds: u64,
    #[serde(default = "default::stall_seconds")]
    pub stall_seconds: u64,
    #[serde(default = "default::drain_seconds")]
    pub drain_seconds: u64,
    #[serde(default)]
    pub drain_delay_seconds: u64,
    #[serde(default)]
    pub handoff: Option<PathBuf>,
    #[serde(default)]
    pub workers: Option<usize>,
}

/// `[listen.tls]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    #[serde(default)]
    pub client_certificate: ClientCertificate,
    #[serde(default)]
    pub crl: Vec<PathBuf>,
    #[serde(default)]
    pub also: Vec<AlsoCertificate>,
    #[serde(default)]
    pub unknown_name: UnknownName,
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

/// `[consent]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Consent {
    pub combining: Combining,
    pub without_consent: WithoutConsent,
    pub inherit_labels: InheritLabels,
    pub time_zone: String,
    pub party: Vec<Party>,
}

/// `[[consent.party]]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Party {
    pub reference: String,
    pub system: String,
    pub value: String,
}

impl Default for Consent {
    fn default() -> Self {
        let (combining, without_consent) = (Combining::default(), WithoutConsent::default());
        let inherit_labels = InheritLabels::default();
        let time_zone = "Europe/Rome".to_owned();
        Consent { combining, without_consent, inherit_labels, time_zone, party: Vec::new() }
    }
}

/// `consent.combining`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Combining {
    #[default]
    DenyOverrides,
    MostRecent,
    RefuseAmbiguous,
}

/// `consent.without_consent`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum WithoutConsent {
    #[default]
    Deny,
    Permit,
}

/// `consent.inherit_labels`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum InheritLabels {
    #[default]
    Content,
    All,
}

/// `[fse]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Fse {
    pub masking: bool,
    pub masking_systems: Vec<String>,
    pub prescription_systems: Vec<String>,
    pub role_systems: Vec<String>,
}

impl Fse {
    /// The published systems and those of the deployment.
    pub fn systems(&self) -> FseSystems {
        let mut systems = FseSystems { roles: self.role_systems.clone(), ..FseSystems::default() };
        systems.masking.extend(self.masking_systems.iter().cloned());
        systems.prescription.extend(self.prescription_systems.iter().cloned());
        systems
    }
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

    /// The files that a start reads, but for those that are watched by themselves: certificates, plugins' manifests,
    /// definitions.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let tls = self.listen.tls.iter().flat_map(Tls::files);
        let plugins = self.plugin.iter().flat_map(Plugin::files);
        let plugins = plugins.chain(self.plugins.trusted_keys.iter().map(PathBuf::as_path));
        let authorities = self.issuers().filter_map(|issuer| issuer.ca.as_ref());
        let export = self.audit.export.iter().map(|export| &export.store);
        let otlp = self.telemetry.otlp.iter().map(|otlp| &otlp.collector);
        let sent_to = export.chain(otlp).flat_map(Destination::files);
        let upstream =
            [&self.upstream.ca, &self.upstream.certificate, &self.upstream.key].into_iter().flatten();
        tls.chain(upstream)
            .chain(authorities)
            .chain(sent_to)
            .chain(self.publication.iter().flat_map(Publication::files))
            .chain(self.passthrough.iter().flat_map(Passthrough::files))
            .chain(&self.validation.definitions)
            .map(PathBuf::as_path)
            .chain(plugins)
    }

    fn resolve_paths(&mut self, folder: &Path) {
        let mllp = self.mllp.iter_mut().filter_map(|mllp| mllp.tls.as_mut());
        let tls = self.listen.tls.iter_mut().chain(mllp).flat_map(Tls::files_mut);
        let server = &mut self.upstream;
        let server = [server.ca.as_mut(), server.certificate.as_mut(), server.key.as_mut()];
        let others = server.into_iter().chain([Some(&mut self.store.path)]);
        let issuers = self.tokens.iter_mut().chain(&mut self.issuer);
        let keys = issuers.flat_map(|it| [it.jwks.as_mut(), it.jwks_ca.as_mut(), it.ca.as_mut()]).flatten();
        let plugins = self.plugin.iter_mut().flat_map(Plugin::paths);
        let plugins = plugins.chain(&mut self.plugins.trusted_keys).chain(&mut self.plugins.compiled);
        let terminology = self.terminology.iter_mut();
        let terminology = terminology.flat_map(|it| it.server.paths());
        let export = self.audit.export.iter_mut().map(|export| &mut export.store);
        let otlp = self.telemetry.otlp.iter_mut().map(|otlp| &mut otlp.collector);
        let sent_to = export.chain(otlp).flat_map(Destination::paths);
        let access_log = self.telemetry.access_log.iter_mut().map(|log| &mut log.path);
        let policies = self.policy.iter_mut().flat_map(|policy| &mut policy.files);
        let definitions = self.validation.definitions.iter_mut().chain(&mut self.mapping.maps);
        let handoff = &mut self.listen.handoff;
        for path in tls
            .chain(others.flatten())
            .chain(keys)
            .chain(plugins)
            .chain(terminology)
            .chain(sent_to)
            .chain(access_log)
            .chain(definitions)
            .chain(policies)
            .chain(self.publication.iter_mut().flat_map(Publication::paths))
            .chain(self.passthrough.iter_mut().flat_map(Passthrough::paths))
            .chain(handoff)
        {
            *path = folder.join(&*path);
        }
        // What is no file here may be `id#version` of the package cache.
        for package in &mut self.validation.packages {
            let here = folder.join(&*package);
            if here.exists() {
                *package = here.display().to_string();
            }
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
