//! FHIR NPM packages: a gzipped tar, an unpacked folder, or an entry of a package cache.
//!
//! A package comes from outside and is read with bounds: on the number of entries, on the size of each and
//! of all together, counted while inflating, so that a small archive can't become a large memory. Only
//! regular files named `package/*.json` are read; a name with `..`, an absolute name, a link or a device is
//! passed over and never touches the file system. Form of a package: "FHIR NPM Package Specification".

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::document::{Limits, SyntaxError, Tape, Value, name};

/// The bounds on reading one package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackageLimits {
    /// Most entries in the archive or folder, of any kind.
    pub entries: usize,
    /// Largest single file, in bytes after inflating.
    pub file: u64,
    /// All bytes after inflating, those of passed-over entries included.
    pub total: u64,
}

impl Default for PackageLimits {
    /// 50,000 entries, 64 MiB a file, 512 MiB in all: above every package HL7 publishes.
    fn default() -> Self {
        PackageLimits { entries: 50_000, file: 64 << 20, total: 512 << 20 }
    }
}

/// Why a package can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// A file, folder or archive can't be read.
    #[error(
        "{place} can't be read: {cause}; check that it is a FHIR package (.tgz) or its folder, whole and readable"
    )]
    Unreadable {
        /// The file, folder or archive.
        place: String,
        /// What the system or the decompressor says.
        cause: io::Error,
    },
    /// More entries than allowed.
    #[error("the package holds more than {0} entries; it is damaged or hostile")]
    TooManyEntries(usize),
    /// A file larger than allowed.
    #[error("{file} in the package is larger than {limit} bytes")]
    FileTooLarge {
        /// The entry.
        file: String,
        /// The bound in bytes.
        limit: u64,
    },
    /// More data than allowed.
    #[error("the package inflates to more than {0} bytes; it is damaged or hostile")]
    TooLarge(u64),
    /// There is no `package/package.json`.
    #[error("the package has no package/package.json; this is not a FHIR package")]
    NoManifest,
    /// `package.json` is not JSON.
    #[error("package.json is not valid JSON: {0}")]
    BadManifest(SyntaxError),
    /// `package.json` lacks what every package must say.
    #[error("package.json lacks `{0}`, which every FHIR package must state")]
    IncompleteManifest(&'static str),
    /// Not `id#version`.
    #[error("`{0}` names no package: give a .tgz file, a folder, or id#version of a package in the cache")]
    BadName(String),
    /// No cache folder is known.
    #[error("`{0}` names a package of the cache, but no package cache folder is known; give the .tgz file")]
    NoCache(String),
    /// An entry whose name leaves the package, or means different things to different systems.
    #[error("the package holds a file named {0}, which could leave its folder; it is damaged or hostile")]
    BadEntry(String),
    /// The cache can't be written.
    #[error("{place} can't be written: {cause}; check that the folder is writable and not full")]
    Unwritable {
        /// The file or folder.
        place: String,
        /// What the system says.
        cause: io::Error,
    },
    /// The cache does not hold it.
    #[error(
        "the package cache {cache} does not hold {name}; give the .tgz file or add it to the cache first"
    )]
    NotInCache {
        /// The package asked for.
        name: String,
        /// The cache folder.
        cache: String,
    },
}

/// What `package.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// Package name: `hl7.fhir.r4.core`.
    pub name: String,
    /// Package version: `4.0.1`.
    pub version: String,
    /// Canonical base of its resources.
    pub canonical: Option<String>,
    /// Title for people.
    pub title: Option<String>,
    /// SPDX licence id.
    pub license: Option<String>,
    /// FHIR versions it is made for.
    pub fhir_versions: Vec<String>,
    /// Packages it needs: name to version.
    pub dependencies: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads a `package.json`.
    ///
    /// # Errors
    /// [`PackageError::BadManifest`], or [`PackageError::IncompleteManifest`] without name or version.
    pub fn read(json: &[u8]) -> Result<Manifest, PackageError> {
        let mut tape = Tape::new();
        let json = json.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(json);
        let root = tape.parse_json(json, &Limits::default()).map_err(PackageError::BadManifest)?.root();
        let text = |value: Option<Value<'_>>| value.and_then(Value::as_str).map(|it| it.into_owned());
        let versions = root.get_key("fhirVersions").or_else(|| root.get_key("fhir-version-list"));
        let dependencies = root.get_key("dependencies");
        Ok(Manifest {
            name: text(root.get(name::NAME)).ok_or(PackageError::IncompleteManifest("name"))?,
            version: text(root.get(name::VERSION)).ok_or(PackageError::IncompleteManifest("version"))?,
            canonical: text(root.get_key("canonical")),
            title: text(root.get_key("title")),
            license: text(root.get_key("license")),
            fhir_versions: versions
                .into_iter()
                .flat_map(Value::items)
                .filter_map(|it| text(Some(it)))
                .collect(),
            dependencies: dependencies
                .into_iter()
                .flat_map(Value::children)
                .filter_map(|it| Some((it.key()?.into_owned(), text(Some(it))?)))
                .collect(),
        })
    }
}

/// A JSON file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFile {
    /// Its name inside the package: `StructureDefinition-Patient.json`.
    pub name: String,
    /// Its bytes, not parsed.
    pub bytes: Vec<u8>,
}

/// A package in memory: its manifest and its JSON files, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// What `package.json` says.
    pub manifest: Manifest,
    /// The files of the `package` folder itself; not those of its subfolders (examples, schemas).
    pub files: Vec<PackageFile>,
}

impl Package {
    /// Reads what `spec` names: a `.tgz` file, a folder, or `id#version` in the package `cache`.
    ///
    /// # Errors
    /// [`PackageError`]; the package is read whole or not at all.
    pub fn open(spec: &str, cache: Option<&Path>, limits: &PackageLimits) -> Result<Package, PackageError> {
        let path = Path::new(spec);
        if path.is_dir() {
            return Package::from_folder(path, limits);
        }
        if path.is_file() {
            let file = fs::File::open(path)
                .map_err(|cause| PackageError::Unreadable { place: spec.to_owned(), cause })?;
            return Package::from_tgz(io::BufReader::new(file), spec, limits);
        }
        if !spec.contains('#') {
            return Err(match fs::metadata(path) {
                Err(cause) if spec.contains(['/', '\\']) || spec.ends_with(".tgz") => {
                    PackageError::Unreadable { place: spec.to_owned(), cause }
                }
                _ => PackageError::BadName(spec.to_owned()),
            });
        }
        let cache = cache.ok_or_else(|| PackageError::NoCache(spec.to_owned()))?;
        Package::from_cache(cache, spec, limits)
    }

    /// Reads `id#version` from a package cache folder, as other FHIR tools fill it.
    ///
    /// # Errors
    /// [`PackageError`]; [`PackageError::BadName`] for a name that would leave the cache folder.
    pub fn from_cache(cache: &Path, spec: &str, limits: &PackageLimits) -> Result<Package, PackageError> {
        match spec.split_once('#') {
            Some((id, version)) if is_plain(id) && is_plain(version) => {}
            _ => return Err(PackageError::BadName(spec.to_owned())),
        }
        let folder = cache.join(spec);
        if !folder.is_dir() {
            return Err(PackageError::NotInCache {
                name: spec.to_owned(),
                cache: cache.display().to_string(),
            });
        }
        Package::from_folder(&folder, limits)
    }

    /// Reads an unpacked package: the folder that holds `package.json`, or the one that holds `package/`.
    ///
    /// # Errors
    /// [`PackageError`].
    pub fn from_folder(folder: &Path, limits: &PackageLimits) -> Result<Package, PackageError> {
        let inner = folder.join("package");
        let folder = if inner.join("package.json").is_file() { inner } else { folder.to_owned() };
        let mut reading = Reading::new(limits);
        let unreadable = |cause| PackageError::Unreadable { place: folder.display().to_string(), cause };
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            reading.allowance.entry()?;
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if !name.ends_with(".json") || !path.is_file() {
                continue;
            }
            let place = |cause| PackageError::Unreadable { place: path.display().to_string(), cause };
            let file = fs::File::open(&path).map_err(place)?;
            reading.file(name, file, &path.display().to_string())?;
        }
        reading.finish()
    }

    /// Reads a gzipped tar. `place` names it in errors.
    ///
    /// # Errors
    /// [`PackageError`].
    pub fn from_tgz(
        archive: impl Read,
        place: &str,
        limits: &PackageLimits,
    ) -> Result<Package, PackageError> {
        // The bound of the whole stands under the tar reader: entries that are passed over count too.
        let inflated = MultiGzDecoder::new(archive).take(limits.total.saturating_add(1));
        let mut archive = tar::Archive::new(inflated);
        let mut reading = Reading::new(limits);
        let result = reading.tar(&mut archive, place);
        if archive.into_inner().limit() == 0 {
            return Err(PackageError::TooLarge(limits.total));
        }
        result?;
        reading.finish()
    }
}

/// What of the bounds is used up.
pub(super) struct Allowance<'l> {
    pub limits: &'l PackageLimits,
    entries: usize,
    total: u64,
}

impl<'l> Allowance<'l> {
    pub fn new(limits: &'l PackageLimits) -> Allowance<'l> {
        Allowance { limits, entries: 0, total: 0 }
    }

    /// Counts an entry, whatever it is.
    pub fn entry(&mut self) -> Result<(), PackageError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(PackageError::TooManyEntries(self.limits.entries));
        }
        Ok(())
    }

    /// Reads a file whole. `name` and `place` are for errors.
    pub fn file(&mut self, name: &str, file: impl Read, place: &str) -> Result<Vec<u8>, PackageError> {
        let mut bytes = Vec::new();
        file.take(self.limits.file.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|cause| PackageError::Unreadable { place: place.to_owned(), cause })?;
        let size = bytes.len() as u64;
        if size > self.limits.file {
            return Err(PackageError::FileTooLarge { file: name.to_owned(), limit: self.limits.file });
        }
        self.total = self.total.saturating_add(size);
        if self.total > self.limits.total {
            return Err(PackageError::TooLarge(self.limits.total));
        }
        Ok(bytes)
    }
}

/// A package half read.
struct Reading<'l> {
    allowance: Allowance<'l>,
    manifest: Option<Manifest>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Reading<'_> {
    fn new(limits: &PackageLimits) -> Reading<'_> {
        Reading { allowance: Allowance::new(limits), manifest: None, files: BTreeMap::new() }
    }

    fn tar(&mut self, archive: &mut tar::Archive<impl Read>, place: &str) -> Result<(), PackageError> {
        let unreadable = |cause| PackageError::Unreadable { place: place.to_owned(), cause };
        for entry in archive.entries().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            self.allowance.entry()?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let Some(name) = entry.path().ok().and_then(|path| name_in_package(&path)) else { continue };
            self.file(&name, entry, place)?;
        }
        Ok(())
    }

    fn file(&mut self, name: &str, file: impl Read, place: &str) -> Result<(), PackageError> {
        let bytes = self.allowance.file(name, file, place)?;
        if name == "package.json" {
            self.manifest = Some(Manifest::read(&bytes)?);
        } else if !name.starts_with('.') {
            self.files.insert(name.to_owned(), bytes);
        }
        Ok(())
    }

    fn finish(self) -> Result<Package, PackageError> {
        let manifest = self.manifest.ok_or(PackageError::NoManifest)?;
        let files = self.files.into_iter().map(|(name, bytes)| PackageFile { name, bytes }).collect();
        Ok(Package { manifest, files })
    }
}

/// True for the id or version of a package that can be the name of a folder in any system.
pub(super) fn is_plain(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'@' | b'+');
    (1..=200).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(plain)
}

/// The file name of `package/NAME.json`; `None` for anything deeper, elsewhere or of another kind.
fn name_in_package(path: &Path) -> Option<String> {
    let mut steps = path.components().filter(|step| *step != Component::CurDir);
    let (Some(Component::Normal(folder)), Some(Component::Normal(file)), None) =
        (steps.next(), steps.next(), steps.next())
    else {
        return None;
    };
    let file = file.to_str()?;
    (folder == "package" && file.ends_with(".json")).then(|| file.to_owned())
}

/// The package cache of the user whose home folder this is: where FHIR tools keep unpacked packages.
pub fn cache_folder(home: &Path) -> PathBuf {
    home.join(".fhir").join("packages")
}

#[cfg(test)]
#[path = "package_tests.rs"]
mod tests;
