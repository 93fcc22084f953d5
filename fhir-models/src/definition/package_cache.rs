//! The package cache: a folder that FHIR tools share, one unpacked package a subfolder `id#version`.
//!
//! What is added comes from outside: entries are counted and sized while they are written; a name that is absolute,
//! holds `..`, or could mean something else to another system ends the unpacking; links and devices are
//! passed over. Invariant: a package is unpacked beside its place and renamed into it, so that a reader meets the
//! whole of it or nothing.

use std::cmp::Ordering;
use std::fs;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::pack_definition::version_order;
use super::package::{Allowance, Manifest, PackageError, PackageLimits, is_plain};

/// Deepest folder in a package.
const DEEPEST: usize = 8;
/// Most packages that are unpacked into one cache at the same time, and most leftovers of broken attempts.
const AT_ONCE: usize = 100;

/// A package that is in the cache now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// What its `package.json` says.
    pub manifest: Manifest,
    /// Its folder in the cache.
    pub folder: PathBuf,
    /// True where the cache held it before and nothing was done.
    pub already: bool,
}

/// Adds a package, a `.tgz` file or the folder of an unpacked one, to a cache folder, which is made if it is
/// not there. A package of the same id and version stays as it is unless `replace`.
///
/// # Errors
/// [`PackageError`]; then the cache is as it was.
pub fn add_to_cache(
    source: &Path,
    cache: &Path,
    replace: bool,
    limits: &PackageLimits,
) -> Result<Cached, PackageError> {
    let unwritable = |place: &Path| {
        let place = place.display().to_string();
        move |cause| PackageError::Unwritable { place, cause }
    };
    fs::create_dir_all(cache).map_err(unwritable(cache))?;
    let half = Half::begin(cache)?;
    let mut unpacking = Unpacking { into: &half.0, allowance: Allowance::new(limits) };
    if source.is_dir() {
        let whole = source.join("package").join("package.json").is_file();
        unpacking.folder(source, Path::new(if whole { "" } else { "package" }))?;
    } else {
        unpacking.tgz(source)?;
    }
    let manifest = match fs::read(half.0.join("package").join("package.json")) {
        Ok(json) => Manifest::read(&json)?,
        Err(_) => return Err(PackageError::NoManifest),
    };
    if !is_plain(&manifest.name) || !is_plain(&manifest.version) {
        return Err(PackageError::BadName(format!("{}#{}", manifest.name, manifest.version)));
    }
    let folder = cache.join(format!("{}#{}", manifest.name, manifest.version));
    if folder.exists() {
        if !replace {
            return Ok(Cached { manifest, folder, already: true });
        }
        let old = Half::begin(cache)?;
        fs::rename(&folder, old.0.join("old")).map_err(unwritable(&folder))?;
    }
    fs::rename(&half.0, &folder).map_err(unwritable(&folder))?;
    Ok(Cached { manifest, folder, already: false })
}

/// The packages in a cache, as `id#version`, by id and rising version. Empty where there is no cache.
pub fn cached_packages(cache: &Path) -> Vec<String> {
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    let held = |name: &String| {
        let parts = name.split_once('#').filter(|(id, version)| is_plain(id) && is_plain(version));
        parts.is_some() && cache.join(name).join("package").join("package.json").is_file()
    };
    let mut found: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(held).collect();
    found.sort_by(|a, b| {
        let (a, b) = (a.split_once('#').unwrap_or_default(), b.split_once('#').unwrap_or_default());
        a.0.cmp(b.0).then_with(|| compare_versions(a.1, b.1))
    });
    found
}

/// The version in the cache that fits the one that a dependency asks for: that version, or the newest one where
/// a pattern (`1.2.x`) or `latest` is asked for.
pub fn cached_version(cache: &Path, id: &str, wanted: &str) -> Option<String> {
    let exact = format!("{id}#{wanted}");
    if is_plain(id) && is_plain(wanted) && cache.join(exact).is_dir() {
        return Some(wanted.to_owned());
    }
    let held = cached_packages(cache).into_iter().rev().filter_map(|name| {
        let (own, version) = name.split_once('#')?;
        (own == id && version_meant(wanted, version)).then(|| version.to_owned())
    });
    held.into_iter().next()
}

/// True where a dependency that asks for `wanted` (`1.2.0`, `1.2.x`, `latest`) means this version.
pub fn version_meant(wanted: &str, version: &str) -> bool {
    let prefix =
        ["x", "X", "*"].iter().find_map(|any| wanted.strip_suffix(any)).filter(|it| it.ends_with('.'));
    wanted == version
        || wanted == "latest"
        || wanted == "*"
        || prefix.is_some_and(|it| version.starts_with(it))
}

/// Which of two versions is the newer one: numbers as numbers, a ballot before its release.
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    version_order(a).cmp(&version_order(b))
}

/// A folder in the making: it goes when it is dropped, if nobody has renamed it.
struct Half(PathBuf);

impl Half {
    fn begin(cache: &Path) -> Result<Half, PackageError> {
        let mut refused = io::Error::from(io::ErrorKind::AlreadyExists);
        for number in 0..AT_ONCE {
            let path = cache.join(format!(".adding-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Half(path)),
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
                Err(cause) => {
                    refused = cause;
                    break;
                }
            }
        }
        Err(PackageError::Unwritable { place: cache.display().to_string(), cause: refused })
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        // What can't be removed now is passed over by every reader: its name is no package's.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A package on its way into a folder.
struct Unpacking<'a> {
    into: &'a Path,
    allowance: Allowance<'a>,
}

impl Unpacking<'_> {
    fn tgz(&mut self, source: &Path) -> Result<(), PackageError> {
        let place = source.display().to_string();
        let unreadable = |cause| PackageError::Unreadable { place: place.clone(), cause };
        let file = fs::File::open(source).map_err(unreadable)?;
        // The bound of the whole stands under the tar reader: entries that are passed over count too.
        let inflated =
            MultiGzDecoder::new(BufReader::new(file)).take(self.allowance.limits.total.saturating_add(1));
        let mut archive = tar::Archive::new(inflated);
        let result = self.tar(&mut archive, &place);
        if archive.into_inner().limit() == 0 {
            return Err(PackageError::TooLarge(self.allowance.limits.total));
        }
        result
    }

    fn tar(&mut self, archive: &mut tar::Archive<impl Read>, place: &str) -> Result<(), PackageError> {
        let unreadable = |cause| PackageError::Unreadable { place: place.to_owned(), cause };
        for entry in archive.entries().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            self.allowance.entry()?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let path = entry.path().map_err(unreadable)?.into_owned();
            let inside = inside(&path)?;
            // Packages hold nothing outside of `package` that a reader asks for.
            if inside.starts_with("package") && inside.components().count() > 1 {
                self.file(&inside, entry, place)?;
            }
        }
        Ok(())
    }

    /// Copies a folder; `to` is its place in the package.
    fn folder(&mut self, from: &Path, to: &Path) -> Result<(), PackageError> {
        let unreadable = |cause| PackageError::Unreadable { place: from.display().to_string(), cause };
        for entry in fs::read_dir(from).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            self.allowance.entry()?;
            let kind = entry.file_type().map_err(unreadable)?;
            let inside = inside(&to.join(entry.file_name()))?;
            if kind.is_dir() {
                self.folder(&entry.path(), &inside)?;
            } else if kind.is_file() && inside.starts_with("package") {
                let place = entry.path().display().to_string();
                let file = fs::File::open(entry.path())
                    .map_err(|cause| PackageError::Unreadable { place: place.clone(), cause })?;
                self.file(&inside, file, &place)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, inside: &Path, file: impl Read, place: &str) -> Result<(), PackageError> {
        let target = self.into.join(inside);
        let unwritable = |cause| PackageError::Unwritable { place: target.display().to_string(), cause };
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(unwritable)?;
        }
        let bytes = self.allowance.file(&inside.display().to_string(), file, place)?;
        fs::write(&target, bytes).map_err(unwritable)
    }
}

/// A path that stays inside, whatever system reads it.
fn inside(path: &Path) -> Result<PathBuf, PackageError> {
    let bad = || PackageError::BadEntry(path.display().to_string().escape_debug().take(200).collect());
    let mut inside = PathBuf::new();
    for step in path.components() {
        match step {
            Component::CurDir => {}
            Component::Normal(name) => {
                let name = name.to_str().ok_or_else(bad)?;
                if name.contains(['\\', ':', '\0']) || name.chars().any(char::is_control) {
                    return Err(bad());
                }
                inside.push(name);
            }
            _ => return Err(bad()),
        }
    }
    if inside.components().count() > DEEPEST { Err(bad()) } else { Ok(inside) }
}

#[cfg(test)]
#[path = "package_cache_tests.rs"]
mod tests;
