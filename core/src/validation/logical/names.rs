//! What a logical model calls its elements, and the FHIR types that their JSON names tell: with these, FHIRPath
//! can judge a constraint that asks for types, or names a choice by its stem.
//!
//! Invariant: a name that stands for different types in different parts of the model gives no type, and a
//! constraint that speaks of it, or steps into another model, is not judged by types.

use std::collections::BTreeSet;
use std::sync::Arc;

use fhir_models::definition::{Definitions, ElementDefinition, StructureKind, choice_name};
use fhir_models::primitive::Primitive;

use crate::fhirpath::OwnNames;

use super::expression::words;
use super::model::plain_code;

/// What needs more than the types of named elements.
const BEYOND: &[&str] =
    &["type", "resolve", "conformsTo", "extension", "hasExtension", "children", "descendants", "repeat"];

/// Names of FHIRPath's own types, and of the two namespaces.
const SYSTEM: &[&str] =
    &["FHIR", "System", "Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity"];

/// The names of a model.
#[derive(Debug)]
pub(super) struct Names {
    table: Arc<OwnNames>,
    /// Names that tell no type.
    untold: BTreeSet<String>,
}

impl Names {
    /// The names of these elements. `is_part` tells the paths of those that have elements.
    pub fn of(
        definitions: &Definitions,
        elements: &[ElementDefinition],
        is_part: impl Fn(&str) -> bool,
    ) -> Names {
        let mut table = OwnNames::new();
        let (mut untold, mut foreign) = (BTreeSet::new(), BTreeSet::new());
        for element in elements.iter().skip(1) {
            let tail = element.tail();
            let name = tail.trim_end_matches("[x]");
            let mut add = |key: String, type_name: &str| {
                let known = table.entry(name.to_owned()).or_default();
                match known.iter().find(|(own, _)| *own == key) {
                    Some((_, own)) if own != type_name => {
                        untold.insert(name.to_owned());
                    }
                    Some(_) => {}
                    None => known.push((key, type_name.to_owned())),
                }
            };
            if is_part(&element.path) || element.content_reference.is_some() {
                add(name.to_owned(), "");
                continue;
            }
            for type_ in &element.types {
                let code = plain_code(type_);
                let key = match element.is_choice() {
                    true => choice_name(name, code.rsplit('/').next().unwrap_or(code)),
                    false => name.to_owned(),
                };
                match definitions.type_kind(code) {
                    Some(StructureKind::Resource) => add(key, ""),
                    Some(StructureKind::ComplexType | StructureKind::PrimitiveType) if code != "Base" => {
                        add(key, code);
                    }
                    _ if Primitive::of_type(code).is_some() => add(key, code),
                    _ => {
                        add(key, "");
                        foreign.insert(name.to_owned());
                    }
                }
            }
        }
        untold.append(&mut foreign);
        Names { table: Arc::new(table), untold }
    }

    /// The names by which this expression can be judged; `None` where types are not enough for it.
    pub fn types(&self, text: &str, definitions: &Definitions) -> Option<&Arc<OwnNames>> {
        if text.contains(['%', '`']) {
            return None;
        }
        let told = words(text).iter().all(|word| {
            let typed = word.starts_with(|first: char| first.is_ascii_uppercase());
            let known = SYSTEM.contains(word) || definitions.type_kind(word).is_some();
            (!typed || known || self.table.contains_key(*word))
                && !BEYOND.contains(word)
                && !self.untold.contains(*word)
        });
        told.then_some(&self.table)
    }
}
