//! `[policy]`: what the site permits, beside what patients consent to.

use std::path::PathBuf;

use serde::Deserialize;

/// `[policy]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Policy {
    /// Files and folders of policies in Cedar.
    pub files: Vec<PathBuf>,
    #[serde(default)]
    pub default: PolicyDefault,
    /// How often the files are looked at; 0: never.
    #[serde(default = "reload_seconds")]
    pub reload_seconds: u64,
}

/// `policy.default`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum PolicyDefault {
    #[default]
    Deny,
    Permit,
}

fn reload_seconds() -> u64 {
    5
}
