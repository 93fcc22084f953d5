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
    /// How much of it is here.
    pub content: Content,
    /// Whether case matters.
    pub case: CaseRule,
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
            content,
            case: CaseRule::of(case_sensitive),
            concepts: Vec::new(),
            by_code: CodeIndex::default(),
        };
        system.add(resource.get(name::CONCEPT), None)?;
        system.by_code = CodeIndex::of(system.concepts.iter().map(|it| it.code.as_str()));
        system.link(resource);
        Ok(system)
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
    fn link(&mut self, resource: Value<'_>) {
        let mut up = BTreeSet::from(["parent".to_owned(), "subsumedBy".to_owned()]);
        let mut down = BTreeSet::from(["child".to_owned()]);
        for declared in items(resource.get(name::PROPERTY)) {
            let code = text_of(declared.get(name::CODE)).unwrap_or_default();
            match declared.str_of(name::URI).as_deref().and_then(|uri| uri.rsplit_once('#')) {
                Some((_, "parent")) => up.insert(code),
                Some((_, "child")) => down.insert(code),
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
    Some(ConceptProperty { code: text_of(value.get(name::CODE))?, value: text })
}
