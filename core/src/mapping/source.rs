//! Reading sources: the members of an object by the definition of its type, primitives with their twins.

use std::borrow::Cow;
use std::cell::RefCell;

use fhir_models::document::xml::TYPE_MEMBER;
use fhir_models::document::{Document, Kind, NodeId, Value, name};

use super::program::{KeyCode, StepCode};
use super::tree::{Scalar, SourceRef};
use super::types::{TypeId, Types};

/// Most types of resources that are looked up without a lock.
const MOST_MET: usize = 32;

/// The documents of a run.
#[derive(Debug)]
pub(super) struct Sources<'a> {
    pub documents: Vec<Document<'a>>,
    pub types: &'a Types,
    /// Types of resources that were met.
    pub met: RefCell<Vec<(&'a str, TypeId)>>,
}

impl<'a> Sources<'a> {
    pub fn value(&self, place: SourceRef) -> Option<Value<'a>> {
        self.documents.get(usize::from(place.document))?.value(NodeId::at(place.node))
    }

    pub fn twin(&self, place: SourceRef) -> Option<Value<'a>> {
        if place.twin == 0 {
            return None;
        }
        self.documents.get(usize::from(place.document))?.value(NodeId::at(place.twin))
    }

    /// The root of a document, as this type or as what it says itself.
    pub fn root(&self, document: u16, ty: TypeId) -> SourceRef {
        let place = SourceRef { document, node: 0, twin: 0, ty, bare: false };
        let own = self.value(place).and_then(|it| it.resource_type());
        let own =
            own.map(|name| self.types.find(&name)).filter(|own| !ty.is_known() || self.types.is_a(*own, ty));
        SourceRef { ty: own.unwrap_or(ty), ..place }
    }

    /// The value of a primitive; `None` for what has parts and for what has only extensions.
    pub fn scalar(&self, place: SourceRef) -> Option<Scalar<'a>> {
        let value = self.value(place).filter(|_| !place.bare)?;
        let text = match value.kind() {
            Kind::String => value.as_str()?,
            Kind::Number | Kind::Boolean => Cow::Borrowed(value.raw()),
            _ => return None,
        };
        Some(Scalar { ty: place.ty, kind: value.kind(), text })
    }

    /// What stands behind one name.
    pub fn step(&self, from: SourceRef, step: &StepCode, found: &mut Vec<SourceRef>) {
        if step.own_value && step.known.iter().all(|(ty, _)| *ty != from.ty) {
            if !from.bare {
                found.push(from);
            }
            return;
        }
        if let Some((_, keys)) = step.known.iter().find(|(ty, _)| *ty == from.ty) {
            return self.members(from, keys, found);
        }
        match self.types.get(from.ty) {
            Some(ty) => {
                if let Some((keys, _)) = super::compile_rule::keys_in(self.types, &ty, &step.name) {
                    self.members(from, &keys, found);
                } else if &*step.name == "value" && ty.primitive().is_some() && !from.bare {
                    found.push(from);
                }
            }
            None => self.untyped(from, &step.name, found),
        }
    }

    fn holder(&self, from: SourceRef) -> Option<Value<'a>> {
        self.value(from).filter(|it| it.is_object()).or_else(|| self.twin(from))
    }

    fn members(&self, from: SourceRef, keys: &[KeyCode], found: &mut Vec<SourceRef>) {
        let Some(holder) = self.holder(from) else { return };
        for key in keys {
            let (mut value, mut twin) = (None, None);
            for member in holder.children() {
                let known = key.symbol.index() != 0;
                let underscored = if known && member.name() == key.symbol {
                    member.is_underscored()
                } else if !known && member.name().index() == 0 {
                    let Some(text) = member.key() else { continue };
                    match text.strip_prefix('_') {
                        _ if *text == *key.text => false,
                        Some(bare) if *bare == *key.text => true,
                        _ => continue,
                    }
                } else {
                    continue;
                };
                *(if underscored { &mut twin } else { &mut value }) = Some(member);
            }
            let twin = twin.filter(|_| key.primitive);
            self.items(from.document, key, value, twin, found);
        }
    }

    fn items(
        &self,
        document: u16,
        key: &KeyCode,
        value: Option<Value<'a>>,
        twin: Option<Value<'a>>,
        found: &mut Vec<SourceRef>,
    ) {
        if twin.is_none() {
            for item in value.into_iter().flat_map(Value::items).filter(|it| it.kind() != Kind::Null) {
                let ty = if key.open { self.own_type(item, key.ty) } else { key.ty };
                found.push(SourceRef { document, node: item.id().number(), twin: 0, ty, bare: false });
            }
            return;
        }
        let mut values = value.into_iter().flat_map(Value::items);
        let mut twins = twin.into_iter().flat_map(Value::items);
        loop {
            let (value, twin) = (values.next(), twins.next());
            if value.is_none() && twin.is_none() {
                return;
            }
            let value = value.filter(|it| it.kind() != Kind::Null).map(|it| it.id().number());
            let twin = twin.filter(|it| it.is_object()).map(|it| it.id().number());
            if let Some(node) = value.or(twin) {
                let place =
                    SourceRef { document, node, twin: twin.unwrap_or(0), ty: key.ty, bare: value.is_none() };
                found.push(place);
            }
        }
    }

    pub fn own_type(&self, value: Value<'a>, declared: TypeId) -> TypeId {
        let own = match value.get(name::RESOURCE_TYPE).and_then(Value::as_plain_str) {
            Some(text) => Some(self.resource(text)),
            None => value.resource_type().map(|name| self.types.find(&name)),
        };
        let named = || {
            let name = value.get_key(TYPE_MEMBER)?.as_str()?;
            Some(self.types.find_near(&name, &[declared]))
        };
        own.or_else(named).filter(|it| it.is_known()).unwrap_or(declared)
    }

    fn resource(&self, text: &'a str) -> TypeId {
        let mut met = self.met.borrow_mut();
        if let Some((_, ty)) = met.iter().find(|it| it.0 == text) {
            return *ty;
        }
        let ty = self.types.find(text);
        if met.len() < MOST_MET {
            met.push((text, ty));
        }
        ty
    }

    /// Members of an object of which no definition is at hand.
    fn untyped(&self, from: SourceRef, name: &str, found: &mut Vec<SourceRef>) {
        let member = self.value(from).and_then(|it| it.get_key(name));
        for item in member.into_iter().flat_map(Value::items).filter(|it| it.kind() != Kind::Null) {
            let ty = self.own_type(item, self.plain_type(item));
            let node = item.id().number();
            found.push(SourceRef { document: from.document, node, twin: 0, ty, bare: false });
        }
    }

    fn plain_type(&self, value: Value<'a>) -> TypeId {
        match value.kind() {
            Kind::String => self.types.find("string"),
            Kind::Boolean => self.types.find("boolean"),
            Kind::Number => self.types.find("decimal"),
            _ => TypeId::UNKNOWN,
        }
    }
}
