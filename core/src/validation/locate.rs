//! Where a finding is: the element as a FHIRPath expression, and its line and column.
//!
//! Both are worked out after the walk, in one forward pass over the document for all findings, so that the
//! walk itself carries no paths. The expression follows the names of the definitions, not those of JSON:
//! `Observation.value.ofType(Quantity)` for `valueQuantity`, `Patient.birthDate` for `_birthDate`.

use std::iter::{Enumerate, Peekable};

use fhir_models::definition::choice_name;
use fhir_models::document::{Children, Document, Name, NodeId, Position, Value, name};

use super::shape::{Content, Entry, Shape, ShapeKind, Structure};
use super::types::Types;

/// Finds the expressions of nodes. Asked in rising order, all answers together cost one pass.
pub(super) struct Locator<'v, 'd> {
    types: &'v Types,
    root: Value<'d>,
    levels: Vec<Level<'v, 'd>>,
    last: NodeId,
    /// What an instance of a logical model is called, which need not say so itself.
    called: Option<&'v str>,
}

/// The element that holds another one.
#[derive(Debug)]
pub(super) struct Host<'d> {
    /// Its path in the definition around it: `Patient.name`, `HumanName.given`, or a resource's type.
    pub path: String,
    /// The name of its type.
    pub type_name: String,
    /// The path of its own definition: `Patient.contact`, `HumanName`, `Patient`.
    pub own: String,
    /// Its path from the resource on: `Patient.name.given`.
    pub chain: String,
    /// The property that holds the value asked for: `extension` or `modifierExtension`.
    pub under: Option<Name>,
    pub value: Option<Value<'d>>,
    /// The value is the `_name` twin of a primitive.
    pub is_twin: bool,
    /// The extension that it is, or whose value it is.
    pub extension: Option<Value<'d>>,
    /// The innermost resource around it, or itself.
    pub resource: Value<'d>,
    /// The resource that contains that one, or the same.
    pub root: Value<'d>,
}

impl Host<'_> {
    /// All names of the element: by its definition, by its type, from its resource on; a choice with and
    /// without its type.
    pub fn names(&self) -> Vec<String> {
        let mut names = vec![self.path.clone(), self.own.clone(), self.chain.clone(), self.type_name.clone()];
        if let Some(stem) = self.path.strip_suffix("[x]") {
            for stem in [stem, self.chain.as_str()] {
                names.push(stem.to_owned());
                names.push(format!("{stem}[x]"));
                names.push(format!("{stem}.ofType({})", self.type_name));
                names.push(choice_name(stem, &self.type_name));
            }
        }
        names
    }
}

/// A value on the way down, with the child that the way goes through.
struct Level<'v, 'd> {
    /// The step that leads here.
    step: Step<'v, 'd>,
    /// The element by definition; an item has that of its array.
    place: Option<(&'v Shape, Entry)>,
    meaning: Meaning<'v>,
    children: Peekable<Enumerate<Children<'d>>>,
    current: Option<(usize, Value<'d>)>,
}

/// A step of an expression; made text only where one is asked for.
#[derive(Clone, Copy)]
enum Step<'v, 'd> {
    /// The resource that it begins with.
    Start(Value<'d>),
    /// `.name`, `.value.ofType(Quantity)`
    Element(&'v Shape, Entry),
    /// `[0]`
    Item(usize),
    /// What no definition describes, and its place among its siblings.
    Plain(Value<'d>, usize),
}

impl Step<'_, '_> {
    fn is_item(self) -> bool {
        match self {
            Step::Item(_) => true,
            Step::Plain(child, _) => child.key().is_none(),
            _ => false,
        }
    }

    fn write(self, out: &mut String) {
        match self {
            Step::Start(root) => out.push_str(&root.resource_type().unwrap_or_default()),
            Step::Element(shape, entry) => out.push_str(&step(shape, entry)),
            Step::Item(index) => out.push_str(&format!("[{index}]")),
            Step::Plain(child, index) => out.push_str(&plain_step(child, index)),
        }
    }
}

/// What a value is by definition.
#[derive(Clone, Copy)]
enum Meaning<'v> {
    Object(&'v Structure, &'v Shape),
    /// An array of these.
    Array(&'v Structure, Entry),
    /// An array of twins of primitives.
    Twins,
    /// Nothing known: a primitive, or an unknown element.
    Opaque,
}

impl<'v, 'd> Locator<'v, 'd> {
    pub fn new(types: &'v Types, document: Document<'d>) -> Locator<'v, 'd> {
        Locator { types, root: document.root(), levels: Vec::new(), last: NodeId::ROOT, called: None }
    }

    /// The same, for a document that begins with this name where it has no resource type.
    #[must_use]
    pub fn called(self, name: Option<&'v str>) -> Locator<'v, 'd> {
        Locator { called: name, ..self }
    }

    /// The expression of a node; `None` where the document has no resource type to
    /// begin with, or one that is no name at all.
    pub fn expression(&mut self, target: NodeId) -> Option<String> {
        let Some(levels) = self.seek(target) else {
            let own = self.root.document().value(target)?.expression();
            let start = self.root.resource_type().map_or("$this".len(), |it| it.len());
            return self.called.map(|name| name.to_owned() + own.get(start..).unwrap_or_default());
        };
        let mut text = String::new();
        self.levels.iter().take(levels).for_each(|level| level.step.write(&mut text));
        Some(text)
    }

    /// Moves to a node; gives how many levels lead to it.
    fn seek(&mut self, target: NodeId) -> Option<usize> {
        if self.levels.is_empty() || target < self.last {
            self.root.resource_type().filter(|text| is_plain(text))?;
            self.levels.clear();
            let meaning = self.resource(self.root);
            self.levels.push(Level::new(Step::Start(self.root), self.root, meaning, None));
        }
        self.last = target;
        let mut depth = 0;
        while let Some(level) = self.levels.get_mut(depth) {
            let mut moved = false;
            while let Some(next) = level.children.next_if(|(_, child)| child.id() <= target) {
                level.current = Some(next);
                moved = true;
            }
            let Some((index, child)) = level.current else { break };
            let meaning = level.meaning;
            depth += 1;
            if moved {
                self.levels.truncate(depth);
                let array = self.levels.get(depth - 1).and_then(|level| level.place);
                let below = self.below(meaning, index, child, array);
                self.levels.push(below);
            }
            if child.id() == target {
                break;
            }
        }
        Some(depth + 1)
    }

    fn below(
        &self,
        above: Meaning<'v>,
        index: usize,
        child: Value<'d>,
        array: Option<(&'v Shape, Entry)>,
    ) -> Level<'v, 'd> {
        let (step, meaning, place) = match above {
            Meaning::Array(structure, entry) => {
                (Step::Item(index), self.meaning(structure, entry.content, child), array)
            }
            Meaning::Twins => (Step::Item(index), self.datatype(Name::of("Element")), array),
            Meaning::Object(structure, shape) => match shape.find(child.name()) {
                Some(entry) => {
                    let step = Step::Element(shape, entry);
                    (step, self.member(structure, entry, child), Some((shape, entry)))
                }
                None => (Step::Plain(child, index), Meaning::Opaque, None),
            },
            Meaning::Opaque => (Step::Plain(child, index), Meaning::Opaque, None),
        };
        Level::new(step, child, meaning, place)
    }

    /// Where the element around `target` stands by definition. Asked in rising order, as for expressions.
    pub fn host(&mut self, target: NodeId) -> Option<Host<'d>> {
        self.seek(target)?;
        let levels = self.levels.len();
        let last = self.levels.last()?;
        let above = if last.step.is_item() { 2 } else { 1 };
        let at = levels.checked_sub(above + 1)?;
        let (inside, holder) = (self.levels.get(levels - above)?, self.levels.get(at)?);
        let under = inside.place.map(|(_, entry)| entry.name);
        let (path, type_name) = match holder.place {
            Some((shape, entry)) => {
                let element = shape.element(entry)?;
                let choice = if entry.is_choice() { "[x]" } else { "" };
                (format!("{}.{}{choice}", shape.path, element.name), entry.content.type_name().to_owned())
            }
            None => {
                let mut step = String::new();
                holder.step.write(&mut step);
                (step.clone(), step)
            }
        };
        // A whole resource inside another is named by its own type.
        let own = match holder.meaning {
            Meaning::Object(_, shape) if &*shape.path != "Element" => shape.path.to_string(),
            _ => type_name.clone(),
        };
        let mut chain: Vec<&str> = Vec::new();
        let (mut resource, mut root) = (self.root, self.root);
        for (number, level) in self.levels.get(..=at)?.iter().enumerate() {
            match (level.meaning, level.place) {
                (Meaning::Object(_, shape), place) if shape.kind == ShapeKind::Resource => {
                    chain = vec![&shape.path];
                    resource = self.value_at(number).unwrap_or(resource);
                    if place.is_none_or(|(_, entry)| entry.name != name::CONTAINED) {
                        root = resource;
                    }
                }
                (_, Some((shape, entry))) if !level.step.is_item() => {
                    chain.extend(shape.element(entry).map(|element| &*element.name));
                }
                _ => {}
            }
        }
        let is_extension = |at: &usize| {
            let meaning = self.levels.get(*at).map(|level| level.meaning);
            matches!(meaning, Some(Meaning::Object(_, shape)) if shape.kind == ShapeKind::Extension)
        };
        let extension = [Some(at), at.checked_sub(1)].into_iter().flatten().find(is_extension);
        Some(Host {
            path,
            type_name,
            own,
            chain: chain.join("."),
            under,
            value: self.value_at(at),
            is_twin: matches!(holder.meaning, Meaning::Object(_, shape) if &*shape.path == "Element"),
            extension: extension.and_then(|at| self.value_at(at)),
            resource,
            root,
        })
    }

    /// The value at a level: the current child of the level above.
    fn value_at(&self, at: usize) -> Option<Value<'d>> {
        match at.checked_sub(1) {
            None => Some(self.root),
            Some(above) => self.levels.get(above)?.current.map(|(_, value)| value),
        }
    }

    fn member(&self, structure: &'v Structure, entry: Entry, child: Value<'d>) -> Meaning<'v> {
        match (child.is_underscored(), child.is_array()) {
            (true, true) => Meaning::Twins,
            (true, false) => self.datatype(Name::of("Element")),
            (false, true) => Meaning::Array(structure, entry),
            (false, false) => self.meaning(structure, entry.content, child),
        }
    }

    fn meaning(&self, structure: &'v Structure, content: Content, value: Value<'d>) -> Meaning<'v> {
        match content {
            Content::Type(name) => self.datatype(name),
            Content::Shape(number) => structure
                .shapes
                .get(usize::from(number))
                .map_or(Meaning::Opaque, |shape| Meaning::Object(structure, shape)),
            Content::Resource => self.resource(value),
            Content::Primitive(_) | Content::Narrative | Content::ResourceType => Meaning::Opaque,
        }
    }

    fn resource(&self, value: Value<'d>) -> Meaning<'v> {
        value.resource_type().map_or(Meaning::Opaque, |type_name| self.datatype(Name::of(&type_name)))
    }

    fn datatype(&self, name: Name) -> Meaning<'v> {
        match self.types.structure(name) {
            Ok(structure) => {
                structure.root().map_or(Meaning::Opaque, |shape| Meaning::Object(structure, shape))
            }
            Err(_) => Meaning::Opaque,
        }
    }
}

impl<'v, 'd> Level<'v, 'd> {
    fn new(
        step: Step<'v, 'd>,
        value: Value<'d>,
        meaning: Meaning<'v>,
        place: Option<(&'v Shape, Entry)>,
    ) -> Level<'v, 'd> {
        Level { step, place, meaning, children: value.children().enumerate().peekable(), current: None }
    }
}

fn step(shape: &Shape, entry: Entry) -> String {
    let name = shape.element(entry).map_or(entry.name.text(), |element| &*element.name);
    if entry.is_choice() {
        format!(".{name}.ofType({})", entry.content.type_name())
    } else {
        format!(".{name}")
    }
}

/// The step to a child that no definition describes: only a plain name is repeated.
fn plain_step(child: Value<'_>, index: usize) -> String {
    match child.key() {
        None => format!("[{index}]"),
        Some(key) if is_plain(&key) => format!(".{key}"),
        Some(_) => String::new(),
    }
}

/// True for text that looks like a FHIR name: nothing else from the input stands in an expression.
fn is_plain(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Lines and columns of byte offsets that rise, in one pass. The same answers as [`Position::of`].
pub(super) struct Lines<'d> {
    text: &'d [u8],
    at: usize,
    position: Position,
}

impl<'d> Lines<'d> {
    pub fn new(text: &'d str) -> Lines<'d> {
        Lines { text: text.as_bytes(), at: 0, position: Position { line: 1, column: 1 } }
    }

    /// The position of an offset not before the last one asked for.
    pub fn position(&mut self, offset: usize) -> Position {
        let passed = self.text.get(self.at..offset.min(self.text.len())).unwrap_or_default();
        if passed.contains(&b'\r') {
            self.step_to(offset);
            return self.position;
        }
        self.at += passed.len();
        let characters = |bytes: &[u8]| bytes.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        let lines = passed.iter().filter(|byte| **byte == b'\n').count();
        if lines > 0 {
            let last = passed.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
            self.position.line += lines;
            self.position.column = 1 + characters(last);
        } else {
            self.position.column += characters(passed);
        }
        self.position
    }

    /// The same byte by byte: a carriage return ends a line unless a line feed follows.
    fn step_to(&mut self, offset: usize) {
        while self.at < offset {
            let Some(&byte) = self.text.get(self.at) else { break };
            let next = self.text.get(self.at + 1);
            let ends_line = byte == b'\n' || (byte == b'\r' && next != Some(&b'\n'));
            if ends_line {
                self.position = Position { line: self.position.line + 1, column: 1 };
            } else if byte & 0xC0 != 0x80 {
                self.position.column += 1;
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lines_agree_with_position_of(text in "[aè\n\r😀]{0,40}", mut offsets in prop::collection::vec(0usize..60, 0..8)) {
            offsets.sort_unstable();
            let mut lines = Lines::new(&text);
            for offset in offsets {
                let offset = offset.min(text.len());
                if text.is_char_boundary(offset) {
                    prop_assert_eq!(lines.position(offset), Position::of(text.as_bytes(), offset));
                }
            }
        }
    }
}
