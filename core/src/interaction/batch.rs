//! Batches and transactions: a Bundle taken apart into requests that are each an [`Interaction`] of their own
//! (FHIR R4 §3.1.0.11).
//!
//! Invariant: an entry says nothing that a request of its own could not say. Its URL is relative to the base or
//! lies below one of the server's own bases, and is read by the same parser; `./`, `//host`, another server's
//! URL and a Bundle inside the Bundle are refused.
//!
//! References between entries (`urn:uuid:…`) and conditional references (`Patient?identifier=…`) are found
//! wherever they stand; [`Batch::depends`] tells which entries must come first.

use fhir_models::document::{Name, Value, name};

use super::error::InteractionError;
use super::headers::{FHIR_JSON, Handling, Header, JSON_PATCH, RequestHeaders};
use super::schema::SearchSchema;
use super::{Interaction, path};

/// The most entries that one Bundle may have.
pub const MOST_ENTRIES: usize = 500;

/// Which of the two a Bundle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BatchKind {
    /// Each entry for itself.
    Batch,
    /// All entries or none.
    Transaction,
}

/// One request of a Bundle.
#[derive(Debug, Clone)]
pub struct BatchEntry<'a> {
    /// What other entries know its resource by.
    pub full_url: Option<String>,
    /// What it asks, or why that is refused.
    pub asked: Result<Asked, InteractionError>,
    /// The resource it carries.
    pub resource: Option<Value<'a>>,
}

/// What an entry asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The interaction.
    pub interaction: Interaction,
    /// What would stand in headers.
    pub headers: RequestHeaders,
}

/// A Bundle of requests.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    /// Batch or transaction.
    pub kind: BatchKind,
    /// The requests, in the Bundle's order.
    pub entries: Vec<BatchEntry<'a>>,
}

impl<'a> Batch<'a> {
    /// Takes a Bundle apart. `bases` are the server's own base URLs, without a slash at their ends.
    ///
    /// Errors are for the Bundle as a whole: another type of resource or Bundle, too many entries, an entry
    /// without request, two entries with one `fullUrl`. What is wrong with one entry stands in
    /// [`BatchEntry::asked`].
    pub fn parse(
        bundle: Value<'a>,
        bases: &[String],
        schema: &SearchSchema,
        handling: Handling,
    ) -> Result<Batch<'a>, InteractionError> {
        let refused = InteractionError::Bundle;
        if bundle.resource_type().as_deref() != Some("Bundle") {
            return Err(refused("the body must be a Bundle"));
        }
        let kind = match bundle.str_of(name::TYPE).as_deref() {
            Some("batch") => BatchKind::Batch,
            Some("transaction") => BatchKind::Transaction,
            _ => return Err(refused("its type must be `batch` or `transaction`")),
        };
        let listed: Vec<Value<'a>> = match bundle.get(name::ENTRY) {
            None => Vec::new(),
            Some(entries) if entries.is_array() => entries.children().collect(),
            Some(_) => return Err(refused("`entry` must be a list")),
        };
        if listed.len() > MOST_ENTRIES {
            return Err(InteractionError::TooMuch { what: "entries", limit: MOST_ENTRIES });
        }
        let mut entries: Vec<BatchEntry<'a>> = Vec::with_capacity(listed.len());
        for entry in listed {
            let request = entry.get(Name::of("request")).filter(|request| request.is_object());
            let request = request.ok_or(refused("each entry needs a `request` with `method` and `url`"))?;
            let full_url = entry.str_of(Name::of("fullUrl")).map(|url| url.into_owned());
            if full_url.is_some() && entries.iter().any(|known| known.full_url == full_url) {
                return Err(refused("two entries have the same `fullUrl`"));
            }
            let resource = entry.get(name::RESOURCE).filter(|resource| resource.is_object());
            let asked = asked(request, resource, bases, schema, handling);
            entries.push(BatchEntry { full_url, asked, resource });
        }
        Ok(Batch { kind, entries })
    }

    /// For each entry, the entries whose resources it refers to by their `fullUrl`, in order, each once.
    pub fn depends(&self) -> Vec<Vec<usize>> {
        let place = |url: &str| {
            let named = |entry: &BatchEntry<'_>| entry.full_url.as_deref() == Some(url);
            url.starts_with("urn:").then(|| self.entries.iter().position(named)).flatten()
        };
        let of = |entry: &BatchEntry<'a>| {
            let mut found: Vec<usize> = entry
                .resource
                .into_iter()
                .flat_map(references)
                .filter_map(|reference| place(&reference.as_str()?))
                .collect();
            found.sort_unstable();
            found.dedup();
            found
        };
        self.entries.iter().map(of).collect()
    }
}

/// The values of all references in a resource: `reference` members, wherever they stand.
pub fn references(resource: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    resource.descendants().filter(|value| value.name() == name::REFERENCE && value.as_str().is_some())
}

/// A reference that stands for a search, as in `Patient?identifier=…` (FHIR R4 §3.1.0.11.3): the search, or
/// `None` for any other reference.
pub fn conditional_reference(
    reference: &str,
    schema: &SearchSchema,
) -> Option<Result<Interaction, InteractionError>> {
    let (path, query) = reference.split_once('?')?;
    if path.contains([':', '/']) {
        return None;
    }
    let parsed = Interaction::parse("DELETE", path, Some(query), None, schema);
    Some(parsed.map(|own| match own {
        Interaction::ConditionalDelete(search) => Interaction::SearchType(search),
        other => other,
    }))
}

fn asked(
    request: Value<'_>,
    resource: Option<Value<'_>>,
    bases: &[String],
    schema: &SearchSchema,
    handling: Handling,
) -> Result<Asked, InteractionError> {
    let refused = InteractionError::Bundle;
    let member = |member: &str| request.get_key(member).and_then(Value::as_str);
    let method = request.str_of(Name::of("method")).ok_or(refused("`request.method` is missing"))?;
    let url = request.str_of(name::URL).ok_or(refused("`request.url` is missing"))?;
    let place = below(&url, bases)?;
    let (path, query) = match place.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (place, None),
    };
    if path.is_empty() {
        return Err(refused("an entry must not be a batch, a transaction or a search over all types"));
    }
    if path::expects_form(&method, path) {
        return Err(refused("a search in an entry is written as GET"));
    }
    let mut interaction = Interaction::parse_with(&method, path, query, None, schema, handling)?;
    if interaction == Interaction::Capabilities {
        return Err(refused("the capability statement is not asked for in an entry"));
    }
    let is_patch = resource.is_some_and(|own| own.resource_type().as_deref() == Some("Binary"));
    let body = if interaction.takes_patch() && is_patch { JSON_PATCH } else { FHIR_JSON };
    let mut headers: Vec<Header<'_>> = vec![("content-type", body.as_bytes())];
    let named = [
        ("if-match", member("ifMatch")),
        ("if-none-match", member("ifNoneMatch")),
        ("if-none-exist", member("ifNoneExist")),
    ];
    for (name, value) in &named {
        headers.extend(value.as_deref().map(|value| (*name, value.as_bytes())));
    }
    let mut read = RequestHeaders::parse(headers, &interaction, false)?;
    if let Some(since) = member("ifModifiedSince").filter(|_| !interaction.is_write()) {
        read.if_modified_since = since.parse().ok();
    }
    if let Some(criteria) = read.if_none_exist.take() {
        interaction = interaction.unless_exists(&criteria, schema)?;
    }
    let carries = interaction.takes_resource() || interaction.takes_patch();
    match resource {
        None if carries => Err(refused("the entry needs a `resource`")),
        Some(_) if !carries => Err(refused("the entry must not have a `resource`")),
        _ => Ok(Asked { interaction, headers: read }),
    }
}

/// What stands below the base: of a relative URL all of it, of an absolute one what follows one of our bases.
fn below<'u>(url: &'u str, bases: &[String]) -> Result<&'u str, InteractionError> {
    let elsewhere =
        InteractionError::Bundle("`request.url` must be relative, or lie below this server's base");
    if let Some((scheme, _)) = url.split_once("://")
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        let below = |base: &String| {
            let rest = url.strip_prefix(base.as_str())?;
            rest.strip_prefix('/').or(rest.is_empty().then_some(rest))
        };
        let rest = bases.iter().find_map(below).filter(|rest| !rest.starts_with('/'));
        return rest.ok_or(elsewhere);
    }
    if url.starts_with('/') || url.starts_with("./") || url.starts_with("../") || url.starts_with('\\') {
        return Err(elsewhere);
    }
    Ok(url)
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
