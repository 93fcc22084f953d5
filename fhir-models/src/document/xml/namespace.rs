//! Namespaces (Namespaces in XML 1.0, third edition).
//!
//! FHIR XML knows two (FHIR R4 §2.6.1): its own, and XHTML's for the narrative. Others are told apart only as far
//! as duplicate attributes must be found.

use std::collections::HashMap;

use crate::document::SyntaxErrorKind as Kind;

/// FHIR's own.
pub(super) const FHIR: &str = "http://hl7.org/fhir";
/// Of the narrative.
pub(super) const XHTML: &str = "http://www.w3.org/1999/xhtml";
/// Of `xsi:schemaLocation`, which may stand anywhere and means nothing.
const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
/// Of the prefix `xml`, bound in every document.
const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// Of namespace declarations; nothing may be bound to it.
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// Most declarations in force at one place.
const MAX_DECLARED: usize = 64;

/// A namespace name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Namespace {
    /// No namespace.
    None,
    Fhir,
    Xhtml,
    SchemaInstance,
    /// That of a prefix without declaration.
    Undeclared,
    /// Any other, by the order of first mention.
    Other(u32),
}

/// The declarations in force.
pub(super) struct Namespaces<'a> {
    /// Innermost last: the prefix (empty: the default), what it is bound to, and the depth of its element.
    bound: Vec<(&'a str, Namespace, usize)>,
    depth: usize,
    others: HashMap<Box<str>, u32>,
}

impl<'a> Namespaces<'a> {
    pub fn new() -> Namespaces<'a> {
        let mut new = Namespaces { bound: Vec::new(), depth: 0, others: HashMap::new() };
        let xml = new.namespace(XML);
        new.bound.push(("xml", xml, 0));
        new
    }

    /// The text of a namespace name; `None` for none.
    pub fn text(&self, namespace: Namespace) -> Option<&str> {
        match namespace {
            Namespace::None | Namespace::Undeclared => None,
            Namespace::Fhir => Some(FHIR),
            Namespace::Xhtml => Some(XHTML),
            Namespace::SchemaInstance => Some(SCHEMA_INSTANCE),
            Namespace::Other(number) => {
                self.others.iter().find(|(_, own)| **own == number).map(|(text, _)| &**text)
            }
        }
    }

    /// An element begins.
    pub fn open(&mut self) {
        self.depth += 1;
    }

    /// The innermost element ends, and with it its declarations.
    pub fn close(&mut self) {
        while self.bound.last().is_some_and(|(_, _, depth)| *depth == self.depth && *depth > 0) {
            self.bound.pop();
        }
        self.depth = self.depth.saturating_sub(1);
    }

    /// A declaration on the innermost element; the empty prefix is the default.
    pub fn declare(&mut self, prefix: &'a str, uri: &str) -> Result<(), Kind> {
        let here = self.bound.iter().rev().take_while(|(_, _, depth)| *depth == self.depth);
        if here.into_iter().any(|(own, ..)| *own == prefix) {
            return Err(Kind::DuplicateAttribute);
        }
        if self.bound.len() >= MAX_DECLARED {
            return Err(Kind::TooManyNamespaces(MAX_DECLARED));
        }
        let reserved = prefix == "xmlns" || uri == XMLNS || (prefix == "xml") != (uri == XML);
        if reserved || (uri.is_empty() && !prefix.is_empty()) {
            return Err(Kind::BadNamespace);
        }
        let namespace = if uri.is_empty() { Namespace::None } else { self.namespace(uri) };
        self.bound.push((prefix, namespace, self.depth));
        Ok(())
    }

    /// The namespace of an element with this prefix; `None` for a prefix that is not bound.
    pub fn of_element(&self, prefix: &str) -> Option<Namespace> {
        let found =
            self.bound.iter().rev().find(|(own, ..)| *own == prefix).map(|(_, namespace, _)| *namespace);
        if prefix.is_empty() { Some(found.unwrap_or(Namespace::None)) } else { found }
    }

    /// The namespace of an attribute: one without prefix is in none.
    pub fn of_attribute(&self, prefix: &str) -> Option<Namespace> {
        if prefix.is_empty() { Some(Namespace::None) } else { self.of_element(prefix) }
    }

    /// True where the innermost element declares the default namespace itself.
    pub fn default_is_declared_here(&self) -> bool {
        let here = self.bound.iter().rev().take_while(|(_, _, depth)| *depth == self.depth);
        here.into_iter().any(|(own, ..)| own.is_empty())
    }

    fn namespace(&mut self, uri: &str) -> Namespace {
        match uri {
            FHIR => Namespace::Fhir,
            XHTML => Namespace::Xhtml,
            SCHEMA_INSTANCE => Namespace::SchemaInstance,
            _ => {
                let next = self.others.len() as u32;
                Namespace::Other(*self.others.entry(uri.into()).or_insert(next))
            }
        }
    }
}
