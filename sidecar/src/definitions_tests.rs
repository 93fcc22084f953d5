//! Packages as people keep them: archives, folders, a cache, several versions at once.
#![allow(clippy::unwrap_used)]

use std::fs;

use varco_core::validation::Validator;

use super::*;

/// A profile of Patient that asks for an element.
fn profile(name: &str, version: &str, base: &str, element: &str) -> String {
    format!(
        r#"{{"resourceType":"StructureDefinition","url":"http://example.it/fhir/{name}","version":"{version}",
        "name":"{name}","status":"active","kind":"resource","abstract":false,"type":"Patient",
        "derivation":"constraint","baseDefinition":"{base}","differential":{{"element":[
        {{"id":"Patient.{element}","path":"Patient.{element}","min":1}}]}}}}"#
    )
}

const PATIENT: &str = "http://hl7.org/fhir/StructureDefinition/Patient";

/// An unpacked package in `folder`.
fn package(folder: &Path, id: &str, version: &str, dependencies: &str, files: &[(&str, String)]) -> PathBuf {
    let place = folder.join(format!("{id}#{version}")).join("package");
    fs::create_dir_all(&place).unwrap();
    let manifest = format!(r#"{{"name":"{id}","version":"{version}","dependencies":{{{dependencies}}}}}"#);
    fs::write(place.join("package.json"), manifest).unwrap();
    for (name, text) in files {
        fs::write(place.join(name), text).unwrap();
    }
    place
}

fn gathered(specs: &[&str], cache: &Path) -> Gathered {
    let specs: Vec<String> = specs.iter().map(|spec| (*spec).to_owned()).collect();
    gather_with(&specs, &[], None, Some(cache)).unwrap()
}

/// What is missing in a Patient with these members, by this profile.
fn asked(definitions: &Arc<Definitions>, canonical: &str, members: &str) -> Vec<String> {
    let validator = Validator::new(Arc::clone(definitions)).with_profile(canonical);
    let text = format!(r#"{{"resourceType":"Patient","id":"x"{members}}}"#);
    validator.validate_bytes(text.as_bytes()).issues.into_iter().map(|issue| issue.message).collect()
}

#[test]
fn a_package_brings_what_it_depends_on_from_the_cache() {
    let cache = tempfile::tempdir().unwrap();
    let base = profile("Base", "1.4.0", PATIENT, "birthDate");
    package(cache.path(), "it.base", "1.4.0", "", &[("a.json", base)]);
    let middle = r#""it.base":"1.x","hl7.fhir.r4.core":"4.0.1","it.absent":"2.0.0""#;
    package(cache.path(), "it.middle", "1.0.0", middle, &[]);
    let guide = profile("Guide", "3.0.0", "http://example.it/fhir/Base", "gender");
    package(cache.path(), "it.guide", "3.0.0", r#""it.middle":"1.0.0""#, &[("g.json", guide)]);
    let gathered = gathered(&["it.guide#3.0.0"], cache.path());
    let found = asked(&gathered.definitions, "http://example.it/fhir/Guide", "");
    assert!(found.iter().any(|it| it.contains("birthDate")) && found.iter().any(|it| it.contains("gender")));
    let [warning] = gathered.warnings.as_slice() else { panic!("{:?}", gathered.warnings) };
    assert!(warning.starts_with("it.middle#1.0.0 depends on it.absent#2.0.0, which is neither"), "{warning}");
    assert!(warning.ends_with("varco packages add"), "{warning}");
}

#[test]
fn a_dependency_that_is_built_in_in_another_version_is_told() {
    let cache = tempfile::tempdir().unwrap();
    package(
        cache.path(),
        "it.guide",
        "1.0.0",
        r#""hl7.terminology.r4":"0.0.1","hl7.fhir.uv.ips":"2.0.0""#,
        &[],
    );
    let gathered = gathered(&["it.guide#1.0.0"], cache.path());
    assert_eq!(gathered.warnings.len(), 1, "{:?}", gathered.warnings);
    assert!(gathered.warnings.iter().all(|it| it.contains("is built in, is used instead")));
}

#[test]
fn packages_that_depend_on_each_other_end() {
    let cache = tempfile::tempdir().unwrap();
    package(cache.path(), "it.a", "1.0.0", r#""it.b":"1.0.0""#, &[]);
    package(cache.path(), "it.b", "1.0.0", r#""it.a":"1.0.0","it.b":"latest""#, &[]);
    let gathered = gathered(&["it.a#1.0.0", "it.b#1.0.0"], cache.path());
    assert_eq!(gathered.warnings, Vec::<String>::new());
}

#[test]
fn several_versions_stand_side_by_side() {
    let cache = tempfile::tempdir().unwrap();
    for (version, element) in [("1.0.0", "birthDate"), ("1.2.0", "gender"), ("2.0.0", "name")] {
        let own = profile("P", version, PATIENT, element);
        package(cache.path(), "it.guide", version, "", &[("p.json", own)]);
    }
    let gathered = gathered(&["it.guide#2.0.0", "it.guide#1.0.0", "it.guide#1.2.0"], cache.path());
    for (canonical, element) in [
        ("http://example.it/fhir/P|1.0.0", "birthDate"),
        ("http://example.it/fhir/P|1.0", "birthDate"),
        ("http://example.it/fhir/P|1.2.0", "gender"),
        ("http://example.it/fhir/P|2.0.0", "name"),
        ("http://example.it/fhir/P|2", "name"),
    ] {
        let found = asked(&gathered.definitions, canonical, "");
        assert!(found.len() == 1 && found.iter().all(|it| it.contains(element)), "{canonical}: {found:?}");
    }
    let found = asked(&gathered.definitions, "http://example.it/fhir/P|3.0.0", "");
    assert!(found.iter().any(|it| it.contains("at hand")), "{found:?}");
}

#[test]
fn the_profiles_of_a_version_build_on_those_of_that_version() {
    let cache = tempfile::tempdir().unwrap();
    for (version, element) in [("1.0.0", "birthDate"), ("2.0.0", "name")] {
        let base = profile("Base", version, PATIENT, element);
        let guide = profile("Guide", version, "http://example.it/fhir/Base", "gender");
        package(cache.path(), "it.guide", version, "", &[("b.json", base), ("g.json", guide)]);
    }
    for specs in [["it.guide#1.0.0", "it.guide#2.0.0"], ["it.guide#2.0.0", "it.guide#1.0.0"]] {
        let gathered = gathered(&specs, cache.path());
        for (version, element) in [("1.0.0", "birthDate"), ("2.0.0", "name")] {
            let canonical = format!("http://example.it/fhir/Guide|{version}");
            let found = asked(&gathered.definitions, &canonical, r#","gender":"male""#);
            assert!(
                found.len() == 1 && found.iter().all(|it| it.contains(element)),
                "{specs:?} {canonical}: {found:?}"
            );
        }
    }
}

#[test]
fn a_package_means_the_version_that_it_depends_on() {
    let cache = tempfile::tempdir().unwrap();
    for (version, element) in [("1.0.0", "birthDate"), ("2.0.0", "name")] {
        let base = profile("Base", version, PATIENT, element);
        package(cache.path(), "it.base", version, "", &[("b.json", base)]);
    }
    for (id, wanted) in [("it.old", "1.0.x"), ("it.new", "2.0.0")] {
        let name = id.replace("it.", "");
        let guide = profile(&name, "5.0.0", "http://example.it/fhir/Base", "gender");
        package(cache.path(), id, "5.0.0", &format!(r#""it.base":"{wanted}""#), &[("g.json", guide)]);
    }
    let gathered = gathered(&["it.old#5.0.0", "it.new#5.0.0"], cache.path());
    for (name, element) in [("old", "birthDate"), ("new", "name")] {
        let canonical = format!("http://example.it/fhir/{name}");
        let found = asked(&gathered.definitions, &canonical, r#","gender":"male""#);
        assert!(found.len() == 1 && found.iter().all(|it| it.contains(element)), "{name}: {found:?}");
    }
}

#[test]
fn a_folder_of_definitions_is_read_and_what_is_none_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.json"), profile("P", "1.0.0", PATIENT, "birthDate")).unwrap();
    fs::write(folder.path().join("patient.json"), r#"{"resourceType":"Patient"}"#).unwrap();
    fs::write(folder.path().join("readme.md"), "#").unwrap();
    let files = [folder.path().to_owned()];
    let gathered = gather_with(&[], &files, None, None).unwrap();
    assert_eq!(asked(&gathered.definitions, "http://example.it/fhir/P", "").len(), 1);
    let single = [folder.path().join("patient.json")];
    let gathered = gather_with(&[], &single, None, None).unwrap();
    assert!(gathered.warnings.iter().any(|it| it.contains("patient.json holds no definition")));
    fs::remove_file(folder.path().join("p.json")).unwrap();
    assert!(gather_with(&[], &files, None, None).unwrap_err().to_string().contains("holds no definition"));
}
