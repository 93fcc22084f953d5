//! Taking labelled elements out of a resource (HL7 FHIR DS4P, "inline security label").
//!
//! What goes with an element: the value or the `_name` beside it (FHIR R4 §2.6.2.3), lists and objects that hold nothing
//! else, sections of a Composition that are left without content, and every narrative: it was written by somebody who
//! saw everything. A resource that can't do without an element ([`Necessary::can_do_without`]) can't be shown at all,
//! nor one that is signed, nor one where the element holds a resource or refers to a contained one.
//!
//! Invariant: cutting twice cuts no more, and nothing marks what was cut.

use std::collections::BTreeSet;

use fhir_models::document::{Document, Edits, Kind, Name, Node, NodeId, Value, name};

use super::cut::{Rest, cut_sections, is, narratives};
use super::labels::{INLINE, Labels};
use super::necessary::Necessary;
use super::nested::resources;

/// An element that bears a label of its own.
#[derive(Debug, Clone)]
pub struct LabelledElement<'a> {
    /// The element; for a primitive, its `_name`.
    pub value: Value<'a>,
    /// What it is labelled.
    pub labels: Labels,
}

/// The elements of a document that bear labels, in source order. Levels up to normal are none: a part can only make
/// the whole stricter.
pub fn labelled_elements(document: Document<'_>) -> Vec<LabelledElement<'_>> {
    let parents = document.parents();
    let mut found: Vec<LabelledElement<'_>> = Vec::new();
    for extensions in extensions(document.root()) {
        let labels = Labels::inline(extensions);
        if labels.codes().is_empty() {
            continue;
        }
        let around = parents.get(extensions.id().index()).copied().and_then(|id| document.value(id));
        found.extend(around.map(|value| LabelledElement { value, labels }));
    }
    found
}

/// The document without the labels of single elements; nothing where it has none.
pub fn without_inline_labels(document: Document<'_>) -> Option<Vec<u8>> {
    let mut edits = Edits::new(document);
    for extensions in extensions(document.root()) {
        let labels =
            extensions.items().filter(|own| own.get(name::URL).is_some_and(|url| url.is_str(INLINE)));
        labels.for_each(|label| edits.remove(label));
    }
    (!edits.is_empty()).then(|| edits.apply())
}

fn extensions(root: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    let extends = |(_, node): &(Value<'_>, &Node)| node.name() == name::EXTENSION;
    root.descendants().zip(root.nodes_below()).filter(extends).map(|(value, _)| value)
}

/// Cuts elements out of the resource that the document is.
pub fn cut_elements(document: Document<'_>, elements: &[Value<'_>], necessary: &Necessary) -> Rest {
    if elements.is_empty() {
        return Rest::Whole;
    }
    let all = resources(document.root());
    let signature = Name::of("signature");
    let signed =
        |own: Value<'_>| (is(own, "Bundle") || is(own, "Provenance")) && own.get(signature).is_some();
    if all.iter().any(|own| signed(own.value)) {
        return Rest::Nothing;
    }
    let mut cutting = Cutting { document, parents: document.parents(), gone: BTreeSet::new() };
    for element in elements {
        let span = element.span();
        let holds = all.iter().any(|own| span.contains(&own.value.span().start));
        let leads_inside = element.descendants().filter_map(Value::as_str).any(|text| text.starts_with('#'));
        if holds || leads_inside || element.id() == NodeId::ROOT {
            return Rest::Nothing;
        }
        cutting.take(*element);
    }
    cutting.take_emptied();
    let gone: Vec<Value<'_>> = cutting.topmost().collect();
    for value in &gone {
        let Some((kind, names)) = cutting.path(*value) else { return Rest::Nothing };
        let is_item = value.key().is_none();
        // One of several may go where the list must be there.
        if !necessary.can_do_without(&kind, &names, is_item) {
            return Rest::Nothing;
        }
    }
    let mut edits = Edits::new(document);
    gone.iter().for_each(|value| edits.remove(*value));
    cutting.only_nulls(&gone).into_iter().for_each(|list| edits.remove(list));
    for own in all.iter().filter(|own| is(own.value, "Composition")) {
        cut_sections(own.value, &cutting.gone, &mut edits);
    }
    narratives(document.root()).for_each(|text| edits.remove(text));
    Rest::Part(edits.apply())
}

/// What goes of a document.
struct Cutting<'a> {
    document: Document<'a>,
    parents: Vec<NodeId>,
    /// The places of values that go.
    gone: BTreeSet<usize>,
}

impl<'a> Cutting<'a> {
    fn parent(&self, value: Value<'_>) -> Option<Value<'a>> {
        let parent = self.parents.get(value.id().index()).copied()?;
        (value.id() != NodeId::ROOT).then(|| self.document.value(parent)).flatten()
    }

    fn is_gone(&self, value: Value<'_>) -> bool {
        self.gone.contains(&value.id().index())
    }

    /// Takes an element with what stands for the other half of it, and an extension with its value.
    fn take(&mut self, element: Value<'_>) {
        let Some(element) = self.document.value(element.id()) else { return };
        self.gone.insert(element.id().index());
        let Some(around) = self.parent(element) else { return };
        match element.key() {
            Some(key) => {
                self.gone.extend(twin(around, &key).map(|twin| twin.id().index()));
                let list = self.parent(around).and_then(Value::key);
                let extends = around.is_object() && matches!(list.as_deref(), Some("extension"));
                if extends && bare(&key).starts_with("value") {
                    self.gone.insert(around.id().index());
                }
            }
            None => {
                let at = around.children().position(|item| item.id() == element.id());
                let other = around
                    .key()
                    .and_then(|key| twin(self.parent(around)?, &key))
                    .filter(|twin| twin.is_array());
                let item = other.zip(at).and_then(|(list, at)| list.children().nth(at));
                self.gone.extend(item.map(|item| item.id().index()));
            }
        }
    }

    /// Takes what would be left empty.
    fn take_emptied(&mut self) {
        let mut doubtful: Vec<usize> = self.gone.iter().copied().collect();
        while let Some(at) = doubtful.pop() {
            let Some(around) = self.parents.get(at).copied().and_then(|id| self.document.value(id)) else {
                continue;
            };
            let emptied = around.id() != NodeId::ROOT && around.children().all(|own| self.is_gone(own));
            if emptied && self.gone.insert(around.id().index()) {
                doubtful.push(around.id().index());
            }
        }
    }

    /// What goes and stands in what stays.
    fn topmost(&self) -> impl Iterator<Item = Value<'a>> {
        let all = self.document.root().descendants().filter(|value| self.is_gone(*value));
        all.filter(|value| {
            let mut around = self.parent(*value);
            while let Some(value) = around {
                if self.is_gone(value) {
                    return false;
                }
                around = self.parent(value);
            }
            true
        })
    }

    /// The innermost resource around a value, and the names from there to it.
    fn path(&self, value: Value<'a>) -> Option<(String, Vec<String>)> {
        let mut names: Vec<String> = Vec::new();
        let mut at = value;
        loop {
            names.extend(at.key().map(|key| bare(&key).to_owned()));
            at = self.parent(at)?;
            if let Some(kind) = at.resource_type().filter(|_| at.is_object()) {
                names.reverse();
                return Some((kind.into_owned(), names));
            }
        }
    }

    /// Lists of primitives, or of what is beside them, of which only fillings are left.
    fn only_nulls(&self, gone: &[Value<'a>]) -> Vec<Value<'a>> {
        let lists = gone.iter().filter(|value| value.key().is_none()).filter_map(|value| self.parent(*value));
        let left = |list: Value<'a>| list.children().filter(|item| !self.is_gone(*item));
        lists.filter(|list| left(*list).all(|item| item.kind() == Kind::Null)).collect()
    }
}

fn bare(key: &str) -> &str {
    key.strip_prefix('_').unwrap_or(key)
}

/// The other half of an element: `_birthDate` for `birthDate`, and the other way round.
fn twin<'a>(around: Value<'a>, key: &str) -> Option<Value<'a>> {
    match key.strip_prefix('_') {
        Some(name) => around.get_key(name),
        None => around.get_key(&format!("_{key}")),
    }
}

#[cfg(test)]
#[path = "element_cut_tests.rs"]
mod tests;
