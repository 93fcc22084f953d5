//! Taking hidden resources out of an answer, by cutting bytes.
//!
//! Invariant (twin worlds, FHIR R4 §6.1.0.4): a searchset from which hidden entries were cut is byte for byte
//! the searchset that the server would have sent had those resources never existed. Whatever else could
//! tell the two apart is therefore treated the same whether or not anything is hidden:
//!
//! * links other than `self` go, since a `next` page may exist for hidden entries alone;
//! * `total` is removed, or set to what is shown;
//! * entries of mode `outcome` and `include` go: the first may speak of hidden entries, the second can't be
//!   asked for yet, so nobody knows on whose behalf they stand there;
//! * scores go, since they are relative to all matches;
//! * members of the Bundle that a searchset has no use for go, its signature among them.
//!
//! Inside one resource no twin can exist, because its narrative was written by somebody who saw everything:
//! where a nested resource is cut out, every narrative of the outermost resource goes with it.

use fhir_models::document::{Document, Edits, JsonWriter, Name, Value, name};

use super::cut::narratives;
use super::nested::{NestedResource, resources};

/// Whether a resource may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Show,
    /// It goes, and must not be missed.
    Hide,
}

/// A resource that a verdict is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The resource; `None` for an entry without one, such as a deletion in a history.
    pub resource: Option<Value<'a>>,
    /// The entry, parameter or contained resource that goes with it.
    pub unit: Value<'a>,
    /// True for a resource inside the one that was asked for, contained or in a nested Bundle.
    pub nested: bool,
}

/// What becomes of `Bundle.total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Total {
    /// It goes. The only safe way where the Bundle is one page of several.
    #[default]
    Remove,
    /// It is set to the number of entries shown, where the server sent one. Only right where the Bundle is
    /// the whole result.
    Shown,
    /// It is set to this number: the gateway has counted all pages.
    Exactly(u64),
}

/// What becomes of the Bundle's own members.
#[derive(Debug, Clone, Default)]
pub struct BundleRules {
    /// What becomes of `Bundle.total`.
    pub total: Total,
    /// Links, as relation and URL, that stand in the place of the server's. `None` keeps its `self` link.
    pub links: Option<Vec<(String, String)>>,
}

/// A Bundle as it may leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedactedBundle {
    /// The Bundle's text.
    pub json: Vec<u8>,
    /// How many entries stayed.
    pub shown: usize,
    /// How many entries a verdict took out.
    pub hidden: usize,
    /// How many entries of mode `outcome` or `include` went.
    pub dropped: usize,
}

/// An answer that can't be redacted. Nothing of it may leave: the server behind did not send what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedactError {
    /// Not a Bundle of type searchset or history.
    #[error("the server answered a search or history with something else than a Bundle of that type")]
    NotASearchset,
    /// Entries that don't follow R4.
    #[error("the server sent a Bundle whose entries are not objects that hold a resource each")]
    BadEntry,
}

/// Members of a searchset or history that may stay.
const KEPT: &[Name] =
    &[name::RESOURCE_TYPE, name::ID, name::META, name::TYPE, name::ENTRY, name::LINK, name::TOTAL];
const KEPT_TEXT: &[&str] = &["implicitRules", "language", "timestamp"];

/// Cuts hidden entries out of a searchset or history, and hidden resources out of the entries that stay.
///
/// The verdict is asked for every entry that is not of mode `outcome` or `include`, then for every resource
/// nested in an entry that stays.
///
/// ```
/// use fhir_models::document::{Limits, Tape, name};
/// use varco_core::access::{BundleRules, Total, Verdict, redact_bundle};
///
/// let text = br#"{"resourceType":"Bundle","type":"searchset","total":2,"entry":[
///   {"resource":{"resourceType":"Flag","id":"a"}},{"resource":{"resourceType":"Flag","id":"b"}}]}"#;
/// let mut tape = Tape::new();
/// let bundle = tape.parse_json(text, &Limits::default())?;
/// let rules = BundleRules { total: Total::Shown, links: None };
/// let redacted = redact_bundle(bundle, &rules, |candidate| {
///     let hidden = candidate.resource.and_then(|flag| flag.get(name::ID)).is_some_and(|id| id.is_str("a"));
///     if hidden { Verdict::Hide } else { Verdict::Show }
/// })?;
/// assert_eq!(String::from_utf8_lossy(&redacted.json), r#"{"resourceType":"Bundle","type":"searchset","total":1,"entry":[
///   {"resource":{"resourceType":"Flag","id":"b"}}]}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn redact_bundle<'a>(
    document: Document<'a>,
    rules: &BundleRules,
    mut verdict: impl FnMut(&Candidate<'a>) -> Verdict,
) -> Result<RedactedBundle, RedactError> {
    let bundle = document.root();
    let fit = bundle.is_object()
        && bundle.get(name::RESOURCE_TYPE).is_some_and(|own| own.is_str("Bundle"))
        && bundle.get(name::TYPE).is_some_and(|own| own.is_str("searchset") || own.is_str("history"));
    if !fit {
        return Err(RedactError::NotASearchset);
    }
    let mut edits = Edits::new(document);
    let mut result = RedactedBundle { json: Vec::new(), shown: 0, hidden: 0, dropped: 0 };
    for entry in entries(bundle)? {
        if !is_match(entry) {
            edits.remove(entry);
            result.dropped += 1;
            continue;
        }
        let resource = entry.get(name::RESOURCE);
        if verdict(&Candidate { resource, unit: entry, nested: false }) == Verdict::Hide {
            edits.remove(entry);
            result.hidden += 1;
            continue;
        }
        result.shown += 1;
        if let Some(score) = entry.get(name::SEARCH).and_then(|search| search.get_key("score")) {
            edits.remove(score);
        }
        if types_in(entry).nth(usize::from(resource.is_some())).is_some() {
            if let Some(resource) = resource {
                cut_nested(resource, &mut edits, &mut verdict);
            }
            cut_beside(entry, resource, &mut edits);
        }
    }
    keep_members(bundle, rules, &result, &mut edits);
    result.json = edits.apply();
    Ok(result)
}

/// Cuts hidden resources out of the one resource that the document holds; `None` where all may stay. The
/// outermost resource itself is the caller's to judge.
pub fn redact_resource<'a>(
    document: Document<'a>,
    mut verdict: impl FnMut(&Candidate<'a>) -> Verdict,
) -> Option<Vec<u8>> {
    let mut edits = Edits::new(document);
    cut_nested(document.root(), &mut edits, &mut verdict);
    (!edits.is_empty()).then(|| edits.apply())
}

fn entries(bundle: Value<'_>) -> Result<impl Iterator<Item = Value<'_>>, RedactError> {
    let entries = bundle.get(name::ENTRY);
    if entries.is_some_and(|entries| !entries.is_array()) {
        return Err(RedactError::BadEntry);
    }
    let list = move || entries.into_iter().flat_map(Value::children);
    let resource = |entry: Value<'_>| match entry.get(name::RESOURCE) {
        Some(resource) => resource.resource_type().is_some(),
        None => true,
    };
    if !list().all(|entry| entry.is_object() && resource(entry)) {
        return Err(RedactError::BadEntry);
    }
    Ok(list())
}

/// True for an entry that is there because it was asked for.
fn is_match(entry: Value<'_>) -> bool {
    let mode = entry.get(name::SEARCH).and_then(|search| search.get(name::MODE));
    let outcome = entry.get(name::RESOURCE).and_then(Value::resource_type);
    mode.is_none_or(|mode| mode.is_str("match")) && outcome.is_none_or(|own| own != "OperationOutcome")
}

/// The `resourceType`s in a value, one for each resource that it is or holds; one pass without a list.
fn types_in(value: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    let types = value.descendants().filter(|value| value.name() == name::RESOURCE_TYPE);
    types.filter(|value| !value.is_underscored())
}

/// Cuts resources that stand in an entry and not in its `resource`: an outcome that may tell of hidden ones, or
/// something that R4 does not foresee there.
fn cut_beside<'a>(entry: Value<'a>, resource: Option<Value<'a>>, edits: &mut Edits<'a>) {
    let beside = entry.children().filter(|member| resource.is_none_or(|own| own.id() != member.id()));
    for member in beside.filter(|member| member.is_object() || member.is_array()) {
        let all = resources(member);
        let itself = member.is_object() && member.get(name::RESOURCE_TYPE).is_some();
        let inside =
            all.iter().enumerate().filter(|(at, own)| if *at == 0 { itself } else { own.holder == Some(0) });
        inside.for_each(|(_, own)| edits.remove(own.value));
    }
}

/// The edits to the Bundle's own members.
fn keep_members(bundle: Value<'_>, rules: &BundleRules, result: &RedactedBundle, edits: &mut Edits<'_>) {
    for member in bundle.children() {
        let own = member.name();
        let known = KEPT.contains(&own) || KEPT_TEXT.contains(&own.text());
        let replaced = matches!(own, name::TOTAL | name::LINK | name::ENTRY);
        let holds = own != name::ENTRY && types_in(member).next().is_some();
        if !known || holds || (member.is_underscored() && replaced) {
            edits.remove(member);
        }
    }
    if result.shown == 0
        && let Some(entries) = bundle.get(name::ENTRY)
    {
        edits.remove(entries);
    }
    let count = match rules.total {
        Total::Remove => None,
        Total::Shown => bundle.get(name::TOTAL).map(|_| result.shown.to_string()),
        Total::Exactly(count) => Some(count.to_string()),
    };
    match (bundle.get(name::TOTAL), count) {
        (Some(total), Some(count)) => edits.replace(total, count),
        (Some(total), None) => edits.remove(total),
        (None, Some(count)) => edits.append(bundle, format!("\"total\":{count}").as_bytes()),
        (None, None) => {}
    }
    let links = bundle.get(name::LINK);
    match (&rules.links, links) {
        (Some(own), links) => {
            links.into_iter().for_each(|links| edits.remove(links));
            if !own.is_empty() {
                edits.append(bundle, &written_links(own));
            }
        }
        (None, Some(links)) => {
            let is_self = |link: &Value<'_>| link.get(name::RELATION).is_some_and(|own| own.is_str("self"));
            match links.is_array() && links.children().any(|link| is_self(&link)) {
                true => links.children().filter(|link| !is_self(link)).for_each(|link| edits.remove(link)),
                false => edits.remove(links),
            }
        }
        (None, None) => {}
    }
}

fn written_links(links: &[(String, String)]) -> Vec<u8> {
    let mut json = JsonWriter::new();
    json.begin_array();
    for (relation, url) in links {
        json.begin_object().member("relation", relation).member("url", url).end_object();
    }
    json.end_array();
    let mut member = b"\"link\":".to_vec();
    member.extend(json.into_bytes());
    member
}

/// Cuts hidden resources nested in `outer`, and its narratives with them.
fn cut_nested<'a>(
    outer: Value<'a>,
    edits: &mut Edits<'a>,
    verdict: &mut impl FnMut(&Candidate<'a>) -> Verdict,
) {
    let all = resources(outer);
    let mut hidden = vec![false; all.len()];
    for (at, NestedResource { value, holder, unit, .. }) in all.iter().enumerate().skip(1) {
        let gone = holder.and_then(|holder| hidden.get(holder)).copied().unwrap_or(false);
        let candidate = Candidate { resource: Some(*value), unit: *unit, nested: true };
        let hide = gone || verdict(&candidate) == Verdict::Hide;
        if let Some(slot) = hidden.get_mut(at) {
            *slot = hide;
        }
        if hide && !gone {
            edits.remove(*unit);
        }
    }
    if hidden.contains(&true) {
        narratives(outer).for_each(|text| edits.remove(text));
    }
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
