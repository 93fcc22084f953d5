//! What FHIR's definitions say about elements and types, as tables over [`Name`]s.
//!
//! A type is a place in a structure: `Patient`, or its element `Patient.contact`. Structures are read from
//! their definitions when an expression or a document first needs them, once, and shared by all threads.
//! Invariant: the properties of a shape are sorted by name, and the properties of one element (several for
//! a choice such as `value[x]`) stand together.

use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

use fhir_models::definition::{Definitions, ElementDefinition, StructureDefinition, StructureKind};
use fhir_models::document::xml::DefinitionSchema;
use fhir_models::document::{Name, Value, name};

use super::system::SystemType;

/// A type: of FHIR (a structure or an element within one), or one of FHIRPath's own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(
    /// The number of the structure's name, 0 for FHIRPath's own types; below it the shape's number in the
    /// structure, or that of the FHIRPath type.
    u32,
);

impl TypeId {
    /// No type is known.
    pub(super) const UNKNOWN: TypeId = TypeId(0);

    fn new(structure: Name, part: u16) -> TypeId {
        TypeId((structure.index() as u32) << 16 | u32::from(part))
    }

    #[inline]
    pub(super) fn at(number: u32) -> TypeId {
        TypeId(number)
    }

    #[inline]
    pub(super) fn number(self) -> u32 {
        self.0
    }

    pub(super) fn of_structure(structure: Name) -> TypeId {
        TypeId::new(structure, 0)
    }

    pub(super) fn of_system(system: SystemType) -> TypeId {
        TypeId::new(Name::UNKNOWN, system as u16 + 1)
    }

    pub(super) fn system(self) -> Option<SystemType> {
        if self.0 >> 16 != 0 {
            return None;
        }
        SystemType::ALL.into_iter().find(|system| *system as u16 + 1 == self.part())
    }

    /// The FHIR structure it belongs to; [`Name::UNKNOWN`] for FHIRPath's own types.
    pub fn structure(self) -> Name {
        Name::at((self.0 >> 16) as usize)
    }

    #[inline]
    fn part(self) -> u16 {
        self.0 as u16
    }

    /// True for a structure as a whole.
    #[inline]
    pub(super) fn is_structure(self) -> bool {
        self.0 >> 16 != 0 && self.part() == 0
    }

    /// The FHIRPath type that it converts to by itself.
    #[inline]
    pub(super) fn converts_to(self) -> Option<SystemType> {
        if self.part() == 0 { SystemType::of_number((self.0 >> 16) as usize) } else { None }
    }
}

impl fmt::Debug for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.system() {
            Some(system) => write!(f, "System.{}", system.name()),
            None => write!(f, "FHIR.{}#{}", self.structure(), self.part()),
        }
    }
}

/// How a property under an object is typed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Property {
    /// The JSON name: `valueQuantity`.
    pub key: Name,
    /// The FHIRPath name: `value`.
    pub element: Name,
    /// Its type; for a resource of any type, `Resource`.
    pub ty: TypeId,
    /// What JSON writes is a primitive, so that a `_name` twin may carry its extensions.
    pub primitive: bool,
    /// A resource: its own `resourceType` says its type.
    pub resource: bool,
}

/// The properties of an element: one, or one for each type of a choice; sorted by key.
#[derive(Debug, Clone)]
pub(super) struct Element {
    pub name: Name,
    pub properties: Box<[Property]>,
}

impl Element {
    /// One type of a choice.
    pub fn of(property: Property) -> Element {
        Element { name: property.key, properties: Box::new([property]) }
    }

    /// The property with this JSON name.
    #[inline]
    pub fn property(&self, key: Name) -> Option<&Property> {
        match &*self.properties {
            [only] => (only.key == key).then_some(only),
            several => several.binary_search_by_key(&key, |it| it.key).ok().and_then(|at| several.get(at)),
        }
    }
}

/// What stands in an object of one type.
#[derive(Debug)]
pub(super) struct Shape {
    /// `Patient.contact`
    path: Box<str>,
    /// The type it specialises: `BackboneElement` for `Patient.contact`, `DomainResource` for `Patient`.
    base: Name,
    elements: Box<[Element]>,
    keys: Box<[(Name, u16)]>,
}

impl Shape {
    pub fn element(&self, element: Name) -> Option<&Element> {
        let at = self.elements.binary_search_by_key(&element, |it| it.name).ok()?;
        self.elements.get(at)
    }

    pub fn property(&self, key: Name) -> Option<&Property> {
        let at = self.keys.binary_search_by_key(&key, |it| it.0).ok()?;
        let (_, element) = self.keys.get(at)?;
        self.elements.get(usize::from(*element))?.property(key)
    }

    pub fn element_names(&self) -> impl Iterator<Item = &'static str> {
        self.elements.iter().map(|element| element.name.text())
    }
}

/// A structure and all shapes within it; the first is the structure itself.
#[derive(Debug)]
pub(super) struct Structure {
    pub kind: StructureKind,
    pub is_abstract: bool,
    shapes: Box<[Shape]>,
}

/// The types of FHIR, read as they are needed.
pub struct Model {
    definitions: Arc<Definitions>,
    structures: Box<[OnceLock<Option<Box<Structure>>>]>,
    /// What reading XML needs to know.
    schema: OnceLock<DefinitionSchema>,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read = self.structures.iter().filter(|slot| matches!(slot.get(), Some(Some(_)))).count();
        write!(f, "Model {{ structures read: {read} }}")
    }
}

impl Model {
    /// A model over these definitions. Nothing is read yet.
    pub fn new(definitions: Arc<Definitions>) -> Arc<Model> {
        let structures = (0..Name::count()).map(|_| OnceLock::new()).collect();
        Arc::new(Model { definitions, structures, schema: OnceLock::new() })
    }

    /// FHIR R4 as built in. Always the same value: what it has read stays read.
    pub fn r4() -> Arc<Model> {
        static R4: LazyLock<Arc<Model>> = LazyLock::new(|| Model::new(Definitions::r4()));
        Arc::clone(&R4)
    }

    /// What the definitions say about XML, for [`Tape::parse`](fhir_models::document::Tape::parse).
    pub fn schema(&self) -> &DefinitionSchema {
        self.schema.get_or_init(|| DefinitionSchema::new(Arc::clone(&self.definitions)))
    }

    pub(super) fn structure(&self, name: Name) -> Option<&Structure> {
        self.structure_at(name.index())
    }

    #[inline]
    fn structure_at(&self, number: usize) -> Option<&Structure> {
        let slot = self.structures.get(number)?;
        match slot.get() {
            Some(read) => read.as_deref(),
            None => self.read(slot, Name::at(number)),
        }
    }

    #[cold]
    fn read<'s>(&self, slot: &'s OnceLock<Option<Box<Structure>>>, name: Name) -> Option<&'s Structure> {
        if name == Name::UNKNOWN {
            return None;
        }
        let read = || self.definitions.structure(name.text()).filter(|it| it.is_type());
        slot.get_or_init(|| read().map(|it| Box::new(structure_of(&it)))).as_deref()
    }

    #[inline]
    pub(super) fn shape(&self, ty: TypeId) -> Option<&Shape> {
        self.structure_at((ty.0 >> 16) as usize)?.shapes.get(usize::from(ty.part()))
    }

    /// The type with this name, or of the element with this path: `Patient`, `Patient.contact`,
    /// `Patient.name` (which is `HumanName`). `None` where the definitions have none, or several.
    pub fn type_of(&self, path: &str) -> Option<TypeId> {
        let mut steps = path.split('.');
        let structure = Name::of(steps.next()?);
        self.structure(structure)?;
        steps.try_fold(TypeId::of_structure(structure), |ty, step| {
            let (step, choice) = match step.strip_suffix("[x]") {
                Some(stem) => (stem, true),
                None => (step, false),
            };
            let name = Name::of(step);
            let shape = self.shape(ty)?;
            match shape.element(name).map(|element| &*element.properties) {
                Some([only]) => Some(only.ty),
                Some(_) if choice => None,
                // A property of a choice by its JSON name: `Observation.valueQuantity`.
                _ => shape.property(name).map(|property| property.ty),
            }
        })
    }

    /// All types that the element with this path may have.
    pub(super) fn types_of(&self, path: &str) -> Vec<TypeId> {
        let Some((parent, tail)) = path.rsplit_once('.') else {
            return self.type_of(path).into_iter().collect();
        };
        let Some(shape) = self.type_of(parent).and_then(|ty| self.shape(ty)) else { return Vec::new() };
        let element = shape.element(Name::of(tail.trim_end_matches("[x]")));
        element.map(|element| element.properties.iter().map(|it| it.ty).collect()).unwrap_or_default()
    }

    /// The type of a resource, by its `resourceType`.
    #[inline]
    pub(super) fn resource_type(&self, resource: Value<'_>) -> TypeId {
        let name = resource.get(name::RESOURCE_TYPE).and_then(Value::as_str).map(|it| Name::of(&it));
        match name {
            Some(name) if self.structure(name).is_some() => TypeId::of_structure(name),
            _ => TypeId::UNKNOWN,
        }
    }

    /// True for a FHIR primitive such as `code`.
    pub(super) fn is_primitive(&self, ty: TypeId) -> bool {
        ty.is_structure()
            && self.structure(ty.structure()).is_some_and(|it| it.kind == StructureKind::PrimitiveType)
    }

    /// True for a resource type, abstract ones included.
    pub(super) fn is_resource(&self, ty: TypeId) -> bool {
        ty.is_structure()
            && self.structure(ty.structure()).is_some_and(|it| it.kind == StructureKind::Resource)
    }

    /// True where instances may be of a type that specialises it, with elements that it does not name.
    pub(super) fn is_open(&self, ty: TypeId) -> bool {
        ty == TypeId::UNKNOWN
            || self.structure(ty.structure()).is_some_and(|it| it.is_abstract && ty.part() == 0)
    }

    /// True where `ty` is `ancestor` or specialises it.
    pub(super) fn is_a(&self, ty: TypeId, ancestor: TypeId) -> bool {
        let mut current = ty;
        // Longer than any chain of FHIR: a cycle in damaged definitions ends here.
        for _ in 0..32 {
            if current == ancestor {
                return true;
            }
            match self.shape(current).map(|shape| shape.base) {
                Some(base) if base != Name::UNKNOWN => current = TypeId::of_structure(base),
                _ => return false,
            }
        }
        false
    }

    /// The type's name: `Patient`, `HumanName`, `code`; for an element with parts of its own, the type it
    /// specialises (`BackboneElement`).
    pub(super) fn type_name(&self, ty: TypeId) -> &'static str {
        match ty.system() {
            Some(system) => system.name(),
            None if ty.part() == 0 => ty.structure().text(),
            None => self.shape(ty).map_or("", |shape| shape.base.text()),
        }
    }

    /// Name or path, for messages.
    pub(super) fn describe(&self, ty: TypeId) -> &str {
        match self.shape(ty) {
            Some(shape) => &shape.path,
            None => self.type_name(ty),
        }
    }
}

fn structure_of(definition: &StructureDefinition) -> Structure {
    let primitive = definition.kind == StructureKind::PrimitiveType;
    let elements: Vec<&ElementDefinition> =
        definition.elements.iter().filter(|element| element.slice_name.is_none()).collect();
    // An element has a shape of its own where other elements stand below it.
    let parents: Vec<&ElementDefinition> = elements
        .iter()
        .enumerate()
        .filter(|(at, element)| {
            let below = |next: &&&ElementDefinition| is_child(&next.path, &element.path);
            *at == 0 || elements.get(at + 1).filter(below).is_some()
        })
        .map(|(_, element)| *element)
        .collect();
    let shapes = parents.iter().map(|parent| {
        let children = elements.iter().filter(|it| is_child(&it.path, &parent.path));
        let mut properties: Vec<Property> = children
            .filter(|child| !(primitive && child.tail() == "value"))
            .flat_map(|child| properties_of(definition, child, &parents))
            .collect();
        properties.sort_by_key(|it| (it.element, it.key));
        let base = if parent.path.contains('.') {
            Name::of(parent.types.first().map_or("BackboneElement", |it| &it.code))
        } else {
            let url = definition.base_definition.as_deref().unwrap_or_default();
            Name::of(url.rsplit('/').next().unwrap_or_default())
        };
        shape_of(&parent.path, base, &properties)
    });
    Structure { kind: definition.kind, is_abstract: definition.is_abstract, shapes: shapes.collect() }
}

fn shape_of(path: &str, base: Name, properties: &[Property]) -> Shape {
    let elements: Box<[Element]> = properties
        .chunk_by(|left, right| left.element == right.element)
        .map(|group| Element {
            name: group.first().map_or(Name::UNKNOWN, |it| it.element),
            properties: group.into(),
        })
        .collect();
    let mut keys: Vec<(Name, u16)> = (0u16..)
        .zip(&elements)
        .flat_map(|(number, element)| element.properties.iter().map(move |it| (it.key, number)))
        .collect();
    keys.sort_unstable();
    Shape { path: path.into(), base, elements, keys: keys.into() }
}

fn is_child(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent)
        .and_then(|rest| rest.strip_prefix('.'))
        .is_some_and(|tail| !tail.is_empty() && !tail.contains('.'))
}

fn properties_of(
    definition: &StructureDefinition,
    element: &ElementDefinition,
    parents: &[&ElementDefinition],
) -> Vec<Property> {
    let structure = Name::of(&definition.type_name);
    let resource = definition.kind == StructureKind::Resource;
    let part_of = |path: &str| {
        let at = parents.iter().position(|parent| parent.path == path)?;
        Some(TypeId::new(structure, u16::try_from(at).ok()?))
    };
    let tail = element.tail();
    let stem = tail.strip_suffix("[x]");
    let name = Name::of(stem.unwrap_or(tail));
    let plain =
        |key: Name, ty: TypeId| Property { key, element: name, ty, primitive: false, resource: false };
    if let Some(reference) = &element.content_reference {
        let id = reference.rsplit('#').next().unwrap_or_default();
        let path = definition.element(id).map_or(id, |target| &*target.path);
        return vec![plain(name, part_of(path).unwrap_or(TypeId::UNKNOWN))];
    }
    if let Some(part) = part_of(&element.path) {
        return vec![plain(name, part)];
    }
    let property = |code: &str| {
        let key = match stem {
            Some(stem) => Name::of(&format!("{stem}{}", capitalised(code))),
            None => name,
        };
        // R4 publishes `Resource.id` as a string; its grammar is that of `id`.
        let code =
            if resource && tail == "id" && element.path.matches('.').count() == 1 { "id" } else { code };
        let ty = TypeId::of_structure(Name::of(code));
        // FHIR names its primitives in lower case, and nothing else.
        let primitive = code.starts_with(|first: char| first.is_ascii_lowercase());
        Property { primitive, resource: code == "Resource", ..plain(key, ty) }
    };
    let known = |property: &Property| property.key != Name::UNKNOWN && property.element != Name::UNKNOWN;
    element.types.iter().map(|it| property(&it.code)).filter(known).collect()
}

fn capitalised(code: &str) -> String {
    let mut chars = code.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}
