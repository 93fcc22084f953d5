//! Building packs: definitions in, one sorted and compressed file out.
//!
//! Invariant: the same definitions give the same bytes, whatever the order they were added in. Definitions
//! that are read together stand together: the datatypes, then every resource with the value sets that bind
//! it, so that one validation inflates few blocks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use sha2::{Digest, Sha256};

use super::pack_format::{
    CRC_AT, DIGEST_AT, FLAG_ABSTRACT, FLAG_CASE_INSENSITIVE, FLAG_CASE_SENSITIVE, FLAG_KIND_SHIFT, FLAG_TYPE, FORMAT, HEADER, MAGIC, SECTIONS, SECTIONS_AT,
    Section, TYPE_FACET, split_url,
};
use super::package::{Manifest, Package};
use super::PackError;
use super::slim::{KEPT_TYPES, slim};
use crate::document::{JsonWriter, Limits, SyntaxError, Tape, Value, name};

/// Inflated size at which a block is closed.
const BLOCK_TARGET: usize = 64 << 10;

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

/// Collects definitions and makes a pack of them.
#[derive(Debug)]
pub struct PackBuilder {
    manifest: Manifest,
    keeping: Keeping,
    tape: Tape,
    found: BTreeMap<SortKey, Definition>,
}

/// Type, URL, version in falling order, id: the index's order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct SortKey {
    prefix: String,
    rest: String,
    resource_type: String,
    version: std::cmp::Reverse<Vec<VersionPart>>,
    id: String,
}

/// Numbers sort as numbers, and before words: a release is newer than its ballots.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum VersionPart {
    Word(String),
    Number(u64),
}

#[derive(Debug)]
struct Definition {
    text: Vec<u8>,
    version: String,
    base: String,
    flags: u8,
    /// The type a structure defines or constrains.
    type_name: String,
    facets: Vec<String>,
    /// Canonicals it reads when it is used: required value sets, the code systems of a value set.
    needs: Vec<String>,
}

impl Definition {
    /// True for a structure that defines a type.
    fn is_type(&self) -> bool {
        !self.type_name.is_empty() && self.flags & FLAG_TYPE != 0
    }
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
    pub fn of_package(package: &Package, keeping: Keeping, mut step: impl FnMut()) -> Result<PackBuilder, BuildError> {
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
        let kept = KEPT_TYPES.contains(&resource_type.as_str());
        if kept {
            let url = text(root.str_of(name::URL));
            // R4 publishes some superseded tables under a URL with its version in it.
            let (url, version) = match url.split_once('|') {
                Some((url, version)) => (url, version.to_owned()),
                None => (url.as_str(), text(root.str_of(name::VERSION))),
            };
            let (prefix, rest) = split_url(url);
            let key = SortKey {
                prefix: prefix.to_owned(),
                rest: rest.to_owned(),
                resource_type,
                version: std::cmp::Reverse(version_order(&version)),
                id: text(root.str_of(name::ID)),
            };
            let held = match self.keeping {
                Keeping::Slim => slim(document),
                Keeping::Whole => json.to_vec(),
            };
            let definition = describe(root, &key, version, held);
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
        let blocks = self.blocks()?;
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
            let kind = u8::try_from(kind).map_err(|_| BuildError::TooLarge("more than 256 resource types"))?;
            entries.extend_from_slice(&prefix.to_le_bytes());
            entries.extend_from_slice(&[kind, definition.flags]);
            let place = blocks.places.get(key).copied().unwrap_or_default();
            let texts = [&key.rest, &key.id, &definition.version, &definition.base];
            for text in texts {
                entries.extend_from_slice(&strings.add(text)?.to_le_bytes());
            }
            for field in [place.block, place.offset, place.length] {
                entries.extend_from_slice(&field.to_le_bytes());
            }
            by_id.push((kind, key.id.as_str(), number));
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
        let sections: [Vec<u8>; SECTIONS] =
            [manifest, strings.bytes, types, prefixes, entries, by_id, facet_bytes, blocks.table, blocks.data];
        assemble(&sections)
    }

    /// Lays all texts into blocks.
    fn blocks(&self) -> Result<Blocks, BuildError> {
        let mut blocks = Blocks::default();
        let mut open = Vec::new();
        let mut group = 0;
        for (rank, key) in self.reading_order() {
            let Some(definition) = self.found.get(key) else { continue };
            if open.len() >= BLOCK_TARGET || (rank != group && !open.is_empty()) {
                blocks.close(&mut open, self.keeping)?;
            }
            group = rank;
            let too_large = |_| BuildError::TooLarge("more than 4 GiB of definitions");
            let place = Place {
                block: blocks.count,
                offset: u32::try_from(open.len()).map_err(too_large)?,
                length: u32::try_from(definition.text.len()).map_err(too_large)?,
            };
            open.extend_from_slice(&definition.text);
            blocks.places.insert(key.clone(), place);
        }
        if !open.is_empty() {
            blocks.close(&mut open, self.keeping)?;
        }
        Ok(blocks)
    }

    /// The definitions in the order in which programs read them, with the number of their group.
    fn reading_order(&self) -> Vec<(u8, &SortKey)> {
        let mut order = Order { builder: self, by_url: HashMap::new(), placed: BTreeSet::new(), list: Vec::new() };
        for key in self.found.keys() {
            order.by_url.entry([key.prefix.as_str(), &key.rest].concat()).or_default().push(key);
        }
        let types = |wanted: fn(&Definition) -> bool| {
            self.found.iter().filter(move |(_, it)| it.is_type() && wanted(it)).map(|(key, _)| key)
        };
        let is_resource = |it: &Definition| it.flags >> FLAG_KIND_SHIFT == 2;
        let common: Vec<_> =
            types(|it| it.flags >> FLAG_KIND_SHIFT != 2 || it.flags & FLAG_ABSTRACT != 0).collect();
        for key in &common {
            order.place(0, key);
        }
        for key in &common {
            order.place_needs(1, key);
        }
        for key in types(|_| true) {
            if self.found.get(key).is_some_and(is_resource) {
                order.place(2, key);
                order.place_needs(2, key);
            }
        }
        let of_type = |wanted: &'static str| self.found.keys().filter(move |key| key.resource_type == wanted);
        for key in of_type("StructureDefinition") {
            order.place(3, key);
        }
        for key in of_type("ValueSet") {
            order.place(4, key);
            order.place_needs(4, key);
        }
        for key in of_type("CodeSystem") {
            order.place(4, key);
        }
        let mut parameters: Vec<_> = of_type("SearchParameter").collect();
        parameters.sort_by_key(|key| self.found.get(key).map(|it| (it.facets.first(), *key)));
        for key in parameters {
            order.place(5, key);
        }
        for key in self.found.keys() {
            order.place(6, key);
        }
        order.list
    }
}

struct Order<'b> {
    builder: &'b PackBuilder,
    by_url: HashMap<String, Vec<&'b SortKey>>,
    placed: BTreeSet<&'b SortKey>,
    list: Vec<(u8, &'b SortKey)>,
}

impl<'b> Order<'b> {
    fn place(&mut self, rank: u8, key: &'b SortKey) -> bool {
        let fresh = self.placed.insert(key);
        if fresh {
            self.list.push((rank, key));
        }
        fresh
    }

    /// Places what a definition needs, and what that needs.
    fn place_needs(&mut self, rank: u8, key: &'b SortKey) {
        let mut waiting = vec![key];
        while let Some(key) = waiting.pop() {
            let Some(definition) = self.builder.found.get(key) else { continue };
            for need in &definition.needs {
                let url = need.split('|').next().unwrap_or_default();
                for needed in self.by_url.get(url).cloned().unwrap_or_default() {
                    if self.place(rank, needed) {
                        waiting.push(needed);
                    }
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    block: u32,
    offset: u32,
    length: u32,
}

#[derive(Default)]
struct Blocks {
    places: BTreeMap<SortKey, Place>,
    table: Vec<u8>,
    data: Vec<u8>,
    count: u32,
}

impl Blocks {
    fn close(&mut self, open: &mut Vec<u8>, keeping: Keeping) -> Result<(), BuildError> {
        let mut crc = Crc::new();
        crc.update(open);
        let packed = match keeping {
            Keeping::Whole => None,
            Keeping::Slim => {
                let mut deflate = DeflateEncoder::new(Vec::new(), Compression::best());
                deflate.write_all(open)?;
                Some(deflate.finish()?).filter(|packed| packed.len() < open.len())
            }
        };
        let packed = packed.as_deref().unwrap_or(open);
        let too_large = |_| BuildError::TooLarge("more than 4 GiB of definitions");
        let lengths = [self.data.len(), packed.len(), open.len()];
        for length in lengths {
            self.table.extend_from_slice(&u32::try_from(length).map_err(too_large)?.to_le_bytes());
        }
        self.table.extend_from_slice(&crc.sum().to_le_bytes());
        self.data.extend_from_slice(packed);
        self.count += 1;
        open.clear();
        Ok(())
    }
}

/// The strings of the index, each once.
struct Strings {
    bytes: Vec<u8>,
    known: HashMap<String, u32>,
}

impl Strings {
    fn new() -> Strings {
        Strings { bytes: vec![0, 0], known: HashMap::from([(String::new(), 0)]) }
    }

    fn add(&mut self, text: &str) -> Result<u32, BuildError> {
        if let Some(&at) = self.known.get(text) {
            return Ok(at);
        }
        let length =
            u16::try_from(text.len()).map_err(|_| BuildError::TooLarge("a URL or id above 64 KiB"))?;
        let at =
            u32::try_from(self.bytes.len()).map_err(|_| BuildError::TooLarge("4 GiB of URLs and ids"))?;
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
        self.known.insert(text.to_owned(), at);
        Ok(at)
    }
}

fn assemble(sections: &[Vec<u8>; SECTIONS]) -> Result<Vec<u8>, BuildError> {
    let mut out = vec![0; HEADER];
    let mut table = Vec::new();
    for section in sections {
        for field in [out.len(), section.len()] {
            let field =
                u32::try_from(field).map_err(|_| BuildError::TooLarge("more than 4 GiB of definitions"))?;
            table.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(section);
    }
    let data = sections.get(Section::Data as usize).map_or(0, Vec::len);
    let mut crc = Crc::new();
    crc.update(out.get(HEADER..out.len() - data).unwrap_or_default());
    let digest = Sha256::digest(out.get(HEADER..).unwrap_or_default());
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(slot) = out.get_mut(at..at + bytes.len()) {
            slot.copy_from_slice(bytes);
        }
    };
    put(0, MAGIC);
    put(MAGIC.len(), &FORMAT.to_le_bytes());
    put(CRC_AT, &crc.sum().to_le_bytes());
    put(DIGEST_AT, &digest);
    put(SECTIONS_AT, &table);
    Ok(out)
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
        json.member(name, version);
    }
    json.end_object().end_object();
    json.into_bytes()
}

/// What the index and the order of blocks need to know about a definition.
fn describe(root: Value<'_>, key: &SortKey, version: String, held: Vec<u8>) -> Definition {
    let mut definition = Definition {
        text: held,
        version,
        base: String::new(),
        flags: 0,
        type_name: String::new(),
        facets: Vec::new(),
        needs: Vec::new(),
    };
    let texts = |value: Option<Value<'_>>| -> Vec<String> {
        value.into_iter().flat_map(Value::items).filter_map(|it| Some(it.as_str()?.into_owned())).collect()
    };
    match key.resource_type.as_str() {
        "StructureDefinition" => {
            definition.base = text(root.str_of(name::BASE_DEFINITION));
            definition.type_name = text(root.str_of(name::TYPE));
            definition.facets.push(definition.type_name.clone());
            definition.flags = structure_flags(root);
            if definition.is_type() {
                definition.facets.push(TYPE_FACET.to_owned());
            }
            let elements = root.get(name::SNAPSHOT).and_then(|it| it.get(name::ELEMENT));
            for binding in elements.into_iter().flat_map(Value::items).filter_map(|it| it.get(name::BINDING)) {
                if binding.get(name::STRENGTH).is_some_and(|it| it.is_str("required")) {
                    definition.needs.extend(binding.str_of(name::VALUE_SET).map(|it| it.into_owned()));
                }
            }
        }
        "ValueSet" => {
            for include in root.path(&[name::COMPOSE, name::INCLUDE]) {
                let listed = include.get(name::CONCEPT).is_some();
                if !listed {
                    definition.needs.extend(include.str_of(name::SYSTEM).map(|it| it.into_owned()));
                }
                definition.needs.extend(texts(include.get(name::VALUE_SET)));
            }
        }
        "SearchParameter" => definition.facets = texts(root.get(name::BASE)),
        "CompartmentDefinition" => definition.facets = texts(root.get(name::CODE)),
        "CodeSystem" => {
            definition.flags = match root.get(name::CASE_SENSITIVE).and_then(Value::as_bool) {
                Some(true) => FLAG_CASE_SENSITIVE,
                Some(false) => FLAG_CASE_INSENSITIVE,
                None => 0,
            };
            let identifiers = root.path(&[name::IDENTIFIER, name::VALUE]);
            definition.facets = identifiers.into_iter().flat_map(|it| texts(Some(it))).collect();
        }
        "NamingSystem" => {
            let identifiers = root.get_key("uniqueId").into_iter().flat_map(Value::items);
            definition.facets = identifiers.flat_map(|it| texts(it.get(name::VALUE))).collect();
        }
        _ => {}
    }
    definition
}

fn structure_flags(root: Value<'_>) -> u8 {
    let kind = match root.str_of(name::KIND).as_deref() {
        Some("primitive-type") => 0,
        Some("complex-type") => 1,
        Some("resource") => 2,
        _ => 3,
    };
    let is_abstract = root.get(name::ABSTRACT).and_then(Value::as_bool) == Some(true);
    let is_type = !root.get(name::DERIVATION).is_some_and(|it| it.is_str("constraint"));
    kind << FLAG_KIND_SHIFT
        | if is_abstract { FLAG_ABSTRACT } else { 0 }
        | if is_type { FLAG_TYPE } else { 0 }
}

fn version_order(version: &str) -> Vec<VersionPart> {
    version
        .split(['.', '-', '_', '+'])
        .map(|part| part.parse().map_or_else(|_| VersionPart::Word(part.to_owned()), VersionPart::Number))
        .collect()
}

fn text(value: Option<std::borrow::Cow<'_, str>>) -> String {
    value.map(std::borrow::Cow::into_owned).unwrap_or_default()
}
