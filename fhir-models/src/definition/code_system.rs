//! `CodeSystem` as typed values: concepts, their hierarchy and properties (FHIR R4 §4.8).
//!
//! Invariant: a concept's parents come from nesting and from the properties that FHIR defines for it
//! (`parent`, `child`, and R4's `subsumedBy`), so that a hierarchy written either way answers alike.

use std::collections::BTreeSet;

use super::code_index::CodeIndex;
use super::element::text_of;
use super::structure::items;
use super::{DefinitionError, Membership};
use crate::document::{Value, name};

/// How much of a code system is here (`CodeSystem.content`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// All of it.
    Complete,
    /// A part of it: a code that isn't here may still exist.
    Fragment,
    /// A few examples.
    Example,
    /// Nothing but its description.
    NotPresent,
    /// Additions to another code system's concepts.
    Supplement,
}

/// Whether case matters in its codes (`CodeSystem.caseSensitive`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CaseRule {
    /// `M` and `m` differ.
    Sensitive,
    /// `M` and `m` are one code.
    Insensitive,
    /// Nothing is said: a code in another case is neither right nor wrong.
    Unstated,
}

impl CaseRule {
    pub(super) fn of(stated: Option<bool>) -> CaseRule {
        match stated {
            Some(true) => CaseRule::Sensitive,
            Some(false) => CaseRule::Insensitive,
            None => CaseRule::Unstated,
        }
    }

    /// What a match in all but case means.
    pub(super) fn near_match(self) -> Membership {
        match self {
            CaseRule::Sensitive => Membership::NotMember,
            CaseRule::Insensitive => Membership::Member,
            CaseRule::Unstated => Membership::Unknown,
        }
    }
}

/// A concept's name in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Designation {
    /// BCP-47 language tag; empty where none is stated.
    pub language: String,
    /// The name.
    pub value: String,
}

/// A property of a concept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConceptProperty {
    /// Its code.
    pub code: String,
    /// Its value as text; for a `Coding`, its code.
    pub value: String,
    /// For a `Coding`, its code system.
    pub system: Option<String>,
}

/// A property that a code system declares (`CodeSystem.property`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyDeclaration {
    /// Its code.
    pub code: String,
    /// What it means, where it has a meaning beyond this code system.
    pub uri: Option<String>,
    /// `code`, `Coding`, `string`, `integer`, `boolean`, `dateTime` or `decimal`.
    pub kind: String,
}

/// A filter that a code system declares (`CodeSystem.filter`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterDeclaration {
    /// Its code.
    pub code: String,
    /// The operators it takes.
    pub operators: Vec<String>,
}

/// A concept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concept {
    /// Its code.
    pub code: String,
    /// Its name.
    pub display: Option<String>,
    /// Its names in other languages. Built-in packs keep Italian, English, German and French.
    pub designations: Vec<Designation>,
    /// Its properties.
    pub properties: Vec<ConceptProperty>,
    /// Its direct parents, as numbers in [`CodeSystem::concepts`], sorted.
    pub parents: Vec<usize>,
}

/// A code system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeSystem {
    /// Canonical URL, without version: the `system` of its codings.
    pub url: String,
    /// Business version.
    pub version: Option<String>,
    /// Computer-friendly name.
    pub name: String,
    /// The language of its displays, where it states one.
    pub language: Option<String>,
    /// How much of it is here.
    pub content: Content,
    /// Whether case matters.
    pub case: CaseRule,
    /// The code system that it adds to, a canonical.
    pub supplements: Option<String>,
    /// The properties it declares.
    pub properties: Vec<PropertyDeclaration>,
    /// The filters it declares.
    pub filters: Vec<FilterDeclaration>,
    /// Its concepts in source order, nested ones after their parent.
    pub concepts: Vec<Concept>,
    by_code: CodeIndex,
}

impl CodeSystem {
    /// Reads a `CodeSystem` resource.
    ///
    /// # Errors
    /// [`DefinitionError`] for another resource, or where `url`, `content` or a concept's code is wrong.
    pub fn read(resource: Value<'_>) -> Result<CodeSystem, DefinitionError> {
        if resource.resource_type().as_deref() != Some("CodeSystem") {
            return Err(DefinitionError::NotA("CodeSystem"));
        }
        let content = match resource.get(name::CONTENT).and_then(Value::as_str).as_deref() {
            Some("complete") => Content::Complete,
            Some("fragment") => Content::Fragment,
            Some("example") => Content::Example,
            Some("not-present") => Content::NotPresent,
            Some("supplement") => Content::Supplement,
            Some(_) => return Err(DefinitionError::BadCode("content")),
            None => return Err(DefinitionError::Missing("content")),
        };
        let case_sensitive = resource.get(name::CASE_SENSITIVE).and_then(Value::as_bool);
        let mut system = CodeSystem {
            url: text_of(resource.get(name::URL)).ok_or(DefinitionError::Missing("url"))?,
            version: text_of(resource.get(name::VERSION)),
            name: text_of(resource.get(name::NAME)).unwrap_or_default(),
            language: text_of(resource.get_key("language")),
            content,
            case: CaseRule::of(case_sensitive),
            supplements: text_of(resource.get_key("supplements")),
            properties: items(resource.get(name::PROPERTY)).filter_map(property_declaration).collect(),
            filters: items(resource.get(name::FILTER)).filter_map(filter_declaration).collect(),
            concepts: Vec::new(),
            by_code: CodeIndex::default(),
        };
        system.add(resource.get(name::CONCEPT), None)?;
        system.index();
        system.link();
        Ok(system)
    }

    fn index(&mut self) {
        self.by_code = CodeIndex::of(self.concepts.iter().map(|it| it.code.as_str()));
    }

    /// The same code system with the names and properties that a supplement adds to its concepts.
    #[must_use]
    pub fn supplemented(&self, supplement: &CodeSystem) -> CodeSystem {
        let mut whole = self.clone();
        for added in &supplement.concepts {
            let Some(concept) = self.number(&added.code).and_then(|it| whole.concepts.get_mut(it)) else {
                continue;
            };
            let shown = added.display.iter().map(|display| Designation {
                language: supplement.language.clone().unwrap_or_default(),
                value: display.clone(),
            });
            concept.designations.extend(shown.chain(added.designations.iter().cloned()));
            concept.properties.extend(added.properties.iter().cloned());
        }
        let new = |it: &&PropertyDeclaration| !self.properties.iter().any(|own| own.code == it.code);
        whole.properties.extend(supplement.properties.iter().filter(new).cloned());
        whole.link();
        whole
    }

    /// True where it only adds to another code system, by its content or by naming that one: its url is then
    /// no system of codings.
    pub fn is_supplement(&self) -> bool {
        self.content == Content::Supplement || self.supplements.is_some()
    }

    /// True where a concept is out of use: its `inactive` is true, or its `status` says so.
    pub fn is_inactive(&self, number: usize) -> bool {
        let properties = self.concepts.get(number).map(|it| it.properties.as_slice()).unwrap_or_default();
        properties.iter().any(|it| match it.code.as_str() {
            "inactive" => it.value == "true",
            "status" => matches!(it.value.as_str(), "retired" | "inactive" | "withdrawn"),
            _ => false,
        })
    }

    /// The concepts above this one at any height, itself not included, as sorted numbers.
    pub fn ancestors(&self, concept: usize) -> Vec<usize> {
        let mut found = BTreeSet::new();
        let mut waiting = vec![concept];
        while let Some(number) = waiting.pop() {
            for &parent in self.concepts.get(number).map(|it| it.parents.as_slice()).unwrap_or_default() {
                if parent != concept && found.insert(parent) {
                    waiting.push(parent);
                }
            }
        }
        found.into_iter().collect()
    }

    /// The concept with exactly this code.
    pub fn concept(&self, code: &str) -> Option<&Concept> {
        self.number(code).and_then(|number| self.concepts.get(number))
    }

    /// The concept's number in [`CodeSystem::concepts`].
    pub fn number(&self, code: &str) -> Option<usize> {
        self.by_code.find(code, |number| self.concepts.get(number).is_some_and(|it| it.code == code))
    }

    /// Whether the system has this code.
    pub fn membership(&self, code: &str) -> Membership {
        if self.number(code).is_some() {
            return Membership::Member;
        }
        if self.case != CaseRule::Sensitive && self.near(code) {
            return self.case.near_match();
        }
        if self.content == Content::Complete { Membership::NotMember } else { Membership::Unknown }
    }

    /// The concepts below this one at any depth, itself not included, as sorted numbers.
    pub fn descendants(&self, ancestor: usize) -> Vec<usize> {
        let mut children = vec![Vec::new(); self.concepts.len()];
        for (number, concept) in self.concepts.iter().enumerate() {
            for &parent in &concept.parents {
                if let Some(list) = children.get_mut(parent) {
                    list.push(number);
                }
            }
        }
        let mut found = BTreeSet::new();
        let mut waiting = vec![ancestor];
        while let Some(number) = waiting.pop() {
            for &child in children.get(number).into_iter().flatten() {
                if child != ancestor && found.insert(child) {
                    waiting.push(child);
                }
            }
        }
        found.into_iter().collect()
    }

    fn near(&self, code: &str) -> bool {
        self.concepts.iter().any(|concept| same_but_case(&concept.code, code))
    }

    fn add(&mut self, list: Option<Value<'_>>, parent: Option<usize>) -> Result<(), DefinitionError> {
        for value in items(list) {
            let number = self.concepts.len();
            let language = |it: Value<'_>| text_of(it.get_key("language")).unwrap_or_default();
            self.concepts.push(Concept {
                code: text_of(value.get(name::CODE)).ok_or(DefinitionError::Missing("concept.code"))?,
                display: text_of(value.get(name::DISPLAY)),
                designations: items(value.get_key("designation"))
                    .filter_map(|it| {
                        Some(Designation { language: language(it), value: text_of(it.get(name::VALUE))? })
                    })
                    .collect(),
                properties: items(value.get(name::PROPERTY)).filter_map(property).collect(),
                parents: parent.into_iter().collect(),
            });
            self.add(value.get(name::CONCEPT), Some(number))?;
        }
        Ok(())
    }

    /// Adds the parents that properties state.
    fn link(&mut self) {
        let mut up = BTreeSet::from(["parent".to_owned(), "subsumedBy".to_owned()]);
        let mut down = BTreeSet::from(["child".to_owned()]);
        for declared in &self.properties {
            match declared.uri.as_deref().and_then(|uri| uri.rsplit_once('#')) {
                Some((_, "parent")) => up.insert(declared.code.clone()),
                Some((_, "child")) => down.insert(declared.code.clone()),
                _ => false,
            };
        }
        let mut edges = Vec::new();
        for (number, concept) in self.concepts.iter().enumerate() {
            for property in &concept.properties {
                let Some(other) = self.number(&property.value) else { continue };
                if up.contains(&property.code) {
                    edges.push((number, other));
                } else if down.contains(&property.code) {
                    edges.push((other, number));
                }
            }
        }
        for (child, parent) in edges {
            if let Some(concept) = self.concepts.get_mut(child)
                && let Err(at) = concept.parents.binary_search(&parent)
            {
                concept.parents.insert(at, parent);
            }
        }
    }
}

/// True where two codes differ in case at most.
pub(super) fn same_but_case(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!a.is_ascii() && a.to_lowercase() == b.to_lowercase())
}

fn property(value: Value<'_>) -> Option<ConceptProperty> {
    let held = value.children().find(|it| it.key().is_some_and(|key| key.starts_with("value")))?;
    let text = if held.is_object() {
        text_of(held.get(name::CODE))?
    } else {
        text_of(Some(held)).unwrap_or_else(|| held.raw().to_owned())
    };
    let system = held.is_object().then(|| text_of(held.get(name::SYSTEM))).flatten();
    Some(ConceptProperty { code: text_of(value.get(name::CODE))?, value: text, system })
}

fn property_declaration(value: Value<'_>) -> Option<PropertyDeclaration> {
    Some(PropertyDeclaration {
        code: text_of(value.get(name::CODE))?,
        uri: text_of(value.get(name::URI)),
        kind: text_of(value.get(name::TYPE)).unwrap_or_default(),
    })
}

fn filter_declaration(value: Value<'_>) -> Option<FilterDeclaration> {
    let operators = items(value.get_key("operator")).filter_map(|it| text_of(Some(it))).collect();
    Some(FilterDeclaration { code: text_of(value.get(name::CODE))?, operators })
}
