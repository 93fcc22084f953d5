//! Reading a document: a value and what stands in it.

use std::borrow::Cow;
use std::ops::Range;

use super::nodes::children;
use super::tape::{HAS_KEY, KEY_ESCAPED, Node, UNDERSCORE, VALUE_ESCAPED};
use super::text::unescape;
use super::{Document, Kind, Name, NodeId, Position, name};

/// A value in a document. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    pub(super) document: Document<'a>,
    pub(super) id: NodeId,
}

impl<'a> Value<'a> {
    /// The document it stands in.
    pub fn document(self) -> Document<'a> {
        self.document
    }

    /// Its number in the document.
    pub fn id(self) -> NodeId {
        self.id
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        self.document.node(self.id).kind
    }

    /// True for an object.
    pub fn is_object(self) -> bool {
        self.kind() == Kind::Object
    }

    /// True for an array.
    pub fn is_array(self) -> bool {
        self.kind() == Kind::Array
    }

    /// The name it stands under; [`Name::UNKNOWN`] for items, the root, and names that are not FHIR's.
    /// For `_birthDate` it is `birthDate`: see [`Value::is_underscored`].
    pub fn name(self) -> Name {
        self.document.node(self.id).name
    }

    /// True where its property name is a FHIR name with a leading underscore: it carries the `id` and
    /// `extension` of a primitive (FHIR R4 §2.6.2.3).
    pub fn is_underscored(self) -> bool {
        self.document.node(self.id).flags & UNDERSCORE != 0
    }

    /// The property name as written, escapes undone; `None` for array items and the root.
    pub fn key(self) -> Option<Cow<'a, str>> {
        let node = self.document.node(self.id);
        if node.flags & HAS_KEY == 0 {
            return None;
        }
        let start = node.key_start as usize;
        let raw = self.document.text.get(start..start + usize::from(node.key_len)).unwrap_or_default();
        Some(if node.flags & KEY_ESCAPED == 0 { Cow::Borrowed(raw) } else { unescape(raw) })
    }

    /// The value's source text, quotes and brackets included.
    pub fn raw(self) -> &'a str {
        self.document.text.get(self.span()).unwrap_or_default()
    }

    /// Where the value stands in the source, in bytes.
    pub fn span(self) -> Range<usize> {
        self.document.node(self.id).span()
    }

    /// Where the member stands in the source: its name, colon and value. An item's span is its value's.
    pub fn member_span(self) -> Range<usize> {
        let node = self.document.node(self.id);
        let start = if node.flags & HAS_KEY == 0 { node.start } else { node.key_start.saturating_sub(1) };
        start as usize..node.end as usize
    }

    /// Line and column of the member, or of the value where it has no name.
    pub fn position(self) -> Position {
        self.document.position(self.member_span().start)
    }

    /// The text of a string; `None` for anything else.
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        let node = self.document.node(self.id);
        if node.kind != Kind::String {
            return None;
        }
        let span = node.span();
        let inner = self.document.text.get(span.start + 1..span.end.saturating_sub(1)).unwrap_or_default();
        Some(if node.flags & VALUE_ESCAPED == 0 { Cow::Borrowed(inner) } else { unescape(inner) })
    }

    /// The text of a string that is written without escapes; `None` for any other value.
    #[inline]
    pub fn as_plain_str(self) -> Option<&'a str> {
        let node = self.document.node(self.id);
        if node.kind != Kind::String || node.flags & VALUE_ESCAPED != 0 {
            return None;
        }
        let span = node.span();
        self.document.text.get(span.start + 1..span.end.saturating_sub(1))
    }

    /// The texts of these members, empty where one is absent; `None` where one is anything but a string that is
    /// written without escapes.
    #[inline]
    pub fn plain_texts<const N: usize>(self, names: [Name; N]) -> Option<[&'a str; N]> {
        let mut texts = [""; N];
        for (id, node) in children(self.document.nodes, self.id) {
            if node.flags & UNDERSCORE == 0
                && let Some(text) =
                    names.iter().position(|name| *name == node.name).and_then(|at| texts.get_mut(at))
            {
                *text = Value { document: self.document, id }.as_plain_str()?;
            }
        }
        Some(texts)
    }

    /// True where the value is a string with exactly this text.
    pub fn is_str(self, text: &str) -> bool {
        self.as_str().is_some_and(|own| own == text)
    }

    /// A boolean's value.
    pub fn as_bool(self) -> Option<bool> {
        (self.kind() == Kind::Boolean).then(|| self.raw() == "true")
    }

    /// A number's text, digit for digit.
    pub fn as_number(self) -> Option<&'a str> {
        (self.kind() == Kind::Number).then(|| self.raw())
    }

    /// The members of an object or the items of an array, in source order; none for other kinds.
    pub fn children(self) -> Children<'a> {
        let node = self.document.node(self.id);
        Children { document: self.document, at: self.id.0 + 1, end: node.next }
    }

    /// Everything below this value, in source order.
    pub fn descendants(self) -> impl Iterator<Item = Value<'a>> {
        let end = self.document.node(self.id).next;
        let document = self.document;
        (self.id.0 + 1..end).map(move |id| Value { document, id: NodeId(id) })
    }

    /// The nodes of everything below this value, in source order.
    pub fn nodes_below(self) -> &'a [Node] {
        let end = self.document.node(self.id).next as usize;
        self.document.nodes.get(self.id.index() + 1..end).unwrap_or_default()
    }

    /// The member with this name (not its underscored twin).
    pub fn get(self, name: Name) -> Option<Value<'a>> {
        if !self.is_object() {
            return None;
        }
        let mut members = children(self.document.nodes, self.id);
        let (id, _) = members.find(|(_, node)| node.name == name && node.flags & UNDERSCORE == 0)?;
        Some(Value { document: self.document, id })
    }

    /// The underscored twin of a primitive: for `birthDate`, the object under `_birthDate`.
    pub fn get_underscored(self, name: Name) -> Option<Value<'a>> {
        if !self.is_object() {
            return None;
        }
        let mut members = children(self.document.nodes, self.id);
        let (id, _) = members.find(|(_, node)| node.name == name && node.flags & UNDERSCORE != 0)?;
        Some(Value { document: self.document, id })
    }

    /// The member with this property name, whether FHIR knows the name or not.
    pub fn get_key(self, key: &str) -> Option<Value<'a>> {
        if !self.is_object() {
            return None;
        }
        self.children().find(|child| child.key().is_some_and(|own| own == key))
    }

    /// The value under a path of names; the path steps into every item of an array, so several may match.
    pub fn path(self, names: &[Name]) -> Vec<Value<'a>> {
        let mut found = Vec::new();
        self.each(names, &mut |value| found.push(value));
        found
    }

    /// Shows what [`Value::path`] finds, one after the other.
    pub fn each(self, names: &[Name], show: &mut impl FnMut(Value<'a>)) {
        let Some((step, rest)) = names.split_first() else { return self.items().for_each(show) };
        self.items().filter_map(|item| item.get(*step)).for_each(|value| value.each(rest, show));
    }

    /// The object or array around it; `None` for the root. It looks back over what stands before it in there: for one
    /// value, not for all of them ([`Document::parents`]).
    pub fn parent(self) -> Option<Value<'a>> {
        let before = self.document.nodes.get(..self.id.index()).unwrap_or_default();
        let parent = before.iter().rposition(|node| node.next > self.id.0)?;
        self.document.value(NodeId(u32::try_from(parent).ok()?))
    }

    /// The items of an array, or the value itself: FHIR elements that may repeat are read alike.
    pub fn items(self) -> Items<'a> {
        if self.is_array() {
            Items { own: None, children: self.children() }
        } else {
            Items { own: Some(self), children: Children { document: self.document, at: 0, end: 0 } }
        }
    }

    /// The text of the string member with this name.
    pub fn str_of(self, name: Name) -> Option<Cow<'a, str>> {
        self.get(name)?.as_str()
    }

    /// A resource's type, from its `resourceType`.
    pub fn resource_type(self) -> Option<Cow<'a, str>> {
        self.str_of(name::RESOURCE_TYPE)
    }

    /// Where the value stands, as a FHIRPath expression such as `Patient.name[0].given[1]`.
    ///
    /// Items of arrays carry their index. The outermost name is the resource type where there is one.
    pub fn expression(self) -> String {
        let mut trail: Vec<String> = Vec::new();
        let mut here = self.document.root();
        let root = here.resource_type().map_or_else(|| "$this".to_owned(), Cow::into_owned);
        while here.id != self.id {
            let target = self.id.0;
            let array = here.is_array();
            let holds = |(_, child): &(usize, Value<'a>)| {
                child.id.0 <= target && target < child.document.node(child.id).next
            };
            let Some((index, child)) = here.children().enumerate().find(holds) else { break };
            if array {
                trail.push(format!("[{index}]"));
            } else {
                let key = child.key().unwrap_or_default();
                let shown = if child.is_underscored() { key.trim_start_matches('_') } else { &key };
                trail.push(format!(".{shown}"));
            }
            here = child;
        }
        trail.into_iter().fold(root, |path, step| path + &step)
    }
}

/// The children of a value.
#[derive(Debug, Clone)]
pub struct Children<'a> {
    document: Document<'a>,
    at: u32,
    end: u32,
}

impl<'a> Iterator for Children<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        if self.at >= self.end {
            return None;
        }
        let id = NodeId(self.at);
        self.at = self.document.node(id).next.max(self.at + 1);
        Some(Value { document: self.document, id })
    }
}

/// The items of an array, or a single value.
#[derive(Debug, Clone)]
pub struct Items<'a> {
    own: Option<Value<'a>>,
    children: Children<'a>,
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    #[inline]
    fn next(&mut self) -> Option<Value<'a>> {
        self.own.take().or_else(|| self.children.next())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::document::{Limits, OwnedDocument, name};

    fn patient() -> OwnedDocument {
        let text = r#"{"resourceType":"Patient","name":[{"given":["Niccol\u00f2","Àlvaro"],"family":"Forlì"}],
            "_birthDate":{"extension":[]},"birthDate":"1980-01-01","active":true,"x":1.50}"#;
        OwnedDocument::parse_json(text, &Limits::default()).unwrap()
    }

    #[test]
    fn members_are_found_by_name_and_by_text() {
        let doc = patient();
        let root = doc.root();
        assert_eq!(root.resource_type().unwrap(), "Patient");
        assert!(root.get(name::BIRTH_DATE).unwrap().is_str("1980-01-01"));
        assert!(root.get_underscored(name::BIRTH_DATE).unwrap().is_object());
        assert_eq!(root.get_key("x").unwrap().as_number(), Some("1.50"));
        assert_eq!(root.get_key("active").unwrap().as_bool(), Some(true));
        assert!(root.get_key("y").is_none());
    }

    #[test]
    fn paths_step_into_arrays() {
        let doc = patient();
        let given = doc.root().path(&[name::NAME, name::GIVEN]);
        let texts: Vec<_> = given.iter().map(|value| value.as_str().unwrap().into_owned()).collect();
        assert_eq!(texts, ["Niccolò", "Àlvaro"]);
        assert_eq!(given[1].expression(), "Patient.name[0].given[1]");
    }

    #[test]
    fn positions_count_characters() {
        let doc = patient();
        let date = doc.root().get(name::BIRTH_DATE).unwrap();
        assert_eq!((date.position().line, date.position().column), (2, 43));
        assert_eq!(date.raw(), "\"1980-01-01\"");
    }

    #[test]
    fn parents_are_known_for_every_node() {
        let doc = patient();
        let parents = doc.document().parents();
        assert!(doc.root().parent().is_none());
        for value in doc.root().descendants() {
            let parent = doc.document().value(parents[value.id().index()]).unwrap();
            assert!(parent.children().any(|child| child.id() == value.id()));
            assert_eq!(value.parent().unwrap().id(), parent.id());
        }
    }
}
