//! Building packs: definitions in, one sorted and compressed file out.
//!
//! Invariant: the same definitions give the same bytes, whatever the order they were added in.

use std::collections::{BTreeMap, BTreeSet};

use super::PackError;
use super::pack_definition::{Definition, SortKey, text};
use super::pack_format::SECTIONS;
use super::pack_layout::{Blocks, Strings, assemble};
use super::package::{Manifest, Package};
use super::slim::{KEPT_TYPES, slim};
use crate::document::{JsonWriter, Limits, SyntaxError, Tape, name};

/// Why a pack can't be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A definition is not JSON.
    #[error("{file} is not valid JSON: {cause}")]
    BadJson {
        /// The file.
        file: String,
        /// What is wrong with it.
        cause: SyntaxError,
    },
    /// The tables of the format are full.
    #[error("the package is too large for one pack: {0}; split it")]
    TooLarge(&'static str),
    /// The pack that was built can't be opened again.
    #[error(transparent)]
    Unusable(#[from] PackError),
    /// The compressor failed.
    #[error("a block can't be compressed: {0}")]
    Compression(#[from] std::io::Error),
}

/// How definitions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// Slimmed and deflated: for packs that are checked in or shipped.
    Slim,
    /// Whole and as they are: for packages a user brings, which are read once and at once.
    Whole,
}

/// Types that describe data too, and that only users bring.
const BROUGHT_TYPES: &[&str] =
    &["ActivityDefinition", "ImplementationGuide", "Library", "Measure", "PlanDefinition", "Questionnaire"];

/// Collects definitions and makes a pack of them.
#[derive(Debug)]
pub struct PackBuilder {
    manifest: Manifest,
    keeping: Keeping,
    tape: Tape,
    found: BTreeMap<SortKey, Definition>,
}

impl PackBuilder {
    /// An empty pack of the package that `manifest` describes.
    pub fn new(manifest: Manifest, keeping: Keeping) -> PackBuilder {
        PackBuilder { manifest, keeping, tape: Tape::new(), found: BTreeMap::new() }
    }

    /// The definitions of a whole package. `step` is called after each file.
    ///
    /// # Errors
    /// [`BuildError::BadJson`] for a file that is not JSON.
    pub fn of_package(
        package: &Package,
        keeping: Keeping,
        mut step: impl FnMut(),
    ) -> Result<PackBuilder, BuildError> {
        let mut builder = PackBuilder::new(package.manifest.clone(), keeping);
        for file in &package.files {
            builder.add(&file.name, &file.bytes)?;
            step();
        }
        Ok(builder)
    }

    /// How many definitions it holds.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// True where it holds none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Adds one definition; `false` where the resource describes nothing (an example, a guide). Of two with
    /// the same type, URL and version the later one stays.
    ///
    /// # Errors
    /// [`BuildError::BadJson`].
    pub fn add(&mut self, file: &str, json: &[u8]) -> Result<bool, BuildError> {
        let json = json.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(json);
        let mut tape = std::mem::take(&mut self.tape);
        let document = tape
            .parse_json(json, &Limits::default())
            .map_err(|cause| BuildError::BadJson { file: file.to_owned(), cause })?;
        let root = document.root();
        let resource_type = text(root.resource_type());
        let whole = self.keeping == Keeping::Whole && BROUGHT_TYPES.contains(&resource_type.as_str());
        let kept = whole || KEPT_TYPES.contains(&resource_type.as_str());
        if kept {
            let url = text(root.str_of(name::URL));
            // R4 publishes some superseded tables under a URL with its version in it.
            let (url, version) = match url.split_once('|') {
                Some((url, version)) => (url, version.to_owned()),
                None => (url.as_str(), text(root.str_of(name::VERSION))),
            };
            let key = SortKey::new(resource_type, url, &version, &text(root.str_of(name::ID)));
            let held = match self.keeping {
                Keeping::Slim => slim(document),
                Keeping::Whole => json.to_vec(),
            };
            let definition = Definition::describe(root, &key, version, held);
            self.found.insert(key, definition);
        }
        self.tape = tape;
        Ok(kept)
    }

    /// The pack's bytes.
    ///
    /// # Errors
    /// [`BuildError::TooLarge`] beyond what the format can number.
    pub fn finish(self) -> Result<Vec<u8>, BuildError> {
        let blocks = Blocks::lay(&self.found, self.keeping)?;
        let mut strings = Strings::new();
        let prefixes: BTreeSet<&str> = self.found.keys().map(|key| key.prefix.as_str()).collect();
        let types: BTreeSet<&str> = self.found.keys().map(|key| key.resource_type.as_str()).collect();
        let prefixes: Vec<&str> = prefixes.into_iter().collect();
        let types: Vec<&str> = types.into_iter().collect();
        let mut entries = Vec::new();
        let mut by_id = Vec::new();
        let mut facets = BTreeSet::new();
        for (number, (key, definition)) in (0u32..).zip(&self.found) {
            let prefix = prefixes.binary_search(&key.prefix.as_str()).unwrap_or_default();
            let kind = types.binary_search(&key.resource_type.as_str()).unwrap_or_default();
            let prefix =
                u16::try_from(prefix).map_err(|_| BuildError::TooLarge("more than 65,536 URL prefixes"))?;
            let kind =
                u8::try_from(kind).map_err(|_| BuildError::TooLarge("more than 256 resource types"))?;
            entries.extend_from_slice(&prefix.to_le_bytes());
            entries.extend_from_slice(&[kind, definition.flags]);
            let place = blocks.places.get(key).copied().unwrap_or_default();
            let texts = [&key.rest, &definition.id, &definition.version, &definition.base];
            for text in texts {
                entries.extend_from_slice(&strings.add(text)?.to_le_bytes());
            }
            for field in [place.block, place.offset, place.length] {
                entries.extend_from_slice(&field.to_le_bytes());
            }
            by_id.push((kind, definition.id.as_str(), number));
            for facet in &definition.facets {
                facets.insert((kind, facet.as_str(), number));
            }
        }
        by_id.sort_unstable();
        let mut facet_bytes = Vec::new();
        for (kind, facet, number) in facets {
            for field in [u32::from(kind), strings.add(facet)?, number] {
                facet_bytes.extend_from_slice(&field.to_le_bytes());
            }
        }
        let mut table = |texts: &[&str]| -> Result<Vec<u8>, BuildError> {
            let mut bytes = Vec::new();
            for text in texts {
                bytes.extend_from_slice(&strings.add(text)?.to_le_bytes());
            }
            Ok(bytes)
        };
        let types = table(&types)?;
        let prefixes = table(&prefixes)?;
        let by_id = by_id.iter().flat_map(|(_, _, number)| number.to_le_bytes()).collect();
        let manifest = manifest_json(&self.manifest);
        let sections: [Vec<u8>; SECTIONS] = [
            manifest,
            strings.bytes,
            types,
            prefixes,
            entries,
            by_id,
            facet_bytes,
            blocks.table,
            blocks.data,
        ];
        assemble(&sections)
    }
}

fn manifest_json(manifest: &Manifest) -> Vec<u8> {
    let mut json = JsonWriter::new();
    json.begin_object().member("name", &manifest.name).member("version", &manifest.version);
    json.optional("title", manifest.title.as_deref())
        .optional("license", manifest.license.as_deref())
        .optional("canonical", manifest.canonical.as_deref());
    json.key("fhirVersions").begin_array();
    for version in &manifest.fhir_versions {
        json.string(version);
    }
    json.end_array().key("dependencies").begin_object();
    for (name, version) in &manifest.dependencies {
        json.key_of(name).string(version);
    }
    json.end_object().end_object();
    json.into_bytes()
}
