//! Instances of logical models (FHIR R4 §2.29, `StructureDefinition.kind`): data that are no FHIR resource, written
//! as JSON by the same rules, or as XML by what their models say of it (`mapping` reads that).
//!
//! A model's elements may have names that FHIR doesn't know, so they are compared by their text, in a walk of
//! their own ([`walk`](self::check)); a value of a FHIR type goes to the ordinary walk. Invariant: nothing here
//! runs for a validator that no logical model was asked of.
//!
//! Not checked: element rules inside of a FHIR datatype outside of slices (a profile of the type can say them),
//! slices told by what lies in extensions, and constraints whose meaning hangs on types that names don't tell;
//! these are counted. Models with the first two are refused.

mod expression;
mod lay_out;
mod model;
mod names;
mod said;
mod slice;
mod typed;
mod walk;

use fhir_models::definition::{Definitions, StructureKind};
use fhir_models::document::{Name, Value, name};

use crate::outcome::IssueType;

use super::finding::Rule;
use super::types::Types;
use super::walk::Walk;

pub(super) use model::{Model, Models};

/// True for the canonical of a logical model.
pub(super) fn is_logical(definitions: &Definitions, canonical: &str) -> bool {
    definitions.structure(canonical).is_some_and(|it| it.kind == StructureKind::Logical)
}

/// True where the document is to be read as an instance of a logical model: it is no resource.
pub(super) fn is_instance(types: &Types, models: &Models, root: Value<'_>) -> bool {
    !models.asked.is_empty()
        && !root.str_of(name::RESOURCE_TYPE).is_some_and(|it| types.is_resource(Name::of(&it)))
}

/// Checks the document against every model that was asked for.
pub(super) fn check<'v, 'd>(walk: &mut Walk<'v, 'd>, models: &'v Models, root: Value<'d>) {
    if models.asked.is_empty() {
        return;
    }
    // Resources in an instance never are the whole of the document.
    walk.resources_met += 1;
    for &number in &models.asked {
        let Some(model) = walk::usable(walk, models, number, root) else { continue };
        if let Some(type_name) = root.get(name::RESOURCE_TYPE)
            && !type_name.as_str().is_some_and(|it| model.is_called(&it))
        {
            let message = format!(
                "the logical model {} describes {}: `resourceType` must name that, or be left out",
                model.url, model.type_name
            );
            walk.report(root, type_name, Rule::ResourceType.error(IssueType::Structure, message));
            continue;
        }
        walk::root(walk, models, model, root);
    }
}
