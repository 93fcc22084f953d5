//! Reads `ConceptMap` resources of R4 and R5, and the maps that they send unmapped codes to.
//!
//! What can't be followed is refused, never left out: a mapping whose condition is not understood would hold always.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use fhir_models::definition::Definitions;
use fhir_models::document::{OwnedDocument, Value};

use super::{ConceptMap, Dependency, Element, Equivalence, Group, System, Target, Unmapped};

/// Longest chain of maps that send unmapped codes on.
const MOST_MAPS: usize = 8;

/// Most groups of a map.
const MOST_GROUPS: usize = 10_000;

/// Why a concept map can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConceptMapFault {
    /// Another resource.
    #[error("it is no ConceptMap")]
    OtherResource,
    /// A relation between codes that neither R4 nor R5 knows.
    #[error("{1:?}, which it says of {0}, is no equivalence of FHIR")]
    Equivalence(String, String),
    /// A condition that can't be judged.
    #[error("the target of {0} depends on a value set, which is not supported: name the values one by one")]
    DependsOnValueSet(String),
    /// A condition or product without name or value.
    #[error("a dependency or product of {0} lacks its element or its value")]
    Dependency(String),
    /// `fixed` without code.
    #[error("its fixed code for unmapped codes is missing")]
    FixedCode,
    /// An unknown way with unmapped codes.
    #[error("{0:?} is no way to treat unmapped codes: use provided, fixed or other-map")]
    Mode(String),
    /// `other-map` without canonical.
    #[error("the canonical of the map that unmapped codes go to is missing")]
    OtherMap,
    /// Many groups.
    #[error("it has more than {MOST_GROUPS} groups")]
    Groups,
    /// Maps that send unmapped codes round in a circle.
    #[error("unmapped codes go from map to map and come back to {0}")]
    Circle(String),
    /// A long chain of maps.
    #[error("unmapped codes go through more than {MOST_MAPS} maps")]
    Chain,
    /// A fault of a map that unmapped codes go to.
    #[error("the concept map {0}, where unmapped codes go: {1}")]
    Within(String, Box<ConceptMapFault>),
}

/// Finds a `ConceptMap` by its canonical, with version where one is asked for.
pub type FindConceptMap<'f> = dyn Fn(&str) -> Option<OwnedDocument> + 'f;

impl ConceptMap {
    /// Reads a `ConceptMap` resource, R4 or R5. `find` gives the maps that unmapped codes go to; one that it doesn't
    /// have is told by [`ConceptMap::absent`].
    ///
    /// # Errors
    /// [`ConceptMapFault`]: what in it can't be followed.
    pub fn read(resource: Value<'_>, find: &FindConceptMap<'_>) -> Result<ConceptMap, ConceptMapFault> {
        Reading { find, open: Vec::new(), done: HashMap::new() }.map(resource)
    }

    /// The concept map with this canonical among the definitions, `url` or `url|version`, and the maps that it
    /// sends unmapped codes to; `None` where there is none.
    ///
    /// # Errors
    /// [`ConceptMapFault`]: what in it can't be followed.
    pub fn find(definitions: &Definitions, canonical: &str) -> Result<Option<ConceptMap>, ConceptMapFault> {
        let find = |canonical: &str| definitions.resource_of_type("ConceptMap", canonical);
        find(canonical).map(|it| ConceptMap::read(it.root(), &find)).transpose()
    }
}

struct Reading<'f> {
    find: &'f FindConceptMap<'f>,
    open: Vec<String>,
    done: HashMap<String, Option<Arc<ConceptMap>>>,
}

impl Reading<'_> {
    fn map(&mut self, resource: Value<'_>) -> Result<ConceptMap, ConceptMapFault> {
        if resource.resource_type().as_deref() != Some("ConceptMap") {
            return Err(ConceptMapFault::OtherResource);
        }
        let mut map = ConceptMap::named(&text(resource, "url").unwrap_or_default());
        map.version = text(resource, "version");
        if let Some(version) = &map.version {
            map.canonical = format!("{}|{version}", map.url);
        }
        map.scopes = ["source", "target"].map(|side| {
            let names = ["Canonical", "Uri", "ScopeCanonical", "ScopeUri"];
            names.iter().find_map(|it| text(resource, &format!("{side}{it}")))
        });
        self.open.push(map.url.clone());
        for (number, group) in list(resource, "group").enumerate() {
            if number == MOST_GROUPS {
                return Err(ConceptMapFault::Groups);
            }
            let read = self.group(group)?;
            for (at, element) in read.elements.iter().enumerate() {
                ConceptMap::index(&mut map.by_source, &element.code, (number, at));
                for code in element.targets.iter().filter_map(|it| it.code.as_deref()) {
                    ConceptMap::index(&mut map.by_target, code, (number, at));
                }
            }
            map.groups.push(read);
        }
        self.open.pop();
        let mut absent = BTreeSet::new();
        for group in &map.groups {
            match &group.unmapped {
                Some(Unmapped::Other(url, None)) => _ = absent.insert(url.clone()),
                Some(Unmapped::Other(_, Some(other))) => absent.extend(other.absent.iter().cloned()),
                _ => {}
            }
        }
        map.absent = absent.into_iter().collect();
        Ok(map)
    }

    fn group(&mut self, group: Value<'_>) -> Result<Group, ConceptMapFault> {
        let mut out = Group {
            source: system(group, "source", "sourceVersion"),
            target: system(group, "target", "targetVersion"),
            ..Group::default()
        };
        for element in list(group, "element") {
            // R5 can name a whole value set here: no single code is meant.
            let Some(code) = text(element, "code") else { continue };
            let mut targets = Vec::new();
            for target in list(element, "target") {
                targets.push(read_target(target, &code)?);
            }
            let no_map = element.get_key("noMap").is_some_and(|it| it.raw() == "true");
            out.elements.push(Element { code, display: text(element, "display"), no_map, targets });
        }
        out.unmapped = match group.get_key("unmapped") {
            Some(unmapped) => Some(self.unmapped(unmapped)?),
            None => None,
        };
        Ok(out)
    }

    fn unmapped(&mut self, unmapped: Value<'_>) -> Result<Unmapped, ConceptMapFault> {
        let relation = text(unmapped, "relationship");
        let equivalence = |otherwise| match &relation {
            Some(code) => Equivalence::read(code)
                .ok_or_else(|| ConceptMapFault::Equivalence("unmapped codes".to_owned(), code.clone())),
            None => Ok(otherwise),
        };
        let mode = text(unmapped, "mode").unwrap_or_default();
        Ok(match mode.as_str() {
            "provided" | "use-source-code" => Unmapped::Provided(equivalence(Equivalence::Equal)?),
            "fixed" => Unmapped::Fixed {
                code: text(unmapped, "code").ok_or(ConceptMapFault::FixedCode)?,
                display: text(unmapped, "display"),
                equivalence: equivalence(Equivalence::RelatedTo)?,
            },
            "other-map" => {
                let url = text(unmapped, "url").or_else(|| text(unmapped, "otherMap"));
                let url = url.ok_or(ConceptMapFault::OtherMap)?;
                let other = self.other(&url)?;
                Unmapped::Other(url, other)
            }
            _ => return Err(ConceptMapFault::Mode(mode)),
        })
    }

    fn other(&mut self, canonical: &str) -> Result<Option<Arc<ConceptMap>>, ConceptMapFault> {
        if let Some(known) = self.done.get(canonical) {
            return Ok(known.clone());
        }
        let url = canonical.split('|').next().unwrap_or_default();
        if self.open.iter().any(|it| it == url) {
            return Err(ConceptMapFault::Circle(url.to_owned()));
        }
        if self.open.len() >= MOST_MAPS {
            return Err(ConceptMapFault::Chain);
        }
        let found = match (self.find)(canonical) {
            Some(document) => {
                let read = self.map(document.root());
                Some(Arc::new(
                    read.map_err(|it| ConceptMapFault::Within(canonical.to_owned(), Box::new(it)))?,
                ))
            }
            None => None,
        };
        self.done.insert(canonical.to_owned(), found.clone());
        Ok(found)
    }
}

fn read_target(target: Value<'_>, code: &str) -> Result<Target, ConceptMapFault> {
    let relation = text(target, "equivalence").or_else(|| text(target, "relationship"));
    let equivalence = match &relation {
        Some(relation) => Equivalence::read(relation)
            .ok_or_else(|| ConceptMapFault::Equivalence(code.to_owned(), relation.clone()))?,
        // STU3 says what its absence means.
        None => Equivalence::Equivalent,
    };
    let mut target = Target {
        code: text(target, "code"),
        display: text(target, "display"),
        equivalence,
        depends_on: dependencies(target, "dependsOn", code)?,
        product: dependencies(target, "product", code)?,
    };
    if target.code.is_none() && target.equivalence.corresponds() {
        target.equivalence = Equivalence::Unmatched;
    }
    Ok(target)
}

fn dependencies(target: Value<'_>, key: &str, code: &str) -> Result<Vec<Dependency>, ConceptMapFault> {
    let mut found = Vec::new();
    for one in list(target, key) {
        if one.get_key("valueSet").is_some() {
            return Err(ConceptMapFault::DependsOnValueSet(code.to_owned()));
        }
        let element = text(one, "property").or_else(|| text(one, "attribute"));
        let coding = one.get_key("valueCoding");
        let plain = || ["value", "valueCode", "valueString"].iter().find_map(|it| text(one, it));
        let boolean = || one.get_key("valueBoolean").map(|it| it.raw().to_owned());
        let value = coding.and_then(|it| text(it, "code")).or_else(plain).or_else(boolean);
        let (Some(element), Some(value)) = (element, value) else {
            return Err(ConceptMapFault::Dependency(code.to_owned()));
        };
        let stated = |key| text(one, key).or_else(|| coding.and_then(|it| text(it, key)));
        let (system, display) = (stated("system"), stated("display"));
        found.push(Dependency { element, system, value, display });
    }
    Ok(found)
}

fn system(group: Value<'_>, url: &str, version: &str) -> System {
    let canonical = text(group, url);
    let (url, inner) = match canonical.as_deref().and_then(|it| it.split_once('|')) {
        Some((url, version)) => (Some(url.to_owned()), Some(version.to_owned())),
        None => (canonical, None),
    };
    System { url, version: text(group, version).or(inner) }
}

fn text(value: Value<'_>, key: &str) -> Option<String> {
    value.get_key(key)?.as_str().map(|it| it.into_owned())
}

fn list<'a>(value: Value<'a>, key: &str) -> impl Iterator<Item = Value<'a>> {
    value.get_key(key).into_iter().flat_map(|it| it.items())
}
