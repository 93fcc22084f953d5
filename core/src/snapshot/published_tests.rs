//! Snapshots made again from the differentials of published packages, and compared with those published.
//!
//! `FHIR_PACKAGES` names a folder with HL7's packages (`.tgz`); without it the test says that it was skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use fhir_models::definition::{Definitions, Package, PackageLimits};
use fhir_models::document::{Limits, OwnedDocument, name};
use serde_json::Value;

use super::snapshot;

/// What is compared of an element, by aspect.
pub(super) fn aspects(element: &Value) -> BTreeMap<&'static str, Value> {
    let mut all = BTreeMap::new();
    for key in ["path", "sliceName", "min", "max", "maxLength"] {
        all.insert(key, element[key].clone());
    }
    // Later tools write the structure's canonical before the `#`.
    let reference = element["contentReference"].as_str().map(|it| it.rsplit('#').next().unwrap_or_default());
    all.insert("contentReference", reference.map_or(Value::Null, Value::from));
    for key in ["mustSupport", "isModifier", "isSummary"] {
        all.insert(key, Value::Bool(element[key] == true));
    }
    all.insert("base", element["base"].clone());
    let slicing = element["slicing"].as_object().map(|it| {
        let discriminators: BTreeSet<String> = it
            .get("discriminator")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(Value::to_string)
            .collect();
        let ordered = it.get("ordered") == Some(&Value::Bool(true));
        Value::String(format!("{discriminators:?} {ordered} {}", it["rules"]))
    });
    all.insert("slicing", slicing.unwrap_or_default());
    let strings = |value: &Value| -> BTreeSet<String> {
        let urls = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        urls.map(unpinned).collect()
    };
    let types: BTreeSet<String> = element["type"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| format!("{} {:?} {:?}", it["code"], strings(&it["profile"]), strings(&it["targetProfile"])))
        .collect();
    all.insert("type", Value::String(format!("{types:?}")));
    let binding = &element["binding"];
    let value_set = binding["valueSet"].as_str().map(unpinned);
    all.insert("binding", Value::String(format!("{} {value_set:?}", binding["strength"])));
    let values = element
        .as_object()
        .unwrap()
        .iter()
        .filter(|(key, _)| super::element::choice_of(key).is_some_and(|stem| stem != "defaultValue"));
    let values: BTreeMap<_, _> = values.map(|(key, value)| (key, value.to_string())).collect();
    all.insert("values", Value::String(format!("{values:?}")));
    let constraints: BTreeSet<String> = element["constraint"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| format!("{} {} {}", it["key"], it["severity"], it["expression"]))
        .collect();
    all.insert("constraint", Value::String(format!("{constraints:?}")));
    all
}

/// Without the version that later tools write after canonicals of R4's own definitions.
fn unpinned(canonical: &str) -> String {
    canonical.strip_suffix("|4.0.1").unwrap_or(canonical).to_owned()
}

/// The elements of a snapshot by id, in order.
pub(super) fn elements(structure: &Value) -> Vec<(String, BTreeMap<&'static str, Value>)> {
    let list = structure["snapshot"]["element"].as_array().unwrap();
    list.iter().map(|it| (it["id"].as_str().unwrap().to_owned(), aspects(it))).collect()
}

#[derive(Default)]
struct Tally {
    structures: usize,
    alike: usize,
    elements: usize,
    equal: usize,
    failed: Vec<String>,
    differences: BTreeMap<&'static str, Vec<String>>,
}

impl Tally {
    fn compare(&mut self, url: &str, published: &Value, made: &Value) {
        let (published, made) = (elements(published), elements(made));
        let before = self.equal;
        self.structures += 1;
        self.elements += published.len();
        let own: BTreeMap<_, _> = made.iter().map(|(id, aspects)| (id, aspects)).collect();
        for (id, wanted) in &published {
            let Some(got) = own.get(id) else {
                self.differences.entry("absent").or_default().push(format!("{url} {id}"));
                continue;
            };
            let mut equal = true;
            for (aspect, wanted) in wanted {
                if got[aspect] != *wanted {
                    equal = false;
                    let text = format!("{url} {id}\n    published {wanted}\n    made      {}", got[aspect]);
                    self.differences.entry(aspect).or_default().push(text);
                }
            }
            self.equal += usize::from(equal);
        }
        let ids: BTreeSet<&String> = published.iter().map(|(id, _)| id).collect();
        for (id, _) in made.iter().filter(|(id, _)| !ids.contains(id)) {
            self.differences.entry("added").or_default().push(format!("{url} {id}"));
        }
        let order = |list: &[(String, BTreeMap<&'static str, Value>)]| {
            list.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>()
        };
        if order(&published) != order(&made) {
            self.differences.entry("order").or_default().push(url.to_owned());
        } else if self.equal - before == published.len() {
            self.alike += 1;
        }
    }
}

#[test]
fn published_snapshots_are_made_again() {
    let Some(folder) = std::env::var_os("FHIR_PACKAGES").map(PathBuf::from) else {
        println!("skipped: set FHIR_PACKAGES to a folder with FHIR packages (.tgz)");
        return;
    };
    let shown: usize = std::env::var("FHIR_SHOWN").ok().and_then(|it| it.parse().ok()).unwrap_or(3);
    for name_ in ["hl7.fhir.r4.core", "hl7.fhir.uv.ips", "hl7.fhir.uv.extensions.r4"] {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path()).collect();
        files.sort();
        let own = |it: &PathBuf| {
            let file = it.file_name().unwrap().to_string_lossy().into_owned();
            file.starts_with(&format!("{name_}-")) && file.ends_with(".tgz")
        };
        let Some(file) = files.into_iter().find(own) else { continue };
        let package = Package::open(&file.display().to_string(), None, &PackageLimits::default()).unwrap();
        let definitions = Definitions::builder().package(&package).unwrap().build().unwrap();
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        for file in &package.files {
            let Ok(document) = OwnedDocument::parse_json(&*file.bytes, &Limits::default()) else { continue };
            let root = document.root();
            if root.resource_type().as_deref() != Some("StructureDefinition")
                || root.get(name::SNAPSHOT).is_none()
            {
                continue;
            }
            let derivation = root.str_of(name::DERIVATION).unwrap_or_default().into_owned();
            if root.get(name::BASE_DEFINITION).is_none() {
                continue;
            }
            let tally = tallies.entry(derivation).or_default();
            let url = root.str_of(name::URL).unwrap().into_owned();
            let published: Value = serde_json::from_str(document.text()).unwrap();
            match snapshot(root, &definitions) {
                Ok(made) => {
                    let made: Value = serde_json::from_str(&made.json).unwrap();
                    tally.compare(url.rsplit('/').next().unwrap(), &published, &made);
                }
                Err(error) => tally.failed.push(error.to_string()),
            }
        }
        for (derivation, tally) in &tallies {
            println!(
                "{name_} {derivation}: {} structures, {} alike; {} elements, {} equal; {} failed",
                tally.structures,
                tally.alike,
                tally.elements,
                tally.equal,
                tally.failed.len()
            );
            for failed in tally.failed.iter().take(shown) {
                println!("  failed {failed}");
            }
            // What differs is understood: faults of the tools of the time (R4's blood pressure, catalog and three
            // others), slices that lack what is said of all repetitions, least numbers of sliced elements raised to the
            // sum of their slices' by later tools.
            assert!(tally.failed.is_empty(), "{:?}", tally.failed);
            if derivation == "constraint" {
                assert!(tally.equal * 100 >= tally.elements * 98, "{} of {}", tally.equal, tally.elements);
            }
            for (aspect, all) in &tally.differences {
                println!("  {aspect}: {}", all.len());
                for text in all.iter().take(shown) {
                    println!("    {text}");
                }
            }
        }
    }
}
