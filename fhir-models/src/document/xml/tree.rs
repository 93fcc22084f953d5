//! The elements of an XML text, flat and in document order.
//!
//! Invariant: every element's spans lie in the text on character boundaries, `next` is past its last
//! descendant, and `twin` leads from each element to the next of the same name under the same parent. An
//! element in XHTML's namespace is one whole, whatever it holds.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::namespace::Namespace;
use super::reader::{Reader, Start, Token};
use super::reference::attribute_value;
use super::{Fault, reader};
use crate::document::form::Tolerance;
use crate::document::name::Names;
use crate::document::{Limits, Name, SyntaxErrorKind as Kind};

/// Deepest nesting of elements, whatever the limits say: translating recurses.
const MAX_DEPTH: usize = 256;
/// Parents with more different names below them find earlier ones in a hash map.
const FEW: usize = 16;

/// An element.
#[derive(Debug)]
pub(super) struct Element {
    /// Offset of its `<`.
    pub start: u32,
    /// Offset after its end tag.
    pub end: u32,
    local: u32,
    attributes: u32,
    /// The element after this one and all below it.
    pub next: u32,
    /// The next element of the same name under the same parent; 0 where there is none.
    pub twin: u32,
    local_len: u16,
    pub name: Name,
    attribute_count: u8,
    /// No element of this name stands before it under the same parent.
    pub first: bool,
    /// In FHIR's namespace.
    pub fhir: bool,
    /// In XHTML's namespace.
    pub xhtml: bool,
    /// The namespace is declared on this very element, as the default.
    pub declared_here: bool,
}

/// An attribute that is neither a namespace declaration nor a hint for schema processors.
#[derive(Debug)]
pub(super) struct Attribute {
    /// Offset of its name.
    pub at: u32,
    local: u32,
    value: u32,
    value_end: u32,
    local_len: u16,
    /// In no namespace.
    pub plain: bool,
}

const _: () = assert!(size_of::<Element>() <= 36 && size_of::<Attribute>() <= 20);

/// All elements; the root is the first.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    text: &'a str,
    pub elements: Vec<Element>,
    attributes: Vec<Attribute>,
}

impl<'a> Tree<'a> {
    /// Reads a text that holds only characters that XML allows.
    pub fn read(text: &'a str, limits: &Limits, tolerance: &mut Tolerance) -> Result<Tree<'a>, Fault> {
        let mut reader = Reader::new(text, limits.depth.min(MAX_DEPTH), tolerance)?;
        let mut home = Namespace::Fhir;
        let mut tree = Tree { text, elements: Vec::new(), attributes: Vec::new() };
        let names = Names::get();
        let mut ancestors = Ancestors { open: Vec::new(), few: Vec::new() };
        loop {
            match reader.next()? {
                Token::Start(mut start) => {
                    if reader.tolerance.is_some()
                        && !settle(&mut reader, &mut start, &mut home, tree.elements.is_empty())?
                    {
                        skip(&mut reader)?;
                        continue;
                    }
                    if tree.elements.len() + tree.attributes.len() >= limits.nodes.min(u32::MAX as usize - 1)
                    {
                        return Err((Kind::TooManyNodes(limits.nodes), start.at));
                    }
                    let local = reader.slice(start.local.clone());
                    let number = tree.elements.len() as u32;
                    let name = names.find(local.as_bytes());
                    let earlier = ancestors.add(name, local, number);
                    if let Some(twin) = earlier.and_then(|at| tree.elements.get_mut(at as usize)) {
                        twin.twin = number;
                    }
                    let xhtml = start.namespace == Namespace::Xhtml;
                    tree.add(&start, name, earlier.is_none(), &reader.attributes);
                    if xhtml {
                        let end = skip(&mut reader)?;
                        tree.close(number, end);
                    } else {
                        ancestors.open(number);
                    }
                }
                Token::End(end) => {
                    if let Some(closed) = ancestors.close() {
                        tree.close(closed, end);
                    }
                }
                Token::Text(at) => reader.tolerance.note((Kind::StrayText, at))?,
                Token::EndOfDocument => return Ok(tree),
            }
        }
    }

    fn add(&mut self, start: &Start, name: Name, first: bool, attributes: &[reader::Attribute]) {
        let before = self.attributes.len();
        let stored = attributes.iter().filter(|it| it.namespace != Namespace::SchemaInstance);
        self.attributes.extend(stored.map(|it| Attribute {
            at: it.at as u32,
            local: it.local.start as u32,
            value: it.value.start as u32,
            value_end: it.value.end as u32,
            local_len: it.local.len() as u16,
            plain: it.namespace == Namespace::None,
        }));
        self.elements.push(Element {
            start: start.at as u32,
            end: 0,
            local: start.local.start as u32,
            attributes: before as u32,
            next: 0,
            twin: 0,
            local_len: start.local.len() as u16,
            name,
            attribute_count: (self.attributes.len() - before) as u8,
            first,
            fhir: start.namespace == Namespace::Fhir,
            xhtml: start.namespace == Namespace::Xhtml,
            declared_here: start.declared_here,
        });
    }

    fn close(&mut self, number: u32, end: usize) {
        let next = self.elements.len() as u32;
        if let Some(element) = self.elements.get_mut(number as usize) {
            element.next = next;
            element.end = end as u32;
        }
    }

    /// The elements directly below one.
    pub fn children(&self, number: u32) -> impl Iterator<Item = (u32, &Element)> {
        let end = self.elements.get(number as usize).map_or(0, |element| element.next);
        let mut at = number + 1;
        std::iter::from_fn(move || {
            let found = (at < end).then(|| Some((at, self.elements.get(at as usize)?))).flatten()?;
            at = found.1.next.max(at + 1);
            Some(found)
        })
    }

    /// True where elements stand below this one.
    pub fn has_children(&self, number: u32) -> bool {
        self.elements.get(number as usize).is_some_and(|element| element.next > number + 1)
    }

    /// An element and those of the same name after it.
    pub fn twins(&self, number: u32) -> impl Iterator<Item = (u32, &Element)> {
        let mut at = Some(number);
        std::iter::from_fn(move || {
            let number = at?;
            let element = self.elements.get(number as usize)?;
            at = Some(element.twin).filter(|&twin| twin > number);
            Some((number, element))
        })
    }

    pub fn attributes(&self, element: &Element) -> &[Attribute] {
        let start = element.attributes as usize;
        self.attributes.get(start..start + usize::from(element.attribute_count)).unwrap_or_default()
    }

    /// The attribute with this name, in no namespace.
    pub fn attribute(&self, element: &Element, local: &str) -> Option<&Attribute> {
        self.attributes(element).iter().find(|it| it.plain && self.attribute_local(it) == local)
    }

    /// The element's name without prefix.
    pub fn local(&self, element: &Element) -> &'a str {
        let start = element.local as usize;
        self.slice(start..start + usize::from(element.local_len))
    }

    /// The attribute's name without prefix.
    pub fn attribute_local(&self, attribute: &Attribute) -> &'a str {
        let start = attribute.local as usize;
        self.slice(start..start + usize::from(attribute.local_len))
    }

    /// The attribute's value, references resolved.
    pub fn value(&self, attribute: &Attribute) -> Cow<'a, str> {
        attribute_value(self.slice(attribute.value as usize..attribute.value_end as usize))
    }

    /// The element's source.
    pub fn source(&self, element: &Element) -> &'a str {
        self.slice(element.start as usize..element.end as usize)
    }

    /// The innermost element around each of these offsets, which rise, as an XPath.
    pub fn paths(&self, offsets: impl Iterator<Item = usize>) -> Vec<Option<String>> {
        let mut ordinals = vec![0u32; self.elements.len()];
        for (at, element) in self.elements.iter().enumerate() {
            let next = ordinals.get(at).map_or(0, |own| own + 1);
            if let Some(twin) = ordinals.get_mut(element.twin as usize).filter(|_| element.twin != 0) {
                *twin = next;
            }
        }
        let mut elements = self.elements.iter().enumerate().peekable();
        let mut open: Vec<(usize, &Element)> = Vec::new();
        let found = offsets.map(|offset| {
            while let Some(begun) = elements.next_if(|(_, element)| element.start as usize <= offset) {
                while open.pop_if(|(_, outer)| outer.end <= begun.1.start).is_some() {}
                open.push(begun);
            }
            while open.pop_if(|(_, outer)| outer.end as usize <= offset).is_some() {}
            let step = |(at, element): &(usize, &Element)| {
                let prefix = if element.xhtml { 'h' } else { 'f' };
                let local = self.local(element);
                let ordinal = ordinals.get(*at).copied().unwrap_or_default();
                let repeats = element.twin != 0 || ordinal != 0;
                let index = if repeats { format!("[{}]", ordinal + 1) } else { String::new() };
                format!("/{prefix}:{local}{index}")
            };
            (!open.is_empty()).then(|| open.iter().map(step).collect())
        });
        found.collect()
    }

    fn slice(&self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or_default()
    }
}

/// Gives an element its namespace where reading is tolerant: that of the root, whichever it is, is taken for
/// FHIR's, and every `div` for a narrative, for the validator to judge. False for an element to be left out.
fn settle(
    reader: &mut Reader<'_, '_>,
    start: &mut Start,
    home: &mut Namespace,
    is_root: bool,
) -> Result<bool, Fault> {
    if is_root {
        let strange = start.namespace != Namespace::Fhir;
        if strange
            && (start.namespace == Namespace::Xhtml || !is_type_name(reader.slice(start.local.clone())))
        {
            return Err((Kind::WrongNamespace, start.at));
        }
        if strange && start.namespace != Namespace::Undeclared {
            reader.tolerance.note((Kind::WrongNamespace, start.at))?;
        }
        *home = start.namespace;
        start.namespace = Namespace::Fhir;
    } else if reader.slice(start.local.clone()) == "div" {
        start.namespace = Namespace::Xhtml;
    } else if start.namespace == *home || start.namespace == Namespace::Fhir {
        start.namespace = Namespace::Fhir;
    } else {
        if start.namespace != Namespace::Undeclared {
            reader.tolerance.note((Kind::WrongNamespace, start.at))?;
        }
        return Ok(false);
    }
    Ok(true)
}

/// True for a name that may be a resource's.
fn is_type_name(local: &str) -> bool {
    local.starts_with(|first: char| first.is_ascii_uppercase()) && Name::of(local) != Name::UNKNOWN
}

/// Passes over the rest of the element just begun; gives the offset after it.
fn skip(reader: &mut Reader<'_, '_>) -> Result<usize, Fault> {
    let mut depth = 1usize;
    loop {
        match reader.next()? {
            Token::Start(_) => depth += 1,
            Token::Text(_) => {}
            Token::End(end) => {
                depth -= 1;
                if depth == 0 {
                    return Ok(end);
                }
            }
            Token::EndOfDocument => return Err((Kind::UnexpectedEnd, reader.len())),
        }
    }
}

/// The open elements, and the last of their children for each name.
struct Ancestors<'a> {
    open: Vec<Open<'a>>,
    /// The first few names below each open element, those of the innermost last.
    few: Vec<(Name, &'a str, u32)>,
}

struct Open<'a> {
    element: u32,
    /// Where its names begin in `few`.
    few: usize,
    /// Its further names.
    many: Option<HashMap<&'a str, u32>>,
}

impl<'a> Ancestors<'a> {
    fn open(&mut self, element: u32) {
        self.open.push(Open { element, few: self.few.len(), many: None });
    }

    fn close(&mut self) -> Option<u32> {
        let closed = self.open.pop()?;
        self.few.truncate(closed.few);
        Some(closed.element)
    }

    /// Adds a child to the innermost element; gives the one of the same name before it.
    fn add(&mut self, name: Name, text: &'a str, number: u32) -> Option<u32> {
        let open = self.open.last_mut()?;
        let few = self.few.get_mut(open.few..).unwrap_or_default();
        let is_it = |own: &(Name, &str, u32)| own.0 == name && (name != Name::UNKNOWN || own.1 == text);
        // Repetitions follow each other: the last name comes first.
        if let Some((_, _, last)) = few.iter_mut().rev().find(|own| is_it(own)) {
            return Some(std::mem::replace(last, number));
        }
        if few.len() < FEW {
            self.few.push((name, text, number));
            return None;
        }
        open.many.get_or_insert_default().insert(text, number)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Result<Tree<'_>, Fault> {
        Tree::read(text, &Limits::default(), &mut Tolerance::none())
    }

    #[test]
    fn elements_of_one_name_lead_to_each_other() {
        let tree = tree("<a><b/><c><b/></c><b/><d/><b/></a>").unwrap();
        let b: Vec<u32> = tree.twins(1).map(|(number, _)| number).collect();
        assert_eq!(b, [1, 4, 6]);
        assert_eq!(tree.children(0).map(|(_, it)| tree.local(it)).collect::<String>(), "bcbdb");
        assert_eq!(tree.children(0).filter(|(_, it)| it.first).count(), 3);
        assert_eq!(tree.twins(3).count(), 1);
    }

    #[test]
    fn many_names_are_told_apart_too() {
        let inner: String = (0..100).chain(0..100).map(|n| format!("<n{n}/>")).collect();
        let text = format!("<a>{inner}</a>");
        let tree = tree(&text).unwrap();
        assert_eq!(tree.children(0).filter(|(_, it)| it.first).count(), 100);
        assert!(tree.children(0).filter(|(_, it)| it.first).all(|(at, _)| tree.twins(at).count() == 2));
    }

    #[test]
    fn a_narrative_is_one_whole() {
        let text = r#"<t><div xmlns="http://www.w3.org/1999/xhtml">a <b>bold</b> &lt; &#232;<br/></div></t>"#;
        let tree = tree(text).unwrap();
        assert_eq!(tree.elements.len(), 2);
        let div = &tree.elements[1];
        assert_eq!(&text[div.start as usize..div.end as usize], &text[3..text.len() - 4]);
        assert!(div.declared_here);
    }

    #[test]
    fn text_between_elements_is_refused_where_it_stands() {
        assert_eq!(tree("<a>\n <b/> x</a>").err(), Some((Kind::StrayText, 10)));
        assert_eq!(tree("<a><![CDATA[ x]]></a>").err(), Some((Kind::StrayText, 3)));
        assert!(tree("<a><![CDATA[ ]]> <!-- a - b --><?x y?></a>").is_ok());
    }
}
