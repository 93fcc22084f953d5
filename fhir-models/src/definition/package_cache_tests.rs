//! A cache that packages are added to, hostile ones included.
#![allow(clippy::unwrap_used)]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::super::Package;
use super::*;

const PROFILE: &str = r#"{"resourceType":"StructureDefinition","url":"http://example.it/fhir/P"}"#;

fn manifest(name: &str, version: &str) -> String {
    format!(r#"{{"name":"{name}","version":"{version}"}}"#)
}

/// A tar whose names are written as given, so that a test may use names no honest tool writes.
fn tgz(folder: &Path, files: &[(&str, &[u8])]) -> PathBuf {
    let mut out = Vec::new();
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    let path = folder.join("p.tgz");
    let mut gz = GzEncoder::new(fs::File::create(&path).unwrap(), Compression::fast());
    gz.write_all(&out).unwrap();
    gz.finish().unwrap();
    path
}

fn add(source: &Path, cache: &Path) -> Result<Cached, PackageError> {
    add_to_cache(source, cache, false, &PackageLimits::default())
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path.display().to_string());
        }
    }
    found.sort();
    found
}

#[test]
fn a_package_is_added_once_and_read_from_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("deep/cache");
    let manifest = manifest("it.example", "1.2.0");
    let source = tgz(
        folder.path(),
        &[
            ("package/package.json", manifest.as_bytes()),
            ("./package/StructureDefinition-P.json", PROFILE.as_bytes()),
            ("package/example/Patient-1.json", b"{}"),
            ("other/notes.txt", b"x"),
        ],
    );
    let added = add(&source, &cache).unwrap();
    assert_eq!((added.already, added.manifest.version.as_str()), (false, "1.2.0"));
    let limits = PackageLimits::default();
    let package = Package::from_cache(&cache, "it.example#1.2.0", &limits).unwrap();
    assert_eq!(package.files.len(), 1);
    assert!(added.folder.join("package/example/Patient-1.json").is_file());
    assert!(!added.folder.join("other").exists());
    assert!(add(&source, &cache).unwrap().already);
    fs::remove_file(added.folder.join("package/StructureDefinition-P.json")).unwrap();
    assert!(!add_to_cache(&source, &cache, true, &limits).unwrap().already);
    assert_eq!(Package::from_cache(&cache, "it.example#1.2.0", &limits).unwrap().files.len(), 1);
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 1, "nothing half done is left");
}

#[test]
fn a_folder_is_added_with_or_without_its_package_folder() {
    for inner in ["", "package"] {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("guide").join(inner);
        fs::create_dir_all(source.join("example")).unwrap();
        fs::write(source.join("package.json"), manifest("it.example", "2.0.0")).unwrap();
        fs::write(source.join("StructureDefinition-P.json"), PROFILE).unwrap();
        fs::write(source.join("example/Patient-città.json"), "{}").unwrap();
        let cache = folder.path().join("cache");
        add(&folder.path().join("guide"), &cache).unwrap();
        let package = Package::from_cache(&cache, "it.example#2.0.0", &PackageLimits::default()).unwrap();
        assert_eq!(package.files.len(), 1);
        assert_eq!(files(&cache).len(), 3, "{:?}", files(&cache));
    }
}

#[test]
fn names_that_leave_the_folder_end_the_unpacking_and_nothing_is_left() {
    for name in [
        "package/../../escaped.json",
        "../escaped.json",
        "/tmp/varco-escaped.json",
        "package/..\\escaped.json",
        "package/c:escaped.json",
        "package/a\u{1b}[31m.json",
        "package/1/2/3/4/5/6/7/8/9.json",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let manifest = manifest("it.example", "1.0.0");
        let source = tgz(folder.path(), &[("package/package.json", manifest.as_bytes()), (name, b"{}")]);
        let error = add(&source, &cache).unwrap_err();
        assert!(matches!(error, PackageError::BadEntry(_)), "{name}: {error}");
        assert!(!error.to_string().contains('\u{1b}'));
        assert_eq!(files(folder.path()), [source.display().to_string()], "{name}");
    }
}

#[test]
fn ids_that_are_no_folder_names_are_refused() {
    for (name, version) in [("../evil", "1.0.0"), ("a", "../1"), ("a/b", "1"), (".a", "1"), ("a", "1#2")] {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let manifest = manifest(name, version);
        let source = tgz(folder.path(), &[("package/package.json", manifest.as_bytes())]);
        assert!(matches!(add(&source, &cache), Err(PackageError::BadName(_))), "{name} {version}");
        assert_eq!(files(folder.path()).len(), 1);
    }
}

#[test]
fn bombs_and_what_is_no_package_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let zeros = vec![b' '; 8 << 20];
    let limits = PackageLimits { entries: 10, file: 1 << 20, total: 4 << 20 };
    let bomb = |files: &[(&str, &[u8])]| {
        add_to_cache(&tgz(folder.path(), files), &cache, false, &limits).unwrap_err()
    };
    assert!(matches!(bomb(&[("package/big.json", &zeros)]), PackageError::FileTooLarge { .. }));
    assert!(matches!(bomb(&[("other/big.bin", &zeros)]), PackageError::TooLarge(_)));
    let many = [("package/a.json", &b"{}"[..]); 11];
    assert!(matches!(bomb(&many), PackageError::TooManyEntries(10)));
    assert!(matches!(bomb(&[("package/a.json", b"{}")]), PackageError::NoManifest));
    fs::write(folder.path().join("x.tgz"), b"not gzip").unwrap();
    assert!(matches!(add(&folder.path().join("x.tgz"), &cache), Err(PackageError::Unreadable { .. })));
    assert!(matches!(add(&folder.path().join("none.tgz"), &cache), Err(PackageError::Unreadable { .. })));
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 0);
}

#[test]
fn a_dependency_may_ask_for_a_pattern() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a#1.2.0", "a#1.10.0", "a#1.10.1-ballot", "a#2.0.0", "b#9.0.0", ".adding-0"] {
        let package = folder.path().join(name).join("package");
        fs::create_dir_all(&package).unwrap();
        fs::write(package.join("package.json"), "{}").unwrap();
    }
    let version = |wanted: &str| cached_version(folder.path(), "a", wanted);
    assert_eq!(version("1.2.0").as_deref(), Some("1.2.0"));
    assert_eq!(version("1.x").as_deref(), Some("1.10.1-ballot"));
    assert_eq!(version("1.2.x").as_deref(), Some("1.2.0"));
    assert_eq!(version("latest").as_deref(), Some("2.0.0"));
    assert_eq!(version("3.x"), None);
    assert_eq!(version("1.1"), None);
    assert_eq!(
        cached_packages(folder.path()),
        ["a#1.2.0", "a#1.10.0", "a#1.10.1-ballot", "a#2.0.0", "b#9.0.0"]
    );
    assert_eq!(cached_packages(&folder.path().join("none")), Vec::<String>::new());
}
