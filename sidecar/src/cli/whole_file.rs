//! Writes a file whole or not at all.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Writes beside the target first: a reader never meets half a file, nor does a gateway that watches it.
///
/// # Errors
///
/// Where the folder can't be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let half = path.with_extension("part");
    fs::write(&half, bytes).and_then(|()| fs::rename(&half, path)).with_context(|| {
        format!("{} can't be written; check that its folder is writable and not full", path.display())
    })
}
