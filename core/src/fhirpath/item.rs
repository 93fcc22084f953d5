//! Items of a collection while an expression is evaluated: places in a document, or computed values.
//!
//! An item is small and cheap to clone. Text that stands in a document or an expression is borrowed.

use std::sync::Arc;

use fhir_models::document::NodeId;

use super::decimal::Decimal;
use super::model::TypeId;
use super::quantity::Quantity;
use super::system::SystemType;
use super::temporal::{Temporal, TemporalKind};

/// A place in a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeRef {
    /// The value's node; where only the `_name` twin is there, the twin's.
    pub id: NodeId,
    /// The node of a primitive's `_name` twin; the root where there is none.
    pub twin: NodeId,
    pub ty: TypeId,
    /// The document's number; 0 for the one that is evaluated.
    pub document: u16,
}

impl NodeRef {
    /// True where a primitive has extensions or an id but no value.
    pub fn is_bare_twin(&self) -> bool {
        self.twin == self.id && self.twin != NodeId::ROOT
    }
}

/// Text, borrowed where it can be.
#[derive(Debug, Clone)]
pub(super) enum Text<'a> {
    Borrowed(&'a str),
    Shared(Arc<str>),
}

impl Text<'_> {
    pub fn as_str(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Shared(text) => text,
        }
    }
}

/// What `type()` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TypeInfo {
    /// One of FHIRPath's own types.
    pub system: bool,
    pub name: &'static str,
}

impl TypeInfo {
    pub fn namespace(self) -> &'static str {
        if self.system { "System" } else { "FHIR" }
    }
}

/// One item.
#[derive(Debug, Clone)]
pub(super) enum Item<'a> {
    Node(NodeRef),
    Boolean(bool),
    Integer(i32),
    Long(i64),
    Decimal(Decimal),
    Text(Text<'a>),
    Temporal(Temporal),
    Quantity(Arc<Quantity>),
    TypeInfo(TypeInfo),
}

const _: () = assert!(size_of::<Item<'_>>() <= 32);

impl<'a> Item<'a> {
    /// Computed text.
    pub fn text(text: impl Into<Arc<str>>) -> Item<'a> {
        Item::Text(Text::Shared(text.into()))
    }

    /// The FHIRPath type of a computed value; `None` for a place in a document.
    pub fn system_type(&self) -> Option<SystemType> {
        Some(match self {
            Item::Node(_) => return None,
            Item::Boolean(_) => SystemType::Boolean,
            Item::Integer(_) => SystemType::Integer,
            Item::Long(_) => SystemType::Long,
            Item::Decimal(_) => SystemType::Decimal,
            Item::Text(_) => SystemType::String,
            Item::Temporal(value) => match value.kind() {
                TemporalKind::Date => SystemType::Date,
                TemporalKind::DateTime => SystemType::DateTime,
                TemporalKind::Time => SystemType::Time,
            },
            Item::Quantity(_) => SystemType::Quantity,
            Item::TypeInfo(_) => SystemType::TypeInfo,
        })
    }

    /// An Integer, Long or Decimal as a decimal.
    pub fn number(&self) -> Option<Decimal> {
        match self {
            Item::Integer(value) => Some(Decimal::from(*value)),
            Item::Long(value) => Some(Decimal::from(*value)),
            Item::Decimal(value) => Some(*value),
            _ => None,
        }
    }

    /// An Integer or Long.
    pub fn whole(&self) -> Option<i64> {
        match self {
            Item::Integer(value) => Some(i64::from(*value)),
            Item::Long(value) => Some(*value),
            _ => None,
        }
    }

    /// A quantity, or a number as a quantity without unit.
    pub fn quantity(&self) -> Option<Arc<Quantity>> {
        match self {
            Item::Quantity(value) => Some(Arc::clone(value)),
            other => other.number().map(|value| Arc::new(Quantity::number(value))),
        }
    }
}
