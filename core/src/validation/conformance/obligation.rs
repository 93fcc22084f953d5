//! Obligation profiles: they add obligations and narrow nothing, and whoever inherits from them shares their
//! base (FHIR extensions pack, `obligation-profile-flag`, `inherit-obligations`, `obligation`).

use fhir_models::definition::{BindingStrength, StructureDefinition};
use fhir_models::document::{Value, name};

use crate::outcome::IssueType;

use super::super::profile::plain;
use super::super::walk::Walk;
use super::element::Holder;
use super::{broken, list, text};

/// The names under which a profile has said that it is one of obligations.
const FLAGS: &[&str] = &[
    "http://hl7.org/fhir/StructureDefinition/obligation-profile",
    "http://hl7.org/fhir/StructureDefinition/obligation-profile-flag",
    "http://hl7.org/fhir/tools/StructureDefinition/obligation-profile",
];
const INHERITS: &[&str] = &[
    "http://hl7.org/fhir/StructureDefinition/inherit-obligations",
    "http://hl7.org/fhir/tools/StructureDefinition/inherit-obligations",
];
const OBLIGATIONS: &[&str] = &[
    "http://hl7.org/fhir/StructureDefinition/obligation",
    "http://hl7.org/fhir/tools/StructureDefinition/obligation",
];
const ADDITIONAL_BINDINGS: &[&str] = &[
    "http://hl7.org/fhir/tools/StructureDefinition/additional-binding",
    "http://hl7.org/fhir/StructureDefinition/additional-binding",
];

/// Checks the obligations of a profile.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, holder: &Holder<'_, 'd>) {
    for extension in list(holder.structure, "extension") {
        let Some(url) = extension.str_of(name::URL) else { continue };
        if INHERITS.contains(&url.as_ref()) {
            inherits(walk, holder, extension);
        }
    }
    if !is_flagged(holder.structure) {
        return;
    }
    if !holder.constraint {
        let message = "an obligation profile is a profile: its derivation is constraint";
        return broken(walk, holder.structure, IssueType::Invalid, message);
    }
    for value in holder.elements(name::DIFFERENTIAL) {
        only_adds(walk, holder, value);
    }
}

fn is_flagged(structure: Value<'_>) -> bool {
    list(structure, "extension").any(|it| {
        it.str_of(name::URL).is_some_and(|url| FLAGS.contains(&url.as_ref()))
            && it.get_key("valueBoolean").and_then(Value::as_bool) == Some(true)
    })
}

fn inherits<'d>(walk: &mut Walk<'_, 'd>, holder: &Holder<'_, 'd>, extension: Value<'d>) {
    let Some(target) = text(extension, "valueCanonical") else {
        let message = "name the obligation profile whose obligations are inherited";
        return broken(walk, extension, IssueType::Invalid, message);
    };
    let definitions = walk.types.definitions();
    let Some(other) = definitions.resource_of_type("StructureDefinition", &target) else { return };
    if !is_flagged(other.root()) {
        let message = format!("{} is not marked as an obligation profile", plain(&target));
        return broken(walk, extension, IssueType::Invalid, message);
    }
    let (own, theirs) = (text(holder.structure, "baseDefinition"), text(other.root(), "baseDefinition"));
    if own != theirs {
        let message = format!(
            "{} has another base, {}: obligations are inherited between profiles of one base",
            plain(&target),
            plain(&theirs.unwrap_or_default())
        );
        broken(walk, extension, IssueType::Invalid, message);
    }
}

/// What an element of an obligation profile may hold.
fn only_adds<'d>(walk: &mut Walk<'_, 'd>, holder: &Holder<'_, 'd>, value: Value<'d>) {
    let id = text(value, "id").or_else(|| text(value, "path")).unwrap_or_default();
    let has = |base: &StructureDefinition| !base.elements.is_empty();
    if let Some(ground) = holder.ground
        && ground.base().is_some_and(has)
        && !ground.has(&id)
    {
        let message = format!("{} is no element of the base: an obligation profile adds none", plain(&id));
        return broken(walk, value, IssueType::Invalid, message);
    }
    for member in value.children().filter(|it| !it.is_underscored()) {
        let key = member.key().unwrap_or_default();
        match key.as_ref() {
            "id" | "path" | "mustSupport" | "min" | "max" => {}
            "extension" => {
                foreign(walk, member, OBLIGATIONS, &id);
            }
            "binding" => binding(walk, holder, member, &id),
            other => refuse(walk, member, &id, other),
        }
    }
}

fn foreign<'d>(walk: &mut Walk<'_, 'd>, extensions: Value<'d>, own: &[&str], id: &str) {
    for extension in extensions.items() {
        let url = extension.str_of(name::URL).unwrap_or_default();
        if !own.contains(&url.as_ref()) {
            refuse(walk, extension, id, &url);
        }
    }
}

fn binding<'d>(walk: &mut Walk<'_, 'd>, holder: &Holder<'_, 'd>, binding: Value<'d>, id: &str) {
    let base = holder.ground.and_then(|ground| ground.stated(id, id, |it| it.binding.clone()));
    for member in binding.children().filter(|it| !it.is_underscored()) {
        let key = member.key().unwrap_or_default();
        match key.as_ref() {
            "extension" => foreign(walk, member, ADDITIONAL_BINDINGS, id),
            "strength" => {
                let same = base.as_ref().is_none_or(|base| member.is_str(strength(base.strength)));
                if !same {
                    let message = format!(
                        "an obligation profile repeats the binding strength of the base; for {} it is {}",
                        plain(id),
                        base.as_ref().map_or("", |base| strength(base.strength))
                    );
                    broken(walk, member, IssueType::Invalid, message);
                }
            }
            other => refuse(walk, member, id, other),
        }
    }
}

fn refuse<'d>(walk: &mut Walk<'_, 'd>, at: Value<'d>, id: &str, what: &str) {
    let message = format!("{}: an obligation profile says nothing about {}", plain(id), plain(what));
    broken(walk, at, IssueType::Invalid, message);
}

fn strength(strength: BindingStrength) -> &'static str {
    match strength {
        BindingStrength::Example => "example",
        BindingStrength::Preferred => "preferred",
        BindingStrength::Extensible => "extensible",
        BindingStrength::Required => "required",
    }
}
