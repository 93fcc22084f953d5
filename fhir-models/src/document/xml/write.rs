//! From the tape to FHIR XML (FHIR R4 §2.6.1).
//!
//! Elements come in the order of their definition. What XML could not carry without loss is refused, not
//! bent: an element that no definition knows, a form that FHIR JSON does not have, a narrative that is not
//! well-formed, a control character.

use super::character::first_forbidden;
use super::namespace::{FHIR, Namespace};
use super::reader::{Reader, Token};
use super::reference::escape_attribute;
use super::schema::{Child, Content, Schema, Shape};
use crate::document::form::Tolerance;
use crate::document::{Kind, Name, Position, Value, name};

/// Deepest nesting that is written: writing recurses.
const MAX_DEPTH: usize = 256;

/// A document that can't be written as XML: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} ({expression}, {position})")]
pub struct XmlWriteError {
    /// What is wrong.
    pub kind: XmlWriteErrorKind,
    /// The element, as a FHIRPath expression.
    pub expression: String,
    /// The same place as line and column.
    pub position: Position,
}

/// Why a document can't be written as XML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XmlWriteErrorKind {
    /// No `resourceType`, or one that is not defined.
    #[error("the resource has no resourceType that the definitions know")]
    UnknownResource,
    /// An element that is not defined: its form in XML is not known.
    #[error("the element is not defined, so its form in XML is not known")]
    UnknownElement,
    /// An array where one value stands, a single value where an array stands, an object for a primitive …
    #[error("the value has not the form that FHIR JSON gives this element")]
    WrongForm,
    /// An empty array or object, or a `null` that pairs with nothing.
    #[error("there is nothing in this element; XML can't say so")]
    Nothing,
    /// A character that XML can't carry.
    #[error("the text holds a control character that XML can't carry")]
    ForbiddenCharacter,
    /// A narrative that is not a well-formed `div` with its own declaration of XHTML's namespace.
    #[error("the narrative is not one well-formed <div xmlns=\"http://www.w3.org/1999/xhtml\">")]
    BadNarrative,
    /// Deeper than what is written.
    #[error("elements are nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// Writes a resource as XML, with an XML declaration and without white space between elements.
///
/// # Errors
/// [`XmlWriteError`] for a resource that XML can't carry without loss; nothing is written then.
pub fn write_xml(resource: Value<'_>, schema: &dyn Schema) -> Result<String, XmlWriteError> {
    let out = String::from(r#"<?xml version="1.0" encoding="UTF-8"?>"#);
    let mut writer = Writer { schema, out, depth: 0 };
    let written = writer.resource(resource, true);
    written.map(|()| writer.out).map_err(|(kind, place)| XmlWriteError {
        kind,
        expression: place.expression(),
        position: place.position(),
    })
}

type Fault<'a> = (XmlWriteErrorKind, Value<'a>);
use XmlWriteErrorKind as Why;

struct Writer<'s> {
    schema: &'s dyn Schema,
    out: String,
    depth: usize,
}

/// A member of an object, with its place in the order of elements.
struct Member<'a> {
    child: Child,
    name: Name,
    value: Value<'a>,
}

impl Writer<'_> {
    fn resource<'a>(&mut self, value: Value<'a>, root: bool) -> Result<(), Fault<'a>> {
        let unknown = (Why::UnknownResource, value);
        let type_name = value.resource_type().map(|text| Name::of(&text)).ok_or(unknown)?;
        let shape = self.schema.shape(type_name).ok_or(unknown)?;
        self.out.push('<');
        self.out.push_str(type_name.text());
        if root {
            self.out.push_str(" xmlns=\"");
            self.out.push_str(FHIR);
            self.out.push('"');
        }
        self.content(value, shape, type_name.text(), true)
    }

    /// What stands in an object, from the attributes of the tag just begun to its end tag.
    fn content<'a>(
        &mut self,
        object: Value<'a>,
        shape: Shape,
        element: &str,
        resource: bool,
    ) -> Result<(), Fault<'a>> {
        if !object.is_object() {
            return Err((Why::WrongForm, object));
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err((Why::TooDeep, object));
        }
        let mut members = Vec::new();
        for value in object.children() {
            let name = value.name();
            if resource && name == name::RESOURCE_TYPE {
                continue;
            }
            let child = self.schema.child(shape, name).ok_or((Why::UnknownElement, value))?;
            members.push(Member { child, name, value });
        }
        if members.is_empty() && !resource {
            return Err((Why::Nothing, object));
        }
        members.sort_by_key(|it| (!it.child.attribute, it.child.order, it.name, it.value.is_underscored()));
        for member in members.iter().take_while(|it| it.child.attribute) {
            let text = member.value.as_str().filter(|_| !member.value.is_underscored());
            self.attribute(member.name.text(), &text.ok_or((Why::WrongForm, member.value))?, member.value)?;
        }
        let elements = members.iter().filter(|it| !it.child.attribute);
        let mut elements = elements.peekable();
        if elements.peek().is_none() {
            self.out.push_str("/>");
        } else {
            self.out.push('>');
            while let Some(member) = elements.next() {
                let twin = elements.next_if(|next| next.name == member.name).map(|next| next.value);
                self.member(member, twin)?;
            }
            self.end(element);
        }
        self.depth -= 1;
        Ok(())
    }

    /// All elements of one name. Only the member of a primitive has a twin.
    fn member<'a>(&mut self, member: &Member<'a>, twin: Option<Value<'a>>) -> Result<(), Fault<'a>> {
        let Member { child, name, value } = *member;
        if let Content::Primitive(kind) = child.content {
            let (plain, twin) =
                if value.is_underscored() { (None, Some(value)) } else { (Some(value), twin) };
            return self.primitives(name.text(), kind, child.repeats, plain, twin);
        }
        if value.is_underscored() {
            return Err((Why::UnknownElement, value));
        }
        if value.is_array() != child.repeats {
            return Err((Why::WrongForm, value));
        }
        if value.is_array() && value.children().next().is_none() {
            return Err((Why::Nothing, value));
        }
        for item in value.items() {
            match child.content {
                Content::Xhtml => self.narrative(item)?,
                Content::Resource => {
                    self.begin(name.text());
                    self.out.push('>');
                    self.resource(item, false)?;
                    self.end(name.text());
                }
                Content::Complex(shape) => {
                    self.begin(name.text());
                    self.content(item, shape, name.text(), false)?;
                }
                Content::Primitive(_) => {}
            }
        }
        Ok(())
    }

    fn primitives<'a>(
        &mut self,
        name: &str,
        kind: Kind,
        repeats: bool,
        plain: Option<Value<'a>>,
        twin: Option<Value<'a>>,
    ) -> Result<(), Fault<'a>> {
        let (Some(first), second) = (plain.or(twin), plain.and(twin)) else { return Ok(()) };
        for value in plain.into_iter().chain(twin) {
            if value.is_array() != repeats {
                return Err((Why::WrongForm, value));
            }
            let other = if value.id() == first.id() { second } else { Some(first) };
            let count = |it: Value<'_>| it.children().count();
            if repeats && (count(value) == 0 || other.is_some_and(|other| count(other) != count(value))) {
                return Err((Why::WrongForm, value));
            }
        }
        let mut plains = plain.into_iter().flat_map(Value::items);
        let mut twins = twin.into_iter().flat_map(Value::items);
        loop {
            let (plain, twin) = (plains.next(), twins.next());
            let Some(place) = plain.or(twin) else { return Ok(()) };
            let is_there = |it: &Value<'_>| it.kind() != Kind::Null;
            self.primitive(name, kind, plain.filter(is_there), twin.filter(is_there), place)?;
        }
    }

    fn primitive<'a>(
        &mut self,
        name: &str,
        kind: Kind,
        plain: Option<Value<'a>>,
        twin: Option<Value<'a>>,
        place: Value<'a>,
    ) -> Result<(), Fault<'a>> {
        if plain.is_none() && twin.is_none() {
            return Err((Why::Nothing, place));
        }
        self.begin(name);
        if let Some(value) = plain {
            if value.kind() != kind {
                return Err((Why::WrongForm, value));
            }
            match value.as_str() {
                Some(text) => self.attribute("value", &text, value)?,
                None => self.attribute("value", value.raw(), value)?,
            }
        }
        match twin {
            None => self.out.push_str("/>"),
            Some(twin) => {
                let shape = self.schema.shape(Name::of("Element")).ok_or((Why::UnknownElement, twin))?;
                self.content(twin, shape, name, false)?;
            }
        }
        Ok(())
    }

    fn narrative<'a>(&mut self, value: Value<'a>) -> Result<(), Fault<'a>> {
        let text = value.as_str().ok_or((Why::WrongForm, value))?;
        if !is_narrative(&text) {
            return Err((Why::BadNarrative, value));
        }
        self.out.push_str(&text);
        Ok(())
    }

    fn attribute<'a>(&mut self, name: &str, text: &str, place: Value<'a>) -> Result<(), Fault<'a>> {
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push_str("=\"");
        escape_attribute(&mut self.out, text).ok_or((Why::ForbiddenCharacter, place))?;
        self.out.push('"');
        Ok(())
    }

    fn begin(&mut self, name: &str) {
        self.out.push('<');
        self.out.push_str(name);
    }

    fn end(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }
}

/// True for one well-formed `div` that declares XHTML's namespace itself, and nothing else.
fn is_narrative(text: &str) -> bool {
    let whole = text.starts_with("<div") && text.ends_with('>') && first_forbidden(text).is_none();
    let mut strict = Tolerance::none();
    let reader = whole.then(|| Reader::new(text, MAX_DEPTH, &mut strict).ok()).flatten();
    let Some(mut reader) = reader else { return false };
    let mut depth = 0usize;
    loop {
        match reader.next() {
            Ok(Token::Start(start)) if depth == 0 => {
                let own = start.namespace == Namespace::Xhtml && start.declared_here;
                if !own || reader.slice(start.local) != "div" {
                    return false;
                }
                depth = 1;
            }
            Ok(Token::Start(_)) => depth += 1,
            Ok(Token::End(end)) => {
                depth -= 1;
                if depth == 0 {
                    return end == text.len();
                }
            }
            Ok(Token::Text(_)) => {}
            Ok(Token::EndOfDocument) | Err(_) => return false,
        }
    }
}
