//! Criteria in the place of an id: conditional create, update, patch and delete (FHIR R4 §3.1.0.8.1, §3.1.0.4.3,
//! §3.1.0.6 and §3.1.0.7.1).
//!
//! Invariant: there is at least one criterion, and nothing that is none. Criteria are met by what the caller may
//! see; so the server behind is never asked to decide them.

use super::error::InteractionError;
use super::headers::Handling;
use super::id::ResourceType;
use super::pairs::{self, Pair};
use super::schema::SearchSchema;
use super::search::Search;
use super::{Interaction, InteractionError as Error};

/// Reads criteria. `_format` and `_pretty` may stand beside them in a URL.
pub(super) fn criteria(
    schema: &SearchSchema,
    resource_type: ResourceType,
    pairs: &[Pair],
) -> Result<Search, InteractionError> {
    let search = Search::parse(schema, resource_type, pairs, Handling::Strict)?;
    let Search { includes, sort, count, summary, elements, total, .. } = &search;
    let shaped = summary.is_some() || total.is_some() || count.is_some() || !elements.is_empty();
    if shaped || !includes.is_empty() || !sort.is_empty() || search.is_unbounded() {
        return Err(Error::Condition);
    }
    Ok(search)
}

impl Interaction {
    /// A create that happens only if nothing meets the criteria of its `If-None-Exist` header or, in a Bundle,
    /// of `request.ifNoneExist`: a query, with or without its question mark. An absolute URL, or a path that
    /// names a type, is refused.
    pub fn unless_exists(self, query: &str, schema: &SearchSchema) -> Result<Interaction, InteractionError> {
        let Interaction::Create(resource_type) = self else {
            return Err(Error::Precondition("If-None-Exist"));
        };
        let mut found = Vec::new();
        pairs::read(query.strip_prefix('?').unwrap_or(query).as_bytes(), &mut found)?;
        if found.iter().any(|pair| matches!(pair.name.as_str(), "_format" | "_pretty")) {
            return Err(Error::Condition);
        }
        criteria(schema, resource_type, &found).map(Interaction::ConditionalCreate)
    }
}
