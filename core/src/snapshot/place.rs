//! The way from a snapshot's root to the place that an element of the differential means.
//!
//! A name that ends with a type (`valueQuantity`) is the slice of that type of a choice (FHIR R4 §5.1.0.13). Where the
//! differential says nothing else of the choice, the types that it names so are all that are left, as in the snapshots
//! that HL7 publishes; a choice that has one type only needs no slice. A slice that is not there yet begins as a copy
//! of what it slices, and need not stand: its least number is 0.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fhir_models::definition::choice_name;

use super::element::{Element, Held};
use super::generate::Generator;
use super::tree::{Node, Tree};
use crate::validation::Segment;

/// How extensions are told apart.
const BY_URL: &str = r#"{"discriminator":[{"type":"value","path":"url"}],"description":"Extensions are always sliced by (at least) url","rules":"open"}"#;
/// How the types of a choice are told apart.
const BY_TYPE: &str = r#"{"discriminator":[{"type":"type","path":"$this"}],"ordered":false,"rules":"open"}"#;
/// The same for a choice whose types the differential names.
const BY_THESE_TYPES: &str =
    r#"{"discriminator":[{"type":"type","path":"$this"}],"ordered":false,"rules":"closed"}"#;
/// Deepest way.
const DEEPEST: usize = 64;

/// A snapshot in the making.
pub(super) struct Growing<'g, 'd> {
    pub generator: &'g mut Generator<'d>,
    /// The structure's canonical.
    pub url: &'g str,
    pub base: Arc<Tree>,
    /// It defines a type: elements may be new.
    pub defines: bool,
    /// It defines a resource, whose elements are not sliced: profiles of it slice them.
    pub unsliced: bool,
    pub warnings: Vec<String>,
    pub mappings: Vec<Arc<str>>,
    /// Elements so far, about.
    pub count: usize,
    /// Choices that the differential speaks of under their own name, by the way to them.
    pub stated: HashSet<String>,
    /// Choices narrowed to the types that the differential names, as they were before.
    pub wide: HashMap<String, Element>,
}

/// A place, and whether it was made just now.
pub(super) struct Placed<'n> {
    pub node: &'n mut Node,
    /// A new element of a type.
    pub new: bool,
}

impl Growing<'_, '_> {
    pub fn place<'n>(&mut self, root: &'n mut Node, way: &[Segment]) -> Result<Placed<'n>, String> {
        if way.len() > DEEPEST {
            return Err(format!("it lies deeper than {DEEPEST} elements"));
        }
        let mut node = root;
        let mut new = false;
        let mut so_far = String::new();
        for (depth, step) in way.iter().enumerate() {
            let last = depth + 1 == way.len();
            if node.children.is_empty() && (depth > 0 || !self.defines) {
                self.unfold(node, &step.name)?;
            }
            let at = match node.child(&step.name).or_else(|| self.choice(node, &step.name, &so_far)) {
                Some(at) => at,
                None if self.defines && last && step.slice.is_none() => {
                    node.children.push(Node { name: step.name.clone(), ..Node::default() });
                    new = true;
                    node.children.len() - 1
                }
                None => return Err(format!("{} has no element {}: correct its path", node.name, step.name)),
            };
            let above = node.name.clone();
            let Some(child) = node.children.get_mut(at) else { return Err(format!("{above} is lost")) };
            node = child;
            so_far = format!("{so_far}.{}", node.name);
            let mut slice = step.slice.clone();
            if node.name != step.name {
                if self.narrowed(node, &step.name, &so_far) {
                    slice = None;
                } else {
                    slice.get_or_insert_with(|| step.name.clone());
                }
            } else if last && slice.is_none() && node.name.ends_with("[x]") {
                self.stated.insert(so_far.clone());
            }
            if let Some(slice) = slice {
                so_far = format!("{so_far}:{slice}");
                node = self.slice(node, &slice, &step.name)?;
            }
        }
        Ok(Placed { node, new })
    }

    /// A choice by the name of one of its types. `so_far`: the way to what it is part of.
    fn choice(&self, node: &Node, name: &str, so_far: &str) -> Option<usize> {
        node.children.iter().position(|child| {
            let Some(stem) = child.name.strip_suffix("[x]").filter(|stem| name.starts_with(stem)) else {
                return false;
            };
            let wide = self.wide.get(&format!("{so_far}.{}", child.name));
            let types = &wide.unwrap_or(&child.element).types;
            types.iter().any(|it| choice_name(stem, &it.code) == name)
        })
    }

    /// Leaves a choice the types that the differential names. True where that is the only one, and no slice needed.
    fn narrowed(&mut self, node: &mut Node, name: &str, so_far: &str) -> bool {
        if node.element.get("slicing").is_some() && !self.wide.contains_key(so_far) {
            return false;
        }
        if node.element.types.len() == 1 && !self.wide.contains_key(so_far) {
            return true;
        }
        if self.stated.contains(so_far) {
            return false;
        }
        let stem = node.name.trim_end_matches("[x]");
        let wide = self.wide.entry(so_far.to_owned()).or_insert_with(|| {
            let wide = node.element.clone();
            node.element.set("slicing", Held::One(BY_THESE_TYPES.into()));
            node.element.set("type", Held::List(Vec::new()));
            node.element.types.clear();
            wide
        });
        if !node.element.types.iter().any(|it| choice_name(stem, &it.code) == name) {
            node.element.take_type(wide, |code| choice_name(stem, code) == name);
        }
        false
    }

    /// The slice of this name, made where it is not there.
    fn slice<'n>(&mut self, sliced: &'n mut Node, name: &str, written: &str) -> Result<&'n mut Node, String> {
        let at = match sliced.slice(name) {
            Some(at) => at,
            None => self.new_slice(sliced, name, written)?,
        };
        sliced.slices.get_mut(at).ok_or_else(|| format!("the slice {name} is lost"))
    }

    fn new_slice(&mut self, sliced: &mut Node, name: &str, written: &str) -> Result<usize, String> {
        if sliced.element.get("slicing").is_none() {
            let implied = match sliced.name.as_str() {
                "extension" | "modifierExtension" => Some(BY_URL),
                choice if choice.ends_with("[x]") => Some(BY_TYPE),
                _ => None,
            };
            match implied {
                Some(implied) => sliced.element.set("slicing", Held::One(implied.into())),
                None => self.warnings.push(format!(
                    "the slice {name} of {} has no slicing: say what tells slices apart",
                    sliced.name
                )),
            }
        }
        let outer = name.rsplit_once('/').and_then(|(outer, _)| Some((outer, sliced.slice(outer)?)));
        let (from, at) = match outer {
            Some((outer, at)) => {
                let inner = |it: &Node| {
                    it.slice
                        .as_deref()
                        .and_then(|it| it.strip_prefix(outer))
                        .is_some_and(|it| it.starts_with('/'))
                };
                let after = sliced.slices.iter().skip(at + 1).take_while(|it| inner(it)).count();
                (sliced.slices.get(at), at + 1 + after)
            }
            None => (Some(&*sliced), sliced.slices.len()),
        };
        let Some(from) = from else { return Err(format!("what {name} slices is lost")) };
        let mut node = Node {
            name: from.name.clone(),
            slice: Some(name.to_owned()),
            element: from.element.clone(),
            children: from.children.clone(),
            slices: Vec::new(),
        };
        node.element.remove("slicing");
        node.element.set("min", Held::One("0".into()));
        if let Some(stem) = node.name.strip_suffix("[x]") {
            let types = node.element.types.iter().map(|it| &it.code);
            let own = types
                .filter(|code| choice_name(stem, code) == written || choice_name(stem, code) == name)
                .max()
                .cloned();
            if let Some(own) = own {
                node.element.narrow(&own);
            }
        }
        self.taken(std::slice::from_ref(&node))?;
        sliced.slices.insert(at, node);
        Ok(at)
    }

    /// Declarations of models that elements taken from this structure are mapped to.
    pub fn knows_mappings(&mut self, tree: &Tree) {
        for mapping in &tree.mappings {
            if !self.mappings.contains(mapping) {
                self.mappings.push(Arc::clone(mapping));
            }
        }
    }
}
