//! What the definitions say about a place in a resource: whether it is a list, what may stand below it, and under
//! which key a choice is written.

use std::sync::Arc;

use fhir_models::definition::{Definitions, ElementDefinition, StructureDefinition};
use fhir_models::document::Value;

/// The steps that lead from the outermost resource to a value; `None` for the resource itself being no container.
pub(super) fn place_of(value: Value<'_>) -> Option<Vec<String>> {
    let expression = value.expression();
    let (_, below) = match expression.split_once('.') {
        Some(split) => split,
        None => return Some(Vec::new()),
    };
    let mut steps = Vec::new();
    for part in below.split('.') {
        let (key, index) = match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
            Some((key, index)) => (key, Some(index)),
            None => (part, None),
        };
        steps.push(key.to_owned());
        steps.extend(index.map(str::to_owned));
    }
    Some(steps)
}

/// An element of a type.
pub(super) struct Place<'d> {
    definitions: &'d Definitions,
    structure: Arc<StructureDefinition>,
    path: String,
    /// The name under which it was asked for.
    asked: String,
    /// True where it stands in a list.
    pub(super) list: bool,
}

impl<'d> Place<'d> {
    /// The element at a place in a resource of a type; steps that are numbers are items.
    pub(super) fn of(definitions: &'d Definitions, kind: &str, steps: &[String]) -> Option<Place<'d>> {
        let structure = definitions.structure(kind)?;
        let root =
            Place { definitions, structure, path: kind.to_owned(), asked: kind.to_owned(), list: false };
        let is_name = |step: &&String| !step.bytes().all(|byte| byte.is_ascii_digit());
        steps.iter().filter(is_name).try_fold(root, |at, step| at.child(step))
    }

    /// The element of this name below; a choice by its name with or without type.
    pub(super) fn child(&self, asked: &str) -> Option<Place<'d>> {
        let (structure, prefix) = self.inside()?;
        let exact = format!("{prefix}.{asked}");
        let named = |own: &&ElementDefinition| {
            own.path == exact
                || own.path.strip_suffix("[x]").is_some_and(|stem| {
                    let rest = exact.strip_prefix(stem);
                    rest.is_some_and(|rest| {
                        rest.is_empty() || own.types.iter().any(|own| capital(&own.code) == rest)
                    })
                })
        };
        let found = structure.elements.iter().find(named)?;
        let (path, list) = (found.path.clone(), found.is_array());
        Some(Place { definitions: self.definitions, structure, path, asked: asked.to_owned(), list })
    }

    /// The structure and path whose elements stand inside this one.
    fn inside(&self) -> Option<(Arc<StructureDefinition>, String)> {
        let element = self.structure.elements.iter().find(|own| own.path == self.path)?;
        if let Some(reference) = &element.content_reference {
            let path = reference.rsplit('#').next()?.to_owned();
            return Some((Arc::clone(&self.structure), path));
        }
        let typed = match self.path.strip_suffix("[x]") {
            Some(stem) => {
                let stem = stem.rsplit('.').next()?;
                let suffix = self.asked.strip_prefix(stem)?;
                element.types.iter().find(|own| capital(&own.code) == suffix)?
            }
            // The structure itself has no types.
            None => match element.types.first() {
                None => return Some((Arc::clone(&self.structure), self.path.clone())),
                Some(first) => first,
            },
        };
        match typed.code.as_str() {
            "BackboneElement" | "Element" => Some((Arc::clone(&self.structure), self.path.clone())),
            "Resource" => None,
            code => Some((self.definitions.structure(code)?, code.to_owned())),
        }
    }

    /// The key in JSON: of a choice its name and the type of the value.
    pub(super) fn key(&self, suffix: &str) -> String {
        match self.path.strip_suffix("[x]").and_then(|stem| stem.rsplit('.').next()) {
            Some(stem) => format!("{stem}{suffix}"),
            None => self.asked.clone(),
        }
    }
}

fn capital(code: &str) -> String {
    let mut letters = code.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
