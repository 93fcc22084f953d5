//! From a structure to its snapshot: the base's snapshot, the differential over it, and the whole written again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fhir_models::definition::{Definitions, ElementDefinition, STRUCTURE_BASE};
use fhir_models::document::{JsonWriter, Value, name};

use super::element::{Element, Held, member_text, text};
use super::merge::{adopt, merge};
use super::place::Growing;
use super::tree::{Node, Tree, listed, mappings};
use super::{ElementFault, LONGEST_CHAIN, Snapshot, SnapshotError};
use crate::validation::ways;

/// Most trees that are kept for others to be built on.
const MOST_KEPT: usize = 4_096;

/// Makes snapshots; what bases and types look like is kept from one to the next.
pub(super) struct Generator<'d> {
    definitions: &'d Definitions,
    kept: HashMap<String, Arc<Tree>>,
    /// The structures in the making, outermost first.
    making: Vec<String>,
}

/// A tree and what there is to say about its differential.
struct Made {
    tree: Tree,
    warnings: Vec<String>,
}

impl<'d> Generator<'d> {
    pub fn new(definitions: &'d Definitions) -> Generator<'d> {
        Generator { definitions, kept: HashMap::new(), making: Vec::new() }
    }

    pub fn snapshot(&mut self, structure: Value<'_>) -> Result<Snapshot, SnapshotError> {
        let made = self.make(structure)?;
        Ok(Snapshot {
            elements: made.tree.root.count(),
            json: written(structure, &made.tree),
            warnings: made.warnings,
        })
    }

    /// The snapshot of a structure by its canonical or, for FHIR's own types, its name; made where it was published
    /// without. `of`: who needs it.
    pub fn tree(&mut self, canonical: &str, of: &str) -> Result<Arc<Tree>, SnapshotError> {
        let canonical = match canonical.contains([':', '/']) {
            true => canonical.to_owned(),
            false => [STRUCTURE_BASE, canonical].concat(),
        };
        if let Some(kept) = self.kept.get(&canonical) {
            return Ok(Arc::clone(kept));
        }
        let found = self.definitions.resource_of_type("StructureDefinition", &canonical);
        if found.is_none() && canonical.strip_prefix(STRUCTURE_BASE) == Some("Base") {
            // What logical models of R5 and later are built on; it has no element.
            return Ok(Arc::new(Tree {
                root: Node { name: "Base".to_owned(), ..Node::default() },
                mappings: Vec::new(),
            }));
        }
        let found =
            found.ok_or_else(|| SnapshotError::NotAtHand { of: of.to_owned(), base: canonical.clone() })?;
        let structure = found.root();
        let has_snapshot = structure.get(name::SNAPSHOT).is_some_and(|it| it.get(name::ELEMENT).is_some());
        let tree = if has_snapshot {
            let read = Tree::read(&structure.str_of(name::URL).unwrap_or_default(), structure);
            read.map_err(|cause| SnapshotError::Broken { of: canonical.clone(), cause })?
        } else {
            self.make(structure)?.tree
        };
        let tree = Arc::new(tree);
        if self.kept.len() < MOST_KEPT {
            self.kept.insert(canonical, Arc::clone(&tree));
        }
        Ok(tree)
    }

    fn make(&mut self, structure: Value<'_>) -> Result<Made, SnapshotError> {
        if structure.resource_type().as_deref() != Some("StructureDefinition") {
            return Err(SnapshotError::NotAStructure);
        }
        let text = |name| structure.str_of(name).map(|text| text.into_owned());
        let url = text(name::URL)
            .ok_or_else(|| SnapshotError::Missing { of: "the structure".to_owned(), what: "url" })?;
        if self.making.contains(&url) {
            let mut circle = self.making.clone();
            circle.push(url);
            return Err(SnapshotError::Circle(circle));
        }
        if self.making.len() >= LONGEST_CHAIN {
            return Err(SnapshotError::TooLong(self.making.first().cloned().unwrap_or(url)));
        }
        self.making.push(url.clone());
        let made = self.grown(structure, &url);
        self.making.pop();
        made
    }

    fn grown(&mut self, structure: Value<'_>, url: &str) -> Result<Made, SnapshotError> {
        let missing = |what| SnapshotError::Missing { of: url.to_owned(), what };
        structure.str_of(name::TYPE).ok_or_else(|| missing("type"))?;
        let listed = listed(structure.get(name::DIFFERENTIAL))
            .map_err(|cause| SnapshotError::Broken { of: url.to_owned(), cause })?;
        let Some((_, first)) = listed.first() else {
            return Err(SnapshotError::NoDifferential(url.to_owned()));
        };
        let base = structure.str_of(name::BASE_DEFINITION).ok_or_else(|| missing("baseDefinition"))?;
        let base = self.tree(&base, url)?;
        let defines = !structure.get(name::DERIVATION).is_some_and(|it| it.is_str("constraint"));
        let unsliced = defines && structure.get(name::KIND).is_some_and(|it| it.is_str("resource"));
        let mut root = base.root.clone();
        if defines {
            root.name = first.path.split('.').next().unwrap_or_default().to_owned();
            root.element.remove("base");
            if unsliced {
                root.children.iter_mut().for_each(|it| it.element.remove("slicing"));
            }
        }
        let mut growing = Growing {
            count: root.count(),
            generator: self,
            url,
            base: Arc::clone(&base),
            defines,
            unsliced,
            warnings: Vec::new(),
            mappings: mappings(structure),
            stated: HashSet::new(),
            wide: HashMap::new(),
        };
        growing.knows_mappings(&base);
        let mut faults = Vec::new();
        let reads: Vec<ElementDefinition> = listed.iter().map(|(_, read)| read.clone()).collect();
        for ((value, read), way) in listed.iter().zip(ways(&reads)) {
            if let Err(cause) = growing.add(&mut root, *value, read, &way) {
                faults.push(ElementFault { element: read.id.clone(), cause });
            }
        }
        if !faults.is_empty() {
            return Err(SnapshotError::Elements { of: url.to_owned(), faults });
        }
        let (warnings, mappings) = (growing.warnings, growing.mappings);
        if defines {
            let read = ElementDefinition::default();
            root.element = root.element.inherited(url, &root.name, &read);
        }
        let tree = Tree { root, mappings };
        Ok(Made { tree, warnings })
    }
}

impl Growing<'_, '_> {
    fn add(
        &mut self,
        root: &mut Node,
        value: Value<'_>,
        read: &ElementDefinition,
        way: &[crate::validation::Segment],
    ) -> Result<(), String> {
        let own = Element::of(value, read);
        let placed = self.place(root, way)?;
        let extension = matches!(placed.node.name.as_str(), "extension" | "modifierExtension");
        if extension
            && let Some(profile) = own.only_profile().map(str::to_owned)
            && placed.node.element.only_profile() != Some(&profile)
        {
            match self.generator.tree(&profile, self.url) {
                Ok(tree) => adopt(&mut placed.node.element, &tree.root.element),
                Err(error) => self.warnings.push(format!("{}: {error}", read.id)),
            }
        }
        if placed.new {
            let mut element = own;
            element.say_sources(self.url);
            self.of_every_element(&mut element)?;
            placed.node.element = element.inherited(self.url, &read.path, read);
            return Ok(());
        }
        let warnings = &mut self.warnings;
        merge(&mut placed.node.element, &own, self.url, &mut |text| {
            warnings.push(format!("{}: {text}", read.id));
        });
        Ok(())
    }
}

impl Growing<'_, '_> {
    /// Gives a new element the constraints that hold for all of its kind.
    fn of_every_element(&mut self, element: &mut Element) -> Result<(), String> {
        let is_element = |code: &str| self.generator.is_element(code);
        let is_one = element.types.iter().any(|it| it.system_type.is_none() && is_element(&it.code));
        if !is_one && element.reference.is_none() {
            return Ok(());
        }
        let kind = match element.types.as_slice() {
            [only] if only.code == "Extension" && self.url != [STRUCTURE_BASE, "Extension"].concat() => {
                "Extension"
            }
            _ => "Element",
        };
        if self.generator.making.iter().any(|it| it.strip_prefix(STRUCTURE_BASE) == Some(kind)) {
            return Ok(());
        }
        let above = self.generator.tree(kind, self.url).map_err(|error| error.to_string())?;
        let all = above.root.element.get("constraint").map_or(&[][..], Held::items);
        let own = element.get("constraint").map_or(&[][..], Held::items).to_vec();
        let key = |it: &str| member_text(it, "key");
        let new: Vec<_> = own.into_iter().filter(|it| !all.iter().any(|b| key(b) == key(it))).collect();
        element.remove("constraint");
        element.add("constraint", all);
        element.add("constraint", &new);
        Ok(())
    }
}

impl Generator<'_> {
    /// True for a type whose values are elements, not resources.
    fn is_element(&self, code: &str) -> bool {
        self.definitions.is_subtype(code, "Element")
    }
}

/// The structure with its snapshot.
fn written(structure: Value<'_>, tree: &Tree) -> String {
    let mut out = JsonWriter::new();
    out.begin_object();
    let mut done = false;
    for member in structure.children() {
        let key = member.key().unwrap_or_default();
        match &*key {
            "snapshot" | "_snapshot" | "mapping" => {}
            "differential" => {
                snapshot(&mut out, tree);
                done = true;
                out.key_of(&key).raw(member.raw().as_bytes());
            }
            _ => {
                out.key_of(&key).raw(member.raw().as_bytes());
            }
        }
    }
    if !done {
        snapshot(&mut out, tree);
    }
    out.end_object();
    text(out)
}

fn snapshot(out: &mut JsonWriter, tree: &Tree) {
    let mut identities: Vec<Option<String>> = Vec::new();
    let mut declared = Vec::new();
    for mapping in &tree.mappings {
        let identity = member_text(mapping, "identity");
        if !identities.contains(&identity) {
            identities.push(identity);
            declared.push(mapping);
        }
    }
    if !declared.is_empty() {
        out.key("mapping").begin_array();
        for mapping in declared {
            out.raw(mapping.as_bytes());
        }
        out.end_array();
    }
    out.key("snapshot").begin_object().key("element").begin_array();
    tree.root.write(out, "", "");
    out.end_array().end_object();
}
