//! Criteria on other resources: chains (`subject:Patient.name`) and reverse chains (`_has`), FHIR R4 §3.1.1.4.15
//! and §3.1.1.4.16.
//!
//! Each hop reads resources of another type, so each must be judged as a search of that type
//! ([`super::Search::joined_reads`]). Invariants: every hop names exactly one type, however the caller wrote it;
//! there are at most [`MOST_HOPS`] of them; the last condition is one that its type has.

use super::criterion::Criterion;
use super::error::{InteractionError, ShownName};
use super::id::{Id, ResourceType};
use super::schema::{SearchParameter, SearchSchema};
use super::search::{ids, is_not_served};
use super::search_value::ParameterKind;

/// The most hops that one parameter may make from the type that is searched.
pub const MOST_HOPS: usize = 3;

/// A way from one resource to another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Hop {
    /// Along a reference of the resource at hand.
    Along {
        /// The reference parameter of the type at hand.
        parameter: Box<str>,
        /// The type it leads to.
        target: ResourceType,
    },
    /// Against a reference that leads here (`_has`).
    Against {
        /// The type of the resources that refer here.
        source: ResourceType,
        /// Their reference parameter.
        parameter: Box<str>,
    },
}

impl Hop {
    /// The type on the other side.
    pub fn resource_type(&self) -> &ResourceType {
        match self {
            Hop::Along { target, .. } => target,
            Hop::Against { source, .. } => source,
        }
    }
}

/// What must hold on the other side of a hop.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Beyond {
    /// The resource has one of these ids.
    Ids(Vec<Id>),
    /// A criterion of its own.
    Criterion(Criterion),
    /// A condition on yet another resource.
    Join(Box<Join>),
}

/// A criterion on another resource: some resource beyond the hop must satisfy it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Join {
    /// The way there.
    pub hop: Hop,
    /// What must hold there.
    pub beyond: Beyond,
}

/// The rest of a hop's name, and what stands before.
enum Split<'n> {
    /// `[reference]` or `[reference]:[type]`, and what follows the dot.
    Chain(&'n str, &'n str),
    /// What follows `_has:`.
    Has(&'n str),
}

impl Split<'_> {
    fn of(name: &str) -> Option<Split<'_>> {
        if let Some(rest) = name.strip_prefix("_has:") {
            return Some(Split::Has(rest));
        }
        name.split_once('.').map(|(link, rest)| Split::Chain(link, rest))
    }
}

/// True for the name of a parameter that leads to another resource.
pub(super) fn is_join(name: &str) -> bool {
    Split::of(name).is_some() || name == "_has"
}

impl Join {
    /// Reads a decoded name such as `subject:Patient.name:exact` and its decoded value.
    pub(super) fn parse(
        schema: &SearchSchema,
        at: &ResourceType,
        name: &str,
        value: &str,
    ) -> Result<Join, InteractionError> {
        Join::parse_within(schema, at, name, value, MOST_HOPS)
    }

    fn parse_within(
        schema: &SearchSchema,
        at: &ResourceType,
        name: &str,
        value: &str,
        hops: usize,
    ) -> Result<Join, InteractionError> {
        let hops = hops
            .checked_sub(1)
            .ok_or(InteractionError::TooMuch { what: "hops in one parameter", limit: MOST_HOPS })?;
        let (hop, rest) = match Split::of(name) {
            Some(Split::Chain(link, rest)) => (along(schema, at, link)?, rest),
            Some(Split::Has(rest)) => against(schema, at, rest)?,
            None => return Err(InteractionError::Has),
        };
        let there = hop.resource_type();
        let beyond = match rest {
            "_id" => Beyond::Ids(ids(value)?),
            rest if is_join(rest) => {
                Beyond::Join(Box::new(Join::parse_within(schema, there, rest, value, hops)?))
            }
            rest if is_not_served(rest) => {
                return Err(InteractionError::ParameterNotServed(ShownName::of(
                    rest.split(':').next().unwrap_or_default(),
                )));
            }
            rest => Beyond::Criterion(Criterion::parse(schema, there, rest, value)?),
        };
        Ok(Join { hop, beyond })
    }

    /// The types that are read on the way, each with the parameters it is searched by, nearest first.
    pub fn reads(&self) -> Vec<(&ResourceType, Vec<&str>)> {
        let mut parameters = Vec::new();
        if let Hop::Against { parameter, .. } = &self.hop {
            parameters.push(&**parameter);
        }
        let mut beyond = Vec::new();
        match &self.beyond {
            Beyond::Ids(_) => parameters.push("_id"),
            Beyond::Criterion(criterion) => parameters.push(criterion.name()),
            Beyond::Join(join) => {
                if let Hop::Along { parameter, .. } = &join.hop {
                    parameters.push(&**parameter);
                }
                beyond = join.reads();
            }
        }
        let mut reads = vec![(self.hop.resource_type(), parameters)];
        reads.append(&mut beyond);
        reads
    }

    /// The criterion at the end, if it is one.
    pub fn criterion_mut(&mut self) -> Option<&mut Criterion> {
        match &mut self.beyond {
            Beyond::Ids(_) => None,
            Beyond::Criterion(criterion) => Some(criterion),
            Beyond::Join(join) => join.criterion_mut(),
        }
    }

    /// Appends the name, every hop with its type, as in `subject:Patient.name`.
    pub(super) fn write_name(&self, out: &mut String) {
        match &self.hop {
            Hop::Along { parameter, target } => {
                for part in [parameter, ":", target.as_str(), "."] {
                    out.push_str(part);
                }
            }
            Hop::Against { source, parameter } => {
                for part in ["_has:", source.as_str(), ":", parameter, ":"] {
                    out.push_str(part);
                }
            }
        }
        match &self.beyond {
            Beyond::Ids(_) => out.push_str("_id"),
            Beyond::Criterion(criterion) => criterion.write_name(out),
            Beyond::Join(join) => join.write_name(out),
        }
    }

    /// Appends the values, FHIR's escapes included.
    pub(super) fn write_values(&self, out: &mut String) {
        match &self.beyond {
            Beyond::Ids(ids) => {
                let ids: Vec<&str> = ids.iter().map(Id::as_str).collect();
                out.push_str(&ids.join(","));
            }
            Beyond::Criterion(criterion) => criterion.write_values(out),
            Beyond::Join(join) => join.write_values(out),
        }
    }
}

/// The reference parameter of a type.
pub(super) fn reference<'s>(
    schema: &'s SearchSchema,
    of: &ResourceType,
    name: &str,
) -> Result<&'s SearchParameter, InteractionError> {
    let parameter = schema.parameter(of, name).ok_or_else(|| InteractionError::UnknownParameter {
        interaction: "search-type",
        name: ShownName::of(name),
    })?;
    if parameter.kind == ParameterKind::Reference {
        Ok(parameter)
    } else {
        Err(InteractionError::NotAReference(ShownName::of(name)))
    }
}

fn along(schema: &SearchSchema, at: &ResourceType, link: &str) -> Result<Hop, InteractionError> {
    let (name, named) = match link.split_once(':') {
        Some((name, named)) => (name, Some(named)),
        None => (link, None),
    };
    let parameter = reference(schema, at, name)?;
    let target = match (named, parameter.targets.as_slice()) {
        (Some(named), targets) if targets.iter().any(|target| **target == *named) => named,
        (None, [only]) => only,
        (Some(_), _) => return Err(InteractionError::Target(ShownName::of(name))),
        (None, _) => return Err(InteractionError::Untyped(ShownName::of(name))),
    };
    let target = schema.resource_type(target).ok_or_else(|| InteractionError::Target(ShownName::of(name)))?;
    Ok(Hop::Along { parameter: parameter.name.clone(), target })
}

/// `[type]:[reference]:` and what follows.
fn against<'n>(
    schema: &SearchSchema,
    at: &ResourceType,
    rest: &'n str,
) -> Result<(Hop, &'n str), InteractionError> {
    let mut parts = rest.splitn(3, ':');
    let (Some(source), Some(name), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(InteractionError::Has);
    };
    let source = schema.resource_type(source).ok_or(InteractionError::Has)?;
    let parameter = reference(schema, &source, name)?;
    if !parameter.targets.iter().any(|target| **target == *at.as_str()) {
        return Err(InteractionError::Target(ShownName::of(name)));
    }
    Ok((Hop::Against { source, parameter: parameter.name.clone() }, rest))
}
