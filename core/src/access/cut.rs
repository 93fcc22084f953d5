//! Taking hidden resources out of the one that holds them, with all that tells of them.
//!
//! What goes with a hidden resource:
//!
//! * the entry, parameter or contained resource that it is;
//! * references to it, and sections of a Composition that are left without content, titles and all;
//! * every narrative of the outermost resource: it was written by somebody who saw everything;
//! * the count in `Bundle.total`, and OperationOutcomes beside it;
//! * the Bundle or Parameters around it, where nothing else stands there, where it is what a document or message
//!   begins with, and where a signature would tell that something is missing (FHIR R4 §2.36.9).
//!
//! Invariant: cutting twice cuts no more, and nothing marks what was cut: neither `meta.security` nor `meta.tag` says
//! `REDACTED` or `SUBSETTED`, since that would tell that there is something to hide.

use std::collections::{BTreeSet, HashSet};

use fhir_models::document::{Document, Edits, Name, Value, name};

use super::nested::NestedResource;
use super::reference_cut::Cutting;

/// What is left of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// All of it: nothing is hidden.
    Whole,
    /// This text.
    Part(Vec<u8>),
    /// Nothing: it can't be shown without what is hidden.
    Nothing,
}

/// Cuts resources out of the one that the document holds. `all` is what [`super::resources`] finds in it, and
/// `hidden` says for each whether it goes.
pub fn cut_resources(
    document: Document<'_>,
    all: &[NestedResource<'_>],
    hidden: &[bool],
    necessary: &super::Necessary,
) -> Rest {
    let mut hidden: Vec<bool> = (0..all.len()).map(|at| hidden.get(at).copied().unwrap_or(true)).collect();
    spread(all, &mut hidden);
    match hidden.first() {
        Some(false) if !hidden.contains(&true) => return Rest::Whole,
        Some(false) => {}
        _ => return Rest::Nothing,
    }
    let mut edits = Edits::new(document);
    let is_hidden = |at: usize| hidden.get(at).copied().unwrap_or(true);
    for (at, own) in all.iter().enumerate().filter(|(at, _)| is_hidden(*at)) {
        if !own.holder.is_some_and(is_hidden) {
            edits.remove(own.unit);
        }
        debug_assert!(at > 0, "the outermost resource stays");
    }
    let names = Names::of(all, &hidden);
    let mut cutting = Cutting::new(document, necessary);
    for (at, own) in all.iter().enumerate().filter(|(at, _)| !is_hidden(*at)) {
        let kind = own.value.resource_type().unwrap_or_default();
        for value in own_values(all, at) {
            if cutting.named_by(value).is_some_and(|text| names.lead_away(&text, at, own)) {
                cutting.cut(value, own.value, &kind);
            }
        }
        if is(own.value, "Bundle") {
            let gone =
                |inner: &(usize, &NestedResource<'_>)| inner.1.holder == Some(at) && is_hidden(inner.0);
            lower_total(own.value, all.iter().enumerate().filter(gone).count(), &mut edits);
        }
    }
    let gone = cutting.apply(&mut edits);
    for (at, own) in all.iter().enumerate() {
        if !is_hidden(at) && is(own.value, "Composition") {
            cut_sections(own.value, &gone, &mut edits);
        }
    }
    for text in narratives(document.root()) {
        edits.remove(text);
    }
    Rest::Part(edits.apply())
}

/// Narratives of a resource and of everything inside it.
pub(super) fn narratives(outer: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    outer.descendants().filter(|value| {
        value.name() == name::TEXT
            && !value.is_underscored()
            && (value.get(name::DIV).is_some() || value.is_array())
    })
}

/// Values of one resource, without those of the resources inside it.
pub(super) fn own_values<'a>(
    all: &[NestedResource<'a>],
    at: usize,
) -> impl Iterator<Item = Value<'a>> + use<'a> {
    let inner = all.iter().filter(|own| own.holder == Some(at)).map(|own| own.value.span());
    let mut inner: Vec<_> = inner.collect();
    inner.sort_by_key(|span| std::cmp::Reverse(span.start));
    let values = all.get(at).map(|own| own.value.descendants()).into_iter().flatten();
    values.filter(move |value| {
        let start = value.span().start;
        while inner.last().is_some_and(|span| span.end <= start) {
            inner.pop();
        }
        !inner.last().is_some_and(|span| span.contains(&start))
    })
}

/// Hides what can't stay where others go.
fn spread(all: &[NestedResource<'_>], hidden: &mut [bool]) {
    // Inner ones before those around them.
    let mut inside: Vec<Vec<usize>> = vec![Vec::new(); all.len()];
    for (at, own) in all.iter().enumerate() {
        if let Some(list) = own.holder.and_then(|holder| inside.get_mut(holder)) {
            list.push(at);
        }
    }
    let mut touched = hidden.to_vec();
    for at in (0..all.len()).rev() {
        let (Some(own), Some(inner)) = (all.get(at), inside.get(at)) else { continue };
        let any = |flags: &[bool]| inner.iter().any(|&one| flags.get(one).copied().unwrap_or(true));
        let below = any(&touched);
        let gone = any(hidden);
        if let Some(flag) = touched.get_mut(at) {
            *flag |= below;
        }
        if !below || !(is(own.value, "Bundle") || is(own.value, "Parameters")) {
            continue;
        }
        let outcome = |one: usize| all.get(one).is_some_and(|own| is(own.value, "OperationOutcome"));
        let holds = inner.iter().filter(|&&one| !outcome(one) && !hidden.get(one).copied().unwrap_or(true));
        let empty = gone && holds.count() == 0;
        let headless = starts_with_head(own.value)
            && inner.first().is_some_and(|&first| hidden.get(first).copied().unwrap_or(true));
        if empty || headless || is_signed(own.value, inner.iter().filter_map(|&one| all.get(one))) {
            if let Some(flag) = hidden.get_mut(at) {
                *flag = true;
            }
        } else if gone {
            for &one in inner.iter().filter(|&&one| outcome(one)) {
                if let Some(flag) = hidden.get_mut(one) {
                    *flag = true;
                }
            }
        }
    }
    for at in 0..all.len() {
        let holder = all.get(at).and_then(|own| own.holder);
        if holder.and_then(|holder| hidden.get(holder)).copied().unwrap_or(false)
            && let Some(flag) = hidden.get_mut(at)
        {
            *flag = true;
        }
    }
}

/// A document begins with its Composition, a message with its header.
fn starts_with_head(bundle: Value<'_>) -> bool {
    bundle.get(name::TYPE).is_some_and(|own| own.is_str("document") || own.is_str("message"))
}

/// A Bundle with a signature, its own or that of a Provenance inside.
fn is_signed<'a>(bundle: Value<'_>, mut inner: impl Iterator<Item = &'a NestedResource<'a>>) -> bool {
    let signature = Name::of("signature");
    bundle.get(signature).is_some()
        || inner.any(|own| is(own.value, "Provenance") && own.value.get(signature).is_some())
}

pub(super) fn is(resource: Value<'_>, kind: &str) -> bool {
    resource.get(name::RESOURCE_TYPE).is_some_and(|own| own.is_str(kind))
}

/// The total of a world without the entries that go.
fn lower_total(bundle: Value<'_>, gone: usize, edits: &mut Edits<'_>) {
    let Some(total) = bundle.get(name::TOTAL).filter(|_| gone > 0) else { return };
    let left = total.as_number().and_then(|text| text.parse::<u64>().ok());
    match left.and_then(|all| all.checked_sub(u64::try_from(gone).ok()?)) {
        Some(left) => edits.replace(total, left.to_string()),
        None => edits.remove(total),
    }
}

/// Removes sections that hold nothing any more; true where none is left.
pub(super) fn cut_sections(around: Value<'_>, gone: &BTreeSet<usize>, edits: &mut Edits<'_>) -> bool {
    let Some(sections) = around.get(Name::of("section")) else { return true };
    let mut empty = true;
    for section in sections.items() {
        let inner = cut_sections(section, gone, edits);
        let left = |entry: Value<'_>| !gone.contains(&entry.id().index());
        let holds = section.get(name::ENTRY).is_some_and(|entries| entries.items().any(left));
        if inner && !holds {
            edits.remove(section);
        } else {
            empty = false;
        }
    }
    empty
}

/// What hidden resources are referred to by.
struct Names {
    /// `fullUrl`s.
    urls: HashSet<String>,
    /// `[type]/[id]`
    ids: HashSet<String>,
    /// Contained ones, by their holder.
    fragments: HashSet<(usize, String)>,
}

impl Names {
    fn of(all: &[NestedResource<'_>], hidden: &[bool]) -> Names {
        let mut names = Names { urls: HashSet::new(), ids: HashSet::new(), fragments: HashSet::new() };
        // A name that something visible has leads to that.
        for wanted in [true, false] {
            for (at, own) in all.iter().enumerate() {
                if hidden.get(at).copied().unwrap_or(true) != wanted {
                    continue;
                }
                let id = own.value.str_of(name::ID);
                if own.contained {
                    if let (Some(holder), Some(id)) = (own.holder, id) {
                        put(&mut names.fragments, (holder, id.into_owned()), wanted);
                    }
                    continue;
                }
                if let (Some(kind), Some(id)) = (own.value.resource_type(), id) {
                    put(&mut names.ids, format!("{kind}/{id}"), wanted);
                }
                if own.unit.id() != own.value.id()
                    && let Some(url) = own.unit.str_of(name::FULL_URL)
                {
                    put(&mut names.urls, url.into_owned(), wanted);
                }
            }
        }
        names
    }

    /// True where a reference in the resource at this place leads to what goes.
    fn lead_away(&self, text: &str, at: usize, own: &NestedResource<'_>) -> bool {
        if let Some(fragment) = text.strip_prefix('#') {
            let holder = if own.contained { own.holder.unwrap_or(at) } else { at };
            return self.fragments.contains(&(holder, fragment.to_owned()));
        }
        let bare = text.split_once("/_history/").map_or(text, |(before, _)| before);
        if self.urls.contains(bare) {
            return true;
        }
        let mut last = bare.rsplit('/');
        match (last.next(), last.next()) {
            (Some(id), Some(kind)) => self.ids.contains(&format!("{kind}/{id}")),
            _ => false,
        }
    }
}

fn put<T: std::hash::Hash + Eq>(set: &mut HashSet<T>, item: T, wanted: bool) {
    if wanted {
        set.insert(item);
    } else {
        set.remove(&item);
    }
}

#[cfg(test)]
#[path = "cut_tests.rs"]
mod tests;
