//! Looking definitions up: packs in layers, later ones over earlier ones.
//!
//! Everything is read on first use and kept. A lookup of something already read takes no lock: it is a
//! binary search in each pack's index and one atomic load. Structures, code systems and search parameters
//! belong to their pack and are shared by all [`Definitions`] that hold it; value sets depend on the other
//! layers and are each one's own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, OnceLock};

use super::pack::version_fits;
use super::type_table::TypeTable;
use super::value_set::Sources;
use super::{
    BuildError, CaseRule, CodeSystem, Compartment, DefinitionError, EntryId, Keeping, Manifest, Pack, Package,
    PackBuilder, SearchParameter, StructureDefinition, StructureKind, ValueSet,
};
use crate::document::{Limits, OwnedDocument, Tape, Value, name};

/// Where FHIR's own structures live.
pub const STRUCTURE_BASE: &str = "http://hl7.org/fhir/StructureDefinition/";

/// Most value sets that reading one value set may read.
const MAX_VALUE_SETS: usize = 1_000;

/// The packs that this program was built with, in the order of their layers.
pub fn built_in_packs() -> &'static [Arc<Pack>] {
    static PACKS: LazyLock<Vec<Arc<Pack>>> = LazyLock::new(|| {
        // A test opens and verifies each; one that an altered program file holds is left out, and whatever
        // asks for its definitions does not find them.
        BUILT_IN.iter().filter_map(|bytes| Pack::open(*bytes).ok()).map(Arc::new).collect()
    });
    &PACKS
}

pub(super) const BUILT_IN: [&[u8]; 4] = [
    include_bytes!("../../data/r4.pack"),
    include_bytes!("../../data/terminology.pack"),
    include_bytes!("../../data/extensions.pack"),
    include_bytes!("../../data/ips.pack"),
];

/// The definitions in force: what is built in, and what the user brought.
#[derive(Debug)]
pub struct Definitions {
    layers: Vec<Arc<Layer>>,
    value_sets: Vec<OnceLock<Slots<Arc<ValueSet>>>>,
    types: OnceLock<TypeTable>,
}

type Slots<T> = Box<[OnceLock<Result<T, DefinitionError>>]>;

/// A pack and what has been read of it.
#[derive(Debug)]
struct Layer {
    pack: Arc<Pack>,
    read: OnceLock<Slots<Read>>,
}

/// A definition that depends on its own text only.
#[derive(Debug)]
enum Read {
    Structure(Arc<StructureDefinition>),
    CodeSystem(Arc<CodeSystem>),
    SearchParameter(Arc<SearchParameter>),
    Compartment(Arc<Compartment>),
}

impl Layer {
    fn new(pack: Arc<Pack>) -> Layer {
        Layer { pack, read: OnceLock::new() }
    }

    fn read(&self, entry: EntryId) -> Result<&Read, DefinitionError> {
        let slots = self.read.get_or_init(|| slots(self.pack.len()));
        let slot = slots.get(entry.index()).ok_or(DefinitionError::NotFound)?;
        slot.get_or_init(|| self.parse(entry, Read::of)).as_ref().map_err(Clone::clone)
    }

    fn parse<T>(
        &self,
        entry: EntryId,
        read: impl FnOnce(Value<'_>) -> Result<T, DefinitionError>,
    ) -> Result<T, DefinitionError> {
        let text = self.pack.text(entry).map_err(|error| DefinitionError::Pack(error.to_string()))?;
        let mut tape = Tape::new();
        let document = tape.parse_json(&text, &Limits::default()).map_err(DefinitionError::Syntax)?;
        read(document.root())
    }
}

impl Read {
    fn of(resource: Value<'_>) -> Result<Read, DefinitionError> {
        match resource.resource_type().as_deref() {
            Some("StructureDefinition") => {
                StructureDefinition::read(resource).map(|it| Read::Structure(Arc::new(it)))
            }
            Some("CodeSystem") => CodeSystem::read(resource).map(|it| Read::CodeSystem(Arc::new(it))),
            Some("SearchParameter") => {
                SearchParameter::read(resource).map(|it| Read::SearchParameter(Arc::new(it)))
            }
            Some("CompartmentDefinition") => {
                Compartment::read(resource).map(|it| Read::Compartment(Arc::new(it)))
            }
            _ => Err(DefinitionError::NotFound),
        }
    }
}

fn slots<T>(count: usize) -> Slots<T> {
    (0..count).map(|_| OnceLock::new()).collect()
}

/// A definition's place: layer and entry.
type Found = (usize, EntryId);

impl Definitions {
    /// FHIR R4 (4.0.1), HL7 Terminology, the extensions pack and the International Patient Summary, as
    /// built in. Always the same value: what it has read stays read.
    pub fn r4() -> Arc<Definitions> {
        static R4: LazyLock<Arc<Definitions>> =
            LazyLock::new(|| Arc::new(Definitions::of(DefinitionsBuilder::r4().layers)));
        Arc::clone(&R4)
    }

    fn of(layers: Vec<Arc<Layer>>) -> Definitions {
        let value_sets = layers.iter().map(|_| OnceLock::new()).collect();
        Definitions { layers, value_sets, types: OnceLock::new() }
    }

    /// Definitions over the built-in ones.
    pub fn builder() -> DefinitionsBuilder {
        DefinitionsBuilder::r4()
    }

    /// The packs, the first below the later ones.
    pub fn packs(&self) -> impl Iterator<Item = &Pack> {
        self.layers.iter().map(|layer| layer.pack.as_ref())
    }

    /// The structure with this canonical (`url` or `url|version`), or FHIR's own type of this bare name.
    ///
    /// `None` also where the definition can't be read: [`Definitions::try_structure`] tells.
    pub fn structure(&self, canonical: &str) -> Option<Arc<StructureDefinition>> {
        self.try_structure(canonical).ok().flatten()
    }

    /// The structure with this canonical, `None` where there is none.
    ///
    /// # Errors
    /// [`DefinitionError`] where there is one and it can't be read.
    pub fn try_structure(&self, canonical: &str) -> Result<Option<Arc<StructureDefinition>>, DefinitionError> {
        let bare = !canonical.contains([':', '/']);
        let own;
        let canonical = if bare {
            own = [STRUCTURE_BASE, canonical].concat();
            own.as_str()
        } else {
            canonical
        };
        self.typed("StructureDefinition", canonical, |read| match read {
            Read::Structure(it) => Some(Arc::clone(it)),
            _ => None,
        })
    }

    /// The canonicals of all profiles of a type, extensions' included for `Extension`; sorted.
    pub fn profiles_of(&self, type_name: &str) -> Vec<String> {
        let mut found = BTreeSet::new();
        for layer in &self.layers {
            for entry in layer.pack.with_facet("StructureDefinition", type_name) {
                if let Some(entry) = layer.pack.entry(entry).filter(|entry| entry.type_kind.is_none()) {
                    found.insert(entry.url);
                }
            }
        }
        found.into_iter().collect()
    }

    /// The code system with this canonical.
    pub fn code_system(&self, canonical: &str) -> Option<Arc<CodeSystem>> {
        let found = self.typed("CodeSystem", canonical, |read| match read {
            Read::CodeSystem(it) => Some(Arc::clone(it)),
            _ => None,
        });
        found.ok().flatten()
    }

    /// The value set with this canonical.
    ///
    /// `None` also where the definition can't be read: [`Definitions::try_value_set`] tells.
    pub fn value_set(&self, canonical: &str) -> Option<Arc<ValueSet>> {
        self.try_value_set(canonical).ok().flatten()
    }

    /// The value set with this canonical, `None` where there is none.
    ///
    /// # Errors
    /// [`DefinitionError`] where there is one and it can't be read.
    pub fn try_value_set(&self, canonical: &str) -> Result<Option<Arc<ValueSet>>, DefinitionError> {
        let Some(found) = self.find("ValueSet", canonical) else { return Ok(None) };
        let mut reading = Reading { definitions: self, open: Vec::new(), left: MAX_VALUE_SETS, cut: false };
        reading.read(found).map(Some)
    }

    /// The search parameters of a resource type: its own and those of the types it descends from.
    pub fn search_parameters(&self, type_name: &str) -> Vec<Arc<SearchParameter>> {
        let mut found: BTreeMap<String, Arc<SearchParameter>> = BTreeMap::new();
        let mut base = Some(type_name);
        while let Some(name) = base {
            for layer in &self.layers {
                for entry in layer.pack.with_facet("SearchParameter", name) {
                    if let Ok(Read::SearchParameter(it)) = layer.read(entry) {
                        found.insert(it.url.clone(), Arc::clone(it));
                    }
                }
            }
            base = self.types().base(name);
        }
        found.into_values().collect()
    }

    /// The search parameter with this canonical.
    pub fn search_parameter(&self, canonical: &str) -> Option<Arc<SearchParameter>> {
        let found = self.typed("SearchParameter", canonical, |read| match read {
            Read::SearchParameter(it) => Some(Arc::clone(it)),
            _ => None,
        });
        found.ok().flatten()
    }

    /// The compartment with this code: `Patient`, `Encounter`, `Practitioner` …
    pub fn compartment(&self, code: &str) -> Option<Arc<Compartment>> {
        let canonical = ["http://hl7.org/fhir/CompartmentDefinition/", &code.to_lowercase()].concat();
        let compartment = |read: &Read| match read {
            Read::Compartment(it) => Some(Arc::clone(it)),
            _ => None,
        };
        if let Ok(Some(found)) = self.typed("CompartmentDefinition", &canonical, compartment) {
            return Some(found);
        }
        let by_code = |layer: &Arc<Layer>| {
            let entries = layer.pack.with_facet("CompartmentDefinition", code);
            entries.into_iter().find_map(|entry| layer.read(entry).ok().and_then(compartment))
        };
        self.layers.iter().rev().find_map(by_code)
    }

    /// The definition with this canonical, of whatever type, as its text. Built-in ones are slimmed: they
    /// hold no narrative and no prose.
    pub fn resource(&self, canonical: &str) -> Option<OwnedDocument> {
        let (url, version) = split(canonical);
        let found = self.layers.iter().rev().find_map(|layer| {
            layer.pack.find_url(url, version).map(|entry| (layer, entry))
        });
        found.and_then(|(layer, entry)| text_of(layer, entry))
    }

    /// The definition of this type with this canonical, as its text.
    pub fn resource_of_type(&self, resource_type: &str, canonical: &str) -> Option<OwnedDocument> {
        let (layer, entry) = self.find(resource_type, canonical)?;
        text_of(self.layers.get(layer)?, entry)
    }

    /// The definition of this type with this resource id, as its text.
    pub fn resource_by_id(&self, resource_type: &str, id: &str) -> Option<OwnedDocument> {
        let found =
            self.layers.iter().rev().find_map(|it| Some((it, it.pack.find_id(resource_type, id)?)));
        found.and_then(|(layer, entry)| text_of(layer, entry))
    }

    /// The canonical URL of the code system that has this identifier (`urn:oid:2.16.840.1.113883.6.1`), by
    /// its own statement or that of a naming system.
    pub fn system_of_identifier(&self, identifier: &str) -> Option<String> {
        for layer in self.layers.iter().rev() {
            if let Some(entry) = layer.pack.with_facet("CodeSystem", identifier).first() {
                return layer.pack.entry(*entry).map(|entry| entry.url);
            }
        }
        // A naming system writes an OID bare.
        let bare = identifier.strip_prefix("urn:oid:").unwrap_or(identifier);
        for layer in self.layers.iter().rev() {
            for entry in layer.pack.with_facet("NamingSystem", bare) {
                let uri = text_of(layer, entry).and_then(|it| naming_uri(it.root()));
                if uri.is_some() {
                    return uri;
                }
            }
        }
        None
    }

    /// The canonicals of all definitions of a type, sorted.
    pub fn canonicals(&self, resource_type: &str) -> Vec<String> {
        let mut found = BTreeSet::new();
        for layer in &self.layers {
            let entries = layer.pack.of_type(resource_type).filter_map(|entry| layer.pack.entry(entry));
            found.extend(entries.map(|entry| entry.url).filter(|url| !url.is_empty()));
        }
        found.into_iter().collect()
    }

    /// The names of all types, abstract ones included, sorted: primitives, datatypes, resources; not logical
    /// models.
    pub fn type_names(&self) -> impl Iterator<Item = &str> {
        self.types().names()
    }

    /// What kind of type this is; `None` for a name that is not a type's.
    pub fn type_kind(&self, name: &str) -> Option<StructureKind> {
        self.types().kind(name)
    }

    /// True for the name of a resource type that instances can have: not for `Resource` or `DomainResource`.
    pub fn is_resource(&self, name: &str) -> bool {
        self.types().is_resource(name)
    }

    /// True where type `name` is `of` or descends from it: `Patient` of `DomainResource`.
    pub fn is_subtype(&self, name: &str, of: &str) -> bool {
        self.types().is_subtype(name, of)
    }

    /// The type that a type descends from directly.
    pub fn base_type(&self, name: &str) -> Option<&str> {
        self.types().base(name)
    }

    fn types(&self) -> &TypeTable {
        self.types.get_or_init(|| TypeTable::of(self.packs()))
    }

    /// The uppermost layer that has the definition. Where a version is asked for, another one is not found.
    fn find(&self, resource_type: &str, canonical: &str) -> Option<Found> {
        let (url, version) = split(canonical);
        let layers = self.layers.iter().enumerate().rev();
        layers.into_iter().find_map(|(at, layer)| Some((at, layer.pack.find(resource_type, url, version)?)))
    }

    fn typed<T>(
        &self,
        resource_type: &str,
        canonical: &str,
        pick: impl FnOnce(&Read) -> Option<T>,
    ) -> Result<Option<T>, DefinitionError> {
        let Some((at, entry)) = self.find(resource_type, canonical) else { return Ok(None) };
        let Some(layer) = self.layers.get(at) else { return Ok(None) };
        layer.read(entry).map(pick)
    }
}

/// A value set being read, with those that wait for it.
struct Reading<'d> {
    definitions: &'d Definitions,
    open: Vec<Found>,
    left: usize,
    /// Something was left out because of where the reading began.
    cut: bool,
}

impl Reading<'_> {
    fn read(&mut self, found: Found) -> Result<Arc<ValueSet>, DefinitionError> {
        let (at, entry) = found;
        let layer = self.definitions.layers.get(at).ok_or(DefinitionError::NotFound)?;
        let slots = self.definitions.value_sets.get(at).ok_or(DefinitionError::NotFound)?;
        let slots = slots.get_or_init(|| slots_of(layer));
        let slot = slots.get(entry.index()).ok_or(DefinitionError::NotFound)?;
        if let Some(known) = slot.get() {
            return known.clone();
        }
        self.open.push(found);
        let read = layer.parse(entry, |resource| ValueSet::read(resource, self)).map(Arc::new);
        self.open.pop();
        // What a cycle or the bound cut short is whole only where the reading began.
        if self.cut && !self.open.is_empty() {
            return read;
        }
        slot.get_or_init(|| read).clone()
    }
}

fn slots_of(layer: &Layer) -> Slots<Arc<ValueSet>> {
    slots(layer.pack.len())
}

impl Sources for Reading<'_> {
    fn code_system(&mut self, url: &str, version: Option<&str>) -> Option<Arc<CodeSystem>> {
        let held = self.definitions.code_system(url)?;
        let fits = version.is_none_or(|asked| held.version.as_deref().is_some_and(|own| version_fits(own, asked)));
        if fits {
            return Some(held);
        }
        self.definitions.code_system(&[url, "|", version.unwrap_or_default()].concat())
    }

    fn case_rule(&mut self, url: &str) -> CaseRule {
        let found = self.definitions.find("CodeSystem", url);
        let layer = found.and_then(|(at, entry)| Some((self.definitions.layers.get(at)?, entry)));
        // A code system that isn't here says nothing, and codes are case sensitive unless it says otherwise.
        layer.map_or(CaseRule::Sensitive, |(layer, entry)| layer.pack.case_rule(entry))
    }

    fn value_set(&mut self, canonical: &str) -> Option<Arc<ValueSet>> {
        let found = self.definitions.find("ValueSet", canonical)?;
        if self.left == 0 || self.open.contains(&found) {
            self.cut = true;
            return None;
        }
        self.left -= 1;
        self.read(found).ok()
    }
}

/// Collects layers.
#[derive(Debug)]
pub struct DefinitionsBuilder {
    layers: Vec<Arc<Layer>>,
    loose: PackBuilder,
}

impl DefinitionsBuilder {
    /// No definitions at all.
    pub fn empty() -> DefinitionsBuilder {
        let manifest = Manifest { name: "loose definitions".to_owned(), version: "0".to_owned(), ..Manifest::default() };
        DefinitionsBuilder { layers: Vec::new(), loose: PackBuilder::new(manifest, Keeping::Whole) }
    }

    /// The built-in definitions.
    pub fn r4() -> DefinitionsBuilder {
        static LAYERS: LazyLock<Vec<Arc<Layer>>> =
            LazyLock::new(|| built_in_packs().iter().cloned().map(Layer::new).map(Arc::new).collect());
        DefinitionsBuilder { layers: LAYERS.clone(), ..DefinitionsBuilder::empty() }
    }

    /// Adds a pack over what is there.
    #[must_use]
    pub fn pack(mut self, pack: Pack) -> DefinitionsBuilder {
        self.layers.push(Arc::new(Layer::new(Arc::new(pack))));
        self
    }

    /// Adds a package over what is there.
    ///
    /// # Errors
    /// [`BuildError`] where a file is not JSON; the message names it.
    pub fn package(self, package: &Package) -> Result<DefinitionsBuilder, BuildError> {
        let bytes = PackBuilder::of_package(package, Keeping::Whole, || {})?.finish()?;
        Ok(self.pack(Pack::open(bytes)?))
    }

    /// Adds one definition, over all packages. `file` names it in errors. `false` where the resource is not
    /// a definition.
    ///
    /// # Errors
    /// [`BuildError::BadJson`].
    pub fn definition(&mut self, file: &str, json: &[u8]) -> Result<bool, BuildError> {
        self.loose.add(file, json)
    }

    /// The definitions.
    ///
    /// # Errors
    /// [`BuildError`] where the loose definitions are too large for one pack.
    pub fn build(self) -> Result<Definitions, BuildError> {
        let builder = if self.loose.is_empty() {
            self
        } else {
            let loose = Pack::open(self.loose.finish()?)?;
            DefinitionsBuilder { layers: self.layers, ..DefinitionsBuilder::empty() }.pack(loose)
        };
        Ok(Definitions::of(builder.layers))
    }
}

fn text_of(layer: &Layer, entry: EntryId) -> Option<OwnedDocument> {
    OwnedDocument::parse_json(layer.pack.text(entry).ok()?, &Limits::default()).ok()
}

fn naming_uri(naming: Value<'_>) -> Option<String> {
    let kind_fits = naming.get(name::KIND).is_some_and(|it| !it.is_str("root"));
    let ids = naming.get_key("uniqueId").filter(|_| kind_fits)?;
    let uris = || ids.items().filter(|it| it.get(name::TYPE).is_some_and(|kind| kind.is_str("uri")));
    let preferred = uris().find(|it| it.get_key("preferred").and_then(Value::as_bool) == Some(true));
    preferred.or_else(|| uris().next())?.str_of(name::VALUE).map(|it| it.into_owned())
}

/// URL and version of a canonical.
fn split(canonical: &str) -> (&str, Option<&str>) {
    match canonical.split_once('|') {
        Some((url, version)) => (url, Some(version)),
        None => (canonical, None),
    }
}

#[cfg(test)]
#[path = "definitions_tests.rs"]
mod tests;
