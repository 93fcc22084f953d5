//! Definitions at hand: what is built in, packages over it, and single files over those.
//!
//! What a package depends on is taken from the package cache or from the folder that the package lies in,
//! where it is there; HL7's own base packages are built in.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fhir_models::definition::package::cache_folder;
use fhir_models::definition::{BuildError, Definitions, Package, PackageError, PackageLimits};
use fhir_models::document::xml::DefinitionSchema;
use fhir_models::document::{Format, Limits, OwnedDocument, SyntaxError};

/// Definitions that can't be had.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// A package that isn't there or isn't one.
    #[error("the package {name} can't be used: {cause}")]
    Package {
        /// As it was asked for.
        name: String,
        /// What is wrong with it.
        cause: PackageError,
    },
    /// A package whose definitions can't be read.
    #[error("the package {name} can't be used: {cause}")]
    Content {
        /// As it was asked for.
        name: String,
        /// What is wrong with it.
        cause: BuildError,
    },
    /// A file that can't be read.
    #[error("{} can't be read: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        cause: std::io::Error,
    },
    /// A file that is not FHIR XML.
    #[error("{} is not FHIR XML: {cause}", path.display())]
    Xml {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: SyntaxError,
    },
    /// Definitions that don't fit together.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Reads the packages and files. A later one goes before an earlier one.
pub fn gather(packages: &[String], files: &[PathBuf]) -> Result<Arc<Definitions>, GatherError> {
    if packages.is_empty() && files.is_empty() {
        return Ok(Definitions::r4());
    }
    let cache = std::env::home_dir().map(|home| cache_folder(&home));
    let mut builder = Definitions::builder();
    let mut known = BTreeSet::new();
    for spec in packages {
        for (name, package) in with_dependencies(spec, cache.as_deref(), &mut known)? {
            builder = builder.package(&package).map_err(|cause| GatherError::Content { name, cause })?;
        }
    }
    for file in files {
        let text = std::fs::read(file).map_err(|cause| GatherError::File { path: file.clone(), cause })?;
        builder.definition(&file.display().to_string(), &json(file, text)?)?;
    }
    Ok(Arc::new(builder.build()?))
}

/// A package and what it depends on, the package itself last.
fn with_dependencies(
    spec: &str,
    cache: Option<&Path>,
    known: &mut BTreeSet<(String, String)>,
) -> Result<Vec<(String, Package)>, GatherError> {
    let limits = PackageLimits::default();
    let package = Package::open(spec, cache, &limits)
        .map_err(|cause| GatherError::Package { name: spec.to_owned(), cause })?;
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

fn json(file: &Path, text: Vec<u8>) -> Result<Vec<u8>, GatherError> {
    if Format::of(&text) == Format::Json {
        return Ok(text);
    }
    let schema = DefinitionSchema::new(Definitions::r4());
    let document = OwnedDocument::parse_xml(&text, &schema, &Limits::default())
        .map_err(|cause| GatherError::Xml { path: file.to_owned(), cause })?;
    Ok(document.text().as_bytes().to_vec())
}
