//! A search in one resource type (FHIR R4 §3.1.1), by GET and by POST alike.
//!
//! Invariant: whatever is not in [`Search`] was refused. `_count` is what the caller wants; it never goes to
//! the server behind, because the gateway fills its own pages.

use super::criterion::Criterion;
use super::error::{InteractionError, ShownName};
use super::id::{Id, ResourceType};
use super::pairs::Pair;
use super::percent::encode_into;
use super::schema::SearchSchema;

/// The most parameters that one request may have.
pub const MOST_PARAMETERS: usize = 100;

/// Parameters of FHIR R4 that mean something for every type and are not served yet.
const NOT_SERVED: &[&str] = &[
    "_at",
    "_contained",
    "_containedType",
    "_content",
    "_elements",
    "_filter",
    "_has",
    "_include",
    "_list",
    "_pretty",
    "_query",
    "_revinclude",
    "_score",
    "_since",
    "_source",
    "_summary",
    "_text",
    "_total",
    "_type",
];

/// One step of an order (`_sort`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SortKey {
    /// The search parameter to sort by.
    pub parameter: Box<str>,
    /// From the highest value down.
    pub descending: bool,
}

/// A search in one resource type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The type that is searched.
    pub resource_type: ResourceType,
    /// `_id`: one of these; empty where any will do.
    pub ids: Vec<Id>,
    /// The criteria, all of which must hold.
    pub criteria: Vec<Criterion>,
    /// The order of the matches; empty where the server may choose.
    pub sort: Vec<SortKey>,
    /// `_count`: how many matches the caller wants on a page, at least 1.
    pub count: Option<u32>,
}

impl Search {
    /// A search for everything of a type.
    pub fn all(resource_type: ResourceType) -> Search {
        Search { resource_type, ids: Vec::new(), criteria: Vec::new(), sort: Vec::new(), count: None }
    }

    pub(super) fn parse(
        schema: &SearchSchema,
        resource_type: ResourceType,
        pairs: &[Pair],
    ) -> Result<Search, InteractionError> {
        let mut search = Search::all(resource_type);
        let mut once = Once::default();
        for Pair { name, value } in pairs {
            match name.as_str() {
                "_id" => {
                    once.see("_id")?;
                    search.ids = ids(value)?;
                }
                "_count" => {
                    once.see("_count")?;
                    search.count = Some(count(value)?);
                }
                "_sort" => {
                    once.see("_sort")?;
                    search.sort = search.sort_keys(schema, value)?;
                }
                "_format" => once.format(value)?,
                other if is_not_served(other) => {
                    return Err(InteractionError::ParameterNotServed(ShownName::of(base(other))));
                }
                other => {
                    search.criteria.push(Criterion::parse(schema, &search.resource_type, other, value)?);
                }
            }
        }
        Ok(search)
    }

    fn sort_keys(&self, schema: &SearchSchema, text: &str) -> Result<Vec<SortKey>, InteractionError> {
        let key = |part: &str| {
            let (parameter, descending) = match part.strip_prefix('-') {
                Some(rest) => (rest, true),
                None => (part, false),
            };
            let known = matches!(parameter, "_id" | "_lastUpdated")
                || (!parameter.starts_with('_')
                    && schema.parameter(&self.resource_type, parameter).is_some());
            known.then(|| SortKey { parameter: parameter.into(), descending }).ok_or(())
        };
        let keys: Result<Vec<SortKey>, ()> = text.split(',').map(key).collect();
        keys.ok().filter(|keys| keys.len() <= MOST_PARAMETERS).ok_or(InteractionError::BadValue {
            name: ShownName::of("_sort"),
            expected: "search parameters of the type joined by commas, each with a minus to sort down",
        })
    }

    /// The query as the gateway understood it, encoded anew, with the caller's own `_count`: for the `self`
    /// link of the answer (FHIR R4 §3.1.1.3.2.1). Empty where there is none; holds values, so never log it.
    pub fn self_query(&self) -> String {
        self.query(self.count)
    }

    /// The query with this `_count`, or none.
    pub(super) fn query(&self, page_size: Option<u32>) -> String {
        let mut out = String::new();
        let mut add = |name: &str, value: &str| {
            if !out.is_empty() {
                out.push('&');
            }
            encode_into(&mut out, name);
            out.push('=');
            encode_into(&mut out, value);
        };
        if !self.ids.is_empty() {
            let ids: Vec<&str> = self.ids.iter().map(Id::as_str).collect();
            add("_id", &ids.join(","));
        }
        for criterion in &self.criteria {
            let (mut name, mut value) = (String::new(), String::new());
            criterion.write_name(&mut name);
            criterion.write_values(&mut value);
            add(&name, &value);
        }
        if !self.sort.is_empty() {
            let sign = |key: &SortKey| if key.descending { "-" } else { "" };
            let keys: Vec<String> =
                self.sort.iter().map(|key| format!("{}{}", sign(key), key.parameter)).collect();
            add("_sort", &keys.join(","));
        }
        if let Some(count) = page_size {
            add("_count", &count.to_string());
        }
        out
    }
}

/// Parameters that may stand once, as they are met.
#[derive(Default)]
pub(super) struct Once(Vec<&'static str>);

impl Once {
    pub(super) fn see(&mut self, name: &'static str) -> Result<(), InteractionError> {
        if self.0.contains(&name) {
            return Err(InteractionError::Repeated(ShownName::of(name)));
        }
        self.0.push(name);
        Ok(())
    }

    /// `_format` (FHIR R4 §3.1.0.1.11): it must ask for JSON, and then there is nothing more to keep of it.
    /// A plus that was not escaped has become a space by then.
    pub(super) fn format(&mut self, value: &str) -> Result<(), InteractionError> {
        self.see("_format")?;
        let json = matches!(
            value,
            "json" | "text/json" | "application/json" | "application/fhir+json" | "application/fhir json"
        );
        if json { Ok(()) } else { Err(InteractionError::NotAcceptable) }
    }
}

/// The parameter's name without modifiers.
fn base(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// True for parameters of FHIR R4 that are refused because they are not built yet, under any modifier.
pub(super) fn is_not_served(name: &str) -> bool {
    NOT_SERVED.contains(&base(name))
}

fn ids(text: &str) -> Result<Vec<Id>, InteractionError> {
    let bad =
        InteractionError::BadValue { name: ShownName::of("_id"), expected: "logical ids joined by commas" };
    let parts = text.split(',').map(Id::parse);
    if text.split(',').count() > super::criterion::MOST_VALUES {
        return Err(InteractionError::TooMuch {
            what: "values in one parameter",
            limit: super::criterion::MOST_VALUES,
        });
    }
    parts.collect::<Option<Vec<Id>>>().ok_or(bad)
}

/// A page size: a whole number from 1 up. Zero would ask for a bare count (`_summary=count`).
pub(super) fn count(text: &str) -> Result<u32, InteractionError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.filter(|&count| count > 0).ok_or(InteractionError::BadValue {
        name: ShownName::of("_count"),
        expected: "a whole number from 1 to 4294967295",
    })
}
