//! Nodes, the tape that holds them, and documents.

use std::ops::Range;
use std::sync::Arc;

use super::form::{FormFault, Tolerance};
use super::json::{parse_into, parse_owned_into};
use super::mend::mend;
use super::spare;
use super::xml::{LogicalSchema, Schema, SourceMap, translate, translate_logical};
use super::{Format, Limits, Name, Position, SyntaxError, Value};

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number, kept as its text.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// One value of a document: 24 bytes.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    /// The value's text, quotes and brackets included.
    pub(super) start: u32,
    pub(super) end: u32,
    /// First byte of the name's text, after its quote. Meaningless where `key_len` is `NO_KEY`-flagged.
    pub(super) key_start: u32,
    /// The node after this one and all below it.
    pub(super) next: u32,
    pub(super) name: Name,
    pub(super) key_len: u16,
    pub(super) kind: Kind,
    pub(super) flags: u8,
}

const _: () = assert!(size_of::<Node>() <= 24);

/// The value is a member of an object.
pub(super) const HAS_KEY: u8 = 1;
/// The key's text holds an escape.
pub(super) const KEY_ESCAPED: u8 = 2;
/// The string's text holds an escape.
pub(super) const VALUE_ESCAPED: u8 = 4;
/// The key is written with a leading underscore (FHIR R4 §2.6.2.3); `name` is the name without it.
pub(super) const UNDERSCORE: u8 = 8;

/// A node's number in its document: in source order, parents before children, the root is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) u32);

impl NodeId {
    /// The document's outermost value.
    pub const ROOT: NodeId = NodeId(0);

    /// The number, for tables indexed by node.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A reusable store of nodes: parsing again reuses its memory.
#[derive(Debug, Default)]
pub struct Tape {
    nodes: Vec<Node>,
    /// What XML was translated to.
    json: Vec<u8>,
    map: SourceMap,
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Tape {
        Tape::default()
    }

    /// Parses JSON. The document borrows the text and this tape.
    pub fn parse_json<'a>(
        &'a mut self,
        text: &'a [u8],
        limits: &Limits,
    ) -> Result<Document<'a>, SyntaxError> {
        let text = parse_into(text, limits, &mut self.nodes)?;
        Ok(Document { text, nodes: &self.nodes, map: None })
    }

    /// Parses FHIR XML (FHIR R4 §2.6.1). The document is that of the JSON it stands for; positions are those
    /// of the XML.
    pub fn parse_xml<'a>(
        &'a mut self,
        text: &[u8],
        schema: &dyn Schema,
        limits: &Limits,
    ) -> Result<Document<'a>, SyntaxError> {
        let strict = Tolerance::none();
        let text = parse_xml(text, schema, limits, strict, &mut self.json, &mut self.map, &mut self.nodes)?;
        Ok(Document { text, nodes: &self.nodes, map: Some(&self.map) })
    }

    /// Parses JSON or FHIR XML for a validator: faults of form are noted ([`Document::form_faults`]) and the
    /// reading goes on. An error says that nothing is left to judge. Bytes that are not UTF-8, and
    /// characters that XML forbids, read as U+FFFD; offsets are those of [`Document::source`], which has them
    /// replaced. Not for traffic: two readers would repair differently.
    pub fn parse_tolerant<'a>(
        &'a mut self,
        text: &'a [u8],
        schema: &dyn Schema,
        limits: &Limits,
    ) -> Result<Document<'a>, SyntaxError> {
        let (json, map, nodes) = (&mut self.json, &mut self.map, &mut self.nodes);
        match Format::of(text) {
            Format::Json => match parse_into(text, limits, nodes) {
                Ok(text) => return Ok(Document { text, nodes: &self.nodes, map: None }),
                Err(error) if error.is_limit() => return Err(error),
                Err(first) => {
                    // What follows from a wrong repair is told by the fault that came first.
                    mend(text, limits, json, map).ok_or(first)?;
                    parse_translated(limits, json, map, nodes)?;
                }
            },
            Format::Xml => {
                parse_xml(text, schema, limits, Tolerance::some(), json, map, nodes)?;
            }
        }
        let text = std::str::from_utf8(&self.json).unwrap_or_default();
        Ok(Document { text, nodes: &self.nodes, map: Some(&self.map) })
    }

    /// Parses the XML of a logical model for a validator, as [`Tape::parse_tolerant`] does FHIR's. `root` is the type of
    /// the root element.
    pub fn parse_logical_tolerant<'a>(
        &'a mut self,
        text: &'a [u8],
        root: u32,
        schema: &dyn LogicalSchema,
        limits: &Limits,
    ) -> Result<Document<'a>, SyntaxError> {
        let (json, map, nodes) = (&mut self.json, &mut self.map, &mut self.nodes);
        nodes.clear();
        translate_logical(text, root, schema, limits, Tolerance::some(), json, map)?;
        let text = parse_translated(limits, json, map, nodes)?;
        Ok(Document { text, nodes: &self.nodes, map: Some(&self.map) })
    }

    /// Parses JSON or FHIR XML, whichever the text begins like ([`Format::of`]).
    pub fn parse<'a>(
        &'a mut self,
        text: &'a [u8],
        schema: &dyn Schema,
        limits: &Limits,
    ) -> Result<Document<'a>, SyntaxError> {
        match Format::of(text) {
            Format::Json => self.parse_json(text, limits),
            Format::Xml => self.parse_xml(text, schema, limits),
        }
    }
}

fn parse_xml<'j>(
    text: &[u8],
    schema: &dyn Schema,
    limits: &Limits,
    tolerance: Tolerance,
    json: &'j mut Vec<u8>,
    map: &mut SourceMap,
    nodes: &mut Vec<Node>,
) -> Result<&'j str, SyntaxError> {
    nodes.clear();
    translate(text, schema, limits, tolerance, json, map)?;
    parse_translated(limits, json, map, nodes)
}

fn parse_translated<'j>(
    limits: &Limits,
    json: &'j [u8],
    map: &SourceMap,
    nodes: &mut Vec<Node>,
) -> Result<&'j str, SyntaxError> {
    // The bound on bytes is one on what was sent.
    let limits = Limits { bytes: usize::MAX, ..*limits };
    parse_into(json, &limits, nodes).map_err(|error| {
        SyntaxError::at(error.kind, map.source().as_bytes(), map.source_offset(error.offset))
    })
}

/// A parsed document: text and nodes. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    pub(super) text: &'a str,
    pub(super) nodes: &'a [Node],
    /// For a document read from XML.
    pub(super) map: Option<&'a SourceMap>,
}

impl<'a> Document<'a> {
    /// The JSON text. Where the document was read from XML, this is the JSON that the XML stands for.
    pub fn text(self) -> &'a str {
        self.text
    }

    /// How the document was written.
    pub fn format(self) -> Format {
        self.map.map_or(Format::Json, SourceMap::format)
    }

    /// The text as it was sent, which positions refer to: XML or JSON. Where it was read tolerantly, what is no
    /// character stands as U+FFFD.
    pub fn source(self) -> &'a str {
        self.map.map_or(self.text, SourceMap::source)
    }

    /// Where in the source stands what begins at this offset of the text. For JSON they are the same.
    pub fn source_offset(self, offset: usize) -> usize {
        self.map.map_or(offset, |map| map.source_offset(offset))
    }

    /// Elements that the XML source has out of the order of their definition, or apart from others of their
    /// name (FHIR R4 §2.6.1: the order is fixed). None for JSON, which knows no order.
    pub fn misplaced(self) -> Vec<NodeId> {
        let offsets = self.map.map_or(&[][..], SourceMap::misplaced);
        let at = |node: &Node| {
            if node.flags & HAS_KEY == 0 { node.start } else { node.key_start.saturating_sub(1) }
        };
        let misplaced = |(_, node): &(u32, &Node)| offsets.binary_search(&at(node)).is_ok();
        let nodes = if offsets.is_empty() { &[][..] } else { self.nodes };
        (0..).zip(nodes).filter(misplaced).map(|(number, _)| NodeId(number)).collect()
    }

    /// What a tolerant reading put up with, by rising offset: none where the text is as it must be.
    pub fn form_faults(self) -> &'a [FormFault] {
        self.map.map_or(&[], SourceMap::faults)
    }

    /// True where there was more to put up with than [`Document::form_faults`] lists.
    pub fn has_more_form_faults(self) -> bool {
        self.map.is_some_and(SourceMap::has_more_faults)
    }

    /// How many nodes it has: at least one.
    pub fn len(self) -> usize {
        self.nodes.len()
    }

    /// Never true: a document holds at least its root.
    pub fn is_empty(self) -> bool {
        self.nodes.is_empty()
    }

    /// The outermost value.
    pub fn root(self) -> Value<'a> {
        Value { document: self, id: NodeId::ROOT }
    }

    /// The value with this number, if the document has one.
    pub fn value(self, id: NodeId) -> Option<Value<'a>> {
        (id.index() < self.nodes.len()).then_some(Value { document: self, id })
    }

    /// Line and column, in the source, of what begins at this offset of the text.
    pub fn position(self, offset: usize) -> Position {
        Position::of(self.source().as_bytes(), self.source_offset(offset))
    }

    /// The parent of every node, by node number; the root is its own. One pass over the tape.
    pub fn parents(self) -> Vec<NodeId> {
        let mut parents = vec![NodeId::ROOT; self.nodes.len()];
        let mut open: Vec<u32> = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let at = at as u32;
            while open.last().is_some_and(|&parent| self.nodes[parent as usize].next <= at) {
                open.pop();
            }
            if let Some(&parent) = open.last() {
                parents[at as usize] = NodeId(parent);
            }
            if node.next > at + 1 {
                open.push(at);
            }
        }
        parents
    }

    pub(super) fn node(self, id: NodeId) -> &'a Node {
        // A `NodeId` is only made for nodes of a document; one used with another document must still not panic.
        self.nodes.get(id.index()).unwrap_or(&NOTHING)
    }
}

static NOTHING: Node = Node {
    start: 0,
    end: 0,
    key_start: 0,
    next: 0,
    name: Name::UNKNOWN,
    key_len: 0,
    kind: Kind::Null,
    flags: 0,
};

impl Node {
    pub(super) fn span(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A document that owns its text and nodes. Cloning shares them.
#[derive(Debug, Clone)]
pub struct OwnedDocument {
    text: Arc<String>,
    tree: Arc<Tree>,
}

#[derive(Debug)]
struct Tree {
    nodes: Vec<Node>,
    map: Option<SourceMap>,
}

impl Drop for Tree {
    fn drop(&mut self) {
        spare::put(std::mem::take(&mut self.nodes));
    }
}

impl OwnedDocument {
    /// Parses JSON and keeps it.
    pub fn parse_json(text: impl Into<Vec<u8>>, limits: &Limits) -> Result<OwnedDocument, SyntaxError> {
        let mut nodes = spare::take();
        let text = parse_owned_into(text.into(), limits, &mut nodes)?;
        Ok(OwnedDocument::keep(text, nodes, None))
    }

    /// Parses FHIR XML (FHIR R4 §2.6.1) and keeps it. See [`Tape::parse_xml`].
    pub fn parse_xml(
        text: &[u8],
        schema: &dyn Schema,
        limits: &Limits,
    ) -> Result<OwnedDocument, SyntaxError> {
        let (mut json, mut map, mut nodes) = (Vec::new(), SourceMap::default(), Vec::new());
        let strict = Tolerance::none();
        let json = parse_xml(text, schema, limits, strict, &mut json, &mut map, &mut nodes)?.to_owned();
        Ok(OwnedDocument::keep(json, nodes, Some(map)))
    }

    /// Parses JSON or FHIR XML, whichever the text begins like ([`Format::of`]), and keeps it.
    pub fn parse(
        text: impl Into<Vec<u8>>,
        schema: &dyn Schema,
        limits: &Limits,
    ) -> Result<OwnedDocument, SyntaxError> {
        let bytes = text.into();
        match Format::of(&bytes) {
            Format::Json => OwnedDocument::parse_json(bytes, limits),
            Format::Xml => OwnedDocument::parse_xml(&bytes, schema, limits),
        }
    }

    pub(in crate::document) fn keep(
        mut text: String,
        nodes: Vec<Node>,
        map: Option<SourceMap>,
    ) -> OwnedDocument {
        // Most documents live for one request: memory is given back only where much of it would lie idle.
        text.shrink_to(text.len() + text.len() / 2);
        let nodes = spare::fitting(nodes);
        OwnedDocument { text: Arc::new(text), tree: Arc::new(Tree { nodes, map }) }
    }

    /// The document, to be read.
    pub fn document(&self) -> Document<'_> {
        Document { text: &self.text, nodes: &self.tree.nodes, map: self.tree.map.as_ref() }
    }

    /// The outermost value.
    pub fn root(&self) -> Value<'_> {
        self.document().root()
    }

    /// The JSON text: see [`Document::text`].
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The JSON text, to be held on to when the document is no longer needed: the nodes take more room than the text.
    pub fn shared_text(&self) -> Arc<String> {
        Arc::clone(&self.text)
    }
}
