//! Packages as they come, damaged and hostile ones included.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

const MANIFEST: &str = r#"{"name":"it.example","version":"1.2.0","license":"CC0-1.0","canonical":"http://example.it/fhir",
    "fhirVersions":["4.0.1"],"dependencies":{"hl7.fhir.r4.core":"4.0.1"}}"#;
const PATIENT: &str = r#"{"resourceType":"StructureDefinition","url":"http://example.it/fhir/P"}"#;

/// A tar whose names are written as given, so that a test may use names no honest tool writes.
fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
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
    out
}

fn tgz_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(&tar_of(files)).unwrap();
    gz.finish().unwrap()
}

fn read(bytes: &[u8], limits: &PackageLimits) -> Result<Package, PackageError> {
    Package::from_tgz(bytes, "test.tgz", limits)
}

#[test]
fn a_package_gives_its_manifest_and_its_definitions_sorted() {
    let bytes = tgz_of(&[
        ("package/ValueSet-b.json", b"{}"),
        ("package/package.json", MANIFEST.as_bytes()),
        ("package/.index.json", b"{}"),
        ("package/StructureDefinition-P.json", PATIENT.as_bytes()),
        ("package/example/Patient-1.json", b"{}"),
        ("package/readme.md", b"hello"),
        ("./package/CodeSystem-a.json", b"{}"),
    ]);
    let package = read(&bytes, &PackageLimits::default()).unwrap();
    assert_eq!(package.manifest.name, "it.example");
    assert_eq!(package.manifest.license.as_deref(), Some("CC0-1.0"));
    assert_eq!(package.manifest.dependencies.get("hl7.fhir.r4.core").map(String::as_str), Some("4.0.1"));
    let names: Vec<_> = package.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["CodeSystem-a.json", "StructureDefinition-P.json", "ValueSet-b.json"]);
}

#[test]
fn names_that_leave_the_package_are_passed_over() {
    let bytes = tgz_of(&[
        ("package/package.json", MANIFEST.as_bytes()),
        ("package/../../etc/cron.json", b"{}"),
        ("/package/absolute.json", b"{}"),
        ("package/../evil.json", b"{}"),
        ("../package/evil.json", b"{}"),
    ]);
    let package = read(&bytes, &PackageLimits::default()).unwrap();
    assert!(package.files.is_empty(), "{:?}", package.files);
}

#[test]
fn a_link_is_passed_over() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "package/StructureDefinition-x.json", "/etc/passwd").unwrap();
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(&builder.into_inner().unwrap()).unwrap();
    assert!(matches!(read(&gz.finish().unwrap(), &PackageLimits::default()), Err(PackageError::NoManifest)));
}

#[test]
fn a_zip_bomb_stops_at_the_bound() {
    let zeros = vec![b' '; 8 << 20];
    let limits = PackageLimits { entries: 100, file: 1 << 20, total: 4 << 20 };
    let large = tgz_of(&[("package/package.json", MANIFEST.as_bytes()), ("package/big.json", &zeros)]);
    assert!(large.len() < 100_000, "the bomb is small: {}", large.len());
    assert!(matches!(read(&large, &limits), Err(PackageError::FileTooLarge { .. })));
    let passed_over = tgz_of(&[("package/other/big.bin", &zeros), ("package/package.json", b"{}")]);
    assert!(matches!(read(&passed_over, &limits), Err(PackageError::TooLarge(_))));
    let many: Vec<_> = (0..200).map(|_| ("package/a.json", &b"{}"[..])).collect();
    assert!(matches!(read(&tgz_of(&many), &limits), Err(PackageError::TooManyEntries(100))));
}

#[test]
fn a_truncated_archive_is_an_error_that_names_the_file() {
    let filling: Vec<u8> = (0..40_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let bytes = tgz_of(&[("package/package.json", MANIFEST.as_bytes()), ("package/a.json", &filling)]);
    let error = read(&bytes[..bytes.len() / 2], &PackageLimits::default()).unwrap_err();
    assert!(error.to_string().starts_with("test.tgz can't be read"), "{error}");
    assert!(read(b"not gzip at all", &PackageLimits::default()).is_err());
}

#[test]
fn a_package_without_a_usable_manifest_is_refused() {
    let none = tgz_of(&[("package/a.json", b"{}")]);
    assert!(matches!(read(&none, &PackageLimits::default()), Err(PackageError::NoManifest)));
    let broken = tgz_of(&[("package/package.json", b"{")]);
    assert!(matches!(read(&broken, &PackageLimits::default()), Err(PackageError::BadManifest(_))));
    let nameless = tgz_of(&[("package/package.json", b"{\"version\":\"1\"}")]);
    assert!(matches!(
        read(&nameless, &PackageLimits::default()),
        Err(PackageError::IncompleteManifest("name"))
    ));
}

#[test]
fn folder_and_cache_read_alike() {
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("it.example#1.2.0").join("package");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("package.json"), MANIFEST).unwrap();
    fs::write(folder.join("StructureDefinition-P.json"), PATIENT).unwrap();
    let limits = PackageLimits::default();
    let cached = Package::open("it.example#1.2.0", Some(cache.path()), &limits).unwrap();
    let direct = Package::open(folder.to_str().unwrap(), None, &limits).unwrap();
    assert_eq!(cached, direct);
    assert_eq!(cached.files.len(), 1);
    assert!(matches!(
        Package::open("it.example#9.9.9", Some(cache.path()), &limits),
        Err(PackageError::NotInCache { .. })
    ));
    assert!(matches!(
        Package::open("../it.example#1.2.0", Some(cache.path()), &limits),
        Err(PackageError::BadName(_))
    ));
    assert!(matches!(Package::open("a#1", None, &limits), Err(PackageError::NoCache(_))));
    assert!(matches!(Package::open("nothing", None, &limits), Err(PackageError::BadName(_))));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..2000), at in 0usize..2000) {
        let limits = PackageLimits { entries: 50, file: 1 << 16, total: 1 << 18 };
        let _ = read(&bytes, &limits);
        let mut good = tgz_of(&[("package/package.json", MANIFEST.as_bytes())]);
        if let (Some(slot), Some(byte)) = (good.get_mut(at), bytes.pop()) {
            *slot = byte;
        }
        let _ = read(&good, &limits);
    }
}
