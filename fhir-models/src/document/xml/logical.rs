//! XML of logical models, CDA's above all: read onto the tape.
//!
//! Such XML is not FHIR's: values stand in attributes and texts, elements in a namespace of their model, and
//! `xsi:type` says the type where several may stand. A model's definition says what is what
//! ([`LogicalSchema`]); the text is translated to JSON with the model's own element names, and positions are those
//! of the XML. The type that `xsi:type` names stays in a member of that name. What the model doesn't define is kept
//! under its own name. A value may stand in an attribute `value` as FHIR's own do, with an `id` and extensions beside it
//! (FHIR R4 §2.6.1). Mixed content (CDA's narrative) is kept as one text of markup.

use super::namespace::Namespace;
use super::reader::{Reader, Token};
use super::source_map::SourceMap;
use super::translate::readable;
use super::{Fault, reference};
use crate::document::form::Tolerance;
use crate::document::json::{is_number, parse_into};
use crate::document::write::quote;
use crate::document::{Format, Kind, Limits, OwnedDocument, SyntaxError, SyntaxErrorKind as Why};

/// The member that keeps what `xsi:type` says.
pub const TYPE_MEMBER: &str = "xsi:type";
/// Deepest nesting of elements: translating recurses.
const MAX_DEPTH: usize = 200;

/// The definitions of logical models, as far as XML goes. Types are numbers of the implementer's choice.
pub trait LogicalSchema {
    /// What stands under a name in an element of this type: an attribute or an element, in the model's namespace
    /// or in another one (`foreign`).
    fn child(&self, ty: u32, local: &str, foreign: bool, attribute: bool) -> Option<LogicalChild>;
    /// The name of the element that is the text of elements of this type.
    fn text(&self, ty: u32) -> Option<LogicalChild>;
    /// The type that `xsi:type` names in the place of `declared`.
    fn named(&self, declared: u32, name: &str) -> Option<u32>;
    /// True where the model has an element of this name, however XML writes it.
    fn knows(&self, _ty: u32, _key: &str) -> bool {
        false
    }
    /// What the root element of instances of this type is called, and its namespace, where that is asked for.
    fn root(&self, _ty: u32) -> Option<LogicalRoot> {
        None
    }
}

/// The root element that a logical model asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalRoot {
    /// Names that it may have.
    pub names: Vec<String>,
    /// Its namespace.
    pub namespace: String,
}

/// The root element's name and namespace.
///
/// # Errors
/// [`SyntaxError`] where the text has no root element.
pub fn root_of_xml(bytes: &[u8]) -> Result<(String, Option<String>), SyntaxError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| SyntaxError::at(Why::NotUtf8, bytes, error.valid_up_to()))?;
    let refused = |(kind, offset): Fault| SyntaxError::at(kind, bytes, offset);
    let mut tolerance = Tolerance::some();
    let mut reader = Reader::new(text, MAX_DEPTH, &mut tolerance).map_err(refused)?;
    loop {
        match reader.next().map_err(refused)? {
            Token::Start(start) => {
                let namespace = reader.namespace_text(start.namespace).map(str::to_owned);
                return Ok((reader.slice(start.local.clone()).to_owned(), namespace));
            }
            Token::EndOfDocument => {
                return Err(SyntaxError::at(Why::UnexpectedEnd, bytes, bytes.len()));
            }
            _ => {}
        }
    }
}

/// What stands in a place of a logical model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalChild {
    /// The element's name in the model.
    pub key: String,
    /// Its type.
    pub ty: u32,
    /// How JSON writes it, where it is a primitive.
    pub primitive: Option<Kind>,
    /// It may repeat.
    pub repeats: bool,
    /// Its markup is its value.
    pub markup: bool,
}

/// An element as it was read.
struct Node {
    local: String,
    foreign: bool,
    /// The root's namespace.
    namespace: Option<String>,
    attributes: Vec<Attribute>,
    children: Vec<usize>,
    text: String,
    start: usize,
    end: usize,
    /// Offset after its start tag.
    inside: usize,
}

struct Attribute {
    local: String,
    namespace: Namespace,
    value: String,
    at: usize,
}

/// Reads the XML of a logical model, whose root element is of this type.
///
/// # Errors
/// [`SyntaxError`] for text that is not well-formed, or beyond the limits.
pub fn parse_logical_xml(
    bytes: &[u8],
    root: u32,
    schema: &dyn LogicalSchema,
    limits: &Limits,
) -> Result<OwnedDocument, SyntaxError> {
    let (mut json, mut map, mut tape) = (Vec::new(), SourceMap::default(), Vec::new());
    translate_logical(bytes, root, schema, limits, Tolerance::none(), &mut json, &mut map)?;
    let limits = Limits { bytes: usize::MAX, ..*limits };
    let parsed = parse_into(&json, &limits, &mut tape);
    let json = parsed.map_err(|error| SyntaxError::at(error.kind, bytes, map.source_offset(error.offset)))?;
    Ok(OwnedDocument::keep(json.to_owned(), tape, Some(map)))
}

/// The text as JSON.
pub(in crate::document) fn translate_logical(
    bytes: &[u8],
    root: u32,
    schema: &dyn LogicalSchema,
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
    let refused = |(kind, offset): Fault| SyntaxError::at(kind, text.as_bytes(), offset);
    map.begin(Format::Xml, &text);
    let nodes = read(&text, limits, &mut tolerance).map_err(refused)?;
    let asked = schema.root(root).filter(|_| tolerance.is_some());
    if let (Some(asked), Some(own)) = (asked, nodes.first())
        && !(asked.names.contains(&own.local) && own.namespace.as_ref() == Some(&asked.namespace))
    {
        tolerance.note((Why::OtherRoot, own.start)).map_err(refused)?;
    }
    let mut translator = Translator { nodes: &nodes, text: &text, schema, json, map, tolerance };
    translator.object(0, root).map_err(refused)?;
    let faults = translator.tolerance.into_faults();
    map.tolerate(faults);
    Ok(())
}

/// All elements, the root first.
fn read(text: &str, limits: &Limits, tolerance: &mut Tolerance) -> Result<Vec<Node>, Fault> {
    let mut reader = Reader::new(text, limits.depth.min(MAX_DEPTH), tolerance)?;
    let mut nodes: Vec<Node> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut own = None;
    loop {
        match reader.next()? {
            Token::Start(start) => {
                if nodes.len() >= limits.nodes {
                    return Err((Why::TooManyNodes(limits.nodes), start.at));
                }
                let model = *own.get_or_insert(start.namespace);
                let number = nodes.len();
                if let Some(parent) = open.last().and_then(|it| nodes.get_mut(*it)) {
                    parent.children.push(number);
                }
                let attributes = reader.attributes.iter().map(|it| Attribute {
                    local: reader.slice(it.local.clone()).to_owned(),
                    namespace: it.namespace,
                    value: reference::attribute_value(reader.slice(it.value.clone())).into_owned(),
                    at: it.at,
                });
                nodes.push(Node {
                    local: reader.slice(start.local.clone()).to_owned(),
                    foreign: start.namespace != model,
                    namespace: nodes
                        .is_empty()
                        .then(|| reader.namespace_text(start.namespace).map(str::to_owned))
                        .flatten(),
                    attributes: attributes.collect(),
                    children: Vec::new(),
                    text: String::new(),
                    start: start.at,
                    end: 0,
                    inside: reader.at(),
                });
                open.push(number);
            }
            Token::End(end) => {
                if let Some(node) = open.pop().and_then(|it| nodes.get_mut(it)) {
                    node.end = end;
                }
            }
            Token::Text(at) => {
                let run = reader.slice(at..reader.at());
                if let Some(node) = open.last().and_then(|it| nodes.get_mut(*it)) {
                    append(&mut node.text, run).map_err(|kind| (kind, at))?;
                }
            }
            Token::EndOfDocument => return Ok(nodes),
        }
    }
}

/// Adds a run of text, references resolved and line ends as XML has them.
fn append(text: &mut String, run: &str) -> Result<(), Why> {
    if let Some(inner) = run.strip_prefix("<![CDATA[").and_then(|it| it.strip_suffix("]]>")) {
        text.push_str(&inner.replace("\r\n", "\n"));
        return Ok(());
    }
    let mut rest = run;
    while let Some(at) = rest.find('&') {
        let (before, after) = rest.split_at(at);
        text.push_str(&before.replace("\r\n", "\n"));
        let (character, length) = reference::read(after)?;
        text.push(character);
        rest = after.get(length..).unwrap_or_default();
    }
    text.push_str(&rest.replace("\r\n", "\n"));
    Ok(())
}

struct Translator<'t> {
    nodes: &'t [Node],
    text: &'t str,
    schema: &'t dyn LogicalSchema,
    json: &'t mut Vec<u8>,
    map: &'t mut SourceMap,
    tolerance: Tolerance,
}

impl Translator<'_> {
    fn object(&mut self, number: usize, declared: u32) -> Result<(), Fault> {
        let nodes = self.nodes;
        let Some(node) = nodes.get(number) else { return Ok(()) };
        self.map.mark(self.json.len(), node.start as u32);
        self.json.push(b'{');
        let mut filled = false;
        let named =
            node.attributes.iter().find(|it| it.namespace == Namespace::SchemaInstance && it.local == "type");
        let mut ty = declared;
        if let Some(named) = named {
            let name = named.value.rsplit(':').next().unwrap_or_default();
            ty = self.schema.named(declared, name).unwrap_or(declared);
            self.key(&mut filled, TYPE_MEMBER, named.at);
            quote(self.json, name);
        }
        for attribute in node.attributes.iter().filter(|it| it.namespace != Namespace::SchemaInstance) {
            let foreign = attribute.namespace != Namespace::None;
            let child = self.schema.child(ty, &attribute.local, foreign, true);
            if child.is_none() {
                self.otherwise(ty, &attribute.local, attribute.at)?;
            }
            let key = child.as_ref().map_or(&attribute.local, |it| &it.key);
            self.key(&mut filled, key, attribute.at);
            self.value(&attribute.value, child.as_ref().and_then(|it| it.primitive));
        }
        let text = node.text.trim();
        match self.schema.text(ty) {
            _ if text.is_empty() => {}
            Some(child) => {
                self.key(&mut filled, &child.key, node.start);
                self.value(text, child.primitive);
            }
            None => self.tolerance.note((Why::StrayText, node.start))?,
        }
        let mut done: Vec<(&str, bool)> = Vec::new();
        for number in &node.children {
            let Some(first) = nodes.get(*number) else { continue };
            if done.contains(&(&first.local, first.foreign)) {
                continue;
            }
            done.push((&first.local, first.foreign));
            let child = self.schema.child(ty, &first.local, first.foreign, false);
            if child.is_none() {
                self.otherwise(ty, &first.local, first.start)?;
            }
            let same = |it: &&usize| {
                nodes.get(**it).is_some_and(|it| it.local == first.local && it.foreign == first.foreign)
            };
            let all: Vec<usize> = node.children.iter().filter(same).copied().collect();
            let repeats = child.as_ref().is_some_and(|it| it.repeats) || all.len() > 1;
            let key = child.as_ref().map_or(&first.local, |it| &it.key);
            let primitive = child.as_ref().filter(|it| it.primitive.is_some() && !it.markup);
            let beside = primitive.is_some() && all.iter().any(|it| self.has_more(*it));
            if !beside || repeats || all.iter().any(|it| self.has_value(*it)) {
                self.key(&mut filled, key, first.start);
                for (nth, number) in all.iter().enumerate() {
                    if repeats {
                        self.json.push(if nth == 0 { b'[' } else { b',' });
                    }
                    self.element(*number, child.as_ref())?;
                }
                if repeats {
                    self.json.push(b']');
                }
            }
            if let (Some(child), true) = (primitive, beside) {
                self.twin(&mut filled, key, child.ty, &all, repeats)?;
            }
        }
        self.json.push(b'}');
        Ok(())
    }

    fn element(&mut self, number: usize, child: Option<&LogicalChild>) -> Result<(), Fault> {
        let Some(node) = self.nodes.get(number) else { return Ok(()) };
        let Some(child) = child else {
            // Without definition, an element of text alone is that text.
            if node.children.is_empty() && node.attributes.is_empty() && !node.text.trim().is_empty() {
                self.map.mark(self.json.len(), node.start as u32);
                quote(self.json, node.text.trim());
                return Ok(());
            }
            return self.object(number, 0);
        };
        if child.markup {
            let inner = self.text.get(node.inside..node.end).unwrap_or_default();
            let inner = inner.rfind("</").and_then(|end| inner.get(..end)).unwrap_or_default();
            // The narrative of FHIR is its `div`, tags and all.
            let whole = self.text.get(node.start..node.end).filter(|_| node.local == "div");
            let inner = whole.unwrap_or(inner);
            self.map.mark(self.json.len(), node.start as u32);
            quote(self.json, inner.trim());
            return Ok(());
        }
        match child.primitive {
            Some(kind) => {
                self.map.mark(self.json.len(), node.start as u32);
                let attribute = value_of(node);
                if attribute.is_none() && self.has_more(number) && node.text.trim().is_empty() {
                    self.json.extend_from_slice(b"null");
                    return Ok(());
                }
                if attribute.is_some() && !node.text.trim().is_empty() {
                    self.tolerance.note((Why::StrayText, node.start))?;
                }
                let text = attribute.map_or(node.text.trim(), |it| it.value.as_str());
                self.value(text, Some(kind));
                Ok(())
            }
            None => self.object(number, child.ty),
        }
    }

    /// What the model knows by this name it writes otherwise: under its own name it would pass unseen.
    fn otherwise(&mut self, ty: u32, local: &str, at: usize) -> Result<(), Fault> {
        match self.tolerance.is_some() && self.schema.knows(ty, local) {
            true => self.tolerance.note((Why::OtherForm, at)),
            false => Ok(()),
        }
    }

    /// True where something stands beside a primitive's value: an id, extensions.
    fn has_more(&self, number: usize) -> bool {
        self.nodes.get(number).is_some_and(|node| {
            let beside = |it: &&Attribute| it.namespace == Namespace::None && it.local != "value";
            !node.children.is_empty() || node.attributes.iter().any(|it| beside(&it))
        })
    }

    fn has_value(&self, number: usize) -> bool {
        self.nodes.get(number).is_some_and(|node| value_of(node).is_some() || !node.text.trim().is_empty())
    }

    /// What stands beside the values of a primitive, in its twin.
    fn twin(
        &mut self,
        filled: &mut bool,
        key: &str,
        ty: u32,
        all: &[usize],
        repeats: bool,
    ) -> Result<(), Fault> {
        let nodes = self.nodes;
        let first = all.first().and_then(|it| nodes.get(*it)).map_or(0, |it| it.start);
        self.key(filled, &["_", key].concat(), first);
        for (nth, number) in all.iter().enumerate() {
            if repeats {
                self.json.push(if nth == 0 { b'[' } else { b',' });
            }
            let Some(node) = nodes.get(*number).filter(|_| self.has_more(*number)) else {
                self.json.extend_from_slice(b"null");
                continue;
            };
            self.json.push(b'{');
            let mut own = false;
            for attribute in &node.attributes {
                if attribute.namespace == Namespace::None && attribute.local != "value" {
                    self.key(&mut own, &attribute.local, attribute.at);
                    quote(self.json, &attribute.value);
                }
            }
            let mut before: Option<&str> = None;
            let mut inner: Vec<(usize, &Node)> =
                node.children.iter().filter_map(|it| Some((*it, nodes.get(*it)?))).collect();
            inner.sort_by(|(_, a), (_, b)| a.local.cmp(&b.local));
            for (number, child) in inner {
                let known = self.schema.child(ty, &child.local, false, false);
                if before == Some(&child.local) {
                    self.json.push(b',');
                } else {
                    if before.is_some() {
                        self.json.push(b']');
                    }
                    self.key(&mut own, &child.local, child.start);
                    self.json.push(b'[');
                }
                before = Some(&child.local);
                self.element(number, known.as_ref())?;
            }
            if before.is_some() {
                self.json.push(b']');
            }
            self.json.push(b'}');
        }
        if repeats {
            self.json.push(b']');
        }
        Ok(())
    }

    fn value(&mut self, text: &str, kind: Option<Kind>) {
        let bare = match kind {
            Some(Kind::Boolean) => matches!(text, "true" | "false"),
            Some(Kind::Number) => is_number(text),
            _ => false,
        };
        if bare {
            self.json.extend_from_slice(text.as_bytes());
        } else {
            quote(self.json, text);
        }
    }

    fn key(&mut self, filled: &mut bool, key: &str, at: usize) {
        if std::mem::replace(filled, true) {
            self.json.push(b',');
        }
        self.map.mark(self.json.len(), at as u32);
        quote(self.json, key);
        self.json.push(b':');
    }
}

/// The attribute that holds a primitive's value.
fn value_of(node: &Node) -> Option<&Attribute> {
    node.attributes.iter().find(|it| it.namespace == Namespace::None && it.local == "value")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    struct Two;

    impl LogicalSchema for Two {
        fn child(&self, ty: u32, local: &str, foreign: bool, attribute: bool) -> Option<LogicalChild> {
            let (key, ty, primitive) = match (ty, local, foreign, attribute) {
                (1, "title", false, false) => ("title", 2, None),
                (1, "part", false, false) => ("part", 2, None),
                (2, "lang", false, true) => ("lang", 0, Some(Kind::String)),
                (2, "name", true, true) => ("otherName", 0, Some(Kind::String)),
                _ => return None,
            };
            let repeats = key == "part";
            Some(LogicalChild { key: key.to_owned(), ty, primitive, repeats, markup: false })
        }

        fn text(&self, ty: u32) -> Option<LogicalChild> {
            let text = LogicalChild {
                key: "data".to_owned(),
                ty: 0,
                primitive: None,
                repeats: false,
                markup: false,
            };
            (ty == 2).then_some(text)
        }

        fn named(&self, _: u32, name: &str) -> Option<u32> {
            (name == "ST").then_some(2)
        }
    }

    #[test]
    fn attributes_texts_and_types_become_members() {
        let xml = "<doc xmlns=\"urn:v3\" xmlns:s=\"urn:s\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" v=\"1\">\n\
            <part lang='it' s:name='n'>a &lt; b</part><title>T<![CDATA[ & ]]></title><part xsi:type=\"ST\">c</part><more><x y='z'/>\
            </more></doc>";
        let document = parse_logical_xml(xml.as_bytes(), 1, &Two, &Limits::default()).unwrap();
        assert_eq!(
            document.text(),
            r#"{"v":"1","part":[{"lang":"it","otherName":"n","data":"a < b"},{"xsi:type":"ST","data":"c"}],"title":{"data":"T &"},"more":{"x":{"y":"z"}}}"#
        );
        let title = document.root().get_key("title").unwrap();
        assert_eq!((title.position().line, title.position().column), (2, 43));
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for xml in ["<a><b></a>", "<a>text</a>", "<!DOCTYPE a><a/>", "<a>&nbsp;</a>"] {
            assert!(parse_logical_xml(xml.as_bytes(), 1, &Two, &Limits::default()).is_err(), "{xml}");
        }
    }
}
