//! What the base of a structure says about a place that a differential names (FHIR R4 §5.1.0.6, §2.29).
//!
//! A path leads through the type's definition and, where that ends, into the definitions of its datatypes.
//! What a profile between says about the same place narrows it. Where a type, profile or choice on the way
//! is not known, nothing is said about what lies below.

use std::collections::HashMap;
use std::sync::Arc;

use fhir_models::definition::{
    Definitions, ElementDefinition, StructureDefinition, StructureKind, choice_name,
};

/// Longest chain of profiles that have no snapshot.
const MAX_CHAIN: usize = 32;

/// Deepest path followed.
const MAX_DEPTH: usize = 64;

/// The base of a structure.
pub(super) struct Ground<'v> {
    definitions: &'v Definitions,
    /// The base, its base and so on, up to the first that has a snapshot.
    chain: Vec<Arc<StructureDefinition>>,
    /// The type at its root.
    root: Option<Arc<StructureDefinition>>,
}

/// A place in a type's definition.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub structure: Arc<StructureDefinition>,
    pub index: usize,
    /// The type that a choice's written-out name says.
    pub written: Option<String>,
}

impl Place {
    /// The type's own definition of it.
    pub fn element(&self) -> Option<&ElementDefinition> {
        self.structure.elements.get(self.index)
    }

    fn in_same(&self, index: usize) -> Place {
        Place { structure: Arc::clone(&self.structure), index, written: None }
    }
}

/// Where a path leads.
#[derive(Debug)]
pub(super) enum Found {
    At(Place),
    /// There is no such element.
    Missing,
    /// The name begins like a choice, but ends with no type that the choice has.
    NoVariant(String),
    /// A definition on the way isn't at hand or leaves it open.
    Unknown,
}

/// The types that a differential narrows places to, by the id of the element.
pub(super) type Narrowed = HashMap<String, Vec<String>>;

impl<'v> Ground<'v> {
    /// The ground of what is built on this base; `None` where the base isn't at hand.
    pub fn of(definitions: &'v Definitions, base: &str) -> Option<Ground<'v>> {
        let mut chain: Vec<Arc<StructureDefinition>> = Vec::new();
        let mut next = Some(base.to_owned());
        while let Some(url) = next.take().filter(|_| chain.len() < MAX_CHAIN) {
            let Some(found) = definitions.structure(&url) else { break };
            if found.elements.is_empty() && !found.is_type() {
                next.clone_from(&found.base_definition);
            }
            chain.push(found);
        }
        let root = definitions.structure(&chain.first()?.type_name).filter(|it| !it.elements.is_empty());
        Some(Ground { definitions, chain, root })
    }

    /// The base itself.
    pub fn base(&self) -> Option<&StructureDefinition> {
        self.chain.first().map(Arc::as_ref)
    }

    /// What the base says about a place: of its own accord, or by that of the profiles that it stands on.
    /// For a slice that they lack, what they say about the element that is sliced.
    pub fn stated<T>(
        &self,
        id: &str,
        path: &str,
        pick: impl Fn(&ElementDefinition) -> Option<T>,
    ) -> Option<T> {
        for structure in &self.chain {
            let snapshot = &structure.elements;
            let elements = if snapshot.is_empty() { &structure.differential } else { snapshot };
            let own = elements.iter().find(|it| it.id == id);
            let own = own.or_else(|| elements.iter().find(|it| it.id == path));
            if let Some(picked) = own.and_then(&pick) {
                return Some(picked);
            }
        }
        None
    }

    /// True where the base has an element with this id.
    pub fn has(&self, id: &str) -> bool {
        self.chain.iter().any(|it| it.elements.iter().chain(&it.differential).any(|it| it.id == id))
    }

    /// Where an element of a differential stands in the definitions.
    pub fn place(&self, element: &ElementDefinition, narrowed: &Narrowed) -> Found {
        let Some(root) = &self.root else { return Found::Unknown };
        let ids: Vec<&str> = element.id.split('.').take(MAX_DEPTH + 1).collect();
        let names: Vec<&str> = element.path.split('.').take(MAX_DEPTH + 1).collect();
        if names.len() > MAX_DEPTH {
            return Found::Unknown;
        }
        let mut at = Place { structure: Arc::clone(root), index: 0, written: None };
        let (mut id, mut path) = (String::new(), String::new());
        for (depth, name) in names.iter().enumerate() {
            if depth > 0 {
                match self.child(&at, name, &id, &path, narrowed) {
                    Found::At(next) => at = next,
                    other => return other,
                }
                id.push('.');
                path.push('.');
            }
            id.push_str(if ids.len() == names.len() { ids.get(depth).unwrap_or(name) } else { name });
            path.push_str(name);
        }
        Found::At(at)
    }

    /// The types that a place may have, as far as they are known: those of the written-out choice, of the
    /// differential before, of the base, or of the definition.
    pub fn types(&self, at: &Place, id: &str, path: &str, narrowed: &Narrowed) -> Vec<String> {
        if let Some(written) = &at.written {
            return vec![written.clone()];
        }
        if let Some(own) = narrowed.get(id).or_else(|| narrowed.get(path)) {
            return own.clone();
        }
        let codes = |it: &ElementDefinition| -> Vec<String> {
            it.types.iter().map(|type_| type_.code.clone()).collect()
        };
        let some = |it: &ElementDefinition| Some(codes(it)).filter(|types| !types.is_empty());
        let all = self.stated(id, path, some).or_else(|| at.element().map(codes)).unwrap_or_default();
        // A slice of a choice is often named after its type.
        let last = id.rsplit('.').next().unwrap_or_default();
        if let Some((stem, slice)) = last.split_once("[x]:")
            && let Some(only) = all.iter().find(|code| choice_name(stem, code) == slice)
        {
            return vec![only.clone()];
        }
        all
    }

    fn child(&self, at: &Place, name: &str, id: &str, path: &str, narrowed: &Narrowed) -> Found {
        let Some(element) = at.element() else { return Found::Unknown };
        let own = at.written.is_none().then(|| inline(at, &element.path, name));
        match own {
            Some(Found::Missing) | None => {}
            Some(found) => return found,
        }
        if let Some(reference) = &element.content_reference {
            let target = reference.rsplit('#').next().unwrap_or_default();
            let Some(target) = at.structure.element(target) else { return Found::Unknown };
            return inline(at, &target.path, name);
        }
        if has_children(&at.structure, at.index) {
            return Found::Missing;
        }
        let types = self.types(at, id, path, narrowed);
        let mut answer = if types.is_empty() { Found::Unknown } else { Found::Missing };
        for code in &types {
            let Some(type_) = self.definitions.structure(code).filter(|it| !it.elements.is_empty()) else {
                return Found::Unknown;
            };
            if type_.kind == StructureKind::Resource && type_.is_abstract {
                return Found::Unknown;
            }
            let root = Place { structure: Arc::clone(&type_), index: 0, written: None };
            match inline(&root, &type_.type_name, name) {
                Found::Missing => {}
                Found::At(place) => return Found::At(place),
                other => answer = other,
            }
        }
        answer
    }
}

/// The child of an element whose children stand in the same structure.
fn inline(at: &Place, parent: &str, name: &str) -> Found {
    let mut begun = None;
    for (index, element) in at.structure.elements.iter().enumerate() {
        let rest = element.path.strip_prefix(parent).and_then(|it| it.strip_prefix('.'));
        let Some(own) = rest.filter(|own| !own.contains('.')) else { continue };
        if own == name {
            return Found::At(at.in_same(index));
        }
        let Some(stem) = own.strip_suffix("[x]").filter(|stem| name.starts_with(stem)) else { continue };
        if let Some(type_) = element.types.iter().find(|it| choice_name(stem, &it.code) == name) {
            return Found::At(Place { written: Some(type_.code.clone()), ..at.in_same(index) });
        }
        let tail = name.get(stem.len()..).unwrap_or_default();
        if tail.starts_with(|c: char| c.is_ascii_uppercase()) {
            begun = Some(own.to_owned());
        }
    }
    begun.map_or(Found::Missing, Found::NoVariant)
}

fn has_children(structure: &StructureDefinition, index: usize) -> bool {
    let path = structure.elements.get(index).map_or("", |it| &it.path);
    let next = structure.elements.get(index + 1).map_or("", |it| &it.path);
    next.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))
}
