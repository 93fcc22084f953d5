//! The definitions of a run: what is built in, packages over it, and single files over those.
//!
//! What a package depends on is taken from the package cache or from the folder that the package lies in,
//! where it is there; HL7's own base packages are built in.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use fhir_models::definition::package::cache_folder;
use fhir_models::definition::{Definitions, Package, PackageLimits};
use fhir_models::document::xml::DefinitionSchema;
use fhir_models::document::{Format, Limits, OwnedDocument};

/// Reads the packages and files. A later one goes before an earlier one.
pub(in crate::cli) fn gather(packages: &[String], files: &[PathBuf]) -> Result<Arc<Definitions>> {
    if packages.is_empty() && files.is_empty() {
        return Ok(Definitions::r4());
    }
    let cache = std::env::home_dir().map(|home| cache_folder(&home));
    let mut builder = Definitions::builder();
    let mut known = BTreeSet::new();
    for spec in packages {
        for (name, package) in with_dependencies(spec, cache.as_deref(), &mut known)? {
            builder =
                builder.package(&package).with_context(|| format!("the package {name} can't be used"))?;
        }
    }
    for file in files {
        let text = std::fs::read(file).with_context(|| format!("{} can't be read", file.display()))?;
        builder.definition(&file.display().to_string(), &json(file, text)?)?;
    }
    Ok(Arc::new(builder.build()?))
}

/// A package and what it depends on, the package itself last.
fn with_dependencies(
    spec: &str,
    cache: Option<&Path>,
    known: &mut BTreeSet<(String, String)>,
) -> Result<Vec<(String, Package)>> {
    let limits = PackageLimits::default();
    let package =
        Package::open(spec, cache, &limits).with_context(|| format!("the package {spec} can't be used"))?;
    let folder = Path::new(spec).parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut found = vec![(spec.to_owned(), package)];
    let mut next = 0;
    while let Some((_, package)) = found.get(next) {
        let wanted: Vec<_> = package.manifest.dependencies.clone().into_iter().collect();
        known.insert((package.manifest.name.clone(), package.manifest.version.clone()));
        next += 1;
        for (name, version) in wanted {
            if name.starts_with("hl7.fhir.r4.") || !known.insert((name.clone(), version.clone())) {
                continue;
            }
            let beside = folder.map(|folder| folder.join(format!("{name}#{version}.tgz")));
            let place = match beside {
                Some(file) if file.is_file() => file.display().to_string(),
                _ => format!("{name}#{version}"),
            };
            if let Ok(package) = Package::open(&place, cache, &limits) {
                found.push((place, package));
            }
        }
    }
    found.reverse();
    Ok(found)
}

fn json(file: &Path, text: Vec<u8>) -> Result<Vec<u8>> {
    if Format::of(&text) == Format::Json {
        return Ok(text);
    }
    let schema = DefinitionSchema::new(Definitions::r4());
    let document = OwnedDocument::parse_xml(&text, &schema, &Limits::default())
        .with_context(|| format!("{} is not FHIR XML", file.display()))?;
    Ok(document.text().as_bytes().to_vec())
}
