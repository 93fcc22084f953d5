//! `[cache]`: room for answers of the hospital's server, on routes with `cache_seconds`.

use serde::Deserialize;

/// `[cache]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Cache {
    /// How many bytes all answers that are kept may have together.
    pub bytes: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Cache { bytes: 64 << 20 }
    }
}
