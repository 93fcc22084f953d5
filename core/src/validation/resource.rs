//! Resources: their type is known and concrete, and none is contained in a contained one (FHIR R4 §2.1,
//! §2.3.0.2; invariant `dom-2`).

use fhir_models::document::{Name, Value, name};

use crate::outcome::IssueType;

use super::finding::Rule;
use super::local_reference;
use super::shape::ShapeKind;
use super::special;
use super::walk::{Scope, Walk};

/// Checks a whole resource: the document's root, a contained one, or one in a Bundle or Parameters.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, value: Value<'d>, contained: bool) {
    walk.resources_met += 1;
    let fault = if value.is_object() {
        match value.get(name::RESOURCE_TYPE).map(|it| (it, it.as_str())) {
            Some((place, Some(type_name))) => match walk.types.resource(Name::of(&type_name)) {
                Ok(structure) => {
                    if contained && value.get(name::CONTAINED).is_some() {
                        nested(walk, value);
                    }
                    let Some(shape) = structure.root() else { return };
                    if value.get(name::META).is_some_and(|meta| meta.get(name::PROFILE).is_some()) {
                        walk.claims.push(value);
                    }
                    let own = Name::of(&type_name);
                    if walk.profiles.implied(walk.types).concerns(own)
                        || walk.typed.iter().any(|(type_name, _)| *type_name == own)
                    {
                        walk.implied.push(value);
                    }
                    if special::has_rules(&type_name) {
                        walk.special.push(value);
                    }
                    let root = if contained { walk.scope.root } else { value.id() };
                    let inner = Scope { resource: value.id(), root, ids: Default::default() };
                    let outer = std::mem::replace(&mut walk.scope, inner);
                    let local = walk.fragments.len();
                    walk.object(value, structure, shape, ShapeKind::Resource);
                    if !contained {
                        local_reference::check(walk, value, local);
                    }
                    walk.scope = outer;
                    return;
                }
                Err(error) => return walk.report(value, place, error.fault()),
            },
            Some((place, None)) => {
                let fault = Rule::ResourceType.error(IssueType::Structure, "`resourceType` is a string");
                return walk.report(value, place, fault);
            }
            None => Rule::ResourceType.error(
                IssueType::Required,
                "a resource needs `resourceType`, the name of its type, such as \"Patient\"",
            ),
        }
    } else {
        Rule::ResourceType.error(IssueType::Structure, "a resource is a JSON object with a `resourceType`")
    };
    walk.report(value, value, fault);
}

/// A contained resource that contains others.
#[cold]
fn nested<'d>(walk: &mut Walk<'_, 'd>, value: Value<'d>) {
    let place = value.get(name::CONTAINED).unwrap_or(value);
    let outer = value.document().value(walk.scope.resource).unwrap_or(value);
    let message = "a contained resource must not contain others: \
                   move them to the `contained` of the outer resource (dom-2)";
    walk.report(outer, place, Rule::Contained.error(IssueType::Invariant, message));
}
