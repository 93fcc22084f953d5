//! From a `StructureDefinition` of a profile to its rules.
//!
//! Each element of the differential finds or makes its node under the nodes of the base profile and adds
//! what it says. Where a published profile was slimmed to its snapshot, the elements that its differential
//! named are taken from there, less what the type's own definition says too.

use std::collections::BTreeSet;
use std::sync::Arc;

use fhir_models::definition::{
    Binding, BindingStrength, Constraint, Discriminator, DiscriminatorKind, ElementDefinition, RawValue,
    Slicing, SlicingRules, StructureDefinition, choice_name,
};
use fhir_models::document::{Limits, Name, OwnedDocument};

use super::super::binding::BindingRule;
use super::super::extension_context::Contexts;
use super::super::invariant::Invariant;
use super::super::shape::{Content, Entry, Shape, Structure};
use super::super::types::Types;
use super::errata;
use super::graft::graft;
use super::segments::{Segment, ways};
use super::{Child, Node, NodeNumber, Profile, Slice, TypeRule};

/// Most nodes of one profile.
const MOST_NODES: usize = 20_000;

/// Compiles a profile over its base.
pub(super) fn build(
    definition: &StructureDefinition,
    base: Option<&Profile>,
    types: &Types,
    profile: &dyn Fn(&str) -> Option<Arc<Profile>>,
) -> Result<Profile, String> {
    let own;
    let (elements, whole) = if definition.differential.is_empty() || base.is_none() {
        let changed: BTreeSet<&str> = definition.changed.iter().map(String::as_str).collect();
        let all = base.is_none() || changed.is_empty();
        let short = changed_choices(definition);
        own = definition
            .elements
            .iter()
            .filter(|element| {
                all || changed.contains(element.id.as_str()) || short.contains(element.id.as_str())
            })
            .cloned()
            .collect::<Vec<_>>();
        (own.as_slice(), true)
    } else {
        (definition.differential.as_slice(), false)
    };
    let root = Node { id: definition.type_name.as_str().into(), ..Node::default() };
    let mut builder = Builder {
        types,
        profile,
        url: &definition.url,
        nodes: base.map_or_else(|| vec![root], |base| base.nodes.to_vec()),
        whole,
        stated: BTreeSet::new(),
        narrowed: BTreeSet::new(),
    };
    let mut faults = base.map_or_else(Vec::new, |base| base.faults.to_vec());
    for (element, way) in elements.iter().zip(ways(elements)) {
        if let Err(fault) = builder.add(&definition.type_name, element, &way) {
            faults.push(fault.into());
        }
    }
    if builder.nodes.len() >= MOST_NODES {
        return Err(format!("it has more than {MOST_NODES} elements"));
    }
    said_once(&mut builder.nodes);
    let tests = builder.nodes.iter().map(|_| Default::default()).collect();
    Ok(Profile {
        url: definition.url.as_str().into(),
        type_name: Name::of(&definition.type_name),
        is_modifier: definition
            .elements
            .first()
            .or(definition.differential.first().filter(|it| !it.path.contains('.')))
            .map_or_else(|| base.is_some_and(|base| base.is_modifier), |root| root.is_modifier),
        contexts: Contexts::of(definition),
        nodes: builder.nodes.into(),
        tests,
        faults: faults.into(),
    })
}

/// A choice that is sliced by type, with a slice for each of the types left, is closed by these types: what its
/// slicing says of others would be said twice.
fn said_once(nodes: &mut [Node]) {
    for at in 0..nodes.len() {
        let Some(node) = nodes.get(at) else { continue };
        let by_type = node.slicing.as_ref().is_some_and(|it| {
            it.rules == SlicingRules::Closed
                && matches!(&*it.discriminators, [only] if only.kind == DiscriminatorKind::Type && only.path == "$this")
        });
        let has_slice = |rule: &TypeRule| {
            let mut slices = node.slices.iter().filter_map(|it| nodes.get(it.node as usize));
            slices.any(|slice| matches!(&*slice.types, [only] if only.name == rule.name))
        };
        let closed = by_type && !node.types.is_empty() && node.types.iter().all(has_slice);
        if closed && let Some(slicing) = nodes.get_mut(at).and_then(|node| node.slicing.as_mut()) {
            slicing.rules = SlicingRules::Open;
        }
    }
}

/// The elements of a snapshot that its differential names by the type of a choice: `Observation.valueQuantity.unit`
/// for `Observation.value[x]:valueQuantity.unit`, and the choices that are narrowed so.
fn changed_choices(definition: &StructureDefinition) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let named: BTreeSet<&str> = definition.changed.iter().map(String::as_str).collect();
    for element in definition.elements.iter().filter(|it| it.id.contains("[x]")) {
        let mut short = String::with_capacity(element.id.len());
        for step in element.id.split('.') {
            let own = step.split_once("[x]:").filter(|(stem, slice)| slice.starts_with(stem));
            let own = own.map_or(step, |(_, slice)| slice);
            short.push_str(if short.is_empty() { "" } else { "." });
            short.push_str(own);
        }
        if short != element.id && named.contains(short.as_str()) {
            found.insert(element.id.as_str());
            found.extend(element.id.rfind("[x]:").and_then(|at| element.id.get(..at + 3)));
        }
    }
    found
}

struct Builder<'t> {
    /// The profile's canonical.
    url: &'t str,
    types: &'t Types,
    /// Looks another profile up.
    profile: &'t dyn Fn(&str) -> Option<Arc<Profile>>,
    nodes: Vec<Node>,
    /// The elements come from a snapshot: they repeat what the type says.
    whole: bool,
    /// Choices that the differential speaks of under their own name.
    stated: BTreeSet<NodeNumber>,
    /// Choices narrowed to the types that the differential names.
    narrowed: BTreeSet<NodeNumber>,
}

/// What the type's definition says at a place.
#[derive(Clone, Copy)]
struct Ground<'t> {
    object: Option<(&'t Structure, &'t Shape)>,
    /// The place itself in the object around it.
    place: Option<(&'t Shape, Entry)>,
}

impl<'t> Builder<'t> {
    fn add(&mut self, type_name: &str, element: &ElementDefinition, way: &[Segment]) -> Result<(), String> {
        let mut at: NodeNumber = 0;
        let mut ground = Ground { object: self.object(Name::of(type_name)), place: None };
        for (step, segment) in way.iter().enumerate() {
            let last = step + 1 == way.len();
            if step > 0 {
                self.unfold(at)?;
            }
            (at, ground) = self.step(at, ground, segment, last)?;
        }
        self.say(at, element, ground)
    }

    fn object(&self, type_name: Name) -> Option<(&'t Structure, &'t Shape)> {
        let structure = self.types.structure(type_name).ok()?;
        Some((structure, structure.root()?))
    }

    fn step(
        &mut self,
        parent: NodeNumber,
        ground: Ground<'t>,
        segment: &Segment,
        last: bool,
    ) -> Result<(NodeNumber, Ground<'t>), String> {
        let stem = segment.name.strip_suffix("[x]");
        let wanted = stem.unwrap_or(&segment.name);
        let shape = ground.object.map(|(_, shape)| shape);
        let entry = shape.and_then(|shape| entry_of(shape, wanted, stem.is_some()));
        if let (Some(shape), None) = (shape, entry)
            && !(wanted == "value" && &*shape.path == "Element")
        {
            return Err(format!("{} has no element {wanted}", shape.path));
        }
        let (name, choice, written) = match (shape, entry) {
            (Some(shape), Some(entry)) if entry.is_choice() => {
                let stem_name = shape.element(entry).map_or(wanted, |element| &*element.name);
                // `valueQuantity` in a path is short for `value[x]` of that type.
                let short = stem.is_none() && stem_name != wanted;
                (stem_name, true, short.then(|| Name::of(entry.content.type_name())))
            }
            _ => (wanted, stem.is_some(), None),
        };
        let child = self.child(parent, name, choice, shape, entry)?;
        let mut below = self.below(ground, entry.filter(|entry| !entry.is_choice() || written.is_some()));
        below.place = shape.zip(entry);
        let mut at = child;
        let slice = segment.slice.clone().or_else(|| written.map(|_| segment.name.clone()));
        let narrowed =
            slice.as_deref().filter(|_| choice).and_then(|slice| self.type_of_slice(name, slice, shape));
        if let Some(slice) = slice {
            at = self.slice(child, &slice)?;
            if choice {
                if let Some(written) = written.filter(|_| !self.stated.contains(&child)) {
                    self.narrow(child, written);
                }
                self.slice_by_type(child, at, written.or(narrowed));
            }
        }
        if choice && last && segment.slice.is_none() && written.is_none() {
            self.stated.insert(child);
        }
        if choice && !last && below.object.is_none() {
            // Below a choice the type is that of the slice, or the only one left.
            let own = written.or(narrowed).or_else(|| self.only_type(at)).or_else(|| self.only_type(child));
            below.object = own.and_then(|own| self.object(own));
        }
        if !choice
            && below.object.is_none()
            && let Some(only) = self.only_type(at).or_else(|| self.only_type(child))
        {
            below.object = self.object(only);
        }
        Ok((at, below))
    }

    /// What lies below an element with one profiled type is named by that profile: its slices are taken over
    /// before the first step into it.
    fn unfold(&mut self, at: NodeNumber) -> Result<(), String> {
        let Some(node) = self.nodes.get(at as usize).filter(|node| !node.unfolded) else { return Ok(()) };
        let [only] = &*node.types else { return Ok(()) };
        let [canonical] = &*only.profiles else { return Ok(()) };
        let found = (self.profile)(canonical);
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.unfolded = true;
        }
        found.map_or(Ok(()), |profile| graft(&mut self.nodes, at, &profile, MOST_NODES))
    }

    fn below(&self, ground: Ground<'t>, entry: Option<Entry>) -> Ground<'t> {
        let object = entry.and_then(|entry| match entry.content {
            Content::Type(name) => self.object(name),
            Content::Shape(number) => {
                let structure = ground.object?.0;
                Some((structure, structure.shapes.get(usize::from(number))?))
            }
            Content::Primitive(_) | Content::Narrative => self.object(Name::of("Element")),
            Content::Resource | Content::ResourceType => None,
        });
        Ground { object, place: None }
    }

    fn only_type(&self, node: NodeNumber) -> Option<Name> {
        match &*self.nodes.get(node as usize)?.types {
            [only] => Some(only.name),
            _ => None,
        }
    }

    /// The type that a slice of a choice is named after: `valueQuantity`.
    fn type_of_slice(&self, stem: &str, slice: &str, shape: Option<&Shape>) -> Option<Name> {
        let entry = shape?.find(Name::of(slice))?;
        (entry.is_choice() && slice.starts_with(stem)).then(|| Name::of(entry.content.type_name()))
    }

    /// Where the differential names types of a choice (`valueQuantity`) and says nothing else of it, these are all
    /// that are left.
    fn narrow(&mut self, choice: NodeNumber, type_name: Name) {
        let Some(node) = self.nodes.get_mut(choice as usize) else { return };
        let mut types: Vec<TypeRule> = match self.narrowed.insert(choice) {
            true if node.types.len() == 1 || node.slicing.is_some() => return,
            true => Vec::new(),
            false => node.types.to_vec(),
        };
        if types.iter().all(|it| it.name != type_name) {
            types.push(TypeRule::plain(type_name));
        }
        node.types = types.into();
    }

    fn slice_by_type(&mut self, child: NodeNumber, slice: NodeNumber, type_name: Option<Name>) {
        if let Some(node) = self.nodes.get_mut(child as usize)
            && node.slicing.is_none()
        {
            node.slicing = Some(implied(DiscriminatorKind::Type, "$this"));
        }
        if let (Some(node), Some(name)) = (self.nodes.get_mut(slice as usize), type_name)
            && node.types.is_empty()
        {
            node.types = Box::new([TypeRule::plain(name)]);
        }
    }

    fn child(
        &mut self,
        parent: NodeNumber,
        name: &str,
        choice: bool,
        shape: Option<&Shape>,
        entry: Option<Entry>,
    ) -> Result<NodeNumber, String> {
        let Some(node) = self.nodes.get(parent as usize) else { return Err("a node is lost".to_owned()) };
        if let Some(known) = node.children.iter().find(|child| &*child.name == name) {
            return Ok(known.node);
        }
        let names: Arc<[(Name, Name)]> = match (shape, entry) {
            (Some(shape), Some(entry)) => shape
                .entries
                .iter()
                .filter(|it| it.element == entry.element)
                .map(|it| (it.name, type_of(*it)))
                .collect(),
            _ if choice => self.every_variant(name),
            _ => Arc::new([(Name::of(name), Name::UNKNOWN)]),
        };
        let id = format!("{}.{name}{}", node.id, if choice { "[x]" } else { "" });
        let number = self.make(id)?;
        if let Some(node) = self.nodes.get_mut(parent as usize) {
            node.children.push(Child { name: name.into(), choice, names, node: number });
        }
        Ok(number)
    }

    /// The names of a choice whose type's definition isn't known here.
    fn every_variant(&self, stem: &str) -> Arc<[(Name, Name)]> {
        let types = self.types.definitions().type_names();
        types
            .map(|code| (Name::of(&choice_name(stem, code)), Name::of(code)))
            .filter(|(name, _)| *name != Name::UNKNOWN)
            .collect()
    }

    fn slice(&mut self, sliced: NodeNumber, name: &str) -> Result<NodeNumber, String> {
        let Some(node) = self.nodes.get(sliced as usize) else { return Err("a node is lost".to_owned()) };
        if let Some(known) = node.slices.iter().find(|slice| &*slice.name == name) {
            return Ok(known.node);
        }
        // A slice of a slice is named `outer/inner`.
        if let Some((outer, _)) = name.rsplit_once('/')
            && node
                .slices
                .iter()
                .any(|slice| &*slice.name == outer || outer.starts_with(&format!("{}/", slice.name)))
        {
            let outer = self.slice(sliced, outer)?;
            return self.slice(outer, name);
        }
        let number = self.make(format!("{}:{name}", node.id))?;
        if let Some(node) = self.nodes.get_mut(sliced as usize) {
            node.slices.push(Slice { name: name.into(), node: number });
        }
        Ok(number)
    }

    fn make(&mut self, id: String) -> Result<NodeNumber, String> {
        if self.nodes.len() >= MOST_NODES {
            return Err(format!("it has more than {MOST_NODES} elements"));
        }
        let number =
            NodeNumber::try_from(self.nodes.len()).map_err(|_| "it has too many elements".to_owned())?;
        self.nodes.push(Node { id: id.into(), ..Node::default() });
        Ok(number)
    }

    /// Adds what the element says to its node.
    fn say(&mut self, at: NodeNumber, element: &ElementDefinition, ground: Ground<'t>) -> Result<(), String> {
        let base = ground.place.and_then(|(shape, entry)| shape.element(entry));
        let sliced = element.slice_name.is_some();
        let types = self.type_rules(element)?;
        let whole = self.whole;
        let on = match ground.object {
            Some((_, shape)) => shape.path.to_string(),
            None => String::new(),
        };
        let Some(node) = self.nodes.get_mut(at as usize) else { return Ok(()) };
        if let Some(min) = element.min
            && (sliced || base.is_none_or(|base| min > base.cardinality.min))
        {
            node.min = Some(min);
        }
        if let Some(max) = element.max
            && (sliced || base.is_none_or(|base| base.cardinality.max != max))
        {
            node.max = Some(max);
        }
        if !types.is_empty() {
            node.types = types;
        }
        for (slot, raw) in [
            (&mut node.fixed, &element.fixed),
            (&mut node.pattern, &element.pattern),
            (&mut node.min_value, &element.min_value),
            (&mut node.max_value, &element.max_value),
        ] {
            if let Some(raw) = raw {
                *slot = Some(held(raw)?);
            }
        }
        node.must_support |= element.must_support;
        node.must_have_value |= element.must_have_value;
        if !element.value_alternatives.is_empty() {
            node.value_alternatives =
                element.value_alternatives.iter().map(|text| text.as_str().into()).collect();
        }
        node.min_length = element.min_length.or(node.min_length);
        node.max_length = element.max_length.or(node.max_length);
        if let Some(binding) = element.binding.as_ref().map(|it| errata::binding(&element.path, it)).as_ref()
            && (!binding.additional.is_empty() || base.is_none_or(|base| !base.is_bound_to(binding)))
            && let Some(rule) = binding_rule(binding, self.url)
        {
            node.binding = Some(Arc::new(rule));
        }
        for constraint in &element.constraints {
            let inherited = whole && constraint.source.is_some();
            if !inherited && !node.invariants.iter().any(|known| known.key() == constraint.key) {
                node.invariants.extend(Invariant::new(constraint, &on).map(Arc::new));
            }
        }
        if let Some(slicing) = &element.slicing {
            node.slicing = Some(slicing.clone());
        }
        Ok(())
    }

    fn type_rules(&self, element: &ElementDefinition) -> Result<Box<[TypeRule]>, String> {
        if !element.path.contains('.') {
            return Ok(Box::default());
        }
        let boxed = |texts: &[String]| texts.iter().map(|text| text.as_str().into()).collect();
        let rules = element.types.iter().map(|type_| TypeRule {
            name: Name::of(&type_.code),
            profiles: boxed(&type_.profiles),
            targets: boxed(&type_.target_profiles),
            aggregation: type_.aggregation.as_slice().into(),
        });
        Ok(rules.collect())
    }
}

/// What an element of a logical model says of its values. `evaluates` gives the constraints that can be evaluated
/// there. The types of other logical models are not among the node's.
pub(in super::super) fn own_node(
    element: &ElementDefinition,
    url: &str,
    evaluates: impl Fn(&Constraint) -> Option<Invariant>,
) -> Result<Node, String> {
    let mut node = Node { id: element.path.as_str().into(), ..Node::default() };
    for (slot, raw) in [
        (&mut node.fixed, &element.fixed),
        (&mut node.pattern, &element.pattern),
        (&mut node.min_value, &element.min_value),
        (&mut node.max_value, &element.max_value),
    ] {
        *slot = raw.as_ref().map(held).transpose()?;
    }
    (node.min_length, node.max_length) = (element.min_length, element.max_length);
    node.binding = element.binding.as_ref().and_then(|it| binding_rule(it, url)).map(Arc::new);
    node.invariants = element.constraints.iter().filter_map(evaluates).map(Arc::new).collect();
    let boxed = |texts: &[String]| texts.iter().map(|text| text.as_str().into()).collect();
    let rules = element.types.iter().filter(|it| Name::of(&it.code) != Name::UNKNOWN);
    let rules = rules.map(|it| TypeRule {
        name: Name::of(&it.code),
        profiles: boxed(&it.profiles),
        targets: boxed(&it.target_profiles),
        aggregation: it.aggregation.as_slice().into(),
    });
    node.types = rules.filter(|it| !(it.profiles.is_empty() && it.targets.is_empty())).collect();
    if node.types.len() != element.types.len() {
        // Some type says nothing more: then any does.
        node.types = Box::default();
    }
    Ok(node)
}

/// A slicing that a profile need not state.
pub(in super::super) fn implied(kind: DiscriminatorKind, path: &str) -> Slicing {
    Slicing {
        discriminators: vec![Discriminator { kind, path: path.to_owned() }],
        ordered: false,
        rules: SlicingRules::Open,
    }
}

/// The rule of a binding, and of those beside it that ask something of every instance: which context of use an
/// instance is in is not known here.
fn binding_rule(binding: &Binding, url: &str) -> Option<BindingRule> {
    // `#id` is a value set that the profile contains.
    let whole = |canonical: &str| match canonical.starts_with('#') {
        true => [url, canonical].concat(),
        false => canonical.to_owned(),
    };
    let additional = binding.additional.iter().filter(|it| !it.limited).filter_map(|it| {
        let strength = match it.purpose.as_str() {
            "required" | "maximum" => BindingStrength::Required,
            "extensible" | "current" => BindingStrength::Extensible,
            _ => return None,
        };
        Some(BindingRule::of(&whole(&it.value_set), strength, None))
    });
    let canonical = binding.value_set.as_deref().map(whole).unwrap_or_default();
    let limit = binding.max_value_set.as_deref().map(whole);
    let rule = BindingRule::of(&canonical, binding.strength, limit.as_deref());
    let rule = rule.with_additional(additional.collect());
    (rule.is_binding() || !rule.additional().is_empty()).then_some(rule)
}

fn entry_of(shape: &Shape, name: &str, choice: bool) -> Option<Entry> {
    if choice {
        let stem = |entry: &&Entry| {
            entry.is_choice() && shape.element(**entry).is_some_and(|element| &*element.name == name)
        };
        return shape.entries.iter().find(stem).copied();
    }
    shape.find(Name::of(name))
}

fn type_of(entry: Entry) -> Name {
    match entry.content {
        Content::Type(name) => name,
        other => Name::of(other.type_name()),
    }
}

fn held(raw: &RawValue) -> Result<OwnedDocument, String> {
    OwnedDocument::parse_json(raw.json.as_bytes(), &Limits::default()).map_err(|error| error.to_string())
}
