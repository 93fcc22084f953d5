//! The definitions of a run or of the sidecar: what is built in, packages over it, and single files over those.
//!
//! What a package depends on is taken from the folder that the package lies in or from the package cache, and
//! lies below it; HL7's own base packages are built in. What is at hand nowhere is told, because profiles that need
//! it can't be checked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use fhir_models::definition::package::cache_folder;
use fhir_models::definition::package_cache::{cached_version, compare_versions, version_meant};
use fhir_models::definition::{
    Definitions, DefinitionsBuilder, Manifest, Package, PackageLimits, Versions, built_in_packs,
};
use fhir_models::document::xml::DefinitionSchema;
use fhir_models::document::{Format, Limits, OwnedDocument, name};

/// Most packages of one run, dependencies included.
const MOST_PACKAGES: usize = 200;

/// Definitions, and what to tell about them.
#[derive(Debug)]
pub struct Gathered {
    /// What was gathered.
    pub definitions: Arc<Definitions>,
    /// Resources that define nothing: references may lead to them.
    pub instances: Vec<OwnedDocument>,
    /// What is missing, for people.
    pub warnings: Vec<String>,
}

/// Reads the packages and files. A later one goes before an earlier one.
pub fn gather(packages: &[String], files: &[PathBuf]) -> Result<Gathered, GatherError> {
    gather_beside(packages, files, None)
}

/// Reads the packages and files, and the definition that something at hand says: its name, and its JSON.
pub fn gather_beside(
    packages: &[String],
    files: &[PathBuf],
    own: Option<(&str, &str)>,
) -> Result<Gathered, GatherError> {
    let cache = std::env::home_dir().map(|home| cache_folder(&home));
    gather_with(packages, files, own, cache.as_deref()).map_err(|error| GatherError(format!("{error:#}")))
}

/// Definitions that can't be had: which of them, and why, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GatherError(String);

fn gather_with(
    packages: &[String],
    files: &[PathBuf],
    own: Option<(&str, &str)>,
    cache: Option<&Path>,
) -> Result<Gathered> {
    if packages.is_empty() && files.is_empty() && own.is_none() {
        return Ok(Gathered { definitions: Definitions::r4(), instances: Vec::new(), warnings: Vec::new() });
    }
    let mut found = Found { cache, known: BTreeSet::new(), warnings: Vec::new() };
    let mut builder = Definitions::builder();
    let mut all = Vec::new();
    for spec in packages {
        all.extend(found.with_dependencies(spec)?);
    }
    side_by_side(&mut all);
    for (name, package) in &all {
        builder = builder.package(package).with_context(|| format!("the package {name} can't be used"))?;
    }
    let mut instances = Vec::new();
    for file in files {
        add(&mut builder, file, &mut instances, &mut found.warnings)?;
    }
    if let Some((name, json)) = own {
        builder.definition(name, json.as_bytes())?;
    }
    Ok(Gathered { definitions: Arc::new(builder.build()?), instances, warnings: found.warnings })
}

/// The packages found so far.
struct Found<'c> {
    cache: Option<&'c Path>,
    /// Ids and versions that are read, or looked for in vain.
    known: BTreeSet<(String, String)>,
    warnings: Vec<String>,
}

impl Found<'_> {
    /// A package and what it depends on, the package itself last.
    fn with_dependencies(&mut self, spec: &str) -> Result<Vec<(String, Package)>> {
        let limits = PackageLimits::default();
        let package = Package::open(spec, self.cache, &limits)
            .with_context(|| format!("the package {spec} can't be used"))?;
        let folder = Path::new(spec).parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut found = vec![(spec.to_owned(), package)];
        let mut next = 0;
        while let Some((_, package)) = found.get(next) {
            let own = (package.manifest.name.clone(), package.manifest.version.clone());
            let wanted: Vec<_> = package.manifest.dependencies.clone().into_iter().collect();
            self.known.insert(own.clone());
            next += 1;
            for (id, version) in wanted {
                if is_built_in(&id, &version) || !self.known.insert((id.clone(), version.clone())) {
                    continue;
                }
                if self.known.len() > MOST_PACKAGES {
                    bail!("the package {spec} depends on more than {MOST_PACKAGES} packages");
                }
                match self.open(&id, &version, folder) {
                    Ok(Some((place, package))) => {
                        let read = (package.manifest.name.clone(), package.manifest.version.clone());
                        if read == (id, version) || self.known.insert(read) {
                            found.push((place, package));
                        }
                    }
                    Ok(None) => self.warnings.push(missing(&own, &id, &version)),
                    Err(error) => self.warnings.push(format!(
                        "{}#{} depends on {id}#{version}, which can't be used: {error:#}",
                        own.0, own.1
                    )),
                }
            }
        }
        found.reverse();
        Ok(found)
    }

    /// A dependency from the folder that the package lies in or from the cache; `None` where neither has it.
    fn open(&self, id: &str, version: &str, folder: Option<&Path>) -> Result<Option<(String, Package)>> {
        let names = [format!("{id}#{version}.tgz"), format!("{id}-{version}.tgz")];
        let beside =
            folder.and_then(|folder| names.iter().map(|name| folder.join(name)).find(|file| file.is_file()));
        let place = match (beside, self.cache.and_then(|cache| cached_version(cache, id, version))) {
            (Some(file), _) => file.display().to_string(),
            (None, Some(cached)) => format!("{id}#{cached}"),
            (None, None) => return Ok(None),
        };
        let package = Package::open(&place, self.cache, &PackageLimits::default())?;
        Ok(Some((place, package)))
    }
}

/// Where a package is there in several versions, each package means the versions that it depends on.
fn side_by_side(packages: &mut [(String, Package)]) {
    let mut ids = BTreeSet::new();
    let twice = packages.iter().any(|(_, package)| !ids.insert(package.manifest.name.clone()));
    if !twice {
        return;
    }
    let own: Vec<Versions> = packages.iter().map(|(_, package)| package.canonicals()).collect();
    let manifests: Vec<Manifest> = packages.iter().map(|(_, package)| package.manifest.clone()).collect();
    for (at, (_, package)) in packages.iter_mut().enumerate() {
        let mut meant = Versions::new();
        for number in reached(&manifests, at) {
            for (url, version) in own.get(number).into_iter().flatten() {
                meant.entry(url.clone()).or_insert_with(|| version.clone());
            }
        }
        let others = own.iter().flatten();
        let several: BTreeSet<&String> = others
            .filter(|(url, version)| meant.get(*url).is_some_and(|own| own != *version))
            .map(|(url, _)| url)
            .collect();
        meant.retain(|url, _| several.contains(url));
        package.pin(&meant);
    }
}

/// The packages that one depends on, itself first, nearer ones before farther ones.
fn reached(manifests: &[Manifest], from: usize) -> Vec<usize> {
    let mut reached = vec![from];
    let mut next = 0;
    while let Some(manifest) = reached.get(next).and_then(|&number| manifests.get(number)) {
        for (id, version) in &manifest.dependencies {
            let fits = |own: &Manifest| own.name == *id && version_meant(version, &own.version);
            let newest = (0..manifests.len())
                .filter(|&number| manifests.get(number).is_some_and(fits) && !reached.contains(&number))
                .max_by(|&a, &b| {
                    let version = |number: usize| manifests.get(number).map_or("", |it| it.version.as_str());
                    compare_versions(version(a), version(b))
                });
            reached.extend(newest);
        }
        next += 1;
    }
    reached
}

/// True for packages of FHIR R4 itself and for those that are built in in this version.
fn is_built_in(id: &str, version: &str) -> bool {
    let own = |manifest: &Manifest| manifest.name == id && manifest.version == version;
    id.starts_with("hl7.fhir.r4.") || built_in_packs().iter().any(|pack| own(pack.manifest()))
}

fn missing((id, version): &(String, String), needed: &str, wanted: &str) -> String {
    let instead =
        built_in_packs().iter().map(|pack| pack.manifest()).find(|manifest| manifest.name == needed);
    let end = match instead {
        Some(built_in) => format!("{needed}#{}, which is built in, is used instead", built_in.version),
        None => "profiles and value sets that need it can't be checked; get the package and run \
                 varco packages add"
            .to_owned(),
    };
    format!(
        "{id}#{version} depends on {needed}#{wanted}, which is neither beside it nor in the package cache: {end}"
    )
}

/// Adds the definition in a file, or those in a folder's own files.
fn add(
    builder: &mut DefinitionsBuilder,
    path: &Path,
    instances: &mut Vec<OwnedDocument>,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let shown = path.display();
    if !path.is_dir() {
        let text = std::fs::read(path).with_context(|| format!("{shown} can't be read"))?;
        let text = json(path, text)?;
        if builder.definition(&shown.to_string(), &text)? {
            return Ok(());
        }
        match instance(text) {
            Some(found) => instances.push(found),
            None => warnings.push(format!(
                "{shown} holds no definition (profile, value set, code system …) and no resource with an id: \
                 it has no effect"
            )),
        }
        return Ok(());
    }
    let unreadable = || format!("the folder {shown} can't be read");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(unreadable)? {
        files.push(entry.with_context(unreadable)?.path());
    }
    files.sort();
    let mut definitions = 0;
    for file in files {
        let named = |end: &str| file.extension().is_some_and(|own| own.eq_ignore_ascii_case(end));
        if file.is_file() && (named("json") || named("xml")) {
            let text = std::fs::read(&file).with_context(|| format!("{} can't be read", file.display()))?;
            definitions += usize::from(builder.definition(&file.display().to_string(), &json(&file, text)?)?);
        }
    }
    if definitions == 0 {
        bail!("the folder {shown} holds no definition (.json or .xml)");
    }
    Ok(())
}

/// A resource that references may lead to.
fn instance(text: Vec<u8>) -> Option<OwnedDocument> {
    let document = OwnedDocument::parse_json(text, &Limits::default()).ok()?;
    let named = document.root().resource_type().is_some() && document.root().str_of(name::ID).is_some();
    named.then_some(document)
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

#[cfg(test)]
#[path = "definitions_tests.rs"]
mod tests;
