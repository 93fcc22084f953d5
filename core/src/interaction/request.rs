//! The request to the server behind, written from the closed type alone.

use std::fmt;

use super::{HistoryOf, Instance, Interaction, Search};

/// Searches whose query is longer than this, in bytes, go to the server as a form: URLs are cut by many
/// servers and logged by most.
const LONGEST_URL_QUERY: usize = 2048;

/// The methods that requests to the server behind are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
}

impl Method {
    /// The method as HTTP writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request to the server behind, relative to its base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamRequest {
    /// The method.
    pub method: Method,
    /// Path and query, percent-encoded, beginning with a slash; to be appended to the server's base.
    pub path_and_query: String,
    /// The form of a search by POST, of type `application/x-www-form-urlencoded`. A create or update has
    /// its body from elsewhere.
    pub form: Option<String>,
    /// The criteria of a conditional create, for the header `If-None-Exist`.
    pub if_none_exist: Option<String>,
}

impl UpstreamRequest {
    fn new(method: Method, path_and_query: String) -> UpstreamRequest {
        UpstreamRequest { method, path_and_query, form: None, if_none_exist: None }
    }
}

impl Interaction {
    /// The request to the server behind, without `_count`.
    pub fn to_request(&self) -> UpstreamRequest {
        self.build(None)
    }

    /// The request to the server behind, for pages of this many entries. Only searches and histories have
    /// pages; for anything else it is [`Interaction::to_request`].
    pub fn to_request_with_count(&self, page_size: u32) -> UpstreamRequest {
        self.build(Some(page_size))
    }

    /// What was asked of resources that nobody named, as path and query below the base, with the caller's own
    /// `_count`; `None` where the request names the one that it is about. Holds values, so never log it.
    pub fn question(&self) -> Option<String> {
        let search = self.search().or(self.condition());
        if let Some(search) = search {
            return Some(with_query(format!("/{}", search.resource_type), &search.self_query()));
        }
        let asks = match self {
            Interaction::History(history) => !matches!(history.of, HistoryOf::Instance(_)),
            Interaction::Everything(_)
            | Interaction::PatientSummary(_)
            | Interaction::LastN(_)
            | Interaction::DocRef(_) => true,
            _ => false,
        };
        asks.then(|| self.build(self.count()).path_and_query)
    }

    fn build(&self, page_size: Option<u32>) -> UpstreamRequest {
        let get = |path| UpstreamRequest::new(Method::Get, path);
        let criteria = |method, search: &Search| {
            UpstreamRequest::new(
                method,
                with_query(format!("/{}", search.resource_type), &search.query(None)),
            )
        };
        match self {
            Interaction::Capabilities => get("/metadata".to_owned()),
            Interaction::Read(instance) => get(path_of(instance)),
            Interaction::Vread(instance, version) => {
                get(format!("{}/_history/{}", path_of(instance), version.as_str()))
            }
            Interaction::History(history) => {
                let place = match &history.of {
                    HistoryOf::Instance(instance) => path_of(instance),
                    HistoryOf::Type(resource_type) => format!("/{resource_type}"),
                    HistoryOf::System => String::new(),
                };
                get(with_query(format!("{place}/_history"), &history.query(page_size)))
            }
            Interaction::SearchType(search) => {
                let query = search.query(page_size);
                let path = format!("/{}", search.resource_type);
                if query.len() <= LONGEST_URL_QUERY {
                    get(with_query(path, &query))
                } else {
                    let form = Some(query);
                    UpstreamRequest { form, ..UpstreamRequest::new(Method::Post, format!("{path}/_search")) }
                }
            }
            Interaction::Create(resource_type) => {
                UpstreamRequest::new(Method::Post, format!("/{resource_type}"))
            }
            Interaction::ConditionalCreate(search) => {
                let if_none_exist = Some(search.query(None));
                let plain = UpstreamRequest::new(Method::Post, format!("/{}", search.resource_type));
                UpstreamRequest { if_none_exist, ..plain }
            }
            Interaction::Update(instance) => UpstreamRequest::new(Method::Put, path_of(instance)),
            Interaction::ConditionalUpdate(search) => criteria(Method::Put, search),
            Interaction::Patch(instance) => UpstreamRequest::new(Method::Patch, path_of(instance)),
            Interaction::ConditionalPatch(search) => criteria(Method::Patch, search),
            Interaction::Delete(instance) => UpstreamRequest::new(Method::Delete, path_of(instance)),
            Interaction::ConditionalDelete(search) => criteria(Method::Delete, search),
            Interaction::Batch | Interaction::Transaction => {
                UpstreamRequest::new(Method::Post, "/".to_owned())
            }
            // Answered by the gateway: the request only shows what it would be.
            Interaction::Validate(own) => {
                let place = match &own.instance {
                    Some(instance) => path_of(instance),
                    None => format!("/{}", own.resource_type),
                };
                let query = own.query();
                UpstreamRequest::new(Method::Post, with_query(format!("{place}/$validate"), &query))
            }
            Interaction::Transform(on, _) | Interaction::Translate(on, _) | Interaction::Match(on, _) => {
                let operation = self.operation().unwrap_or_default();
                UpstreamRequest::new(Method::Post, format!("/{on}/{operation}"))
            }
            Interaction::LastN(own) => {
                get(with_query("/Observation/$lastn".to_owned(), &own.query(page_size)))
            }
            Interaction::DocRef(own) => {
                get(with_query("/DocumentReference/$docref".to_owned(), &own.query(page_size)))
            }
            Interaction::PatientSummary(patient) => get(format!("{}/$summary", path_of(patient))),
            Interaction::Everything(own) => {
                let place = format!("{}/$everything", path_of(&own.patient));
                get(with_query(place, &own.query(page_size)))
            }
        }
    }
}

fn with_query(path: String, query: &str) -> String {
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

fn path_of(instance: &Instance) -> String {
    ["/", instance.resource_type.as_str(), "/", instance.id.as_str()].concat()
}
