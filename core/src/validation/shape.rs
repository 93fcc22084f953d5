//! Compiled rules: what one type, or one nested element of it, may hold.
//!
//! A [`Structure`] is compiled once from a `StructureDefinition` and then never changes. Its first
//! [`Shape`] is the type itself; the others are its nested elements (`Patient.contact`). A shape answers
//! one question fast: under this property name, what stands here? Each property that JSON may use, every
//! `value[x]` variant included, is one [`Entry`] of eight bytes; what is needed only to explain or to
//! count stands in [`ElementRule`].

use fhir_models::definition::{Binding, BindingStrength};
use fhir_models::document::Name;
use fhir_models::primitive::Primitive;

use super::binding::BindingRule;
use super::cardinality::Cardinality;
use super::datatype::Datatype;
use super::invariant::Invariant;

/// The rules of one type.
#[derive(Debug)]
pub(super) struct Structure {
    /// The type itself, then its nested elements.
    pub shapes: Box<[Shape]>,
}

impl Structure {
    /// The shape of the type itself.
    pub fn root(&self) -> Option<&Shape> {
        self.shapes.first()
    }
}

/// What a shape describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShapeKind {
    /// A resource: it has a `resourceType`.
    Resource,
    /// `Extension`
    Extension,
    /// `Reference`
    Reference,
    /// `Coding`
    Coding,
    /// `Identifier`
    Identifier,
    /// One with rules of [`super::datatype`].
    Ruled(Datatype),
    /// `ElementDefinition`: its ids are paths, unique in a snapshot only.
    ElementDefinition,
    /// Any other datatype, or a nested element.
    Element,
}

/// The rules of one object.
#[derive(Debug)]
pub(super) struct Shape {
    /// The path of the definition: `Patient.contact`, or the type's name.
    pub path: Box<str>,
    pub kind: ShapeKind,
    /// In the order of the definition; a choice has one element and several entries.
    pub elements: Box<[ElementRule]>,
    pub entries: Box<[Entry]>,
    /// Constraints of the object itself.
    pub invariants: Box<[Invariant]>,
    /// One bit for each element that must be there.
    pub required: u128,
    /// Open addressing by name: 0 is empty, else the number of an entry plus one.
    slots: Box<[u16]>,
}

/// Most elements that one shape may have: the width of the set of those seen.
pub(super) const MOST_ELEMENTS: usize = 128;

impl Shape {
    /// A shape from its parts. `elements` holds at most [`MOST_ELEMENTS`].
    pub fn new(path: &str, kind: ShapeKind, elements: Vec<ElementRule>, entries: Vec<Entry>) -> Shape {
        let mut required = 0;
        for (at, element) in elements.iter().enumerate().take(MOST_ELEMENTS) {
            if element.cardinality.min > 0 {
                required |= 1 << at;
            }
        }
        let mut slots = vec![0u16; (entries.len() * 2 + 1).next_power_of_two()];
        let mask = slots.len() - 1;
        for (number, entry) in (1u16..).zip(&entries) {
            let mut slot = entry.name.index() & mask;
            while slots.get(slot).is_some_and(|&taken| taken != 0) {
                slot = (slot + 1) & mask;
            }
            if let Some(free) = slots.get_mut(slot) {
                *free = number;
            }
        }
        Shape {
            path: path.into(),
            kind,
            elements: elements.into(),
            entries: entries.into(),
            invariants: Box::default(),
            required,
            slots: slots.into(),
        }
    }

    /// What stands under this name.
    pub fn find(&self, name: Name) -> Option<Entry> {
        if name == Name::UNKNOWN {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut slot = name.index() & mask;
        loop {
            match self.slots.get(slot) {
                None | Some(0) => return None,
                Some(&number) => {
                    let entry = self.entries.get(usize::from(number) - 1)?;
                    if entry.name == name {
                        return Some(*entry);
                    }
                }
            }
            slot = (slot + 1) & mask;
        }
    }

    /// The element that an entry belongs to.
    pub fn element(&self, entry: Entry) -> Option<&ElementRule> {
        self.elements.get(usize::from(entry.element))
    }
}

/// One property that JSON may use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// The property's name, `valueQuantity` for a variant of `value[x]`.
    pub name: Name,
    /// Number of the element in its shape.
    pub element: u8,
    pub flags: u8,
    pub content: Content,
}

const _: () = assert!(size_of::<Entry>() <= 8);

/// JSON writes an array.
pub(super) const ARRAY: u8 = 1;
/// The element is a choice of types: its path ends in `[x]`.
pub(super) const CHOICE: u8 = 2;
/// A required binding must be checked.
pub(super) const BOUND: u8 = 4;
/// A bare value without `id` and `extension`: no underscored twin.
pub(super) const BARE: u8 = 8;
/// The element has constraints of its own.
pub(super) const RULED: u8 = 32;
/// The `id` of an element, for references inside the resource.
pub(super) const ELEMENT_ID: u8 = 16;

impl Entry {
    pub fn is_array(self) -> bool {
        self.flags & ARRAY != 0
    }

    pub fn is_choice(self) -> bool {
        self.flags & CHOICE != 0
    }

    pub fn is_bound(self) -> bool {
        self.flags & BOUND != 0
    }

    /// True where an underscored twin may carry `id` and `extension`.
    pub fn may_have_twin(self) -> bool {
        matches!(self.content, Content::Primitive(_)) && self.flags & BARE == 0
    }
}

/// What a value holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A primitive.
    Primitive(Primitive),
    /// A datatype with elements.
    Type(Name),
    /// A nested element: a shape of the same structure.
    Shape(u16),
    /// A whole resource.
    Resource,
    /// The narrative's XHTML.
    Narrative,
    /// The `resourceType` of a resource.
    ResourceType,
}

impl Content {
    /// The type's name where it has one of its own.
    pub fn type_name(self) -> &'static str {
        match self {
            Content::Primitive(primitive) => primitive.type_name(),
            Content::Type(name) => name.text(),
            Content::Narrative => Primitive::Xhtml.type_name(),
            Content::Shape(_) => "BackboneElement",
            Content::Resource => "Resource",
            Content::ResourceType => "code",
        }
    }
}

/// One element: what is counted and explained.
#[derive(Debug)]
pub(super) struct ElementRule {
    /// Its name, without `[x]`.
    pub name: Box<str>,
    pub choice: bool,
    pub cardinality: Cardinality,
    pub binding: Option<BindingRule>,
    /// Constraints of the element that its type does not state.
    pub invariants: Box<[Invariant]>,
    /// For a reference, the types of resources that it may lead to; empty: any.
    pub targets: Box<[Name]>,
}

impl ElementRule {
    /// True where the type's own definition makes this very binding.
    pub fn is_bound_to(&self, binding: &Binding) -> bool {
        let own = self.binding.as_ref().map(BindingRule::canonical);
        binding.strength == BindingStrength::Required && own.is_some() && own == binding.value_set.as_deref()
    }
}
