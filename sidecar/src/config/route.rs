//! `[[route]]`, `[validation]` and `[terminology]`: what traffic is validated against, and how strictly.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Destination, PluginUse, RouteMap};

/// The name of the route that everything takes for which no other is configured.
pub const DEFAULT_ROUTE: &str = "exchange";

/// `[[route]]`: requests of the same kind, and what holds for them. The first that fits a request is taken.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Route {
    pub name: String,
    /// Resource types; empty: all.
    #[serde(default)]
    pub types: Vec<String>,
    /// Client ids of tokens; empty: all.
    #[serde(default)]
    pub clients: Vec<String>,
    /// For how long the server's answers to reads and searches may be kept; 0: not at all.
    #[serde(default)]
    pub cache_seconds: u64,
    #[serde(default)]
    pub validation: RouteValidation,
    /// Plugins, in order; absent: all, as they are listed.
    #[serde(default)]
    pub plugins: Option<Vec<PluginUse>>,
    /// Maps, for resources that the route takes.
    #[serde(default)]
    pub map: Vec<RouteMap>,
}

impl Route {
    /// True where a request about this type, from this client, takes the route.
    pub fn takes(&self, resource_type: &str, client: &str) -> bool {
        let fits = |list: &[String], own: &str| list.is_empty() || list.iter().any(|it| it == own);
        fits(&self.types, resource_type) && fits(&self.clients, client)
    }
}

/// `[route.validation]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct RouteValidation {
    pub requests: ValidationMode,
    pub responses: ValidationMode,
    pub profile: Vec<RouteProfile>,
}

impl RouteValidation {
    /// How strict it is in this direction.
    pub fn mode(&self, direction: Direction) -> ValidationMode {
        match direction {
            Direction::Requests => self.requests,
            Direction::Responses => self.responses,
        }
    }

    /// The profiles that a resource of this type must obey in this direction.
    pub fn profiles<'r>(
        &'r self,
        direction: Direction,
        resource_type: &'r str,
    ) -> impl Iterator<Item = &'r str> {
        let fits = move |it: &&RouteProfile| {
            it.resource_type == resource_type && it.direction.is_none_or(|own| own == direction)
        };
        self.profile.iter().filter(fits).map(|it| it.canonical.as_str())
    }
}

/// `[[route.validation.profile]]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct RouteProfile {
    #[serde(rename = "type")]
    pub resource_type: String,
    pub canonical: String,
    /// Absent: both.
    #[serde(default)]
    pub direction: Option<Direction>,
}

/// Which way a resource goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// To the hospital: what is created and updated.
    Requests,
    /// From the hospital: what is read and found.
    Responses,
}

impl Direction {
    /// Its name in configuration, logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Direction::Requests => "requests",
            Direction::Responses => "responses",
        }
    }
}

/// What comes of a resource that is not valid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValidationMode {
    /// Nothing is validated.
    #[default]
    Off,
    /// It is logged and counted.
    Log,
    /// The answer says so in a header, too.
    Warn,
    /// It does not pass.
    Enforce,
}

impl ValidationMode {
    /// Its name in configuration, logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            ValidationMode::Off => "off",
            ValidationMode::Log => "log",
            ValidationMode::Warn => "warn",
            ValidationMode::Enforce => "enforce",
        }
    }
}

/// `[validation]`: definitions beside the built-in ones.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Validation {
    pub packages: Vec<String>,
    pub definitions: Vec<PathBuf>,
}

/// `[terminology]`: a server that is asked about codes that no value set at hand can judge.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Terminology {
    #[serde(flatten)]
    pub server: Destination,
    #[serde(default = "default::total_seconds")]
    pub total_seconds: u64,
    #[serde(default = "default::concurrency")]
    pub concurrency: usize,
    #[serde(default = "default::batch")]
    pub batch: usize,
    #[serde(default = "default::questions")]
    pub questions: usize,
    #[serde(default = "default::cache_entries")]
    pub cache_entries: u64,
    #[serde(default = "default::member_seconds")]
    pub member_seconds: u64,
    #[serde(default = "default::not_member_seconds")]
    pub not_member_seconds: u64,
    #[serde(default = "default::unknown_seconds")]
    pub unknown_seconds: u64,
    #[serde(default = "default::breaker_failures")]
    pub breaker_failures: u32,
    #[serde(default = "default::breaker_seconds")]
    pub breaker_seconds: u64,
}

mod default {
    pub(super) fn total_seconds() -> u64 {
        10
    }
    pub(super) fn concurrency() -> usize {
        4
    }
    pub(super) fn batch() -> usize {
        50
    }
    pub(super) fn questions() -> usize {
        200
    }
    pub(super) fn cache_entries() -> u64 {
        100_000
    }
    pub(super) fn member_seconds() -> u64 {
        86_400
    }
    pub(super) fn not_member_seconds() -> u64 {
        3_600
    }
    pub(super) fn unknown_seconds() -> u64 {
        60
    }
    pub(super) fn breaker_failures() -> u32 {
        5
    }
    pub(super) fn breaker_seconds() -> u64 {
        30
    }
}

/// Time for one answer, in seconds, where nothing else is said.
const ASKED: u64 = 5;

impl Terminology {
    /// How long one answer may take, in seconds.
    pub fn answers_within(&self) -> u64 {
        self.server.answer_seconds.unwrap_or(ASKED)
    }

    /// A server with the defaults of everything else.
    pub fn at(url: impl Into<String>) -> Terminology {
        Terminology {
            server: Destination::at(url),
            total_seconds: default::total_seconds(),
            concurrency: default::concurrency(),
            batch: default::batch(),
            questions: default::questions(),
            cache_entries: default::cache_entries(),
            member_seconds: default::member_seconds(),
            not_member_seconds: default::not_member_seconds(),
            unknown_seconds: default::unknown_seconds(),
            breaker_failures: default::breaker_failures(),
            breaker_seconds: default::breaker_seconds(),
        }
    }
}
