//! A snapshot as a tree: each element has its children and, beside it, its slices.
//!
//! A slice of a slice stands among the slices of the same element, under the name `outer/inner`, after the outer
//! one. Ids and paths are written from the tree (FHIR R4 §2.29.0.3).

use std::sync::Arc;

use fhir_models::definition::ElementDefinition;
use fhir_models::document::{JsonWriter, Value, name};

use super::element::Element;
use crate::validation::{Segment, ways};

/// One element and what stands below it.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// The last step of its path: `component`, `value[x]`.
    pub name: String,
    /// The slice that it is.
    pub slice: Option<String>,
    pub element: Element,
    pub children: Vec<Node>,
    pub slices: Vec<Node>,
}

impl Node {
    /// How many elements it is, with all below and beside it.
    pub fn count(&self) -> usize {
        let below: usize = self.children.iter().chain(&self.slices).map(Node::count).sum();
        below.saturating_add(1)
    }

    pub fn child(&self, name: &str) -> Option<usize> {
        self.children.iter().position(|it| it.name == name)
    }

    pub fn slice(&self, name: &str) -> Option<usize> {
        self.slices.iter().position(|it| it.slice.as_deref() == Some(name))
    }

    /// Writes it, what is below it, and its slices.
    pub fn write(&self, out: &mut JsonWriter, above_id: &str, above_path: &str) {
        let (mut id, mut path) = (above_id.to_owned(), above_path.to_owned());
        for text in [&mut id, &mut path] {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(&self.name);
        }
        if let Some(slice) = &self.slice {
            id.push(':');
            id.push_str(slice);
        }
        self.element.write(out, &id, &path, self.slice.as_deref());
        for child in &self.children {
            child.write(out, &id, &path);
        }
        for slice in &self.slices {
            slice.write(out, above_id, above_path);
        }
    }
}

/// The snapshot of a structure.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub root: Node,
    /// Models that elements are mapped to (`StructureDefinition.mapping`), as JSON.
    pub mappings: Vec<Arc<str>>,
}

impl Tree {
    /// The snapshot that a structure was published with; what is built on it inherits from it.
    pub fn read(url: &str, structure: Value<'_>) -> Result<Tree, String> {
        let elements = listed(structure.get(name::SNAPSHOT))?;
        let reads: Vec<ElementDefinition> = elements.iter().map(|(_, read)| read.clone()).collect();
        let mut root: Option<Node> = None;
        for ((value, read), way) in elements.iter().zip(ways(&reads)) {
            let element = Element::of(*value, read).inherited(url, &read.path, read);
            match (&mut root, way.split_last()) {
                (None, _) => {
                    let name = read.path.split('.').next().unwrap_or_default().to_owned();
                    root = Some(Node { name, element, ..Node::default() });
                }
                (Some(root), Some((last, above))) => {
                    let parent = at(root, above).ok_or_else(|| lost(read))?;
                    put(parent, last, element).ok_or_else(|| lost(read))?;
                }
                (Some(_), None) => return Err(lost(read)),
            }
        }
        let root = root.ok_or("its snapshot has no element")?;
        Ok(Tree { root, mappings: mappings(structure) })
    }

    /// The element with this id.
    pub fn find(&self, id: &str) -> Option<&Node> {
        let mut node = &self.root;
        for step in id.split('.').skip(1) {
            let (name, slice) = step.split_once(':').map_or((step, None), |(name, it)| (name, Some(it)));
            node = node.children.get(node.child(name)?)?;
            if let Some(slice) = slice {
                node = node.slices.get(node.slice(slice)?)?;
            }
        }
        Some(node)
    }
}

/// The elements of a snapshot or differential, each beside what was read of it. Ids that don't follow the paths
/// are passed over.
pub(super) fn listed<'d>(
    container: Option<Value<'d>>,
) -> Result<Vec<(Value<'d>, ElementDefinition)>, String> {
    let list = container.and_then(|it| it.get(name::ELEMENT));
    let mut all = Vec::new();
    for value in list.into_iter().flat_map(Value::items) {
        let read = ElementDefinition::read(value).map_err(|error| error.to_string())?;
        all.push((value, read));
    }
    let follows = |read: &ElementDefinition| {
        let name = |step: &str| step.split(':').next().unwrap_or_default().to_owned();
        let shortened = |id: &str, path: &str| {
            // `value[x]:valueQuantity` and `valueQuantity` are the same place.
            id == path || id.strip_suffix("[x]").is_some_and(|stem| path.starts_with(stem))
        };
        let ids: Vec<String> = read.id.split('.').map(name).collect();
        let paths: Vec<&str> = read.path.split('.').collect();
        let sliced =
            read.slice_name.is_none() || read.id.rsplit('.').next().is_some_and(|it| it.contains(':'));
        ids.len() == paths.len()
            && sliced
            && ids.iter().zip(&paths).skip(1).all(|(id, path)| shortened(id, path))
    };
    if !all.iter().all(|(_, read)| follows(read)) {
        for (_, read) in &mut all {
            read.id.clone_from(&read.path);
        }
    }
    Ok(all)
}

/// The declarations of models that elements are mapped to.
pub(super) fn mappings(structure: Value<'_>) -> Vec<Arc<str>> {
    let list = structure.get_key("mapping");
    list.into_iter().flat_map(Value::items).map(|it| it.raw().into()).collect()
}

fn lost(read: &ElementDefinition) -> String {
    format!("the element {} of its snapshot comes before the one that it is part of", read.id)
}

/// The node at a way, where every step is there.
fn at<'n>(mut node: &'n mut Node, way: &[Segment]) -> Option<&'n mut Node> {
    for step in way {
        let child = node.child(&step.name)?;
        node = node.children.get_mut(child)?;
        if let Some(slice) = &step.slice {
            let slice = node.slice(slice)?;
            node = node.slices.get_mut(slice)?;
        }
    }
    Some(node)
}

fn put(parent: &mut Node, step: &Segment, element: Element) -> Option<()> {
    let node = Node { name: step.name.clone(), slice: step.slice.clone(), element, ..Node::default() };
    let Some(child) = parent.child(&step.name) else {
        if step.slice.is_some() {
            return None;
        }
        parent.children.push(node);
        return Some(());
    };
    let sliced = parent.children.get_mut(child)?;
    match &step.slice {
        Some(_) => sliced.slices.push(node),
        // Published twice: the later one holds.
        None => sliced.element = node.element,
    }
    Some(())
}
