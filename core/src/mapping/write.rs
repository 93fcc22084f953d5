//! From the tree to text: JSON with elements in the order of their definition, and XML for logical models that
//! say how XML writes them.

use fhir_models::document::Kind;

use super::source::Sources;
use super::tree::{Content, Node, SourceRef, Tree};
use super::types::{Element, Type, TypeKind, TypeRef, XmlForm};
use std::sync::Arc;

const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
/// Deepest tree that is written: writing recurses.
const MAX_DEPTH: usize = 256;

pub(super) struct Writer<'w, 'a> {
    pub tree: &'w Tree<'a>,
    /// The types that were known when the run began.
    pub table: &'w [Arc<Type>],
    pub sources: &'w Sources<'a>,
    pub out: String,
    pub most: usize,
    pub depth: usize,
}

/// The text would be longer, or nested deeper, than it may be; or XML can't carry a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteFault {
    TooLarge,
    TooDeep,
    Character,
    Mixed,
}

/// Children of one element, in order.
type Grouped<'w, 'a> = Vec<(u16, u32, &'w Node<'a>)>;

impl<'w, 'a> Writer<'w, 'a> {
    fn ty(&self, node: &Node<'_>) -> Option<TypeRef<'w>> {
        self.sources.types.known(node.ty, self.table)
    }

    fn grouped(&self, node: u32) -> Grouped<'w, 'a> {
        let mut children: Grouped<'w, 'a> =
            self.tree.children(node).map(|(at, it)| (it.element, at, it)).collect();
        children.sort_by_key(|it| it.0);
        children
    }

    fn bounded(&self) -> Result<(), WriteFault> {
        if self.out.len() > self.most {
            return Err(WriteFault::TooLarge);
        }
        if self.depth > MAX_DEPTH {
            return Err(WriteFault::TooDeep);
        }
        Ok(())
    }

    /// Writes a value with parts; false where there is nothing in it.
    pub fn object(&mut self, number: u32) -> Result<bool, WriteFault> {
        let Some(node) = self.tree.get(number) else { return Ok(false) };
        self.bounded()?;
        if let Content::Copied(place) = node.content {
            return Ok(self.copied(place));
        }
        self.depth += 1;
        let Some(ty) = self.ty(node) else { return Ok(false) };
        self.out.push('{');
        let mut filled = false;
        if ty.kind == TypeKind::Resource {
            self.out.push_str("\"resourceType\":");
            quote(&mut self.out, &ty.code);
            filled = true;
        }
        let children = self.grouped(number);
        for group in children.chunk_by(|left, right| left.0 == right.0) {
            let element = group.first().and_then(|it| ty.elements.get(usize::from(it.0)));
            if let Some(element) = element {
                filled |= self.member(element, group, filled)?;
            }
        }
        self.out.push('}');
        self.depth -= 1;
        Ok(filled)
    }

    fn copied(&mut self, place: SourceRef) -> bool {
        match self.sources.value(place).filter(|_| !place.bare) {
            Some(value) => {
                self.out.push_str(value.raw());
                true
            }
            None => false,
        }
    }

    fn member(
        &mut self,
        element: &Element,
        group: &[(u16, u32, &Node<'a>)],
        comma: bool,
    ) -> Result<bool, WriteFault> {
        let start = self.out.len();
        let Some((_, _, first)) = group.first() else { return Ok(false) };
        let Some(choice) = element.choices.get(usize::from(first.choice)) else { return Ok(false) };
        let primitive = self.ty(first).is_some_and(|it| it.primitive().is_some());
        let begin = |own: &mut Self, prefix: &str, comma: bool| {
            if comma {
                own.out.push(',');
            }
            own.out.push('"');
            own.out.push_str(prefix);
            own.out.push_str(&choice.key);
            own.out.push_str("\":");
        };
        begin(self, "", comma);
        let mut filled = false;
        let many = element.repeats;
        if many {
            self.out.push('[');
        }
        // Values and twins of primitives go by their places; anything else that is empty leaves no trace.
        let twinned = primitive && group.iter().any(|(_, at, node)| self.has_twin(*at, node));
        for (_, at, node) in group {
            let before = self.out.len();
            if many && before > 0 && !self.out.ends_with('[') {
                self.out.push(',');
            }
            let written = if primitive { self.primitive(node) } else { self.object(*at)? };
            if written {
                filled = true;
            } else if twinned && many {
                self.out.push_str("null");
            } else {
                self.out.truncate(before);
            }
        }
        if many {
            self.out.push(']');
        }
        if !filled {
            self.out.truncate(start);
        }
        if twinned {
            begin(self, "_", comma || filled);
            if many {
                self.out.push('[');
            }
            for (nth, (_, at, node)) in group.iter().enumerate() {
                if many && nth > 0 {
                    self.out.push(',');
                }
                let before = self.out.len();
                if !self.twin(*at, node)? {
                    self.out.truncate(before);
                    self.out.push_str("null");
                }
            }
            if many {
                self.out.push(']');
            }
            filled = true;
        }
        Ok(filled)
    }

    /// Writes the value of a primitive; false where it has none.
    pub fn value(&mut self, number: u32) -> bool {
        self.tree.get(number).is_some_and(|node| self.primitive(node))
    }

    fn primitive(&mut self, node: &Node<'a>) -> bool {
        match &node.content {
            Content::Copied(place) => self.copied(*place),
            Content::Value(Kind::String, text) => {
                quote(&mut self.out, text);
                true
            }
            Content::Value(_, text) => {
                self.out.push_str(text);
                true
            }
            Content::Parts => false,
        }
    }

    fn has_twin(&self, number: u32, node: &Node<'a>) -> bool {
        match &node.content {
            Content::Copied(place) if place.twin != 0 => true,
            _ => self.tree.children(number).next().is_some(),
        }
    }

    /// The `id` and extensions of a primitive.
    fn twin(&mut self, number: u32, node: &Node<'a>) -> Result<bool, WriteFault> {
        if let Content::Copied(place) = &node.content
            && let Some(twin) = self.sources.twin(*place)
        {
            self.out.push_str(twin.raw());
            return Ok(true);
        }
        let Some(ty) = self.ty(node) else { return Ok(false) };
        let children = self.grouped(number);
        if children.is_empty() {
            return Ok(false);
        }
        self.out.push('{');
        let mut filled = false;
        for group in children.chunk_by(|left, right| left.0 == right.0) {
            let element = group.first().and_then(|it| ty.elements.get(usize::from(it.0)));
            if let Some(element) = element {
                filled |= self.member(element, group, filled)?;
            }
        }
        self.out.push('}');
        Ok(filled)
    }

    /// Writes a logical model's root as XML.
    pub fn xml_root(&mut self, number: u32) -> Result<(), WriteFault> {
        let Some(ty) = self.tree.get(number).and_then(|it| self.ty(it)) else { return Ok(()) };
        let namespace = ty.namespace.as_deref().unwrap_or_default();
        self.out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<");
        self.out.push_str(&ty.name);
        self.out.push_str(" xmlns=\"");
        self.text(namespace, true)?;
        self.out.push('"');
        let hole = self.out.len();
        self.xml_parts(number, &ty, namespace, &ty.name)?;
        let mut declared = String::new();
        if self.out.contains(" xsi:type=\"") {
            declared.push_str(" xmlns:xsi=\"");
            declared.push_str(SCHEMA_INSTANCE);
            declared.push('"');
        }
        self.out.insert_str(hole, &declared);
        self.out.push('\n');
        Ok(())
    }

    /// From the attributes of the tag just begun to its end tag.
    fn xml_parts(&mut self, number: u32, ty: &Type, namespace: &str, tag: &str) -> Result<(), WriteFault> {
        self.depth += 1;
        self.bounded()?;
        if let Some(Content::Copied(_)) = self.tree.get(number).map(|it| &it.content) {
            return Err(WriteFault::Mixed);
        }
        let children = self.grouped(number);
        let element = |order: u16| ty.elements.get(usize::from(order));
        for (order, _, node) in &children {
            let Some(element) = element(*order).filter(|it| it.form == XmlForm::Attribute) else { continue };
            let name = element.xml_name.as_deref().unwrap_or(&element.name).to_owned();
            self.out.push(' ');
            match element.xml_namespace.as_deref().filter(|own| *own != namespace) {
                Some(own) => {
                    // Attributes have no default namespace: the prefix is declared where it is needed.
                    let own = own.to_owned();
                    self.out.push_str("xmlns:e=\"");
                    self.text(&own, true)?;
                    self.out.push_str("\" e:");
                    self.out.push_str(&name);
                }
                None => self.out.push_str(&name),
            }
            self.out.push_str("=\"");
            let text = self.plain(node)?;
            self.text(&text, true)?;
            self.out.push('"');
        }
        let inner = children
            .iter()
            .filter(|(order, ..)| element(*order).is_some_and(|it| it.form != XmlForm::Attribute));
        let mut open = false;
        for (order, at, node) in inner {
            let Some(element) = element(*order) else { continue };
            if !open {
                self.out.push('>');
                open = true;
            }
            if element.form == XmlForm::Text {
                let text = self.plain(node)?;
                self.text(&text, false)?;
                continue;
            }
            let Some(child) = self.ty(node) else { continue };
            let name = element.xml_name.as_deref().unwrap_or(&element.name).to_owned();
            let own = element.xml_namespace.clone().or_else(|| child.namespace.clone());
            self.out.push('<');
            self.out.push_str(&name);
            let inside = match own.as_deref().filter(|own| *own != namespace) {
                Some(own) => {
                    let own = own.to_owned();
                    self.out.push_str(" xmlns=\"");
                    self.text(&own, true)?;
                    self.out.push('"');
                    own
                }
                None => namespace.to_owned(),
            };
            if element.form == XmlForm::Typed {
                self.out.push_str(" xsi:type=\"");
                self.out.push_str(&child.name);
                self.out.push('"');
            }
            if child.primitive().is_some() {
                let text = self.plain(node)?;
                self.out.push('>');
                self.text(&text, false)?;
                self.out.push_str("</");
                self.out.push_str(&name);
                self.out.push('>');
            } else {
                self.xml_parts(*at, &child, &inside, &name)?;
            }
        }
        if open {
            self.out.push_str("</");
            self.out.push_str(tag);
            self.out.push('>');
        } else {
            self.out.push_str("/>");
        }
        self.depth -= 1;
        Ok(())
    }

    /// The text of a primitive.
    fn plain(&self, node: &Node<'a>) -> Result<String, WriteFault> {
        match &node.content {
            Content::Value(_, text) => Ok(text.to_string()),
            Content::Copied(place) => {
                self.sources.scalar(*place).map(|it| it.text.into_owned()).ok_or(WriteFault::Mixed)
            }
            Content::Parts => Ok(String::new()),
        }
    }

    fn text(&mut self, text: &str, attribute: bool) -> Result<(), WriteFault> {
        for next in text.chars() {
            match next {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' if attribute => self.out.push_str("&quot;"),
                '\n' | '\t' if attribute => {
                    self.out.push_str(if next == '\n' { "&#10;" } else { "&#9;" });
                }
                '\r' => self.out.push_str("&#13;"),
                '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                    return Err(WriteFault::Character);
                }
                _ => self.out.push(next),
            }
        }
        Ok(())
    }
}

/// A text as a JSON string.
pub(super) fn quote(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|it: char| it < ' ' || it == '"' || it == '\\') {
        let (plain, more) = rest.split_at(at);
        out.push_str(plain);
        let mut characters = more.chars();
        match characters.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(control) => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            None => {}
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
    out.push('"');
}
