//! A search in one resource type (FHIR R4 §3.1.1), by GET and by POST alike.
//!
//! Invariant: whatever is not in [`Search`] was refused or, where the caller prefers `handling=lenient`, is
//! unknown to FHIR and left out. `_count` is what the caller wants; it never goes to the server behind, because
//! the gateway fills its own pages. Joins, includes and what shapes the answer are for the gateway to carry out:
//! [`Search::matches`] is the search without them.

use super::criterion::Criterion;
use super::error::{InteractionError, ShownName};
use super::headers::Handling;
use super::id::{Id, ResourceType};
use super::include::{Include, IncludePath, is_include};
use super::join::{Join, is_join};
use super::pairs::Pair;
use super::percent::encode_into;
use super::presentation::{self, Summary, TotalWanted};
use super::schema::SearchSchema;

/// The most parameters that one request may have.
pub const MOST_PARAMETERS: usize = 100;
/// The most criteria on other resources, and the most includes, that one search may have: each is a search.
pub const MOST_JOINS: usize = 16;

/// Parameters of FHIR R4 that mean something for every type and are refused by name.
const NOT_SERVED: &[&str] = &[
    "_at",
    "_contained",
    "_containedType",
    "_content",
    "_filter",
    "_list",
    "_query",
    "_score",
    "_since",
    "_text",
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
    /// Criteria on other resources, all of which must hold.
    pub joins: Vec<Join>,
    /// What comes along with the matches.
    pub includes: Vec<Include>,
    /// The order of the matches; empty where the server may choose.
    pub sort: Vec<SortKey>,
    /// `_count`: how many matches the caller wants on a page, at least 1.
    pub count: Option<u32>,
    /// `_summary`: how much of each resource is shown.
    pub summary: Option<Summary>,
    /// `_elements`: the elements to show; empty for all.
    pub elements: Vec<Box<str>>,
    /// `_total`: whether the number of matches is wanted.
    pub total: Option<TotalWanted>,
}

impl Search {
    /// A search for everything of a type.
    pub fn all(resource_type: ResourceType) -> Search {
        Search {
            resource_type,
            ids: Vec::new(),
            criteria: Vec::new(),
            joins: Vec::new(),
            includes: Vec::new(),
            sort: Vec::new(),
            count: None,
            summary: None,
            elements: Vec::new(),
            total: None,
        }
    }

    /// The search for the matches alone: ids, criteria and order. What needs other resources or shapes the
    /// answer is left out, so the caller of this must see to it.
    pub fn matches(&self) -> Search {
        let Search { resource_type, ids, criteria, sort, .. } = self.clone();
        Search { ids, criteria, sort, ..Search::all(resource_type) }
    }

    /// The reads of other resources that the search makes on its way: each must be allowed as a search of that
    /// type by these parameters. For includes whose type only the data tells, see [`Include::reads`].
    pub fn joined_reads(&self) -> Vec<(&ResourceType, Vec<&str>)> {
        let joined = self.joins.iter().flat_map(Join::reads);
        let included = self.includes.iter().filter_map(|include| {
            let parameter = match &include.path {
                IncludePath::Parameter { parameter, .. } if include.reverse => vec![&**parameter],
                _ => Vec::new(),
            };
            Some((include.named_type()?, parameter))
        });
        joined.chain(included).collect()
    }

    /// Every criterion, those on other resources included.
    pub fn criteria_mut(&mut self) -> impl Iterator<Item = &mut Criterion> {
        self.criteria.iter_mut().chain(self.joins.iter_mut().filter_map(Join::criterion_mut))
    }

    /// True where the search asks for everything of its type.
    pub fn is_unbounded(&self) -> bool {
        self.ids.is_empty() && self.criteria.is_empty() && self.joins.is_empty()
    }

    pub(super) fn parse(
        schema: &SearchSchema,
        resource_type: ResourceType,
        pairs: &[Pair],
        handling: Handling,
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
                "_summary" => {
                    once.see("_summary")?;
                    search.summary = Some(Summary::parse(value)?);
                }
                "_elements" => {
                    once.see("_elements")?;
                    search.elements = presentation::elements(value)?;
                }
                "_total" => {
                    once.see("_total")?;
                    search.total = Some(TotalWanted::parse(value)?);
                }
                "_format" => once.format(value)?,
                "_pretty" => once.pretty(value)?,
                other if is_not_served(other) => {
                    return Err(InteractionError::ParameterNotServed(ShownName::of(base(other))));
                }
                other if is_include(other) => search.includes.push(Include::parse(schema, other, value)?),
                other if is_join(other) => match Join::parse(schema, &search.resource_type, other, value) {
                    Ok(join) => search.joins.push(join),
                    Err(error) => tolerate(error, handling)?,
                },
                other => match Criterion::parse(schema, &search.resource_type, other, value) {
                    Ok(criterion) => search.criteria.push(criterion),
                    Err(error) => tolerate(error, handling)?,
                },
            }
        }
        if search.joins.len() > MOST_JOINS || search.includes.len() > MOST_JOINS {
            return Err(InteractionError::TooMuch { what: "chains or includes", limit: MOST_JOINS });
        }
        if search.summary.is_some() && !search.elements.is_empty() {
            return Err(InteractionError::Together("_summary", "_elements"));
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
        for join in &self.joins {
            let (mut name, mut value) = (String::new(), String::new());
            join.write_name(&mut name);
            join.write_values(&mut value);
            add(&name, &value);
        }
        for include in &self.includes {
            add(include.name(), &include.value());
        }
        if !self.sort.is_empty() {
            let sign = |key: &SortKey| if key.descending { "-" } else { "" };
            let keys: Vec<String> =
                self.sort.iter().map(|key| format!("{}{}", sign(key), key.parameter)).collect();
            add("_sort", &keys.join(","));
        }
        if let Some(summary) = self.summary {
            add("_summary", summary.code());
        }
        if !self.elements.is_empty() {
            add("_elements", &self.elements.join(","));
        }
        if let Some(total) = self.total {
            add("_total", total.code());
        }
        if let Some(count) = page_size {
            add("_count", &count.to_string());
        }
        out
    }
}

/// A parameter that FHIR does not define for the type is left out where the caller prefers it so (FHIR R4
/// §3.1.1.2); nothing else is.
fn tolerate(error: InteractionError, handling: Handling) -> Result<(), InteractionError> {
    match error {
        InteractionError::UnknownParameter { .. } if handling == Handling::Lenient => Ok(()),
        error => Err(error),
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

    /// `_pretty` (FHIR R4 §3.1.0.1.12): read and not honoured, answers are compact.
    pub(super) fn pretty(&mut self, value: &str) -> Result<(), InteractionError> {
        self.see("_pretty")?;
        let expected = "true or false";
        let fit = matches!(value, "true" | "false");
        if fit {
            Ok(())
        } else {
            Err(InteractionError::BadValue { name: ShownName::of("_pretty"), expected })
        }
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

pub(super) fn ids(text: &str) -> Result<Vec<Id>, InteractionError> {
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
