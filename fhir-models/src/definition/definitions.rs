//! Looking definitions up: packs in layers, later ones over earlier ones.
//!
//! Everything is read on first use and kept. A lookup of something already read takes no lock: it is a
//! binary search in each pack's index and one atomic load. Structures, code systems and search parameters
//! belong to their pack and are shared by all [`Definitions`] that hold it; value sets depend on the other
//! layers and are each one's own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, OnceLock};

use super::layer::{Layer, Read, Slots};
use super::pack_format::SUPPLEMENTS;
use super::type_table::TypeTable;
use super::value_set_sources::Reading;
use super::{
    CodeSystem, Compartment, DefinitionError, DefinitionsBuilder, EntryId, Pack, SearchParameter,
    StructureDefinition, StructureKind, ValueSet,
};
use crate::document::{OwnedDocument, Value, name};

/// Where FHIR's own structures live.
pub const STRUCTURE_BASE: &str = "http://hl7.org/fhir/StructureDefinition/";

/// The definitions in force: what is built in, and what the user brought.
#[derive(Debug)]
pub struct Definitions {
    pub(super) layers: Vec<Arc<Layer>>,
    pub(super) value_sets: Vec<OnceLock<Slots<Arc<ValueSet>>>>,
    types: OnceLock<TypeTable>,
}

/// A definition's place: layer and entry.
pub(super) type Found = (usize, EntryId);

impl Definitions {
    /// FHIR R4 (4.0.1), HL7 Terminology, the extensions pack and the International Patient Summary, as
    /// built in. Always the same value: what it has read stays read.
    pub fn r4() -> Arc<Definitions> {
        static R4: LazyLock<Arc<Definitions>> =
            LazyLock::new(|| Arc::new(Definitions::of(DefinitionsBuilder::r4().layers)));
        Arc::clone(&R4)
    }

    pub(super) fn of(layers: Vec<Arc<Layer>>) -> Definitions {
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
    pub fn try_structure(
        &self,
        canonical: &str,
    ) -> Result<Option<Arc<StructureDefinition>>, DefinitionError> {
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

    /// The supplements to a code system, by its canonical without version.
    pub fn supplements(&self, url: &str) -> Vec<Arc<CodeSystem>> {
        let facet = [SUPPLEMENTS, url].concat();
        let mut found = Vec::new();
        for layer in &self.layers {
            for entry in layer.pack.with_facet("CodeSystem", &facet) {
                if let Ok(Read::CodeSystem(it)) = layer.read(entry) {
                    found.push(Arc::clone(it));
                }
            }
        }
        found
    }

    /// The value set with this canonical; `url#id` is the one with this id that the definition `url` contains.
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
        if let Some((owner, id)) = canonical.split_once('#') {
            let owner = self.resource(owner);
            let contained = owner.as_ref().and_then(|owner| contained(owner.root(), id));
            return contained.map(|it| self.read_value_set(it).map(Arc::new)).transpose();
        }
        let Some(found) = self.find("ValueSet", canonical) else { return Ok(None) };
        Reading::new(self).read(found).map(Some)
    }

    /// Reads a `ValueSet` resource that is no definition of its own, such as a contained one, with the help of
    /// these definitions. It needs no `url`.
    ///
    /// # Errors
    /// [`DefinitionError`] where it is no value set.
    pub fn read_value_set(&self, resource: Value<'_>) -> Result<ValueSet, DefinitionError> {
        ValueSet::read(resource, &mut Reading::new(self))
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
        let found = self
            .layers
            .iter()
            .rev()
            .find_map(|layer| layer.pack.find_url(url, version).map(|entry| (layer, entry)));
        found.and_then(|(layer, entry)| layer.document(entry))
    }

    /// The definition of this type with this canonical, as its text.
    pub fn resource_of_type(&self, resource_type: &str, canonical: &str) -> Option<OwnedDocument> {
        let (layer, entry) = self.find(resource_type, canonical)?;
        self.layers.get(layer)?.document(entry)
    }

    /// The definition of this type with this resource id, as its text.
    pub fn resource_by_id(&self, resource_type: &str, id: &str) -> Option<OwnedDocument> {
        let found = self.layers.iter().rev().find_map(|it| Some((it, it.pack.find_id(resource_type, id)?)));
        found.and_then(|(layer, entry)| layer.document(entry))
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
                let uri = layer.document(entry).and_then(|it| naming_uri(it.root()));
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
    pub(super) fn find(&self, resource_type: &str, canonical: &str) -> Option<Found> {
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

/// The contained resource with this id.
fn contained<'d>(owner: Value<'d>, id: &str) -> Option<Value<'d>> {
    owner.get(name::CONTAINED)?.items().find(|it| it.get(name::ID).is_some_and(|own| own.is_str(id)))
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
