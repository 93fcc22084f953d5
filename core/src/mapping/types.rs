//! What may stand where: FHIR's types and logical models alike, read from their definitions as they are needed.
//!
//! A type is a structure, or an element of one that has elements of its own (`Patient.contact`). Invariant: the
//! elements of a type stand in the order of its definition, and a number once given to a type stays its own.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use fhir_models::definition::{Definitions, STRUCTURE_BASE, StructureKind, choice_name};
use fhir_models::document::Name;
use fhir_models::primitive::Primitive;

use super::regional_model::with_models;
use super::structure::{Outline, outline};

/// Longest chain of base types.
const MOST_ANCESTORS: usize = 32;

/// A type's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct TypeId(u32);

impl TypeId {
    pub fn number(self) -> u32 {
        self.0
    }

    pub fn at(number: u32) -> TypeId {
        TypeId(number)
    }

    /// Its place in a list of all types.
    pub fn index(self) -> Option<usize> {
        usize::try_from(self.0).ok()?.checked_sub(1)
    }

    /// No type is known.
    pub const UNKNOWN: TypeId = TypeId(0);

    pub fn is_known(self) -> bool {
        self.0 != 0
    }
}

/// What kind of thing a type is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypeKind {
    Primitive(Primitive),
    Complex,
    Resource,
    Logical,
}

/// How XML writes an element of a logical model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum XmlForm {
    #[default]
    Element,
    Attribute,
    /// The text of the element that it belongs to.
    Text,
    /// An element that says its type in `xsi:type`.
    Typed,
}

/// One type that an element may have, and its name in JSON then.
#[derive(Debug)]
pub(super) struct Choice {
    pub key: Box<str>,
    pub symbol: Name,
    /// The type's name or canonical; for a part, `canonical#path`.
    pub code: Box<str>,
    resolved: OnceLock<TypeId>,
}

/// An element of a type.
#[derive(Debug)]
pub(super) struct Element {
    /// Without `[x]`.
    pub name: Box<str>,
    pub repeats: bool,
    pub choices: Box<[Choice]>,
    pub form: XmlForm,
    pub xml_name: Option<Box<str>>,
    pub xml_namespace: Option<Box<str>>,
}

/// A type.
pub(super) struct Type {
    pub id: TypeId,
    /// `Patient`, `Patient.contact`
    pub name: Box<str>,
    /// What the definition says it is: `BackboneElement` for `Patient.contact`.
    pub code: Box<str>,
    pub url: Box<str>,
    pub kind: TypeKind,
    pub is_abstract: bool,
    /// Canonicals of all types that it is, its own first.
    pub ancestors: Box<[Box<str>]>,
    pub elements: Box<[Element]>,
    pub namespace: Option<Box<str>>,
    /// The same type in FHIRPath's model.
    pub fhirpath: OnceLock<Option<crate::fhirpath::TypeId>>,
}

impl fmt::Debug for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Type({})", self.name)
    }
}

impl Type {
    pub fn primitive(&self) -> Option<Primitive> {
        match self.kind {
            TypeKind::Primitive(primitive) => Some(primitive),
            _ => None,
        }
    }

    /// Number and definition of the element with this name; `value[x]` and `value` are one.
    pub fn element(&self, name: &str) -> Option<(u16, &Element)> {
        let name = name.strip_suffix("[x]").unwrap_or(name);
        let at = self.elements.iter().position(|it| &*it.name == name)?;
        Some((u16::try_from(at).ok()?, self.elements.get(at)?))
    }

    /// The element that JSON writes under this name, and which of its types that says.
    pub fn by_key(&self, key: &str) -> Option<(u16, u16, &Element)> {
        (0u16..).zip(&self.elements).find_map(|(at, element)| {
            let choice = element.choices.iter().position(|it| &*it.key == key)?;
            Some((at, u16::try_from(choice).ok()?, element))
        })
    }

    /// The name nearest to one that is not there.
    pub fn nearest(&self, name: &str) -> String {
        let near = self.elements.iter().map(|it| (distance(&it.name, name), &it.name)).min();
        match near {
            Some((distance, near)) if distance <= 2 => format!("; did you mean {near}?"),
            _ => String::new(),
        }
    }
}

/// A type at hand: one of a list that was taken before, or one met since.
pub(super) enum TypeRef<'t> {
    Listed(&'t Type),
    Met(Arc<Type>),
}

impl std::ops::Deref for TypeRef<'_> {
    type Target = Type;

    fn deref(&self) -> &Type {
        match self {
            TypeRef::Listed(ty) => ty,
            TypeRef::Met(ty) => ty,
        }
    }
}

/// All types met so far.
pub(super) struct Types {
    pub definitions: Arc<Definitions>,
    table: RwLock<Table>,
    string: OnceLock<TypeId>,
    code: OnceLock<TypeId>,
}

impl fmt::Debug for Types {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Types")
    }
}

#[derive(Default)]
struct Table {
    types: Arc<Vec<Arc<Type>>>,
    by_key: HashMap<Box<str>, TypeId>,
}

impl Types {
    pub fn new(definitions: Arc<Definitions>) -> Types {
        Types { definitions, table: RwLock::default(), string: OnceLock::new(), code: OnceLock::new() }
    }

    /// FHIR's `string`.
    pub fn string(&self) -> TypeId {
        *self.string.get_or_init(|| self.find("string"))
    }

    /// FHIR's `code`.
    pub fn code(&self) -> TypeId {
        *self.code.get_or_init(|| self.find("code"))
    }

    pub fn get(&self, id: TypeId) -> Option<Arc<Type>> {
        let at = id.index()?;
        self.table.read().unwrap_or_else(PoisonError::into_inner).types.get(at).cloned()
    }

    /// A type, from a list of [`Types::all`] where it is there.
    pub fn known<'t>(&self, id: TypeId, list: &'t [Arc<Type>]) -> Option<TypeRef<'t>> {
        match id.index().and_then(|at| list.get(at)) {
            Some(listed) => Some(TypeRef::Listed(listed)),
            None => self.get(id).map(TypeRef::Met),
        }
    }

    /// All types met, by number from 1.
    pub fn all(&self) -> Arc<Vec<Arc<Type>>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).types.clone()
    }

    /// A type's name for messages.
    pub fn describe(&self, id: TypeId) -> String {
        self.get(id).map_or_else(|| "something of unknown type".to_owned(), |it| it.name.to_string())
    }

    pub fn describe_all(&self, ids: &[TypeId]) -> String {
        let mut names: Vec<String> = ids.iter().take(6).map(|id| self.describe(*id)).collect();
        if ids.len() > 6 {
            names.push("…".to_owned());
        }
        if names.is_empty() { self.describe(TypeId::UNKNOWN) } else { names.join(" or ") }
    }

    /// The type with this canonical, or FHIR's own of this bare name; [`TypeId::UNKNOWN`] where there is none.
    pub fn find(&self, name: &str) -> TypeId {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = table.by_key.get(name) {
            return *id;
        }
        drop(table);
        self.load(name).unwrap_or_default()
    }

    /// The type with this name, as one says it beside `near`: a sibling of its structure, or FHIR's own.
    pub fn find_near(&self, name: &str, near: &[TypeId]) -> TypeId {
        let own = |id: &TypeId| {
            let url = self.get(*id)?.url.clone();
            let (base, _) = url.rsplit_once('/')?;
            let sibling = self.find(&format!("{base}/{name}"));
            sibling.is_known().then_some(sibling)
        };
        near.iter().find_map(own).unwrap_or_else(|| self.find(name))
    }

    pub fn choice(&self, choice: &Choice) -> TypeId {
        *choice.resolved.get_or_init(|| self.find(&choice.code))
    }

    pub fn choices(&self, element: &Element) -> Vec<TypeId> {
        element.choices.iter().map(|it| self.choice(it)).collect()
    }

    pub fn is_a(&self, id: TypeId, wanted: TypeId) -> bool {
        if id == wanted {
            return true;
        }
        match (self.get(id), self.get(wanted)) {
            (Some(own), Some(wanted)) => own.ancestors.contains(&wanted.url) && !wanted.name.contains('.'),
            _ => false,
        }
    }

    fn load(&self, key: &str) -> Option<TypeId> {
        if key.contains('#') || key.len() > 500 {
            return None;
        }
        let own = self.definitions.structure(key);
        let models = if own.is_none() { with_models(key) } else { None };
        let definitions = models.as_ref().unwrap_or(&self.definitions);
        let structure = own.or_else(|| definitions.structure(key))?;
        if structure.kind != StructureKind::Logical && !structure.is_type() {
            // A profile narrows a type: as far as form goes it is that type.
            return Some(self.find(&structure.type_name)).filter(|it| it.is_known());
        }
        let outline = outline(definitions, key, MOST_ANCESTORS)?;
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = table.by_key.get(&*outline.url) {
            let id = *id;
            table.by_key.insert(key.into(), id);
            return Some(id);
        }
        let id = table.add(&outline, definitions);
        table.by_key.insert(key.into(), id);
        Some(id)
    }
}

impl Table {
    /// Adds a structure and its parts.
    fn add(&mut self, outline: &Outline, definitions: &Definitions) -> TypeId {
        let part_key = |path: &str| -> Box<str> { format!("{}#{path}", outline.url).into() };
        let mut first = TypeId::UNKNOWN;
        for part in &outline.parts {
            let id = TypeId(u32::try_from(self.types.len() + 1).unwrap_or(0));
            let whole = part.path == outline.root;
            let kind = match outline.kind {
                StructureKind::PrimitiveType if whole => {
                    let primitive = Primitive::of_type(&outline.type_name);
                    primitive.map_or(TypeKind::Complex, TypeKind::Primitive)
                }
                StructureKind::Resource if whole => TypeKind::Resource,
                StructureKind::Logical => TypeKind::Logical,
                _ => TypeKind::Complex,
            };
            let elements = part.elements.iter().filter(|it| {
                // The value of a primitive is not an element of its own.
                !(outline.kind == StructureKind::PrimitiveType && &*it.tail == "value")
            });
            let elements = elements.map(|own| {
                let stem = own.tail.strip_suffix("[x]");
                let name = stem.unwrap_or(&own.tail);
                let choice = |code: &str, key: String| Choice {
                    symbol: Name::of(&key),
                    key: key.into(),
                    code: code.into(),
                    resolved: OnceLock::new(),
                };
                let choices = match &own.part {
                    Some(path) => vec![choice(&part_key(path), name.to_owned())],
                    None => own
                        .codes
                        .iter()
                        .map(|code| {
                            let one = own.codes.len() == 1 && outline.kind == StructureKind::Logical;
                            let key = match stem {
                                Some(stem) if !one => {
                                    choice_name(stem, code.rsplit('/').next().unwrap_or(code))
                                }
                                _ => name.to_owned(),
                            };
                            choice(code, key)
                        })
                        .collect(),
                };
                Element {
                    name: name.into(),
                    repeats: own.repeats,
                    choices: choices.into(),
                    form: own.form,
                    xml_name: own.xml_name.as_deref().map(Into::into),
                    xml_namespace: own.xml_namespace.as_deref().map(Into::into),
                }
            });
            let elements = elements.collect();
            let code: Box<str> =
                if whole { outline.type_name.as_str().into() } else { part.code.as_str().into() };
            let ancestors = if whole {
                outline.ancestors.iter().map(|it| it.as_str().into()).collect()
            } else {
                let mut chain: Vec<Box<str>> = vec![part_key(&part.path)];
                let mut base = Some(part.code.as_str());
                while let Some(own) = base.filter(|_| chain.len() < MOST_ANCESTORS) {
                    chain.push(format!("{STRUCTURE_BASE}{own}").into());
                    base = definitions.base_type(own);
                }
                chain.into()
            };
            let name = if whole { outline.name.as_str() } else { part.path.as_str() };
            let key = if whole { outline.url.as_str().into() } else { part_key(&part.path) };
            Arc::make_mut(&mut self.types).push(Arc::new(Type {
                id,
                name: name.into(),
                code,
                url: outline.url.as_str().into(),
                kind,
                is_abstract: whole && outline.is_abstract,
                ancestors,
                elements,
                namespace: outline.namespace.as_deref().map(Into::into),
                fhirpath: OnceLock::new(),
            }));
            self.by_key.insert(key, id);
            if whole {
                first = id;
            }
        }
        first
    }
}

/// How many single changes turn one short word into the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, one) in left.chars().enumerate() {
        let mut diagonal = at;
        let mut last = at + 1;
        for (column, other) in right.iter().enumerate() {
            let above = row.get(column + 1).copied().unwrap_or(usize::MAX - 1);
            let changed = diagonal + usize::from(!one.eq_ignore_ascii_case(other));
            diagonal = above;
            if let Some(slot) = row.get_mut(column) {
                *slot = last;
            }
            last = changed.min(above + 1).min(last + 1);
        }
        if let Some(slot) = row.last_mut() {
            *slot = last;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}
