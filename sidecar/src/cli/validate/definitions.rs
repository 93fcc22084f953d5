//! The definitions of a run: what is built in, packages over it, and single files over those.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use fhir_models::definition::package::cache_folder;
use fhir_models::definition::{Definitions, Package, PackageLimits};

/// Reads the packages and files. A later one goes before an earlier one.
pub(super) fn gather(packages: &[String], files: &[PathBuf]) -> Result<Arc<Definitions>> {
    if packages.is_empty() && files.is_empty() {
        return Ok(Definitions::r4());
    }
    let cache = std::env::home_dir().map(|home| cache_folder(&home));
    let mut builder = Definitions::builder();
    for spec in packages {
        let package = Package::open(spec, cache.as_deref(), &PackageLimits::default())
            .with_context(|| format!("the package {spec} can't be used"))?;
        builder = builder.package(&package).with_context(|| format!("the package {spec} can't be used"))?;
    }
    for file in files {
        let text = std::fs::read(file).with_context(|| format!("{} can't be read", file.display()))?;
        builder.definition(&file.display().to_string(), &json(file, text)?)?;
    }
    Ok(Arc::new(builder.build()?))
}

fn json(file: &Path, text: Vec<u8>) -> Result<Vec<u8>> {
    let start = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&text);
    if start.trim_ascii_start().first() == Some(&b'<') {
        bail!("{} is XML; this version reads definitions in JSON only: convert it first", file.display());
    }
    Ok(text)
}
