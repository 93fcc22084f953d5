//! A definition on its way into a pack: what the index says of it, and what it needs.

use std::borrow::Cow;
use std::cmp::Reverse;

use super::pack_format::{
    FLAG_ABSTRACT, FLAG_CASE_INSENSITIVE, FLAG_CASE_SENSITIVE, FLAG_KIND_SHIFT, FLAG_TYPE, SUPPLEMENTS,
    TYPE_FACET, split_url,
};
use crate::document::{Value, name};

/// URL, type, version in falling order: the index's order. What has no URL is told apart by its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SortKey {
    pub(super) prefix: String,
    pub(super) rest: String,
    pub(super) resource_type: String,
    pub(super) version: Reverse<Vec<VersionPart>>,
    pub(super) id: String,
}

/// Numbers sort as numbers. A version that ends is newer than one that goes on in words, its ballot, and
/// older than one that goes on in numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum VersionPart {
    Word(String),
    End,
    Number(u64),
}

impl SortKey {
    pub(super) fn new(resource_type: String, url: &str, version: &str, id: &str) -> SortKey {
        let (prefix, rest) = split_url(url);
        let id = if url.is_empty() { id.to_owned() } else { String::new() };
        SortKey {
            prefix: prefix.to_owned(),
            rest: rest.to_owned(),
            resource_type,
            version: Reverse(version_order(version)),
            id,
        }
    }

    pub(super) fn url(&self) -> String {
        [self.prefix.as_str(), &self.rest].concat()
    }
}

/// A definition on its way into a pack.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) text: Vec<u8>,
    pub(super) id: String,
    pub(super) version: String,
    pub(super) base: String,
    pub(super) flags: u8,
    /// The type a structure defines or constrains.
    pub(super) type_name: String,
    pub(super) facets: Vec<String>,
    /// Canonicals it reads when it is used: required value sets, the code systems of a value set.
    pub(super) needs: Vec<String>,
}

impl Definition {
    /// True for a structure that defines a type.
    pub(super) fn is_type(&self) -> bool {
        !self.type_name.is_empty() && self.flags & FLAG_TYPE != 0
    }

    /// What the index and the order of blocks need to know about a definition.
    pub(super) fn describe(root: Value<'_>, key: &SortKey, version: String, held: Vec<u8>) -> Definition {
        let mut definition = Definition {
            text: held,
            id: text(root.str_of(name::ID)),
            version,
            base: String::new(),
            flags: 0,
            type_name: String::new(),
            facets: Vec::new(),
            needs: Vec::new(),
        };
        let texts = |value: Option<Value<'_>>| -> Vec<String> {
            value
                .into_iter()
                .flat_map(Value::items)
                .filter_map(|it| Some(it.as_str()?.into_owned()))
                .collect()
        };
        match key.resource_type.as_str() {
            "StructureDefinition" => {
                definition.base = text(root.str_of(name::BASE_DEFINITION));
                definition.type_name = text(root.str_of(name::TYPE));
                definition.facets.push(definition.type_name.clone());
                definition.flags = structure_flags(root);
                if definition.is_type() {
                    definition.facets.push(TYPE_FACET.to_owned());
                }
                let elements = root.get(name::SNAPSHOT).and_then(|it| it.get(name::ELEMENT));
                for binding in
                    elements.into_iter().flat_map(Value::items).filter_map(|it| it.get(name::BINDING))
                {
                    if binding.get(name::STRENGTH).is_some_and(|it| it.is_str("required")) {
                        definition.needs.extend(binding.str_of(name::VALUE_SET).map(|it| it.into_owned()));
                    }
                }
            }
            "ValueSet" => {
                for include in root.path(&[name::COMPOSE, name::INCLUDE]) {
                    let listed = include.get(name::CONCEPT).is_some();
                    if !listed {
                        definition.needs.extend(include.str_of(name::SYSTEM).map(|it| it.into_owned()));
                    }
                    definition.needs.extend(texts(include.get(name::VALUE_SET)));
                }
            }
            "SearchParameter" => definition.facets = texts(root.get(name::BASE)),
            "CompartmentDefinition" => definition.facets = texts(root.get(name::CODE)),
            "CodeSystem" => {
                definition.flags = match root.get(name::CASE_SENSITIVE).and_then(Value::as_bool) {
                    Some(true) => FLAG_CASE_SENSITIVE,
                    Some(false) => FLAG_CASE_INSENSITIVE,
                    None => 0,
                };
                let identifiers = root.path(&[name::IDENTIFIER, name::VALUE]);
                definition.facets = identifiers.into_iter().flat_map(|it| texts(Some(it))).collect();
                let base = text(root.get_key("supplements").and_then(Value::as_str));
                if !base.is_empty() {
                    let base = base.split('|').next().unwrap_or_default();
                    definition.facets.push([SUPPLEMENTS, base].concat());
                }
            }
            "NamingSystem" => {
                let identifiers = root.get_key("uniqueId").into_iter().flat_map(Value::items);
                definition.facets = identifiers.flat_map(|it| texts(it.get(name::VALUE))).collect();
            }
            _ => {}
        }
        definition
    }
}

fn structure_flags(root: Value<'_>) -> u8 {
    let kind = match root.str_of(name::KIND).as_deref() {
        Some("primitive-type") => 0,
        Some("complex-type") => 1,
        Some("resource") => 2,
        _ => 3,
    };
    let is_abstract = root.get(name::ABSTRACT).and_then(Value::as_bool) == Some(true);
    let is_type = !root.get(name::DERIVATION).is_some_and(|it| it.is_str("constraint"));
    kind << FLAG_KIND_SHIFT
        | if is_abstract { FLAG_ABSTRACT } else { 0 }
        | if is_type { FLAG_TYPE } else { 0 }
}

pub(super) fn version_order(version: &str) -> Vec<VersionPart> {
    version
        .split(['.', '-', '_', '+'])
        .map(|part| part.parse().map_or_else(|_| VersionPart::Word(part.to_owned()), VersionPart::Number))
        .chain([VersionPart::End])
        .collect()
}

pub(super) fn text(value: Option<Cow<'_, str>>) -> String {
    value.map(Cow::into_owned).unwrap_or_default()
}
