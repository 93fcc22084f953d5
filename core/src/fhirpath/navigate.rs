//! Steps through documents: members, children and descendants of a place.
//!
//! Nothing is collected here: each place found is handed on at once, and whoever takes it may end the
//! search. Primitives are paired with their `_name` twins (FHIR R4 §2.6.2.3), so that an element that has
//! only extensions is still there. Arrays are looked into, and `null` within them is a place only where
//! the twin has something. The walk looks at the tape's nodes; values are made only of what is read.

use std::cell::{Cell, RefCell};

use fhir_models::document::nodes::children;
use fhir_models::document::{Document, Kind, Name, Node, NodeId, Value, name};

use super::context::Focus;
use super::item::NodeRef;
use super::model::{Element, Model, Property, TypeId};
use super::program::Step;

/// The documents of an evaluation, what is known about their types, and what is noted on the way.
pub(super) struct Navigator<'a> {
    pub model: &'a Model,
    pub main: Document<'a>,
    /// Documents that `resolve()` brought in, or that variables stand in.
    pub others: RefCell<Vec<Document<'a>>>,
    /// The last object of the first document in which a name was not found: the next step may ask again.
    missed: Cell<(NodeId, Name)>,
}

/// Takes a place; false ends the search.
pub(super) type Taker<'t> = &'t mut dyn FnMut(NodeRef) -> bool;

/// An object's member that was found: its number and kind.
type Found = Option<(NodeId, Kind)>;

impl<'a> Navigator<'a> {
    #[inline]
    pub fn new(model: &'a Model, main: Document<'a>) -> Navigator<'a> {
        let missed = Cell::new((NodeId::ROOT, Name::UNKNOWN));
        Navigator { model, main, others: RefCell::new(Vec::new()), missed }
    }

    #[inline]
    pub fn document(&self, number: u16) -> Document<'a> {
        match number {
            0 => self.main,
            other => self.others.borrow().get(usize::from(other) - 1).copied().unwrap_or(self.main),
        }
    }

    #[inline]
    fn nodes(&self, document: u16) -> &'a [Node] {
        if document == 0 { self.main.nodes() } else { self.document(document).nodes() }
    }

    /// The number of a document, new ones included; `None` where there are too many.
    #[inline]
    pub fn number_of(&self, document: Document<'a>) -> Option<u16> {
        if std::ptr::eq(self.main.nodes(), document.nodes()) {
            Some(0)
        } else {
            self.number_of_other(document)
        }
    }

    #[cold]
    fn number_of_other(&self, document: Document<'a>) -> Option<u16> {
        let same = |other: &Document<'a>| std::ptr::eq(other.nodes(), document.nodes());
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
        if node.is_bare_twin() { None } else { self.document(node.document()).value(node.id()) }
    }

    /// Where the members of a place stand: in its object, or in its twin for a primitive.
    #[inline]
    fn holder(&self, node: &NodeRef, nodes: &[Node]) -> Option<NodeId> {
        match nodes.get(node.id().index()).map(Node::kind) {
            Some(Kind::Object) => Some(node.id()),
            _ => (node.twin() != NodeId::ROOT).then_some(node.twin()),
        }
    }

    /// Where a focus stands. `expected` is the type that it probably has.
    #[inline]
    pub fn place(&self, focus: &Focus<'a>, expected: TypeId) -> NodeRef {
        let document = self.number_of(focus.value.document()).unwrap_or(0);
        let ty = match focus.ty {
            Some(ty) => ty,
            None if self.is_resource_of(focus.value, expected) => expected,
            None => self.model.resource_type(focus.value),
        };
        let twin = focus.twin.map_or(NodeId::ROOT, Value::id);
        NodeRef::new(focus.value.id(), twin, ty, document)
    }

    /// True where a value's `resourceType` is the name of this type: one comparison, no lookup.
    #[inline]
    fn is_resource_of(&self, value: Value<'a>, ty: TypeId) -> bool {
        let document = value.document();
        ty.is_structure()
            && children(document.nodes(), value.id())
                .find(|(_, child)| child.name() == name::RESOURCE_TYPE)
                .and_then(|(id, _)| document.value(id))
                .is_some_and(|own| unquoted(own.raw()) == Some(ty.structure().text()))
    }

    /// The resource at a value, with its type.
    pub fn resource(&self, value: Value<'a>, document: u16) -> NodeRef {
        NodeRef::plain(value.id(), self.model.resource_type(value), document)
    }

    /// A place without twin, typed by its own `resourceType` if it has one.
    fn untyped(&self, id: NodeId, document: u16) -> NodeRef {
        let value = self.document(document).value(id).filter(|it| it.is_object());
        let ty = value.map_or(TypeId::UNKNOWN, |it| self.model.resource_type(it));
        NodeRef::plain(id, ty, document)
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
        if node.ty() == step.on
            && let Some(element) = &step.element
        {
            return self.element(node, element, take);
        }
        self.step_dynamic(node, step, take)
    }

    fn step_dynamic(&self, node: &NodeRef, step: &Step, take: Taker<'_>) -> bool {
        if let Some(shape) = self.model.shape(node.ty()) {
            return match shape.element(step.name) {
                Some(element) => self.element(node, element, take),
                None if step.instance => self.step_instance(node, step, take),
                None => true,
            };
        }
        // A type that the definitions don't know: names are taken as they stand.
        let document = self.document(node.document());
        let holder = self.holder(node, document.nodes()).and_then(|id| document.value(id));
        if let (Some(holder), false) = (holder, step.own.is_empty()) {
            return self.step_own(holder, node.document(), step, take);
        }
        let found = holder.and_then(|holder| holder.get_key(&step.text));
        found.is_none_or(|value| {
            let mut filled = value.items().filter(|item| item.kind() != Kind::Null);
            filled.all(|item| take(self.untyped(item.id(), node.document())))
        })
    }

    /// A name that only the object's own model knows, with the types that it gives.
    #[cold]
    fn step_own(&self, holder: Value<'_>, document: u16, step: &Step, take: Taker<'_>) -> bool {
        step.own.iter().all(|(key, ty)| {
            let items = holder.get_key(key).into_iter().flat_map(Value::items);
            items.filter(|item| item.kind() != Kind::Null).all(|item| {
                let place = self.untyped(item.id(), document);
                let known = place.ty() != TypeId::UNKNOWN || *ty == TypeId::UNKNOWN;
                take(if known { place } else { NodeRef::plain(item.id(), *ty, document) })
            })
        })
    }

    /// A name as instances have it: one type of a choice, or the value of a primitive.
    #[cold]
    fn step_instance(&self, node: &NodeRef, step: &Step, take: Taker<'_>) -> bool {
        if step.name == name::VALUE && self.model.is_primitive(node.ty()) {
            return !self.has_value(node) || take(*node);
        }
        let property = self.model.shape(node.ty()).and_then(|shape| shape.property(step.name));
        property.is_none_or(|property| self.element(node, &Element::of(*property), take))
    }

    fn element(&self, node: &NodeRef, element: &Element, take: Taker<'_>) -> bool {
        let nodes = self.nodes(node.document());
        let Some(holder) = self.holder(node, nodes) else { return true };
        if let [only] = &*element.properties {
            if !only.primitive {
                if node.document() == 0 && self.missed.get() == (holder, only.key) {
                    return true;
                }
                for (id, child) in children(nodes, holder) {
                    if child.name() == only.key && !child.is_underscored() {
                        return self.complex(nodes, (id, child.kind()), only, node.document(), take);
                    }
                }
                if node.document() == 0 {
                    self.missed.set((holder, only.key));
                }
                return true;
            }
            let (mut value, mut twin) = (None, None);
            for (id, child) in children(nodes, holder) {
                if child.name() == only.key {
                    *(if child.is_underscored() { &mut twin } else { &mut value }) = Some((id, child.kind()));
                }
            }
            return self.primitive(nodes, value, twin, only.ty, node.document(), take);
        }
        for (id, child) in children(nodes, holder) {
            if let Some(property) = element.property(child.name())
                && !self.property(nodes, Some(holder), (id, child), property, node.document(), take)
            {
                return false;
            }
        }
        true
    }

    /// One member of an object by its property. A twin is handed on with its value, or alone; where the
    /// object has no twins, no `holder` is given.
    fn property(
        &self,
        nodes: &'a [Node],
        holder: Option<NodeId>,
        (id, child): (NodeId, &Node),
        property: &Property,
        document: u16,
        take: Taker<'_>,
    ) -> bool {
        let own = (id, child.kind());
        if !property.primitive {
            return child.is_underscored() || self.complex(nodes, own, property, document, take);
        }
        let wanted = !child.is_underscored();
        let other = holder
            .into_iter()
            .flat_map(|holder| children(nodes, holder))
            .find(|(_, other)| other.name() == property.key && other.is_underscored() == wanted)
            .map(|(id, other)| (id, other.kind()));
        match (wanted, other) {
            (true, twin) => self.primitive(nodes, Some(own), twin, property.ty, document, take),
            (false, Some(_)) => true,
            (false, None) => self.primitive(nodes, None, Some(own), property.ty, document, take),
        }
    }

    fn complex(
        &self,
        nodes: &'a [Node],
        (id, kind): (NodeId, Kind),
        property: &Property,
        document: u16,
        take: Taker<'_>,
    ) -> bool {
        let mut place = |id: NodeId| {
            if property.resource {
                return take(self.untyped(id, document));
            }
            take(NodeRef::plain(id, property.ty, document))
        };
        match kind {
            Kind::Array => {
                for (id, item) in children(nodes, id) {
                    if item.kind() != Kind::Null && !place(id) {
                        return false;
                    }
                }
                true
            }
            Kind::Null => true,
            _ => place(id),
        }
    }

    fn primitive(
        &self,
        nodes: &'a [Node],
        value: Found,
        twin: Found,
        ty: TypeId,
        document: u16,
        take: Taker<'_>,
    ) -> bool {
        let (Some((id, kind)), None) = (value, twin) else {
            return twin.is_none() || primitive_pairs(nodes, value, twin, ty, document, take);
        };
        match kind {
            Kind::Array => {
                for (id, item) in children(nodes, id) {
                    let place = NodeRef::plain(id, ty, document);
                    if item.kind() != Kind::Null && !take(place) {
                        return false;
                    }
                }
                true
            }
            Kind::Null => true,
            _ => take(NodeRef::plain(id, ty, document)),
        }
    }

    /// The children of a place, in document order.
    pub fn children(&self, node: &NodeRef, take: Taker<'_>) -> bool {
        let nodes = self.nodes(node.document());
        let Some(holder) = self.holder(node, nodes) else { return true };
        let shape = self.model.shape(node.ty());
        let with_twins = children(nodes, holder).any(|(_, child)| child.is_underscored()).then_some(holder);
        for (id, child) in children(nodes, holder) {
            let key = child.name();
            if key == name::RESOURCE_TYPE {
                continue;
            }
            let more = match shape.and_then(|it| it.property(key)) {
                Some(property) => {
                    self.property(nodes, with_twins, (id, child), property, node.document(), take)
                }
                None if child.kind() == Kind::Array => children(nodes, id)
                    .filter(|(_, item)| item.kind() != Kind::Null)
                    .all(|(id, _)| take(self.untyped(id, node.document()))),
                None => child.kind() == Kind::Null || take(self.untyped(id, node.document())),
            };
            if !more {
                return false;
            }
        }
        true
    }

    /// Everything below a place, parents before children.
    pub fn descendants(&self, node: &NodeRef, take: Taker<'_>) -> bool {
        self.children(node, &mut |child| take(child) && self.descendants(&child, take))
    }

    /// True where the place has a value of a primitive type.
    pub fn has_value(&self, node: &NodeRef) -> bool {
        let kind = self.nodes(node.document()).get(node.id().index()).map(Node::kind);
        !node.is_bare_twin() && matches!(kind, Some(Kind::String | Kind::Number | Kind::Boolean))
    }

    /// `ele-1`: a value, or any child but an `id`.
    pub fn has_content(&self, node: &NodeRef) -> bool {
        if self.has_value(node) {
            return true;
        }
        let nodes = self.nodes(node.document());
        let filled = |id: NodeId, child: &Node| match child.kind() {
            Kind::Null => false,
            Kind::Array => children(nodes, id).any(|(_, item)| item.kind() != Kind::Null),
            _ => true,
        };
        self.holder(node, nodes).is_some_and(|holder| {
            children(nodes, holder).any(|(id, child)| {
                !matches!(child.name(), name::RESOURCE_TYPE | name::ID) && filled(id, child)
            })
        })
    }

    /// True where the place's type is the asked one or specialises it.
    pub fn is_a(&self, node: &NodeRef, ty: TypeId) -> bool {
        node.ty() == ty || self.model.is_a(node.ty(), ty)
    }

    /// The members with a name, whatever the type of the place.
    pub fn named(&self, node: &NodeRef, element: Name, take: Taker<'_>) -> bool {
        if let Some(shape) = self.model.shape(node.ty()) {
            return shape.element(element).is_none_or(|element| self.element(node, element, take));
        }
        let document = self.document(node.document());
        let holder = self.holder(node, document.nodes()).and_then(|id| document.value(id));
        let found = holder.and_then(|holder| holder.get(element));
        found.is_none_or(|value| value.items().all(|item| take(self.untyped(item.id(), node.document()))))
    }
}

/// Values with their twins, by their place in the arrays; either may be missing.
fn primitive_pairs(
    nodes: &[Node],
    value: Found,
    twin: Found,
    ty: TypeId,
    document: u16,
    take: Taker<'_>,
) -> bool {
    let mut pair = |value: Found, twin: Found| {
        let value = value.filter(|(_, kind)| *kind != Kind::Null).map(|(id, _)| id);
        let twin = twin.filter(|(_, kind)| *kind == Kind::Object).map(|(id, _)| id);
        let Some(id) = value.or(twin) else { return true };
        take(NodeRef::new(id, twin.unwrap_or(NodeId::ROOT), ty, document))
    };
    let is_array = |it: Found| it.is_some_and(|(_, kind)| kind == Kind::Array);
    if !is_array(value) && !is_array(twin) {
        return pair(value, twin);
    }
    let items = |it: Found| {
        let (many, one) = if is_array(it) { (it, None) } else { (None, it) };
        let many =
            many.into_iter().flat_map(|(id, _)| children(nodes, id)).map(|(id, item)| (id, item.kind()));
        many.chain(one)
    };
    let (mut values, mut twins) = (items(value), items(twin));
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

/// The text between the quotes, where it needs no unescaping to be compared.
#[inline]
fn unquoted(raw: &str) -> Option<&str> {
    raw.strip_prefix('"')?.strip_suffix('"')
}
