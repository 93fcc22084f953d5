//! The compiled types: one table over all names, filled as documents ask.
//!
//! Invariant: a type is compiled at most once and is then shared by all threads; asking again is one load.

use std::sync::{Arc, OnceLock};

use fhir_models::definition::Definitions;
use fhir_models::document::Name;

use crate::fhirpath::Model;
use crate::outcome::IssueType;

use super::coding::Systems;
use super::compile::{CompileError, compile};
use super::finding::{Fault, Rule};
use super::shape::{ShapeKind, Structure};

/// Longest chain of types that descend from each other.
const MAX_CHAIN: usize = 32;

type Compiled = Result<Box<Structure>, TypeError>;

/// All types of the definitions, compiled when first asked for.
#[derive(Debug)]
pub(super) struct Types {
    definitions: Arc<Definitions>,
    compiled: Box<[OnceLock<Compiled>]>,
    /// By name: a resource type that instances may have.
    resources: OnceLock<Box<[bool]>>,
    /// By name: the type that a type descends from.
    bases: OnceLock<Box<[Name]>>,
    systems: Systems,
    model: OnceLock<Arc<Model>>,
    /// Every invariant is evaluated, whatever shorter way there is: for tests that compare the two.
    #[cfg(test)]
    pub evaluates_all: bool,
}

/// Why there are no rules for a type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TypeError {
    #[error("the definitions know no type of this name; check its spelling and the FHIR version")]
    Unknown,
    #[error("{0} is abstract: use one of the types that specialise it")]
    Abstract(&'static str),
    #[error("{0} is a datatype, not a resource")]
    NotAResource(&'static str),
    #[error("the type {type_name} can't be checked: {cause}; rebuild the definitions")]
    Broken { type_name: &'static str, cause: String },
}

impl TypeError {
    pub fn fault(&self) -> Fault {
        let (rule, code) = match self {
            TypeError::Broken { .. } => (Rule::Definition, IssueType::Exception),
            _ => (Rule::ResourceType, IssueType::Structure),
        };
        Fault::error(rule, code, self.to_string())
    }
}

impl Types {
    pub fn new(definitions: Arc<Definitions>) -> Types {
        let compiled = (0..Name::count()).map(|_| OnceLock::new()).collect();
        Types {
            definitions,
            compiled,
            resources: OnceLock::new(),
            bases: OnceLock::new(),
            systems: Systems::default(),
            model: OnceLock::new(),
            #[cfg(test)]
            evaluates_all: false,
        }
    }

    /// True where no short way around an evaluation may be taken.
    #[inline]
    pub fn evaluates_all(&self) -> bool {
        #[cfg(test)]
        return self.evaluates_all;
        #[cfg(not(test))]
        false
    }

    pub fn shared(&self) -> Arc<Definitions> {
        Arc::clone(&self.definitions)
    }

    pub fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// What FHIRPath needs to know of the definitions.
    pub fn model(&self) -> &Arc<Model> {
        self.model.get_or_init(|| Model::new(Arc::clone(&self.definitions)))
    }

    /// The code systems that codings name.
    pub fn systems(&self) -> &Systems {
        &self.systems
    }

    /// The rules of a datatype or resource.
    pub fn structure(&self, name: Name) -> Result<&Structure, TypeError> {
        let Some(slot) = self.compiled.get(name.index()).filter(|_| name != Name::UNKNOWN) else {
            return Err(TypeError::Unknown);
        };
        match slot.get_or_init(|| self.compile(name)) {
            Ok(structure) => Ok(structure),
            Err(error) => Err(error.clone()),
        }
    }

    /// The rules of a resource type that instances may have.
    pub fn resource(&self, name: Name) -> Result<&Structure, TypeError> {
        let structure = self.structure(name)?;
        if structure.root().is_none_or(|shape| shape.kind != ShapeKind::Resource) {
            return Err(TypeError::NotAResource(name.text()));
        }
        if !self.is_resource(name) {
            return Err(TypeError::Abstract(name.text()));
        }
        Ok(structure)
    }

    /// True for the name of a resource type that instances may have. Compiles nothing.
    pub fn is_resource(&self, name: Name) -> bool {
        self.resources().get(name.index()).copied().unwrap_or(false)
    }

    fn resources(&self) -> &[bool] {
        self.resources.get_or_init(|| {
            let mut resources = vec![false; Name::count()];
            for text in self.definitions.type_names().filter(|text| self.definitions.is_resource(text)) {
                let name = Name::of(text);
                if let Some(slot) = resources.get_mut(name.index()).filter(|_| name != Name::UNKNOWN) {
                    *slot = true;
                }
            }
            resources.into()
        })
    }

    /// True where type `name` is `of` or descends from it.
    pub fn is_subtype(&self, name: Name, of: Name) -> bool {
        let bases = self.bases.get_or_init(|| {
            let mut bases = vec![Name::UNKNOWN; Name::count()];
            for text in self.definitions.type_names() {
                let base = self.definitions.base_type(text).map(Name::of);
                if let (Some(base), Some(slot)) = (base, bases.get_mut(Name::of(text).index())) {
                    *slot = base;
                }
            }
            bases.into()
        });
        let mut here = name;
        for _ in 0..MAX_CHAIN {
            if here == of {
                return true;
            }
            here = match bases.get(here.index()) {
                Some(&base) if here != Name::UNKNOWN && base != Name::UNKNOWN => base,
                _ => return false,
            };
        }
        false
    }

    #[cold]
    fn compile(&self, name: Name) -> Compiled {
        let broken = |cause: String| TypeError::Broken { type_name: name.text(), cause };
        let found = self.definitions.try_structure(name.text()).map_err(|error| broken(error.to_string()))?;
        let definition = found.filter(|it| it.is_type()).ok_or(TypeError::Unknown)?;
        let compiled = compile(&definition, self.model(), |type_name| self.definitions.type_kind(type_name));
        compiled.map(Box::new).map_err(|error: CompileError| broken(error.to_string()))
    }
}
