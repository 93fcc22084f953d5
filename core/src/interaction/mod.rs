//! The FHIR R4 REST request as a closed type (FHIR R4 §3.1.0).
//!
//! A request is parsed into an [`Interaction`] once; every later stage asks the interaction, and the request
//! to the server behind is written from it alone. No byte of the caller's URL, form or headers is passed on,
//! and what the type can't express is refused with a cause.
//!
//! ```
//! use varco_core::interaction::{Interaction, ParameterKind, SearchParameter, SearchSchema};
//!
//! let schema = SearchSchema::new(["Patient"], |_| vec![SearchParameter::new("family", ParameterKind::Text)]);
//! let search = Interaction::parse("GET", "/Patient", Some("family%3Aexact=Forl%C3%AC&_count=10"), None, &schema)?;
//! assert_eq!(search.to_string(), "search-type Patient (family:exact)");
//! assert_eq!(search.to_request().path_and_query, "/Patient?family:exact=Forl%C3%AC");
//! assert_eq!(search.count(), Some(10));
//!
//! let refused = Interaction::parse("GET", "/Patient", Some("%5Fhas:Observation:patient:code=1"), None, &schema);
//! assert_eq!(refused.map_err(|error| error.status()), Err(400));
//! # Ok::<(), varco_core::interaction::InteractionError>(())
//! ```

mod criterion;
mod error;
mod escape;
pub mod headers;
mod id;
mod operation;
mod pairs;
mod path;
mod patient_match;
mod percent;
mod request;
mod schema;
mod search;
mod search_value;
mod transform;
mod translate;
mod validate;

use std::fmt;

pub use criterion::{Criterion, MOST_VALUES, Modifier};
pub use error::{EncodingFault, InteractionError, ShownName};
pub use id::{Id, Instance, ResourceType};
pub use pairs::LONGEST_QUERY;
pub use patient_match::PatientMatch;
pub use request::{Method, UpstreamRequest};
pub use schema::{SearchParameter, SearchSchema};
pub use search::{MOST_PARAMETERS, Search, SortKey};
pub use search_value::{ParameterKind, Prefix, SearchReference, SearchValue, Token};
pub use transform::Transform;
pub use translate::{AskedCoding, Translate};
pub use validate::{Validate, ValidateMode};

use fhir_models::primitive::Primitive;
use operation::Operation;
use pairs::Pair;
use path::Place;
use search::Once;

/// A request of FHIR R4 that the gateway serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interaction {
    /// `GET metadata`: the capability statement.
    Capabilities,
    /// `GET [type]/[id]`
    Read(Instance),
    /// `GET [type]/[id]/_history/[vid]`
    Vread(Instance, Id),
    /// `GET [type]/[id]/_history`
    HistoryInstance(History),
    /// `GET [type]?…` or `POST [type]/_search`
    SearchType(Search),
    /// `POST [type]`
    Create(ResourceType),
    /// `PUT [type]/[id]`
    Update(Instance),
    /// `DELETE [type]/[id]`
    Delete(Instance),
    /// `POST [type]/$validate` or `POST [type]/[id]/$validate`
    Validate(Validate),
    /// `POST StructureMap/$transform`
    Transform(ResourceType, Transform),
    /// `GET` or `POST ConceptMap/$translate`
    Translate(ResourceType, Translate),
    /// `POST Patient/$match`
    Match(ResourceType, PatientMatch),
}

/// The history of one resource (FHIR R4 §3.1.0.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The resource.
    pub instance: Instance,
    /// `_count`: how many versions the caller wants on a page, at least 1.
    pub count: Option<u32>,
    /// `_since`: only versions made at or after this instant.
    pub since: Option<String>,
}

impl Interaction {
    /// Parses a request: the HTTP method, the path after the base (with or without its leading slash, still
    /// encoded), the query without its question mark, and for `POST _search` the form.
    ///
    /// ```
    /// # use varco_core::interaction::{Interaction, SearchSchema};
    /// let schema = SearchSchema::new(["Patient"], |_| Vec::new());
    /// let read = Interaction::parse("GET", "Patient/p1", None, None, &schema)?;
    /// assert_eq!(read.to_string(), "read Patient");
    /// let patch = Interaction::parse("PATCH", "Patient/p1", None, None, &schema);
    /// assert_eq!(patch.map_err(|error| error.status()), Err(405));
    /// # Ok::<(), varco_core::interaction::InteractionError>(())
    /// ```
    pub fn parse(
        method: &str,
        path_after_base: &str,
        query: Option<&str>,
        form_body: Option<&[u8]>,
        schema: &SearchSchema,
    ) -> Result<Interaction, InteractionError> {
        let place = Place::parse(path_after_base, schema)?;
        let mut pairs = Vec::new();
        pairs::read(query.unwrap_or_default().as_bytes(), &mut pairs)?;
        let refused =
            InteractionError::NotServed { interaction: place.unserved(method), allow: place.allow() };
        let interaction = match (place, method) {
            (Place::Metadata, "GET") => Interaction::Capabilities,
            (Place::Type(resource_type), "GET") if form_body.is_none() => {
                return Search::parse(schema, resource_type, &pairs).map(Interaction::SearchType);
            }
            (Place::Type(_), "GET") => return Err(InteractionError::UnexpectedForm),
            (Place::TypeSearch(resource_type), "POST") => {
                pairs::read(form_body.unwrap_or_default(), &mut pairs)?;
                return Search::parse(schema, resource_type, &pairs).map(Interaction::SearchType);
            }
            (Place::Type(resource_type), "POST") => Interaction::Create(resource_type),
            (Place::Instance(instance), "GET") => Interaction::Read(instance),
            (Place::Instance(instance), "PUT") => Interaction::Update(instance),
            (Place::Instance(instance), "DELETE") => Interaction::Delete(instance),
            (Place::Validate(resource_type, instance), "POST") => {
                Interaction::Validate(Validate::new(resource_type, instance))
            }
            (Place::Operation(on, Operation::Transform), "POST") => {
                Interaction::Transform(on, Transform::default())
            }
            (Place::Operation(on, Operation::Translate), "GET" | "POST") => {
                Interaction::Translate(on, Translate::new(method == "POST"))
            }
            (Place::Operation(on, Operation::Match), "POST") => {
                Interaction::Match(on, PatientMatch::default())
            }
            (Place::Version(instance, version), "GET") => Interaction::Vread(instance, version),
            (Place::InstanceHistory(instance), "GET") => {
                Interaction::HistoryInstance(History { instance, count: None, since: None })
            }
            _ => return Err(refused),
        };
        if form_body.is_some() {
            return Err(InteractionError::UnexpectedForm);
        }
        interaction.with_parameters(&pairs)
    }

    /// True where this request's parameters stand in a form, so that its body must be read and handed to
    /// [`Interaction::parse`].
    pub fn expects_form(method: &str, path_after_base: &str) -> bool {
        path::expects_form(method, path_after_base)
    }

    /// True where the parameters hold `_format`, which then stands in the place of `Accept`
    /// (FHIR R4 §3.1.0.1.11). What can't be read has none.
    pub fn asks_format(query: Option<&str>, form_body: Option<&[u8]>) -> bool {
        let mut pairs = Vec::new();
        let read = pairs::read(query.unwrap_or_default().as_bytes(), &mut pairs)
            .and_then(|()| pairs::read(form_body.unwrap_or_default(), &mut pairs));
        read.is_ok() && pairs.iter().any(|pair| pair.name == "_format")
    }

    /// Takes the parameters of anything but a search.
    fn with_parameters(mut self, pairs: &[Pair]) -> Result<Interaction, InteractionError> {
        let mut once = Once::default();
        for Pair { name, value } in pairs {
            match (name.as_str(), &mut self) {
                ("_format", _) => once.format(value)?,
                ("_count", Interaction::HistoryInstance(history)) => {
                    once.see("_count")?;
                    history.count = Some(search::count(value)?);
                }
                ("_since", Interaction::HistoryInstance(history)) => {
                    once.see("_since")?;
                    if !Primitive::Instant.is_valid(value) {
                        return Err(InteractionError::BadValue {
                            name: ShownName::of("_since"),
                            expected: "an instant such as 2026-01-31T10:00:00Z (write + as %2B)",
                        });
                    }
                    history.since = Some(value.clone());
                }
                ("mode", Interaction::Validate(own)) => own.set_mode(value)?,
                ("profile", Interaction::Validate(own)) => own.set_profile(value)?,
                ("source", Interaction::Transform(_, own)) => own.set_source(value)?,
                (name, Interaction::Translate(_, own)) if Translate::takes(name) => own.set(name, value)?,
                (other, _) if search::is_not_served(other) => {
                    return Err(InteractionError::ParameterNotServed(ShownName::of(
                        other.split(':').next().unwrap_or_default(),
                    )));
                }
                (other, own) => {
                    return Err(InteractionError::UnknownParameter {
                        interaction: own.name(),
                        name: ShownName::of(other),
                    });
                }
            }
        }
        Ok(self)
    }

    /// The interaction's code (R4 value set `restful-interaction`).
    pub fn name(&self) -> &'static str {
        match self {
            Interaction::Capabilities => "capabilities",
            Interaction::Read(_) => "read",
            Interaction::Vread(..) => "vread",
            Interaction::HistoryInstance(_) => "history-instance",
            Interaction::SearchType(_) => "search-type",
            Interaction::Create(_) => "create",
            Interaction::Update(_) => "update",
            Interaction::Delete(_) => "delete",
            Interaction::Validate(_)
            | Interaction::Transform(..)
            | Interaction::Translate(..)
            | Interaction::Match(..) => "operation",
        }
    }

    /// The type of the resources asked for; none for the capability statement.
    pub fn resource_type(&self) -> Option<&ResourceType> {
        match self {
            Interaction::Capabilities => None,
            Interaction::SearchType(search) => Some(&search.resource_type),
            Interaction::Create(resource_type)
            | Interaction::Transform(resource_type, _)
            | Interaction::Translate(resource_type, _)
            | Interaction::Match(resource_type, _) => Some(resource_type),
            Interaction::Validate(own) => Some(&own.resource_type),
            _ => self.instance().map(|instance| &instance.resource_type),
        }
    }

    /// The one resource that the request names, if it names one.
    pub fn instance(&self) -> Option<&Instance> {
        match self {
            Interaction::Read(instance)
            | Interaction::Vread(instance, _)
            | Interaction::Update(instance)
            | Interaction::Delete(instance) => Some(instance),
            Interaction::HistoryInstance(history) => Some(&history.instance),
            Interaction::Validate(own) => own.instance.as_ref(),
            Interaction::Capabilities
            | Interaction::SearchType(_)
            | Interaction::Create(_)
            | Interaction::Transform(..)
            | Interaction::Translate(..)
            | Interaction::Match(..) => None,
        }
    }

    /// The operation's name with its dollar sign, if this is one.
    pub fn operation(&self) -> Option<&'static str> {
        match self {
            Interaction::Validate(_) => Some("$validate"),
            Interaction::Transform(..) => Some(Operation::Transform.name()),
            Interaction::Translate(..) => Some(Operation::Translate.name()),
            Interaction::Match(..) => Some(Operation::Match.name()),
            _ => None,
        }
    }

    /// The search, if this is one.
    pub fn search(&self) -> Option<&Search> {
        match self {
            Interaction::SearchType(search) => Some(search),
            _ => None,
        }
    }

    /// The search to be narrowed, if this is one.
    pub fn search_mut(&mut self) -> Option<&mut Search> {
        match self {
            Interaction::SearchType(search) => Some(search),
            _ => None,
        }
    }

    /// How many entries the caller wants on a page, where it said so. Never forwarded.
    pub fn count(&self) -> Option<u32> {
        match self {
            Interaction::SearchType(search) => search.count,
            Interaction::HistoryInstance(history) => history.count,
            _ => None,
        }
    }

    /// True where the request changes data.
    pub fn is_write(&self) -> bool {
        matches!(self, Interaction::Create(_) | Interaction::Update(_) | Interaction::Delete(_))
    }

    /// True where the request carries a resource.
    pub fn takes_resource(&self) -> bool {
        match self {
            Interaction::Create(_)
            | Interaction::Update(_)
            | Interaction::Transform(..)
            | Interaction::Match(..) => true,
            Interaction::Validate(own) => !own.mode.is_some_and(ValidateMode::is_of_stored),
            Interaction::Translate(_, own) => own.by_post,
            _ => false,
        }
    }
}

/// Code, type and parameter names: fit for logs and metrics, since no id and no value is shown.
impl fmt::Display for Interaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if let Some(resource_type) = self.resource_type() {
            write!(f, " {resource_type}")?;
        }
        if let Some(operation) = self.operation() {
            write!(f, " {operation}")?;
        }
        let Some(search) = self.search() else { return Ok(()) };
        let mut names: Vec<String> = if search.ids.is_empty() { Vec::new() } else { vec!["_id".to_owned()] };
        for criterion in &search.criteria {
            let mut name = String::new();
            criterion.write_name(&mut name);
            names.push(name);
        }
        if names.is_empty() { Ok(()) } else { write!(f, " ({})", names.join(", ")) }
    }
}

#[cfg(test)]
#[path = "interaction_tests.rs"]
mod tests;
