//! Search over the store, and its pages (FHIR R4 §3.1.1, §3.1.0.9).
//!
//! A parameter that the hospital does not know is left out, and left out of the `self` link too, so that the
//! caller can see what was applied; with `Prefer: handling=strict` it is refused (FHIR R4 §3.1.1.2).

mod criterion;
mod date;
mod folded;
pub(super) mod table;

use std::cmp::Ordering;

use fhir_models::document::{JsonWriter, OwnedDocument};
use http::StatusCode;
use jiff::Timestamp;

use super::outcome::Refusal;
use super::resource_types;
use super::store::{Store, Version, instant};
use crate::form;
use criterion::{Criterion, Frame};
use table::{Kind, Parameter};

/// The settings of the server that a search needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) base: &'a str,
    pub(super) now: Timestamp,
    /// Entries on a page where the caller names no number.
    pub(super) page: usize,
    /// Most entries on a page.
    pub(super) longest_page: usize,
    /// `Prefer: handling=strict`
    pub(super) strict: bool,
}

/// A parsed search.
#[derive(Debug)]
pub(super) struct Search {
    types: Vec<&'static str>,
    criteria: Vec<Criterion>,
    sort: Vec<(&'static Parameter, bool)>,
    count: usize,
    offset: usize,
    only_count: bool,
    /// The pairs that were understood, for the links; without `_count` and `_offset`.
    applied: Vec<(String, String)>,
    path: String,
}

/// A resource that a search found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit<'a> {
    pub(super) resource_type: &'static str,
    pub(super) id: &'a str,
    pub(super) version: &'a Version,
    content: &'a OwnedDocument,
}

/// Parameters that change neither the result nor its order.
const WITHOUT_EFFECT: &[&str] = &["_format", "_pretty", "_total"];

impl Search {
    /// Reads the pairs of a search of one type, or of the whole server.
    pub(super) fn parse(
        resource_type: Option<&'static str>,
        pairs: &[(String, String)],
        scene: Scene<'_>,
    ) -> Result<Search, Refusal> {
        let mut search = Search {
            types: resource_type.map_or_else(|| resource_types::all().collect(), |own| vec![own]),
            criteria: Vec::new(),
            sort: Vec::new(),
            count: scene.page,
            offset: 0,
            only_count: false,
            applied: Vec::new(),
            path: resource_type.unwrap_or_default().to_owned(),
        };
        for (name, value) in pairs {
            let known = search.apply(resource_type, name, value, scene)?;
            if !known && scene.strict {
                let text = "a search parameter is not known here, and handling=strict was asked for";
                return Err(Refusal::bad_request("not-supported", text));
            }
            let paging =
                matches!(name.as_str(), "_count" | "_offset") || WITHOUT_EFFECT.contains(&name.as_str());
            if known && !paging {
                search.applied.push((name.clone(), value.clone()));
            }
        }
        Ok(search)
    }

    fn apply(
        &mut self,
        resource_type: Option<&'static str>,
        name: &str,
        value: &str,
        scene: Scene<'_>,
    ) -> Result<bool, Refusal> {
        let number = || {
            let refused = || Refusal::bad_request("value", format!("{name} is a whole number"));
            value.parse::<usize>().map_err(|_| refused())
        };
        match name {
            "_count" => self.count = number()?.min(scene.longest_page),
            "_offset" => self.offset = number()?,
            "_summary" => match value {
                "count" => self.only_count = true,
                "false" => {}
                "true" | "text" | "data" => return Ok(false),
                _ => {
                    return Err(Refusal::bad_request(
                        "value",
                        "_summary is true, false, text, data or count",
                    ));
                }
            },
            "_sort" => return self.sort_by(resource_type, value),
            "_type" if resource_type.is_none() => {
                let named: Option<Vec<_>> = value.split(',').map(resource_types::stored).collect();
                let unknown =
                    || Refusal::bad_request("value", "_type names a type this server does not keep");
                self.types = named.ok_or_else(unknown)?;
            }
            _ if WITHOUT_EFFECT.contains(&name) => {}
            _ => {
                let (stem, modifier) = match name.split_once(':') {
                    Some((stem, modifier)) => (stem, Some(modifier)),
                    None => (name, None),
                };
                let Some(parameter) = table::find(resource_type, stem) else { return Ok(false) };
                // A chain is another parameter than the reference it begins with.
                if modifier.is_some_and(|modifier| modifier.contains('.')) {
                    return Ok(false);
                }
                let frame = Frame { base: scene.base, now: scene.now };
                self.criteria.push(Criterion::parse(parameter, modifier, value, frame)?);
            }
        }
        Ok(true)
    }

    fn sort_by(&mut self, resource_type: Option<&'static str>, value: &str) -> Result<bool, Refusal> {
        for key in value.split(',') {
            let (name, descending) = key.strip_prefix('-').map_or((key, false), |name| (name, true));
            match table::find(resource_type, name).filter(|found| found.kind != Kind::Reference) {
                Some(parameter) => self.sort.push((parameter, descending)),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// What the search finds, in its order: as sorted, then as created.
    pub(super) fn run<'s>(&self, store: &'s Store, scene: Scene<'_>) -> Vec<Hit<'s>> {
        let frame = Frame { base: scene.base, now: scene.now };
        let mut hits: Vec<Hit<'s>> = Vec::new();
        for &resource_type in &self.types {
            for (id, version, content) in store.current(resource_type) {
                if self.criteria.iter().all(|criterion| criterion.holds(content.root(), frame)) {
                    hits.push(Hit { resource_type, id, version, content });
                }
            }
        }
        hits.sort_by(|left, right| {
            let mut keys = self.sort.iter().map(|&(parameter, descending)| {
                let order = compare(parameter, left, right);
                if descending { order.reverse() } else { order }
            });
            let first_difference = keys.find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
            first_difference.then_with(|| left.version.sequence.cmp(&right.version.sequence))
        });
        hits
    }

    /// The searchset Bundle of one page.
    pub(super) fn page(&self, store: &Store, scene: Scene<'_>, bundle_id: &str) -> Vec<u8> {
        let hits = self.run(store, scene);
        let only_count = self.only_count || self.count == 0;
        let mut json = JsonWriter::new();
        begin_bundle(&mut json, bundle_id, "searchset", scene.now);
        json.key("total").integer(i64::try_from(hits.len()).unwrap_or(i64::MAX));
        json.key("link").begin_array();
        self.link(&mut json, "self", scene.base, Some(self.offset));
        if !only_count {
            self.link(&mut json, "first", scene.base, Some(0));
            let previous = (self.offset > 0).then(|| self.offset.saturating_sub(self.count));
            self.link(&mut json, "previous", scene.base, previous);
            let next = self.offset.saturating_add(self.count);
            self.link(&mut json, "next", scene.base, (next < hits.len()).then_some(next));
        }
        json.end_array();
        let shown: Vec<_> = hits.iter().skip(self.offset).take(self.count).collect();
        if !only_count && !shown.is_empty() {
            json.key("entry").begin_array();
            for hit in shown {
                json.begin_object();
                json.member("fullUrl", &format!("{}/{}/{}", scene.base, hit.resource_type, hit.id));
                json.key("resource").raw(hit.content.text().as_bytes());
                json.key("search").begin_object().member("mode", "match").end_object();
                json.end_object();
            }
            json.end_array();
        }
        json.end_object();
        json.into_bytes()
    }

    fn link(&self, json: &mut JsonWriter, relation: &str, base: &str, offset: Option<usize>) {
        let Some(offset) = offset else { return };
        let (count, offset) = (self.count.to_string(), offset.to_string());
        let paging = [("_count", count.as_str()), ("_offset", offset.as_str())];
        let shown = if self.only_count { &paging[..0] } else { &paging[..] };
        let applied = self.applied.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let query = form::query(applied.chain(shown.iter().copied()));
        let slash = if self.path.is_empty() { "" } else { "/" };
        let mark = if query.is_empty() { "" } else { "?" };
        json.begin_object().member("relation", relation);
        json.member("url", &format!("{base}{slash}{}{mark}{query}", self.path)).end_object();
    }
}

/// The resource that a conditional request means: none, one, or a refusal with 412 (FHIR R4 §3.1.0.8.1).
pub(super) fn only_match<'s>(
    resource_type: &'static str,
    query: &str,
    store: &'s Store,
    scene: Scene<'_>,
) -> Result<Option<Hit<'s>>, Refusal> {
    let broken = || Refusal::bad_request("value", "the search criteria are not a query");
    let pairs = form::pairs(query).ok_or_else(broken)?;
    only_match_of(resource_type, &pairs, store, scene)
}

/// The same for criteria that are read already.
pub(super) fn only_match_of<'s>(
    resource_type: &'static str,
    criteria: &[(String, String)],
    store: &'s Store,
    scene: Scene<'_>,
) -> Result<Option<Hit<'s>>, Refusal> {
    let search = Search::parse(Some(resource_type), criteria, Scene { strict: true, ..scene })?;
    if search.criteria.is_empty() {
        return Err(Refusal::bad_request("value", "a conditional request needs a search criterion"));
    }
    match search.run(store, scene).as_slice() {
        [] => Ok(None),
        [hit] => Ok(Some(*hit)),
        _ => {
            let text = "several resources match the criteria; make them narrower";
            Err(Refusal::new(StatusCode::PRECONDITION_FAILED, "multiple-matches", text))
        }
    }
}

/// The beginning of a Bundle that the server makes, up to its type.
pub(super) fn begin_bundle(json: &mut JsonWriter, id: &str, bundle_type: &str, now: Timestamp) {
    json.begin_object().member("resourceType", "Bundle").member("id", id);
    json.key("meta").begin_object().member("lastUpdated", &instant(now)).end_object();
    json.member("type", bundle_type);
}

/// Orders two resources by a parameter's first value; one without a value comes last.
fn compare(parameter: &Parameter, left: &Hit<'_>, right: &Hit<'_>) -> Ordering {
    // Changes within one millisecond are still in order.
    if parameter.name == "_lastUpdated" {
        return left.version.sequence.cmp(&right.version.sequence);
    }
    let date = |hit: &Hit<'_>| {
        let elements = parameter.elements(hit.content.root()).into_iter();
        elements.filter_map(date::element_period).map(|period| period.start).min()
    };
    let text = |hit: &Hit<'_>| {
        let first = parameter.elements(hit.content.root()).into_iter().next()?;
        first.as_str().map(|text| folded::folded(&text))
    };
    match parameter.kind {
        Kind::Date => order(date(left), date(right)),
        _ => order(text(left), text(right)),
    }
}

fn order<T: Ord>(left: Option<T>, right: Option<T>) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) => left.cmp(&right),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}
