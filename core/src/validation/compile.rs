//! From a `StructureDefinition` to the compiled rules of its type.
//!
//! The snapshot lists elements by path, parents before children. Each element with children becomes a shape
//! of its own; a content reference (`#Questionnaire.item`) points at the shape that exists already, so that
//! recursive definitions stay finite.

use std::collections::BTreeMap;
use std::sync::Arc;

use fhir_models::definition::{
    BindingStrength, ElementDefinition, ElementType, STRUCTURE_BASE, StructureDefinition, StructureKind,
};
use fhir_models::document::{Name, name};
use fhir_models::primitive::Primitive;

use crate::fhirpath::Model;

use super::binding::{BindingRule, is_bindable};
use super::cardinality::Cardinality;
use super::datatype::Datatype;
use super::invariant::Invariant;
use super::shape::{
    ARRAY, BARE, BOUND, CHOICE, Content, ELEMENT_ID, ElementRule, Entry, MOST_ELEMENTS, RULED, Shape,
    ShapeKind, Structure,
};

/// Why a definition can't be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CompileError {
    #[error("its definition has no snapshot")]
    NoSnapshot,
    #[error("its definition gives {0} more than {MOST_ELEMENTS} elements")]
    TooManyElements(String),
    #[error("its definition names {0}, which is not a name of FHIR R4")]
    UnknownName(String),
    #[error("its definition refers to the content of {0}, which it does not hold")]
    BadContentReference(String),
}

/// Compiles a definition. `kind_of` answers what kind of type a name is.
pub(super) fn compile(
    definition: &StructureDefinition,
    model: &Arc<Model>,
    kind_of: impl Fn(&str) -> Option<StructureKind>,
) -> Result<Structure, CompileError> {
    let compiler = Compiler::new(definition, model, kind_of)?;
    let shapes: Result<Vec<Shape>, CompileError> =
        compiler.parents.iter().map(|parent| compiler.shape(parent)).collect();
    Ok(Structure { shapes: shapes?.into() })
}

struct Compiler<'d, F> {
    definition: &'d StructureDefinition,
    model: &'d Arc<Model>,
    kind_of: F,
    /// Elements that have children, the type itself first: one shape each.
    parents: Vec<&'d ElementDefinition>,
    /// Number of the shape of a path.
    numbers: BTreeMap<&'d str, u16>,
    children: BTreeMap<&'d str, Vec<&'d ElementDefinition>>,
}

impl<'d, F: Fn(&str) -> Option<StructureKind>> Compiler<'d, F> {
    fn new(
        definition: &'d StructureDefinition,
        model: &'d Arc<Model>,
        kind_of: F,
    ) -> Result<Self, CompileError> {
        let root = definition.elements.first().ok_or(CompileError::NoSnapshot)?;
        let mut children: BTreeMap<&str, Vec<&ElementDefinition>> = BTreeMap::new();
        children.insert(&root.path, Vec::new());
        for element in definition.elements.iter().skip(1).filter(|element| element.slice_name.is_none()) {
            if let Some((parent, _)) = element.path.rsplit_once('.') {
                children.entry(parent).or_default().push(element);
            }
        }
        let parents: Vec<_> =
            definition.elements.iter().filter(|element| children.contains_key(&*element.path)).collect();
        let numbers = (0u16..).zip(&parents).map(|(number, parent)| (&*parent.path, number)).collect();
        Ok(Compiler { definition, model, kind_of, parents, numbers, children })
    }

    fn shape(&self, parent: &ElementDefinition) -> Result<Shape, CompileError> {
        let is_root = !parent.path.contains('.');
        let kind = match (&*parent.path, self.definition.kind) {
            ("Extension", _) => ShapeKind::Extension,
            ("Reference", _) => ShapeKind::Reference,
            ("Coding", _) => ShapeKind::Coding,
            ("Identifier", _) => ShapeKind::Identifier,
            ("ElementDefinition", _) => ShapeKind::ElementDefinition,
            (_, StructureKind::Resource) if is_root => ShapeKind::Resource,
            (path, StructureKind::ComplexType) => {
                Datatype::of(path).map_or(ShapeKind::Element, ShapeKind::Ruled)
            }
            _ => ShapeKind::Element,
        };
        let (mut elements, mut entries) = (Vec::new(), Vec::new());
        for child in self.children.get(&*parent.path).into_iter().flatten() {
            let number = u8::try_from(elements.len()).unwrap_or(u8::MAX);
            let mut rule = element_rule(child);
            if !self.numbers.contains_key(&*child.path) {
                rule.invariants = self.invariants(child, "").collect();
            }
            let ruled = !rule.invariants.is_empty();
            self.entries(child, number, kind, (rule.binding.is_some(), ruled), &mut entries)?;
            elements.push(rule);
        }
        if kind == ShapeKind::Resource {
            let number = u8::try_from(elements.len()).unwrap_or(u8::MAX);
            let content = Content::ResourceType;
            entries.push(Entry { name: name::RESOURCE_TYPE, element: number, flags: BARE, content });
            let cardinality = Cardinality::ONE;
            elements.push(ElementRule {
                name: "resourceType".into(),
                choice: false,
                cardinality,
                binding: None,
                targets: Box::default(),
                invariants: Box::default(),
            });
        }
        if elements.len() > MOST_ELEMENTS {
            return Err(CompileError::TooManyElements(parent.path.clone()));
        }
        let mut shape = Shape::new(&parent.path, kind, elements, entries);
        let names = || shape.elements.iter().map(|element| &*element.name);
        let invariants = self.invariants(parent, &parent.path);
        shape.invariants = invariants.map(|it| it.triggered(self.model, names())).collect();
        Ok(shape)
    }

    /// The constraints of an element that nothing else states: those of its type stand with the type.
    fn invariants(&self, element: &'d ElementDefinition, on: &'d str) -> impl Iterator<Item = Invariant> {
        let root = !element.path.contains('.');
        let own = element.constraints.iter().filter(move |it| root || it.source.is_none());
        own.filter_map(move |constraint| Invariant::new(constraint, on))
    }

    /// The properties under which an element may stand: one, or one for each type of a choice.
    fn entries(
        &self,
        element: &ElementDefinition,
        number: u8,
        around: ShapeKind,
        (bound, ruled): (bool, bool),
        entries: &mut Vec<Entry>,
    ) -> Result<(), CompileError> {
        let tail = element.tail();
        let stem = tail.strip_suffix("[x]");
        let mut flags = if element.is_array() { ARRAY } else { 0 };
        if stem.is_some() {
            flags |= CHOICE;
        }
        if ruled {
            flags |= RULED;
        }
        if let Some(reference) = &element.content_reference {
            let id = reference.rsplit('#').next().unwrap_or_default();
            let path = self.definition.element(id).map_or(id, |target| &*target.path);
            let shape = self.numbers.get(path).copied();
            let shape = shape.ok_or_else(|| CompileError::BadContentReference(id.to_owned()))?;
            entries.push(Entry {
                name: known(tail)?,
                element: number,
                flags,
                content: Content::Shape(shape),
            });
            return Ok(());
        }
        for type_ in &element.types {
            let property = match stem {
                Some(stem) => known(&format!("{stem}{}", capitalised(&type_.code)))?,
                None => known(tail)?,
            };
            let content = self.content(element, type_, around)?;
            let mut flags = flags;
            if type_.system_type.is_some() {
                flags |= BARE;
            }
            if tail == "id" && around != ShapeKind::Resource {
                flags |= ELEMENT_ID;
            }
            if bound && is_bindable(content) {
                flags |= BOUND;
            }
            entries.push(Entry { name: property, element: number, flags, content });
        }
        Ok(())
    }

    fn content(
        &self,
        element: &ElementDefinition,
        type_: &ElementType,
        around: ShapeKind,
    ) -> Result<Content, CompileError> {
        if let Some(&shape) = self.numbers.get(&*element.path) {
            return Ok(Content::Shape(shape));
        }
        if around == ShapeKind::Resource && element.tail() == "id" {
            // R4 publishes `Resource.id` as a string; the type page and the URL grammar say `id`.
            return Ok(Content::Primitive(Primitive::Id));
        }
        match Primitive::of_type(&type_.code) {
            Some(Primitive::Xhtml) => Ok(Content::Narrative),
            Some(primitive) => Ok(Content::Primitive(primitive)),
            None if (self.kind_of)(&type_.code) == Some(StructureKind::Resource) => Ok(Content::Resource),
            None => Ok(Content::Type(known(&type_.code)?)),
        }
    }
}

fn element_rule(element: &ElementDefinition) -> ElementRule {
    ElementRule {
        name: element.tail().trim_end_matches("[x]").into(),
        choice: element.is_choice(),
        cardinality: Cardinality { min: element.least(), max: element.most() },
        binding: binding_rule(element),
        targets: targets(element),
        invariants: Box::default(),
    }
}

/// A required binding, or the value set that bounds a weaker one (extension `elementdefinition-maxValueSet`).
fn binding_rule(element: &ElementDefinition) -> Option<BindingRule> {
    let binding = element.binding.as_ref()?;
    match (binding.strength, &binding.max_value_set) {
        (BindingStrength::Required, _) => binding.value_set.as_deref().map(BindingRule::new),
        // Other bounds than FHIR's own value sets are documents for people.
        (_, Some(bound)) if bound.starts_with("http://hl7.org/fhir/ValueSet/") => {
            Some(BindingRule::bound(bound))
        }
        _ => None,
    }
}

/// The types behind the target profiles of a reference; none where one of them is no plain type.
fn targets(element: &ElementDefinition) -> Box<[Name]> {
    let references = element.types.iter().filter(|it| it.code == "Reference");
    let named: Vec<&String> = references.flat_map(|it| it.target_profiles.iter()).collect();
    let names = named.iter().map(|url| url.strip_prefix(STRUCTURE_BASE).map(Name::of));
    let names: Option<Vec<Name>> = names.map(|it| it.filter(|it| *it != Name::UNKNOWN)).collect();
    names.filter(|names| !names.contains(&Name::of("Resource"))).unwrap_or_default().into()
}

fn known(text: &str) -> Result<Name, CompileError> {
    match Name::of(text) {
        Name::UNKNOWN => Err(CompileError::UnknownName(text.to_owned())),
        name => Ok(name),
    }
}

fn capitalised(type_name: &str) -> String {
    let mut chars = type_name.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}
