//! The compiled profiles: each compiled at most once, when first asked for, and shared.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use fhir_models::definition::{STRUCTURE_BASE, StructureDefinition, StructureKind};
use fhir_models::document::Name;

use super::super::extension_context::Contexts;
use super::super::implied::Implied;
use super::super::memo::Memo;
use super::super::types::Types;
use super::{Node, Profile, build};

/// Longest chain of profiles that constrain each other.
const MAX_CHAIN: usize = 32;

/// What looking into the profile of an element's type counts in that chain.
const DEEPER: usize = 8;

/// Most canonicals remembered: names from instances must not grow memory without bound.
const MOST: usize = 8_192;

/// Why there are no rules for a canonical.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum ProfileError {
    #[error("no definition with this canonical is at hand; bring it with its package or as a definition")]
    Unknown,
    #[error("the definition is not a profile of FHIR R4 that can be checked: {0}")]
    Broken(String),
}

type Compiled = Result<Arc<Profile>, ProfileError>;

/// Profiles by canonical.
#[derive(Debug)]
pub(in super::super) struct Profiles {
    /// Those asked for most, without a lock.
    met: Memo<1, Compiled>,
    compiled: RwLock<HashMap<Box<str>, Compiled>>,
    implied: OnceLock<Implied>,
}

impl Default for Profiles {
    fn default() -> Profiles {
        Profiles { met: Memo::new(1_024), compiled: RwLock::default(), implied: OnceLock::new() }
    }
}

impl Profiles {
    /// The rules of a profile, or of a type taken as a profile that says nothing.
    pub fn get(&self, types: &Types, canonical: &str) -> Compiled {
        if let Some(known) = self.met.get([canonical]) {
            return known.clone();
        }
        let compiled = self.at(types, canonical, 0);
        self.met.keep([canonical], compiled.clone());
        compiled
    }

    /// The profiles that resources must obey unasked.
    pub fn implied(&self, types: &Types) -> &Implied {
        self.implied.get_or_init(|| Implied::of(types.definitions()))
    }

    fn at(&self, types: &Types, canonical: &str, depth: usize) -> Compiled {
        let known = self.compiled.read().unwrap_or_else(PoisonError::into_inner).get(canonical).cloned();
        if let Some(known) = known {
            return known;
        }
        if depth > MAX_CHAIN {
            return Err(ProfileError::Broken(
                "its base profiles form a circle or too long a chain".to_owned(),
            ));
        }
        let compiled = self.compile(types, canonical, depth);
        let mut all = self.compiled.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST && compiled.is_err() {
            return compiled;
        }
        all.entry(canonical.into()).or_insert(compiled).clone()
    }

    fn compile(&self, types: &Types, canonical: &str, depth: usize) -> Compiled {
        if let Some((whole, element)) = canonical.split_once('#') {
            let whole = self.at(types, whole, depth)?;
            return part(&whole, element).map(Arc::new).ok_or(ProfileError::Unknown);
        }
        let broken = |error: String| ProfileError::Broken(error);
        let found =
            types.definitions().try_structure(canonical).map_err(|error| broken(error.to_string()))?;
        let definition = found.ok_or(ProfileError::Unknown)?;
        let type_name = Name::of(&definition.type_name);
        if type_name == Name::UNKNOWN || definition.kind == StructureKind::Logical {
            return Err(broken(
                "it is a logical model: ask for it as the profile of its instances".to_owned(),
            ));
        }
        // A profile that calls itself a specialization is still a profile.
        if definition.is_type() && definition.url.strip_prefix(STRUCTURE_BASE) == Some(&definition.type_name)
        {
            return Ok(Arc::new(bare(&definition, type_name)));
        }
        let base = definition.base_definition.as_deref().map(|base| self.at(types, base, depth + 1));
        let base = match base {
            Some(Ok(base)) => Some(base),
            Some(Err(_)) if !definition.elements.is_empty() => None,
            Some(Err(ProfileError::Unknown)) => {
                let base = definition.base_definition.clone().unwrap_or_default();
                return Err(broken(format!("its base {base} is not at hand")));
            }
            Some(Err(error)) => return Err(error),
            None => return Err(broken("it names no base definition".to_owned())),
        };
        let other = |canonical: &str| self.at(types, canonical, depth + DEEPER).ok();
        build::build(&definition, base.as_deref(), types, &other).map(Arc::new).map_err(broken)
    }
}

/// The rules of one element of a profile, as a profile of their own.
fn part(whole: &Profile, element: &str) -> Option<Profile> {
    let mut nodes = whole.nodes.clone();
    let own = nodes.iter().find(|node| &*node.id == element)?.clone();
    *nodes.first_mut()? = Node { min: None, max: None, ..own };
    let tests = nodes.iter().map(|_| Default::default()).collect();
    Some(Profile {
        url: whole.url.clone(),
        type_name: Name::UNKNOWN,
        is_modifier: false,
        contexts: Contexts::default(),
        nodes,
        tests,
        faults: Box::default(),
    })
}

/// A type as a profile: it adds no rule.
fn bare(definition: &StructureDefinition, type_name: Name) -> Profile {
    let root = Node { id: definition.type_name.as_str().into(), ..Node::default() };
    Profile {
        url: definition.url.as_str().into(),
        type_name,
        is_modifier: false,
        contexts: Contexts::of(definition),
        nodes: Box::new([root]),
        tests: Box::new([Default::default()]),
        faults: Box::default(),
    }
}
