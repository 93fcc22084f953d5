//! Discriminators lead to something in the element that they slice (FHIR R4 §5.1.0.14).

use fhir_models::definition::{Definitions, DiscriminatorKind, StructureKind, choice_name};
use fhir_models::document::Value;

use crate::outcome::IssueType;

use super::super::profile::plain;
use super::super::walk::Walk;
use super::element::Subject;
use super::{broken, list};

/// Most definitions looked at for one path: beyond them the path is taken to lead somewhere.
const MOST_LOOKS: usize = 2_000;
/// Most steps of a path.
const MOST_STEPS: usize = 32;

/// Checks the discriminators of a sliced element.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, subject: &Subject<'_, 'd>) {
    let Some(slicing) = &subject.element.slicing else { return };
    let values: Vec<Value<'d>> =
        subject.value.get_key("slicing").into_iter().flat_map(|it| list(it, "discriminator")).collect();
    for (value, discriminator) in values.into_iter().zip(&slicing.discriminators) {
        let path = discriminator.path.as_str();
        if path.is_empty() || leads(walk.types.definitions(), subject, path) {
            continue;
        }
        let what = match discriminator.kind {
            DiscriminatorKind::Type => "the type at",
            DiscriminatorKind::Profile => "the profile at",
            _ => "the value at",
        };
        let message = format!(
            "slices can't be told by {what} {}: {} has no such element",
            plain(path),
            plain(&subject.element.path)
        );
        broken(walk, value, IssueType::Invalid, message);
    }
}

/// False where no type of the element has what the path names. What can't be told leads somewhere.
fn leads(definitions: &Definitions, subject: &Subject<'_, '_>, path: &str) -> bool {
    if path.split('.').nth(MOST_STEPS).is_some() {
        return true;
    }
    let mut starts: Vec<(String, String)> = Vec::new();
    if let Some(own) = subject.place.and_then(|it| Some((it, it.element()?)))
        && own.1.content_reference.is_some()
    {
        return true;
    }
    for code in subject.types {
        let inline = matches!(code.as_str(), "BackboneElement" | "Element");
        match subject.place.filter(|_| inline) {
            Some(place) => {
                let Some(element) = place.element() else { return true };
                starts.push((place.structure.url.clone(), element.path.clone()));
            }
            None if inline => return true,
            None => starts.push((code.clone(), code.clone())),
        }
    }
    let mut looks = MOST_LOOKS;
    starts.is_empty()
        || starts.into_iter().any(|(structure, at)| reaches(definitions, &structure, &at, path, &mut looks))
}

/// Follows the steps of a restricted path from an element of a structure.
fn reaches(definitions: &Definitions, structure: &str, at: &str, path: &str, looks: &mut usize) -> bool {
    if *looks == 0 {
        return true;
    }
    *looks -= 1;
    let (step, rest) = match path.split_once('.') {
        Some((step, rest)) => (step, Some(rest)),
        None => (path, None),
    };
    if step == "$this" {
        return rest.is_none_or(|rest| reaches(definitions, structure, at, rest, looks));
    }
    // Functions change what is looked at: `resolve()`, `ofType()`, `extension()`.
    if step.contains(['(', ')', '\'', '"']) {
        return true;
    }
    let Some(definition) = definitions.structure(structure).filter(|it| !it.elements.is_empty()) else {
        return true;
    };
    if definition.kind == StructureKind::Resource && definition.is_abstract {
        return true;
    }
    for element in &definition.elements {
        let own = element.path.strip_prefix(at).and_then(|it| it.strip_prefix('.'));
        let Some(own) = own.filter(|own| !own.contains('.')) else { continue };
        let stem = own.strip_suffix("[x]");
        let written = |stem: &str| element.types.iter().any(|type_| choice_name(stem, &type_.code) == step);
        if own != step && stem != Some(step) && !stem.is_some_and(written) {
            continue;
        }
        let Some(rest) = rest else { return true };
        if element.content_reference.is_some() || element.types.is_empty() {
            return true;
        }
        return element.types.iter().any(|type_| match type_.code.as_str() {
            "BackboneElement" | "Element" => reaches(definitions, structure, &element.path, rest, looks),
            code => reaches(definitions, code, code, rest, looks),
        });
    }
    false
}
