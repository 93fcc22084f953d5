//! Steps through documents: members, children and descendants of a place.
//!
//! Nothing is collected here: each place found is handed on at once, and whoever takes it may end the
//! search. Primitives are paired with their `_name` twins (FHIR R4 §2.6.2.3), so that an element that has
//! only extensions is still there. Arrays are looked into, and `null` within them is a place only where
//! the twin has something.

use std::cell::RefCell;

use fhir_models::document::{Document, Kind, Name, NodeId, Value, name};

use super::item::NodeRef;
use super::model::{Element, Model, Property, TypeId};
use super::program::Step;

/// The documents of an evaluation and what is known about their types.
#[derive(Clone, Copy)]
pub(super) struct Navigator<'m, 'a> {
    pub model: &'a Model,
    pub main: Document<'a>,
    /// Documents that `resolve()` brought in, or that variables stand in.
    pub others: &'m RefCell<Vec<Document<'a>>>,
}

/// Takes a place; false ends the search.
pub(super) type Taker<'t> = &'t mut dyn FnMut(NodeRef) -> bool;

impl<'a> Navigator<'_, 'a> {
    #[inline]
    pub fn document(&self, number: u16) -> Document<'a> {
        match number {
            0 => self.main,
            other => self.others.borrow().get(usize::from(other) - 1).copied().unwrap_or(self.main),
        }
    }

    /// The number of a document, new ones included; `None` where there are too many.
    pub fn number_of(&self, document: Document<'a>) -> Option<u16> {
        let same = |other: &Document<'a>| {
            std::ptr::eq(other.text(), document.text()) && other.len() == document.len()
        };
        if same(&self.main) {
            return Some(0);
        }
        let mut others = self.others.borrow_mut();
        let at = others.iter().position(same).unwrap_or_else(|| {
            others.push(document);
            others.len() - 1
        });
        u16::try_from(at + 1).ok()
    }

    /// The value at a place; `None` where there is only the twin.
    #[inline]
    pub fn value(&self, node: &NodeRef) -> Option<Value<'a>> {
        if node.is_bare_twin() { None } else { self.document(node.document).value(node.id) }
    }

    /// Where the members of a place stand: in its object, or in its twin for a primitive.
    fn holder(&self, node: &NodeRef) -> Option<Value<'a>> {
        let document = self.document(node.document);
        let own = document.value(node.id).filter(|value| value.is_object());
        own.or_else(|| (node.twin != NodeId::ROOT).then(|| document.value(node.twin)).flatten())
    }

    /// The resource at a value, with its type.
    pub fn resource(&self, value: Value<'a>, document: u16) -> NodeRef {
        NodeRef { id: value.id(), twin: NodeId::ROOT, ty: self.model.resource_type(value), document }
    }

    /// Hands on what stands behind `steps`; false where the taker ended the search.
    pub fn walk(&self, node: NodeRef, steps: &[Step], take: Taker<'_>) -> bool {
        match steps {
            [] => take(node),
            [last] => self.step(&node, last, take),
            [first, rest @ ..] => self.step(&node, first, &mut |next| self.walk(next, rest, take)),
        }
    }

    #[inline]
    pub fn step(&self, node: &NodeRef, step: &Step, take: Taker<'_>) -> bool {
        if node.ty == step.on
            && let Some(element) = &step.element
        {
            return self.element(node, element, take);
        }
        self.step_dynamic(node, step, take)
    }

    fn step_dynamic(&self, node: &NodeRef, step: &Step, take: Taker<'_>) -> bool {
        if let Some(shape) = self.model.shape(node.ty) {
            return shape.element(step.name).is_none_or(|element| self.element(node, element, take));
        }
        // A type that the definitions don't know: names are taken as they stand.
        let found = self.holder(node).and_then(|holder| holder.get_key(&step.text));
        found.is_none_or(|value| {
            value.items().all(|item| {
                let ty = self.model.resource_type(item);
                take(NodeRef { id: item.id(), twin: NodeId::ROOT, ty, document: node.document })
            })
        })
    }

    fn element(&self, node: &NodeRef, element: &Element, take: Taker<'_>) -> bool {
        let Some(holder) = self.holder(node) else { return true };
        if let [only] = &*element.properties {
            if !only.primitive {
                let found = holder.children().find(|child| child.name() == only.key && !child.is_underscored());
                return found.is_none_or(|value| self.complex(value, only, node.document, take));
            }
            let (mut value, mut twin) = (None, None);
            for child in holder.children().filter(|child| child.name() == only.key) {
                if child.is_underscored() {
                    twin = Some(child);
                } else {
                    value = Some(child);
                }
            }
            return self.primitive(value, twin, only, node.document, take);
        }
        for child in holder.children() {
            if let Some(property) = element.property(child.name())
                && !self.property(holder, child, property, node.document, take)
            {
                return false;
            }
        }
        true
    }

    /// One member of an object by its property. A twin is handed on with its value, or alone.
    fn property(
        &self,
        holder: Value<'a>,
        child: Value<'a>,
        property: &Property,
        document: u16,
        take: Taker<'_>,
    ) -> bool {
        if !property.primitive {
            return child.is_underscored() || self.complex(child, property, document, take);
        }
        if child.is_underscored() {
            return holder.get(property.key).is_some()
                || self.primitive(None, Some(child), property, document, take);
        }
        self.primitive(Some(child), holder.get_underscored(property.key), property, document, take)
    }

    fn complex(&self, value: Value<'a>, property: &Property, document: u16, take: Taker<'_>) -> bool {
        let place = |item: Value<'a>| {
            let ty = if property.resource { self.model.resource_type(item) } else { property.ty };
            NodeRef { id: item.id(), twin: NodeId::ROOT, ty, document }
        };
        if value.is_array() {
            return value.children().all(|item| item.kind() == Kind::Null || take(place(item)));
        }
        value.kind() == Kind::Null || take(place(value))
    }

    fn primitive(
        &self,
        value: Option<Value<'a>>,
        twin: Option<Value<'a>>,
        property: &Property,
        document: u16,
        take: Taker<'_>,
    ) -> bool {
        let mut pair = |value: Option<Value<'a>>, twin: Option<Value<'a>>| {
            let value = value.filter(|it| it.kind() != Kind::Null);
            let twin = twin.filter(|it| it.is_object()).map(|it| it.id());
            let Some(id) = value.map(|it| it.id()).or(twin) else { return true };
            take(NodeRef { id, twin: twin.unwrap_or(NodeId::ROOT), ty: property.ty, document })
        };
        let is_array = |it: &Option<Value<'a>>| it.is_some_and(Value::is_array);
        if !is_array(&value) && !is_array(&twin) {
            return pair(value, twin);
        }
        let mut values = value.into_iter().flat_map(Value::items);
        let mut twins = twin.into_iter().flat_map(Value::items);
        loop {
            match (values.next(), twins.next()) {
                (None, None) => return true,
                (value, twin) => {
                    if !pair(value, twin) {
                        return false;
                    }
                }
            }
        }
    }

    /// The children of a place, in document order.
    pub fn children(&self, node: &NodeRef, take: Taker<'_>) -> bool {
        let Some(holder) = self.holder(node) else { return true };
        let shape = self.model.shape(node.ty);
        holder.children().all(|child| {
            let key = child.name();
            if key == name::RESOURCE_TYPE {
                return true;
            }
            match shape.and_then(|it| it.property(key)) {
                Some(property) => self.property(holder, child, property, node.document, take),
                None => child.items().all(|item| {
                    let ty = self.model.resource_type(item);
                    item.kind() == Kind::Null
                        || take(NodeRef { id: item.id(), twin: NodeId::ROOT, ty, document: node.document })
                }),
            }
        })
    }

    /// Everything below a place, parents before children.
    pub fn descendants(&self, node: &NodeRef, take: Taker<'_>) -> bool {
        self.children(node, &mut |child| take(child) && self.descendants(&child, take))
    }

    /// True where the place has a value of a primitive type.
    pub fn has_value(&self, node: &NodeRef) -> bool {
        self.value(node).is_some_and(|value| matches!(value.kind(), Kind::String | Kind::Number | Kind::Boolean))
    }

    /// `ele-1`: a value, or any child but an `id`.
    pub fn has_content(&self, node: &NodeRef) -> bool {
        let filled = |child: Value<'a>| match child.kind() {
            Kind::Null => false,
            Kind::Array => child.children().any(|item| item.kind() != Kind::Null),
            _ => true,
        };
        self.has_value(node)
            || self.holder(node).is_some_and(|holder| {
                holder
                    .children()
                    .any(|child| !matches!(child.name(), name::RESOURCE_TYPE | name::ID) && filled(child))
            })
    }

    /// True where the place's type is the asked one or specialises it.
    pub fn is_a(&self, node: &NodeRef, ty: TypeId) -> bool {
        node.ty == ty || self.model.is_a(node.ty, ty)
    }

    /// The members with a name, whatever the type of the place.
    pub fn named(&self, node: &NodeRef, element: Name, take: Taker<'_>) -> bool {
        if let Some(shape) = self.model.shape(node.ty) {
            return shape.element(element).is_none_or(|element| self.element(node, element, take));
        }
        let found = self.holder(node).and_then(|holder| holder.get(element));
        found.is_none_or(|value| {
            value.items().all(|item| {
                let ty = self.model.resource_type(item);
                take(NodeRef { id: item.id(), twin: NodeId::ROOT, ty, document: node.document })
            })
        })
    }
}
