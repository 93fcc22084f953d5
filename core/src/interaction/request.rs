//! The request to the server behind, written from the closed type alone.

use std::fmt;

use super::percent::encode_into;
use super::{Instance, Interaction};

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

    fn build(&self, page_size: Option<u32>) -> UpstreamRequest {
        let get = |path_and_query| UpstreamRequest { method: Method::Get, path_and_query, form: None };
        match self {
            Interaction::Capabilities => get("/metadata".to_owned()),
            Interaction::Read(instance) => get(path_of(instance)),
            Interaction::Vread(instance, version) => {
                get(format!("{}/_history/{}", path_of(instance), version.as_str()))
            }
            Interaction::HistoryInstance(history) => {
                let mut path = format!("{}/_history", path_of(&history.instance));
                let mut mark = '?';
                if let Some(since) = &history.since {
                    path.push_str("?_since=");
                    encode_into(&mut path, since);
                    mark = '&';
                }
                if let Some(count) = page_size {
                    path.push_str(&format!("{mark}_count={count}"));
                }
                get(path)
            }
            Interaction::SearchType(search) => {
                let query = search.query(page_size);
                let path = format!("/{}", search.resource_type);
                if query.is_empty() {
                    get(path)
                } else if query.len() <= LONGEST_URL_QUERY {
                    get(format!("{path}?{query}"))
                } else {
                    UpstreamRequest {
                        method: Method::Post,
                        path_and_query: format!("{path}/_search"),
                        form: Some(query),
                    }
                }
            }
            Interaction::Create(resource_type) => UpstreamRequest {
                method: Method::Post,
                path_and_query: format!("/{resource_type}"),
                form: None,
            },
            Interaction::Update(instance) => {
                UpstreamRequest { method: Method::Put, path_and_query: path_of(instance), form: None }
            }
            // Answered by the gateway: the request only shows what it would be.
            Interaction::Validate(own) => {
                let place = match &own.instance {
                    Some(instance) => path_of(instance),
                    None => format!("/{}", own.resource_type),
                };
                let path_and_query = format!("{place}/$validate");
                UpstreamRequest { method: Method::Post, path_and_query, form: None }
            }
            Interaction::Transform(on, _) | Interaction::Translate(on, _) | Interaction::Match(on, _) => {
                let path_and_query = format!("/{on}/{}", self.operation().unwrap_or_default());
                UpstreamRequest { method: Method::Post, path_and_query, form: None }
            }
            Interaction::Delete(instance) => {
                UpstreamRequest { method: Method::Delete, path_and_query: path_of(instance), form: None }
            }
        }
    }
}

fn path_of(instance: &Instance) -> String {
    format!("/{}/{}", instance.resource_type, instance.id.as_str())
}
