//! From the elements of an XML text to JSON (FHIR R4 §2.6.1 and §2.6.2).
//!
//! Elements of one name become one member where the first of them stands. What the definitions don't know
//! becomes an array where it repeats. A value whose text is not what its type asks for stays a string, so
//! that a validator finds it there.

use std::borrow::Cow;

use super::Fault;
use super::character::{first_forbidden, is_allowed};
use super::schema::{Content, Schema, Shape};
use super::source_map::SourceMap;
use super::tree::{Element, Tree};
use crate::document::form::Tolerance;
use crate::document::json::is_number;
use crate::document::write::quote;
use crate::document::{Format, Kind, Limits, Name, SyntaxError, SyntaxErrorKind as Why, name};

/// Translates a text into `json`, and says in `map` what came from where.
pub(in crate::document) fn translate(
    bytes: &[u8],
    schema: &dyn Schema,
    limits: &Limits,
    mut tolerance: Tolerance,
    json: &mut Vec<u8>,
    map: &mut SourceMap,
) -> Result<(), SyntaxError> {
    json.clear();
    let longest = limits.bytes.min(u32::MAX as usize - 1);
    if bytes.len() > longest {
        return Err(SyntaxError::at(Why::TooLarge(longest), bytes, longest));
    }
    let text = readable(bytes, &mut tolerance)?;
    let refused = |(kind, offset)| SyntaxError::at(kind, text.as_bytes(), offset);
    map.begin(Format::Xml, &text);
    let tree = Tree::read(&text, limits, &mut tolerance).map_err(refused)?;
    let misplaced = Vec::new();
    let mut translator = Translator { tree: &tree, schema, json, map, misplaced, tolerance };
    translator.resource(0).map_err(refused)?;
    let Translator { misplaced, tolerance, .. } = translator;
    map.misplace(misplaced);
    let (mut faults, more) = tolerance.into_faults();
    if !faults.is_empty() {
        let paths = tree.paths(faults.iter().map(|fault| fault.offset));
        faults.iter_mut().zip(paths).for_each(|(fault, path)| fault.path = path);
    }
    map.tolerate((faults, more));
    Ok(())
}

/// The text, with U+FFFD for what is no character or none that XML allows, where that is put up with.
pub(super) fn readable<'b>(bytes: &'b [u8], tolerance: &mut Tolerance) -> Result<Cow<'b, str>, SyntaxError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(error) => {
            let fault = (Why::NotUtf8, error.valid_up_to());
            tolerance.note(fault).map_err(|(kind, at)| SyntaxError::at(kind, bytes, at))?;
            String::from_utf8_lossy(bytes)
        }
    };
    let Some(first) = first_forbidden(&text) else { return Ok(text) };
    let mut clean = String::with_capacity(text.len());
    let (before, rest) = text.split_at(first);
    clean.push_str(before);
    for character in rest.chars() {
        if is_allowed(character) {
            clean.push(character);
        } else {
            let fault = (Why::ForbiddenCharacter, clean.len());
            tolerance.note(fault).map_err(|(kind, at)| SyntaxError::at(kind, text.as_bytes(), at))?;
            clean.push(char::REPLACEMENT_CHARACTER);
        }
    }
    Ok(Cow::Owned(clean))
}

struct Translator<'t, 'a> {
    tree: &'t Tree<'a>,
    schema: &'t dyn Schema,
    json: &'t mut Vec<u8>,
    map: &'t mut SourceMap,
    /// Offsets in the source.
    misplaced: Vec<u32>,
    tolerance: Tolerance,
}

impl<'t, 'a> Translator<'t, 'a> {
    /// A resource: its element's name is its type.
    fn resource(&mut self, number: u32) -> Result<(), Fault> {
        let tree = self.tree;
        let Some(element) = tree.elements.get(number as usize) else { return Ok(()) };
        self.in_fhir(element)?;
        self.mark(element);
        self.json.extend_from_slice(b"{\"resourceType\":");
        quote(self.json, tree.local(element));
        let shape = self.schema.shape(element.name);
        self.no_attributes(element)?;
        self.members(number, shape, true)?;
        self.json.push(b'}');
        Ok(())
    }

    /// An object: attributes and elements below this element.
    fn object(&mut self, number: u32, shape: Option<Shape>) -> Result<(), Fault> {
        let tree = self.tree;
        let Some(element) = tree.elements.get(number as usize) else { return Ok(()) };
        self.in_fhir(element)?;
        self.json.push(b'{');
        let mut filled = false;
        for attribute in tree.attributes(element) {
            let local = tree.attribute_local(attribute);
            let allowed = match shape {
                Some(shape) => self.schema.child(shape, Name::of(local)).is_some_and(|child| child.attribute),
                None => local == "id",
            };
            if !allowed || !attribute.plain {
                self.tolerance.note((Why::UnexpectedAttribute, attribute.at as usize))?;
                continue;
            }
            self.comma(&mut filled);
            self.map.mark(self.json.len(), attribute.at);
            self.key("", local);
            quote(self.json, &tree.value(attribute));
        }
        self.members(number, shape, filled)?;
        self.json.push(b'}');
        Ok(())
    }

    /// The elements below this element, as members.
    fn members(&mut self, number: u32, shape: Option<Shape>, mut filled: bool) -> Result<(), Fault> {
        let tree = self.tree;
        let mut latest = 0;
        for (at, element) in tree.children(number) {
            let child = shape.and_then(|shape| self.schema.child(shape, element.name));
            if let Some(child) = child {
                if child.attribute {
                    self.tolerance.note((Why::ExpectedAttribute, element.start as usize))?;
                    continue;
                }
                if child.order < latest {
                    self.misplaced.push(element.start);
                }
                latest = child.order;
            }
            if !element.first {
                continue;
            }
            if child.is_none() && is_reserved(tree.local(element)) {
                self.tolerance.note((Why::ReservedName, element.start as usize))?;
                continue;
            }
            let repeats = child.is_some_and(|child| child.repeats) || element.twin != 0;
            self.comma(&mut filled);
            match child.map(|child| child.content) {
                Some(Content::Primitive(kind)) => self.primitives(at, kind, repeats)?,
                Some(Content::Xhtml) => self.each(at, repeats, |own, _, div| own.narrative(div))?,
                Some(Content::Resource) => self.each(at, repeats, |own, at, it| own.held_resource(at, it))?,
                Some(Content::Complex(shape)) => {
                    self.each(at, repeats, |own, at, _| own.object(at, Some(shape)))?;
                }
                None => self.unknown(at, repeats)?,
            }
        }
        Ok(())
    }

    /// Elements of one name that no definition knows: what they are is told by what they hold.
    fn unknown(&mut self, first: u32, repeats: bool) -> Result<(), Fault> {
        let tree = self.tree;
        let Some(element) = tree.elements.get(first as usize) else { return Ok(()) };
        for (_, element) in tree.twins(first) {
            self.tolerance.forget(element.start as usize + 1..element.end as usize);
        }
        if element.xhtml {
            return self.each(first, repeats, |own, _, div| own.narrative(div));
        }
        if tree.twins(first).any(|(_, element)| tree.attribute(element, "value").is_some()) {
            return self.primitives(first, Kind::String, repeats);
        }
        // Extensions are the same everywhere.
        let extension = matches!(element.name, name::EXTENSION | name::MODIFIER_EXTENSION);
        let shape = if extension { self.schema.shape(Name::of("Extension")) } else { None };
        self.each(first, repeats || extension, |own, at, _| own.object(at, shape))
    }

    /// Elements of one name that hold no primitives, as one member.
    fn each(
        &mut self,
        first: u32,
        repeats: bool,
        mut write: impl FnMut(&mut Self, u32, &Element) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let tree = self.tree;
        for (nth, (at, element)) in tree.twins(first).enumerate() {
            if nth == 0 {
                self.mark(element);
                self.key("", tree.local(element));
            }
            if repeats {
                self.json.push(if nth == 0 { b'[' } else { b',' });
                self.mark(element);
            }
            write(self, at, element)?;
        }
        if repeats {
            self.json.push(b']');
        }
        Ok(())
    }

    /// Primitives of one name, as one member and, where one has an `id` or extensions, its underscored twin.
    fn primitives(&mut self, first: u32, kind: Kind, repeats: bool) -> Result<(), Fault> {
        let tree = self.tree;
        let (mut valued, mut extended) = (None, None);
        for (at, element) in tree.twins(first) {
            self.in_fhir(element)?;
            for attribute in tree.attributes(element) {
                match tree.attribute_local(attribute) {
                    "value" if attribute.plain => valued = valued.or(Some(element)),
                    "id" if attribute.plain => extended = extended.or(Some(element)),
                    _ => self.tolerance.note((Why::UnexpectedAttribute, attribute.at as usize))?,
                }
            }
            if tree.has_children(at) {
                extended = extended.or(Some(element));
            }
        }
        let Some(element) = tree.elements.get(first as usize) else { return Ok(()) };
        let local = tree.local(element);
        if valued.is_some() || extended.is_none() {
            self.mark(valued.unwrap_or(element));
            self.key("", local);
            for (nth, (_, element)) in tree.twins(first).enumerate() {
                if repeats {
                    self.json.push(if nth == 0 { b'[' } else { b',' });
                    self.mark(element);
                }
                self.value(element, kind);
            }
            if repeats {
                self.json.push(b']');
            }
        }
        let Some(extended) = extended else { return Ok(()) };
        if valued.is_some() {
            self.json.push(b',');
        }
        self.mark(extended);
        self.key("_", local);
        let shape = self.schema.shape(Name::of("Element"));
        for (nth, (at, element)) in tree.twins(first).enumerate() {
            if repeats {
                self.json.push(if nth == 0 { b'[' } else { b',' });
                self.mark(element);
            }
            if self.tree.attribute(element, "id").is_some() || tree.has_children(at) {
                self.twin(at, element, shape)?;
            } else {
                self.json.extend_from_slice(b"null");
            }
        }
        if repeats {
            self.json.push(b']');
        }
        Ok(())
    }

    /// The `id` and the extensions of a primitive.
    fn twin(&mut self, number: u32, element: &Element, shape: Option<Shape>) -> Result<(), Fault> {
        self.json.push(b'{');
        let id = self.tree.attribute(element, "id");
        if let Some(id) = id {
            self.map.mark(self.json.len(), id.at);
            self.key("", "id");
            quote(self.json, &self.tree.value(id));
        }
        self.members(number, shape, id.is_some())?;
        self.json.push(b'}');
        Ok(())
    }

    fn value(&mut self, element: &Element, kind: Kind) {
        let Some(attribute) = self.tree.attribute(element, "value") else {
            self.json.extend_from_slice(b"null");
            return;
        };
        let text = self.tree.value(attribute);
        let bare = match kind {
            Kind::Boolean => matches!(text.as_ref(), "true" | "false").then_some(text.as_ref()),
            // XML allows a plus sign before an integer, JSON doesn't.
            Kind::Number => Some(text.strip_prefix('+').unwrap_or(&text)).filter(|text| is_number(text)),
            _ => None,
        };
        match bare {
            Some(bare) => self.json.extend_from_slice(bare.as_bytes()),
            None => quote(self.json, &text),
        }
    }

    /// The narrative's `div`: its source, to the byte.
    fn narrative(&mut self, div: &Element) -> Result<(), Fault> {
        let whole = div.xhtml && div.declared_here && self.tree.local(div) == "div";
        // A tolerant reading leaves it to the rules of narrative.
        if !whole && !self.tolerance.is_some() {
            return Err((Why::ExpectedDiv, div.start as usize));
        }
        quote(self.json, self.tree.source(div));
        Ok(())
    }

    /// An element that holds a resource: `contained`, `resource`.
    fn held_resource(&mut self, number: u32, element: &Element) -> Result<(), Fault> {
        self.in_fhir(element)?;
        self.no_attributes(element)?;
        let mut children = self.tree.children(number);
        match (children.next(), children.next()) {
            (Some((only, _)), None) => self.resource(only),
            (None, _) => {
                self.json.extend_from_slice(b"{}");
                Ok(())
            }
            (Some((first, _)), Some((_, second))) => {
                self.tolerance.note((Why::ExpectedOneResource, second.start as usize))?;
                self.resource(first)
            }
        }
    }

    fn in_fhir(&mut self, element: &Element) -> Result<(), Fault> {
        if element.fhir {
            return Ok(());
        }
        self.tolerance.note((Why::WrongNamespace, element.start as usize))
    }

    fn no_attributes(&mut self, element: &Element) -> Result<(), Fault> {
        for extra in self.tree.attributes(element) {
            self.tolerance.note((Why::UnexpectedAttribute, extra.at as usize))?;
        }
        Ok(())
    }

    fn mark(&mut self, element: &Element) {
        self.map.mark(self.json.len(), element.start);
    }

    fn key(&mut self, prefix: &str, local: &str) {
        self.json.push(b'"');
        self.json.extend_from_slice(prefix.as_bytes());
        self.json.extend_from_slice(local.as_bytes());
        self.json.extend_from_slice(b"\":");
    }

    fn comma(&mut self, filled: &mut bool) {
        if *filled {
            self.json.push(b',');
        }
        *filled = true;
    }
}

/// True for a name that JSON uses for something else.
fn is_reserved(local: &str) -> bool {
    local.starts_with('_') || local == "resourceType"
}
