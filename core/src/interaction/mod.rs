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
//! let refused = Interaction::parse("GET", "/Patient", Some("%5Ffilter=family+eq+x"), None, &schema);
//! assert_eq!(refused.map_err(|error| error.status()), Err(400));
//! # Ok::<(), varco_core::interaction::InteractionError>(())
//! ```

pub mod batch;
mod care_range;
mod conditional;
mod criterion;
mod doc_ref;
mod error;
mod escape;
mod everything;
pub mod headers;
mod history;
mod id;
mod include;
mod join;
mod last_n;
mod modifier;
mod operation;
mod pairs;
mod path;
mod patient_match;
mod percent;
mod presentation;
mod request;
mod schema;
mod search;
mod search_value;
pub mod transaction;
mod transform;
mod translate;
mod validate;

use std::fmt;

pub use care_range::CareRange;
pub use criterion::{Criterion, MOST_VALUES};
pub use doc_ref::DocRef;
pub use error::{EncodingFault, InteractionError, ShownName};
pub use everything::Everything;
pub use history::{History, HistoryOf};
pub use id::{Id, Instance, ResourceType};
pub use include::{Include, IncludePath};
pub use join::{Beyond, Hop, Join, MOST_HOPS};
pub use last_n::LastN;
pub use modifier::Modifier;
pub use pairs::LONGEST_QUERY;
pub use patient_match::PatientMatch;
pub use presentation::{Summary, TotalWanted};
pub use request::{Method, UpstreamRequest};
pub use schema::{SearchParameter, SearchSchema};
pub use search::{MOST_JOINS, MOST_PARAMETERS, Search, SortKey};
pub use search_value::{ParameterKind, Prefix, SearchReference, SearchValue, Token};
pub use transform::Transform;
pub use translate::{AskedCoding, Translate};
pub use validate::{Validate, ValidateMode};

use headers::Handling;
use operation::Operation;
use pairs::Pair;
use path::Place;
use search::Once;

/// A request of FHIR R4 that the gateway understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interaction {
    /// `GET metadata`: the capability statement.
    Capabilities,
    /// `GET [type]/[id]`
    Read(Instance),
    /// `GET [type]/[id]/_history/[vid]`
    Vread(Instance, Id),
    /// `GET _history` of a resource, a type or everything
    History(History),
    /// `GET [type]?…` or `POST [type]/_search`
    SearchType(Search),
    /// `POST [type]`
    Create(ResourceType),
    /// `POST [type]` with `If-None-Exist`
    ConditionalCreate(Search),
    /// `PUT [type]/[id]`
    Update(Instance),
    /// `PUT [type]?…`
    ConditionalUpdate(Search),
    /// `PATCH [type]/[id]`
    Patch(Instance),
    /// `PATCH [type]?…`
    ConditionalPatch(Search),
    /// `DELETE [type]/[id]`
    Delete(Instance),
    /// `DELETE [type]?…`
    ConditionalDelete(Search),
    /// `POST [base]`: a batch or transaction; which, and of what, the body says ([`batch`]).
    Batch,
    /// `POST [base]` with a transaction, once its body has been read.
    Transaction,
    /// `POST [type]/$validate` or `POST [type]/[id]/$validate`
    Validate(Validate),
    /// `POST StructureMap/$transform`
    Transform(ResourceType, Transform),
    /// `GET` or `POST ConceptMap/$translate`
    Translate(ResourceType, Translate),
    /// `POST Patient/$match`
    Match(ResourceType, PatientMatch),
    /// `GET Patient/[id]/$everything`
    Everything(Everything),
    /// `GET Patient/[id]/$summary`
    PatientSummary(Instance),
    /// `GET Observation/$lastn`
    LastN(LastN),
    /// `GET DocumentReference/$docref`
    DocRef(DocRef),
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
    /// let odd = Interaction::parse("HEAD", "Patient/p1", None, None, &schema);
    /// assert_eq!(odd.map_err(|error| error.status()), Err(405));
    /// # Ok::<(), varco_core::interaction::InteractionError>(())
    /// ```
    pub fn parse(
        method: &str,
        path_after_base: &str,
        query: Option<&str>,
        form_body: Option<&[u8]>,
        schema: &SearchSchema,
    ) -> Result<Interaction, InteractionError> {
        Interaction::parse_with(method, path_after_base, query, form_body, schema, Handling::Strict)
    }

    /// The same for a caller that may prefer `handling=lenient` ([`headers::handling`]): then a search's
    /// parameters that FHIR does not define for its type are left out instead of refused.
    pub fn parse_with(
        method: &str,
        path_after_base: &str,
        query: Option<&str>,
        form_body: Option<&[u8]>,
        schema: &SearchSchema,
        handling: Handling,
    ) -> Result<Interaction, InteractionError> {
        let place = Place::parse(path_after_base, schema)?;
        let mut pairs = Vec::new();
        pairs::read(query.unwrap_or_default().as_bytes(), &mut pairs)?;
        if let (Place::TypeSearch(_), "POST") = (&place, method) {
            pairs::read(form_body.unwrap_or_default(), &mut pairs)?;
        } else if form_body.is_some() {
            return Err(InteractionError::UnexpectedForm);
        }
        let refused =
            InteractionError::NotServed { interaction: place.unserved(method), allow: place.allow() };
        let plain = match (place, method) {
            (Place::Type(of), "GET") | (Place::TypeSearch(of), "POST") => {
                return Search::parse(schema, of, &pairs, handling).map(Interaction::SearchType);
            }
            (Place::Type(of), "PUT") => {
                return conditional::criteria(schema, of, &pairs).map(Interaction::ConditionalUpdate);
            }
            (Place::Type(of), "PATCH") => {
                return conditional::criteria(schema, of, &pairs).map(Interaction::ConditionalPatch);
            }
            (Place::Type(of), "DELETE") => {
                return conditional::criteria(schema, of, &pairs).map(Interaction::ConditionalDelete);
            }
            (Place::InstanceHistory(instance), "GET") => {
                return History::parse(HistoryOf::Instance(instance), &pairs).map(Interaction::History);
            }
            (Place::TypeHistory(of), "GET") => {
                return History::parse(HistoryOf::Type(of), &pairs).map(Interaction::History);
            }
            (Place::SystemHistory, "GET") => {
                return History::parse(HistoryOf::System, &pairs).map(Interaction::History);
            }
            (Place::Everything(patient), "GET") => {
                return Everything::parse(schema, patient, &pairs).map(Interaction::Everything);
            }
            (Place::Operation(on, Operation::LastN), "GET") => {
                return LastN::parse(schema, on, pairs).map(Interaction::LastN);
            }
            (Place::Operation(on, Operation::DocRef), "GET") => {
                return DocRef::parse(schema, on, &pairs).map(Interaction::DocRef);
            }
            (Place::PatientSummary(patient), "GET") => Interaction::PatientSummary(patient),
            (Place::Metadata, "GET") => Interaction::Capabilities,
            (Place::Base, "POST") => Interaction::Batch,
            (Place::Type(of), "POST") => Interaction::Create(of),
            (Place::Instance(instance), "GET") => Interaction::Read(instance),
            (Place::Instance(instance), "PUT") => Interaction::Update(instance),
            (Place::Instance(instance), "PATCH") => Interaction::Patch(instance),
            (Place::Instance(instance), "DELETE") => Interaction::Delete(instance),
            (Place::Validate(of, instance), "POST") => Interaction::Validate(Validate::new(of, instance)),
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
            _ => return Err(refused),
        };
        plain.with_parameters(&pairs)
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

    /// Takes the parameters of what has hardly any.
    fn with_parameters(mut self, pairs: &[Pair]) -> Result<Interaction, InteractionError> {
        let mut once = Once::default();
        for Pair { name, value } in pairs {
            match (name.as_str(), &mut self) {
                ("_format", _) => once.format(value)?,
                ("_pretty", _) => once.pretty(value)?,
                ("mode", Interaction::Validate(own)) => own.set_mode(value)?,
                ("profile", Interaction::Validate(own)) => own.set_profile(value)?,
                // One form of summary is written here.
                ("profile", Interaction::PatientSummary(_)) => {
                    return Err(InteractionError::ParameterNotServed(ShownName::of(name)));
                }
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
            Interaction::History(history) => history.name(),
            Interaction::SearchType(_) => "search-type",
            Interaction::Create(_) | Interaction::ConditionalCreate(_) => "create",
            Interaction::Update(_) | Interaction::ConditionalUpdate(_) => "update",
            Interaction::Patch(_) | Interaction::ConditionalPatch(_) => "patch",
            Interaction::Delete(_) | Interaction::ConditionalDelete(_) => "delete",
            Interaction::Batch => "batch",
            Interaction::Transaction => "transaction",
            Interaction::Validate(_)
            | Interaction::Transform(..)
            | Interaction::Translate(..)
            | Interaction::Match(..)
            | Interaction::Everything(_)
            | Interaction::PatientSummary(_)
            | Interaction::LastN(_)
            | Interaction::DocRef(_) => "operation",
        }
    }

    /// The type of the resources asked for; none for the capability statement and for what concerns the whole
    /// server.
    pub fn resource_type(&self) -> Option<&ResourceType> {
        match self {
            Interaction::Capabilities | Interaction::Batch | Interaction::Transaction => None,
            Interaction::History(history) => history.resource_type(),
            Interaction::Create(resource_type)
            | Interaction::Transform(resource_type, _)
            | Interaction::Translate(resource_type, _)
            | Interaction::Match(resource_type, _) => Some(resource_type),
            Interaction::Validate(own) => Some(&own.resource_type),
            Interaction::SearchType(search) => Some(&search.resource_type),
            Interaction::LastN(own) => Some(&own.search.resource_type),
            Interaction::DocRef(own) => Some(&own.resource_type),
            own => match own.condition() {
                Some(search) => Some(&search.resource_type),
                None => own.instance().map(|instance| &instance.resource_type),
            },
        }
    }

    /// The one resource that the request names, if it names one.
    pub fn instance(&self) -> Option<&Instance> {
        match self {
            Interaction::Read(instance)
            | Interaction::Vread(instance, _)
            | Interaction::Update(instance)
            | Interaction::Patch(instance)
            | Interaction::Delete(instance)
            | Interaction::PatientSummary(instance) => Some(instance),
            Interaction::History(History { of: HistoryOf::Instance(instance), .. }) => Some(instance),
            Interaction::Validate(own) => own.instance.as_ref(),
            Interaction::Everything(own) => Some(&own.patient),
            _ => None,
        }
    }

    /// The operation's name with its dollar sign, if this is one.
    pub fn operation(&self) -> Option<&'static str> {
        match self {
            Interaction::Validate(_) => Some("$validate"),
            Interaction::Everything(_) => Some("$everything"),
            Interaction::PatientSummary(_) => Some("$summary"),
            Interaction::Transform(..) => Some(Operation::Transform.name()),
            Interaction::Translate(..) => Some(Operation::Translate.name()),
            Interaction::Match(..) => Some(Operation::Match.name()),
            Interaction::LastN(_) => Some(Operation::LastN.name()),
            Interaction::DocRef(_) => Some(Operation::DocRef.name()),
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

    /// The criteria that stand in the place of an id, if this is a conditional write.
    pub fn condition(&self) -> Option<&Search> {
        match self {
            Interaction::ConditionalCreate(search)
            | Interaction::ConditionalUpdate(search)
            | Interaction::ConditionalPatch(search)
            | Interaction::ConditionalDelete(search) => Some(search),
            _ => None,
        }
    }

    /// The search to be narrowed, if this is one.
    pub fn search_mut(&mut self) -> Option<&mut Search> {
        match self {
            Interaction::SearchType(search)
            | Interaction::ConditionalCreate(search)
            | Interaction::ConditionalUpdate(search)
            | Interaction::ConditionalPatch(search)
            | Interaction::ConditionalDelete(search) => Some(search),
            _ => None,
        }
    }

    /// The reads of other types that the request makes on its way ([`Search::joined_reads`]): the types and the
    /// parameters they are searched by.
    pub fn joined_reads(&self) -> Vec<(&ResourceType, Vec<&str>)> {
        self.search().or(self.condition()).map(Search::joined_reads).unwrap_or_default()
    }

    /// How many entries the caller wants on a page, where it said so. Never forwarded.
    pub fn count(&self) -> Option<u32> {
        match self {
            Interaction::SearchType(search) => search.count,
            Interaction::History(history) => history.count,
            Interaction::Everything(own) => own.count,
            Interaction::LastN(own) => own.search.count,
            Interaction::DocRef(own) => own.count,
            _ => None,
        }
    }

    /// True where the request changes data, or may, as a batch.
    pub fn is_write(&self) -> bool {
        !matches!(
            self,
            Interaction::Capabilities
                | Interaction::Read(_)
                | Interaction::Vread(..)
                | Interaction::History(_)
                | Interaction::SearchType(_)
                | Interaction::Validate(_)
                | Interaction::Transform(..)
                | Interaction::Translate(..)
                | Interaction::Match(..)
                | Interaction::Everything(_)
                | Interaction::PatientSummary(_)
                | Interaction::LastN(_)
                | Interaction::DocRef(_)
        )
    }

    /// True where the request carries a resource.
    pub fn takes_resource(&self) -> bool {
        match self {
            Interaction::Create(_)
            | Interaction::ConditionalCreate(_)
            | Interaction::Update(_)
            | Interaction::ConditionalUpdate(_)
            | Interaction::Batch
            | Interaction::Transaction
            | Interaction::Transform(..)
            | Interaction::Match(..) => true,
            Interaction::Validate(own) => !own.mode.is_some_and(ValidateMode::is_of_stored),
            Interaction::Translate(_, own) => own.by_post,
            _ => false,
        }
    }

    /// True where the request carries a patch.
    pub fn takes_patch(&self) -> bool {
        matches!(self, Interaction::Patch(_) | Interaction::ConditionalPatch(_))
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
        let Some(search) = self.search().or(self.condition()) else { return Ok(()) };
        let mut names: Vec<String> = if search.ids.is_empty() { Vec::new() } else { vec!["_id".to_owned()] };
        for criterion in &search.criteria {
            let mut name = String::new();
            criterion.write_name(&mut name);
            names.push(name);
        }
        for join in &search.joins {
            let mut name = String::new();
            join.write_name(&mut name);
            names.push(name);
        }
        names.extend(search.includes.iter().map(|include| format!("{}={}", include.name(), include.value())));
        if names.is_empty() { Ok(()) } else { write!(f, " ({})", names.join(", ")) }
    }
}

#[cfg(test)]
#[path = "interaction_tests.rs"]
mod tests;
