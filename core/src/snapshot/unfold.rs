//! What lies below an element that the base shows as a leaf: the content that it refers to, the profile of its only
//! type, or the type itself.
//!
//! A profile that is being made itself can't be looked into; the elements of its type are taken then.

use std::sync::Arc;

use fhir_models::definition::ElementType;

use super::element::Held;
use super::place::Growing;
use super::tree::{Node, Tree};
use super::{MOST_ELEMENTS, SnapshotError};

impl Growing<'_, '_> {
    /// Gives the node its children. `wanted`: the one that the way leads to.
    pub fn unfold(&mut self, node: &mut Node, wanted: &str) -> Result<(), String> {
        if let Some(reference) = node.element.reference.clone() {
            return self.referred(node, &reference);
        }
        let types = &node.element.types;
        let Some(first) = types.first() else {
            return Err(format!("nothing is known of the type of {}: name it", node.name));
        };
        let mut children = if types.iter().any(|it| it.code != first.code) {
            if !matches!(wanted, "id" | "extension") {
                let message = "has several types: narrow it to one, or name a slice of that type";
                return Err(format!("{} {message}", node.name));
            }
            self.whole("Element")?.root.children.clone()
        } else if first.system_type.is_some() {
            return Err(format!("{} is a bare value, with nothing below it", node.name));
        } else {
            self.of_type(&first.clone(), node.element.only_profile().map(str::to_owned))?
        };
        if self.unsliced {
            children.iter_mut().for_each(|it| it.element.remove("slicing"));
        }
        self.taken(&children)?;
        node.children = children;
        Ok(())
    }

    fn of_type(&mut self, type_: &ElementType, profile: Option<String>) -> Result<Vec<Node>, String> {
        if let Some(profile) = profile {
            let (canonical, part) =
                profile.split_once('#').map_or((&*profile, None), |(it, id)| (it, Some(id)));
            match self.generator.tree(canonical, self.url) {
                Ok(tree) => {
                    let node = part.map_or(Some(&tree.root), |id| tree.find(id));
                    let node = node.ok_or_else(|| format!("the profile {canonical} has no such element"))?;
                    let children = node.children.clone();
                    self.knows_mappings(&tree);
                    return Ok(children);
                }
                Err(error) => self.warnings.push(format!(
                    "the profile {canonical} can't be looked into, elements of its type are taken: {error}"
                )),
            }
        }
        let tree = self.whole(&type_.code)?;
        self.knows_mappings(&tree);
        Ok(tree.root.children.clone())
    }

    /// The content of another element of the base.
    fn referred(&mut self, node: &mut Node, reference: &str) -> Result<(), String> {
        let (structure, id) = reference.split_once('#').unwrap_or(("", reference));
        let of_type = id.split('.').next().unwrap_or_default();
        let tree = match structure {
            "" if self.base.root.name == of_type => Arc::clone(&self.base),
            "" => self.whole(of_type)?,
            canonical => self.whole(canonical)?,
        };
        let target = tree.find(id).ok_or_else(|| format!("it refers to {reference}, which is not there"))?;
        self.taken(&target.children)?;
        node.children.clone_from(&target.children);
        node.element.types.clone_from(&target.element.types);
        if let Some(Held::List(types)) = target.element.get("type") {
            node.element.set("type", Held::List(types.clone()));
        }
        node.element.remove("contentReference");
        node.element.reference = None;
        Ok(())
    }

    fn whole(&mut self, canonical: &str) -> Result<Arc<Tree>, String> {
        self.generator.tree(canonical, self.url).map_err(|error| error.to_string())
    }

    /// Counts what is added.
    pub fn taken(&mut self, nodes: &[Node]) -> Result<(), String> {
        self.count = nodes.iter().map(Node::count).fold(self.count, usize::saturating_add);
        if self.count > MOST_ELEMENTS {
            return Err(SnapshotError::TooLarge(self.url.to_owned()).to_string());
        }
        Ok(())
    }
}
