//! Concept maps: which code stands for which (FHIR R4 §4.11, R5 §4.10; `$translate`, R4 §4.11.12).
//!
//! A [`ConceptMap`] is read once into an index and answers many questions. Mapped codes are given with all that the
//! map says of them, codes that are excluded (`unmatched`, `disjoint`) too: whoever asks looks at
//! [`Translation::result`], or takes [`Translation::preferred`], which never picks where the map leaves a choice.
//!
//! ```
//! use fhir_models::document::{Limits, OwnedDocument};
//! use varco_core::terminology::concept_map::{Asked, Concept, ConceptMap, Preferred};
//!
//! let json = r#"{"resourceType":"ConceptMap","url":"urn:x:genders","status":"active","group":[{
//!   "source":"urn:x:sesso","target":"http://hl7.org/fhir/administrative-gender",
//!   "element":[{"code":"M","target":[{"code":"male","equivalence":"equivalent"}]}]}]}"#;
//! let document = OwnedDocument::parse_json(json, &Limits::default())?;
//! let map = ConceptMap::read(document.root(), &|_| None)?;
//! let answer = map.translate(&Asked::of(Concept::of(Some("urn:x:sesso"), "M")));
//! assert!(answer.result);
//! let Preferred::One(found) = answer.preferred() else { panic!("one") };
//! assert_eq!(found.concept.map(|it| it.code), Some("male"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod equivalence;
mod preferred;
mod read;
mod translate;

#[cfg(test)]
mod concept_map_tests;

use std::collections::HashMap;
use std::sync::Arc;

pub use equivalence::Equivalence;
pub use preferred::Preferred;
pub use read::ConceptMapFault;

/// A code with its system: what is asked about, and what it is translated to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concept<'a> {
    /// The code system's canonical; a question without one is answered by every group of the map.
    pub system: Option<&'a str>,
    /// The code system's version, where it is stated.
    pub version: Option<&'a str>,
    /// The code.
    pub code: &'a str,
    /// Its name, as the map writes it.
    pub display: Option<&'a str>,
}

impl<'a> Concept<'a> {
    /// A code of this system.
    pub fn of(system: Option<&'a str>, code: &'a str) -> Concept<'a> {
        Concept { system, version: None, code, display: None }
    }
}

/// The value of another element: one that a mapping depends on (`dependsOn`, `dependency`), or one that it gives
/// beside the code (`product`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The element: `property` of R4, `attribute` of R5, `element` of `$translate`.
    pub element: String,
    /// The code system of the value, where it is a code.
    pub system: Option<String>,
    /// The value.
    pub value: String,
    /// The value's name.
    pub display: Option<String>,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The code to translate.
    pub concept: Concept<'a>,
    /// Only targets of this code system (in reverse: only sources).
    pub target_system: Option<&'a str>,
    /// Values of other elements, for mappings that depend on them.
    pub dependencies: &'a [Dependency],
    /// Asks for the codes that are mapped to this one.
    pub reverse: bool,
}

impl<'a> Asked<'a> {
    /// A question about this code, with nothing else known.
    pub fn of(concept: Concept<'a>) -> Asked<'a> {
        Asked { concept, target_system: None, dependencies: &[], reverse: false }
    }
}

/// The answer to a question; lives as long as the map and the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translation<'a> {
    /// True where at least one match is a code that corresponds: neither `unmatched` nor `disjoint`.
    pub result: bool,
    /// Why there is none, or what would have made the answer better.
    pub message: Option<String>,
    /// What the map says, in its order.
    pub matches: Vec<Match<'a>>,
}

/// One mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match<'a> {
    /// How the target relates to what was asked.
    pub equivalence: Equivalence,
    /// The code; absent where the map says that there is none.
    pub concept: Option<Concept<'a>>,
    /// Values that the mapping gives to other elements. In reverse: those that it depends on.
    pub product: &'a [Dependency],
    /// How many of the values given the mapping depends on.
    pub dependencies: usize,
    /// The concept map it comes from, `url|version`.
    pub source: &'a str,
    /// How the map came to it.
    pub origin: Origin,
}

/// How a map came to a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The code is mapped.
    Mapped,
    /// The code is not mapped, and the map has one code for all such (`fixed`).
    Fixed,
    /// The code is not mapped, and the map takes such as they are (`provided`, R5 `use-source-code`).
    Provided,
}

/// A concept map, indexed both ways. Immutable; shared by threads by reference.
#[derive(Debug, Default)]
pub struct ConceptMap {
    url: String,
    version: Option<String>,
    canonical: String,
    /// Value sets that it maps from and to.
    scopes: [Option<String>; 2],
    absent: Vec<String>,
    groups: Vec<Group>,
    by_source: HashMap<Box<str>, Vec<Place>>,
    by_target: HashMap<Box<str>, Vec<Place>>,
}

/// Group, and element of it.
type Place = (usize, usize);

#[derive(Debug, Default)]
struct Group {
    source: System,
    target: System,
    elements: Vec<Element>,
    unmapped: Option<Unmapped>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
struct System {
    url: Option<String>,
    version: Option<String>,
}

#[derive(Debug)]
struct Element {
    code: String,
    display: Option<String>,
    /// The map says that nothing corresponds (R5 `noMap`).
    no_map: bool,
    targets: Vec<Target>,
}

#[derive(Debug, PartialEq, Eq)]
struct Target {
    code: Option<String>,
    display: Option<String>,
    equivalence: Equivalence,
    depends_on: Vec<Dependency>,
    product: Vec<Dependency>,
}

#[derive(Debug)]
enum Unmapped {
    Provided(Equivalence),
    Fixed {
        code: String,
        display: Option<String>,
        equivalence: Equivalence,
    },
    /// Another map, by its canonical; `None` where it was not to be had.
    Other(String, Option<Arc<ConceptMap>>),
}

impl ConceptMap {
    /// Its canonical, without version; empty where it has none.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its version.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// `url|version`, or the canonical alone.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Source and target system of each group.
    pub fn systems(&self) -> impl Iterator<Item = (Option<&str>, Option<&str>)> {
        self.groups.iter().map(|it| (it.source.url.as_deref(), it.target.url.as_deref()))
    }

    /// The value set that it maps from, by its canonical.
    pub fn source_scope(&self) -> Option<&str> {
        let [source, _] = &self.scopes;
        source.as_deref()
    }

    /// The value set that it maps to, by its canonical.
    pub fn target_scope(&self) -> Option<&str> {
        let [_, target] = &self.scopes;
        target.as_deref()
    }

    /// Canonicals of maps that unmapped codes go to and that were not found when this one was read.
    pub fn absent(&self) -> &[String] {
        &self.absent
    }

    /// The codes that it maps, in no order.
    pub(crate) fn source_codes(&self) -> impl Iterator<Item = &str> {
        self.by_source.keys().map(|it| &**it)
    }

    /// True where another map is asked about unmapped codes.
    pub(crate) fn asks_others(&self) -> bool {
        self.groups.iter().any(|it| matches!(it.unmapped, Some(Unmapped::Other(..))))
    }

    /// A map that is put together by hand, with [`Self::add`].
    pub(crate) fn named(url: &str) -> ConceptMap {
        ConceptMap { url: url.to_owned(), canonical: url.to_owned(), ..ConceptMap::default() }
    }

    /// Adds a pair of codes; without target, the map says that nothing corresponds.
    pub(crate) fn add(
        &mut self,
        source: (Option<&str>, &str),
        equivalence: Equivalence,
        target: (Option<&str>, Option<&str>),
    ) {
        let group = self.group_of(source.0, target.0);
        let place = self.by_source.get(source.1).into_iter().flatten().find(|it| it.0 == group).copied();
        let Some(own) = self.groups.get_mut(group) else { return };
        let at = place.map_or(own.elements.len(), |it| it.1);
        if place.is_none() {
            let code = source.1.to_owned();
            own.elements.push(Element { code, display: None, no_map: false, targets: Vec::new() });
            Self::index(&mut self.by_source, source.1, (group, at));
        }
        if let Some(code) = target.1 {
            Self::index(&mut self.by_target, code, (group, at));
        }
        if let Some(element) = own.elements.get_mut(at) {
            element.targets.push(Target {
                code: target.1.map(str::to_owned),
                display: None,
                equivalence,
                depends_on: Vec::new(),
                product: Vec::new(),
            });
        }
    }

    /// Unmapped codes of this system are taken as they are. To be called when all pairs are there.
    pub(crate) fn provide(&mut self, source: Option<&str>) {
        if !self.groups.iter().any(|it| it.source.url.as_deref() == source) {
            self.group_of(source, None);
        }
        for group in self.groups.iter_mut().filter(|it| it.source.url.as_deref() == source) {
            group.unmapped = Some(Unmapped::Provided(Equivalence::Equal));
        }
    }

    fn group_of(&mut self, source: Option<&str>, target: Option<&str>) -> usize {
        let is = |it: &Group| it.source.url.as_deref() == source && it.target.url.as_deref() == target;
        if let Some(found) = self.groups.iter().position(is) {
            return found;
        }
        let system = |url: Option<&str>| System { url: url.map(str::to_owned), version: None };
        self.groups.push(Group { source: system(source), target: system(target), ..Group::default() });
        self.groups.len() - 1
    }

    fn index(index: &mut HashMap<Box<str>, Vec<Place>>, code: &str, place: Place) {
        let places = index.entry(code.into()).or_default();
        if places.last() != Some(&place) {
            places.push(place);
        }
    }
}
