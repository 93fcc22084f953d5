//! Logical models as compiled rules: those that were asked for, and those that they use as types.
//!
//! Each model is compiled once. Its properties are found by their text; what a property holds of FHIR's own is
//! an entry of the ordinary walk, and what the model says of values is a node of a profile.

use std::collections::BTreeMap;
use std::sync::Arc;

use fhir_models::definition::{
    Constraint, Definitions, Derivation, ElementDefinition, ElementType, STRUCTURE_BASE, StructureKind,
};
use fhir_models::document::Name;
use fhir_models::primitive::Primitive;

use super::super::cardinality::Cardinality;
use super::super::extension_context::Contexts;
use super::super::invariant::{Invariant, NATIVE};
use super::super::profile::{Node, Profile, own_node};
use super::super::shape::{
    ARRAY, BARE, CHOICE, Content, ELEMENT_ID, ElementRule, Entry, MOST_ELEMENTS, Shape, ShapeKind, Structure,
};
use super::super::ways;
use super::expression;
use super::lay_out::lay_out;
use super::names::Names;
use super::said::{Said, beyond, is_in_slice, tree};

/// Most models that one may lead to.
const MOST_MODELS: usize = 512;
/// Longest chain of models that descend from each other.
const MOST_BASES: usize = 32;
/// Types whose parts the model itself may list.
pub(super) const OPEN: &[&str] = &["Element", "BackboneElement", "Base"];

/// The compiled models.
#[derive(Debug, Default)]
pub(in super::super) struct Models {
    /// Those asked for, by number.
    pub asked: Vec<usize>,
    models: Vec<Result<Model, String>>,
    /// How many of them the models asked for lead to; the rest are descendants, and what these lead to.
    reached: usize,
    /// Canonicals asked for that are logical models.
    canonicals: Vec<String>,
}

impl Models {
    /// The logical models among these canonicals, and all that they lead to.
    pub fn of(definitions: &Definitions, asked: &[String]) -> Models {
        let logical = |it: &&String| super::is_logical(definitions, it);
        let canonicals: Vec<String> = asked.iter().filter(logical).cloned().collect();
        let mut found = Found::default();
        let (mut models, mut reached) = (Vec::new(), 0);
        let numbers = canonicals.iter().filter_map(|it| found.number(it).ok()).collect();
        while let Some(canonical) = found.order.get(models.len()).cloned() {
            let model = Model::compile(definitions, &canonical, &mut found);
            models.push(model.map_err(|cause| format!("{canonical}: {cause}")));
            if found.order.len() == models.len() && !found.complete {
                reached = models.len();
                found.descendants(definitions);
            }
        }
        Models { asked: numbers, models, reached, canonicals }
    }

    pub fn get(&self, number: usize) -> Option<&Result<Model, String>> {
        self.models.get(number)
    }

    /// The model of this name that is or descends from another one.
    pub fn named(&self, declared: usize, name: &str) -> Option<usize> {
        let canonical = |number: usize| self.models.get(number)?.as_ref().ok().map(|it| it.url.as_str());
        let declared = canonical(declared)?;
        let fits = |model: &Model| {
            let named = model.is_called(name) || model.url.rsplit('/').next() == Some(name);
            named && (model.url == declared || model.bases.iter().any(|base| base == declared))
        };
        self.models.iter().position(|it| it.as_ref().is_ok_and(fits))
    }

    /// True for a logical model that was asked for.
    pub fn asks(&self, canonical: &str) -> bool {
        self.canonicals.iter().any(|it| it == canonical)
    }

    /// The first model asked for that can be used.
    pub fn first(&self) -> Option<&Model> {
        self.asked.iter().find_map(|number| self.get(*number)?.as_ref().ok())
    }

    /// Why one of them can't be used.
    pub fn fault(&self) -> Option<String> {
        let reached = self.models.get(..self.reached).unwrap_or(&self.models);
        reached.iter().find_map(|it| it.as_ref().err().cloned())
    }
}

/// Canonicals met, in the order of their numbers.
#[derive(Debug, Default)]
struct Found {
    order: Vec<String>,
    /// The models that descend from them are among them.
    complete: bool,
}

/// What a model descends from, the nearest first.
fn bases(definitions: &Definitions, url: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut next = definitions.structure(url).and_then(|it| it.base_definition.clone());
    while let Some(base) = next.take().filter(|base| all.len() < MOST_BASES && !all.contains(base)) {
        next = definitions.structure(&base).and_then(|it| it.base_definition.clone());
        all.push(base);
    }
    all
}

impl Found {
    /// Adds the models at hand that descend from those met: XML may name them in `xsi:type`.
    fn descendants(&mut self, definitions: &Definitions) {
        if std::mem::replace(&mut self.complete, true) {
            return;
        }
        let entries = definitions.packs().flat_map(|pack| pack.entries());
        let logical = entries.filter(|it| it.type_kind == Some(StructureKind::Logical)).map(|it| it.url);
        let all: std::collections::BTreeSet<String> = logical.collect();
        for url in all {
            if self.order.contains(&url) || self.order.len() >= MOST_MODELS {
                continue;
            }
            if bases(definitions, &url).iter().any(|base| self.order.contains(base)) {
                self.order.push(url);
            }
        }
    }

    fn number(&mut self, canonical: &str) -> Result<usize, String> {
        if let Some(at) = self.order.iter().position(|it| it == canonical) {
            return Ok(at);
        }
        if self.order.len() >= MOST_MODELS {
            return Err(format!("it leads to more than {MOST_MODELS} logical models"));
        }
        self.order.push(canonical.to_owned());
        Ok(self.order.len() - 1)
    }
}

/// The rules of one model.
#[derive(Debug)]
pub(in super::super) struct Model {
    pub url: String,
    pub type_name: String,
    /// The canonicals of the structures that it descends from.
    bases: Vec<String>,
    /// One shape for each part.
    pub(super) structure: Structure,
    /// The model itself, then its elements that have elements.
    pub(super) parts: Vec<Part>,
    /// One node for each element.
    pub(super) profile: Arc<Profile>,
    /// By node, how many constraints can't be evaluated.
    pub(super) unjudged: Vec<usize>,
}

/// What stands in one object.
#[derive(Debug)]
pub(super) struct Part {
    pub node: u32,
    pub properties: Vec<Property>,
    /// Its elements that are sliced.
    pub sliced: Vec<Said>,
}

impl Part {
    pub fn find(&self, key: &str) -> Option<&Property> {
        self.properties.iter().find(|it| &*it.key == key)
    }
}

/// One property that JSON may use.
#[derive(Debug)]
pub(super) struct Property {
    pub key: Box<str>,
    /// The path of its definition.
    pub path: Box<str>,
    /// The rules of the element, where they aren't those of its part.
    pub node: Option<u32>,
    pub entry: Entry,
    pub content: Own,
    /// Others stand under the same key: the element has several types, which its name doesn't tell.
    pub several: bool,
}

/// What a property holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    /// Something of FHIR's: the ordinary walk knows.
    Fhir,
    /// A part of the same model.
    Part(usize),
    /// An instance of the model with this number.
    Model(usize),
    /// Anything: nothing is said of its content.
    Anything,
}

impl Model {
    /// The last part of its type: `Telemonitoraggio`.
    pub fn name(&self) -> &str {
        self.type_name.rsplit('/').next().unwrap_or_default()
    }

    /// True where an instance may call itself so.
    pub fn is_called(&self, type_name: &str) -> bool {
        type_name == self.type_name || type_name == self.name()
    }

    fn compile(definitions: &Definitions, canonical: &str, found: &mut Found) -> Result<Model, String> {
        let definition = definitions.try_structure(canonical).map_err(|error| error.to_string())?;
        let definition = definition.ok_or("no definition with this canonical is at hand")?;
        if definition.kind != StructureKind::Logical {
            return Err("it is no logical model".to_owned());
        }
        if definition.derivation == Some(Derivation::Constraint) {
            return Err(
                "it is a profile of a logical model, which is not checked: ask for the model".to_owned()
            );
        }
        if definitions.type_kind(&definition.type_name).is_some_and(|it| it != StructureKind::Logical) {
            return Err(format!("its type, {}, is one of FHIR's own", definition.type_name));
        }
        let all = lay_out(definitions, &definition, MOST_BASES)?;
        let ways = ways(&all);
        let (sliced, plain): (Vec<_>, Vec<_>) = all.into_iter().zip(ways).partition(|it| is_in_slice(&it.0));
        let elements = with_inherited(definitions, plain.into_iter().map(|it| it.0).collect());
        let compiler = Compiler::new(definitions, &definition.url, &elements);
        let mut shapes = Vec::new();
        let mut parts = Vec::new();
        for number in 0..compiler.parents.len() {
            let (shape, part) = compiler.part(number, found)?;
            shapes.push(shape);
            parts.push(part);
        }
        let (mut nodes, mut unjudged) = compiler.nodes()?;
        let mut told = Vec::new();
        for (element, way) in sliced {
            let number = u32::try_from(nodes.len()).map_err(|_| "it has too many elements")?;
            let own = beyond(&element, &elements);
            compiler.node(&own, &mut nodes, &mut unjudged)?;
            if let Some(node) = nodes.last_mut() {
                node.id = own.id.as_str().into();
            }
            told.push((own, way, number));
        }
        for (parent, said) in tree(definitions, &elements, &told)? {
            let part = compiler.numbers.get(&*parent).and_then(|number| parts.get_mut(*number));
            let part = part.ok_or_else(|| format!("{} is no element of its own", said.id))?;
            part.sliced.push(said);
        }
        let tests = nodes.iter().map(|_| Default::default()).collect();
        let profile = Profile {
            url: definition.url.as_str().into(),
            type_name: Name::UNKNOWN,
            is_modifier: false,
            contexts: Contexts::default(),
            nodes: nodes.into(),
            tests,
            faults: Box::default(),
        };
        Ok(Model {
            url: definition.url.clone(),
            type_name: definition.type_name.clone(),
            bases: bases(definitions, &definition.url),
            structure: Structure { shapes: shapes.into() },
            parts,
            profile: Arc::new(profile),
            unjudged,
        })
    }
}

/// A part of type `Element` or `BackboneElement` has their elements too, listed or not.
fn with_inherited(definitions: &Definitions, elements: Vec<ElementDefinition>) -> Vec<ElementDefinition> {
    let mut all = elements.clone();
    for parent in elements.iter().skip(1) {
        let inside = format!("{}.", parent.path);
        let Some(own) =
            parent.types.first().filter(|_| elements.iter().any(|it| it.path.starts_with(&inside)))
        else {
            continue;
        };
        let code = own.code.strip_prefix(STRUCTURE_BASE).unwrap_or(&own.code);
        let Some(base) = definitions.structure(code).filter(|_| OPEN.contains(&code)) else { continue };
        for element in base.elements.iter().skip(1).filter(|it| it.slice_name.is_none()) {
            let path = format!("{inside}{}", element.tail());
            if all.iter().all(|it| it.path != path) {
                all.push(ElementDefinition { id: path.clone(), path, ..element.clone() });
            }
        }
    }
    all
}

struct Compiler<'d> {
    definitions: &'d Definitions,
    url: &'d str,
    elements: &'d [ElementDefinition],
    /// By number of the part, the number of its element.
    parents: Vec<usize>,
    /// By path, the number of the part.
    numbers: BTreeMap<&'d str, usize>,
    children: BTreeMap<&'d str, Vec<usize>>,
    /// Stems of choices.
    choices: Vec<String>,
    names: Names,
}

impl<'d> Compiler<'d> {
    fn new(definitions: &'d Definitions, url: &'d str, elements: &'d [ElementDefinition]) -> Compiler<'d> {
        let mut children: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (number, element) in elements.iter().enumerate() {
            if number == 0 {
                children.entry(&element.path).or_default();
            } else if let Some((parent, _)) = element.path.rsplit_once('.') {
                children.entry(parent).or_default().push(number);
            }
        }
        let is_parent = |it: &(usize, &ElementDefinition)| children.contains_key(&*it.1.path);
        let parents: Vec<usize> = elements.iter().enumerate().filter(is_parent).map(|it| it.0).collect();
        let path = |(number, at): (usize, &usize)| elements.get(*at).map(|it| (&*it.path, number));
        let numbers = parents.iter().enumerate().filter_map(path).collect();
        let stems = elements.iter().filter_map(|it| it.tail().strip_suffix("[x]").map(str::to_owned));
        let choices = stems.collect();
        let names = Names::of(definitions, elements, |path| children.contains_key(path));
        Compiler { definitions, url, elements, parents, numbers, children, choices, names }
    }

    /// One node for each element, and how many of its constraints can't be evaluated.
    fn nodes(&self) -> Result<(Vec<Node>, Vec<usize>), String> {
        let mut nodes = Vec::new();
        let mut unjudged = Vec::new();
        for element in self.elements {
            self.node(element, &mut nodes, &mut unjudged)?;
        }
        Ok((nodes, unjudged))
    }

    fn node(
        &self,
        element: &ElementDefinition,
        nodes: &mut Vec<Node>,
        unjudged: &mut Vec<usize>,
    ) -> Result<(), String> {
        let several = element.types.len() > 1 && !element.is_choice();
        let own = |it: &Constraint| {
            let text = it.expression.as_deref()?;
            let names = match self.names.types(text, self.definitions).filter(|_| !several) {
                Some(names) => Some(names),
                None if expression::is_plain(text, &self.choices) => None,
                None => return None,
            };
            Invariant::new(it, "").map(|it| it.in_model(names))
        };
        let counts = |it: &&Constraint| !NATIVE.contains(&it.key.as_str()) && it.expression.is_some();
        unjudged.push(element.constraints.iter().filter(|it| counts(it) && own(it).is_none()).count());
        nodes.push(own_node(element, self.url, own)?);
        Ok(())
    }

    fn part(&self, number: usize, found: &mut Found) -> Result<(Shape, Part), String> {
        let parent = self.parents.get(number).and_then(|at| Some((*at, self.elements.get(*at)?)));
        let (at, parent) = parent.ok_or("an element is lost")?;
        if number > 0
            && let Some(narrowed) = parent.types.iter().find(|it| !OPEN.contains(&plain_code(it)))
        {
            return Err(format!(
                "{} has elements of its own inside of {}: write a profile of that type, and name it there",
                parent.path, narrowed.code
            ));
        }
        let mut rules = Vec::new();
        let mut properties = Vec::new();
        for &child in self.children.get(&*parent.path).into_iter().flatten() {
            let Some(element) = self.elements.get(child) else { continue };
            let place = u8::try_from(rules.len()).unwrap_or(u8::MAX);
            self.properties(element, child, place, found, &mut properties)?;
            rules.push(ElementRule {
                name: element.tail().trim_end_matches("[x]").into(),
                choice: element.is_choice(),
                cardinality: Cardinality { min: element.least(), max: element.most() },
                binding: None,
                invariants: Box::default(),
                targets: Box::default(),
            });
        }
        if rules.len() > MOST_ELEMENTS {
            return Err(format!("{} has more than {MOST_ELEMENTS} elements", parent.path));
        }
        let node = u32::try_from(at).map_err(|_| "it has too many elements")?;
        let shape = Shape::new(&parent.path, ShapeKind::Element, rules, Vec::new());
        Ok((shape, Part { node, properties, sliced: Vec::new() }))
    }

    fn properties(
        &self,
        element: &ElementDefinition,
        number: usize,
        place: u8,
        found: &mut Found,
        properties: &mut Vec<Property>,
    ) -> Result<(), String> {
        let tail = element.tail();
        let stem = tail.strip_suffix("[x]");
        let node = u32::try_from(number).map_err(|_| "it has too many elements")?;
        let mut flags = if element.is_array() { ARRAY } else { 0 };
        if stem.is_some() {
            flags |= CHOICE;
        }
        if element.base_path.as_deref() == Some("Element.id") {
            flags |= ELEMENT_ID;
        }
        let mut add = |key: String, flags: u8, content: Content, own: Own, node: Option<u32>| {
            let entry = Entry { name: Name::of(&key), element: place, flags, content };
            properties.push(Property {
                key: key.into(),
                path: element.path.as_str().into(),
                node,
                entry,
                content: own,
                several: element.types.len() > 1 && stem.is_none(),
            });
        };
        let nothing = Content::Shape(0);
        if let Some(reference) = &element.content_reference {
            let id = reference.rsplit('#').next().unwrap_or_default();
            let target = self.elements.iter().find(|it| it.id == id).map_or(id, |it| &*it.path);
            let part = self.numbers.get(target).copied();
            let part =
                part.ok_or_else(|| format!("it refers to the content of {id}, which it does not hold"))?;
            add(tail.to_owned(), flags, nothing, Own::Part(part), Some(node));
            return Ok(());
        }
        if let Some(part) = self.numbers.get(&*element.path) {
            add(tail.to_owned(), flags, nothing, Own::Part(*part), None);
            return Ok(());
        }
        if element.types.is_empty() && element.max != Some(fhir_models::definition::Max::Count(0)) {
            return Err(format!("{} has no type", element.path));
        }
        for type_ in &element.types {
            let code = plain_code(type_);
            let key = match stem {
                Some(stem) => {
                    fhir_models::definition::choice_name(stem, code.rsplit('/').next().unwrap_or(code))
                }
                None => tail.to_owned(),
            };
            let bare = if type_.system_type.is_some() { BARE } else { 0 };
            let (content, own) = self.content(code, found)?;
            add(key, flags | bare, content, own, Some(node));
        }
        Ok(())
    }

    fn content(&self, code: &str, found: &mut Found) -> Result<(Content, Own), String> {
        match Primitive::of_type(code) {
            Some(Primitive::Xhtml) => return Ok((Content::Narrative, Own::Fhir)),
            Some(primitive) => return Ok((Content::Primitive(primitive), Own::Fhir)),
            None => {}
        }
        match self.definitions.type_kind(code).filter(|it| *it != StructureKind::Logical) {
            Some(StructureKind::Resource) => return Ok((Content::Resource, Own::Fhir)),
            Some(_) if Name::of(code) != Name::UNKNOWN => {
                return Ok((Content::Type(Name::of(code)), Own::Fhir));
            }
            _ if code == "Base" => return Ok((Content::Shape(0), Own::Anything)),
            _ => {}
        }
        if super::is_logical(self.definitions, code) {
            return Ok((Content::Shape(0), Own::Model(found.number(code)?)));
        }
        Err(format!("it uses the type {code}, which is not at hand: bring its definition"))
    }
}

/// FHIR's own types by their names, others by their canonicals.
pub(super) fn plain_code(type_: &ElementType) -> &str {
    if let (Some(system), true) = (&type_.system_type, type_.code.contains('/') || type_.code.is_empty()) {
        return match system.as_str() {
            "Boolean" => "boolean",
            "Integer" => "integer",
            "Decimal" => "decimal",
            "Date" => "date",
            "DateTime" => "dateTime",
            "Time" => "time",
            _ => "string",
        };
    }
    type_.code.strip_prefix(STRUCTURE_BASE).unwrap_or(&type_.code)
}
