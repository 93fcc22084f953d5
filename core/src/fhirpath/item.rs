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

/// A place in a document: a value, a primitive's `_name` twin, or both; with its type.
///
/// Two words, so that it travels in registers: built in memory, it would be waited for at every turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeRef {
    /// The value's node; where only the twin is there, the twin's. Above it the twin's, or the root.
    nodes: u64,
    /// The type; above it the document's number, 0 for the one that is evaluated.
    about: u64,
}

impl NodeRef {
    #[inline]
    pub fn new(id: NodeId, twin: NodeId, ty: TypeId, document: u16) -> NodeRef {
        NodeRef {
            nodes: u64::from(id.number()) | u64::from(twin.number()) << 32,
            about: u64::from(ty.number()) | u64::from(document) << 32,
        }
    }

    /// A place without twin.
    #[inline]
    pub fn plain(id: NodeId, ty: TypeId, document: u16) -> NodeRef {
        NodeRef::new(id, NodeId::ROOT, ty, document)
    }

    #[inline]
    pub fn id(self) -> NodeId {
        NodeId::at(self.nodes as u32)
    }

    /// The node of the twin; the root where there is none.
    #[inline]
    pub fn twin(self) -> NodeId {
        NodeId::at((self.nodes >> 32) as u32)
    }

    #[inline]
    pub fn ty(self) -> TypeId {
        TypeId::at(self.about as u32)
    }

    #[inline]
    pub fn document(self) -> u16 {
        (self.about >> 32) as u16
    }

    /// True where a primitive has extensions or an id but no value.
    #[inline]
    pub fn is_bare_twin(self) -> bool {
        self.twin() == self.id() && self.twin() != NodeId::ROOT
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
