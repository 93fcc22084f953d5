//! What a request's path names (FHIR R4 §3.1.0.1.2), before its method is looked at.

use std::borrow::Cow;

use super::error::{EncodingFault, InteractionError, ShownName};
use super::id::{Id, Instance, ResourceType};
use super::operation::Operation;
use super::percent::decode_segment;
use super::schema::SearchSchema;

/// The longest path that is read, in bytes.
const LONGEST_PATH: usize = 1024;

/// What stands at a path below the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The base itself.
    Base,
    /// `metadata`
    Metadata,
    /// `_search`: a search over all types.
    SystemSearch,
    /// `_history`: the history of all resources.
    SystemHistory,
    /// `[type]`
    Type(ResourceType),
    /// `[type]/_search`
    TypeSearch(ResourceType),
    /// `[type]/_history`
    TypeHistory(ResourceType),
    /// `[type]/[id]`
    Instance(Instance),
    /// `[type]/[id]/_history`
    InstanceHistory(Instance),
    /// `[type]/[id]/_history/[vid]`
    Version(Instance, Id),
    /// `[type]/$validate` or `[type]/[id]/$validate`
    Validate(ResourceType, Option<Instance>),
    /// `[type]/$name`, for an operation of this type alone
    Operation(ResourceType, Operation),
    /// `Patient/[id]/$everything`
    Everything(Instance),
    /// `Patient/[id]/$summary`
    PatientSummary(Instance),
    /// `[type]/[id]/[type]` or `[type]/[id]/*`: a search in a compartment.
    Compartment,
}

impl Place {
    /// Reads what follows the base, with or without its leading slash.
    pub(super) fn parse(path: &str, schema: &SearchSchema) -> Result<Place, InteractionError> {
        let segments = segments(path)?;
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        match segments.as_slice() {
            [] => return Ok(Place::Base),
            ["metadata"] => return Ok(Place::Metadata),
            ["_search"] => return Ok(Place::SystemSearch),
            ["_history"] => return Ok(Place::SystemHistory),
            [operation] if operation.starts_with('$') => return Err(unserved_operation(operation)),
            _ => {}
        }
        let Some((&first, rest)) = segments.split_first() else { return Ok(Place::Base) };
        let resource_type = schema.resource_type(first).ok_or_else(|| unknown(first))?;
        let id = |text: &str| Id::parse(text).ok_or(InteractionError::BadId);
        match rest {
            ["$validate"] => return Ok(Place::Validate(resource_type, None)),
            [own, "$validate"] => {
                let instance = Instance { resource_type: resource_type.clone(), id: id(own)? };
                return Ok(Place::Validate(resource_type, Some(instance)));
            }
            [own, "$everything"] if first == "Patient" => {
                return Ok(Place::Everything(Instance { resource_type, id: id(own)? }));
            }
            [own, "$summary"] if first == "Patient" => {
                return Ok(Place::PatientSummary(Instance { resource_type, id: id(own)? }));
            }
            [own] if Operation::below(resource_type.as_str(), own).is_some() => {
                let operation = Operation::below(resource_type.as_str(), own);
                return operation
                    .map(|own| Place::Operation(resource_type, own))
                    .ok_or(InteractionError::Operation);
            }
            [.., operation] if operation.starts_with('$') && rest.len() <= 4 => {
                return Err(unserved_operation(operation));
            }
            _ => {}
        }
        Ok(match rest {
            [] => Place::Type(resource_type),
            ["_search"] => Place::TypeSearch(resource_type),
            ["_history"] => Place::TypeHistory(resource_type),
            [own] => Place::Instance(Instance { resource_type, id: id(own)? }),
            [own, "_history"] => Place::InstanceHistory(Instance { resource_type, id: id(own)? }),
            [own, "_history", version] => {
                Place::Version(Instance { resource_type, id: id(own)? }, id(version)?)
            }
            [own, other] if *other == "*" || schema.resource_type(other).is_some() => {
                id(own).map(|_| Place::Compartment)?
            }
            _ => return Err(InteractionError::UnknownInteraction),
        })
    }

    /// The methods that are served here.
    pub(super) fn allow(&self) -> &'static [&'static str] {
        match self {
            Place::Operation(_, operation) => operation.allow(),
            Place::Metadata
            | Place::SystemHistory
            | Place::TypeHistory(_)
            | Place::InstanceHistory(_)
            | Place::Version(..)
            | Place::Everything(_)
            | Place::PatientSummary(_) => &["GET"],
            Place::Type(_) => &["GET", "POST", "PUT", "PATCH", "DELETE"],
            Place::Base | Place::TypeSearch(_) | Place::Validate(..) => &["POST"],
            Place::Instance(_) => &["GET", "PUT", "PATCH", "DELETE"],
            Place::SystemSearch | Place::Compartment => &[],
        }
    }

    /// What a method that is not served here would be, in the words of FHIR R4 §3.1.0.
    pub(super) fn unserved(&self, method: &str) -> &'static str {
        match (self, method) {
            (Place::Base, "GET") | (Place::SystemSearch, "GET" | "POST") => "search over all types",
            (Place::Base, "DELETE") => "conditional delete over all types",
            (Place::Validate(..), "GET") => "$validate by GET",
            (Place::Operation(..), "GET") => "this operation by GET",
            (Place::Operation(..), "POST") => "this operation by POST",
            (Place::Everything(_), "POST") => "$everything by POST",
            (Place::PatientSummary(_), "POST") => "$summary by POST",
            (Place::Compartment, "GET") => "search in a compartment",
            _ => "this method",
        }
    }
}

/// Operations that FHIR R4 or a guide we know defines are refused by name.
fn unserved_operation(segment: &str) -> InteractionError {
    const KNOWN: &[&str] = &[
        "$export",
        "$docref",
        "$everything",
        "$graph",
        "$lastn",
        "$match",
        "$meta",
        "$stats",
        "$summary",
        "$transform",
        "$translate",
        "$validate",
    ];
    match KNOWN.iter().find(|known| **known == segment) {
        Some(known) => InteractionError::OperationNotServed(known),
        None => InteractionError::Operation,
    }
}

fn unknown(first: &str) -> InteractionError {
    if first.starts_with(|c: char| c.is_ascii_uppercase()) {
        InteractionError::UnknownType(ShownName::of(first))
    } else {
        InteractionError::UnknownInteraction
    }
}

fn segments(path: &str) -> Result<Vec<Cow<'_, str>>, InteractionError> {
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok(Vec::new());
    }
    if path.len() > LONGEST_PATH {
        return Err(InteractionError::TooMuch { what: "bytes in the path", limit: LONGEST_PATH });
    }
    let mut segments = Vec::new();
    for raw in path.split('/') {
        let segment = decode_segment(raw)?;
        if matches!(&*segment, "" | "." | "..") {
            return Err(EncodingFault::DotSegment.into());
        }
        segments.push(segment);
    }
    Ok(segments)
}

/// True where a request with this method and path is a search whose parameters stand in a form: its body
/// must be read before the request can be parsed.
pub(super) fn expects_form(method: &str, path: &str) -> bool {
    method == "POST"
        && segments(path).is_ok_and(|segments| segments.last().is_some_and(|last| last == "_search"))
}
