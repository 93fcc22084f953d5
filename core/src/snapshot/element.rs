//! An `ElementDefinition` as its members: JSON text kept as it is, in the order of the specification.
//!
//! Id, path and slice name are no members here: the tree says them.

use std::sync::Arc;

use fhir_models::definition::{ElementDefinition, ElementType, STRUCTURE_BASE};
use fhir_models::document::{JsonWriter, Limits, OwnedDocument, Value, name};

/// The members in the order of R4's definition; a choice by its stem.
const ORDER: &[&str] = &[
    "extension",
    "modifierExtension",
    "path",
    "representation",
    "sliceName",
    "sliceIsConstraining",
    "label",
    "code",
    "slicing",
    "short",
    "definition",
    "comment",
    "requirements",
    "alias",
    "min",
    "max",
    "base",
    "contentReference",
    "type",
    "defaultValue",
    "meaningWhenMissing",
    "orderMeaning",
    "fixed",
    "pattern",
    "example",
    "minValue",
    "maxValue",
    "maxLength",
    "condition",
    "constraint",
    "mustSupport",
    "isModifier",
    "isModifierReason",
    "isSummary",
    "binding",
    "mapping",
];
/// The choices among them: at most one member of each.
pub(super) const CHOICES: &[&str] = &["defaultValue", "fixed", "pattern", "minValue", "maxValue"];

/// Extensions that tell of the state of one publication: what is built on it doesn't inherit them.
const OF_ONE_PUBLICATION: &[&str] = &[
    "http://hl7.org/fhir/StructureDefinition/structuredefinition-standards-status",
    "http://hl7.org/fhir/StructureDefinition/structuredefinition-standards-status-reason",
    "http://hl7.org/fhir/StructureDefinition/structuredefinition-normative-version",
    "http://hl7.org/fhir/StructureDefinition/structuredefinition-fmm",
    "http://hl7.org/fhir/StructureDefinition/structuredefinition-fmm-no-warnings",
    "http://hl7.org/fhir/StructureDefinition/structuredefinition-wg",
    "http://hl7.org/fhir/StructureDefinition/structuredefinition-summary",
    "http://hl7.org/fhir/StructureDefinition/structuredefinition-applicable-version",
];

/// What stands under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    One(Arc<str>),
    List(Vec<Arc<str>>),
}

impl Held {
    pub fn read(value: Value<'_>) -> Held {
        if value.is_array() {
            Held::List(value.children().map(|item| item.raw().into()).collect())
        } else {
            Held::One(value.raw().into())
        }
    }

    pub fn items(&self) -> &[Arc<str>] {
        match self {
            Held::One(one) => std::slice::from_ref(one),
            Held::List(list) => list,
        }
    }
}

/// One element, without its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Element {
    members: Vec<(Arc<str>, Held)>,
    /// The member `type`, read.
    pub types: Vec<ElementType>,
    /// The member `contentReference`, read.
    pub reference: Option<String>,
}

impl Element {
    /// The members of an element. `read`: the same element, read.
    pub fn of(value: Value<'_>, read: &ElementDefinition) -> Element {
        let members = value.children().filter_map(|member| {
            let key = member.key()?;
            let placed = matches!(key.trim_start_matches('_'), "id" | "path" | "sliceName");
            (!placed).then(|| (Arc::from(&*key), Held::read(member)))
        });
        Element {
            members: members.collect(),
            types: read.types.clone(),
            reference: read.content_reference.clone(),
        }
    }

    /// As what is built on the structure `owner` inherits it: constraints say their source, the base is filled in.
    pub fn inherited(mut self, owner: &str, path: &str, read: &ElementDefinition) -> Element {
        self.say_sources(owner);
        if self.get("base").is_none() {
            let max = self.get("max").and_then(|it| it.items().first().cloned());
            let max = max.unwrap_or_else(|| "\"*\"".into());
            let mut base = JsonWriter::new();
            base.begin_object().member("path", path).key("min").integer(i64::from(read.least()));
            base.key("max").raw(max.as_bytes()).end_object();
            self.set("base", Held::One(text(base).into()));
        }
        if let Some(list) = self.get("extension") {
            let stays =
                |it: &&Arc<str>| !url_of(it).is_some_and(|u| OF_ONE_PUBLICATION.contains(&u.as_str()));
            let kept: Vec<_> = list.items().iter().filter(stays).cloned().collect();
            match kept.is_empty() {
                true => self.remove("extension"),
                false => self.set("extension", Held::List(kept)),
            }
        }
        self
    }

    /// Gives constraints without a source this one.
    pub fn say_sources(&mut self, owner: &str) {
        let Some(list) = self.get("constraint") else { return };
        let sourced = list.items().iter().map(|it| sourced(it, owner)).collect();
        self.set("constraint", Held::List(sourced));
    }

    pub fn members(&self) -> impl Iterator<Item = (&str, &Held)> {
        self.members.iter().map(|(key, held)| (&**key, held))
    }

    pub fn get(&self, key: &str) -> Option<&Held> {
        self.members.iter().find(|(own, _)| &**own == key).map(|(_, held)| held)
    }

    /// The JSON text of a member that does not repeat.
    pub fn raw(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(|it| it.items().first()).map(|it| &**it)
    }

    pub fn set(&mut self, key: &str, held: Held) {
        match self.members.iter_mut().find(|(own, _)| &**own == key) {
            Some((_, own)) => *own = held,
            None => self.members.push((key.into(), held)),
        }
    }

    pub fn remove(&mut self, key: &str) {
        self.members.retain(|(own, _)| &**own != key);
    }

    /// Removes the members of a choice, twins included.
    pub fn remove_choice(&mut self, stem: &str) {
        self.members.retain(|(own, _)| choice_of(own) != Some(stem));
    }

    /// Adds items to a list where they are not there yet.
    pub fn add(&mut self, key: &str, items: &[Arc<str>]) {
        let mut all = self.get(key).map_or_else(Vec::new, |it| it.items().to_vec());
        for item in items {
            if !all.contains(item) {
                all.push(Arc::clone(item));
            }
        }
        if !all.is_empty() {
            self.set(key, Held::List(all));
        }
    }

    /// Adds the types of another element that fit.
    pub fn take_type(&mut self, from: &Element, fits: impl Fn(&str) -> bool) {
        let items = from.get("type").map_or(&[][..], Held::items);
        let taken: Vec<_> = from.types.iter().zip(items).filter(|(it, _)| fits(&it.code)).collect();
        let items: Vec<Arc<str>> = taken.iter().map(|(_, item)| Arc::clone(item)).collect();
        self.types.extend(taken.into_iter().map(|(it, _)| it.clone()));
        self.add("type", &items);
    }

    /// Leaves one of its types only.
    pub fn narrow(&mut self, code: &str) {
        let Some(at) = self.types.iter().position(|it| it.code == code) else { return };
        let own = self.get("type").and_then(|it| it.items().get(at).cloned());
        self.types = self.types.get(at).cloned().into_iter().collect();
        if let Some(own) = own {
            self.set("type", Held::List(vec![own]));
        }
    }

    /// The canonical of the profile of its only type.
    pub fn only_profile(&self) -> Option<&str> {
        match self.types.as_slice() {
            [only] => match only.profiles.as_slice() {
                [profile] => Some(profile),
                _ => None,
            },
            _ => None,
        }
    }

    pub fn write(&self, out: &mut JsonWriter, id: &str, path: &str, slice: Option<&str>) {
        out.begin_object().member("id", id);
        let place = [("path", Some(path)), ("sliceName", slice)];
        let mut all: Vec<(usize, Option<&str>, &str, Option<&Held>)> = Vec::new();
        for (key, text) in place {
            all.extend(text.map(|text| (rank(key), Some(text), key, None)));
        }
        all.extend(self.members.iter().map(|(key, held)| (rank(key), None, &**key, Some(held))));
        all.sort_by_key(|(rank, ..)| *rank);
        for (_, text, key, held) in all {
            out.key_of(key);
            match (text, held) {
                (Some(text), _) => out.string(text),
                (None, Some(Held::One(one))) => out.raw(one.as_bytes()),
                (None, held) => {
                    out.begin_array();
                    for item in held.map(Held::items).unwrap_or_default() {
                        out.raw(item.as_bytes());
                    }
                    out.end_array()
                }
            };
        }
        out.end_object();
    }
}

/// The stem of the choice that a member, or the twin of one, belongs to.
pub(super) fn choice_of(key: &str) -> Option<&'static str> {
    let bare = key.trim_start_matches('_');
    let typed = |stem: &&&str| {
        bare.strip_prefix(**stem).is_some_and(|rest| rest.starts_with(|it: char| it.is_ascii_uppercase()))
    };
    CHOICES.iter().find(typed).copied()
}

fn rank(key: &str) -> usize {
    let stem = choice_of(key).unwrap_or_else(|| key.trim_start_matches('_'));
    ORDER.iter().position(|it| *it == stem).unwrap_or(ORDER.len())
}

/// A small JSON text, read.
pub(super) fn read(json: &str) -> Option<OwnedDocument> {
    OwnedDocument::parse_json(json, &Limits::default()).ok()
}

/// The text of a string member of an object.
pub(super) fn member_text(json: &str, key: &str) -> Option<String> {
    read(json)?.root().get_key(key)?.as_str().map(|text| text.into_owned())
}

pub(super) fn url_of(extension: &str) -> Option<String> {
    read(extension)?.root().str_of(name::URL).map(|text| text.into_owned())
}

pub(super) fn text(writer: JsonWriter) -> String {
    String::from_utf8(writer.into_bytes()).unwrap_or_default()
}

/// A constraint with its source.
fn sourced(constraint: &Arc<str>, owner: &str) -> Arc<str> {
    let Some(document) = read(constraint) else { return Arc::clone(constraint) };
    if document.root().get(name::SOURCE).is_some() || !document.root().is_object() {
        return Arc::clone(constraint);
    }
    let mut out = JsonWriter::new();
    out.begin_object();
    for member in document.root().children() {
        out.key_of(&member.key().unwrap_or_default()).raw(member.raw().as_bytes());
    }
    let owner = match owner.contains([':', '/']) {
        true => owner.to_owned(),
        false => [STRUCTURE_BASE, owner].concat(),
    };
    out.member("source", &owner).end_object();
    text(out).into()
}
