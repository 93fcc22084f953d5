//! `resolve()`: what a reference points at (FHIR R4 §2.1.20.4, references in Bundles §2.36.4).
//!
//! `#id` is a resource contained in the resource around the reference; in a Bundle, a reference is looked up
//! among the entries by `fullUrl`, a relative one first beside the entry that holds it. The rest is asked of
//! the resolver that the caller gave. What can't be found is left out.

use std::borrow::Cow;

use fhir_models::document::{NodeId, Value, name};

use super::evaluate::{Machine, Outcome, Scope};
use super::item::{Item, NodeRef};
use super::syntax::Ref;

impl<'a> Machine<'_, 'a> {
    pub(super) fn resolve(&mut self, node: Ref, input: Option<Ref>, scope: &Scope<'_, 'a>) -> Outcome<()> {
        let base = self.eval_input(input, scope)?;
        let items = self.stack.split_off(base);
        for item in &items {
            self.charge(node, 16)?;
            let found = self.reference_of(item).and_then(|(reference, place)| self.target(&reference, place));
            self.stack.extend(found.map(Item::Node));
        }
        Ok(())
    }

    /// The text of a Reference, canonical, uri or string, and where it stands.
    fn reference_of(&self, item: &Item<'a>) -> Option<(String, NodeRef)> {
        if let Item::Node(place) = item
            && let Some(value) = self.nav.value(place)
            && value.is_object()
        {
            return Some((value.str_of(name::REFERENCE)?.into_owned(), *place));
        }
        match (item, self.system(item)?) {
            (Item::Node(place), Item::Text(text)) => Some((text.as_str().to_owned(), *place)),
            (_, Item::Text(text)) => Some((text.as_str().to_owned(), self.focus)),
            _ => None,
        }
    }

    fn target(&self, reference: &str, place: NodeRef) -> Option<NodeRef> {
        if let Some(id) = reference.strip_prefix('#') {
            let (_, container) = self.around(&place);
            let container = container?;
            let root = self.nav.value(&container)?;
            if id.is_empty() {
                return Some(container);
            }
            let mut contained = root.get(name::CONTAINED)?.items();
            let found = contained.find(|it| it.get(name::ID).is_some_and(|own| own.is_str(id)))?;
            return Some(self.nav.resource(found, place.document()));
        }
        let document = self.nav.document(place.document());
        if let Some(found) = in_bundle(document.root(), reference, place.id()) {
            return Some(self.nav.resource(found, place.document()));
        }
        let found = self.context.resolver?.resolve(reference)?;
        let number = self.nav.number_of(found)?;
        Some(self.nav.resource(found.root(), number))
    }
}

/// The resource of the entry that a reference names.
fn in_bundle<'d>(bundle: Value<'d>, reference: &str, from: NodeId) -> Option<Value<'d>> {
    let entries = bundle.get(name::ENTRY)?;
    let bare = reference.split_once("/_history/").map_or(reference, |(bare, _)| bare);
    let absolute = bare.contains("://") || bare.starts_with("urn:");
    let wanted: Cow<'_, str> = if absolute {
        Cow::Borrowed(bare)
    } else {
        let holder = entries.items().take_while(|entry| entry.id() <= from).last();
        let own = holder.and_then(|entry| entry.str_of(name::FULL_URL));
        match own.as_deref().and_then(base_of) {
            Some(base) => Cow::Owned(format!("{base}/{bare}")),
            None => Cow::Borrowed(bare),
        }
    };
    let named = |entry: &Value<'d>| entry.get(name::FULL_URL).is_some_and(|url| url.is_str(&wanted));
    if let Some(found) = entries.items().find(named) {
        return found.get(name::RESOURCE);
    }
    if absolute {
        return None;
    }
    // Entries without a usable URL are known by type and id.
    let (ty, id) = bare.split_once('/')?;
    let fits = |entry: &Value<'d>| {
        entry.get(name::RESOURCE).is_some_and(|it| {
            it.get(name::RESOURCE_TYPE).is_some_and(|own| own.is_str(ty))
                && it.get(name::ID).is_some_and(|own| own.is_str(id))
        })
    };
    entries.items().find(fits)?.get(name::RESOURCE)
}

/// The service base of a resource's URL: what stands before `Type/id`.
fn base_of(url: &str) -> Option<&str> {
    if !url.contains("://") {
        return None;
    }
    let (before, _) = url.rsplit_once('/')?;
    let (base, _) = before.rsplit_once('/')?;
    base.contains("://").then_some(base)
}
