//! `[mapping]` and `[[route.map]]`: maps of the site, and which traffic they are for.

use std::path::PathBuf;

use serde::Deserialize;

use super::Direction;

/// `[mapping]`: maps beside the built-in ones.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Mapping {
    /// Files and folders.
    pub maps: Vec<PathBuf>,
    /// How often the files are looked at; 0: never.
    pub reload_seconds: u64,
}

impl Default for Mapping {
    fn default() -> Self {
        Mapping { maps: Vec::new(), reload_seconds: 5 }
    }
}

/// `[[route.map]]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct RouteMap {
    #[serde(rename = "type")]
    pub resource_type: String,
    pub direction: Direction,
    pub canonical: String,
    #[serde(default)]
    pub on_failure: OnMapFailure,
}

/// What comes of a resource that its map fails on. It never passes unmapped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnMapFailure {
    /// The whole request is refused.
    #[default]
    Refuse,
    /// The resource is left out of what is found, and the answer says so.
    LeaveOut,
}
