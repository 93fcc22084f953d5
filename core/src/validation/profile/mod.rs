//! Profiles compiled into rules (FHIR R4 §5.1, §2.29).
//!
//! A profile becomes a sparse tree: one node for each element it says something about, slices under the
//! element that they slice. What it inherits from another profile is merged in; what it inherits from the
//! type itself is left out, because the walk over the document has checked that already. A profile that has
//! only a differential therefore needs no snapshot first.
//!
//! Invariant: a compiled [`Profile`] never changes and is shared by all threads.

mod aggregation;
mod build;
mod compare;
mod conform;
mod discriminator;
mod errata;
mod graft;
mod instance;
mod obligation;
mod relative_bound;
pub(crate) mod segments;
mod slice;
mod store;
mod target;
mod value_rule;

use std::sync::{Arc, OnceLock};

use fhir_models::definition::{Aggregation, Max, STRUCTURE_BASE, Slicing};
use fhir_models::document::{Name, OwnedDocument};

use super::binding::BindingRule;
use super::extension_context::Contexts;
use super::invariant::Invariant;

pub(super) use build::{implied, own_node};
use compare::differing;
pub(super) use compare::{equal, matches};
pub(super) use conform::{Judgement, plain};
pub(super) use discriminator::{Step, Tests, steps};
pub(super) use instance::Occurrence;
pub(super) use segments::Segment;
pub(super) use store::{ProfileError, Profiles};
pub(super) use value_rule::compare_ucum;

/// The number of a node in its profile.
pub(super) type NodeNumber = u32;

/// The rules of one profile.
#[derive(Debug)]
pub(super) struct Profile {
    pub url: Box<str>,
    /// The type that it constrains.
    pub type_name: Name,
    /// For an extension: it may change what the rest means.
    pub is_modifier: bool,
    /// Where an extension may stand.
    pub contexts: Contexts,
    /// The type itself first.
    pub nodes: Box<[Node]>,
    /// What tells a slice, by the number of its node; filled when first asked for.
    pub tests: Box<[OnceLock<Tests>]>,
    /// What it says that can't be checked, and why: its own faults, not those of instances.
    pub faults: Box<[Box<str>]>,
}

impl Profile {
    /// For a complex extension, the urls of its parts; `None` where it has none or they can't be told.
    pub fn parts(&self) -> Option<Vec<String>> {
        let root = self.nodes.first()?;
        let inner = root.children.iter().find(|child| &*child.name == "extension")?;
        let sliced = self.node(inner.node)?;
        let url = |slice: &Slice| {
            let node = self.node(slice.node)?;
            let url = node.children.iter().find(|child| &*child.name == "url");
            let fixed = url.and_then(|url| self.node(url.node)?.fixed.as_ref());
            match fixed.and_then(|fixed| fixed.root().as_str().map(|text| text.into_owned())) {
                Some(text) => Some(text),
                None => {
                    let canonical = node.types.iter().flat_map(|it| it.profiles.iter()).next()?;
                    canonical.split('|').next().map(str::to_owned)
                }
            }
        };
        (!sliced.slices.is_empty()).then(|| sliced.slices.iter().map(url).collect())?
    }

    /// True for a type taken as a profile: it adds no rule.
    pub fn is_plain_type(&self) -> bool {
        self.url.strip_prefix(STRUCTURE_BASE) == Some(self.type_name.text())
    }

    /// The node with this number.
    pub fn node(&self, number: NodeNumber) -> Option<&Node> {
        self.nodes.get(number as usize)
    }
}

/// What a profile says about one element, beyond its type's definition.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// As people read it: `Observation.component:systolic.code`.
    pub id: Box<str>,
    pub min: Option<u32>,
    pub max: Option<Max>,
    /// Types it may have; empty: all that the definition gives.
    pub types: Box<[TypeRule]>,
    pub fixed: Option<OwnedDocument>,
    pub pattern: Option<OwnedDocument>,
    pub min_value: Option<OwnedDocument>,
    pub max_value: Option<OwnedDocument>,
    pub min_length: Option<u32>,
    pub max_length: Option<u32>,
    pub binding: Option<Arc<BindingRule>>,
    /// Systems must be able to handle it.
    pub must_support: bool,
    /// A primitive needs a value, not only extensions.
    pub must_have_value: bool,
    /// Extensions of which a primitive without a value needs one.
    pub value_alternatives: Box<[Box<str>]>,
    pub invariants: Vec<Arc<Invariant>>,
    pub children: Vec<Child>,
    pub slicing: Option<Slicing>,
    pub slices: Vec<Slice>,
    /// The profile of its type has been taken over below it.
    pub unfolded: bool,
}

/// A child element that the profile speaks of.
#[derive(Debug, Clone)]
pub(super) struct Child {
    /// Its name, without `[x]`.
    pub name: Box<str>,
    pub choice: bool,
    /// The properties it may stand under, with the type of each.
    pub names: Arc<[(Name, Name)]>,
    pub node: NodeNumber,
}

/// A slice of an element.
#[derive(Debug, Clone)]
pub(super) struct Slice {
    pub name: Box<str>,
    pub node: NodeNumber,
}

/// One type that an element may have.
#[derive(Debug, Clone)]
pub(super) struct TypeRule {
    pub name: Name,
    /// The value obeys one of these.
    pub profiles: Box<[Box<str>]>,
    /// The target of a reference obeys one of these.
    pub targets: Box<[Box<str>]>,
    /// Where the target of a reference may stand; empty: anywhere.
    pub aggregation: Box<[Aggregation]>,
}

impl TypeRule {
    /// Any value of this type.
    pub fn plain(name: Name) -> TypeRule {
        TypeRule { name, profiles: Box::default(), targets: Box::default(), aggregation: Box::default() }
    }
}
