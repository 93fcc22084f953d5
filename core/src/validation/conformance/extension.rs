//! The definition of an extension: its url, and where it may stand (FHIR R4 §2.5.0.2, §5.4
//! `StructureDefinition.context`).

use fhir_models::definition::ElementDefinition;
use fhir_models::document::{Value, name};

use crate::outcome::IssueType;

use super::super::profile::plain;
use super::super::walk::Walk;
use super::ground::{Found, Ground, Narrowed};
use super::{broken, list, text};

/// Abstract types that R4 describes and later editions define.
pub(super) const LATER: &[&str] = &["Base", "CanonicalResource", "MetadataResource"];

/// Checks what only the definition of an extension has.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, structure: Value<'d>, type_name: &str) {
    if type_name != "Extension" {
        // Logical models may state the JSON name of an element that also works as an extension.
        for context in list(structure, "context").filter(|_| structure.get(name::EXTENSION).is_none()) {
            let message = "only extensions have a context: this structure is none";
            broken(walk, context, IssueType::Invalid, message);
        }
        return;
    }
    for context in list(structure, "context") {
        exists(walk, context);
    }
    let direct = text(structure, "baseDefinition")
        .is_some_and(|base| base == "http://hl7.org/fhir/StructureDefinition/Extension");
    let Some(url) = text(structure, "url").filter(|_| direct) else { return };
    let fixed = [name::DIFFERENTIAL, name::SNAPSHOT].into_iter().find_map(|part| {
        let mut elements = structure.get(part)?.get(name::ELEMENT)?.items();
        elements.find(|it| it.get(name::PATH).is_some_and(|path| path.is_str("Extension.url")))
    });
    match fixed.and_then(|it| text(it, "fixedUri")) {
        Some(fixed) if fixed != url => {
            let message = format!(
                "instances carry the url of their extension: fix Extension.url to {}, not {}",
                plain(&url),
                plain(&fixed)
            );
            broken(walk, structure, IssueType::Invalid, message);
        }
        Some(_) => {}
        None => {
            let message =
                format!("an extension fixes its url: set fixedUri of Extension.url to {}", plain(&url));
            broken(walk, structure, IssueType::Required, message);
        }
    }
}

/// Where an extension may stand is a type or an element that there is.
fn exists<'d>(walk: &mut Walk<'_, 'd>, context: Value<'d>) {
    let (Some(kind), Some(path)) = (text(context, "type"), text(context, "expression")) else { return };
    // A context for other editions of FHIR says so in an extension.
    if kind != "element" || path.contains(['/', '#', ':']) || context.get(name::EXTENSION).is_some() {
        return;
    }
    let definitions = walk.types.definitions();
    let start = path.split('.').next().unwrap_or_default();
    if LATER.contains(&start) {
        return;
    }
    // `Extension.value` is written for `Extension.value[x]` too.
    let leads = |path: String| {
        let element = ElementDefinition { id: path.clone(), path, ..Default::default() };
        Ground::of(definitions, start)
            .is_some_and(|it| matches!(it.place(&element, &Narrowed::new()), Found::At(_) | Found::Unknown))
    };
    let missing = definitions.structure(start).is_none()
        || !(leads(path.to_string()) || leads([&*path, "[x]"].concat()));
    if missing {
        let message = format!(
            "{} is no type or element of FHIR R4: nothing can carry the extension there",
            plain(&path)
        );
        broken(walk, context, IssueType::NotFound, message);
    }
}
