//! The resources of a document, and where its references lead inside it (FHIR R4 §2.3.0.1, §2.36.4).
//!
//! Contained resources answer to `#id`. Entries of a Bundle answer to their `fullUrl`; a relative reference
//! is completed with the base of the fullUrl of the entry that it stands in. Built in one pass, on first use.

use std::borrow::Cow;
use std::collections::HashMap;

use fhir_models::document::{Document, Kind, Name, NodeId, Value, name};

use super::types::Types;

/// One resource of a document.
#[derive(Debug)]
pub(super) struct Resource<'d> {
    pub value: Value<'d>,
    pub type_name: Cow<'d, str>,
    pub id: Option<Cow<'d, str>>,
    /// The resource around it.
    pub outer: Option<usize>,
    /// It stands in `contained`.
    pub contained: bool,
    /// The entry of a Bundle that holds it.
    pub entry: Option<Value<'d>>,
    pub full_url: Option<Cow<'d, str>>,
}

/// All of them, in document order.
#[derive(Debug, Default)]
pub(super) struct Resources<'d> {
    pub list: Vec<Resource<'d>>,
    /// Entries by Bundle and fullUrl.
    by_url: HashMap<(usize, Cow<'d, str>), Vec<usize>>,
    /// Entries by Bundle, type and id.
    by_name: HashMap<(usize, String), Vec<usize>>,
}

impl<'d> Resource<'d> {
    /// A resource with its `resourceType` and what stands around it.
    fn new(value: Value<'d>, type_name: Value<'d>, around: Option<Value<'d>>) -> Resource<'d> {
        let entry = around.filter(|_| value.name() == name::RESOURCE).filter(|it| it.is_object());
        Resource {
            value,
            type_name: type_name.as_str().unwrap_or_default(),
            id: value.str_of(name::ID),
            outer: None,
            contained: around.is_some_and(|it| it.name() == name::CONTAINED),
            full_url: entry.and_then(|entry| entry.str_of(name::FULL_URL)),
            entry,
        }
    }
}

impl<'d> Resources<'d> {
    /// Finds them.
    pub fn of(document: Document<'d>) -> Resources<'d> {
        let mut list: Vec<Resource<'d>> = Vec::new();
        // The containers around a node, innermost last, each with the number behind its last node.
        let mut open: Vec<(u32, NodeId)> = Vec::new();
        for (number, node) in (0u32..).zip(document.nodes()) {
            while open.last().is_some_and(|(end, _)| *end <= number) {
                open.pop();
            }
            let id = NodeId::at(number);
            if node.name() == name::RESOURCE_TYPE && node.kind() == Kind::String && !node.is_underscored() {
                let at = |above: usize| open.iter().rev().nth(above).and_then(|(_, id)| document.value(*id));
                if let (Some(value), Some(member)) = (at(0), document.value(id)) {
                    list.push(Resource::new(value, member, at(1)));
                }
            }
            if matches!(node.kind(), Kind::Object | Kind::Array) {
                open.push((node.after(), id));
            }
        }
        // `resourceType` need not come first.
        list.sort_by_key(|it| it.value.id());
        let mut around: Vec<usize> = Vec::new();
        for at in 0..list.len() {
            let Some(value) = list.get(at).map(|it| it.value) else { break };
            while around.last().and_then(|it| list.get(*it)).is_some_and(|it| !holds(it.value, value)) {
                around.pop();
            }
            if let Some(resource) = list.get_mut(at) {
                resource.outer = around.last().copied();
            }
            around.push(at);
        }
        let (mut by_url, mut by_name) = (HashMap::<_, Vec<usize>>::new(), HashMap::<_, Vec<usize>>::new());
        for (at, resource) in list.iter().enumerate() {
            let Some(bundle) = resource.outer.filter(|_| resource.entry.is_some()) else { continue };
            if let Some(url) = &resource.full_url {
                by_url.entry((bundle, url.clone())).or_default().push(at);
            }
            if let Some(id) = &resource.id {
                by_name.entry((bundle, format!("{}/{id}", resource.type_name))).or_default().push(at);
            }
        }
        Resources { list, by_url, by_name }
    }

    /// The innermost resource around a value, or the value itself.
    pub fn around(&self, value: Value<'d>) -> Option<usize> {
        let after = self.list.partition_point(|it| it.value.id() <= value.id());
        let mut here = after.checked_sub(1);
        while let Some(at) = here {
            let resource = self.list.get(at)?;
            if resource.value.id() == value.id() || holds(resource.value, value) {
                return Some(at);
            }
            here = at.checked_sub(1).filter(|_| resource.outer.is_some() || at > 0);
        }
        None
    }

    /// The resource that is not contained: the one itself, or the one that contains it.
    pub fn container(&self, at: usize) -> usize {
        match self.list.get(at) {
            Some(Resource { contained: true, outer: Some(outer), .. }) => *outer,
            _ => at,
        }
    }

    /// Where a reference leads inside the document.
    pub fn resolve(&self, from: Value<'d>, reference: &str) -> Option<Value<'d>> {
        let own = self.around(from)?;
        let container = self.container(own);
        if let Some(fragment) = reference.strip_prefix('#') {
            if fragment.is_empty() {
                return self.list.get(container).map(|it| it.value);
            }
            let inside = self.list.iter().filter(|it| it.contained && it.outer == Some(container));
            let mut inside = inside.filter(|it| it.id.as_deref() == Some(fragment));
            return inside.next().map(|it| it.value);
        }
        self.in_bundle(container, reference).first().map(|it| it.value)
    }

    /// The entries of the Bundles around a resource that a reference leads to, innermost Bundle first.
    pub fn in_bundle(&self, container: usize, reference: &str) -> Vec<&Resource<'d>> {
        let mut here = Some(container);
        while let Some(at) = here {
            let Some(resource) = self.list.get(at) else { break };
            if resource.entry.is_some()
                && let Some(bundle) = resource.outer
            {
                let found = self.in_entries(bundle, resource.full_url.as_deref(), reference);
                if !found.is_empty() {
                    return found;
                }
            }
            here = resource.outer;
        }
        Vec::new()
    }

    fn in_entries(&self, bundle: usize, full_url: Option<&str>, reference: &str) -> Vec<&Resource<'d>> {
        let (bare, version) = match reference.split_once("/_history/") {
            Some((bare, version)) => (bare, Some(version)),
            None => (reference, None),
        };
        let entries = |found: Option<&Vec<usize>>| -> Vec<&Resource<'d>> {
            found.into_iter().flatten().filter_map(|at| self.list.get(*at)).collect()
        };
        let by_url = |url: &str| entries(self.by_url.get(&(bundle, Cow::Borrowed(url))));
        let fits = |it: &&Resource<'d>| {
            version.is_none_or(|version| {
                it.value.get(name::META).and_then(|meta| meta.str_of(name::VERSION_ID)).as_deref()
                    == Some(version)
            })
        };
        if bare.contains(':') {
            return by_url(bare).into_iter().filter(fits).collect();
        }
        if let Some(base) = full_url.and_then(rest_base) {
            let whole = [base, "/", bare].concat();
            let found: Vec<_> = by_url(&whole).into_iter().filter(fits).collect();
            if !found.is_empty() {
                return found;
            }
        }
        entries(self.by_name.get(&(bundle, bare.to_owned()))).into_iter().filter(fits).collect()
    }
}

fn holds(outer: Value<'_>, inner: Value<'_>) -> bool {
    let (outer, inner) = (outer.span(), inner.span());
    outer.start < inner.start && inner.end <= outer.end
}

/// The base of a RESTful URL: what stands before `/Type/id`.
pub(super) fn rest_base(full_url: &str) -> Option<&str> {
    let (before, _id) = full_url.rsplit_once('/')?;
    let (base, type_name) = before.rsplit_once('/')?;
    let is_type =
        type_name.starts_with(|c: char| c.is_ascii_uppercase()) && Name::of(type_name) != Name::UNKNOWN;
    (is_type && full_url.starts_with("http")).then_some(base)
}

/// The type that the text of a reference names: `Type/id` at its end, or `Type?` in a transaction.
pub(super) fn implied_type(types: &Types, text: &str) -> Option<Name> {
    let bare = text.split("/_history/").next().unwrap_or_default();
    let type_name = match bare.split_once('?') {
        Some((before, _)) => before,
        None => {
            let (before, _id) = bare.rsplit_once('/')?;
            before.rsplit('/').next()?
        }
    };
    let name = Name::of(type_name);
    types.is_resource(name).then_some(name)
}
