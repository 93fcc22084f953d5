//! Published resources go from JSON to XML and back without loss.
//!
//! The resources are not part of this repository. `FHIR_PACKAGES` names a folder with FHIR packages (.tgz),
//! `FHIR_WORKLOAD` a folder with NDJSON files; without them the tests say that they were skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use fhir_models::definition::Definitions;
use fhir_models::document::xml::{DefinitionSchema, write_xml};
use fhir_models::document::{JsonWriter, Kind, Limits, Tape, Value};

/// A document with members sorted by name and texts escaped alike; numbers keep their digits.
fn canonical(value: Value<'_>, out: &mut JsonWriter) {
    match value.kind() {
        Kind::Object => {
            let members: BTreeMap<String, Value<'_>> =
                value.children().map(|child| (child.key().unwrap().into_owned(), child)).collect();
            out.begin_object();
            for (key, member) in members {
                out.key_of(&key);
                canonical(member, out);
            }
            out.end_object();
        }
        Kind::Array => {
            out.begin_array();
            value.children().for_each(|item| canonical(item, out));
            out.end_array();
        }
        Kind::String => {
            out.string(&value.as_str().unwrap());
        }
        _ => {
            out.raw(value.raw().as_bytes());
        }
    }
}

fn canonical_text(value: Value<'_>) -> Vec<u8> {
    let mut out = JsonWriter::new();
    canonical(value, &mut out);
    out.into_bytes()
}

/// What became of many resources.
#[derive(Default, Debug)]
struct Tally {
    same: usize,
    differ: Vec<String>,
    refused: BTreeMap<String, Vec<String>>,
}

impl Tally {
    fn round_trip(&mut self, name: &str, json: &[u8], schema: &DefinitionSchema) {
        let (mut first, mut second) = (Tape::new(), Tape::new());
        let json = json.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(json);
        let Ok(document) = first.parse_json(json, &Limits::default()) else {
            return self.refuse("not JSON", name);
        };
        if document.root().resource_type().is_none() {
            return;
        }
        let xml = match write_xml(document.root(), schema) {
            Ok(xml) => xml,
            Err(error) => {
                return self.refuse(&error.kind.to_string(), &format!("{name} {}", error.expression));
            }
        };
        let back = match second.parse_xml(xml.as_bytes(), schema, &Limits::default()) {
            Ok(back) => back,
            Err(error) => return self.differ.push(format!("{name}: {error}")),
        };
        self.compare(name, document.root(), back.root());
        assert_eq!(back.misplaced().len(), 0, "{name}");
    }

    fn compare(&mut self, name: &str, one: Value<'_>, other: Value<'_>) {
        if canonical_text(one) == canonical_text(other) {
            self.same += 1;
        } else {
            self.differ.push(name.to_owned());
        }
    }

    fn refuse(&mut self, why: &str, name: &str) {
        self.refused.entry(why.to_owned()).or_default().push(name.to_owned());
    }

    fn report(&self, what: &str) {
        let refused: usize = self.refused.values().map(Vec::len).sum();
        eprintln!("{what}: {} without loss, {} with, {refused} refused", self.same, self.differ.len());
        for (why, names) in &self.refused {
            eprintln!("  {} × {why}: {:?}", names.len(), &names[..names.len().min(3)]);
        }
        assert!(self.differ.is_empty(), "{:?}", &self.differ[..self.differ.len().min(10)]);
    }
}

fn folder(variable: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).map(PathBuf::from);
    if found.is_none() {
        eprintln!("skipped: set {variable}");
    }
    found
}

fn files(folder: PathBuf, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    found.sort();
    found
}

fn unpack(package: &PathBuf) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(std::fs::File::open(package).unwrap()));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(name, bytes);
    }
    files
}

fn is_resource(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or_default();
    name.ends_with(".json")
        && !file.starts_with('.')
        && file != "package.json"
        && !name.contains("/other/")
        && !name.contains("/openapi/")
}

#[test]
fn resources_of_packages_survive_xml() {
    let Some(folder) = folder("FHIR_PACKAGES") else { return };
    let schema = DefinitionSchema::new(Definitions::r4());
    for package in files(folder, ".tgz") {
        let (mut examples, mut definitions) = (Tally::default(), Tally::default());
        for (name, bytes) in unpack(&package).iter().filter(|(name, _)| is_resource(name)) {
            let tally = if name.contains("/example/") { &mut examples } else { &mut definitions };
            tally.round_trip(name, bytes, &schema);
        }
        let file = package.file_name().unwrap().to_string_lossy();
        definitions.report(&format!("{file}, definitions"));
        examples.report(&format!("{file}, examples"));
    }
}

#[test]
fn the_workload_survives_xml() {
    let Some(folder) = folder("FHIR_WORKLOAD") else { return };
    let schema = DefinitionSchema::new(Definitions::r4());
    for file in files(folder, ".ndjson") {
        let mut tally = Tally::default();
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            tally.round_trip(&format!("line {}", number + 1), line.as_bytes(), &schema);
        }
        tally.report(&file.file_name().unwrap().to_string_lossy());
    }
}
