//! What XML needs to know of the definitions.

use crate::document::{Kind, Name};

/// The definitions, as far as form goes: which element may stand where, and how JSON writes it.
///
/// Asked once for every element of a document: answers must come from a table.
pub trait Schema {
    /// The form of a type: `Patient`, `HumanName`. `None` for a name that is not a type's.
    fn shape(&self, type_name: Name) -> Option<Shape>;

    /// What stands under this name in an object of this form: `name` in `Patient`, `valueQuantity` in
    /// `Observation`. `None` for an element that isn't defined.
    fn child(&self, shape: Shape, name: Name) -> Option<Child>;
}

/// The form of an object: a type, or a nested element of one (`Patient.contact`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// The type.
    pub type_name: Name,
    /// 0 for the type itself; otherwise the number of the nested element.
    pub part: u16,
}

/// How a defined element is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    /// What it holds.
    pub content: Content,
    /// JSON writes an array: it may repeat.
    pub repeats: bool,
    /// XML writes an attribute: `id` of an element, `url` of an extension.
    pub attribute: bool,
    /// Its place among the elements of its parent; the types of a choice share one.
    pub order: u16,
}

/// What an element holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A primitive, which JSON writes as [`Kind::Boolean`], [`Kind::Number`] or [`Kind::String`].
    Primitive(Kind),
    /// An object of this form.
    Complex(Shape),
    /// A whole resource.
    Resource,
    /// The narrative's XHTML.
    Xhtml,
}
