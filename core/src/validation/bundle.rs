//! Bundles: identities of entries, search results, and documents that hang together (FHIR R4 §2.36, §2.37).
//!
//! A reference inside a Bundle leads to an entry by `fullUrl` (FHIR R4 §2.36.4.1). What must lead somewhere
//! in a document, and what must be reached, is checked here; the invariants of Bundle (`bdl-*`) elsewhere.

use std::collections::{HashMap, HashSet};

use fhir_models::document::{Kind, Name, Value, name};
use fhir_models::primitive::Primitive;

use crate::outcome::{IssueSeverity, IssueType};

use super::extension::is_absolute;
use super::finding::{Fault, Rule};
use super::resources::rest_base;
use super::walk::Walk;

/// Most entries of which the connections are followed.
const MOST_LINKED: usize = 10_000;

/// Checks a Bundle.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, bundle: Value<'d>) {
    let kind = bundle.str_of(name::TYPE).unwrap_or_default();
    let requests = matches!(&*kind, "transaction" | "batch" | "transaction-response" | "batch-response");
    let entries: Vec<Value<'d>> = bundle.get(name::ENTRY).into_iter().flat_map(Value::items).collect();
    fashions(walk, &entries, requests);
    for entry in &entries {
        identity(walk, *entry, requests);
    }
    links(walk, bundle, &kind);
    if &*kind == "searchset" {
        search(walk, bundle, &entries);
    }
    relative(walk, &entries, requests);
    match &*kind {
        "document" | "message" if entries.is_empty() => {
            broken(walk, bundle, "a document or message begins with an entry: Composition or MessageHeader");
        }
        "document" => connected(walk, bundle, &entries, &DOCUMENT),
        "message" => connected(walk, bundle, &entries, &MESSAGE),
        _ => {}
    }
}

fn broken<'d>(walk: &mut Walk<'_, 'd>, at: Value<'d>, message: impl Into<String>) {
    walk.report(at, at, Rule::Bundle.error(IssueType::Invalid, message));
}

/// `fullUrl` is there, absolute, and in step with the resource's own type and id.
fn identity<'d>(walk: &mut Walk<'_, 'd>, entry: Value<'d>, requests: bool) {
    let resource = entry.get(name::RESOURCE).filter(|it| it.is_object());
    let Some(url) = entry.get(name::FULL_URL) else {
        // An OperationOutcome tells of the request and has no identity of its own.
        let outcome = resource.and_then(Value::resource_type).as_deref() == Some("OperationOutcome");
        if !requests && !outcome && resource.is_some() {
            broken(walk, entry, "an entry needs the fullUrl of its resource, but in a batch or transaction");
        }
        return;
    };
    let Some(text) = url.as_str() else { return };
    if !is_absolute(&text) {
        return;
    }
    if text.starts_with("urn:uuid:") && !Primitive::Uuid.is_valid(&text) {
        return broken(walk, entry, "a urn:uuid has 8-4-4-4-12 lower-case hexadecimal digits");
    }
    let Some(resource) = resource.filter(|_| rest_base(&text).is_some()) else { return };
    let (Some(type_name), Some(id)) = (resource.resource_type(), resource.str_of(name::ID)) else { return };
    if !text.ends_with(&format!("/{type_name}/{id}")) {
        broken(
            walk,
            entry,
            "fullUrl is the URL of a resource on a server: it ends with the type and id of the resource",
        );
    }
}

/// Faults of a fullUrl that whoever makes one makes throughout: the first entry stands for all.
fn fashions<'d>(walk: &mut Walk<'_, 'd>, entries: &[Value<'d>], requests: bool) {
    let relative = |entry: &Value<'d>| entry.str_of(name::FULL_URL).is_some_and(|it| !is_absolute(&it));
    let message = "fullUrl is absolute: the URL of the resource on its server, or a urn:uuid";
    first_of(walk, entries, relative, message);
    let nameless = |entry: &Value<'d>| {
        let resource = entry.get(name::RESOURCE).filter(|it| it.get(name::ID).is_none());
        resource.is_some_and(|it| it.resource_type().is_some())
            && entry.str_of(name::FULL_URL).is_some_and(|it| is_absolute(&it) && rest_base(&it).is_some())
    };
    if !requests {
        let message = "fullUrl is the URL of a resource on a server, but the resource has no id";
        first_of(walk, entries, nameless, message);
    }
}

fn first_of<'d>(
    walk: &mut Walk<'_, 'd>,
    entries: &[Value<'d>],
    wrong: impl Fn(&Value<'d>) -> bool,
    message: &str,
) {
    let mut wrong = entries.iter().filter(|it| wrong(it));
    let Some(first) = wrong.next() else { return };
    match wrong.count() {
        0 => broken(walk, *first, message),
        more => broken(walk, *first, format!("{message} (and so in {more} more entries)")),
    }
}

/// Relations occur once, and only what comes in pages has others (FHIR R4 §3.1.0.14).
fn links<'d>(walk: &mut Walk<'_, 'd>, bundle: Value<'d>, kind: &str) {
    let mut seen = HashSet::new();
    let one_page = matches!(kind, "document" | "message" | "transaction" | "batch" | "collection");
    for link in bundle.get(name::LINK).into_iter().flat_map(Value::items) {
        let Some(relation) = link.str_of(name::RELATION) else { continue };
        if one_page
            && matches!(&*relation, "first" | "last" | "next" | "prev" | "previous")
            && let Some(place) = link.get(name::RELATION)
        {
            let message = format!("only search results and histories have pages: a {kind} has no such link");
            broken(walk, place, message);
        }
        let once = matches!(&*relation, "self" | "first" | "last" | "next" | "prev" | "previous");
        if once && !seen.insert(relation.into_owned()) {
            broken(walk, link, "a Bundle has one link of this relation");
        }
    }
}

/// Results of a search have ids, and are of the type that was searched.
fn search<'d>(walk: &mut Walk<'_, 'd>, bundle: Value<'d>, entries: &[Value<'d>]) {
    let links = bundle.get(name::LINK).into_iter().flat_map(Value::items);
    let mut own = links.filter(|it| it.get(name::RELATION).is_some_and(|it| it.is_str("self")));
    let url = own.next().and_then(|it| it.str_of(name::URL));
    let wanted = url.as_deref().map(|url| searched(walk, url)).unwrap_or_default();
    for entry in entries {
        let Some(resource) = entry.get(name::RESOURCE).filter(|it| it.is_object()) else { continue };
        let Some(type_name) = resource.resource_type() else { continue };
        let mode = entry.get(name::SEARCH).and_then(|it| it.str_of(name::MODE));
        match mode.as_deref() {
            Some("outcome") if type_name != "OperationOutcome" => {
                broken(walk, resource, "an entry of search mode outcome is an OperationOutcome");
            }
            Some("outcome") => {}
            _ => {
                let matched = mode.as_deref() == Some("match");
                if resource.get(name::ID).is_none() && (matched || type_name != "OperationOutcome") {
                    broken(walk, resource, "a resource found by a search has an id");
                }
                if matched && !wanted.is_empty() && !wanted.iter().any(|it| *it == type_name) {
                    let message = format!(
                        "the search was for {}; what is only included has the search mode include",
                        wanted.join(", ")
                    );
                    broken(walk, resource, message);
                }
            }
        }
    }
}

/// The types that a search URL asks for; none where it does not say.
fn searched(walk: &Walk<'_, '_>, url: &str) -> Vec<String> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let listed = query.split('&').find_map(|it| it.strip_prefix("_type="));
    if let Some(listed) = listed {
        return listed.replace("%2C", ",").split(',').map(str::to_owned).collect();
    }
    let last = path.trim_end_matches("/_search").rsplit('/').next().unwrap_or_default();
    if walk.types.is_resource(Name::of(last)) { vec![last.to_owned()] } else { Vec::new() }
}

/// References of one entry, outside of `contained` parts as well as in them.
fn references<'d>(resource: Value<'d>) -> impl Iterator<Item = (Value<'d>, Value<'d>)> {
    let holders = std::iter::once(resource).chain(resource.descendants()).filter(|it| it.is_object());
    holders.filter_map(|it| {
        let literal = it.get(name::REFERENCE).filter(|it| it.kind() == Kind::String)?;
        Some((it, literal))
    })
}

/// A relative reference needs the base that the entry's fullUrl gives. Among requests only what is posted may do
/// without fullUrl (FHIR R4 §2.36.4, `Bundle.entry.fullUrl`).
fn relative<'d>(walk: &mut Walk<'_, 'd>, entries: &[Value<'d>], requests: bool) {
    for entry in entries.iter().filter(|it| it.get(name::FULL_URL).is_none()) {
        let Some(resource) = entry.get(name::RESOURCE).filter(|it| it.is_object()) else { continue };
        let put =
            entry.get(name::REQUEST).and_then(|it| it.str_of(name::METHOD)).is_some_and(|it| it == "PUT");
        if requests && !put {
            continue;
        }
        let mut told = !requests;
        for (holder, literal) in references(resource) {
            let relative = literal
                .as_str()
                .is_some_and(|it| !it.starts_with('#') && !it.contains(':') && it.contains('/'));
            if relative {
                if !std::mem::replace(&mut told, true) {
                    let message = "an entry to be put has the fullUrl of its resource: its relative references \
                                   begin where that does";
                    broken(walk, *entry, message);
                }
                let message = "a relative reference means nothing in an entry without fullUrl";
                walk.report(holder, literal, Rule::Bundle.error(IssueType::Invalid, message));
            }
        }
    }
}

/// A Bundle whose entries belong to its first.
struct Whole {
    /// The type of the first entry's resource.
    first: &'static str,
    /// Its references that lead to other entries.
    held: &'static [&'static [&'static str]],
    /// How bad an entry is that nothing connects with the first.
    apart: IssueSeverity,
    missing: &'static str,
    unconnected: &'static str,
}

/// FHIR R4 §2.37.2.
const DOCUMENT: Whole = Whole {
    first: "Composition",
    held: &[
        &["subject"],
        &["encounter"],
        &["author"],
        &["attester", "party"],
        &["custodian"],
        &["event", "detail"],
        &["section", "entry"],
        &["section", "author"],
        &["section", "focus"],
    ],
    apart: IssueSeverity::Error,
    missing: "a document holds what its Composition refers to: this target is not among the entries",
    unconnected: "no chain of references connects this entry with the Composition of the document",
};

/// FHIR R4 §2.4.2: the focus of a message comes with it.
const MESSAGE: Whole = Whole {
    first: "MessageHeader",
    held: &[&["focus"]],
    apart: IssueSeverity::Warning,
    missing: "a message holds what its MessageHeader is about: this target is not among the entries",
    unconnected: "no chain of references connects this entry with the MessageHeader of the message",
};

fn connected<'d>(walk: &mut Walk<'_, 'd>, bundle: Value<'d>, entries: &[Value<'d>], whole: &Whole) {
    let Some(first) = entries.first().and_then(|it| it.get(name::RESOURCE)) else { return };
    if first.resource_type().as_deref() != Some(whole.first) || entries.len() > MOST_LINKED {
        return;
    }
    let index = Index::of(entries);
    for path in whole.held {
        for reference in at(first, path) {
            let Some(literal) = reference.get(name::REFERENCE) else { continue };
            let Some(text) = literal.as_str().filter(|it| leads_out(it)) else { continue };
            match versions(entries, index.targets(entries.first(), &text), &text) {
                1 => {}
                0 => {
                    let severity =
                        if text.starts_with("http") { IssueSeverity::Warning } else { IssueSeverity::Error };
                    let message = whole.missing.to_owned();
                    walk.report(
                        reference,
                        literal,
                        Fault { rule: Rule::Bundle, severity, code: IssueType::NotFound, message },
                    );
                }
                many => {
                    let message = format!("{many} entries of the Bundle answer to this reference");
                    walk.report(reference, literal, Rule::Bundle.error(IssueType::MultipleMatches, message));
                }
            }
        }
    }
    let styles = stylesheets(walk, bundle, entries, &index);
    reached(walk, entries, &index, styles, whole);
}

/// The entries that links of the relation `stylesheet` lead to; a relative one leads to an entry
/// (FHIR R4 §2.37.3).
fn stylesheets<'d>(
    walk: &mut Walk<'_, 'd>,
    bundle: Value<'d>,
    entries: &[Value<'d>],
    index: &Index<'d>,
) -> Vec<usize> {
    let mut found = Vec::new();
    for link in bundle.get(name::LINK).into_iter().flat_map(Value::items) {
        if !link.get(name::RELATION).is_some_and(|it| it.is_str("stylesheet")) {
            continue;
        }
        let Some(place) = link.get(name::URL) else { continue };
        let Some(url) = place.as_str() else { continue };
        let targets = index.targets(entries.first(), &url);
        if targets.is_empty() && !is_absolute(&url) {
            let message =
                "no entry of the Bundle is this style sheet: a relative link leads to a Binary in it";
            walk.report(place, place, Rule::Bundle.error(IssueType::NotFound, message));
        }
        found.extend(targets);
    }
    found
}

/// True for a reference that may lead to an entry: an absolute one, or `Type/id`. Another leads nowhere.
fn leads_out(reference: &str) -> bool {
    !reference.starts_with('#') && reference.contains([':', '/'])
}

/// How many targets have the version that the reference names, if it names one.
fn versions(entries: &[Value<'_>], targets: &[usize], text: &str) -> usize {
    let Some((_, version)) = text.split_once("/_history/") else { return targets.len() };
    let own = |at: &&usize| {
        let resource = entries.get(**at).and_then(|entry| entry.get(name::RESOURCE));
        let meta = resource.and_then(|it| it.get(name::META));
        meta.and_then(|it| it.str_of(name::VERSION_ID)).as_deref() == Some(version)
    };
    targets.iter().filter(own).count()
}

/// Values at a path below a resource; sections inside sections too.
fn at<'d>(from: Value<'d>, path: &[&str]) -> Vec<Value<'d>> {
    let Some((step, rest)) = path.split_first() else { return vec![from] };
    let mut found = Vec::new();
    for item in from.get_key(step).into_iter().flat_map(Value::items) {
        found.extend(at(item, rest));
        if *step == "section" {
            found.extend(at(item, path));
        }
    }
    found
}

/// Every entry is connected with the first or with those that `open` names, whichever way references point.
fn reached<'d>(
    walk: &mut Walk<'_, 'd>,
    entries: &[Value<'d>],
    index: &Index<'d>,
    mut open: Vec<usize>,
    whole: &Whole,
) {
    let mut linked: Vec<Vec<usize>> = vec![Vec::new(); entries.len()];
    for (from, entry) in entries.iter().enumerate() {
        let Some(resource) = entry.get(name::RESOURCE).filter(|it| it.is_object()) else { continue };
        for (_, literal) in references(resource) {
            let Some(text) = literal.as_str() else { continue };
            for &to in index.targets(Some(entry), &text) {
                linked.get_mut(from).into_iter().for_each(|it| it.push(to));
                linked.get_mut(to).into_iter().for_each(|it| it.push(from));
            }
        }
    }
    let mut seen = vec![false; entries.len()];
    open.push(0);
    while let Some(at) = open.pop() {
        let Some(slot) = seen.get_mut(at).filter(|it| !**it) else { continue };
        *slot = true;
        open.extend(linked.get(at).into_iter().flatten());
    }
    for (entry, seen) in entries.iter().zip(seen) {
        if !seen && entry.get(name::RESOURCE).is_some() {
            let message = whole.unconnected.to_owned();
            let fault =
                Fault { rule: Rule::Bundle, severity: whole.apart, code: IssueType::Invalid, message };
            walk.report(*entry, *entry, fault);
        }
    }
}

/// Entries by what references may call them.
struct Index<'d> {
    urls: HashMap<std::borrow::Cow<'d, str>, Vec<usize>>,
    names: HashMap<String, Vec<usize>>,
}

impl<'d> Index<'d> {
    fn of(entries: &[Value<'d>]) -> Index<'d> {
        let (mut urls, mut names) = (HashMap::<_, Vec<usize>>::new(), HashMap::<_, Vec<usize>>::new());
        for (at, entry) in entries.iter().enumerate() {
            if let Some(url) = entry.str_of(name::FULL_URL) {
                urls.entry(url).or_default().push(at);
            }
            let Some(resource) = entry.get(name::RESOURCE) else { continue };
            if let (Some(type_name), Some(id)) = (resource.resource_type(), resource.str_of(name::ID)) {
                names.entry(format!("{type_name}/{id}")).or_default().push(at);
            }
        }
        Index { urls, names }
    }

    /// The entries that a reference in `from` leads to.
    fn targets(&self, from: Option<&Value<'d>>, text: &str) -> &[usize] {
        let bare = text.split("/_history/").next().unwrap_or_default();
        if !leads_out(bare) {
            return &[];
        }
        if let Some(found) = self.urls.get(bare) {
            return found;
        }
        if bare.contains(':') {
            return &[];
        }
        match from.and_then(|entry| entry.str_of(name::FULL_URL)) {
            // Only the URL of a resource on a server gives relative references a base.
            Some(url) => {
                let whole = rest_base(&url).map(|base| [base, "/", bare].concat());
                whole.and_then(|whole| self.urls.get(whole.as_str())).map_or(&[], Vec::as_slice)
            }
            None => self.names.get(bare).map_or(&[], Vec::as_slice),
        }
    }
}
