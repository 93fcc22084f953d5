//! What an evaluation gives: values with their types and places.

use std::borrow::Cow;

use fhir_models::document::{Document, NodeId, Position, Value};

use super::decimal::Decimal;
use super::item::{Item, Text};
use super::model::{Model, TypeId};
use super::quantity::Quantity;
use super::system::SystemType;
use super::temporal::Temporal;

/// The items that an expression gave, in order.
///
/// A collection can be filled again and again; its memory is then reused.
#[derive(Debug, Default)]
pub struct Collection<'a> {
    pub(super) items: Vec<Item<'a>>,
    pub(super) documents: Vec<Document<'a>>,
    pub(super) model: Option<&'a Model>,
}

/// A computed or simple value.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar<'c> {
    /// true or false
    Boolean(bool),
    /// Any kind of text.
    String(Cow<'c, str>),
    /// A whole number of 32 bits.
    Integer(i32),
    /// A whole number of 64 bits.
    Long(i64),
    /// A decimal with its precision.
    Decimal(Decimal),
    /// A date, date with time, or time.
    Temporal(Temporal),
    /// An amount with a unit.
    Quantity(Quantity),
}

impl<'a> Collection<'a> {
    /// An empty collection, to be filled.
    pub fn new() -> Collection<'a> {
        Collection::default()
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// True where there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items, in order.
    pub fn iter(&self) -> impl Iterator<Item = ResultItem<'_, 'a>> {
        self.items.iter().map(|item| ResultItem { collection: self, item })
    }

    /// The first item.
    pub fn first(&self) -> Option<ResultItem<'_, 'a>> {
        self.items.first().map(|item| ResultItem { collection: self, item })
    }

    /// The one boolean, where the collection is exactly that.
    pub fn as_boolean(&self) -> Option<bool> {
        match self.items.as_slice() {
            [_] => self.first().and_then(|item| match item.scalar() {
                Some(Scalar::Boolean(value)) => Some(value),
                _ => None,
            }),
            _ => None,
        }
    }
}

/// One item of a collection.
#[derive(Debug, Clone, Copy)]
pub struct ResultItem<'c, 'a> {
    collection: &'c Collection<'a>,
    item: &'c Item<'a>,
}

impl<'c, 'a> ResultItem<'c, 'a> {
    fn document(&self, number: u16) -> Option<Document<'a>> {
        self.collection.documents.get(usize::from(number)).copied()
    }

    /// Its type: `HumanName`, `code`, or for a computed value FHIR's name for it, such as `boolean`.
    pub fn type_name(&self) -> &'static str {
        match (self.item, self.item.system_type()) {
            (_, Some(system)) => system.fhir_name(),
            (Item::Node(place), None) => {
                self.collection.model.map_or("", |model| model.type_name(place.ty()))
            }
            _ => "",
        }
    }

    /// True where it was computed, false where it stands in a document.
    pub fn is_computed(&self) -> bool {
        !matches!(self.item, Item::Node(_))
    }

    /// The value in its document; `None` for computed values, and for primitives that have only extensions.
    pub fn value(&self) -> Option<Value<'a>> {
        match self.item {
            Item::Node(place) if !place.is_bare_twin() => self.document(place.document())?.value(place.id()),
            _ => None,
        }
    }

    /// The twin that holds a primitive's id and extensions, where there is one.
    pub fn twin(&self) -> Option<Value<'a>> {
        match self.item {
            Item::Node(place) if place.twin() != NodeId::ROOT => {
                self.document(place.document())?.value(place.twin())
            }
            _ => None,
        }
    }

    /// Line and column in the source of what stands in a document.
    pub fn position(&self) -> Option<Position> {
        self.value().or_else(|| self.twin()).map(Value::position)
    }

    /// The item's place in its document as an expression, such as `Patient.name[0].given[1]`.
    pub fn path(&self) -> Option<String> {
        self.value().or_else(|| self.twin()).map(Value::expression)
    }

    /// A computed value, or the value of a primitive; `None` for what has parts and for primitives without
    /// value.
    pub fn scalar(&self) -> Option<Scalar<'c>> {
        match self.item {
            Item::Boolean(value) => Some(Scalar::Boolean(*value)),
            Item::Integer(value) => Some(Scalar::Integer(*value)),
            Item::Long(value) => Some(Scalar::Long(*value)),
            Item::Decimal(value) => Some(Scalar::Decimal(*value)),
            Item::Temporal(value) => Some(Scalar::Temporal(*value)),
            Item::Quantity(value) => Some(Scalar::Quantity(Quantity::clone(value))),
            Item::Text(Text::Borrowed(text)) => Some(Scalar::String(Cow::Borrowed(text))),
            Item::Text(Text::Shared(text)) => Some(Scalar::String(Cow::Borrowed(text))),
            Item::TypeInfo(info) => {
                Some(Scalar::String(Cow::Owned(format!("{}.{}", info.namespace(), info.name))))
            }
            Item::Node(place) => {
                let value = self.value()?;
                if let Some(value) = value.as_bool() {
                    return Some(Scalar::Boolean(value));
                }
                let number = || {
                    let digits = value.as_number()?;
                    match (scalar_type(place.ty()), digits.parse::<i32>(), digits.parse::<i64>()) {
                        (Some(SystemType::Decimal), ..) => Decimal::parse(digits).map(Scalar::Decimal),
                        (_, Ok(small), _) => Some(Scalar::Integer(small)),
                        (_, _, Ok(large)) => Some(Scalar::Long(large)),
                        _ => Decimal::parse(digits).map(Scalar::Decimal),
                    }
                };
                number().or_else(|| value.as_str().map(Scalar::String))
            }
        }
    }

    /// Text of a scalar as FHIR writes it; `None` as for [`ResultItem::scalar`].
    pub fn text(&self) -> Option<Cow<'c, str>> {
        Some(match self.scalar()? {
            Scalar::String(text) => text,
            Scalar::Boolean(value) => Cow::Borrowed(if value { "true" } else { "false" }),
            Scalar::Integer(value) => Cow::Owned(value.to_string()),
            Scalar::Long(value) => Cow::Owned(value.to_string()),
            Scalar::Decimal(value) => Cow::Owned(value.to_string()),
            Scalar::Temporal(value) => Cow::Owned(value.to_string()),
            Scalar::Quantity(value) => Cow::Owned(value.to_string()),
        })
    }
}

fn scalar_type(ty: TypeId) -> Option<SystemType> {
    ty.is_structure().then(|| SystemType::of_name(ty.structure())).flatten()
}

impl PartialEq for Temporal {
    /// The same value with the same precision and zone.
    fn eq(&self, other: &Temporal) -> bool {
        self.kind() == other.kind() && self.to_string() == other.to_string()
    }
}

impl PartialEq for Quantity {
    /// The same value in the same unit; `1 'm'` is not `100 'cm'` here.
    fn eq(&self, other: &Quantity) -> bool {
        self.value == other.value && self.unit == other.unit
    }
}
