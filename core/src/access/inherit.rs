//! Labels that a resource has from others: what is said of a document holds for its content (FHIR R4 §6.1.3).
//!
//! | who holds | who is held | by |
//! |---|---|---|
//! | Bundle | its entries | containment |
//! | any resource | what it contains, and it what that says | containment ([`Labels::of`]) |
//! | Composition | `section.entry`, at any depth | reference |
//! | DocumentReference, and any other with an attachment | the Binary behind `url` | address |
//! | a Binary's `securityContext` | the Binary | reference |
//! | DiagnosticReport | `result`, `imagingStudy`, `media.link` | reference |
//! | List, DocumentManifest | `entry.item`, `content` | reference |
//!
//! Holders are held themselves: a Binary has the labels of its DocumentReference, and those of the List that this
//! stands in.
//!
//! Invariants: inheriting only ever makes stricter. A low level of a holder vouches for nothing but the content
//! that it describes: a Binary, and what stands in a Bundle. What could not be looked up is said
//! ([`InheritedLabels::unknown`]); a caller must then not release what depends on it.

use std::collections::HashMap;

use fhir_models::document::{Name, Value, name};

use super::labels::Labels;
use super::nested::resources;
use crate::consent::LiteralReference;

/// Longest chain of holders that is followed; beyond it, holders count as unknown.
pub const MAX_HOLDERS_DEEP: usize = 8;
/// Most holders that are looked at for one resource; beyond it, the rest counts as unknown.
pub const MAX_HOLDERS: usize = 256;

/// What brings a holder's labels to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bond {
    /// It stands in a section of a Composition.
    Section,
    /// It is the content of an attachment, or names its holder as security context.
    Attachment,
    /// It is a result, image or study of a DiagnosticReport.
    Result,
    /// It is listed.
    Listed,
}

impl Bond {
    /// All of them.
    pub const ALL: &'static [Bond] = &[Bond::Section, Bond::Attachment, Bond::Result, Bond::Listed];

    /// The types of the resources that hold others by this bond, and could hold one of this type.
    pub fn holders_of(self, held: &str) -> &'static [&'static str] {
        match (self, held) {
            (Bond::Attachment, "Binary") => {
                &["DocumentReference", "DiagnosticReport", "Media", "Communication"]
            }
            (_, "Binary") | (Bond::Attachment, _) => &[],
            (Bond::Section, _) => &["Composition"],
            (Bond::Result, "Observation" | "ImagingStudy" | "Media") => &["DiagnosticReport"],
            (Bond::Result, _) => &[],
            (Bond::Listed, "DocumentReference" | "Media") => &["List", "DocumentManifest"],
            (Bond::Listed, _) => &["List"],
        }
    }

    /// True where the holder describes exactly the content held: its low levels count as well.
    fn vouches(self) -> bool {
        self == Bond::Attachment
    }
}

/// A resource that holds another, and what its own text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The holder; `None` where it has no id.
    pub reference: Option<LiteralReference>,
    /// Its labels, with those of everything inside it and of the Bundle around it.
    pub labels: Labels,
}

/// Finds the holders of a resource. [`LabelScene`] does for the resources at hand; who serves a whole
/// server implements it over what was looked up.
pub trait Holders {
    /// The resources that hold `held` by this bond; `None` where it can't be told.
    fn holders(&self, held: &LiteralReference, bond: Bond) -> Option<Vec<Holder>>;

    /// The labels of one resource, such as a Binary's security context; `None` where it is not to be found.
    fn resource(&self, reference: &LiteralReference) -> Option<Holder>;
}

/// The labels of a resource, inherited ones included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InheritedLabels {
    /// The labels.
    pub labels: Labels,
    /// The holders whose labels count, as far as they have an id.
    pub from: Vec<LiteralReference>,
    /// The bonds whose holders could not be told, each once.
    pub unknown: Vec<Bond>,
}

/// The labels of a resource and of whatever holds it. `around` are those of the Bundle that it stands in.
pub fn inherited(
    resource: Value<'_>,
    around: &Labels,
    bases: &[String],
    holders: &impl Holders,
) -> InheritedLabels {
    inherited_beside(Labels::of(resource).within(around), resource, bases, holders)
}

/// The same for a resource of which these labels are known: those of whatever holds it are added.
pub fn inherited_beside(
    labels: Labels,
    resource: Value<'_>,
    bases: &[String],
    holders: &impl Holders,
) -> InheritedLabels {
    let mut found = InheritedLabels { labels, ..InheritedLabels::default() };
    let mut seen = Vec::new();
    let mut waiting = Vec::new();
    if let Some(own) = reference_of(resource) {
        waiting.push((own, 0, true));
    }
    if resource.get(name::RESOURCE_TYPE).is_some_and(|own| own.is_str("Binary"))
        && let Some(context) = resource.get_key("securityContext")
    {
        let context = context.str_of(name::REFERENCE);
        let context = context.and_then(|text| LiteralReference::parse_at(&text, bases));
        match context.as_ref().and_then(|context| holders.resource(context)) {
            Some(holder) => {
                found.take(&holder, true);
                waiting.extend(holder.reference.map(|own| (own, 1, true)));
            }
            // A patient as security context says whose the Binary is, and nothing about its content.
            None if context.as_ref().and_then(LiteralReference::resource_type) == Some("Patient") => {}
            None => found.unknown(Bond::Attachment),
        }
    }
    while let Some((held, depth, vouching)) = waiting.pop() {
        if seen.contains(&held) {
            continue;
        }
        let kind = held.resource_type().unwrap_or_default().to_owned();
        for &bond in Bond::ALL {
            if bond.holders_of(&kind).is_empty() {
                continue;
            }
            match holders.holders(&held, bond) {
                Some(all) if !all.is_empty() && (depth >= MAX_HOLDERS_DEEP || seen.len() >= MAX_HOLDERS) => {
                    found.unknown(bond);
                }
                Some(all) => {
                    for holder in all {
                        let vouches = vouching && bond.vouches();
                        found.take(&holder, vouches);
                        waiting.extend(holder.reference.map(|own| (own, depth + 1, vouches)));
                    }
                }
                None => found.unknown(bond),
            }
        }
        seen.push(held);
    }
    found
}

impl InheritedLabels {
    fn take(&mut self, holder: &Holder, vouches: bool) {
        let labels = std::mem::take(&mut self.labels);
        self.labels =
            if vouches { labels.within(&holder.labels) } else { labels.within(&holder.labels.restricting()) };
        if let Some(reference) = &holder.reference
            && !self.from.contains(reference)
        {
            self.from.push(reference.clone());
        }
    }

    fn unknown(&mut self, bond: Bond) {
        if !self.unknown.contains(&bond) {
            self.unknown.push(bond);
        }
    }
}

/// The resources at hand and whom they hold.
#[derive(Debug, Default)]
pub struct LabelScene {
    bases: Vec<String>,
    all: Vec<Holder>,
    /// What each is known by: its id, its `fullUrl`.
    names: Vec<Vec<LiteralReference>>,
    /// Who is held, by whom (a place in `all`).
    held: HashMap<(LiteralReference, Bond), Vec<usize>>,
    by_reference: HashMap<LiteralReference, usize>,
}

impl LabelScene {
    /// Nothing at hand. `bases` are the base URLs of the server: absolute references below them are its own.
    pub fn new(bases: &[String]) -> LabelScene {
        LabelScene { bases: bases.to_vec(), ..LabelScene::default() }
    }

    /// Adds a resource and everything inside it. Of a Bundle, the entries are added, each with the labels
    /// that the Bundle itself carries, under their ids and their `fullUrl`s.
    pub fn add(&mut self, resource: Value<'_>) {
        let all = resources(resource);
        // The labels of the Bundles around each.
        let mut around: Vec<Labels> = Vec::with_capacity(all.len());
        for own in &all {
            let outer = own.holder.and_then(|at| around.get(at)).cloned().unwrap_or_default();
            let is_bundle = own.value.get(name::RESOURCE_TYPE).is_some_and(|kind| kind.is_str("Bundle"));
            around.push(if is_bundle { Labels::own(own.value).within(&outer) } else { outer.clone() });
            if is_bundle || own.contained {
                continue;
            }
            let url = own.unit.str_of(name::FULL_URL);
            let names = reference_of(own.value).into_iter().chain(url.and_then(|url| self.parse(&url)));
            let names: Vec<LiteralReference> = names.collect();
            let place = self.all.len();
            let labels = Labels::of(own.value).within(&outer);
            self.all.push(Holder { reference: names.first().cloned(), labels });
            for name in &names {
                self.by_reference.entry(name.clone()).or_insert(place);
            }
            self.names.push(names);
            for (target, bond) in self.targets(own.value) {
                self.held.entry((target, bond)).or_default().push(place);
            }
        }
    }

    /// How many resources are at hand, those inside others included and Bundles excepted.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// True where nothing is at hand.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn parse(&self, text: &str) -> Option<LiteralReference> {
        LiteralReference::parse_at(text, &self.bases)
    }

    /// Whom a resource holds.
    fn targets(&self, resource: Value<'_>) -> Vec<(LiteralReference, Bond)> {
        let kind = resource.resource_type().unwrap_or_default();
        let mut found: Vec<(LiteralReference, Bond)> = Vec::new();
        let mut refer = |values: Vec<Value<'_>>, bond| {
            let texts = values.into_iter().filter_map(|value| value.str_of(name::REFERENCE));
            found.extend(texts.filter_map(|text| Some((self.parse(&text)?, bond))));
        };
        let at = |path: &[&str]| {
            let names: Vec<Name> = path.iter().map(|step| Name::of(step)).collect();
            resource.path(&names)
        };
        match &*kind {
            "Composition" => {
                let mut sections = at(&["section"]);
                while let Some(section) = sections.pop() {
                    refer(section.path(&[name::ENTRY]), Bond::Section);
                    sections.extend(section.path(&[Name::of("section")]));
                }
            }
            "DiagnosticReport" => {
                for path in [&["result"][..], &["imagingStudy"], &["media", "link"]] {
                    refer(at(path), Bond::Result);
                }
            }
            "List" => refer(at(&["entry", "item"]), Bond::Listed),
            "DocumentManifest" => refer(at(&["content"]), Bond::Listed),
            _ => {}
        }
        // Attachments stand under many names; what they have in common is a `url` that leads to a Binary.
        for url in resource.descendants().filter(|value| value.name() == name::URL) {
            let target = url.as_str().and_then(|text| self.parse(&text));
            found.extend(
                target.filter(|own| own.resource_type() == Some("Binary")).map(|own| (own, Bond::Attachment)),
            );
        }
        found
    }
}

impl Holders for LabelScene {
    /// Those among the resources at hand: never unknown.
    fn holders(&self, held: &LiteralReference, bond: Bond) -> Option<Vec<Holder>> {
        let mut places: Vec<usize> = self.held.get(&(held.clone(), bond)).cloned().unwrap_or_default();
        // What an entry is known by: its id, or its fullUrl.
        let names = self.by_reference.get(held).and_then(|&place| self.names.get(place));
        for name in names.into_iter().flatten().filter(|name| *name != held) {
            places.extend(self.held.get(&(name.clone(), bond)).into_iter().flatten());
        }
        places.sort_unstable();
        places.dedup();
        Some(places.iter().filter_map(|&place| self.all.get(place)).cloned().collect())
    }

    fn resource(&self, reference: &LiteralReference) -> Option<Holder> {
        self.by_reference.get(reference).and_then(|&place| self.all.get(place)).cloned()
    }
}

fn reference_of(resource: Value<'_>) -> Option<LiteralReference> {
    LiteralReference::of(&resource.resource_type()?, &resource.str_of(name::ID)?)
}

#[cfg(test)]
#[path = "inherit_tests.rs"]
mod tests;
